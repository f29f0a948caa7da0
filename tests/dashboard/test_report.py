"""The report of a study and the order of axes: what they say is what is stored, in one file that asks nothing."""

from __future__ import annotations

import re
import subprocess
import sys
from html import escape
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.app import create_app
from dashboard.candidates import complete, front_over
from dashboard.data import Database
from dashboard.report import main
from dashboard.report_figure import ticks
from dashboard.report_page import budgets, report, rounded
from dashboard.sheets import by_importance
from search.columns import Columns
from search.importance import FEWEST, code, importance
from search.store import Store
from tests.big import big
from tests.databases import add, build, config, verify

OBJECTIVES = ["ap", "macs", "latency_ms"]
HOSTILE = "<script>alert(1)</script>"


class Checked(HTMLParser):
    """What an HTML document holds: tags, what it asks of others, its table cells."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.asked: list[str] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.asked += [value or "" for name, value in attrs if name in ("src", "href", "action", "data")]


def test_a_report_holds_every_member_of_the_front_and_asks_nothing(tmp_path: Path) -> None:
    path = tmp_path / "csp.db"
    build(str(path), 40)
    verdict = verify(str(path))
    database = Database(str(path))
    snapshot = database.snapshot()
    assert snapshot.columns is not None
    text = report(database, snapshot)
    found = Checked(text)
    assert found.asked == []
    assert not {"script", "link", "iframe", "img"} & set(found.tags)
    assert "url(" not in text
    assert "@import" not in text
    columns = snapshot.columns
    on = front_over(columns, OBJECTIVES, complete(columns))
    front = text.split("<h2>The front</h2>")[1].split("</table>")[0]
    assert set(re.findall(r"<code>(\w+)</code>", front)) == set(np.array(columns.ids)[on])
    for identity in np.array(columns.ids)[on]:
        row = next(line for line in front.split("<tr>") if identity in line)
        assert verdict[identity] in row
    for words in (
        "Kendall",
        "Example CPU",
        "torch 2.13.0",
        "python -m search.run",
        "the loss became NaN",
        "macs &lt;= 700e6",
    ):
        assert words in text


def test_the_answers_are_the_best_within_their_budgets(columns: Columns) -> None:
    done = complete(columns)
    for cost in ("macs", "latency_ms"):
        found = budgets(columns, cost, OBJECTIVES, done)
        assert len(found) >= 3
        scale = 1e-6 if cost == "macs" else 1.0
        for bound, row in found:
            inside = done & (columns[cost] * scale <= bound)
            assert inside[row]
            assert columns["ap"][row] == columns["ap"][inside].max()


def test_a_report_keeps_pins_tags_and_notes_as_text(tmp_path: Path) -> None:
    path = tmp_path / "csp.db"
    build(str(path), 8)
    build(str(path), 4, name="other")
    database = Database(str(path))
    title = "Pins, tags and notes"
    assert title not in report(database, database.snapshot("default"))
    note = f"{HOSTILE}\nline two & <img src=x onerror=alert(1)>"
    with Store.open(str(path)) as store:
        ids = [each.architecture.id for each in store.proposals(1)]
        store.set_note(ids[2], note)
        store.add_tag(ids[2], "<b>bold")
        store.add_tag(ids[1], "robust")
        store.pin(1, ids[5])
        others = {each.architecture.id for each in store.proposals(2)}
        assert {identity: each.text for identity, each in store.noted().items()} == {ids[2]: note}
    text = report(database, database.snapshot("default"))
    assert not {"script", "img", "b"} & set(Checked(text).tags)
    lines = text.split(f"<h2>{title}</h2>")[1].split("</table>")[0].split("<tr>")[2:]
    assert [re.findall(r"<code>(\w+)</code>", line)[0] for line in lines] == [ids[5], ids[1], ids[2]], "pins first"
    assert ["<td>pinned</td>" in line for line in lines] == [True, False, False]
    assert escape(note) in lines[2]
    assert "&lt;b&gt;bold" in lines[2]
    assert "robust" in lines[1]
    said = report(database, database.snapshot("other"))
    assert ("robust" in said) == (ids[1] in others), "a tag is of the network, wherever it was proposed"
    assert "<td>pinned</td>" not in said


@given(st.floats(1e-6, 1e9))
def test_a_budget_is_rounded_outwards_to_two_digits(value: float) -> None:
    assert value * (1 - 1e-9) <= rounded(value) <= value * 1.1 * (1 + 1e-9)
    assert float(f"{rounded(value):.1e}") == pytest.approx(rounded(value))


@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6))
def test_ticks_are_inside_even_and_a_handful(low: float, span: float) -> None:
    found = ticks(low, low + span)
    assert 2 <= len(found) <= 9
    assert all(low - span * 1e-6 <= value <= low + span * (1 + 1e-6) for value in found)
    assert np.ptp(np.diff(found)) <= span * 1e-6


def test_thousands_of_candidates_are_a_small_file(tmp_path: Path) -> None:
    path = tmp_path / "big.db"
    big(str(path), 2_500)
    database = Database(str(path))
    assert len(report(database, database.snapshot()).encode()) < 0.25e6


@pytest.mark.parametrize("count", [1, 7])
def test_few_candidates_hostile_names_and_failures_are_a_report_too(tmp_path: Path, count: int) -> None:
    path = tmp_path / "csp.db"
    with Store.open(str(path)) as store:
        study = store.create_study(HOSTILE, {**config(), "sampler": "<b>&", "device": "</style><img src=x>"}, seed=0)
        add(store, study.id, 6, count)  # number 6 is refused
        store.update_study(study.id, message="<i>stopped")
    response = create_app(Database(str(path))).server.test_client().get("/report.html")
    assert response.status_code == 200
    found = Checked(response.text)
    assert not {"script", "img"} & set(found.tags)
    assert "<i>stopped" not in response.text
    assert "&lt;script&gt;alert(1)" in response.text
    disposition = response.headers["Content-Disposition"]
    assert re.fullmatch(r'attachment; filename="[\w.-]+-report\.html"', disposition)


@pytest.mark.parametrize("phase", ["missing", "empty", "waiting"])
def test_no_report_of_nothing(tmp_path: Path, phase: str, capsys: pytest.CaptureFixture[str]) -> None:
    path, out = tmp_path / "csp.db", tmp_path / "r.html"
    if phase == "empty":
        Store.open(str(path)).close()
    elif phase == "waiting":
        build(str(path), 0)
    assert main(["--db", str(path), "-o", str(out)]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not out.exists()
    response = create_app(Database(str(path))).server.test_client().get("/report.html")
    assert response.status_code == 503
    assert response.mimetype == "text/plain"


def test_the_command_writes_whole_files_or_says_why_not(
    path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    command = [sys.executable, "-m", "dashboard.report", "--db", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "report.html").read_text().startswith("<!DOCTYPE html>")
    assert [file.name for file in tmp_path.iterdir()] == ["report.html"]
    for arguments, words in (
        (("-o", "none/r.html"), "cannot be written"),
        (("-o", "/dev/full"), "No space left"),
        (("--name", "nosuch"), "no study nosuch; studies here: default"),
        (("--demo",), "--demo"),
    ):
        assert main(["--db", str(path), *arguments]) == 2
        said = capsys.readouterr().err
        assert words in said
        assert said.count("\n") == 1
    assert main(["--help"]) == 0
    said = capsys.readouterr().out
    assert all(option in said for option in ("--db", "--name", "--output", "-o"))


def test_axes_come_by_importance_for_the_score(columns: Columns, path: Path, tmp_path: Path) -> None:
    database = Database(str(path))
    found = by_importance(database, database.snapshot())
    assert int(complete(columns).sum()) >= FEWEST
    loss = np.where(complete(columns), -columns["ap"], np.nan)
    values = importance({name: code(columns[name]) for name in found}, loss, quantile=0.1)
    assert found == sorted(found, key=lambda name: -values[name].value)
    assert {"depth", "fusion", "block"} <= set(found)
    build(str(tmp_path / "few.db"), 6)
    few = Database(str(tmp_path / "few.db"))
    assert by_importance(few, few.snapshot()) == []
    assert create_app(few).server.test_client().get("/importance").json == {"axes": []}
