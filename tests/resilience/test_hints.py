from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmkit.resilience.hints import retry_after

NOW = datetime(2026, 11, 21, 12, 0, 0, tzinfo=timezone.utc).timestamp()


def hint(headers: dict[str, Any] | None = None, error: dict[str, Any] | None = None, message: str = "") -> float | None:
    found = retry_after(headers or {}, error or {}, message, now=NOW)
    return None if found is None else round(found, 6)


@pytest.mark.parametrize(
    ("name", "value", "seconds"),
    [
        ("retry-after-ms", "1500", 1.5),
        ("x-ms-retry-after-ms", "250", 0.25),
        ("retry-after", "7", 7.0),
        ("retry-after", " 7 ", 7.0),
        ("retry-after", "0.5", 0.5),
        ("retry-after", "0", 0.0),
        ("retry-after", "Sat, 21 Nov 2026 12:00:30 GMT", 30.0),
        ("retry-after", "Saturday, 21-Nov-26 12:00:30 GMT", 30.0),
        ("retry-after", "Sat Nov 21 12:00:30 2026", 30.0),
        ("retry-after", "Sun Nov  1 12:00:30 2026", 0.0),
        ("retry-after", "Sun, 06 Nov 1994 08:49:37 GMT", 0.0),
        ("retry-after", "Sat, 21 Nov 2026 12:00:60 GMT", 59.0),
        ("x-amz-retry-after", "3000", 3.0),
    ],
)
def test_headers_made_for_it_are_read(name: str, value: str, seconds: float) -> None:
    """Each spelling has its unit."""
    assert seconds == hint({name: value})


@pytest.mark.parametrize(
    "value",
    ["", "-1", "nan", "inf", "1e3", "+5", "5, 5", "soon", "٣", "1.2.3", ".", "9" * 65, "Sat, 21 Nov 2026", "Sat, 99 Nov 2026 12:00:30 GMT"],
)
def test_nonsense_is_no_hint(value: str) -> None:
    """What is bad, negative or too long says nothing, and does not hide the next source."""
    assert hint({"retry-after": value}) is None
    assert 2.0 == hint({"retry-after": value, "x-amz-retry-after": "2000"})


def test_a_year_of_two_digits_lies_at_most_fifty_years_ahead() -> None:
    """RFC 9110, 5.6.7: else it belongs to the past century."""
    assert 0.0 == hint({"retry-after": "Sunday, 06-Nov-94 08:49:37 GMT"})


def test_the_exact_source_wins_over_the_vague() -> None:
    """Headers, body, sentence: in this order."""
    headers = {
        "retry-after-ms": "1000",
        "x-ms-retry-after-ms": "2000",
        "retry-after": "3",
        "x-amz-retry-after": "4000",
        "x-ratelimit-remaining-requests": "0",
        "x-ratelimit-reset-requests": "7s",
    }
    error = {"details": [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "5s"}]}
    steps = []

    for name in ("retry-after-ms", "x-ms-retry-after-ms", "retry-after", "x-amz-retry-after"):
        steps.append(hint(headers, error, "Please retry after 6 seconds, or try again in 8s"))
        del headers[name]
    steps.append(hint(headers, error, "Please retry after 6 seconds, or try again in 8s"))
    steps.append(hint(headers, {}, "Please retry after 6 seconds, or try again in 8s"))
    steps.append(hint(headers, {}, "try again in 8s"))
    steps.append(hint({}, {}, "try again in 8s"))

    assert [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0] == steps


@pytest.mark.parametrize(
    ("delay", "seconds"),
    [
        ("38s", 38.0),
        ("0.5s", 0.5),
        ("52758s", 52758.0),
        ({"seconds": 38}, 38.0),
        ({"seconds": "38", "nanos": 500000000}, 38.5),
        ({"nanos": 20000000}, 0.02),
        ({"seconds": -1}, None),
        ({"seconds": True}, None),
        ({"seconds": None}, None),
        ("-3s", None),
        (38, None),
        (None, None),
    ],
)
def test_google_says_it_in_the_details(delay: object, seconds: float | None) -> None:
    """As text and as an object, in the error or in the body around it."""
    error = {"code": 429, "details": ["?", {"@type": "x"}, {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay}]}

    assert seconds == hint(error=error) == hint(error={"error": error})


@pytest.mark.parametrize(
    ("message", "seconds"),
    [
        ("Rate limit is exceeded. Please retry after 26 seconds.", 26.0),
        ("Please retry after 1 second", 1.0),
        ("Please retry after 500 milliseconds", 0.5),
        ("Please try again in 2 minutes.", 120.0),
        ("Rate limit reached for gpt-4o. Please try again in 41.724s. Visit", 41.724),
        ("Please try again in 1m2.5s", 62.5),
        ("Please try again in 6ms.", 0.006),
        ("Please try again in 1h0m1s.", 3601.0),
        ("Please retry in 19.2s.", 19.2),
        ("Please try again in a while", None),
        ("Please try again in -5s", None),
    ],
)
def test_sentences_are_read_as_a_last_resort(message: str, seconds: float | None) -> None:
    """Azure writes it out, OpenAI as a Go duration."""
    assert seconds == hint(message=message)


@pytest.mark.parametrize(
    ("reset", "seconds"),
    [
        ("6m0s", 360.0),
        ("20ms", 0.02),
        ("7.66s", 7.66),
        ("1h2m3s", 3723.0),
        ("1d", 86400.0),
        ("3µs", 0.000003),
        ("12", 12.0),
        ("12.5", 12.5),
        (str(int(NOW) + 90), 90.0),
        (str((int(NOW) + 90) * 1000), 90.0),
        (str(int(NOW) - 90), 0.0),
        ("2026-11-21T12:01:00Z", 60.0),
        ("2026-11-21T13:01:00.5+01:00", 60.5),
        ("2026-11-21T12:01:00.123456789Z", 60.123457),
        ("2026-13-21T12:01:00Z", None),
        ("Sat, 21 Nov 2026 12:00:30 GMT", 30.0),
        ("5s later", None),
        ("", None),
    ],
)
def test_a_reset_is_read_in_all_its_forms(reset: str, seconds: float | None) -> None:
    """Durations, Unix time in seconds or milliseconds, dates."""
    assert seconds == hint({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": reset})
    assert seconds == hint({"anthropic-ratelimit-tokens-remaining": "0", "anthropic-ratelimit-tokens-reset": reset})
    assert seconds == hint({"x-ratelimit-remaining": "0", "x-ratelimit-reset": reset})


def test_a_reset_counts_only_for_what_is_exhausted() -> None:
    """A dimension with something left is not what refused the request; of several exhausted ones the last to come back counts."""
    headers = {
        "x-ratelimit-remaining-requests": "12",
        "x-ratelimit-reset-requests": "60s",
        "x-ratelimit-remaining-tokens": "0",
        "x-ratelimit-reset-tokens": "3s",
        "x-ratelimit-remaining-tokens-day": "0",
        "x-ratelimit-reset-tokens-day": "5s",
        "x-ratelimit-reset-images": "90s",
    }

    assert 5.0 == hint(headers)


@pytest.mark.parametrize(("value", "seconds"), [('"api";r=0;t=295', 295.0), ('"api";r=999;t=295', None), ('"api";r=0', None)])
def test_the_structured_header_counts_when_nothing_remains(value: str, seconds: float | None) -> None:
    """The IETF draft's header, as Hugging Face's router sends it."""
    assert seconds == hint({"ratelimit": value})


NAMES = st.sampled_from(
    [
        *("retry-after", "retry-after-ms", "x-ms-retry-after-ms", "x-amz-retry-after", "ratelimit"),
        *("x-ratelimit-reset-tokens", "x-ratelimit-remaining-tokens"),
        *("anthropic-ratelimit-tokens-reset", "anthropic-ratelimit-tokens-remaining"),
    ]
)
PIECES = st.sampled_from([*"0123456789.-:TZ ,µ²e", "ms", "s", "m", "Nov", "2026", "GMT", "nan"])
VALUES = st.one_of(st.text(), st.lists(PIECES).map("".join), st.integers(), st.floats(), st.none())
DELAYS = st.one_of(VALUES, st.dictionaries(st.sampled_from(["seconds", "nanos"]), VALUES))
DETAIL = st.fixed_dictionaries({"@type": st.just("type.googleapis.com/google.rpc.RetryInfo"), "retryDelay": DELAYS})
SENTENCES = st.tuples(st.sampled_from(["try again in ", "retry after ", ""]), VALUES).map(lambda pair: f"{pair[0]}{pair[1]}")


ERRORS = st.fixed_dictionaries({"details": st.one_of(VALUES, st.lists(st.one_of(VALUES, DETAIL)))})


@given(st.dictionaries(NAMES, VALUES), ERRORS, SENTENCES)
def test_nothing_raises_and_every_hint_is_a_wait(headers: dict[str, Any], error: dict[str, Any], message: str) -> None:
    """Whatever a provider sends, there is a finite wait or none."""
    found = retry_after(headers, error, message, now=NOW)

    assert found is None or 0 <= found < float("inf")


@given(st.integers(0, 10**7))
def test_a_date_gives_back_the_seconds_it_was_made_of(seconds: int) -> None:
    """The form that RFC 9110 asks for."""
    moment = datetime.fromtimestamp(NOW, timezone.utc) + timedelta(seconds=seconds)

    assert seconds == hint({"retry-after": moment.strftime("%a, %d %b %Y %H:%M:%S GMT")})
