"""Bundles in MLflow: beside the run that they come from, and as versions of a registered model with a champion."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from har.contract import TEST_SUBJECTS
from har.errors import HarError
from har.redaction import redacted
from har.runs.run_folder import RunFolder
from har.runs.train import spans
from har.runtime.bundle import Bundle, golden_values, sha256
from har.runtime.manifest import MANIFEST, VECTORS
from har.runtime.recognizer import load_model
from har.tracking.registered_models import BUNDLE_DIGEST, CHAMPION, Registry, Version
from har.tracking.runs import ended_run

MODEL_NAME = "wearable-har"
SCORE, SCORED_ON = "validation_macro_f1", "scored_on"  # tags of a version: the criterion, and whom it was measured on
EXAMPLES = 2  # golden windows kept with the model
RULE = (
    "The alias goes to a version whose macro-F1 over the windows of held-out training-side people is higher than the champion's, on the "
    "same people and data; a tie keeps the champion, and no test subject has a say."
)


@dataclass(frozen=True)
class Registration:
    """What became of a bundle.

    Attributes:
        name: of the registered model.
        version: that holds the bundle.
        new: whether it was registered just now.
        reason: why it is the champion, or is not.
    """

    name: str
    version: str
    new: bool
    reason: str


def log_bundle(run: RunFolder, folder: Path, runs: Path) -> None:
    """Log an exported bundle to the MLflow run of its training.

    Args:
        run: that was exported.
        folder: of the bundle.
        runs: folder of all runs.

    Raises:
        HarError: there can be no such store.
    """
    info = run.info()
    name = f"{info.origin.run}-seed{info.origin.seed}"
    with ended_run(runs, name, info.mlflow_run_id) as tracked:
        if tracked is None:
            return
        for path in sorted(folder.iterdir()):
            tracked.log_file(path, "bundle")
        tracked.set_tags({BUNDLE_DIGEST: sha256(folder / MANIFEST)})


def register_bundle(folder: Path, runs: Path, name: str | None = None) -> Registration:
    """Register a bundle, and make it the champion where its validation score is better.

    Registering the same bundle again only decides again.

    Args:
        folder: of a bundle of `har export`, whose run is tracked.
        runs: folder of the default store.
        name: of the registered model; by default ``wearable-har``, with ``-synthetic`` behind it for a model of generated data.

    Raises:
        HarError: the bundle is not whole or computes something else here, nobody on the training side was held out, its score cannot be
            compared with the champion's, its run is not known, or the store cannot be reached; nothing is registered then.
    """
    recognizer = load_model(folder)
    bundle = recognizer.bundle
    name = name or MODEL_NAME + "-synthetic" * bundle.synthetic
    tags, digest = _tags(bundle), sha256(folder / MANIFEST)
    registry = Registry(runs, name)
    run = registry.run_of(digest)
    if run is None:
        raise HarError(
            "run-missing",
            f"no run in the MLflow store {redacted(registry.uri)} holds the bundle {folder}; export it again there (har export), or send "
            "its run: har track push",
        )
    with registry.locked():
        champion, version = registry.champion(), registry.holding(digest)
        new, holds = version is None, version is not None and champion is not None and version.version == champion.version
        moves, reason = verdict(tags, champion, itself=holds)
        if version is None:
            windows = golden_values(json.loads((folder / VECTORS).read_text(encoding="utf-8")))[:EXAMPLES]
            about, named = f"{RULE}\n\nMade by `har register`.", tags | {BUNDLE_DIGEST: digest, "run_id": run.info.run_id}
            version = registry.add(folder, run, about, named, example=windows, labels=recognizer.labels)
        said = f"Version {version.version} {reason}"
        if not holds:  # why it became the champion stays as it was written down
            registry.decide(version, said, _page(bundle, said), moves=moves)
    return Registration(name, str(version.version), new, said)


def _tags(bundle: Bundle) -> dict[str, str]:
    """Where a bundle comes from, its validation score, and on whom that was measured.

    Raises:
        HarError: nobody was held out, or a test subject was among them.
    """
    held_out = bundle.manifest["metrics"].get("validation")
    if held_out is None:
        raise HarError(
            "not-comparable",
            f"{bundle.folder} has no validation score, by which alone a champion is chosen; export a run with validation subjects, or a "
            "refit after: har sweep configs/study/crossvalidation.yaml",
        )
    people = [row["subject"] for row in held_out["per_subject"]]
    tested = sorted(set(people) & set(TEST_SUBJECTS))
    if tested:
        raise HarError(
            "not-comparable",
            f"{bundle.folder} was validated on test subjects ({spans(tested)}), who must not choose a champion; use another split",
        )
    who = {"subjects": people, "who": held_out["who"], "labels": bundle.labels, "data_digest": _digests(bundle)}
    tags = {SCORE: f"{held_out['macro_f1']['value']:.6f}", SCORED_ON: json.dumps(who)}
    tags |= {name: str(bundle.manifest.get(name, "")) for name in ("model", "run", "seed", "commit")}
    return tags | {"dataset": bundle.datasets, "data_digest": _digests(bundle), "synthetic": str(bundle.synthetic).lower()}


def _digests(bundle: Bundle) -> str:
    """Those of its data sets, in their order."""
    return " ".join(dataset.get("digest", "") for dataset in bundle.manifest["datasets"])


def verdict(tags: dict[str, str], champion: Version | None, *, itself: bool) -> tuple[bool, str]:
    """Whether the alias moves, and why: the rest of a sentence that begins with the version.

    Args:
        tags: of the bundle.
        champion: the version that has the alias.
        itself: whether that is the version in question.

    Raises:
        HarError: the two scores are not of the same people and data.
    """
    score, day = f"{100 * float(tags[SCORE]):.2f} %", f"{datetime.now(UTC):%Y-%m-%d}"
    if champion is None:
        return True, f"is the {CHAMPION} since {day}: validation macro-F1 {score}, and there was none before."
    other = f"version {champion.version}"
    if champion.tags.get("synthetic") != tags["synthetic"]:
        raise HarError(
            "not-comparable", f"one of the {CHAMPION}, {other}, and this bundle is of SYNTHETIC data; name another model with --name"
        )
    if champion.tags.get(SCORED_ON) != tags[SCORED_ON]:
        raise HarError(
            "not-comparable",
            f"the {CHAMPION}, {other}, was scored on {_who(champion.tags)}, this bundle on {_who(tags)}; such scores are not comparable: "
            "register a bundle that was scored alike, or name another model with --name",
        )
    theirs = f"{100 * float(champion.tags[SCORE]):.2f} %"
    if itself:
        return False, f"is the {CHAMPION} already: validation macro-F1 {score}."
    if float(tags[SCORE]) > float(champion.tags[SCORE]):
        return True, f"is the {CHAMPION} since {day}: validation macro-F1 {score} against {theirs} of {other}."
    return False, f"is not the {CHAMPION} ({day}): validation macro-F1 {score} against {theirs} of {other}, which stays."


def _who(tags: Any) -> str:
    try:
        said = json.loads(tags[SCORED_ON])
        return f"{len(said['subjects'])} people ({said['who']}; data {said['data_digest'][:12]})"
    except (KeyError, ValueError, TypeError):
        return "nobody that `har register` wrote down"


def _page(bundle: Bundle, said: str) -> str:
    """Markdown on the page of a version."""
    manifest = bundle.manifest
    held_out = manifest["metrics"]["validation"]
    warning = "**SYNTHETIC data: this model says nothing about people.**\n\n" if bundle.synthetic else ""
    return (
        f"{warning}{said}\n\n{RULE}\n\nScored on {held_out['subjects']} people ({held_out['who']}), {held_out['windows']} windows. "
        f"Run `{manifest['run']}`, seed {manifest.get('seed')}, data {bundle.datasets} `{_digests(bundle)[:12]}`, "
        f"commit `{manifest.get('commit')}`."
    )
