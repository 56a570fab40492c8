"""
How many tokens something comes to, without asking anybody and without reading a file.

A text is counted by the kinds of its characters, with what each comes to in the model's family of tokenizers. Whole texts of English,
Chinese and source code come out within 15 % of the tokenizers themselves, mostly within 5 %; a single Chinese sentence of rare or of very
common words may be off by a quarter, and European languages other than English are counted up to a fifth too low.

What is no text is counted by rule:

* a message costs 4 tokens for its frame, a tool call 8, and a tool result 4, beside what is in them;
* a tool costs 8 and its name, description and JSON Schema; the first one 346 more with Claude, whose tools come with a system prompt;
* a picture costs 1,000, at low detail 85 (1024 by 1024 pixels are 765 for GPT-4o, 1,032 for Gemini, 1,398 for Claude);
* a document of text is counted as text; any other costs 2,000 per page of 50 kB;
* a sound costs one token per 1,000 bytes, and at least 100;
* a file behind a URL costs what a small one does.

Sources: OpenAI, "Images and vision" and its cookbook, "How to count tokens"; Anthropic, "Vision", "PDF support" and "Tool use"; Google AI
for Developers, "Understand and count tokens"; read 2026-11-21.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

from llmkit.catalogue.tokenizers import family_of, weights_of
from llmkit.models.content import Audio, Document, Image, Message, Native, Text, Thinking, ToolCall, ToolResult

if TYPE_CHECKING:
    from llmkit.models.request import CompletionRequest
    from llmkit.tools import Tool

__all__ = ["Count", "estimate_request", "estimate_tokens"]

Count: TypeAlias = Callable[[str], int]
"""Tells how many tokens a text is."""

PER_MESSAGE = 4
PER_CALL = 8
PER_RESULT = 4
PER_TOOL = 8
CLAUDES_TOOL_PROMPT = 346
PER_IMAGE = 1000
PER_SMALL_IMAGE = 85
PER_PAGE = 2000
BYTES_PER_PAGE = 50_000
BYTES_PER_AUDIO_TOKEN = 1000
LEAST_AUDIO = 100

_WORDS = re.compile("[A-ZÀ-Þ]?[a-zß-öø-ÿĀ-ɏ]+")
_CAPITALS = re.compile("[A-ZÀ-Þ]+(?![a-zß-öø-ÿĀ-ɏ])")
_LONG = re.compile("[a-zß-öø-ÿĀ-ɏ]{8,}")
_TRIPLES = re.compile("[0-9]{1,3}")
_MARKS = re.compile(r"[!-/:-@\[-`{-~]+")
_LINES = re.compile(r"\n+")
_GAPS = re.compile(r"[ \t]{2,}")
_ASCII = re.compile("[\x00-\x7f]+")

# The scripts, in the order of their weights from ``accent`` on.
_RANGES = (
    "À-ɏ\u1e00-\u1eff\u0300-\u036f",
    "\u0370-\u03ff",
    "\u0400-\u052f",
    "\u0590-\u05ff",
    "\u0600-\u07ff",
    "\u0900-\u0dff",
    "\u0e00-\u0eff",
    "\uac00-\ud7af\u1100-\u11ff",
    "\u3040-\u30ff",
    "\u3400-\u9fff\uf900-\ufaff",
    "\u3000-\u303f\uff00-\uffef",
    "\u2000-\u206f\u0080-\u00bf",
)
_SCRIPTS = tuple(re.compile(f"[{characters}]+") for characters in _RANGES)
_FIRST_SCRIPT = 10  # its place among the weights


def estimate_tokens(text: str, model: str = "") -> int:
    """
    Return about how many tokens *text* is for *model*, by its name; an unknown or empty one is taken for one of today's.

    Pure and deterministic. It takes some 0.1 µs a character in English, 0.2 µs in other scripts.
    """
    if not text:
        return 0
    weights = weights_of(model)
    words = len(_WORDS.findall(text))
    capitals = _CAPITALS.findall(text)
    several = sum([len(run) > 1 for run in capitals])  # one alone is a word
    long = [len(word) + 1 for word in _LONG.findall(text)]
    triples = _TRIPLES.findall(text)
    marks = _MARKS.findall(text)
    total = (
        weights.word * (words + len(capitals) - several)
        + weights.over8 * sum([length - 8 for length in long])
        + weights.over12 * sum([length - 12 for length in long if length > 12])
        + weights.capitals * several
        + weights.triple * len(triples)
        + weights.digit * _joined(triples)
        + weights.mark * len(marks)
        + weights.further_mark * (_joined(marks) - len(marks))
        + weights.line * len(_LINES.findall(text))
        + weights.gap * len(_GAPS.findall(text))
    )
    if not text.isascii():
        rest = _ASCII.sub("", text)
        found = [_joined(script.findall(rest)) for script in _SCRIPTS]
        total += sum([weight * count for weight, count in zip(weights[_FIRST_SCRIPT:-1], found, strict=True)])
        total += weights.other * (len(rest) - sum(found))
    return max(1, round(total))


def _joined(runs: list[str]) -> int:
    return len("".join(runs))


def estimate_request(request: CompletionRequest, count: Count | None = None) -> int:
    """
    Return about how many input tokens *request* is; the module's docstring has the rules.

    Args:
        count: What counts the tokens of a text; an estimate unless there is something better.
    """
    if count is None:
        count = partial(estimate_tokens, model=request.model)
    total = sum([_of_message(message, count) for message in request.messages])
    total += sum([_of_tool(tool, count) for tool in request.tools])
    if request.tools and family_of(request.model).startswith("claude"):
        total += CLAUDES_TOOL_PROMPT
    if request.response_format is not None and request.response_format.schema is not None:
        total += _of_json(request.response_format.schema, count)
    return total


def _of_message(message: Message, count: Count) -> int:
    return PER_MESSAGE + sum([_RULES[part.__class__](part, count) for part in message.content])


def _of_tool(tool: Tool, count: Count) -> int:
    return PER_TOOL + count(f"{tool.name}\n{tool.description}") + _of_json(tool.parameters, count)


def _of_json(value: Any, count: Count) -> int:
    return count(json.dumps(value, ensure_ascii=False, default=str))


def _of_text(part: Any, count: Count) -> int:
    return count(part.text)


def _of_image(part: Any, count: Count) -> int:
    return PER_SMALL_IMAGE if part.detail == "low" else PER_IMAGE


def _of_document(part: Any, count: Count) -> int:
    data = part.data
    if data is not None and part.media_type.startswith("text/"):
        return count(data.decode("utf-8", "replace"))
    return PER_PAGE * max(1, len(data or b"") // BYTES_PER_PAGE)


def _of_audio(part: Any, count: Count) -> int:
    return max(LEAST_AUDIO, len(part.data or b"") // BYTES_PER_AUDIO_TOKEN)


def _of_call(part: Any, count: Count) -> int:
    arguments = count(part.text) if part.text is not None else _of_json(dict(part.arguments), count)
    return PER_CALL + count(part.name) + arguments


def _of_result(part: Any, count: Count) -> int:
    return PER_RESULT + sum([_RULES[inner.__class__](inner, count) for inner in part.content])


def _of_native(part: Any, count: Count) -> int:
    return _of_json(part.data, count)


_RULES: Mapping[type, Callable[[Any, Count], int]] = {
    Text: _of_text,
    Image: _of_image,
    Audio: _of_audio,
    Document: _of_document,
    Thinking: _of_text,
    ToolCall: _of_call,
    ToolResult: _of_result,
    Native: _of_native,
}
