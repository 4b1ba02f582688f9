"""What a study says while it runs: bars on a terminal, lines elsewhere."""

import io

import pytest
from rich.console import Console

from har.errors import HarError
from har.runs.engine import Engine
from har.studies.sweep import Board


def test_the_bars_count_by_run_and_show_what_runs() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=120, _environ={"TERM": "xterm"})
    board = Board(Engine(), say=pytest.fail, live=True, console=console)
    board.rows({"gru": 4, "lstm": 2, "rnn": 1}, "mean accuracy, %")
    board.before("gru", [90.0], 1)

    def seen() -> list[str]:
        paper = Console(file=io.StringIO(), width=120)
        paper.print(board.bars)
        return paper.file.getvalue().splitlines()  # type: ignore[attr-defined]

    with board:
        board.started("gru", "a")
        board.started("lstm", "b")
        board.started("lstm", "b")  # again, its process died
        board.ended("gru", "a", "gru: fine", value=92.0)
        board.started("gru", "c")
        whole, gru, lstm = seen()
        assert "2/7" in whole
        assert "2/4" in gru
        assert "mean accuracy, % 91 " in gru
        assert "0/2" in lstm
        board.ended("lstm", "b", "lstm FAILED: its process died 3 times", failed=True)
        whole, gru = seen()
        assert "3/7" in whole
        assert "1 failed" in whole
    assert len(seen()) == 4
    written = console.file.getvalue()  # type: ignore[attr-defined]
    assert "lstm FAILED: its process died 3 times" in written
    assert "gru: fine" not in written


@pytest.mark.parametrize(
    "console", [Console(file=io.StringIO()), Console(file=io.StringIO(), force_terminal=True, _environ={"TERM": "dumb"})]
)
def test_what_is_no_terminal_gets_one_line_a_job(console: Console) -> None:
    said: list[str] = []
    board = Board(Engine(), say=said.append, live=True, console=console)
    board.rows({"gru": 3}, "mean accuracy, %")
    with board:
        board.started("gru", "a")
        board.ended("gru", "a", "gru: fine", value=92.0)
        board.ended("gru", "b", "gru FAILED: not so", failed=True)
    assert [line.split("] ")[1] for line in said] == ["gru: fine", "gru FAILED: not so"]
    assert said[1].startswith("[1/3, 1 failed, about ")
    assert console.file.getvalue() == ""  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "spark"}, "unknown engine 'spark'; expected one of local, ray"),
        ({"workers": 0}, "--workers is 0, expected at least 1"),
        ({"gpus": 0.5}, "--gpus-per-job 0.5 needs --engine ray"),
        ({"name": "ray", "gpus": -1}, "--gpus-per-job is -1, expected a part of a GPU, such as 0.5, or a whole number"),
        ({"name": "ray", "gpus": 1.5}, "--gpus-per-job is 1.5, expected a part"),
        ({"name": "ray", "gpus": float("nan")}, "--gpus-per-job is nan, expected a part"),
    ],
)
def test_an_engine_that_cannot_be_is_refused(options: dict, message: str) -> None:
    with pytest.raises(HarError, match=message):
        Engine(**options)
