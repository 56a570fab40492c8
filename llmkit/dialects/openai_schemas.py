"""
Schemas on OpenAI's wires.

Rule 1: what strict mode cannot say is refused where it was asked for by name, and not said otherwise.
Rule 2: a model that is known to be older than schemas is made to call a tool in place of one, or is told it in words.
"""

from __future__ import annotations

from llmkit.dialects.forced_tool import can_ask_by_tool
from llmkit.errors import UnsupportedParameterError
from llmkit.models.request import CompletionRequest
from llmkit.schema import is_strict_able, strict_schema
from llmkit.schema.nodes import Schema

__all__ = ["asks_by_tool", "lacks_schemas", "strictly"]


def lacks_schemas(request: CompletionRequest) -> bool:
    """Whether *request* wants a schema of a model that is known to have none."""
    wanted = request.response_format
    return wanted is not None and wanted.schema is not None and "no_schemas" in request.facts.traits


def asks_by_tool(request: CompletionRequest) -> bool:
    """Whether that model is made to call a tool of the shape instead."""
    return lacks_schemas(request) and can_ask_by_tool(request, obeys=request.facts.forced_tools is True)


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
