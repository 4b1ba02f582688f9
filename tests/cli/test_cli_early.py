"""Mistakes are answered before torch, Lightning, scikit-learn, MLflow and scipy are imported."""

import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest

from har.config import parse_config
from har.data import synthetic
from har.evaluation.predictions import Origin
from har.recording import write_csv

HEAVY = ("torch", "pytorch_lightning", "lightning", "sklearn", "mlflow", "scipy")
CODE = """
import contextlib, io, json, sys
from har.cli import main
found = []
for line in sys.stdin:
    error = io.StringIO()
    with contextlib.redirect_stderr(error):
        code = main(json.loads(line))
    print(json.dumps([code, error.getvalue(), [name for name in sys.argv[1:] if name in sys.modules]]), flush=True)
"""
STUDY = "question: q\nconfigs: [CONFIG]\nsplit: {kind: kfold, validation: 0}\nchange: {training.keep: last, data.dataset: synthetic}\n"
GRU = "train --dataset synthetic --model gru"
WHOLE = "--dataset synthetic --model gru"  # a run that is there
MISTAKES = {
    "sweep nope": "cannot read the study nope",
    "sweep configs/study/ideas.yaml --workers 0": "--workers is 0",
    "sweep configs/study/ideas.yaml --gpus-per-job 0.5": "needs --engine ray",
    "sweep configs/study/ideas.yaml": "is not prepared",
    "sweep configs/study/ideas.yaml --archive nope": "no archive at nope",
    "sweep typo.yaml": "unknown key 'seed'; did you mean 'seeds'?",
    "sweep model.yaml": "unknown model 'grru'; did you mean 'gru'?",
    "sweep change.yaml": "unknown key 'training.epoch'; did you mean 'epochs'?",
    "sweep setting.yaml": "unknown key 'augmentation.rotate'",
    "sweep option.yaml": "model 'gru' has no option 'width'",
    "sweep space.yaml": "unknown key 'training.epoch'",
    "sweep fold.yaml": "fold 5 is asked for",
    "sweep mixed.yaml": "mixes tasks: cnn1d (window), seq2seq (forecast)",
    "sweep good.yaml --results file/x": "cannot write to file/x",
    "sweep good.yaml --runs file": "cannot write to file",
    "train --model grru": "unknown model 'grru'; did you mean 'gru'?",
    "train --dataset uci": "unknown data set 'uci'; did you mean 'uci-har'?",
    "train --model gru": "UCI HAR is not prepared",
    "train --model gru --archive nope": "no archive at nope",
    "train --dataset motionsense --model gru --split kfold": "motionsense is not prepared",
    "train --dataset motionsense --model gru --split kfold --archive nope": "nope does not exist",
    "train --config nope.yaml": "cannot read the config nope.yaml",
    "train --config twice.yaml": "the key 'model' was already given in line 2",
    "train --config odd.yaml": "model 'gru' has no option 'hiden_size'; did you mean 'hidden_size'?",
    f"{GRU} --epochs 0": "training.epochs",
    f"{GRU} --seed -1": "training.seed",
    f"{GRU} --difficulty 3": "data.difficulty",
    f"{GRU} --transitions keep": "synthetic has none",
    f"{GRU} --refit --split loso": "--refit belongs to the official split",
    f"{GRU} --split kfold --folds 1": "data.split.folds",
    f"{GRU} --split kfold --fold 5": "fold 5 is asked for",
    f"{GRU} --split file --split-path nope": "cannot read the split nope",
    f"{GRU} --folds 3": "the official split has one fold",
    f"{GRU} --runs file/runs": "cannot write to file/runs",
    "evaluate --dataset hapt": "no finished run of hapt below runs/hapt",
    "evaluate --dataset synthetic --model cnn1d": "no finished run of cnn1d",
    f"evaluate {WHOLE} --seed 7": "no finished run of gru with seed 7",
    f"evaluate {WHOLE} --map A=B": "name it with --on",
    f"evaluate {WHOLE} --on hapt --map A": "expected NAME=LABEL",
    f"evaluate {WHOLE} --on synthetic": "was trained on synthetic",
    f"evaluate {WHOLE} --on hapt": "HAPT is not prepared",
    f"evaluate {WHOLE} --on motionsense --on-archive nope": "nope does not exist",
    f"evaluate {WHOLE} --on hapt --map WALKIN=WALKING": "--map names 'WALKIN'",
    f"evaluate {WHOLE} --on hapt --map WALKING=WALK": "--map takes WALKING for 'WALK'",
    f"evaluate {WHOLE} --results file": "cannot write to file",
    "evaluate --on nope": "unknown data set 'nope'",
    f"explain {WHOLE}": "was not scored on the validation subjects",
    f"explain {WHOLE} --most 0": "--most is 0",
    "explain --dataset synthetic --model seq2seq": "is no classifier of windows",
    "compare nope": "no prediction files below nope",
    "export --dataset hapt": "no finished run",
    "export --dataset synthetic --model seq2seq": "none of these runs names activities of windows",
    f"export {WHOLE} --output file/b": "cannot write to file/b",
    f"export {WHOLE} --mounting m": "--mounting and --mounted belong together",
    f"export {WHOLE} --mounting m --mounted n": "no finished run of m",
    "register --bundle nope": "no bundle at nope",
    "register": "no bundle at export/bundle",
    "register a --bundle b": "two bundles are named",
    "register --bundle BUNDLE": "no MLflow store",
    f"robustness {WHOLE}": "has no ONNX file",
    "robustness --dataset synthetic --model seq2seq": "does not name activities of windows",
    "robustness --mounted m": "--mounting and --mounted belong together",
    "verify --bundle nope": "no bundle at nope",
    "predict nope.csv": "no recording at nope.csv",
    "predict --bundle nope r.csv": "no bundle at nope",
    "predict r.csv --acc-unit stone": "--acc-unit is 'stone'",
    "demo --epochs 0": "training.epochs",
    "demo --runs file": "cannot write to file",
    "track push --runs nope": "no folder of runs at nope",
    "dashboard": "no MLflow store",
    "data spectra": "run python -m research.spectra instead",
    "smooth --model x": "run python -m research.smooth instead",
    "--quiet experiment memory --quick": "har experiment was removed; in a clone of the repository, run python -m research.NAME instead",
    "data prepare --archive nope": "no archive at nope",
    "data prepare --dataset synthetic --difficulty 3": "the difficulty is 3",
    "data splits --dataset synthetic --split kfold --folds 1": "data.split.folds",
    "data splits": "UCI HAR is not prepared",
}


def a_run(folder: Path, model: str) -> None:
    """What a finished run says of itself; its weights are not needed here."""
    config = parse_config({"data": {"dataset": "synthetic", "validation_subjects": [5]}, "model": {"name": model}}, "test")
    origin = Origin(model, model, 0, "synthetic", True, "validation", "raw6", 1, 1, 0, 1.0, "commit", "0" * 64, "digest")
    run = folder / "runs" / "synthetic" / model / "seed-0"
    run.mkdir(parents=True)
    (run / "config.yaml").write_text(config.to_yaml())
    info = {"origin": asdict(origin), "score": 0.5, "mlflow_run_id": "", "versions": {}, "split": {}, "key": ""}
    (run / "run.json").write_text(json.dumps(info))


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[int, str, list[str]]]:
    """Exit code, message and heavy modules of each command, typed one after the other in one fresh process."""
    folder = tmp_path_factory.mktemp("early")
    root = Path(__file__).parents[2]
    (folder / "configs").symlink_to(root / "configs")
    (folder / "file").write_text("a file where a folder should be")
    write_csv(synthetic.generate(1, 0, bout_seconds=1.0), folder / "r.csv")
    for model in ("gru", "seq2seq"):
        a_run(folder, model)
    good = STUDY.replace("CONFIG", "gru")
    studies = {
        "good": good,
        "typo": good + "seed: [0]\n",
        "model": STUDY.replace("CONFIG", "grru"),
        "change": good.replace("training.keep", "training.epoch: 3, training.keep"),
        "setting": good + "settings: {plain: {idea: x}, more: {idea: x, change: {augmentation.rotate: 3}}}\n",
        "option": good + "settings: {plain: {idea: x, change: {model.options.width: 3}}}\n",
        "space": good + "search: {trials: 1, space: {training.epoch: {low: 1, high: 2}}}\n",
        "fold": good + "folds: [5]\n",
        "mixed": STUDY.replace("CONFIG", "cnn1d, seq2seq"),
    }
    for name, text in studies.items():
        (folder / f"{name}.yaml").write_text(text)
    base = "data: {dataset: synthetic, validation_subjects: [5]}\n"
    (folder / "twice.yaml").write_text(base + "model: {name: gru}\nmodel: {name: lstm}\n")
    (folder / "odd.yaml").write_text(base + "model: {name: gru, options: {hiden_size: 3}}\n")
    bundle = str(root / "export" / "pretrained" / "default")
    lines = "".join(json.dumps(command.replace("BUNDLE", bundle).split()) + "\n" for command in MISTAKES)
    environment = {name: os.environ[name] for name in ("PATH", "HOME", "PYTHONPATH") if name in os.environ}
    done = subprocess.run(
        [sys.executable, "-c", CODE, *HEAVY],
        input=lines,
        capture_output=True,
        text=True,
        timeout=200,
        check=True,
        cwd=folder,
        env=environment,
    )
    left = {path.name for path in folder.iterdir()}
    assert left == {"configs", "file", "r.csv", "runs", "twice.yaml", "odd.yaml", *(f"{name}.yaml" for name in studies)}
    return dict(zip(MISTAKES, map(json.loads, done.stdout.splitlines()), strict=True))


@pytest.mark.parametrize("command", MISTAKES)
def test_a_mistake_is_answered_before_anything_heavy_is_imported(command: str, answers: dict[str, tuple[int, str, list[str]]]) -> None:
    code, error, heavy = answers[command]
    assert MISTAKES[command] in error
    assert (code, heavy, error.count("\n")) == (2, [], 1)
