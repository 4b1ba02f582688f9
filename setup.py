"""Everything about the package stands in pyproject.toml; this puts the configs and the pretrained bundles of `export/` into the wheel."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

FOLDERS = {"export/pretrained": "pretrained", "configs": "configs"}


class BuildWithFolders(build_py):
    """Copies folders into the package, where `har.runtime.bundle` and `har.runs.checks` look in an installation."""

    def run(self) -> None:
        super().run()
        for source, name in FOLDERS.items():
            if not self.editable_mode and Path(source).is_dir():
                shutil.copytree(source, Path(self.build_lib, "har", name), dirs_exist_ok=True)


setup(cmdclass={"build_py": BuildWithFolders})
