"""Ways timed in turns: every one, every round, ratios within a round, and rows that say so."""

import sys
import time

import pytest
from paired import Measured, Spent, in_child, memory_mb, python_json, ratio, rounds, row, seconds


def test_every_way_is_timed_once_a_round_and_none_is_always_first() -> None:
    calls: list[str] = []
    ways = {name: (lambda name=name: calls.append(name)) for name in "abc"}
    times = rounds(ways, 4, shortest_s=0.0)
    assert {name: len(values) for name, values in times.items()} == {"a": 4, "b": 4, "c": 4}
    measured = calls[6:]  # each was called twice before
    assert measured[::3] == ["a", "b", "c", "a"]
    assert sorted(measured) == sorted("abc" * 4)


def test_a_quick_call_is_repeated_and_a_child_is_not() -> None:
    count = {"quick": 0, "child": 0}

    def quick() -> None:
        count["quick"] += 1

    def child() -> Spent:
        count["child"] += 1
        return Spent(3.0, 2.0)

    times = rounds({"quick": quick, "child": child}, 2, shortest_s=0.001)
    assert count["quick"] > 10
    assert count["child"] == 3
    assert times["child"] == [Spent(3.0, 2.0)] * 2


def test_the_clock_runs_while_a_call_sleeps_and_its_cpu_does_not() -> None:
    found = rounds({"sleep": lambda: time.sleep(0.01)}, 1, shortest_s=0.0)["sleep"][0]
    assert found.wall >= 0.01
    assert found.cpu < found.wall


def test_ratios_are_taken_within_a_round() -> None:
    times = {"ours": [Spent(1.0, 1.0), Spent(10.0, 2.0), Spent(3.0, 3.0)], "theirs": [Spent(2.0, 4.0), Spent(20.0, 8.0), Spent(9.0, 12.0)]}
    found = ratio(times, "ours", "theirs", target="<= 2")
    assert found["measure"] == "ours / theirs"
    assert (found["median"], found["smallest"], found["largest"], found["median_cpu"]) == ("0.5", "0.3333", "0.5", "0.25")
    assert (found["target"], found["runs"]) == ("<= 2", 3)
    assert seconds(times, "ours", unit="ms", scale=1e3)["median"] == "3000"
    assert row("memory", [1.0, 2.0, 9.0], "MB")["median_cpu"] == ""


def test_a_process_of_its_own_is_timed_and_its_failure_told() -> None:
    spent = in_child([sys.executable, "-c", "sum(range(10**6))"])
    assert spent.cpu > 0
    assert spent.wall > 0
    with pytest.raises(RuntimeError, match="no such thing"):
        in_child([sys.executable, "-c", "raise SystemExit('no such thing')"])
    assert python_json("-c", "print('beside'); print('{\"a\": 1}')") == {"a": 1}
    with pytest.raises(RuntimeError, match="ValueError"):
        python_json("-c", "raise ValueError")
    assert memory_mb() >= memory_mb("VmRSS") > 1


def test_a_table_says_how_busy_the_machine_was() -> None:
    stamp = Measured("numpy").stamp()
    assert "cores, load average" in stamp["machine"]
    assert {"command", "date_utc", "commit", "versions"} <= set(stamp)
    assert "numpy" in stamp["versions"]
