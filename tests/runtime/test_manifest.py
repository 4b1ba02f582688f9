"""A manifest is validated when it is read: types, ranges, and what fits together; format 2 is converted."""

import copy
import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import onnx
import pytest

from har.contract import LABELS
from har.data import synthetic
from har.recording import ReadOptions, read_recording, write_csv
from har.runtime.bundle import pretrained, read_bundle, sha256
from har.runtime.manifest import MANIFEST, MODEL, VECTORS, convert, faults, read_manifest, schema
from har.runtime.recognizer import load_model, verify
from tests.refusal import refused

FORMAT_2 = json.loads((pretrained() / MANIFEST).read_text())
FORMAT_3 = convert(FORMAT_2)
CASES = json.loads(Path(__file__).with_name("manifests.json").read_text())  # of the newest format; the web page is tried with them too
Change = Callable[[dict[str, Any]], object]
WHOLE = FORMAT_3 | {
    "needs": {"sensors": ["accelerometer"], "least_rate_hz": 20},
    "outputs": {"probabilities": {}, "embedding": {"size": 2}},
    "activities": [
        {"name": "STILL", "of": ["SITTING", "STANDING"], "threshold": 0.8},
        {"name": "AWAKE", "of": ["STILL"], "threshold": 0.9},
    ],
    "domain": {"centres": [[0.0, 1.0]], "whitening": [[1.0, 0.0], [0.0, 1.0]], "threshold": 3.0},
    "smoothing": {"transitions": [[1.0] + [0.0] * 5] * 6, "shares": [0.5, 0.5, 0, 0, 0, 0], "weight": 0.5, "lag": 1},
    "parity": {"windows": 256, "largest_difference": 0},
}


def written(folder: Path, content: Any) -> Path:
    (folder / MANIFEST).write_text(json.dumps(content))
    return folder / MANIFEST


def changed(folder: Path, change: Change, base: dict[str, Any] = WHOLE) -> Path:
    content = copy.deepcopy(base)
    change(content)
    return written(folder, content)


def test_format_2_is_converted_and_each_entry_finds_its_place(tmp_path: Path) -> None:
    said = read_manifest(written(tmp_path, FORMAT_2))
    assert said == read_manifest(written(tmp_path, FORMAT_3))
    jsonschema.validate(FORMAT_3, schema())
    assert said["spec"]["labels"] == FORMAT_2["labels"] == list(LABELS)
    assert [said["spec"][name] for name in ("sample_rate_hz", "window_size", "stride")] == [50.0, 128, 64]
    assert [channel for sensor in said["spec"]["sensors"] for channel in sensor["channels"]] == [
        channel["name"] for channel in FORMAT_2["input"]["channels"]
    ]
    data = said["datasets"][0]
    assert (data["name"], data["synthetic"], data["digest"]) == ("uci-har", False, FORMAT_2["data_digest"])
    assert (data["licence"], data["cite"]) == (FORMAT_2["licence"]["training_data"], FORMAT_2["licence"]["cite"])
    assert (said["licence"], data["title"]) == (FORMAT_2["licence"]["code_and_weights"], FORMAT_2["dataset_description"]["title"])
    assert {name: entry["sha256"] for name, entry in said["files"].items()} == FORMAT_2["files"]
    for name, entry in FORMAT_2["models"].items():
        assert said["files"][name] == entry | {"sha256": FORMAT_2["files"][name]}
    for name in ("model", "run", "seed", "commit", "temperature", "unknown", "stream", "metrics", "tolerance", "parameters", "robustness"):
        assert said[name] == FORMAT_2[name]


def test_everything_but_spec_and_files_may_be_left_out(tmp_path: Path) -> None:
    """Also in the model's metadata: a bundle of another maker."""
    for name in (MODEL, VECTORS):
        shutil.copyfile(pretrained() / name, tmp_path / name)
    model = onnx.load(tmp_path / MODEL)
    temperature = json.dumps(FORMAT_2["temperature"])
    onnx.helper.set_model_props(model, {"spec": json.dumps(FORMAT_3["spec"]), "temperature": temperature})
    onnx.save(model, tmp_path / MODEL)
    files = {name: {"sha256": sha256(tmp_path / name)} for name in (MODEL, VECTORS)}
    least = {"schema_version": 3, "spec": FORMAT_3["spec"], "files": files}
    written(tmp_path, least)
    with refused("bundle-changed"):
        verify(tmp_path)
    written(tmp_path, least | {"temperature": FORMAT_2["temperature"]})
    assert verify(tmp_path)[0] >= 64
    bundle = read_bundle(tmp_path)
    assert (bundle.synthetic, bundle.datasets, bundle.models) == (False, "data that it does not name", [MODEL])
    timeline = load_model(tmp_path).predict_recording(synthetic.generate(1, 0))
    assert (timeline.below == 0).all()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda said: said["spec"]["sensors"][0].update(name="magnetometer"), "asks for an unknown sensor 'magnetometer'"),
        (lambda said: said["spec"]["sensors"][0]["channels"].reverse(), "asks for total_acc_z in g, .* delivers total_acc_x in g"),
        (lambda said: said["spec"]["sensors"][0].update(unit="m/s^2"), "has spec.sensors.0..unit = .m/s.2., expected one of g, rad/s"),
        (lambda said: said["spec"]["sensors"][0].update(unit="rad/s"), "asks for total_acc_x in rad/s"),
        (
            lambda said: said["spec"]["sensors"].append(said["spec"]["sensors"][0]),
            "names a sensor twice in its spec",
        ),
        (lambda said: said["spec"].update(sample_rate_hz=0), r"has spec\.sample_rate_hz = 0, expected at least 1"),
        (lambda said: said["spec"].update(sample_rate_hz=float("nan")), r"has spec\.sample_rate_hz = NaN, expected number"),
        (lambda said: said["spec"].update(sample_rate_hz="50"), r'has spec\.sample_rate_hz = "50", expected number'),
        (lambda said: said["spec"].update(window_size=0), r"has spec\.window_size = 0, expected at least 1"),
        (lambda said: said["spec"].pop("window_size"), "but its spec has windows of None samples"),
        (lambda said: said["spec"].update(labels=["WALKING"]), r"has 1 entries in spec\.labels, expected 2 to 1000"),
        (lambda said: said["spec"]["labels"].append("A\nB"), r"has a label 'A\\nB', expected a name in one printable line"),
        (lambda said: said["stream"].update(kind="foo"), r'has stream\.kind = "foo", expected "ring_buffer"'),
        (lambda said: said["stream"].update(hop=0), r"has stream\.hop = 0, expected at least 1"),
        (lambda said: said["stream"].update(hop=32), "streams with a hop of 32, but its spec has windows of 128 samples, 64 apart"),
        (lambda said: said["stream"].update(samples=99), r"has stream\.samples = 99, but its spec has windows of 128 samples"),
        (lambda said: said["needs"]["sensors"].append("magnetometer"), "needs.sensors with 'magnetometer', which is no sensor of its spec"),
        (lambda said: said["activities"][1]["of"].append("RUNNING"), r"activities\.AWAKE, whose name or parts \(RUNNING\)"),
        (lambda said: said["activities"].reverse(), r"activities\.AWAKE, whose name or parts \(STILL\)"),
        (lambda said: said["activities"][0].update(threshold=1.5), r"has activities\[0\]\.threshold = 1\.5, expected at most 1"),
        (lambda said: said["unknown"].update(below=-0.1), r"has unknown\.below"),
        (lambda said: said["temperature"].update(value=0), r"has temperature\.value = 0, expected more than 0"),
        (lambda said: said.update(tolerance=1), "has tolerance = 1, expected at most 0.001"),
        (lambda said: said.update(surprise=1), "has an unknown entry 'surprise'"),
        (lambda said: said.pop("spec"), "has no entry 'spec'"),
        (lambda said: said["files"].pop("model.onnx"), r"has no entry 'files\.model\.onnx'"),
        (lambda said: said["files"].pop("test_vectors.json"), r"has no entry 'files\.test_vectors\.json'"),
        (lambda said: said["files"].update({"a/b": {"sha256": 64 * "0"}}), "names the file 'a/b', expected a name without a folder"),
        (lambda said: said["files"]["model.onnx"].update(sha256="0"), "expected what matches"),
        (lambda said: said.update(schema_version=4), "has schema version 4, expected 2 or 3"),
        (lambda said: said.update(schema_version=True), "has schema version True, expected 2 or 3"),
    ],
)
def test_what_breaks_it_is_named_in_one_line(change: Change, sentence: str, tmp_path: Path) -> None:
    read_manifest(written(tmp_path, WHOLE))
    with refused("bundle-invalid", sentence) as caught:
        read_manifest(changed(tmp_path, change))
    assert "\n" not in str(caught.value)
    assert str(caught.value).endswith(("export again: har export", "export again with this version"))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda said: said["input"]["channels"].reverse(), "asks for gyro_z in rad/s"),
        (lambda said: [channel.update(unit="m/s^2") for channel in said["input"]["channels"][:3]], "unit = .m/s.2., expected one of"),
        (lambda said: said["input"].update(sample_rate_hz=0), "sample_rate_hz = 0, expected at least 1"),
        (lambda said: said["stream"].update(kind="foo"), "stream.kind = .foo., expected"),
        (lambda said: said.pop("labels"), "has no entry 'labels'"),
        (lambda said: said.update(input=[]), "has another structure than format 2"),
        (lambda said: said["input"].update(channels=[1]), "has another structure than format 2"),
    ],
)
def test_what_breaks_format_2_is_named_too(change: Change, sentence: str, tmp_path: Path) -> None:
    with refused("bundle-invalid", sentence):
        read_manifest(changed(tmp_path, change, FORMAT_2))


@pytest.mark.parametrize("case", CASES, ids=lambda case: "-".join(map(str, case["place"])))
def test_the_cases_that_the_web_page_shares(case: dict[str, Any]) -> None:
    content = copy.deepcopy(FORMAT_3)
    *way, last = case["place"]
    inner: Any = content
    for name in way:
        inner = inner[name]
    inner[last] = case["value"]
    assert list(faults(content, schema())) == case["faults"]
    assert jsonschema.Draft202012Validator(schema()).is_valid(content) == (not case["faults"])


def test_the_validator_agrees_with_a_full_one() -> None:
    """On manifests with one or two values, keys or list entries changed at random."""
    full, rng = jsonschema.Draft202012Validator(schema()), random.Random(0)
    odd = [None, True, False, 0, -1, 1, 1.5, 2.0, 1e9, "", "x", "g", [], [[]], [1, 1], {}, {"x": 1}, "0" * 64, 50, "ring_buffer"]
    verdicts = []
    for _ in range(3000):
        content = copy.deepcopy(WHOLE)
        for _ in range(rng.choice((1, 1, 2))):
            place: Any = content
            while True:
                keys = list(place) if isinstance(place, dict) else list(range(len(place)))
                inner = [key for key in keys if isinstance(place[key], (dict, list)) and place[key]]
                if not inner or rng.random() < 0.3:
                    break
                place = place[rng.choice(inner)]
            action, key = rng.choice(("set", "drop", "add")), rng.choice(keys)
            if action == "set":
                place[key] = rng.choice(odd)
            elif action == "drop":
                del place[key]
            elif isinstance(place, dict):
                place[rng.choice(["odd", "reason", "bytes", "samples", "state_size"])] = rng.choice(odd)
            else:
                place.append(rng.choice([*odd, place[key]]))
        found = next(faults(content, schema()), None)
        assert (found is None) == full.is_valid(content), found
        verdicts.append(found is None)
    assert 100 < sum(verdicts) < 2900


def test_a_model_of_another_rate_gets_recordings_at_its_rate(tmp_path: Path) -> None:
    """The same network said to read 100 Hz: a file of 50 Hz is resampled, and times are those of the file."""
    shutil.copytree(pretrained(), tmp_path / "b")
    spec = FORMAT_3["spec"] | {"sample_rate_hz": 100.0}
    for name in (MODEL, "model.int8.onnx", "model.small.onnx"):
        model = onnx.load(tmp_path / "b" / name)
        entries = convert({item.key: json.loads(item.value) for item in model.metadata_props}) | {"spec": spec}
        onnx.helper.set_model_props(model, {key: json.dumps(value) for key, value in entries.items()})
        onnx.save(model, tmp_path / "b" / name)
    files = {name: entry | {"sha256": sha256(tmp_path / "b" / name)} for name, entry in FORMAT_3["files"].items()}
    written(tmp_path / "b", FORMAT_3 | {"spec": spec, "files": files})
    recognizer = load_model(tmp_path / "b")
    made = synthetic.generate(1, 0)
    write_csv(made, tmp_path / "walk.csv")
    with refused("recording-rate", r"has 50 samples a second, the model takes 100; .*\(path, sample_rate_hz=100\)"):
        recognizer.predict_recording(made)
    assert recognizer.reading(ReadOptions()).sample_rate_hz == 100
    recording = read_recording(tmp_path / "walk.csv", sample_rate_hz=100.0)
    assert recording.sample_rate_hz == 100
    assert len(recording.time_s) == pytest.approx(2 * len(made.time_s), abs=100)
    timeline = recognizer.predict_recording(recording)
    np.testing.assert_allclose(np.diff(timeline.from_s)[1:-1], 0.64, atol=0.011)  # 64 samples of 10 ms
    stream = recognizer.open_stream()
    answers = stream.push(recording.samples, recording.time_s)
    np.testing.assert_allclose([answer.probabilities for answer in answers], timeline.probabilities, atol=1e-6)
