"""
Conversations as the Responses wire has them: a flat list of messages, calls, outputs, thoughts and whatever else a model produced.

Rule 1: a thought goes back sealed, or not at all: without its seal the server would look it up, and it kept nothing.
Rule 2: ids of messages and calls go back only with the thoughts they came with: the server demands that both are there, or neither.
Rule 3: what a model said goes back as it came; where the caller has changed its text, the text counts.

Source: OpenAI API reference, "Create a model response", with its guide "Reasoning models", and recorded refusals; 2026-11-21.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NoReturn, TypeAlias

from llmkit.dialects.wire_json import made_up_id, objects, word, written
from llmkit.errors import ConfigurationError
from llmkit.models.content import Audio, Document, Image, Message, Native, Part, Text, Thinking, ToolCall, ToolResult

__all__ = ["ItemWriter"]

Item: TypeAlias = dict[str, Any]

ID_LIMIT = 64  # characters of a call's id, more is refused

AUDIO_FORMATS: Mapping[str, str] = {
    "audio/wav": "wav",
    "audio/x-wav": "wav",
    "audio/wave": "wav",
    "audio/mpeg": "mp3",
    "audio/mp3": "mp3",
}

_INPUT_PARTS = frozenset({"input_text", "input_image", "input_file", "input_audio"})
_OF_ITS_KEEPER = frozenset({"id", "status"})  # they mean something to a server that keeps the item


class ItemWriter:
    """Writes items for one server. ``stored`` tells that the caller has it keep answers, so that it finds what is named by an id."""

    __slots__ = ("_files_of", "_owner", "_stored")

    def __init__(self, *, owner: str, files_of: str, stored: bool) -> None:
        self._owner = owner
        self._files_of = files_of
        self._stored = stored

    def write(self, messages: Sequence[Message]) -> tuple[str | None, list[Item]]:
        """Return the instructions and the items of *messages*."""
        first = messages[0]
        instructions = None
        if first.role == "system" and len(messages) > 1 and not first.name and all(isinstance(part, Text) for part in first.content):
            instructions, messages = "\n\n".join(part.text for part in first.content if isinstance(part, Text)), messages[1:]
        items: list[Item] = []
        for message in messages:
            if message.name:
                self._refuse(f"has no names for speakers: say it in the text instead of with name={message.name!r}")
            if message.role == "assistant":
                self._add_answer(items, message.content)
            else:
                self._add_turn(items, message)
        if not items:
            self._refuse("finds nothing in these messages that it can read")
        return instructions, items

    def _add_turn(self, items: list[Item], message: Message) -> None:
        parts: list[Part] = []
        for part in message.content:
            if isinstance(part, ToolResult):
                items.append(self._output(part))
            elif isinstance(part, Native) and part.provider == self._owner and self._own(part).get("type") not in _INPUT_PARTS:
                items.append(self._own(part))  # such as the output of a tool that only this wire has
            else:
                parts.append(part)
        if message.role == "tool":
            if parts or not message.content:
                self._refuse("takes tool results and nothing else in a message of the role 'tool': use llmkit.tool_result(call, value)")
            return
        if parts or not message.content:
            items.append({"role": message.role, "content": self._content(parts)})

    # -- what goes in

    def _content(self, parts: Sequence[Part]) -> str | list[Item]:
        if len(parts) == 1 and isinstance(parts[0], Text):
            return parts[0].text
        pieces = [piece for part in parts if (piece := self._part(part)) is not None]
        if not pieces:
            self._refuse("finds nothing in a message that it can read")
        return pieces

    def _part(self, part: Part) -> Item | None:
        """Return one content part; None for what only another provider could read."""
        if isinstance(part, Text):
            return {"type": "input_text", "text": part.text}
        if isinstance(part, Image):
            detail = {} if part.detail is None else {"detail": part.detail}
            return {"type": "input_image", "image_url": part.data_url(), **detail}
        if isinstance(part, Document):
            return self._document(part)
        if isinstance(part, Audio):
            return {"type": "input_audio", "input_audio": self._audio(part)}
        if isinstance(part, Native):
            return self._native_part(part)
        if not isinstance(part, Thinking):
            self._refuse(f"takes no {type(part).__name__} in this message: calls belong to the assistant, results to a tool")
        return None

    def _document(self, document: Document) -> Item:
        if document.url is not None:
            return {"type": "input_file", "file_url": document.url}
        if (document.media_type or "").startswith("text/"):
            # The wire's file part is for PDFs; a text is a text.
            return {"type": "input_text", "text": (document.data or b"").decode("utf-8", "replace")}
        return {"type": "input_file", "filename": document.name or "document.pdf", "file_data": document.data_url()}

    def _audio(self, audio: Audio) -> Item:
        sound = AUDIO_FORMATS.get(audio.media_type or "")
        if audio.data is None or sound is None:
            self._refuse("takes audio as data, in WAV or MP3: use Audio.from_path()")
        return {"data": audio.base64(), "format": sound}

    def _native_part(self, part: Native) -> Item | None:
        if part.provider == self._owner:
            return self._own(part)
        file = part.data.get("file") if part.provider == self._files_of and isinstance(part.data, Mapping) else None
        if isinstance(file, Mapping) and file.get("file_id"):
            return {"type": "input_file", "file_id": file["file_id"]}
        return None

    def _own(self, part: Native) -> Item:
        if not isinstance(part.data, Mapping):
            self._refuse(f"has items that are objects: this Native holds a {type(part.data).__name__}")
        return dict(part.data)

    def _output(self, result: ToolResult) -> Item:
        content = [part for part in result.content if not isinstance(part, (Text, Thinking))]
        output: str | list[Item] = result.text
        if content:
            pieces = [self._part(part) for part in result.content]
            output = [piece for piece in pieces if piece is not None] or ""
        if result.is_error and not result.text.lower().startswith("error"):
            # The wire has no flag for it.
            output = f"Error: {output}" if isinstance(output, str) else [{"type": "input_text", "text": "Error:"}, *output]
        return {"type": "function_call_output", "call_id": _call_id(result.call_id, result.name), "output": output}

    # -- what came out

    def _add_answer(self, items: list[Item], parts: Sequence[Part]) -> None:
        with_ids = any(self._is_replayable(part) for part in parts)
        waiting: list[str] = []  # texts of a message that is kept as it came, which stand behind it
        said: list[Text] = []

        def say() -> None:
            if said:
                items.append(_spoken(said))
                said.clear()

        for index, part in enumerate(parts):
            if isinstance(part, Text):
                if waiting:
                    waiting.pop(0)
                else:
                    said.append(part)
                continue
            if isinstance(part, Native):
                if part.provider != self._owner:
                    continue
                say()
                item = self._own(part)
                if item.get("type") != "message":
                    items.append(item)
                elif texts := _texts_behind(parts[index + 1 :], item):
                    waiting = texts
                    items.append(_kept(item, with_ids=with_ids))
            elif isinstance(part, Thinking):
                if self._is_replayable(part):
                    say()
                    items.append(_thought(part))
            elif isinstance(part, ToolCall):
                say()
                items.append(self._call(part, with_ids=with_ids))
            else:
                self._refuse(f"takes no {type(part).__name__} in an assistant's message: it is made of text, thinking and tool calls")
        say()

    def _is_replayable(self, part: Part) -> bool:
        if not isinstance(part, Thinking) or part.provider != self._owner or not isinstance(part.data, Mapping):
            return False
        return bool(self._stored or part.signature or part.data.get("content"))

    def _call(self, call: ToolCall, *, with_ids: bool) -> Item:
        text = call.text if call.text is not None else written(dict(call.arguments), f"The arguments of the call of {call.name}")
        item: Item = {"type": "function_call", "call_id": _call_id(call.id, call.name), "name": call.name, "arguments": text}
        if isinstance(call.data, Mapping) and call.data.get("provider") == self._owner:
            item.update(_kept({key: value for key, value in call.data.items() if key != "provider"}, with_ids=with_ids))
        return item

    def _refuse(self, what: str) -> NoReturn:
        msg = f"{self._owner} {what}."
        raise ConfigurationError(msg)


def _call_id(call_id: str, name: str) -> str:
    # The same id must come out for a call and for its output.
    return call_id if 0 < len(call_id) <= ID_LIMIT else made_up_id(call_id or name)


def _spoken(texts: Sequence[Text]) -> Item:
    if len(texts) == 1:
        return {"role": "assistant", "content": texts[0].text}
    return {"role": "assistant", "content": [{"type": "output_text", "text": part.text} for part in texts]}


def texts_of(item: Mapping[str, Any]) -> list[str]:
    """Return what is said in the message *item*, refusals too; empty pieces say nothing."""
    return [text for piece in objects(item.get("content")) if (text := word(piece.get("text")) or word(piece.get("refusal")))]


def _texts_behind(parts: Iterable[Part], item: Mapping[str, Any]) -> list[str]:
    """Return the texts of *item* if just these follow, unchanged, so that it may stand for them; else nothing."""
    expected = texts_of(item)
    found: list[str] = []
    for part in parts:
        if not isinstance(part, Text) or len(found) == len(expected):
            break
        found.append(part.text)
    return expected if found == expected else []


def _kept(item: Mapping[str, Any], *, with_ids: bool) -> Item:
    return {key: value for key, value in item.items() if value is not None and (with_ids or key not in _OF_ITS_KEEPER)}


def _thought(part: Thinking) -> Item:
    # Null is refused by some servers where it was sent by themselves.
    item = {key: value for key, value in part.data.items() if value is not None}
    return item if part.signature is None else {**item, "encrypted_content": part.signature}
