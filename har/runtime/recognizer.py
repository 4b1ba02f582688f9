"""Activities from windows and from recordings, with the exported model alone."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import groupby
from pathlib import Path

import numpy as np
import onnxruntime as ort

from har.errors import HarError
from har.recording import ReadOptions, Recording
from har.runtime.bundle import Bundle, find_bundle, golden_values, of_one_folder, read_bundle
from har.runtime.inputs import check_windows
from har.runtime.manifest import MODEL, STREAMING, VECTORS
from har.runtime.mounted import MountedModels, Mounting, remount
from har.runtime.session import check_difference, check_finite, open_checked, run_windows
from har.runtime.stream import Answer, SampleStream, StateStream, WindowStream
from har.runtime.timeline import Timeline, joined
from har.signals.windows import cut_windows, window_starts

GOLDEN_CHUNKS = (1, 7, 50, 128)  # samples; and the whole stream at once


def load_model(bundle: Path | str | None = None, model: str | None = None, *, self_test: bool = True) -> "Recognizer":
    """Open a bundle: check its files, open its model, and let it answer the golden windows or the golden stream.

    Args:
        bundle: folder, or name of a bundle that comes with the project (``default``, ``robust``); by default ``default``.
        model: file name of a smaller variant; by default the bundle's main model.
        self_test: off only where the caller runs the golden windows itself.

    Returns:
        A `Recognizer`: ``predict`` for windows, ``predict_recording`` for a recording, ``stream`` for samples as they arrive.

    Raises:
        HarError: the bundle is not whole, the model does not fit its manifest, or it computes something else here.

    Examples:
        >>> import har
        >>> model = har.load_model("default")
        >>> windows = har.load_dataset("synthetic").x[:4]
        >>> model.predict(windows).shape
        (4, 6)
    """

    def load(folder: Path) -> Recognizer:
        return open_model(read_bundle(folder), model, self_test=self_test)

    return of_one_folder(load, find_bundle(None if bundle is None else Path(bundle)))


def open_model(bundle: Bundle, model: str | None = None, *, self_test: bool = True) -> "Recognizer":
    """Open a model of a bundle that was read; see `load_model`."""
    path = bundle.variant_path(model or bundle.main)
    kind = WindowRecognizer if bundle.main == MODEL else StateRecognizer
    recognizer = kind(bundle, open_checked(bundle, path))
    if self_test:
        recognizer.check_golden(model or bundle.main)
    return recognizer


def verify(folder: Path | str) -> tuple[int, float]:
    """Check a bundle's files, their metadata against the manifest, and its golden windows, or its golden stream, in each of its models.

    Returns:
        Number of golden windows, or samples, and the largest difference of a probability in the float model.

    Raises:
        HarError: anything differs by more than the manifest's tolerance.
    """

    def check(folder: Path) -> tuple[int, float]:
        bundle = read_bundle(folder)
        found = {name: open_model(bundle, name, self_test=False).check_golden(name) for name in bundle.models}
        return found[bundle.main]

    return of_one_folder(check, Path(folder))


class Recognizer(ABC):
    """What models of windows and models that carry a state have in common.

    Attributes:
        spec: what the model reads and names.
        labels: names of the activities, in the order of the probabilities.
        channels: names of the channels, in their order.
        unknown_below: least probability that is an answer; 0 where every one is.
        least_samples: of a stretch without a gap, for an answer.
        mounted: the files for streams of a phone whose mounting is not known beforehand; None in most bundles.
    """

    least_samples: int
    mounted: MountedModels | None = None

    def __init__(self, bundle: Bundle, session: ort.InferenceSession) -> None:
        self.bundle, self.session, self.spec = bundle, session, bundle.spec
        self.labels, self.channels = bundle.labels, list(self.spec.channels)
        self.unknown_below = bundle.manifest["unknown"]["below"] or 0.0
        self._stream: SampleStream | None = None

    @abstractmethod
    def predict(self, windows: np.ndarray) -> np.ndarray:
        """Probabilities of windows.

        Args:
            windows: (window, time, channel) or one (time, channel), oldest sample first, acceleration in g, angular
                velocity in rad/s, channels as in the manifest.

        Returns:
            (window, num_classes) float32, in the order of ``labels``.

        Raises:
            HarError: the shape, the order or the units are wrong, or a value or a probability is not finite; or the model reads streams.
        """

    @abstractmethod
    def check_golden(self, model: str) -> tuple[int, float]:
        """Number of golden windows or samples, and the largest difference of a probability.

        Raises:
            HarError: it is above the tolerance: here, this file computes something else than where it was made.
        """

    @abstractmethod
    def open_stream(self, source_hz: float | None = None) -> SampleStream:
        """A stream of its own, as many as wanted; see `SampleStream`."""

    def predict_parts(self, name: str, pieces: Iterable[tuple[int, Recording]]) -> Iterator[Timeline]:
        """Activities over a recording that arrives in pieces, as `read_pieces` yields them, part by part of the timeline.

        Only what the next answer still needs is kept, so that neither the recording nor its timeline has to fit into memory. The
        parts, one behind the other, do not depend on where the pieces were cut.

        Args:
            name: of the recording, for the error message.
            pieces: number of the stretch without a gap, and the next piece of it.

        Raises:
            HarError: no stretch is long enough for an answer.
        """
        mounting = self.start_mounting()  # a gap is no reason to wear the phone otherwise
        answered = False
        for _, stretch in groupby(pieces, key=lambda piece: piece[0]):
            for part in self._predict_stretch((piece for _, piece in stretch), mounting):
                answered = True
                yield part
        if not answered:
            seconds = self.least_samples / self.spec.sample_rate_hz
            raise HarError(
                "recording-short", f"{name} has no stretch of {self.least_samples} samples ({seconds:.2f} s) without a gap; record longer"
            )

    @abstractmethod
    def _predict_stretch(self, pieces: Iterable[Recording], mounting: Mounting | None) -> Iterator[Timeline]:
        """Parts of the timeline of a stretch without a gap."""

    def start_mounting(self) -> Mounting | None:
        """What `WindowRecognizer.predict_in_order` learns along one stream; None where the bundle has no use for it."""
        return None if self.mounted is None else self.mounted.start()

    def predict_pieces(self, name: str, pieces: Iterable[tuple[int, Recording]]) -> Timeline:
        """The whole timeline of a recording that arrives in pieces; see `predict_parts`."""
        return joined(list(self.predict_parts(name, pieces)))

    def stream(self, chunk: np.ndarray, time_s: np.ndarray | None = None) -> list[Answer]:
        """Answers that the next samples at the model's rate complete; see `SampleStream.push`, and `open_stream` for other rates."""
        if self._stream is None:
            self._stream = self.open_stream()
        return self._stream.push(chunk, time_s)

    def reading(self, options: ReadOptions) -> ReadOptions:
        """How a recording is read for this model: its sensors, at its rate."""
        least_hz = self.bundle.manifest.get("needs", {}).get("least_rate_hz", options.least_rate_hz)
        return replace(options, sensors=self.spec.sensor_names, sample_rate_hz=self.spec.sample_rate_hz, least_rate_hz=least_hz)

    def predict_recording(self, recording: Recording) -> Timeline:
        """Activities over a recording in memory; no answer crosses a gap. See `predict_pieces`.

        Raises:
            HarError: also where its rate is not the model's.
        """
        if recording.sample_rate_hz != self.spec.sample_rate_hz:
            raise HarError(
                "recording-rate",
                f"{recording.name} has {recording.sample_rate_hz:g} samples a second, the model takes {self.spec.sample_rate_hz:g}; "
                f"read it with har.read_recording(path, sample_rate_hz={self.spec.sample_rate_hz:g})",
            )
        missing = [channel for channel in self.channels if channel not in recording.channels]
        if missing:
            raise HarError(
                "recording-columns",
                f"{recording.name} has {', '.join(recording.channels)}, and the model needs {', '.join(missing)} as well; "
                "record them, or take a model that does without",
            )
        if recording.channels != tuple(self.channels):
            kept = [recording.channels.index(channel) for channel in self.channels]
            recording = replace(recording, samples=recording.samples[:, kept], channels=tuple(self.channels))
        runs = [recording.part(first, stop) for first, stop in recording.contiguous_runs()]
        return self.predict_pieces(recording.name, enumerate(runs))


class WindowRecognizer(Recognizer):
    """A bundle, ready to predict.

    Attributes:
        window_size, stride: samples of a window, and from one to the next.
    """

    def __init__(self, bundle: Bundle, session: ort.InferenceSession) -> None:
        super().__init__(bundle, session)
        self.mounted = MountedModels(bundle) if bundle.manifest.get("mounting") else None
        assert self.spec.window_size is not None  # `read_manifest` has seen to it
        assert self.spec.stride is not None
        self.window_size, self.stride = self.spec.window_size, self.spec.stride
        self.least_samples = self.window_size
        declared, expected = session.get_inputs()[0].shape[1:], [self.window_size, len(self.channels)]
        if declared != expected:
            raise HarError(
                "bundle-invalid",
                f"{bundle.folder / bundle.main} takes windows of shape {declared}, the manifest says {expected}; export again",
            )

    def check_golden(self, model: str = MODEL) -> tuple[int, float]:
        """As `Recognizer.check_golden`, one by one and all at once."""
        path, vectors = self.bundle.folder / VECTORS, self.bundle.vectors()
        listed = vectors["probabilities"] if model == MODEL else vectors["variants"][model]
        windows, expected = golden_values(vectors), np.array(listed, dtype=np.float32)
        if not len(windows) or expected.shape != (len(windows), len(self.labels)):
            raise HarError(
                "bundle-invalid", f"{path} holds {len(windows)} windows and probabilities of shape {expected.shape}; export again"
            )
        found = [run_windows(self.session, windows, batch_size=size) for size in (1, len(windows))]
        what, tolerance = f"{self.bundle.folder / model}: a golden window", self.bundle.tolerance(model)
        largest = check_difference(what, np.stack(found) - expected, tolerance)
        if self.mounted is not None:
            largest = max(largest, self.mounted.check_golden())
        return len(windows), largest

    def open_stream(self, source_hz: float | None = None) -> WindowStream:
        return WindowStream(self, source_hz)

    def predict(self, windows: np.ndarray) -> np.ndarray:
        return run_windows(self.session, self._checked(windows))

    def _checked(self, windows: np.ndarray) -> np.ndarray:
        windows = np.asarray(windows, dtype=np.float32)
        if windows.ndim == 2:
            windows = windows[np.newaxis]
        check_windows(windows, self.spec)
        return windows

    def predict_in_order(self, windows: np.ndarray, mounting: Mounting | None) -> tuple[np.ndarray, np.ndarray]:
        """Probabilities of the next windows of a stream.

        With `start_mounting`, a window is turned and answered by the model of phones in their place, as soon as the windows up to it have
        told how the phone is mounted; before that, by the model of any mounting, as in `predict`.

        Args:
            windows: as in `predict`.
            mounting: what the stream has told so far; it learns. None answers every window by itself.

        Returns:
            (window, num_classes) probabilities, and (window,) the least one that is an answer.

        Raises:
            HarError: as `predict`.
        """
        if self.mounted is None or mounting is None:
            probabilities = self.predict(windows)
            return probabilities, np.full(len(probabilities), self.unknown_below)
        windows = self._checked(windows)
        known, in_place = remount(self.mounted.estimator, windows, mounting)
        probabilities = np.empty((len(windows), len(self.labels)), dtype=np.float32)
        probabilities[known] = run_windows(self.mounted.model, in_place)
        probabilities[~known] = run_windows(self.session, windows[~known])
        return probabilities, np.where(known, self.mounted.unknown_below, self.unknown_below)

    def _predict_stretch(self, pieces: Iterable[Recording], mounting: Mounting | None) -> Iterator[Timeline]:
        """Parts of the timeline of a stretch; the borders between windows lie half-way between their centres."""
        samples, time_s = np.empty((0, len(self.channels)), dtype=np.float32), np.empty(0)
        held: tuple[np.ndarray, ...] = ()  # start, probabilities and threshold of the last window, which lasts until the next one begins
        half, before = self.window_size // 2, self.stride - self.stride // 2
        end_s = 0.0
        for piece in pieces:
            samples, time_s = np.concatenate((samples, piece.samples)), np.concatenate((time_s, piece.time_s))
            starts = window_starts(len(samples), self.window_size, self.stride)
            if not len(starts):
                continue
            rows, below = self.predict_in_order(cut_windows(samples, starts, self.window_size), mounting)
            begin_s = time_s[starts + half - before]
            if held:
                begin_s, rows, below = (np.concatenate(pair) for pair in zip(held, (begin_s, rows, below), strict=True))
            else:
                begin_s[0] = time_s[0]  # the first window speaks from the very start of the stretch
            if len(rows) > 1:
                yield Timeline(self.labels, begin_s[:-1], begin_s[1:], rows[:-1], below[:-1], self.spec.sample_rate_hz)
            held = begin_s[-1:], rows[-1:], below[-1:]
            end_s = float(time_s[starts[-1] + self.window_size - 1]) + 1 / self.spec.sample_rate_hz
            drop = int(starts[-1]) + self.stride
            samples, time_s = samples[drop:], time_s[drop:]
        if held:
            begin_s, rows, below = held
            yield Timeline(self.labels, begin_s, np.array([end_s]), rows, below, self.spec.sample_rate_hz)


class StateRecognizer(Recognizer):
    """A bundle with ``streaming.onnx``, ready to read a stream.

    Attributes:
        hop: samples of an answer.
        state_size: numbers that are kept between two samples.
    """

    def __init__(self, bundle: Bundle, session: ort.InferenceSession) -> None:
        super().__init__(bundle, session)
        stream = bundle.manifest["stream"]
        self.hop, self.state_size = int(stream["hop"]), int(stream["state_size"])
        self.least_samples = self.hop
        declared = [item.shape[1:] for item in session.get_inputs()]
        if len(declared) != 2 or declared[0][1] != len(self.channels) or declared[1] != [self.state_size]:
            path = bundle.folder / bundle.main
            raise HarError("bundle-invalid", f"{path} takes inputs of shapes {declared}, which its manifest does not say; export again")

    def label_samples(self, samples: np.ndarray, state: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Probabilities of every sample.

        Args:
            samples: (time, channel) float32 at the model's rate, in g and rad/s.
            state: (state_size,) behind the samples before; None at the start of a recording and behind a gap.

        Returns:
            (time, num_classes), and the state behind the last sample.

        Raises:
            HarError: a probability or a value of the state is not finite.
        """
        kept = np.zeros(self.state_size, dtype=np.float32) if state is None else state
        names = [item.name for item in self.session.get_inputs()]
        given = {names[0]: np.ascontiguousarray(samples[None], dtype=np.float32), names[1]: kept[None]}
        probabilities, kept = self.session.run(None, given)
        check_finite(probabilities[0], "sample")
        check_finite(kept, "sample")
        return probabilities[0], kept[0]

    def predict(self, windows: np.ndarray) -> np.ndarray:
        raise HarError(
            "argument", f"{self.bundle.folder} holds a model of streams, which answers no single windows; use stream, or predict_recording"
        )

    def check_golden(self, model: str = STREAMING) -> tuple[int, float]:
        """Number of golden samples, and the largest difference of a probability over chunks of several lengths.

        Raises:
            HarError: it is above the tolerance: here, this file computes something else than where it was made.
        """
        path, vectors = self.bundle.folder / VECTORS, self.bundle.vectors()
        samples, every = golden_values(vectors), int(vectors["every"])
        expected = np.array(vectors["probabilities"], dtype=np.float32)
        if samples.ndim != 2 or expected.shape != (len(samples) // every, len(self.labels)):
            raise HarError(
                "bundle-invalid", f"{path} holds samples of shape {samples.shape} and probabilities of shape {expected.shape}; export again"
            )
        differences = []
        for chunk in (*GOLDEN_CHUNKS, len(samples)):
            found, state = [], None
            for first in range(0, len(samples), chunk):
                probabilities, state = self.label_samples(samples[first : first + chunk], state)
                found.append(probabilities)
            differences.append(np.concatenate(found)[every - 1 :: every] - expected)
        what = f"{self.bundle.folder / model}: the golden stream"
        return len(samples), check_difference(what, np.stack(differences), self.bundle.tolerance(model))

    def open_stream(self, source_hz: float | None = None) -> StateStream:
        return StateStream(self, source_hz)

    def _predict_stretch(self, pieces: Iterable[Recording], mounting: Mounting | None) -> Iterator[Timeline]:
        stream = self.open_stream()
        for piece in pieces:
            answers = stream.push(piece.samples, piece.time_s)
            if answers:
                from_s, to_s = (np.array([getattr(answer, end) for answer in answers]) for end in ("from_s", "to_s"))
                rows = np.stack([answer.probabilities for answer in answers])
                yield Timeline(self.labels, from_s, to_s, rows, np.full(len(rows), self.unknown_below), self.spec.sample_rate_hz)
