"""The champion in MLflow: loaded, served and run by Spark, it answers as the bundle does."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest

from har.runs.register import MODEL_NAME, register_bundle
from har.runtime.bundle import golden_values, pretrained, sha256
from har.runtime.manifest import MANIFEST
from har.runtime.recognizer import load_model
from har.tracking.registered_models import BUNDLE_DIGEST, CHAMPION
from har.tracking.runs import tracked_run
from har.tracking.store import tracking_uri
from tests.refusal import refused

URI = f"models:/{MODEL_NAME}@{CHAMPION}"
EDGE_WINDOWS = 8  # at the end of the golden windows; no worn sensor measures most of them, and clients refuse those


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A store whose champion is the pretrained bundle."""
    runs = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        patch.setenv("MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING", "false")
        patch.chdir(runs)
        with tracked_run(runs, "uci-har", "a run", {}) as run:
            run.set_tags({BUNDLE_DIGEST: sha256(pretrained() / MANIFEST)})
        assert "is the champion" in register_bundle(pretrained(), runs).reason
        assert {path.name for path in runs.iterdir()} == {"mlflow.db", ".mlflow.db.lock", "mlartifacts", ".owners"}
        yield tracking_uri(runs)


@pytest.fixture
def champion(store: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The store of `store`, as MLflow's own commands find it."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store)
    mlflow.set_tracking_uri(store)
    yield store
    mlflow.set_tracking_uri(None)  # type: ignore[arg-type]  # the setting of a process, which other tests would find


@pytest.fixture(scope="module")
def windows() -> np.ndarray:
    golden = golden_values(json.loads((pretrained() / "test_vectors.json").read_text()))
    return golden[:-EDGE_WINDOWS]


@pytest.fixture(scope="module")
def expected(windows: np.ndarray) -> pd.DataFrame:
    recognizer = load_model(pretrained())
    p = recognizer.predict(windows)
    table = pd.DataFrame(p, columns=[f"p_{label}" for label in recognizer.labels])
    sure = p.max(axis=1) >= recognizer.unknown_below
    assert 0 < sure.sum() < len(p)
    names = np.where(sure, np.array(recognizer.labels)[p.argmax(axis=1)], "UNKNOWN")
    table.insert(0, "activity", pd.Series(names.tolist()))
    table.insert(1, "confidence", p.max(axis=1))
    return table


def flat(windows: np.ndarray) -> pd.DataFrame:
    """A window a row, its values in one column."""
    return pd.DataFrame({"windows": [window.ravel().tolist() for window in windows]})


def test_the_champion_answers_as_the_bundle(champion: str, windows: np.ndarray, expected: pd.DataFrame) -> None:
    model = mlflow.pyfunc.load_model(URI)
    pd.testing.assert_frame_equal(model.predict(windows), expected)
    pd.testing.assert_frame_equal(model.predict(flat(windows)), expected)
    assert model.metadata.get_input_schema().inputs[0].shape == (-1, 128, 6)
    assert model.metadata.get_output_schema().input_names() == list(expected.columns)
    with pytest.raises(mlflow.MlflowException, match="does not match expected shape"):
        model.predict(windows[:, :64])


def test_a_version_holds_no_pickle_and_names_what_it_needs(champion: str, tmp_path: Path) -> None:
    folder = Path(mlflow.artifacts.download_artifacts(URI, dst_path=str(tmp_path)))
    assert not [path for path in folder.rglob("*") if path.suffix in (".pkl", ".pickle", ".pt", ".pth")]
    names = [line.split("==") for line in (folder / "requirements.txt").read_text().splitlines()]
    assert {name for name, _ in names} == {"mlflow", "numpy", "onnxruntime", "pandas"}
    saved = json.loads((folder / "input_example.json").read_text())
    assert np.shape(saved) == (2, 128, 6)
    damaged = folder / "artifacts" / "bundle" / "model.onnx"
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"x")
    with refused("bundle-changed"):
        mlflow.pyfunc.load_model(str(folder))


def test_it_is_loaded_where_the_project_is_not_installed(
    champion: str, windows: np.ndarray, expected: pd.DataFrame, tmp_path: Path
) -> None:
    """By the runtime that it brings, without torch."""
    folder = mlflow.artifacts.download_artifacts(URI, dst_path=str(tmp_path / "model"))
    np.save(tmp_path / "windows.npy", windows)
    libraries = [path for path in map(Path, sys.path) if path.is_dir() and (path / "numpy").is_dir()]
    code = f"""
import importlib.util, sys
sys.path += {[str(path) for path in libraries]!r}
assert importlib.util.find_spec("har") is None
import mlflow.pyfunc, numpy as np
mlflow.pyfunc.load_model({folder!r}).predict(np.load("windows.npy")).to_json("answers.json")
import har
assert har.__file__.startswith({folder!r}), har.__file__
assert not {{"torch", "pytorch_lightning", "sklearn"}} & set(sys.modules)
"""
    # -S: no .pth file makes an editable installation of the project known.
    done = subprocess.run([sys.executable, "-S", "-c", code], cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    answers = pd.read_json(tmp_path / "answers.json")
    assert answers.activity.tolist() == expected.activity.tolist()
    np.testing.assert_allclose(answers.drop(columns="activity"), expected.drop(columns="activity"), atol=1e-6)


def environment(**more: str) -> dict[str, str]:
    """Without the way to the project that a developer's shell may name."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | more


@pytest.mark.slow
def test_it_is_served(champion: str, windows: np.ndarray, expected: pd.DataFrame, tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "models", "serve", "--model-uri", URI, "--env-manager", "local"]
    command += ["--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    # MLflow starts its server as the command uvicorn, which stands beside this Python.
    told = environment(MLFLOW_TRACKING_URI=champion, PATH=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    log = tmp_path / "server.log"
    with open(log, "w") as output:
        server = subprocess.Popen(command, cwd=tmp_path, env=told, stdout=output, stderr=output, start_new_session=True)
    try:
        url = f"http://127.0.0.1:{port}"
        _wait(f"{url}/ping", server, log)
        tensors = _ask(f"{url}/invocations", {"inputs": windows.tolist()})
        rows = _ask(f"{url}/invocations", {"dataframe_split": flat(windows).to_dict("split")})
    finally:
        with suppress(ProcessLookupError):  # it did not start
            os.killpg(server.pid, signal.SIGKILL)
        server.wait()
    for answer in (tensors, rows):
        found = pd.DataFrame(answer["predictions"])
        assert found.activity.tolist() == expected.activity.tolist()
        np.testing.assert_allclose(found.drop(columns="activity"), expected.drop(columns="activity"), atol=1e-6)


def _wait(url: str, server: subprocess.Popen, log: Path) -> None:
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline:
        assert server.poll() is None, log.read_text()
        try:
            urllib.request.urlopen(url, timeout=10).close()
            return
        except (urllib.error.URLError, TimeoutError):
            time.sleep(0.3)
    raise AssertionError(log.read_text())


def _ask(url: str, content: dict) -> dict:
    request = urllib.request.Request(url, json.dumps(content).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


@pytest.mark.slow
def test_spark_runs_it(champion: str, windows: np.ndarray, expected: pd.DataFrame, tmp_path: Path) -> None:
    if shutil.which("java") is None:
        pytest.skip("there is no Java")
    pytest.importorskip("pyspark", reason="PySpark is not installed: pip install -c constraints.txt '.[spark]'")
    np.save(tmp_path / "windows.npy", windows)
    code = f"""
import mlflow.pyfunc, numpy as np
from pyspark.sql import SparkSession
settings = {{"spark.ui.enabled": "false", "spark.driver.memory": "1g"}}
settings |= {{"spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1"}}
spark = SparkSession.builder.master("local[2]").config(map=settings).getOrCreate()
rows = [(number, window.ravel().tolist()) for number, window in enumerate(np.load("windows.npy"))]
table = spark.createDataFrame(rows, "number int, windows array<float>").repartition(2)
predict = mlflow.pyfunc.spark_udf(spark, {URI!r}, env_manager="local")
answers = table.select("number", predict("windows").alias("answer")).select("number", "answer.*").orderBy("number").collect()
import json
with open("answers.json", "w") as file:
    json.dump([row.asDict() for row in answers], file)
spark.stop()
"""
    told = environment(MLFLOW_TRACKING_URI=champion, PYSPARK_PYTHON=sys.executable)
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=told, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    found = pd.DataFrame(json.loads((tmp_path / "answers.json").read_text())).drop(columns="number")
    assert list(found.columns) == list(expected.columns)
    assert found.activity.tolist() == expected.activity.tolist()
    np.testing.assert_allclose(found.drop(columns="activity"), expected.drop(columns="activity"), atol=1e-6)
