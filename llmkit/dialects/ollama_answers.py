"""
Reading Ollama's whole answers, its errors and its list of models.

Rule 1: any field but the HTTP status may be missing, null, empty or of another type; nothing here is indexed unseen.
Rule 2: a good status proves nothing: an error inside it is an error, and an answer that is not ``done`` is none.

Source: Ollama, docs/api.md, api/types.go, server/routes.go and llm/llama_server.go at fb3076099 (August 2026), read 2026-11-21.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from llmkit.dialects.base import WireError, request_id
from llmkit.dialects.framing import FramingError, loads
from llmkit.dialects.think_tags import ThinkTags
from llmkit.dialects.wire_json import at, beginning, count, label, made_up_id, object_in, objects, word
from llmkit.models.chunk import ToolCallDelta
from llmkit.models.content import Message, Part, Text, Thinking, ToolCall
from llmkit.models.fault import Fault
from llmkit.models.info import ModelInfo
from llmkit.models.reading import decode_arguments
from llmkit.models.request import CompletionRequest
from llmkit.models.response import CompletionResponse, FinishReason
from llmkit.models.usage import Usage
from llmkit.transport.base import HttpResponse

__all__ = ["MessageInMaking", "decode", "decode_models", "finish_reason", "read_fault", "read_usage", "refuse_error"]

FINISH_REASONS: Mapping[str, FinishReason] = {
    "": FinishReason.STOP,  # old servers give no reason
    "stop": FinishReason.STOP,
    "length": FinishReason.LENGTH,
    "load": FinishReason.STOP,
    "unload": FinishReason.STOP,
}


def decode(owner: str, response: HttpResponse, request: CompletionRequest) -> CompletionResponse:
    answer = object_in(response)
    if "error" in answer:
        refuse_error(answer, response)
    message = answer.get("message")
    if not isinstance(message, dict):
        raise WireError.malformed("The reply has no message.", response)
    if answer.get("done") is not True:
        raise WireError.truncated("The answer is not complete: it is not marked as done.", response)
    text = message.get("content")
    if isinstance(text, str) and text and len(message) == 2 and "role" in message and "<think>" not in text:
        # The common answer, which is text and nothing else.
        said, called = Message("assistant", (Text(text),)), False
    else:
        made = MessageInMaking(owner)
        made.add(message, answer.get("created_at"))
        made.end()
        said, called = made.message(), bool(made.calls)
    reason = word(answer.get("done_reason"))
    return CompletionResponse(
        message=said,
        finish_reason=finish_reason(reason, called=called),
        raw_finish_reason=reason or None,
        usage=read_usage(answer),
        model=word(answer.get("model")) or request.model,
        request_id=request_id(response.headers),
        raw=answer,
    )


def finish_reason(raw: str, *, called: bool) -> FinishReason:
    """Return *raw* in our words. Ollama never says that it stopped for calls."""
    reason = FINISH_REASONS.get(raw, FinishReason.UNKNOWN)
    return FinishReason.TOOL_CALLS if called and reason is not FinishReason.LENGTH else reason


def read_usage(answer: Mapping[str, Any]) -> Usage:
    """Return the usage in *answer*, its last line where it was streamed. Thinking is counted, but not apart."""
    given, made = answer.get("prompt_eval_count"), answer.get("eval_count")
    if given is None and made is None:
        return Usage(reported=False)
    return Usage(input_tokens=count(given), output_tokens=count(made))


class MessageInMaking:
    """A message being put together, from the lines of a stream or from one that is whole."""

    __slots__ = ("_contents", "_owner", "_rest", "_tags", "_thinking", "calls", "texts", "thoughts")

    def __init__(self, owner: str) -> None:
        self._owner = owner
        # Without a parser of its own for a model, the server leaves its thoughts inside the text.
        self._tags: ThinkTags | None = ThinkTags()
        self._contents: list[str] = []  # this and the thoughts as they came
        self._thinking: list[str] = []
        self._rest: dict[str, Any] = {}
        self.texts: list[str] = []
        self.thoughts: list[str] = []
        self.calls: list[tuple[ToolCall, Mapping[str, Any]]] = []

    def add(self, message: Mapping[str, Any], created: Any) -> tuple[str, str, list[ToolCallDelta]]:
        """Take in *message*, of the line made at *created*, and return the text, the thoughts and the calls that it adds."""
        text, thoughts = word(message.get("content")), word(message.get("thinking"))
        if text:
            self._contents.append(text)
        if thoughts:
            self._thinking.append(thoughts)
        if self._tags is not None and (text or thoughts):
            text, thoughts = self._without_tags(text, thoughts)
        if text:
            self.texts.append(text)
        if thoughts:
            self.thoughts.append(thoughts)
        if len(message) < 3 and "tool_calls" not in message:
            return text, thoughts, []
        self._rest.update({key: value for key, value in message.items() if key not in ("content", "thinking", "tool_calls")})
        deltas = (self._add_call(call, created) for call in objects(message.get("tool_calls")))
        return text, thoughts, [delta for delta in deltas if delta is not None]

    def _without_tags(self, text: str, thoughts: str) -> tuple[str, str]:
        assert self._tags is not None  # the caller looked
        if thoughts:
            held_thoughts, held = self._tags.held()
            self._tags = None
            return held + text, held_thoughts + thoughts
        inside, text = self._tags.feed(text)
        if self._tags.is_over:
            self._tags = None
        return text, inside

    def _add_call(self, call: Mapping[str, Any], created: Any) -> ToolCallDelta | None:
        function = call.get("function")
        name = word(at(function, "name"))
        if not name:
            return None
        arguments, text, invalid = decode_arguments(at(function, "arguments"))
        index = len(self.calls)
        shown = text if text is not None else _text_of(arguments)
        # Servers before 0.12 give no id.
        call_id = label(call.get("id")) or made_up_id(created, index, name, shown)
        self.calls.append((ToolCall(call_id, name, arguments, text=text, invalid=invalid), call))
        return ToolCallDelta(index, call_id, name, shown)

    def end(self) -> tuple[str, str]:
        """Take note that no more comes, and return the text and the thoughts that were held back until now."""
        thoughts, text = self._tags.held() if self._tags is not None else ("", "")
        self._tags = None
        if text:
            self.texts.append(text)
        if thoughts:
            self.thoughts.append(thoughts)
        return text, thoughts

    def message(self) -> Message:
        """Return the message as far as it has come."""
        held_thoughts, held = self._tags.held() if self._tags is not None else ("", "")
        thoughts = "".join(self.thoughts) + held_thoughts
        text = "".join(self.texts) + held
        parts: list[Part] = []
        if thoughts:
            parts.append(Thinking(thoughts, provider=self._owner))
        if text:
            parts.append(Text(text))
        parts.extend(call for call, _ in self.calls)
        return Message("assistant", parts)

    def raw(self) -> dict[str, Any]:
        """Return the message in the shape that it has in a whole answer."""
        message: dict[str, Any] = {"role": "assistant", **self._rest, "content": "".join(self._contents)}
        if self._thinking:
            message["thinking"] = "".join(self._thinking)
        if self.calls:
            message["tool_calls"] = [call for _, call in self.calls]
        return message


def _text_of(arguments: Mapping[str, Any]) -> str:
    try:
        return json.dumps(arguments, ensure_ascii=False)
    except RecursionError:
        return "{}"  # nested too deeply to be written: the call itself has them


# -- errors


def read_fault(response: HttpResponse) -> Fault:
    """Return what a bad reply says. Its body may be of any shape, or no JSON at all."""
    try:
        body = loads(response.body)
    except FramingError:
        body = None
    return _fault(body, response, response.body.decode("utf-8", "replace"))


def refuse_error(answer: Mapping[str, Any], response: HttpResponse, text: str | None = None) -> None:
    """Raise ``WireError`` if *answer*, which was read from *text* where that is not the whole body, is an error in truth."""
    if answer.get("error"):
        raise WireError(_fault(answer, response, response.body.decode("utf-8", "replace") if text is None else text))


def _fault(body: Any, response: HttpResponse, text: str) -> Fault:
    error = at(body, "error")
    # What stands before a server, and its OpenAI-compatible route, says the error as an object.
    inner = error if isinstance(error, dict) else body if isinstance(body, dict) else {}
    message = word(error) or word(inner.get("message")) or word(inner.get("detail"))
    return Fault(
        status=response.status,
        message=message or beginning(text),
        code=label(inner.get("code")),
        type=label(inner.get("type")),
        param=label(inner.get("param")),
        request_id=request_id(response.headers),
        headers=response.headers,
        error=inner,
        body=text,
    )


# -- models


def decode_models(response: HttpResponse) -> list[ModelInfo]:
    answer = object_in(response)
    refuse_error(answer, response)
    rows = answer.get("models", [])
    if rows is not None and not isinstance(rows, list):
        raise WireError.malformed("The reply lists no models.", response)
    found = [(word(row.get("name")) or word(row.get("model")), row) for row in objects(rows)]
    return [
        ModelInfo(id=name, context_window=count(at(row.get("details"), "context_length")) or None, raw=row) for name, row in found if name
    ]
