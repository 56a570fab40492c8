"""Which uses of tools run when, and what becomes of them: asked and told, with a clock of the test's."""

from __future__ import annotations

from typing import Any

import pytest

from llmkit import ConfigurationError, DeadlineExceededError, ToolCall, ToolExecutionError, tool
from llmkit.loop.using import Shift, Use
from llmkit.resilience.deadline import Deadline
from llmkit.tools import as_tool


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def look(city: str = "Paris") -> str:
    return f"rain in {city}"


@tool(timeout=5)
def brief() -> None: ...


async def later() -> str:
    return "later"


TOOLS = {one.name: one for one in (as_tool(look), as_tool(brief), as_tool(later))}


def resolve(_: Any) -> Any:
    raise AssertionError


def use_of(name: str, clock: Clock | None = None, timeout: float | None = None, **arguments: Any) -> Use:
    return Use.of(ToolCall(f"id_{name}", name, arguments), TOOLS, timeout=timeout, clock=clock or Clock())


def shift_of(*uses: Use, max_parallel: int = 8, deadline: Deadline | None = None, raises: bool = False) -> Shift:
    return Shift(uses, number=1, max_parallel=max_parallel, deadline=deadline, raises=raises)


def test_uses_start_in_their_order_as_there_is_room() -> None:
    """One that ends makes room for the next."""
    uses = [use_of("look") for _ in range(3)]
    shift = shift_of(*uses, max_parallel=2)

    first = shift.due()
    nobody = shift.due()
    shift.ended(uses[1], uses[1].run(resolve))
    second = shift.due()

    assert (uses[:2], [], uses[2:]) == (first, nobody, second)
    assert not shift.is_over
    assert ["tool_start", "tool_start", "tool_end", "tool_start"] == [event.name for event in shift.news()]
    assert [] == shift.news()


def test_a_use_lasts_as_long_as_it_may() -> None:
    """Its own time before that of the run; the patience is that of the one that is over first."""
    clock = Clock()
    slow, quick = use_of("look", clock, timeout=7), use_of("brief", clock, timeout=7)
    shift = shift_of(slow, quick)
    shift.due()

    assert 5 == shift.patience()
    clock.now += 5
    assert [quick] == shift.expire()
    assert 2 == shift.patience()
    assert quick.tool_run is not None
    assert ("The tool brief took longer than 5 s and was given up.", 5.0) == (quick.tool_run.result.text, quick.tool_run.elapsed)


def test_what_a_use_gives_back_after_it_was_given_up_is_dropped() -> None:
    """The model was told otherwise."""
    clock = Clock()
    use = use_of("brief", clock)
    shift = shift_of(use)
    shift.due()
    clock.now += 6
    shift.expire()
    before = use.tool_run

    shift.ended(use, use.run(resolve))

    assert before is use.tool_run
    assert shift.is_over


def test_a_use_without_a_limit_is_waited_for() -> None:
    """For as long as it takes, or as the run may."""
    clock = Clock()
    endless, bounded = shift_of(use_of("look", clock)), shift_of(use_of("look", clock), deadline=Deadline(at=103.0, clock=clock))
    endless.due()
    bounded.due()

    assert (None, 3.0) == (endless.patience(), bounded.patience())
    clock.now += 4
    assert [] == endless.expire()
    with pytest.raises(DeadlineExceededError, match="before its tools were done: look"):
        bounded.expire()
    assert ["The call was not finished: the run ended before."] == [run.result.text for run in bounded.tool_runs()]


@pytest.mark.parametrize(
    ("terms", "use", "in_place"),
    [
        ({"max_parallel": 1}, use_of("look"), True),
        ({"max_parallel": 2}, use_of("look"), False),
        ({"max_parallel": 1}, use_of("brief"), False),
        ({"max_parallel": 1, "deadline": Deadline(at=1.0)}, use_of("look"), False),
    ],
)
def test_uses_run_in_place_where_nothing_is_to_end_them(terms: dict[str, Any], use: Use, in_place: bool) -> None:
    """One after the other, with all the time there is."""
    assert in_place is shift_of(use, **terms).is_in_place


def test_what_could_not_be_made_is_over_before_it_begins() -> None:
    """It takes no room, and nobody is asked to approve it."""
    wrong = [use_of("lok"), use_of("look", town="x"), Use.of(ToolCall("x", "look", invalid="cut"), TOOLS, timeout=None)]
    shift = shift_of(*wrong)

    assert shift.is_over
    assert [] == shift.due()
    assert [] == shift.to_approve(True)
    assert ["tool_end"] * 3 == [event.name for event in shift.news()]
    assert "The arguments of tool look must be a JSON object: cut" == shift.tool_runs()[2].result.text
    assert [0.0] * 3 == [run.elapsed for run in shift.tool_runs()]


def test_a_refused_use_does_not_start() -> None:
    """The others do."""
    uses = [use_of("look"), use_of("look")]
    shift = shift_of(*uses)

    shift.decide(uses[0], "no")

    assert [uses[1]] == shift.due()


@pytest.mark.parametrize("verdict", [None, 1, [], b"no"])
def test_a_verdict_is_a_bool_or_text(verdict: object) -> None:
    """Nothing is taken for a yes."""
    use = use_of("look")
    shift = shift_of(use)

    with pytest.raises(ConfigurationError, match="approve returns"):
        shift.decide(use, verdict)


def test_a_failure_is_raised_where_that_is_wished() -> None:
    """When the news of it would be told."""
    shift = shift_of(use_of("lok"), raises=True)

    with pytest.raises(ToolExecutionError, match="There is no tool 'lok'"):
        shift.news()


def test_a_use_knows_its_kind() -> None:
    """Which an event loop runs."""
    assert [False, True] == [use_of(name).is_async for name in ("look", "later")]


@pytest.mark.parametrize("value", ["a\udcff", {"a\udcff": ["a\udcff"]}, OSError("a\udcff")], ids=ascii)
def test_what_cannot_be_sent_is_shown_as_a_replacement(value: Any) -> None:
    """As a name of a file that is no text: no provider could be told of it, and the run would end."""

    def find() -> Any:
        if isinstance(value, Exception):
            raise value
        return value

    use = Use.of(ToolCall("id", "find", {}), {"find": as_tool(find)}, timeout=None)

    text = use.run(resolve).result.text

    assert "a\ufffd" in text
    text.encode()
