"""Errors that a user can correct: one clear line and a code."""

from collections.abc import Sequence

CODES = {
    "archive-broken": "A file of a data set's archive is missing, damaged, or holds what was not published.",
    "archive-missing": "The archive or folder of a data set is not where it was looked for.",
    "archive-unsafe": "An archive would unpack to too much, or outside its folder.",
    "argument": "An option or argument has a value that is not accepted, or does not fit another one.",
    "bundle-changed": "A file of a bundle is not the one that was exported.",
    "bundle-differs": "A bundle's model does not give its stored answers on this machine.",
    "bundle-invalid": "A bundle's manifest breaks the format, or asks for what this version does not deliver.",
    "bundle-missing": "There is no bundle, or no such file in it.",
    "config": "A config or study cannot be read, or a key or value in it is not accepted.",
    "dataset-option": "The data set does not have what an option asks for.",
    "dependency": "An optional package is not installed.",
    "diverged": "The loss of a training became infinite or NaN.",
    "download": "A download failed, or is not the expected file.",
    "engine": "The Ray cluster or one of its machines cannot be used.",
    "export-parity": "An exported file does not give the probabilities of the trained network.",
    "file": "A file or folder cannot be read or written, or would be replaced.",
    "jobs-failed": "Some jobs of a command failed; each was named.",
    "leak": "A subject, a sample or a stretch of signal is in two parts of a split.",
    "loader": "The loader of a data set delivers what is not accepted.",
    "model-file": "An ONNX file cannot be read.",
    "name-unknown": "There is no model, data set, label, column, ... of this name.",
    "not-comparable": "Runs or scores differ in more than the seed.",
    "not-exportable": "A model cannot be exported, or not to this kind of file.",
    "not-finite": "A value is infinite or NaN.",
    "plugin": "Another package offers a model, task or data set that cannot be used.",
    "predictions-file": "A file of predictions or scores is damaged or of another version.",
    "recording-columns": "A recording has no such column, has it twice, or with another type.",
    "recording-format": "A recording is not well-formed CSV or Parquet.",
    "recording-missing": "There is no recording at this place.",
    "recording-rate": "The sampling rate is too low, changes, or is another than the model's.",
    "recording-short": "A recording is shorter than one window.",
    "recording-times": "The times of a recording are missing, out of order, or not those of the measurements.",
    "recording-units": "A recording is in other units than expected, without gravity, or its sensors are swapped.",
    "recording-values": "Values of a recording are missing, constant, or beyond the physical limits.",
    "run-busy": "Another process trains the same run.",
    "run-damaged": "A file of a run is damaged, or not the one that was trained.",
    "run-kind": "A run is not of the kind that the command needs.",
    "run-missing": "There is no such run, or no such file of it.",
    "run-other": "A run was trained or scored on other data, another split or with other weights.",
    "split-file": "A split file cannot be read.",
    "split-impossible": "The data set has too few subjects or windows for this split.",
    "split-subjects": "A split or a fold is asked for subjects or a number that it does not have.",
    "store": "The MLflow store cannot be opened or used.",
    "store-missing": "There is no MLflow store at this place.",
    "test-subjects": "The official test subjects would decide something.",
    "windows": "Windows, chunks or labels have the wrong shape or type.",
}  # what each code says; docs/errors.md lists them


class HarError(Exception):
    """A mistake a user can correct; the command line prints it as one line with its code, and exits with status 2.

    The message says what was found, what was expected and what to do next.

    Args:
        code: a key of `CODES`; it stays the same when the message is reworded.
        message: one sentence.

    Examples:
        >>> import har
        >>> try:
        ...     har.load_dataset("uci-har", difficulty=2)
        ... except har.HarError as error:
        ...     print(f"{error} [{error.code}]")
        uci-har has no difficulty, only generated data have one; remove it, or name the data set synthetic [dataset-option]
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(code, message)  # both, so that it can be pickled between processes
        self.code = code

    def __str__(self) -> str:
        return str(self.args[1])


def nearest(name: str, valid: Sequence[str]) -> str:
    """A sentence that names the nearest valid word, for error messages."""
    from difflib import get_close_matches

    close = get_close_matches(name, valid, n=1, cutoff=0.5)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return f"{hint}valid: {', '.join(valid)}"
