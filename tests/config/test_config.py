from pathlib import Path

import pytest
import yaml

from har.config import RunConfig, load_config, parse_config
from tests.refusal import refused

GOOD = {"data": {"validation_subjects": [5, 15]}, "model": {"name": "gru"}}


def test_defaults_and_round_trip(tmp_path: Path) -> None:
    config = parse_config(GOOD, "test")
    assert config.data.channels == "raw6"
    (tmp_path / "c.yaml").write_text(config.to_yaml())
    assert load_config(tmp_path / "c.yaml") == config


BREAKS = {
    "unknown section": ({"trainig": {}}, "unknown key 'trainig'; did you mean 'training'"),
    "typo": ({"training": {"epoch": 3}}, "unknown key 'training.epoch'; did you mean 'epochs'"),
    "far off": ({"data": {"validation_subjects": [5], "zzz": 1}}, "unknown key 'data.zzz'; valid: dataset, channels"),
    "wrong type": ({"training": {"epochs": "many"}}, "training.epochs: input should be a valid integer.*found 'many'"),
    "negative": ({"training": {"epochs": 0}}, "training.epochs: input should be greater than or equal to 1, found 0"),
    "a seed no generator takes": ({"training": {"seed": 2**70}}, "training.seed: input should be less than or equal to 4294967295"),
    "a split seed": ({"data": {"split": {"kind": "kfold", "seed": 2**40}}}, "data.split.seed: input should be less than or equal to"),
    "threads": ({"training": {"threads": 10_000}}, "training.threads: input should be less than or equal to 256, found 10000"),
    "endless": ({"training": {"epochs": 10**9}}, "training.epochs: input should be less than or equal to 100000"),
    "infinite": ({"training": {"learning_rate": float("inf")}}, "training.learning_rate: input should be a finite number, found inf"),
    "nan": ({"training": {"weight_decay": float("nan")}}, "training.weight_decay: input should be a finite number"),
    "a window of an hour": ({"windowing": {"window_size": 180_000}}, "windowing.window_size: input should be less than or equal to 4096"),
    "transitions of others": (
        {"data": {"validation_subjects": [5], "transitions": "keep"}},
        "data: transitions is 'keep', but uci-har has none",
    ),
    "unknown transitions": ({"data": {"validation_subjects": [5], "transitions": "lose"}}, "data.transitions: .*found 'lose'"),
    "channels": (
        {"data": {"validation_subjects": [5], "channels": "raw9"}},
        "data.channels: input should be 'raw6', 'uci9' or 'acc3', found 'raw9'",
    ),
    "no subjects": ({"data": {"validation_subjects": []}}, "data.validation_subjects"),
    "no model": ({"model": {}}, "key 'model.name' is missing"),
    "section is text": ({"training": "fast"}, "training: .*found 'fast'"),
}


@pytest.mark.parametrize("name", BREAKS)
def test_a_mistake_is_one_clear_sentence(name: str, tmp_path: Path) -> None:
    change, message = BREAKS[name]
    path = tmp_path / "c.yaml"
    path.write_text(yaml.safe_dump(GOOD | change))
    with refused("config", message) as caught:
        load_config(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_files_that_are_no_config(tmp_path: Path) -> None:
    with refused("config", "cannot read the config"):
        load_config(tmp_path / "none.yaml")
    for content, message in (("a: [", "is not valid YAML"), ("- 1", "holds list, expected the sections data"), ("", "holds NoneType")):
        (tmp_path / "c.yaml").write_text(content)
        with refused("config", message) as caught:
            load_config(tmp_path / "c.yaml")
        assert "\n" not in str(caught.value)


def test_overrides_replace_values_and_are_checked() -> None:
    config: RunConfig = parse_config(GOOD, "test")
    changed = config.with_overrides(training__epochs=3, data__channels=None)
    assert (changed.training.epochs, changed.data.channels, config.training.epochs) == (3, "raw6", 30)
    with refused("config", r"command line: training\.epochs"):
        config.with_overrides(training__epochs=-1)
    for override, message in (
        ("nothing__there", "command line: 'nothing.there' names no section of a config"),
        ("trainig__epochs", "'trainig.epochs' names no section of a config; did you mean 'training'"),
        ("training__epoch", "unknown key 'training.epoch'; did you mean 'epochs'"),
        ("epochs", "unknown key 'epochs'"),
        ("data__split__nothing__there", "'data.split.nothing.there' names no section"),
    ):
        with refused("config", message):
            config.with_overrides(**{override: 3})
