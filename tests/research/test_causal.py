"""The causal filters are scipy's, whatever the stream is cut into, and need numpy alone."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import butter, sosfilt, sosfilt_zi, sosfreqz

from har.contract import HarError
from research.causal import BLOCK, CausalFilter, butterworth_lowpass, gravity_filter, noise_filter

FILTERS = {"noise": (noise_filter, 20.0), "gravity": (gravity_filter, 0.3)}
every_filter = pytest.mark.parametrize("name", FILTERS)


def stream(samples: int, channels: int = 3, seed: int = 0) -> np.ndarray:
    """Accelerations of a few g around 1 g."""
    return 1.0 + 2.0 * np.random.default_rng(seed).normal(size=(samples, channels))


@pytest.mark.parametrize("order", range(1, 8))
@pytest.mark.parametrize(("cutoff_hz", "rate_hz"), [(0.3, 50.0), (20.0, 50.0), (20.0, 100.0), (0.3, 200.0), (5.0, 25.0)])
def test_the_design_is_that_of_scipy(order: int, cutoff_hz: float, rate_hz: float) -> None:
    ours, theirs = butterworth_lowpass(order, cutoff_hz, rate_hz), butter(order, cutoff_hz, fs=rate_hz, output="sos")
    _, response = sosfreqz(ours, np.linspace(0, rate_hz / 2, 2000, endpoint=False), fs=rate_hz)
    _, expected = sosfreqz(theirs, np.linspace(0, rate_hz / 2, 2000, endpoint=False), fs=rate_hz)
    np.testing.assert_allclose(response, expected, atol=1e-9)
    assert abs(response[0] - 1) < 1e-9


@pytest.mark.parametrize(("cutoff_hz", "rate_hz"), [(25.0, 50.0), (20.0, 40.0), (0.0, 50.0), (-1.0, 50.0), (np.nan, 50.0)])
def test_a_cutoff_that_cannot_be_is_refused(cutoff_hz: float, rate_hz: float) -> None:
    with pytest.raises(HarError, match="low-pass at") as caught:
        butterworth_lowpass(3, cutoff_hz, rate_hz)
    assert "\n" not in str(caught.value)


@every_filter
@pytest.mark.parametrize("samples", [1, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK, 20_011])
def test_it_is_sosfilt(name: str, samples: int) -> None:
    make, cutoff_hz = FILTERS[name]
    x = stream(samples)
    filtered, state = make()(x, make().at_rest(3))
    expected, expected_state = sosfilt(make().sos, x, axis=0, zi=np.zeros((2, 2, 3)))
    np.testing.assert_allclose(filtered, expected, atol=1e-9, rtol=0)
    np.testing.assert_allclose(state, expected_state, atol=1e-9, rtol=0)
    # and with the sections as scipy itself would design and pair them
    np.testing.assert_allclose(filtered, sosfilt(butter(3, cutoff_hz, fs=50.0, output="sos"), x, axis=0), atol=1e-9, rtol=0)


@every_filter
def test_it_takes_the_sections_of_scipy(name: str) -> None:
    sos = butter(5, FILTERS[name][1], fs=50.0, output="sos")
    causal = CausalFilter(sos)
    x = stream(1000)
    start = causal.settled_on(x[0])
    np.testing.assert_allclose(start, sosfilt_zi(sos)[:, :, None] * x[0], atol=1e-9)
    np.testing.assert_allclose(causal(x, start)[0], sosfilt(sos, x, axis=0, zi=start)[0], atol=1e-9, rtol=0)


@settings(max_examples=60, deadline=None)
@given(
    name=st.sampled_from(sorted(FILTERS)),
    chunks=st.lists(st.integers(0, 3 * BLOCK), max_size=12),
    channels=st.integers(1, 6),
    seed=st.integers(0, 2**32 - 1),
    settled=st.booleans(),
)
def test_how_the_stream_is_cut_makes_no_difference(name: str, chunks: list[int], channels: int, seed: int, settled: bool) -> None:
    causal = FILTERS[name][0]()
    x = stream(sum(chunks), channels, seed)
    start = causal.settled_on(np.linspace(-1, 1, channels)) if settled else causal.at_rest(channels)
    whole, last = causal(x, start)
    state, parts = start, [np.empty((0, channels))]
    for chunk in np.split(x, np.cumsum(chunks)[:-1]) if chunks else []:
        filtered, state = causal(chunk, state)
        parts.append(filtered)
    np.testing.assert_allclose(np.concatenate(parts), whole, atol=1e-9, rtol=0)
    np.testing.assert_allclose(state, last, atol=1e-9, rtol=0)
    if len(x):  # scipy cannot filter nothing
        np.testing.assert_allclose(whole, sosfilt(causal.sos, x, axis=0, zi=start)[0], atol=1e-9, rtol=0)


@every_filter
def test_an_empty_chunk_changes_nothing(name: str) -> None:
    causal = FILTERS[name][0]()
    start = causal.settled_on(np.array([0.1, 0.2, 0.3]))
    filtered, state = causal(np.empty((0, 3)), start)
    assert filtered.shape == (0, 3)
    assert np.array_equal(state, start)


@every_filter
def test_a_stream_sample_by_sample(name: str) -> None:
    causal = FILTERS[name][0]()
    x = stream(300)
    state, out = causal.at_rest(3), []
    for sample in x:
        filtered, state = causal(sample[None], state)
        out.append(filtered[0])
    np.testing.assert_allclose(out, sosfilt(causal.sos, x, axis=0), atol=1e-9, rtol=0)


@every_filter
def test_the_future_changes_nothing(name: str) -> None:
    """To the bit: this is what the zero-phase form cannot do."""
    causal = FILTERS[name][0]()
    x = stream(500)
    changed = x.copy()
    changed[237:] = 1e6
    first, second = (causal(samples, causal.at_rest(3))[0] for samples in (x, changed))
    assert np.array_equal(first[:237], second[:237])
    assert not np.array_equal(first[237], second[237])


@every_filter
def test_a_settled_filter_keeps_a_constant(name: str) -> None:
    causal = FILTERS[name][0]()
    still = np.tile([0.6, 0.0, -0.8], (5000, 1))
    filtered, state = causal(still, causal.settled_on(still[0]))
    np.testing.assert_allclose(filtered, still, atol=1e-9, rtol=0)
    np.testing.assert_allclose(state, causal.settled_on(still[0]), atol=1e-9, rtol=0)
    assert abs(causal(still, causal.at_rest(3))[0][0, 0]) < 0.4  # from rest it has to rise


def test_the_state_is_explicit_and_not_changed_in_place() -> None:
    causal = gravity_filter()
    x, start = stream(200), causal.settled_on(np.ones(3))
    kept, kept_x = start.copy(), x.copy()
    first = causal(x, start)[0]
    assert np.array_equal(first, causal(x, start)[0])
    assert np.array_equal(start, kept)
    assert np.array_equal(x, kept_x)


def test_ten_hours_stay_exact() -> None:
    """Rounding does not add up: no drift against scipy over 1.8 million samples."""
    causal, x = gravity_filter(), stream(1_800_000, 1)
    filtered, _ = causal(x, causal.at_rest(1))
    np.testing.assert_allclose(filtered[-1000:], sosfilt(causal.sos, x, axis=0)[-1000:], atol=1e-9, rtol=0)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_sample_that_is_not_finite_is_named(bad: float) -> None:
    x = stream(200)
    x[130, 2] = bad
    with pytest.raises(HarError, match=r"sample 130 of channel 2 is -?(nan|inf); interpolate"):
        noise_filter()(x, noise_filter().at_rest(3))


def test_wrong_shapes_are_named() -> None:
    causal = noise_filter()
    for samples, state in ((np.zeros(5), causal.at_rest(1)), (np.zeros((5, 3)), causal.at_rest(6)), (np.zeros((5, 3)), np.zeros((2, 3)))):
        with pytest.raises(ValueError, match=r"expected \(time, channel\) and \(2, 2, channel\)"):
            causal(samples, state)
    with pytest.raises(ValueError, match=r"expected \(section, 6\)"):
        CausalFilter(np.ones((2, 5)))


def test_the_causal_form_needs_numpy_alone() -> None:
    code = (
        "import sys, numpy as np\nfrom research.causal import gravity_filter\n"
        "f = gravity_filter(); f(np.zeros((200, 3)), f.at_rest(3))\n"
        "heavy = {'scipy', 'torch', 'pandas', 'yaml'} & set(sys.modules)\nassert not heavy, heavy"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
