"""YAML files from outside: each is read, or refused in one line."""

import os
import time
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from har.config import load_config, read_yaml
from har.errors import HarError
from har.studies.study import load_study
from tests.refusal import refused

BASE = "data: {validation_subjects: [5]}\nmodel: {name: gru}\n"
BOMB = "a: &a [1,1,1,1,1,1,1,1,1,1]\n" + "".join(
    f"{b}: &{b} [{','.join([f'*{a}'] * 10)}]\n" for a, b in zip("abcdefg", "bcdefgh", strict=True)
)
REFUSED = {
    "key twice": (
        BASE + "training: {epochs: 3}\ntraining: {seed: 1}\n",
        r"line 4: the key 'training' was already given in line 3; remove one",
    ),
    "key twice in a section": (
        BASE + "training:\n  epochs: 3\n  seed: 1\n  epochs: 5\n",
        r"line 6: the key 'epochs' was already given in line 4",
    ),
    "a date": (BASE + "training: {seed: 2020-01-01}\n", r"training\.seed: input should be a valid integer.*found '2020-01-01'"),
    "no date": (BASE + "training: {seed: 2020-13-45}\n", r"training\.seed: .*found '2020-13-45'"),
    "5,000 digits": (BASE + f"training: {{epochs: {'9' * 5000}}}\n", r"line 3: '9{39} cannot be read as int \(Exceeds the limit"),
    "4,000 digits": (
        BASE + f"training: {{epochs: {'9' * 4000}}}\n",
        r"training\.epochs: a whole number of 4000 digits; expected at most 30",
    ),
    "5,000 hexadecimal digits": (BASE + f"training: {{epochs: 0x{'f' * 5000}}}\n", r"training\.epochs: a whole number of 6021 digits"),
    "half a number": (BASE + "training: {epochs: 0x_}\n", r"line 3: '0x_' cannot be read as int"),
    "a stride of 0": (BASE + "windowing: {stride: 0}\n", r"windowing\.stride: input should be greater than or equal to 1, found 0"),
    "a stride of 1e15": (BASE + "windowing: {stride: 1.0e+15}\n", r"windowing\.stride: input should be less than or equal to 65536"),
    "nested labels": (
        BASE + "task: {name: reconstruct, held_out: [[WALKING]]}\n",
        r"task\.held_out\.0: input should be a valid string, found \['WALKING'\]",
    ),
    "a number as key": (BASE + "1: 2\n", r"line 3: the key 1 is not text"),
    "yes as key": (BASE + "training:\n  yes: 2\n", r"line 4: the key True is not text"),
    "a list as key": (BASE + "? [a]\n: 1\n", r"line 3: the key \['a'\] is not text"),
    "bytes": (BASE + "x: !!binary abcd\n", r"x: found a bytes; expected text, a number"),
    "a set": (BASE + "x: !!set {a, b}\n", r"x: found a set"),
    "a wrong tag": (BASE + "x: !!timestamp foo\n", r"line 3: 'foo' cannot be read as timestamp"),
    "an object": (BASE + "x: !!python/object:os.system {}\n", r"is not valid YAML"),
    "a merge key": ("a: &a {x: 1}\n" + BASE + "<<: *a\n", r"line 4: the merge key << is not supported"),
    "itself": (
        "data: {validation_subjects: [5]}\nmodel: {name: gru, options: &o {x: *o}}\n",
        r"more than 10,000 values, or more than 20 levels",
    ),
    "aliases of aliases": (BOMB, r"more than 10,000 values"),
    "deep": (BASE + "x: " + "[" * 5000, r"is not valid YAML: maximum recursion"),
    "half a character": (BASE + 'x: "\\ud800"\n', r"x: .* is not text that can be written"),
    "two documents": (BASE + "---\na: 1\n", r"is not valid YAML: expected a single document"),
    "a control character": (BASE + "\x00", r"is not valid YAML: unacceptable character"),
    "large": (BASE + "#" * 100_000, r"has more than 100,000 bytes, expected a config: a YAML file"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_config_is_refused_in_one_line(name: str, tmp_path: Path) -> None:
    content, message = REFUSED[name]
    path = tmp_path / "c.yaml"
    path.write_text(content)
    started = time.monotonic()
    with refused("config", message) as caught:
        load_config(path)
    assert time.monotonic() - started < 5
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_is_no_file_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.yaml")
    for path in (tmp_path / "pipe.yaml", tmp_path, Path("/dev/zero")):
        for load in (load_config, load_study):
            with refused("config", "is no regular file, expected a "):
                load(path)


STUDY = "question: which?\nconfigs: [gru]\nsplit: {kind: kfold}\n"
STUDIES_REFUSED = {
    "key twice": (STUDY + "seeds: [0]\nseeds: [1]\n", r"line 5: the key 'seeds' was already given in line 4"),
    "typo": (STUDY + "seed: [0]\n", r"unknown key 'seed'; did you mean 'seeds'\?"),
    "typo in a setting": (STUDY + "settings: {plain: {idae: x}}\n", r"unknown key 'settings\.plain\.idae'; did you mean 'idea'\?"),
    "typo in the split": (STUDY.replace("kfold", "kfold, fodls: 3"), r"unknown key 'split\.fodls'; did you mean 'folds'\?"),
    "typo in the space": (STUDY + "search: {trials: 1, space: {training.epochs: {lo: 1}}}\n", r"search\.space\.training\.epochs"),
    "no seeds": (STUDY + "seeds: []\n", r"seeds: "),
    "no folds": (STUDY + "folds: []\n", r"folds: "),
    "a fold below 0": (STUDY + "folds: [-1]\n", r"folds\.0: "),
    "a seed twice": (STUDY + "seeds: [1, 1]\n", r"seeds has 1 twice; remove one"),
    "two configs of one name": (STUDY.replace("[gru]", "[gru, other/gru.yaml]"), r"configs has 'gru' twice"),
    "a setting that leaves the folder": (STUDY + "settings: {../../x: {idea: x}}\n", r"setting '\.\./\.\./x' is no name"),
    "a range that is none": (STUDY + "search: {trials: 1, space: {training.epochs: {low: 5, high: 1}}}\n", r"range 5 to 1 is not one"),
    "a logarithm of 0": (
        STUDY + "search: {trials: 1, space: {training.weight_decay: {low: 0, high: 1, log: true}}}\n",
        r"with log 0 < low",
    ),
    "no choices": (STUDY + "search: {trials: 1, space: {training.epochs: {choices: []}}}\n", r"expected at least one"),
    "nested choices": (STUDY + "search: {trials: 1, space: {training.epochs: {choices: [[1]]}}}\n", r"choices are texts, numbers"),
    "not a number": (STUDY + "search: {trials: 1, space: {training.epochs: {low: .nan, high: 1}}}\n", r"finite number"),
    "a list": ("- 1\n", r"the file: input should be a valid dictionary"),
    "nothing": ("", r"the file: "),
}


@pytest.mark.parametrize("name", STUDIES_REFUSED)
def test_what_is_no_study_is_refused_in_one_line(name: str, tmp_path: Path) -> None:
    content, message = STUDIES_REFUSED[name]
    path = tmp_path / "s.yaml"
    path.write_text(content)
    with refused("config", message) as caught:
        load_study(path)
    assert "\n" not in str(caught.value)


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.dates()
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6) | st.integers(), inner, max_size=3),
    max_leaves=6,
)
keys = st.sampled_from(
    ["data", "windowing", "model", "training", "task", "stride", "name", "options", "epochs", "split", "kind", "held_out"]
)
configs = st.recursive(values, lambda inner: st.dictionaries(keys | st.text(max_size=4), inner, max_size=4), max_leaves=12)


@settings(deadline=None, max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(configs.map(yaml.dump) | st.text(max_size=80) | st.binary(max_size=80).map(lambda content: content.decode("latin-1")))
@example("a: &a !!omap [a: *a]")
@example("!!pairs [a: 1, a: 2]")
@example("x: !!null foo")
def test_any_text_is_read_or_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "c.yaml"
    path.write_bytes((content if "\n" in content else BASE + content).encode("utf-8", "surrogatepass"))
    for load in (load_config, load_study, lambda path: read_yaml(path, "config", "c.yaml")):
        try:
            load(path)
        except HarError as error:
            assert "\n" not in str(error)
