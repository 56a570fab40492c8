"""A batch in the provider's own batches, on both clients."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

import llmkit
from llmkit import (
    AuthenticationError,
    BatchResult,
    BudgetExceededError,
    CheckpointError,
    ConfigurationError,
    InternalError,
    InvalidRequestError,
    NetworkError,
)
from llmkit.batch import provider
from llmkit.batch.wires import WIRES
from llmkit.testing import FakeServer, Reply

KEY = "sk-test-0123456789"
MODELS = {"openai": "openai/gpt-4o-mini", "anthropic": "anthropic/claude-sonnet-4-5", "google": "google/gemini-2.5-flash"}
WIRE_OF = {"openai": WIRES["openai"], "anthropic": WIRES["anthropic"], "google": WIRES["gemini"]}
BAD = {"messages": "bad", "extra_body": {"temperature": 9}}  # which all refuse


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
    return face.client(MODELS[name], api_key=KEY, base_url=server.url(name))


def texts(result: BatchResult) -> list[str | None]:
    return [None if response is None else response.text for response in result.responses]


def made(server: FakeServer) -> int:
    """Return how many batches were begun."""
    return sum(request.method == "POST" and request.endpoint.endswith(("/batches", ":batchGenerateContent")) for request in server.requests)


def test_prompts_are_answered_at_the_batch_price(client: Any, server: FakeServer) -> None:
    """In order, whatever that of the results is, and half as dear."""
    prompts = [f"p{number}" for number in range(20)]

    with llmkit.track() as seen:
        result = client.batch(prompts, mode="provider", max_tokens=50)

    alone = client.complete("p0", max_tokens=50)
    assert [f"You said: {prompt}" for prompt in prompts] == texts(result)
    assert 1 == made(server)
    assert alone.cost == 2 * result[0].response.cost > 0
    assert alone.usage == result[0].response.usage
    assert result.cost == seen.estimated_cost == sum(response.cost for response in result.responses)
    assert ("in a batch at the provider", 200) == (result[0].attempts[0].why, result[0].attempts[0].status)


def test_an_error_of_an_item_is_classed_as_that_of_a_call(client: Any) -> None:
    """And is in its place."""
    result = client.batch(["a", BAD, "c"], mode="provider")

    alone: Any = None
    try:
        client.complete(**BAD)
    except InvalidRequestError as error:
        alone = error
    assert [True, False, True] == [item.ok for item in result]
    found = result[1].error
    assert (type(alone), alone.kind, alone.status_code, alone.code, alone.message) == (
        type(found),
        found.kind,
        found.status_code,
        found.code,
        found.message,
    )


def test_a_typed_answer_is_one(client: Any) -> None:
    """Parsed as that of a call."""
    result = client.batch(["a"], mode="provider", response_format={"type": "object", "properties": {"name": {"type": "string"}}})

    assert isinstance(result[0].response.parsed, dict)


def test_what_cannot_go_there_is_an_error_in_its_place(client: Any) -> None:
    """Another model, or headers."""
    prompts = ["a", {"messages": "b", "model": "openai/gpt-4o"}, {"messages": "c", "extra_headers": {"x-a": "1"}}, {"messages": ""}]

    result = client.batch(prompts, mode="provider")

    assert [True, False, False, False] == [item.ok for item in result]
    assert {ConfigurationError} == {type(item.error) for item in result[1:]}


def test_many_prompts_are_several_batches(client: Any, server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """By number and by size; some of them at a time."""
    monkeypatch.setattr(provider, "LIMIT", 4)
    monkeypatch.setattr(provider, "SIZE", 2000)

    result = client.batch((f"p{number}" for number in range(100)), mode="provider")
    long = client.batch(["x" * 1500, "y" * 1500, "z"], mode="provider")

    assert [f"You said: p{number}" for number in range(100)] == texts(result)
    assert 25 + 2 == made(server)
    assert 3 == long.succeeded


def test_a_batch_of_responses_is_one_of_openais(face: Any, server: FakeServer) -> None:
    """On whichever of its wires the client is."""
    client = face.client("openai/gpt-4o-mini", api_key=KEY, base_url=server.url("openai"), options={"api": "responses"})

    result = client.batch(["a", "b"], mode="provider")

    assert ["You said: a", "You said: b"] == texts(result)
    assert {"/v1/responses"} == {
        request.json["endpoint"] for request in server.requests if request.endpoint == "/v1/batches" and request.body
    }


@pytest.mark.parametrize("stop", ["submitted", "collected"])
def test_after_a_crash_the_batch_is_gone_on_with(
    stop: str, face: Any, client: Any, server: FakeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is known by its id, and not begun again."""
    path = tmp_path / "run.jsonl"
    first = client.batch(["a", BAD, "c"], mode="provider", checkpoint=path)
    lines = path.read_bytes().splitlines(keepends=True)
    kinds = [json.loads(line)["kind"] for line in lines]
    path.write_bytes(b"".join(lines[: kinds.index(stop) + (stop == "submitted")]))

    again = client.batch(["a", BAD, "c"], mode="provider", checkpoint=path)

    assert 1 == made(server)
    assert texts(first) == texts(again)
    assert first[1].error.to_dict()["message"] == again[1].error.to_dict()["message"]
    client.batch(["a", BAD, "c"], mode="provider", checkpoint=path)
    assert 1 == made(server)


def test_calls_do_not_ask_what_is_at_the_provider(client: Any, server: FakeServer, tmp_path: Path) -> None:
    """It would be paid for twice."""
    path = tmp_path / "run.jsonl"
    client.batch(["a"], mode="provider", checkpoint=path)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:3]))
    hits = server.hits

    with pytest.raises(CheckpointError, match="mode='provider'"):
        client.batch(["a"], checkpoint=path)

    assert hits == server.hits
    assert client.batch(["a"], mode="provider", checkpoint=path)[0].ok


@pytest.mark.parametrize("strict", [False, True])
def test_a_batch_begun_at_the_moment_of_a_kill(strict: bool, client: Any, server: FakeServer, tmp_path: Path) -> None:
    """Its id is not known: it is begun again, or in strict mode reported."""
    path = tmp_path / "run.jsonl"
    client.batch(["a"], mode="provider", checkpoint=path)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:2]))
    assert "submitting" == json.loads(lines[1])["kind"]

    result = client.batch(["a"], mode="provider", checkpoint=path, strict=strict)

    assert (1 if strict else 2) == made(server)
    assert (CheckpointError if strict else type(None)) is type(result[0].error)


def test_a_refused_batch_raises_and_is_given_again(client: Any, server: FakeServer, tmp_path: Path) -> None:
    """It is not there, also in strict mode."""
    path = tmp_path / "run.jsonl"
    server.enqueue(Reply.error(401))

    with pytest.raises(AuthenticationError):
        client.batch(["a"], mode="provider", checkpoint=path, strict=True)

    assert client.batch(["a"], mode="provider", checkpoint=path, strict=True)[0].ok


def test_a_batch_is_begun_only_once(client: Any, server: FakeServer, name: str) -> None:
    """A lost reply may mean that it is there."""
    lost = [Reply(), Reply(reset=True)] if name == "openai" else [Reply(reset=True)]  # the file comes first
    server.enqueue(*lost)

    with pytest.raises(NetworkError):
        client.batch(["a"], mode="provider")

    assert 1 == made(server)


def test_a_look_that_fails_in_passing_is_repeated(face: Any, server: FakeServer, name: str) -> None:
    """The batch goes on there."""
    client = face.client(MODELS[name], api_key=KEY, base_url=server.url(name), retry=None)
    server.enqueue(*[Reply()] * (2 if name == "openai" else 1), *[Reply.error(503)] * 4)

    assert client.batch(["a"], mode="provider")[0].ok


def test_a_look_that_always_fails_ends_the_waiting(face: Any, server: FakeServer, name: str) -> None:
    """But not at once."""
    client = face.client(MODELS[name], api_key=KEY, base_url=server.url(name), retry=None, circuit_breaker=None)
    server.enqueue(*[Reply()] * (2 if name == "openai" else 1))
    server.always(Reply.error(500))

    with pytest.raises(InternalError):
        client.batch(["a"], mode="provider")

    assert server.hits >= provider.MISSED_LOOKS


def test_leaving_cancels_what_no_checkpoint_knows(face: Any, server: FakeServer, name: str, tmp_path: Path) -> None:
    """Nobody could have its results; with one it goes on there."""
    client = face.client(MODELS[name], api_key=KEY, base_url=server.url(name), retry=None, circuit_breaker=None)
    refused = [*[Reply()] * (2 if name == "openai" else 1), Reply.error(403)]
    for checkpoint in (None, tmp_path / "run.jsonl"):
        server.enqueue(*refused)
        with pytest.raises(llmkit.PermissionDeniedError):
            client.batch(["a"], mode="provider", checkpoint=checkpoint)

    assert 1 == sum(request.endpoint.endswith(("/cancel", ":cancel")) for request in server.requests)


def test_a_cancelled_batch_tells_so(client: Any, server: FakeServer, name: str, face: Any, tmp_path: Path) -> None:
    """Its items may be asked again."""
    path = tmp_path / "run.jsonl"
    client.batch(["a"], mode="provider", checkpoint=path)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:2]))
    wire, place = WIRE_OF[name], llmkit.Place(base_url=server.url(name))
    begun = face.client(MODELS[name], api_key=KEY, base_url=server.url(name), retry=None)
    server.enqueue(*[Reply()] * (2 if name == "openai" else 1), Reply.error(403))
    with pytest.raises(llmkit.PermissionDeniedError):
        begun.batch(["a"], mode="provider", checkpoint=path)
    batch = json.loads(path.read_bytes().splitlines()[-1])["name"]
    _send(wire.cancel(batch, place), name)

    result = client.batch(["a"], mode="provider", checkpoint=path)

    assert ("conflict", True) == (result[0].error.kind, result[0].error.retryable)
    assert client.batch(["a"], mode="provider", checkpoint=path)[0].ok


def _send(request: Any, name: str) -> None:
    import requests

    credential = {
        "openai": {"authorization": f"Bearer {KEY}"},
        "anthropic": {"x-api-key": KEY, "anthropic-version": "2023-06-01"},
        "google": {"x-goog-api-key": KEY},
    }[name]
    requests.request(request.method, request.url, headers={**request.headers, **credential}, timeout=5).raise_for_status()


def test_a_budget_holds(client: Any, server: FakeServer) -> None:
    """It is reserved before, and charged what the batch cost."""
    with llmkit.budget("1") as spending:
        result = client.batch(["a", "b"], mode="provider", max_tokens=50)
    with llmkit.budget(Decimal("0.0000001")):
        refused = client.batch(["a"], mode="provider", max_tokens=50)

    assert (result.cost, Decimal(0)) == (spending.spent, spending.reserved)
    assert BudgetExceededError is type(refused[0].error)
    assert 1 == made(server)


@pytest.mark.parametrize("name", ["groq", "dashscope"])
def test_who_has_openais_batches_is_given_them(face: Any, server: FakeServer, name: str, tmp_path: Path) -> None:
    """In the same files, and gone on with in the same way."""
    path = tmp_path / "run.jsonl"
    client = face.client(f"{name}/some-model", api_key=KEY, base_url=server.url(name), retry=None)
    server.enqueue(Reply(), Reply(), Reply.error(403))
    with pytest.raises(llmkit.PermissionDeniedError):
        client.batch(["a", BAD, "c"], mode="provider", checkpoint=path)

    result = client.batch(["a", BAD, "c"], mode="provider", checkpoint=path)

    assert ["You said: a", None, "You said: c"] == texts(result)
    assert InvalidRequestError is type(result[1].error)
    assert [f"/{name}/v1/files", f"/{name}/v1/batches"] == [request.path for request in server.requests if request.method == "POST"]
    assert b'"url":"/v1/chat/completions"' in server.requests[0].body


@pytest.mark.parametrize(
    ("model", "options", "why"),
    [
        ("mistral/m", {}, "mistral has no batches of its own that llmkit speaks"),
        ("vertex/gemini-2.5-flash", {"project": "p", "token": "t"}, "vertex reads batches from Cloud Storage or BigQuery"),
        ("vertex/claude-sonnet-4-5", {"project": "p", "token": "t"}, "vertex reads batches from Cloud Storage or BigQuery"),
        ("bedrock/m", {"region": "us-east-1"}, "bedrock reads batches from S3"),
        ("sagemaker/m", {"region": "us-east-1", "access_key_id": "a", "secret_access_key": "b"}, "sagemaker reads batches from S3"),
    ],
)
def test_a_provider_without_batches_says_so(face: Any, server: FakeServer, model: str, options: dict[str, str], why: str) -> None:
    """And why, before anything is sent."""
    name = model.partition("/")[0]
    key = {} if {"token", "access_key_id"} & options.keys() else {"api_key": KEY}
    client = face.client(model, base_url=server.url(name), options=options, **key)

    with pytest.raises(ConfigurationError, match=why):
        client.batch(["a"], mode="provider")

    assert 0 == server.hits


@pytest.mark.parametrize("said", [{"timeout": 5}, {"deadline": 5}, {"cache": False}])
def test_what_belongs_to_a_call_is_refused(said: dict[str, Any], client: Any, server: FakeServer) -> None:
    """For all before anything is sent, of one item in its place."""
    with pytest.raises(ConfigurationError, match="says nothing with mode='provider'"):
        client.batch(["a"], mode="provider", **said)

    assert 0 == server.hits
    assert [True, False] == [item.ok for item in client.batch(["a", {"messages": "b", **said}], mode="provider")]


def test_several_keys_are_refused(face: Any, server: FakeServer, name: str) -> None:
    """A batch belongs to one of them."""
    client = face.client(MODELS[name], api_keys=[KEY, KEY + "x"], base_url=server.url(name))

    with pytest.raises(ConfigurationError, match="belongs to the key"):
        client.batch(["a"], mode="provider")


PROGRAM = """
import sys
from llmkit import Client
from llmkit.batch import provider
provider.FIRST_PAUSE, provider.LIMIT = 0.02, 5
model, base_url, path = sys.argv[1:4]
client = Client(model, base_url=base_url, api_key="sk-test-0123456789")
client.batch([f"p{number}" for number in range(20)], mode="provider", checkpoint=path).raise_for_errors()
"""


def test_killed_while_it_waits_nothing_is_begun_twice(server: FakeServer, name: str, tmp_path: Path) -> None:
    """All batches were there, and are read by the next run."""
    path = str(tmp_path / "run.jsonl")
    arguments = [sys.executable, "-c", PROGRAM, MODELS[name], server.url(name), path]
    process = subprocess.Popen(arguments)
    while not (os.path.exists(path) and 4 == Path(path).read_bytes().count(b'"kind":"submitted"')):
        assert process.poll() is None
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    process.wait()

    assert 0 == subprocess.run(arguments, check=False).returncode

    assert 4 == made(server)
    kinds = [json.loads(line)["kind"] for line in Path(path).read_bytes().splitlines()]
    assert {"run": 1, "submitting": 4, "submitted": 4, "finished": 20, "collected": 4} == {
        kind: len(list(group))
        for kind, group in itertools.groupby(sorted(kinds, key=["run", "submitting", "submitted", "finished", "collected"].index))
    }


# -- the fake server, held to the makers' own packages


def test_openais_own_package_speaks_to_the_fake(server: FakeServer) -> None:
    """A file, a batch, its results and its errors, and a cancelled one."""
    openai = pytest.importorskip("openai")
    body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hi"}]}
    rows = [{"custom_id": f"r{n}", "method": "POST", "url": "/v1/chat/completions", "body": body} for n in range(3)]
    rows[1] = {**rows[1], "body": {**body, "temperature": 9}}
    content = "\n".join(json.dumps(row) for row in rows).encode()

    with openai.OpenAI(api_key=KEY, base_url=server.url("openai"), max_retries=0) as client:
        file = client.files.create(file=("in.jsonl", content), purpose="batch")
        batch = client.batches.create(input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h")
        states = [batch.status, client.batches.retrieve(batch.id).status]
        done = client.batches.retrieve(batch.id)
        good = client.files.content(done.output_file_id).text.splitlines()
        bad = client.files.content(done.error_file_id).text.splitlines()
        other = client.batches.create(input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h")
        cancelled = client.batches.cancel(other.id)
        with pytest.raises(openai.BadRequestError):
            client.files.create(file=("in.jsonl", content), purpose="assistants")
        with pytest.raises(openai.BadRequestError):
            client.batches.create(input_file_id="file-none", endpoint="/v1/chat/completions", completion_window="24h")
        with pytest.raises(openai.NotFoundError):
            client.batches.retrieve("batch_none")

    assert ["validating", "in_progress", "completed", "cancelled"] == [*states, done.status, cancelled.status]
    assert (3, 2, 1) == (done.request_counts.total, done.request_counts.completed, done.request_counts.failed)
    assert ["r2", "r0"] == [json.loads(line)["custom_id"] for line in good]
    assert [("r1", 400)] == [(json.loads(line)["custom_id"], json.loads(line)["response"]["status_code"]) for line in bad]


def test_anthropics_own_package_speaks_to_the_fake(server: FakeServer) -> None:
    """A batch, its results by the address that it tells, and a cancelled one."""
    anthropic = pytest.importorskip("anthropic")
    params = {"model": "claude-sonnet-4-5", "max_tokens": 10, "messages": [{"role": "user", "content": "hi"}]}
    rows = [{"custom_id": f"r{n}", "params": params} for n in range(3)]
    rows[1] = {"custom_id": "r1", "params": {**params, "temperature": 9}}

    with anthropic.Anthropic(api_key=KEY, base_url=server.url("anthropic"), max_retries=0) as client:
        batch = client.messages.batches.create(requests=rows)
        states = [batch.processing_status, client.messages.batches.retrieve(batch.id).processing_status]
        done = client.messages.batches.retrieve(batch.id)
        results = {row.custom_id: row.result for row in client.messages.batches.results(batch.id)}
        other = client.messages.batches.create(requests=rows)
        cancelled = client.messages.batches.cancel(other.id)
        client.messages.batches.retrieve(other.id)
        ended = [row.result.type for row in client.messages.batches.results(other.id)]
        with pytest.raises(anthropic.BadRequestError):
            client.messages.batches.create(requests=[{"custom_id": "a b", "params": params}])
        with pytest.raises(anthropic.NotFoundError):
            client.messages.batches.retrieve("msgbatch_none")

    assert ["in_progress", "in_progress", "ended", "canceling"] == [*states, done.processing_status, cancelled.processing_status]
    assert (2, 1) == (done.request_counts.succeeded, done.request_counts.errored)
    assert "You said: hi" == results["r0"].message.content[0].text
    assert "invalid_request_error" == results["r1"].error.error.type
    assert ["canceled"] * 3 == ended


def test_googles_own_package_speaks_to_the_fake(server: FakeServer, tmp_path: Path) -> None:
    """A batch whose requests go along, one of a file, their results, a cancelled one, and the list of all."""
    genai = pytest.importorskip("google.genai")
    errors = pytest.importorskip("google.genai.errors")
    model, key = "gemini-2.5-flash", f"{KEY}-{server.origin}"
    asked = {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}
    good, bad = {**asked, "metadata": {"key": "r0"}}, {**asked, "config": {"temperature": 9}, "metadata": {"key": "r1"}}
    path = tmp_path / "in.jsonl"
    path.write_text("".join(json.dumps({"key": f"r{n}", "request": asked}) + "\n" for n in range(2)))

    with genai.Client(api_key=key, http_options={"base_url": f"{server.origin}/google", "api_version": "v1beta"}) as client:
        batch = client.batches.create(model=model, src=[good, bad], config={"display_name": "mine"})
        states = [batch.state.name, client.batches.get(name=batch.name).state.name]
        done = client.batches.get(name=batch.name)
        uploaded = client.files.upload(file=path, config={"mime_type": "jsonl"})
        of_file = client.batches.create(model=model, src=uploaded.name, config={"display_name": "of a file"})
        client.batches.get(name=of_file.name)
        results = client.files.download(file=client.batches.get(name=of_file.name).dest.file_name)
        other = client.batches.create(model=model, src=[good], config={"display_name": "other"})
        client.batches.cancel(name=other.name)
        listed = {found.display_name: found.state.name for found in client.batches.list()}
        with pytest.raises(errors.ClientError, match="display_name"):
            client.batches.create(model=model, src=[good])
        with pytest.raises(errors.ClientError, match="not found"):
            client.batches.create(model=model, src="files/none", config={"display_name": "x"})
        with pytest.raises(errors.ClientError, match="not found"):
            client.batches.get(name="batches/none")
        with pytest.raises(errors.ClientError, match="generated files"):
            client.files.download(file=uploaded.name)

    assert ["JOB_STATE_PENDING", "JOB_STATE_RUNNING", "JOB_STATE_SUCCEEDED"] == [*states, done.state.name]
    first, second = done.dest.inlined_responses
    assert ("r0", "You said: hi") == (first.metadata["key"], first.response.text)
    assert ("r1", 3) == (second.metadata["key"], second.error.code)
    assert ["r0", "r1"] == [json.loads(line)["key"] for line in results.splitlines()]
    assert {"mine": "JOB_STATE_SUCCEEDED", "of a file": "JOB_STATE_SUCCEEDED", "other": "JOB_STATE_CANCELLED"} == listed
