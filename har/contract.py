"""The words of the house: channels, units, rate, labels, the official split and the errors a user sees.

Every room may import this module and it imports nothing, so that the device and the training can never disagree.
"""

SAMPLE_RATE_HZ = 50.0  # Anguita et al. 2013
WINDOW_SIZE = 128  # samples, 2.56 s; Anguita et al. 2013
STRIDE = 64  # samples, 50 % overlap; Anguita et al. 2013

LABELS = (
    "WALKING",
    "WALKING_UPSTAIRS",
    "WALKING_DOWNSTAIRS",
    "SITTING",
    "STANDING",
    "LAYING",
)  # names and order of activity_labels.txt in the UCI HAR archive
MOVING = LABELS[:3]  # walking on the level and on stairs; the other three rest
TRANSITIONS = (
    "STAND_TO_SIT",
    "SIT_TO_STAND",
    "SIT_TO_LIE",
    "LIE_TO_SIT",
    "STAND_TO_LIE",
    "LIE_TO_STAND",
)  # postural transitions, which HAPT adds behind the six; Reyes-Ortiz et al. 2016
HAPT_LABELS = LABELS + TRANSITIONS  # names and order of activity_labels.txt in the HAPT archive
UNKNOWN = "UNKNOWN"  # one class for what is none of the six
TRANSITION_LABELS = {"drop": LABELS, "keep": HAPT_LABELS, "unknown": (*LABELS, UNKNOWN)}
# What becomes of the transitions: no window, six classes of their own, or one class.
WITH_TRANSITIONS = ("hapt",)  # data sets that have any

AXES = ("x", "y", "z")
TOTAL_ACC = tuple(f"total_acc_{axis}" for axis in AXES)  # g, gravity included
BODY_ACC = tuple(f"body_acc_{axis}" for axis in AXES)  # g, gravity removed
GYRO = tuple(f"gyro_{axis}" for axis in AXES)  # rad/s

RAW6 = TOTAL_ACC + GYRO
UCI9 = BODY_ACC + GYRO + TOTAL_ACC
CHANNEL_SETS = {"raw6": RAW6, "uci9": UCI9}
AXES_CONVENTION = (
    "right-handed, as Android names them: with the screen towards you, x to the right, y up, z out of the screen; at rest total "
    "acceleration is +1 g on the axis that points up"
)  # where the axes pointed on the body, the description of a data set says (`har.data.windowset.Description`)
UNITS = {**dict.fromkeys(TOTAL_ACC + BODY_ACC, "g"), **dict.fromkeys(GYRO, "rad/s")}

GRAVITY_CUTOFF_HZ = 0.3  # Anguita et al. 2013
GRAVITY_ORDER = 3  # Butterworth; Anguita et al. 2013
NOISE_CUTOFF_HZ = 20.0  # Anguita et al. 2013; 99 % of the energy of body motion lies below 15 Hz
NOISE_ORDER = 3  # Butterworth, as Anguita et al. 2013 say; the published windows had another filter: har/signals/chain.py

TRAIN_SUBJECTS = (1, 3, 5, 6, 7, 8, 11, 14, 15, 16, 17, 19, 21, 22, 23, 25, 26, 27, 28, 29, 30)
TEST_SUBJECTS = (2, 4, 9, 10, 12, 13, 18, 20, 24)
# The official split of the UCI HAR archive. The synthetic data set uses the same numbers.

SPLITS = ("train", "validation", "test")
MANIFEST_SCHEMA_VERSION = 2
OPSET = 18
PARITY_TOLERANCE = 1e-5  # largest accepted difference of a probability between torch and ONNX


class HarError(Exception):
    """A mistake a user can fix; printed as one line, exit code 2.

    The message says what was found, what was expected and what to do next.

    Examples:
        >>> import har
        >>> try:
        ...     har.load_dataset("uci-har", difficulty=2)
        ... except har.HarError as error:
        ...     print(error)
        uci-har has no difficulty, only generated data have one; remove it, or name the data set synthetic
    """


def channel_names(channels: str) -> tuple[str, ...]:
    """Names of the channels of the set `channels`, in the order of the last axis of a window."""
    if channels not in CHANNEL_SETS:
        raise HarError(f"unknown channel set {channels!r}; expected one of {', '.join(CHANNEL_SETS)}")
    return CHANNEL_SETS[channels]


def nearest(name: str, valid: tuple[str, ...] | list[str]) -> str:
    """A sentence that names the nearest valid word, for error messages."""
    from difflib import get_close_matches

    close = get_close_matches(name, valid, n=1, cutoff=0.5)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return f"{hint}valid: {', '.join(valid)}"


def artefact(stem: str, suffix: str, *, synthetic: bool) -> str:
    """File name of an artefact; synthetic data is named in it."""
    return f"{stem}_synthetic{suffix}" if synthetic else f"{stem}{suffix}"
