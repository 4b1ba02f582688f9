"""MotionSense (Malekzadeh et al. 2019): an iPhone in the front pocket of 24 people, six activities, 50 Hz.

The folder is the extracted ``A_DeviceMotion_data``: a folder a trial, named by its activity and number, ``dws_1``, and in it a CSV file a
person, ``sub_1.csv``, with a row number and the columns of `COLUMNS`. This file is also the example of how a data set is added
(`har.data.loaders`). It was written from the published description and tried on generated files of that layout alone.

Source: M. Malekzadeh, R. G. Clegg, A. Cavallaro, H. Haddadi: Mobile Sensor Data Anonymization. IoTDI 2019.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from har.contract import SAMPLE_RATE_HZ
from har.data.loaders import DataSet
from har.errors import HarError
from har.recording import Recording

LABELS = ("WALKING", "WALKING_UPSTAIRS", "WALKING_DOWNSTAIRS", "SITTING", "STANDING", "JOGGING")
ACTIVITIES = dict(zip(("wlk", "ups", "dws", "sit", "std", "jog"), LABELS, strict=True))
FIRST_SUBJECT = 1000  # person 1 is number 1001: numbers up to 30 are the people of UCI HAR
COLUMNS = tuple(
    [f"attitude.{angle}" for angle in ("roll", "pitch", "yaw")]
    + [f"{sensor}.{axis}" for sensor in ("gravity", "rotationRate", "userAcceleration") for axis in "xyz"]
)
# Core Motion gives g and rad/s. Its acceleration has the other sign than Android's: -1 g on the axis that points up.
# With the phone upright x is up in UCI HAR, and y of the phone: what is x, y, z there is y, -x, z here.
UPRIGHT = np.array([[0.0, 1.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])


def read(folder: Path) -> Iterator[Recording]:
    """One recording a trial and person.

    Args:
        folder: that holds the folders of the trials, or holds ``A_DeviceMotion_data`` with them.

    Yields:
        Recordings whose times count from 0 at 50 Hz: the files have no time stamps.

    Raises:
        HarError: a folder is of no known activity, a file has other columns, or holds something that is no number.
    """
    inside = folder / "A_DeviceMotion_data"
    for path in sorted((inside if inside.is_dir() else folder).glob("*/sub_*.csv")):
        trial, person = re.fullmatch(r"([a-z]+)_(\d+)", path.parent.name), re.fullmatch(r"sub_(\d+)", path.stem)
        if trial is None or trial[1] not in ACTIVITIES or person is None:
            known = ", ".join(ACTIVITIES)
            raise HarError(
                "archive-broken",
                f"{path} is no file of MotionSense; expected a folder such as dws_1 ({known}) with files such as sub_1.csv",
            )
        table = _table(path)
        gravity, rate, user = table[:, 3:6], table[:, 6:9], table[:, 9:12]
        samples = np.concatenate((-(gravity + user) @ UPRIGHT.T, rate @ UPRIGHT.T), axis=1).astype(np.float32)
        label = LABELS.index(ACTIVITIES[trial[1]])
        yield Recording(
            f"{path.parent.name}/{path.stem}",
            FIRST_SUBJECT + int(person[1]),
            np.arange(len(samples)) / SAMPLE_RATE_HZ,
            samples,
            np.full(len(samples), label, dtype=np.int64),
        )


def _table(path: Path) -> np.ndarray:
    """(time, 12) in the order of `COLUMNS`."""
    with open(path, encoding="utf-8") as file:
        header = [name.strip().strip('"') for name in file.readline().split(",")]
        missing = [name for name in COLUMNS if name not in header]
        if missing:
            raise HarError("archive-broken", f"{path} has no column {missing[0]}; expected {', '.join(COLUMNS)}")
        lines = file.readlines()
    if not lines:
        raise HarError("archive-broken", f"{path} has no sample; extract the archive again")
    try:
        return np.loadtxt(lines, delimiter=",", ndmin=2, usecols=[header.index(name) for name in COLUMNS])
    except ValueError as error:
        raise HarError(
            "archive-broken", f"{path} is not a table of numbers ({str(error).split(';')[0].rstrip('.')}); extract the archive again"
        ) from None


MOTIONSENSE = DataSet(
    "motionsense",
    "MotionSense",
    LABELS,
    read,
    files=("**/sub_*.csv",),
    url="https://github.com/mmalekzadeh/motion-sense",
    cite="M. Malekzadeh et al., Mobile Sensor Data Anonymization, IoTDI 2019",
    people="24 subjects with an iPhone, six activities",
    placement="in the front pocket of the trousers",
    axes="x up along the body where the phone stands upright in the pocket",
)
