"""
Reading Converse's whole answers, and Bedrock's list of models.

Rule 1: any field may be missing, null, empty or of another type; nothing here is indexed unseen.
Rule 2: what the provider wants back (seals, ids, blocks of its own tools, citations) is kept as it came.

A text with citations is a text, with a native part ``{"citationsContent": {…}}`` behind it, which only this wire understands.

Source: AWS, "Amazon Bedrock API reference", ``ConverseResponse``, ``ContentBlock`` and ``ListFoundationModels``, by botocore 1.44.5, and
traffic recorded by pydantic-ai; read 2026-11-21.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llmkit.dialects.aws_faults import refuse_errors
from llmkit.dialects.base import WireError, request_id
from llmkit.dialects.bedrock_turns import cited_text
from llmkit.dialects.wire_json import at, count, made_up_id, object_in, objects, word
from llmkit.models.content import Message, Native, Part, Text, Thinking, ToolCall
from llmkit.models.info import ModelInfo
from llmkit.models.reading import decode_arguments
from llmkit.models.response import CompletionResponse, FinishReason
from llmkit.models.usage import UNREPORTED, Usage
from llmkit.transport.base import HttpResponse

__all__ = ["STREAM_TYPE", "decode", "decode_models", "finish_reason", "is_stream", "read_answer", "read_usage"]

STREAM_TYPE = "application/vnd.amazon.eventstream"

FINISH_REASONS: Mapping[str, FinishReason] = {
    "end_turn": FinishReason.STOP,
    "stop_sequence": FinishReason.STOP,
    "max_tokens": FinishReason.LENGTH,
    "model_context_window_exceeded": FinishReason.LENGTH,
    "tool_use": FinishReason.TOOL_CALLS,
    "guardrail_intervened": FinishReason.CONTENT_FILTER,
    "content_filtered": FinishReason.CONTENT_FILTER,
    "malformed_model_output": FinishReason.ERROR,
    "malformed_tool_use": FinishReason.ERROR,
    "refusal": FinishReason.REFUSAL,  # Claude's own word, should it be handed on
}
_OF_A_THOUGHT = frozenset({"text", "signature"})


def is_stream(response: HttpResponse) -> bool:
    return STREAM_TYPE in response.headers.get("content-type", "")


def decode(owner: str, response: HttpResponse, asked: str) -> CompletionResponse:
    """Return the answer in a good reply; *asked* is the model, since the reply does not say it."""
    answer = object_in(response)
    refuse_errors(answer, response)
    return read_answer(owner, answer, response, asked)


def read_answer(
    owner: str, answer: Mapping[str, Any], response: HttpResponse, asked: str, texts: Mapping[int, str] | None = None
) -> CompletionResponse:
    """
    Return the answer that the wire's *answer* is.

    Args:
        owner: Whose thoughts and native blocks these are.
        texts: The arguments of calls as the model wrote them, by the index of their blocks, where that is known.
    """
    blocks = at(at(answer.get("output"), "message"), "content")
    if not isinstance(blocks, list):
        raise WireError.malformed("The reply has no message.", response)
    parts: list[Part] = []
    for index, block in enumerate(blocks):
        if not isinstance(block, dict):
            raise WireError.malformed("A block of the content is no JSON object.", response)
        parts += _read_block(owner, block, (texts or {}).get(index), f"{request_id(response.headers)}/{index}")
    raw_reason = answer.get("stopReason")
    return CompletionResponse(
        message=Message("assistant", parts),
        finish_reason=finish_reason(raw_reason, called=any(isinstance(part, ToolCall) for part in parts)),
        raw_finish_reason=word(raw_reason) or None,
        usage=read_usage(answer.get("usage")),
        model=asked,
        request_id=request_id(response.headers),
        raw=answer,
    )


def finish_reason(raw: Any, *, called: bool) -> FinishReason:
    """Return *raw* in our words. Some models end a turn in which tools are called like any other."""
    reason = FINISH_REASONS.get(word(raw), FinishReason.UNKNOWN)
    return FinishReason.TOOL_CALLS if called and reason is FinishReason.STOP else reason


def _read_block(owner: str, block: dict[str, Any], text: str | None, seed: str) -> list[Part]:
    if "text" in block:
        return [Text(block["text"])] if word(block["text"]) else []
    call = block.get("toolUse")
    if isinstance(call, dict) and not call.get("type"):
        return [_read_call(call, text, seed)]
    thought = block.get("reasoningContent")
    if isinstance(thought, dict):
        return [_read_thought(owner, thought, block)]
    cited = block.get("citationsContent")
    if isinstance(cited, dict):
        said = cited_text(cited)
        return [Text(said), Native(owner, block)] if said else []
    return [Native(owner, block)] if block else []


def _read_thought(owner: str, thought: dict[str, Any], block: dict[str, Any]) -> Thinking:
    said = thought.get("reasoningText")
    if not isinstance(said, dict):
        return Thinking(provider=owner, data=block)
    extra = None if said.keys() <= _OF_A_THOUGHT and len(thought) == 1 else block
    return Thinking(word(said.get("text")), word(said.get("signature")) or None, provider=owner, data=extra)


def _read_call(call: dict[str, Any], text: str | None, seed: str) -> ToolCall:
    arguments, kept, invalid = decode_arguments(call.get("input") if text is None else text)
    return ToolCall(word(call.get("toolUseId")) or made_up_id(seed), word(call.get("name")), arguments, text=kept, invalid=invalid)


def read_usage(usage: Any) -> Usage:
    """Return *usage* in our meaning: the wire's ``inputTokens`` are those that the cache had no part in."""
    if not isinstance(usage, dict) or not usage:
        return UNREPORTED
    read, made = count(usage.get("cacheReadInputTokens")), count(usage.get("cacheWriteInputTokens"))
    return Usage(
        input_tokens=count(usage.get("inputTokens")) + read + made,
        output_tokens=count(usage.get("outputTokens")),
        cache_read_tokens=read,
        cache_write_tokens=made,
    )


def decode_models(response: HttpResponse) -> list[ModelInfo]:
    answer = object_in(response)
    refuse_errors(answer, response)
    rows = answer.get("modelSummaries")
    if not isinstance(rows, list):
        raise WireError.malformed("The reply lists no models.", response)
    return [
        ModelInfo(id=word(row.get("modelId")), owned_by=word(row.get("providerName")) or None, raw=row)
        for row in objects(rows)
        if word(row.get("modelId"))
    ]
