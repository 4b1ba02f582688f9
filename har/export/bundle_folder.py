"""What every bundle has: a folder that appears only when it holds, checksums, terms and versions."""

import contextlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import onnxruntime
import torch

import har
from har.contract import HarError
from har.data.prepare import describe
from har.export.model_card import model_card
from har.files import CannotWriteError, cannot_write, remove_stale, staging
from har.runtime.bundle import CARD, MANIFEST, replace_folder, sha256
from har.runtime.verify import verify


@contextlib.contextmanager
def staged(folder: Path) -> Iterator[Path]:
    """A folder to write a bundle into; at the end it is verified and takes the place of `folder`, or is gone.

    Raises:
        HarError: `folder` is something else than a bundle, the disk is full, or the bundle does not hold.
    """
    if folder.exists() and any(folder.iterdir()) and not (folder / MANIFEST).is_file():
        raise HarError(f"{folder} exists and is not a bundle; name another folder with --output")
    try:
        remove_stale(folder.parent, folder.name)  # of exports that were killed
        with staging(folder.parent, folder.name) as temporary:
            temporary.chmod(0o755)
            yield temporary
            verify(temporary)
            replace_folder(temporary, folder)
    except (OSError, CannotWriteError) as error:
        raise cannot_write(folder, error, "the bundle", "name another folder with --output") from None


def finish(folder: Path, manifest: dict[str, Any], names: Sequence[str]) -> None:
    """Write the model card, and the manifest with the checksums of it and of the files `names`."""
    (folder / CARD).write_text(model_card(manifest), encoding="utf-8")
    manifest["files"] = {name: sha256(folder / name) for name in (*names, CARD)}
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")


def about_data(dataset: str) -> dict[str, dict[str, str]]:
    """The entries ``dataset_description`` and ``licence`` of the manifest."""
    found = describe(dataset)
    licence = {"code_and_weights": "Apache-2.0", "training_data": found.terms, "cite": found.cite}
    return {"dataset_description": found.texts(), "licence": licence}


def made_with() -> dict[str, str]:
    """Versions of what made a bundle."""
    return {"wearable-har": har.__version__, "torch": torch.__version__, "onnxruntime": onnxruntime.__version__}
