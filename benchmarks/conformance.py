"""Does a bundle compute the same in other versions of onnxruntime and on another processor?

    python benchmarks/conformance.py [--bundle export/pretrained/default ...] [--work build/conformance] [--skip-arm]

Each runtime gets an environment of its own: the newest onnxruntime, which the constraints file pins, two older ones (some int8
files are silently wrong in versions up to 1.26), and the aarch64 wheel under qemu with Debian's aarch64 Python. In each, the
golden windows run through every model of the bundle from this checkout, with numpy and onnxruntime alone, after checksums and
metadata were compared. Nothing is installed on the machine: packages are unpacked below ``--work``. Needs Python's and Debian's
package indexes, and ``dpkg`` for the aarch64 part. Writes ``results/device/conformance.csv``.
"""

import argparse
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import venv
from pathlib import Path

from tables import made, write_table

ROOT = Path(__file__).parents[1]
RESULT = Path("results/device/conformance.csv")
OLDEST, OLDER = "1.24.1", "1.25.1"  # of onnxruntime: the oldest that pyproject.toml allows, and one before 1.26
ARM = "1.26.0"  # 1.31.1 crashes while it looks at the processor, in its import, under the emulator of Debian 12
NUMPY = {OLDEST: "1.26.4", OLDER: "2.2.6"}  # what these were built for
ARM_PACKAGES = (  # Debian's Python with what it links against
    *("python3.11-minimal", "libpython3.11-minimal", "libpython3.11-stdlib", "libc6", "libgcc-s1", "libstdc++6", "libexpat1", "zlib1g"),
    *("libssl3", "libffi8", "libbz2-1.0", "liblzma5", "libuuid1", "libcrypt1", "libgomp1"),
)
QEMU = "qemu-user-static"
ARM_TAGS = ("manylinux_2_28_aarch64", "manylinux_2_27_aarch64", "manylinux_2_17_aarch64", "manylinux2014_aarch64")
# Runs in each environment: a row a model of the bundle.
PROBE = """
import json, platform, sys
import numpy, onnxruntime
from har.runtime.bundle import read_bundle
from har.runtime.recognizer import load_model
rows, bundle = [], read_bundle(sys.argv[1])
for name in bundle.models:
    tolerance, digest = bundle.tolerance(name), bundle.manifest["files"][name]["sha256"]
    row = {"model": name, "sha256": digest, "runtime": "onnxruntime", "version": onnxruntime.__version__, "tolerance": tolerance}
    row |= {"processor": platform.machine(), "python": platform.python_version(), "numpy": numpy.__version__}
    try:
        recognizer = load_model(sys.argv[1], name, self_test=False)
        row["golden_windows"], row["largest_difference"] = recognizer.check_golden(name)
        row["holds"] = True
    except Exception as error:
        row |= {"golden_windows": 0, "largest_difference": "", "holds": False, "error": str(error)}
    rows.append(row)
print(json.dumps(rows))
"""


def run(*command: str | Path, **options: object) -> str:
    """Run a command and return what it printed; a failure ends the script with its last lines."""
    words = [str(word) for word in command]
    done = subprocess.run(words, capture_output=True, text=True, **options)  # type: ignore[call-overload]  # nosec B603
    if done.returncode:
        sys.exit(f"conformance: {shlex.join(map(str, command))} failed:\n{(done.stderr or done.stdout)[-1500:]}")
    return done.stdout


def pinned_version(package: str) -> str:
    """The version of a package that the constraints file pins."""
    found = re.search(rf"^{package}==(\S+)", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    assert found
    return found[1]


def native(version: str, work: Path) -> list[str]:
    """Interpreter of an environment with one version of onnxruntime."""
    folder = work / f"onnxruntime-{version}"
    python = folder / "bin" / "python"
    if not (folder / "ready").exists():
        venv.create(folder, clear=True, with_pip=True)
        pin = [f"numpy=={NUMPY[version]}"] if version in NUMPY else ["numpy", "--constraint", str(ROOT / "constraints.txt")]
        run(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", f"onnxruntime=={version}", *pin)
        (folder / "ready").touch()
    return [str(python)]


def arm(version: str, work: Path) -> list[str]:
    """Interpreter for aarch64 under qemu, with the aarch64 wheels of numpy and onnxruntime."""
    folder = work / f"aarch64-{version}"
    if not (folder / "ready").exists():
        shutil.rmtree(folder, ignore_errors=True)
        packages, wheels = folder / "packages", folder / "wheels"
        packages.mkdir(parents=True)
        for architecture, names in (("arm64", ARM_PACKAGES), (run("dpkg", "--print-architecture").strip(), (QEMU,))):
            options = _apt(folder / f"apt-{architecture}", architecture)
            run("apt-get", *options, "-qq", "update")
            run("apt-get", *options, "-qq", "download", *names, cwd=packages)
        for package in packages.glob("*.deb"):
            run("dpkg", "-x", package, folder / ("qemu" if package.name.startswith(QEMU) else "root"))
        platforms = [word for tag in ARM_TAGS for word in ("--platform", tag)]
        pinned = [f"onnxruntime=={version}", f"numpy=={pinned_version('numpy')}"]
        index = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--only-binary=:all:", "--no-deps"]
        run(*index, "--python-version", "3.11", *platforms, "--dest", wheels, *pinned)
        # What onnxruntime imports beside numpy to answer: nothing; protobuf and flatbuffers serve other parts of it.
        for wheel in wheels.glob("*.whl"):
            shutil.unpack_archive(wheel, folder / "site", "zip")
        (folder / "ready").touch()
    root = folder / "root"
    emulator = folder / "qemu/usr/bin/qemu-aarch64-static"
    return [str(emulator), "-L", str(root), "-E", f"PYTHONHOME={root}/usr", str(next((root / "usr/bin").glob("python3.11")))]


def _apt(folder: Path, architecture: str) -> list[str]:
    """Options that keep apt's lists, cache and status in a folder of their own."""
    (folder / "lists/partial").mkdir(parents=True)
    (folder / "cache/archives/partial").mkdir(parents=True)
    (folder / "status").touch()
    settings = {
        "APT::Architecture": architecture,
        "APT::Architectures": architecture,
        "Dir::State": folder,
        "Dir::State::status": folder / "status",
        "Dir::Cache": folder / "cache",
        "APT::Sandbox::User": "root",
    }
    return [word for name, value in settings.items() for word in ("-o", f"{name}={value}")]


def probe(interpreter: list[str], site: Path | None, bundle: Path) -> list[dict]:
    """Rows of one environment."""
    path = os.pathsep.join([str(ROOT), *([str(site)] if site else [])])
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"}
    return json.loads(run(*interpreter, "-c", PROBE, bundle.resolve(), env=environment).splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", nargs="+", type=Path, default=sorted((ROOT / "export/pretrained").glob("*")))
    parser.add_argument("--work", type=Path, default=ROOT / "build/conformance")
    parser.add_argument("--skip-arm", action="store_true", help="without the aarch64 wheel under qemu")
    parser.add_argument("--result", type=Path, default=RESULT)
    options = parser.parse_args()
    if not options.bundle:
        sys.exit("conformance: no bundle; name one with --bundle, or export one: har export")
    options.work.mkdir(parents=True, exist_ok=True)
    work = options.work.resolve()
    places: list[tuple[list[str], Path | None]] = [
        (native(version, work), None) for version in (pinned_version("onnxruntime"), OLDER, OLDEST)
    ]
    if not options.skip_arm:
        places.append((arm(ARM, work), work / f"aarch64-{ARM}" / "site"))
    rows = []
    for bundle in options.bundle:
        for interpreter, site in places:
            for row in probe(interpreter, site, bundle):
                about = f"{bundle}: {row['model']}, onnxruntime {row['version']} on {row['processor']}: "
                about += f"largest difference {row['largest_difference']:.1e}" if row["holds"] else f"FAILED, {row.pop('error')}"
                print(about, flush=True)
                rows.append({"bundle": bundle.name} | row)
    write_table(options.result, rows, made())
    if not all(row["holds"] for row in rows):
        sys.exit(1)


if __name__ == "__main__":
    main()
