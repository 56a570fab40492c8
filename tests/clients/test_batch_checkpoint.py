"""A batch that goes on where it ended, on both clients."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen

from llmkit import BatchResult, CheckpointError, CompletionResponse
from llmkit.journal.log import decoded
from llmkit.testing import FakeServer, RecordedRequest, Reply

Connect = Callable[..., Any]
KEY = "sk-test-0123456789"


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "run.jsonl")


def asked(request: RecordedRequest) -> str:
    text: str = request.json["messages"][-1]["content"]
    return text


def texts(result: BatchResult) -> list[str | None]:
    return [None if response is None else response.text for response in result.responses]


def lines(path: str) -> list[dict[str, Any]]:
    """Return the whole records of the log."""
    data = Path(path).read_bytes() if os.path.exists(path) else b""
    return [json.loads(line) for line in data.splitlines(keepends=True) if line.endswith(b"\n")]


def test_what_is_done_is_not_asked_again(connect: Connect, server: FakeServer, path: str) -> None:
    """It is restored, equal in everything."""
    client = connect()
    first = client.batch(["a", "b", "c"], checkpoint=path)

    again = client.batch(["a", "b", "c"], checkpoint=path)

    assert 3 == server.hits
    assert list(first.responses) == list(again.responses)
    assert [True, True, True] == [item.restored for item in again]
    assert first.cost == again.cost
    assert 3 == client.usage.answers


def test_one_client_goes_on_with_the_others_checkpoint(server: FakeServer, path: str) -> None:
    """The log knows nothing of threads and tasks."""
    import asyncio

    from llmkit import Client
    from llmkit_async import AsyncClient

    said = {"base_url": server.url("openai"), "api_key": KEY}

    async def twin() -> BatchResult:
        async with AsyncClient("openai/gpt-4o-mini", **said) as client:
            return await client.batch(["a", "b"], checkpoint=path)

    first = Client("openai/gpt-4o-mini", **said).batch(["a", "b"], checkpoint=path)

    assert first.responses == asyncio.run(twin()).responses
    assert 2 == server.hits


def test_the_same_prompt_twice_is_two_items(connect: Connect, server: FakeServer, path: str) -> None:
    """Each is asked, once."""
    numbers = iter(range(10))
    server.always(lambda request: Reply(str(next(numbers))))
    client = connect()
    first = client.batch(["a", "a", "a"], checkpoint=path, max_concurrency=1)

    again = client.batch(["a", "a", "a"], checkpoint=path)

    assert ["0", "1", "2"] == texts(first) == texts(again)


def test_a_typed_answer_is_restored_as_its_type(connect: Connect, server: FakeServer, path: str) -> None:
    """Read again from the text."""

    @frozen
    class City:
        name: str

    server.always(lambda request: Reply('{"name": "Paris"}'))
    client = connect()
    client.batch(["a"], checkpoint=path, response_format=City)

    again = client.batch(["a"], checkpoint=path, response_format=City)

    assert City("Paris") == again[0].response.parsed
    assert again[0].restored


def test_a_permanent_error_is_restored_a_transient_one_asked_again(connect: Connect, server: FakeServer, path: str) -> None:
    """``retry_failed`` asks both."""
    is_down = True

    def answer(request: RecordedRequest) -> Reply:
        if "bad" in asked(request):
            return Reply.error(400)
        return Reply.error(503) if is_down and "flaky" in asked(request) else Reply("fine")

    server.always(answer)
    client = connect(retry=None)
    prompts = ["bad", "flaky", "c"]
    first = client.batch(prompts, checkpoint=path)
    assert [False, False, True] == [item.ok for item in first]
    is_down, server_hits = False, server.hits

    again = client.batch(prompts, checkpoint=path)

    assert 1 == server.hits - server_hits
    assert [False, True, True] == [item.ok for item in again]
    assert first[0].error.to_dict() == again[0].error.to_dict()
    assert (True, type(first[0].error), first[0].attempts) == (again[0].restored, type(again[0].error), again[0].attempts)
    client.batch(prompts, checkpoint=path, retry_failed=True)
    assert 2 == server.hits - server_hits


OTHERS: list[tuple[str, list[Any], dict[str, Any]]] = [
    ("another prompt", ["a", "x", "c"], {}),
    ("another order", ["b", "a", "c"], {}),
    ("fewer", ["a", "b"], {}),
    ("more", ["a", "b", "c", "d"], {}),
    ("another parameter", ["a", "b", "c"], {"temperature": 0.5}),
    ("another model", ["a", "b", "c"], {"model": "openai/gpt-4o"}),
    ("a system prompt", ["a", "b", "c"], {"system": "Be brief."}),
    ("a parameter of one", ["a", "b", {"messages": "c", "seed": 1}], {}),
    ("another header", ["a", "b", "c"], {"extra_headers": {"x-mode": "other"}}),
]


@pytest.mark.parametrize("form", [list, iter])
@pytest.mark.parametrize(("name", "prompts", "params"), OTHERS, ids=[name for name, _, _ in OTHERS])
def test_a_checkpoint_of_other_input_is_refused(
    name: str, prompts: list[Any], params: dict[str, Any], form: Callable[[Any], Any], connect: Connect, server: FakeServer, path: str
) -> None:
    """Of a list before anything is sent; of an iterator when it is seen."""
    client = connect()
    client.batch(["a", "b", "c"], checkpoint=path)
    before = Path(path).read_bytes()

    with pytest.raises(CheckpointError, match="was made from other input"):
        client.batch(form(prompts), checkpoint=path, **params)

    assert 3 == server.hits
    assert before == Path(path).read_bytes()
    assert ["a", "b", "c"] == [text.removeprefix("You said: ") for text in texts(client.batch(["a", "b", "c"], checkpoint=path))]


@pytest.mark.parametrize(
    "prompts",
    [
        [
            {"messages": "a"},
            [{"role": "user", "content": "b"}],
            {"messages": [{"role": "user", "content": [{"type": "text", "text": "c"}]}]},
        ],
        [{"messages": "a", "timeout": 30, "temperature": None}, "b", "c"],
    ],
)
def test_the_same_request_in_other_words_is_the_same(prompts: list[Any], connect: Connect, server: FakeServer, path: str) -> None:
    """Nor does it matter how long it may take."""
    client = connect()
    client.batch(["a", "b", "c"], checkpoint=path)

    client.batch(prompts, checkpoint=path, deadline=30)

    assert 3 == server.hits


def test_other_input_may_be_gone_on_with_when_told(connect: Connect, server: FakeServer, path: str) -> None:
    """What is the same is kept, and what is not is asked."""
    client = connect()
    client.batch(["a", "b", "c"], checkpoint=path)

    result = client.batch(["a", "x", "c", "d"], checkpoint=path, resume="anyway")

    assert ["You said: a", "You said: x", "You said: c", "You said: d"] == texts(result)
    assert [True, False, True, False] == [item.restored for item in result]
    assert [True] * 4 == [item.restored for item in client.batch(["a", "x", "c", "d"], checkpoint=path)]


def test_a_new_beginning_loses_nothing(connect: Connect, server: FakeServer, path: str) -> None:
    """What was paid for is moved aside."""
    client = connect()
    client.batch(["a"], checkpoint=path)
    old = Path(path).read_bytes()

    client.batch(["b"], checkpoint=path, resume=False)
    client.batch(["c"], checkpoint=path, resume=False)

    assert 3 == server.hits
    assert old == Path(path + ".1").read_bytes()
    assert os.path.exists(path + ".2")


def test_strict_mode_reports_what_was_under_way(connect: Connect, server: FakeServer, path: str) -> None:
    """It may have been paid for; without it, it is asked again."""
    client = connect()
    client.batch(["a", "b", "c"], checkpoint=path, strict=True, max_concurrency=1)
    data = Path(path).read_bytes().splitlines(keepends=True)
    assert "finished" in data[-1].decode()
    Path(path).write_bytes(b"".join(data[:-1]))  # as if it was killed after c was sent

    result = client.batch(["a", "b", "c"], checkpoint=path, strict=True)

    assert 3 == server.hits
    assert [None, None, CheckpointError] == [error and type(error) for error in result.errors]
    assert result.errors[2].maybe_billed
    assert client.batch(["a", "b", "c"], checkpoint=path)[2].ok
    assert 4 == server.hits


def test_an_item_is_logged_before_it_is_reported(connect: Connect, path: str) -> None:
    """Whoever is told of it can rely on it."""
    logged: list[int] = []

    def look(done: int, total: int | None, failed: int) -> None:
        logged.append(sum(record["kind"] == "finished" for record in lines(path)) - done)

    connect().batch([f"p{number}" for number in range(20)], checkpoint=path, progress=look)

    assert 20 == len(logged)
    assert min(logged) >= 0


def test_no_credential_is_in_the_files(connect: Connect, server: FakeServer, path: str, tmp_path: Path) -> None:
    """Neither keys nor headers, also where the provider quotes them."""
    server.always(lambda request: Reply.error(400, message=f"bad key {KEY}") if "bad" in asked(request) else Reply("fine"))

    connect().batch(["a", "bad"], checkpoint=path, extra_headers={"x-secret": "hunter2hunter2"})

    written = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert b"fine" in written
    assert KEY.encode() not in written
    assert b"hunter2" not in written


def test_a_damaged_line_is_named(connect: Connect, server: FakeServer, path: str) -> None:
    """And nothing is sent."""
    client = connect()
    client.batch(["a", "b"], checkpoint=path)
    Path(path).write_bytes(Path(path).read_bytes().replace(b"You said: a", b"You said: b", 1))

    with pytest.raises(CheckpointError, match=r"^Line [2-5] of .*run\.jsonl is damaged"):
        client.batch(["a", "b"], checkpoint=path)

    assert 2 == server.hits


def test_a_torn_line_is_healed(connect: Connect, server: FakeServer, path: str) -> None:
    """Its item is asked again."""
    client = connect()
    client.batch(["a", "b"], checkpoint=path, max_concurrency=1)
    Path(path).write_bytes(Path(path).read_bytes()[:-20])

    result = client.batch(["a", "b"], checkpoint=path)

    assert [True, False] == [item.restored for item in result]
    assert 3 == server.hits
    assert all(decoded(line) for line in Path(path).read_bytes().splitlines(keepends=True))


def test_a_second_batch_is_refused_while_one_is_at_work(connect: Connect, path: str) -> None:
    """Also before its first item was asked for; and not after it was left."""
    client = connect()
    items = client.batch_iter(["a", "b"], checkpoint=path)

    with pytest.raises(CheckpointError, match="is at work on this checkpoint"):
        client.batch(["a", "b"], checkpoint=path)

    next(items)
    items.close()
    assert 2 == client.batch(["a", "b"], checkpoint=path).succeeded


def test_what_is_under_way_when_the_loop_is_left_is_logged(connect: Connect, server: FakeServer, path: str) -> None:
    """It was paid for."""
    server.always(lambda request: Reply("x", delay=0.03 if asked(request) == "b" else 0.0))
    client = connect()
    items = client.batch_iter(["a", "b"], checkpoint=path, ordered=False)
    next(items)

    items.close()

    assert [True, True] == [item.restored for item in client.batch(["a", "b"], checkpoint=path)]


def test_an_item_that_cannot_be_asked_does_not_spoil_the_checkpoint(connect: Connect, server: FakeServer, path: str) -> None:
    """It is an error each time."""
    client = connect()
    prompts = ["a", {"content": "b"}, "c"]
    client.batch(prompts, checkpoint=path)

    result = client.batch(prompts, checkpoint=path)

    assert [True, False, True] == [item.ok for item in result]
    assert 2 == server.hits


def test_a_checkpoint_of_another_form_is_refused(connect: Connect, path: str) -> None:
    """A later version may write what this one cannot read."""
    from llmkit.journal.log import encoded

    Path(path).write_bytes(encoded({"kind": "run", "version": 2}))

    with pytest.raises(CheckpointError, match="another version of llmkit"):
        connect().batch(["a"], checkpoint=path)


def test_what_is_no_file_is_no_checkpoint(connect: Connect, server: FakeServer, tmp_path: Path) -> None:
    """Nor is one in a directory that is not there; nothing is made for it, and nothing is sent."""
    (tmp_path / "run.jsonl").mkdir()

    for path, why in ((tmp_path / "run.jsonl", "Is a directory"), (tmp_path / "none" / "run.jsonl", "No such file or directory")):
        with pytest.raises(CheckpointError, match=f"run.jsonl.*{why}"):
            connect().batch(["a"], checkpoint=path)

    assert 0 == server.hits
    assert ["run.jsonl"] == os.listdir(tmp_path)


def test_a_full_disk_ends_the_batch(connect: Connect, server: FakeServer, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An item that cannot be logged is not reported as done."""
    import errno

    from llmkit.journal import log as logs

    real = logs.Log.append

    def append(log: Any, record: Any, *plain: Any, **how: Any) -> None:
        if record.get("kind") == "finished":
            log._broken = OSError(errno.ENOSPC, "No space left on device")
        real(log, record, *plain, **how)

    monkeypatch.setattr(logs.Log, "append", append)

    with pytest.raises(CheckpointError, match="No space left on device"):
        connect().batch([f"p{number}" for number in range(100)], checkpoint=path, max_concurrency=2)

    assert server.hits < 100


PROGRAM = """
import asyncio, sys
face, base_url, path, count = sys.argv[1:5]
prompts = [f"p{number}" for number in range(int(count))]
said = {"base_url": base_url, "api_key": "sk-test-0123456789"}
if face == "sync":
    from llmkit import Client
    result = Client("openai/gpt-4o-mini", **said).batch(prompts, checkpoint=path, max_concurrency=16)
else:
    from llmkit_async import AsyncClient
    async def main():
        async with AsyncClient("openai/gpt-4o-mini", **said) as client:
            return await client.batch(prompts, checkpoint=path, max_concurrency=16)
    result = asyncio.run(main())
result.raise_for_errors()
"""


def started(face: str, server: FakeServer, path: str, count: int) -> subprocess.Popen[bytes]:
    arguments = [sys.executable, "-c", PROGRAM, face, server.url("openai"), path, str(count)]
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("face", ["sync", "async"])
def test_killed_at_any_moment_nothing_finished_is_lost_or_asked_again(
    face: str, server: FakeServer, path: str, killed: Callable[..., Any], kills: int
) -> None:
    """By SIGKILL, with 16 under way; what was in flight may be asked twice, and no more than that."""
    items = 2000 if kills >= 50 else 300
    asked_for: Counter[str] = Counter()
    lock = threading.Lock()

    def answer(request: RecordedRequest) -> Reply:
        with lock:
            asked_for[asked(request)] += 1
        return Reply(f"re: {asked(request)}")

    server.always(answer)

    def asked_of_those_done() -> dict[str, int]:
        done = {record["id"].partition("-")[0] for record in lines(path) if record["kind"] == "finished"}
        return {index: asked_for[f"p{index}"] for index in done}

    before = asked_of_those_done()
    for _, error, status in killed(lambda: started(face, server, path, items), path, items * 1150):  # noqa: B007 - of the last
        after = asked_of_those_done()
        assert before == {index: after[index] for index in before}, "what was finished was asked again"
        before = after

    assert (b"", 0) == (error, status)
    finished = [record for record in lines(path) if record["kind"] == "finished"]
    answers = {record["id"].partition("-")[0]: CompletionResponse.from_dict(record["response"]).text for record in finished}
    assert items == len(finished) == len(answers)
    assert {str(index): f"re: p{index}" for index in range(items)} == answers
    assert sum(asked_for.values()) <= items + 16 * kills


@pytest.mark.parametrize("signals", [1, 2])
@pytest.mark.parametrize("face", ["sync", "async"])
def test_ctrl_c_leaves_a_valid_log(face: str, signals: int, server: FakeServer, path: str) -> None:
    """The first lets what is under way end (in a loop, it is cancelled), the second ends at once; the interrupt is raised."""
    server.always(lambda request: Reply("x", delay=0.0 if int(asked(request)[1:]) < 20 else 0.4 if signals == 1 else 30))
    process = started(face, server, path, 100)
    while sum(record["kind"] == "finished" for record in lines(path)) < 20 or sum(r["kind"] == "started" for r in lines(path)) < 36:
        assert process.poll() is None
        time.sleep(0.002)

    for _ in range(signals):
        process.send_signal(signal.SIGINT)
        time.sleep(0.1)
    error = process.communicate(timeout=10)[1]

    assert b"KeyboardInterrupt" in error
    assert -signal.SIGINT == process.returncode
    found = lines(path)
    begun = sum(record["kind"] == "started" for record in found)
    assert begun == 36
    assert {"sync": begun if signals == 1 else 20, "async": 20}[face] == sum(record["kind"] == "finished" for record in found)
    assert not os.path.exists(path + ".lock") or signals == 2
