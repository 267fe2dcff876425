"""A simple classifier that tries to separate two kinds of requests by their times."""

from __future__ import annotations

import random
import time
from collections.abc import Awaitable, Callable, Mapping


async def timed(requests: Mapping[str, Callable[[int], Awaitable[object]]], each: int) -> dict[str, list[float]]:
    """Seconds of `each` requests of every kind, made one after the other in random order; a request gets its number."""
    order = [kind for kind in requests for _ in range(each)]
    random.Random(1).shuffle(order)
    seconds: dict[str, list[float]] = {kind: [] for kind in requests}
    for number, kind in enumerate(order):
        began = time.perf_counter()
        await requests[kind](number)
        seconds[kind].append(time.perf_counter() - began)
    return seconds


def accuracy(first: list[float], second: list[float]) -> float:
    """How many of the later halves are classified correctly by the threshold that is best for the earlier halves.

    0.5 is what guessing gives, 1.0 separates all.
    """
    half = len(first) // 2
    learned = [(value, False) for value in first[:half]] + [(value, True) for value in second[:half]]
    threshold, above = max(
        ((value, above) for value, _ in learned for above in (False, True)), key=lambda rule: _right(learned, *rule)
    )
    tried = [(value, False) for value in first[half:]] + [(value, True) for value in second[half:]]
    return _right(tried, threshold, above)


def _right(sample: list[tuple[float, bool]], threshold: float, above: bool) -> float:
    return sum((value > threshold) is (label is above) for value, label in sample) / len(sample)
