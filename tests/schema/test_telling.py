"""Values as JSON says them."""

from __future__ import annotations

import dataclasses
import enum
import json
from collections import UserDict
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

import attrs
import pydantic
import pytest

from llmkit.schema.structuring import structure
from llmkit.schema.telling import as_plain


class Color(enum.Enum):
    RED = "red"


@attrs.frozen
class Point:
    x: int
    _y: Decimal


@dataclasses.dataclass
class Trip:
    day: date
    stops: list[Point]


class Pair(NamedTuple):
    left: int
    right: Color


class Guest(pydantic.BaseModel):
    name: str
    since: date


class Numbers:
    def tolist(self) -> list[int]:
        return [1, 2]


DAY = date(2026, 11, 21)


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (Point(1, Decimal("0.10")), {"x": 1, "y": "0.10"}),
        (Trip(DAY, [Point(1, Decimal(2))]), {"day": "2026-11-21", "stops": [{"x": 1, "y": "2"}]}),
        (Pair(1, Color.RED), {"left": 1, "right": "red"}),
        (Guest(name="Ada", since=DAY), {"name": "Ada", "since": "2026-11-21"}),
        (
            {"when": datetime(2026, 11, 21, tzinfo=timezone.utc), Color.RED: time(7, 30)},
            {"when": "2026-11-21T00:00:00+00:00", "red": "07:30:00"},
        ),
        ([timedelta(1, 2, 500), timedelta(minutes=-90), timedelta()], ["P1DT2.0005S", "-P0DT5400S", "P0DT0S"]),
        ({"b", "a"}, ["a", "b"]),
        (frozenset([3, 1]), [1, 3]),
        ((UUID(int=1), Path("/tmp/x")), ["00000000-0000-0000-0000-000000000001", "/tmp/x"]),
        (UserDict({"a": Numbers()}), {"a": [1, 2]}),
        ([None, True, 1.5, "x"], [None, True, 1.5, "x"]),
    ],
    ids=repr,
)
def test_a_value_is_told_plainly(value: Any, plain: Any) -> None:
    """As its own type would read it again."""
    assert plain == as_plain(value)
    assert plain == json.loads(json.dumps(as_plain(value)))


def test_what_is_told_can_be_read_again() -> None:
    """The two sides of one border."""
    trip = Trip(DAY, [Point(1, Decimal("0.10"))])

    assert trip == structure(as_plain(trip), Trip)


def test_what_json_cannot_say_is_left_as_it_is() -> None:
    """Whoever writes it finds out, and says so."""
    thing = object()

    assert [thing] == as_plain([thing])
