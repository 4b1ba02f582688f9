"""What a study says while it runs: a live table on a terminal, lines elsewhere."""

import io

import pytest
from rich.console import Console

from har.contract import HarError
from har.runs.engine import Engine
from har.studies.board import Board, duration


class Clock:
    """Seconds, as the test wants them."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def terminal(height: int = 24) -> Console:
    return Console(file=io.StringIO(), force_terminal=True, width=100, height=height, _environ={"TERM": "xterm"})


def seen(board: Board) -> str:
    """The table without its colours."""
    paper = Console(file=io.StringIO(), width=100)
    with paper.capture() as captured:
        paper.print(board.table())
    return captured.get()


def test_the_table_counts_by_run_and_tells_what_runs(clock: Clock) -> None:
    console = terminal()
    board = Board({"gru": 4, "lstm": 2}, score="mean accuracy, %", say=pytest.fail, live=True, console=console, clock=clock)
    board.before("gru", 1, [90.0], [100.0])
    with board:
        board.started("gru", "a")
        board.started("lstm", "b")
        clock.now = 40.0
        board.ended("gru", "a", "gru: fine", value=92.0)
        board.started("gru", "c")
        clock.now = 60.0
        lines = seen(board).splitlines()
        gru, lstm = (next(line for line in lines if name in line) for name in ("gru", "lstm"))
        assert [word.strip() for word in gru.split("│")[1:-1]][1:] == ["2", "1, 20 s", "", "1", "91"]
        assert [word.strip() for word in lstm.split("│")[1:-1]][1:] == ["0", "1, 1 min", "", "1", ""]
        # Of gru 70 s each, 20 of them are over; of lstm nobody knows, so 70 too, 60 over; two more to come, two at a time.
        assert board.seconds_left() == pytest.approx((70 + 50 + 70 + 10) / 2)
        assert "2 of 6 done, about 2 min left" in lines[-1]
        board.ended("lstm", "b", "lstm FAILED: its process died 3 times", failed=True)
        assert "2 of 6 done, 1 failed, about " in seen(board)
    written = console.file.getvalue()  # type: ignore[attr-defined]
    assert "lstm FAILED: its process died 3 times" in written
    assert "gru: fine" not in written


def test_a_small_terminal_shows_what_runs(clock: Clock) -> None:
    console = terminal(height=10)
    board = Board({f"run{number}": 1 for number in range(20)}, score="best, %", summary=max, say=pytest.fail, live=True, console=console)
    board.before("run3", 1, [50.0], [1.0])
    board.started("run17", "a")
    text = seen(board)
    assert "run17" in text
    assert "run3 " not in text
    assert "17 more rows" in text
    assert len(text.splitlines()) < 10


@pytest.mark.parametrize(
    "console", [Console(file=io.StringIO()), Console(file=io.StringIO(), force_terminal=True, _environ={"TERM": "dumb"})]
)
def test_what_is_no_terminal_gets_one_line_a_job(console: Console) -> None:
    said: list[str] = []
    with Board({"gru": 3}, score="mean accuracy, %", say=said.append, live=True, console=console) as board:
        board.started("gru", "a")
        board.ended("gru", "a", "gru: fine", value=92.0)
        board.ended("gru", "b", "gru FAILED: not so", failed=True)
    assert [line.split("] ")[1] for line in said] == ["gru: fine", "gru FAILED: not so"]
    assert said[1].startswith("[1/3, 1 failed, about ")
    assert console.file.getvalue() == ""  # type: ignore[attr-defined]


@pytest.mark.parametrize(("seconds", "text"), [(37.6, "38 s"), (230, "4 min"), (4810, "1 h 20 min"), (2 * 86400 + 3 * 3600, "2 d 3 h")])
def test_durations_are_for_people(seconds: float, text: str) -> None:
    assert duration(seconds) == text


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
