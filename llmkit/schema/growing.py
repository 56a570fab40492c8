"""
JSON that is still being written, read as far as it goes.

Rule 1: what has been read never changes, it only grows: a text at its end, a list and an object by further items.
Rule 2: a number, ``true``, ``false``, ``null`` and a key are there when they are whole, and not before.
Rule 3: what is no JSON, and could not become any, ends the reading where it stands; the whole text tells the reason, once it is there.

Source: RFC 8259.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any, Final

__all__ = ["MISSING", "GrowingJson", "Missing", "Unfinished"]


class Missing:
    """Nothing has come yet."""

    def __repr__(self) -> str:
        return "MISSING"

    def __bool__(self) -> bool:
        return False


MISSING: Final = Missing()


class Unfinished(str):
    """A text of which more may come."""

    __slots__ = ()


_SPACE = re.compile(r"[ \t\n\r]*")
_PLAIN = re.compile(r'[^"\\\x00-\x1f]*')
_NUMBER = re.compile(r"[-+0-9.eE]+")
_WORDS = {"t": ("true", True), "f": ("false", False), "n": ("null", None)}
_UNICODE = re.compile(r"\\u[0-9a-fA-F]{4}")
_HIGH = re.compile(r"\\u[dD][89abAB][0-9a-fA-F]{2}")
_LOW = re.compile(r"\\u[dD][c-fC-F][0-9a-fA-F]{2}")
_FENCE = re.compile(r"```(?:json\w*)?(?=\W)", re.IGNORECASE)
_FENCE_BEGUN = re.compile(r"`{1,3}\w*\Z")
_WAIT = -1  # a step that needs more text


class GrowingJson:
    """
    A reader of JSON in pieces: ``feed`` it text, and ``value`` is what there is up to now, or ``MISSING``.

    The value is one and the same object, which grows; copy what is to be kept. The last text in it is ``Unfinished`` while it is.
    White space, a byte order mark and a Markdown fence around the JSON are passed over.
    """

    def __init__(self) -> None:
        self.value: Any = MISSING
        self.is_over = False
        self.is_broken = False
        self._rest = ""
        self._state: Callable[[str, int], int] = self._before
        self._open: list[Any] = []  # the containers around the place where the next value goes
        self._keys: list[str] = []  # of the objects among them, the key that is being given a value
        self._text: list[str] = []  # of the text that is being read
        self._told = 0  # how many pieces of it are in the value
        self._is_key = False
        self._grown = False

    def feed(self, text: str) -> bool:
        """Add *text*, and return whether the value has grown by it."""
        data, at = self._rest + text, 0
        self._grown = False
        while at < len(data) and not (self.is_over or self.is_broken):
            step = self._state(data, at)
            if step == _WAIT:
                break
            at = step
        self._rest = data[at:] if not (self.is_over or self.is_broken) else ""
        if len(self._text) > self._told and not self._is_key and self._state == self._string:
            self._told = len(self._text)
            self._put_text(Unfinished("".join(self._text)))
        return self._grown

    def finish(self) -> bool:
        """Take note that no more text comes: a number at the very end is whole then. Return whether the value has grown."""
        return self.feed(" ")

    # -- states: each takes the text and a place in it, and returns the place that it came to, or _WAIT

    def _before(self, data: str, at: int) -> int:
        while at < len(data) and data[at] in " \t\n\r\ufeff":
            at += 1
        if at == len(data):
            return at
        if data[at] == "`":
            fence = _FENCE.match(data, at)
            if fence is None:
                return _WAIT if _FENCE_BEGUN.match(data, at) else self._break(at)
            at = fence.end()
        self._state = self._value
        return at

    def _value(self, data: str, at: int) -> int:
        at = _after_space(data, at)
        if at == len(data):
            return at
        mark = data[at]
        if mark == '"':
            return self._begin_text(at, is_key=False)
        if mark in "{[":
            return self._begin_container(at, {} if mark == "{" else [])
        if mark in _WORDS:
            word, value = _WORDS[mark]
            return self._word(data, at, word, value)
        return self._number(data, at) if mark in "-0123456789" else self._break(at)

    def _first_item(self, data: str, at: int) -> int:
        at = _after_space(data, at)
        if at < len(data) and data[at] == "]":
            return self._end_container(at)
        self._state = self._value
        return at

    def _key_or_end(self, data: str, at: int) -> int:
        at = _after_space(data, at)
        if at == len(data):
            return at
        return self._end_container(at) if data[at] == "}" else self._key(data, at)

    def _key(self, data: str, at: int) -> int:
        at = _after_space(data, at)
        if at == len(data):
            return at
        return self._begin_text(at, is_key=True) if data[at] == '"' else self._break(at)

    def _colon(self, data: str, at: int) -> int:
        at = _after_space(data, at)
        if at == len(data):
            return at
        self._state = self._value
        return at + 1 if data[at] == ":" else self._break(at)

    def _comma_or_end(self, data: str, at: int) -> int:
        at = _after_space(data, at)
        if at == len(data):
            return at
        in_object = isinstance(self._open[-1], dict)
        if data[at] == ",":
            self._state = self._key if in_object else self._value
            return at + 1
        return self._end_container(at) if data[at] == ("}" if in_object else "]") else self._break(at)

    def _string(self, data: str, at: int) -> int:
        plain = _PLAIN.match(data, at)
        assert plain is not None  # it fits nothing as well
        if plain.end() > at:
            self._text.append(plain[0])
            return plain.end()
        if data[at] == '"':
            return self._end_text(at)
        return self._escape(data, at) if data[at] == "\\" else self._break(at)

    def _escape(self, data: str, at: int) -> int:
        """Read an escape, or the two that make up one character beyond the first 65,536."""
        left = len(data) - at
        if left < 2 or (data[at + 1] == "u" and left < 6):
            return _WAIT
        end = at + (6 if data[at + 1] == "u" else 2)
        if _HIGH.match(data, at):
            if left < 12 and _may_become_unicode(data[end:]):
                return _WAIT
            if _LOW.match(data, end):
                end += 6
        if data[at + 1] == "u" and not _UNICODE.match(data, at):
            return self._break(at)
        try:
            self._text.append(json.loads(f'"{data[at:end]}"'))
        except ValueError:
            return self._break(at)
        return end

    # -- what the states do

    def _begin_text(self, at: int, *, is_key: bool) -> int:
        self._text, self._told, self._is_key = [], 0, is_key
        self._state = self._string
        if not is_key:
            self._place(Unfinished())
        return at + 1

    def _end_text(self, at: int) -> int:
        text = "".join(self._text)
        self._text, self._told = [], 0
        if self._is_key:
            self._keys.append(text)
            self._state = self._colon
            return at + 1
        self._put_text(text)
        self._value_is_over()
        return at + 1

    def _begin_container(self, at: int, container: Any) -> int:
        self._place(container)
        self._open.append(container)
        self._state = self._key_or_end if isinstance(container, dict) else self._first_item
        return at + 1

    def _end_container(self, at: int) -> int:
        self._open.pop()
        self._value_is_over()
        return at + 1

    def _word(self, data: str, at: int, word: str, value: Any) -> int:
        if data.startswith(word, at):
            self._place(value)
            self._value_is_over()
            return at + len(word)
        return _WAIT if word.startswith(data[at:]) else self._break(at)

    def _number(self, data: str, at: int) -> int:
        found = _NUMBER.match(data, at)
        assert found is not None  # it begins like one
        if found.end() == len(data):
            return _WAIT
        try:
            value = json.loads(found[0])
        except ValueError:
            return self._break(at)
        self._place(value)
        self._value_is_over()
        return found.end()

    def _value_is_over(self) -> None:
        if not self._open:
            self.is_over = True
            return
        if isinstance(self._open[-1], dict):
            self._keys.pop()
        self._state = self._comma_or_end

    def _place(self, value: Any) -> None:
        """Put *value* where the next one goes."""
        self._grown = True
        if not self._open:
            self.value = value
        elif isinstance(self._open[-1], dict):
            self._open[-1][self._keys[-1]] = value
        else:
            self._open[-1].append(value)

    def _put_text(self, text: str) -> None:
        """Put *text* in the place of what there was of it."""
        if self._open and isinstance(self._open[-1], list):
            self._open[-1].pop()
        self._place(text)

    def _break(self, at: int) -> int:
        self.is_broken = True
        return at


def _after_space(data: str, at: int) -> int:
    space = _SPACE.match(data, at)
    assert space is not None  # it fits nothing as well
    return space.end()


def _may_become_unicode(text: str) -> bool:
    """Whether *text*, the last that there is, may be the beginning of a further escape of this kind."""
    return re.fullmatch(r"(?:\\(?:u[0-9a-fA-F]{0,3})?)?", text) is not None
