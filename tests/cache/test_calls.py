"""What one call does with a cache. What it does for the user is tested with the clients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from llmkit import (
    AllProvidersFailedError,
    Client,
    CompletionResponse,
    DeadlineExceededError,
    FinishReason,
    LLMCache,
    LLMKitError,
    Message,
    NetworkError,
    Text,
    Thinking,
    ToolCall,
)
from llmkit.cache.calls import CachedCall, _is_down

ANSWER = CompletionResponse(message=Message("assistant", "Fine"), finish_reason=FinishReason.STOP)

Cached = Callable[..., CachedCall]


@pytest.fixture
def cache() -> LLMCache:
    """An empty one."""
    return LLMCache()


@pytest.fixture
def cached(cache: LLMCache) -> Cached:
    """Return a maker of calls that ask the same."""
    client = Client("openai/gpt-4o-mini", api_key="sk-test-0123456789", cache=cache)

    def make(**arguments: Any) -> CachedCall:
        given = {"model": None, "stream": False, "timeout": None, "deadline": None, "parameters": {}, **arguments}
        made = client._router.cached(client._router.completion("Say hi", **given))
        assert made is not None
        return made

    return make


def fine(call: object) -> CompletionResponse:
    return ANSWER


def test_an_answer_that_was_kept_meanwhile_is_not_asked_for(cached: Cached) -> None:
    """Whoever is to ask looks once more: the one who led has landed between its look and its boarding."""
    late, early = cached(), cached()
    assert late.find() is None
    early.answer(fine)

    with late.boarded(None) as seat:
        found = late.again(seat)

    assert found is not None
    assert "Fine" == found.text


def test_where_a_cache_cannot_be_used_each_asks_for_itself(cached: Cached, cache: LLMCache, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a secret there is no key, nothing to share, and nothing to keep."""
    monkeypatch.setattr(cache, "secret", lambda: None)
    one, other = cached(), cached()
    assert [None, None] == [one.find(), other.find()]

    with one.boarded(None) as seat, other.boarded(None) as beside:
        one.keep(ANSWER, seat)

    assert ["gone", "gone"] == [seat.role, beside.role]
    assert 0 == cache.stats().entries


def test_what_is_no_answer_is_dropped_and_asked_for_again(cached: Cached, cache: LLMCache, caplog: pytest.LogCaptureFixture) -> None:
    """With a warning."""
    cache.put(_key_of(cached()), b'{"message": "of another age"}')

    assert ANSWER is cached().answer(fine)

    found = cached().find()
    assert found is not None
    assert "Fine" == found.text
    assert ["WARNING"] == [record.levelname for record in caplog.records]


def test_an_answer_that_is_no_json_is_given_and_not_kept(cached: Cached, cache: LLMCache, caplog: pytest.LogCaptureFixture) -> None:
    """A provider of one's own may bring such."""
    odd = CompletionResponse(message=Message("assistant", "Fine"), finish_reason=FinishReason.STOP, raw=object())

    assert odd is cached().answer(lambda call: odd)

    assert 0 == cache.stats().entries
    assert ["WARNING"] == [record.levelname for record in caplog.records]


def test_who_waits_in_vain_counts_no_request(cached: Cached, cache: LLMCache) -> None:
    """Its deadline passed; the one who leads has sent the only one."""
    leader = cached()
    leader.find()

    def too_late(call: object) -> CompletionResponse:
        raise DeadlineExceededError("too late")

    with leader.boarded(None) as seat:
        leader.again(seat)
        with pytest.raises(DeadlineExceededError):
            cached(deadline=0.02).answer(too_late)

    assert 1 == cache.stats().misses


def test_patience_is_the_deadline_of_the_call(cached: Cached) -> None:
    """None where there is none."""
    bounded, endless = cached(deadline=5), cached()
    endless.call.deadline = None

    assert 4 < (bounded.patience() or 0) <= 5
    assert endless.patience() is None


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (NetworkError("x", kind="connect"), True),
        (LLMKitError("x", kind="server"), True),
        (LLMKitError("x", kind="overloaded"), True),
        (LLMKitError("x", kind="circuit_open"), True),
        (DeadlineExceededError("x"), True),
        (LLMKitError("x", kind="rate_limit"), False),
        (LLMKitError("x", kind="auth"), False),
        (LLMKitError("x", kind="bad_request"), False),
        (LLMKitError("x", kind="config"), False),
        (AllProvidersFailedError("x", errors=[LLMKitError("x", kind="auth"), LLMKitError("x", kind="server")]), True),
        (AllProvidersFailedError("x", errors=[LLMKitError("x", kind="auth")]), False),
    ],
    ids=lambda value: getattr(value, "kind", value),
)
def test_down_is_where_nobody_answers(error: LLMKitError, expected: bool) -> None:
    """A refusal is an answer."""
    assert expected is _is_down(error)


def test_a_replay_has_the_parts_in_their_order() -> None:
    """Thoughts, text and calls, each as one chunk, and the end."""
    answer = CompletionResponse(
        message=Message(
            "assistant",
            (Thinking("Hm"), Text("One"), ToolCall("1", "f", {"a": 1}), Text(""), ToolCall("2", "g", {}, text='{"b":  2}')),
        ),
        finish_reason=FinishReason.TOOL_CALLS,
    )

    chunks = list(CachedCall.replay(answer))

    calls = [chunk.tool_call for chunk in chunks if chunk.tool_call is not None]
    assert ["Hm", "One"] == [chunk.thinking or chunk.text for chunk in chunks[:2]]
    assert [(0, "1", "f", '{"a": 1}'), (1, "2", "g", '{"b":  2}')] == [(call.index, call.id, call.name, call.arguments) for call in calls]
    assert 5 == len(chunks)
    assert FinishReason.TOOL_CALLS is chunks[-1].finish_reason


def _key_of(cached: CachedCall) -> str:
    cached.find()
    assert cached._key is not None
    return cached._key
