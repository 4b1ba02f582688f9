"""Human activity recognition from wearable sensors: honest training and a verified model for the device.

Importing this package imports nothing heavy; what is named in ``__all__`` is imported when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from har.contract import HarError
    from har.runtime.recognizer import load_model

__version__ = "0.1.0"
__all__ = ["HarError", "load_model"]
PLACES = {"HarError": "har.contract", "load_model": "har.runtime.recognizer"}


def __getattr__(name: str) -> Any:
    """A name of the public API, imported when it is first used."""
    if name not in PLACES:
        raise AttributeError(f"module 'har' has no attribute {name!r}; it has {', '.join(__all__)}")
    return getattr(import_module(PLACES[name]), name)
