"""Runs the page's own scripts and a headless Chromium, and makes what they are given."""

import json
import os
import re
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any

import numpy as np

from har.data import synthetic
from har.recording import COLUMNS, ReadReport, Recording, read_pieces
from har.runtime.recognizer import Recognizer
from har.runtime.timeline import Timeline

ROOT = Path(__file__).parents[2]
WEB = ROOT / "export" / "web"
NODE = shutil.which("node")
BROWSERS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
CHROMIUM = os.environ.get("HAR_CHROMIUM") or next((found for name in BROWSERS if (found := shutil.which(name))), None)
GRAVITY = 9.80665  # m/s^2 in one g
CLOSE = 1e-5  # of a probability, between two runtimes
TIMEOUT_S = 240
ADVICE = (  # where Python names an option, the page names what to choose
    (r"check and type: har predict .*", "check and choose what is missing"),
    (r"read it with --gyro-unit deg/s", "choose deg/s as the unit of angular velocity"),
    (r"the unit must be named with --acc-unit", "the unit must be chosen"),
    (r"name (its|their) unit with --time-unit(, one of .*)?", "choose the unit of the times"),
    (r"name the columns and units.*", "choose the columns"),
    (r"; choose: har predict .*", "; choose the columns"),
    (r"name them: har predict .*", "choose them"),
    (r"name their column by --columns time_s=NAME", "choose their column"),
    (r"type: har predict .*", "choose the units"),
)

Step = dict[str, Any]


def missing(*, browser: bool) -> str | None:
    """Why the page cannot be run here, or None where it can."""
    if NODE is None:
        return "node is not installed"
    if not all((WEB / "node_modules" / name).is_dir() for name in ("onnxruntime-web", "playwright-core")):
        return "run npm ci in export/web first"
    if browser and CHROMIUM is None:
        return "no Chromium; install one, or name it with HAR_CHROMIUM"
    return None


def node(script: str, *arguments: str, given: Any = None) -> str:
    """Run a script of the page's project; it and what it started end with this call, whatever happens."""
    assert NODE is not None
    process = subprocess.Popen(
        [NODE, script, *arguments], cwd=WEB, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    )
    try:
        output, errors = process.communicate(json.dumps(given).encode(), timeout=TIMEOUT_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGTERM)  # playwright ends its browser then
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)  # a browser ends when the pipe to its driver breaks
            process.wait()
        raise
    assert process.returncode == 0, errors.decode()
    return output.decode()


def compute(**wanted: Any) -> Any:
    """Without a browser; see export/web/test/compute.mjs."""
    return json.loads(node("test/compute.mjs", given=wanted))


def do(name: str, **options: Any) -> Step:
    """A step of export/web/test/browser.mjs."""
    return {"do": name} | options


def replay(path: Path) -> Step:
    """Open a recording."""
    return do("replay", path=str(path))


START = do("click", path="#start")


def browse(page: Path, *steps: Step) -> list[Any]:
    """The results of steps in one page of a fresh browser; see export/web/test/browser.mjs."""
    return json.loads(node("test/browser.mjs", given={"chromium": CHROMIUM, "folder": str(page), "steps": steps}))


def built(bundle: Path, output: Path) -> Path:
    """The page with a bundle."""
    node("build.mjs", "--bundle", str(bundle), "--output", str(output))
    return output


def recording(subject: int = 3, bout_seconds: float = 6.0) -> Recording:
    return synthetic.generate(subject, 11, bout_seconds=bout_seconds)


def sampled(made: Recording, time_s: np.ndarray) -> np.ndarray:
    """(time, 6) of a recording, as a sensor of another rate would have measured it."""
    return np.stack([np.interp(time_s, made.time_s, made.samples[:, channel]) for channel in range(6)], axis=1)


def irregular(made: Recording, hz: float, jitter: float, rng: np.random.Generator) -> np.ndarray:
    """(time,) times of a rate, off by up to a share of a period."""
    count = int(made.time_s[-1] * hz)
    return (np.arange(count) + jitter * rng.uniform(-0.5, 0.5, count)) / hz + 0.1


def write_exactly(path: Path, time_s: np.ndarray, values: np.ndarray) -> Path:
    """A CSV file with all digits."""
    rows = [",".join(repr(float(value)) for value in row) for row in np.column_stack((time_s, values))]
    path.write_text("\n".join([",".join(("time_s", *COLUMNS)), *rows]) + "\n")
    return path


def predicted(recognizer: Recognizer, path: Path) -> Timeline:
    """As `har predict` does."""
    return recognizer.predict_pieces(path.name, read_pieces(path, ReadReport()))


def page_says(refusal: str, path: Path) -> str:
    """Of a recording that Python refuses."""
    assert "\n" not in refusal
    text = refusal.replace(str(path), path.name)
    for pattern, chosen in ADVICE:
        text = re.sub(pattern, chosen, text)
    assert "--" not in text
    return text


def assert_same(windows: list[dict[str, Any]], timeline: Timeline) -> float:
    """Every window is there, at the same time, with the same label and probabilities; the largest difference of these."""
    found = np.array([window["probabilities"] for window in windows])
    assert found.shape == timeline.probabilities.shape
    np.testing.assert_allclose([window["from_s"] for window in windows], timeline.from_s, atol=1e-6)
    np.testing.assert_allclose([window["to_s"] for window in windows], timeline.to_s, atol=1e-6)
    largest = float(np.abs(found - timeline.probabilities).max())
    assert largest <= CLOSE
    assert (found.argmax(axis=1) == timeline.probabilities.argmax(axis=1)).all()
    return largest


def events(time_s: np.ndarray, values: np.ndarray, *, sign: float = 1.0) -> Step:
    """As a browser gives them: acceleration in m/s^2, rotation in deg/s."""
    acc, rate = sign * values[:, :3] * GRAVITY, values[:, 3:] * 180 / np.pi
    return do("events", events={"time": time_s.tolist(), "acc": acc.tolist(), "rate": rate.tolist()})
