"""
Docstrings as descriptions, in the three styles that are written: Google's, where a colon makes a header, numpy's, where
an underline does, and Sphinx's, with fields.

Patterns stay text until they are first used, since compiling them would double the time to import this module.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from inspect import cleandoc
from itertools import pairwise
from typing import Any

__all__ = ["own_docstring", "parse_docstring"]

_SECTIONS_OF_NAMES = frozenset(
    ["Args", "Arguments", "Parameters", "Params", "Keyword Args", "Keyword Arguments", "Other Parameters", "Attributes"]
)
_OTHER_SECTIONS = "Returns?|Yields?|Raises|Examples?|Notes?|See Also|Warn(?:ing)?s?|References|Todo|Methods"
_SECTION = rf"({'|'.join(sorted(_SECTIONS_OF_NAMES))}|{_OTHER_SECTIONS})(:?)\s*$"
_SPHINX_FIELD = r":\w+(?:\s[^:]*)?:(?:\s|$)"
_ENTRIES = {
    "colon": r"\*{0,2}(\w+)\s*(?:\(.*?\))?\s*:(?:\s+(.*))?$",
    "underline": r"(\*{0,2}\w+(?:\s*,\s*\*{0,2}\w+)*)\s*(?::.*)?()$",
    "fields": r":(?:param|parameter|arg|argument|key|keyword|ivar|var|cvar|attribute)\s+(?:[^:]*\s)?(\*{0,2}\w+):(?:\s+(.*))?$",
}


def own_docstring(cls: Any) -> str:
    """Return the docstring that was written for *cls*: neither inherited nor made by dataclass, NamedTuple or Enum."""
    doc = vars(cls).get("__doc__")
    if not isinstance(doc, str) or cls.__module__ == "builtins":
        return ""
    return "" if doc.startswith(f"{cls.__name__}(") or doc == "An enumeration." else doc


def parse_docstring(doc: str) -> tuple[str, dict[str, str]]:
    """Return the text before the first section of *doc*, and what its sections say of each parameter or attribute."""
    (_, prose), *blocks = _blocks(cleandoc(doc).splitlines())
    told: dict[str, list[str]] = {}
    for style, block in blocks:
        if style in _ENTRIES:
            told.update(_entries(_ENTRIES[style], block))
    texts = {name: " ".join(" ".join(lines).split()) for name, lines in told.items()}
    return "\n".join(prose).strip(), {name: text for name, text in texts.items() if text}


def _blocks(lines: list[str]) -> Iterator[tuple[str, list[str]]]:
    """Cut a docstring at its headers: the first block is prose, the others are named after their style."""
    style, block = "prose", list[str]()
    for line, following in pairwise([*lines, ""]):
        begun = _style_begun(line, following)
        if not begun and ((style == "colon" and line[:1].strip()) or (style == "fields" and not line.strip())):
            begun = "other"
        if begun:
            yield style, block
            style, block = begun, []
        block.append(line)
    yield style, block


def _style_begun(line: str, following: str) -> str:
    """Return the style of the section that *line* begins, ``other`` for one that names no parameters, or an empty text."""
    if re.match(_SPHINX_FIELD, line):
        return "fields"
    header = re.match(_SECTION, line)
    if header is None:
        return ""
    is_underlined = set(following.strip()) == {"-"}
    if not is_underlined and not header[2]:
        return ""
    if header[1] not in _SECTIONS_OF_NAMES:
        return "other"
    return "underline" if is_underlined else "colon"


def _entries(pattern: str, block: list[str]) -> dict[str, list[str]]:
    """Return the lines said of each name in one block; a line that begins no entry continues the one above."""
    body = block if block[0].startswith(":") else block[1:]
    margin = min((len(line) - len(line.lstrip()) for line in body if line.strip()), default=0)
    told: dict[str, list[str]] = {}
    texts: list[str] = []
    for line in body:
        entry = re.match(pattern, line[margin:])
        if entry is None:
            texts.append(line)
            continue
        texts = [entry[2] or ""]
        told.update({name.strip().lstrip("*"): texts for name in entry[1].split(",")})
    return told
