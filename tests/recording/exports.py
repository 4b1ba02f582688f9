"""One known movement as the apps write it: file names, headers, units, signs and clocks of each app.

Every function returns the content of the files by name; `save` writes them as one file, as a folder or as a zip.
"""

import zipfile
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

G = 9.80665
DEG = 180.0 / np.pi
SECONDS = 12.0
EPOCH_S = 1_700_000_000.0
Files = dict[str, bytes]


def gravity(time_s: np.ndarray) -> np.ndarray:
    """(time, 3) direction of gravity in g, all axes different; it turns slowly."""
    turn, lean = 0.6 + 0.1 * np.sin(2 * np.pi * 0.2 * time_s), -0.4 + 0.1 * np.cos(2 * np.pi * 0.15 * time_s)
    return np.stack((np.sin(turn) * np.cos(lean), np.cos(turn) * np.cos(lean), np.sin(lean)), axis=1)


def linear(time_s: np.ndarray) -> np.ndarray:
    """(time, 3) acceleration without gravity in g."""
    parts = [(0.12, 1.9, 0.3), (0.10, 1.3, 1.1), (0.15, 2.3, 2.0)]
    return np.stack([size * np.sin(2 * np.pi * hz * time_s + phase) + 0.02 * size for size, hz, phase in parts], axis=1)


def acceleration(time_s: np.ndarray) -> np.ndarray:
    """(time, 3) what an accelerometer measures, in g."""
    return gravity(time_s) + linear(time_s)


def rotation(time_s: np.ndarray) -> np.ndarray:
    """(time, 3) angular velocity in rad/s."""
    parts = [(0.8, 1.1, 0.2, -0.2), (0.6, 1.7, 1.4, 0.1), (0.9, 0.9, 2.2, 0.3)]
    return np.stack([size * np.sin(2 * np.pi * hz * time_s + phase) + offset for size, hz, phase, offset in parts], axis=1)


SIGNALS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "accelerometer": acceleration,
    "linear_acceleration": linear,
    "gravity": gravity,
    "gyroscope": rotation,
}


def times(hz: float = 50.0, seconds: float = SECONDS, start_s: float = 0.0) -> np.ndarray:
    """(time,) s at a rate."""
    return start_s + np.arange(round(seconds * hz)) / hz


def jittered(hz: float, seconds: float, start_s: float, seed: int) -> np.ndarray:
    """(time,) s of a phone's sensor: a rate of its own, every sample some tenths of a millisecond early or late."""
    at = times(hz, seconds, start_s)
    return at + np.random.default_rng(seed).uniform(-3e-4, 3e-4, len(at))


def table(
    header: str | Sequence[str],
    columns: Sequence[Sequence[object] | np.ndarray],
    delimiter: str = ",",
    decimal: str = ".",
    form: str = "%.9g",
) -> bytes:
    """A table in which numbers are written by `form` and everything else as it is."""
    texts = [[form % cell if isinstance(cell, float) else str(cell) for cell in np.asarray(column).tolist()] for column in columns]
    if decimal != ".":
        texts = [[text.replace(".", decimal) for text in column] for column in texts]
    first = [header] if isinstance(header, str) and header else [delimiter.join(header)] if header else []
    return ("\n".join([*first, *(delimiter.join(row) for row in zip(*texts, strict=True))]) + "\n").encode()


def axes(values: np.ndarray, order: str = "xyz") -> list[np.ndarray]:
    """The columns of (time, 3) values."""
    return [values[:, "xyz".index(axis)] for axis in order]


def save(files: Mapping[str, bytes], path: Path) -> Path:
    """Write files as a zip (`path` ends in .zip), as a folder (no suffix), or one file as it is."""
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in files.items():
                archive.writestr(name, content)
    elif path.suffix:
        (content,) = files.values()
        path.write_bytes(content)
    else:
        for name, content in files.items():
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            (path / name).write_bytes(content)
    return path


# Sensor Logger


def _logged(at: np.ndarray, values: np.ndarray) -> bytes:
    stamps = [str(round((EPOCH_S + second) * 1e9)) for second in at]
    return table("time,seconds_elapsed,z,y,x", [stamps, at, *axes(values, "zyx")], form="%.15g")


METADATA = (
    "version,device name,recording epoch time,recording time,recording timezone,platform,appVersion,device id,sensors,sampleRateMs,"
    "standardisation,platform version\n3,{device},1700000000000,2023-11-14_22-13-20,Europe/London,{platform},1.47,0,"
    "Accelerometer|Gyroscope|Gravity,0|0|0,{standard},17\n"
)


def sensor_logger_android(*parts: str, seconds: float = SECONDS) -> Files:
    """m/s^2 and rad/s; every sensor has its own clock. `parts` are the files with acceleration."""
    by_file = {"TotalAcceleration": acceleration, "Accelerometer": linear, "Gravity": gravity, "AccelerometerUncalibrated": acceleration}
    files = {"Metadata.csv": METADATA.format(device="Pixel 6", platform="android", standard="false").encode()}
    for number, part in enumerate(parts or ("TotalAcceleration", "Accelerometer", "Gravity")):
        at = jittered(99.3 + number, seconds, 0.003 * (number + 1), number)
        files[f"{part}.csv"] = _logged(at, by_file[part](at) * G)
    at = jittered(101.2, seconds, 0.009, 7)
    files["Gyroscope.csv"] = _logged(at, rotation(at))
    files["Magnetometer.csv"] = _logged(at, 30.0 + 5.0 * rotation(at))
    files["Orientation.csv"] = table(
        "time,seconds_elapsed,yaw,qx,qz,roll,qw,qy,pitch", [at, at, *axes(rotation(at)), *axes(linear(at)), at]
    )
    files["Annotation.csv"] = b"time,seconds_elapsed,text,millisecond_press_duration\n"
    return files


def sensor_logger_ios(*parts: str, standard: bool = False, metadata: bool = True, seconds: float = SECONDS) -> Files:
    """g in Core Motion's sign, or m/s^2 in Android's where `standard`; Core Motion has one clock for all."""
    by_file = {"Accelerometer": linear, "Gravity": gravity, "AccelerometerUncalibrated": acceleration}
    factor = G if standard else -1.0
    text = METADATA.format(device="iPhone", platform="ios", standard=str(standard).lower())
    files = {"Metadata.csv": text.encode()} if metadata else {}
    for part in parts or ("Accelerometer", "Gravity"):
        at = jittered(100.0, seconds, 0.01 if part == "AccelerometerUncalibrated" else 0.004, 1)
        files[f"{part}.csv"] = _logged(at, by_file[part](at) * factor)
    at = jittered(100.0, seconds, 0.004, 1)
    files["Gyroscope.csv"] = _logged(at, rotation(at))
    return files


def wrist_motion(seconds: float = SECONDS) -> bytes:
    """What the watch app adds: one table, in g and Core Motion's sign."""
    at = jittered(50.0, seconds, 0.0, 3)
    names = [f"{word}{axis}" for word in ("rotationRate", "gravity", "acceleration") for axis in "XYZ"]
    stamps = [str(round((EPOCH_S + second) * 1e9)) for second in at]
    values = [*axes(rotation(at)), *axes(-gravity(at)), *axes(-linear(at)), *axes(linear(at)), at]
    quaternion = [f"quaternion{axis}" for axis in "WXYZ"]
    return table(",".join(["time", "seconds_elapsed", *names, *quaternion]), [stamps, at, *values], form="%.15g")


# phyphox


def phyphox(
    *parts: str, style: str = "{name} {axis}", delimiter: str = ",", decimal: str = ".", pause_s: float = 0.0, seconds: float = SECONDS
) -> Files:
    """m/s^2 and rad/s; pauses stand in meta/time.csv alone.

    Args:
        parts: files with acceleration, by default with gravity.
        style: of the header of an axis; older versions write the axis alone.
        delimiter: of the cells.
        decimal: sign of the decimals.
        pause_s: length of a pause in the middle; the movement goes on during it.
        seconds: without the pause.
    """
    by_file = {"Accelerometer": ("Acceleration", acceleration), "Linear Accelerometer": ("Linear Acceleration", linear)}
    middle_s, files = seconds / 2, {}
    for number, part in enumerate((*(parts or ("Accelerometer",)), "Gyroscope")):
        name, signal = by_file.get(part, ("Gyroscope", rotation))
        at = jittered(202.0 - 11 * number, seconds, 0.0021 * (number + 1), number)
        values = signal(at + pause_s * (at >= middle_s)) * (1.0 if part == "Gyroscope" else G)
        unit = "rad/s" if part == "Gyroscope" else "m/s^2"
        titles = [style.format(name=name, axis=axis if "name" in style else axis.upper()) for axis in "xyz"]
        names = ["Time (s)", *(f"{title} ({unit})" for title in titles), f"Absolute {name.lower()} ({unit})"]
        content = table(
            ",".join(f'"{name}"' for name in names).replace(",", delimiter), [at, *axes(values), at], delimiter, decimal, "%.9E"
        )
        files[f"{part}.csv"] = content
    stops = [("START", 0.0, 0.0), ("PAUSE", middle_s, middle_s), ("START", middle_s, middle_s + pause_s)][: 3 if pause_s else 1]
    stops.append(("PAUSE", seconds, seconds + pause_s))
    rows = [(f'"{event}"', f"{own:.9E}", f"{EPOCH_S + phone:.3f}", '"2023-11-14 22:13:20.000 UTC+00:00"') for event, own, phone in stops]
    rows = [(event, own.replace(".", decimal), phone.replace(".", decimal), text) for event, own, phone, text in rows]
    lines = [("event", "experiment time", "system time", "system time text"), *rows]
    files["meta/time.csv"] = "".join(delimiter.join(row) + "\n" for row in lines).encode()
    files["meta/device.csv"] = '"property","value"\n"deviceModel","Pixel 6"\n"accelerometer Resolution","0.1"\n'.replace(
        ",", delimiter
    ).encode()
    return files


# One table for all sensors


def sensor_log(*, motion_only: bool = False, seconds: float = SECONDS) -> bytes:
    """iOS: g in Core Motion's sign; accelerometer, gyroscope and motion have times of their own since the last start of the phone."""
    at, boot_s = times(50.0, seconds), 62_608.0
    named = {
        "loggingTime(txt)": [f"{datetime.fromtimestamp(EPOCH_S + s, UTC):%Y-%m-%d %H:%M:%S.%f}"[:-3] + " +0000" for s in at],
        "loggingSample(N)": list(range(len(at))),
    }
    if not motion_only:
        named |= {"accelerometerTimestamp_sinceReboot(s)": boot_s + at}
        named |= {f"accelerometerAcceleration{axis}(G)": column for axis, column in zip("XYZ", axes(-acceleration(at)), strict=True)}
        named |= {"gyroTimestamp_sinceReboot(s)": boot_s + at + 0.002}
        named |= {f"gyroRotation{axis}(rad/s)": column for axis, column in zip("XYZ", axes(rotation(at + 0.002)), strict=True)}
    late = at + 0.004
    named |= {"motionTimestamp_sinceReboot(s)": boot_s + late, "motionYaw(rad)": at}
    for word, unit, values in (
        ("UserAcceleration", "G", -linear(late)),
        ("RotationRate", "rad/s", rotation(late)),
        ("Gravity", "G", -gravity(late)),
    ):
        named |= {f"motion{word}{axis}({unit})": column for axis, column in zip("XYZ", axes(values), strict=True)}
    named |= {"activity(txt)": ["walking"] * len(at), "label(N)": [0] * len(at)}
    return table(",".join(named), list(named.values()), form="%.12g")


def andro_sensor(*, decimal: str = ".", seconds: float = SECONDS) -> bytes:
    """Semicolons, units in the header, ms since the start."""
    at = times(50.0, seconds)
    words = (("ACCELEROMETER", "m/s²", acceleration(at) * G), ("GRAVITY", "m/s²", gravity(at) * G))
    words = (
        *words,
        ("LINEAR ACCELERATION", "m/s²", linear(at) * G),
        ("GYROSCOPE", "rad/s", rotation(at)),
        ("MAGNETIC FIELD", "μT", 30 + rotation(at)),
    )
    names = [f"{word} {axis} ({unit})" for word, unit, _ in words for axis in "XYZ"]
    dates = [f"{datetime.fromtimestamp(EPOCH_S + s, UTC):%Y-%m-%d %H-%M-%S_}{round(s * 1000) % 1000:03}" for s in at]
    columns = [column for *_, values in words for column in axes(values)]
    ms = [str(round(1000 * s)) for s in at]
    rows = table(";".join([*names, "Time since start in ms ", "YYYY-MO-DD HH-MI-SS_SSS"]), [*columns, ms, dates], ";", decimal, "%.6f")
    return b"sep=;\n" + rows


def physics_toolbox(clock: str = "seconds", *, style: str = "plain", seconds: float = SECONDS) -> bytes:
    """g and rad/s.

    Args:
        clock: ``seconds``, or ``wall``: hours to milliseconds, from some seconds before midnight on.
        style: ``plain``; ``semicolons`` with decimal commas, an empty first line and the minus sign of typography; ``all`` sensors.
        seconds: how long.
    """
    at = times(50.0, seconds)
    if clock == "wall":
        ms = [(86_400_000 - 5000 + round(1000 * s)) % 86_400_000 for s in at]
        column = [f"{t // 3_600_000:02}:{t // 60_000 % 60:02}:{t // 1000 % 60:02}:{t % 1000:03}" for t in ms]
    else:
        column = [f"{s:.4f}" for s in at]
    gs, turning = axes(acceleration(at)), axes(rotation(at))
    if style == "semicolons":
        return b"\n" + table("time;gFx;gFy;gFz;wx;wy;wz;", [column, *gs, *turning, [""] * len(at)], ";", ",", "%.5f").replace(
            b"-", "\u2212".encode()
        )
    names, columns = ["time", "gFx", "gFy", "gFz"], [column, *gs]
    if style == "all":
        names, columns = [*names, "TgF", "ax", "ay", "az", "aT"], [*columns, at, *axes(linear(at) * G), at]
    return table(",".join([*names, "wx", "wy", "wz"]), [*columns, *turning], form="%.5f")


def actigraph(
    columns: str = "",
    *,
    hz: float = 100.0,
    dates: str = "M/d/yyyy",
    start: str = "2023-10-04T23:59:55",
    delimiter: str = ",",
    seconds: float = SECONDS,
) -> bytes:
    """Ten lines, then g, for an IMU deg/s as well.

    Args:
        columns: names of the row above the samples; none for "".
        hz: of the samples.
        dates: how dates are written.
        start: of the recording.
        delimiter: semicolons come with decimal commas.
        seconds: how long.
    """
    at, decimal = times(hz, seconds), "," if delimiter == ";" else "."
    form = {
        "M/d/yyyy": "{0.month}/{0.day}/{0.year}",
        "dd/MM/yyyy": "{0.day:02}/{0.month:02}/{0.year}",
        "d/M/yyyy": "{0.day}/{0.month}/{0.year}",
    }[dates]
    first = datetime.fromisoformat(start + "+00:00")
    moments = [datetime.fromtimestamp(first.timestamp() + s, UTC) for s in at]
    known = {f"Accelerometer {axis}": column for axis, column in zip("XYZ", axes(acceleration(at)), strict=True)}
    known |= {f"Gyroscope {axis}": column for axis, column in zip("XYZ", axes(rotation(at) * DEG), strict=True)}
    known |= {"Timestamp": [f"{form.format(m)} {m:%H:%M:%S}.{m.microsecond // 1000:03}" for m in moments], "Temperature": 30.0 + at / 1000}
    known |= {f"Magnetometer {axis}": column for axis, column in zip("XYZ", axes(30 + rotation(at)), strict=True)}
    names = columns.split(",") if columns else ["Accelerometer X", "Accelerometer Y", "Accelerometer Z"]
    date = form.format(first)
    head = (
        f"------------ Data File Created By ActiGraph GT3X+ ActiLife v6.13.4 Firmware v2.5.0 date format {dates} at {hz:g} Hz  Filter "
        f"Normal -----------\nSerial Number: NEO1F00000000\nStart Time {first:%H:%M:%S}\nStart Date {date}\n"
        f"Epoch Period (hh:mm:ss) 00:00:00\nDownload Time 10:00:00\nDownload Date {date}\nCurrent Memory Address: 0\n"
        f"Current Battery Voltage: 4.19     Mode = 12\n{'-' * 50}\n"
    )
    return head.encode() + table(columns.replace(",", delimiter), [known[name] for name in names], delimiter, decimal, "%.5f")


ACTIGRAPH_IMU = (
    "Timestamp,Accelerometer X,Accelerometer Y,Accelerometer Z,Temperature,Gyroscope X,Gyroscope Y,Gyroscope Z,"
    "Magnetometer X,Magnetometer Y,Magnetometer Z"
)


def axivity(*, header: bool, gyroscope: bool, seconds: float = SECONDS) -> bytes:
    """Dates with milliseconds, g, and deg/s of an AX6."""
    at = times(100.0, seconds)
    column = [f"{datetime.fromtimestamp(EPOCH_S + s + 1e-5, UTC):%Y-%m-%d %H:%M:%S.%f}"[:-3] for s in at]
    names = "Time,Accel-X (g), Accel-Y (g), Accel-Z (g)" + ", Gyro-X (d/s), Gyro-Y (d/s), Gyro-Z (d/s)" * gyroscope
    values = [*axes(acceleration(at)), *axes(rotation(at) * DEG)][: 6 if gyroscope else 3]
    return table(names if header else "", [column, *values], form="%.6f")


# Tables that no app is known for

PLAIN = ("time_s", *(f"total_acc_{axis}_g" for axis in "xyz"), *(f"gyro_{axis}_rad_s" for axis in "xyz"))


def plain_columns(at: np.ndarray, *, acc: float = 1.0, gyro: float = 1.0) -> list[np.ndarray]:
    """Acceleration in g and angular velocity in rad/s, each times a factor."""
    return [*axes(acceleration(at) * acc), *axes(rotation(at) * gyro)]


def write_long(path: Path, samples: int, *, one_table: bool) -> Path:
    """A zip with a long recording at 50 Hz, written piece by piece: Sensor Logger's files, or this project's columns in one CSV."""
    tables: dict[str, tuple[str, Callable[[np.ndarray], np.ndarray]]] = {
        "TotalAcceleration.csv": ("time,seconds_elapsed,z,y,x", lambda at: np.column_stack((at, at, acceleration(at)[:, ::-1] * G))),
        "Gyroscope.csv": ("time,seconds_elapsed,z,y,x", lambda at: np.column_stack((at, at, rotation(at)[:, ::-1]))),
    }
    if one_table:
        tables = {"day.csv": (",".join(PLAIN), lambda at: np.column_stack((at, acceleration(at), rotation(at))))}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, (header, columns) in tables.items():
            with archive.open(name, "w", force_zip64=True) as file:
                file.write(header.encode() + b"\n")
                for first in range(0, samples, 50_000):
                    np.savetxt(file, columns(np.arange(first, min(samples, first + 50_000)) / 50.0), fmt="%.6f", delimiter=",")
    return path
