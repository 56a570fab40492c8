"""
When a provider says it wants to be asked again, in all the ways providers say it.

Rule 1: the first source that says something sensible wins, from the exact to the vague: headers made for it, the body's own field,
        a sentence, the reset of an exhausted rate limit, OpenAI's sentence.
Rule 2: what is bad, negative, not a number or longer than 64 characters is no hint, and the next source is asked.
Rule 3: nothing raises, whatever the provider sent: a hint must never stand before the error it belongs to.
Rule 4: the caller asks only for refusals: some routers send ``retry-after: 30`` with good answers (Hugging Face's, seen 2026-08).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from llmkit.resilience.moments import DURATION, duration, http_date, seconds, short, until

__all__ = ["retry_after"]

TEXT_LIMIT = 4096  # characters of a message that are searched

# Patterns are text, compiled (and then kept) by ``re`` when the first refusal comes: most processes start without one.
_PLAIN_TEXT = r"(?:retry|try again) (?:after|in) (\d{1,18}(?:\.\d{1,18})?) (milliseconds?|seconds?|minutes?|hours?)\b"
_PLAIN_UNITS: Mapping[str, float] = {"mil": 1e-3, "sec": 1.0, "min": 60.0, "hou": 3600.0}  # by their first letters
_TRY_AGAIN_TEXT = rf"(?:try again|retry) in ((?:{DURATION} ?)+)"


def retry_after(headers: Mapping[str, Any], error: Mapping[str, Any], message: str, *, now: float) -> float | None:
    """
    Return how many seconds the provider asks us to wait, or None if it does not say.

    Args:
        headers: Of the refusal, with lower-case names.
        error: The decoded error object, empty if there is none.
        message: What the refusal says to people.
        now: Unix time, to subtract from dates. A date in the past is 0.0.

    Source: RFC 9110, 10.2.3 and 5.6.7; google/rpc/error_details.proto (RetryInfo); OpenAI, Anthropic and Azure API references,
    read 2026-11-21.
    """
    for name, divisor in (("retry-after-ms", 1000), ("x-ms-retry-after-ms", 1000), ("retry-after", 1), ("x-amz-retry-after", 1000)):
        value = short(headers.get(name))
        hint = seconds(value)
        if hint is not None:
            return hint / divisor
        if name == "retry-after" and (moment := http_date(value, now)) is not None:
            return max(0.0, moment - now)
    text = message[:TEXT_LIMIT].lower()
    for hint in (_retry_info(error), _plain_words(text), _resets(headers, now), _try_again(text)):
        if hint is not None:
            return hint
    return None


def _retry_info(error: Mapping[str, Any]) -> float | None:
    """Return ``retryDelay`` of the ``google.rpc.RetryInfo`` among the details of *error*, or of the object inside it."""
    for source in (error, error.get("error")):
        details = source.get("details") if isinstance(source, Mapping) else None
        for detail in details if isinstance(details, (list, tuple)) else ():
            if isinstance(detail, Mapping) and str(detail.get("@type", "")).endswith("google.rpc.RetryInfo"):
                delay = detail.get("retryDelay", detail.get("retry_delay"))
                hint = _duration_parts(delay) if isinstance(delay, Mapping) else duration(short(delay))
                if hint is not None:
                    return hint
    return None


def _duration_parts(delay: Mapping[str, Any]) -> float | None:
    """Return the seconds of a ``google.protobuf.Duration`` written as an object; its int64 may be a string."""
    total = 0.0
    for name, scale in (("seconds", 1.0), ("nanos", 1e-9)):
        part = delay.get(name, 0)
        value = seconds(short(str(part))) if isinstance(part, (int, float, str)) and not isinstance(part, bool) else None
        if value is None:
            return None
        total += value * scale
    return total


def _plain_words(text: str) -> float | None:
    """Return the N seconds of Azure's "Please retry after N seconds"."""
    match = re.search(_PLAIN_TEXT, text)
    return None if match is None else float(match[1]) * _PLAIN_UNITS[match[2][:3]]


def _try_again(text: str) -> float | None:
    """Return the duration of OpenAI's "Please try again in 1m2.5s"."""
    match = re.search(_TRY_AGAIN_TEXT, text)
    return None if match is None else duration(match[1].strip())


def _resets(headers: Mapping[str, Any], now: float) -> float | None:
    """Return the seconds until the last of the exhausted dimensions of a rate limit is refilled."""
    waits = [_structured(short(headers.get("ratelimit")))]
    for name in headers:
        rest = _counterpart(name)
        if rest is not None and _is_zero(headers.get(rest)):
            waits.append(until(short(headers.get(name)), now))
    return max((wait for wait in waits if wait is not None), default=None)


def _structured(value: str) -> float | None:
    """Return t of ``"api";r=0;t=295`` (draft-ietf-httpapi-ratelimit-headers), None while r is more than 0."""
    parameters = dict(part.strip().partition("=")[::2] for part in value.split(";"))
    return seconds(parameters.get("t", "")) if _is_zero(parameters.get("r")) else None


def _counterpart(name: str) -> str | None:
    """Return the header that says what remains of the dimension whose reset is in *name*; None if *name* is no such header."""
    if name.startswith(("x-ratelimit-reset", "ratelimit-reset")):
        return name.replace("-reset", "-remaining", 1)
    if name.startswith("anthropic-") and name.endswith("-reset"):
        return name[: -len("reset")] + "remaining"
    return None


def _is_zero(value: object) -> bool:
    number = seconds(short(value))
    return number is not None and number == 0
