"""Write the bundle: the model, smaller variants, manifest, golden windows and model card; `export/README.md` specifies it."""

import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from har.contract import (
    AXES_CONVENTION,
    LABELS,
    MANIFEST_SCHEMA_VERSION,
    OPSET,
    PARITY_TOLERANCE,
    SAMPLE_RATE_HZ,
    STRIDE,
    UNITS,
    HarError,
    channel_names,
)
from har.export.bundle_folder import about_data, finish, made_with, staged
from har.export.golden import golden_answers, golden_windows
from har.export.mounting_export import MountingPart
from har.export.onnx_file import export_onnx, one_line, parity
from har.export.quantise import INT8, MIN_AGREEMENT, RECIPES, SMALL, judge
from har.files import CannotWriteError
from har.models.classifier import ActivityClassifier
from har.runtime.bundle import MODEL, VECTORS, sha256

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
    bytes: int
    models: dict[str, Any]


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

    classifier: ActivityClassifier | None
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


def signal_contract(classifier: ActivityClassifier, labels: Sequence[str] = LABELS, stride: int = STRIDE) -> dict[str, Any]:
    """What the model takes and gives: the part of the manifest that also stands in the ONNX file.

    Args:
        classifier: the model; it knows its window size.
        labels: names of its classes, those of the windows it was trained on.
        stride: samples between two windows, as in training; what the device uses too.

    Raises:
        ValueError: the model has another number of classes.
    """
    if len(labels) != classifier.hparams["num_classes"]:
        raise ValueError(f"{len(labels)} labels for a model of {classifier.hparams['num_classes']} classes: {', '.join(labels)}")
    channels = channel_names(classifier.hparams["channels"])
    return {
        "labels": list(labels),
        "input": {
            "name": "windows",
            "layout": "(batch, time, channel), float32, oldest sample first",
            "window_size": classifier.frontend.window_size,
            "stride": stride,
            "sample_rate_hz": SAMPLE_RATE_HZ,
            "channels": [{"name": name, "unit": UNITS[name]} for name in channels],
            "axes": AXES_CONVENTION,
        },
        "output": {"name": "probabilities", "layout": "(batch, label), float32, rows sum to 1"},
        "opset": OPSET,
    }


def onnx_metadata(contract: dict[str, Any], facts: dict[str, Any]) -> dict[str, str]:
    """Contract and facts as ONNX metadata: every value is JSON."""
    return {name: json.dumps(value) for name, value in (contract | facts).items()}


def write_bundle(
    classifier: ActivityClassifier,
    folder: Path,
    *,
    facts: dict[str, Any],
    windows: np.ndarray,
    evidence: Evidence | None = None,
    labels: Sequence[str] = LABELS,
    stride: int = STRIDE,
    mounting: MountingPart | None = None,
) -> BundleResult:
    """Export, check and write a bundle; `folder` is replaced only after everything held.

    Args:
        classifier: trained on ``raw6``.
        folder: of the bundle.
        facts: ``model``, ``run``, ``seed``, ``dataset``, ``synthetic``, ``data_digest``, ``commit``; they also go into the ONNX file.
        windows: (window, time, channel) real windows for the parity check against torch, at least 256.
        evidence: scores, calibration and who judges smaller files.
        labels: names of the classes, in the order of the probabilities.
        stride: samples between two windows on the device.
        mounting: for streams of a phone whose mounting is not known beforehand.

    Raises:
        HarError: the model needs channels that no phone delivers, or a check failed; nothing is written then.
    """
    if classifier.hparams["channels"] != "raw6":
        raise HarError(
            f"{facts['run']} was trained on {classifier.hparams['channels']}, whose body acceleration a phone does not deliver; "
            "train with data.channels: raw6 to export"
        )
    evidence = evidence or Evidence()
    said = _what_is_said(classifier, facts, evidence, signal_contract(classifier, labels, stride), stride)
    if mounting is not None:
        mounting.check(classifier)
        said["mounting"] = mounting.said()
    temperature = evidence.answering.temperature
    with staged(folder) as temporary:
        export_onnx(classifier, temporary / MODEL, {name: json.dumps(value) for name, value in said.items()}, temperature)
        difference = parity(classifier, temporary / MODEL, windows, temperature)
        golden = golden_windows(classifier, temperature)
        golden["variants"] = {}
        variants = _write_variants(temporary, windows, evidence, golden)
        beside = mounting.write(temporary, said, windows, golden) if mounting is not None else ()
        (temporary / VECTORS).write_text(json.dumps(golden, separators=(",", ":")), encoding="utf-8")
        manifest = {
            "schema_version": MANIFEST_SCHEMA_VERSION,
            **said,
            "models": {MODEL: {"kind": "float32", "bytes": (temporary / MODEL).stat().st_size}} | variants,
            "tolerance": PARITY_TOLERANCE,
            "parity": {"windows": len(windows), "largest_difference": difference},
            "versions": made_with(),
            "tested": tested_in(evidence.tested, sha256(temporary / MODEL)),
            "robustness": list(evidence.robustness),
        }
        names = [MODEL, *(name for name in variants if (temporary / name).is_file()), *beside, VECTORS]
        finish(temporary, manifest, names)
    held = len(golden["windows"])
    size = sum(path.stat().st_size for path in folder.iterdir())
    return BundleResult(folder, difference, len(windows), held, size, manifest["models"])


def _what_is_said(
    classifier: ActivityClassifier, facts: dict[str, Any], evidence: Evidence, contract: dict[str, Any], stride: int
) -> dict[str, Any]:
    """All that is known before the files are written; it stands in the manifest and in each ONNX file."""
    return {
        **facts,
        **contract,
        "parameters": classifier.num_parameters,
        **evidence.answering.said(),
        "stream": {"kind": "ring_buffer", "samples": classifier.frontend.window_size, "hop": stride, "reason": WINDOW_STREAM},
        "metrics": evidence.metrics,
        **about_data(facts["dataset"]),
    }


def tested_in(tested: Sequence[dict[str, str]], digest: str) -> list[dict[str, str]]:
    """Runtimes in which these very bytes held; an export is equal to the byte, so that it may have been tested before."""
    return [{name: row[name] for name in ("runtime", "version", "processor")} for row in tested if row["sha256"] == digest]


def _write_variants(folder: Path, windows: np.ndarray, evidence: Evidence, golden: dict[str, Any]) -> dict[str, Any]:
    """Smaller files that are good enough, and their entries in the manifest; of the others, why they are left out.

    Args:
        folder: with the float file.
        windows: of the parity check.
        evidence: with the jury.
        golden: content of the golden windows' file; gets the answers of each file that is kept.
    """
    jury = evidence.jury
    if jury is None:
        return {name: {"kind": kind, "left_out": NO_JURY} for name, (kind, _) in RECIPES.items()}
    said: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as apart:
        bench = folder
        if jury.classifier is not None:
            bench = Path(apart)
            export_onnx(jury.classifier, bench / MODEL, {}, evidence.answering.temperature)
        for name, (kind, recipe) in RECIPES.items():
            said[name] = {"kind": kind}
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
                said[name]["left_out"] = str(reason).replace(f"{folder}/", "").replace(f"{bench}/", "")
                (folder / name).unlink(missing_ok=True)
                continue
            refusal = judgement.refusal()
            if refusal is None and own.agreement < MIN_AGREEMENT:
                refusal = f"{100 * own.agreement:.2f} % of the {len(windows)} windows of the parity check get the same activity"
            if refusal is None and not difference <= VARIANT_TOLERANCE[name]:
                refusal = (
                    f"a golden window's probability differs by {difference:.2e} between one window at a time and all at once, "
                    f"allowed {VARIANT_TOLERANCE[name]:.0e}"
                )
            said[name] |= {
                "label_agreement": judgement.agreement,
                "accuracy_change": judgement.accuracy_change,
                "windows": judgement.windows,
                "judged_on": jury.who,
            }
            if refusal is None:
                said[name] |= {"bytes": (folder / name).stat().st_size, "tolerance": VARIANT_TOLERANCE[name]}
                golden["variants"][name] = answers
            else:
                said[name]["left_out"] = refusal
                (folder / name).unlink()
    return said
