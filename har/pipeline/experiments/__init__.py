"""Experiments that are no comparison of models over folds: each answers one question with a table or a figure."""

from importlib import import_module

from har.contract import HarError, nearest
from har.pipeline.experiments.base import Bench, Experiment

__all__ = ["EXPERIMENTS", "Bench", "Experiment", "find_experiment"]

# Name -> module of this folder whose function `run` does it. The command line lists the same names; a test compares.
EXPERIMENTS = {
    "attention": "attention",
    "growth": "growth",
    "gradients": "gradients",
    "memory": "memory",
    "stream": "stream",
    "labels": "labels",
    "labels-official": "labels_official",
    "windowing": "windowing",
}


def find_experiment(name: str) -> Experiment:
    """The function of an experiment.

    Raises:
        HarError: there is none of this name.
    """
    if name not in EXPERIMENTS:
        raise HarError(f"unknown experiment {name!r}; {nearest(name, list(EXPERIMENTS))}")
    return import_module(f"{__name__}.{EXPERIMENTS[name]}").run
