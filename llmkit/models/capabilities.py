"""What a model can do, as far as is known."""

from __future__ import annotations

from llmkit.values import frozen

__all__ = ["LLMCapabilities"]


@frozen(kw_only=True)
class LLMCapabilities:
    """
    What a model can do.

    None is "not known", which is not "no", and which ``if`` takes for no: a model that nobody knows is taken to stream and to have
    system messages, as every wire has, and of all else nothing is promised.

    Args:
        supports_tools: Whether it calls tools.
        supports_vision: Whether it sees pictures.
        supports_streaming: Whether its answers come in pieces.
        supports_json_mode: Whether it can be held to JSON, or to a schema.
        supports_system_message: Whether it takes instructions apart from the conversation.
        supports_reasoning: Whether it thinks before it answers.
        max_tokens: The most that it can write, in tokens.
        context_window: The most that it can read and write, in tokens.
    """

    supports_tools: bool | None = None
    supports_vision: bool | None = None
    supports_streaming: bool | None = True
    supports_json_mode: bool | None = None
    supports_system_message: bool | None = True
    supports_reasoning: bool | None = None
    max_tokens: int | None = None
    context_window: int | None = None
