"""The page reads what phones and apps write as Python does: the same answers, the same line, the same refusals."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from har.errors import HarError
from har.recording import ReadOptions, ReadReport, read_pieces
from har.runtime.recognizer import Recognizer, load_model
from har.runtime.timeline import Timeline
from tests.recording import exports
from tests.runtime.upright import bundle
from tests.web.conftest import PRETRAINED
from tests.web.driver import TIMEOUT_S, assert_same, browse, built, compute, do, missing, page_says, replay

pytestmark = [
    pytest.mark.skipif(missing(browser=False) is not None, reason=str(missing(browser=False))),
    pytest.mark.timeout(TIMEOUT_S + 60),
]
in_browser = pytest.mark.skipif(missing(browser=True) is not None, reason=str(missing(browser=True)))
CHOICES: dict[str, dict[str, Any]] = {  # what has to be said of a recording
    "acc_milli_g.csv": {"acc_unit": "mg"},
    "comment_lines_no_time.csv": {"acc_unit": "g", "gyro_unit": "deg/s", "rate_hz": 50.0},
}
REFUSED = {"acc_milli_g.csv", "comment_lines_no_time.csv", "acc_only_50.csv", "rate_25.csv"}
ASKED = {"acc_milli_g.csv", "comment_lines_no_time.csv"}  # of which the page asks what is missing
WORDS = {"acc_unit": "accUnit", "gyro_unit": "gyroUnit", "time_unit": "timeUnit", "rate_hz": "rateHz"}  # of an option on the page
FIELDS = {"acc_unit": "map-acc-unit", "gyro_unit": "map-gyro-unit", "rate_hz": "map-rate"}


@pytest.fixture(scope="module")
def recognizer() -> Recognizer:
    return load_model(PRETRAINED)


@pytest.fixture(scope="module")
def paths(cases: Path) -> list[Path]:
    return [path for path in sorted(cases.iterdir()) if path.name != "moved_device.csv"]


def read(recognizer: Recognizer, path: Path, **choice: Any) -> tuple[Timeline, str]:
    """As `har predict` does."""
    report = ReadReport()
    options = recognizer.reading(ReadOptions(labels=False, **choice))
    return recognizer.predict_pieces(path.name, read_pieces(path, report, options=options)), report.text()


def refusal(recognizer: Recognizer, path: Path) -> str:
    """What the page says of a recording that Python refuses."""
    with pytest.raises(HarError) as caught:
        read(recognizer, path)
    return page_says(str(caught.value), path)


def on_page(choice: dict[str, Any]) -> dict[str, Any]:
    return {WORDS.get(key, key): value for key, value in choice.items()}


def test_every_case_gets_the_same_answers_in_node(paths: list[Path], recognizer: Recognizer) -> None:
    found = dict(zip(paths, compute(bundle=str(PRETRAINED), recordings=[str(path) for path in paths]), strict=True))
    assert {path.name for path, said in found.items() if "refused" in said} == REFUSED
    for path, said in found.items():
        if "refused" in said:
            assert said["refused"] == refusal(recognizer, path)
            continue
        timeline, line = read(recognizer, path)
        assert said["report"] == line
        assert_same(said["windows"], timeline)


def test_what_is_said_of_a_recording_gives_the_same_answers_in_node(cases: Path, recognizer: Recognizer) -> None:
    for name, choice in CHOICES.items():
        (said,) = compute(bundle=str(PRETRAINED), recordings=[str(cases / name)], options=on_page(choice))
        timeline, line = read(recognizer, cases / name, **choice)
        assert said["report"] == line
        assert_same(said["windows"], timeline)


def test_a_bundle_that_needs_less_answers_what_others_refuse(cases: Path, tmp_path: Path) -> None:
    """Of the accelerometer alone, at 25 Hz, in windows of another length."""
    folder = bundle(tmp_path / "slow", ("accelerometer",), 25.0, 64)
    paths = [cases / name for name in ("acc_only_50.csv", "rate_25.csv", "plain.csv", "sensorlogger_android")]
    for path, said in zip(paths, compute(bundle=str(folder), recordings=[str(path) for path in paths]), strict=True):
        timeline, line = read(load_model(folder), path)
        assert said["report"] == line
        assert_same(said["windows"], timeline)


@in_browser
@pytest.mark.slow
def test_a_model_of_other_sensors_answers_recordings_and_is_not_run_live(cases: Path, tmp_path: Path) -> None:
    folder = bundle(tmp_path / "slow", ("accelerometer",), 25.0, 64)
    opened, found = browse(built(folder, tmp_path / "dist"), do("open"), replay(cases / "acc_only_50.csv"))
    assert opened is None or "problem" not in opened or opened["problem"] is None
    timeline, line = read(load_model(folder), cases / "acc_only_50.csv")
    assert found["status"].split(": ", 1)[1] == f"{line}."
    assert_same(found["result"]["windows"], timeline)


AT = exports.times()
MS = 1000 * AT
ACC, TURNING = exports.axes(exports.acceleration(AT)), exports.axes(exports.rotation(AT))


def one(header: str, *values: np.ndarray, form: str = "%.9g") -> exports.Files:
    """One table."""
    return {"": exports.table(header.split(","), values, form=form)}


def under(prefixes: str, files: exports.Files) -> exports.Files:
    """An export several times, in folders."""
    return {f"{prefix}/{name}": content for prefix in prefixes for name, content in files.items()}


ANDROID = exports.sensor_logger_android("TotalAcceleration")
NAMED = ",".join(exports.PLAIN[1:])
FORMS: dict[str, exports.Files] = {  # of the same movement, by the name of what is written
    "android": ANDROID,
    "android-parts.zip": exports.sensor_logger_android("Accelerometer", "Gravity"),
    "ios": exports.sensor_logger_ios(),
    "ios-standard.zip": exports.sensor_logger_ios(standard=True),
    "WristMotion.csv": {"": exports.wrist_motion()},
    "phyphox-comma.zip": exports.phyphox(delimiter=";", decimal=","),
    "phyphox-paused": exports.phyphox(pause_s=7.5),
    "sensorlog.csv": {"": exports.sensor_log()},
    "sensorlog-motion.csv": {"": exports.sensor_log(motion_only=True)},
    "androsensor.csv": {"": exports.andro_sensor(decimal=",")},
    "toolbox.csv": {"": exports.physics_toolbox()},
    "toolbox-wall.csv": {"": exports.physics_toolbox("wall")},
    "actigraph.csv": {"": exports.actigraph(exports.ACTIGRAPH_IMU)},
    "axivity.csv": {"": exports.axivity(header=False, gyroscope=True)},
    "axivity-asked.csv": {"": exports.axivity(header=False, gyroscope=True)},
    "axivity-header.csv": {"": exports.axivity(header=True, gyroscope=True)},
    "days.tsv": {"": exports.table(("datetime", *exports.PLAIN[1:]), [45000 + AT / 86400, *exports.plain_columns(AT)], "\t", form="%.17g")},
    "milliseconds.txt": {"": exports.table(("t", *exports.PLAIN[1:]), [MS, *exports.plain_columns(AT)], " ")},
    # What must not be guessed
    "axivity-like.csv": one("time,accel_x,accel_y,accel_z,gyro_x,gyro_y,gyro_z", AT, *ACC, *TURNING),
    "toolbox-like.csv": one("time,ax,ay,az,wx,wy,wz", AT, *ACC, *TURNING),
    "both": under("ba", ANDROID),
    "both.zip": under("ba", ANDROID),
    "three.zip": {f"{name}.csv": content for name in "abc" for content in one(",".join(exports.PLAIN), AT, *ACC, *TURNING).values()},
    "sides.csv": one(f"time_s,{','.join(f'acc_{axis} ({side}) [g]' for side in ('right', 'left') for axis in 'xyz')}", AT, *ACC, *ACC),
    "names.csv": one(f"time_s,{','.join(f'{name}_{axis} (g)' for name in ('acc', 'accelerometer') for axis in 'xyz')}", AT, *ACC, *ACC),
    "rotation.csv": one(f"time_s,rotation_x,rotation_y,rotation_z,{NAMED}", AT, *TURNING, *ACC, *TURNING),
    "ios-metadata": exports.sensor_logger_ios() | {"Metadata.csv": b"version,platform,standardisation\n3,ios,true\n"},
    "core-motion.csv": one(
        ",".join(f"{what}.{axis}" for what in ("gravity", "userAcceleration", "rotationRate") for axis in "xyz"),
        *exports.axes(-exports.gravity(AT)),
        *exports.axes(-exports.linear(AT)),
        *TURNING,
    ),
    "clocks.csv": one(f"Time (s),{','.join(exports.PLAIN[1:4])},Time (s),{','.join(exports.PLAIN[4:])}", AT, *ACC, AT + 7.5, *TURNING),
    "units.csv": one("time_s,acc_x (m/s^2),acc_y (g),acc_z (g),gyro_x (rad/s),gyro_y (rad/s),gyro_z (rad/s)", AT, *ACC, *TURNING),
    "minutes.csv": one(f"Time (min),{NAMED}", AT / 60, *ACC, *TURNING),
    "minutes-said.csv": one(f"Time (min),{NAMED}", AT, *ACC, *TURNING),
    "milligrams.csv": one(f"time_s,{NAMED}", AT, *(0.7 * acc for acc in ACC), *(90 * turn for turn in TURNING)),
    "degrees.csv": one(f"time_s,{NAMED}", AT, *ACC, *(9000 * turn for turn in TURNING)),
    "below.csv": {
        "": exports.table(("time", *(f"{name}_{axis}" for name in ("acc", "gyro") for axis in "xyz")), [MS, *ACC, *TURNING]).replace(
            b"\n", b"\nms,g,g,g,rad/s,rad/s,rad/s\n", 1
        )
    },
    "turns.csv": {
        "": "\n".join(
            [
                ",".join(("time_s", *(f"{what}_{axis} (g)" for what in ("linear_acc", "gravity") for axis in "xyz"), *exports.PLAIN[4:])),
                *(
                    f"{s + 0.004 * place:.4f},{',,,' * place}{','.join(f'{value:.7f}' for value in values)}{',,,' * (2 - place)}"
                    for s, *parts in zip(AT, exports.linear(AT), exports.gravity(AT), exports.rotation(AT), strict=True)
                    for place, values in enumerate(parts)
                ),
            ]
        ).encode()
    },
    "clock.csv": one(f"clock,{NAMED}", MS, *ACC, *TURNING),
    "two.zip": {"Beschleunigung.csv": one("t,bx,by,bz", MS, *ACC)[""], "Drehung.csv": one("t,dx,dy,dz", MS, *TURNING)[""]},
    "rates.csv": {"": b"# 50 Hz\n# 100 Hz\n" + one(NAMED, *ACC, *TURNING)[""]},
    "no-zip.zip": {"": b"PK\x03\x04 cut off"},
}
COLUMNS_OF_TWO = {f"total_acc_{axis}_g": f"b{axis}" for axis in "xyz"} | {f"gyro_{axis}_rad_s": f"d{axis}" for axis in "xyz"}
SAID: dict[str, dict[str, Any]] = {
    "axivity.csv": {"gyro_unit": "deg/s"},
    "sides.csv": {"sensors": ["accelerometer"]},
    "names.csv": {"sensors": ["accelerometer"]},
    "core-motion.csv": {"rate_hz": 50.0},
    "minutes-said.csv": {"time_unit": "s"},
    "degrees.csv": {"gyro_unit": "deg/s"},
    "clock.csv": {"columns": {"time_s": "clock"}},
    "two.zip": {"columns": COLUMNS_OF_TWO, "acc_unit": "g", "gyro_unit": "rad/s"},
}
FORMS_REFUSED = {
    *(
        "axivity-asked.csv",
        "axivity-like.csv",
        "toolbox-like.csv",
        "both",
        "both.zip",
        "three.zip",
        "sides.csv",
        "names.csv",
        "ios-metadata",
    ),
    *("clocks.csv", "units.csv", "minutes.csv", "milligrams.csv", "degrees.csv", "rates.csv", "no-zip.zip"),
}


def test_every_app_is_read_alike_in_node(tmp_path: Path) -> None:
    """With the same samples, or refused in the same words."""
    paths = [tmp_path / name for name in FORMS]
    for path, files in zip(paths, FORMS.values(), strict=True):
        path.write_bytes(files[""]) if "" in files else exports.save(files, path)
    wanted = [{"path": str(path), "options": on_page(SAID.get(path.name, {}))} for path in paths]
    for path, found in zip(paths, compute(read=wanted), strict=True):
        report, options = ReadReport(), ReadOptions(**SAID.get(path.name, {}))
        if path.name in FORMS_REFUSED:
            with pytest.raises(HarError) as caught:
                list(read_pieces(path, report, options=options))
            assert found == {"refused": page_says(str(caught.value), path)}
            continue
        pieces = list(read_pieces(path, report, options=options))
        assert found["report"] == report.text()
        assert [piece["stretch"] for piece in found["pieces"]] == [stretch for stretch, _ in pieces]
        for piece, (_, expected) in zip(found["pieces"], pieces, strict=True):
            np.testing.assert_allclose(piece["time"], expected.time_s, atol=1e-6)
            np.testing.assert_allclose(piece["samples"], expected.samples.ravel(), atol=1e-6)


@in_browser
@pytest.mark.slow
def test_columns_of_an_unknown_table_are_chosen(cases: Path, recognizer: Recognizer, tmp_path: Path) -> None:
    """What nothing suggests must be chosen, and the result is that of `har predict --columns`."""
    header, *rows = (cases / "plain.csv").read_text().splitlines()
    path = tmp_path / "unknown.csv"
    path.write_text("\n".join(("clock,a,b,c,d,e,f", *rows)))
    ours = header.split(",")
    columns = dict(zip(ours, ["clock", *"abcdef"], strict=True))
    chosen = {f"map-{name}": column for name, column in columns.items()} | {"map-gyro-unit": "rad/s"}
    _, refused, found = browse(built(PRETRAINED, tmp_path / "dist"), do("open"), replay(path), do("map", chosen=chosen))
    assert refused["problem"].endswith("none is known as acceleration; choose the columns.")
    fields = found["asked"]["fields"]
    assert all(fields[f"map-{name}"]["required"] for name in ours[1:])
    assert fields["map-total_acc_x_g"]["label"] == "Total acceleration x"
    assert found["asked"]["rows"] == 6
    timeline, line = read(recognizer, path, columns=columns, acc_unit="g", gyro_unit="rad/s")
    assert found["problem"] is None
    assert found["status"].split(": ", 1)[1] == f"{line}."
    assert_same(found["result"]["windows"], timeline)


@in_browser
@pytest.mark.slow
def test_every_case_gets_the_same_answers_in_chromium(paths: list[Path], recognizer: Recognizer, tmp_path: Path) -> None:
    """Files, folders chosen and dropped, zips, several files at once, and what the page asks for where something must be said."""
    page = built(PRETRAINED, tmp_path / "dist")
    steps, expected = [], []
    for path in paths:
        ways = [replay(path)]
        if path.is_dir():
            archive = Path(shutil.make_archive(str(tmp_path / path.name), "zip", path))
            files = do("replay", paths=[str(file) for file in sorted(path.iterdir())])
            ways = [do("replay", path=str(path), into="#folder"), do("drop", paths=[str(path)]), replay(archive), files]
        if path.name in ASKED:
            ways.append(
                do("map", chosen={FIELDS[key]: f"{value:g}" if key == "rate_hz" else value for key, value in CHOICES[path.name].items()})
            )
        steps += ways
        expected += [path] * len(ways)
    results = browse(page, do("open"), *steps)[1:]
    for path, step, found in zip(expected, steps, results, strict=True):
        if path.name in REFUSED and step["do"] != "map":
            assert found["problem"] == f"{refusal(recognizer, path)}."
            assert not found["result"]["windows"]
            continue
        assert found["problem"] is None, path
        timeline, line = read(recognizer, path, **(CHOICES[path.name] if step["do"] == "map" else {}))
        assert found["status"].split(": ", 1)[1] == f"{line}."
        assert_same(found["result"]["windows"], timeline)
