"""JSON's scalars as Python's."""

from __future__ import annotations

import enum
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import Path, PurePath
from typing import Any, Literal
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmkit.schema.mismatch import Mismatch
from llmkit.schema.scalars import SCALARS, read_literal, read_null


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Size(enum.IntEnum):
    SMALL = 1
    LARGE = 2


class Mood(str, enum.Enum):
    GOOD = "good"


class Weight(float, enum.Enum):
    HALF = 0.5


def read(tp: Any, value: Any) -> Any:
    """Return what the reader of *tp* makes of *value*, found by its class and the classes above, as cattrs does."""
    return next(SCALARS[cls] for cls in tp.__mro__ if cls in SCALARS)(value, tp)


@pytest.mark.parametrize(
    ("tp", "value", "result"),
    [
        (bool, True, True),
        (int, 3, 3),
        (int, 3.0, 3),
        (float, 3, 3.0),
        (float, 0.5, 0.5),
        (str, "a", "a"),
        (Color, "red", Color.RED),
        (Size, 2, Size.LARGE),
        (Mood, "good", Mood.GOOD),
        (Weight, 0.5, Weight.HALF),
        (Decimal, 0.1, Decimal("0.1")),
        (Decimal, "12.50", Decimal("12.50")),
        (Path, "a/b", Path("a/b")),
        (PurePath, "a", PurePath("a")),
        (UUID, "12345678123456781234567812345678", UUID("12345678-1234-5678-1234-567812345678")),
        (date, "2026-01-02", date(2026, 1, 2)),
        (time, "03:04", time(3, 4)),
        (time, "03:04:05.5-01", time(3, 4, 5, 500000, tzinfo=timezone(timedelta(hours=-1)))),
        (datetime, "2026-01-02T03:04:05Z", datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)),
        (datetime, "2026-01-02t03:04:05.1234567z", datetime(2026, 1, 2, 3, 4, 5, 123456, tzinfo=timezone.utc)),
        (datetime, "2026-01-02 03:04", datetime(2026, 1, 2, 3, 4)),
        (timedelta, "P1W2DT3H4M5.25S", timedelta(9, 11045, 250000)),
        (timedelta, "-PT90M", timedelta(minutes=-90)),
        (timedelta, "+PT0,1234567S", timedelta(microseconds=123456)),
        (datetime, "2026-01-02T03:04:05+0200", datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone(timedelta(hours=2)))),
    ],
    ids=repr,
)
def test_a_scalar_is_read_as_its_type(tp: Any, value: Any, result: Any) -> None:
    """In every spelling that RFC 3339 and JSON Schema know, on every Python."""
    scalar = read(tp, value)

    assert result == scalar
    assert type(result) is type(scalar)


@pytest.mark.parametrize(
    ("tp", "value", "words"),
    [
        (bool, 1, "expected true or false, got 1"),
        (int, "3", 'expected an integer, got "3"'),
        (int, True, "expected an integer, got true"),
        (int, 3.5, "expected an integer"),
        (int, float("inf"), "expected an integer"),
        (float, True, "expected a number"),
        (float, "3.0", "expected a number"),
        (float, 10**400, "a float can hold"),
        (float, float("inf"), "a finite number"),
        (float, float("nan"), "a finite number"),
        (str, 3, "expected text"),
        (Color, "green", 'expected one of "red", "blue", got "green"'),
        (Color, ["red"], "expected one of"),
        (Size, True, "expected one of 1, 2"),
        (Mood, "bad", 'expected one of "good"'),
        (Weight, 1.5, "expected one of 0.5"),
        (Decimal, "abc", "expected a number"),
        (Decimal, "NaN", "expected a finite number"),
        (Decimal, True, "expected a number"),
        (UUID, "abc", "expected a UUID"),
        (UUID, 3, "expected a UUID"),
        (date, "20260101", "expected a date"),
        (date, "2026-02-30", "expected a date"),
        (time, "25:00", "expected a time"),
        (time, "noon", "expected a time"),
        (datetime, "2026-01-01", "expected a date and time"),
        (datetime, "2026-01-01X00:00", "expected a date and time"),
        (datetime, 1700000000, "expected a date and time"),
        *(
            (timedelta, text, "expected a duration")
            for text in (5, "", "5", "P", "PT", "P1DT", "PT5", "P1Y", "P1M", "P1D ", "P9999999999D")
        ),
        (Path, 3, "expected a path"),
    ],
    ids=repr,
)
def test_a_value_of_another_kind_is_refused(tp: Any, value: Any, words: str) -> None:
    """Nothing is converted in silence."""
    with pytest.raises(Mismatch, match=words):
        read(tp, value)


@pytest.mark.parametrize(("value", "result"), [("a", "a"), (1, 1), (True, True), ("red", Color.RED), (None, None)])
def test_a_literal_is_one_of_its_options(value: Any, result: Any) -> None:
    """Members of an Enum are written as their values; true is not 1."""
    assert result is read_literal(value, Literal["a", 1, True, Color.RED, None])


@pytest.mark.parametrize("value", [True, "1", None, [1]])
def test_what_is_no_option_of_a_literal_is_refused(value: Any) -> None:
    """The options are told."""
    with pytest.raises(Mismatch, match='expected one of 1, "red", got'):
        read_literal(value, Literal[1, Color.RED])


def test_null_is_null_only() -> None:
    """And nothing that Python would take for false."""
    read_null(None, None)
    with pytest.raises(Mismatch, match="expected null, got 0"):
        read_null(0, None)


@given(
    st.datetimes(timezones=st.none() | st.timezones() | st.just(timezone.utc)).filter(
        lambda one: (one.utcoffset() or timedelta()).seconds % 60 == 0
    )
)
def test_what_isoformat_writes_is_read(moment: datetime) -> None:
    """Dates, times and both, with any offset of whole minutes, which is all that RFC 3339 knows."""
    written = moment.isoformat()

    assert (moment.replace(tzinfo=None), moment.utcoffset()) == (
        read(datetime, written).replace(tzinfo=None),
        read(datetime, written).utcoffset(),
    )
    assert moment.date() == read(date, written[:10])
    assert moment.time() == read(time, written[11:]).replace(tzinfo=None)


@given(st.text() | st.text("0123456789-:+.,TZtz ", max_size=30))
def test_no_text_is_too_strange(text: str) -> None:
    """Any text is a moment, or refused in so many words."""
    for tp in (date, time, datetime, timedelta, UUID, Decimal):
        try:
            result = read(tp, text)
        except Mismatch:
            continue
        assert isinstance(result, tp)
