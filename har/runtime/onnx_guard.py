"""An ONNX file must hold its weights itself: one that names other files could make a device read any file it may read.

onnxruntime follows such names without a word. The `onnx` package could tell, and is too large for a device, so the few fields that can
name a file are read here, after the protobuf encoding (https://protobuf.dev/programming-guides/encoding/) and ``onnx.proto``.
"""

from collections.abc import Iterator
from pathlib import Path

from har.contract import HarError

# Fields of each message that hold, at any depth, a tensor: number -> message.
GRAPH, NODE, ATTRIBUTE, TENSOR, SPARSE, FUNCTION, MODEL = "graph", "node", "attribute", "tensor", "sparse", "function", "model"
FIELDS = {
    MODEL: {7: GRAPH, 25: FUNCTION},
    GRAPH: {1: NODE, 5: TENSOR, 15: SPARSE},
    FUNCTION: {7: NODE, 11: ATTRIBUTE},
    NODE: {5: ATTRIBUTE},
    ATTRIBUTE: {5: TENSOR, 6: GRAPH, 10: TENSOR, 11: GRAPH, 22: SPARSE, 23: SPARSE},
    SPARSE: {1: TENSOR, 2: TENSOR},
    TENSOR: {},
}
EXTERNAL_DATA, DATA_LOCATION = 13, 14  # of a tensor
MAX_DEPTH = 64


def check_self_contained(path: Path) -> None:
    """Refuse an ONNX file that names other files, or that is not whole.

    Raises:
        HarError: it does.
    """
    try:
        external = _names_files(memoryview(path.read_bytes()), MODEL, 0)
    except (IndexError, ValueError, RecursionError):
        raise HarError(f"{path} is not a readable ONNX model (its structure is broken); export again: har export") from None
    if external:
        raise HarError(f"{path} takes weights from another file, which no bundle does; do not use it, export again")


def _names_files(content: memoryview, message: str, depth: int) -> bool:
    if depth > MAX_DEPTH:
        raise ValueError("nested too deeply")
    for field, value in _fields(content):
        if message == TENSOR and (field == EXTERNAL_DATA or (field == DATA_LOCATION and value == 1)):
            return True
        inner = FIELDS[message].get(field)
        if inner is not None and isinstance(value, memoryview) and _names_files(value, inner, depth + 1):
            return True
    return False


def _fields(content: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Number and value of each field; numbers of fixed width are passed over."""
    at = 0
    while at < len(content):
        key, at = _varint(content, at)
        kind = key & 7
        if kind == 0:
            value, at = _varint(content, at)
            yield key >> 3, value
        elif kind == 2:
            size, at = _varint(content, at)
            if at + size > len(content):
                raise ValueError("cut off")
            yield key >> 3, content[at : at + size]
            at += size
        elif kind in (1, 5):
            at += 8 if kind == 1 else 4
        else:
            raise ValueError(f"unknown wire type {kind}")
    if at != len(content):
        raise ValueError("cut off")


def _varint(content: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = content[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
        if shift > 63:
            raise ValueError("a number is too long")
