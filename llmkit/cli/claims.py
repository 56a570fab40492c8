"""What a step of the demo is made of: a user's code, what it claims, and what there was to see."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from attrs import frozen

from llmkit.models.response import CompletionResponse
from llmkit.testing import FakeServer, RecordedRequest

__all__ = ["Answers", "Claim", "Script", "Sight", "Step", "is_equal", "is_within"]

Answers = Sequence[CompletionResponse]
"""What a user's code hands back, so that it can be checked."""

Script = Callable[[FakeServer, float], None]
"""Tells the fake provider what to do; the number is the seconds between two tokens of a stream."""


@frozen(kw_only=True)
class Claim:
    """What a step claims, and what was found."""

    text: str
    expected: str
    seen: str
    holds: bool


def is_equal(text: str, expected: object, seen: object) -> Claim:
    return Claim(text=text, expected=str(expected), seen=str(seen), holds=expected == seen)


def is_within(text: str, least: float, seen: float, most: float) -> Claim:
    """Return the claim that *seen* seconds are from *least* to *most*."""
    return Claim(text=f"{text}: {seen:.2f} s", expected=f"{least:.2f} to {most:.2f} s", seen=f"{seen:.2f} s", holds=least <= seen <= most)


@frozen(kw_only=True)
class Sight:
    """What there was to see: ``writes`` are what the code printed, each with its moment, ``seconds`` the time that it took."""

    answers: Answers
    requests: Sequence[RecordedRequest]
    writes: Sequence[tuple[float, str]]
    seconds: float
    pace: float
    replies: Answers  # of the steps before

    @property
    def statuses(self) -> list[list[int | None]]:
        """What the ledger says of each answer's attempts."""
        return [[attempt.status for attempt in reply.attempts] for reply in self.answers]

    @property
    def keys(self) -> list[str | None]:
        return [request.key for request in self.requests]

    @property
    def printed(self) -> str:
        return "".join(text for _, text in self.writes)


@frozen(kw_only=True)
class Step:
    """
    One thing that is shown.

    Args:
        title: What it is.
        shows: What it shows, in a few words for the summary.
        setting: What the provider does, in words.
        code: A user's code. It may take the provider's address as ``url``, and the answers of all steps before it as ``replies``.
        script: Makes the provider do it.
        check: Yields the claims, each checked.
        needs: A package without which the step is skipped.
    """

    title: str
    shows: str
    setting: str
    code: Callable[..., Answers]
    script: Script = lambda _server, _pace: None
    check: Callable[[Sight], Iterator[Claim]]
    needs: str | None = None
