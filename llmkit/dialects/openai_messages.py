"""
Messages as Chat Completions has them: turns, their parts, calls and their results, and thoughts on their way back.

Source: OpenAI API reference, "Create chat completion", and the recorded traffic of the servers named in ``providers``; 2026-11-21.
"""

from __future__ import annotations

import hashlib
import json
import string
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from llmkit.errors import ConfigurationError
from llmkit.models.content import Audio, Document, Image, Message, Native, Part, Text, Thinking, ToolCall, ToolResult
from llmkit.models.request import CompletionRequest

if TYPE_CHECKING:
    from llmkit.dialects.openai_chat import OpenAIChat

__all__ = ["JSON_IN_WORDS", "MessageWriter", "mentions_json"]

JSON_IN_WORDS = "Answer with JSON and nothing else."

AUDIO_FORMATS: Mapping[str, str] = {
    "audio/wav": "wav",
    "audio/x-wav": "wav",
    "audio/wave": "wav",
    "audio/mpeg": "mp3",
    "audio/mp3": "mp3",
}

_ALPHANUMERIC = string.ascii_letters + string.digits


def mentions_json(messages: Iterable[Message]) -> bool:
    """Return whether one of *messages* has the word "json" in it, without which JSON mode is refused."""
    return any("json" in part.text.lower() for message in messages for part in message.content if isinstance(part, (Text, ToolResult)))


class MessageWriter:
    """Writes messages for one server, whose *quirks* are the fields of its dialect."""

    __slots__ = ("_quirks",)

    def __init__(self, quirks: OpenAIChat) -> None:
        self._quirks = quirks

    def write(self, request: CompletionRequest) -> list[dict[str, Any]]:
        wire: list[dict[str, Any]] = []
        instruction = self._schema_in_words(request)
        if instruction is not None:
            wire.append({"role": "system", "content": instruction})
        aside: list[Part] = []  # pictures that came out of tools, which a tool message cannot hold
        for message in request.messages:
            if aside and message.role != "tool":
                wire.append({"role": "user", "content": self._content(aside)})
                aside = []
            if message.role == "assistant":
                wire.append(self._assistant(message))
                continue
            results = [part for part in message.content if isinstance(part, ToolResult)]
            for result in results:
                wire.append(self._tool_message(result, aside))
            rest = [part for part in message.content if not isinstance(part, ToolResult)]
            if message.role == "tool" and (rest or not results):
                msg = "A message of the role 'tool' is made of tool results, and of nothing else: use llmkit.tool_result(call, value)."
                raise ConfigurationError(msg)
            if rest or not results:
                wire.append(self._turn(message, rest))
        if aside:
            wire.append({"role": "user", "content": self._content(aside)})
        return self._reordered(wire) if self._quirks.one_system or self._quirks.bridges_tools else wire

    def _reordered(self, wire: list[dict[str, Any]]) -> list[dict[str, Any]]:
        from llmkit.dialects.openai_reshaping import bridged, with_one_system

        if self._quirks.one_system:
            wire = with_one_system(wire)
        return bridged(wire) if self._quirks.bridges_tools else wire

    def _schema_in_words(self, request: CompletionRequest) -> str | None:
        """Return what the model is told where the server cannot be: it also has the word "json", which JSON mode demands."""
        wanted, quirks = request.response_format, self._quirks
        if wanted is None:
            return None
        if wanted.kind == "json":
            in_json_mode = quirks.schema == "json_object" or (quirks.schema == "json_schema" and quirks.json_mode)
            return JSON_IN_WORDS if in_json_mode and not mentions_json(request.messages) else None
        if not quirks.tells_schema(request):
            return None
        return "Answer with one JSON object and nothing else. It fits this JSON Schema:\n" + json.dumps(wanted.schema, ensure_ascii=False)

    def _turn(self, message: Message, parts: Sequence[Part]) -> dict[str, Any]:
        turn: dict[str, Any] = {"role": message.role, "content": self._content(parts)}
        if message.name:
            self._add_name(turn, message.name)
        return turn

    def _add_name(self, turn: dict[str, Any], name: str) -> None:
        if not self._quirks.speaker_names:
            msg = f"{self._quirks.owner} refuses messages with the name of their speaker: say it in the text instead of with name={name!r}."
            raise ConfigurationError(msg)
        turn["name"] = name

    def _content(self, parts: Sequence[Part]) -> str | list[Any]:
        if len(parts) == 1 and isinstance(parts[0], Text) and not (parts[0].cache and self._quirks.marks_cache):
            return parts[0].text
        pieces = [piece for part in parts if (piece := self._part(part)) is not None]
        if not pieces:
            msg = f"A message has nothing in it that {self._quirks.owner} can read."
            raise ConfigurationError(msg)
        if not (self._quirks.plain_content or self._quirks.joins_text):
            return pieces
        if any(piece.get("type") != "text" for piece in pieces):
            if not self._quirks.plain_content:
                return pieces
            msg = f"{self._quirks.owner} takes text only: this message has a part that is none."
            raise ConfigurationError(msg)
        return "\n".join(piece["text"] for piece in pieces)

    def _part(self, part: Part) -> dict[str, Any] | None:
        """Return one content part; None for what only another provider could read."""
        if isinstance(part, Text):
            wire: dict[str, Any] = {"type": "text", "text": part.text}
        elif isinstance(part, Image):
            wire = {"type": "image_url", "image_url": self._image(part)}
        elif isinstance(part, Audio):
            wire = {"type": "input_audio", "input_audio": self._audio(part)}
        elif isinstance(part, Document):
            wire = self._document(part)
        elif isinstance(part, Native):
            return None if self._is_foreign(part) else dict(part.data)
        elif isinstance(part, Thinking):
            return None
        else:
            msg = f"A {type(part).__name__} cannot stand in this message: calls belong to the assistant, results to a tool."
            raise ConfigurationError(msg)
        if self._quirks.marks_cache and part.cache:
            wire["cache_control"] = {"type": "ephemeral"}
        return wire

    def _image(self, image: Image) -> dict[str, Any]:
        if self._quirks.inline_images and image.data is None:
            msg = f"{self._quirks.owner} takes pictures as data only: use Image.from_path() or Image(data=..., media_type=...)."
            raise ConfigurationError(msg)
        return {"url": image.data_url()} if image.detail is None else {"url": image.data_url(), "detail": image.detail}

    def _audio(self, audio: Audio) -> dict[str, Any]:
        sound = AUDIO_FORMATS.get(audio.media_type or "")
        if audio.data is None or sound is None:
            msg = f"{self._quirks.owner} takes audio as data, in WAV or MP3: use Audio.from_path()."
            raise ConfigurationError(msg)
        return {"data": audio.base64(), "format": sound}

    def _document(self, document: Document) -> dict[str, Any]:
        if document.data is None:
            msg = f"{self._quirks.owner} takes documents as data, not by URL: use Document.from_path()."
            raise ConfigurationError(msg)
        if (document.media_type or "").startswith("text/"):
            # The wire's file part is for PDFs; a text is a text.
            return {"type": "text", "text": document.data.decode("utf-8", "replace")}
        return {"type": "file", "file": {"file_data": document.data_url(), "filename": document.name or "document.pdf"}}

    def _assistant(self, message: Message) -> dict[str, Any]:
        thoughts = [part for part in message.content if isinstance(part, Thinking) and part.provider in (None, self._quirks.owner)]
        calls = [part for part in message.content if isinstance(part, ToolCall)]
        others: list[Text | Native] = []
        for part in message.content:
            if isinstance(part, (Text, Native)) and not self._is_foreign(part):
                others.append(part)
            elif not isinstance(part, (Native, Thinking, ToolCall)):
                msg = f"An assistant's message cannot hold a {type(part).__name__} here: it is made of text, thinking and tool calls."
                raise ConfigurationError(msg)
        turn: dict[str, Any] = {"role": "assistant"}
        in_parts = any(isinstance(part, Native) or (self._quirks.marks_cache and part.cache) for part in others)
        content = self._content(others) if in_parts else message.text
        # Null is allowed beside calls only; some servers refuse an empty string there.
        turn["content"] = content if content or not calls else None
        if message.name:
            self._add_name(turn, message.name)
        if calls:
            turn["tool_calls"] = [self._call(call) for call in calls]
        if thoughts:
            self._add_thoughts(turn, thoughts)
        if calls and self._quirks.replay_always and not turn.get(self._quirks.replay):
            turn[self._quirks.replay] = " "  # an empty string counts as none
        if turn["content"] is None and self._quirks.silence != "null":
            self._break_silence(turn)
        return turn

    def _is_foreign(self, part: Part) -> bool:
        return isinstance(part, Native) and part.provider != self._quirks.owner

    def _break_silence(self, turn: dict[str, Any]) -> None:
        if self._quirks.silence == "absent":
            del turn["content"]
        else:
            turn["content"] = ""

    def _call(self, call: ToolCall) -> dict[str, Any]:
        text = call.text if call.text is not None else _written(dict(call.arguments), f"The arguments of the call of {call.name}")
        wire: dict[str, Any] = {
            "id": self._tool_id(call.id),
            "type": "function",
            "function": {"name": call.name, "arguments": text},
        }
        if isinstance(call.data, Mapping) and call.data.get("provider", "") in (None, self._quirks.owner):
            wire.update({key: value for key, value in call.data.items() if key != "provider"})
        return wire

    def _add_thoughts(self, turn: dict[str, Any], thoughts: list[Thinking]) -> None:
        text = "".join(thought.text for thought in thoughts)
        content = turn["content"]
        spoken = content if isinstance(content, list) else [{"type": "text", "text": content}] if content else []
        if self._quirks.replay in ("reasoning_content", "reasoning"):
            if text:
                turn[self._quirks.replay] = text
        elif self._quirks.replay == "reasoning_details":
            if details := _kept(thoughts, "reasoning_details"):
                turn["reasoning_details"] = details
        elif self._quirks.replay == "content":
            if blocks := _kept(thoughts, "content"):
                turn["content"] = [*blocks, *spoken]
        elif self._quirks.replay == "tags" and text:
            tagged = f"<think>{text}</think>"
            turn["content"] = [{"type": "text", "text": tagged}, *spoken] if isinstance(content, list) else tagged + (content or "")

    def _tool_message(self, result: ToolResult, aside: list[Part]) -> dict[str, Any]:
        text = result.text
        if result.is_error and not text.lower().startswith("error"):
            text = f"Error: {text}"  # the wire has no flag for it
        seen = [part for part in result.content if not isinstance(part, (Text, Thinking)) and not self._is_foreign(part)]
        if seen:
            aside += [Text(f"What the tool call {result.call_id} gave beside its text:"), *seen]
        return {"role": "tool", "tool_call_id": self._tool_id(result.call_id), "content": text}

    def _tool_id(self, call_id: str) -> str:
        if not self._quirks.short_tool_ids or (len(call_id) == 9 and call_id.isascii() and call_id.isalnum()):
            return call_id
        # The same id must come out wherever it stands in the history, and on every retry.
        digest = hashlib.sha256(call_id.encode("utf-8", "replace")).digest()
        return "".join(_ALPHANUMERIC[byte % len(_ALPHANUMERIC)] for byte in digest[:9])


def _kept(thoughts: Iterable[Thinking], key: str) -> list[Any]:
    """Return what the provider wants back with *thoughts* in *key*, in its order."""
    kept = [thought.data.get(key) for thought in thoughts if isinstance(thought.data, Mapping)]
    return [item for items in kept if isinstance(items, list) for item in items]


def _written(value: Any, what: str) -> str:
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        msg = f"{what} cannot be written as JSON: {error}."
        raise ConfigurationError(msg) from None
