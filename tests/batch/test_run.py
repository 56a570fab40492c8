"""One batch, asked and told without a network."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from llmkit import BatchItem, Client, CompletionResponse, LLMKitError, RateLimitTimeoutError, assistant
from llmkit.batch.questions import Question
from llmkit.batch.run import Run

YES = CompletionResponse(message=assistant("yes"))
Ask = Callable[[Run, list[LLMKitError]], "BatchItem | None"]


def asked(run: Run, errors: list[LLMKitError]) -> BatchItem | None:
    """Have one question asked that meets *errors* first."""

    def complete(**_: Any) -> CompletionResponse:
        if errors:
            raise errors.pop(0)
        return YES

    return run.ask(Question(0, {"messages": "Hi"}), complete)


def asked_by_the_twin(run: Run, errors: list[LLMKitError]) -> BatchItem | None:
    async def complete(**_: Any) -> CompletionResponse:
        if errors:
            raise errors.pop(0)
        return YES

    async def aside(function: Callable[..., Any], *arguments: Any) -> Any:
        return function(*arguments)

    def pause(seconds: float) -> Awaitable[object]:
        return asyncio.sleep(seconds)

    return asyncio.run(run.aask(Question(0, {"messages": "Hi"}), complete, aside, pause))


@pytest.fixture
def run() -> Run:
    client = Client("openai/gpt-4o-mini", api_key="sk-test-0123456789")
    return Run(client._router, ["Hi"], {"params": {}})


@pytest.mark.parametrize("ask", [asked, asked_by_the_twin])
def test_what_finds_the_clients_own_limit_full_is_asked_again(run: Run, ask: Ask) -> None:
    """Nothing of it was sent."""
    item = ask(run, [RateLimitTimeoutError("full", retry_after=0.01) for _ in range(3)])

    assert item is not None
    assert YES == item.response


@pytest.mark.parametrize("ask", [asked, asked_by_the_twin])
def test_what_waits_when_the_batch_is_left_is_not_asked(run: Run, ask: Ask) -> None:
    """Nor is there anything to tell."""
    error = RateLimitTimeoutError("full", retry_after=900.0)
    errors: list[LLMKitError] = [error]
    run.leave()

    item = ask(run, errors)

    assert (None, [error]) == (item, errors)


@pytest.mark.parametrize("ask", [asked, asked_by_the_twin])
def test_what_can_never_be_sent_is_an_error(run: Run, ask: Ask) -> None:
    """To wait would not help."""
    item = ask(run, [RateLimitTimeoutError("never", retryable=False)])

    assert item is not None
    assert not item.ok
