"""A continuous recording: its files, its units and times, and what is wrong with them. Needs numpy only, as the device does."""

from har.recording.reading import ReadReport, read_pieces, read_recording
from har.recording.source import is_export
from har.recording.tables import ReadOptions
from har.recording.types import COLUMNS, UNLABELLED, Recording, write_csv

__all__ = ["COLUMNS", "UNLABELLED", "ReadOptions", "ReadReport", "Recording", "is_export", "read_pieces", "read_recording", "write_csv"]
