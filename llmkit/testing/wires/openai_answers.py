"""What a fake model answers to a chat request: the script's words, or an echo, a tool call or JSON, as asked."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Mapping
from typing import Any

from attrs import evolve, frozen

from llmkit.testing.replies import Reply, ToolUse
from llmkit.testing.wires.openai_checks import mapping, rows, text_of
from llmkit.testing.wires.samples import sample

__all__ = ["Answer", "answer", "cut_words"]

_WORD = re.compile(r"\s*\S+(?:\s+\Z)?|\s+")
_LONG_STREAM = re.compile(r"fake-stream-(\d+)")
_numbers = itertools.count(1)


@frozen(kw_only=True)
class Answer:
    """One choice, before it is written as a message or as deltas. A piece of text counts as one token."""

    pieces: tuple[str, ...] | None
    """The text; None where the model says nothing."""
    thinking: str = ""
    calls: tuple[ToolUse, ...] = ()
    refusal: str | None = None
    finish_reason: str = "stop"
    usage: Mapping[str, Any]

    @property
    def text(self) -> str | None:
        return None if self.pieces is None else "".join(self.pieces)


def answer(body: dict[str, Any], reply: Reply, *, model: str) -> Answer:
    """Return what *reply* lets the model say to the request *body*."""
    text, calls, finish = reply.text, reply.tool_calls, "stop"
    if not reply.says_something:
        text, calls = _own_words(body)
    pieces = reply.chunks if reply.chunks is not None else None if text is None else cut_words(text)
    if not reply.says_something and pieces is not None:
        pieces = _lengthened(pieces, _wanted_pieces(model) or reply.pieces)
        pieces, finish = _limited(pieces, body)
    thinking = reply.thinking or ""
    return Answer(
        pieces=pieces,
        thinking=thinking,
        calls=tuple(call if call.id is not None else evolve(call, id=_call_id()) for call in calls),
        refusal=reply.refusal,
        finish_reason=reply.finish_reason or ("tool_calls" if calls else finish),
        usage=_usage(body, pieces or (), cut_words(thinking), calls, reply.usage),
    )


def cut_words(text: str) -> tuple[str, ...]:
    """Cut *text* into words, each with the space before it; together they are the text again."""
    return tuple(_WORD.findall(text))


def _own_words(body: dict[str, Any]) -> tuple[str | None, tuple[ToolUse, ...]]:
    """Return the text, or the tool call, of a good answer."""
    asked = _last_user_text(body)
    tool = _demanded_tool(body)
    if tool is not None:
        arguments = sample(tool.get("parameters") or {"type": "object"}, asked)
        return None, (ToolUse(name=str(tool.get("name")), arguments=arguments),)
    wanted = mapping(body.get("response_format"))
    if wanted.get("type") == "json_schema":
        return _json_text(sample(mapping(wanted.get("json_schema")).get("schema"), asked)), ()
    echo = f"You said: {asked}"
    return (_json_text({"answer": echo}) if wanted.get("type") == "json_object" else echo), ()


def _json_text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _last_user_text(body: dict[str, Any]) -> str:
    users = [message for message in rows(body.get("messages")) if message.get("role") == "user"]
    return text_of(users[-1].get("content")) if users else ""


def _demanded_tool(body: dict[str, Any]) -> dict[str, Any] | None:
    """Return the function that must be called, if one must."""
    functions = [tool["function"] for tool in rows(body.get("tools")) if isinstance(tool.get("function"), dict)]
    choice = body.get("tool_choice")
    if isinstance(choice, dict):
        if choice.get("type") == "allowed_tools":
            allowed = mapping(choice.get("allowed_tools"))
            names = [mapping(tool.get("function")).get("name") for tool in rows(allowed.get("tools"))]
            functions = [one for one in functions if one.get("name") in names] if allowed.get("mode") == "required" else []
        else:
            named = mapping(choice.get("function")).get("name")
            functions = [one for one in functions if one.get("name") == named]
    # Mistral's word for "required" is "any".
    elif choice not in ("required", "any"):
        return None
    return functions[0] if functions else None


def _wanted_pieces(model: str) -> int | None:
    named = _LONG_STREAM.search(model)
    return int(named.group(1)) if named else None


def _lengthened(pieces: tuple[str, ...], count: int | None) -> tuple[str, ...]:
    """Return *pieces* as exactly *count* of them: the surplus joined to the last, what is missing made up."""
    if count is None:
        return pieces
    kept = pieces if len(pieces) <= count else (*pieces[: count - 1], "".join(pieces[count - 1 :]))
    return kept + (" word",) * (count - len(kept))


def _limited(pieces: tuple[str, ...], body: dict[str, Any]) -> tuple[tuple[str, ...], str]:
    """Obey the request's stop sequences and its limit on tokens; return the finish reason too."""
    stops = body.get("stop") or ()
    text = "".join(pieces)
    ends = [text.find(stop) for stop in ([stops] if isinstance(stops, str) else stops) if isinstance(stop, str) and stop and stop in text]
    kept = cut_words(text[: min(ends)]) if ends else pieces
    limit = body.get("max_completion_tokens") or body.get("max_tokens")
    if isinstance(limit, int) and len(kept) > limit:
        return kept[:limit], "length"
    return kept, "stop"


def _usage(
    body: dict[str, Any],
    pieces: tuple[str, ...],
    thoughts: tuple[str, ...],
    calls: tuple[ToolUse, ...],
    override: Mapping[str, Any] | None,
) -> dict[str, Any]:
    texts = [text_of(message.get("content")) for message in rows(body.get("messages"))]
    asked = sum(text.count(" ") + 4 for text in texts)
    answered = len(pieces) + len(thoughts) + sum(len(cut_words(call.arguments_text)) for call in calls)
    usage: dict[str, Any] = {
        "prompt_tokens": asked,
        "completion_tokens": answered,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": len(thoughts),
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
        **(override or {}),
    }
    if "total_tokens" not in usage:
        usage["total_tokens"] = (usage["prompt_tokens"] or 0) + (usage["completion_tokens"] or 0)
    return usage


def _call_id() -> str:
    # Nine letters and digits: Mistral accepts no other form back. Source: its error 3280, seen 2026.
    return f"call{next(_numbers) % 100_000:05d}"
