"""What a run is told as: its steps, its events, its result."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Literal

from attrs import field, frozen

from llmkit.models.content import Message, ToolCall, ToolResult
from llmkit.models.response import CompletionResponse, FinishReason
from llmkit.models.usage import Usage

__all__ = ["RunEvent", "RunResult", "Step", "ToolRun"]


@frozen(kw_only=True)
class ToolRun:
    """
    One call of a tool, and what became of it.

    ``result`` is what the model was given back; ``error`` what went wrong, None where nothing did or the call was not approved;
    ``elapsed`` seconds, zero where the tool was not run at all.
    """

    call: ToolCall
    result: ToolResult
    error: Exception | None = None
    elapsed: float = 0.0


@frozen(kw_only=True)
class Step:
    """One answer of the model, counted from 1, and the calls of tools that it made."""

    number: int
    response: CompletionResponse
    tool_runs: tuple[ToolRun, ...] = ()

    @property
    def text(self) -> str:
        return self.response.text


@frozen(kw_only=True)
class RunResult:
    """
    What a run came to.

    ``text`` is the last answer, ``messages`` the whole transcript: what the run was given, then each answer and each tool's result; it
    can be gone on with at any provider. ``usage`` and ``cost`` (US dollars, None where the price of an answer is not known) are
    those of all answers, failed attempts included. ``parsed`` is the typed answer where one was asked for.
    """

    text: str = ""
    messages: tuple[Message, ...] = field(default=(), repr=False)
    steps: tuple[Step, ...] = field(default=(), repr=False)
    usage: Usage = field(factory=Usage)
    cost: Decimal | None = None
    finish_reason: FinishReason = FinishReason.UNKNOWN
    parsed: Any = None

    @property
    def tool_runs(self) -> tuple[ToolRun, ...]:
        """The calls of tools, in the order of their steps."""
        return tuple(run for step in self.steps for run in step.tool_runs)

    def _repr_markdown_(self) -> str:
        """Show the answer in a notebook as the Markdown that it mostly is."""
        return self.text


EventName = Literal["text", "thinking", "tool_start", "tool_end", "step", "done"]


@frozen(kw_only=True)
class RunEvent:
    """
    Something that happened in a run.

    Args:
        name: ``text`` and ``thinking`` (a piece of the answer, in ``text``), ``tool_start`` and ``tool_end`` (with ``call``, and at the
            end ``tool_run``), ``step`` (one is over: ``step``), ``done`` (the last one, with ``result``).
        number: Of the step, counted from 1; 0 for calls that the messages given were waiting for.
    """

    name: EventName
    number: int
    text: str = ""
    call: ToolCall | None = None
    tool_run: ToolRun | None = None
    step: Step | None = None
    result: RunResult | None = None
