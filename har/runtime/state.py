"""Bundles whose model carries a state from sample to sample, and the way to open either kind."""

import json
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path

import numpy as np
import onnxruntime as ort

from har.contract import SAMPLE_RATE_HZ, HarError
from har.recording import Recording
from har.runtime.bundle import MODEL, VECTORS, Bundle, golden_values, of_one_folder, read_bundle
from har.runtime.recognizer import AnyRecognizer, Recognizer, Timeline
from har.runtime.session import check_finite, open_checked
from har.runtime.stream import Answer, SampleStream, answer_of

GOLDEN_CHUNKS = (1, 7, 50, 128)  # samples; and the whole stream at once


def load_recognizer(folder: Path | str) -> AnyRecognizer:
    """Open a bundle of either kind; see `Recognizer.load` and `StreamRecognizer.load`."""

    def load(folder: Path) -> AnyRecognizer:
        return Recognizer.load(folder) if read_bundle(folder).main == MODEL else StreamRecognizer.load(folder)

    return of_one_folder(load, Path(folder))


class StreamRecognizer(AnyRecognizer):
    """A bundle with ``streaming.onnx``, ready to read a stream.

    Attributes:
        hop: samples of an answer.
        state_size: numbers that are kept between two samples.
    """

    def __init__(self, bundle: Bundle, session: ort.InferenceSession) -> None:
        super().__init__(bundle, session)
        stream = bundle.manifest["stream"]
        self.hop, self.state_size = int(stream["hop"]), int(stream["state_size"])

    @classmethod
    def load(cls, folder: Path | str, *, self_test: bool = True) -> "StreamRecognizer":
        """Read a bundle, open its model and let it read the golden stream.

        Raises:
            HarError: the bundle is not whole, holds no such model, or it computes something else here.
        """
        bundle = read_bundle(folder)
        if bundle.main == MODEL:
            raise HarError(f"{folder} holds a model of windows, which carries no state; open it with load_recognizer")
        session = open_checked(bundle, bundle.model_path)
        recognizer = cls(bundle, session)
        declared = [item.shape[1:] for item in session.get_inputs()]
        if len(declared) != 2 or declared[0][1] != len(recognizer.channels) or declared[1] != [recognizer.state_size]:
            raise HarError(f"{bundle.model_path} takes inputs of shapes {declared}, which its manifest does not say; export again")
        if self_test:
            recognizer.check_golden()
        return recognizer

    def label_samples(self, samples: np.ndarray, state: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Probabilities of every sample.

        Args:
            samples: (time, channel) float32 at 50 Hz, in g and rad/s.
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

    def check_golden(self) -> tuple[int, float]:
        """Number of golden samples, and the largest difference of a probability over chunks of several lengths.

        Raises:
            HarError: it is above the tolerance: here, this file computes something else than where it was made.
        """
        path, manifest = self.bundle.folder / VECTORS, self.bundle.manifest
        vectors = json.loads(path.read_text(encoding="utf-8"))
        samples, every = golden_values(vectors), int(vectors["every"])
        expected = np.array(vectors["probabilities"], dtype=np.float32)
        if samples.ndim != 2 or expected.shape != (len(samples) // every, len(self.labels)):
            raise HarError(f"{path} holds samples of shape {samples.shape} and probabilities of shape {expected.shape}; export again")
        largest = 0.0
        for chunk in (*GOLDEN_CHUNKS, len(samples)):
            found, state = [], None
            for first in range(0, len(samples), chunk):
                probabilities, state = self.label_samples(samples[first : first + chunk], state)
                found.append(probabilities)
            largest = max(largest, float(np.abs(np.concatenate(found)[every - 1 :: every] - expected).max()))
        if not largest <= manifest["tolerance"]:
            raise HarError(
                f"{self.bundle.model_path}: the golden stream differs by {largest:.2e}, allowed {manifest['tolerance']:.0e}; "
                "this runtime computes something else"
            )
        return len(samples), largest

    def open_stream(self, source_hz: float | None = None) -> "StateStream":
        return StateStream(self, source_hz)

    def predict_parts(self, name: str, pieces: Iterable[tuple[int, Recording]]) -> Iterator[Timeline]:
        answered = False
        for _, stretch in groupby(pieces, key=lambda piece: piece[0]):
            stream = self.open_stream()
            for _, piece in stretch:
                answers = stream.push(piece.samples, piece.time_s)
                if answers:
                    answered = True
                    from_s, to_s = (np.array([getattr(answer, end) for answer in answers]) for end in ("from_s", "to_s"))
                    rows = np.stack([answer.probabilities for answer in answers])
                    yield Timeline(self.labels, from_s, to_s, rows, np.full(len(rows), self.unknown_below))
        if not answered:
            raise HarError(f"{name} has no stretch of {self.hop} samples ({self.hop / SAMPLE_RATE_HZ:.2f} s) without a gap; record longer")


class StateStream(SampleStream):
    """A stream whose model keeps what it needs of the past in a state of fixed size; an answer is the mean over a hop's samples.

    The answers do not depend on how the stream was cut into chunks. A gap starts from an empty state.
    """

    def __init__(self, recognizer: StreamRecognizer, source_hz: float | None = None) -> None:
        self.recognizer = recognizer
        super().__init__(recognizer.channels, source_hz)

    def _restart(self) -> None:
        self._state: np.ndarray | None = None
        self._rows = np.empty((0, len(self.recognizer.labels)), dtype=np.float32)
        self._time_s = np.empty(0)

    def _take(self, samples: np.ndarray, time_s: np.ndarray) -> list[Answer]:
        if not len(samples):
            return []
        rows, self._state = self.recognizer.label_samples(samples, self._state)
        rows, times = np.concatenate((self._rows, rows)), np.concatenate((self._time_s, time_s))
        hop, answers = self.recognizer.hop, []
        while len(rows) >= hop:
            end_s = float(times[hop - 1]) + 1 / SAMPLE_RATE_HZ
            mean = rows[:hop].mean(axis=0)
            answers.append(answer_of(mean, self.recognizer.labels, self.recognizer.unknown_below, float(times[0]), end_s))
            rows, times = rows[hop:], times[hop:]
        self._rows, self._time_s = rows, times
        return answers
