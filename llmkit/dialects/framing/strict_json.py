"""
JSON as RFC 8259 has it, from peers that are not trusted.

The standard library reads more than JSON (``NaN``) and raises more than one error (``RecursionError`` for nesting,
``ValueError`` for a number of more than 4300 digits). Here there is one grammar and one error.
"""

from __future__ import annotations

from json import JSONDecodeError, JSONDecoder
from typing import Any, NoReturn

from llmkit.dialects.framing.errors import FramingError
from llmkit.models.surrogates import with_whole_escapes

__all__ = ["loads"]

WHITE_SPACE = " \t\r\n"


def refuse_constant(name: str) -> NoReturn:
    """Refuse ``NaN``, ``Infinity`` and ``-Infinity``."""
    raise FramingError(f"{name} is not JSON")


decode = JSONDecoder(parse_constant=refuse_constant).raw_decode


def loads(data: bytes | str) -> Any:
    """
    Return the value of one JSON document.

    A byte order mark and white space before the document are passed over (some servers send blank lines to keep a
    connection alive), bytes that are not UTF-8 become U+FFFD, and so does an escaped surrogate without its other half,
    which could never be encoded again. Of equal keys the last counts. A number too large for a float is ``inf``.

    Raises:
        FramingError: If *data* is anything else, is nested too deeply, or has an integer with more digits than the
            interpreter converts.
    """
    text = data if isinstance(data, str) else str(data, "utf-8", "replace")
    if "\\" in text:  # most texts hold none, and a call costs more than a look
        text = with_whole_escapes(text)
    try:
        value, end = decode(text, 0 if text[:1] in "{[" else start_of(text))
    except JSONDecodeError as exc:
        raise FramingError(f"not JSON: {exc.msg}", byte_offset(text, exc.pos)) from None
    except FramingError:
        raise
    except RecursionError:
        raise FramingError("not readable as JSON: nested too deeply") from None
    except ValueError:
        raise FramingError("not readable as JSON: a number with too many digits") from None
    if end != len(text) and text[end:].strip(WHITE_SPACE):
        raise FramingError("not JSON: something follows the document", byte_offset(text, end))
    return value


def start_of(text: str) -> int:
    """Return where the document begins behind a byte order mark and white space."""
    mark = 1 if text.startswith("\ufeff") else 0
    return len(text) - len(text[mark:].lstrip(WHITE_SPACE))


def byte_offset(text: str, position: int) -> int:
    """Return the offset in bytes of the character at *position*."""
    return len(text[:position].encode("utf-8", "replace"))
