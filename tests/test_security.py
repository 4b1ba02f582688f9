"""What a stranger's file, address or configuration could do: nothing; and that the code stays so."""

import ast
from collections.abc import Iterator
from pathlib import Path

import mlflow.cli
import mlflow.server
import pytest

from har.cli import main
from har.redaction import redacted, shown
from har.runtime.bundle import pretrained
from har.tracking import copies, server
from har.tracking import store as stores
from har.tracking.runs import tracked_run
from tests.refusal import refused

ROOT = Path(__file__).parents[1]
PICKLES = {"pickle", "cPickle", "_pickle", "dill", "joblib", "cloudpickle", "marshal", "shelve", "pickletools"}
RUN = {"eval", "exec", "__import__"}
NEVER = {"extractall", "unpack_archive", "read_pickle", "to_pickle", "unsafe_load", "full_load", "load_all", "popen"}
SECRET = "hunter2"


def dangers(source: str, *, product: bool = True) -> list[str]:
    """What code does that no file of a stranger may reach; `product` is stricter than a benchmark."""
    return [f"line {node.lineno}: {text}" for node in ast.walk(ast.parse(source)) for text in _of(node, product=product)]  # type: ignore[attr-defined]


def _of(node: ast.AST, *, product: bool) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (f"imports {alias.name}" for alias in node.names if alias.name.split(".")[0] in PICKLES)
    if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in PICKLES:
        yield f"imports {node.module}"
    if isinstance(node, ast.Constant) and node.value in ("0.0.0.0", "::"):
        yield "binds to every address"
    if not isinstance(node, ast.Call):
        return
    given = {word.arg: getattr(word.value, "value", None) for word in node.keywords}
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    owner = getattr(node.func.value, "id", "") if isinstance(node.func, ast.Attribute) else ""
    if owner == "torch" and name == "load" and given.get("weights_only") is not True:
        yield "torch.load without weights_only=True"
    if name == "load_from_checkpoint" and given.get("weights_only") is not True:
        yield "load_from_checkpoint without weights_only=True"
    if name == "fit" and "ckpt_path" in given and given.get("weights_only") is not True:
        yield "Trainer.fit reads a checkpoint without weights_only=True"
    if given.get("allow_pickle") not in (None, False) or (owner == "yaml" and name == "load"):
        yield f"{owner}.{name} reads objects"
    if given.get("shell") is True or (owner == "os" and name == "system") or (isinstance(node.func, ast.Name) and name in RUN):
        yield f"{name} runs what it is given"
    if name in NEVER and (product or name not in ("extractall", "unpack_archive")):
        yield name


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from joblib import load",
        "import torch\ntorch.load(path)",
        "torch.load(path, weights_only=False)",
        "Module.load_from_checkpoint(path)",
        "trainer.fit(module, ckpt_path=path)",
        "np.load(path, allow_pickle=True)",
        "yaml.load(text)",
        "subprocess.run(text, shell=True)",
        "os.system(text)",
        "eval(text)",
        "archive.extractall(folder)",
        "host = '0.0.0.0'",
    ],
)
def test_what_would_be_dangerous_is_found(source: str) -> None:
    assert dangers(source)


@pytest.mark.parametrize(
    "path",
    sorted([*(ROOT / "har").rglob("*.py"), *(ROOT / "benchmarks").rglob("*.py"), *(ROOT / "research").glob("*.py")]),
    ids=lambda p: p.stem,
)
def test_no_code_reads_objects_or_starts_a_shell(path: Path) -> None:
    assert dangers(path.read_text(), product="har" in path.relative_to(ROOT).parts[0]) == []


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://me:hunter2@host:5000/x", "http://***@host:5000/x"),
        ("postgresql+psycopg2://me:hun@ter2@host/db (refused)", "postgresql+psycopg2://***@host/db (refused)"),
        ("http://token@host", "http://***@host"),
        ("postgresql://host/db?user=me&password=hunter2&x=1", "postgresql://host/db?user=me&password=***&x=1"),
        ("sqlite:////a/b@c/mlflow.db", "sqlite:////a/b@c/mlflow.db"),
        ("see http://host/a and mail me@host", "see http://host/a and mail me@host"),
        ("got 'me:hunter2@host:9'", "got '***@host:9'"),  # the scheme was forgotten
        ("me:hun@ter2@host", "***@host"),
        ("//me:hunter2@host/db", "//***@host/db"),
        ("http:/me:hunter2@host", "http:/***@host"),
        ("http://me:hun/ter2@host", "http://***@host"),
        ("at hunter2@host:5000", "at ***@host:5000"),
        ("postgresql://host/db?sslpassword=hun@ter2&x=1", "postgresql://host/db?sslpassword=***&x=1"),
        ("http://host:5000/x@y", "http://host:5000/x@y"),
        ("models:/wearable-har@champion", "models:/wearable-har@champion"),
        ("sqlite:////a@b:c/mlflow.db", "sqlite:////a@b:c/mlflow.db"),
    ],
)
def test_addresses_are_shown_without_their_secrets(text: str, shown: str) -> None:
    assert redacted(text) == shown


def test_a_name_in_a_file_does_not_steer_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "recording.csv"
    path.write_text("time\x1b]0;owned\x07\x1b[2J,x\n0,1\n")
    assert main(["predict", str(path), "--output", str(tmp_path / "out.csv")]) == 2
    said = capsys.readouterr().err
    assert "\\x1b]0;owned\\x07\\x1b[2J" in said
    assert not set(said) & {"\x1b", "\x07"}
    assert shown("café, naïve 数") == "café, naïve 数"
    assert shown("one\nhar: two\r\u202e\udc80") == "one\\nhar: two\\r\\u202e\\udc80"


@pytest.mark.parametrize(("name", "words"), [("c.yaml", ["train", "--config"]), ("s.yaml", ["sweep"])])
def test_yaml_without_end_is_refused_in_words(name: str, words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / name
    path.write_text("[" * 20_000)
    assert main([*words, str(path), "--runs", str(tmp_path / "runs")]) == 2
    assert f"{path} is not valid YAML" in capsys.readouterr().err


def test_a_password_of_the_store_is_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture) -> None:
    runs = tmp_path / "runs"
    uri = f"http://me:{SECRET}@127.0.0.1:9"  # nobody listens on the port "discard"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    monkeypatch.setattr(copies, "_failed_at", {})
    with tracked_run(runs, "e", "name", {"seed": "0"}) as run:
        run.log_metrics({"a": 1.0})
    with refused("store") as caught:
        raise stores.unreachable(uri, OSError(f"no answer from {uri}"))
    stores.warn(f"{uri} is slow")
    said = "".join(capfd.readouterr())
    assert "har: warning: " in said
    assert "127.0.0.1:9" in said
    for text in (said, str(caught.value), *(path.read_bytes().decode("latin-1") for path in runs.rglob("*") if path.is_file())):
        assert SECRET not in text


@pytest.mark.parametrize("uri", [f"me:{SECRET}@127.0.0.1:9", f"//me:{SECRET}@127.0.0.1", f"me:p@{SECRET}@127.0.0.1"])
def test_a_password_without_a_scheme_is_nowhere(
    uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    monkeypatch.chdir(tmp_path)
    assert main(["doctor"]) in (0, 1, 2)
    assert main(["register", "--bundle", str(pretrained())]) == 2
    assert main(["dashboard", "--port", "5082"]) == 2
    said = "".join(capfd.readouterr())
    assert said.count("cannot open the MLflow store") == 3
    assert "write MLFLOW_TRACKING_URI as http://HOST:PORT" in said
    assert SECRET not in said
    with refused("store") as caught:
        raise stores.unreachable("http://host", OSError("x" * 190 + uri))  # the reason is cut short in the password
    assert SECRET[:4] not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_the_dashboard_listens_here_alone_and_hides_the_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    started: list[list[str]] = []
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"postgresql+psycopg2://me:{SECRET}@127.0.0.1/mlflow")
    monkeypatch.setenv("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "")  # what is set is gone behind this test
    monkeypatch.setattr(mlflow.server, "_exec_cmd", mlflow.server._exec_cmd)
    monkeypatch.setattr(mlflow, "MlflowClient", lambda **_: None)  # no PostgreSQL is there
    monkeypatch.setattr(server, "keep_views", lambda client: {"uci-har": "/#/experiments/1"})
    monkeypatch.setattr(mlflow.cli, "server", started.append)
    server.serve(tmp_path, 5081)
    (words,) = started
    assert words[words.index("--host") + 1] == "127.0.0.1"
    said = capsys.readouterr().out
    assert "postgresql+psycopg2://***@127.0.0.1/mlflow" in said
    assert SECRET not in said
