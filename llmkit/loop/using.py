"""The calls of tools in one answer: what is made of each, which run when, what the model is given back."""

from __future__ import annotations

import contextvars
import inspect
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from attrs import define, evolve, field

from llmkit.errors import ConfigurationError, DeadlineExceededError, LLMKitError, ToolExecutionError
from llmkit.loop.results import RunEvent, ToolRun
from llmkit.models.content import Audio, Document, Image, Text, ToolCall, ToolResult, tool_result
from llmkit.models.surrogates import sayable
from llmkit.resilience.deadline import Deadline, held_to
from llmkit.schema.nodes import copied
from llmkit.spelling import nearest
from llmkit.tools import Tool

if TYPE_CHECKING:
    import asyncio

__all__ = ["Shift", "Use", "awaited"]

logger = logging.getLogger("llmkit.tools")

ENDINGS = (KeyboardInterrupt, SystemExit)  # what stops an event loop when a task raises it, before anyone is told

LONGEST_ERROR = 2000  # characters of what a model is told went wrong: a traceback in a message would fill its window


@define(eq=False, kw_only=True)
class Use:
    """
    One call of a tool, to be made.

    ``limit`` is the seconds it may take, None for as long as it likes. ``tool_run`` is what became of it, None until then.
    """

    call: ToolCall
    tool: Tool | None = None
    arguments: Mapping[str, Any] = field(factory=dict)
    limit: float | None = None
    clock: Callable[[], float] = time.monotonic
    tool_run: ToolRun | None = None
    _begun: float | None = field(default=None, init=False)

    @classmethod
    def of(cls, call: ToolCall, tools: Mapping[str, Tool], *, timeout: float | None, clock: Callable[[], float] = time.monotonic) -> Use:
        """Return the use of one of *tools* that *call* asks for; over already, if it asks for none, or with wrong arguments."""
        use = cls(call=call, tool=tools.get(call.name), clock=clock)
        if use.tool is None:
            known = ", ".join(tools) or "none"
            text = f"There is no tool {call.name!r}.{nearest(call.name, tools)} The tools are: {known}."
            use.fail(text, LookupError(text))
            return use
        use.limit = timeout if use.tool.timeout is None else use.tool.timeout
        if call.invalid is not None:
            use.fail(f"The arguments of tool {call.name} must be a JSON object: {call.invalid}", ValueError(call.invalid))
            return use
        try:
            use.arguments = use.tool.bind(copied(call.arguments))  # what the tool does to them, the model has not said
        except ToolExecutionError as error:
            use.fail(error.message, error)
        return use

    @property
    def shown(self) -> ToolCall:
        """The call, for whoever approves of it, and may do to it what he likes."""
        return evolve(self.call, arguments=copied(self.call.arguments))

    @property
    def is_async(self) -> bool:
        """Whether its function is a coroutine function, which an event loop runs."""
        return self.tool is not None and inspect.iscoroutinefunction(self.tool.function)

    @property
    def expires(self) -> float | None:
        """When its time is over, on its clock."""
        return None if self.limit is None or self._begun is None else self._begun + self.limit

    def begin(self) -> None:
        self._begun = self.clock()

    def context(self) -> contextvars.Context:
        """Return the context that it runs in: this one, and what it asks of models is over when its own time is."""
        if self.limit is None:
            return contextvars.copy_context()
        with held_to(Deadline.after(self.limit)):
            return contextvars.copy_context()

    def run(self, resolve: Callable[[Awaitable[Any]], Any]) -> ToolRun:
        """Make the call, here and now. What a function that is none of a coroutine returns to be awaited, *resolve* waits for."""
        try:
            value = self._function(**self.arguments)
            return self._succeeded(resolve(value) if inspect.isawaitable(value) else value)
        except Exception as error:  # noqa: BLE001 - a tool may raise anything; the model is told
            return self._failed(error)

    async def arun(self) -> ToolRun | BaseException:
        """Make the call of a coroutine function. What is to end the program is returned, for whoever waits for the run to raise."""
        try:
            return self._succeeded(await self._function(**self.arguments))
        except ENDINGS as error:
            return error
        except Exception as error:  # noqa: BLE001 - as above
            return self._failed(error)

    def outcome_of(self, task: asyncio.Task[ToolRun | BaseException]) -> ToolRun | BaseException:
        """Return what became of it in *task*, which is over; a function that cancels itself has failed."""
        if task.cancelled():
            return self.tool_run or self.failed("The tool was cancelled.", RuntimeError("cancelled"))
        return task.exception() or task.result()

    @property
    def _function(self) -> Callable[..., Any]:
        assert self.tool is not None  # else it was over before it began
        assert self.tool.function is not None  # a run takes no other tools
        return self.tool.function

    def _succeeded(self, value: Any) -> ToolRun:
        (result,) = tool_result(self.call, value).content
        assert isinstance(result, ToolResult)  # what that function makes
        strange = next((part for part in result.content if not isinstance(part, (Text, Image, Audio, Document))), None)
        if strange is not None:
            msg = f"A tool gives back text, pictures, sounds, documents or JSON, not a {type(strange).__name__}."
            raise ConfigurationError(msg)
        content = [evolve(part, text=sayable(part.text)) if isinstance(part, Text) else part for part in result.content]
        return ToolRun(call=self.call, result=evolve(result, content=content), elapsed=self._elapsed())

    def _failed(self, error: Exception) -> ToolRun:
        said = _said(error)
        return self.failed(f"{type(error).__name__}: {said}" if said else type(error).__name__, error)

    def failed(self, text: str, cause: Exception) -> ToolRun:
        """Return what becomes of it when it fails: the model is told *text*."""
        # The kind of what it raised, and no more: its words may be those of the conversation.
        logger.warning("the call of tool %s failed with %s", self.call.name, type(cause).__name__)
        error = cause if isinstance(cause, ToolExecutionError) else self._error(text, cause)
        return ToolRun(call=self.call, result=self._result(text), error=error, elapsed=self._elapsed())

    def fail(self, text: str, cause: Exception) -> None:
        self.tool_run = self.failed(text, cause)

    def refuse(self, text: str) -> None:
        """Let it be over without having been made, for no fault of its own."""
        self.tool_run = self.refused(text)

    def refused(self, text: str) -> ToolRun:
        return ToolRun(call=self.call, result=self._result(text), elapsed=self._elapsed())

    def _result(self, text: str) -> ToolResult:
        short = text if len(text) <= LONGEST_ERROR else f"{text[:LONGEST_ERROR]}…"
        return ToolResult(self.call.id, self.call.name, sayable(short), is_error=True)

    def _error(self, text: str, cause: Exception) -> ToolExecutionError:
        msg = f"The tool {self.call.name} failed: {text}" if self._begun is not None else text
        error = ToolExecutionError(msg, tool=self.call.name, arguments=dict(self.call.arguments), original_error=cause)
        error.__cause__ = cause
        return error

    def _elapsed(self) -> float:
        return 0.0 if self._begun is None else self.clock() - self._begun


def _said(error: Exception) -> str:
    """Return the words of *error*, none where it fails to find them."""
    try:
        return error.message if isinstance(error, LLMKitError) else str(error)
    except Exception:  # noqa: BLE001 - the user's own __str__, of which nothing is known
        return ""


async def awaited(work: Awaitable[Any]) -> Callable[[], Any]:
    """Wait for *work*, and return what gives its result, or raises what is to end the program, in the thread that calls it."""
    try:
        value = await work
    except ENDINGS as error:
        return partial(_raise, error)
    return lambda: value


def _raise(error: BaseException) -> Any:
    raise error


class Shift:
    """
    The uses of tools of one step: asked which are due and for how long to wait, told which have ended.

    At most *max_parallel* run at a time. One that is given up when its time is over makes room for the next, though its thread may go on.
    """

    def __init__(self, uses: Iterable[Use], *, number: int, max_parallel: int, deadline: Deadline | None, raises: bool) -> None:
        self.uses = tuple(uses)
        self._number = number
        self._max_parallel = max_parallel
        self._deadline = deadline
        self._raises = raises
        self._running: list[Use] = []
        self._news: list[RunEvent] = []
        for use in self.uses:
            self._tell_end(use)
        self._waiting = deque(use for use in self.uses if use.tool_run is None)

    @property
    def is_over(self) -> bool:
        return not self._waiting and not self._running

    @property
    def is_in_place(self) -> bool:
        """Whether each may run in the thread that waits for it: one after the other, with all the time there is."""
        return self._max_parallel == 1 and self._deadline is None and all(use.limit is None for use in self.uses)

    def to_approve(self, approves: bool) -> list[Use]:
        """Return those that somebody must approve; *approves*: whether somebody does."""
        if not approves:
            return []
        return [use for use in self._waiting if use.tool is not None and use.tool.needs_approval is not False]

    def decide(self, use: Use, verdict: object) -> None:
        """
        Take note whether *use* is approved; a text says why it is not.

        Raises:
            ConfigurationError: If *verdict* is neither a bool nor text.
        """
        if verdict is True:
            return
        if verdict is not False and not isinstance(verdict, str):
            msg = f"approve returns True, False, or as text the reason for a refusal, not {type(verdict).__name__}."
            raise ConfigurationError(msg)
        self._waiting.remove(use)
        use.refuse(f"The call was not approved: {verdict}" if verdict else "The call was not approved.")
        self._tell_end(use)

    def due(self) -> list[Use]:
        """
        Return those that are to be started now; they count as started.

        Raises:
            DeadlineExceededError: If the run's has passed, while somebody was asked for an approval perhaps.
        """
        if self._waiting:
            self.check_deadline()
        started: list[Use] = []
        while self._waiting and len(self._running) < self._max_parallel:
            use = self._waiting.popleft()
            use.begin()
            self._running.append(use)
            self._news.append(RunEvent(name="tool_start", number=self._number, call=use.call))
            started.append(use)
        return started

    def patience(self) -> float | None:
        """Return the seconds until ``expire`` has something to do, None if it never will."""
        left = [use.expires - use.clock() for use in self._running if use.expires is not None]
        if self._deadline is not None:
            left.append(self._deadline.remaining())
        return max(0.0, min(left)) if left else None

    def ended(self, use: Use, tool_run: ToolRun) -> None:
        """Take note of what became of *use*; of one that was given up meanwhile, nobody wants to know."""
        if use in self._running:
            self._running.remove(use)
            use.tool_run = tool_run
            self._tell_end(use)

    def check_deadline(self) -> None:
        """Raise ``DeadlineExceededError`` if that of the run has passed."""
        if self._deadline is not None and self._deadline.passed:
            names = ", ".join(use.call.name for use in self.uses if use.tool_run is None)
            msg = f"The deadline of the run passed before its tools were done: {names}."
            raise DeadlineExceededError(msg)

    def expire(self) -> list[Use]:
        """
        Return those whose time is over, and that are given up.

        Raises:
            DeadlineExceededError: If the run's is.
        """
        self.check_deadline()
        over = [use for use in self._running if use.expires is not None and use.expires <= use.clock()]
        for use in over:
            text = f"The tool {use.call.name} took longer than {use.limit:g} s and was given up."
            self.ended(use, use.failed(text, TimeoutError(text)))
        return over

    def news(self) -> list[RunEvent]:
        """
        Return what happened since this was last asked.

        Raises:
            ToolExecutionError: If a tool failed, and that is to end the run.
        """
        news, self._news = self._news, []
        if self._raises:
            for use in self.uses:
                if use.tool_run is not None and use.tool_run.error is not None:
                    raise use.tool_run.error
        return news

    def tool_runs(self, why: str = "the run ended before") -> tuple[ToolRun, ...]:
        """Return what became of each, in their order; of one that is not over, that it is not, since *why*."""
        return tuple(use.tool_run or use.refused(f"The call was not finished: {why}.") for use in self.uses)

    def _tell_end(self, use: Use) -> None:
        if use.tool_run is not None:
            self._news.append(RunEvent(name="tool_end", number=self._number, call=use.call, tool_run=use.tool_run))
