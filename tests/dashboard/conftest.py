"""One database for all tests that only read."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from dashboard.data import Database
from tests.databases import build


@pytest.fixture(scope="session")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished study of 40 proposals."""
    file = tmp_path_factory.mktemp("dashboard") / "csp.db"
    build(str(file), 40)
    return file


@pytest.fixture(scope="session")
def _frame(path: Path) -> pd.DataFrame:
    frame = Database(str(path)).snapshot().frame
    assert frame is not None
    return frame


@pytest.fixture
def frame(_frame: pd.DataFrame) -> pd.DataFrame:
    """The study's frame, a copy for each test."""
    return _frame.copy()
