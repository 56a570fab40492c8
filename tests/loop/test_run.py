"""A run as a state machine: whatever the model says, the transcript is whole, and the end comes."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmkit import CompletionResponse, FinishReason, Message, ToolCall, ToolLoopLimitError, ToolResult, Usage, assistant, user
from llmkit.loop.run import Run, make_run
from llmkit.models.request import PARAMETERS


def look(city: str) -> str:
    """Look up the weather."""
    if city == "Atlantis":
        raise LookupError(city)
    return f"rain in {city}"


def run_of(messages: Any = "Hi", **arguments: Any) -> Run:
    return make_run(messages, **{"tools": [look], "awaits": False, **arguments})


def is_whole(messages: Any) -> bool:
    """Whether each call has its result, in order, right behind its message."""
    waiting: list[str] = []
    for message in messages:
        if message.role == "tool":
            result = message.content[0]
            assert isinstance(result, ToolResult)
            if not waiting or waiting.pop(0) != result.call_id:
                return False
        elif waiting:
            return False
        else:
            waiting = [call.id for call in message.tool_calls]
    return not waiting


CALLS = st.builds(
    ToolCall,
    st.uuids().map(str),
    st.sampled_from(["look", "look", "lok"]),
    st.sampled_from([{"city": "Paris"}, {"city": "Atlantis"}, {"city": 3}, {}]),
    invalid=st.sampled_from([None, None, None, "cut"]),
)
ANSWERS = st.builds(
    lambda text, calls, reason: CompletionResponse(message=assistant(text, *calls), finish_reason=reason, usage=Usage(output_tokens=1)),
    st.sampled_from(["Hm.", '```tool_calls\n{"name": "look", "arguments": {"city": "Oslo"}}\n```', "```tool_calls\n{\n```"]),
    st.lists(CALLS, max_size=3),
    st.sampled_from([FinishReason.STOP, FinishReason.TOOL_CALLS, *FinishReason]),
)


@settings(max_examples=200)
@given(st.lists(ANSWERS, min_size=1, max_size=6), st.integers(1, 4), st.booleans(), st.lists(CALLS, max_size=2), st.data())
def test_a_transcript_is_whole_at_every_moment(
    answers: list[CompletionResponse], max_steps: int, by_prompt: bool, waiting: list[ToolCall], data: st.DataObject
) -> None:
    """With answers of all kinds, calls that cannot be made, and tools that end in any order, or never."""
    messages = [user("Hi"), *([assistant("I look.", *waiting)] if waiting else [])]
    run = run_of(messages, max_steps=max_steps, tools_by_prompt=by_prompt)
    try:
        while answers and not run.is_over:
            if run.asks:
                sent, _ = run.request()
                assert is_whole(sent) or by_prompt
                run.answered(answers.pop(0))
                assert is_whole(run.so_far().messages)
            shift = run.shift()
            running = []
            while not shift.is_over:
                running += shift.due()
                assert is_whole(run.so_far().messages)
                use = running.pop(data.draw(st.integers(0, len(running) - 1)))
                shift.ended(use, use.run(lambda _: None))
            run.finish_step()
            assert is_whole(run.so_far().messages)
    except ToolLoopLimitError:
        assert max_steps == len(run.steps)
    assert len(run.steps) <= max_steps
    assert is_whole(run.so_far().messages)
    assert messages == list(run.so_far().messages[: len(messages)])
    assert not waiting or waiting[0].id == run.so_far().messages[2].content[0].call_id  # type: ignore[union-attr]


def test_what_a_request_may_say_is_what_complete_takes() -> None:
    """And nothing else: what is mistyped is refused, and so is ``repair``, since an answer in a run may be followed by another step."""
    import inspect

    from llmkit import Client

    own = set(inspect.signature(Client.run).parameters)
    taken = set(inspect.signature(Client.complete).parameters) - own - {"tools", "repair"}

    assert taken <= {*PARAMETERS, "timeout", "cache"}
    run_of(parameters=dict.fromkeys(taken))


def test_a_stream_is_told_as_it_comes() -> None:
    """Thoughts and text; the end of an answer brings what a curtain held back."""
    from llmkit import CompletionChunk

    run = run_of(tools_by_prompt=True)
    run.request()

    events = [event for chunk in (CompletionChunk(thinking="Hm."), CompletionChunk(text="A\n``"), None) for event in run.heard(chunk)]

    assert [("thinking", "Hm.", 1), ("text", "A\n", 1), ("text", "``", 1)] == [(event.name, event.text, event.number) for event in events]


def test_a_run_without_a_price_has_no_cost() -> None:
    """A part of a sum would look like the whole."""
    from decimal import Decimal

    run = run_of()
    run._tracker.add("x/y", Usage(input_tokens=3), None)
    run._tracker.add("x/z", Usage(input_tokens=3), Decimal(1))

    assert (None, 6) == (run.so_far().cost, run.so_far().usage.input_tokens)


@pytest.mark.parametrize("choice", ["auto", "none"])
def test_a_choice_that_forces_nothing_stays(choice: str) -> None:
    """For all steps."""
    run = run_of(tool_choice=choice)
    run.answered(CompletionResponse(message=Message("assistant", ToolCall("x", "look", {"city": "Rome"}))))
    shift = run.shift()
    for use in shift.due():
        shift.ended(use, use.run(lambda _: None))
    run.finish_step()

    assert choice == run.request()[1]["tool_choice"]
