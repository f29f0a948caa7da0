"""One database for all tests that only read."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from dashboard.data import Database
from search.columns import Columns
from tests.databases import build


@pytest.fixture(scope="session")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished study of 40 proposals."""
    file = tmp_path_factory.mktemp("dashboard") / "csp.db"
    build(str(file), 40)
    return file


@pytest.fixture(scope="session")
def columns(path: Path) -> Columns:
    """The study as the dashboard holds it."""
    found = Database(str(path)).snapshot().columns
    assert found is not None
    return found


@pytest.fixture
def frame(columns: Columns) -> pd.DataFrame:
    """The same as a DataFrame, a copy for each test."""
    names = ("id", *columns.numbers, *columns.texts)
    return pd.DataFrame({name: columns[name] for name in names})
