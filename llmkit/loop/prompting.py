"""
Tools for models that have none: told in the system message, called in a fenced block, their results given back as the user's words.

Rule 1: a call is what stands in a block marked ``tool_calls``, and nothing else: JSON elsewhere in an answer is an answer.
Rule 2: what is not exactly right is not guessed at; the model is told what is wrong.
Rule 3: the transcript has calls and results as of any other model, so that it can be gone on with where there are tools.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from itertools import count
from typing import Any

from llmkit.models.content import Message, Part, Text, ToolCall, ToolResult
from llmkit.tools import Tool

__all__ = ["Curtain", "instructions", "read_calls", "rendered"]

_OPENING = "```tool_calls"
_OPENING_LINE = re.compile(r"[ \t]*```[ \t]*tool_calls[ \t]*\r?")
_BLOCK = re.compile(r"^[ \t]*```[ \t]*tool_calls[ \t]*\r?\n(?:(.*?)^[ \t]*```[ \t]*\r?$)?", re.DOTALL | re.MULTILINE)

_INSTRUCTIONS = """\
You can use the tools below. To use some of them, end your answer with one block of exactly this form, and write nothing after it:

```tool_calls
[{"name": "NAME", "arguments": {...}}]
```

It is a JSON list with one object for each call; "arguments" is an object that fits the tool's "parameters", a JSON Schema.
The results come with the next message. An answer without such a block is your final answer.

The tools, one on each line:
"""


def instructions(tools: Iterable[Tool], system: str | None) -> str:
    """Return the system message that tells a model of *tools*, behind what it is told anyway."""
    lines = [
        json.dumps({"name": tool.name, "description": tool.description, "parameters": tool.parameters}, ensure_ascii=False)
        for tool in tools
    ]
    own = f"{system}\n\n" if system else ""
    return f"{own}{_INSTRUCTIONS}{chr(10).join(lines)}" if lines else own.strip()


def read_calls(message: Message, *, first: int) -> tuple[Message, str | None]:
    """
    Return an answer with its blocks read as calls, or as it is, with what is wrong with them.

    The calls are numbered from *first*, for their ids. What follows the first block is left out: results as the model imagines them.
    """
    text = message.text
    blocks = list(_BLOCK.finditer(text))
    if not blocks:
        return message, None
    try:
        wishes = [wish for block in blocks for wish in _read_block(block[1])]
    except ValueError as error:
        return message, f"Your block of tool_calls cannot be read: {error}. Write the whole of it again, in the form that was asked for."
    calls = [ToolCall(f"call_{number}", name, arguments) for number, (name, arguments) in zip(count(first), wishes, strict=False)]
    before = text[: blocks[0].start()].rstrip()
    others = [part for part in message.content if not isinstance(part, Text)]
    return Message("assistant", [*others, *([before] if before else []), *calls]), None


def _read_block(body: str | None) -> list[tuple[str, dict[str, Any]]]:
    if body is None:
        raise ValueError("it is not closed by a line of ```")
    try:
        wishes = json.loads(body, parse_constant=_refuse_constant)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    calls = wishes if isinstance(wishes, list) else [wishes]
    if not calls:
        raise ValueError("it is an empty list")
    return [_read_wish(wish) for wish in calls]


def _read_wish(wish: Any) -> tuple[str, dict[str, Any]]:
    call = wish if isinstance(wish, dict) else {}
    name, arguments = call.get("name"), call.get("arguments", {})
    if beyond := sorted(call.keys() - {"name", "arguments"}):
        raise ValueError(f'a call has "name" and "arguments" and nothing else, but here is {json.dumps(beyond[0])}')
    if isinstance(name, str) and isinstance(arguments, dict):
        return name, arguments
    raise ValueError('each call is an object with "name", a text, and "arguments", an object')


def _refuse_constant(word: str) -> Any:
    raise ValueError(f"{word} is no JSON value")


def rendered(messages: Sequence[Message]) -> list[Message]:
    """Return a transcript as a model without tools reads it: calls as blocks, results as the user's words."""
    turns: list[Message] = []
    results: list[Part] = []
    for message in messages:
        if message.role == "tool":
            results += [part for result in message.content if isinstance(result, ToolResult) for part in _result_parts(result)]
            continue
        if results:
            turns.append(Message("user", results))
            results = []
        turns.append(_with_block(message) if message.tool_calls else message)
    return [*turns, Message("user", results)] if results else turns


def _with_block(message: Message) -> Message:
    wishes = [{"name": call.name, "arguments": dict(call.arguments)} for call in message.tool_calls]
    said = message.text
    text = f"{said}\n\n" if said else ""
    others = [part for part in message.content if not isinstance(part, (Text, ToolCall))]
    return Message(message.role, [*others, f"{text}{_OPENING}\n{json.dumps(wishes, ensure_ascii=False)}\n```"], name=message.name)


def _result_parts(result: ToolResult) -> list[Part]:
    what = "Error from" if result.is_error else "Result of"
    head = (
        f"{what} the tool {result.name} ({result.call_id}):\n{result.text}\n"
        if result.name
        else f"{what} {result.call_id}:\n{result.text}\n"
    )
    return [Text(head), *(part for part in result.content if not isinstance(part, Text))]


class Curtain:
    """Keeps the blocks of a streamed answer, which are no words of the model's, from whoever reads it as it comes."""

    def __init__(self) -> None:
        self._held = ""
        self._is_line_start = True
        self._is_down = False

    def feed(self, text: str) -> str:
        """Return what of the answer can be shown now: the beginning of a line that may be a block's waits."""
        shown = ""
        self._held += text
        while self._held and not self._is_down:
            line, newline, rest = self._held.partition("\n")
            if self._is_line_start and newline and _OPENING_LINE.fullmatch(line):
                self._is_down = True
            elif self._is_line_start and not newline and _OPENING.startswith(re.sub(r"[ \t\r]", "", line)):
                return shown
            else:
                shown += line + newline
                self._held = rest
                self._is_line_start = bool(newline)
        self._held = ""
        return shown

    def end(self) -> str:
        """Return what was held back, now that no more comes."""
        held, self._held = self._held, ""
        return held
