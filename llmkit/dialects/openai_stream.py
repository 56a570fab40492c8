"""
Reading streams of Chat Completions.

Rule: a stream is complete when every choice has its finish reason, or ``[DONE]`` came; bytes ending is no proof.

Source: OpenAI API reference, "Chat completion chunk", and recorded streams of some thirty compatible servers; 2026-11-21.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import define, field

from llmkit.dialects.base import StreamDecoder, WireError
from llmkit.dialects.framing import FramingError, SSEDecoder, loads
from llmkit.dialects.openai_answers import (
    FINISH_REASONS,
    CallInMaking,
    Quirks,
    decode,
    finish_reason,
    read_content,
    read_thoughts,
    read_usage,
    refuse_broken_off,
    thinking,
)
from llmkit.dialects.openai_faults import is_text, refuse_errors, request_id, word
from llmkit.models.content import Message, Part, Text
from llmkit.models.request import CompletionRequest
from llmkit.models.response import CompletionChunk, CompletionResponse, FinishReason, ToolCallDelta
from llmkit.models.usage import Usage
from llmkit.transport.base import HttpResponse

__all__ = ["decode_as_whole", "decoder"]


def decode_as_whole(quirks: Quirks, response: HttpResponse) -> CompletionResponse:
    """Return the answer of a server that streams whether asked to or not."""
    reader = ChatStream(quirks=quirks, headers=response.headers)
    reader.feed(response.body)
    reader.finish()
    return reader.response()


def decoder(quirks: Quirks, response: HttpResponse, request: CompletionRequest) -> StreamDecoder:
    if "json" in response.headers.get("content-type", ""):
        return WholeAnswer(quirks=quirks, answer_to=response, request=request)
    return ChatStream(quirks=quirks, headers=response.headers, asked=request.model)


@define(kw_only=True)
class WholeAnswer:
    """A stream that was asked for and answered with one JSON document: an answer, or an error with a good status."""

    quirks: Quirks
    answer_to: HttpResponse
    request: CompletionRequest
    ended: bool = False
    _pieces: list[bytes] = field(factory=list, init=False)
    _response: CompletionResponse | None = field(default=None, init=False)

    def feed(self, data: bytes) -> list[CompletionChunk]:
        self._pieces.append(data)
        return []

    def finish(self) -> list[CompletionChunk]:
        whole = HttpResponse(status=self.answer_to.status, headers=self.answer_to.headers, body=b"".join(self._pieces))
        answer = self._response = decode(self.quirks, whole, self.request)
        self.ended = True
        chunks = [
            CompletionChunk(tool_call=ToolCallDelta(index, call.id, call.name, call.text or "{}"))
            for index, call in enumerate(answer.tool_calls)
        ]
        last = CompletionChunk(answer.text, answer.thinking, None, answer.finish_reason, answer.usage, answer.raw)
        return [*chunks, last]

    def response(self) -> CompletionResponse:
        return self._response or CompletionResponse(message=Message("assistant"), model=self.request.model)


class _Calls:
    """The tool calls of one choice: deltas find theirs by id, then by index, then by order."""

    def __init__(self) -> None:
        self.all: list[CallInMaking] = []
        self._by_index: dict[int, CallInMaking] = {}

    def find(self, delta: Mapping[str, Any]) -> CallInMaking:
        call_id = word(delta.get("id"))
        index = delta.get("index")
        function = delta.get("function")
        named = isinstance(function, dict) and bool(word(function.get("name")))
        if call_id:
            for call in self.all:
                if call.id == call_id:
                    return call
        known = self._by_index.get(index) if isinstance(index, int) else None
        if known is not None:
            # Two ids under one index are two calls, if the second brings a name of its own; else the id merely changed.
            other = bool(call_id) and bool(known.id) and named
            return self._new(index) if other else known
        if isinstance(index, int) or call_id or not self.all:
            return self._new(index)
        last = self.all[-1]
        return self._new(None) if named and (not last.name or last.is_whole()) else last

    def _new(self, index: Any) -> CallInMaking:
        call = CallInMaking(index=len(self.all))
        self.all.append(call)
        if isinstance(index, int):
            self._by_index[index] = call
        return call


@define
class _Choice:
    """One choice being put together."""

    texts: list[str] = field(factory=list)
    thoughts: list[str] = field(factory=list)
    refusals: list[str] = field(factory=list)
    details: list[Any] = field(factory=list)
    blocks: list[Any] = field(factory=list)
    logprobs: dict[str, list[Any]] = field(factory=dict)
    calls: _Calls = field(factory=_Calls)
    reason: str | None = None


@define(kw_only=True)
class ChatStream:
    """The decoder of a Chat Completions stream."""

    quirks: Quirks
    headers: Mapping[str, str]
    asked: str = ""
    ended: bool = False
    _sse: SSEDecoder = field(factory=SSEDecoder, init=False)
    _choices: dict[int, _Choice] = field(factory=dict, init=False)
    _usage: Usage | None = field(default=None, init=False)
    _raw_usage: Any = field(default=None, init=False)
    _head: dict[str, Any] = field(factory=dict, init=False)
    _tags: _ThinkTags | None = field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        self._choices[0] = _Choice()
        self._tags = _ThinkTags() if self.quirks.think_tags else None

    def feed(self, data: bytes) -> list[CompletionChunk]:
        try:
            return self._read(self._sse.feed(data))
        except FramingError as error:
            raise WireError.malformed(str(error)) from None

    def finish(self) -> list[CompletionChunk]:
        try:
            chunks = self._read(self._sse.finish())
        except FramingError as error:
            raise WireError.malformed(str(error)) from None
        if not self.ended and not self._is_complete():
            raise WireError.truncated("The stream ended before the answer was complete: no finish reason came, and no [DONE].")
        if self._tags is not None and (rest := self._tags.finish()):
            chunks.append(self._said(rest[0], rest[1]))
        self.ended = True
        return chunks

    def _is_complete(self) -> bool:
        return all(choice.reason is not None for choice in self._choices.values())

    def _read(self, events: list[Any]) -> list[CompletionChunk]:
        chunks: list[CompletionChunk] = []
        for event_type, data in events:
            if data.startswith("[DONE]"):
                self.ended = True
                break
            event = loads(data)
            if event.__class__ is not dict:
                raise WireError.malformed("An event of the stream is no JSON object.")
            if "error" in event or "error_code" in event or event_type == "error" or "choices" not in event:
                refuse_errors(event, None, event_type)
            choices = event.get("choices")
            if choices and choices.__class__ is list:
                self._read_choices(choices, event, chunks)
            elif not self._head:
                self._note_head(event)
            usage = event.get("usage") or _groq_usage(event)
            if usage:
                self._raw_usage = usage
                self._usage = read_usage(usage, self.quirks.hidden_output)
                if chunks and chunks[-1].raw is event:
                    chunks[-1].usage = self._usage
                else:
                    chunks.append(CompletionChunk("", "", None, None, self._usage, event))
        return chunks

    def _read_choices(self, choices: list[Any], event: dict[str, Any], chunks: list[CompletionChunk]) -> None:
        for choice in choices:
            if choice.__class__ is not dict:
                raise WireError.malformed("A choice of the stream is no JSON object.")
            delta = choice.get("delta")
            if delta.__class__ is not dict:
                # Old Text Generation WebUIs stream a whole "message"; a last event may have neither.
                delta = choice.get("message") if choice.get("message").__class__ is dict else {}
            index = choice.get("index") or 0
            reason = choice.get("finish_reason")
            # The common event first: a piece of text and nothing else.
            text = delta.get("content")
            if (
                text.__class__ is str
                and index == 0
                and not reason
                and self._head
                and self._tags is None
                and (len(delta) == 1 or (len(delta) == 2 and "role" in delta))
                and not choice.get("logprobs")
            ):
                if text:
                    self._choices[0].texts.append(text)
                    chunks.append(CompletionChunk(text, "", None, None, None, event))
                continue
            self._read_choice(index, choice, delta, event, chunks)

    def _read_choice(
        self, index: Any, choice: dict[str, Any], delta: dict[str, Any], event: dict[str, Any], chunks: list[CompletionChunk]
    ) -> None:
        if not self._head:
            self._note_head(event)
        if choice.get("error"):
            refuse_errors({"error": choice["error"]}, None)
        state = self._choices.get(index) if isinstance(index, int) else self._choices[0]
        if state is None:
            state = self._choices[index] = _Choice()
        text, thoughts, blocks = read_content(delta.get("content"))
        thoughts = thoughts or read_thoughts(delta)
        refusal = word(delta.get("refusal"))
        state.blocks.extend(blocks)
        details = delta.get("reasoning_details")
        if isinstance(details, list):
            state.details.extend(details)
        _collect_logprobs(state, choice.get("logprobs"))
        if self._tags is not None and index == 0:
            inside, text = self._tags.feed(text)
            thoughts += inside
        state.texts.append(text)
        state.thoughts.append(thoughts)
        if refusal:
            state.refusals.append(refusal)
        deltas = self._read_calls(state, delta)
        reason = choice.get("finish_reason")
        finished = None
        if is_text(reason):
            refuse_broken_off(reason)
            state.reason = reason
            finished = FINISH_REASONS.get(reason, FinishReason.UNKNOWN)
        if index == 0 and (text or refusal or thoughts or deltas or finished is not None):
            first, *others = deltas or [None]
            chunks.append(CompletionChunk(text or refusal, thoughts, first, None, None, event))
            chunks.extend(CompletionChunk("", "", other, None, None, event) for other in others)
            chunks[-1].finish_reason = finished

    def _read_calls(self, state: _Choice, delta: dict[str, Any]) -> list[ToolCallDelta]:
        calls = delta.get("tool_calls")
        old = delta.get("function_call")
        if not isinstance(calls, list) or not calls:
            if not isinstance(old, dict) or not (old.get("name") or old.get("arguments")):
                return []
            calls = [{"index": 0, "function": old}]
        deltas = []
        for piece in calls:
            if not isinstance(piece, dict):
                continue
            call = state.calls.find(piece)
            fresh = not call.name
            fragment = call.add(piece)
            named = fresh and bool(call.name)
            if named or fragment:
                deltas.append(ToolCallDelta(call.index, call.id or None if named else None, call.name if named else None, fragment))
        return deltas

    def _said(self, thoughts: str, text: str) -> CompletionChunk:
        state = self._choices[0]
        state.texts.append(text)
        state.thoughts.append(thoughts)
        return CompletionChunk(text, thoughts)

    def _note_head(self, event: Mapping[str, Any]) -> None:
        # Azure's first event has empty strings for all of it, so what comes later may still fill them.
        head = {key: value for key, value in event.items() if key not in ("choices", "usage", "obfuscation")}
        if head.get("model") or head.get("id"):
            self._head = head

    def response(self) -> CompletionResponse:
        state = self._choices[0]
        answer_id = word(self._head.get("id")) or None
        parts: list[Part] = []
        thoughts = "".join(state.thoughts)
        if thoughts or state.details:
            parts.append(thinking(self.quirks, thoughts, state.details, state.blocks))
        text = "".join(state.texts) or "".join(state.refusals)
        if text:
            parts.append(Text(text))
        parts.extend(call.made(self.quirks.owner, answer_id) for call in state.calls.all if call.name)
        proven = self.ended or state.reason is not None
        reason = finish_reason(state.reason, parts, refused=bool(state.refusals)) if proven else FinishReason.UNKNOWN
        return CompletionResponse(
            message=Message("assistant", parts),
            finish_reason=reason,
            raw_finish_reason=state.reason,
            usage=self._usage or Usage(reported=False),
            id=answer_id,
            model=word(self._head.get("model")) or self.asked,
            request_id=request_id(self.headers),
            raw={**self._head, "object": "chat.completion", "choices": self._raw_choices(), "usage": self._raw_usage},
        )

    def _raw_choices(self) -> list[dict[str, Any]]:
        return [_raw_choice(index, state, self.quirks.owner) for index, state in sorted(self._choices.items())]


def _raw_choice(index: int, state: _Choice, owner: str) -> dict[str, Any]:
    """Return a streamed choice in the shape it would have had in a whole answer."""
    message: dict[str, Any] = {"role": "assistant", "content": "".join(state.texts) or None}
    if any(state.thoughts):
        message["reasoning_content"] = "".join(state.thoughts)
    if state.details:
        message["reasoning_details"] = state.details
    if state.refusals:
        message["refusal"] = "".join(state.refusals)
    if state.calls.all:
        message["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": "".join(call.pieces)}, **call.extra}
            for call in state.calls.all
        ]
    return {"index": index, "message": message, "finish_reason": state.reason, "logprobs": state.logprobs or None}


@define
class _ThinkTags:
    """Tells thoughts from answer in a text that comes in pieces and may begin with ``<think>``."""

    _held: str = field(default="", init=False)
    _where: str = field(default="before", init=False)

    def feed(self, text: str) -> tuple[str, str]:
        """Return the thoughts and the answer that *text* adds; what may still become a tag is held back."""
        if self._where == "after":
            return "", text
        self._held += text
        if self._where == "before":
            opened = self._held.lstrip()
            if "<think>".startswith(opened[:7]) and len(opened) < 7:
                return "", ""
            if not opened.startswith("<think>"):
                self._where = "after"
                held, self._held = self._held, ""
                return "", held
            self._where = "inside"
            self._held = opened[7:].lstrip("\n")
        thoughts, closed, answer = self._held.partition("</think>")
        if closed:
            self._where, self._held = "after", ""
            return thoughts, answer.lstrip("\n")
        keep = next((n for n in range(min(8, len(thoughts)), 0, -1) if "</think>".startswith(thoughts[-n:])), 0)
        self._held = thoughts[len(thoughts) - keep :]
        return thoughts[: len(thoughts) - keep], ""

    def finish(self) -> tuple[str, str] | None:
        """Return what was held back, as thoughts and answer."""
        held, self._held = self._held, ""
        if not held:
            return None
        return (held, "") if self._where == "inside" else ("", held)


def _groq_usage(event: Mapping[str, Any]) -> Any:
    extra = event.get("x_groq")
    return extra.get("usage") if isinstance(extra, dict) else None


def _collect_logprobs(state: _Choice, logprobs: Any) -> None:
    if not isinstance(logprobs, dict):
        return
    for key, items in logprobs.items():
        if isinstance(items, list):
            state.logprobs.setdefault(key, []).extend(items)


