"""
What the Messages API refuses in a history, in its own words.

Each check gets the turns as the API joins them: neighbours of one role are one. The first refusal is the answer.

Source: Anthropic API reference, "Create a Message", the guides "Tool use" and "Extended thinking", and recorded error bodies, read
2026-11-21. Where a wording was not recorded it is made after those that were.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator
from typing import Any

from attrs import frozen

from llmkit.testing.replies import Reply
from llmkit.testing.wires.anthropic_models import Model, refuse
from llmkit.testing.wires.openai_checks import mapping, rows

__all__ = ["blocks_of", "check_history", "sealed"]

_ID = re.compile(r"[a-zA-Z0-9_-]+")
_NAME = re.compile(r"[a-zA-Z0-9_-]{1,128}")
_MEDIA = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp"})
_SOURCES = {
    "image": frozenset({"base64", "url", "file"}),
    "document": frozenset({"base64", "url", "file", "text", "content"}),
}
_USER_BLOCKS = frozenset({"text", "image", "document", "search_result", "tool_result", "container_upload"})
_RESULT_BLOCKS = frozenset({"text", "image", "document", "search_result", "tool_reference"})
_ASSISTANT_BLOCKS = frozenset({"text", "thinking", "redacted_thinking", "tool_use", "server_tool_use", "mcp_tool_use", "compaction"})
_KEYS = {
    "text": frozenset({"type", "text", "cache_control", "citations"}),
    "image": frozenset({"type", "source", "cache_control"}),
    "document": frozenset({"type", "source", "title", "context", "citations", "cache_control"}),
    "tool_use": frozenset({"type", "id", "name", "input", "caller", "toolset_name", "cache_control"}),
    "tool_result": frozenset({"type", "tool_use_id", "content", "is_error", "toolset_name", "cache_control"}),
    "thinking": frozenset({"type", "thinking", "signature"}),
    "redacted_thinking": frozenset({"type", "data"}),
}


def sealed(thought: str) -> str:
    """Return the signature of the fake's own thoughts."""
    return "EqQB" + base64.b64encode(hashlib.sha256(f"fake:{thought}".encode()).digest()).decode()


def blocks_of(content: Any) -> list[dict[str, Any]]:
    """Return the blocks of a content, which may be a string."""
    return [{"type": "text", "text": content}] if isinstance(content, str) else rows(content)


@frozen
class Turn:
    """A turn, with the place in the request where it begins."""

    index: int
    role: str
    blocks: list[dict[str, Any]]


def check_history(body: dict[str, Any], model: Model) -> Reply | None:
    """Return the refusal of the messages of *body*, or None."""
    messages = body["messages"]
    for index, message in enumerate(messages):
        refusal = _check_message(index, message)
        if refusal is not None:
            return refusal
    turns = _joined(messages)
    checks = (_check_roles(turns, model), _check_ids(turns), _check_results(turns), _check_end(turns, model))
    return next(filter(None, checks), None)


def _joined(messages: list[dict[str, Any]]) -> list[Turn]:
    turns: list[Turn] = []
    for index, message in enumerate(messages):
        blocks = blocks_of(message["content"])
        if turns and turns[-1].role == message["role"]:
            turns[-1].blocks.extend(blocks)
        else:
            turns.append(Turn(index, message["role"], [*blocks]))
    return turns


def _check_message(index: int, message: Any) -> Reply | None:
    place = f"messages.{index}"
    if not isinstance(message, dict):
        return refuse(f"{place}: Input should be an object")
    extra = next((key for key in message if key not in ("role", "content")), None)
    if extra is not None:
        return refuse(f"{place}.{extra}: Extra inputs are not permitted")
    role, content = message.get("role"), message.get("content")
    if role not in ("user", "assistant", "system"):
        return refuse(f"{place}.role: Input should be 'user' or 'assistant'")
    if "content" not in message:
        return refuse(f"{place}.content: Field required")
    if not isinstance(content, (str, list)):
        return refuse(f"{place}.content: Input should be a valid list")
    if not content:
        return refuse(f"{place}: all messages must have non-empty content except for the optional final assistant message")
    allowed = {"user": _USER_BLOCKS, "assistant": _ASSISTANT_BLOCKS, "system": frozenset({"text"})}[role]
    blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
    refusals = (_check_block(f"{place}.content.{number}", block, allowed) for number, block in enumerate(blocks))
    return next(filter(None, refusals), None)


def _check_block(place: str, block: Any, allowed: frozenset[str]) -> Reply | None:
    if not isinstance(block, dict):
        return refuse(f"{place}: Input should be an object")
    kind = str(block.get("type"))
    if kind not in allowed and not (kind.endswith("_tool_result") and "tool_use" in allowed):
        tags = ", ".join(f"'{tag}'" for tag in sorted(allowed))
        return refuse(f"{place}: Input tag '{kind}' found using 'type' does not match any of the expected tags: {tags}")
    extra = next((key for key in block if kind in _KEYS and key not in _KEYS[kind]), None)
    if extra is not None:
        return refuse(f"{place}.{kind}.{extra}: Extra inputs are not permitted")
    check = _BLOCK_CHECKS.get(kind)
    return None if check is None else check(f"{place}.{kind}", block)


def _check_text(place: str, block: dict[str, Any]) -> Reply | None:
    text = block.get("text")
    if not isinstance(text, str):
        return refuse(f"{place}.text: Field required")
    if not text:
        return refuse("messages: text content blocks must be non-empty")
    return None if text.strip() else refuse("messages: text content blocks must contain non-whitespace text")


def _check_media(place: str, block: dict[str, Any]) -> Reply | None:
    source = mapping(block.get("source"))
    kind = source.get("type")
    if kind not in _SOURCES[block["type"]]:
        return refuse(f"{place}.source: Input tag '{kind}' found using 'type' does not match any of the expected tags")
    media_type = source.get("media_type")
    if kind == "base64":
        expected = _MEDIA if block["type"] == "image" else {"application/pdf"}
        if media_type not in expected:
            return refuse(f"{place}.source.base64.media_type: Input should be {' or '.join(map(repr, sorted(expected)))}")
        try:
            base64.b64decode(source.get("data", ""), validate=True)
        except (ValueError, TypeError):
            return refuse(f"{place}.source.base64.data: Invalid base64 data")
    if kind == "text" and media_type != "text/plain":
        return refuse(f"{place}.source.text.media_type: Input should be 'text/plain'")
    if kind == "url" and not str(source.get("url", "")).startswith("https://"):
        return refuse(f"{place}.source.url.url: Only HTTPS URLs are supported")
    return None


def _check_use(place: str, block: dict[str, Any]) -> Reply | None:
    if not _ID.fullmatch(str(block.get("id", ""))):
        return refuse(f"{place}.id: String should match pattern '^[a-zA-Z0-9_-]+$'")
    if not _NAME.fullmatch(str(block.get("name", ""))):
        return refuse(f"{place}.name: String should match pattern '^[a-zA-Z0-9_-]{{1,128}}$'")
    return None if isinstance(block.get("input"), dict) else refuse(f"{place}.input: Input should be a valid dictionary")


def _check_result(place: str, block: dict[str, Any]) -> Reply | None:
    if not _ID.fullmatch(str(block.get("tool_use_id", ""))):
        return refuse(f"{place}.tool_use_id: String should match pattern '^[a-zA-Z0-9_-]+$'")
    content = block.get("content", "")
    if not isinstance(content, list):
        return None if isinstance(content, str) else refuse(f"{place}.content: Input should be a valid list")
    if not content:
        return refuse(f"{place}.content: List should have at least 1 item")
    refusals = (_check_block(f"{place}.content.{number}", inner, _RESULT_BLOCKS) for number, inner in enumerate(content))
    return next(filter(None, refusals), None)


def _check_thinking(place: str, block: dict[str, Any]) -> Reply | None:
    if not isinstance(block.get("thinking"), str):
        return refuse(f"{place}.thinking: Field required")
    if not block.get("signature"):
        return refuse(f"{place}.signature: Field required")
    if block["signature"] != sealed(block["thinking"]):
        return refuse(f"{place.rpartition('.')[0]}: Invalid `signature` in `thinking` block")
    return None


def _check_redacted(place: str, block: dict[str, Any]) -> Reply | None:
    return None if block.get("data") else refuse(f"{place}.data: Field required")


_BLOCK_CHECKS = {
    "text": _check_text,
    "image": _check_media,
    "document": _check_media,
    "tool_use": _check_use,
    "tool_result": _check_result,
    "thinking": _check_thinking,
    "redacted_thinking": _check_redacted,
}


def _check_roles(turns: list[Turn], model: Model) -> Reply | None:
    if turns[0].role == "system":
        return refuse("messages.0: use the top-level 'system' parameter for the initial system prompt")
    if turns[0].role != "user":
        return refuse('messages: first message must use the "user" role')
    for number, turn in enumerate(turns):
        if turn.role != "system":
            continue
        if model.is_known and not model.takes_system_turns:
            return refuse(f"messages.{turn.index}: role 'system' is not supported on this model")
        following = turns[number + 1].role if number + 1 < len(turns) else "assistant"
        if turns[number - 1].role != "user" or following != "assistant":
            return refuse(f"messages.{turn.index}: a system message must follow a user turn, and come last or before an assistant turn")
    return None


def _check_ids(turns: list[Turn]) -> Reply | None:
    seen: set[str] = set()
    for turn in turns:
        for block in _uses(turn):
            if block["id"] in seen:
                return refuse(f"messages.{turn.index}: `tool_use` ids must be unique")
            seen.add(block["id"])
    return None


def _uses(turn: Turn) -> Iterator[dict[str, Any]]:
    return (block for block in turn.blocks if turn.role == "assistant" and block["type"] == "tool_use")


def _check_results(turns: list[Turn]) -> Reply | None:
    """Demand that each call is answered at the beginning of the next turn, and that nothing else is."""
    waiting: list[str] = []
    for turn in turns:
        results = [block["tool_use_id"] for block in turn.blocks if block["type"] == "tool_result"]
        for result in results:
            if result not in waiting:
                return refuse(
                    f"messages.{turn.index}.content: unexpected `tool_use_id` found in `tool_result` blocks: {result}. Each "
                    "`tool_result` block must have a corresponding `tool_use` block in the previous message."
                )
        first = [block["tool_use_id"] for block in turn.blocks[: len(results)] if block["type"] == "tool_result"]
        if missing := [one for one in waiting if one not in first]:
            return _unanswered(turn.index - 1, missing)
        waiting = [block["id"] for block in _uses(turn)]
    return _unanswered(turns[-1].index, waiting) if waiting else None


def _unanswered(index: int, missing: list[str]) -> Reply:
    return refuse(
        f"messages.{index}: `tool_use` ids were found without `tool_result` blocks immediately after: {', '.join(missing)}. Each "
        "`tool_use` block must have a corresponding `tool_result` block in the next message."
    )


def _check_end(turns: list[Turn], model: Model) -> Reply | None:
    last = turns[-1]
    if last.role != "assistant" or any(block["type"] not in ("text", "thinking", "redacted_thinking") for block in last.blocks):
        return None  # a turn that was paused inside a tool of the server's goes on
    if model.is_known and not model.takes_prefill:
        return refuse("This model does not support assistant message prefill. The conversation must end with a user message.")
    text = last.blocks[-1].get("text", "")
    return refuse("messages: final assistant content cannot end with trailing whitespace") if text != text.rstrip() else None
