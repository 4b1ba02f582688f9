"""What every bundle has: a folder that appears only when it holds, checksums, terms, versions and golden windows."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch

import har
from har.contract import LABELS, OPSET, RAW6, SAMPLE_RATE_HZ, STRIDE, channel_names
from har.data import synthetic
from har.data.prepare import describe
from har.data.windowset import windows_of
from har.errors import HarError
from har.exporting.model_card import model_card
from har.exporting.onnx_file import DeviceGraph
from har.files import CannotWriteError, cannot_write, remove_stale, staging
from har.models.classifier import WindowClassifier
from har.models.module import TaskModule
from har.recording.rate import LEAST_RATE
from har.runtime.bundle import golden_values, replace_folder, sha256
from har.runtime.manifest import CARD, FORMAT, MANIFEST
from har.runtime.recognizer import verify

GOLDEN_PER_LABEL = 10
GOLDEN_SEED = 2013
GOLDEN_UNIT = 0.001  # 1 mg and 1 mrad/s, as fine as a phone's sensors; whole numbers of it keep the file small
PHONE_FULL_SCALE = (8.0, 35.0)  # g and rad/s, of the sensors in phones: +-8 g, +-2000 deg/s


@contextlib.contextmanager
def staged(folder: Path) -> Iterator[Path]:
    """A folder to write a bundle into; at the end it is verified and takes the place of `folder`, or is gone.

    Raises:
        HarError: `folder` is something else than a bundle, the disk is full, or the bundle does not hold.
    """
    if folder.exists() and any(folder.iterdir()) and not (folder / MANIFEST).is_file():
        raise HarError("file", f"{folder} exists and is not a bundle; name another folder with --output")
    try:
        remove_stale(folder.parent, folder.name)  # of exports that were killed
        with staging(folder.parent, folder.name) as temporary:
            temporary.chmod(0o755)
            yield temporary
            verify(temporary)
            replace_folder(temporary, folder)
    except (OSError, CannotWriteError) as error:
        raise cannot_write(folder, error, "the bundle", "name another folder with --output") from None


def finish(folder: Path, manifest: dict[str, Any]) -> None:
    """Write the model card and the manifest, which gets the versions of what made it, if it has none, and size and checksum of every file.

    Args:
        folder: with the files.
        manifest: what it says of each of them; the card is added.
    """
    versions = {"wearable-har": har.__version__, "torch": torch.__version__, "onnxruntime": onnxruntime.__version__}
    manifest.setdefault("versions", versions)
    for name, entry in manifest["files"].items():
        entry["bytes"] = (folder / name).stat().st_size
    (folder / CARD).write_text(model_card(manifest), encoding="utf-8")
    manifest["files"][CARD] = {"bytes": (folder / CARD).stat().st_size}
    manifest["files"] = {name: {"sha256": sha256(folder / name), **entry} for name, entry in manifest["files"].items()}
    (folder / MANIFEST).write_text(json.dumps({"schema_version": FORMAT, **manifest}, indent=1) + "\n", encoding="utf-8")


def signal_entries(module: TaskModule) -> dict[str, Any]:
    """What a model reads and gives, as a manifest and the metadata of its ONNX file say it.

    Raises:
        ValueError: the module has no specification, or one of another model.
    """
    spec = module.spec
    if spec is None or len(spec.labels) != module.hparams["num_classes"]:
        raise ValueError(f"a model of {module.hparams['num_classes']} classes has the specification {spec}")
    reads_windows = spec.window_size is not None
    name, length, row = ("windows", "", "(batch, label)") if reads_windows else ("samples", ", any length", "(batch, time, label)")
    return {
        "spec": spec.to_json(),
        "needs": {"sensors": [sensor.name for sensor in spec.sensors], "least_rate_hz": LEAST_RATE * spec.sample_rate_hz},
        "input": {"name": name, "layout": f"(batch, time, channel), float32, oldest sample first{length}"},
        "outputs": {"probabilities": {"layout": f"{row}, float32, rows sum to 1"}},
        "opset": OPSET,
    }


def trained_on(facts: dict[str, Any]) -> dict[str, Any]:
    """Where a model comes from, as a manifest says it; `facts` are ``model``, ``run``, ``seed``, ``commit`` and of its data set."""
    found = describe(facts["dataset"])
    dataset = {"name": facts["dataset"], "synthetic": facts["synthetic"], "digest": facts["data_digest"], **found.texts()}
    own = {name: facts[name] for name in ("model", "run", "seed", "commit")}
    return {**own, "datasets": [dataset | {"licence": found.terms, "cite": found.cite}], "licence": "Apache-2.0"}


def as_metadata(entries: dict[str, Any]) -> dict[str, str]:
    """Entries of a manifest as ONNX metadata: every value is JSON."""
    return {name: json.dumps(value) for name, value in entries.items()}


def golden_windows(classifier: WindowClassifier, temperature: float = 1.0) -> dict[str, Any]:
    """Windows with the probabilities torch gives them: synthetic ones of each activity, and edge values.

    They are synthetic whatever the model was trained on, because data sets are not redistributed, and of the six activities
    whatever classes it has: the generator makes no postural transitions of its own.
    """
    window_size = classifier.frontend.window_size
    seconds = max(6.0, 2 * window_size / SAMPLE_RATE_HZ)  # long enough for a window of each activity
    subjects = (1, 2, 3, 4, 5, 6)
    recordings = [synthetic.generate(subject, GOLDEN_SEED, bout_seconds=seconds) for subject in subjects]
    made = windows_of(recordings, window_size=window_size, stride=STRIDE, dataset="golden", synthetic=True)
    chosen = np.concatenate([np.flatnonzero(made.y == label)[:GOLDEN_PER_LABEL] for label in range(len(LABELS))])
    columns = [RAW6.index(name) for name in channel_names(classifier.hparams["channels"])]
    raw = np.concatenate((made.x[chosen], edge_windows(window_size)))[:, :, columns]
    whole = np.rint(raw / GOLDEN_UNIT).astype(int)
    windows = golden_values({"unit": GOLDEN_UNIT, "windows": whole})
    with torch.no_grad():
        probabilities = DeviceGraph(classifier, temperature)(torch.from_numpy(windows)).numpy()
    return {"origin": "synthetic", "unit": GOLDEN_UNIT, "windows": whole.tolist(), "probabilities": rounded(probabilities)}


def edge_windows(window_size: int) -> np.ndarray:
    """(8, window_size, 6): nothing at all, gravity alone on an axis and against it, full scale, one step, one sample, clipped motion."""
    still = np.zeros((window_size, 6))
    upright = still.copy()
    upright[:, 0] = 1.0
    flat = still.copy()
    flat[:, 2] = 1.0
    turn = np.sign(np.sin(np.arange(window_size)))[:, None]
    full = turn * np.repeat(PHONE_FULL_SCALE, 3)
    step = upright.copy()
    step[window_size // 2 :, :3] = (0.0, 0.0, 1.0)  # turned over at once
    knock = upright.copy()
    knock[window_size // 2] = np.repeat(PHONE_FULL_SCALE, 3)
    clipped = upright + turn * 2.0
    return np.stack((still, upright, -upright, flat, full, step, knock, np.clip(clipped, -2.0, 2.0)))


def rounded(probabilities: np.ndarray) -> list[list[float]]:
    """For JSON, with digits enough for the tolerance of any bundle."""
    return [[float(f"{p:.8f}") for p in row] for row in probabilities]
