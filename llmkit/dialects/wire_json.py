"""
Small words for JSON from and to strangers, common to all wires.

Rule: any field may be missing, null, empty or of another type; nothing here is indexed unseen.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from llmkit.dialects.base import WireError
from llmkit.dialects.framing import FramingError, loads
from llmkit.errors import ConfigurationError
from llmkit.transport.base import HttpResponse

__all__ = ["at", "beginning", "body_of", "count", "label", "made_up_id", "object_in", "objects", "word", "written"]

LINE_LIMIT = 500  # characters of a page that stands where an error should
TEXT_LIMIT = 4096  # characters of it that are looked at

_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode


def at(holder: Any, key: str) -> Any:
    return holder.get(key) if isinstance(holder, dict) else None


def word(value: Any) -> str:
    return value if isinstance(value, str) else ""


def label(value: Any) -> str | None:
    """Return what may serve as a code or an id: a text that is not empty, or a whole number as one."""
    if isinstance(value, bool) or not isinstance(value, (str, int)) or value == "":
        return None
    return str(value)


def count(value: Any) -> int:
    """Return a number of tokens, which some servers write as a float; 0 where it is none."""
    if value.__class__ is int and 0 <= value < 10**15:
        return value  # by far the most frequent case
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 1e15:
        return 0
    return int(value)


def objects(value: Any) -> list[dict[str, Any]]:
    """Return the objects in *value*, where that is an array."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def object_in(response: HttpResponse) -> dict[str, Any]:
    """Return the JSON object that the body of *response* is. Raises ``WireError`` if it is none."""
    if not response.body.strip():
        raise WireError.malformed("The reply is empty.", response)
    try:
        value = loads(response.body)
    except FramingError as error:
        raise WireError.malformed(f"The reply cannot be read: {error}.", response) from None
    if not isinstance(value, dict):
        raise WireError.malformed("The reply is no JSON object.", response)
    return value


def beginning(text: str) -> str:
    """Return *text* in one short line, cut between words: half a key would not be recognised as one."""
    words = text[:TEXT_LIMIT].split()
    line = " ".join(words if len(text) <= TEXT_LIMIT else words[:-1])
    return line if len(line) <= LINE_LIMIT else line[:LINE_LIMIT].rpartition(" ")[0] + " …"


def made_up_id(*known: object) -> str:
    """Return an id for a tool call that came without one: the same bytes always give the same id."""
    seed = "/".join(map(str, known))
    return "call_" + hashlib.sha256(seed.encode("utf-8", "replace")).hexdigest()[:24]


def written(value: Any, what: str) -> str:
    """Return *value* as JSON text. Raises ``ConfigurationError``, which names it as *what*, if JSON has no word for it."""
    try:
        return _encode(value)
    except (TypeError, ValueError, RecursionError) as error:
        msg = f"{what} cannot be written as JSON: {error}."
        raise ConfigurationError(msg) from None


def body_of(content: Mapping[str, Any]) -> bytes:
    """Return *content* as the body of a request."""
    try:
        return _encode(content).encode("utf-8")
    except (TypeError, ValueError, RecursionError) as error:
        # A lone surrogate, a NaN, or an object that JSON has no word for.
        msg = f"The request cannot be written as JSON: {error}."
        raise ConfigurationError(msg) from None
