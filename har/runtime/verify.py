"""Does a bundle compute, here, what it computed where it was made?"""

from pathlib import Path

from har.runtime.bundle import of_one_folder, read_bundle
from har.runtime.recognizer import open_model


def verify(folder: Path | str) -> tuple[int, float]:
    """Check a bundle's files, their metadata against the manifest, and its golden windows, or its golden stream, in each of its models.

    Returns:
        Number of golden windows, or samples, and the largest difference of a probability in the float model.

    Raises:
        HarError: anything differs by more than the manifest's tolerance.
    """
    return of_one_folder(_verify, Path(folder))


def _verify(folder: Path) -> tuple[int, float]:
    bundle = read_bundle(folder)
    found = {name: open_model(bundle, name, self_test=False).check_golden(name) for name in bundle.models}
    return found[bundle.main]
