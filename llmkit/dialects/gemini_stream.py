"""
Reading Gemini's streams.

Rule 1: a stream is complete when each candidate has its ``finishReason``, or the prompt its ``blockReason``; bytes ending is no proof.
Rule 2: an error in the middle comes as bare JSON between the events, without ``data:``. What stands so at the beginning of a line is
        read as such, and so is the list of pieces that a server sends which knows no events.
Rule 3: each event is an answer of its own, in the shape of the whole: they are put together part by part, and read as one.

Source: google-genai 3.4.0, ``_api_client.py``, reading of streams; recorded streams of both services; 2026-11-21.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from attrs import field

from llmkit.dialects.base import WireError
from llmkit.dialects.framing import FramingError, loads
from llmkit.dialects.framing.sse import SSEDecoder
from llmkit.dialects.gemini_answers import arguments_text, block_reason, finish_reason, made, read_call, read_usage
from llmkit.dialects.gemini_faults import refuse_error, table
from llmkit.dialects.reading import StreamReader
from llmkit.dialects.wire_json import word
from llmkit.models.chunk import CompletionChunk, ToolCallDelta
from llmkit.models.fault import Fault
from llmkit.models.request import CompletionRequest
from llmkit.models.response import CompletionResponse, FinishReason
from llmkit.transport.base import BODY_LIMIT, ERROR_BODY_LIMIT, HttpResponse
from llmkit.values import define

__all__ = ["GeminiStream", "joined"]

# What may be said of a text that it shares with the next piece of it.
_RUNNING = frozenset({"text", "thought"})

OPENING = b"{["
LINE_FEED = 10


def joined(owner: str, pieces: Iterable[Any], response: HttpResponse, request: CompletionRequest) -> dict[str, Any]:
    """Return the whole answer of which *pieces* are the parts. Raises ``WireError`` if they are not all there."""
    stream = GeminiStream(owner=owner, answer_to=response, request=request)
    stream.read(pieces)
    stream.finish()
    return stream.raw()


class CandidateInMaking:
    """One candidate being put together. ``calls`` counts its tool calls."""

    __slots__ = ("_run", "_thought", "calls", "parts", "reason", "rest")

    def __init__(self) -> None:
        self.parts: list[Any] = []
        self.calls = 0
        self.reason = ""
        self.rest: dict[str, Any] = {}  # what is said of it beside content and reason
        self._run: list[str] = []  # the pieces of a text that may go on
        self._thought = False

    def add_text(self, text: str, thought: bool = False) -> None:
        if thought is not self._thought:
            self._settle()
            self._thought = thought
        self._run.append(text)

    def add(self, part: dict[str, Any]) -> None:
        text = part.get("text")
        if isinstance(text, str) and part.keys() <= _RUNNING:
            self.add_text(text, part.get("thought") is True)
            return
        # A sealed part is joined with no other.
        self._settle()
        self.parts.append(part)

    def _settle(self) -> None:
        self.parts.extend(self._running())
        self._run = []

    def _running(self) -> list[Any]:
        text = "".join(self._run)
        if not text:
            return []
        return [{"text": text, "thought": True} if self._thought else {"text": text}]

    def raw(self, index: int) -> dict[str, Any]:
        """Return it in the shape that it has in a whole answer."""
        parts = [*self.parts, *self._running()]
        content = {"content": {"role": "model", "parts": parts}} if parts else {}
        reason = {"finishReason": self.reason} if self.reason else {}
        return {**content, **reason, "index": index, **self.rest}


@define(kw_only=True)
class GeminiStream(StreamReader):
    """The decoder of one stream."""

    owner: str
    request: CompletionRequest
    _sse: SSEDecoder = field(factory=SSEDecoder, init=False)
    _bare: bytearray | None = field(default=None, init=False)  # JSON that stands in no event
    _begins_line: bool = field(default=True, init=False)
    _first: CandidateInMaking = field(factory=CandidateInMaking, init=False)
    _candidates: dict[int, CandidateInMaking] = field(factory=dict, init=False)
    _head: dict[str, Any] = field(factory=dict, init=False)  # what events say beside candidates and usage
    _usage: dict[str, Any] | None = field(default=None, init=False)  # each event's counts include those before it
    _seen: bool = field(default=False, init=False)  # whether any event came
    _closing: bool = field(default=False, init=False)  # whether any came that may be the last

    def _read(self, data: bytes, chunks: list[CompletionChunk]) -> None:
        if not data:
            return
        if self._bare is not None:
            self._bare += data
            self._read_bare(chunks)
        elif b"\n{" in data or b"\n[" in data or (self._begins_line and data[0] in OPENING):
            start = self._bare_from(data)
            self._read_events(self._sse.feed(data[:start]), chunks)
            self._read_events(self._sse.finish(), chunks)
            self._bare = bytearray(data[start:])
            self._read_bare(chunks)
        else:
            self._begins_line = data[-1] == LINE_FEED
            self._read_events(self._sse.feed(data), chunks)
        if self._closing:
            self.ended = self._is_proven() and self._has_all()

    def _finish(self, chunks: list[CompletionChunk]) -> None:
        self._read_events(self._sse.finish(), chunks)
        if self._bare:
            self._read_bare(chunks, last=True)
        if not self._is_proven():
            raise self._cut_off()

    def _cut_off(self) -> WireError:
        rest = bytes(self._bare or self._sse.leftover)
        if rest and not (self._seen or self._bare or self._sse.stops_inside):
            whole = HttpResponse(status=self.answer_to.status, headers=self.answer_to.headers, body=rest)
            return WireError.malformed("The reply is no stream of events.", whole)
        return WireError.truncated("The stream ended before the answer was complete: no finish reason came.", self.answer_to)

    def _is_proven(self) -> bool:
        if not self._candidates:
            return bool(block_reason(self._head))
        return all(candidate.reason for candidate in self._candidates.values())

    def _has_all(self) -> bool:
        """Whether no further candidate can come: there is one, but for those who asked otherwise in their own words."""
        config = (self.request.extra_body or {}).get("generationConfig")
        wanted = config.get("candidateCount") if isinstance(config, Mapping) else None
        return not isinstance(wanted, int) or len(self._candidates) >= wanted or not self._candidates

    # -- bare JSON

    def _bare_from(self, data: bytes) -> int:
        """Return where in *data* a line begins with bare JSON."""
        if self._begins_line and data[0] in OPENING:
            return 0
        return min(found + 1 for mark in (b"\n{", b"\n[") if (found := data.find(mark)) >= 0)

    def _read_bare(self, chunks: list[CompletionChunk], *, last: bool = False) -> None:
        """Read the bare JSON if it is whole, which in the middle of a stream only short ones, errors, are looked at for."""
        bare = self._bare
        assert bare is not None  # the caller has it
        if len(bare) > BODY_LIMIT:
            message = f"The reply is longer than {BODY_LIMIT} bytes."
            raise WireError(Fault(status=self.answer_to.status, kind="response_too_large", message=message))
        if not last and (len(bare) > ERROR_BODY_LIMIT or not bare.rstrip().endswith((b"}", b"]"))):
            return
        text = bytes(bare)
        try:
            value = loads(text)
        except FramingError:
            return  # not whole yet
        bare.clear()
        self._read_pieces(value if isinstance(value, list) else [value], chunks, text.decode("utf-8", "replace"))

    # -- events

    def read(self, pieces: Iterable[Any]) -> None:
        """Take in decoded *pieces*, in place of bytes."""
        self._read_pieces(pieces, [])

    def _read_events(self, events: Iterable[tuple[str, str]], chunks: list[CompletionChunk]) -> None:
        for _, data in events:
            if data.startswith("[DONE]"):
                continue  # not Google's own word, but that of gateways before it
            event = loads(data)
            if event.__class__ is dict:
                # The common event first: a piece of text and nothing else.
                candidates = event.get("candidates")
                if candidates.__class__ is list and len(candidates) == 1 and self._read_plain(candidates[0], event, chunks):
                    continue
            self._read_pieces(event if event.__class__ is list else [event], chunks, data)

    def _read_plain(self, candidate: Any, event: dict[str, Any], chunks: list[CompletionChunk]) -> bool:
        """Take in *candidate* if it brings one piece of text and nothing else, and return whether it does."""
        if candidate.__class__ is not dict or candidate.get("finishReason") or candidate.get("index") or "error" in event:
            return False
        content = candidate.get("content")
        parts = content.get("parts") if content.__class__ is dict else None
        if parts.__class__ is not list or len(parts) != 1 or not self._seen:
            return False
        part = parts[0]
        if part.__class__ is not dict or len(part) != 1:
            return False
        text = part.get("text")
        if text.__class__ is not str or len(candidate) > 1 + ("index" in candidate):
            return False
        self._first.add_text(text)
        self._candidates[0] = self._first
        usage = event.get("usageMetadata")
        if usage.__class__ is dict:
            self._usage = usage
        if text:
            chunks.append(CompletionChunk(text, "", None, None, None, event))
        return True

    def _read_pieces(self, pieces: Iterable[Any], chunks: list[CompletionChunk], text: str | None = None) -> None:
        for piece in pieces:
            if not isinstance(piece, dict):
                raise WireError.malformed("An event of the stream is no JSON object.", self.answer_to)
            refuse_error(piece, self.answer_to, text)
            self._seen = True
            self._head.update((key, value) for key, value in piece.items() if key not in ("candidates", "usageMetadata"))
            if isinstance(piece.get("usageMetadata"), dict):
                self._usage = piece["usageMetadata"]
            candidates = piece.get("candidates") or []
            if not isinstance(candidates, list):
                raise WireError.malformed("The candidates of the stream are no JSON array.", self.answer_to)
            for candidate in candidates:
                self._read_candidate(candidate, piece, chunks)
            if not self._candidates and block_reason(piece):
                self._closing = True
                chunks.append(CompletionChunk("", "", None, FinishReason.CONTENT_FILTER, read_usage(self._usage), piece))

    def _read_candidate(self, candidate: Any, piece: dict[str, Any], chunks: list[CompletionChunk]) -> None:
        if not isinstance(candidate, dict):
            raise WireError.malformed("A candidate of the stream is no JSON object.", self.answer_to)
        index = candidate.get("index")
        if not isinstance(index, int):
            index = 0
        found = self._candidates.get(index)
        if found is None:
            found = self._candidates[index] = CandidateInMaking() if index else self._first
        said: list[CompletionChunk] = []
        parts = table(candidate.get("content")).get("parts")
        for part in parts if isinstance(parts, list) else ():
            if isinstance(part, dict) and part:
                self._read_part(part, found, piece, said)
        found.rest.update((key, value) for key, value in candidate.items() if key not in ("content", "finishReason", "index"))
        reason = word(candidate.get("finishReason"))
        if reason:
            found.reason = reason
            self._closing = True
        if index != 0:
            return
        if reason:
            if not said:
                said.append(CompletionChunk("", "", None, None, None, piece))
            said[-1].finish_reason = finish_reason(reason, called=bool(found.calls))
            said[-1].usage = read_usage(self._usage)
        chunks.extend(said)

    def _read_part(self, part: dict[str, Any], found: CandidateInMaking, piece: dict[str, Any], said: list[CompletionChunk]) -> None:
        found.add(part)
        call = part.get("functionCall")
        text = part.get("text")
        if isinstance(call, dict) and word(call.get("name")):
            if call.get("partialArgs") or call.get("willContinue"):
                msg = "A call came in pieces: its arguments are understood only without streamFunctionCallArguments."
                raise WireError.malformed(msg, self.answer_to)
            whole = read_call(self.owner, part, found.calls, word(self._head.get("responseId")) or None)
            written = whole.text if whole.text is not None else arguments_text(whole.arguments)
            delta = ToolCallDelta(found.calls, whole.id, whole.name, written)
            found.calls += 1
            said.append(CompletionChunk("", "", delta, None, None, piece))
        elif not isinstance(text, str):
            said.append(CompletionChunk("", "", None, None, None, piece))  # a picture, code that ran: in ``raw``
        elif text and part.get("thought") is True:
            said.append(CompletionChunk("", text, None, None, None, piece))
        elif text:
            said.append(CompletionChunk(text, "", None, None, None, piece))

    # -- the whole

    def raw(self) -> dict[str, Any]:
        """Return what has come in the shape of a whole answer."""
        candidates = [candidate.raw(index) for index, candidate in sorted(self._candidates.items())]
        usage = {"usageMetadata": self._usage} if self._usage is not None else {}
        return {**({"candidates": candidates} if candidates else {}), **usage, **self._head}

    def response(self) -> CompletionResponse:
        return made(self.owner, self.raw(), self.answer_to, self.request.model, ended=self.ended)
