"""
Reading Cohere's streams.

Rule: a stream is complete when ``message-end`` came, which brings the reason and the usage; bytes ending is no proof, nor ``[DONE]``.

Source: Cohere API reference, "Chat with streaming (v2)", the package cohere 7.3.1, and recorded streams; read 2026-11-21.
"""

from __future__ import annotations

from typing import Any

from attrs import field

from llmkit.dialects.base import StreamDecoder, WireError, request_id
from llmkit.dialects.cohere_answers import (
    Call,
    decode,
    finish_reason,
    message_of,
    names_of,
    read_usage,
    refuse_broken_off,
    refuse_error,
)
from llmkit.dialects.cohere_turns import PLAN
from llmkit.dialects.framing import loads
from llmkit.dialects.framing.sse import SSEDecoder, SSEEvent
from llmkit.dialects.reading import StreamReader, cut_off
from llmkit.dialects.whole import WholeAnswer
from llmkit.dialects.wire_json import at, label, object_in, objects, word
from llmkit.models.chunk import CompletionChunk, ToolCallDelta
from llmkit.models.request import CompletionRequest
from llmkit.models.response import CompletionResponse, FinishReason
from llmkit.models.usage import UNREPORTED, Usage
from llmkit.transport.base import HttpResponse
from llmkit.values import define

__all__ = ["ChatEvents", "WholeAnswer", "decode_as_whole", "decoder"]


def decode_as_whole(owner: str, response: HttpResponse, request: CompletionRequest) -> CompletionResponse:
    """Return the answer of a server that streams whether asked to or not."""
    return ChatEvents(owner=owner, answer_to=response, request=request).whole()


def decoder(owner: str, response: HttpResponse, request: CompletionRequest) -> StreamDecoder:
    if "json" in response.headers.get("content-type", ""):
        return WholeAnswer(answer_to=response, asked=request.model, read=lambda whole: decode(owner, whole, request))
    return ChatEvents(owner=owner, answer_to=response, request=request)


class _Block:
    """A piece of content being put together: its texts grow, its other fields are as they came last."""

    __slots__ = ("fields", "texts")

    def __init__(self) -> None:
        self.fields: dict[str, Any] = {}
        self.texts: dict[str, list[str]] = {}

    def add(self, piece: dict[str, Any]) -> tuple[str, str]:
        """Take in *piece* and return the text and the thoughts that it adds."""
        for key, value in piece.items():
            if key != "type" and isinstance(value, str):
                self.texts.setdefault(key, []).append(value)
            else:
                self.fields[key] = value
        kind = self.kind
        return word(piece.get("text")) if kind == "text" else "", word(piece.get("thinking")) if kind == "thinking" else ""

    @property
    def kind(self) -> Any:
        # Where its beginning was lost, what it brings tells.
        return self.fields.get("type") or next((key for key in ("text", "thinking") if key in self.texts), None)

    def made(self) -> dict[str, Any]:
        return {"type": self.kind, **self.fields, **{key: "".join(pieces) for key, pieces in self.texts.items()}}


class _GrowingCall:
    """A tool call being put together. ``index`` is its place among the calls."""

    __slots__ = ("id", "index", "name", "pieces")

    def __init__(self, index: int) -> None:
        self.index = index
        self.id = ""
        self.name = ""
        self.pieces: list[str] = []

    def made(self) -> Call:
        return Call(self.id, self.name, "".join(self.pieces))

    def raw(self) -> dict[str, Any]:
        return {"id": self.id, "type": "function", "function": {"name": self.name, "arguments": "".join(self.pieces)}}


@define(kw_only=True)
class ChatEvents(StreamReader):
    """The decoder of a stream of events."""

    owner: str
    request: CompletionRequest
    _sse: SSEDecoder = field(factory=SSEDecoder, init=False)
    _names: dict[str, str] = field(init=False)
    _id: str | None = field(default=None, init=False)
    _blocks: dict[int, _Block] = field(factory=dict, init=False)
    _plan: list[str] = field(factory=list, init=False)
    _calls: dict[int, _GrowingCall] = field(factory=dict, init=False)
    _citations: list[Any] = field(factory=list, init=False)
    _logprobs: list[Any] = field(factory=list, init=False)
    _begun: bool = field(default=False, init=False)
    _reason: Any = field(default=None, init=False)
    _usage: Usage = field(default=UNREPORTED, init=False)
    _raw_usage: Any = field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        self._names = names_of(self.request)

    def _read(self, data: bytes, chunks: list[CompletionChunk]) -> None:
        self._read_events(self._sse.feed(data), chunks)

    def _finish(self, chunks: list[CompletionChunk]) -> None:
        self._read_events(self._sse.finish(), chunks)
        if not self.ended:
            raise self._cut_off()

    def _cut_off(self) -> WireError:
        return cut_off(
            self.answer_to,
            self._sse,
            "The stream ended before the answer was complete: no message-end came.",
            has_begun=self._begun,
            refuse=lambda whole: refuse_error(object_in(whole), whole),
        )

    def _read_events(self, events: list[SSEEvent], chunks: list[CompletionChunk]) -> None:
        for event_type, data in events:
            if data.startswith("[DONE]"):
                raise self._cut_off()  # it stands behind the end, which did not come
            event = loads(data)
            if event.__class__ is not dict:
                raise WireError.malformed("An event of the stream is no JSON object.", self.answer_to)
            kind = event.get("type") or event_type
            if kind == "content-delta":
                self._read_content(event, chunks)
            else:
                self._read_other(kind, event, data, chunks)
            if self.ended:
                break

    def _read_other(self, kind: Any, event: dict[str, Any], data: str, chunks: list[CompletionChunk]) -> None:
        message = at(event.get("delta"), "message")
        if kind == "content-start":
            self._read_content(event, chunks)
        elif kind == "tool-plan-delta":
            plan = word(at(message, PLAN))
            if plan:
                self._plan.append(plan)
                chunks.append(CompletionChunk("", plan, None, None, None, event))
        elif kind in ("tool-call-start", "tool-call-delta"):
            self._read_call(at(message, "tool_calls"), event, chunks, begins=kind == "tool-call-start")
        elif kind == "citation-start":
            citations = at(message, "citations")
            self._citations += [citations] if isinstance(citations, dict) else objects(citations)
        elif kind == "message-start":
            self._id = label(event.get("id")) or self._id
        elif kind == "message-end":
            self._end(event, chunks)
        else:
            refuse_error(event, self.answer_to, data)  # of a kind that is not known: nothing, unless it is an error
        self._begun = True

    def _read_content(self, event: dict[str, Any], chunks: list[CompletionChunk]) -> None:
        self._begun = True
        content = at(at(event.get("delta"), "message"), "content")
        if not isinstance(content, dict):
            return
        index = event.get("index")
        block = self._block(index if isinstance(index, int) else 0)
        text, thoughts = block.add(content)
        if text or thoughts:
            chunks.append(CompletionChunk(text, thoughts, None, None, None, event))
        if "logprobs" in event:
            logprobs = event["logprobs"]
            self._logprobs += [logprobs] if isinstance(logprobs, dict) else objects(logprobs)

    def _block(self, index: int) -> _Block:
        block = self._blocks.get(index)
        if block is None:
            block = self._blocks[index] = _Block()
        return block

    def _read_call(self, piece: Any, event: dict[str, Any], chunks: list[CompletionChunk], *, begins: bool) -> None:
        if not isinstance(piece, dict):
            piece = next(iter(objects(piece)), None)  # in case that it becomes the list which its name promises
        if piece is None:
            return
        call = self._call(event.get("index"), begins=begins)
        call_id, name = word(piece.get("id")), word(at(piece.get("function"), "name"))
        fragment = word(at(piece.get("function"), "arguments"))
        call.id, call.name = call.id or call_id, call.name or name
        call.pieces.append(fragment)
        shown = self._names.get(name, name)
        if call_id or name or fragment:
            delta = ToolCallDelta(call.index, call_id or None, shown or None, fragment)
            chunks.append(CompletionChunk("", "", delta, None, None, event))

    def _call(self, index: Any, *, begins: bool) -> _GrowingCall:
        known = self._calls.get(index) if isinstance(index, int) else next(reversed(self._calls.values()), None)
        if known is not None and not begins:
            return known
        # Should an index come twice, the calls are two all the same.
        place = index if isinstance(index, int) and known is None else max(self._calls, default=-1) + 1
        call = self._calls[place] = _GrowingCall(len(self._calls))
        return call

    def _end(self, event: dict[str, Any], chunks: list[CompletionChunk]) -> None:
        delta = event.get("delta")
        self._id = self._id or label(event.get("id"))
        self._raw_usage = at(delta, "usage")
        self._usage = read_usage(self._raw_usage)
        self._reason = at(delta, "finish_reason")
        refuse_broken_off(self._reason, at(delta, "error"), self.answer_to)
        self.ended = True
        finished = finish_reason(self._reason, called=self._has_calls())
        chunks.append(CompletionChunk("", "", None, finished, self._usage if self._usage.reported else None, event))

    def _has_calls(self) -> bool:
        return any(call.name for call in self._calls.values())

    def response(self) -> CompletionResponse:
        return CompletionResponse(
            message=message_of(
                self.owner,
                blocks=[block.made() for _, block in sorted(self._blocks.items())],
                plan="".join(self._plan),
                calls=[call.made() for call in self._calls.values()],
                citations=self._citations,
                answer_id=self._id,
                names=self._names,
            ),
            finish_reason=finish_reason(self._reason, called=self._has_calls()) if self.ended else FinishReason.UNKNOWN,
            raw_finish_reason=word(self._reason) or None,
            usage=self._usage,
            id=self._id,
            model=self.request.model,
            request_id=request_id(self.answer_to.headers),
            raw=self._raw(),
        )

    def _raw(self) -> dict[str, Any]:
        """Return what came in the shape of a whole answer, which leaves out what there is none of."""
        message = {
            "content": [block.made() for _, block in sorted(self._blocks.items())],
            PLAN: "".join(self._plan),
            "tool_calls": [call.raw() for call in self._calls.values()],
            "citations": self._citations,
        }
        rest = {"finish_reason": self._reason, "usage": self._raw_usage, "logprobs": self._logprobs}
        return {
            "id": self._id,
            "message": {"role": "assistant", **{key: value for key, value in message.items() if value}},
            **{key: value for key, value in rest.items() if value},
        }
