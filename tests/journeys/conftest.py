"""The folder in which a user types commands."""

from pathlib import Path

import pytest

from tests.journeys.user import Place


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """An empty folder."""
    folder = tmp_path / "empty folder"
    folder.mkdir()
    return Place(folder)
