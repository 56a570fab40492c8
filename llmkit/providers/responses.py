"""The choice between the two wires of OpenAI and of those who have both, and their newer one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llmkit.dialects.base import Dialect
from llmkit.errors import ConfigurationError
from llmkit.providers.provider import Option

__all__ = ["API", "responses", "wants_responses"]

API = Option(default="chat", meaning="chat for Chat Completions, responses for the Responses API")


def wants_responses(options: Mapping[str, str], name: str) -> bool:
    """
    Whether the option ``api`` of the provider *name* asks for Responses.

    Raises:
        ConfigurationError: If it asks for something else than either.
    """
    api = options.get("api", "chat")
    if api not in ("chat", "responses"):
        msg = f"The option 'api' of {name} is one of chat, responses, not {api!r}."
        raise ConfigurationError(msg)
    return api == "responses"


def responses(name: str, **quirks: Any) -> Dialect:
    """Return the wire of Responses as the provider *name* speaks it: thoughts and items of its other wire are none of this one."""
    from llmkit.dialects.openai_responses import OpenAIResponses  # only for those who use it: most programs speak one wire

    return OpenAIResponses(owner=f"{name}-responses", files_of=name, **quirks)
