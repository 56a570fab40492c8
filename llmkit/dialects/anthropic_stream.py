"""
Reading streams of the Messages wire.

Rule 1: a stream is complete when ``message_stop`` came, or the stop reason did and the bytes ended; bytes ending is no proof.
Rule 2: what is put together here is a message as the API would have sent it whole, and is read as one.

``Assembly`` knows events and no bytes, so that hosts which frame the same events otherwise share it.

Source: Anthropic API reference, "Streaming Messages", and recorded streams; read 2026-11-21.
"""

from __future__ import annotations

from typing import Any

from attrs import field

from llmkit.dialects.anthropic_answers import (
    decode,
    finish_reason,
    is_stream,
    read_answer,
    read_arguments,
    read_usage,
    refuse_errors,
    written,
)
from llmkit.dialects.base import StreamDecoder, WireError
from llmkit.dialects.framing import loads
from llmkit.dialects.framing.sse import SSEDecoder, SSEEvent
from llmkit.dialects.reading import StreamReader, cut_off
from llmkit.dialects.whole import WholeAnswer
from llmkit.dialects.wire_json import at, object_in, word
from llmkit.models.chunk import CompletionChunk, ToolCallDelta
from llmkit.models.response import CompletionResponse
from llmkit.transport.base import HttpResponse
from llmkit.values import define

__all__ = ["Assembly", "decode_as_whole", "decoder"]


def decode_as_whole(owner: str, response: HttpResponse, asked: str) -> CompletionResponse:
    """Return the answer of a server that streams though it was not asked to."""
    return MessageStream(owner=owner, answer_to=response, asked=asked).whole()


def decoder(owner: str, response: HttpResponse, asked: str) -> StreamDecoder:
    if "json" in response.headers.get("content-type", ""):
        return WholeAnswer(
            answer_to=response,
            asked=asked,
            read=lambda whole: (decode_as_whole if is_stream(whole) else decode)(owner, whole, asked),
        )
    return MessageStream(owner=owner, answer_to=response, asked=asked)


class BlockInMaking:
    """A block of the content being put together. ``call`` is its place among the calls of the answer, None where it is none."""

    __slots__ = ("block", "call", "grown", "json")

    def __init__(self, block: dict[str, Any], call: int | None) -> None:
        self.block = block
        self.call = call
        self.grown: dict[str, list[str]] = {}  # texts of the block, in pieces
        self.json: list[str] = []  # its input, in pieces

    def grow(self, key: str, text: str) -> None:
        pieces = self.grown.get(key)
        if pieces is None:
            pieces = self.grown[key] = [word(self.block.get(key))]
        pieces.append(text)

    def add(self, delta: dict[str, Any]) -> None:
        """Take in a delta that is neither text, thought nor input: lists and strings grow, everything else is set."""
        kind = delta.get("type")
        if kind == "signature_delta":
            self.block["signature"] = delta.get("signature")
        elif kind == "citations_delta":
            known = self.block.get("citations")
            self.block["citations"] = [*(known if isinstance(known, list) else ()), delta.get("citation")]
        else:
            for key, value in delta.items():
                if key == "type":
                    continue
                if isinstance(value, str):
                    self.grow(key, value)
                elif isinstance(value, list) and isinstance(self.block.get(key), list):
                    self.block[key] = [*self.block[key], *value]
                else:
                    self.block[key] = value

    def made(self) -> tuple[dict[str, Any], str | None]:
        """Return the block as far as it has come, and its input as the model wrote it."""
        block = {**self.block, **{key: "".join(pieces) for key, pieces in self.grown.items()}}
        if not self.json:
            return block, None
        text = "".join(self.json)
        block["input"] = read_arguments(text)[0]
        return block, text


class Assembly:
    """A message being put together from the events of a stream, in whatever frames they came."""

    __slots__ = ("_blocks", "_calls", "_head", "_open", "_owner", "_response", "_usage", "asked", "stopped")

    def __init__(self, *, owner: str, answer_to: HttpResponse, asked: str) -> None:
        self._owner = owner
        self._response = answer_to
        self._head: dict[str, Any] = {}
        self._usage: dict[str, Any] = {}
        self._blocks: list[BlockInMaking] = []
        self._open: dict[Any, BlockInMaking] = {}
        self._calls = 0
        self.asked = asked
        self.stopped = False

    @property
    def is_complete(self) -> bool:
        return self.stopped or bool(word(self._head.get("stop_reason")))

    @property
    def has_begun(self) -> bool:
        return bool(self._head or self._blocks)

    def take(self, event: dict[str, Any], chunks: list[CompletionChunk]) -> None:
        """Take in *event* and add the chunks that it brings. Of a kind that is not known it brings none."""
        kind = event.get("type")
        if kind == "content_block_delta":
            self._take_delta(event, chunks)
        elif kind == "content_block_start":
            self._begin_block(event, chunks)
        elif kind == "content_block_stop":
            self._end_block(event, chunks)
        elif kind == "message_delta":
            self._take_message_delta(event, chunks)
        elif kind == "message_start":
            message = event.get("message")
            if isinstance(message, dict):
                self._head.update(message)
                self._note_usage(message.get("usage"))
        elif kind == "message_stop":
            self.stopped = True

    def _take_delta(self, event: dict[str, Any], chunks: list[CompletionChunk]) -> None:
        delta = event.get("delta")
        index = event.get("index")
        made = self._open.get(index) if index.__class__ is int else None
        if delta.__class__ is not dict or made is None:
            raise WireError.malformed("An event of the stream adds to a block that was not begun.", self._response)
        kind = delta.get("type")
        if kind == "text_delta":
            text = word(delta.get("text"))
            if text:
                made.grow("text", text)
                chunks.append(CompletionChunk(text, "", None, None, None, event))
        elif kind == "input_json_delta":
            fragment = word(delta.get("partial_json"))
            if fragment:
                made.json.append(fragment)
                if made.call is not None:
                    chunks.append(CompletionChunk("", "", ToolCallDelta(made.call, None, None, fragment), None, None, event))
        elif kind == "thinking_delta":
            thought = word(delta.get("thinking"))
            if thought:
                made.grow("thinking", thought)
                chunks.append(CompletionChunk("", thought, None, None, None, event))
        else:
            made.add(delta)

    def _begin_block(self, event: dict[str, Any], chunks: list[CompletionChunk]) -> None:
        block = event.get("content_block")
        index = event.get("index")
        if not isinstance(block, dict) or not isinstance(index, int):
            raise WireError.malformed("A block of the stream is begun without one.", self._response)
        kind = block.get("type")
        is_call = kind == "tool_use"
        made = self._open[index] = BlockInMaking(dict(block), self._calls if is_call else None)
        self._blocks.append(made)
        text = word(block.get("text")) if kind == "text" else ""
        thought = word(block.get("thinking")) if kind == "thinking" else ""
        if is_call:
            delta = ToolCallDelta(self._calls, word(block.get("id")) or None, word(block.get("name")) or None, "")
            self._calls += 1
            chunks.append(CompletionChunk("", "", delta, None, None, event))
        elif text or thought:
            chunks.append(CompletionChunk(text, thought, None, None, None, event))

    def _end_block(self, event: dict[str, Any], chunks: list[CompletionChunk]) -> None:
        index = event.get("index")
        made = self._open.pop(index, None) if isinstance(index, int) else None
        if made is None or made.call is None or made.json:
            return
        # Either the arguments came whole with the block's beginning, or there are none.
        text = written(made.block.get("input") or {})
        chunks.append(CompletionChunk("", "", ToolCallDelta(made.call, None, None, text), None, None, event))

    def _take_message_delta(self, event: dict[str, Any], chunks: list[CompletionChunk]) -> None:
        delta = event.get("delta")
        if isinstance(delta, dict):
            self._head.update(delta)
        self._head.update({key: value for key, value in event.items() if key not in ("type", "delta", "usage")})
        self._note_usage(event.get("usage"))
        raw = at(delta, "stop_reason")
        finished = finish_reason(raw, called=self._calls > 0) if word(raw) else None
        usage = read_usage(self._usage) if self._usage else None
        if finished is not None or usage is not None:
            chunks.append(CompletionChunk("", "", None, finished, usage, event))

    def _note_usage(self, usage: Any) -> None:
        # Later numbers are sums, and may tell less than the first.
        if isinstance(usage, dict):
            self._usage.update({key: value for key, value in usage.items() if value is not None or key not in self._usage})

    def response(self) -> CompletionResponse:
        """Return the answer as far as it has come."""
        blocks: list[dict[str, Any]] = []
        texts: dict[int, str] = {}
        for index, made in enumerate(self._blocks):
            block, text = made.made()
            blocks.append(block)
            if text is not None and made.call is not None:
                texts[index] = text
        message = {**self._head, "content": blocks, "usage": self._usage}
        return read_answer(self._owner, message, self._response, self.asked, texts)


@define(kw_only=True)
class MessageStream(StreamReader):
    """The decoder of a stream of server-sent events."""

    owner: str
    asked: str
    _sse: SSEDecoder = field(factory=SSEDecoder, init=False)
    _made: Assembly = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._made = Assembly(owner=self.owner, answer_to=self.answer_to, asked=self.asked)

    def _read(self, data: bytes, chunks: list[CompletionChunk]) -> None:
        self._read_events(self._sse.feed(data), chunks)

    def _finish(self, chunks: list[CompletionChunk]) -> None:
        self._read_events(self._sse.finish(), chunks)
        if not self._made.is_complete:
            raise self._cut_off()

    def _read_events(self, events: list[SSEEvent], chunks: list[CompletionChunk]) -> None:
        for event_type, data in events:
            event = loads(data)
            if event.__class__ is not dict:
                raise WireError.malformed("An event of the stream is no JSON object.", self.answer_to)
            if "error" in event or event_type == "error":
                refuse_errors({**event, "type": "error"} if event_type == "error" else event, self.answer_to, data)
            self._made.take(event, chunks)
            if self._made.stopped:
                self.ended = True
                break

    def _cut_off(self) -> WireError:
        return cut_off(
            self.answer_to,
            self._sse,
            "The stream ended before the answer was complete: neither a stop reason nor message_stop came.",
            has_begun=self._made.has_begun,
            refuse=lambda whole: refuse_errors(object_in(whole), whole),
        )

    def response(self) -> CompletionResponse:
        return self._made.response()
