"""What needs a package registry: installation into a clean environment, and the README's first command in a fresh clone."""

import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from har.data import synthetic
from har.recording import write_csv

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.network


def run(*command: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    clean = {
        k: v
        for k, v in os.environ.items()
        if k not in ("VIRTUAL_ENV", "PYTHONPATH", "MLFLOW_TRACKING_URI", "HAR_DATA_DIR", "HAR_CACHE_DIR")
    }
    return subprocess.run(command, cwd=cwd, env=clean, capture_output=True, text=True, timeout=1500, check=False)


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tracked files as they are in the working tree."""
    folder = tmp_path_factory.mktemp("clone") / "wearable-har"
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True, check=True
    )
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    return folder


@pytest.mark.timeout(1600)
def test_the_demo_runs_in_a_fresh_copy(clone: Path) -> None:
    done = run("make", "demo", cwd=clone)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    for said in (
        "no leak found",
        "| cnn1d",
        "| lstm",
        "| gru",
        "| cnn_lstm",
        "largest difference",
        "confidence",
        "make data train evaluate export",
    ):
        assert said in done.stdout
    for header in [line for line in done.stdout.splitlines() if line.startswith("==")]:
        assert "synthetic" in header.lower()
    assert "Warning" not in done.stderr, done.stderr
    assert (clone / "export/bundle-synthetic/model.onnx").is_file()
    python = clone / ".venv/bin/python"
    again = run(python, "-m", "har", "verify", "--bundle", "export/bundle-synthetic", cwd=clone)
    assert again.returncode == 0, again.stderr
    asked = run("make", "doctor", cwd=clone)
    assert asked.returncode == 0, asked.stderr
    assert "wearable-har" in asked.stdout


@pytest.mark.timeout(900)
def test_a_plain_installation_is_the_device(clone: Path, tmp_path: Path) -> None:
    """Neither torch nor mlflow nor pandas; predict and verify work, train says what is missing."""
    test_bundle = clone / "export/bundle-synthetic"
    if not test_bundle.is_dir():
        pytest.skip("the demo made no bundle")
    venv.create(tmp_path / "env", with_pip=True)
    python = tmp_path / "env/bin/python"
    done = run(python, "-m", "pip", "install", "--quiet", "--constraint", clone / "constraints.txt", clone, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    listed = run(python, "-m", "pip", "list", "--format=freeze", cwd=tmp_path).stdout.lower()
    for heavy in ("torch", "mlflow", "pandas", "scikit-learn", "pydantic", "matplotlib"):
        assert f"\n{heavy}==" not in "\n" + listed
    har = tmp_path / "env/bin/har"
    write_csv(synthetic.generate(2, 0, bout_seconds=4.0), tmp_path / "r.csv")
    done = run(har, "predict", "--bundle", test_bundle, "r.csv", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "confidence" in done.stdout
    assert run(har, "verify", "--bundle", test_bundle, cwd=tmp_path).returncode == 0
    done = run(har, "predict", "r.csv", cwd=tmp_path)  # with the bundle in the wheel
    assert done.returncode == 0, done.stderr
    assert "SYNTHETIC" not in done.stdout
    assert run(har, "verify", cwd=tmp_path).returncode == 0
    done = run(har, "doctor", cwd=tmp_path)  # says what a training would need, and needs none of it
    assert done.returncode == 0, done.stderr
    assert "MISSING torch" in done.stdout
    assert "pip install 'wearable-har[train]'" in done.stdout
    typed = run(python, "-c", "import har, pathlib; print((pathlib.Path(har.__file__).parent / 'py.typed').is_file())", cwd=tmp_path)
    assert typed.stdout == "True\n"
    done = run(har, "train", "--dataset", "synthetic", "--model", "gru", cwd=tmp_path)
    assert done.returncode == 2
    assert "which is not installed; pip install 'wearable-har[train]'" in done.stderr
    assert sys.version_info >= (3, 11)
