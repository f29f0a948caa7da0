"""The loop: ask a generation, refuse on paper, profile while nothing trains, train, promote, record, tell.

Whatever is finished is in the store before the next step starts, so an interrupted search goes on where it
was: proposals that have no result yet are taken up again, and no job is ever done twice.
"""

from __future__ import annotations

import itertools
import math
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np

from evaluator.evaluate import evaluate
from evaluator.profile import latency, paper, runtime_row
from evaluator.recipe import recipe_for
from evaluator.record import Deployment, Evaluation, Fidelity, Job, Measurement, environment
from evaluator.target import Target
from evaluator.tasks import TASKS, Analytic
from search import pareto
from search.engines import Engine
from search.engines.batches import each_guarded
from search.engines.guard import CandidateError
from search.predictors import predicted
from search.progress import Interrupted, Progress, Summary, Values
from search.samplers import Sampler, sampler
from search.schedule import expected, promote
from search.seeds import job_seed
from search.states import States
from search.store import Proposal, Store, StudyRow
from search.study import Limit, Study
from space.architecture import Architecture, ArchitectureError
from space.axes import SpaceError
from space.design import Genome
from space.nearest import nearest

MOST_REJECTED = 5_000
"""Proposals in a row without one that could be admitted, after which the space counts as exhausted."""

LATENCY_PATIENCE = 20.0
"""Times the limit of one training that timing a whole generation may take."""
MOST_BARREN = 5
"""Generations in a row of which measured latency refused every candidate."""


class Search:
    """One study being searched. `run` may be interrupted anywhere; a new Search on the same row goes on."""

    def __init__(self, study: Study, row: StudyRow, store: Store, engine: Engine, progress: Progress) -> None:
        self.study, self.store, self.engine, self.progress = study, store, engine, progress
        self.row = row
        self.task = TASKS.get(study.task)
        self.recipe_id = recipe_for(self.task, study.recipe).id(self.task)
        self.summary = Summary(budget=study.budget)
        self._kept = States(f"{store.key}-{row.id}")
        self._known: dict[str, Values] = {}
        self._states: dict[str, str] = {}
        self._sampler: Sampler = sampler(study)
        self._scores: dict[str, dict[int, float]] = {}
        """Of each architecture the score at each rung that it reached."""
        self._gains: list[list[tuple[float, float]]] = [[] for _ in study.rungs]
        """For each rung, of those that the sampler has heard of: the score there and at the last rung."""
        self._next_number = 0
        self._generation = 0
        self._members: list[tuple[Proposal, bool]] = []
        """Proposals of the present generation, which the sampler has not heard of yet; True if asked for here."""
        self._wished: dict[str, list[int]] = {}
        """Rows of the queue by the id of the network that is proposed for them."""
        self.stop = threading.Event()
        """Set it to stop at the next safe point: `run` raises Interrupted, with everything finished recorded."""
        self._earlier: dict[str, float] = row.timing or {}

    # -- the loop

    def run(self) -> Summary:
        """Search until the budget is spent or nothing is left to propose."""
        pending = self._resume()
        barren = 0
        try:
            while True:
                if pending is None:
                    pending = self._ask()
                    if not pending:
                        break
                admitted = self.summary.admitted
                self._evaluate(pending)
                self._tell_generation()
                pending = None
                self._generation += 1
                barren = 0 if self.summary.admitted > admitted else barren + 1
                if barren == MOST_BARREN:
                    self.summary.stopped = f"no candidate of the last {MOST_BARREN} generations met the limits"
                    break
            self._kept.sweep()
            self._measure_front()
        finally:
            self._save_timing()
        return self.summary

    def _measure_front(self) -> None:
        """Time the front on those of its predicted targets that are this machine."""
        for found in self.study.predictors.values():
            place = found.target
            if place.device != environment().host:
                continue
            front = [network for identity in self.summary.front if (network := self.store.architecture(identity))]
            missing = [network for network in front if not self._is_timed(network, place)]
            if missing:
                self.progress.phase(f"measuring the front on {place}: {len(missing)} candidates")
                with self._clock("latency_seconds"):
                    for network, rows in self._timed(missing, place.deployment, place.backend):
                        self.store.record(network, rows)

    def _is_timed(self, architecture: Architecture, place: Target) -> bool:
        wanted = ("latency_ms", "measured", place.device, place.backend, place.deployment.id)
        return any(
            tuple(row[name] for name in ("metric", "origin", "device", "backend", "deployment")) == wanted
            and row["value"] is not None
            for row in self.store.measurements(architecture.id)
        )

    def _tell_generation(self) -> None:
        """Tell the sampler of all proposals of the generation at once, in the order of their numbers.

        Not one by one: Optuna's NSGA-II counts a generation by its finished trials, and would begin the next
        one, with half the parents, as soon as enough were refused or trained.
        """
        last = len(self.study.rungs) - 1
        for p, _ in self._members:
            scores = self._scores.get(p.architecture.id, {})
            if last in scores:
                for rung, score in scores.items():
                    self._gains[rung].append((score, scores[last]))
        for p, asked_here in self._members:
            finished = Proposal(**{**vars(p), "state": self._states[p.architecture.id]})
            verdict = self._verdict(finished)
            if asked_here:
                self._sampler.tell(p.sampler, *verdict)
            else:
                self._sampler.replay(p.genes, p.sampler, *verdict)
        self._members = []

    def _check_stop(self) -> None:
        if self.stop.is_set():
            raise Interrupted

    def _save_timing(self) -> None:
        s = self.summary
        s.total_seconds = self._earlier.get("total_seconds", 0.0) + time.monotonic() - s.started
        names = ("training_seconds", "latency_seconds", "total_seconds")
        self.store.update_study(self.row.id, timing={name: getattr(s, name) for name in names})

    def _resume(self) -> list[Proposal] | None:
        """Rebuild everything from the store; the proposals of an unfinished generation, or None."""
        s = self.summary
        s.training_seconds = self._earlier.get("training_seconds", 0.0)
        s.latency_seconds = self._earlier.get("latency_seconds", 0.0)
        old = self.store.proposals(self.row.id)
        if not old:
            self._kept.sweep()
            self._start()
            return None
        values = self._stored_values()
        last = max(p.generation for p in old)
        pending = [p for p in old if p.state == "proposed"]
        self._next_number = len(old)
        self._generation = last if pending else last + 1
        self._kept.sweep(pending)
        for generation, members in itertools.groupby(old, lambda p: p.generation):
            for p in members:
                self._known[p.architecture.id] = values.get(p.architecture.id, {})
                if p.state in ("complete", "stopped", "failed"):
                    self._known[p.architecture.id].update(self._own_score(p.architecture))
                self._states[p.architecture.id] = p.state
                s.refused += p.state == "refused"
                s.admitted += p.state in ("complete", "stopped", "failed")
                s.failed += p.state == "failed"
                self._members.append((p, False))
            if not (pending and generation == last):
                self._tell_generation()
        self._update_front()
        self._start()
        return pending or None

    def _start(self) -> None:
        """Let the sampler begin with the queue, then those of the study's own networks that were not proposed yet."""
        build = self.study.space.build
        genomes = [*self._queued(), *(genome for _, genome, _ in self.study.starting_points())]
        self._sampler.start([genome for genome in genomes if build(genome).id not in self._known])

    def _queued(self) -> list[Genome]:
        """The nearest genomes to what waits in the study's queue; what is known, or fits nowhere, is settled."""
        found: dict[str, Genome] = {}
        wished = self.store.queued_architectures(self.row.id)
        for row in self.store.queue(self.row.id, state="waiting"):
            try:
                genome, _ = nearest(self.study.space, wished[row.architecture_id])
            except (ArchitectureError, SpaceError) as error:
                self.store.settle([row.id], "impossible", reason=str(error))
                continue
            architecture = self.study.space.build(genome)
            if architecture.id in self._known:
                self.store.settle([row.id], "known", proposed=architecture)
                continue
            found[architecture.id] = genome
            self._wished.setdefault(architecture.id, []).append(row.id)
        if found:
            self.progress.phase(f"beginning with {len(found)} from the queue: {', '.join(found)}")
        return list(found.values())

    def _propose(self, batch: Sequence[Proposal]) -> None:
        """Record proposals; what waited in the queue waits no longer."""
        self.store.propose(self.row.id, batch)
        for p in batch:
            if ids := self._wished.pop(p.architecture.id, None):
                self.store.settle(ids, "proposed", proposed=p.architecture, reason=p.reason)

    # -- asking

    def _ask(self) -> list[Proposal]:
        """A generation of new architectures within the limits on paper, recorded; empty when all is done."""
        wanted = min(self.study.population, self.study.budget - self.summary.admitted)
        if wanted < 1:
            return []
        admitted: list[Proposal] = []
        batch: list[Proposal] = []
        rejected = 0
        self.progress.phase(f"proposing generation {self._generation + 1}")
        while len(admitted) < wanted:
            self._check_stop()
            asked = self._sampler.ask(self._generation)
            if asked is None:
                within = " within the limits" if self.study.limits else ""
                self.summary.stopped = f"every architecture of the space{within} that can be found was proposed"
                break
            if rejected >= MOST_REJECTED and self.study.sampler != "grid":
                self.summary.stopped = f"{rejected} proposals in a row were known already or outside the limits"
                break
            proposal = self._screen(*asked)
            rejected += 1
            if proposal is not None:
                batch.append(proposal)
                if proposal.state == "proposed":
                    admitted.append(proposal)
                    rejected = 0
            if len(batch) >= 200:
                # Long refusals are recorded as they come, and Ctrl-C has little to lose.
                self._propose(batch)
                batch = []
        self._propose(batch)
        return admitted

    def _screen(self, genome: Genome, attributes: dict[str, Any]) -> Proposal | None:
        """The proposal of a genome, its costs on paper recorded: "proposed", or "refused" by a limit.

        None for a genome that breaks a rule of the space or repeats a network; the sampler hears of it as
        a trial without result.
        """
        try:
            architecture = self.study.space.build(genome)
            rows = paper(architecture, self.study.deployment)
            ahead = predicted(self.study, architecture)
        except ArchitectureError:
            self.summary.invalid += 1
            self._sampler.tell(attributes, None, [])
            return None
        if architecture.id in self._known:
            self.summary.duplicates += 1
            self._sampler.tell(attributes, None, [])
            return None
        self.store.record(architecture, [*rows, *ahead.values()])
        named = {row.metric: row for row in rows} | ahead
        self._known[architecture.id] = {name: row.value for name, row in named.items() if row.value is not None}
        broken = self._broken(architecture.id)
        state = "refused" if broken else "proposed"
        self._states[architecture.id] = state
        proposal = Proposal(number=self._next_number, generation=self._generation, architecture=architecture,
                            genes=genome, sampler=attributes, state=state, reason=broken)  # fmt: skip
        self._next_number += 1
        self.summary.refused += state == "refused"
        self._members.append((proposal, True))
        return proposal

    # -- limits and objectives

    def _violations(self, architecture_id: str) -> list[tuple[Limit, float]]:
        known = self._known[architecture_id]
        return [(lim, lim.violation(known[lim.metric])) for lim in self.study.limits if lim.metric in known]

    def _broken(self, architecture_id: str) -> str | None:
        known = self._known[architecture_id]
        broken = [limit for limit, excess in self._violations(architecture_id) if excess > 0]
        return "; ".join(f"{limit}: it has {known[limit.metric]:.4g}" for limit in broken) or None

    def objectives(self, architecture_id: str, known: Mapping[str, float | None] | None = None) -> list[float | None]:
        """The study's objectives, minimised; None where unknown. `known` replaces what is known now."""
        known = self._known.get(architecture_id, {}) if known is None else known
        return [
            None if (value := known.get(o.metric)) is None else -value if o.direction == "maximize" else value
            for o in self.study.objectives
        ]

    def _verdict(self, proposal: Proposal) -> tuple[list[float | None], list[float]]:
        """What the sampler is told of a finished proposal: objectives, and how far each limit is broken.

        A failure is one more violation, so that it takes its place in the generation and has no children. Scores
        of different rungs are not comparable: of a candidate that was not promoted the sampler hears the score
        that it would be expected to have at the last rung, judging by those who got there.
        """
        identity = proposal.architecture.id
        found = dict(self._violations(identity))
        violations = [found.get(limit, 0.0) for limit in self.study.limits]
        known: dict[str, float | None] = {**self._known[identity]}
        if proposal.state == "stopped":
            rung, score = max(self._scores[identity].items())
            known[self.study.score.metric] = expected(score, self._gains[rung])
        return self.objectives(identity, known), [*violations, float(proposal.state == "failed")]

    def _update_front(self) -> None:
        ids = [i for i, state in self._states.items() if state == "complete"]
        rows = [(i, self.objectives(i)) for i in ids]
        rows = [(i, values) for i, values in rows if None not in values]
        if not rows:
            return
        values = np.array([values for _, values in rows], float)
        mask = pareto.front(values)
        self.summary.front = [i for (i, _), on in zip(rows, mask, strict=True) if on]
        low, high = values.min(axis=0), values.max(axis=0)
        span = np.where(high > low, high - low, 1.0)
        scaled = (values[mask] - low) / span
        self.summary.hypervolume = pareto.hypervolume(scaled, np.full(values.shape[1], 1.1)) / 1.1 ** values.shape[1]

    def _own_score(self, architecture: Architecture) -> Values:
        """What the study's own seed gave at the highest rung reached; the store may hold other seeds too."""
        values: Values = {}
        for rung, fidelity in enumerate(self.study.rungs):
            evaluation = self.store.evaluation(self._job(architecture, fidelity), self.recipe_id)
            if evaluation is None:
                break
            now = {m.metric: m.value for m in evaluation.measurements if m.value is not None}
            self._note_score(architecture, rung, now)
            values |= now
        return values

    def _note_score(self, architecture: Architecture, rung: int, values: Values) -> None:
        if self.study.score.metric in values:
            self._scores.setdefault(architecture.id, {})[rung] = values[self.study.score.metric]

    def _stored_values(self) -> dict[str, Values]:
        """Metric values of every architecture of the study, read back from the store."""
        from evaluator.metrics import METRICS

        frame = self.store.frame(self.study.name)
        result: dict[str, Values] = {}
        for row in frame[["id", *METRICS, *self.study.predictors]].to_dict("records"):
            values = {k: float(v) for k, v in row.items() if k != "id" and v == v and v is not None}
            result[row["id"]] = values
        return result

    # -- evaluating

    def _evaluate(self, batch: list[Proposal]) -> None:
        batch = self._profile(batch)
        alive = batch
        for rung, fidelity in enumerate(self.study.rungs):
            last = rung == len(self.study.rungs) - 1
            alive = self._train(alive, fidelity, finish=last)
            if not last:
                alive = self._promote(alive, fidelity)
        self._save_timing()

    def _promote(self, alive: list[Proposal], fidelity: Fidelity) -> list[Proposal]:
        """Those of `alive` that go on to the next rung; the others are closed.

        Members of the generation that an earlier, interrupted run closed compete too, also those that failed at
        a higher rung, so that a resumed search promotes whom the uninterrupted one would have.
        """
        waiting = {p.number for p in alive}
        peers, rows = [], []
        for p, _ in self._members:
            score = self._scores.get(p.architecture.id, {}).get(fidelity.rung)
            if score is None or self._states[p.architecture.id] == "refused":
                continue
            known = {**self._known[p.architecture.id], self.study.score.metric: score}
            values = self.objectives(p.architecture.id, known)
            if None not in values:
                peers.append(p)
                rows.append(values)
        promoted = {peers[row].number for row in promote(np.array(rows, float), self.study.keep)} if rows else set()
        for p in alive:
            if p.number not in promoted:
                self._close(p, "stopped", f"not promoted after {fidelity.image_visits} image visits")
        return [p for p in alive if p.number in promoted & waiting]

    def _close(self, proposal: Proposal, state: str, reason: str | None = None) -> None:
        """Record the end of a proposal; tell the front and whoever watches."""
        identity = proposal.architecture.id
        self.store.finish(self.row.id, proposal.number, state, reason)
        self._states[identity] = state
        self._kept.drop(proposal)
        if state == "refused":
            self.summary.refused += 1
        else:
            self.summary.admitted += 1
            self.summary.failed += state == "failed"
        self._update_front()
        finished = Proposal(**{**vars(proposal), "state": state, "reason": reason})
        note = reason or ("on front" if identity in self.summary.front else "")
        self.progress.candidate(self.summary, finished, self._known[identity], note)

    @contextmanager
    def _clock(self, name: str) -> Any:
        start = time.monotonic()
        try:
            yield
        finally:
            setattr(self.summary, name, getattr(self.summary, name) + time.monotonic() - start)

    def _profile(self, batch: list[Proposal]) -> list[Proposal]:
        """Time the batch on the host while nothing trains; returns those that go on to training."""
        if isinstance(self.task, Analytic) and not self.study.timed:
            return batch
        here = environment()
        missing = []
        for proposal in batch:
            rows = self.store.measurements(proposal.architecture.id)
            known = {
                row["metric"]: row["value"]
                for row in reversed(rows)
                if row["deployment"] == self.study.deployment.id
                and row["device"] == here.host
                and row["backend"] == self.study.backend
                and row["value"] is not None
            }
            self._known[proposal.architecture.id].update(known)
            if "latency_ms" not in known:
                missing.append(proposal)
        if missing:
            self.progress.phase(f"measuring latency of {len(missing)} candidates")
            with self._clock("latency_seconds"):
                self._latency(missing)
        going = []
        for proposal in batch:
            identity = proposal.architecture.id
            broken = self._broken(identity)
            if self._states[identity] == "failed":
                continue
            if broken:
                self._close(proposal, "refused", broken)
            else:
                going.append(proposal)
        return going

    def _latency(self, batch: Sequence[Proposal]) -> None:
        """Record latencies; a candidate that cannot be measured is closed as failed."""
        proposals = {proposal.architecture.id: proposal for proposal in batch}
        networks = [proposal.architecture for proposal in batch]
        for network, rows in self._timed(networks, self.study.deployment, self.study.backend):
            self.store.record(network, rows)
            self._known[network.id].update({row.metric: row.value for row in rows if row.value is not None})
            if rows[0].reason:
                self._close(proposals[network.id], "failed", rows[0].reason)

    def _timed(self, networks: Sequence[Architecture], deployment: Deployment,
               backend: str) -> Iterator[tuple[Architecture, list[Measurement]]]:  # fmt: skip
        """Each network with its rows; the reason stands in the first where it cannot be measured."""
        run = partial(latency, backend=backend)

        def submit(part: Sequence[Architecture]) -> Future[Any]:
            # The limit is that of one training; a set of slow candidates may take longer together.
            return self.engine.submit(run, part, deployment, patience=LATENCY_PATIENCE)

        for network, found in each_guarded(networks, submit, self._wait):
            reason = str(found) if isinstance(found, CandidateError) else found[0].reason
            if reason:
                reason = f"latency could not be measured: {reason}"
                found = [runtime_row("latency_ms", None, deployment, backend, reason=reason)]
            yield network, found

    def _train(self, batch: list[Proposal], fidelity: Fidelity, *, finish: bool) -> list[Proposal]:
        """Train a batch at one rung; returns those that succeeded. Each result is recorded as it comes."""
        self.progress.phase(f"training {len(batch)} candidates ({fidelity.image_visits} image visits each)")
        jobs = {p.number: self._job(p.architecture, fidelity, p) for p in batch}
        waiting: dict[Future[Any], Proposal] = {}
        alive: list[Proposal] = []
        queue = iter(batch)
        with self._clock("training_seconds"):
            while True:
                self._check_stop()
                while len(waiting) < self.engine.workers and (proposal := next(queue, None)) is not None:
                    stored = self.store.evaluation(jobs[proposal.number], self.recipe_id)
                    if stored is not None:
                        self._learn(proposal, fidelity, stored, alive, finish)
                        continue
                    waiting[self.engine.submit(evaluate, jobs[proposal.number])] = proposal
                if not waiting:
                    break
                for future in self._wait(list(waiting)):
                    proposal = waiting.pop(future)
                    try:
                        evaluation: Evaluation = finite(future.result())
                    except CandidateError as error:
                        evaluation = Evaluation(state="failed", reason=str(error))
                    job = jobs[proposal.number]
                    self.store.record_evaluation(job, self.recipe_id, evaluation, environment())
                    self._learn(proposal, fidelity, evaluation, alive, finish)
        return alive

    def _learn(self, proposal: Proposal, fidelity: Fidelity, evaluation: Evaluation, alive: list[Proposal],
               finish: bool) -> None:  # fmt: skip
        values = {m.metric: m.value for m in evaluation.measurements if m.value is not None}
        self._known[proposal.architecture.id].update(values)
        for note in {m.detail["note"] for m in evaluation.measurements if "note" in m.detail}:
            self.progress.phase(f"{proposal.architecture.id}: {note}; its next rung starts afresh")
        if evaluation.state == "complete":
            self._note_score(proposal.architecture, fidelity.rung, values)
        score = self.study.score.metric
        if evaluation.state == "failed":
            self._close(proposal, "failed", evaluation.reason)
        elif score not in values:
            self._close(proposal, "failed", f"training gave no {score}")
        else:
            alive.append(proposal)
            if finish:
                self._close(proposal, "complete")

    def _job(self, architecture: Architecture, fidelity: Fidelity, proposal: Proposal | None = None) -> Job:
        """The training of an architecture at a rung; all rungs have one seed, so that one goes on from another.

        With its proposal it says where: also rung 0 may find the state that a killed search left.
        """
        path = str(self._kept.path(proposal)) if proposal is not None and len(self.study.rungs) > 1 else None
        return Job(architecture=architecture, task=self.study.task, fidelity=fidelity, recipe=self.study.recipe,
                   seed=job_seed(self.study.seed, 0), device=self.row.device, resume=path,
                   keep=path if fidelity != self.study.rungs[-1] else None)  # fmt: skip

    def _wait(self, futures: list[Future[Any]]) -> set[Future[Any]]:
        """Those that are done, at least one. Short waits, so that Ctrl-C is heard at once."""
        while True:
            done, _ = wait(futures, timeout=0.2, return_when=FIRST_COMPLETED)
            if done:
                return done
            self._check_stop()


def finite(evaluation: Evaluation) -> Evaluation:
    """The evaluation, failed if a value is NaN or infinite: neither a database nor a front can hold one."""
    wrong = [m.metric for m in evaluation.measurements if m.value is not None and not math.isfinite(m.value)]
    if not wrong:
        return evaluation
    return Evaluation(
        state="failed",
        reason=f"{' and '.join(wrong)} not finite after training",
        curve=[point for point in evaluation.curve if all(map(math.isfinite, point.values()))],
        seconds=evaluation.seconds,
        cpu_seconds=evaluation.cpu_seconds,
    )
