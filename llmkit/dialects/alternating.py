"""
Conversations whose turns alternate between the user and the assistant, whatever the blocks in them look like.

Rule 1: what follows in one role is one turn; the results of tools are the user's, and are kept apart, since they stand first in it.
Rule 2: system messages at the beginning are the system prompt. A later one stays where it is if the model takes it there (behind a
        user's turn), and else is told to the user's turn as a reminder.
Rule 3: a call's id goes out as it came wherever it fits the wire, as a digest of itself where it does not, and no two calls of a turn
        share one; results find their calls by the id that came.
"""

from __future__ import annotations

import hashlib
import re
from abc import ABC, abstractmethod
from typing import Any, Literal, NoReturn

from llmkit.errors import ConfigurationError
from llmkit.models.content import Message, Native, Part, Text, Thinking, ToolCall, ToolResult

__all__ = ["OPENING", "Block", "CallIds", "Turn", "TurnWriter", "article", "no_prefill", "no_turns"]

Block = dict[str, Any]

OPENING = "(The conversation begins.)"  # stands for the user's turn that must come first


class Turn:
    """One turn in the making."""

    __slots__ = ("blocks", "results", "role")

    def __init__(self, role: Literal["system", "user", "assistant"], blocks: list[Block], results: list[Block]) -> None:
        self.role = role
        self.blocks = blocks
        self.results = results


class CallIds:
    """
    The ids of a conversation's calls: as they came, and as they are sent.

    Args:
        unfit: Finds what an id of the wire does not hold.
        prefix: Before the digest of one that does not fit.
        longest: The most characters that the wire takes, None for any number.
    """

    __slots__ = ("_longest", "_prefix", "_sent", "_unfit", "_used")

    def __init__(self, unfit: re.Pattern[str], prefix: str, longest: int | None = None) -> None:
        self._unfit = unfit
        self._prefix = prefix
        self._longest = longest
        self._sent: dict[str, list[str]] = {}
        self._used: set[str] = set()

    def new(self, call_id: str) -> str:
        """Return a fit id for a call, one that no other has: a name may have been all the id that another wire had."""
        fit = self._fit(call_id)
        used, number = fit, 2
        while used in self._used:
            ending = f"-{number}"
            used, number = (fit if self._longest is None else fit[: self._longest - len(ending)]) + ending, number + 1
        self._used.add(used)
        self._sent.setdefault(call_id, []).append(used)
        return used

    def of_result(self, call_id: str) -> str:
        """Return the id that the result of a call is sent with: of calls that shared an id, results come in the order of the calls."""
        sent = self._sent.get(call_id)
        if not sent:
            return self._fit(call_id)
        return sent.pop(0) if len(sent) > 1 else sent[0]

    def forget(self) -> None:
        """The calls so far have their results."""
        self._sent = {}

    def _fit(self, call_id: str) -> str:
        if call_id and (self._longest is None or len(call_id) <= self._longest) and not self._unfit.search(call_id):
            return call_id
        # The same id must come out wherever it stands in the history, and on every retry.
        return self._prefix + hashlib.sha256(call_id.encode("utf-8", "replace")).hexdigest()[:24]


class TurnWriter(ABC):
    """Writes one conversation, message after message. What a block looks like is the wire's own."""

    __slots__ = ("_ids", "_keeps_system", "_owner", "system", "turns")

    def __init__(self, *, owner: str, keeps_system: bool, ids: CallIds) -> None:
        self._owner = owner
        self._keeps_system = keeps_system
        self._ids = ids
        self.system: list[Block] = []
        self.turns: list[Turn] = []

    def add(self, message: Message) -> None:
        """Write *message*. Raises ``ConfigurationError`` if something in it cannot be said here."""
        if message.name:
            self._refuse(f"has no names for speakers: say it in the text instead of with name={message.name!r}")
        if message.role == "assistant":
            self._add_assistant(message)
        elif message.role == "system":
            self._add_system(message)
        else:
            self._add_user(message)

    # -- of the wire

    @abstractmethod
    def _add_part(self, blocks: list[Block], part: Part) -> None:
        """Write *part* of a system's or a user's message, or text, behind *blocks*."""

    @abstractmethod
    def _add_native(self, blocks: list[Block], part: Native) -> None: ...

    @abstractmethod
    def _call(self, call: ToolCall) -> Block: ...

    @abstractmethod
    def _thought(self, thought: Thinking) -> list[Block]: ...

    @abstractmethod
    def _result(self, result: ToolResult) -> list[Block]: ...

    # -- roles

    def _push(self, role: Literal["user", "assistant"], blocks: list[Block], results: list[Block]) -> None:
        turns = self.turns
        if turns and turns[-1].role == "system" and role == "user":
            self._push("user", _reminders(turns.pop().blocks), [])
        if turns and turns[-1].role == role:
            turns[-1].blocks += blocks
            turns[-1].results += results
        elif blocks or results:
            turns.append(Turn(role, blocks, results))

    def _add_system(self, message: Message) -> None:
        blocks: list[Block] = []
        for part in message.content:
            if not isinstance(part, (Text, Native)):
                self._refuse(f"takes only text in a system message, not {article(part)}")
            self._add_part(blocks, part)
        if not self.turns:
            self.system += blocks
        elif not blocks:
            return
        elif self.turns[-1].role == "system":
            self.turns[-1].blocks += blocks
        elif self._keeps_system and self.turns[-1].role == "user":
            self.turns.append(Turn("system", blocks, []))
        else:
            self._push("user", _reminders(blocks), [])

    def _add_user(self, message: Message) -> None:
        blocks: list[Block] = []
        results: list[Block] = []
        for part in message.content:
            if isinstance(part, ToolResult):
                results += self._result(part)
            else:
                self._add_part(blocks, part)
        if message.role == "tool" and (blocks or not results):
            msg = "A message of the role 'tool' is made of tool results, and of nothing else: use llmkit.tool_result(call, value)."
            raise ConfigurationError(msg)
        if not blocks and not results:
            msg = f"A message has nothing in it that {self._owner} can read."
            raise ConfigurationError(msg)
        self._push("user", blocks, results)

    def _add_assistant(self, message: Message) -> None:
        blocks: list[Block] = []
        if self.turns and self.turns[-1].role != "assistant":
            self._ids.forget()
        for part in message.content:
            if isinstance(part, Text):
                self._add_part(blocks, part)
            elif isinstance(part, ToolCall):
                blocks.append(self._call(part))
            elif isinstance(part, Thinking):
                blocks += self._thought(part)
            elif isinstance(part, Native):
                self._add_native(blocks, part)
            else:
                self._refuse(f"takes no {type(part).__name__} in an assistant's message: it is made of text, thinking and tool calls")
        # One in which only another provider's own blocks stood is none.
        self._push("assistant", blocks, [])

    def _refuse(self, what: str) -> NoReturn:
        msg = f"{self._owner} {what}."
        raise ConfigurationError(msg)

    def _refuse_place(self, part: Part) -> NoReturn:
        msg = f"There is no place for {article(part)} in this message: calls belong to the assistant, results to a tool."
        raise ConfigurationError(msg)


def no_turns() -> ConfigurationError:
    """Return the error of a conversation in which nobody says anything."""
    return ConfigurationError("There is no message but the system's: add a user's.")


def no_prefill() -> ConfigurationError:
    """Return the error of an answer that was begun for a model which does not go on with one."""
    msg = "This model does not go on with an answer that was begun for it: the last message must be the user's or a tool's."
    return ConfigurationError(msg)


def article(part: Part) -> str:
    """Return the kind of *part* with its article."""
    word = type(part).__name__
    return f"{'an' if word[0] in 'AEIOU' else 'a'} {word}"


def _reminders(blocks: list[Block]) -> list[Block]:
    # In place, since a block may be known as one with a breakpoint.
    for block in blocks:
        if "text" in block:
            block["text"] = f"<system-reminder>\n{block['text']}\n</system-reminder>"
    return blocks
