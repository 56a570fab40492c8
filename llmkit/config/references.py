"""
Texts that are kept elsewhere: ``${NAME}``, ``env:NAME``, ``file:PATH``.

Rule 1: a key that was found by a reference pickles as the reference, so that the other side reads its own.
Rule 2: no key shows itself: a ``repr``, and so a frame or a traceback, tells at most where it comes from.
"""

from __future__ import annotations

import os
import re

from llmkit.config.reading import read_page
from llmkit.errors import ConfigurationError
from llmkit.secrets import Referenced

__all__ = ["expand", "is_reference", "referenced"]

SECRET_LIMIT = 65536  # bytes of a file that holds one value

_NAME = "[A-Za-z_][A-Za-z0-9_]*"
_VARIABLE = re.compile(rf"(?:env:|os\.environ/)({_NAME})|\$\{{({_NAME})\}}")
_FILE = re.compile(r"file:(?!\s)[^\r\n]+")
# "$${" is a literal "${". The last alternative is what neither is.
_MARK = re.compile(rf"\$\$\{{|\$\{{({_NAME})(?::-([^}}]*))?\}}|\$\{{")


def is_reference(text: str) -> bool:
    """Whether *text* as a whole names a place where the value is kept."""
    return _VARIABLE.fullmatch(text) is not None or _FILE.fullmatch(text) is not None


def referenced(text: str, base: str = "") -> Referenced:
    """
    Return the text that *text*, a reference as a whole, stands for.

    Args:
        text: ``${NAME}``, ``env:NAME`` (also as LiteLLM writes it, ``os.environ/NAME``) or ``file:PATH``.
        base: The directory that a relative path starts from.

    Raises:
        ConfigurationError: If the variable is not set or is empty, or the file cannot be read.
    """
    variable = _VARIABLE.fullmatch(text)
    name = None if variable is None else variable[1] or variable[2]
    found = Referenced(_read(text, base) if name is None else _variable(name))
    found.reference, found.base, found.source = text, base, name or text
    return found


def expand(text: str, base: str = "") -> str:
    """
    Return *text* with its references replaced; one that is a reference as a whole becomes a ``Referenced``.

    ``${NAME:-text}`` gives the text where the variable is not set or is empty, ``$${`` is a literal ``${``.

    Raises:
        ConfigurationError: As ``referenced``; or if a ``${`` is not closed or holds no name.
    """
    if is_reference(text):
        return referenced(text, base)
    if "${" not in text:
        return text
    return _MARK.sub(_replacement, text)


def _read(text: str, base: str) -> str:
    path = os.path.expanduser(text.removeprefix("file:").removeprefix("//"))
    return read_page(os.path.join(base, path), limit=SECRET_LIMIT).text.rstrip("\r\n")


def _replacement(mark: re.Match[str]) -> str:
    name, default = mark[1], mark[2]
    if name is not None:
        return _variable(name) if default is None else os.environ.get(name) or default
    if mark[0] == "$${":
        return "${"
    msg = "A '${' begins a reference such as ${NAME}; one that is none is written $${."
    raise ConfigurationError(msg)


def _variable(name: str) -> str:
    value = os.environ.get(name)
    if not value:
        msg = f"The environment variable {name} is {'not set' if value is None else 'empty'}: set it, or write the value here."
        raise ConfigurationError(msg)
    return value
