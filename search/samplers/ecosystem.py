"""A study as Optuna keeps one, for Optuna's own tools (its dashboard, its plots, importances): a journal file.

Trials carry what a candidate is and all that was measured of it as attributes. Only complete candidates are complete
trials: a multi-objective trial that was pruned can carry no values, so the others are failed ones that say why.
"""

from __future__ import annotations

import datetime
import math
import warnings
from pathlib import Path
from typing import Any

from evaluator.metrics import METRICS
from evaluator.tasks import TASKS
from search.frame import axes
from search.store import Store, StudyRow
from space.design import DesignSpace


def write_study(store: Store, row: StudyRow, path: Path) -> int:
    """Write all candidates of a study to a new journal file; returns their number.

    `optuna.load_study(study_name=…, storage=JournalStorage(JournalFileBackend(path)))` reads it. Raises ValueError
    if it does not come back as it was written.
    """
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    objectives = row.config["objectives"]
    study = optuna.create_study(study_name=row.name, storage=JournalStorage(JournalFileBackend(str(path))),
                                directions=[o["direction"] for o in objectives])  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        study.set_metric_names([o["metric"] for o in objectives])
    for key in ("task", "deployment", "device", "image_visits", "recipe", "limits", "seed"):
        study.set_user_attr(key, row.config.get(key))
    trials = _trials(store, row)
    study.add_trials(trials)
    again = optuna.load_study(study_name=row.name, storage=JournalStorage(JournalFileBackend(str(path))))
    if [t.values for t in again.get_trials(deepcopy=False)] != [t.values for t in trials]:
        raise ValueError(f"{path} did not come back as it was written")
    return len(trials)


def _trials(store: Store, row: StudyRow) -> list[Any]:
    from optuna.distributions import CategoricalDistribution
    from optuna.trial import TrialState, create_trial

    proposals = store.proposals(row.id)
    if all(proposal.genes for proposal in proposals):
        params = [proposal.genes for proposal in proposals]
        choices = DesignSpace.from_dict(row.config["space"], head=TASKS.get(row.config["task"]).head_kind).genes
    else:  # a study that keeps what it found, not how it was proposed, as the dashboard's demo
        params = [axes(proposal.architecture.to_dict()) for proposal in proposals]
        seen = {name: {p[name] for p in params} for name in params[0]}
        choices = {name: tuple(sorted(values, key=lambda v: (str(type(v)), v or 0))) for name, values in seen.items()}
    spaces = {name: CategoricalDistribution(values) for name, values in choices.items()}
    frame = store.frame(row.name).set_index("number")
    metrics = [name for name in METRICS if name in frame]
    names = [o["metric"] for o in row.config["objectives"]]
    trials = []
    for proposal, genes in zip(proposals, params, strict=True):
        known = frame.loc[proposal.number]
        values = [float(known[name]) for name in names]
        complete = proposal.state == "complete" and all(map(math.isfinite, values))
        attributes: dict[str, Any] = {name: float(known[name]) for name in metrics if math.isfinite(known[name])}
        attributes |= {"id": proposal.architecture.id, "state": proposal.state, "words": proposal.architecture.words()}
        attributes |= {"reason": proposal.reason} if proposal.reason else {}
        trial = create_trial(
            state=TrialState.COMPLETE if complete else TrialState.FAIL, values=values if complete else None,
            params={name: genes[name] for name in choices}, distributions=dict(spaces),
            user_attrs={**attributes, "generation": proposal.generation},
        )  # fmt: skip
        trial.datetime_start = _time(known["created_at"])
        trial.datetime_complete = _time(known["finished_at"] if known["finished_at"] == known["finished_at"] else
                                        known["created_at"])  # fmt: skip
        trials.append(trial)
    return trials


def _time(seconds: float) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(float(seconds))
