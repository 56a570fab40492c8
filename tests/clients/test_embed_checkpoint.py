"""An embed that goes on where it ended, on both clients."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import CancelledError
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from llmkit import (
    CheckpointError,
    Client,
    ConfigurationError,
    DeadlineExceededError,
    InternalError,
    InvalidRequestError,
    MalformedResponseError,
    RateLimit,
    RetryConfig,
    Usage,
)
from llmkit.embedding.checkpoint import DIGEST, identities, manner
from llmkit.journal.log import decoded, encoded
from llmkit.models.embedding import make_embedding_request
from llmkit.testing import FakeServer, RecordedRequest, Reply
from llmkit_async import AsyncClient

Connect = Callable[..., Any]
KEY = "sk-test-0123456789"
AT_ONCE = 64  # inputs that Mistral takes in a request
QUICK = RetryConfig(max_retries=2, base_delay=0.001, max_delay=0.002)


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "run.jsonl")


@pytest.fixture
def client(connect: Connect, server: FakeServer) -> Any:
    """A client whose provider takes 64 texts at once."""
    return connect("mistral/mistral-embed", base_url=server.url("mistral"), retry=QUICK)


def numbered(count: int) -> list[str]:
    return [f"text {number}" for number in range(count)]


def sent(server: FakeServer) -> Counter[str]:
    """Return how often each text was asked for."""
    return Counter(text for request in server.requests for text in request.json["input"])


def lines(path: str) -> list[dict[str, Any]]:
    """Return the whole records of the log."""
    data = Path(path).read_bytes() if os.path.exists(path) else b""
    return [json.loads(line) for line in data.splitlines(keepends=True) if line.endswith(b"\n")]


def finished(path: str) -> int:
    """Return how many texts are done."""
    return sum(len(base64.b64decode(record["ids"])) // DIGEST for record in lines(path) if record["kind"] == "finished")


def failing(number: int, status: int = 400, **others: Any) -> Callable[[RecordedRequest], Reply]:
    """Answer with *status* whatever has the text of that number in it."""
    return lambda request: Reply.error(status) if f"text {number}" in request.json["input"] else Reply(**others)


def same(first: Any, second: Any) -> bool:
    """Whether two answers are equal in everything but the time that they took."""
    return (first.vectors.numbers.tobytes(), first.vectors.dimensions, first.usage, first.cost, first.model, first.provider) == (
        second.vectors.numbers.tobytes(),
        second.vectors.dimensions,
        second.usage,
        second.cost,
        second.model,
        second.provider,
    )


# -- going on


def test_what_is_done_is_not_asked_for_again(client: Any, server: FakeServer, path: str) -> None:
    """It is restored, equal in everything, its ledger included."""
    whole = client.embed(numbered(200))
    first = client.embed(numbered(200), checkpoint=path)

    again = client.embed(numbered(200), checkpoint=path)

    assert 8 == server.hits
    assert same(whole, first)
    assert same(whole, again)
    assert Decimal("0.00004") == again.cost
    assert first.attempts == again.attempts
    assert 800 == client.usage.input_tokens


@pytest.mark.parametrize("at_once", [1, 8])
def test_it_goes_on_where_it_failed(client: Any, server: FakeServer, path: str, at_once: int) -> None:
    """Only what is missing is asked for, in whatever pieces that is, and the result is that of one that was never disturbed."""
    inputs = numbered(AT_ONCE * 6 + 10)
    whole = client.embed(inputs)
    server.reset()
    server.always(failing(AT_ONCE * 2 + 3))

    with pytest.raises(InvalidRequestError) as caught:
        client.embed(inputs, checkpoint=path, max_concurrency=at_once)
    done = finished(path)
    server.always(Reply())
    result = client.embed(inputs, checkpoint=path)

    assert done >= AT_ONCE * (2 if at_once == 1 else 1)
    assert {"done": done, "total": len(inputs), "kept": True} == caught.value.metadata
    assert f"{done} of {len(inputs)} are done and kept: the same call goes on from there." in str(caught.value)
    failed = inputs[AT_ONCE * 2 : AT_ONCE * 3]
    assert {text: 2 if text in failed else 1 for text in inputs} == sent(server)
    assert same(whole, result)


def test_other_pieces_use_all_that_is_there(connect: Connect, server: FakeServer, path: str) -> None:
    """A text is known by itself, and not by the request that it was in: here by another client's smaller limit."""
    whole = connect("mistral/mistral-embed", base_url=server.url("mistral")).embed(numbered(150))
    client = connect("mistral/mistral-embed", base_url=server.url("mistral"), retry=None)
    server.always(failing(70))
    with pytest.raises(InvalidRequestError):
        client.embed(numbered(150), checkpoint=path, max_concurrency=1)
    server.reset()
    small = connect("mistral/mistral-embed", base_url=server.url("mistral"), rate_limit=RateLimit(tokens_per_minute=400))

    result = small.embed(numbered(150), checkpoint=path)

    assert {f"text {number}": 1 for number in range(64, 150)} == sent(server)
    assert max(len(request.json["input"]) for request in server.requests) < AT_ONCE
    assert same(whole, result)


def test_one_client_goes_on_with_the_others_checkpoint(server: FakeServer, path: str) -> None:
    """The log knows nothing of threads and tasks."""
    said = {"base_url": server.url("mistral"), "api_key": KEY}

    async def twin() -> Any:
        async with AsyncClient("mistral/mistral-embed", **said) as client:
            return await client.embed(numbered(100), checkpoint=path)

    with Client("mistral/mistral-embed", **said) as client:
        first = client.embed(numbered(100), checkpoint=path)

    assert same(first, asyncio.run(twin()))
    assert 2 == server.hits


def test_the_same_text_twice_is_two(client: Any, server: FakeServer, path: str) -> None:
    """Each is asked for once, as without a checkpoint."""
    inputs = ["text 1", "text 2", "text 1"] * 50
    whole = client.embed(inputs)
    server.always(failing(3))
    with pytest.raises(InvalidRequestError):
        client.embed([*inputs, "text 3"], checkpoint=path, max_concurrency=1)
    done = finished(path)
    server.reset()

    result = client.embed([*inputs, "text 3"], checkpoint=path)

    assert 128 == done
    assert 151 - done == sum(sent(server).values())
    assert whole.vectors.tolist() == result.vectors.tolist()[:150]
    assert 302 == result.usage.input_tokens


def test_a_single_text_is_kept_too(client: Any, server: FakeServer, path: str) -> None:
    """It is the same case."""
    first = client.embed("text 1", checkpoint=path)

    assert same(first, client.embed(["text 1"], checkpoint=Path(path)))
    assert 1 == server.hits


def test_what_nobody_told_stays_unknown(connect: Connect, server: FakeServer, path: str) -> None:
    """Usage and cost that are not known are not nothing after a restart."""
    client = connect("google/gemini-2.5-flash", base_url=server.url("google"))
    first = client.embed(["a"], checkpoint=path)

    again = client.embed(["a"], checkpoint=path)

    assert (None, Usage(reported=False)) == (again.cost, again.usage)
    assert same(first, again)


# -- another's checkpoint


OTHERS: list[tuple[str, list[str], dict[str, Any], str]] = [
    ("another text", ["a", "x", "c"], {}, ""),
    ("another order", ["b", "a", "c"], {}, ""),
    ("fewer", ["a", "b"], {}, "It has 3 texts, this has 2."),
    ("more", ["a", "b", "c", "d"], {}, "It has 3 texts, this has 4."),
    (
        "another model",
        ["a", "b", "c"],
        {"model": "mistral/other"},
        "It has vectors of mistral/mistral-embed, this asks mistral/other.",
    ),
    ("another length", ["a", "b", "c"], {"dimensions": 4}, "Its parameters are others."),
    ("another body", ["a", "b", "c"], {"extra_body": {"x": 1}}, "Its parameters are others."),
    ("another header", ["a", "b", "c"], {"extra_headers": {"x-mode": "other"}}, "Its parameters are others."),
]


@pytest.mark.parametrize(("inputs", "said", "why"), [other[1:] for other in OTHERS], ids=[other[0] for other in OTHERS])
def test_a_checkpoint_of_other_input_is_refused(
    inputs: list[str], said: dict[str, Any], why: str, client: Any, server: FakeServer, path: str
) -> None:
    """Before anything is sent, and as it was; with the reason, and what can be done."""
    client.embed(["a", "b", "c"], checkpoint=path)
    before = Path(path).read_bytes()

    with pytest.raises(CheckpointError, match="was made from other input") as caught:
        client.embed(inputs, checkpoint=path, **said)

    assert why in str(caught.value)
    assert 1 == server.hits
    assert before == Path(path).read_bytes()
    assert not os.path.exists(path + ".lock")


def test_other_input_may_be_gone_on_with_when_told(client: Any, server: FakeServer, path: str) -> None:
    """What is the same is kept, wherever it stands now, and from then on it is the new input's."""
    client.embed(["a", "b", "c", "a"], checkpoint=path)

    result = client.embed(["x", "c", "a", "b", "d"], checkpoint=path, resume="anyway")

    assert ["x", "d"] == server.requests[-1].json["input"]
    assert client.embed(["x", "c", "a", "b", "d"]).vectors == result.vectors
    assert same(result, client.embed(["x", "c", "a", "b", "d"], checkpoint=path))
    with pytest.raises(CheckpointError):
        client.embed(["a", "b", "c", "a"], checkpoint=path)
    assert 3 == server.hits


@pytest.mark.parametrize("other", [{"model": "mistral/other"}, {"extra_body": {"x": 1}}])
def test_what_is_made_in_another_way_is_never_taken(other: dict[str, Any], client: Any, server: FakeServer, path: str) -> None:
    """Whatever one is told."""
    client.embed(["a", "b"], checkpoint=path)

    for _ in range(2):
        client.embed(["a", "b"], checkpoint=path, resume="anyway", **other)

    assert 2 == server.hits
    assert {"a": 2, "b": 2} == sent(server)


def test_a_new_beginning_loses_nothing(client: Any, server: FakeServer, path: str) -> None:
    """What was paid for is moved aside."""
    client.embed(["a"], checkpoint=path)
    old = Path(path).read_bytes()

    client.embed(["b"], checkpoint=path, resume=False)

    assert 2 == server.hits
    assert old == Path(path + ".1").read_bytes()


def test_a_checkpoint_in_which_nothing_is_done_is_anybodys(client: Any, server: FakeServer, path: str) -> None:
    """Who has mended what was refused need not clean up first."""
    server.enqueue(Reply.error(400))
    with pytest.raises(InvalidRequestError):
        client.embed(["a"], checkpoint=path, extra_body={"wrong": 1})

    for _ in range(2):
        assert 2 == len(client.embed(["a", "b"], checkpoint=path).vectors)
    assert 2 == server.hits


@pytest.mark.parametrize("first", [encoded({"kind": "run", "version": 1}), b'"a prompt"\n'])
def test_another_file_is_left_alone(first: bytes, client: Any, server: FakeServer, path: str) -> None:
    """A batch's checkpoint, or a file of prompts."""
    Path(path).write_bytes(first)

    with pytest.raises(CheckpointError, match="is no checkpoint of an embed"):
        client.embed(["a"], checkpoint=path)

    assert (0, first) == (server.hits, Path(path).read_bytes())


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"resume": "yes"}, "resume is True, False or 'anyway', not 'yes'"),
        ({"checkpoint": 7}, "checkpoint is the path of a file, not int"),
        ({"progress": "yes"}, "progress is True, or a function"),
        ({"extra_body": {"x": {1, 2}}}, "A checkpoint needs requests that can be written as JSON"),
        ({"model": "anthropic/claude-sonnet-5"}, "anthropic has no embeddings"),
        ({"timeout": -1}, "timeout"),
        ({"inputs": []}, "inputs is empty"),
    ],
)
def test_what_is_wrong_makes_no_file(
    wrong: dict[str, Any], told: str, client: Any, server: FakeServer, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And sends nothing."""
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    arguments = {"inputs": ["a"], "checkpoint": path, **wrong}

    with pytest.raises((ConfigurationError, ValueError)) as caught:
        client.embed(arguments.pop("inputs"), **arguments)

    assert told in str(caught.value)
    assert 0 == server.hits
    assert not os.path.exists(path)


# -- the file


def test_neither_texts_nor_credentials_are_in_the_file(client: Any, path: str, tmp_path: Path) -> None:
    """It is its owner's alone, too."""
    client.embed(["the secret plan"], checkpoint=path, extra_headers={"x-secret": "hunter2hunter2"})

    written = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert 2 == len(written.splitlines())
    assert [] == [word for word in (b"secret plan", KEY.encode(), b"hunter2") if word in written]
    assert 0o600 == os.stat(path).st_mode & 0o777


def test_it_is_as_compact_as_the_vectors_are(client: Any, server: FakeServer, path: str) -> None:
    """Numbers of 32 bits where the wire has those: 4 bytes, in base64, and 22 characters for each text."""
    server.always(lambda request: Reply(raw=wide(len(request.json["input"]))))

    client.embed(numbered(64), checkpoint=path)

    assert os.path.getsize(path) < 64 * (1536 * 8 * 4 / 3 + 22) + 1500


def wide(count: int) -> Any:
    return {
        "data": [{"index": n, "embedding": [0.1] * 1536} for n in range(count)],
        "model": "m",
        "usage": {"prompt_tokens": 1, "total_tokens": 1},
    }


def test_a_damaged_line_is_named(client: Any, server: FakeServer, path: str) -> None:
    """And nothing is sent."""
    client.embed(numbered(200), checkpoint=path)
    data = Path(path).read_bytes().splitlines(keepends=True)
    place = len(data[2]) // 2
    data[2] = data[2][:place] + (b"A" if data[2][place : place + 1] != b"A" else b"B") + data[2][place + 1 :]
    Path(path).write_bytes(b"".join(data))

    with pytest.raises(CheckpointError, match=r"^Line 3 of .*run\.jsonl is damaged"):
        client.embed(numbered(200), checkpoint=path)

    assert 4 == server.hits


def test_a_torn_line_is_healed(client: Any, server: FakeServer, path: str) -> None:
    """Its texts are asked for again."""
    whole = client.embed(numbered(128), checkpoint=path, max_concurrency=1)
    Path(path).write_bytes(Path(path).read_bytes()[:-20])

    result = client.embed(numbered(128), checkpoint=path)

    assert same(whole, result)
    assert numbered(128)[64:] == server.requests[-1].json["input"]
    assert all(decoded(line) for line in Path(path).read_bytes().splitlines(keepends=True))


def test_vectors_of_another_length_are_not_kept(connect: Connect, server: FakeServer, path: str) -> None:
    """Else the checkpoint would be spoilt: it is as it was, and can be gone on with."""

    def answer(request: RecordedRequest) -> Reply:
        size = 3 if "text 64" in request.json["input"] else 2
        return Reply(raw={"data": [{"index": n, "embedding": [1.0] * size} for n in range(len(request.json["input"]))]})

    server.always(answer)
    client = connect("mistral/mistral-embed", base_url=server.url("mistral"), retry=None)

    with pytest.raises(MalformedResponseError, match="mistral: some vectors have 3 numbers, others 2"):
        client.embed(numbered(100), checkpoint=path, max_concurrency=1)

    assert 64 == finished(path)
    server.always(lambda request: Reply(raw={"data": [{"index": n, "embedding": [2.0] * 2} for n in range(len(request.json["input"]))]}))
    assert [[1.0, 1.0]] * 64 + [[2.0, 2.0]] * 36 == client.embed(numbered(100), checkpoint=path).vectors.tolist()


def test_two_lengths_in_one_checkpoint_are_refused(connect: Connect, server: FakeServer, path: str) -> None:
    """Where a model was changed behind its name, between two inputs that only ``resume="anyway"`` brings together."""
    client = connect("mistral/mistral-embed", base_url=server.url("mistral"))
    for text, size in (("a", 2), ("b", 3)):
        server.always(Reply(raw={"data": [{"index": 0, "embedding": [1.0] * size}]}))
        client.embed([text], checkpoint=path, resume="anyway")

    with pytest.raises(CheckpointError, match="some vectors have 3 numbers, others 2: begin anew"):
        client.embed(["a", "b"], checkpoint=path, resume="anyway")

    assert 2 == server.hits
    assert not os.path.exists(path + ".lock")


def test_a_full_disk_ends_it(client: Any, server: FakeServer, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be kept is not done."""
    from llmkit.journal import log as logs

    real = logs.Log.append

    def append(log: Any, record: Any, *plain: Any, **how: Any) -> None:
        if record.get("kind") == "finished":
            log._broken = OSError(28, "No space left on device")
        real(log, record, *plain, **how)

    monkeypatch.setattr(logs.Log, "append", append)

    with pytest.raises(CheckpointError, match="No space left on device") as caught:
        client.embed(numbered(AT_ONCE * 30), checkpoint=path, max_concurrency=2)

    assert 0 == caught.value.metadata["done"]
    assert server.hits < 30


# -- who else is there


def test_a_second_one_is_refused_while_one_is_at_work(client: Any, server: FakeServer, path: str) -> None:
    """And not after it has ended, however it did."""
    refused: list[str] = []

    def meanwhile(request: RecordedRequest) -> Reply:
        with Client("mistral/mistral-embed", base_url=server.url("mistral"), api_key=KEY) as other:
            try:
                other.embed(["a"], checkpoint=path)
            except CheckpointError as error:
                refused.append(error.message)
        return Reply.error(400)

    server.always(meanwhile)

    with pytest.raises(InvalidRequestError):
        client.embed(["a"], checkpoint=path)

    assert [f"Process {os.getpid()} is at work on this checkpoint: {path}.lock is locked. Wait for it, or end it."] == refused
    server.always(Reply())
    assert 1 == len(client.embed(["a"], checkpoint=path).vectors)


# -- how far it is


@pytest.mark.parametrize("kept", [False, True])
def test_progress_is_told_in_texts(client: Any, path: str, kept: bool) -> None:
    """As a batch tells it; with a checkpoint, of nothing that is not on the disk. What was restored is told first."""
    told: list[tuple[int, int | None, int]] = []
    unkept: list[int] = []

    def tell(done: int, total: int | None, failed: int) -> None:
        told.append((done, total, failed))
        if kept and finished(path) < done:
            unkept.append(done)

    said = {"checkpoint": path} if kept else {}
    client.embed(numbered(150), progress=tell, max_concurrency=1, **said)
    client.embed(numbered(150), progress=tell, max_concurrency=1, **said)

    once = [(64, 150, 0), (128, 150, 0), (150, 150, 0)]
    assert once + ([(150, 150, 0)] if kept else once) == told
    assert [] == unkept


def test_progress_is_drawn(client: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """By tqdm, to the end."""
    client.embed(numbered(150), progress=True)

    drawn = capsys.readouterr().err
    assert "150/150" in drawn
    assert "text/s" in drawn


def test_whoever_is_told_can_end_it(client: Any, server: FakeServer, path: str) -> None:
    """What it raises is raised, and what is done is kept."""

    def tell(done: int, total: int | None, failed: int) -> None:
        msg = "enough"
        raise RuntimeError(msg)

    with pytest.raises(RuntimeError, match="enough"):
        client.embed(numbered(AT_ONCE * 30), progress=tell, checkpoint=path, max_concurrency=1)

    hits = server.hits
    assert AT_ONCE * hits == finished(path)
    assert hits < 30


# -- failures


def test_without_a_checkpoint_an_error_says_what_is_lost(client: Any, server: FakeServer) -> None:
    """And what would have kept it."""
    server.always(failing(AT_ONCE * 3))

    with pytest.raises(InvalidRequestError) as caught:
        client.embed(numbered(AT_ONCE * 5), max_concurrency=1)

    assert {"done": 192, "total": 320, "kept": False} == caught.value.metadata
    assert "192 of 320 were done, and are lost: checkpoint= would have kept them." in str(caught.value)


def test_an_error_of_a_single_request_says_nothing_of_others(client: Any, server: FakeServer) -> None:
    """There are none."""
    server.always(Reply.error(400))

    with pytest.raises(InvalidRequestError) as caught:
        client.embed("a")

    assert "were done" not in str(caught.value)
    assert 0 == caught.value.metadata["done"]


def test_what_passes_is_tried_again_by_each_request(client: Any, server: FakeServer, path: str) -> None:
    """As without a checkpoint; the retries are in the ledger, after a restart as well."""
    server.enqueue(Reply.error(503))

    first = client.embed(numbered(150), checkpoint=path)
    again = client.embed(numbered(150), checkpoint=path)

    assert [200, 200, 200, 503] == sorted(attempt.status for attempt in first.attempts)
    assert (first.attempts, 4) == (again.attempts, server.hits)


def test_what_is_under_way_when_one_fails_is_kept(client: Any, server: FakeServer, path: str) -> None:
    """It was paid for. Without a checkpoint nobody would have it, so it is ended."""
    refused = evolve(Reply.error(400), delay=0.03)
    server.always(lambda request: refused if "text 64" in request.json["input"] else Reply(delay=0.1))

    with pytest.raises(InvalidRequestError) as caught:
        client.embed(numbered(AT_ONCE * 20), checkpoint=path, max_concurrency=2)

    assert (2, 64, 64) == (server.hits, finished(path), caught.value.metadata["done"])


def test_an_outage_can_be_waited_out(connect: Connect, server: FakeServer, path: str) -> None:
    """By the same call again and again, until it is over."""
    client = connect("mistral/mistral-embed", base_url=server.url("mistral"), retry=None)
    whole = client.embed(numbered(300))
    numbers = iter(range(100))
    server.always(lambda request: Reply.error(503) if next(numbers) % 3 == 1 else Reply())
    done = []

    while len(done) < 20:
        try:
            result = client.embed(numbered(300), checkpoint=path, max_concurrency=1)
            break
        except InternalError as error:
            done.append(error.metadata["done"])

    assert [64, 192] == done
    assert same(whole, result)


def test_a_deadline_keeps_what_is_done(client: Any, server: FakeServer, path: str) -> None:
    """And tells how far it came."""
    server.always(lambda request: Reply(delay=0.0 if "text 0" in request.json["input"] else 5.0))

    with pytest.raises(DeadlineExceededError) as caught:
        client.embed(numbered(150), checkpoint=path, deadline=0.15, max_concurrency=1)

    assert (64, 64) == (caught.value.metadata["done"], finished(path))


def test_cancel_all_ends_it_and_keeps_what_is_done(face: Any, client: Any, server: FakeServer, path: str) -> None:
    """The lock is free, and the log valid."""
    server.always(lambda request: Reply() if "text 0" in request.json["input"] else Reply(hang=True))
    inner = client if face.name == "sync" else client.twin

    def cancel() -> None:
        server.wait_for(lambda server: server.hits == 3)
        while finished(path) < AT_ONCE:
            time.sleep(0.001)
        inner.cancel_all()

    thread = threading.Thread(target=cancel)
    thread.start()
    with pytest.raises((asyncio.CancelledError, CancelledError)):
        client.embed(numbered(AT_ONCE * 10), checkpoint=path, max_concurrency=2)
    thread.join()

    assert (3, AT_ONCE) == (server.hits, finished(path))
    assert not os.path.exists(path + ".lock")


def test_a_cancelled_task_keeps_what_is_done(server: FakeServer, path: str) -> None:
    """The twin's way to end it: at once."""
    server.always(lambda request: Reply() if "text 0" in request.json["input"] else Reply(hang=True))

    async def main() -> int:
        async with AsyncClient("mistral/mistral-embed", base_url=server.url("mistral"), api_key=KEY) as client:
            task = asyncio.ensure_future(client.embed(numbered(AT_ONCE * 10), checkpoint=path, max_concurrency=2))
            while server.hits < 3 or finished(path) < AT_ONCE:
                await asyncio.sleep(0.001)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            return len(asyncio.all_tasks())

    assert 1 == asyncio.run(main())
    assert AT_ONCE == finished(path)
    assert not os.path.exists(path + ".lock")


def test_the_loop_is_not_held_up_by_files(server: FakeServer, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither while a checkpoint is read nor while it is written."""
    from llmkit.journal import log as logs

    inside: list[str] = []
    for name in ("append", "__init__"):
        real = getattr(logs.Log, name)
        monkeypatch.setattr(logs.Log, name, lambda *a, _real=real, **k: (inside.append(threading.current_thread().name), _real(*a, **k))[1])

    async def main() -> None:
        async with AsyncClient("mistral/mistral-embed", base_url=server.url("mistral"), api_key=KEY) as client:
            await client.embed(numbered(200), checkpoint=path)

    asyncio.run(main())

    assert len(inside) >= 6
    assert threading.main_thread().name not in inside


# -- processes


PROGRAM = """
import asyncio, hashlib, sys
face, base_url, path, count = sys.argv[1:5]
inputs = [f"text {number}" for number in range(int(count))]
said = {"base_url": base_url, "api_key": "sk-test-0123456789"}
if face == "sync":
    from llmkit import Client
    answer = Client("mistral/mistral-embed", **said).embed(inputs, checkpoint=path, max_concurrency=4)
else:
    from llmkit_async import AsyncClient
    async def main():
        async with AsyncClient("mistral/mistral-embed", **said) as client:
            return await client.embed(inputs, checkpoint=path, max_concurrency=4)
    answer = asyncio.run(main())
digest = hashlib.sha256(answer.vectors.numbers.tobytes()).hexdigest()
print(len(answer.vectors), answer.vectors.dimensions, digest, answer.usage.input_tokens, answer.cost)
"""


def started(face: str, server: FakeServer, path: str, count: int) -> subprocess.Popen[bytes]:
    arguments = [sys.executable, "-c", PROGRAM, face, server.url("mistral"), path, str(count)]
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("face", ["sync", "async"])
def test_killed_at_any_moment_nothing_finished_is_lost_or_asked_for_again(
    face: str, server: FakeServer, path: str, killed: Callable[..., Any], kills: int
) -> None:
    """By SIGKILL, with four requests under way; what was in flight may be asked for twice, and no more than that."""
    count = AT_ONCE * max(40, 5 * kills)
    whole = started(face, server, path + ".whole", count).communicate()
    size = os.path.getsize(path + ".whole") * 9 // 10  # other pieces make a smaller log
    inputs = numbered(count)
    how = manner(make_embedding_request(inputs, model="mistral-embed"), "mistral/mistral-embed")
    names = dict(zip(identities(inputs, how), inputs, strict=True))
    asked_for: Counter[str] = Counter()
    lock = threading.Lock()

    def answer(request: RecordedRequest) -> Reply:
        with lock:
            asked_for.update(request.json["input"])
        return Reply()

    server.always(answer)

    def asked_of_those_done() -> dict[str, int]:
        ids = b"".join(base64.b64decode(record["ids"]) for record in lines(path) if record["kind"] == "finished")
        done = [names[ids[start : start + DIGEST]] for start in range(0, len(ids), DIGEST)]
        assert len(done) == len(set(done))
        return {text: asked_for[text] for text in done}

    before = asked_of_those_done()
    for output, error, status in killed(lambda: started(face, server, path, count), path, size):  # noqa: B007 - of the last
        after = asked_of_those_done()
        assert before == {text: after[text] for text in before}, "what was finished was asked for again"
        before = after

    assert (b"", 0) == (error, status)
    assert whole == (output, b"")
    assert count == len(after)
    assert sum(asked_for.values()) <= count + AT_ONCE * 4 * kills


@pytest.mark.parametrize("signals", [1, 2])
@pytest.mark.parametrize("face", ["sync", "async"])
def test_ctrl_c_leaves_a_valid_log(face: str, signals: int, server: FakeServer, path: str) -> None:
    """The first lets what is under way end (in a loop, it is cancelled), the second ends at once; the interrupt is raised."""
    server.always(lambda request: Reply(delay=0.0 if int(request.json["input"][0][5:]) < 8 * AT_ONCE else 0.4 if signals == 1 else 30))
    process = started(face, server, path, 40 * AT_ONCE)
    while server.hits < 12 or finished(path) < 8 * AT_ONCE:
        assert process.poll() is None
        time.sleep(0.002)

    for _ in range(signals):
        process.send_signal(signal.SIGINT)
        time.sleep(0.1)
    error = process.communicate(timeout=10)[1]

    assert b"KeyboardInterrupt" in error
    assert -signal.SIGINT == process.returncode
    assert {"sync": 12 if signals == 1 else 8, "async": 8}[face] * AT_ONCE == finished(path)
    assert 12 == server.hits
    assert not os.path.exists(path + ".lock") or signals == 2
    server.always(Reply())
    with Client("mistral/mistral-embed", base_url=server.url("mistral"), api_key=KEY) as client:
        assert 40 * AT_ONCE == len(client.embed(numbered(40 * AT_ONCE), checkpoint=path).vectors)
