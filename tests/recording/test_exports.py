"""Golden tests: the same movement as each app writes it is read with the same samples, whatever the units, signs, clocks and files."""

import gzip
import re
import shlex
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from har.cli import main
from har.contract import kind_of
from har.recording import ReadOptions, ReadReport, read_pieces, read_recording
from har.recording.limits import BOTH
from tests.recording import exports
from tests.recording.exports import ACTIGRAPH_IMU, DEG, EPOCH_S, PLAIN, SECONDS, SIGNALS, G, plain_columns, save, table, times
from tests.refusal import refused

EDGE_S = 0.4  # of a stretch that is resampled: there the filter has samples on one side alone


def check(
    path: Path,
    name: str,
    *,
    sensors: Sequence[str] = BOTH,
    atol: float = 2e-3,
    origin_s: float = 0.0,
    stretches: Sequence[tuple[float, float]] = ((0.0, SECONDS),),
    step_s: float = 0.02,
    **options: Any,
) -> ReadReport:
    """Read a recording and compare every sample with the movement at its time.

    Args:
        path: of the recording.
        name: of its format.
        sensors: that are read.
        atol: largest error of a sample, g or rad/s.
        origin_s: time that is given to the movement's begin.
        stretches: begin and end of each, s, within two samples.
        step_s: longest step from one sample to the next.
        options: fields of `ReadOptions`.
    """
    report = ReadReport()
    pieces = list(read_pieces(path, report, options=ReadOptions(sensors=tuple(sensors), **options)))
    assert report.format == name
    assert report.text().startswith(f"{name}, ")
    found: dict[int, list[Any]] = {}
    for number, piece in pieces:
        found.setdefault(number, []).append(piece)
    assert list(found) == list(range(len(stretches)))
    resampled = any(stream.resampled for stream in report.streams)
    for parts, (begin_s, end_s) in zip(found.values(), stretches, strict=True):
        at = np.concatenate([part.time_s for part in parts]) - origin_s
        samples = np.concatenate([part.samples for part in parts])
        assert at[0] == pytest.approx(begin_s, abs=0.041)
        assert at[-1] == pytest.approx(end_s, abs=0.041)
        assert np.diff(at).min() > 0.02 - 7e-4
        assert np.diff(at).max() < step_s + 7e-4
        inside = (at > at[0] + EDGE_S) & (at < at[-1] - EDGE_S) if resampled else np.full(len(at), True)
        expected = np.concatenate([SIGNALS[kind_of(sensor)](at) for sensor in sensors], axis=1)
        np.testing.assert_allclose(samples[inside], expected[inside], atol=atol)
    return report


def as_(tmp_path: Path, kind: str, files: exports.Files) -> Path:
    return save(files, tmp_path / {"folder": "recording", "zip": "recording.zip"}[kind])


def one(tmp_path: Path, content: bytes, name: str = "recording.csv") -> Path:
    return save({name: content}, tmp_path / name)


# Sensor Logger

ANDROID, IOS = "Sensor Logger on Android", "Sensor Logger on iOS"


@pytest.mark.parametrize("kind", ["folder", "zip"])
@pytest.mark.parametrize("parts", [(), ("Accelerometer", "Gravity"), ("AccelerometerUncalibrated", "Accelerometer")])
def test_sensor_logger_android(parts: tuple[str, ...], kind: str, tmp_path: Path) -> None:
    report = check(as_(tmp_path, kind, exports.sensor_logger_android(*parts)), ANDROID)
    assert report.streams[0].rate_hz == pytest.approx(99.3, abs=0.1)
    assert report.streams[-1].rate_hz == pytest.approx(101.2, abs=0.1)


def test_sensor_logger_without_gravity_names_the_file(tmp_path: Path) -> None:
    path = as_(tmp_path, "folder", exports.sensor_logger_android("Accelerometer"))
    with refused("recording-columns", r"\(Sensor Logger on Android\) holds acceleration without gravity alone.*TotalAcceleration.csv"):
        read_recording(path)


@pytest.mark.parametrize("metadata", [True, False])
@pytest.mark.parametrize("kind", ["folder", "zip"])
@pytest.mark.parametrize("parts", [("Accelerometer", "Gravity"), ("AccelerometerUncalibrated",)])
def test_sensor_logger_ios(parts: tuple[str, ...], kind: str, metadata: bool, tmp_path: Path) -> None:
    check(as_(tmp_path, kind, exports.sensor_logger_ios(*parts, metadata=metadata)), IOS)


def test_sensor_logger_ios_in_standard_units(tmp_path: Path) -> None:
    check(as_(tmp_path, "zip", exports.sensor_logger_ios(standard=True)), IOS)


@pytest.mark.parametrize("part", ["TotalAcceleration", "AccelerometerUncalibrated"])
def test_sensor_logger_one_file(part: str, tmp_path: Path) -> None:
    content = exports.sensor_logger_android(part)[f"{part}.csv"]
    check(one(tmp_path, content, f"{part}.csv"), ANDROID, sensors=("accelerometer",))


def test_sensor_logger_watch(tmp_path: Path) -> None:
    check(one(tmp_path, exports.wrist_motion(), "WristMotion.csv"), IOS)
    metadata = exports.sensor_logger_ios()["Metadata.csv"]
    check(as_(tmp_path, "folder", {"WristMotion.csv": exports.wrist_motion(), "Metadata.csv": metadata}), IOS)


def test_sensor_logger_never_mixes_phone_and_watch(tmp_path: Path) -> None:
    files = exports.sensor_logger_ios() | {"WristMotion.csv": exports.wrist_motion(), "Headphone.csv": exports.wrist_motion()}
    at = times(50.0)
    still = [*np.tile([0.01, 0.02, 0.03, 0.1, 0.2, -0.97, 0.0, 0.0, 0.0], (len(at), 1)).T + 1e-3 * exports.rotation(at)[:, 0]]
    header = files["WristMotion.csv"].decode().splitlines()[0].split(",")[:11]
    files["WristMotion.csv"] = files["Headphone.csv"] = table(header, [[str(round((EPOCH_S + s) * 1e9)) for s in at], at, *still])
    path = save(files, tmp_path / "both")
    check(path, IOS)
    found = read_recording(path, sensors=("wrist_accelerometer",))
    np.testing.assert_allclose(np.median(found.samples, axis=0), (-0.1, -0.2, 0.97), atol=2e-3)
    (path / "Gravity.csv").unlink()
    with refused("recording-columns", r"holds acceleration without gravity alone.*Gravity.csv \(iOS\) as well"):
        read_recording(path)
    (path / "Accelerometer.csv").unlink()
    with refused("recording-columns", "holds no accelerometer, which is needed; it has: gyroscope, wrist"):
        read_recording(path)


# phyphox


@pytest.mark.parametrize("kind", ["folder", "zip"])
@pytest.mark.parametrize("style", ["{name} {axis}", "{axis}"])
def test_phyphox(style: str, kind: str, tmp_path: Path) -> None:
    check(as_(tmp_path, kind, exports.phyphox("Accelerometer", "Linear Accelerometer", style=style)), "phyphox")


@pytest.mark.parametrize(("delimiter", "decimal"), [("\t", "."), ("\t", ","), (";", "."), (";", ",")])
def test_phyphox_separators(delimiter: str, decimal: str, tmp_path: Path) -> None:
    check(as_(tmp_path, "zip", exports.phyphox(delimiter=delimiter, decimal=decimal)), "phyphox")


@pytest.mark.parametrize(("delimiter", "decimal"), [(",", "."), (";", ",")])
def test_phyphox_pause(delimiter: str, decimal: str, tmp_path: Path) -> None:
    path = as_(tmp_path, "folder", exports.phyphox(pause_s=7.5, delimiter=delimiter, decimal=decimal))
    report = check(path, "phyphox", stretches=((0.0, 6.0), (13.5, 19.5)))
    assert [stream.gaps for stream in report.streams] == [1, 1]


def test_phyphox_without_gravity_names_the_file(tmp_path: Path) -> None:
    with refused("recording-columns", r"\(phyphox\) holds acceleration without gravity alone.*export Accelerometer.csv"):
        read_recording(as_(tmp_path, "folder", exports.phyphox("Linear Accelerometer")))


@pytest.mark.parametrize("style", ["{name} {axis}", "{axis}"])
def test_phyphox_of_one_sensor(style: str, tmp_path: Path) -> None:
    content = exports.phyphox(style=style)["Accelerometer.csv"]
    files = {"Raw Data.csv": content, "meta/device.csv": b'"property","value"\n'}
    path = save(files, tmp_path / "recording.zip")
    if "name" in style:
        check(path, "phyphox", sensors=("accelerometer",))
    else:  # with or without gravity: neither the file nor the header says it
        with refused("recording-columns", "none is known as acceleration; name the columns and units"):
            read_recording(path, sensors=("accelerometer",))
    check(one(tmp_path, content, "Accelerometer.csv"), "phyphox", sensors=("accelerometer",))


# One table


def test_sensor_log(tmp_path: Path) -> None:
    check(one(tmp_path, exports.sensor_log()), "SensorLog", origin_s=62_608.0)
    check(one(tmp_path, exports.sensor_log(motion_only=True)), "SensorLog", origin_s=62_608.0)


@pytest.mark.parametrize("decimal", [".", ","])
def test_andro_sensor(decimal: str, tmp_path: Path) -> None:
    check(one(tmp_path, exports.andro_sensor(decimal=decimal)), "AndroSensor", atol=2e-6)


@pytest.mark.parametrize("style", ["plain", "semicolons", "all"])
@pytest.mark.parametrize("clock", ["seconds", "wall"])
def test_physics_toolbox(clock: str, style: str, tmp_path: Path) -> None:
    origin_s = 86_395.0 if clock == "wall" else 0.0
    check(one(tmp_path, exports.physics_toolbox(clock, style=style)), "Physics Toolbox", atol=1e-5, origin_s=origin_s)


ACTIGRAPH_COLUMNS = ("", "Accelerometer X,Accelerometer Y,Accelerometer Z", "Timestamp,Accelerometer X,Accelerometer Y,Accelerometer Z")


@pytest.mark.parametrize("delimiter", [",", ";"])
@pytest.mark.parametrize("columns", ACTIGRAPH_COLUMNS)
def test_actigraph(columns: str, delimiter: str, tmp_path: Path) -> None:
    path = one(tmp_path, exports.actigraph(columns, delimiter=delimiter))
    report = check(path, "ActiGraph", sensors=("accelerometer",))
    assert report.streams[0].rate_hz == pytest.approx(100.0)


@pytest.mark.parametrize("dates", ["M/d/yyyy", "d/M/yyyy", "dd/MM/yyyy"])
@pytest.mark.parametrize("start", ["2023-10-04T23:59:55", "2023-01-31T23:59:55", "2023-12-12T23:59:55", "2023-11-11T23:59:55"])
def test_actigraph_imu_over_midnight(start: str, dates: str, tmp_path: Path) -> None:
    check(one(tmp_path, exports.actigraph(ACTIGRAPH_IMU, dates=dates, start=start)), "ActiGraph")


@pytest.mark.parametrize("header", [True, False])
@pytest.mark.parametrize("gyroscope", [True, False])
def test_axivity(gyroscope: bool, header: bool, tmp_path: Path) -> None:
    path = one(tmp_path, exports.axivity(header=header, gyroscope=gyroscope))
    asked = {} if header or not gyroscope else {"gyro_unit": "deg/s"}  # no header says it
    if asked:
        with refused("recording-columns", "does not name the unit of gyroscope .it reaches .*--gyro-unit deg/s"):
            read_recording(path)
    check(path, "Axivity", sensors=BOTH if gyroscope else ("accelerometer",), **asked)


# Tables that no app is known for

AT = times()
MS = np.rint(1000 * AT).astype(np.int64)
EPOCH_MS = round(1000 * EPOCH_S) + MS
ISO = [f"{datetime.fromtimestamp(EPOCH_S + s, UTC):%Y-%m-%dT%H:%M:%S.%f}"[:-3] for s in AT]
OFFSET = [f"{datetime.fromtimestamp(EPOCH_S + s + 5400, UTC):%Y-%m-%d %H:%M:%S.%f}"[:-3] + "+01:30" for s in AT]
CLOCKS: dict[str, tuple[str, Sequence[object] | np.ndarray]] = {
    "s": ("time", AT),
    "s since the start": ("time", 1234.5 + AT),
    "ms": ("timestamp", MS),
    "us": ("t", 1000 * MS),
    "ns": ("t", 1_000_000 * MS),
    "epoch s": ("unix_time", [f"{EPOCH_S + s:.3f}" for s in AT]),
    "epoch ms": ("timestamp", EPOCH_MS),
    "epoch us": ("timestamp", 1000 * EPOCH_MS),
    "epoch ns": ("timestamp", 1_000_000 * EPOCH_MS),
    "ms in the name": ("time_ms", MS),
    "us in the name": ("Time [us]", 1000 * MS),
    "ISO": ("datetime", ISO),
    "ISO, UTC": ("datetime", [f"{text}Z" for text in ISO]),
    "ISO, a zone": ("datetime", OFFSET),
    "a date of the day first": ("Date Time", [re.sub(r"(\d+)-(\d+)-(\d+)T", r"\3.\2.\1 ", text) for text in ISO]),
    "half a day": ("time", [f"{datetime.fromtimestamp(EPOCH_S + s, UTC):%m/%d/%Y %I:%M:%S.%f %p}" for s in AT]),
    "wall clock": ("time", [text[11:] for text in ISO]),
    "Excel days": ("time", [f"{45_244.925925925925 + s / 86_400:.12f}" for s in AT]),
}
NAMES = [f"{word}_{axis}" for word in ("acc", "gyro") for axis in "xyz"]


@pytest.mark.parametrize("clock", CLOCKS)
def test_clocks(clock: str, tmp_path: Path) -> None:
    name, column = CLOCKS[clock]
    names = [f"{name} ({'g' if 'acc' in name else 'rad/s'})" for name in NAMES]
    path = one(tmp_path, table([name, *names], [column, *plain_columns(AT)]))
    origin_s = {"s since the start": 1234.5, "wall clock": EPOCH_S % 86_400}.get(clock, 0.0)
    check(path, "a table", atol=3e-4 if clock == "Excel days" else 5e-6, origin_s=origin_s)


HEADERS = {
    "brackets": ("Acc {X} [m/s^2]", "Gyro {X} [deg/s]", G, DEG),
    "parentheses": ("accelerometer_{x} (m/s²)", "gyroscope_{x} (°/s)", G, DEG),
    "suffix": ("acc_{x}_m_s2", "gyro_{x}_deg_s", G, DEG),
    "suffix of ours": ("total_acc_{x}_g", "gyro_{x}_rad_s", 1.0, 1.0),
    "one word": ("acc{X}_mg", "gyr{X}_dps", 1000.0, DEG),
    "capitals": ("ACCELERATION {X} (G)", "ANGULAR VELOCITY {X} (RAD/S)", 1.0, 1.0),
    "camel": ("accelerometer{X}(m/s2)", "gyroscope{X}(rad/s)", G, 1.0),
    "short": ("a{x} (g)", "g{x} (dps)", 1.0, DEG),
    "axis first": ("{x}-acc [mg]", "{x}-gyro [dps]", 1000.0, DEG),
}


@pytest.mark.parametrize("header", HEADERS)
def test_units_and_names(header: str, tmp_path: Path) -> None:
    acc, gyro, acc_factor, gyro_factor = HEADERS[header]
    names = ["time (s)", *(pattern.format(x=axis, X=axis.upper()) for pattern in (acc, gyro) for axis in "xyz")]
    check(one(tmp_path, table(names, [AT, *plain_columns(AT, acc=acc_factor, gyro=gyro_factor)])), "a table", atol=5e-6)


def rewritten(kind: str, tmp_path: Path) -> Path:
    """This project's columns in a form of others."""
    header, columns, path = list(PLAIN), [AT, *plain_columns(AT)], tmp_path / "recording.csv"
    content = table(header, columns)
    if kind == "UTF-16":
        content = content.decode().encode("utf-16")
    elif kind == "Windows-1252":
        names = [name.replace("_g", " (m/s²)").replace("_rad_s", " (°/s)") for name in header]
        content = table(names, [AT, *plain_columns(AT, acc=G, gyro=DEG)]).decode().encode("cp1252")
    elif kind == "gzip":
        path, content = tmp_path / "recording.csv.gz", gzip.compress(content)
    elif kind == "blanks":
        path, content = tmp_path / "recording.txt", table("  ".join(header), columns, "   ")
    elif kind == "decimal commas":
        content = table(header, columns, ";", ",").replace(b",total", b";total").replace(b",gyro", b";gyro")
    elif kind == "capitals":
        content = table([name.upper() for name in header], columns)
    elif kind == "lines before":
        content = b"# a logger\nDevice: X1, firmware 2\n\n" + content
    elif kind == "Windows ends of lines":
        content = content.replace(b"\n", b"\r\n")
    else:
        assert kind == "quoted"
        content = "\n".join(",".join(f'"{cell}"' for cell in line.split(",")) for line in content.decode().splitlines()).encode()
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    "kind",
    ["UTF-16", "Windows-1252", "gzip", "blanks", "decimal commas", "capitals", "lines before", "Windows ends of lines", "quoted"],
)
def test_forms(kind: str, tmp_path: Path) -> None:
    check(rewritten(kind, tmp_path), "this project's columns", atol=5e-6)


@pytest.mark.parametrize("word", ["", "NA", "null", "None", "-", "NaN", "N/A"])
def test_missing_values(word: str, tmp_path: Path) -> None:
    lines = table(PLAIN, [AT, *plain_columns(AT)]).decode().splitlines()
    for line in (100, 300, 301, 302):
        cells = lines[line].split(",")
        lines[line] = ",".join([cells[0], *[word] * 6])
    path = one(tmp_path, "\n".join(lines).encode())
    report = check(path, "this project's columns", interpolate_s=0.2, atol=0.03)
    assert (report.streams[0].missing, report.streams[0].interpolated_gaps) == (4, 1)
    report = check(path, "this project's columns", stretches=((0.0, 5.96), (6.04, 11.98)), atol=5e-6, step_s=0.04)
    assert (report.streams[0].missing, report.streams[0].gaps) == (4, 1)


def test_no_times_and_a_rate(tmp_path: Path) -> None:
    check(one(tmp_path, table(PLAIN[1:], plain_columns(AT))), "a table", rate_hz=50.0, atol=5e-6)


def test_no_header_and_numbers_of_columns(tmp_path: Path) -> None:
    path = one(tmp_path, table("", [AT, *plain_columns(AT, acc=G)]))
    columns = {name: str(number) for number, name in enumerate(PLAIN, 1)}
    check(path, "this project's columns", columns=columns, acc_unit="m/s2", gyro_unit="rad/s", atol=5e-6)


def test_body_positions(tmp_path: Path) -> None:
    names = [f"{place}_acc_{axis}_g" for place in ("left_wrist", "right_hip") for axis in "xyz"]
    names += [f"{place}_gyro_{axis}_rad_s" for place in ("left_wrist", "right_hip") for axis in "xyz"]
    acc, turning = exports.axes(exports.acceleration(AT)), exports.axes(exports.rotation(AT))
    path = one(tmp_path, table(["time_s", *names], [AT, *acc, *(-a for a in acc), *turning, *(-g for g in turning)]))
    check(path, "a table", sensors=("left_wrist_accelerometer", "left_wrist_gyroscope"), atol=5e-6)
    found = read_recording(path, sensors=("right_hip_accelerometer",))
    assert found.channels == ("right_hip_total_acc_x", "right_hip_total_acc_y", "right_hip_total_acc_z")
    np.testing.assert_allclose(found.samples, -exports.acceleration(AT), atol=5e-6)
    with refused("recording-columns", "holds no accelerometer, which is needed; it has: left wrist accelerometer, right hip accelerometer"):
        read_recording(path)
    columns = {f"chest_total_acc_{axis}_g": f"right_hip_acc_{axis}_g" for axis in "xyz"}
    named = read_recording(path, sensors=("chest_accelerometer",), columns=columns, acc_unit="g")
    np.testing.assert_array_equal(named.samples, found.samples)


@pytest.mark.parametrize("hz", [50.0, 100.0])
def test_rows_of_two_sensors_in_turn(hz: float, tmp_path: Path) -> None:
    at, later = times(hz), times(hz) + 0.004
    acc = np.column_stack((at, exports.acceleration(at), np.full((len(at), 3), np.nan)))
    turning = np.column_stack((later, np.full((len(at), 3), np.nan), exports.rotation(later)))
    rows = np.stack((acc, turning), axis=1).reshape(-1, 7)
    path = one(tmp_path, table(PLAIN, list(rows.T)).replace(b"nan", b""))
    check(path, "this project's columns")


# What has to be said is asked for with the whole command


QUESTIONS: dict[str, tuple[list[str], list[Any], dict[str, str]]] = {
    "units": (["time", *NAMES], [AT, *plain_columns(AT, acc=G, gyro=DEG)], {"--acc-unit": "m/s2", "--gyro-unit": "deg/s"}),
    "milli-g": (["time", *NAMES], [AT, *plain_columns(AT, acc=1000.0)], {"--acc-unit": "mg", "--gyro-unit": "rad/s"}),
    "rate": (list(PLAIN[1:]), plain_columns(AT), {"--rate": "HZ"}),
    "units and rate": (NAMES, plain_columns(AT, gyro=DEG), {"--acc-unit": "g", "--gyro-unit": "deg/s", "--rate": "HZ"}),
}


def the_command(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """The words of the command that the last message says."""
    said = capsys.readouterr().err.splitlines()[-1].split("check and type: ")[1]
    return shlex.split(said.removesuffix(" [recording-columns]"))


@pytest.mark.parametrize("folder", ["", "a folder of its own"])
@pytest.mark.parametrize("question", QUESTIONS)
def test_the_command_in_a_refusal_reads_the_recording(
    question: str, folder: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names, columns, said = QUESTIONS[question]
    (tmp_path / folder).mkdir(exist_ok=True)
    path = one(tmp_path / folder, table(names, columns))
    assert main(["predict", str(path)]) == 2
    words = the_command(capsys)
    assert words[:3] == ["har", "predict", str(path)]
    options = dict(zip(words[3::2], words[4::2], strict=True))
    assert options == said
    assert main(["50" if word == "HZ" else word for word in words[1:]]) == 0
    assert "600 rows at 50 Hz" in capsys.readouterr().out
    spelled = {"--acc-unit": "acc_unit", "--gyro-unit": "gyro_unit"}
    reading: dict[str, Any] = {spelled[option]: value for option, value in options.items() if option in spelled}
    check(path, "a table", atol=5e-6, **reading, **({"rate_hz": 50.0} if "--rate" in options else {}))


def test_a_rate_that_a_line_says_is_in_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = b"# Config: data_rate = 50 Hz\n" + table(["count", *PLAIN[1:]], [np.arange(len(AT)), *plain_columns(AT)])
    path = one(tmp_path, content)
    assert main(["predict", str(path)]) == 2
    words = the_command(capsys)
    assert words == ["har", "predict", str(path), "--rate", "50"]
    assert main(words[1:]) == 0


@pytest.mark.parametrize("axes", ["y,-x,z", "-y,x,z"])
def test_options_that_were_given_are_in_the_command(axes: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = [f"c{number}" for number in range(7)]
    path = one(tmp_path, table(names, [1000 * AT, *plain_columns(AT, acc=G)]))
    columns = [f"{ours}={theirs}" for ours, theirs in zip(PLAIN, names, strict=True)]
    assert main(["predict", str(path), "--time-unit", "ms", f"--axes={axes}", "--interpolate", "0.2", "--columns", *columns]) == 2
    words = the_command(capsys)
    assert {"--time-unit", f"--axes={axes}", "--interpolate", "0.2", *columns} <= set(words)
    assert words[-4:] == ["--acc-unit", "m/s2", "--gyro-unit", "rad/s"]
    assert main(words[1:]) == 0


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak of a process's memory is read from /proc, which is not here")
@pytest.mark.parametrize("one_table", [False, True])
def test_memory_does_not_grow_with_a_zip(one_table: bool, tmp_path: Path) -> None:
    """Five times the length, 0.24 million samples more: 13 MB if they were in memory at once, more if several arrays held them."""
    code = """
import sys
from har.recording import ReadOptions, ReadReport, read_pieces
print(sum(len(piece.time_s) for _, piece in read_pieces(sys.argv[1], ReadReport(), options=ReadOptions(chunk_rows=10_000))))
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""

    def peak_mb(samples: int) -> float:
        path = exports.write_long(tmp_path / f"{samples}.zip", samples, one_table=one_table)
        done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, timeout=280, check=True)
        read, peak_kb = done.stdout.split()
        assert int(read) == samples
        return int(peak_kb) / 1024

    assert peak_mb(300_000) - peak_mb(60_000) < 6.5


# What must not be guessed


@pytest.mark.parametrize("header", ["time,accel_x,accel_y,accel_z,gyro_x,gyro_y,gyro_z", "time,ax,ay,az,wx,wy,wz"])
def test_names_that_an_app_shares_with_others_prove_no_unit(header: str, tmp_path: Path) -> None:
    path = one(tmp_path, table(header.split(","), [AT, *plain_columns(AT)]))
    with refused("recording-columns", "does not name the unit of accelerometer .* and the unit of gyroscope"):
        read_recording(path)
    check(path, "a table", acc_unit="g", gyro_unit="rad/s", atol=5e-6)


def test_several_recordings_are_not_mixed(tmp_path: Path) -> None:
    files = exports.sensor_logger_android("TotalAcceleration")
    both = {f"{place}/{name}": content for name, content in files.items() for place in ("b", "a")}
    for name in ("both.zip", "both"):
        with refused(
            "recording-format", "holds several recordings, the accelerometer is in .*TotalAcceleration.csv, .*TotalAcceleration.csv"
        ):
            read_recording(save(both, tmp_path / name))
    tables = {f"{name}.csv": table(PLAIN, [AT, *plain_columns(AT)]) for name in "abc"}
    with refused("recording-format", "holds several recordings, the accelerometer is in a.csv, b.csv, c.csv"):
        read_recording(save(tables, tmp_path / "three.zip"))


@pytest.mark.parametrize("names", [("acc_{} (right) [g]", "acc_{} (left) [g]"), ("acc_{} (g)", "accelerometer_{} (g)")])
def test_of_two_accelerometers_none_is_chosen(names: tuple[str, str], tmp_path: Path) -> None:
    acc = exports.axes(exports.acceleration(AT))
    header = ["time_s", *(name.format(axis) for name in names for axis in "xyz")]
    path = one(tmp_path, table(header, [AT, *(-a for a in acc), *acc]))
    with refused("recording-columns", "has several columns for the accelerometer: .*--columns total_acc_x_g=NAME"):
        read_recording(path, sensors=("accelerometer",))
    columns = {f"total_acc_{axis}_g": names[1].format(axis) for axis in "xyz"}
    check(path, "this project's columns", sensors=("accelerometer",), columns=columns, acc_unit="g", atol=5e-6)


def test_a_rotation_vector_is_no_gyroscope(tmp_path: Path) -> None:
    turning = exports.axes(exports.rotation(AT))
    names = ["time_s", *PLAIN[1:4], *(f"rotation_{axis}" for axis in "xyz"), *(f"gyro_{axis} (rad/s)" for axis in "xyz")]
    values = [AT, *exports.axes(exports.acceleration(AT)), *(0 * turn for turn in turning), *turning]
    check(one(tmp_path, table(names, values)), "this project's columns", atol=5e-6)


def test_metadata_decide_the_sign_of_an_iphone_that_is_shaken_first(tmp_path: Path) -> None:
    files = exports.sensor_logger_ios()
    rows = files["Accelerometer.csv"].decode().splitlines()
    rows[1:90] = [",".join([*row.split(",")[:2], *("%.6f" % (5 * float(cell)) for cell in row.split(",")[2:])]) for row in rows[1:90]]
    files["Accelerometer.csv"] = ("\n".join(rows) + "\n").encode()
    found = read_recording(save(files, tmp_path / "R"))
    later = found.time_s > 3
    np.testing.assert_allclose(found.samples[later, :3], exports.acceleration(found.time_s[later]), atol=0.05)


def test_core_motion_names_have_its_sign_without_an_app(tmp_path: Path) -> None:
    acc, turning = exports.acceleration(AT), exports.axes(exports.rotation(AT))
    gravity = np.tile([1.0, 0.0, 0.0], (len(AT), 1))
    names = [f"{what}.{axis}" for what in ("gravity", "userAcceleration", "rotationRate") for axis in "xyz"]
    path = one(tmp_path, table(names, [*exports.axes(-gravity), *exports.axes(gravity - acc), *turning]))
    check(path, "Core Motion", rate_hz=50.0, atol=5e-6)


def test_two_clocks_in_one_table_are_refused(tmp_path: Path) -> None:
    values = plain_columns(AT)
    path = one(tmp_path, table(["Time (s)", *PLAIN[1:4], "Time (s)", *PLAIN[4:]], [AT, *values[:3], AT + 7.5, *values[3:]]))
    with refused("recording-columns", "has two columns of times, .*column 1. and .*column 5.; split it"):
        read_recording(path)


def test_units_that_differ_between_axes_are_refused(tmp_path: Path) -> None:
    names = ["time_s", "acc_x (m/s^2)", "acc_y (g)", "acc_z (g)", *PLAIN[4:]]
    with refused("recording-columns", "acc_x .* have different units; expected one unit"):
        read_recording(one(tmp_path, table(names, [AT, *plain_columns(AT)])))


def test_minutes_are_no_seconds(tmp_path: Path) -> None:
    path = one(tmp_path, table(["Time (min)", *PLAIN[1:]], [AT / 60, *plain_columns(AT)], form="%.9g"))
    with refused("recording-columns", "does not name a known unit of the times, but 'min'; .*--time-unit UNIT"):
        read_recording(path)


def test_a_row_of_units_below_the_names(tmp_path: Path) -> None:
    text = table(
        ["time", *(f"acc_{axis}" for axis in "xyz"), *(f"gyro_{axis}" for axis in "xyz")], [MS, *plain_columns(AT, acc=G)]
    ).decode()
    first, rest = text.split("\n", 1)
    path = one(tmp_path, f"{first}\nms,m/s^2,m/s^2,m/s^2,rad/s,rad/s,rad/s\n{rest}".encode())
    check(path, "a table", atol=5e-6)


def test_three_sensors_in_turn(tmp_path: Path) -> None:
    acc, turning = exports.acceleration(AT), exports.rotation(AT)
    gravity = np.stack((np.cos(0.1 * AT), np.sin(0.1 * AT), 0.01 * np.sin(AT)), axis=1)
    names = [f"{what}_{axis}" for what in ("linear_acc", "gravity") for axis in "xyz"]
    header = ",".join(["time_s", *(f"{name} (g)" for name in names), *PLAIN[4:]])
    rows = []
    for s, a, g, w in zip(AT, acc - gravity, gravity, turning, strict=True):
        cells = [",".join(f"{value:.7f}" for value in part) for part in (a, g, w)]
        for place, cell in enumerate(cells):
            rows.append(",".join([f"{s + 0.004 * place:.4f}", *(cell if other == place else ",," for other in range(3))]))
    found = read_recording(one(tmp_path, "\n".join([header, *rows]).encode()))
    inside = (found.time_s > 1) & (found.time_s < found.time_s[-1] - 1)
    np.testing.assert_allclose(found.samples[inside, :3], exports.acceleration(found.time_s[inside]), atol=0.1)


def test_a_column_of_times_with_another_name_has_its_own_unit(tmp_path: Path) -> None:
    path = one(tmp_path, table(["clock", *PLAIN[1:]], [MS, *plain_columns(AT)]))
    check(path, "this project's columns", columns={"time_s": "clock"}, atol=5e-6)


def test_columns_of_two_files_are_named_at_once(tmp_path: Path) -> None:
    values = plain_columns(AT)
    files = {
        "Beschleunigung.csv": table(["t", "bx", "by", "bz"], [MS, *values[:3]]),
        "Drehung.csv": table(["t", "dx", "dy", "dz"], [MS, *values[3:]]),
    }
    columns = {f"total_acc_{axis}_g": f"b{axis}" for axis in "xyz"} | {f"gyro_{axis}_rad_s": f"d{axis}" for axis in "xyz"}
    check(save(files, tmp_path / "x.zip"), "a table", columns=columns, acc_unit="g", gyro_unit="rad/s", atol=0.02)
