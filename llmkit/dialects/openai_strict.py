"""Strict mode where it was asked for by name: what it cannot say is refused, and not said otherwise."""

from __future__ import annotations

from llmkit.errors import UnsupportedParameterError
from llmkit.schema import is_strict_able, strict_schema
from llmkit.schema.nodes import Schema

__all__ = ["strictly"]


def strictly(schema: Schema, what: str, *, owner: str, parameter: str) -> Schema:
    """
    Return *schema*, that of *what*, in the words of strict mode.

    Raises:
        UnsupportedParameterError: If strict mode cannot say it, so that the answers would be others.
    """
    if not is_strict_able(schema):
        msg = (
            f"{owner} cannot hold a model to {what}: strict mode wants an object at the root, a type everywhere and no free keys. "
            "Leave out strict."
        )
        raise UnsupportedParameterError(msg, parameter, owner)
    return strict_schema(schema)
