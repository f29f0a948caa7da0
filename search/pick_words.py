"""What there is to say of a pick, a sentence each: what binds, what the next step buys, what to be careful of."""

from __future__ import annotations

import math
import shlex
import time
from collections import Counter
from collections.abc import Iterator

from evaluator.metrics import METRICS
from search.answer import KNEE, Answer, Pick
from search.budgets import Budget
from search.choice import SIGMAS, TOLERANCE
from search.devices import PREDICTED, advice
from search.latencies import DEPLOYED
from search.shortlist import Fact, Shortlist
from search.verification import in_effect, statement


def intro(found: Answer) -> str:
    """How many candidates there are, and by which score one is chosen."""
    listed, chosen = found.shortlist, in_effect(found.shortlist.study.config)
    verified = sum(listed.verdict(row) != "unverified" for row in range(len(listed.ids)))
    text = f"'{listed.study.name}': {len(listed.ids)} complete candidates, {verified or 'none'} of them verified"
    if found.scores.by == "verified" and chosen:
        return f"{text}; {listed.metric} is that of {chosen[0]:,} image visits, mean of {len(chosen[1])} seeds"
    why = "no verified one fits; " if verified and found.evidence == "auto" and found.fits else ""
    return f"{text}; {why}{listed.metric} is the proxy's"


def headline(found: Answer, pick: Pick) -> str:
    """Who wins what."""
    assert pick.answer is not None
    listed = found.shortlist
    wish = f"the knee of {listed.metric} against latency" if found.prefer == KNEE else f"the best {listed.metric}"
    bounds = f" with {' and '.join(map(str, pick.budgets))}" if pick.budgets else ""
    return f"{listed.ids[pick.answer]} has {wish}{bounds} ({int(pick.among.sum())} of {compared(found)} fit)"


def compared(found: Answer) -> int:
    """How many candidates have the score that chooses."""
    return int((~(found.scores.value != found.scores.value)).sum())


def known(value: float | None) -> bool:
    """Whether there is a number."""
    return value is not None and not math.isnan(value)


def origin(fact: Fact) -> str:
    """How a number is known, in words."""
    if not known(fact["value"]):
        return f"missing: {fact['reason']}"
    if fact["origin"] == "counted":
        return "counted"
    if fact["origin"] == "predicted":
        shares = [f"{fact[key]:.0%} ({name})" for key, name in (("error", "median"), ("error_p90", "90th percentile"))
                  if known(fact[key])]  # fmt: skip
        error = f"known error {', '.join(shares)} on {fact['n']:.0f} networks" if shares else "error unknown"
        return f"predicted by {fact['method']}; {error}"
    day = time.strftime("%Y-%m-%d", time.localtime(fact["created_at"]))
    return f"measured {day}, {fact['n']:.0f} rounds" + (", noisy" if fact["noisy"] is True else "")


def latency(listed: Shortlist, place: int, row: int) -> str:
    """Latency of a candidate, said to be predicted where it is."""
    fact = listed.fact(row, PREDICTED, place)
    return METRICS[PREDICTED].show(fact["value"]) + (" predicted" if fact["origin"] == "predicted" else "")


def costs(listed: Shortlist, place: int, row: int) -> str:
    """Latency and MACs of a candidate."""
    return f"{latency(listed, place, row)}, {METRICS['macs'].show(listed.fact(row, 'macs', place)['value'])} MACs"


def fact_of(found: Answer, pick: Pick, budget: Budget, row: int) -> Fact | None:
    """What is known of what a budget bounds; None for a metric of the training."""
    listed = found.shortlist
    if budget.metric not in DEPLOYED:
        return None
    return listed.fact(row, budget.metric, listed.place(budget.device) if budget.device else pick.place)


def need(found: Answer, pick: Pick, budget: Budget, row: int) -> str:
    """The value at which a budget would let a candidate in, and by how much that is more: `13.1 ms (+9.2%)`."""
    value = float(found.shortlist.bounded(budget, pick.place, found.scores.by)[row])
    over = float(pick.outside[row, pick.budgets.index(budget)])
    fact = fact_of(found, pick, budget, row)
    how = " predicted" if fact and fact["origin"] == "predicted" else ""
    return f"{budget.show(value)}{how} ({'+' if budget.relation == '<=' else '−'}{over:.1%})"


def surroundings(found: Answer, pick: Pick) -> Iterator[str]:
    """What binds, what the next step buys, and who is as good."""
    assert pick.top is not None
    listed, name = found.shortlist, found.shortlist.metric
    if pick.top != pick.answer:
        score = METRICS[name].show(found.scores.value[pick.top])
        yield f"best {name} within the budgets: {listed.ids[pick.top]}, {score}, {costs(listed, pick.place, pick.top)}"
    yield from _steps(found, pick, pick.top)
    if pick.equals:
        yield _equals(found, pick, pick.top)
    elif not known(found.scores.noise):
        yield ("the noise of a seed is not measured: small differences may be luck "
               "(`python -m search.audit --seeds 2`)")  # fmt: skip


def _steps(found: Answer, pick: Pick, top: int) -> Iterator[str]:
    listed, name = found.shortlist, found.shortlist.metric
    for budget, step in zip(pick.budgets, pick.steps, strict=True):
        if step is not None:
            gain = f"{'+' if listed.sign > 0 else '−'}{METRICS[name].show(step.gain)}"
            luck = ", which may be noise" if step.gain <= _least(found, step.row, top) else ""
            yield f"{budget.metric} binds: {need(found, pick, budget, step.row)} buys {gain} {name}: " \
                  f"{listed.ids[step.row]}{luck}"  # fmt: skip
    if pick.together is not None:
        broken = " and ".join(
            f"{b.metric} at {need(found, pick, b, pick.together)}" for b in _broken(pick, pick.together)
        )
        yield f"no budget binds alone: the next better, {listed.ids[pick.together]}, needs {broken}"
    elif pick.budgets and not any(step is not None for step in pick.steps):
        yield f"no budget binds: no other candidate has a better {name}"


def _equals(found: Answer, pick: Pick, top: int) -> str:
    """Whose score cannot be told from the answer's, and whether one of them is cheaper."""
    listed, name, cheap = found.shortlist, found.shortlist.metric, pick.equals[0]
    text = (f"{len(pick.equals)} cannot be told from it by {name} (a difference below "
            f"{_least(found, top, cheap):.2g} is noise)")  # fmt: skip
    keys = [[fact["value"] if known(fact["value"]) else math.inf for metric in (PREDICTED, "macs")
             if (fact := listed.fact(row, metric, pick.place))] for row in (cheap, top)]  # fmt: skip
    if keys[0] >= keys[1]:
        return f"{text}, and it is the cheapest of them"
    return (f"{text}; the cheapest of them: {listed.ids[cheap]}, {METRICS[name].show(found.scores.value[cheap])}, "
            f"{costs(listed, pick.place, cheap)}")  # fmt: skip


def _broken(pick: Pick, row: int) -> list[Budget]:
    return [budget for budget, over in zip(pick.budgets, pick.outside[row], strict=True) if over > TOLERANCE]


def _least(found: Answer, a: int, b: int) -> float:
    """Least difference of two scores that is real."""
    return SIGMAS * math.hypot(found.scores.error[a], found.scores.error[b])


def warnings(found: Answer, pick: Pick, row: int) -> Iterator[str]:
    """What stands against deploying a candidate from these numbers alone."""
    listed = found.shortlist
    line, score, verdict = listed.frame.iloc[row], listed.metric, listed.verdict(row)
    if verdict == "overturned":
        yield f"careful, {statement(line, score)}; the proxy promised more of it than longer trainings keep"
    elif verdict == "unverified":
        yield f"careful, {statement(line, score)}; verify it before you deploy it"
    if pick.rival is not None:
        proxy = listed.scores("proxy").value
        yield (f"{listed.ids[pick.rival]} fits too and is unverified; the proxy has it above this one "
               f"({METRICS[score].show(proxy[pick.rival])} against {METRICS[score].show(proxy[row])})")  # fmt: skip
    for budget in pick.budgets:
        fact = fact_of(found, pick, budget, row)
        if fact is not None:
            yield from _uncertain(budget, fact)
    target = listed.targets[pick.place][1]
    if listed.fact(row, PREDICTED, pick.place)["origin"] == "predicted":
        yield f"its latency is predicted: {advice(target)}"
    if target.deployment.precision == "int8":
        loss = listed.fact(row, "quantisation_loss", pick.place)["value"]
        said = f"int8 changed the proxy's by {-loss:+.3f}" if known(loss) else "what int8 loses is to be measured"
        yield f"{score} is that of the fp32 network: {said}"
    yield from _origins(listed, pick.place)


def _uncertain(budget: Budget, fact: Fact) -> Iterator[str]:
    if fact["origin"] == "predicted":
        error = fact["error_p90"] if known(fact["error_p90"]) else fact["error"]
        if not known(error):
            yield f"{budget.metric} is predicted with an unknown error: it may be outside the budget"
        elif budget.relation == "<=" and fact["value"] * (1 + error) > budget.bound:
            value = budget.show(fact["value"])
            yield f"{budget.metric} may be over {budget.show()}: {value} is predicted within {error:.0%}"
    elif fact["noisy"] is True:
        yield f"{budget.metric} was measured while the machine was not quiet"


def _origins(listed: Shortlist, place: int) -> Iterator[str]:
    """Where latencies are not all measured, how many are what."""
    facts = [listed.fact(row, PREDICTED, place) for row in range(len(listed.ids))]
    missing = [fact for fact in facts if not known(fact["value"])]
    kinds = Counter(
        fact["method"] if isinstance(fact["method"], str) else "measured" for fact in facts if known(fact["value"])
    )
    if len(kinds) > 1:
        yield f"{PREDICTED} there is {', '.join(f'{count} × {kind}' for kind, count in kinds.items())}"
    if missing:
        yield f"{len(missing)} of {len(facts)} candidates have no {PREDICTED} there: {missing[0]['reason']}"


def nothing(found: Answer, pick: Pick) -> Iterator[str]:
    """Why nothing fits, who is nearest, and which budget would have to grow to what."""
    listed, name = found.shortlist, found.shortlist.metric
    bounds = " and ".join(map(str, pick.budgets)) or "no budget"
    yield f"nothing fits {bounds} (0 of {compared(found)} candidates)"
    if pick.nearest is None:
        yield f"no candidate has both its {found.scores.by} {name} and all that the budgets bound"
        return
    needs = " and ".join(f"{b.metric} at {need(found, pick, b, pick.nearest)}" for b in _broken(pick, pick.nearest))
    score = METRICS[name].show(found.scores.value[pick.nearest])
    yield f"the nearest is {listed.ids[pick.nearest]} ({name} {score}): it needs {needs}"
    alone = [(b, row) for i, (b, row) in enumerate(zip(pick.budgets, pick.loosened, strict=True))
             if row is not None and pick.outside[row, i] > TOLERANCE]  # fmt: skip
    for budget, row in alone:
        yield f"{budget.metric} binds: at {need(found, pick, budget, row)} it alone lets in {listed.ids[row]}"
    if not alone:
        yield "no budget alone would let one in: they bind together"


def compromise(found: Answer) -> str:
    """One variant for all devices."""
    listed, row = found.shortlist, found.compromise
    if row is None:
        return "no compromise: no candidate fits the budgets of every device"
    score = METRICS[listed.metric].show(found.scores.value[row])
    words = listed.architecture(row).words()
    return f"compromise: {listed.ids[row]}, {listed.metric} {score}, {listed.verdict(row)}\n{words}"


def commands(found: Answer, db: str) -> list[str]:
    """What to type next for the variants that were picked."""
    listed = found.shortlist
    options = "" if db == "csp.db" else f" --db {shlex.quote(db)}"
    if len(listed.store.studies()) > 1:
        options += f" --name {shlex.quote(listed.study.name)}"
    chosen = [pick.answer for pick in found.picks] if found.compromise is None else [found.compromise]
    rows = list(dict.fromkeys(row for row in chosen if row is not None))
    to = "toml" if listed.metric == "score" else "onnx"  # a formula trains nothing, so there are no weights
    lines = [f"python -m search.export {listed.ids[r]} --to {to} -o {listed.ids[r]}{options}" for r in rows]
    unverified = [listed.ids[row] for row in rows if listed.verdict(row) == "unverified"]
    return lines + ([f"python -m search.verify --ids {','.join(unverified)}{options}"] if unverified else [])
