"""What is installed, found and missing, each with what to do about it. Imports nothing that may be missing."""

import os
import platform
import shutil
import subprocess
import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from har import __version__
from har.errors import HarError
from har.redaction import redacted

OK, MISSING, OPTIONAL, PROBLEM = "ok", "missing", "optional", "problem"
TRAINING = ("torch", "pytorch-lightning", "mlflow", "pandas", "scikit-learn", "onnx")
EXTRAS = {"pyarrow": "parquet", "ray": "ray", "captum": "explain", "aeon": "peers", "pyspark": "spark", "psycopg2-binary": "team"}
LITTLE_DISK_GB, LITTLE_MEMORY_GB = 2.0, 2.0  # free; a study with predictions and an MLflow store needs about that


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        area: such as ``data``.
        name: of the thing.
        state: ``ok``, ``missing`` (something that is normally needed), ``optional`` (not there, and only few need it) or ``problem``.
        text: what was found.
        fix: what to do, where there is something to do.
    """

    area: str
    name: str
    state: str
    text: str
    fix: str = ""


def examine(runs: Path, bundle: Path, web: Path = Path("export/web")) -> list[Finding]:
    """Look at everything.

    Args:
        runs: folder of all runs.
        bundle: where `har export` writes by default.
        web: source of the web client.
    """
    return [*_machine(), *_packages(), *_torch(), *_data(), *_tracking(runs), *_bundles(bundle), *_web(web)]


def report(findings: list[Finding]) -> str:
    """The findings as lines, grouped by area."""
    marks = {OK: "ok      ", MISSING: "MISSING ", OPTIONAL: "-       ", PROBLEM: "PROBLEM "}
    lines, area = [], ""
    width = max(len(finding.name) for finding in findings)
    for finding in findings:
        if finding.area != area:
            area = finding.area
            lines.append(area)
        fix = f"; {finding.fix}" if finding.fix else ""
        lines.append(f"  {marks[finding.state]}{finding.name:<{width}}  {finding.text}{fix}")
    wrong = sum(finding.state in (MISSING, PROBLEM) for finding in findings)
    lines.append("nothing is missing" if not wrong else f"{wrong} of {len(findings)} need something")
    return "\n".join(lines)


def _check(area: str, name: str, ok: bool, text: str, fix: str, otherwise: str = PROBLEM) -> Finding:
    """A finding that is ``ok``, or in another state with advice."""
    return Finding(area, name, OK if ok else otherwise, text, "" if ok else fix)


def _machine() -> list[Finding]:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    free = shutil.disk_usage(Path.cwd()).free / 1e9
    found = [
        Finding("machine", "system", OK, f"{platform.system()} {platform.machine()}, {cores} cores"),
        Finding("machine", "python", OK, f"{platform.python_version()} ({sys.executable})"),
        Finding("machine", "wearable-har", OK, f"{__version__} ({Path(__file__).parents[1]})"),
        _check("machine", "disk", free >= LITTLE_DISK_GB, f"{free:.1f} GB free in {Path.cwd()}", "make room, or work in another folder"),
    ]
    if find_spec("psutil"):
        import psutil

        free, total = (size / 1e9 for size in (psutil.virtual_memory().available, psutil.virtual_memory().total))
        text, fix = f"{free:.1f} of {total:.1f} GB available", "end other programs, or lower --workers"
        found.append(_check("machine", "memory", free >= LITTLE_MEMORY_GB, text, fix))
    return found


def _packages() -> list[Finding]:
    wanted = dict.fromkeys(("numpy", "onnxruntime"), (MISSING, "pip install wearable-har"))
    wanted |= dict.fromkeys(TRAINING, (MISSING, "needed to train: pip install 'wearable-har[train]'"))
    wanted |= {name: (OPTIONAL, f"pip install 'wearable-har[{extra}]'") for name, extra in EXTRAS.items()}
    found = []
    for name, (state, fix) in wanted.items():
        try:
            found.append(Finding("packages", name, OK, version(name)))
        except PackageNotFoundError:
            found.append(Finding("packages", name, state, "not installed", fix))
    return found


def _torch() -> list[Finding]:
    if not find_spec("torch"):
        return []
    import torch

    text = f"CPU, {torch.get_num_threads()} threads; the shipped networks need no GPU"
    if torch.cuda.is_available():
        names = ", ".join(torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count()))
        text = f"CUDA {torch.version.cuda}: {names}"
    elif torch.backends.mps.is_available():
        text = "Apple GPU (mps)"
    return [Finding("training", "device", OK, text)]


def _data() -> list[Finding]:
    if not find_spec("pydantic"):
        return []
    from har.data.archives import HAPT, UCI_HAR, find_source
    from har.data.cache import data_root, last_source

    found = []
    for layout in (UCI_HAR, HAPT):
        name, prepare = layout.name, f"har data prepare --dataset {layout.name}"
        try:
            source = find_source(None, data_root() / "downloads", layout) or last_source(name)
        except HarError as error:
            found.append(Finding("data", name, PROBLEM, str(error)))
            continue
        if source is None:
            state, fix = MISSING if layout is UCI_HAR else OPTIONAL, f"{prepare}, with --archive PATH for a copy at hand"
            found.append(Finding("data", name, state, "not here", fix))
        else:
            text = str(source) if source.exists() else f"was prepared from {source}, which is gone"
            found.append(_check("data", name, source.exists(), text, f"{prepare} --archive PATH"))
    cache = data_root() / "cache"
    entries = sum(path.is_dir() and not path.name.startswith(".") for path in cache.glob("*"))
    return [*found, Finding("data", "cache", OK, f"{entries} data sets in {cache}")]


def _tracking(runs: Path) -> list[Finding]:
    if not find_spec("mlflow"):
        return []
    from har.tracking.copies import store_facts

    try:
        text, waiting = store_facts(runs)
    except HarError as error:
        return [Finding("runs", "MLflow store", PROBLEM, redacted(str(error)))]
    found = [Finding("runs", "MLflow store", OK, redacted(text))]
    if waiting:
        found.append(Finding("runs", "not sent yet", PROBLEM, f"{waiting} runs are not on the server", f"har track push --runs {runs}"))
    return found


def _bundles(bundle: Path) -> list[Finding]:
    from har.runtime.bundle import of_one_folder, pretrained, read_bundle
    from har.runtime.manifest import MANIFEST

    found: list[Finding] = []
    for name, absent, fix in (("your bundle", OPTIONAL, "har export"), ("pretrained", PROBLEM, "install the package again")):
        try:
            folder = bundle if name == "your bundle" else pretrained()
            if not (folder / MANIFEST).is_file():
                found.append(Finding("bundles", name, absent, f"none at {folder}", fix))
                continue
            what = ", trained on SYNTHETIC data" if of_one_folder(read_bundle, folder).synthetic else ""
            found.append(Finding("bundles", name, OK, f"{folder}{what}; har verify runs its golden windows"))
        except HarError as error:
            found.append(Finding("bundles", name, PROBLEM, str(error), fix))
    return found


def _web(web: Path) -> list[Finding]:
    area, node = "web client", shutil.which("node")
    if not (web / "package.json").is_file():
        return []
    if node is None:
        return [Finding(area, "node", OPTIONAL, "not installed", "Node.js 20 or newer, for make web")]
    said = subprocess.run([node, "--version"], capture_output=True, text=True, timeout=30).stdout.strip()  # nosec B603 # no shell
    number = said.lstrip("v").split(".")[0]
    ready = (web / "node_modules").is_dir()
    browser = next(filter(None, map(shutil.which, ("chromium-headless-shell", "chromium", "google-chrome"))), None)
    return [
        _check(area, "node", not number.isdecimal() or int(number) >= 20, said or "no version", "20 or newer is needed"),
        _check(area, "its packages", ready, "installed" if ready else "not installed", "make web", OPTIONAL),
        _check(area, "Chromium", browser is not None, browser or "not found", "only its tests need it", OPTIONAL),
    ]
