"""What the dashboard says of a study that was verified, and of one that was not."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from plotly.utils import PlotlyJSONEncoder

from dashboard import wire
from dashboard.data import Database, Snapshot
from dashboard.deployed import Where
from dashboard.pages import candidate
from dashboard.status import status
from search.store import Store
from search.verification import VERDICTS
from search.verify import take_effect
from tests.dashboard.test_pages import text
from tests.databases import VERIFY_VISITS, build, verify


@pytest.fixture(scope="session")
def verified_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of 40 proposals whose front was verified all but one, with every verdict."""
    file = tmp_path_factory.mktemp("verified") / "csp.db"
    build(str(file), 40)
    assert set(verify(str(file)).values()) == set(VERDICTS)
    return file


@pytest.fixture
def snapshot(verified_path: Path) -> Snapshot:
    return Database(str(verified_path)).snapshot()


def frame_of(snapshot: Snapshot) -> pd.DataFrame:
    assert snapshot.columns is not None
    return pd.DataFrame({name: snapshot.columns[name] for name in
                         ("id", "ap", "verified_ap", "front_share", "state", "verdict")})  # fmt: skip


def one(frame: pd.DataFrame, verdict: str) -> str:
    return str(frame["id"][(frame["verdict"] == verdict) & (frame["state"] == "complete")].iloc[0])


def test_without_a_verification_nothing_speaks_of_verdicts(path: Path) -> None:
    snapshot = Database(str(path)).snapshot()
    header = wire.header(snapshot, (), None)
    assert header["verified"] is False
    assert not {"front_share", "verified_ap"} & set(header["axes"])
    assert "verified" not in status(snapshot)["progress"]


def test_the_header_counts_verdicts(snapshot: Snapshot) -> None:
    counts = frame_of(snapshot)["verdict"].value_counts()
    assert f"{counts['verified']} verified · {counts['overturned']} overturned" in status(snapshot)["progress"]
    assert wire.header(snapshot, (), None)["verified"] is True


def test_the_page_of_a_candidate_shows_every_seed_beside_the_proxy(verified_path: Path, snapshot: Snapshot) -> None:
    frame, database = frame_of(snapshot), Database(str(verified_path))
    own = Where.own(snapshot.study.config if snapshot.study else None)
    for verdict in ("verified", "overturned"):
        identity = one(frame, verdict)
        row = frame.set_index("id").loc[identity]
        detail = database.detail(identity)
        assert detail is not None
        said = text(candidate.verification(detail, snapshot))
        long = [e for e in detail.evaluations if e["image_visits"] == VERIFY_VISITS]
        assert len(long) == 3
        for value in (row["ap"], row["verified_ap"], *(m["value"] for m in detail.measurements if m["metric"] == "ap")):
            assert f"{value:.3f}" in said
        assert f"on the front in {row['front_share']:.0%} of the draws" in said
        # The headline stays the proxy's: it is what the search compared.
        newest = own.newest(detail.measurements, "ap")
        assert newest is not None
        assert newest["value"] == row["ap"]
        json.dumps(candidate.layout(detail, snapshot, "", own), cls=PlotlyJSONEncoder, allow_nan=False)


def test_a_verification_of_another_length_is_not_taken_for_the_proxy(tmp_path: Path) -> None:
    path = tmp_path / "csp.db"
    build(str(path), 20)
    verify(str(path))
    with Store.open(str(path)) as store:
        row = store.study("default")
        assert row is not None
        take_effect(store, row, 2 * VERIFY_VISITS, 3)
    database = Database(str(path))
    snapshot = database.snapshot()
    frame = frame_of(snapshot)
    assert set(frame["verdict"]) == {"unverified"}
    assert snapshot.study is not None
    for identity, ap in zip(frame["id"], frame["ap"], strict=True):
        detail = database.detail(identity)
        assert detail is not None
        found = Where.own(snapshot.study.config).newest(detail.measurements, "ap")
        assert (found["value"] if found else None) == (None if np.isnan(ap) else ap)


def test_the_page_of_an_unverified_candidate_gives_the_command(verified_path: Path, snapshot: Snapshot) -> None:
    identity = one(frame_of(snapshot), "unverified")
    detail = Database(str(verified_path)).detail(identity)
    assert detail is not None
    command = f"python -m search.verify --ids {identity}"
    assert f"{command} --db {verified_path}" in text(candidate.verification(detail, snapshot))
    # Nobody can verify a demo that is gone when the page is closed.
    assert command not in text(candidate.verification(detail, replace(snapshot, database=None)))
