"""The trained bundles that come with the project: in a clone below `export/pretrained`, in an installed package inside it."""

from pathlib import Path

from har.errors import HarError, nearest
from har.redaction import shown
from har.runtime.bundle import Bundle

PLACES = (Path(__file__).parents[2] / "export" / "pretrained", Path(__file__).parents[1] / "pretrained")


def pretrained(name: str = "default") -> Path:
    """Folder of a bundle that came with the project.

    Raises:
        HarError: there is none of that name.
    """
    for place in PLACES:
        if (place / name / "manifest.json").is_file():
            return place / name
    names = sorted({path.parent.name for place in PLACES for path in place.glob("*/manifest.json")})
    if not names:
        raise HarError("name-unknown", "no pretrained bundle came with this installation; export one: har export")
    raise HarError("name-unknown", f"no pretrained bundle {name!r}; {nearest(name, names)}")


def find_bundle(folder: Path | None) -> Path:
    """The bundle that was named, by its folder or as a pretrained one; by default the pretrained default."""
    if folder is None:
        return pretrained()
    is_name = len(folder.parts) == 1 and not folder.exists()
    return next((place / folder for place in PLACES if is_name and (place / folder / "manifest.json").is_file()), folder)


def bundle_line(bundle: Bundle) -> str:
    """Which bundle answers: its name, model, data set and folder, in one line."""
    data = f"{bundle.datasets}{', SYNTHETIC data' * bundle.synthetic}"
    return shown(f"bundle {bundle.folder.resolve().name}: {bundle.manifest['model']} trained on {data}, {bundle.folder}")
