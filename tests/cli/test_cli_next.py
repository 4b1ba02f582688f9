"""Each command of a next line is typed as it stands, and works."""

import shlex
from pathlib import Path

import pytest

from har.cli import main

pytestmark = pytest.mark.slow
BASE = "data: {dataset: synthetic, validation_subjects: [5, 15, 25, 30]}\ntraining: {epochs: 1, threads: 1}\n"
MODELS = {  # model: its config, and the commands behind an evaluation of its runs alone
    "cnn1d": ("model: {name: cnn1d, options: {width: 8, depth: 2}}", ["compare", "export", "explain"]),
    "stream_gru": ("model: {name: stream_gru, options: {hidden_size: 4}}", ["export"]),
    "dense_gru": ("model: {name: dense_gru, options: {hidden_size: 4}}", []),
    "seq2seq": ("model: {name: seq2seq, options: {hidden_size: 4}}", []),
    "window_generator": ("model: {name: window_generator, options: {hidden_size: 4}}\ntask: {name: generate, judge_epochs: 1}", []),
}


def next_commands(text: str) -> list[list[str]]:
    lines = [line for line in text.splitlines() if line.startswith("next: ")]
    steps = [step for line in lines for step in line.removeprefix("next: ").split("; ")]
    return [shlex.split(step.removesuffix(" shows the mistakes").removesuffix(" shows the curves"))[1:] for step in steps]


@pytest.mark.parametrize("model", MODELS)
def test_what_follows_an_evaluation_works(model: str, workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config, expected = MODELS[model]
    Path(f"{model}.yaml").write_text(f"{BASE}{config}\n")
    assert main(["train", "--config", f"{model}.yaml"]) == 0, capsys.readouterr().err
    evaluate, dashboard = next_commands(capsys.readouterr().out)
    assert (evaluate, dashboard) == (["evaluate", "--dataset", "synthetic"], ["dashboard"])
    assert main([*evaluate, "--model", model]) == 0
    commands = next_commands(capsys.readouterr().out)
    assert [words[0] for words in commands] == expected
    for words in commands:
        assert main(words) == 0, capsys.readouterr().err
        for after in next_commands(capsys.readouterr().out):
            if "RECORDING.csv" not in after:
                assert main(after) == 0, capsys.readouterr().err
    if not expected:
        assert main(["export", "--dataset", "synthetic", "--model", model]) == 2


def test_what_follows_a_refit_works(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("small.yaml").write_text(f"{BASE}{MODELS['cnn1d'][0]}\n")
    assert main(["train", "--config", "small.yaml", "--refit", "--runs", "my runs"]) == 0, capsys.readouterr().err
    export, dashboard = next_commands(capsys.readouterr().out)
    assert export == ["export", "--dataset", "synthetic", "--runs", "my runs", "--model", "small-refit", "--seed", "0"]
    assert dashboard == ["dashboard", "--runs", "my runs"]
    assert main(export) == 0, capsys.readouterr().err


def test_what_follows_an_evaluation_of_all_leaves_out_what_cannot_be_exported(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for model in ("cnn1d", "seq2seq"):
        Path(f"{model}.yaml").write_text(f"{BASE}{MODELS[model][0]}\n")
        assert main(["train", "--config", f"{model}.yaml"]) == 0, capsys.readouterr().err
    capsys.readouterr()
    assert main(["evaluate", "--dataset", "synthetic", "--runs", "runs"]) == 0
    commands = next_commands(capsys.readouterr().out)
    assert [" ".join(words) for words in commands] == ["compare --dataset synthetic", "export --dataset synthetic"]
    for words in commands:
        assert main(words) == 0, capsys.readouterr().err
