"""The commands in the code blocks of the documents, run in their order by somebody who has nothing yet.

They run on the synthetic data set and for one epoch, and are otherwise as in the documents. `LEFT_OUT` names the others, with the reason.
"""

import json
import re
import shlex
import subprocess
import urllib.request
from pathlib import Path

import numpy as np
import pytest
import yaml

from tests.journeys.user import HAR, RECORDING, RECORDINGS, ROOT, Place, add_recordings, blocks, commands, free_port, serving

LEFT_OUT = {
    "make test": "is this suite",
    "make web": "needs Node.js; the tests in export/web open the page",
    "make conformance": "needs a package registry; a test of make check",
    "--gpus-per-job": "needs a GPU",
    "python -m research": "takes many minutes; tests/research/ runs each script with a small budget",
}
TRAINED_FOR_LONG = ("--epochs", "1")
SYNTHETIC = ("train", "evaluate", "compare", "export", "explain", "robustness")  # commands with --dataset
FILES = {"THING": RECORDING, "my_walk.csv": RECORDING, "RECORDING.csv": RECORDING, "recordings/": RECORDINGS}

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]


def reason_to_leave_out(words: list[str]) -> str | None:
    return next((reason for part, reason in LEFT_OUT.items() if part in shlex.join(words)), None)


def of_make(words: list[str]) -> list[str]:
    """The `har` command that a target of the Makefile runs."""
    found = subprocess.run(["make", "-n", *words[1:]], cwd=ROOT, capture_output=True, text=True, check=True).stdout.replace("\\\n", " ")
    (line,) = re.findall(r"^\s*\.venv/bin/(har .*)$", found, flags=re.MULTILINE)[:1]
    return shlex.split(line)


def small(words: list[str], place: Place) -> list[str]:
    """The same command on the synthetic data set, with the smallest budget."""
    if words[0] == "make":
        words = of_make(words)
    assert words[0] == "har"
    words = [FILES.get(word, word).replace("uci-har", "synthetic") for word in words]
    words = ["export/bundle-synthetic" if word == "export/bundle" else word for word in words]
    command = words[2] if words[1] == "data" else words[1]
    if command in SYNTHETIC and "--dataset" not in words:
        words = [*words, "--dataset", "synthetic"]
    if "--archive" in words:
        at = words.index("--archive")
        words = words[:at] + words[at + 2 :]
    if "--seed" in words:
        at = words.index("--seed") + 1
        end = next((i for i in range(at, len(words)) if words[i].startswith("-")), len(words))
        words = words[: at + 1] + words[end:]
    if words == ["har", "data", "prepare", "--dataset", "synthetic"]:
        return words
    if command == "train":
        return [*(word if word != "all" else "cnn1d" for word in words), *TRAINED_FOR_LONG]
    if command == "demo":
        return [*words, *TRAINED_FOR_LONG]
    if command == "sweep":
        return small_study(words, place)
    if command == "robustness":
        return [word.replace("dilated_cnn", "cnn1d") for word in words]
    return words


def small_study(words: list[str], place: Place) -> list[str]:
    """A sweep of the study with one network, two settings, one fold, one seed and one epoch."""
    study = yaml.safe_load((ROOT / words[2]).read_text(encoding="utf-8"))
    study |= {"configs": ["cnn1d"], "folds": [0], "seeds": [0]}
    kept = {key: value for key, value in study["change"].items() if key == "training.keep"}  # without validation subjects it is needed
    study["change"] = kept | {"data.dataset": "synthetic", "training.epochs": 1}
    if "settings" in study:
        study["settings"] = {
            name: {"idea": study["settings"][name]["idea"], "change": {"augmentation.rotation_deg": turn}}
            for name, turn in zip(list(study["settings"])[:2], (0, 5), strict=True)
        }
    path = place.folder / words[2]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(study))
    return words


def follow(document: str, place: Place, *, but: tuple[str, ...] = ()) -> None:
    """Run the commands of a document, `but` some, then those that they say come next."""
    add_recordings(place)
    later: list[list[str]] = []
    ran: list[list[str]] = []
    for words in commands(ROOT / document):
        if reason_to_leave_out(words) is None and shlex.join(words) not in but:
            later += run(words, place, ran)
    for words in later:
        run(words, place, ran)


def run(words: list[str], place: Place, ran: list[list[str]]) -> list[list[str]]:
    """Run a command once; returns those that it says come next."""
    words = small(words, place)
    if words in ran:
        return []
    ran.append(words)
    if words[:2] == ["har", "dashboard"]:
        port = free_port()
        with serving(place, [*words[:2], "--port", str(port)], f"http://127.0.0.1:{port}/health"):
            return []
    return place.succeeds(words).next_commands()


def test_readme(place: Place) -> None:
    follow("README.md", place)
    assert "SYNTHETIC" in (place.folder / "export/bundle-synthetic/MODEL_CARD.md").read_text()
    assert (place.folder / "activities.csv").read_text().startswith("from_s,to_s,activity,confidence,p_WALKING")


def test_tutorial(place: Place) -> None:
    follow("docs/tutorial.md", place, but=("make demo",))  # the README's journey begins with it


def test_recordings(place: Place) -> None:
    add_recordings(place)
    follow("docs/recordings.md", place)
    assert (place.folder / "recording-inspect.png").is_file()


def test_the_bundles_documentation(place: Place) -> None:
    add_recordings(place)
    for words in (
        ["har", "train", "--dataset", "synthetic", "--model", "cnn1d", *TRAINED_FOR_LONG],
        ["har", "export", "--dataset", "synthetic"],
    ):
        place.succeeds(words)
    follow("export/README.md", place)
    (code,) = blocks(ROOT / "export/README.md", ("python",))
    windows = "import numpy as np\nfrom har.data import synthetic\nsamples = synthetic.generate(31, 0, bout_seconds=6.0).samples\n"
    script = f"{windows}windows, chunk = samples[None, :128], samples[:300]\n" + code.replace("export/bundle", "export/bundle-synthetic")
    done = place.succeeds(["python", "-c", script + "\nassert probabilities.shape == (1, 6)"])
    assert len(done.output.splitlines()) == 3


def test_many_recordings(place: Place) -> None:
    pytest.importorskip("ray")
    follow("docs/scale.md", place)
    assert {path.name for path in (place.folder / "predictions").iterdir()} == {"one.parquet", "two.parquet"}


def test_scikit_learn(place: Place) -> None:
    (code,) = (code for code in blocks(ROOT / "README.md", ("python",)) if "sklearn" in code)
    place.succeeds(["python", "-c", code + "\nassert len(scores) == 3"])


def test_tracking(place: Place) -> None:
    """Export, register, load by alias and serve, as docs/tracking.md says."""
    place.succeeds(["har", "train", "--dataset", "synthetic", "--model", "cnn1d", *TRAINED_FOR_LONG])
    export, register, serve, ask = commands(ROOT / "docs/tracking.md")
    place.succeeds(small(export, place))
    done = place.succeeds([*register, "--bundle", "export/bundle-synthetic"])
    (line,) = [line.removeprefix("next: ").split("; see")[0] for line in done.output.splitlines() if line.startswith("next: ")]
    assert "PyFuncModel" in place.succeeds(["bash", "-c", line]).output or "mlflow.pyfunc" in place.done[-1].output
    load, _ = blocks(ROOT / "docs/tracking.md", ("python",))
    windows = "from har.data import synthetic\nwindows = synthetic.generate(31, 0, bout_seconds=6.0).samples[None, :128]\n"
    load = load.replace("wearable-har@", "wearable-har-synthetic@")
    place.succeeds(["python", "-c", f"{windows}{load}\nassert list(table.columns[:2]) == ['activity', 'confidence'], table"])

    port = free_port()
    words = ["env", *(word.replace("wearable-har@", "wearable-har-synthetic@").replace("5001", str(port)) for word in serve)]
    given = np.zeros((1, 128, 6), dtype=np.float32)
    given[:, :, 0] = 1.0 + 0.01 * np.sin(np.arange(128))
    given[:, :, 3:] = 0.01 * np.cos(np.arange(128))[:, None]
    with serving(place, words, f"http://127.0.0.1:{port}/ping"):
        address = next(word for word in ask if word.startswith("http")).replace("5001", str(port))
        header = dict([ask[ask.index("-H") + 1].split(": ")])
        body = ask[ask.index("-d") + 1].replace("WINDOWS", json.dumps(given.tolist()))
        with urllib.request.urlopen(urllib.request.Request(address, body.encode(), header), timeout=60) as answer:
            (row,) = json.load(answer)["predictions"]
    assert {"activity", "confidence"} < set(row)


def test_a_data_set_of_ones_own(place: Place) -> None:
    """The package of docs/add-a-data-set.md, on files of its layout; PYTHONPATH stands for its installation."""
    (loader,) = blocks(ROOT / "docs/add-a-data-set.md", ("python",))
    (project,) = blocks(ROOT / "docs/add-a-data-set.md", ("toml",))
    package = place.folder.parent / "package"
    (package / "my_package").mkdir(parents=True)
    (package / "my_package/__init__.py").touch()
    (package / "my_package/my_data.py").write_text(loader)
    (group,) = re.findall(r"\[project\.entry-points\.\"(.*?)\"\]\n(.*)", project)
    info = package / "my_package-0.1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: my-package\nVersion: 0.1\n")
    (info / "entry_points.txt").write_text(f"[{group[0]}]\n{group[1].replace(chr(34), '')}\n")
    write_own_recordings(place.folder / "FOLDER")
    add_recordings(place)

    environment = {"PYTHONPATH": str(package)}
    for words in commands(ROOT / "docs/add-a-data-set.md"):
        if "dilated_cnn-refit" in words:  # of another data set: needs its training
            continue
        words = [FILES.get(word, word) for word in words]
        if "train" in words:
            words = [*words, *TRAINED_FOR_LONG, "--fold", "0"]
        done = place.succeeds(words, environment=environment)
        for after in done.next_commands():
            if after[1] not in ("evaluate", "export", "explain", "dashboard", "train"):
                place.succeeds([FILES.get(word, word) for word in after], environment=environment)
    assert (place.folder / "export/bundle-my-data/model.onnx").is_file()


def write_own_recordings(folder: Path) -> None:
    """Files ``person_activity.csv`` of six subjects, in ms, m/s^2 and rad/s."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    for person in range(6):
        for number, activity in enumerate(("walking", "sitting", "cycling")):
            time_s = np.arange(0, 30, 0.02)
            strength = (0.3, 0.01, 0.15)[number]
            acc = np.array([9.8, 0.0, 0.0]) + strength * 9.8 * np.sin(2 * np.pi * (1.8, 0.1, 1.1)[number] * time_s[:, None] + person)
            gyro = strength * np.cos(2 * np.pi * 1.8 * time_s[:, None] + np.arange(3))
            table = np.concatenate(
                (1000 * time_s[:, None], acc + rng.normal(0, 0.05, acc.shape), gyro + rng.normal(0, 0.01, gyro.shape)), axis=1
            )
            np.savetxt(folder / f"{person}_{activity}.csv", table, delimiter=",", header="time,ax,ay,az,gx,gy,gz", comments="", fmt="%.5f")


def test_har_is_the_installed_command() -> None:
    assert HAR.is_file()
