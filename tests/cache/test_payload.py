"""An answer in bytes, and back."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from llmkit import (
    Attempt,
    CompletionResponse,
    FinishReason,
    Image,
    Message,
    Native,
    Text,
    Thinking,
    ToolCall,
    Usage,
)
from llmkit.cache.payload import dump, is_keepable, load

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(st.characters(exclude_categories=())),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
texts = st.text(st.characters(exclude_categories=()))  # half surrogate pairs and all
parts = st.one_of(
    st.builds(Text, texts),
    st.builds(Thinking, texts, st.none() | texts, provider=st.none() | st.just("anthropic"), data=json_values),
    st.builds(ToolCall, texts, texts, st.dictionaries(st.text(), json_values, max_size=3), text=st.none() | texts, data=json_values),
    st.builds(Native, st.just("anthropic"), st.dictionaries(st.text(), json_values, max_size=3)),
    st.builds(Image, data=st.binary(), media_type=st.just("image/png")),
)
answers = st.builds(
    CompletionResponse,
    message=st.builds(Message, st.just("assistant"), st.lists(parts, max_size=4)),
    finish_reason=st.sampled_from(FinishReason),
    raw_finish_reason=st.none() | texts,
    usage=st.builds(Usage, input_tokens=st.integers(0, 9999), output_tokens=st.integers(0, 9999), reported=st.booleans()),
    id=st.none() | texts,
    model=texts,
    provider=texts,
    request_id=st.none() | texts,
    raw=json_values,
)


@given(answer=answers, cost=st.none() | st.decimals(0, 100, places=6))
def test_an_answer_comes_back_as_it_was(answer: CompletionResponse, cost: Decimal | None) -> None:
    """All of it but the facts of its own call; what it cost is told beside it."""
    loaded, paid = load(dump(evolve(answer, cost=cost)), elapsed=1.5)

    assert evolve(answer, cost=Decimal(0), cached=True, elapsed=1.5) == loaded
    assert answer.raw == loaded.raw
    assert [call.text for call in answer.tool_calls] == [call.text for call in loaded.tool_calls]
    assert cost == paid


def test_the_facts_of_one_call_stay_behind() -> None:
    """Which key it was, and when."""
    attempt = Attempt(number=1, provider="openai", model="m", endpoint="https://example.com", key="key 1 (canary)")
    answer = CompletionResponse(message=Message("assistant", "Hi"), attempts=(attempt,), elapsed=9.0, cached=True)

    payload = dump(answer)

    assert b"canary" not in payload
    assert {"message"} == set(json.loads(payload))


def test_what_json_cannot_say_is_refused() -> None:
    """A provider of one's own may have anything as its raw answer."""
    with pytest.raises(TypeError):
        dump(CompletionResponse(message=Message("assistant", "Hi"), raw=object()))


@pytest.mark.parametrize("payload", [b"", b"no JSON", b"[]", b"{}", b'{"message": 3}', b"\xff", b'{"message": {"role": "cat"}}'])
def test_what_is_no_answer_is_refused(payload: bytes) -> None:
    """Whatever it is."""
    with pytest.raises(Exception, match=r".*"):
        load(payload, elapsed=0.0)


@pytest.mark.parametrize("reason", FinishReason)
def test_only_what_ended_by_itself_is_kept(reason: FinishReason) -> None:
    """With a stop, or with calls of tools."""
    answer = CompletionResponse(message=Message("assistant", "Hi"), finish_reason=reason)

    assert (reason in (FinishReason.STOP, FinishReason.TOOL_CALLS)) == is_keepable(answer)


def test_a_call_that_cannot_be_made_is_not_kept() -> None:
    """Its arguments are no JSON."""
    call: Any = ToolCall("1", "f", {}, text='{"a":', invalid="not JSON")
    answer = CompletionResponse(message=Message("assistant", (call,)), finish_reason=FinishReason.TOOL_CALLS)

    assert not is_keepable(answer)
