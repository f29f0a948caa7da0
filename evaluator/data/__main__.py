"""python -m evaluator.data PATH: what a data set holds, without a search."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from space import cli

if TYPE_CHECKING:
    from rich.console import Console

    from evaluator.data.dataset import Log
    from evaluator.data.task import OwnData

app = App(
    name="python -m evaluator.data",
    help="Say what a data set holds, what was left out and why, and prepare it as a search with --data would.",
    version_flags=[],
    suppress_keyboard_interrupt=False,
)


@app.default
def run(
    path: Path,
    /,
    *,
    size: int | None = None,
    left_out: Annotated[bool, Parameter(negative="")] = False,
    as_json: Annotated[bool, Parameter(name="--json", negative="")] = False,
) -> int:
    """Look at a data set.

    Parameters
    ----------
    path
        A folder (COCO, YOLO, folders of classes, CIFAR's binary files, Hugging Face), or a parquet file.
    size
        Side of the proxy's pictures in pixels, a multiple of 32 from 32 to 512; 64 by default, 32 for a classifier
        of pictures that are no larger.
    left_out
        List everything that was left out, by name.
    as_json
        Print one JSON object: classes, counts, boxes, anchors, mean and standard deviation, and all that was left out.
    """
    from evaluator.data import report
    from evaluator.data.build import inspect
    from evaluator.tasks import TaskError

    if left_out and as_json:
        raise cli.UsageError("--json lists everything that was left out already; leave out --left-out")
    try:
        task, log = inspect(path, size)
    except TaskError as error:
        raise cli.UsageError(str(error)) from error
    if as_json:
        print(json.dumps(report.as_object(str(path), task, log), indent=1, ensure_ascii=False))
        return 0
    _print(cli.console(), str(path), task, log, left_out=left_out)
    return 0


def _print(out: Console, path: str, task: OwnData, log: Log, *, left_out: bool) -> None:
    from evaluator.data import report

    def say(line: str) -> None:
        out.print(line, markup=False, soft_wrap=True)

    for line in report.found(path, task):
        say(line)
    f = task.facts
    table = cli.table("classes", ["class", "training", "validation"], left=["class"])
    for name, train, val in zip(f["classes"], f["per_class"]["train"], f["per_class"]["val"], strict=True):
        table.add_row(name, f"{train:,}", f"{val:,}")
    out.print(table)
    say(f"pixels: mean {f['pixel_mean']:.1f}, standard deviation {f['pixel_std']:.1f} (of 0 to 255, training pictures)")
    if task.head_kind == "detector":
        sides = ", ".join(f"{side:.1f}" for side in f["box_sides"])
        say(f"boxes: square root of area {sides} pixels of {task.size} (5, 25, 50, 75, 95 % of the training boxes)")
        small, large = (limit**0.5 for limit in f["area_limits"])
        say(f"small is under {small:.1f} and large over {large:.1f} pixels: COCO's 32 and 96 times the median scale "
            f"{f['scale']:.3g}")  # fmt: skip
        anchors = "; ".join(" ".join(f"{w}x{h}" for w, h in level) for level in f["anchors"])
        say(f"anchors: {anchors}")
        empty, crowds = (sum(f[name].values()) for name in ("empty_images", "crowds"))
        say(f"objects of a picture: at most {f['most_objects']}; pictures without any: {empty}; crowds: {crowds}")
    found = report.events(task, log)
    for line in report.groups(found, named=len(found) if left_out else report.NAMED):
        say(line)
    for line in report.warnings(task):
        say(line)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit code. User errors are one line on stderr and code 2."""
    try:
        return cli.run(app, arguments)
    except KeyboardInterrupt:
        print("stopped; nothing was left behind", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
