"""
Putting answers of Chat Completions together: from the deltas of a stream, or from one message, which is read as a single delta.

Rule 1: any field may be missing, null, empty or of another type; nothing here is indexed unseen.
Rule 2: what a model has to get back (ids, arguments, sealed thoughts) is kept as it came.

Source: OpenAI API reference, "Chat completion chunk", and recorded traffic of some thirty compatible servers; 2026-11-21.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from llmkit.dialects.think_tags import ThinkTags
from llmkit.dialects.wire_json import at, label, word
from llmkit.models.chunk import ToolCallDelta
from llmkit.models.content import Message, Part, Text, Thinking, ToolCall
from llmkit.models.reading import decode_arguments

__all__ = ["CallInMaking", "Calls", "ChoiceInMaking", "Quirks", "joined"]


class Quirks(Protocol):
    """What reading must know of the server: fields of the dialect."""

    @property
    def owner(self) -> str: ...
    @property
    def think_tags(self) -> bool: ...
    @property
    def hidden_output(self) -> bool: ...


class CallInMaking:
    """A tool call being put together. ``index`` is its place among the calls of its choice."""

    __slots__ = ("extra", "id", "index", "name", "pieces")

    def __init__(self, index: int) -> None:
        self.index = index
        self.id = ""
        self.name = ""
        self.pieces: list[str] = []
        self.extra: dict[str, Any] = {}

    def add(self, piece: Mapping[str, Any]) -> str:
        """Take in *piece* and return the fragment of arguments it brought. The first id and name that are not empty count."""
        self.id = self.id or _id_in(piece)
        self.name = self.name or _name_in(piece)
        if isinstance(piece.get("extra_content"), dict):
            self.extra["extra_content"] = piece["extra_content"]
        fragment = _arguments_in(piece)
        if fragment:
            self.pieces.append(fragment)
        return fragment

    def is_whole(self) -> bool:
        """Whether its arguments are complete, so that more of them must be another call's."""
        return bool(self.pieces) and self.pieces[-1].rstrip().endswith("}") and decode_arguments("".join(self.pieces))[2] is None

    def made(self, owner: str, answer_id: str | None) -> ToolCall:
        text = "".join(self.pieces)
        arguments, kept, invalid = decode_arguments(text)
        data = {"provider": owner, **self.extra} if self.extra else None
        return ToolCall(self.id or self._own_id(text, answer_id), self.name, arguments, text=kept, invalid=invalid, data=data)

    def _own_id(self, text: str, answer_id: str | None) -> str:
        # Some servers give none. Made of what is known, so that the same bytes always give the same id.
        seed = f"{answer_id}/{self.index}/{self.name}/{text}"
        return "call_" + hashlib.sha256(seed.encode("utf-8", "replace")).hexdigest()[:24]

    def raw(self) -> dict[str, Any]:
        """Return it in the shape it has in a whole answer."""
        return {"id": self.id, "type": "function", "function": {"name": self.name, "arguments": "".join(self.pieces)}, **self.extra}


def _id_in(piece: Mapping[str, Any]) -> str:
    call_id = word(piece.get("id"))
    return "" if call_id == "null" else call_id  # Mistral's word for none


def _name_in(piece: Mapping[str, Any]) -> str:
    return word(at(piece.get("function"), "name"))


def _arguments_in(piece: Mapping[str, Any]) -> str:
    arguments = at(piece.get("function"), "arguments")
    if isinstance(arguments, dict) and arguments:
        try:
            return json.dumps(arguments, ensure_ascii=False)
        except RecursionError:
            return "…"  # as little JSON as what cannot be read: the call says that its arguments are invalid
    return word(arguments)


class Calls:
    """The tool calls of one choice, in the order in which they began: pieces find theirs by id, then by index, then by order."""

    __slots__ = ("_by_index", "all")

    def __init__(self) -> None:
        self.all: list[CallInMaking] = []
        self._by_index: dict[int, CallInMaking] = {}

    def begin(self, index: int | None = None) -> CallInMaking:
        call = CallInMaking(len(self.all))
        self.all.append(call)
        if index is not None:
            self._by_index[index] = call
        return call

    def find(self, piece: Mapping[str, Any]) -> CallInMaking:
        """Return the call that *piece* belongs to, a new one where it begins one."""
        call_id = _id_in(piece)
        if call_id:
            for call in self.all:
                if call.id == call_id:
                    return call
        index = piece.get("index")
        if not isinstance(index, int):
            return self.all[-1] if self.all and not _is_another(self.all[-1], piece) else self.begin()
        known = self._by_index.get(index)
        return known if known is not None and not _is_another(known, piece) else self.begin(index)


def _is_another(call: CallInMaking, piece: Mapping[str, Any]) -> bool:
    """Whether *piece*, which seems to go on with *call*, begins another: some servers number all calls 0, or none at all."""
    name = _name_in(piece)
    if not name or not call.name:
        return False  # without a name of its own it begins nothing; an id alone may merely have changed
    call_id = _id_in(piece)
    if call_id and call.id:
        return True  # another id, since by the same one it would have been found
    return name != call.name or (bool(_arguments_in(piece)) and call.is_whole())


class ChoiceInMaking:
    """
    One choice being put together.

    ``texts`` has an entry for each delta read, be it empty. ``tags`` is None where thoughts do not come inside the text, or no more.
    """

    __slots__ = (
        "_is_whole",
        "_owner",
        "_refused_at",
        "_speaks_in_messages",
        "blocks",
        "calls",
        "details",
        "logprobs",
        "reason",
        "refusals",
        "tags",
        "texts",
        "thoughts",
        "thoughts_field",
    )

    def __init__(self, quirks: Quirks) -> None:
        self._owner = quirks.owner
        self._is_whole = False
        self._speaks_in_messages = False
        self.tags = ThinkTags() if quirks.think_tags else None
        self.texts: list[str] = []
        self.thoughts: list[str] = []
        self.blocks: list[Any] = []
        self.details: list[Any] = []
        self.refusals: list[str] = []
        self._refused_at: set[int] = set()  # the entries of ``texts`` that are refusals, in place of text
        self.logprobs: dict[str, list[Any]] = {}
        self.calls = Calls()
        self.reason: str | None = None
        self.thoughts_field = "reasoning_content"

    def delta_of(self, choice: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return what *choice*, of an event, adds to this one; empty where it adds nothing."""
        delta = choice.get("delta")
        if isinstance(delta, dict):
            return delta
        message = choice.get("message")
        # Old Text Generation WebUIs stream a "message" in place of each delta; MiniMax repeats all that was said in one at the end.
        if not isinstance(message, dict) or (self.texts and not self._speaks_in_messages):
            return {}
        self._speaks_in_messages = True
        return message

    def add_whole(self, message: Mapping[str, Any]) -> None:
        """Take in *message*, which is the whole answer: nothing in it is a piece of anything else."""
        self._is_whole = True
        self.add(message)

    def add(self, delta: Mapping[str, Any]) -> tuple[str, str, list[ToolCallDelta]]:
        """Take in *delta* and return the text, the thoughts and the pieces of calls that it adds."""
        text, thoughts, blocks = _read_content(delta.get("content"))
        thoughts = thoughts or _read_thoughts(delta)
        if thoughts:
            self._note_thoughts_field(delta)
        self.blocks.extend(blocks)
        details = delta.get("reasoning_details")
        if isinstance(details, list):
            self.details.extend(details)
        if self.tags is not None:
            inside, text = self.tags.feed(text)
            thoughts += inside
            if self.tags.is_over:
                self.tags = None
        refusal = word(delta.get("refusal"))
        if refusal:
            self.refusals.append(refusal)
            if not text:
                self._refused_at.add(len(self.texts))
                text = refusal
        self.texts.append(text)
        self.thoughts.append(thoughts)
        return text, thoughts, [made for piece in _calls_in(delta) if (made := self._add_call(piece)) is not None]

    def _note_thoughts_field(self, delta: Mapping[str, Any]) -> None:
        if not delta.get("reasoning_content") and word(delta.get("reasoning")):
            self.thoughts_field = "reasoning"

    def _add_call(self, piece: Mapping[str, Any]) -> ToolCallDelta | None:
        call = self.calls.begin() if self._is_whole else self.calls.find(piece)
        had_id, had_name = call.id, call.name
        fragment = call.add(piece)
        new_id = call.id if call.id != had_id else None
        new_name = call.name if call.name != had_name else None
        return ToolCallDelta(call.index, new_id, new_name, fragment) if new_id or new_name or fragment else None

    def add_logprobs(self, logprobs: Any) -> None:
        if isinstance(logprobs, dict):
            for key, items in logprobs.items():
                if isinstance(items, list):
                    self.logprobs.setdefault(key, []).extend(items)

    def end(self) -> tuple[str, str]:
        """Take note that no more comes, and return the thoughts and the text that were held back until now."""
        thoughts, text = self.tags.held() if self.tags is not None else ("", "")
        self.tags = None
        self.thoughts.append(thoughts)
        self.texts.append(text)
        return thoughts, text

    def has_calls(self) -> bool:
        return any(call.name for call in self.calls.all)

    def said(self, *, refusals: bool = True) -> tuple[str, str]:
        """Return thoughts and text so far, held back or not; with *refusals* where they stood in place of text."""
        thoughts, text = self.tags.held() if self.tags is not None else ("", "")
        texts = self.texts if refusals else [text for at, text in enumerate(self.texts) if at not in self._refused_at]
        return "".join(self.thoughts) + thoughts, "".join(texts) + text

    def message(self, answer_id: str | None) -> Message:
        """Return the message as far as it has come."""
        thoughts, text = self.said()
        parts: list[Part] = []
        if thoughts or self.details or self.blocks:
            kept = {"reasoning_details": self.details, "content": self.blocks}
            data = {key: value if self._is_whole else joined(value) for key, value in kept.items() if value}
            parts.append(Thinking(thoughts, provider=self._owner, data=data or None))
        if text:
            parts.append(Text(text))
        parts.extend(call.made(self._owner, answer_id) for call in self.calls.all if call.name)
        return Message("assistant", parts)

    def raw(self, index: int) -> dict[str, Any]:
        """Return the choice in the shape that it has in a whole answer."""
        thoughts, text = self.said(refusals=False)
        message: dict[str, Any] = {"role": "assistant", "content": text or None}
        if self.blocks:
            message["content"] = [*joined(self.blocks), *([{"type": "text", "text": text}] if text else [])]
        elif thoughts:
            message[self.thoughts_field] = thoughts
        if self.details:
            message["reasoning_details"] = joined(self.details)
        if self.refusals:
            message["refusal"] = "".join(self.refusals)
        if self.calls.all:
            message["tool_calls"] = [call.raw() for call in self.calls.all]
        return {"index": index, "message": message, "finish_reason": self.reason, "logprobs": self.logprobs or None}


def _calls_in(delta: Mapping[str, Any]) -> Iterable[Mapping[str, Any]]:
    calls = delta.get("tool_calls")
    if isinstance(calls, list) and calls:
        return [piece for piece in calls if isinstance(piece, dict)]
    old = delta.get("function_call")  # before there were several
    if isinstance(old, dict) and (old.get("name") or old.get("arguments")):
        return [{"index": 0, "function": old}]
    return ()


def _read_content(content: Any) -> tuple[str, str, list[Any]]:
    """Return text, thoughts and the blocks the thoughts came in, from a string or a list of blocks."""
    if not isinstance(content, list):
        return word(content), "", []
    texts: list[str] = []
    thoughts: list[str] = []
    blocks: list[Any] = []
    for block in content:
        if at(block, "type") in ("thinking", "reasoning"):
            blocks.append(block)
            inner = block.get("thinking") or block.get("summary") or block.get("text")
            thoughts.extend(map(_text_in, inner) if isinstance(inner, list) else [word(inner)])
        else:
            texts.append(_text_in(block))
    return "".join(texts), "".join(thoughts), blocks


def _text_in(block: Any) -> str:
    return word(block) or word(at(block, "text")) or word(at(block, "refusal"))


def _read_thoughts(holder: Mapping[str, Any]) -> str:
    """Return the thoughts of a message or delta. One server may say them twice, as text and as details: they count once."""
    text = word(holder.get("reasoning_content")) or word(holder.get("reasoning"))
    details = holder.get("reasoning_details")
    if text or not isinstance(details, list):
        return text
    return "".join(word(at(item, "text")) or word(at(item, "summary")) for item in details)


def joined(fragments: list[Any], *, inside: bool = False) -> list[Any]:
    """
    Return the blocks that *fragments*, in their order, are pieces of: a provider takes back only whole ones.

    Neighbours of one type, index and id are one block: their texts are joined, and their other fields united. *inside* says that
    they are the texts of a block, which hold no blocks themselves.
    """
    runs: list[list[Any]] = []
    for fragment in fragments:
        if runs and _goes_on(runs[-1][0], fragment):
            runs[-1].append(fragment)
        else:
            runs.append([fragment])
    return [run[0] if len(run) == 1 else _united(run, inside=inside) for run in runs]


_GROWING = ("text", "summary", "thinking")


def _goes_on(block: Any, fragment: Any) -> bool:
    if not isinstance(block, dict) or not isinstance(fragment, dict) or "data" in block or "data" in fragment:
        return False  # sealed thoughts come whole
    ids = {word(block.get("id")), word(fragment.get("id"))} - {""}
    return len(ids) < 2 and all(label(block.get(key)) == label(fragment.get(key)) for key in ("type", "index"))


def _united(run: list[dict[str, Any]], *, inside: bool) -> dict[str, Any]:
    block: dict[str, Any] = {}
    for fragment in run:
        block.update({key: value for key, value in fragment.items() if value not in (None, "") or key not in block})
    for key in _GROWING:
        values = [value for fragment in run if (value := fragment.get(key)) is not None]
        if values and all(isinstance(value, str) for value in values):
            block[key] = "".join(values)
        elif values and not inside and all(isinstance(value, list) for value in values):
            block[key] = joined([item for value in values for item in value], inside=True)
    return block
