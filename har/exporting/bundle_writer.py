"""Write the bundle: the model, smaller variants, manifest, golden windows and model card; `export/README.md` specifies it."""

import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from har.contract import MEASURED, PARITY_TOLERANCE
from har.errors import HarError
from har.exporting.bundle_folder import as_metadata, finish, golden_windows, rounded, signal_entries, staged, trained_on
from har.exporting.mounting_export import MountingPart
from har.exporting.onnx_file import export_onnx, one_line, parity
from har.exporting.quantise import INT8, MIN_AGREEMENT, RECIPES, SMALL, judge
from har.files import CannotWriteError
from har.models.classifier import WindowClassifier
from har.models.module import TaskModule
from har.runtime.bundle import golden_values, sha256
from har.runtime.manifest import MODEL, VECTORS
from har.runtime.session import open_session, run_windows

# Of a probability between machines: int8 arithmetic rounds otherwise on other processors.
VARIANT_TOLERANCE = {INT8: 0.01, SMALL: PARITY_TOLERANCE}
DEFAULT_THRESHOLD = 0.5  # of two labels the other would be as probable; also the least that is fitted
NOT_FITTED = "not fitted:"
NO_JURY = "nobody was held out from this run, so that no one can judge it; train the same config with validation subjects too"
WINDOW_STREAM = "the network looks at a whole window at once; a device keeps the last samples and asks anew after each hop"


@dataclass(frozen=True)
class BundleResult:
    """What an export proved."""

    folder: Path
    parity: float
    parity_windows: int
    golden: int
    files: dict[str, dict[str, Any]]
    left_out: dict[str, dict[str, Any]]

    @property
    def bytes(self) -> int:
        """Size of all files but the manifest."""
        return sum(entry["bytes"] for entry in self.files.values())


@dataclass(frozen=True)
class Answering:
    """Temperature of the probabilities, and the threshold below which a client answers "unknown".

    Attributes:
        temperature: of the softmax; 1 where it was not fitted.
        unknown_below: least probability that is an answer; `DEFAULT_THRESHOLD` where too few were held out to fit it, None, so that every
            answer counts, where no subject was.
        fitted_on: subjects and windows that both were fitted on, or why they were not.
        answered: share of those windows that get an answer.
        right: share of the answers that are right.
    """

    temperature: float = 1.0
    unknown_below: float | None = None
    fitted_on: str = f"{NOT_FITTED} no subjects were held out"
    answered: float = 1.0
    right: float | None = None

    def said(self) -> dict[str, dict[str, Any]]:
        """The entries ``temperature`` and ``unknown`` of the manifest."""
        unknown = {"below": self.unknown_below, "answered": self.answered, "right": self.right, "fitted_on": self.fitted_on}
        return {"temperature": {"value": self.temperature, "fitted_on": self.fitted_on}, "unknown": unknown}


@dataclass(frozen=True)
class Jury:
    """Who decides whether a smaller file is good enough: people whose windows the weights have not seen.

    Attributes:
        classifier: of the same config as the exported one; None where that itself has not seen these people.
        windows: (window, time, channel) of its validation subjects.
        y: (window,) index of their activity.
        calibration: (window, time, channel) of its training subjects.
        who: said in the manifest.
    """

    classifier: WindowClassifier | None
    windows: np.ndarray
    y: np.ndarray
    calibration: np.ndarray
    who: str


@dataclass(frozen=True)
class Evidence:
    """What is known of a model beside its weights.

    Attributes:
        metrics: scores of the saved weights with intervals, by split.
        answering: temperature and threshold.
        jury: who judges the smaller files; without one there are none.
        tested: runtimes that golden windows were run on: ``runtime``, ``version``, ``processor``, and ``sha256`` of the model they ran.
        robustness: what the model loses when it is worn or read otherwise than in training.
    """

    metrics: dict[str, Any] = field(default_factory=dict)
    answering: Answering = field(default_factory=Answering)
    jury: Jury | None = None
    tested: Sequence[dict[str, str]] = ()
    robustness: Sequence[dict[str, Any]] = ()


def write_bundle(
    classifier: WindowClassifier,
    folder: Path,
    *,
    facts: dict[str, Any],
    windows: np.ndarray,
    evidence: Evidence | None = None,
    mounting: MountingPart | None = None,
) -> BundleResult:
    """Export, check and write a bundle; `folder` is replaced only after everything held.

    Args:
        classifier: trained on channels of ``contract.MEASURED``, with its specification.
        folder: of the bundle.
        facts: ``model``, ``run``, ``seed``, ``dataset``, ``synthetic``, ``data_digest``, ``commit``.
        windows: (window, time, channel) real windows for the parity check against torch, at least 256.
        evidence: scores, calibration and who judges smaller files.
        mounting: for streams of a phone whose mounting is not known beforehand.

    Raises:
        HarError: the model needs channels that no phone delivers, or a check failed; nothing is written then.
    """
    if classifier.hparams["channels"] not in MEASURED:
        raise HarError(
            "not-exportable",
            f"{facts['run']} was trained on {classifier.hparams['channels']}, whose body acceleration a phone does not deliver; "
            "train with data.channels: raw6 to export",
        )
    evidence = evidence or Evidence()
    size, stride = classifier.frontend.window_size, classifier.spec and classifier.spec.stride
    stream = {"kind": "ring_buffer", "samples": size, "hop": stride, "reason": WINDOW_STREAM}
    said = what_is_said(classifier, facts, evidence.answering, stream, evidence.metrics)
    if mounting is not None:
        mounting.check(classifier)
        said["mounting"] = mounting.said()
    temperature = evidence.answering.temperature
    with staged(folder) as temporary:
        export_onnx(classifier, temporary / MODEL, as_metadata(said), temperature)
        difference = parity(classifier, temporary / MODEL, windows, temperature)
        golden = golden_windows(classifier, temperature)
        golden["variants"] = {}
        kept, left_out = _write_variants(temporary, windows, evidence, golden)
        beside = mounting.write(temporary, said, windows, golden) if mounting is not None else ()
        (temporary / VECTORS).write_text(json.dumps(golden, separators=(",", ":")), encoding="utf-8")
        manifest = {
            **said,
            "files": {MODEL: {"kind": "float32"}, **kept, **{name: {} for name in (*beside, VECTORS)}},
            "left_out": left_out,
            "tolerance": PARITY_TOLERANCE,
            "parity": {"windows": len(windows), "largest_difference": difference},
            "tested": tested_in(evidence.tested, sha256(temporary / MODEL)),
            "robustness": list(evidence.robustness),
        }
        finish(temporary, manifest)
    return BundleResult(folder, difference, len(windows), len(golden["windows"]), manifest["files"], left_out)


def what_is_said(
    module: TaskModule, facts: dict[str, Any], answering: Answering, stream: dict[str, Any], metrics: dict[str, Any]
) -> dict[str, Any]:
    """All that is known before the files are written; it stands in the manifest and in each ONNX file."""
    parameters = {"parameters": module.num_parameters}
    return {**trained_on(facts), **signal_entries(module), **parameters, **answering.said(), "stream": stream, "metrics": metrics}


def tested_in(tested: Sequence[dict[str, str]], digest: str) -> list[dict[str, str]]:
    """Runtimes in which these very bytes held; an export is equal to the byte, so that it may have been tested before."""
    return [{name: row[name] for name in ("runtime", "version", "processor")} for row in tested if row["sha256"] == digest]


def _write_variants(
    folder: Path, windows: np.ndarray, evidence: Evidence, golden: dict[str, Any]
) -> tuple[dict[str, dict[str, Any]], dict[str, dict[str, Any]]]:
    """Write the smaller files that are good enough.

    Args:
        folder: with the float file.
        windows: of the parity check.
        evidence: with the jury.
        golden: content of the golden windows' file; gets the answers of each file that is kept.

    Returns:
        What the manifest says of each file that is kept, and of each that is left out, with the reason.
    """
    jury = evidence.jury
    if jury is None:
        return {}, {name: {"kind": kind, "reason": NO_JURY} for name, (kind, _) in RECIPES.items()}
    kept: dict[str, dict[str, Any]] = {}
    left_out: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as apart:
        bench = folder
        if jury.classifier is not None:
            bench = Path(apart)
            export_onnx(jury.classifier, bench / MODEL, {}, evidence.answering.temperature)
        for name, (kind, recipe) in RECIPES.items():
            said: dict[str, Any] = {"kind": kind}
            try:
                with one_line("it cannot be made"):
                    for place in {folder, bench}:
                        recipe(place / MODEL, place / name, jury.calibration)
                    judgement = judge(bench / MODEL, bench / name, jury.windows, jury.y)
                    # Of the exported weights themselves only the answers are compared: they may have seen these windows.
                    own = judge(folder / MODEL, folder / name, windows, np.zeros(len(windows), dtype=int))
                    answers, difference = golden_answers(folder / name, golden)
            except HarError as reason:  # an optional file never ends the export
                if isinstance(reason, CannotWriteError):
                    raise
                refusal: str | None = str(reason).replace(f"{folder}/", "").replace(f"{bench}/", "")
            else:
                refusal = judgement.refusal()
                if refusal is None and own.agreement < MIN_AGREEMENT:
                    refusal = f"{100 * own.agreement:.2f} % of the {len(windows)} windows of the parity check get the same activity"
                if refusal is None and not difference <= VARIANT_TOLERANCE[name]:
                    refusal = (
                        f"a golden window's probability differs by {difference:.2e} between one window at a time and all at once, "
                        f"allowed {VARIANT_TOLERANCE[name]:.0e}"
                    )
                said |= {
                    "label_agreement": judgement.agreement,
                    "accuracy_change": judgement.accuracy_change,
                    "windows": judgement.windows,
                    "judged_on": jury.who,
                }
            if refusal is None:
                kept[name] = said | {"tolerance": VARIANT_TOLERANCE[name]}
                golden["variants"][name] = answers
            else:
                left_out[name] = said | {"reason": refusal}
                (folder / name).unlink(missing_ok=True)
    return kept, left_out


def golden_answers(path: Path, golden: dict[str, Any]) -> tuple[list[list[float]], float]:
    """Probabilities that an ONNX file gives golden windows here, one by one, and their largest difference to those of all at once."""
    session, windows = open_session(path), golden_values(golden)
    alone = rounded(run_windows(session, windows, batch_size=1))
    together = run_windows(session, windows, batch_size=len(windows))
    return alone, float(np.abs(together - np.array(alone, dtype=np.float32)).max())
