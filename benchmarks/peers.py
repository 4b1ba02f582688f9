"""Train what others would use on the same windows and splits, and keep what it predicts.

    python benchmarks/peers.py [--system minirocket multirocket_hydra svm_catch24] [--split fold5] [--seed 0 1 2]

Systems: MiniRocket and MultiRocket-Hydra as aeon ships them (``pip install -e '.[peers]'``), on the nine published channels;
scikit-learn's RBF-SVM on the catch24 features of the same channels. ``--split fold5``: the folds (subject - 1) mod 5
of all 30 people; ``--split official``: the 21 training subjects against the nine test subjects. One thread. Nothing is
chosen by a peer's score. Each fold that is done is kept under ``runs/``, so an interrupted run goes on where it stopped.
Writes results/uci_har/studies/peers_predictions (fold5) or results/uci_har/peers (official), in the format of all predictions,
and a row of results/uci_har/test_openings.csv for each scoring of official test subjects. Classifiers without probabilities
get 1 for the activity they name.
"""

import argparse
import os
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("NUMBA_NUM_THREADS", "1")

import numpy as np

from har.config import DataConfig, SplitConfig
from har.contract import TEST_SUBJECTS
from har.data.audit import audit
from har.data.prepare import load_dataset
from har.data.splits import SubjectSplit, make_splits, official_split
from har.data.windowset import WindowSet
from har.evaluation.metrics import scores
from har.evaluation.predictions import Origin, Predictions, make_predictions, pool_folds, read_predictions, write_pooled, write_predictions
from har.reporting import git_commit
from har.runs.ledger import record_opening

ONLY_SEEDS = {"svm_catch24": (0,)}  # nothing in it is random, so one seed says all


def minirocket(seed: int):  # type: ignore[no-untyped-def]
    from aeon.classification.convolution_based import MiniRocketClassifier

    return MiniRocketClassifier(random_state=seed, n_jobs=1)


def multirocket_hydra(seed: int):  # type: ignore[no-untyped-def]
    from aeon.classification.convolution_based import MultiRocketHydraClassifier

    return MultiRocketHydraClassifier(random_state=seed, n_jobs=1)


def svm_catch24(seed: int):  # type: ignore[no-untyped-def]
    """The classifier of the data set's authors (Anguita et al. 2013), an RBF kernel, on standardised features."""
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC

    return make_pipeline(StandardScaler(), SVC(C=10.0, gamma="scale"))


SYSTEMS = {"minirocket": minirocket, "multirocket_hydra": multirocket_hydra, "svm_catch24": svm_catch24}


def catch24(windows: WindowSet) -> np.ndarray:
    """(window, 9 * 24) features: catch22 (Lubba et al. 2019), mean and deviation of each channel; fitted to nothing."""
    from aeon.transformations.collection.feature_based import Catch22

    return Catch22(catch24=True, replace_nans=True, n_jobs=1).fit_transform(windows.x.transpose(0, 2, 1).astype(np.float64))


def coefficients(model: object) -> int:
    """Fitted numbers of the linear read-out or the support vectors, which is what has to be shipped beside the kernels."""
    # aeon keeps its fitted pipeline in `pipeline_`; MultiRocket-Hydra has the classifier apart.
    for holder in (getattr(model, "pipeline_", None), model):
        last = holder[-1] if hasattr(holder, "steps") else getattr(holder, "classifier", None)
        for name in ("coef_", "support_vectors_"):
            if hasattr(last, name):
                return int(getattr(last, name).size)
    return 0


def fit_fold(system: str, seed: int, windows: WindowSet, inputs: np.ndarray, split: SubjectSplit) -> Predictions:
    """Fit on the training subjects of a fold and predict its test subjects."""
    parts = split.parts(windows)
    audit(parts)
    train, test = (np.flatnonzero(np.isin(windows.subject, split.subjects(part))) for part in ("train", "test"))
    names = np.array(windows.labels)
    model = SYSTEMS[system](seed)
    started = time.perf_counter()
    model.fit(inputs[train], names[windows.y[train]])
    seconds = time.perf_counter() - started
    predicted = model.predict(inputs[test])
    probabilities = (np.asarray(predicted)[:, None] == names[None]).astype(np.float32)
    origin = Origin(
        run=system,
        model=system,
        seed=seed,
        dataset=windows.dataset,
        synthetic=windows.synthetic,
        split="test",
        channels="uci9",
        parameters=coefficients(model),
        epochs=0,
        best_epoch=0,
        train_seconds=seconds,
        commit=git_commit(),
        checkpoint_sha256="",
        data_digest=windows.digest,
    )
    return make_predictions(windows.subset(test), probabilities, origin)


def write_opening(predictions: Predictions, ledger: Path) -> None:
    """The ledger's row, where official test subjects were scored."""
    if not set(predictions.table.subject) & set(TEST_SUBJECTS):
        return
    record_opening(ledger, predictions.origin, **scores(predictions))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--system", nargs="+", choices=SYSTEMS, default=list(SYSTEMS))
    parser.add_argument("--split", choices=("fold5", "official"), default="fold5")
    parser.add_argument("--seed", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--archive", type=Path, default=None, help="a copy of UCI HAR")
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--results", type=Path, default=Path("results"))
    options = parser.parse_args()
    windows = load_dataset("uci-har", channels="uci9", archive=options.archive)
    if options.split == "fold5":
        splits = make_splits(DataConfig(split=SplitConfig(kind="fold5", validation=0)), windows)
    else:
        splits = [official_split(())]
    features = catch24(windows) if "svm_catch24" in options.system else None
    for seed in options.seed:
        for system in options.system:
            if seed not in ONLY_SEEDS.get(system, (seed,)):
                continue
            inputs = features if system == "svm_catch24" else windows.x.transpose(0, 2, 1)
            done = []
            for number, split in enumerate(splits):
                path = options.runs / "uci-har/studies/peers" / options.split / system / f"fold-{number}-seed-{seed}.parquet"
                if not path.is_file():
                    predictions = fit_fold(system, seed, windows, inputs, split)
                    write_opening(predictions, options.results / "uci_har/test_openings.csv")
                    write_predictions(predictions, path)
                done.append(read_predictions(path))
                score = scores(done[-1])
                about = f"{done[-1].origin.parameters:,} coefficients, {done[-1].origin.train_seconds:.0f} s"
                print(f"{system}, seed {seed}, fold {number}: accuracy {100 * score['accuracy']:.2f} % ({about})", flush=True)
            target = options.results / "uci_har" / ("studies/peers_predictions" if options.split == "fold5" else "peers")
            print(f"wrote {write_pooled(pool_folds(done), target)}", flush=True)


if __name__ == "__main__":
    main()
