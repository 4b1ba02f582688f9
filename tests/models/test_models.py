"""The contract of every registered network; a new model is tested by being registered."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from har.config import load_config
from har.contract import LABELS
from har.models.classifier import WindowClassifier
from har.models.registry import MODELS, check_network, create_model, find_model, model_names, option_names
from har.studies.study import load_study, plan, study_configs
from har.training.fit import build_classifier
from tests.refusal import refused

ROOT = Path(__file__).parents[2]
SMALL: dict[str, dict] = {
    "cnn1d": {"width": 8, "depth": 2},
    "lstm": {"hidden_size": 8},
    "gru": {"hidden_size": 8, "num_layers": 1},  # its export takes seconds a layer
    "cnn_lstm": {"width": 8, "hidden_size": 8},
    "dilated_cnn": {"width": 8, "depth": 2},
    "mlp": {"hidden_sizes": [16, 8]},
    "rnn": {"hidden_size": 8},
    "peephole_lstm": {"hidden_size": 8},
    "deep_conv_lstm": {"width": 8, "hidden_size": 8},
    "transformer": {"width": 8, "heads": 2},
}
SHAPE = (64, 15)  # time, features
WINDOW_MODELS, COMPARED = model_names(), model_names(role="comparison")

every_model = pytest.mark.parametrize("name", WINDOW_MODELS)


def network(name: str, seed: int = 0) -> torch.nn.Module:
    torch.manual_seed(seed)
    return create_model(name, SHAPE[1], SHAPE[0], 6, SMALL[name])


def test_every_model_has_a_test_case_and_a_config() -> None:
    assert set(SMALL) == set(WINDOW_MODELS)
    for name in MODELS:
        assert load_config(ROOT / "configs" / f"{name}.yaml").model.name == name


def test_names_and_options_are_known_without_torch() -> None:
    code = (
        "import sys, json\nfrom har.models.registry import MODELS\n"
        "print(json.dumps({name: entry.options() for name, entry in MODELS.items()}))\nassert 'torch' not in sys.modules"
    )
    found = json.loads(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True).stdout)
    assert found == {name: option_names(entry.network) for name, entry in MODELS.items()}
    assert found["lstm"][:2] == ["hidden_size", "num_layers"]


def test_the_configs_differ_in_the_model_and_what_was_searched_alone() -> None:
    """Searched with the same space and number of trials for all that are compared: configs/study/search.yaml."""
    searched = [key.split(".")[1] for key in load_study(ROOT / "configs/study/search.yaml").search.space if key.startswith("training.")]
    configs = [load_config(ROOT / "configs" / f"{name}.yaml") for name in WINDOW_MODELS]
    for config in configs[1:]:
        assert config.training.model_dump(exclude={*searched}) == configs[0].training.model_dump(exclude={*searched})
        assert config.data == configs[0].data
        assert config.frontend == configs[0].frontend
        assert config.augmentation == configs[0].augmentation


def test_all_models_are_in_every_study_that_compares_them() -> None:
    for study in ("search", "crossvalidation", "people"):
        assert set(load_study(ROOT / f"configs/study/{study}.yaml").configs) == set(COMPARED)
    catalogue = [load_study(ROOT / f"configs/study/{name}.yaml").configs for name in ("catalogue", "deep_conv_lstm")]
    assert {name for configs in catalogue for name in configs} >= set(model_names(role="catalogue"))


@pytest.mark.parametrize("study", ["catalogue", "deep_conv_lstm", "recurrent", "vanilla"])
def test_the_studies_of_the_catalogue_can_be_built_and_see_no_test_subject(study: str) -> None:
    loaded = load_study(ROOT / f"configs/study/{study}.yaml")
    assert loaded.split.subjects == "training"
    assert len(loaded.seeds) == 3
    for job in plan(study, loaded, study_configs(loaded, ROOT / "configs", study), loaded.split.folds):
        assert job.config.data.split.subjects == "training"
        if job.fold == 0 and job.config.training.seed == 0:
            check_network(job.config.model.name, job.config.model.options, in_channels=21, window_size=128, num_classes=6)


@every_model
def test_windows_in_logits_out_and_every_weight_learns(name: str) -> None:
    model = network(name)
    x = torch.randn(5, *SHAPE)
    logits = model(x)
    assert logits.shape == (5, 6)
    assert logits.dtype == torch.float32
    torch.nn.functional.cross_entropy(logits, torch.tensor([0, 1, 2, 3, 4])).backward()
    for parameter_name, parameter in model.named_parameters():
        assert parameter.grad is not None, parameter_name
        assert parameter.grad.abs().sum() > 0, parameter_name


@every_model
def test_a_window_is_judged_alone(name: str) -> None:
    """No batch statistics and no dropout in evaluation: neighbours in the batch change nothing."""
    model = network(name).eval()
    x = torch.randn(7, *SHAPE)
    with torch.no_grad():
        together = model(x)
        alone = torch.cat([model(x[i : i + 1]) for i in range(7)])
        again = model(x)
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-5)
    assert torch.equal(together, again)


@every_model
def test_the_order_of_time_and_of_channels_matters(name: str) -> None:
    model = network(name).eval()
    x = torch.randn(3, *SHAPE)
    with torch.no_grad():
        assert (model(x) - model(x.flip(1))).abs().max() > 1e-4
        assert (model(x) - model(x.flip(2))).abs().max() > 1e-4


@every_model
def test_the_seed_decides_the_weights(name: str) -> None:
    first, same, other = (torch.cat([p.flatten() for p in network(name, s).parameters()]) for s in (0, 0, 1))
    assert torch.equal(first, same)
    assert not torch.equal(first, other)


@every_model
def test_saved_weights_are_the_same_model(name: str) -> None:
    model, other = network(name).eval(), network(name, 1).eval()
    other.load_state_dict(model.state_dict())
    x = torch.randn(2, *SHAPE)
    with torch.no_grad():
        assert torch.equal(model(x), other(x))


@every_model
@pytest.mark.parametrize("window_size", [32, 100, 256])
def test_other_window_sizes_work(name: str, window_size: int) -> None:
    assert create_model(name, 9, window_size, 4, SMALL[name])(torch.randn(2, window_size, 9)).shape == (2, 4)


@every_model
def test_unknown_options_name_the_nearest(name: str) -> None:
    option = option_names(find_model(name).network)[0]
    with refused("name-unknown", f"model '{name}' has no option '{option}x'; did you mean '{option}'"):
        create_model(name, 9, 64, 6, {option + "x": 1})
    with refused("config", "cannot be built"):
        create_model(name, 9, 64, 6, {option: "wide"})


def test_options_of_a_base_class_are_options_where_they_are_passed_on() -> None:
    assert option_names(find_model("rnn").network)[-3:] == ["nonlinearity", "initialisation", "identity_scale"]
    assert {"hidden_size", "forget_bias", "gate_slope", "pooling"} <= set(option_names(find_model("lstm").network))
    assert "forget_bias" not in option_names(find_model("gru").network)
    with refused("name-unknown", "model 'gru' has no option 'forget_bias'"):
        create_model("gru", 9, 64, 6, {"forget_bias": 1.0})


ODD = {  # model, options, the option that is to blame, why
    "no filters": ("cnn1d", {"width": 0}, "model.options.width is 0", ""),
    "a negative depth": ("cnn1d", {"width": 8, "depth": -1}, "model.options.depth is -1", "depth is below 0"),
    "no blocks": ("cnn1d", {"width": 8, "depth": 0}, "model.options.depth is 0", ""),
    "halved to nothing": ("cnn1d", {"width": 8, "depth": 12}, "model.options.depth is 12", "output size"),
    "an empty filter": ("cnn1d", {"kernel_size": 0}, "model.options.kernel_size is 0", "a layer has no weights"),
    "half a filter": ("cnn1d", {"width": 1.5}, "model.options.width is 1.5", ""),
    "no number": ("cnn1d", {"dropout": float("nan")}, "model.options.dropout is nan", "no number"),
    "more than all": ("gru", {"dropout": 1.5}, "model.options.dropout is 1.5", ""),
    "text": ("lstm", {"hidden_size": "wide"}, "model.options.hidden_size is 'wide'", ""),
    "no state": ("lstm", {"hidden_size": 0}, "model.options.hidden_size is 0", "greater than zero"),
    "no layers": ("gru", {"num_layers": 0}, "model.options.num_layers is 0", ""),
    "a terabyte of weights": ("cnn_lstm", {"width": 300_000}, "model.options.width is 300000", "at most 50,000,000"),
    "layers without end": ("cnn1d", {"depth": 10**9}, "model.options.depth is 1000000000", "at most 100 layers"),
    "layers without end of another task": ("dense_cnn", {"depth": 10**9}, "model.options.depth is 1000000000", "at most 100 layers"),
    "a terabyte of weights of another task": (
        "seq2seq",
        {"hidden_size": 10**5},
        "model.options.hidden_size is 100000",
        "at most 50,000,000",
    ),
    "no units": ("mlp", {"hidden_sizes": [0]}, "model.options.hidden_sizes is [0]", "a layer has no weights"),
    "no such start": ("rnn", {"initialisation": "eye"}, "model.options.initialisation is 'eye'", "expected default, orthogonal, identity"),
    "no such read-out": ("peephole_lstm", {"pooling": "max"}, "model.options.pooling is 'max'", "expected statistics, last, attention"),
    "flat gates": ("lstm", {"gate_slope": 0}, "model.options.gate_slope is 0", "expected a number above 0"),
    "more filter than window": ("deep_conv_lstm", {"kernel_size": 33}, "model.options.kernel_size is 33", "windows of 129 samples or more"),
    "an odd number of heads": ("transformer", {"heads": 5}, "model.options.heads is 5", "expected an even multiple of heads"),
    "two mistakes": ("cnn1d", {"width": 0, "depth": -1}, "model.options is {'width': 0, 'depth': -1}", ""),
}


@pytest.mark.parametrize("name", ODD)
def test_an_odd_option_is_named_before_anything_is_built(name: str) -> None:
    model, options, place, reason = ODD[name]
    with refused("config", re.escape(place) + f": {model} cannot work so on windows of 128 samples .*{reason}") as caught:
        check_network(model, options, in_channels=15, window_size=128, num_classes=6)
    assert "\n" not in str(caught.value)


@every_model
def test_what_can_be_built_passes_the_check(name: str) -> None:
    for options in ({}, SMALL[name]):
        check_network(name, options, in_channels=9, window_size=20, num_classes=12)
    with refused("name-unknown", "has no option"):
        check_network(name, {"widht": 3}, in_channels=9, window_size=20, num_classes=12)


def test_an_unknown_model_names_the_nearest() -> None:
    with refused("name-unknown", "unknown model 'ltsm'; did you mean 'lstm'"):
        find_model("ltsm")
    with refused("name-unknown", "unknown model 'peephole'; did you mean 'peephole_lstm'"):
        find_model("peephole")


@pytest.mark.parametrize("name", COMPARED)
def test_shipped_models_are_small(name: str, parts: dict) -> None:
    """The numbers of the results table, and the limit of a watch."""
    config = load_config(ROOT / "configs" / f"{name}.yaml")
    classifier = build_classifier(config, parts["train"].spec(config.windowing.step))
    assert classifier.num_parameters <= (150_000 if "lstm" in name or name == "gru" else 100_000)


def test_wrong_windows_are_refused_with_their_shape(parts: dict) -> None:
    classifier = WindowClassifier(
        model="cnn1d", options=SMALL["cnn1d"], channels="raw6", window_size=128, num_classes=len(LABELS), compression=()
    )
    for shape in ((2, 6, 128), (2, 128, 9), (128, 6)):
        with pytest.raises(ValueError, match=r"expected \(batch, 128, 6\)"):
            classifier(torch.zeros(shape))
    probabilities = classifier.predict_proba(torch.from_numpy(np.array(parts["test"].x[:5])), batch_size=2)
    assert probabilities.shape == (5, 6)
    torch.testing.assert_close(probabilities.sum(1), torch.ones(5))
    assert classifier.training  # the mode is given back


def test_forget_gates_start_open() -> None:
    lstm = create_model("lstm", 9, 64, 6, {"hidden_size": 8})
    for name, bias in lstm.recurrent.named_parameters():
        if name.startswith("bias_ih"):
            assert (bias[8:16] == 1).all()
