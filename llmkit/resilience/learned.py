"""
The limits that a provider tells with its replies, and how to stay under them.

Rule 1: what a reply says is where the account stood when the provider wrote it; requests under way are counted here on top of it.
Rule 2: nothing is held back while there is enough left for it, and never for longer than until what it needs has come back.
Rule 3: durations and dates say when a limit will be whole again: it comes back evenly until then. Plain numbers and Unix time say
        when a window ends: everything comes back at once then.
Rule 4: what was not told again by its reset, and for as long after it, is forgotten.
Rule 5: no header raises, whatever it holds; what makes no sense says nothing.
Rule 6: while there is plenty of everything, replies are read every few milliseconds only: in between is counted what they may have used.
"""

from __future__ import annotations

import math
import threading
import time
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from llmkit._fork import renewed_in_child
from llmkit.resilience.moments import seconds, short, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

__all__ = ["Pace", "Standing", "standings"]

LONGEST_HOLD = 60.0  # seconds: of what lasts longer the provider's own refusal says more, or shows that we have misread it
GLANCE = 0.05  # seconds until to look again, when it depends on replies that are under way
UNREAD = 0.005  # seconds for which replies are not read where there is plenty: six headers take as long to read as an answer does
PLENTY = 0.5  # of a limit

# How long a limit lasts that says so in its name, and tells no reset.
_PERIODS: Mapping[str, float] = {"second": 1.0, "minute": 60.0, "hour": 3600.0, "day": 86400.0}
_FACTS = ("limit", "remaining", "reset")
_ANTHROPIC = "anthropic-ratelimit-"


class Standing(NamedTuple):
    """
    Where an account stands in one dimension of a provider's limits.

    ``dimension`` is the provider's word: ``requests``, ``tokens``, ``input-tokens``, ``requests-day`` … ``limit`` and ``reset_in``
    (seconds) are None where they were not told. ``gradual`` says that it comes back evenly and is whole again after ``reset_in``;
    otherwise it comes back all at once then. ``estimated`` says that a request counts as what it may use, not as what it has used.
    """

    dimension: str
    limit: float | None
    remaining: float
    reset_in: float | None
    gradual: bool = False
    estimated: bool = True


def standings(headers: Mapping[str, Any], now: float) -> tuple[Standing, ...]:
    """
    Return what *headers* (with lower-case names) tell about limits; *now* is Unix time, to subtract from dates.

    Source: OpenAI, Anthropic, Groq, Cerebras, OpenRouter and Azure API references and draft-ietf-httpapi-ratelimit-headers, read
    2026-11-21.
    """
    return tuple([notice.standing(now) for notice in _notices(headers)])


class _Notice:
    """What the headers say about one dimension; its reset is read only when it matters."""

    __slots__ = ("dimension", "estimated", "limit", "remaining", "reset")

    def __init__(self, dimension: str, limit: float | None, remaining: float, reset: str, estimated: bool) -> None:
        self.dimension = dimension
        self.limit = limit
        self.remaining = remaining
        self.reset = reset
        self.estimated = estimated

    def standing(self, now: float) -> Standing:
        reset_in = until(self.reset, now)
        return Standing(
            dimension=self.dimension,
            limit=self.limit,
            remaining=self.remaining,
            reset_in=_PERIODS.get(self.dimension.rpartition("-")[2]) if reset_in is None else reset_in,
            gradual=self.limit is not None and reset_in is not None and seconds(self.reset) is None,
            estimated=self.estimated,
        )


def _notices(headers: Mapping[str, Any]) -> Iterator[_Notice]:
    told: dict[str, dict[str, str]] = {}
    for name, value in headers.items():
        if "ratelimit" not in name:
            continue
        key = _key_of(name)
        if key is not None:
            told.setdefault(key[0], {})[key[1]] = short(value)
        elif name == "ratelimit":
            told.setdefault("requests", {}).update(_structured(short(value)))
    for dimension, facts in told.items():
        remaining = seconds(facts.get("remaining", ""))
        limit = seconds(facts.get("limit", ""))
        # A limit of nothing is told by some that have none.
        if remaining is not None and limit != 0:
            bare = dimension.removeprefix(_ANTHROPIC)
            yield _Notice(bare, limit, remaining, facts.get("reset", ""), estimated=bare == dimension)


@lru_cache(maxsize=256)
def _key_of(name: str) -> tuple[str, str] | None:
    """Return dimension and fact of a header, such as ``x-ratelimit-reset-tokens`` or ``anthropic-ratelimit-tokens-reset``."""
    if name.startswith(_ANTHROPIC):
        dimension, _, fact = name.rpartition("-")
        return (dimension, fact) if fact in _FACTS and len(dimension) > len(_ANTHROPIC) else None
    prefix, _, rest = name.partition("ratelimit-")
    fact, _, dimension = rest.partition("-")
    return (dimension or "requests", fact) if prefix in ("x-", "") and fact in _FACTS else None


def _structured(value: str) -> dict[str, str]:
    """Return the facts of ``"api";r=0;t=295`` (draft-ietf-httpapi-ratelimit-headers)."""
    parameters = dict(part.strip().partition("=")[::2] for part in value.split(";"))
    return {"remaining": parameters.get("r", ""), "reset": parameters.get("t", "")}


class _Allowance:
    """What is left of one dimension, as far as is known. ``level`` is a lower bound until it is brought up to a moment."""

    __slots__ = ("_notice", "_told_at", "_told_on", "at", "expires", "level", "limit", "of_tokens", "per_use", "rate", "reset_at")

    def __init__(self, notice: _Notice, now: float, unix_now: float) -> None:
        self._notice: _Notice | None = notice
        self._told_at = now
        self._told_on = unix_now
        self.limit = math.inf if notice.limit is None else notice.limit
        self.level = min(notice.remaining, self.limit)
        self.of_tokens = "token" in notice.dimension
        self.per_use = self.of_tokens and notice.estimated
        self.at = now
        self.rate = 0.0
        self.reset_at = self.expires = math.inf

    def need(self, tokens: float) -> float:
        """Return what a request of *tokens* takes of it."""
        # More than the whole limit never fits: then the whole limit is waited for, and the provider has its say.
        return min(tokens, self.limit) if self.per_use else 1.0

    def knows(self, now: float) -> bool:
        """Bring the level up to *now*, and return whether it still means something."""
        if self._notice is not None:
            self._read(self._notice.standing(self._told_on))
        if now >= self.reset_at and self.rate == 0.0:
            self.level, self.reset_at = self.limit, math.inf
        if self.rate > 0.0:
            self.level = min(self.limit, self.level + self.rate * (now - self.at))
        self.at = now
        return now < self.expires

    def _read(self, standing: Standing) -> None:
        self._notice = None
        if standing.reset_in is None:
            self.expires = self._told_at  # nobody knows when it comes back
            return
        self.reset_at = self._told_at + standing.reset_in
        self.expires = self.reset_at + standing.reset_in
        spent = self.limit - standing.remaining
        if standing.gradual and standing.reset_in > 0 and spent > 0:
            self.rate = spent / standing.reset_in

    def wait_for(self, need: float, now: float) -> float:
        """Return the seconds until *need* has come back."""
        missing = need - self.level
        if missing <= 0.0:
            return 0.0
        wait = missing / self.rate if self.rate > 0.0 else self.reset_at - now
        return wait if wait <= LONGEST_HOLD else 0.0


class Pace:
    """
    How fast one key may be used at one endpoint, by what the provider says. Safe to share between threads and tasks; it never waits.

    ``delay`` is asked before each request. Who is told 0.0 sends, and says once how that ended: ``learn`` as soon as the head of the
    reply is there, since it tells how things stood then; ``lost`` if none came; ``unsent`` if it was not sent after all.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._allowances: dict[str, _Allowance] = {}
        self._read_at = -math.inf  # when replies are read again
        self._requests = 0  # under way
        self._tokens = 0.0
        self._lock = threading.RLock()
        renewed_in_child(self)

    def delay(self, tokens: float = 0.0) -> float:
        """Return 0.0 if a request of about *tokens* may be sent now: it is then under way. Else the seconds until to ask again."""
        with self._lock:
            wait = self._wait(tokens) if self._allowances else 0.0
            if wait == 0.0:
                self._requests += 1
                self._tokens += tokens
            return wait

    def learn(self, headers: Mapping[str, Any], now: float, tokens: float = 0.0, *, refused: bool = False) -> None:
        """
        A reply has come to a request for which ``delay(tokens)`` was 0.0, with *headers*, at *now* in Unix time.

        *refused* says that it is no answer; what such a reply tells is always read.
        """
        at = self._clock() if headers else -math.inf
        found = list(_notices(headers)) if headers and (refused or at >= self._read_at) else []
        with self._lock:
            self._arrived(tokens)
            for notice in found:
                self._allowances[notice.dimension] = _Allowance(notice, at, now)
            if len(self._allowances) > len(found):
                told = {notice.dimension for notice in found}
                for dimension, allowance in self._allowances.items():
                    if dimension not in told:
                        allowance.level -= allowance.need(tokens)
            if found:
                self._read_at = at + UNREAD if self._has_plenty() else -math.inf
            elif self._read_at > -math.inf and not self._has_plenty():
                self._read_at = -math.inf

    def lost(self, tokens: float = 0.0) -> None:
        """No reply has come, or none will: the provider may have counted the request all the same."""
        self.learn({}, 0.0, tokens)

    def unsent(self, tokens: float = 0.0) -> None:
        """The request was not sent after all: the provider knows nothing of it."""
        with self._lock:
            self._arrived(tokens)

    def renew(self) -> None:
        """Take a new lock, and forget what is under way: in a forked child that is the parent's."""
        self._lock = threading.RLock()
        self._requests, self._tokens = 0, 0.0

    def __repr__(self) -> str:
        left = ", ".join(f"{dimension}={allowance.level:g}" for dimension, allowance in tuple(self._allowances.items()))
        return f"Pace({left})"

    def _arrived(self, tokens: float) -> None:
        self._requests = max(0, self._requests - 1)
        self._tokens = max(0.0, self._tokens - tokens) if self._requests else 0.0

    def _has_plenty(self) -> bool:
        return all(allowance.level >= PLENTY * allowance.limit for allowance in self._allowances.values())

    def _wait(self, tokens: float) -> float:
        longest = 0.0
        now = -math.inf
        for dimension, allowance in tuple(self._allowances.items()):
            need = allowance.need(tokens)
            under_way = self._tokens if allowance.per_use else self._requests
            if allowance.level - under_way >= need:
                continue
            if now == -math.inf:
                now = self._clock()
            if not allowance.knows(now):
                del self._allowances[dimension]
            elif allowance.level - under_way < need:
                # Where it would fit but for those under way, the next of their replies tells.
                longest = max(longest, allowance.wait_for(need, now) or (GLANCE if allowance.level >= need and under_way else 0.0))
        return longest
