"""The log of a training, an epoch a row: a CSV file always, TensorBoard's events where it is installed."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from evaluator.full import Point

INSTALL = "TensorBoard's logs need: pip install 'csp-explorer[train]'; log.csv says the same"


class Journal:
    """Writes `log.csv`, and `tensorboard/` if it can; `note` says why not."""

    def __init__(self, folder: Path, done: int) -> None:
        """`done` epochs are in the log already; what a stopped run wrote of later ones is taken back."""
        self._path, self._written = folder / "log.csv", done
        self.note: str | None = None
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            self._events, self.note = None, INSTALL
        else:
            self._events = SummaryWriter(str(folder / "tensorboard"), purge_step=done + 1)

    def write(self, history: Sequence[Point]) -> None:
        """All epochs so far."""
        columns = list(dict.fromkeys(name for point in history for name in point))
        text = io.StringIO()
        table = csv.DictWriter(text, columns, restval="", lineterminator="\n")
        table.writeheader()
        table.writerows(history)
        scratch = self._path.with_suffix(".csv.part")
        scratch.write_text(text.getvalue())
        scratch.replace(self._path)
        if self._events is None:
            return
        for point in history[self._written :]:
            for name, value in point.items():
                if name != "epoch":
                    self._events.add_scalar(name, value, int(point["epoch"]))
        self._events.flush()
        self._written = len(history)

    def close(self) -> None:
        """Release the event file."""
        if self._events is not None:
            self._events.close()
