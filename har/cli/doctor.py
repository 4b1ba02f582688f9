"""What is installed, found and missing, each with what to do about it. Imports nothing that may be missing."""

import os
import platform
import shutil
import subprocess
import sys
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

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
        mend: what to do, where there is something to do.
    """

    area: str
    name: str
    state: str
    text: str
    mend: str = ""


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
        mend = f"; {finding.mend}" if finding.mend else ""
        lines.append(f"  {marks[finding.state]}{finding.name:<{width}}  {finding.text}{mend}")
    wrong = sum(finding.state in (MISSING, PROBLEM) for finding in findings)
    lines.append("nothing is missing" if not wrong else f"{wrong} of {len(findings)} need something")
    return "\n".join(lines)


def as_data(findings: list[Finding]) -> list[dict[str, Any]]:
    """The findings for machines."""
    return [asdict(finding) for finding in findings]


def _machine() -> list[Finding]:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    found = [
        Finding("machine", "system", OK, f"{platform.system()} {platform.machine()}, {cores} cores"),
        Finding("machine", "python", OK, f"{platform.python_version()} ({sys.executable})"),
        Finding("machine", "wearable-har", OK, f"{__version__} ({Path(__file__).parents[1]})"),
    ]
    free = shutil.disk_usage(Path.cwd()).free / 1e9
    state, mend = (OK, "") if free >= LITTLE_DISK_GB else (PROBLEM, "make room, or work in another folder")
    found.append(Finding("machine", "disk", state, f"{free:.1f} GB free in {Path.cwd()}", mend))
    if find_spec("psutil"):
        import psutil

        memory = psutil.virtual_memory()
        state, mend = (OK, "") if memory.available / 1e9 >= LITTLE_MEMORY_GB else (PROBLEM, "end other programs, or lower --workers")
        found.append(Finding("machine", "memory", state, f"{memory.available / 1e9:.1f} of {memory.total / 1e9:.1f} GB available", mend))
    return found


def _packages() -> list[Finding]:
    found = []
    for name in ("numpy", "onnxruntime"):
        found.append(_package(name, MISSING, "pip install wearable-har"))
    for name in TRAINING:
        found.append(_package(name, MISSING, "needed to train: pip install 'wearable-har[train]'"))
    for name, extra in EXTRAS.items():
        found.append(_package(name, OPTIONAL, f"pip install 'wearable-har[{extra}]'"))
    return found


def _package(name: str, state: str, mend: str) -> Finding:
    try:
        return Finding("packages", name, OK, version(name))
    except PackageNotFoundError:
        return Finding("packages", name, state, "not installed", mend)


def _torch() -> list[Finding]:
    if not find_spec("torch"):
        return []
    import torch

    if torch.cuda.is_available():
        text = ", ".join(torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count()))
        return [Finding("training", "device", OK, f"CUDA {torch.version.cuda}: {text}")]
    if torch.backends.mps.is_available():
        return [Finding("training", "device", OK, "Apple GPU (mps)")]
    return [Finding("training", "device", OK, f"CPU, {torch.get_num_threads()} threads; the shipped networks need no GPU")]


def _data() -> list[Finding]:
    if not find_spec("pydantic"):
        return []
    from har.data.archives import HAPT, UCI_HAR, find_source
    from har.data.cache import data_root, last_source

    found = []
    for layout in (UCI_HAR, HAPT):
        name = layout.name
        try:
            source = find_source(None, data_root() / "downloads", layout) or last_source(name)
        except HarError as error:
            found.append(Finding("data", name, PROBLEM, str(error)))
            continue
        if source is not None and source.exists():
            found.append(Finding("data", name, OK, str(source)))
        elif source is not None:
            mend = f"har data prepare --dataset {name} --archive PATH"
            found.append(Finding("data", name, PROBLEM, f"was prepared from {source}, which is gone", mend))
        else:
            mend = f"har data prepare --dataset {name}, with --archive PATH for a copy at hand"
            found.append(Finding("data", name, MISSING if layout is UCI_HAR else OPTIONAL, "not here", mend))
    cache = data_root() / "cache"
    entries = sum(1 for path in cache.glob("*") if path.is_dir() and not path.name.startswith(".")) if cache.is_dir() else 0
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
    try:
        shipped = pretrained()
    except HarError as error:
        found.append(Finding("bundles", "pretrained", PROBLEM, str(error)))
        shipped = None
    for name, folder in (("your bundle", bundle), ("pretrained", shipped)):
        if folder is None:
            continue
        if not (folder / MANIFEST).is_file():
            state, mend = (OPTIONAL, "har export") if folder == bundle else (PROBLEM, "install the package again")
            found.append(Finding("bundles", name, state, f"none at {folder}", mend))
            continue
        try:
            read = of_one_folder(read_bundle, folder)
        except HarError as error:
            found.append(Finding("bundles", name, PROBLEM, str(error), "har export" if folder == bundle else "install the package again"))
        else:
            what = ", trained on SYNTHETIC data" if read.synthetic else ""
            found.append(Finding("bundles", name, OK, f"{folder}{what}; har verify runs its golden windows"))
    return found


def _web(web: Path) -> list[Finding]:
    if not (web / "package.json").is_file():
        return []
    node = shutil.which("node")
    if node is None:
        return [Finding("web client", "node", OPTIONAL, "not installed", "Node.js 20 or newer, for make web")]
    done = subprocess.run([node, "--version"], capture_output=True, text=True, timeout=30)  # nosec B603 # no shell
    said = done.stdout.strip()
    old = said.lstrip("v").split(".")[0].isdecimal() and int(said.lstrip("v").split(".")[0]) < 20
    found = [Finding("web client", "node", PROBLEM if old else OK, said or "no version", "20 or newer is needed" if old else "")]
    ready = (web / "node_modules").is_dir()
    found.append(
        Finding(
            "web client", "its packages", OK if ready else OPTIONAL, "installed" if ready else "not installed", "" if ready else "make web"
        )
    )
    browser = next((path for name in ("chromium-headless-shell", "chromium", "google-chrome") if (path := shutil.which(name))), None)
    found.append(
        Finding("web client", "Chromium", OK if browser else OPTIONAL, browser or "not found", "" if browser else "only its tests need it")
    )
    return found
