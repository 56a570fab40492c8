"""
Half of a surrogate pair: JSON can escape it, Python can hold it, and no encoding can say it.

A server would refuse what has one in it, so it becomes U+FFFD wherever it comes in: in JSON from outside, and in what a tool gives back
(the name of a file that is no UTF-8, say).
"""

from __future__ import annotations

import re

__all__ = ["sayable", "with_whole_escapes"]

_SURROGATE = r"\\u[dD][89a-fA-F]"

# Group 1 is what stays: a pair, or an escape of one character (matched so that the second backslash of \\ud800 is not
# taken for the first of an escape). What matches outside of it is half a pair.
_HALF_PAIR = (
    r"(\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\[^u])"
    r"|\\u[dD][89a-fA-F][0-9a-fA-F]{2}"
)


def with_whole_escapes(json_text: str) -> str:
    """Return JSON with the escape of U+FFFD, which is as long, in place of each escaped half."""
    if "\\ud" not in json_text and "\\uD" not in json_text:
        return json_text  # by far the most texts
    return re.sub(_HALF_PAIR, _whole, json_text) if re.search(_SURROGATE, json_text) else json_text


def _whole(match: re.Match[str]) -> str:
    return match[1] or "\\ufffd"


def sayable(text: str) -> str:
    """Return *text* with U+FFFD in place of each half; the two halves of a pair become the character that they mean."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text
