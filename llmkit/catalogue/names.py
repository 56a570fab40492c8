"""
The many names of one model.

``claude-sonnet-4-5``, ``claude-sonnet-4.5``, ``claude-sonnet-4-5@20250929``, ``us.anthropic.claude-sonnet-4-5-20250929-v1:0`` and
``projects/p/locations/l/publishers/anthropic/models/claude-sonnet-4-5`` are one. Nothing here knows any model: a name is looked for as
it is written, then with one ornament less, and so on.

Rule: what changes the price is no ornament. ``:free``, ``:nitro`` and ``-fast`` stay where they are.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

__all__ = ["key_of", "spellings"]

_ALIKE = str.maketrans("._@:", "----")

# Ornaments at the end of a name, as ``key_of`` spells it, outermost first: Bedrock's version of its own, a date, an alias's word. (Not
# compiled before they are needed: most names are known as they are written.)
_TAILS = (
    r"-v\d+(?:-\d+(?:-\d+k)?)?$",
    r"-20\d\d-?(?:0[1-9]|1[0-2])-?(?:0[1-9]|[12]\d|3[01])$",
    r"-(?:latest|default)$",
)
# Where Bedrock routes a request: "us.anthropic.claude-...".
_REGION = r"^(?:us-gov|us|eu|apac|jp|au|ca|global)-"
# A fine-tuned model is paid for as what it was made of: "ft:gpt-4o-mini-2024-07-18:acme::a1b2c3".
_TUNED = r"^(ft:[^:]+):.*$"


def key_of(name: str) -> str:
    """Return *name* as it is compared: without case, and with one mark for four."""
    return name.lower().translate(_ALIKE)


def spellings(name: str) -> Iterator[str]:
    """Yield the keys under which *name* may be known, the closest first."""
    plain = name.strip()
    if plain.startswith("ft:"):
        plain = re.sub(_TUNED, r"\1", plain)
    seen: set[str] = set()
    for path in _paths(plain):
        for key in _without_ornaments(key_of(path)):
            if key not in seen:
                seen.add(key)
                yield key


def _paths(name: str) -> Iterator[str]:
    yield name
    while "/" in name:
        name = name.partition("/")[2]
        yield name


def _without_ornaments(key: str) -> Iterator[str]:
    yield key
    bare = key
    for tail in _TAILS:
        shorter = re.sub(tail, "", bare)
        if shorter != bare:
            bare = shorter
            yield bare
    yield bare + "-latest"
    unrouted = re.sub(_REGION, "", key)
    if unrouted != key:
        yield from _without_ornaments(unrouted)
