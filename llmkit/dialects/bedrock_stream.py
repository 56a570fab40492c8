"""
Reading Converse's streams.

Rule 1: a stream is complete when its message stopped; the usage comes behind that, and is waited for. Bytes ending is no proof.
Rule 2: what is put together here is an answer as the service would have sent it whole, and is read as one.

Source: AWS, "Amazon Bedrock API reference", ``ConverseStreamOutput``, by botocore 1.44.5, and streams recorded by pydantic-ai; read
2026-11-21.
"""

from __future__ import annotations

from typing import Any

from attrs import field

from llmkit.dialects.aws_stream import FramedEvents
from llmkit.dialects.base import StreamDecoder, WireError
from llmkit.dialects.bedrock_answers import decode, finish_reason, is_stream, read_answer, read_usage
from llmkit.dialects.reading import StreamReader
from llmkit.dialects.whole import WholeAnswer
from llmkit.dialects.wire_json import word
from llmkit.models.chunk import CompletionChunk, ToolCallDelta
from llmkit.models.reading import decode_arguments
from llmkit.models.response import CompletionResponse
from llmkit.transport.base import HttpResponse
from llmkit.values import define

__all__ = ["ConverseEvents", "decode_as_whole", "decoder"]


def decode_as_whole(owner: str, response: HttpResponse, asked: str) -> CompletionResponse:
    """Return the answer of a server that streams though it was not asked to."""
    return ConverseEvents(owner=owner, answer_to=response, asked=asked).whole()


def decoder(owner: str, response: HttpResponse, asked: str) -> StreamDecoder:
    if "json" in response.headers.get("content-type", "") and not is_stream(response):
        return WholeAnswer(answer_to=response, asked=asked, read=lambda whole: decode(owner, whole, asked))
    return ConverseEvents(owner=owner, answer_to=response, asked=asked)


class BlockInMaking:
    """A block of the content being put together. ``call`` is its place among the calls of the answer, None where it is none."""

    __slots__ = ("call", "citations", "input", "other", "texts", "thoughts")

    def __init__(self, start: dict[str, Any], call: int | None) -> None:
        self.call = call
        self.texts: list[str] = []
        self.thoughts: dict[str, list[str]] = {}  # text, seal and sealed content of a thought, in pieces
        self.input: list[str] = []  # of a call, in pieces
        self.citations: list[Any] = []
        self.other: dict[str, Any] = {key: dict(value) if isinstance(value, dict) else value for key, value in start.items()}

    def add(self, delta: dict[str, Any]) -> None:
        """Take in a delta that is neither text, thought nor input: lists grow, everything else is set."""
        for key, value in delta.items():
            if key == "citation":
                self.citations.append(value)
                continue
            made = self.other.setdefault(key, {})
            if isinstance(made, dict) and isinstance(value, list):
                made["content"] = [*made.get("content", ()), *value]  # what a tool of the server's gave back
            elif isinstance(made, dict) and isinstance(value, dict):
                made.update(value)
            else:
                self.other[key] = value

    def made(self) -> tuple[dict[str, Any], str | None]:
        """Return the block as far as it has come, and the input of a call as the model wrote it."""
        if self.thoughts:
            grown = {key: "".join(pieces) for key, pieces in self.thoughts.items()}
            if "redactedContent" in grown:
                return {"reasoningContent": {"redactedContent": grown["redactedContent"]}}, None
            return {"reasoningContent": {"reasoningText": {"text": "", **grown}}}, None
        text = "".join(self.texts)
        if self.citations:
            return {"citationsContent": {"content": [{"text": text}], "citations": self.citations}}, None
        if not self.other:
            return {"text": text}, None
        call = self.other.get("toolUse")
        if not isinstance(call, dict):
            return dict(self.other), None
        given = "".join(self.input)
        return {"toolUse": {**call, "input": dict(decode_arguments(given)[0])}}, given or None


@define(kw_only=True)
class ConverseEvents(StreamReader):
    """The decoder of a stream."""

    owner: str
    asked: str
    _frames: FramedEvents = field(init=False)
    _role: str = field(default="assistant", init=False)
    _blocks: list[BlockInMaking] = field(factory=list, init=False)
    _open: dict[Any, BlockInMaking] = field(factory=dict, init=False)
    _calls: int = field(default=0, init=False)
    _stopped: bool = field(default=False, init=False)
    _end: dict[str, Any] = field(factory=dict, init=False)  # what stands beside the message in a whole answer

    def __attrs_post_init__(self) -> None:
        self._frames = FramedEvents(self.answer_to)

    def _read(self, data: bytes, chunks: list[CompletionChunk]) -> None:
        for kind, event in self._frames.read(data):
            self._take(kind, event, chunks)
            if self.ended:
                break

    def _finish(self, chunks: list[CompletionChunk]) -> None:
        self._read(b"", chunks)
        if not self._stopped:
            message = "The stream ended before the answer was complete: no messageStop came."
            raise WireError.truncated(message, self.answer_to)

    def _take(self, kind: str, event: dict[str, Any], chunks: list[CompletionChunk]) -> None:
        if kind == "contentBlockDelta":
            self._take_delta(event, chunks)
        elif kind == "contentBlockStart":
            self._begin_block(event, chunks)
        elif kind == "contentBlockStop":
            self._end_block(event, chunks)
        elif kind == "messageStop":
            self._stop(event, chunks)
        elif kind == "metadata":
            self._close(event, chunks)
        elif kind == "messageStart":
            self._role = word(event.get("role")) or self._role

    def _take_delta(self, event: dict[str, Any], chunks: list[CompletionChunk]) -> None:
        delta, index = event.get("delta"), event.get("contentBlockIndex")
        if delta.__class__ is not dict or index.__class__ is not int:
            raise WireError.malformed("An event of the stream adds nothing, or to no block.", self.answer_to)
        block = self._open.get(index)
        if block is None:
            # Only calls and the like are announced.
            block = self._open[index] = BlockInMaking({}, None)
            self._blocks.append(block)
        text = delta.get("text")
        if text.__class__ is str:
            block.texts.append(text)
            if text:
                chunks.append(CompletionChunk(text, "", None, None, None, {"contentBlockDelta": event}))
        elif "reasoningContent" in delta:
            self._take_thought(block, delta["reasoningContent"], event, chunks)
        elif "toolUse" in delta:
            self._take_input(block, delta["toolUse"], event, chunks)
        else:
            block.add(delta)

    def _take_thought(self, block: BlockInMaking, thought: Any, event: dict[str, Any], chunks: list[CompletionChunk]) -> None:
        if not isinstance(thought, dict):
            return
        for key, value in thought.items():
            if isinstance(value, str):
                block.thoughts.setdefault(key, []).append(value)
        text = word(thought.get("text"))
        if text:
            chunks.append(CompletionChunk("", text, None, None, None, {"contentBlockDelta": event}))

    def _take_input(self, block: BlockInMaking, piece: Any, event: dict[str, Any], chunks: list[CompletionChunk]) -> None:
        if "toolUse" not in block.other:
            raise WireError.malformed("An event of the stream adds to a tool call that was not begun.", self.answer_to)
        fragment = word(piece.get("input")) if isinstance(piece, dict) else ""
        if not fragment:
            return
        block.input.append(fragment)
        if block.call is not None:
            delta = ToolCallDelta(block.call, None, None, fragment)
            chunks.append(CompletionChunk("", "", delta, None, None, {"contentBlockDelta": event}))

    def _begin_block(self, event: dict[str, Any], chunks: list[CompletionChunk]) -> None:
        start, index = event.get("start"), event.get("contentBlockIndex")
        if not isinstance(start, dict) or not isinstance(index, int):
            raise WireError.malformed("A block of the stream is begun without one.", self.answer_to)
        call = start.get("toolUse")
        is_call = isinstance(call, dict) and not call.get("type")
        block = self._open[index] = BlockInMaking(start, self._calls if is_call else None)
        self._blocks.append(block)
        if isinstance(call, dict) and is_call:
            delta = ToolCallDelta(self._calls, word(call.get("toolUseId")) or None, word(call.get("name")) or None, "")
            self._calls += 1
            chunks.append(CompletionChunk("", "", delta, None, None, {"contentBlockStart": event}))

    def _end_block(self, event: dict[str, Any], chunks: list[CompletionChunk]) -> None:
        index = event.get("contentBlockIndex")
        block = self._open.pop(index, None) if isinstance(index, int) else None
        if block is not None and block.call is not None and not block.input:
            # A tool without arguments is called without any.
            delta = ToolCallDelta(block.call, None, None, "{}")
            chunks.append(CompletionChunk("", "", delta, None, None, {"contentBlockStop": event}))

    def _stop(self, event: dict[str, Any], chunks: list[CompletionChunk]) -> None:
        self._stopped = True
        self._end.update({key: value for key, value in event.items() if key != "p"})  # which is padding
        finished = finish_reason(event.get("stopReason"), called=self._calls > 0)
        chunks.append(CompletionChunk("", "", None, finished, None, {"messageStop": event}))

    def _close(self, event: dict[str, Any], chunks: list[CompletionChunk]) -> None:
        self._end.update({key: value for key, value in event.items() if key != "p"})
        self.ended = self._stopped
        usage = read_usage(event.get("usage"))
        if usage.reported:
            chunks.append(CompletionChunk("", "", None, None, usage, {"metadata": event}))

    def response(self) -> CompletionResponse:
        blocks: list[dict[str, Any]] = []
        texts: dict[int, str] = {}
        for index, made in enumerate(self._blocks):
            block, text = made.made()
            blocks.append(block)
            if text is not None and made.call is not None:
                texts[index] = text
        answer = {"output": {"message": {"role": self._role, "content": blocks}}, **self._end}
        return read_answer(self.owner, answer, self.answer_to, self.asked, texts)
