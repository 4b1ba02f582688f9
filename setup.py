"""Everything about the package stands in pyproject.toml; this puts the pretrained bundles of `export/` into the wheel."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

PRETRAINED = Path("export/pretrained")


class BuildWithBundles(build_py):
    """Copies ``export/pretrained`` to ``har/pretrained``, where `har.runtime.pretrained` looks in an installation."""

    def run(self) -> None:
        super().run()
        if not self.editable_mode and PRETRAINED.is_dir():
            shutil.copytree(PRETRAINED, Path(self.build_lib, "har", "pretrained"), dirs_exist_ok=True)


setup(cmdclass={"build_py": BuildWithBundles})
