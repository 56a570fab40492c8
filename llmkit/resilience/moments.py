"""
The moments that providers write: seconds, Unix time, Go's durations, RFC 3339 and HTTP dates.

What is bad, negative, not a number or longer than 64 characters is no moment. Nothing raises, whatever was sent.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import datetime, timezone

__all__ = ["DURATION", "duration", "http_date", "seconds", "short", "until"]

LONGEST = 64  # characters

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")

# Patterns are text, compiled (and then kept) by ``re`` when the first moment comes: many processes never see one.
DURATION = r"(\d{1,18}(?:\.\d{1,18})?)(ms|us|µs|μs|ns|s|m|h|d)"  # one term of Go's time.Duration, and days
_UNITS: Mapping[str, float] = {
    "d": 86400.0,
    "h": 3600.0,
    "m": 60.0,
    "s": 1.0,
    "ms": 1e-3,
    "us": 1e-6,
    "µs": 1e-6,  # micro sign
    "μs": 1e-6,  # Greek mu; Go writes the one and reads both
    "ns": 1e-9,
}
_RFC3339 = r"(\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d)(\.\d+)?([Zz]|[+-]\d\d:\d\d)"


def short(value: object) -> str:
    """Return *value* if it can be a moment, else nothing."""
    return value.strip() if isinstance(value, str) and len(value) <= LONGEST else ""


def seconds(value: str) -> float | None:
    """Return decimal digits, perhaps with a fraction, as a number: no sign, no exponent, no ``nan``."""
    digits = value.replace(".", "", 1)
    return float(value) if digits.isascii() and digits.isdigit() else None


def http_date(value: str, now: float) -> float | None:
    """Return the Unix time of a date in one of HTTP's three forms (RFC 9110, 5.6.7)."""
    words = value.replace(",", " ").replace("-", " ").lower().split()
    # Sun, 06 Nov 1994 08:49:37 GMT | Sunday, 06-Nov-94 08:49:37 GMT | Sun Nov  6 08:49:37 1994
    if len(words) == 6 and words[5] in ("gmt", "utc"):
        _, day, month, year, clock, _ = words
    elif len(words) == 5:
        _, month, day, clock, year = words
    else:
        return None
    try:
        hour, minute, second = (int(part) for part in clock.split(":"))
        full_year = int(year) if len(year) == 4 else _century(int(year), now)
        # A leap second has no place in Unix time.
        moment = datetime(full_year, _MONTHS.index(month) + 1, int(day), hour, minute, min(second, 59), tzinfo=timezone.utc)
        return moment.timestamp()
    except (ValueError, OverflowError, OSError):
        return None


def _century(year: int, now: float) -> int:
    """Return a year of two digits in full: it lies at most 50 years ahead."""
    this_year = datetime.fromtimestamp(now, timezone.utc).year
    full = this_year - this_year % 100 + year
    return full - 100 if full > this_year + 50 else full


def _rfc3339(value: str) -> float | None:
    match = re.fullmatch(_RFC3339, value)
    if match is None:
        return None
    moment, fraction, zone = match.groups()
    try:
        whole = datetime.fromisoformat(moment.upper() + ("+00:00" if zone in "Zz" else zone)).timestamp()
    except (ValueError, OverflowError, OSError):
        return None
    return whole + float(fraction or 0)


def duration(value: str) -> float | None:
    """Return the seconds of a Go duration such as ``1m2.5s``."""
    terms: Iterable[tuple[str, str]] = re.findall(DURATION, value)
    if not terms or re.fullmatch(f"(?:{DURATION} ?)+", value) is None:
        return None
    return sum(float(number) * _UNITS[unit] for number, unit in terms)


def until(value: str, now: float) -> float | None:
    """Return the seconds until a reset, written as seconds, Unix time (also in ms), Go duration, RFC 3339 or HTTP date."""
    number = seconds(value)
    if number is not None:
        if number > 1e12:
            return max(0.0, number / 1000 - now)
        return max(0.0, number - now) if number > 1e9 else number
    length = duration(value)
    if length is not None:
        return length
    moment = _rfc3339(value)
    if moment is None:
        moment = http_date(value, now)
    return None if moment is None else max(0.0, moment - now)
