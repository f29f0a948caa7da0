"""python -m search.export ID --to FORMAT -o DIR: a candidate with its weights in files that run, and a model card."""

from __future__ import annotations

import json
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import App, Parameter

from search.command import INTERRUPTED, UsageError, call, open_to_read, shown_database, stopping

if TYPE_CHECKING:
    from evaluator.export import Plan, Written
    from evaluator.interface import Interface
    from search.find import Found
    from search.store import Store
    from search.weights import Weights

Format = Literal["onnx", "torchscript", "torch", "safetensors", "openvino", "ncnn", "darknet", "toml", "html", "optuna"]
MARK = "card.json"
"""The file that every export has."""
TIME_LIMIT = 900.0
"""Processor seconds that writing and checking may take."""
INSTALL = {"openvino": "openvino", "ncnn": "ncnn"}
"""Formats whose runtime is no dependency."""

app = App(
    name="python -m search.export",
    help="Write a candidate with weights as files that run, each loaded and compared, with a model card.",
    version_flags=[],
    suppress_keyboard_interrupt=False,
)


@app.default
def run(
    network: str | None = None,
    /,
    *,
    to: Annotated[list[Format], Parameter(negative="")],
    output: Annotated[Path, Parameter(alias="-o")],
    weights: str | None = None,
    outputs: Literal["raw", "decoded", "nms"] | None = None,
    pixels: Literal["raw", "normalised"] | None = None,
    size: str | None = None,
    batch: int = 1,
    seed: int | None = None,
    force: Annotated[bool, Parameter(negative="")] = False,
    db: str = "csp.db",
    name: str | None = None,
) -> int:
    """Write a candidate to a folder.

    Parameters
    ----------
    network
        Id of a candidate (or its beginning), an architecture's .json or .toml file, or a published network's name;
        left out where only a whole study is exported (optuna).
    to
        Format; may be repeated. onnx, torchscript, openvino: models that run; ncnn, torch, safetensors, darknet:
        network and weights for these tools; toml: the architecture; html: the card as a page; optuna: the whole study.
    output
        Folder to write; it appears whole or not at all.
    weights
        best (a full training if there is one, else the verification's, else the search's), verified, random, or a
        file (.safetensors, or a torch file of tensors alone); best by default, random for what no study has.
    outputs
        What an onnx, torchscript or openvino detector gives: raw (the network's maps), decoded (boxes and scores, to
        be suppressed by the caller) or nms (the best boxes after suppression); nms by default.
    pixels
        What such a model takes: raw (RGB, 0 to 255) or normalised (mean and deviation are in the card); raw by default.
    size
        Image size, 256 or 320x416; by default what the weights were trained at, for random ones the deployment's.
    batch
        Images in a batch.
    seed
        Seed of random weights; 0 by default.
    force
        Replace an earlier export in the folder.
    db
        SQLite file or SQLAlchemy URL that holds the candidate.
    name
        The study to look in; all by default, the one that changed last first.
    """
    formats = tuple(dict.fromkeys(to))
    _check(network, formats, output, batch, seed, outputs, pixels, weights)
    stop = threading.Event()
    try:
        with stopping(stop):
            store = _open(db, network, formats, name)
            try:
                return _Export(
                    network=network, formats=formats, output=output, wish=weights, outputs=outputs, pixels=pixels,
                    size=size, batch=batch, seed=seed, force=force, db=db, name=name, store=store, stop=stop,
                ).run()  # fmt: skip
            finally:
                if store is not None:
                    store.close()
    except KeyboardInterrupt:
        print("stopped; nothing was exported", file=sys.stderr)
        return INTERRUPTED


def _check(network: str | None, formats: tuple[str, ...], output: Path, batch: int, seed: int | None,
           outputs: str | None, pixels: str | None, weights: str | None) -> None:  # fmt: skip
    from evaluator.export import FORMATS, WITH_OUTPUTS

    if network is None and formats != ("optuna",):
        raise UsageError("name what to export: the id of a candidate, a file, or a published network")
    if not 1 <= batch <= 4096:
        raise UsageError(f"--batch is {batch}; it must be 1 to 4096")
    if batch > 1 and "ncnn" in formats:
        raise UsageError(f"--batch is {batch}; ncnn runs one image at a time: leave --batch or --to ncnn out")
    if seed is not None and (seed < 0 or weights not in (None, "random")):
        raise UsageError(f"--seed is {seed}; it is the seed of --weights random, 0 or more")
    for option, value in (("outputs", outputs), ("pixels", pixels)):
        if value is not None and not set(formats) & set(WITH_OUTPUTS):
            raise UsageError(f"--{option} is for {', '.join(WITH_OUTPUTS)}; add one of them with --to or leave it out")
    if weights is not None and not set(formats) & {*FORMATS, "html"}:
        raise UsageError(f"--weights changes nothing in {', '.join(formats)}; leave it out")
    import importlib.util

    for given in formats:
        package = INSTALL.get(given)
        if package and importlib.util.find_spec(package) is None:
            raise UsageError(f"--to {given} needs {package}: pip install {package}")
    if output.name in ("", ".", ".."):
        raise UsageError(f"--output is '{output}'; name a new folder")


def _open(db: str, network: str | None, formats: tuple[str, ...], name: str | None) -> Store | None:
    """The database if it is there; None where nothing of it is asked for."""
    from search.find import is_file
    from search.store import DEFAULT_PATH

    shown_database(db)
    optional = network is not None and db == DEFAULT_PATH and name is None and "optuna" not in formats
    if optional and (is_file(str(network)) or not Path(db).exists()):
        return None
    return open_to_read(db)


@dataclass(frozen=True, kw_only=True)
class _Export:
    """One export, from what was typed to the folder."""

    network: str | None
    formats: tuple[str, ...]
    output: Path
    wish: str | None
    """The weights that are asked for."""
    outputs: str | None
    pixels: str | None
    size: str | None
    batch: int
    seed: int | None
    force: bool
    db: str
    name: str | None
    store: Store | None
    stop: threading.Event

    @property
    def models(self) -> tuple[str, ...]:
        """The formats that a worker writes."""
        from evaluator.export import FORMATS

        return tuple(name for name in FORMATS if name in self.formats)

    def run(self) -> int:
        from search.find import find
        from search.folder import folder

        found = find(self.network, self.store, self.name) if self.network is not None else None
        with folder(self.output, mark=MARK, force=self.force) as scratch:
            weights = self._weights(found) if found and {*self.models, "html"} & {*self.formats} else None
            plan = self._plan(found, weights, scratch) if found else None
            written = self._write(plan) if plan and self.models else []
            facts = self._facts(found, weights, plan, written)
            if "optuna" in self.formats:
                self._optuna(found, scratch, facts)
            self._texts(scratch, plan, facts)
            if self.stop.is_set():
                raise KeyboardInterrupt
        for file in facts["files"]:
            print(f"{self.output / file['files'][0]}: {file['format']}, {file['check']}")
        print(f"{self.output / 'README.md'}: the model card, with what is not known of it")
        return 0

    def say(self, text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    def _weights(self, found: Found) -> Weights:
        from search.weights import KINDS, Weights, of_file, weights_of

        wish = self.wish or ("best" if found.row else "random")
        if wish not in KINDS:
            interface, about = of_file(Path(wish), found.architecture)
            scores = [(k, v) for k, v in (about or {}).get("scores", {}).items() if k in ("ap", "accuracy")]
            kind, score = (about or {}).get("weights", "file"), scores[0] if scores else None
            return Weights(kind=kind, path=Path(wish), about=about, score=score,
                           interface=interface or self._interface(found))  # fmt: skip
        if found.row is None or self.store is None:
            if wish != "random":
                raise UsageError(f"'{self.network}' is no candidate of a study, so it has no '{wish}' weights; give "
                                 "--weights random or a file, such as one of search.train")  # fmt: skip
            return Weights(kind="random", interface=self._interface(found), seed=self.seed or 0)
        weights = weights_of(self.store, found.row, found.architecture, wish, seed=self.seed or 0, say=self.say,
                             stop=self.stop)  # fmt: skip
        if weights.note:
            self.say(f"note: {weights.note}")
        return weights

    def _interface(self, found: Found) -> Interface:
        """The task's of the study; for a network of no study none: no classes' names, no anchors."""
        from evaluator.interface import Interface, interface_of
        from evaluator.recipe import recipe_for
        from evaluator.tasks import TASKS
        from space.source import DEFAULT_CLASSES, DEFAULT_SIZE

        if found.row is not None:
            task = TASKS.get(found.row.config["task"])
            return interface_of(task, recipe_for(task, found.row.config["recipe"]))
        count = found.num_classes or DEFAULT_CLASSES
        return Interface(task="none", size=DEFAULT_SIZE[0], head_kind=found.architecture.head.kind, pixel_mean=0.0,
                         pixel_std=1.0, classes=tuple(map(str, range(count))))  # fmt: skip

    def _plan(self, found: Found, weights: Weights | None, scratch: Path) -> Plan:
        from evaluator.export import Plan

        interface = weights.interface if weights else self._interface(found)
        height, width = self._size(found, weights, interface)
        detects = interface.head_kind == "detector" and bool(interface.anchors)
        outputs = self.outputs or ("nms" if detects else "raw")
        if outputs != "raw" and not detects:
            why = (
                "a classifier has no boxes" if interface.head_kind != "detector" else "it has no anchors without a task"
            )
            raise UsageError(f"--outputs {outputs}: {why}; use --outputs raw")
        about = {"id": found.architecture.id, **((weights.about or {}) if weights else {}),
                 "architecture": found.architecture.canonical().to_dict(), "interface": interface.to_dict(),
                 "weights": weights.kind if weights else "none"}  # fmt: skip
        plan = Plan(
            architecture=found.architecture, interface=interface, formats=self.models, folder=str(scratch),
            height=height, width=width, batch=self.batch, outputs=outputs, normalise=self.pixels != "normalised",
            num_anchors=len(interface.anchors[0]) if interface.anchors else found.num_anchors,
            weights=str(weights.path) if weights and weights.path else None, seed=weights.seed if weights else 0,
            about=about,
        )  # fmt: skip
        _ = plan.graph  # what cannot be built is said before anything runs
        return plan

    def _size(self, found: Found, weights: Weights | None, interface: Interface) -> tuple[int, int]:
        from space import cli

        try:
            given = cli.image_size(self.size)
        except cli.UsageError as error:
            raise UsageError(str(error).replace("--resolution", "--size")) from error
        if given:
            return given
        if found.row is not None and (weights is None or weights.path is None):
            return found.row.config["deployment"]["height"], found.row.config["deployment"]["width"]
        return interface.size, interface.size

    def _write(self, plan: Plan) -> list[Written]:
        import shutil

        from evaluator.export import export
        from search.command import make_engine
        from search.weights import in_worker

        try:
            found: list[Written] = in_worker(make_engine("process", 1, TIME_LIMIT, None), self.stop, export, plan)
        except UsageError as error:
            if shutil.disk_usage(plan.folder).free < 2**20:
                raise UsageError(f"the disk of '{self.output.parent}' is full; nothing was exported") from error
            text = str(error).removeprefix("ExportError: ").removeprefix("WeightsError: ")
            raise UsageError(text.rpartition(" at ")[0] or text) from error
        return found

    def _optuna(self, found: Found | None, scratch: Path, facts: dict[str, Any]) -> None:
        from search.samplers.ecosystem import write_study
        from search.selection import study_of

        assert self.store is not None
        row = (found.row if found else None) or study_of(self.store, self.name)
        number = write_study(self.store, row, scratch / "optuna.log")
        facts["files"].append({"format": "optuna", "files": ["optuna.log"], "runtime": "optuna", "difference": None,
                               "check": f"{number} trials of study '{row.name}', read back",
                               "note": f"a journal: study '{row.name}', {number} trials"})  # fmt: skip

    def _texts(self, scratch: Path, plan: Plan | None, facts: dict[str, Any]) -> None:
        """The architecture's file, the card, and the card as a page."""
        from search import card
        from space.draw import draw
        from space.source import architecture_of, to_toml

        if plan is not None and "toml" in self.formats:
            file = scratch / "architecture.toml"
            file.write_text(to_toml(plan.architecture, height=plan.height, width=plan.width,
                                    num_classes=len(plan.interface.classes), num_anchors=plan.num_anchors))  # fmt: skip
            if architecture_of(str(file)).id != plan.architecture.id:
                raise UsageError(f"'{file.name}' did not come back as the same architecture; nothing was exported")
            facts["files"].append({"format": "toml", "files": [file.name], "runtime": "tomllib", "difference": None,
                                   "check": f"reads back as {plan.architecture.id}",
                                   "note": "for `search.run --start` and `search.train`"})  # fmt: skip
        if plan is not None and "html" in self.formats:
            facts["files"].append({"format": "html", "files": ["card.html"], "runtime": "a browser", "difference": None,
                                   "check": "the card as one page", "note": "this card as a page"})  # fmt: skip
            svg = draw(plan.graph, title=facts["title"])
            (scratch / "card.html").write_text(card.page(facts, svg), encoding="utf-8")
        (scratch / "README.md").write_text(card.markdown(facts), encoding="utf-8")
        (scratch / MARK).write_text(json.dumps(facts, indent=1) + "\n")

    def _facts(self, found: Found | None, weights: Weights | None, plan: Plan | None,
               written: list[Written]) -> dict[str, Any]:  # fmt: skip
        from search.card_facts import facts

        options = [(f"--{name}", value) for name, value in (
            ("weights", self.wish), ("outputs", self.outputs), ("size", self.size), ("seed", self.seed),
            ("pixels", self.pixels), ("name", self.name)) if value is not None]  # fmt: skip
        options += [("--batch", self.batch)] if self.batch != 1 else []
        options += [("--db", shown_database(self.db))] if self.store is not None else []
        from search.card import command

        line = command("python", "-m", "search.export", *([self.network] if self.network else []),
                       *(part for given in self.formats for part in ("--to", given)), "-o", self.output,
                       *(part for option in options for part in option))  # fmt: skip
        return facts(self.store, found, weights, plan, written, line)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit code. User errors are one line on stderr and code 2."""
    return call(app, arguments)


if __name__ == "__main__":
    sys.exit(main())
