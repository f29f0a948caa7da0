"""A study as one HTML document: the answer, the front, how sure it is, where it was measured, how to make it again."""

from __future__ import annotations

import json
import math
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import numpy as np

from dashboard import effects
from dashboard.candidates import Mask, answer, any_verified, complete, front_over, in_state, numbers, verdicts
from dashboard.data import Database, Snapshot
from dashboard.fields import FIELDS, MISSING, VERIFIED
from dashboard.figures import DARK, LIGHT, Theme
from dashboard.markup import Markup, attributes, join
from dashboard.pages.message import option
from dashboard.report_figure import scatter
from dashboard.texts import isolated, quoted, visible
from dashboard.view import objectives_of
from search.importance import QUANTILE

if TYPE_CHECKING:
    from search.columns import Columns
    from search.store import Store

MOST = 150
"""Rows of the table of the front."""
SHOWN = ("latency_ms", "macs", "params", "peak_bytes")
Cell = str | Markup


def report(database: Database, snapshot: Snapshot) -> str:
    """The document of a study that has candidates. Raises StoreError where the database cannot be read."""
    study, frame = snapshot.study, snapshot.columns
    assert study is not None
    assert frame is not None
    config, objectives = study.config, objectives_of(study.config)
    done = complete(frame)
    on = front_over(frame, objectives, done)
    sections = [
        _head(snapshot), _answer(frame, objectives, done), _figures(frame, objectives, done),
        _front(frame, objectives, on), _remarks(database, snapshot),
        _sure(frame, objectives[0]), _matters(frame, objectives[0]),
        _devices(database, snapshot), _failures(frame),
        _settings(config), _environments(database.ask(lambda store: _machines(store, frame, on, done))),
        _again(snapshot),
    ]  # fmt: skip
    return Markup(
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" '
        'content="light dark"><meta http-equiv="Content-Security-Policy" content="default-src &#39;none&#39;; '
        'style-src &#39;unsafe-inline&#39;"><title>{} – CSP Explorer</title><style>{}</style></head>'
        "<body><main>{}</main></body></html>\n"
    ).format(study.name, Markup(_style()), join(sections))


def _style() -> str:
    """The page's own rules after the colours of both themes."""
    rules = files("dashboard").joinpath("report.css").read_text()
    dark = f"@media screen and (prefers-color-scheme: dark) {{:root {{{_colors(DARK)}}}}}"
    return f":root {{{_colors(LIGHT)}}}\n{dark}\n{rules}"


def _colors(theme: Theme) -> str:
    named = {"ink": theme.ink, "muted": theme.muted, "line": theme.grid, "surface": theme.surface}
    families = {f"f{place}": color for place, color in enumerate(theme.families)}
    return " ".join(f"--{name}: {color};" for name, color in (named | families).items())


# -- parts


def _section(title: str, *body: Markup | str) -> Markup:
    return Markup("<section><h2>{}</h2>{}</section>").format(title, join(body))


def _note(text: str) -> Markup:
    return Markup('<p class="note">{}</p>').format(text)


def _table(caption: str, head: Sequence[str], rows: Iterable[Sequence[Cell]], texts: int = 1) -> Markup:
    """A table whose first `texts` columns, and cells that are no number, stand left."""
    cells = join(Markup("<th{}>{}</th>").format(attributes(scope="col", class_=None if at < texts else "number"), text)
                 for at, text in enumerate(head))  # fmt: skip
    body = join(
        Markup("<tr>{}</tr>").format(
            join(
                Markup("<td{}>{}</td>").format(attributes(class_=None if at < texts else "number"), cell)
                for at, cell in enumerate(row)
            )
        )
        for row in rows
    )
    return Markup('<div class="scroll"><table><caption>{}</caption><thead><tr>{}</tr></thead><tbody>{}</tbody></table>'
                  "</div>").format(caption, cells, body)  # fmt: skip


def _pairs(rows: Iterable[tuple[str, Cell]]) -> Markup:
    return Markup("<dl>{}</dl>").format(
        join(Markup("<div><dt>{}</dt><dd>{}</dd></div>").format(name, value) for name, value in rows))  # fmt: skip


def _when(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(seconds))


def _head(snapshot: Snapshot) -> Markup:
    study = snapshot.study
    assert study is not None
    place = isolated(str(study.config.get("device") or "this machine"))
    said = f"{study.state}: {snapshot.progress}. Task {study.config.get('task', MISSING)}, measured on {place}."
    dates = f"Begun {_when(study.created_at)}, last changed {_when(study.updated_at)}, written {_when(time.time())}."
    return Markup("<header><p>CSP Explorer · report of a study</p><h1>{}</h1><p>{}</p><p>{}</p>{}</header>").format(
        study.name, said, dates, _note(study.message) if study.message else "")  # fmt: skip


# -- the answer and the front


def _costs(frame: Columns, objectives: Sequence[str]) -> list[str]:
    """Costs of which budgets are likely: the study's, else what is known of the usual ones."""
    asked = [name for name in objectives[1:] if FIELDS[name].direction == "minimize" and _known(frame, name)]
    asked.sort(key=lambda name: not name.startswith("latency"))
    return asked or [name for name in SHOWN if _known(frame, name)][:1]


def _known(frame: Columns, name: str) -> bool:
    return bool(np.isfinite(numbers(frame, name)).any())


def _shown(frame: Columns, objectives: Sequence[str]) -> list[str]:
    verified = f"{VERIFIED}{objectives[0]}"
    return [name for name in dict.fromkeys([objectives[0], verified, *objectives[1:], *SHOWN]) if _known(frame, name)]


def _cells(frame: Columns, row: int, names: Sequence[str]) -> list[Cell]:
    cells: list[Cell] = []
    for name in names:
        spread = float(numbers(frame, f"{name}_spread")[row])
        value = FIELDS[name].show(float(numbers(frame, name)[row]))
        known = math.isfinite(spread) and value != MISSING
        cells.append(
            Markup("{} <small>± {}</small>").format(value, f"{spread * FIELDS[name].scale:.2g}") if known else value
        )
    return cells


def _named(frame: Columns, row: int) -> list[Cell]:
    words = " · ".join(str(frame[name][row]) for name in ("block", "fusion", "head") if name in frame)
    code = Markup("<code>{}</code>").format(frame["id"][row])
    return [f"#{int(frame['number'][row])}", code, words, str(frame["verdict"][row])]


def rounded(value: float) -> float:
    """The nearest value from here on with two digits."""
    step = 10.0 ** (math.floor(math.log10(value)) - 1)
    return round(math.ceil(value / step - 1e-9) * step, 12)


def budgets(frame: Columns, cost: str, objectives: Sequence[str], done: Mask) -> list[tuple[float, int]]:
    """A few round budgets of a cost with the best candidate of each, the tightest first; in the field's unit."""
    judged, verified = done & (verdicts(frame) != "unverified"), f"{VERIFIED}{objectives[0]}"
    on = front_over(frame, (cost, verified), judged) if judged.any() else front_over(frame, (cost, objectives[0]), done)
    rows = np.flatnonzero(on)
    values = np.sort(numbers(frame, cost)[rows] * FIELDS[cost].scale)
    values = values[values > 0]
    if not len(values):
        return []
    found: dict[int, float] = {}
    for share in (0.1, 0.3, 0.5, 0.7, 0.9):
        bound = rounded(float(values[math.floor(share * (len(values) - 1))]))
        row = answer(frame, objectives, done & (numbers(frame, cost) * FIELDS[cost].scale <= bound))
        if row is not None:
            found.setdefault(row, bound)
    return [(bound, row) for row, bound in found.items()]


def _answer(frame: Columns, objectives: Sequence[str], done: Mask) -> Markup:
    row = answer(frame, objectives, done)
    if row is None:
        return _section("The answer", _note("No candidate has a score yet."))
    names, rows = _shown(frame, objectives), []
    for cost in _costs(frame, objectives):
        for bound, found in budgets(frame, cost, objectives, done):
            if found != row:
                limit = f"{FIELDS[cost].label} ≤ {FIELDS[cost].show_scaled(bound)}"
                rows.append([limit, *_named(frame, found), *_cells(frame, found, names)])
    rows.append(["no budget", *_named(frame, row), *_cells(frame, row, names)])
    said = f"Best {FIELDS[objectives[0]].label} under a budget: which candidate to take. "
    said += ("The verified score decides, where a verified candidate fits." if any_verified(frame)
             else "The score is the proxy’s: verify a candidate before you deploy it.")  # fmt: skip
    head = [
        "Budget",
        "#",
        "Candidate",
        "Block · fusion · head",
        "Verification",
        *(FIELDS[name].label for name in names),
    ]
    return _section("The answer", _note(said), _table("Best candidate by budget", head, rows, 5))


def _figures(frame: Columns, objectives: Sequence[str], done: Mask) -> Markup:
    score, parts = objectives[0], []
    for cost in _costs(frame, objectives)[:3]:
        marked = {row for _, row in budgets(frame, cost, objectives, done)}
        parts.append(scatter(frame, cost, score, done, front_over(frame, (cost, score), done), sorted(marked)))
    said = "Squares are verified, crossed ones overturned; numbers name the answers above. Pale points are dominated."
    return _section("Candidates and fronts", *parts, _note(said))


def _front(frame: Columns, objectives: Sequence[str], on: Mask) -> Markup:
    rows, names = np.flatnonzero(on), _shown(frame, objectives)
    rows = rows[np.argsort(numbers(frame, _costs(frame, objectives)[0])[rows] if _costs(frame, objectives) else rows)]
    kept = rows if len(rows) <= MOST else rows[np.linspace(0, len(rows) - 1, MOST).round().astype(int)]
    over = " and ".join(FIELDS[name].label for name in objectives)
    said = f"{len(rows):,} candidates that none other dominates in {over}."
    if len(kept) < len(rows):
        said += f" {len(kept):,} evenly spread ones are listed; the page Table saves all of them."
    head = ["#", "Candidate", "Block · fusion · head", "Verification", *(FIELDS[name].label for name in names)]
    listed = ([*_named(frame, int(row)), *_cells(frame, int(row), names)] for row in kept)
    return _section("The front", _note(said), _table("Members of the front, by cost", head, listed, 4))


def _remarks(database: Database, snapshot: Snapshot) -> Markup:
    """What people pinned, tagged and noted, pins first; nothing where there is none."""
    study, frame = snapshot.study, snapshot.columns
    assert study is not None
    assert frame is not None
    pins, tags, notes = database.ask(lambda store: (store.pins(study.id), store.tagged(), store.noted()))
    places = {identity: row for row, identity in enumerate(frame.ids)}
    found = [each for each in dict.fromkeys([*pins, *sorted({*tags, *notes}, key=lambda each: places.get(each, 0))])
             if each in places]  # fmt: skip
    if not found:
        return Markup("")
    said = "Pins are of this study; notes and tags are of the network, in every study of this database."
    if len(found) > MOST:
        said += f" The first {MOST:,} of {len(found):,} stand here."
    rows = [
        [*_named(frame, places[each])[:3], "pinned" if each in pins else "", ", ".join(tags.get(each, [])),
         Markup('<div class="remark">{}</div>').format(notes[each].text) if each in notes else ""]
        for each in found[:MOST]
    ]  # fmt: skip
    head = ["#", "Candidate", "Block · fusion · head", "Pinned", "Tags", "Note"]
    return _section("Pins, tags and notes", _note(said), _table("What people said of candidates", head, rows, 6))


# -- how sure it is


def _sure(frame: Columns, score: str) -> Markup:
    counts, parts = Counter(verdicts(frame).tolist()), []
    told = ", ".join(f"{counts[name]:,} {name}" for name in ("verified", "overturned") if counts[name])
    parts.append(
        _note(
            f"Of {len(frame):,} candidates: {told}; the others rest on the proxy’s one training."
            if told
            else "Nothing is verified: every score is of one short training (the proxy). Verify before deploying."
        )
    )
    found = effects.agreement(frame, score)
    if found is not None:
        tau = found.tau
        parts.append(_note(f"Proxy and verified scores rank {tau.n} candidates alike with Kendall’s τ {tau.value:.2f} "
                           f"(95 % interval {tau.low:.2f} to {tau.high:.2f})."))  # fmt: skip
    for noise in effects.noises(frame, score):
        kind = "long training of the verification" if noise.long else "training of the search"
        parts.append(_note(f"One {kind} varies by {FIELDS[score].show(noise.std)} (standard deviation over seeds, "
                           f"{noise.candidates} candidates)."))  # fmt: skip
    return _section("How sure this is", *parts)


def _matters(frame: Columns, score: str) -> Markup:
    known = effects.importances(frame, {score: effects.loss(frame, score)}, QUANTILE).get(score, {})
    rows = sorted(known.items(), key=lambda pair: -pair[1].value)
    if not rows:
        return Markup("")
    said = (f"PED-ANOVA: how far an axis decides whether a candidate is in the best tenth by {FIELDS[score].label}. "
            "An axis that blind draws reach as far has shown nothing.")  # fmt: skip
    cells = [[FIELDS[name].label if name in FIELDS else name, f"{each.value:.4f}", f"{each.chance:.4f}",
              "yes" if each.value > each.chance else "no"] for name, each in rows]  # fmt: skip
    return _section(
        "What matters", _note(said), _table("Importance of axes", ["Axis", "Importance", "By chance", "Shown"], cells)
    )


def _failures(frame: Columns) -> Markup:
    bad = in_state(frame, "failed", "refused")
    if not bad.any():
        return Markup("")
    reasons = Counter(
        zip(frame["state"][bad].tolist(), (str(text or MISSING)[:160] for text in frame["reason"][bad]), strict=True)
    )
    rows = [[state, reason, f"{count:,}"] for (state, reason), count in reasons.most_common(10)]
    left = len(reasons) - len(rows)
    return _section("What failed", _table("Commonest reasons", ["State", "Reason", "Candidates"], rows, 2),
                    *([_note(f"and {left:,} other reasons.")] if left else []))  # fmt: skip


# -- where, and how to make it again


def _devices(database: Database, snapshot: Snapshot) -> Markup:
    rows = []
    for place in database.places(snapshot):
        values = place.best[0]
        known = values[np.isfinite(values)]
        error = "" if math.isnan(place.error) else f", error {place.error:.0%}"
        how = f"{place.method or 'predicted'}{error}" if np.isfinite(place.predicted).any() else MISSING
        counts = [f"{np.isfinite(column).sum():,}" for column in (place.measured, place.predicted)]
        ends = [FIELDS["latency_ms"].show(float(value)) for value in (known.min(), np.median(known))]
        rows.append([place.title, place.runtime, how, *counts, *ends])
    if not rows:
        return _section("Devices", _note("No latency was measured or predicted."))
    head = ["Device", "Runtime", "Predicted by", "Measured", "Predicted", "Fastest", "Median"]
    return _section("Devices", _table("Where latencies are of", head, rows, 3))


def _settings(config: Mapping[str, Any]) -> Markup:
    deploy = config.get("deployment", {})
    size = f"{deploy.get('height')} × {deploy.get('width')} px, batch {deploy.get('batch')}, {deploy.get('precision')}"
    goals = ", ".join(f"{each.get('direction')} {each.get('metric')}" for each in config.get("objectives", []))
    listed = {"Limits": "limits", "Image visits": "image_visits"}
    plain = {"Task": "task", "Sampler": "sampler", "Budget": "budget"}
    pairs = [("Objectives", goals), ("Deployment", size)]
    pairs += [(title, str(config.get(name, MISSING))) for title, name in plain.items()]
    pairs += [(title, ", ".join(map(str, config.get(name, []))) or "none") for title, name in listed.items()]
    whole = visible(json.dumps(config, indent=1, ensure_ascii=False, sort_keys=True))
    return _section(
        "Settings",
        _pairs(pairs),
        Markup("<details><summary>All settings</summary><pre>{}</pre></details>").format(whole),
    )


def _machines(store: Store, frame: Columns, on: Mask, done: Mask) -> list[dict[str, Any]]:
    """Environments behind the measurements of some of the candidates, of the front above all."""
    rows = [*np.flatnonzero(on)[:8], *np.flatnonzero(done)[[0, -1]]] if done.any() else []
    found: dict[str, dict[str, Any]] = {}
    for identity in dict.fromkeys(str(frame["id"][row]) for row in rows):
        for kept in store.measurements(identity):
            if kept["environment"]:
                found.setdefault(json.dumps(kept["environment"], sort_keys=True), kept["environment"])
    return list(found.values())


def _environments(found: Sequence[Mapping[str, Any]]) -> Markup:
    if not found:
        return Markup("")
    parts = []
    for data in found[:12]:
        versions = ", ".join(f"{name} {version}" for name, version in data.get("versions", {}).items())
        memory = data.get("memory_bytes")
        told = {
            "Host": data.get("host"),
            "Processor": f"{data.get('cpu', MISSING)}, {data.get('cores', MISSING)} cores",
            "Memory": f"{memory / 2**30:.0f} GiB" if memory else None,
            "System": data.get("system"),
            "Python": data.get("python"),
            "Versions": versions,
        }
        parts.append(_pairs((name, str(value or MISSING)) for name, value in told.items()))
    return _section("Environment", _note("Behind the measurements of members of the front."), *parts)


def _again(snapshot: Snapshot) -> Markup:
    study = snapshot.study
    assert study is not None
    config = study.config
    db = option(snapshot.database) if snapshot.database else ""
    name = f" --name {quoted(study.name)}"
    task = "" if config.get("task", "scenes") == "scenes" else f" --task {quoted(str(config['task']))}"
    limits = "".join(f" --limit {quoted(str(limit))}" for limit in config.get("limits", []))
    visits = config.get("verified", {}).get("seeds")
    lines = [
        f"python -m search.run --budget {config.get('budget', 200)} --seed {study.seed}{task}{limits}{name}{db}",
        f"python -m search.verify --seeds {len(visits) if visits else 2}{name}{db}",
        f"python -m search.export ID --to onnx -o FOLDER{name}{db}",
        f"python -m dashboard{db}",
    ]
    said = (
        "With the study file that the settings above came from, on the same versions; latencies need the same machine."
    )
    return _section("How to make it again", _note(said), Markup("<pre>{}</pre>").format("\n".join(lines)))
