"""A process that writes the cache is killed for real, at every step of the write; what it leaves never harms the next one."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from har.data import synthetic
from har.data.cache import load_entry
from har.data.prepare import load_dataset
from har.files import PARTIAL

# The child stops at one moment of the write, says so, and waits to be killed.
CHILD = """
import json, os, sys, time
import numpy as np
from har.data import synthetic
from har.data.prepare import load_dataset

moment, write, save, dumps, rename, write_csv = sys.argv[1], synthetic.write_dataset, np.save, json.dumps, os.rename, synthetic.write_csv
synthetic.write_dataset = lambda folder, seed=0, **options: write(folder, seed, num_subjects=3, bout_seconds=4.0, **options)

def here(name):
    if name == moment:
        print("here", flush=True)
        time.sleep(600)

def save_file(path, array):
    here("before " + path.name)
    save(path, array)
    if "within " + path.name == moment:
        os.truncate(path, path.stat().st_size // 2)
    here("within " + path.name)

def rename_folder(source, target):
    kind = "recordings" if "synthetic" in str(target) else "entry"
    here("before the rename of the " + kind)
    rename(source, target)
    here("behind the rename of the " + kind)

def write_recording(recording, path):
    write_csv(recording, path)
    if recording.subject == 2:
        here("among the recordings")

np.save, os.rename, synthetic.write_csv = save_file, rename_folder, write_recording
load_dataset("synthetic")
"""

MOMENTS = {  # to whether the entry is there afterwards
    "among the recordings": False,
    "before the rename of the recordings": False,
    "behind the rename of the recordings": False,
    "before x.npy": False,
    "within x.npy": False,
    "before y.npy": False,
    "within start.npy": False,
    "before the rename of the entry": False,
    "behind the rename of the entry": True,
}


def kill_at(moment: str) -> None:
    child = subprocess.Popen([sys.executable, "-c", CHILD, moment], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline() == "here\n", child.communicate()
    child.kill()
    child.communicate(timeout=60)
    assert child.returncode == -9


def left(folder: Path) -> list[Path]:
    """Temporary folders and their locks."""
    return list(folder.rglob(f"{PARTIAL}*"))


@pytest.fixture(scope="module")
def digest(tmp_path_factory: pytest.TempPathFactory) -> str:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HAR_CACHE_DIR", str(tmp_path_factory.mktemp("undisturbed")))
        small(patch)
        return load_dataset("synthetic").digest


def small(patch: pytest.MonkeyPatch) -> None:
    write = synthetic.write_dataset
    patch.setattr(
        synthetic, "write_dataset", lambda folder, seed=0, **options: write(folder, seed, num_subjects=3, bout_seconds=4.0, **options)
    )


@pytest.mark.slow
@pytest.mark.parametrize("moment", MOMENTS)
def test_a_killed_writer_leaves_no_damage_and_no_rubbish(moment: str, digest: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HAR_CACHE_DIR", str(tmp_path))
    small(monkeypatch)
    kill_at(moment)
    entries = [path for path in (tmp_path / "cache").glob("*") if not path.name.startswith(".")]
    assert bool(entries) == MOMENTS[moment]
    for entry in entries:
        assert load_entry(entry).digest == digest
    assert left(tmp_path), "the killed process was within its write"
    found = load_dataset("synthetic")
    assert found.digest == digest
    assert isinstance(found.x, np.memmap)
    assert left(tmp_path) == []


@pytest.mark.slow
def test_rubbish_does_not_pile_up(digest: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HAR_CACHE_DIR", str(tmp_path))
    small(monkeypatch)
    for _ in range(3):
        kill_at("within x.npy")
        assert len(left(tmp_path)) == 2, "those of the process before are removed"
    assert load_dataset("synthetic").digest == digest
    assert left(tmp_path) == []
    assert sorted(path.name[:9] for path in tmp_path.iterdir()) == ["cache", "synthetic"]
    assert len(os.listdir(tmp_path / "cache")) == 1
