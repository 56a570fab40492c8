"""
Conversations in the shape of Converse.

Rule 1: turns alternate and the first is the user's. What follows in one role is one turn; the results of tools are the user's, and
        stand first in it. What may not stand beside them follows in a turn of its own, behind a word of the assistant's.
Rule 2: system messages at the beginning are the system prompt. A later one stays where it is if the model takes it there (behind a
        user's turn), and else is told to the user's turn as a reminder.
Rule 3: what this provider made goes back as it came: thoughts, their seals, blocks of its own tools. What another provider made for
        itself alone is left out. What is empty is left out, since it is refused.
Rule 4: the same messages always give the same bytes, and more messages never change those before them, except that a system message
        moves when a user's follows it: a seal may be on all that stands before it.

Source: AWS, "Amazon Bedrock API reference", ``Message`` and ``ContentBlock``, by botocore 1.44.5; pydantic-ai at 4fda389,
``models/bedrock.py``, and the traffic it recorded; read 2026-11-21.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from llmkit.dialects.alternating import OPENING, Block, CallIds, Turn, TurnWriter, no_prefill, no_turns
from llmkit.dialects.bedrock_media import DocumentNames, write_media
from llmkit.models.content import Native, Part, Text, Thinking, ToolCall, ToolResult
from llmkit.models.converse import ConverseRules
from llmkit.models.request import CompletionRequest

__all__ = ["CACHE_POINT", "Turns", "fit_tool_name", "write_turns"]

CACHE_POINT: Block = {"cachePoint": {"type": "default"}}
BREAKPOINTS = 4  # the most that the API takes
PLACEHOLDER = "."  # the least that counts as something said
FAILED = "The tool failed:"

_UNFIT_ID = re.compile(r"[^a-zA-Z0-9_.:-]")
_UNFIT_NAME = re.compile(r"[^a-zA-Z0-9_-]")
LONGEST = 64  # characters of an id or a name


class Turns:
    """What was written: the system prompt, the turns, and the names of the tools that were called in them."""

    __slots__ = ("called", "system", "turns")

    def __init__(self, system: list[Block], turns: list[Block], called: tuple[str, ...]) -> None:
        self.system = system
        self.turns = turns
        self.called = called


def write_turns(
    request: CompletionRequest, *, owner: str, rules: ConverseRules, instruction: str | None = None, reminder: str | None = None
) -> Turns:
    """
    Return the conversation of *request*.

    Args:
        owner: Whose thoughts and native blocks are sent back.
        rules: Those of the model's family.
        instruction: What is to stand at the end of the system prompt.
        reminder: What is to be said to the model last, if tools were called before.

    Raises:
        ConfigurationError: If something in it cannot be said here; it says what.
    """
    writer = Writer(owner=owner, rules=rules, keeps_system="system_turns" in request.facts.traits)
    for message in request.messages:
        writer.add(message)
    if instruction is not None:
        writer.system.append({"text": instruction})
    if reminder is not None and writer.called:
        writer.remind(reminder)
    return Turns(writer.system, writer.finished(prefill=request.facts.prefill), tuple(writer.called))


def fit_tool_name(name: str) -> str:
    """Return *name* as Converse takes it."""
    return _UNFIT_NAME.sub("_", name)[:LONGEST] or "_"


class Writer(TurnWriter):
    """Writes one conversation, message after message."""

    __slots__ = ("_marks", "_names", "_rules", "called")

    def __init__(self, *, owner: str, rules: ConverseRules, keeps_system: bool) -> None:
        super().__init__(owner=owner, keeps_system=keeps_system, ids=CallIds(_UNFIT_ID, "tooluse_", LONGEST))
        self._rules = rules
        self._names = DocumentNames()
        self._marks: list[Block] = []
        self.called: dict[str, None] = {}

    def remind(self, text: str) -> None:
        """Say *text* to the model last, where the last turn is not its own."""
        if self.turns and self.turns[-1].role != "assistant":
            self._push("user", [{"text": text}], [])

    def finished(self, *, prefill: bool | None) -> list[Block]:
        """Return the turns. *prefill* is whether the last may be the assistant's, None where that is not known."""
        turns = self.turns
        if not turns:
            raise no_turns()
        if turns[-1].role == "assistant":
            _end_open(turns[-1], prefill)
        if len(self._marks) > BREAKPOINTS:
            self._drop_marks()
        if turns[0].role != "user":
            turns.insert(0, Turn("user", [{"text": OPENING}], []))
        return [wire for turn in turns for wire in self._wire(turn)]

    def _drop_marks(self) -> None:
        # The first holds what never changes; of the others the last reach furthest.
        dropped = {id(mark) for mark in self._marks[1 : 1 - BREAKPOINTS]}
        for blocks in (self.system, *(turn.blocks for turn in self.turns), *(turn.results for turn in self.turns)):
            blocks[:] = [block for block in blocks if id(block) not in dropped]

    def _wire(self, turn: Turn) -> list[Block]:
        if turn.role == "user" and any("document" in block for block in turn.blocks) and not any("text" in block for block in turn.blocks):
            turn.blocks.insert(0, {"text": PLACEHOLDER})  # a document alone is refused
        allowed = self._rules.beside_results
        if not turn.results or not turn.blocks or allowed is None or all(_kind(block) in allowed for block in turn.blocks):
            return [{"role": turn.role, "content": [*turn.results, *turn.blocks]}]
        return [
            {"role": "user", "content": turn.results},
            {"role": "assistant", "content": [{"text": PLACEHOLDER}]},
            {"role": "user", "content": turn.blocks},
        ]

    # -- parts

    def _add_part(self, blocks: list[Block], part: Part) -> None:
        if isinstance(part, Text):
            if not part.text.strip():
                return  # empty texts are refused, and by some models white space is
            blocks.append({"text": part.text})
        elif isinstance(part, Native):
            self._add_native(blocks, part)
            return
        elif isinstance(part, Thinking):
            return
        elif isinstance(part, (ToolCall, ToolResult)):
            self._refuse_place(part)
        else:
            blocks.append(write_media(part, self._names, owner=self._owner))
        if part.cache:
            self._mark(blocks)

    def _mark(self, blocks: list[Block]) -> None:
        if self._rules.caches is False:
            return
        document = blocks[-1].get("document")
        if document is not None and document.get("format") != "pdf":
            blocks.append({"text": PLACEHOLDER})  # right behind a document that is text, a cache point is refused
        mark = dict(CACHE_POINT)
        self._marks.append(mark)
        blocks.append(mark)

    def _add_native(self, blocks: list[Block], part: Native) -> None:
        if part.provider != self._owner or not isinstance(part.data, Mapping):
            return
        cited = part.data.get("citationsContent")
        if isinstance(cited, Mapping) and blocks and blocks[-1] == {"text": cited_text(cited)}:
            blocks[-1] = dict(part.data)  # the text was told apart when it was read
        elif cited is None:
            blocks.append(dict(part.data))

    # -- what goes round: thoughts, calls, results

    def _thought(self, thought: Thinking) -> list[Block]:
        wanted = self._rules.thoughts
        if thought.provider not in (None, self._owner) or wanted == "none":
            return []
        if thought.provider is not None and isinstance(thought.data, Mapping) and "reasoningContent" in thought.data:
            return [dict(thought.data)] if wanted != "bare" else []
        if thought.signature and wanted != "bare":
            return [{"reasoningContent": {"reasoningText": {"text": thought.text, "signature": thought.signature}}}]
        # Without a seal Claude refuses any; the others have none.
        if thought.signature or not thought.text or wanted != "bare" or thought.provider is None:
            return []
        return [{"reasoningContent": {"reasoningText": {"text": thought.text}}}]

    def _call(self, call: ToolCall) -> Block:
        name = fit_tool_name(call.name)
        self.called[name] = None
        arguments: Any = dict(call.arguments)
        if call.invalid is not None and not arguments and call.text:
            # What was no JSON object has no other place; Anthropic wants it under this name.
            arguments = {"INVALID_JSON": call.text}
        return {"toolUse": {"toolUseId": self._ids.new(call.id), "name": name, "input": arguments}}

    def _result(self, result: ToolResult) -> list[Block]:
        content: list[Block] = []
        marks = len(self._marks)
        for part in result.content:
            self._add_part(content, part)
        marked = len(self._marks) > marks
        del self._marks[marks:]  # a breakpoint cannot lie inside a block
        content = [block for block in content if "cachePoint" not in block]
        if self._rules.json_results and all("text" in block for block in content):
            content = [{"json": _as_object("".join(block["text"] for block in content))}]
        said: Block = {"toolUseId": self._ids.of_result(result.call_id), "content": content or [{"text": PLACEHOLDER}]}
        if result.is_error and self._rules.says_status:
            said["status"] = "error"
        elif result.is_error:
            said["content"].insert(0, {"text": FAILED})
        blocks: list[Block] = [{"toolResult": said}]
        if marked:
            self._mark(blocks)
        return blocks


def cited_text(cited: Mapping[str, Any]) -> str:
    """Return the text of a block of text with citations."""
    content = cited.get("content")
    pieces = content if isinstance(content, list) else []
    return "".join(piece["text"] for piece in pieces if isinstance(piece, Mapping) and isinstance(piece.get("text"), str))


def _end_open(turn: Turn, prefill: bool | None) -> None:
    """Make the assistant's *turn*, which the model is to go on with, fit to be the last."""
    last = next(block for block in reversed(turn.blocks) if "cachePoint" not in block)
    if "text" not in last:
        return  # it was paused inside a tool of the server's
    if prefill is False and all(_kind(block) in ("text", "reasoningContent") for block in turn.blocks):
        raise no_prefill()
    last["text"] = last["text"].rstrip()  # white space there is refused


def _kind(block: Block) -> str:
    return next((key for key in block if key != "cachePoint"), "text")  # a cache point stands with whatever is before it


def _as_object(text: str) -> Any:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = text
    return value if isinstance(value, dict) else {"result": value}
