"""
Reading streams of the Responses wire.

Rule 1: a stream is complete when ``response.completed`` or ``response.incomplete`` came; bytes ending is no proof, nor is ``[DONE]``.
Rule 2: items are told apart by their place in the output: gateways rotate ids from event to event.
Rule 3: the output in the last event counts where it has one; else that of the items' own last events, else their pieces.

Source: OpenAI API reference, "Streaming events" of Responses, and recorded streams of compatible servers; 2026-11-21.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import evolve, field

from llmkit.dialects.base import StreamDecoder, WireError
from llmkit.dialects.framing import loads
from llmkit.dialects.framing.sse import SSEDecoder, SSEEvent
from llmkit.dialects.openai_faults import load_json, refuse_errors
from llmkit.dialects.openai_responses_answers import BROKEN, UNFINISHED, decode, is_stream, read_answer, read_usage, refuse_failure
from llmkit.dialects.reading import StreamReader, cut_off
from llmkit.dialects.whole import WholeAnswer
from llmkit.dialects.wire_json import objects, word
from llmkit.models.chunk import CompletionChunk, ToolCallDelta
from llmkit.models.response import CompletionResponse, FinishReason
from llmkit.transport.base import HttpResponse
from llmkit.values import define

__all__ = ["decode_as_whole", "decoder"]

# Events that bring a piece: the list in the item that it belongs to, the index in that list, the type of the piece, and its text's name.
PIECES: Mapping[str, tuple[str, str, str, str]] = {
    "response.output_text": ("content", "content_index", "output_text", "text"),
    "response.refusal": ("content", "content_index", "refusal", "refusal"),
    "response.reasoning_text": ("content", "content_index", "reasoning_text", "text"),
    "response.reasoning_summary_text": ("summary", "summary_index", "summary_text", "text"),
}
THOUGHTS = ("reasoning_text", "summary_text")
ARGUMENTS = "response.function_call_arguments"
ENDS = ("response.completed", "response.incomplete")
FAILURES = ("response.failed", "response.cancelled")


def decode_as_whole(owner: str, response: HttpResponse, asked: str) -> CompletionResponse:
    """Return the answer of a server that streams though it was not asked to."""
    return ResponseStream(owner=owner, answer_to=response, asked=asked).whole()


def decoder(owner: str, response: HttpResponse, asked: str) -> StreamDecoder:
    if "json" in response.headers.get("content-type", ""):
        return WholeAnswer(
            answer_to=response,
            asked=asked,
            read=lambda whole: (decode_as_whole if is_stream(whole) else decode)(owner, whole, asked),
        )
    return ResponseStream(owner=owner, answer_to=response, asked=asked)


class ItemInMaking:
    """An item of the output being put together. ``call`` is its place among the calls of the answer, None where it is none."""

    __slots__ = ("arguments", "call", "item", "last", "pieces", "whole")

    def __init__(self, item: dict[str, Any], call: int | None) -> None:
        self.item = item
        self.call = call
        self.arguments: list[str] = []
        self.pieces: dict[tuple[str, int, str, str], list[str]] = {}
        self.last: tuple[str, int, str, str] | None = None  # the piece that was added to last
        self.whole = False  # whether the item has come as a whole, in its last event

    def raw(self) -> dict[str, Any]:
        """Return the item as far as it has come."""
        if self.whole:
            return self.item
        item = dict(self.item)
        if self.arguments:
            item["arguments"] = "".join(self.arguments)
        grown: dict[str, list[dict[str, Any]]] = {}
        for (place, _, kind, name), texts in sorted(self.pieces.items()):
            grown.setdefault(place, []).append({"type": kind, name: "".join(texts)})
        return {**item, **grown}


@define(kw_only=True)
class ResponseStream(StreamReader):
    """The decoder of a stream of server-sent events."""

    owner: str
    asked: str
    _sse: SSEDecoder = field(factory=SSEDecoder, init=False)
    _head: dict[str, Any] = field(factory=dict, init=False)  # the response, as the last event that had it says
    _items: dict[int, ItemInMaking] = field(factory=dict, init=False)
    _calls: int = field(default=0, init=False)
    _answer: CompletionResponse | None = field(default=None, init=False)

    def _read(self, data: bytes, chunks: list[CompletionChunk]) -> None:
        self._read_events(self._sse.feed(data), chunks)

    def _finish(self, chunks: list[CompletionChunk]) -> None:
        self._read_events(self._sse.finish(), chunks)
        if self._answer is None:
            raise self._cut_off()

    def response(self) -> CompletionResponse:
        if self._answer is not None:
            return self._answer
        answer = read_answer(self.owner, {"object": "response", **self._head, "output": self._output()}, self.answer_to, self.asked)
        return evolve(answer, finish_reason=FinishReason.UNKNOWN)  # whatever its status: it has not ended

    def _read_events(self, events: list[SSEEvent], chunks: list[CompletionChunk]) -> None:
        for event_type, data in events:
            if data.startswith("[DONE]"):
                break  # what some servers end with, whether the answer is complete or not
            event = loads(data)
            if event.__class__ is not dict:
                raise WireError.malformed("An event of the stream is no JSON object.", self.answer_to)
            kind = event.get("type")
            # The common event first: a piece of text.
            if kind == "response.output_text.delta":
                self._add_piece("response.output_text", event, chunks)
                continue
            if kind == "error" or event_type == "error" or (kind.__class__ is not str and event.get("error")):
                told = event.get("error")
                refuse_errors({"error": told if told else {**event, "type": None}}, self.answer_to, data)
            if kind.__class__ is str:
                self._take(kind, event, chunks)
            if self.ended:
                break

    def _take(self, kind: str, event: dict[str, Any], chunks: list[CompletionChunk]) -> None:
        if kind in ENDS or kind in FAILURES:
            self._end(kind, event, chunks)
            return
        stem, _, moment = kind.rpartition(".")
        if kind == "response.output_item.added":
            self._begin(event, chunks)
        elif kind == "response.output_item.done":
            self._complete(event, chunks)
        elif stem in PIECES:
            if moment == "delta" or not self._has_piece(stem, event):
                self._add_piece(stem, event, chunks)
        elif stem == ARGUMENTS:
            self._add_arguments(event, chunks)
        elif isinstance(event.get("response"), dict):
            self._head = event["response"]

    # -- items

    def _place(self, event: Mapping[str, Any], name: str = "output_index") -> int:
        place = event.get(name)
        if place is None:
            return 0
        if place.__class__ is not int:
            raise WireError.malformed("An event of the stream does not say what it belongs to.", self.answer_to)
        found: int = place
        return found

    def _item(self, event: Mapping[str, Any], kind: str) -> ItemInMaking:
        place = self._place(event)
        made = self._items.get(place)
        if made is None:
            made = self._items[place] = ItemInMaking({"type": kind, "id": event.get("item_id")}, None)
        return made

    def _begin(self, event: dict[str, Any], chunks: list[CompletionChunk]) -> None:
        item = event.get("item")
        if not isinstance(item, dict):
            raise WireError.malformed("An item of the stream is begun without one.", self.answer_to)
        made = self._items[self._place(event)] = ItemInMaking(item, None)
        if item.get("type") == "function_call":
            self._announce(made, item, event, chunks)

    def _announce(self, made: ItemInMaking, item: Mapping[str, Any], event: dict[str, Any], chunks: list[CompletionChunk]) -> None:
        made.call = self._calls
        self._calls += 1
        text = word(item.get("arguments"))
        if text:
            made.arguments.append(text)
        call_id = word(item.get("call_id")) or word(item.get("id")) or None
        delta = ToolCallDelta(made.call, call_id, word(item.get("name")) or None, text)
        chunks.append(CompletionChunk("", "", delta, None, None, event))

    def _complete(self, event: dict[str, Any], chunks: list[CompletionChunk]) -> None:
        """Take in an item as a whole, and give out what none of its pieces had brought."""
        item = event.get("item")
        if not isinstance(item, dict):
            raise WireError.malformed("An item of the stream is ended without one.", self.answer_to)
        made = self._item(event, word(item.get("type")))
        if item.get("type") == "function_call":
            if made.call is None:
                self._announce(made, item, event, chunks)
            elif not made.arguments and word(item.get("arguments")):
                self._add_arguments({**event, "arguments": item["arguments"]}, chunks)
        elif not made.pieces:
            for stem, (place, index_name, kind, _) in PIECES.items():
                for index, piece in enumerate(objects(item.get(place))):
                    if piece.get("type") == kind:
                        self._add_piece(stem, {**piece, "output_index": event.get("output_index"), index_name: index}, chunks, event)
        made.item, made.whole = item, True

    def _has_piece(self, stem: str, event: Mapping[str, Any]) -> bool:
        place, index_name, kind, name = PIECES[stem]
        made = self._items.get(self._place(event))
        return made is not None and (place, self._place(event, index_name), kind, name) in made.pieces

    def _add_piece(self, stem: str, event: dict[str, Any], chunks: list[CompletionChunk], raw: dict[str, Any] | None = None) -> None:
        place, index_name, kind, name = PIECES[stem]
        text = event.get("delta") or event.get(name)
        if text.__class__ is not str or not text:
            return  # some gateways send null
        made = self._item(event, "reasoning" if kind in THOUGHTS else "message")
        key = (place, self._place(event, index_name), kind, name)
        texts = made.pieces.get(key)
        if texts is None:
            texts = made.pieces[key] = []
        texts.append(text)
        if kind in THOUGHTS:
            shown = f"\n\n{text}" if made.last not in (None, key) else text
            chunks.append(CompletionChunk("", shown, None, None, None, raw or event))
        else:
            chunks.append(CompletionChunk(text, "", None, None, None, raw or event))
        made.last = key

    def _add_arguments(self, event: dict[str, Any], chunks: list[CompletionChunk]) -> None:
        made = self._items.get(self._place(event))
        if made is None or made.call is None:
            raise WireError.malformed("An event of the stream adds to a call that was not begun.", self.answer_to)
        fragment = word(event.get("delta")) or ("" if made.arguments else word(event.get("arguments")))
        if fragment:
            made.arguments.append(fragment)
            chunks.append(CompletionChunk("", "", ToolCallDelta(made.call, None, None, fragment), None, None, event))

    def _output(self) -> list[dict[str, Any]]:
        return [made.raw() for _, made in sorted(self._items.items())]

    # -- the end

    def _end(self, kind: str, event: dict[str, Any], chunks: list[CompletionChunk]) -> None:
        last = event.get("response")
        if not isinstance(last, dict):
            raise WireError.malformed("The last event of the stream has no response.", self.answer_to)
        self._head = last
        if kind in FAILURES or last.get("status") in BROKEN:
            refuse_failure({**last, "status": kind.rpartition(".")[2] if kind in FAILURES else last["status"]}, self.answer_to)
        output = last.get("output")
        status = word(last.get("status"))
        if not status or status in UNFINISHED:
            status = kind.rpartition(".")[2]  # the event knows better than a copy of the response from before
        raw = {**last, "status": status, "output": output if isinstance(output, list) and output else self._output()}
        answer = self._answer = read_answer(self.owner, raw, self.answer_to, self.asked)
        self.ended = True
        usage = read_usage(last.get("usage"))
        chunks.append(CompletionChunk("", "", None, answer.finish_reason, usage if usage.reported else None, event))

    def _cut_off(self) -> WireError:
        return cut_off(
            self.answer_to,
            self._sse,
            "The stream ended before the answer was complete: neither response.completed nor response.incomplete came.",
            has_begun=bool(self._head or self._items),
            refuse=lambda whole: refuse_errors(load_json(whole.body, whole), whole),
        )
