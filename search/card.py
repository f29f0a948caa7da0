"""The model card of an export: what it is, what it costs, what was measured and how, and what nobody knows of it."""

from __future__ import annotations

import html
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from evaluator.metrics import METRICS

Table = tuple[list[str], list[list[str]]]
"""Head and rows."""

WEIGHTS = {
    "random": "random, from a seed: for timing and for trying out a runtime; they recognise nothing",
    "proxy": "of the search's short training, run again: unverified, on small pictures",
    "verified": "of the verification's first training, run again",
    "full": "of a full training (search.train)",
    "file": "from a file of the user's",
}


def sections(facts: Mapping[str, Any]) -> list[tuple[str, list[str | Table]]]:
    """Headings with paragraphs and tables. `facts` is what `search.export` knows; see `card.json`."""
    made: list[tuple[str, list[str | Table]]] = [("", [facts["words"], *facts["limits"]])]
    if facts["files"]:
        rows = [[", ".join(f["files"]), f["format"], f["runtime"],
                 "" if f["difference"] is None else f"{f['difference']:.1e}", f["note"]]
                for f in facts["files"]]  # fmt: skip
        made.append(("Files", [(["file", "format", "loaded by", "largest difference", "note"], rows),
                               "Differences are of the outputs for a random picture, relative to the largest of our "
                               f"module; {facts['tolerance']:g} are allowed.", *facts["use"]]))  # fmt: skip
    made += [
        ("Cost", [f"Counted on the graph at {facts['size']}, {facts['num_classes']} classes.",
                  (["metric", "value", "meaning"], facts["costs"])]),
        ("Architecture", [(["axis", "value"], facts["axes"])]),
        ("Weights", [(["", ""], facts["weights"])]),
    ]  # fmt: skip
    if facts["measurements"]:
        head = ["metric", "value", "spread", "n", "origin", "where and how"]
        made.append(("Measurements", [(head, facts["measurements"])]))
    made.append(("To do this again", ["\n".join(facts["commands"])]))
    made.append(("Versions", [(["", ""], [[k, str(v)] for k, v in facts["environment"].items()])]))
    return made


def markdown(facts: Mapping[str, Any]) -> str:
    """The card as Markdown."""
    lines = [f"# {facts['title']}"]
    for heading, parts in sections(facts):
        lines += [f"## {heading}"] if heading else []
        for part in parts:
            if isinstance(part, str):
                lines.append(f"```sh\n{part}\n```" if heading == "To do this again" else part)
                continue
            head, rows = part
            table = [head, ["---"] * len(head), *rows]
            lines.append("\n".join(f"| {' | '.join(_cell(c) for c in row)} |" for row in table))
    return "\n\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


_STYLE = """
:root{color-scheme:light dark}body{font:16px/1.5 system-ui,sans-serif;max-width:62rem;margin:2rem auto;padding:0 1rem}
table{border-collapse:collapse;display:block;overflow-x:auto;margin:1rem 0}td,th{text-align:left;padding:.25rem .8rem;
border-bottom:1px solid #8885;vertical-align:top}pre{background:#8882;padding:.8rem;overflow-x:auto}
figure{margin:1rem 0;overflow-x:auto;background:#fff}
"""


def page(facts: Mapping[str, Any], svg: str) -> str:
    """The card as one HTML file that needs nothing else, with the drawing `svg`."""
    body = [f"<h1>{html.escape(facts['title'])}</h1>"]
    for number, (heading, parts) in enumerate(sections(facts)):
        body += [f"<h2>{html.escape(heading)}</h2>"] if heading else []
        for part in parts:
            if isinstance(part, str):
                tag = "pre" if heading == "To do this again" else "p"
                body.append(f"<{tag}>{html.escape(part)}</{tag}>")
                continue
            head, rows = part
            top = "".join(f"<th>{html.escape(c)}</th>" for c in head)
            inner = "".join(f"<tr>{''.join(f'<td>{html.escape(c)}</td>' for c in row)}</tr>" for row in rows)
            body.append(f"<table>{f'<tr>{top}</tr>' if any(head) else ''}{inner}</table>")
        if number == 0:
            body.append(f"<figure>{svg}</figure>")
    return (f'<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
            f"<title>{html.escape(facts['title'])}</title><style>{_STYLE}</style>{''.join(body)}</html>\n")  # fmt: skip


def measured(rows: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """The newest of each kind of measurement (`Store.measurements`), as the card's table has them."""
    newest: dict[tuple[Any, ...], Mapping[str, Any]] = {}
    names = ("metric", "origin", "device", "backend", "deployment", "task", "recipe", "image_visits", "seed")
    for row in rows:
        newest.setdefault(tuple(row[name] for name in names), row)
    return [_row(row) for row in sorted(newest.values(), key=lambda r: (list(METRICS).index(r["metric"])
            if r["metric"] in METRICS else 99, str(r["origin"]), str(r["device"]), r["seed"] or 0))]  # fmt: skip


def _row(row: Mapping[str, Any]) -> list[str]:
    metric = METRICS.get(row["metric"])
    show = metric.show if metric else str
    value = show(row["value"]) if row["value"] is not None else f"missing: {row['reason']}"
    spread = "" if row["spread"] is None else show(row["spread"])
    return [row["metric"], value, spread, str(row["n"]), row["origin"], where(row)]


def where(row: Mapping[str, Any]) -> str:
    """Place, deployment and training of a measurement, as far as they are known."""
    deployment = row["detail"].get("deployment", {})
    size = f"{deployment['height']}x{deployment['width']}" if "height" in deployment else None
    threads = f"{row['threads']} threads" if (row["threads"] or 1) > 1 else None
    kind = "full training" if row["detail"].get("training") == "full" else None
    parts = [row["device"], row["backend"], size, f"batch {row['batch']}" if row["batch"] else None, row["precision"],
             threads, kind, f"task {row['task']}" if row["task"] else None,
             f"{row['image_visits']:,} image visits" if row["image_visits"] else None,
             f"seed {row['seed']}" if row["seed"] is not None else None,
             "noisy" if row["detail"].get("noisy") else None]  # fmt: skip
    return ", ".join(part for part in parts if part)


def weights_table(kind: str, about: Mapping[str, Any] | None, score: tuple[str, float] | None,
                  note: str | None, seed: int) -> list[list[str]]:  # fmt: skip
    """What is known of the weights."""
    rows = [["weights", WEIGHTS[kind]]]
    if kind == "random":
        return [*rows, ["seed", str(seed)]]
    if score:
        rows.append(["score of these weights", f"{score[0]} {METRICS[score[0]].show(score[1])}"])
    if note:
        rows.append(["note", note])
    facts = about or {}
    names = ("task", "data", "image_visits", "epochs", "seed", "device", "recorded", "recipe_id")
    rows += [[name.replace("_", " "), str(facts[name])] for name in names if name in facts]
    if "interface" in facts:
        rows.append(["size of the training pictures", f"{facts['interface']['size']} pixels"])
        rows.append(["classes", ", ".join(facts["interface"]["classes"])])
    if "recipe" in facts:
        rows.append(["recipe", ", ".join(f"{key} {value}" for key, value in facts["recipe"].items())])
    if "environment" in facts:
        rows.append(["trained on", f"{facts['environment']['cpu']}, {facts['environment']['versions'].get('torch')}"])
    return rows


def command(*parts: Any) -> str:
    """A command line as a person types it."""
    return shlex.join(str(part) for part in parts)
