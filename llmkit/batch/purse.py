"""
Money for questions that are asked in other processes, by budgets that are kept in this one.

Rule 1: what questions may cost is set aside here before they travel. They are granted that and no more: where they are asked each attempt
        is set aside in the grant, and what was spent of it counts here when it comes back.
Rule 2: a grant has room for the retries and the dearest fallback of its questions, as long as the budgets do. Then it waits for what is
        out, and only when nothing is, it is for one attempt of each, of as many questions as it covers. What it does not cover is refused.
Rule 3: what does not come back counts as one attempt of each question was foreseen, unless it is certain that nothing was sent.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import ROUND_CEILING, Decimal
from functools import reduce
from typing import TYPE_CHECKING, NamedTuple

from llmkit.asking import checked_request
from llmkit.batch.questions import HOW
from llmkit.catalogue.estimates import estimate_usage
from llmkit.errors import BudgetExceededError, LLMKitError
from llmkit.models.price import EXACT
from llmkit.resilience.budget import DIGITS, Budget, Reservation, dollars, reserve

if TYPE_CHECKING:
    from llmkit.batch.questions import Question
    from llmkit.routing import Router

__all__ = ["Asked", "Costs", "Grant", "Purse"]


class Costs(NamedTuple):
    """What a question may cost, in US dollars: one attempt, and all that its call may make."""

    once: Decimal
    in_all: Decimal


class Asked(NamedTuple):
    """A question on its way, and what it may cost where a budget asks for that."""

    question: Question
    costs: Costs | None = None


class Grant:
    """What is set aside for some questions. One of ``spent``, ``lost`` and ``unused`` ends it; only the first counts."""

    def __init__(self, reservation: Reservation, foreseen: Decimal) -> None:
        self._reservation = reservation
        self._foreseen = foreseen

    @property
    def amount(self) -> Decimal:
        """What may be spent, in US dollars."""
        return dollars(self._reservation.amount)

    def spent(self, amount: Decimal) -> None:
        self._reservation.settle(amount)

    def lost(self) -> None:
        """Nobody knows what was spent of it."""
        self._reservation.settle(self._foreseen)

    def unused(self) -> None:
        self._reservation.release()


class Purse:
    """What *budgets*, those that are kept here, have for the questions of one batch."""

    def __init__(self, router: Router, budgets: Sequence[Budget]) -> None:
        self._router = router
        self._budgets = budgets

    def grant(self, asked: Sequence[Asked], *, can_wait: bool) -> tuple[Sequence[Asked], Grant] | None:
        """
        Return those of *asked*, the first of them at least, for which something is set aside, and that; None says to wait.

        Raises:
            BudgetExceededError: If it does not cover even the first, and nobody *can_wait*.
        """
        try:
            return asked, self._set_aside(asked, [each.costs.in_all for each in asked if each.costs is not None])
        except BudgetExceededError:
            if can_wait:
                return None
        while True:
            try:
                return asked, self._set_aside(asked, _once(asked))
            except BudgetExceededError:
                if len(asked) == 1:
                    raise
            asked = asked[: len(asked) // 2]

    def _set_aside(self, asked: Sequence[Asked], costs: Sequence[Decimal]) -> Grant:
        return Grant(self._router.reserve(_sum(costs), self._budgets), _sum(_once(asked)))

    def costs(self, question: Question) -> Costs:
        """
        Return what *question* may cost.

        Raises:
            LLMKitError: If it cannot be asked as it stands, or nobody knows its price.
        """
        router = self._router
        parameters = {name: value for name, value in question.arguments.items() if name not in (*HOW, "messages", "model")}
        model = question.arguments.get("model")
        first, *others = router.places(model)
        request, _ = checked_request(first, router.settings, question.arguments["messages"], stream=False, parameters=parameters)
        once = first.cost(estimate_usage(request, first.provider, first.model))
        if once is None:
            reserve(None, self._budgets, what=first.label)
        assert once is not None  # else it was refused
        dearest = once
        for other in others:
            try:
                request, _ = checked_request(other, router.settings, question.arguments["messages"], stream=False, parameters=parameters)
            except LLMKitError:
                continue  # nor is it asked there
            # Where its price is not known it is refused when it gets there, as everywhere.
            dearest = max(dearest, other.cost(estimate_usage(request, other.provider, other.model)) or once)
        if router.settings.strategy != "fallback" and model is None:
            once = dearest  # any of them may be the first
        retry = router.settings.retry
        return Costs(_rounded(once), EXACT.multiply(_rounded(dearest), Decimal(1 if retry is None else 1 + retry.max_retries)))


def _once(asked: Sequence[Asked]) -> list[Decimal]:
    return [each.costs.once for each in asked if each.costs is not None]


def _rounded(cost: Decimal) -> Decimal:
    """Return *cost* as a budget counts it. Those of a grant are counted one by one, and have to fit together."""
    return cost.quantize(Decimal(1).scaleb(-DIGITS), ROUND_CEILING, EXACT)


def _sum(amounts: Sequence[Decimal]) -> Decimal:
    return reduce(EXACT.add, amounts, Decimal(0))
