"""Does a bundle compute, here, what it computed where it was made?"""

from pathlib import Path

from har.runtime.bundle import MODEL, read_bundle
from har.runtime.recognizer import Recognizer


def verify(folder: Path | str) -> tuple[int, float]:
    """Check a bundle's files, their metadata against the manifest, and its golden windows in every one of its models.

    Returns:
        Number of golden windows and the largest difference of a probability in the float model.

    Raises:
        HarError: anything differs by more than the manifest's tolerance.
    """
    models = [name for name, said in read_bundle(folder).manifest["models"].items() if "left_out" not in said]
    found = {name: Recognizer.load(folder, name, self_test=False).check_golden(name) for name in models}
    return found[MODEL]
