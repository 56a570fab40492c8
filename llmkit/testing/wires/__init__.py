"""
The wire formats that the fake server speaks.

A further one is one module that defines a `Wire`, and one entry in `WIRES`; of two wires with a fitting route, the one
that stands first answers, so those that claim certain providers stand before the family that takes everyone.
"""

from __future__ import annotations

from functools import lru_cache

from attrs import frozen

from llmkit.testing.replies import Failure, RecordedRequest, Reply
from llmkit.testing.wires import (
    anthropic,
    anthropic_batches,
    bedrock,
    bedrock_embeddings,
    cohere,
    gemini,
    gemini_batches,
    gemini_embeddings,
    ollama,
    openai_batches,
    openai_chat,
    openai_responses,
    sagemaker,
    snowflake,
    vertex_claude,
    voyage,
)
from llmkit.testing.wires.base import Route, Wire

__all__ = ["WIRES", "Found", "base_path", "find"]

WIRES: tuple[Wire, ...] = (
    anthropic.WIRE,
    anthropic_batches.WIRE,
    bedrock.WIRE,
    bedrock_embeddings.WIRE,
    cohere.WIRE,
    gemini.WIRE,
    gemini_batches.WIRE,
    gemini_embeddings.WIRE,
    vertex_claude.WIRE,
    ollama.WIRE,
    sagemaker.WIRE,
    snowflake.WIRE,
    voyage.WIRE,
    openai_chat.WIRE,
    openai_batches.WIRE,
    openai_responses.WIRE,
)


@frozen(kw_only=True)
class Found:
    """Who answers a request: the provider's wire, and its route where it has one."""

    wire: Wire
    route: Route | None
    allowed: tuple[str, ...] = ()
    """The methods that the path would take."""

    def missing(self, request: RecordedRequest) -> Reply:
        """Return the refusal of a request that no route takes."""
        if self.allowed:
            message = f"Not allowed to {request.method} on {request.endpoint}."
            failure = Failure(type="invalid_request_error", message=message)
            return Reply(status=405, failure=failure, headers={"allow": ", ".join(self.allowed)})
        message = f"Invalid URL ({request.method} {request.endpoint})"
        return Reply(status=404, failure=Failure(type="invalid_request_error", message=message))


def base_path(provider: str) -> str:
    """Return the path of *provider*'s base URL, as its own documentation gives it."""
    return next((wire.bases[provider] for wire in WIRES if provider in wire.bases), "/v1")


@lru_cache(maxsize=1024)
def find(provider: str, method: str, endpoint: str) -> Found:
    """Return who answers *method* on the path *endpoint* of *provider*."""
    spoken = [wire for wire in WIRES if wire.speaks_for(provider)]
    fitting = [(wire, route) for wire in spoken for route in wire.routes if route.path.fullmatch(endpoint)]
    for wire, route in fitting:
        if route.method == method:
            return Found(wire=wire, route=route)
    return Found(wire=spoken[0], route=None, allowed=tuple(sorted({route.method for _, route in fitting})))
