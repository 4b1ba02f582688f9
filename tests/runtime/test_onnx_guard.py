"""A model that names other files is found, wherever in the graph the tensor stands."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from har.contract import HarError
from har.runtime.onnx_guard import check_self_contained


def tensor(*, external: bool) -> TensorProto:
    made = numpy_helper.from_array(np.arange(4, dtype=np.float32), "w")
    if external:
        made.ClearField("raw_data")
        made.data_location = TensorProto.EXTERNAL
        made.external_data.add(key="location", value="../../secret")
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
    return helper.make_model(inner)


@pytest.mark.parametrize("place", ["weights", "attribute", "branch", "sparse"])
def test_names_of_other_files_are_found_everywhere(place: str, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(graph(place, external=False).SerializeToString())
    check_self_contained(path)
    path.write_bytes(graph(place, external=True).SerializeToString())
    with pytest.raises(HarError, match="takes weights from another file"):
        check_self_contained(path)


def test_a_broken_file_is_no_model(tmp_path: Path) -> None:
    content = graph("branch", external=False).SerializeToString()
    path = tmp_path / "model.onnx"
    for broken in (content[:-3], b"garbage", b"\xff" * 40, bytes([0x3A]) * 5000):
        path.write_bytes(broken)
        with pytest.raises(HarError, match="its structure is broken"):
            check_self_contained(path)
