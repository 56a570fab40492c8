"""
Which of several endpoints a call goes to first; the others, in the order given here, are where it goes on when that one fails.

Rule 1: an endpoint whose breaker is open comes last, except under ``fallback``, where the order is the user's.
Rule 2: what is not known (a latency, a price) is said by no number: an endpoint without a latency is asked, so that it gets one; one
        without a price is no bargain and comes last.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple, get_args

from llmkit.errors import ConfigurationError

if TYPE_CHECKING:
    from llmkit.endpoints import Endpoint

__all__ = ["STRATEGIES", "Candidate", "Strategy", "check_strategy", "ranked"]

Strategy = Literal["fallback", "round_robin", "weighted", "least_busy", "fastest", "cheapest"]
STRATEGIES: tuple[str, ...] = get_args(Strategy)

# Under "fastest", one call in so many goes round in turn, so that an endpoint that was slow once is found out when it is fast again.
EXPLORED = 20


class Candidate(NamedTuple):
    """An endpoint to choose, its share of the calls, and the kinds of failure after which it takes over beside the usual ones."""

    endpoint: Endpoint
    weight: float = 1.0
    on: frozenset[str] = frozenset()


def check_strategy(given: object) -> str:
    """Return *given*. Raises ``ConfigurationError`` if it is no strategy."""
    if given not in STRATEGIES:
        msg = f"strategy is one of {', '.join(STRATEGIES)}, not {given!r}."
        raise ConfigurationError(msg)
    return str(given)


def ranked(strategy: str, candidates: Sequence[Candidate], *, turn: int, chance: Callable[[], float]) -> list[Candidate]:
    """
    Return *candidates* in the order in which a call tries them.

    *turn* counts the calls; *chance* gives numbers from 0 to 1.
    """
    if strategy == "fallback":
        return list(candidates)
    order = _ORDERS[strategy](candidates, turn, chance)
    return sorted(order, key=lambda candidate: not candidate.endpoint.is_let_through)


def _in_turn(candidates: Sequence[Candidate], turn: int, chance: Callable[[], float]) -> list[Candidate]:
    start = turn % len(candidates)
    return [*candidates[start:], *candidates[:start]]


def _by_weight(candidates: Sequence[Candidate], turn: int, chance: Callable[[], float]) -> list[Candidate]:
    left = list(candidates)
    order = []
    while left:
        point = chance() * sum(candidate.weight for candidate in left)
        for candidate in left:
            point -= candidate.weight
            if point < 0:
                break
        order.append(candidate)
        left.remove(candidate)
    return order


def _by_load(candidates: Sequence[Candidate], turn: int, chance: Callable[[], float]) -> list[Candidate]:
    # Equal ones in turn, or the first would get all that does not come at the same time.
    return sorted(_in_turn(candidates, turn, chance), key=lambda candidate: candidate.endpoint.in_flight)


def _by_latency(candidates: Sequence[Candidate], turn: int, chance: Callable[[], float]) -> list[Candidate]:
    if turn % EXPLORED == EXPLORED - 1:
        return _in_turn(candidates, turn // EXPLORED, chance)
    return sorted(_in_turn(candidates, turn, chance), key=lambda candidate: candidate.endpoint.latency or 0.0)


def _by_price(candidates: Sequence[Candidate], turn: int, chance: Callable[[], float]) -> list[Candidate]:
    prices = {id(candidate): candidate.endpoint.price for candidate in candidates}
    return sorted(candidates, key=lambda candidate: (prices[id(candidate)] is None, prices[id(candidate)] or 0))


_ORDERS: dict[str, Callable[[Sequence[Candidate], int, Callable[[], float]], list[Candidate]]] = {
    "round_robin": _in_turn,
    "weighted": _by_weight,
    "least_busy": _by_load,
    "fastest": _by_latency,
    "cheapest": _by_price,
}
