"""
Conversations as Cohere wants them.

Rule 1: system messages stand first; a message that says nothing is refused there, and so is not sent.
Rule 2: every result names a call before it, and no two calls have one id: ids that come twice are made different, always alike.
Rule 3: a tool's name has letters, digits and underscores; another one is written so, and read back by ``wire_names``.

Source: Cohere API reference, "Chat API (v2)" and "Tool use", its OpenAPI document at e814c8a1, and recorded refusals; read 2026-11-21.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from llmkit.dialects.wire_json import written
from llmkit.errors import ConfigurationError
from llmkit.models.content import Document, Image, Message, Native, Part, Text, Thinking, ToolCall, ToolResult

if TYPE_CHECKING:
    from llmkit.tools import Tool

__all__ = ["PLAN", "Turns", "wire_names"]

# How a thought is marked that stood in the field of that name: what the model planned before it called tools.
PLAN = "tool_plan"

NO_OUTPUT = "(no output)"  # an empty result is refused

_UNFIT = re.compile(r"[^A-Za-z0-9_]")


def wire_names(tools: Iterable[Tool]) -> dict[str, str]:
    """Return the names of those *tools* that Cohere would not take, and what they are called there instead."""
    names = [tool.name for tool in tools]
    taken = {name for name in names if _fit_name(name) == name}
    other: dict[str, str] = {}
    for name in names:
        if name in taken:
            continue
        wish = _fit_name(name)
        number = 2
        while wish in taken:
            wish = f"{_fit_name(name)}_{number}"
            number += 1
        taken.add(wish)
        other[name] = wish
    return other


def _fit_name(name: str) -> str:
    fit = _UNFIT.sub("_", name)
    return f"_{fit}" if fit[:1].isdigit() else fit


class Turns:
    """The messages of one request being written. ``documents`` is what stands beside them, ``names`` what tools are called."""

    __slots__ = ("_aside", "_ids", "_inline", "_owner", "_systems", "_used", "_wire", "documents", "names")

    def __init__(self, owner: str, names: Mapping[str, str], *, documents_inline: bool) -> None:
        self._owner = owner
        self._inline = documents_inline
        self._systems: list[dict[str, Any]] = []
        self._wire: list[dict[str, Any]] = []
        self._aside: list[Part] = []  # pictures that came out of tools, which a tool's message cannot hold
        self._ids: dict[str, list[str]] = {}  # of calls: those of the last turn that had such an id, and their ids there
        self._used: set[str] = set()
        self.documents: list[dict[str, Any]] = []
        self.names = names

    def finished(self) -> list[dict[str, Any]]:
        self._set_aside_down()
        if not self._wire and not self._systems:
            msg = f"No message has anything in it that {self._owner} can read."
            raise ConfigurationError(msg)
        return [*self._systems, *self._wire]

    def add(self, message: Message) -> None:
        if message.name:
            msg = f"{self._owner} has no place for the name of a speaker: say it in the text instead of with name={message.name!r}."
            raise ConfigurationError(msg)
        if self._aside and message.role != "tool":
            self._set_aside_down()
        if message.role == "assistant":
            self._add_assistant(message)
            return
        results = [part for part in message.content if isinstance(part, ToolResult)]
        for result in results:
            self._wire.append(self._result(result))
        rest = [part for part in message.content if not isinstance(part, ToolResult)] if results else message.content
        if message.role == "tool" and (rest or not results):
            msg = "A message of the role 'tool' is made of tool results, and of nothing else: use llmkit.tool_result(call, value)."
            raise ConfigurationError(msg)
        if rest or not results:
            (self._systems if message.role == "system" else self._wire).append(self._said(message.role, rest))

    def _set_aside_down(self) -> None:
        if self._aside:
            aside, self._aside = self._aside, []
            self._wire.append(self._said("user", aside))

    # -- users and systems

    def _said(self, role: str, parts: Iterable[Part]) -> dict[str, Any]:
        pieces: list[dict[str, Any]] = []
        documents: list[Document] = []
        own: dict[str, Any] = {}
        for part in parts:
            if isinstance(part, Text):
                pieces += [_text(part.text)] if part.text else []
            elif isinstance(part, Image):
                pieces.append(_image(part))
            elif isinstance(part, Document):
                self._check_document(part)
                documents.append(part)
                if self._inline:
                    pieces.append(_text(_content_of(part)))
            elif isinstance(part, Native):
                self._add_native(part, pieces, own)
            elif not isinstance(part, Thinking):
                msg = f"{self._owner} takes text, pictures and documents; a {type(part).__name__} cannot stand in this message."
                raise ConfigurationError(msg)
        if documents and not pieces:
            # A document alone is what is said.
            pieces = [_text(_content_of(document)) for document in documents]
        elif documents and not self._inline:
            self.documents += [{"data": _data_of(document)} for document in documents]
        if not pieces:
            msg = f"A message has nothing in it that {self._owner} can read."
            raise ConfigurationError(msg)
        return {"role": role, "content": _short(pieces), **own}

    def _check_document(self, document: Document) -> None:
        if document.data is None or not (document.media_type or "").startswith("text/"):
            msg = (
                f"{self._owner} takes documents only as text: take it out of the file, or use Document(data=..., media_type='text/plain')."
            )
            raise ConfigurationError(msg)

    def _add_native(self, part: Native, pieces: list[dict[str, Any]], own: dict[str, Any]) -> None:
        """Add what *part* stands for: a piece of the content if it has a type, else further fields of the message."""
        if part.provider != self._owner:
            return
        if not isinstance(part.data, Mapping):
            msg = f"A Native part for {self._owner} is a piece of a message's content, or holds further fields of it, as a dict."
            raise ConfigurationError(msg)
        if "type" in part.data:
            pieces.append(dict(part.data))
        else:
            own.update(part.data)

    # -- the assistant

    def _add_assistant(self, message: Message) -> None:
        pieces: list[dict[str, Any]] = []
        own: dict[str, Any] = {}
        calls: list[dict[str, Any]] = []
        plan = ""
        for call in message.tool_calls:
            self._ids[call.id] = []
        for part in message.content:
            if isinstance(part, Text):
                pieces += [_text(part.text)] if part.text else []
            elif isinstance(part, ToolCall):
                calls.append(self._call(part))
            elif isinstance(part, Native):
                self._add_native(part, pieces, own)
            elif not isinstance(part, Thinking):
                msg = f"An assistant's message cannot hold a {type(part).__name__} here: it is made of text, thinking and tool calls."
                raise ConfigurationError(msg)
            elif part.provider not in (None, self._owner) or not part.text:
                continue
            elif isinstance(part.data, Mapping) and part.data.get("field") == PLAN:
                plan += part.text
            else:
                pieces.append({"type": "thinking", "thinking": part.text})
        if not pieces and not calls:
            return  # nothing is left of it for this reader
        turn: dict[str, Any] = {"role": "assistant"}
        if pieces:
            turn["content"] = _short(pieces)
        if calls:
            turn["tool_calls"] = calls
        if plan:
            turn[PLAN] = plan
        self._wire.append({**turn, **own})

    def _call(self, call: ToolCall) -> dict[str, Any]:
        text = call.text if call.text is not None else written(dict(call.arguments), f"The arguments of the call of {call.name}")
        call_id = self._new_id(call.id)
        self._ids[call.id].append(call_id)
        name = self.names.get(call.name) or _fit_name(call.name)
        return {"id": call_id, "type": "function", "function": {"name": name, "arguments": text}}

    def _new_id(self, wish: str) -> str:
        call_id, number = wish, 2
        while not call_id or call_id in self._used:
            call_id = f"{wish or 'call'}_{number}"
            number += 1
        self._used.add(call_id)
        return call_id

    # -- tools

    def _result(self, result: ToolResult) -> dict[str, Any]:
        text, call_id = result.text, self._id_of(result)
        if result.is_error and not text.lower().startswith("error"):
            text = f"Error: {text}"  # the wire has no flag for it
        pieces = [_text(text)] if text else []
        seen: list[Part] = []
        for part in result.content:
            if isinstance(part, Document):
                self._check_document(part)
                pieces.append({"type": "document", "document": {"data": _data_of(part)}})
            elif isinstance(part, Native):
                self._add_native(part, pieces, {})
            elif not isinstance(part, (Text, Thinking)):
                seen.append(part)
        if seen:
            self._aside += [Text(f"What the tool call {call_id} gave beside its text:"), *seen]
        return {"role": "tool", "tool_call_id": call_id, "content": _short(pieces) if pieces else NO_OUTPUT}

    def _id_of(self, result: ToolResult) -> str:
        ids = self._ids.get(result.call_id)
        if not ids:
            return result.call_id
        return ids.pop(0) if len(ids) > 1 else ids[0]  # of calls that shared an id, results come in the order of the calls


def _text(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


def _image(image: Image) -> dict[str, Any]:
    link = {"url": image.data_url()}
    return {"type": "image_url", "image_url": link if image.detail is None else {**link, "detail": image.detail}}


def _content_of(document: Document) -> str:
    return (document.data or b"").decode("utf-8", "replace")


def _data_of(document: Document) -> dict[str, str]:
    named = {"title": document.name} if document.name else {}
    return {**named, "text": _content_of(document)}


def _short(pieces: list[dict[str, Any]]) -> str | list[dict[str, Any]]:
    """Return *pieces* as a plain text where they are nothing else."""
    only = pieces[0]
    return only["text"] if len(pieces) == 1 and only.keys() == {"type", "text"} else pieces
