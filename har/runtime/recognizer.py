"""Activities from windows and from recordings, with the exported model alone."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby, pairwise
from pathlib import Path

import numpy as np
import onnxruntime as ort

from har.contract import SAMPLE_RATE_HZ, HarError
from har.recording import Recording
from har.runtime.bundle import Bundle, read_bundle
from har.runtime.session import open_session, run_windows
from har.signals.windows import cut_windows, window_starts


@dataclass(frozen=True)
class Timeline:
    """Activities over a recording.

    Attributes:
        labels: names of the activities, in the order of ``probabilities``.
        from_s: (window,) start of the stretch a window speaks for, in the recording's own time.
        to_s: (window,) its end. Between two overlapping windows the border is half-way between their centres.
        probabilities: (window, num_classes).
    """

    labels: list[str]
    from_s: np.ndarray
    to_s: np.ndarray
    probabilities: np.ndarray

    def spans(self) -> list[tuple[float, float, str, float, int]]:
        """Runs of one activity: start in s, end in s, label, mean confidence, windows. A gap in time ends a run."""
        best = self.probabilities.argmax(axis=1)
        new = (np.diff(best) != 0) | (self.from_s[1:] > self.to_s[:-1] + 1e-9)
        edges = [0, *(np.flatnonzero(new) + 1).tolist(), len(best)]
        return [
            (float(self.from_s[a]), float(self.to_s[b - 1]), self.labels[best[a]], float(self.probabilities[a:b, best[a]].mean()), b - a)
            for a, b in pairwise(edges)
        ]


class Recognizer:
    """A bundle, ready to predict."""

    def __init__(self, bundle: Bundle, session: ort.InferenceSession) -> None:
        self.bundle = bundle
        self.session = session
        self.labels = bundle.labels
        self.window_size = int(bundle.manifest["input"]["window_size"])
        self.stride = int(bundle.manifest["input"]["stride"])
        self.channels = [channel["name"] for channel in bundle.manifest["input"]["channels"]]

    @classmethod
    def load(cls, folder: Path | str) -> "Recognizer":
        """Read a bundle and open its model.

        Raises:
            HarError: the bundle is not whole, or the model does not fit its manifest.
        """
        bundle = read_bundle(folder)
        session = open_session(bundle.model_path)
        _check_manifest(bundle, session)
        recognizer = cls(bundle, session)
        declared = recognizer.session.get_inputs()[0].shape[1:]
        expected = [recognizer.window_size, len(recognizer.channels)]
        if declared != expected:
            raise HarError(f"{bundle.model_path} takes windows of shape {declared}, the manifest says {expected}; export again")
        return recognizer

    def predict(self, windows: np.ndarray) -> np.ndarray:
        """Probabilities of windows.

        Args:
            windows: (window, time, channel) or one (time, channel), oldest sample first, acceleration in g, angular
                velocity in rad/s, channels as in the manifest.

        Returns:
            (window, num_classes) float32, in the order of ``labels``.

        Raises:
            HarError: the shape is wrong or a value is not finite.
        """
        windows = np.asarray(windows, dtype=np.float32)
        if windows.ndim == 2:
            windows = windows[np.newaxis]
        expected = (self.window_size, len(self.channels))
        if windows.ndim != 3 or windows.shape[1:] != expected:
            raise HarError(
                f"windows have shape {windows.shape}, expected (window, {expected[0]}, {expected[1]}): "
                f"time, then {', '.join(self.channels)}"
            )
        if not np.isfinite(windows).all():
            window, sample, channel = np.argwhere(~np.isfinite(windows))[0]
            raise HarError(
                f"window {window} is not finite at sample {sample}, channel {self.channels[channel]}; interpolate or leave it out"
            )
        return run_windows(self.session, windows)

    def predict_recording(self, recording: Recording) -> Timeline:
        """Activities over a recording in memory. No window crosses a gap.

        Raises:
            HarError: no stretch is as long as a window.
        """
        runs = [recording.part(first, stop) for first, stop in recording.contiguous_runs()]
        return self.predict_pieces(recording.name, enumerate(runs))

    def predict_pieces(self, name: str, pieces: Iterable[tuple[int, Recording]]) -> Timeline:
        """Activities over a recording that arrives in pieces, as `read_pieces` yields them.

        Only what the next window still needs is kept. The result does not depend on where the pieces were cut.

        Args:
            name: of the recording, for the error message.
            pieces: number of the stretch without a gap, and the next piece of it.

        Raises:
            HarError: no stretch is as long as a window.
        """
        parts: list[np.ndarray] = []
        from_s: list[np.ndarray] = []
        to_s: list[np.ndarray] = []
        for _, stretch in groupby(pieces, key=lambda piece: piece[0]):
            found = self._predict_stretch(piece for _, piece in stretch)
            if found is not None:
                probabilities, begin_s, end_s = found
                parts.append(probabilities)
                from_s.append(begin_s)
                to_s.append(end_s)
        if not parts:
            seconds = self.window_size / SAMPLE_RATE_HZ
            raise HarError(f"{name} has no stretch of {self.window_size} samples ({seconds:.2f} s) without a gap; record longer")
        return Timeline(self.labels, np.concatenate(from_s), np.concatenate(to_s), np.concatenate(parts))

    def _predict_stretch(self, pieces: Iterable[Recording]) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
        """Probabilities, start and end of what each window speaks for; the borders lie half-way between window centres."""
        samples, time_s = np.empty((0, len(self.channels)), dtype=np.float32), np.empty(0)
        parts: list[np.ndarray] = []
        border_s: list[np.ndarray] = []
        end_s = 0.0
        half, before = self.window_size // 2, self.stride - self.stride // 2
        for piece in pieces:
            samples, time_s = np.concatenate((samples, piece.samples)), np.concatenate((time_s, piece.time_s))
            starts = window_starts(len(samples), self.window_size, self.stride)
            if not len(starts):
                continue
            parts.append(self.predict(cut_windows(samples, starts, self.window_size)))
            # The first window speaks from the very start of the stretch.
            border_s.append(time_s[starts + half - before] if border_s else np.append(time_s[:1], time_s[starts[1:] + half - before]))
            end_s = time_s[starts[-1] + self.window_size - 1] + 1 / SAMPLE_RATE_HZ
            drop = int(starts[-1]) + self.stride
            samples, time_s = samples[drop:], time_s[drop:]
        if not parts:
            return None
        begin_s = np.concatenate(border_s)
        return np.concatenate(parts), begin_s, np.append(begin_s[1:], end_s)


def _check_manifest(bundle: Bundle, session: ort.InferenceSession) -> None:
    """The manifest is not covered by a checksum, so what decides an answer must also stand in the model, which is."""
    inside = session.get_modelmeta().custom_metadata_map
    for name in ("labels", "input", "opset", "dataset", "synthetic"):
        if name not in inside or json.loads(inside[name]) != bundle.manifest[name]:
            raise HarError(
                f"{bundle.model_path} says {name} = {inside.get(name)}, the manifest says {json.dumps(bundle.manifest[name])}; export again"
            )
