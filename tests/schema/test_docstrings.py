"""Docstrings as descriptions."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmkit.schema.docstrings import own_docstring, parse_docstring

GOOGLE = """
    Find a flight.

    It may take a while.

    Args:
        origin (str, optional): Where it starts:
            a city.
        *rest: The others.

    Returns:
        origin: this is no parameter.
"""

NUMPY = """
    Find a flight.

    It may take a while.

    Parameters
    ----------
    origin : str, optional
        Where it starts:
        a city.
    *rest
        The others.

    Returns
    -------
    origin : str
        This is no parameter.
"""

SPHINX = """
    Find a flight.

    It may take a while.

    :param str origin: Where it starts:
        a city.
    :param rest: The others.
    :type rest: str
    :returns: something

    Told afterwards.
"""


@pytest.mark.parametrize("doc", [GOOGLE, NUMPY, SPHINX], ids=["google", "numpy", "sphinx"])
def test_three_styles_of_docstring_say_the_same(doc: str) -> None:
    """Prose ends at the first section; continued lines belong to their entry; other sections are not read."""
    prose, told = parse_docstring(doc)

    assert "Find a flight.\n\nIt may take a while." == prose
    assert {"origin": "Where it starts: a city.", "rest": "The others."} == told


PIECES = [
    "Args:",
    "Parameters",
    "---",
    "    x: y",
    "    x (int): y",
    "x : int",
    ":param x: y",
    ":returns:",
    "Returns:",
    "\n",
    "\n\n",
    " ",
    ":",
]


@given(st.lists(st.sampled_from(PIECES) | st.text(max_size=5)).map("".join))
def test_no_docstring_is_too_strange(doc: str) -> None:
    """Whatever stands there is read: names are words, and what is said of them is not empty."""
    prose, told = parse_docstring(doc)

    assert prose == prose.strip()
    assert all(name.replace("_", "a").isalnum() and text.strip() == text != "" for name, text in told.items())


def test_a_word_alone_on_its_line_is_prose() -> None:
    """Notes is a header only with a colon or underlined."""
    assert ("Take\nNotes\nof it.", {}) == parse_docstring("Take\nNotes\nof it.")


@dataclass
class Generated:
    x: int


class Point(NamedTuple):
    x: int


class Color(enum.Enum):
    RED = "red"


class Written:
    """By hand."""


class Inheriting(Written):
    pass


@pytest.mark.parametrize(
    ("cls", "doc"), [(Written, "By hand."), (Inheriting, ""), (Generated, ""), (Point, ""), (Color, ""), (dict, ""), (object, "")]
)
def test_only_a_docstring_of_its_own_describes_a_class(cls: Any, doc: str) -> None:
    """What is inherited, or written by dataclass, NamedTuple or Enum, says nothing to a model."""
    assert doc == own_docstring(cls)
