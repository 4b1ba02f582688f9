"""Human activity recognition from wearable sensors: honest training and a verified model for the device.

Importing this package imports nothing heavy; a room (``har.models``, ``har.runtime``, ...) is imported where it is used.
"""

__version__ = "0.1.0"
