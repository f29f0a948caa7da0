"""The data as they travel: what is in them, how large they are, what is asked again; and who may ask."""

from __future__ import annotations

import gzip
import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dashboard import wire
from dashboard.app import create_app
from dashboard.data import Database
from dashboard.figures import DARK, LIGHT
from search.columns import Columns
from tests.big import big
from tests.databases import build

GZIP = {"Accept-Encoding": "gzip"}


@pytest.fixture(scope="module")
def client(path: Path) -> Any:
    return create_app(Database(str(path)), hosts=("localhost",)).server.test_client()


def decoded(body: bytes) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and columns, as assets/data.js reads them."""
    raw = gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body
    assert raw[:4] == b"CSP1"
    length = int.from_bytes(raw[4:8], "little")
    header = json.loads(raw[8 : 8 + length])
    columns: dict[str, Any] = {}
    for column in header["columns"]:
        kind = {"f4": "<f4", "f8": "<f8", "i4": "<i4", "u1": "u1", "u2": "<u2", "u4": "<u4", "id": "(6,)u1"}[
            column["type"]
        ]
        values = np.frombuffer(raw, kind, header["rows"], 8 + length + column["at"])
        columns[column["name"]] = [column["labels"][code] for code in values] if "labels" in column else values
    return header, columns


def test_the_block_holds_the_study(client: Any, columns: Columns) -> None:
    header, found = decoded(client.get("/data.bin", headers=GZIP).data)
    assert header["rows"] == len(columns)
    assert [bytes(identity).hex() for identity in found["id"]] == columns.ids
    assert found["state"] == columns["state"].tolist()
    assert "the loss became NaN after 320 visits <b>&</b>" in found["reason"]
    for name in ("ap", "macs", "latency_ms", "latency_ms_spread"):
        given = np.where(found[name] == wire.MISSING, np.nan, found[name].astype(float))
        np.testing.assert_allclose(given, columns[name], rtol=1e-7 if found[name].dtype.kind == "f" else 0)
    assert header["filters"][:3] == ["ap", "latency_ms", "macs"]
    repeated = {name for name in columns.numbers if name.endswith("_n") and np.nanmax(columns[name]) > 1}
    assert "latency_ms_n" in repeated
    assert {name for name in header["beside"] if name.endswith("_n")} == repeated
    counts = decoded(client.get("/data.bin?only=latency_ms_n", headers=GZIP).data)[1]["latency_ms_n"]
    assert counts.tolist() == columns["latency_ms_n"].tolist()
    assert client.get("/data.bin").data[:4] == b"CSP1", "without gzip for those who do not take it"


@pytest.mark.parametrize(("largest", "kind"), [(2**31 - 1, "i4"), (2**31, "f8"), (5_000_000_001, "f8"),
                                               (2**53, "f8")])  # fmt: skip
def test_whole_numbers_travel_exactly(largest: int, kind: str) -> None:
    values = np.array([largest, np.nan, largest - 1, -largest, 0.0, 1e6 + 1])
    columns = Columns(numbers={"macs": values, "params": values / 3}, texts={}, ids=["0" * 12] * len(values))
    header, found = decoded(wire.encode({"rows": len(values)}, columns, ["id", "macs", "params"]))
    assert [column["type"] for column in header["columns"]] == ["id", kind, "f4"]
    assert all(column["at"] % 8 == 0 for column in header["columns"]), "as a Float64Array wants it"
    given = found["macs"].astype(float)
    missing = given == wire.MISSING if kind == "i4" else np.isnan(given)
    np.testing.assert_array_equal(np.where(missing, np.nan, given), values)


def test_nothing_is_sent_twice_and_more_only_where_it_is_asked_for(client: Any) -> None:
    first = client.get("/data.bin", headers=GZIP)
    again = client.get("/data.bin", headers={**GZIP, "If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")
    header, found = decoded(client.get("/data.bin?only=cio,widths,../../etc/passwd,<b>,no such", headers=GZIP).data)
    assert list(found) == ["cio", "widths"]
    assert set(header) == {"token", "rows", "columns"}
    assert decoded(client.get("/data.bin?study=%27%3B+DROP+TABLE", headers=GZIP).data)[0]["study"] == "default"


def test_ten_thousand_candidates_are_half_a_megabyte(tmp_path: Path) -> None:
    path = tmp_path / "big.db"
    big(str(path), 10_000)
    client = create_app(Database(str(path))).server.test_client()
    assert len(client.get("/data.bin", headers=GZIP).data) < 0.5e6
    assert "of 10,000" in client.get("/status").json["progress"]


def test_every_answer_forbids_what_is_not_ours(client: Any) -> None:
    for place in ("/", "/data.bin", "/status", "/c/0123456789ab", "/assets/page.js"):
        response = client.get(place)
        policy = response.headers["Content-Security-Policy"]
        assert response.status_code == 200
        assert "unsafe-eval" not in policy
        assert "default-src 'self'" in policy
        assert "http" not in policy
        assert "Access-Control-Allow-Origin" not in response.headers
        assert client.get(place, headers={"Host": "rebound.example"}).status_code == 403
    assert b"<script>" not in client.get("/").data, "no inline script"


@pytest.mark.parametrize("phase", ["missing", "empty", "waiting"])
def test_a_database_without_data_says_what_to_do(tmp_path: Path, phase: str) -> None:
    path = tmp_path / "it's.db"
    if phase == "empty":
        path.touch()
    elif phase == "waiting":
        build(str(path), 0)
    client = create_app(Database(str(path))).server.test_client()
    header, _ = decoded(client.get("/data.bin").data)
    assert (header["phase"], header["rows"]) == (phase, 0)
    command = dict(line for line in header["message"]["lines"])["command"]
    assert command.startswith("python -m search.run --budget 200 --db '")
    assert client.get("/status").json["phase"] == phase


def test_families_are_told_apart_by_everyone() -> None:
    """The smallest CIE76 distance of two families, with all cones and without one kind (Machado et al. 2009)."""
    blind = {
        "all cones": np.eye(3),
        "no L": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
        "no M": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
        "no S": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
    }
    for theme, least in ((LIGHT, 30), (DARK, 11)):
        assert len(set(theme.families)) == 5
        for name, seen in blind.items():
            colors = [lab(np.clip(np.array(seen) @ linear(color), 0, 1)) for color in theme.families]
            distances = [float(np.linalg.norm(a - b)) for a, b in itertools.combinations(colors, 2)]
            assert min(distances) >= least, (theme.surface, name)


def linear(color: str) -> Any:
    """sRGB as light."""
    value = np.array([int(color[at : at + 2], 16) for at in (1, 3, 5)]) / 255
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def lab(light: Any) -> Any:
    """CIELAB of linear sRGB, white D65."""
    xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]) @ light
    x, y, z = np.cbrt(np.maximum(xyz / [0.9505, 1.0, 1.089], 0.008856))
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])
