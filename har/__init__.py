"""Human activity recognition from wearable sensors: honest training and a verified model for the device.

Importing this package imports nothing heavy; what is named in ``__all__`` is imported when it is first used. Those names are the public
API, which is documented, tested and stable; everything else may change.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from har.data.prepare import load_dataset as load_dataset
    from har.data.splits import split as split
    from har.data.windowset import WindowSet as WindowSet
    from har.errors import HarError as HarError
    from har.models.registry import create_model as create_model
    from har.recording import Recording as Recording
    from har.recording import read_recording as read_recording
    from har.runs.evaluate import evaluate as evaluate
    from har.runs.export import export as export
    from har.runs.train import train as train
    from har.runtime.recognizer import load_model as load_model
    from har.sklearn import ActivityClassifier as ActivityClassifier

__version__ = "0.1.0"
PLACES = {
    "ActivityClassifier": "har.sklearn",
    "HarError": "har.errors",
    "Recording": "har.recording",
    "WindowSet": "har.data.windowset",
    "create_model": "har.models.registry",
    "evaluate": "har.runs.evaluate",
    "export": "har.runs.export",
    "load_dataset": "har.data.prepare",
    "load_model": "har.runtime.recognizer",
    "read_recording": "har.recording",
    "split": "har.data.splits",
    "train": "har.runs.train",
}
__all__ = list(PLACES)


def __getattr__(name: str) -> Any:
    """A name of the public API, imported when it is first used."""
    if name not in PLACES:
        raise AttributeError(f"module 'har' has no attribute {name!r}; it has {', '.join(__all__)}")
    return getattr(import_module(PLACES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
