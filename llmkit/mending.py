"""
A typed answer that does not fit, asked for once more with the reason.

Rule 1: at most as often as the caller said, and all under the one deadline, ledger and cancelling of the call.
Rule 2: an answer that was cut, filtered or refused is not asked for again: it would be the same.
Rule 3: what every answer used and cost counts, on the reply and on the error.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from attrs import evolve

from llmkit.errors import ConfigurationError, StructuredOutputError
from llmkit.models.content import Message
from llmkit.models.reading import as_messages
from llmkit.models.response import CompletionResponse, FinishReason

if TYPE_CHECKING:
    from llmkit.call import Call

__all__ = ["Mending", "check_repair", "mended"]

_FINAL = frozenset({FinishReason.LENGTH, FinishReason.REFUSAL, FinishReason.CONTENT_FILTER})


def check_repair(value: Any) -> int:
    """Return *value*, how often an answer may be asked for once more."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        msg = f"repair is a whole number of at least 0, not {value!r}."
        raise ConfigurationError(msg)
    return value


class Mending:
    """How the answer to one call is mended. ``ask`` makes the call for other messages; ``left`` is how often it may be used."""

    def __init__(self, messages: Any, *, ask: Callable[[tuple[Message, ...]], Call[CompletionResponse]], left: int) -> None:
        self.messages = as_messages(messages)
        self.ask = ask
        self.left = left
        self._before: list[CompletionResponse] = []  # the answers that did not fit

    def following(self, call: Call[CompletionResponse], error: StructuredOutputError) -> Call[CompletionResponse]:
        """Return the call that asks again after *error* of *call*; raises *error* where there is to be none."""
        answer = error.response
        if answer is None or self.left == 0 or answer.finish_reason in _FINAL:
            error.response = None if answer is None else self.summed(answer)
            raise error
        self.left -= 1
        self._before.append(answer)
        wrong = Message("user", f"That is not what was asked for. {error.message}. Answer again, with the whole JSON and nothing else.")
        self.messages = (*self.messages, *((Message("assistant", answer.text),) if answer.text.strip() else ()), wrong)
        again = self.ask(self.messages)
        again.deadline, again.deadline_to_end = call.deadline, call.deadline_to_end
        again.started, again.attempts, again.cut = call.started, call.attempts, call.cut
        again.mending = self
        return again

    def summed(self, answer: CompletionResponse) -> CompletionResponse:
        """Return *answer* with what all answers used and cost."""
        if not self._before:
            return answer
        answers = [*self._before, answer]
        costs = [one.cost for one in answers]
        known = [cost for cost in costs if cost is not None]
        cost = sum(known[1:], known[0]) if len(known) == len(costs) else None
        return evolve(answer, usage=sum((one.usage for one in answers[1:]), answers[0].usage), cost=cost)


def mended(send: Callable[[Call[CompletionResponse]], CompletionResponse], call: Call[CompletionResponse]) -> CompletionResponse:
    """Return what *send* makes of *call*, asked again where it does not fit and may be mended."""
    mending = call.mending
    while True:
        try:
            answer = send(call)
        except StructuredOutputError as error:
            if mending is None:
                raise
            call = mending.following(call, error)
        else:
            return answer if mending is None else mending.summed(answer)
