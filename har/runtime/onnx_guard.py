"""Refuse ONNX files that take their weights from other files.

Such a file could make a device read any file that its user may read, and older versions of onnxruntime follow it without a message. The
`onnx` package could find these references but is too large for a device, so the few fields that can name a file are read here, as the
protobuf encoding (https://protobuf.dev/programming-guides/encoding/) and ``onnx.proto`` define them.

Protobuf readers disagree on unusual encodings: C++ drops the bits of a key above 32, other readers refuse them. A guard that reads a
file otherwise than onnxruntime does can be bypassed. So only the one encoding that every writer uses is accepted: numbers without
superfluous bytes, keys of at most 32 bits, no groups, and messages where ``onnx.proto`` has messages.
"""

from collections.abc import Iterator
from pathlib import Path

from har.errors import HarError

# Fields of each message that hold, at any depth, a tensor: number -> message.
MODEL, TENSOR = "ModelProto", "TensorProto"
FIELDS = {
    MODEL: {7: "GraphProto", 20: "TrainingInfoProto", 25: "FunctionProto"},
    "TrainingInfoProto": {1: "GraphProto", 2: "GraphProto"},
    "GraphProto": {1: "NodeProto", 5: TENSOR, 15: "SparseTensorProto"},
    "FunctionProto": {7: "NodeProto", 11: "AttributeProto"},
    "NodeProto": {5: "AttributeProto"},
    "AttributeProto": {5: TENSOR, 6: "GraphProto", 10: TENSOR, 11: "GraphProto", 22: "SparseTensorProto", 23: "SparseTensorProto"},
    "SparseTensorProto": {1: TENSOR, 2: TENSOR},
    TENSOR: {},
}
EXTERNAL_DATA, DATA_LOCATION = 13, 14  # of a tensor; the location is 0 where the tensor holds its values itself
MAX_DEPTH = 64
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5  # wire types; 3 and 4 are groups, which ONNX does not have


def check_self_contained(content: bytes, path: Path) -> None:
    """Refuse an ONNX model that names other files, or whose encoding is broken or unusual.

    Args:
        content: of the file; a session must be opened from these bytes, since the file may change after the check.
        path: of the file, for the message.

    Raises:
        HarError: the model is refused.
    """
    try:
        external = _names_files(memoryview(content), MODEL, 0)
    except (IndexError, ValueError, RecursionError):
        raise HarError(
            "model-file",
            f"{path} is not a readable ONNX model (its structure is broken or unusual); do not use it, export again: har export",
        ) from None
    if external:
        raise HarError("model-file", f"{path} takes weights from another file, which no bundle does; do not use it, export again")


def _names_files(content: memoryview, message: str, depth: int) -> bool:
    if depth > MAX_DEPTH:
        raise ValueError("nested too deeply")
    for field, value in _fields(content):
        if message == TENSOR and (field == EXTERNAL_DATA or (field == DATA_LOCATION and value != 0)):
            return True
        inner = FIELDS[message].get(field)
        if inner is None:
            continue
        if not isinstance(value, memoryview):
            raise ValueError(f"field {field} of {message} holds no message")
        if _names_files(value, inner, depth + 1):
            return True
    return False


def _fields(content: memoryview) -> Iterator[tuple[int, int | memoryview | None]]:
    """Number and value of each field; None for numbers of fixed width."""
    at = 0
    while at < len(content):
        key, at = _varint(content, at, 32)
        field, kind = key >> 3, key & 7
        if field == 0:
            raise ValueError("a field without a number")
        if kind == VARINT:
            value, at = _varint(content, at, 64)
            yield field, value
            continue
        if kind == BYTES:
            size, at = _varint(content, at, 31)
        elif kind in (FIXED64, FIXED32):
            size = 8 if kind == FIXED64 else 4
        else:
            raise ValueError(f"unknown wire type {kind}")
        if at + size > len(content):
            raise ValueError("cut off")
        yield field, content[at : at + size] if kind == BYTES else None
        at += size


def _varint(content: memoryview, at: int, bits: int) -> tuple[int, int]:
    """A number of at most `bits` bits in its shortest encoding, and the position after it."""
    value = shift = 0
    while True:
        byte = content[at]
        value |= (byte & 0x7F) << shift
        at += 1
        if byte < 0x80:
            break
        shift += 7
        if shift >= bits:
            raise ValueError("a number is too long")
    if value >> bits or (byte == 0 and shift):
        raise ValueError("a number is too large, or has superfluous bytes")
    return value, at
