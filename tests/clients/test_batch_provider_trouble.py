"""What goes wrong with a batch in the provider's own batches, on both clients: nothing is lost, paid for twice or left behind."""

from __future__ import annotations

import asyncio
import concurrent.futures
import json
import signal
import threading
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

import llmkit
from llmkit import CheckpointError, CircuitBreakerConfig, ConfigurationError, DeadlineExceededError, ModelNotFoundError, NetworkError
from llmkit.batch import provider
from llmkit.testing import FakeServer, Reply
from llmkit.transport import wire as sync_wire
from llmkit_async import _reply as async_wire

KEY = "sk-test-0123456789"
MODELS = {"openai": "openai/gpt-4o-mini", "anthropic": "anthropic/claude-sonnet-4-5", "google": "google/gemini-2.5-flash"}
BEGINNING = {"openai": 2, "anthropic": 1, "google": 1}  # requests until a batch is there
LOOKS = 2  # until it has ended


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provider, "FIRST_PAUSE", 0.001)
    monkeypatch.setattr(provider, "LONGEST_PAUSE", 0.002)


@pytest.fixture(params=MODELS)
def name(request: pytest.FixtureRequest) -> str:
    made: str = request.param
    return made


@pytest.fixture
def client(face: Any, server: FakeServer, name: str) -> Any:
    return face.client(MODELS[name], api_key=KEY, base_url=server.url(name), retry=None)


def texts(result: Any) -> list[str | None]:
    return [None if response is None else response.text for response in result.responses]


def made(server: FakeServer) -> int:
    """Return how many batches were begun."""
    return sum(request.method == "POST" and request.endpoint.endswith(("/batches", ":batchGenerateContent")) for request in server.requests)


def cancelled(server: FakeServer) -> int:
    """Return how many batches were cancelled."""
    return sum(request.endpoint.endswith(("/cancel", ":cancel")) for request in server.requests)


def cut_short(path: Path, after: str) -> None:
    """Leave of the log at *path* what is up to its first record of the kind *after*."""
    lines = path.read_bytes().splitlines(keepends=True)
    kinds = [json.loads(line)["kind"] for line in lines]
    path.write_bytes(b"".join(lines[: kinds.index(after) + 1]))


# -- what fails in passing


def test_results_that_cannot_be_read_in_passing_are_read_again(client: Any, server: FakeServer, name: str) -> None:
    """They are paid for."""
    server.enqueue(*[Reply()] * (BEGINNING[name] + LOOKS), Reply.error(503), Reply.error(500))

    assert client.batch(["a"], mode="provider")[0].ok
    assert 0 == server.unused


def test_a_breaker_that_opens_ends_no_waiting(face: Any, server: FakeServer, name: str) -> None:
    """The batch goes on there, whatever happens to the looks."""
    breaker = CircuitBreakerConfig(failure_threshold=2, reset_time=0.004)
    client = face.client(MODELS[name], api_key=KEY, base_url=server.url(name), retry=None, circuit_breaker=breaker)
    server.enqueue(*[Reply()] * BEGINNING[name], *[Reply.error(500)] * 2)

    result = client.batch(["a"], mode="provider")

    assert result[0].ok
    assert 0 == cancelled(server)


def test_a_lost_upload_has_begun_nothing(face: Any, server: FakeServer, tmp_path: Path) -> None:
    """So that its items are asked again also in strict mode."""
    path = tmp_path / "run.jsonl"
    client = face.client(MODELS["openai"], api_key=KEY, base_url=server.url("openai"), retry=None)
    server.enqueue(Reply(reset=True))
    with pytest.raises(NetworkError):
        client.batch(["a"], mode="provider", checkpoint=path, strict=True)

    assert client.batch(["a"], mode="provider", checkpoint=path, strict=True)[0].ok


@pytest.mark.parametrize("status", [500, 504])
def test_a_server_that_fails_may_have_begun_the_batch(status: int, client: Any, server: FakeServer, name: str, tmp_path: Path) -> None:
    """So that in strict mode its items are reported."""
    path = tmp_path / "run.jsonl"
    server.enqueue(*[Reply()] * (BEGINNING[name] - 1), Reply.error(status))
    with pytest.raises(llmkit.LLMKitError):
        client.batch(["a"], mode="provider", checkpoint=path, strict=True)

    result = client.batch(["a"], mode="provider", checkpoint=path, strict=True)

    assert CheckpointError is type(result[0].error)
    assert 1 == made(server)


# -- more than a batch may have


def test_one_item_more_is_another_batch(server: FakeServer, name: str) -> None:
    """All of them in the order of the prompts."""
    client = llmkit.Client(MODELS[name], api_key=KEY, base_url=server.url(name), retry=None)

    result = client.batch([f"p{number}" for number in range(2001)], mode="provider")

    assert [f"You said: p{number}" for number in range(2001)] == texts(result)
    assert 2 == made(server)


def test_an_item_that_no_batch_could_have_is_an_error_in_its_place(
    client: Any, server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And a batch has no more than its provider takes."""
    wires = {word: evolve(wire, size=1000) for word, wire in provider.WIRES.items()}
    monkeypatch.setattr(provider, "WIRES", wires)

    result = client.batch(["a" * 500, "b" * 1000, "c" * 500], mode="provider")

    assert [True, False, True] == [item.ok for item in result]
    assert isinstance(result[1].error, ConfigurationError)
    assert 2 == made(server)


# -- results that are not what they should be


def test_a_torn_line_costs_its_own_item_only(face: Any, server: FakeServer) -> None:
    """The others are there, and those of nobody are let be."""
    client = face.client(MODELS["anthropic"], api_key=KEY, base_url=server.url("anthropic"), retry=None)
    message = {"id": "m", "type": "message", "role": "assistant", "model": "claude-sonnet-4-5", "stop_reason": "end_turn"}
    message |= {"content": [{"type": "text", "text": "hi"}], "usage": {"input_tokens": 1, "output_tokens": 1}}
    rows = [json.dumps({"custom_id": id, "result": {"type": "succeeded", "message": message}}) for id in ("2-", "7-", "0-")]
    torn = json.dumps({"custom_id": "1-", "result": {"type": "succeeded", "message": message}})[:-20]
    server.enqueue(*[Reply()] * (1 + LOOKS), Reply(raw="\n".join([*rows, torn]).encode()))

    result = client.batch(["a", "b", "c"], mode="provider")

    assert ["hi", None, "hi"] == texts(result)
    assert ("malformed", True) == (result[1].error.kind, result[1].error.retryable)


def test_a_batch_that_expires_keeps_what_it_has(face: Any, server: FakeServer) -> None:
    """The others may be asked again."""
    client = face.client(MODELS["google"], api_key=KEY, base_url=server.url("google"), retry=None)
    answer = {"candidates": [{"content": {"role": "model", "parts": [{"text": "hi"}]}, "finishReason": "STOP"}], "modelVersion": "m"}
    rows = [{"metadata": {"key": "1-"}, "response": answer}]
    about = {"state": "BATCH_STATE_EXPIRED", "output": {"inlinedResponses": {"inlinedResponses": rows}}}

    def expired(request: Any) -> Reply:
        return Reply(raw={"name": request.endpoint.removeprefix("/v1beta/"), "done": True, "metadata": about})

    server.enqueue(Reply(), expired, expired)

    result = client.batch(["a", "b"], mode="provider")

    assert [None, "hi"] == texts(result)
    assert ("timeout", True) == (result[0].error.kind, result[0].error.retryable)


def test_results_may_be_larger_than_an_answer(client: Any, server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are thousands of answers."""
    for module in (sync_wire, async_wire):
        monkeypatch.setattr(module, "BODY_LIMIT", 4000)

    result = client.batch(["x" * 100 for _ in range(50)], mode="provider")

    assert 50 == result.succeeded


def test_an_answer_that_does_not_fit_is_paid_for(face: Any, server: FakeServer) -> None:
    """It is an error for whoever wanted JSON, and money all the same."""
    client = face.client(MODELS["openai"], api_key=KEY, base_url=server.url("openai"), retry=None)
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "no JSON"}}
    usage = {"prompt_tokens": 100, "completion_tokens": 100, "total_tokens": 200}
    body = {"id": "x", "object": "chat.completion", "model": "gpt-4o-mini", "choices": [choice], "usage": usage}
    row = {"custom_id": "0-", "response": {"status_code": 200, "request_id": "r", "body": body}, "error": None}
    server.enqueue(*[Reply()] * (2 + LOOKS), Reply(raw=json.dumps(row).encode()))

    with llmkit.budget("1") as spending:
        result = client.batch(["a"], mode="provider", response_format={"type": "object"}, max_tokens=10)

    assert "structured_output" == result[0].error.kind
    assert (Decimal("0.0000375"), Decimal(0)) == (spending.spent, spending.reserved)


def test_tools_are_called_from_a_batch(client: Any) -> None:
    """As from a call."""

    @llmkit.tool
    def look(city: str) -> str:
        """Look out of a window."""
        return city

    result = client.batch(["a", {"messages": "b", "tools": [look], "tool_choice": "look"}], mode="provider")

    assert [(), ("look",)] == [tuple(call.name for call in item.response.tool_calls) for item in result]


# -- money


def test_money_is_given_back_for_what_was_never_given(client: Any, server: FakeServer, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was given, or perhaps so, counts as it was foreseen: nobody knows what becomes of it."""
    monkeypatch.setattr(provider, "LIMIT", 1)
    spent = []

    for trouble, error in ((Reply.error(403), llmkit.PermissionDeniedError), (Reply(reset=True), NetworkError)):
        server.enqueue(*[Reply()] * (2 * BEGINNING[name] - 1), trouble)
        with llmkit.budget("1") as spending, pytest.raises(error):
            client.batch(["a", "b", "c"], mode="provider", max_tokens=50)
        spent.append(spending.spent)
        assert Decimal(0) == spending.reserved

    assert 0 < 2 * spent[0] == spent[1]


# -- the end


def test_a_deadline_ends_the_waiting(client: Any, server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also between two looks; and the batch is cancelled all the same."""
    monkeypatch.setattr(provider, "FIRST_PAUSE", 60.0)
    monkeypatch.setattr(provider, "LONGEST_PAUSE", 60.0)
    started = time.monotonic()

    with llmkit.deadline(0.2), pytest.raises(DeadlineExceededError):
        client.batch(["a"], mode="provider")

    assert time.monotonic() - started < 30
    assert 1 == cancelled(server)


def test_cancel_all_ends_the_waiting(client: Any, server: FakeServer, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also between two looks."""
    monkeypatch.setattr(provider, "FIRST_PAUSE", 60.0)

    def cancel() -> None:
        server.wait_for(lambda server: server.hits > BEGINNING[name])
        time.sleep(0.05)  # it looks no more
        client.cancel_all()

    thread = threading.Thread(target=cancel)
    thread.start()
    with pytest.raises((concurrent.futures.CancelledError, asyncio.CancelledError)):
        client.batch(["a"], mode="provider")
    thread.join(5)

    assert 1 == cancelled(server)


@pytest.mark.parametrize("kept", [False, True])
def test_ctrl_c_while_waiting_cancels_what_no_checkpoint_knows(
    kept: bool, server: FakeServer, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a checkpoint the next run reads it."""
    path = tmp_path / "run.jsonl"
    client = llmkit.Client(MODELS[name], api_key=KEY, base_url=server.url(name), retry=None)

    def interrupt(request: Any) -> Reply:
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        return Reply()

    monkeypatch.setattr(provider, "FIRST_PAUSE", 5.0)
    server.enqueue(*[Reply()] * BEGINNING[name], interrupt)
    with pytest.raises(KeyboardInterrupt):
        client.batch(["a"], mode="provider", checkpoint=path if kept else None)
    monkeypatch.setattr(provider, "FIRST_PAUSE", 0.001)

    assert (0 if kept else 1) == cancelled(server)
    assert client.batch(["a"], mode="provider", checkpoint=path)[0].ok
    assert (1 if kept else 2) == made(server)


# -- going on


def test_a_batch_of_another_key_is_not_there(face: Any, server: FakeServer, client: Any, name: str, tmp_path: Path) -> None:
    """Which is told as what it is; and asked again only by leave."""
    path = tmp_path / "run.jsonl"
    client.batch(["a"], mode="provider", checkpoint=path)
    cut_short(path, "submitted")
    other = face.client(MODELS[name], api_key=KEY + "-other", base_url=server.url(name), retry=None)

    with pytest.raises(CheckpointError, match="not there for this key") as found:
        other.batch(["a"], mode="provider", checkpoint=path)

    assert isinstance(found.value.__cause__, ModelNotFoundError)
    assert 1 == made(server)
    assert other.batch(["a"], mode="provider", checkpoint=path, resume="anyway")[0].ok
    assert other.batch(["a"], mode="provider", checkpoint=path)[0].ok
    assert 2 == made(server)


@pytest.mark.parametrize("prompts", [list, iter])
def test_a_batch_of_another_request_is_refused(prompts: Any, client: Any, server: FakeServer, tmp_path: Path) -> None:
    """Also where the prompts are only known one by one: its answers would be paid for, and never read."""
    path = tmp_path / "run.jsonl"
    client.batch(["a"], mode="provider", checkpoint=path)
    cut_short(path, "submitted")

    with pytest.raises(CheckpointError, match="made from other input"):
        client.batch(prompts(["a"]), mode="provider", checkpoint=path, temperature=0.5)

    assert 1 == made(server)
    assert client.batch(prompts(["a"]), mode="provider", checkpoint=path, temperature=0.5, resume="anyway")[0].ok


def test_a_batch_whose_items_are_all_known_is_done_with(client: Any, tmp_path: Path) -> None:
    """Also where its own end was not noted any more: calls may go on."""
    path = tmp_path / "run.jsonl"
    client.batch(["a"], mode="provider", checkpoint=path)
    cut_short(path, "finished")

    assert client.batch(["a"], checkpoint=path)[0].restored
