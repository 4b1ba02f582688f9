"""A model that names other files is found, wherever in the graph the tensor is and however its bytes are encoded."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from google.protobuf.message import DecodeError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import ModelProto, TensorProto, helper, numpy_helper
from onnx.external_data_helper import uses_external_data

from har.cli import main
from har.errors import HarError
from har.runtime import onnx_guard
from har.runtime.bundle import pretrained, sha256
from har.runtime.onnx_guard import check_self_contained
from har.runtime.session import open_session
from tests.refusal import refused

SECRET = np.array([11.0, 12.0, 13.0, 14.0], dtype=np.float32)


def tensor(*, external: bool) -> TensorProto:
    made = numpy_helper.from_array(np.arange(4, dtype=np.float32), "w")
    if external:
        made.ClearField("raw_data")
        made.data_location = TensorProto.EXTERNAL
        for key, value in (("location", "secret.bin"), ("offset", "0"), ("length", "16")):
            made.external_data.add(key=key, value=value)
    return made


def graph(place: str, *, external: bool) -> onnx.ModelProto:
    held, x = tensor(external=external), helper.make_tensor_value_info("y", TensorProto.FLOAT, [4])
    if place == "weights":
        inner = helper.make_graph([helper.make_node("Identity", ["w"], ["y"])], "g", [], [x], [held])
    elif place == "attribute":
        inner = helper.make_graph([helper.make_node("Constant", [], ["y"], value=held)], "g", [], [x])
    elif place == "branch":
        branch = helper.make_graph([helper.make_node("Constant", [], ["y"], value=held)], "b", [], [x])
        condition = helper.make_node("Constant", [], ["c"], value=helper.make_tensor("c", TensorProto.BOOL, [], [True]))
        inner = helper.make_graph([condition, helper.make_node("If", ["c"], ["y"], then_branch=branch, else_branch=branch)], "g", [], [x])
    elif place == "sparse":
        index = helper.make_tensor("i", TensorProto.INT64, [4], [0, 1, 2, 3])
        inner = helper.make_graph([helper.make_node("Identity", ["w"], ["y"])], "g", [], [x])
        inner.sparse_initializer.append(helper.make_sparse_tensor(held, index, [8]))
    elif place in ("function", "training"):
        inner = helper.make_graph([helper.make_node("Constant", [], ["y"], value=helper.make_tensor("c", 1, [4], [0.0] * 4))], "g", [], [x])
    made = helper.make_model(inner, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    if place == "function":
        node = helper.make_node("Constant", [], ["y"], value=held)
        made.functions.append(helper.make_function("own", "F", [], ["y"], [node], [helper.make_opsetid("", 18)]))
    if place == "training":
        made.training_info.add().algorithm.initializer.append(held)
    return made


PLACES = ["weights", "attribute", "branch", "sparse", "function", "training"]


@pytest.mark.parametrize("place", PLACES)
def test_names_of_other_files_are_found_everywhere(place: str) -> None:
    path = Path("model.onnx")
    check_self_contained(graph(place, external=False).SerializeToString(), path)
    with refused("model-file", "takes weights from another file"):
        check_self_contained(graph(place, external=True).SerializeToString(), path)


def test_a_broken_file_is_no_model() -> None:
    content = graph("branch", external=False).SerializeToString()
    for broken in (content[:-3], b"garbage", b"\xff" * 40, bytes([0x3A]) * 5000):
        with refused("model-file", "its structure is broken"):
            check_self_contained(broken, Path("model.onnx"))


def test_every_message_that_can_hold_a_tensor_is_read() -> None:
    """By the descriptors of the installed `onnx`, which know what newer versions of the format add."""
    found: dict[str, dict[int, str]] = {}

    def visit(descriptor: object) -> None:
        fields = {f.number: f.message_type for f in descriptor.fields if f.message_type is not None}  # type: ignore[attr-defined]
        if descriptor.name not in found:  # type: ignore[attr-defined]
            found[descriptor.name] = {number: inner.name for number, inner in fields.items()}  # type: ignore[attr-defined]
            for inner in fields.values():
                visit(inner)

    visit(ModelProto.DESCRIPTOR)
    holding = {"TensorProto"}
    while more := {name for name, fields in found.items() if holding & set(fields.values())} - holding:
        holding |= more
    expected = {name: {number: inner for number, inner in found[name].items() if inner in holding} for name in holding}
    assert expected == onnx_guard.FIELDS


# Encodings of the same message, of which protobuf readers accept some and not others.


def varint(value: int, extra: int = 0) -> bytes:
    """Shortest encoding of a number and `extra` superfluous bytes."""
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    for _ in range(extra):
        out[-1] |= 128
        out.append(0)
    return bytes(out)


def read_varint(content: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        value |= (content[at] & 127) << shift
        at, shift = at + 1, shift + 7
        if content[at - 1] < 128:
            return value, at


def encoded(content: bytes, message: str, odd: Callable[[str, int], int]) -> bytes:
    """A message, encoded again; `odd` chooses how for each message and field: 0 is the usual encoding."""
    out, at = b"", 0
    while at < len(content):
        key, at = read_varint(content, at)
        field, kind = key >> 3, key & 7
        if kind == 0:
            value, at = read_varint(content, at)
            body = b""
        else:
            size = {1: 8, 5: 4}.get(kind)
            if size is None:
                size, at = read_varint(content, at)
            body, at = content[at : at + size], at + size
            inner = onnx_guard.FIELDS.get(message, {}).get(field)
            body = encoded(body, inner, odd) if inner else body
        way = odd(message, field)
        high = (0, 0, 0, 1 << 32, 3 << 32, 1 << 35, 1 << 40, 1 << 60)[way] if way < 8 else 0
        out += varint(key | high, way if way in (1, 2) else 0)
        if kind == 0:
            out += varint(value | ((1 << 32) if way == 8 else 0), 1 if way == 9 else 0)
        elif kind == 2:
            out += varint(len(body), 1 if way == 10 else 0) + body
        else:
            out += body
        if way == 11:  # an empty group of an unknown field
            out += varint(1000 << 3 | 3) + varint(1000 << 3 | 4)
    return out


def parsed_as_external(content: bytes) -> bool:
    """Whether `onnx` reads a tensor of another file, in any place."""
    try:
        model = onnx.load_model_from_string(content)
    except DecodeError:
        return False

    def held(message: object) -> bool:
        if isinstance(message, TensorProto):
            return uses_external_data(message) or len(message.external_data) > 0
        return any(
            held(item)
            for field, value in message.ListFields()  # type: ignore[attr-defined]
            if field.message_type is not None
            for item in ([value] if hasattr(value, "ListFields") else value)
        )

    return held(model)


def read_by_runtime(content: bytes, folder: Path) -> bool:
    """Whether onnxruntime, without the guard, reads the other file."""
    (folder / "secret.bin").write_bytes(SECRET.tobytes())
    (folder / "model.onnx").write_bytes(content)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(str(folder / "model.onnx"), options, providers=["CPUExecutionProvider"])
        return bool((session.run(None, {})[0] == SECRET).all())
    except Exception:  # its exceptions share no base
        return False


def is_refused(content: bytes) -> bool:
    try:
        check_self_contained(content, Path("model.onnx"))
    except HarError:
        return True
    return False


def test_the_usual_encoding_is_kept_by_the_re_encoder() -> None:
    content = graph("branch", external=True).SerializeToString()
    assert encoded(content, "ModelProto", lambda message, field: 0) == content
    assert parsed_as_external(content)


def test_the_runtime_reads_the_other_file_where_nothing_guards_it(tmp_path: Path) -> None:
    assert read_by_runtime(graph("weights", external=True).SerializeToString(), tmp_path)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), place=st.sampled_from(PLACES))
def test_no_encoding_hides_another_file(data: st.DataObject, place: str, tmp_path: Path) -> None:
    """Whatever `onnx` or onnxruntime reads as external is refused."""
    fields = [(message, field) for message, inner in onnx_guard.FIELDS.items() for field in inner]
    ways = {("TensorProto", field): data.draw(st.integers(0, 11)) for field in (13, 14)}  # of the fields that name a file
    ways |= {data.draw(st.sampled_from(fields)): data.draw(st.integers(0, 11))}  # and of one on the way to them
    content = encoded(graph(place, external=True).SerializeToString(), "ModelProto", lambda *place: ways.get(place, 0))
    if parsed_as_external(content) or read_by_runtime(content, tmp_path):
        assert is_refused(content)


@pytest.mark.parametrize("way", set(range(1, 12)) - {8})  # 8 changes only values, and a large one may be meant
def test_unusual_encodings_are_refused_even_without_another_file(way: int) -> None:
    content = encoded(graph("weights", external=False).SerializeToString(), "ModelProto", lambda message, field: way)
    assert is_refused(content)


def hidden(name: str) -> bytes:
    """A pretrained file whose first weights are in ``weights.bin``, with bit 32 set in the keys that say so."""
    model = onnx.load(pretrained() / name)
    held = max(model.graph.initializer, key=lambda tensor: len(tensor.raw_data))
    size = len(held.raw_data)
    held.ClearField("raw_data")
    held.data_location = TensorProto.EXTERNAL
    for key, value in (("location", "weights.bin"), ("offset", "0"), ("length", str(size))):
        held.external_data.add(key=key, value=value)
    plain = model.SerializeToString()
    return encoded(plain, "ModelProto", lambda message, field: 3 if message == "TensorProto" and field in (13, 14) else 0)


@pytest.mark.parametrize("name", ["model.onnx", "model.int8.onnx", "model.small.onnx"])
def test_a_bundle_with_a_hidden_reference_is_refused(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Whose checksums fit, and whose weights lie next to it without an entry in the manifest."""
    folder = tmp_path / "bundle"
    shutil.copytree(pretrained(), folder)
    values = max(onnx.load(folder / name).graph.initializer, key=lambda tensor: len(tensor.raw_data)).raw_data
    (folder / "weights.bin").write_bytes(values)
    (folder / name).write_bytes(hidden(name))
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"][name] = sha256(folder / name)
    (folder / "manifest.json").write_text(json.dumps(manifest))
    assert main(["verify", "--bundle", str(folder)]) == 2
    assert "is not a readable ONNX model (its structure is broken or unusual)" in capsys.readouterr().err
    with refused("model-file", "is not a readable ONNX model"):
        open_session(folder / name)


def test_a_file_in_the_runtimes_own_format_is_not_opened(tmp_path: Path) -> None:
    """The guard does not know that format, and onnxruntime recognises it by bytes 4 to 7."""
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "model.ort")
    onnxruntime.InferenceSession(graph("attribute", external=False).SerializeToString(), options, providers=["CPUExecutionProvider"])
    content = (tmp_path / "model.ort").read_bytes()
    assert content[4:8] == b"ORTM"
    assert onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    with refused("model-file", "is not a readable ONNX model"):
        open_session(tmp_path / "model.ort")


def test_a_file_that_changes_after_the_manifest_was_read_is_not_opened(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(graph("weights", external=False).SerializeToString())
    expected = sha256(path)
    open_session(path, expected)
    path.write_bytes(graph("attribute", external=False).SerializeToString())
    with refused("bundle-changed"):
        open_session(path, expected)
