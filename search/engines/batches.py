"""Many items through an engine, each with its own end: together, halved where one breaks all; or one by one."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from typing import Any, TypeVar

from search.engines import Engine
from search.engines.guard import CandidateError

T = TypeVar("T")


def each_guarded(items: Sequence[T], submit: Callable[[Sequence[T]], Future[Any]],
                 waiting: Callable[[list[Future[Any]]], object]) -> Iterator[tuple[T, Any]]:  # fmt: skip
    """Each of `items`, done together by one task, with its part of the answer.

    A task that fails is done again by halves, until the culprit is alone: its answer is the CandidateError.
    `waiting` returns when the future is done.
    """
    future = submit(items)
    waiting([future])
    try:
        answers = future.result()
    except CandidateError as error:
        if len(items) == 1:
            yield items[0], error
            return
        middle = len(items) // 2
        yield from each_guarded(items[:middle], submit, waiting)
        yield from each_guarded(items[middle:], submit, waiting)
    else:
        yield from zip(items, answers, strict=True)


def each_alone(engine: Engine, function: Callable[..., Any], todo: list[Any], stop: threading.Event,
          arguments: Callable[[Any], tuple[Any, ...]]) -> Iterator[tuple[Any, Any]]:  # fmt: skip
    """Each item of `todo`, which may grow meanwhile, with what the function gave, or with the reason of a failure.

    Ends early, without what is still running, when `stop` is set.
    """
    waiting: dict[Future[Any], Any] = {}
    position = 0
    while not stop.is_set():
        while len(waiting) < engine.workers and position < len(todo) and not stop.is_set():
            waiting[engine.submit(function, *arguments(todo[position]))] = todo[position]
            position += 1
        if not waiting:
            return
        done, _ = wait(waiting, timeout=0.2, return_when=FIRST_COMPLETED)
        for future in done:
            item = waiting.pop(future)
            try:
                result = future.result()
            except CandidateError as error:
                result = str(error)
            yield item, result
