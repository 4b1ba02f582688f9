"""What every bundle has: a folder that appears only when it holds, checksums, terms and versions."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import onnxruntime
import torch

import har
from har.contract import OPSET
from har.data.prepare import describe
from har.errors import HarError
from har.exporting.model_card import model_card
from har.files import CannotWriteError, cannot_write, remove_stale, staging
from har.models.module import TaskModule
from har.runtime.bundle import replace_folder, sha256
from har.runtime.manifest import CARD, FORMAT, MANIFEST
from har.runtime.recognizer import verify

LEAST_RATE = 0.8  # of the model's rate: people move up to 20 Hz, and a model of 50 Hz needs 40


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
    """Write the model card and the manifest, whose entry ``files`` gets size and checksum of every file.

    Args:
        folder: with the files.
        manifest: what it says of each of them; the card is added.
    """
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


def made_with() -> dict[str, str]:
    """Versions of what made a bundle."""
    return {"wearable-har": har.__version__, "torch": torch.__version__, "onnxruntime": onnxruntime.__version__}
