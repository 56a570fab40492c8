"""A run: answers of a model, uses of tools, answers again, until the model is done or something ends it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, Literal

from attrs import field, frozen

from llmkit.cancelling import Cancellable, Cut
from llmkit.errors import ConfigurationError, LLMKitError, ToolLoopLimitError
from llmkit.loop.prompting import Curtain, instructions, read_calls, rendered
from llmkit.loop.results import RunEvent, RunResult, Step
from llmkit.loop.using import Shift, Use
from llmkit.metering import Tracker, current_trackers, tracked_by
from llmkit.models.content import Message, ToolCall
from llmkit.models.reading import as_messages
from llmkit.models.request import PARAMETERS, check_seconds
from llmkit.models.response import CompletionResponse, FinishReason
from llmkit.resilience.budget import Budget, budget_of, current_budgets
from llmkit.resilience.budget import budget as charged_to
from llmkit.resilience.checks import whole
from llmkit.resilience.deadline import Deadline, current_deadline, held_to
from llmkit.spelling import refuse_unknown
from llmkit.tools import Tool, as_tools

if TYPE_CHECKING:
    from llmkit.loop.memory import Memory
    from llmkit.models.chunk import CompletionChunk

__all__ = ["Run", "make_run"]

# What a model calls in an answer that ended so is not done.
_NOT_MEANT: Mapping[FinishReason, str] = {
    FinishReason.REFUSAL: "The call was not made: the answer is a refusal.",
    FinishReason.CONTENT_FILTER: "The call was not made: the answer was filtered.",
    FinishReason.ERROR: "The call was not made: the answer broke off with an error.",
}
_CUT = "The call was not made: the answer was cut at its greatest length, and the call with it. Make it again, and say less."
_NOT_BY_PROMPT = ("tool_choice", "parallel_tool_calls", "response_format")


@frozen(kw_only=True)
class Terms:
    """What a run keeps to."""

    tools: Mapping[str, Tool]
    max_steps: int
    system: str | None
    on_step: Callable[[Step], Any] | None
    approve: Callable[[ToolCall], Any] | None
    raises: bool
    deadline: Deadline | None
    budgets: tuple[Budget, ...]
    trackers: tuple[Tracker, ...]
    max_parallel: int
    tool_timeout: float | None
    by_prompt: bool
    is_forced: bool  # to call a tool, by the client's own defaults
    parameters: Mapping[str, Any] = field(repr=False)


class Run:
    """
    The state of one run: asked for the next ``request``, told what was ``answered``, asked for the ``shift`` of tools, told when that ends.

    ``messages`` is the transcript up to now, ``steps`` those that are over; ``is_over`` when the model is done. ``asks`` whether an
    answer comes next, and not tools that the messages given are waiting for.
    """

    def __init__(self, messages: Sequence[Message], terms: Terms, memory: Memory | None = None) -> None:
        self.messages = list(messages)
        self.terms = terms
        self.steps: list[Step] = []
        self.is_over = False
        self.cut = Cut()
        self._memory = memory
        self._tracker = Tracker()
        self._response: CompletionResponse | None = None
        self._fault: str | None = None
        self._curtain: Curtain | None = None
        self._calls = self.messages[-1].tool_calls if self.messages[-1].role == "assistant" else ()
        self._shift: Shift | None = None

    @property
    def asks(self) -> bool:
        return not self._calls

    @property
    def number(self) -> int:
        """That of the step under way, counted from 1."""
        return len(self.steps) + 1

    def event(self, name: Literal["step", "done"], *, step: Step | None = None, result: RunResult | None = None) -> RunEvent:
        """Return what is told of a step or a run that is over."""
        return RunEvent(name=name, number=len(self.steps), step=step, result=result)

    # -- around it

    @contextmanager
    def under_way(self, active: set[Cancellable]) -> Iterator[None]:
        """Return a context manager for the time of the run: noted in *active*, and told with whatever ends it."""
        with ExitStack() as held:
            if self._memory is not None:
                held.enter_context(self._memory.lent(self))
            active.add(self)
            held.callback(active.discard, self)
            try:
                yield
            except LLMKitError as error:
                error.run = self.so_far()
                raise
            if self._memory is not None and self.is_over:
                self._memory.keep(self.messages)

    @contextmanager
    def scope(self, *, counted: bool = False) -> Iterator[None]:
        """
        Return a context manager for what asks a model: under the budgets and the deadline of the run, and those around its beginning.

        *counted*: as a part of what the run itself used, and not for a tool of it.
        """
        terms = self.terms
        counting = (*terms.trackers, self._tracker) if counted else terms.trackers
        with ExitStack() as held:
            for tracker in counting:
                if tracker not in current_trackers():
                    held.enter_context(tracked_by(tracker))
            for each in terms.budgets:
                held.enter_context(charged_to(each))
            if terms.deadline is not None:
                held.enter_context(held_to(terms.deadline))
            yield

    def cancel(self) -> None:
        """End the run from another thread, whatever it is doing."""
        self.cut.now()

    def check_cut(self, cancelled: Callable[[], BaseException]) -> None:
        """Raise what *cancelled* makes if somebody has ended the run: nothing is begun then."""
        if self.cut.is_made:
            raise cancelled()

    # -- the model

    def request(self) -> tuple[list[Message], dict[str, Any]]:
        """
        Return what to ask the model next: messages and parameters.

        Raises:
            ToolLoopLimitError: If there is to be no further step.
        """
        terms = self.terms
        if len(self.steps) >= terms.max_steps:
            msg = f"The model was not done after {terms.max_steps} steps, which are all that it is allowed (max_steps)."
            raise ToolLoopLimitError(msg)
        parameters = dict(terms.parameters)
        if terms.by_prompt:
            self._curtain = Curtain()
            system = instructions(terms.tools.values(), terms.system)
            return rendered(self.messages), {**parameters, "system": system or None}
        if self.steps and parameters.get("tool_choice") not in ("auto", "none"):
            # A choice that is forced again and again never lets the model answer.
            parameters.pop("tool_choice", None)
            if terms.is_forced:
                parameters["tool_choice"] = "auto"
        return list(self.messages), {**parameters, "system": terms.system, "tools": list(terms.tools.values()) or None}

    def heard(self, chunk: CompletionChunk | None) -> Iterator[RunEvent]:
        """Yield what a piece of an answer says, None being its end."""
        if chunk is not None and chunk.thinking:
            yield RunEvent(name="thinking", number=self.number, text=chunk.thinking)
        text = "" if chunk is None else chunk.text
        if self._curtain is not None:
            text = self._curtain.end() if chunk is None else self._curtain.feed(text)
        if text:
            yield RunEvent(name="text", number=self.number, text=text)

    def answered(self, response: CompletionResponse) -> None:
        """Take note of the model's answer."""
        message = response.message
        if self.terms.by_prompt:
            message, self._fault = read_calls(message, first=sum(len(turn.tool_calls) for turn in self.messages) + 1)
        self.messages.append(message)
        self._response = response
        self._calls = message.tool_calls

    # -- the tools

    def shift(self) -> Shift:
        """Return the uses of tools that the last answer asked for; there may be none."""
        terms, response = self.terms, self._response
        uses = [Use.of(call, terms.tools, timeout=terms.tool_timeout) for call in self._calls]
        why = None if response is None else _NOT_MEANT.get(response.finish_reason)
        if why is None and response is not None and self.number >= terms.max_steps:
            why = f"The call was not made: {terms.max_steps} steps are all that is allowed, and this was the last."
        if why is not None:
            for use in uses:
                use.refuse(why)
        elif uses and not terms.by_prompt and response is not None and response.finish_reason is FinishReason.LENGTH:
            uses[-1].refuse(_CUT)  # in words, a call that is cut has no end that shows it, and is none
        self._shift = Shift(
            uses,
            number=self.number if response is not None else 0,
            max_parallel=terms.max_parallel,
            deadline=terms.deadline,
            raises=terms.raises,
        )
        return self._shift

    def finish_step(self) -> Step | None:
        """Take note that its tools are done with, and return the step; None for those that the messages given were waiting for."""
        assert self._shift is not None  # one for each step
        tool_runs = self._shift.tool_runs()
        self.messages += [Message("tool", run.result) for run in tool_runs]
        response, self._response = self._response, None
        self._shift, self._calls = None, ()
        if response is None:
            return None
        step = Step(number=self.number, response=response, tool_runs=tool_runs)
        self.steps.append(step)
        if self._fault is not None:
            self.messages.append(Message("user", self._fault))
        goes_on = self._fault is not None or response.finish_reason is FinishReason.PAUSE
        self.is_over = not goes_on and (not tool_runs or response.finish_reason in _NOT_MEANT)
        self._fault = None
        return step

    # -- the end

    def so_far(self) -> RunResult:
        """Return what there is up to now; in its transcript, too, every call has a result."""
        tool_runs = () if self._shift is None else self._shift.tool_runs()
        if self._shift is None and self._calls:
            tool_runs = Shift([Use(call=call) for call in self._calls], number=0, max_parallel=1, deadline=None, raises=False).tool_runs()
        last = self._response or (self.steps[-1].response if self.steps else None)
        under_way = () if self._response is None else (Step(number=self.number, response=self._response, tool_runs=tool_runs),)
        spent = self._tracker.snapshot()
        return RunResult(
            text=last.text if last is not None else "",
            messages=(*self.messages, *(Message("tool", run.result) for run in tool_runs)),
            steps=(*self.steps, *under_way),
            usage=spent.usage,
            cost=None if spent.unpriced else spent.estimated_cost,
            finish_reason=last.finish_reason if last is not None else FinishReason.UNKNOWN,
            parsed=last.parsed if last is not None and self.is_over else None,
        )


def make_run(
    messages: Any,
    *,
    tools: Any,
    awaits: bool,
    model: str | None = None,
    max_steps: int = 8,
    system: str | None = None,
    on_step: Any = None,
    approve: Any = None,
    on_tool_error: str = "return",
    deadline: float | None = None,
    budget: Any = None,
    max_parallel: int = 8,
    tool_timeout: float | None = None,
    tools_by_prompt: bool = False,
    memory: Memory | None = None,
    parameters: Mapping[str, Any] | None = None,
    defaults: Mapping[str, Any] | None = None,
    **further: Any,
) -> Run:
    """
    Return the run that ``client.run`` was asked for. *awaits*: whether its hooks may be coroutine functions. *parameters*, and whatever
    else is named, are those of each request; *defaults* those that the client adds by itself.

    Raises:
        ConfigurationError: If something given is wrong; nothing was sent.
    """
    turns = as_messages(messages)
    whole("max_steps", max_steps, least=1)
    whole("max_parallel", max_parallel, least=1)
    if on_tool_error not in ("return", "raise"):
        msg = f"on_tool_error is 'return' or 'raise', not {on_tool_error!r}."
        raise ConfigurationError(msg)
    requested = {"model": model, **(parameters or {}), **further}
    refuse_unknown(requested, (*PARAMETERS, "model", "timeout", "cache"))
    said = {name: value for name, value in requested.items() if value is not None}
    known = {**(defaults or {}), **said}
    if tools_by_prompt and (beyond := [name for name in _NOT_BY_PROMPT if known.get(name) is not None]):
        msg = f"tools_by_prompt does not go with {', '.join(beyond)}: a model that is told of its tools in words is not held to anything."
        raise ConfigurationError(msg)
    own = None if deadline is None else Deadline.after(check_seconds("deadline", deadline))
    spending = budget_of(budget)
    ready = _ready(tools, approves=approve is not None)
    terms = Terms(
        tools=ready,
        max_steps=max_steps,
        system=system,
        on_step=_as_hook("on_step", on_step, awaits=awaits),
        approve=_as_hook("approve", approve, awaits=awaits),
        raises=on_tool_error == "raise",
        deadline=Deadline.tightest(own, current_deadline()),
        budgets=current_budgets() if spending is None else (*current_budgets(), spending),
        trackers=current_trackers(),
        max_parallel=max_parallel,
        tool_timeout=None if tool_timeout is None else check_seconds("tool_timeout", tool_timeout),
        by_prompt=tools_by_prompt,
        is_forced=(defaults or {}).get("tool_choice") not in (None, "auto", "none"),
        parameters=said,
    )
    return Run(turns, terms, memory)


def _ready(tools: Any, *, approves: bool) -> dict[str, Tool]:
    """Return *tools* by name. Raises ``ConfigurationError`` if one cannot be run, or nobody is there to approve it."""
    found = as_tools(tools)
    for one in found:
        if one.function is None:
            msg = f"The tool {one.name} has no function, so nobody can run it here: make it of one, or call it yourself after complete()."
            raise ConfigurationError(msg)
        if one.needs_approval and not approves:
            msg = f"The tool {one.title} needs approval, and nobody is there to give it: pass approve=."
            raise ConfigurationError(msg)
        one.check()
    return {one.name: one for one in found}


def _as_hook(name: str, value: Any, *, awaits: bool) -> Any:
    if value is None:
        return None
    if not callable(value):
        msg = f"{name} is a function, not {type(value).__name__}."
        raise ConfigurationError(msg)
    if inspect.iscoroutinefunction(value) and not awaits:
        msg = f"{name} is a coroutine function, which only the client of llmkit_async awaits."
        raise ConfigurationError(msg)
    return value
