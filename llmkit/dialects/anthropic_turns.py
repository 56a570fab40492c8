"""
Conversations in the shape of the Messages wire.

Rule 1: turns alternate. What follows in one role is one turn; the results of tools are the user's, and stand first in it.
Rule 2: system messages at the beginning are the system prompt. A later one stays where it is if the model takes it there (behind a
        user's turn, before an assistant's or at the end), and else is told to the user's turn as a reminder.
Rule 3: what this provider made goes back as it came: thoughts, their signatures, blocks of its own tools. What another provider
        made for itself alone is left out. What is empty is left out, since the API refuses it.
Rule 4: the same messages always give the same bytes, and more messages never change those before them, except that a system message
        moves when a user's follows it: a signature may seal all that stands before it.

Source: Anthropic API reference, "Create a Message", and its guides "Tool use", "Vision", "PDF support", "Prompt caching", "Extended
thinking" and "Mid-conversation system messages", read 2026-11-21.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from llmkit.dialects.alternating import OPENING, Block, CallIds, Turn, TurnWriter, no_prefill, no_turns
from llmkit.models.content import Audio, Document, Image, Message, Native, Part, Text, Thinking, ToolCall, ToolResult
from llmkit.models.request import CompletionRequest

__all__ = ["write_turns"]

IMAGE_TYPES = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp"})
BREAKPOINTS = 4  # the most that the API takes
_UNFIT = re.compile(r"[^a-zA-Z0-9_-]")


def write_turns(
    request: CompletionRequest, *, owner: str, inline_media: bool, instruction: str | None = None
) -> tuple[str | list[Block] | None, list[dict[str, Any]]]:
    """
    Return the system prompt (None where there is none) and the turns of *request*.

    Args:
        owner: Whose thoughts and native blocks are sent back.
        inline_media: Whether pictures and documents must come as data, never as a link.
        instruction: What is to stand at the end of the system prompt.

    Raises:
        ConfigurationError: If something in it cannot be said here; it says what.
    """
    writer = Writer(owner=owner, inline_media=inline_media, keeps_system="system_turns" in request.facts.traits)
    for message in request.messages:
        writer.add(message)
    if instruction is not None:
        writer.system.append({"type": "text", "text": instruction})
    return _plain(writer.system) or None, writer.finished(prefill=request.facts.prefill)


def _plain(blocks: list[Block]) -> str | list[Block]:
    """Return *blocks* as the one string that they are, where they are."""
    if len(blocks) == 1 and blocks[0]["type"] == "text" and len(blocks[0]) == 2:
        text: str = blocks[0]["text"]
        return text
    return blocks


class Writer(TurnWriter):
    """Writes one conversation, message after message."""

    __slots__ = ("_inline_media", "_marked")

    def __init__(self, *, owner: str, inline_media: bool, keeps_system: bool) -> None:
        super().__init__(owner=owner, keeps_system=keeps_system, ids=CallIds(_UNFIT, "toolu_"))
        self._inline_media = inline_media
        self._marked: list[Block] = []

    def finished(self, *, prefill: bool | None) -> list[dict[str, Any]]:
        """Return the turns. *prefill* is whether the last may be the assistant's, None where that is not known."""
        turns = self.turns
        if not turns:
            raise no_turns()
        if turns[-1].role == "assistant":
            self._end_open(turns[-1], prefill)
        for block in self._marked[1 : 1 - BREAKPOINTS] if len(self._marked) > BREAKPOINTS else ():
            # The first holds what never changes; of the others the last reach furthest.
            del block["cache_control"]
        wire = [_wire(turn) for turn in turns]
        if turns[0].role != "user":
            wire.insert(0, {"role": "user", "content": OPENING})
        return wire

    def _end_open(self, turn: Turn, prefill: bool | None) -> None:
        """Make the assistant's *turn*, which the model is to go on with, fit to be the last."""
        last = turn.blocks[-1]
        if last["type"] != "text":
            return  # it was paused inside a tool of the server's
        if prefill is False and all(block["type"] in ("text", "thinking", "redacted_thinking") for block in turn.blocks):
            raise no_prefill()
        last["text"] = last["text"].rstrip()  # the API refuses white space there

    # -- roles

    def _add_user(self, message: Message) -> None:
        if len(message.content) == 1 and message.role == "user":
            part = message.content[0]
            if isinstance(part, Text) and not part.cache and part.text.strip():
                self._push("user", [{"type": "text", "text": part.text}], [])
                return
        super()._add_user(message)

    # -- parts

    def _add_part(self, blocks: list[Block], part: Part) -> None:
        if isinstance(part, Text):
            if not part.text.strip():
                return  # the API refuses empty texts, and white space counts as nothing
            block: Block = {"type": "text", "text": part.text}
        elif isinstance(part, Image):
            block = {"type": "image", "source": self._image(part)}
        elif isinstance(part, Document):
            block = self._document(part)
        elif isinstance(part, Native):
            self._add_native(blocks, part)
            return
        elif isinstance(part, Thinking):
            return
        elif isinstance(part, Audio):
            self._refuse("takes no audio")
        else:
            self._refuse_place(part)
        if part.cache:
            self._mark(block)
        blocks.append(block)

    def _mark(self, block: Block) -> None:
        block["cache_control"] = {"type": "ephemeral"}
        self._marked.append(block)

    def _add_native(self, blocks: list[Block], part: Native) -> None:
        if part.provider != self._owner or not isinstance(part.data, Mapping):
            return
        if "type" in part.data:
            blocks.append(dict(part.data))
        elif "citations" in part.data and blocks and blocks[-1]["type"] == "text":
            blocks[-1]["citations"] = part.data["citations"]

    def _image(self, image: Image) -> Block:
        if image.data is None:
            return self._link(image.url or "")
        media_type = "image/jpeg" if image.media_type == "image/jpg" else image.media_type
        if media_type not in IMAGE_TYPES:
            self._refuse(f"takes pictures as JPEG, PNG, GIF or WebP, not as {media_type}")
        return {"type": "base64", "media_type": media_type, "data": image.base64()}

    def _link(self, url: str) -> Block:
        if url.startswith("data:"):
            media_type, mark, data = url[len("data:") :].partition(";base64,")
            if not mark:
                self._refuse("takes data: URLs in base64 only")
            return {"type": "base64", "media_type": media_type, "data": data}
        if self._inline_media:
            self._refuse("takes pictures and documents as data, not by URL: use from_path(), or data= and media_type=")
        return {"type": "url", "url": url}

    def _document(self, document: Document) -> Block:
        media_type = document.media_type or ""
        if document.data is None:
            source = self._link(document.url or "")
        elif media_type == "application/pdf":
            source = {"type": "base64", "media_type": media_type, "data": document.base64()}
        elif media_type.startswith("text/"):
            source = {"type": "text", "media_type": "text/plain", "data": document.data.decode("utf-8", "replace")}
        else:
            self._refuse(f"takes documents as PDF or text, not as {media_type}")
        return {"type": "document", "source": source, **({"title": document.name} if document.name else {})}

    # -- what goes round: thoughts, calls, results

    def _thought(self, thought: Thinking) -> list[Block]:
        if thought.provider not in (None, self._owner):
            return []
        data = thought.data if isinstance(thought.data, Mapping) else {}
        if thought.provider is not None and data.get("type") in ("thinking", "redacted_thinking"):
            return [dict(data)]
        if thought.signature:
            return [{"type": "thinking", "thinking": thought.text, "signature": thought.signature}]
        # Of a dict in OpenAI's form, whose thoughts are blocks of this wire. Without a seal the API refuses any.
        inner = data.get("content")
        blocks = [dict(block) for block in inner if isinstance(block, Mapping)] if isinstance(inner, list) else []
        return [block for block in blocks if block.get("type") == "thinking" and block.get("signature")]

    def _call(self, call: ToolCall) -> Block:
        arguments: Any = dict(call.arguments)
        if call.invalid is not None and not arguments and call.text:
            # How the API wants to have back what was no JSON object: guide "Fine-grained tool streaming", read 2026-11-21.
            arguments = {"INVALID_JSON": call.text}
        block: Block = {"type": "tool_use", "id": self._ids.new(call.id), "name": _UNFIT.sub("_", call.name) or "_", "input": arguments}
        if isinstance(call.data, Mapping) and call.data.get("provider") == self._owner:
            block.update({key: value for key, value in call.data.items() if key != "provider"})
        return block

    def _result(self, result: ToolResult) -> list[Block]:
        block: Block = {"type": "tool_result", "tool_use_id": self._ids.of_result(result.call_id)}
        content: list[Block] = []
        marked = len(self._marked)
        for part in result.content:
            self._add_part(content, part)
        is_marked = len(self._marked) > marked
        for inner in self._marked[marked:]:
            del inner["cache_control"]  # a breakpoint cannot lie inside a block
        del self._marked[marked:]
        if content:
            block["content"] = _plain(content)
        if result.is_error:
            block["is_error"] = True
        if is_marked:
            self._mark(block)
        return [block]


def _wire(turn: Turn) -> dict[str, Any]:
    return {"role": turn.role, "content": [*turn.results, *turn.blocks] if turn.results else _plain(turn.blocks)}
