"""
A typed answer as the arguments of a tool that must be called: for models that cannot be held to a schema, but made to call a tool.

Neither the caller nor the history sees the tool: its arguments are the text of the answer.
"""

from __future__ import annotations

import json
from collections.abc import Callable

from attrs import evolve

from llmkit.dialects.base import StreamDecoder, WireError
from llmkit.models.chunk import CompletionChunk
from llmkit.models.content import Message, Text, Thinking, ToolCall
from llmkit.models.request import CompletionRequest
from llmkit.models.response import CompletionResponse, FinishReason
from llmkit.tools import Tool
from llmkit.values import define

__all__ = ["ToolDecoder", "as_answer", "asking_by_tool", "can_ask_by_tool"]


def can_ask_by_tool(request: CompletionRequest, *, obeys: bool) -> bool:
    """
    Whether *request* wants a shape that a tool can ask for: not while the model thinks, or has other tools.

    *obeys*: whether it is known to call a tool when it must.
    """
    wanted, facts = request.response_format, request.facts
    if wanted is None or wanted.schema is None or wanted.strict is False or request.tools:
        return False
    thinks = request.reasoning not in (None, "none", 0) or (facts.thinks_by_default and request.reasoning is None)
    return obeys and not thinks


def asking_by_tool(request: CompletionRequest) -> CompletionRequest:
    """Return *request* with a tool in place of the shape that it wants."""
    wanted = request.response_format
    assert wanted is not None  # can_ask_by_tool
    tool = Tool(name=wanted.name, description=wanted.description or "Give your answer.", parameters=wanted.schema)
    return evolve(request, response_format=None, tools=(tool,), tool_choice=wanted.name, parallel_tool_calls=None)


def as_answer(answer: CompletionResponse) -> CompletionResponse:
    """Return *answer* with the arguments of its call as its text; as it is if the model did not call."""
    call = next(iter(answer.tool_calls), None)
    if call is None:
        return answer
    thoughts = [part for part in answer.message.content if isinstance(part, Thinking)]
    message = Message("assistant", [*thoughts, Text(_written(call))])
    reason = FinishReason.STOP if answer.finish_reason is FinishReason.TOOL_CALLS else answer.finish_reason
    return evolve(answer, message=message, finish_reason=reason)


def _written(call: ToolCall) -> str:
    return call.text if call.text is not None else json.dumps(dict(call.arguments), ensure_ascii=False)


@define
class ToolDecoder:
    """A ``StreamDecoder`` around another, whose chunks of arguments it makes chunks of text."""

    _inner: StreamDecoder

    @property
    def ended(self) -> bool:
        return self._inner.ended

    def feed(self, data: bytes) -> list[CompletionChunk]:
        return _rewritten(lambda: self._inner.feed(data))

    def finish(self) -> list[CompletionChunk]:
        return _rewritten(self._inner.finish)

    def response(self) -> CompletionResponse:
        return as_answer(self._inner.response())


def _rewritten(read: Callable[[], list[CompletionChunk]]) -> list[CompletionChunk]:
    try:
        return [_as_text(chunk) for chunk in read()]
    except WireError as error:
        error.chunks = [_as_text(chunk) for chunk in error.chunks]
        raise


def _as_text(chunk: CompletionChunk) -> CompletionChunk:
    if chunk.finish_reason is FinishReason.TOOL_CALLS:
        chunk.finish_reason = FinishReason.STOP
    if chunk.tool_call is not None:
        chunk.text, chunk.tool_call = chunk.tool_call.arguments, None
    return chunk
