"""The page in a real browser gives the answers of the Python runtime: the same windows, labels and probabilities, or a sentence."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from har.contract import SAMPLE_RATE_HZ
from har.recording import Recording, write_csv
from har.runs.robustness import turned
from har.runtime.recognizer import Recognizer, load_model
from har.runtime.timeline import Timeline
from har.signals.resampling import StreamResampler
from tests.web.conftest import PRETRAINED, UNKNOWN_BELOW
from tests.web.driver import (
    GRAVITY,
    START,
    TIMEOUT_S,
    assert_same,
    browse,
    built,
    do,
    events,
    irregular,
    missing,
    predicted,
    recording,
    replay,
    sampled,
    write_exactly,
)

NOTHING = "Nothing yet"  # what the page shows before the first answer

pytestmark = [
    pytest.mark.skipif(missing(browser=True) is not None, reason=str(missing(browser=True))),
    pytest.mark.timeout(TIMEOUT_S + 60),
    pytest.mark.slow,
]


def said(timeline: Timeline) -> list[str]:
    """What is said of each window where the threshold is that of the tests' bundle."""
    best = timeline.probabilities.argmax(axis=1)
    return [timeline.labels[i] if p[i] >= UNKNOWN_BELOW else "UNKNOWN" for i, p in zip(best, timeline.probabilities, strict=True)]


def test_offline_the_page_replays_recordings_with_the_same_answers(page: Path, recognizer: Recognizer, tmp_path: Path) -> None:
    made = recording()
    write_csv(made, tmp_path / "regular.csv")
    time_s = irregular(made, 60.0, 0.5, np.random.default_rng(7))
    time_s = time_s[(time_s < 31.0) | (time_s > 31.7)]
    write_exactly(tmp_path / "irregular.csv", time_s, sampled(made, time_s))
    paths = [tmp_path / "regular.csv", tmp_path / "irregular.csv"]
    steps = [do("open"), do("offline"), *map(replay, paths), do("save", path="#save-activities"), do("elsewhere")]
    opened, offline, *replayed, saved, elsewhere = browse(page, *steps)
    assert opened["state"] == offline["state"] == "ready"
    assert elsewhere == []  # nothing is asked of any other place
    labels = set()
    for path, found in zip(paths, replayed, strict=True):
        timeline = predicted(recognizer, path)
        assert found["problem"] is None
        assert_same(found["result"]["windows"], timeline)
        assert [window["said"] for window in found["result"]["windows"]] == said(timeline)
        assert found["activity"].upper().replace(" ", "_") == said(timeline)[0]
        labels |= set(said(timeline))
    assert len(labels) >= 4  # a model that always says the same would prove nothing
    assert "UNKNOWN" in labels
    assert "1 gap" in replayed[1]["status"]
    assert saved.splitlines()[0] == f"from_s,to_s,activity,confidence,{','.join(f'p_{label}' for label in recognizer.labels)}"
    assert len(saved.splitlines()) == 1 + len(replayed[1]["result"]["windows"])


@pytest.mark.parametrize("hz", [50.0, 60.0])
def test_sensor_events_get_the_answers_of_the_same_samples_in_a_file(hz: float, page: Path, recognizer: Recognizer, tmp_path: Path) -> None:
    made = recording(4)
    time_s = irregular(made, hz, 0.0, np.random.default_rng(0))
    time_s = time_s[(time_s < 20.0) | (time_s > 21.0)]
    values = sampled(made, time_s)
    found, saved = browse(page, do("open"), START, events(time_s, values), do("stop"), do("save", path="#save-recording"))[-2:]
    timeline = predicted(recognizer, write_exactly(tmp_path / "same.csv", time_s, values))
    assert_same(found["result"]["windows"], timeline)
    assert found["result"]["rate"]["hz"] == pytest.approx(hz, rel=1e-6)
    assert found["result"]["rate"]["regular"] == (hz == 50.0)

    (tmp_path / "saved.csv").write_text(saved)  # six decimals, and its time begins at 0
    again = predicted(recognizer, tmp_path / "saved.csv")
    np.testing.assert_allclose(again.probabilities, timeline.probabilities, atol=1e-3)
    np.testing.assert_allclose(again.from_s, timeline.from_s - time_s[0], atol=1e-3)


def test_irregular_sensor_events_are_resampled_as_the_python_runtime_does(page: Path, recognizer: Recognizer) -> None:
    """The page measures a rate on two seconds, `har predict` on the whole file; with the page's rate, all is equal."""
    made = recording(5)
    time_s = irregular(made, 60.0, 0.4, np.random.default_rng(8))
    values = sampled(made, time_s)
    parts = [slice(0, 1500), slice(1500, None)]
    first, second = (events(time_s[part], values[part]) for part in parts)
    results = browse(page, do("open"), START, first, do("wait"), do("hide"), second, do("stop"))
    found = results[-1]["result"]
    assert found["gaps"] == 2  # the page was hidden, and then stopped
    stretches = []
    for number, (part, shown) in enumerate(zip(parts, (results[3], results[-1]), strict=True)):
        resampler = StreamResampler(shown["result"]["rate"]["hz"], SAMPLE_RATE_HZ)
        pushed = [resampler.push(time_s[part], values[part]), resampler.push(np.empty(0), np.empty((0, 6)), last=True)]
        times, samples = (np.concatenate([piece[i] for piece in pushed]) for i in (0, 1))
        stretches.append((number, Recording("live", 0, times, samples.astype(np.float32), np.full(len(times), -1))))
    assert_same(found["windows"], recognizer.predict_pieces("live", stretches))


def test_an_iphone_worn_another_way_gives_the_same_answers(page: Path, recognizer: Recognizer, tmp_path: Path) -> None:
    """Its acceleration has the other sign; worn upright, what UCI HAR calls x, y, z is its y, -x, z."""
    made = recording(6)
    values = made.samples.astype(np.float64)
    phone = np.stack([-values[:, 1], values[:, 0], values[:, 2], -values[:, 4], values[:, 3], values[:, 5]], axis=1)
    settings = {"up": "top", "screen": "left", "sign": "opposite"}
    steps = [do("permission", answer="granted"), do("open"), do("choose", chosen=settings), START]
    steps += [events(made.time_s, phone, sign=-1.0), do("stop"), do("reload"), do("choose")]
    _, _, axes, _, _, found, _, axes_later = browse(page, *steps)
    assert axes == axes_later == "y,-x,z"  # settings stay
    assert_same(found["result"]["windows"], predicted(recognizer, write_exactly(tmp_path / "same.csv", made.time_s, values)))


def test_chromiums_own_sensors_have_the_axes_of_the_contract(page: Path) -> None:
    """Virtual sensors under the browser: alpha, beta, gamma turn about x, y, z, and acceleration at rest points up."""
    sensors = do("sensors", acc={"x": 9.8, "y": 0.5, "z": -1.2}, gyro={"x": 0.5, "y": 1.0, "z": -1.5})
    saved = browse(page, do("open"), sensors, do("recorded", count=20), do("stop"), do("save", path="#save-recording"))[-1]
    last = [float(cell) for cell in saved.splitlines()[-1].split(",")][1:]
    np.testing.assert_allclose(last[:3], np.array([9.8, 0.5, -1.2]) / GRAVITY, atol=0.006)  # Chromium rounds to 0.1 m/s^2
    np.testing.assert_allclose(last[3:], [0.5, 1.0, -1.5], atol=0.001)  # and to 0.1 deg/s


def test_what_is_missing_is_said_in_a_sentence(page: Path) -> None:
    time_s = np.arange(300) / 60.0
    values = np.tile([1.0, 0.0, 0.0, 0.1, 0.2, 0.3], (300, 1))
    no_gyroscope = events(time_s, values)
    no_gyroscope["events"]["rate"] = [[None, None, None]] * 300
    silence = do("wait", ms=3300)  # the page waits three seconds for a sensor
    steps = [do("open"), START, silence]
    steps += [do("reload"), START, no_gyroscope, silence]
    steps += [do("reload"), START, events(time_s, values * 0.01), do("stop")]
    results = browse(page, *steps)
    for found, words in ((results[2], "gives no motion sensor"), (results[6], "no gyroscope"), (results[10], "acceleration is 0.01 g")):
        assert words in found["problem"]
        assert found["activity"] == NOTHING

    denied = do("permission", answer="denied")
    *_, refused, insecure = browse(page, denied, do("open"), START, do("wait", ms=100), do("open", host="insecure.test"))
    assert "Motion sensors were refused" in refused["problem"]
    assert refused["activity"] == NOTHING
    assert "without https" in insecure["problem"]
    assert not insecure["main"]


def test_a_bad_recording_is_named_and_leaves_no_answer(page: Path, tmp_path: Path) -> None:
    made = recording(1, 4.0)
    write_csv(made, tmp_path / "good.csv")
    write_exactly(tmp_path / "metres.csv", made.time_s, made.samples * np.array([GRAVITY] * 3 + [1.0] * 3))
    lines = (tmp_path / "good.csv").read_text().splitlines()
    lines[200] = ",".join([*lines[200].split(",")[:3], "abc", *lines[200].split(",")[4:]])
    (tmp_path / "word.csv").write_text("\n".join(lines))
    (tmp_path / "picture.csv").write_bytes(b"\x89PNG\r\n\x1a\n\xff\xfe")
    cases = {
        "good": None,
        "metres": "it looks like m/s2",
        "word": "line 201, column total_acc_z_g: 'abc' is not a number",
        "picture": "holds no table of numbers (it begins with",
    }
    names = ["good", "metres", "good", "word", "picture", "good"]
    results = browse(page, do("open"), *(replay(tmp_path / f"{name}.csv") for name in names))[1:]
    for name, found in zip(names, results, strict=True):
        words = cases[name]
        assert (found["problem"] is None) == (words is None)
        assert bool(found["result"]["windows"]) == (words is None)
        assert (found["activity"] != NOTHING) == (words is None)
        assert words is None or words in found["problem"]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("cut", "is not the file that was exported"),
        ("flipped", "is not the file that was exported"),
        ("labels", "model.onnx says spec.labels ="),
    ],
)
def test_a_bundle_that_was_changed_shows_a_sentence_and_no_activity(name: str, words: str, page: Path, tmp_path: Path) -> None:
    shutil.copytree(page, tmp_path / "dist")
    path = tmp_path / "dist" / "bundle" / ("manifest.json" if name == "labels" else "model.onnx")
    content = path.read_bytes()
    if name == "labels":
        path.write_bytes(content.replace(b'"SITTING"', b'"STANDING2"'))
    else:
        path.write_bytes(content[: len(content) // 2] if name == "cut" else content[:-1] + bytes([content[-1] ^ 1]))
    found = browse(tmp_path / "dist", do("open"))[0]
    assert found["state"] == "refused"
    assert words in found["problem"]
    assert not found["main"]
    assert found["result"] is None


def test_a_new_version_takes_over_when_asked_and_the_old_cache_goes(page: Path, bundle: Path, tmp_path: Path) -> None:
    shutil.copytree(page, tmp_path / "served")
    shutil.copytree(bundle, tmp_path / "bundle")
    manifest = json.loads((bundle / "manifest.json").read_text())
    (tmp_path / "bundle" / "manifest.json").write_text(json.dumps(manifest | {"run": "another"}))
    publish = do("publish", path=str(built(tmp_path / "bundle", tmp_path / "new")))
    _, first, before, second, after = browse(tmp_path / "served", do("open"), do("ready"), do("caches"), publish, do("caches"))
    assert first["model"].startswith("cnn1d")
    assert second["model"].startswith("another")
    assert len(before) == len(after) == 1
    assert before != after


def test_nothing_is_cut_off_on_a_small_phone(page: Path, tmp_path: Path) -> None:
    write_csv(recording(2, 4.0), tmp_path / "a.csv")
    looks = [do("look", width=width, scheme=scheme) for width in (360, 390) for scheme in ("light", "dark")]
    overflow = browse(page, do("open"), replay(tmp_path / "a.csv"), do("choose"), *looks)[3:]
    assert overflow == [0, 0, 0, 0]


@pytest.mark.data
@pytest.mark.parametrize("name", ["default", "robust"])
def test_real_recordings_get_the_same_answers(name: str, real: tuple[Path, list[Recording]], tmp_path: Path) -> None:
    """As recorded at 50 Hz, and as a phone of 60 Hz would have measured them; for `robust`, from a phone put on otherwise."""
    chosen, recordings = real
    if name == "robust":
        chosen = PRETRAINED.with_name(name)
        worn = [turned(turned(made.samples.astype(np.float64), 2, 100.0), 0, 40.0).astype(np.float32) for made in recordings]
        recordings = [replace(made, samples=samples) for made, samples in zip(recordings, worn, strict=True)]
    recognizer = load_model(chosen)
    paths = []
    for made in recordings:
        write_csv(made, tmp_path / f"{made.name}.csv")
        time_s = irregular(made, 60.0, 0.5, np.random.default_rng(made.subject))
        paths += [tmp_path / f"{made.name}.csv", write_exactly(tmp_path / f"{made.name}-60hz.csv", time_s, sampled(made, time_s))]
    results = browse(built(chosen, tmp_path / "dist"), do("open"), *map(replay, paths))[1:]
    windows, largest = 0, 0.0
    for path, found in zip(paths, results, strict=True):
        assert found["problem"] is None
        largest = max(largest, assert_same(found["result"]["windows"], predicted(recognizer, path)))
        windows += len(found["result"]["windows"])
    print(f"\n{name}: {windows} windows of {len(paths)} real recordings in Chromium: same labels, probabilities within {largest:.1e}")
    assert windows > 1000
