"""
Reading streams of Chat Completions.

Rule: a stream is complete when every choice has its finish reason, or ``[DONE]`` came; bytes ending is no proof.

Source: OpenAI API reference, "Chat completion chunk", and recorded streams of some thirty compatible servers; 2026-11-21.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import field

from llmkit.dialects.base import StreamDecoder, WireError, request_id
from llmkit.dialects.framing import loads
from llmkit.dialects.framing.sse import SSEDecoder, SSEEvent
from llmkit.dialects.openai_answers import BROKEN_OFF, decode, finish_reason, is_stream, read_usage, refuse_broken_off, usage_in
from llmkit.dialects.openai_faults import is_text, load_json, refuse_errors
from llmkit.dialects.openai_pieces import ChoiceInMaking, Quirks
from llmkit.dialects.reading import StreamReader, cut_off
from llmkit.dialects.whole import WholeAnswer
from llmkit.dialects.wire_json import label, word
from llmkit.models.chunk import CompletionChunk
from llmkit.models.request import CompletionRequest
from llmkit.models.response import CompletionResponse, FinishReason
from llmkit.models.usage import Usage
from llmkit.transport.base import HttpResponse
from llmkit.values import define

__all__ = ["decode_as_whole", "decoder"]


def decode_as_whole(quirks: Quirks, response: HttpResponse, request: CompletionRequest) -> CompletionResponse:
    """Return the answer of a server that streams whether asked to or not."""
    return ChatStream(quirks=quirks, answer_to=response, asked=request.model).whole()


def decoder(quirks: Quirks, response: HttpResponse, request: CompletionRequest) -> StreamDecoder:
    if "json" in response.headers.get("content-type", ""):
        return WholeAnswer(
            answer_to=response,
            asked=request.model,
            read=lambda whole: (decode_as_whole if is_stream(whole) else decode)(quirks, whole, request),
        )
    return ChatStream(quirks=quirks, answer_to=response, asked=request.model)


@define(kw_only=True)
class ChatStream(StreamReader):
    """The decoder of a Chat Completions stream."""

    quirks: Quirks
    asked: str
    _sse: SSEDecoder = field(factory=SSEDecoder, init=False)
    _first: ChoiceInMaking = field(init=False)
    _choices: dict[int, ChoiceInMaking] = field(init=False)
    _usage: Usage | None = field(default=None, init=False)
    _raw_usage: Mapping[str, Any] | None = field(default=None, init=False)
    _head: dict[str, Any] = field(factory=dict, init=False)  # what events say beside choices and usage
    _named: bool = field(default=False, init=False)  # whether the head knows its answer's id or model

    def __attrs_post_init__(self) -> None:
        self._first = ChoiceInMaking(self.quirks)
        self._choices = {0: self._first}

    def _read(self, data: bytes, chunks: list[CompletionChunk]) -> None:
        self._read_events(self._sse.feed(data), chunks)

    def _finish(self, chunks: list[CompletionChunk]) -> None:
        self._read_events(self._sse.finish(), chunks)
        self._end(chunks)

    def _cut_off(self) -> WireError:
        return cut_off(
            self.answer_to,
            self._sse,
            "The stream ended before the answer was complete: no finish reason came, and no [DONE].",
            has_begun=bool(self._head or self._first.texts),
            refuse=lambda whole: refuse_errors(load_json(whole.body, whole), whole),
        )

    def _end(self, chunks: list[CompletionChunk], *, proven: bool = False) -> None:
        if self.ended:
            return
        if not proven and any(choice.reason is None for choice in self._choices.values()):
            raise self._cut_off()
        if not any(choice.texts for choice in self._choices.values()):
            raise WireError.malformed("The stream has no choices.", self.answer_to)
        self.ended = True
        for index, choice in self._choices.items():
            thoughts, text = choice.end()
            # Who ends without a reason has stopped of itself; whoever waits for one in the chunks is told.
            unsaid = None if choice.reason is not None else finish_reason(None, called=choice.has_calls(), refused=bool(choice.refusals))
            if index == 0 and (thoughts or text or unsaid is not None):
                chunks.append(CompletionChunk(text, thoughts, None, unsaid))

    def _read_events(self, events: list[SSEEvent], chunks: list[CompletionChunk]) -> None:
        for event_type, data in events:
            if data.startswith("[DONE]"):
                self._end(chunks, proven=True)
                break
            event = loads(data)
            if event.__class__ is not dict:
                raise WireError.malformed("An event of the stream is no JSON object.", self.answer_to)
            choices = event.get("choices")
            if not choices or "error" in event or "error_code" in event or "base_resp" in event or event_type == "error":
                self._refuse_errors(event, data, event_type)
            if choices:
                self._read_choices(choices, event, chunks)
            if not self._named:
                self._note_head(event)
            if event.get("usage") or "x_groq" in event:
                self._read_usage(event, chunks)

    def _refuse_errors(self, event: dict[str, Any], data: str, event_type: str) -> None:
        try:
            refuse_errors(event, self.answer_to, data, event_type)
        except WireError:
            self._read_usage(event, [])  # what was generated until then is paid for
            raise

    def _read_choices(self, choices: Any, event: dict[str, Any], chunks: list[CompletionChunk]) -> None:
        if choices.__class__ is not list:
            raise WireError.malformed("The choices of the stream are no JSON array.", self.answer_to)
        for choice in choices:
            if choice.__class__ is not dict:
                raise WireError.malformed("A choice of the stream is no JSON object.", self.answer_to)
            # The common event first: a piece of text and nothing else.
            delta = choice.get("delta")
            if delta.__class__ is dict and not choice.get("index") and not choice.get("finish_reason"):
                text = delta.get("content")
                if (
                    text.__class__ is str
                    and self._first.tags is None
                    and (len(delta) == 1 or (len(delta) == 2 and "role" in delta))
                    and not choice.get("logprobs")
                    and "error" not in choice
                ):
                    self._first.texts.append(text)
                    if text:
                        chunks.append(CompletionChunk(text, "", None, None, None, event))
                    continue
            self._read_choice(choice, event, chunks)

    def _read_choice(self, choice: dict[str, Any], event: dict[str, Any], chunks: list[CompletionChunk]) -> None:
        refuse_errors({"error": choice.get("error")}, self.answer_to)
        index = choice.get("index")
        if not isinstance(index, int):
            index = 0
        made = self._choices.get(index)
        if made is None:
            made = self._choices[index] = ChoiceInMaking(self.quirks)
        text, thoughts, deltas = made.add(made.delta_of(choice))
        made.add_logprobs(choice.get("logprobs"))
        reason = choice.get("finish_reason")
        finished = None
        if is_text(reason) and reason not in BROKEN_OFF:
            made.reason = reason
            finished = finish_reason(reason, called=made.has_calls(), refused=bool(made.refusals))
            self._note_head(event)
        if index == 0 and (text or thoughts or deltas or finished is not None):
            chunks.append(CompletionChunk(text, thoughts, deltas[0] if deltas else None, None, None, event))
            chunks.extend(CompletionChunk("", "", other, None, None, event) for other in deltas[1:])
            chunks[-1].finish_reason = finished
        refuse_broken_off(reason, self.answer_to)

    def _read_usage(self, event: dict[str, Any], chunks: list[CompletionChunk]) -> None:
        usage = usage_in(event)
        if usage is None:
            return
        self._raw_usage = usage
        self._usage = read_usage(usage, self.quirks.hidden_output)
        if chunks and chunks[-1].raw is event:
            chunks[-1].usage = self._usage
        else:
            chunks.append(CompletionChunk("", "", None, None, self._usage, event))

    def _note_head(self, event: Mapping[str, Any]) -> None:
        # Azure's first event has empty strings for most of it, so what is empty leaves its place to what comes later.
        for key, value in event.items():
            if value and key not in ("choices", "usage", "obfuscation"):
                self._head.setdefault(key, value)
        self._named = "id" in self._head or "model" in self._head

    def response(self) -> CompletionResponse:
        made = self._first
        answer_id = label(self._head.get("id"))
        finished = FinishReason.UNKNOWN
        if self.ended or made.reason is not None:
            finished = finish_reason(made.reason, called=made.has_calls(), refused=bool(made.refusals))
        choices = [choice.raw(index) for index, choice in sorted(self._choices.items())]
        return CompletionResponse(
            message=made.message(answer_id),
            finish_reason=finished,
            raw_finish_reason=made.reason,
            usage=self._usage or Usage(reported=False),
            id=answer_id,
            model=word(self._head.get("model")) or self.asked,
            request_id=request_id(self.answer_to.headers),
            raw={**self._head, "object": "chat.completion", "choices": choices, "usage": self._raw_usage},
        )
