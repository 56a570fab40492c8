"""
Reading whole answers of Chat Completions, and lists of models.

Rule 1: any field but the HTTP status may be missing, null, empty or of another type; nothing here is indexed unseen.
Rule 2: a good status proves nothing: an error object inside it is an error.

Source: OpenAI API reference, "Create chat completion", and recorded traffic of some thirty compatible servers; 2026-11-21.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Protocol

from attrs import define, field

from llmkit.dialects.base import WireError
from llmkit.dialects.openai_faults import count, is_text, load_json, refuse_errors, request_id, word
from llmkit.models.content import Message, Part, Text, Thinking, ToolCall
from llmkit.models.fault import Fault
from llmkit.models.info import ModelInfo
from llmkit.models.reading import decode_arguments
from llmkit.models.request import CompletionRequest
from llmkit.models.response import CompletionResponse, FinishReason
from llmkit.models.usage import Usage
from llmkit.transport.base import HttpResponse

__all__ = ["CallInMaking", "Quirks", "decode", "decode_models", "finish_reason", "read_content", "read_thoughts", "read_usage", "refuse_broken_off", "thinking"]

FINISH_REASONS: Mapping[str, FinishReason] = {
    "stop": FinishReason.STOP,
    "eos": FinishReason.STOP,
    "eos_token": FinishReason.STOP,
    "stop_sequence": FinishReason.STOP,
    "end_turn": FinishReason.STOP,
    "length": FinishReason.LENGTH,
    "max_tokens": FinishReason.LENGTH,
    "model_length": FinishReason.LENGTH,
    "model_context_window_exceeded": FinishReason.LENGTH,
    "tool_calls": FinishReason.TOOL_CALLS,
    "tool_use": FinishReason.TOOL_CALLS,
    "function_call": FinishReason.TOOL_CALLS,
    "content_filter": FinishReason.CONTENT_FILTER,
    "sensitive": FinishReason.CONTENT_FILTER,
    "refusal": FinishReason.REFUSAL,
    "error": FinishReason.ERROR,
    "network_error": FinishReason.ERROR,
    "insufficient_system_resource": FinishReason.ERROR,
}

# Reasons that say the server broke off: the answer is none, whatever text came before.
BROKEN_OFF: Mapping[str, str] = {"insufficient_system_resource": "overloaded", "network_error": "server"}

class Quirks(Protocol):
    """What reading must know of the server: fields of the dialect."""

    @property
    def owner(self) -> str: ...
    @property
    def think_tags(self) -> bool: ...
    @property
    def hidden_output(self) -> bool: ...


def decode(quirks: Quirks, response: HttpResponse, request: CompletionRequest) -> CompletionResponse:
    answer = load_json(response.body, response)
    refuse_errors(answer, response)
    choices = answer.get("choices")
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        raise WireError.malformed("The reply has no choices.", response)
    choice = choices[0]
    message = choice.get("message")
    if not isinstance(message, dict):
        raise WireError.malformed("The reply's first choice has no message.", response)
    raw_reason = choice.get("finish_reason")
    refuse_broken_off(raw_reason)
    answer_id = str(answer.get("id") or "") or None
    parts = _read_message(quirks, message, answer_id)
    return CompletionResponse(
        message=Message("assistant", parts),
        finish_reason=finish_reason(raw_reason, parts, refused=is_text(message.get("refusal"))),
        raw_finish_reason=raw_reason if is_text(raw_reason) else None,
        usage=read_usage(answer.get("usage"), quirks.hidden_output),
        id=answer_id,
        model=word(answer.get("model")) or request.model,
        request_id=request_id(response.headers),
        raw=answer,
    )


def _read_message(quirks: Quirks, message: Mapping[str, Any], answer_id: str | None) -> list[Part]:
    text, thoughts, blocks = read_content(message.get("content"))
    thoughts = thoughts or read_thoughts(message)
    if quirks.think_tags and not thoughts:
        thoughts, text = split_think_tags(text)
    text = text or word(message.get("refusal"))
    parts: list[Part] = []
    details = message.get("reasoning_details")
    if thoughts or (isinstance(details, list) and details):
        parts.append(thinking(quirks, thoughts, details, blocks))
    if text:
        parts.append(Text(text))
    calls = message.get("tool_calls")
    old = message.get("function_call")
    if not isinstance(calls, list):
        calls = []
    if not calls and isinstance(old, dict) and old.get("name"):
        calls = [{"function": old}]
    for index, call in enumerate(calls):
        assembled = CallInMaking(index=index)
        if isinstance(call, dict):
            assembled.add(call)
        if assembled.name:
            parts.append(assembled.made(quirks.owner, answer_id))
    return parts


def thinking(quirks: Quirks, text: str, details: Any, blocks: list[Any]) -> Thinking:
    data: dict[str, Any] = {}
    if isinstance(details, list) and details:
        data["reasoning_details"] = details
    if blocks:
        data["content"] = blocks
    return Thinking(text, provider=quirks.owner, data=data or None)


def read_content(content: Any) -> tuple[str, str, list[Any]]:
    """Return text, thoughts and the blocks the thoughts came in, from a string or a list of blocks."""
    if isinstance(content, str):
        return content, "", []
    if not isinstance(content, list):
        return "", "", []
    texts: list[str] = []
    thoughts: list[str] = []
    blocks: list[Any] = []
    for block in content:
        if isinstance(block, str):
            texts.append(block)
        elif not isinstance(block, dict):
            continue
        elif block.get("type") in ("thinking", "reasoning"):
            blocks.append(block)
            inner = block.get("thinking") or block.get("summary") or block.get("text")
            thoughts.append(inner if isinstance(inner, str) else read_content(inner)[0])
        else:
            texts.append(word(block.get("text")) or word(block.get("refusal")))
    return "".join(texts), "".join(thoughts), blocks


def read_thoughts(holder: Mapping[str, Any]) -> str:
    """Return the thoughts of a message or delta. One server may say them twice, as text and as details: they count once."""
    text = holder.get("reasoning_content") or holder.get("reasoning")
    if isinstance(text, str):
        return text
    details = holder.get("reasoning_details")
    if not isinstance(details, list):
        return ""
    return "".join(word(item.get("text")) or word(item.get("summary")) for item in details if isinstance(item, dict))


def split_think_tags(text: str) -> tuple[str, str]:
    """Return thoughts and answer of a text that begins with ``<think>``; one that never closes is all thought."""
    opened = text.lstrip()
    if not opened.startswith("<think>"):
        return "", text
    thoughts, _, answer = opened[7:].partition("</think>")
    return thoughts.strip("\n"), answer.lstrip("\n")


def finish_reason(raw: Any, parts: list[Part], *, refused: bool = False) -> FinishReason:
    reason = FINISH_REASONS.get(raw, FinishReason.UNKNOWN) if is_text(raw) else FinishReason.STOP
    if reason in (FinishReason.LENGTH, FinishReason.CONTENT_FILTER, FinishReason.ERROR):
        return reason  # a call may be cut here, so it is not offered as one
    if any(isinstance(part, ToolCall) for part in parts):
        return FinishReason.TOOL_CALLS  # some servers say "stop" beside calls
    return FinishReason.REFUSAL if refused else reason


def refuse_broken_off(raw: Any) -> None:
    kind = BROKEN_OFF.get(raw) if isinstance(raw, str) else None
    if kind is not None:
        raise WireError(Fault(status=200, kind=kind, code=raw, message=f"The server broke the answer off: {raw}."))


def read_usage(usage: Any, hidden_output: bool = False) -> Usage:
    """Return *usage* in our meaning, from any of the spellings servers have for it."""
    if not isinstance(usage, dict):
        return Usage(reported=False)
    given = usage.get("prompt_tokens_details")
    taken = usage.get("completion_tokens_details")
    details = given if isinstance(given, dict) else {}
    spent = taken if isinstance(taken, dict) else {}
    prompt, completion = count(usage.get("prompt_tokens")), count(usage.get("completion_tokens"))
    total = count(usage.get("total_tokens"))
    if hidden_output and total > prompt + completion:
        completion = total - prompt
    cached = details.get("cached_tokens") or usage.get("prompt_cache_hit_tokens") or usage.get("cached_tokens")
    written = details.get("cache_write_tokens") or details.get("cache_creation_input_tokens") or usage.get("cache_creation_input_tokens")
    return Usage(
        input_tokens=prompt,
        output_tokens=completion,
        cache_read_tokens=min(count(cached), prompt),
        cache_write_tokens=min(count(written), prompt),
        reasoning_tokens=min(count(spent.get("reasoning_tokens") or usage.get("reasoning_tokens")), completion),
    )


@define(kw_only=True)
class CallInMaking:
    """A tool call being put together."""

    index: int
    id: str = ""
    name: str = ""
    pieces: list[str] = field(factory=list)
    extra: dict[str, Any] = field(factory=dict)
    object: Mapping[str, Any] | None = None

    def add(self, delta: Mapping[str, Any]) -> str:
        """Take in *delta* and return the fragment of arguments it brought. Only what is not empty overwrites."""
        function = delta.get("function")
        function = function if isinstance(function, dict) else {}
        self.id = self.id or word(delta.get("id"))
        self.name = self.name or word(function.get("name"))
        if isinstance(delta.get("extra_content"), dict):
            self.extra["extra_content"] = delta["extra_content"]
        arguments = function.get("arguments")
        if isinstance(arguments, dict):
            self.object = arguments
            return ""
        fragment = word(arguments)
        if fragment:
            self.pieces.append(fragment)
        return fragment

    def made(self, owner: str, answer_id: str | None) -> ToolCall:
        text = "".join(self.pieces)
        arguments, kept, invalid = decode_arguments(self.object if self.object is not None and not text else text)
        data = {"provider": owner, **self.extra} if self.extra else None
        return ToolCall(self.id or self._own_id(text, answer_id), self.name, arguments, text=kept, invalid=invalid, data=data)

    def _own_id(self, text: str, answer_id: str | None) -> str:
        # Some servers give none. Made of what is known, so that the same bytes always give the same id.
        seed = f"{answer_id}/{self.index}/{self.name}/{text}"
        return "call_" + hashlib.sha256(seed.encode("utf-8", "replace")).hexdigest()[:24]

    def is_whole(self) -> bool:
        arguments, _, invalid = decode_arguments("".join(self.pieces))
        return self.object is not None or (bool(arguments) and invalid is None)


def decode_models(response: HttpResponse) -> list[ModelInfo]:
    listing = load_json(response.body, response, kinds=(dict, list))
    if isinstance(listing, dict):
        refuse_errors(listing, response)
    rows = listing.get("data", listing.get("models")) if isinstance(listing, dict) else listing
    if not isinstance(rows, list):
        raise WireError.malformed("The reply lists no models.", response)
    return [_model(row) for row in rows if isinstance(row, dict)]


def _model(row: Mapping[str, Any]) -> ModelInfo:
    window = row.get("context_window") or row.get("context_length") or row.get("max_model_len") or row.get("max_context_length")
    created = row.get("created")
    return ModelInfo(
        id=word(row.get("id")) or word(row.get("model_id")) or word(row.get("name")),
        owned_by=word(row.get("owned_by")) or None,
        created=int(created) if isinstance(created, (int, float)) else None,
        context_window=count(window) or None,
        raw=row,
    )


