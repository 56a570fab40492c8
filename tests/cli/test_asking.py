"""A prompt and a conversation, as processes over real HTTP."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Callable
from typing import Any

import pytest

from llmkit.testing import FakeServer, Reply

Run = Callable[..., subprocess.CompletedProcess[str]]

UNENDING = Reply(chunks=("Once", " upon", " a time"), stall_after=2)  # it says "Once" behind an event for the role, and never more


def last_messages(server: FakeServer) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = server.requests[-1].json["messages"]
    return found


def test_a_prompt_is_answered(run: Run, server: FakeServer) -> None:
    """The answer, a line end, and nothing else."""
    done = run("Say hi")

    assert ("You said: Say hi\n", "", 0) == (done.stdout, done.stderr, done.returncode)
    assert [{"role": "user", "content": "Say hi"}] == last_messages(server)


def test_words_need_no_quotes(run: Run) -> None:
    """They are joined again, wherever options stand between them."""
    assert "You said: Say hi there\n" == run("Say", "hi", "-t", "0.5", "there").stdout


def test_options_reach_the_provider(run: Run, server: FakeServer) -> None:
    """And only those that were given."""
    run("Say hi", "-m", "openai/gpt-4o", "-s", "Be brief.", "-t", "0.5", "--max-tokens", "7")

    sent = server.requests[0].json
    assert ("gpt-4o", 0.5, 7) == (sent["model"], sent["temperature"], sent["max_completion_tokens"])
    assert {"role": "system", "content": "Be brief."} == sent["messages"][0]


def test_any_server_can_be_named(run: Run, server: FakeServer) -> None:
    """A base URL and a model are enough."""
    done = run("Say hi", "--base-url", server.url("custom"), "--provider", "custom", "-m", "mine", OPENAI_BASE_URL="", OPENAI_API_KEY="")

    assert "You said: Say hi\n" == done.stdout
    assert "mine" == server.requests[0].json["model"]


def test_piped_text_is_the_prompt(run: Run, server: FakeServer) -> None:
    """Where nothing was typed."""
    done = run(piped="Say hï\n")

    assert 0 == done.returncode
    assert "Say hï" == last_messages(server)[0]["content"]


def test_piped_text_is_appended_to_the_prompt(run: Run, server: FakeServer) -> None:
    """As in: git diff | llmkit "Explain this"."""
    run("Explain this:", piped="a\n\nb\n")

    assert "Explain this:\n\na\n\nb" == last_messages(server)[0]["content"]


@pytest.mark.parametrize("piped", [None, "", " \n"])
def test_nothing_to_ask_is_wrong_usage(run: Run, server: FakeServer, piped: str | None) -> None:
    """Status 2, and nothing is sent."""
    done = run(piped=piped)

    assert 2 == done.returncode
    assert "a prompt is needed" in done.stderr
    assert 0 == server.hits


def test_what_is_no_text_is_not_sent(run: Run, server: FakeServer) -> None:
    """A picture piped in is wrong usage."""
    done = run("What is this?", piped=b"\x89PNG\xff\xfe")

    assert 2 == done.returncode
    assert "UTF-8" in done.stderr
    assert 0 == server.hits


def test_a_pipe_gets_each_token_as_it_arrives(start: Callable[..., subprocess.Popen[bytes]], server: FakeServer) -> None:
    """The first is there while the server keeps back the rest."""
    server.enqueue(UNENDING)
    process = start("Tell me a story")
    assert process.stdout is not None

    assert b"Once" == process.stdout.read(4)

    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)
    assert (b"\n", b"", 130) == (out, err, process.returncode)


def test_a_terminal_gets_each_token_as_it_arrives(on_terminal: Callable[..., Any], server: FakeServer) -> None:
    """Drawn in the middle of the answer; Ctrl-C ends it with its status."""
    server.enqueue(UNENDING)
    terminal = on_terminal("Tell me a story")

    terminal.wait_for("Once")

    terminal.process.send_signal(signal.SIGINT)
    assert 130 == terminal.finish()
    assert "Traceback" not in terminal.shown


def test_a_failed_call_is_told_in_its_own_words(run: Run, server: FakeServer, canary: str) -> None:
    """On standard error, without a traceback, and without the key though the provider repeats it."""
    server.enqueue(Reply.error(401, message=f"Incorrect API key provided: {canary}."))

    done = run("Say hi")

    assert ("", 1) == (done.stdout, done.returncode)
    assert "Incorrect API key provided" in done.stderr
    assert "Check the key" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_answer_that_is_cut_is_a_failed_call(run: Run, server: FakeServer) -> None:
    """What came is shown, and that it is not all."""
    server.enqueue(Reply(chunks=("Once", " upon", " a time"), cut=-550))

    done = run("Tell me a story")

    assert 1 == done.returncode
    assert done.stdout.startswith("Once")
    assert done.stdout.endswith("\n")
    assert done.stderr.startswith("llmkit: openai")


def test_an_answer_cut_at_its_greatest_length_says_so(run: Run, server: FakeServer) -> None:
    """It is an answer, but somebody has to know."""
    server.enqueue(Reply("Once upon", finish_reason="length"))

    done = run("Tell me a story")

    assert ("Once upon\n", 0) == (done.stdout, done.returncode)
    assert "--max-tokens" in done.stderr


def test_a_retry_is_told_while_somebody_waits(run: Run, server: FakeServer) -> None:
    """On standard error, so that a pipe gets the answer only."""
    server.enqueue(Reply.error(503, retry_after=0.01))

    done = run("Say hi")

    assert ("You said: Say hi\n", 0) == (done.stdout, done.returncode)
    assert "attempt 2 follows" in done.stderr


def test_json_is_the_whole_answer(run: Run) -> None:
    """With usage and ledger, for programs."""
    answer = json.loads(run("Say hi", "--json").stdout)

    assert "You said: Say hi" == answer["message"]["content"][0]["text"]
    assert "gpt-4o-mini" == answer["model"]
    assert [200] == [attempt["status"] for attempt in answer["attempts"]]


def test_verbose_tells_tokens_and_attempts(run: Run) -> None:
    """On standard error."""
    done = run("Say hi", "-v")

    assert "You said: Say hi\n" == done.stdout
    assert "tokens in" in done.stderr
    assert "200 ok" in done.stderr


def test_a_provider_that_is_not_there_is_named(run: Run) -> None:
    """Status 1, in a sentence."""
    done = run("Say hi", "--provider", "opemai")

    assert 1 == done.returncode
    assert "Did you mean 'openai'?" in done.stderr


def test_markdown_is_drawn_on_a_terminal(on_terminal: Callable[..., Any], server: FakeServer) -> None:
    """Without its marks, in colour; --plain shows what was written."""
    pytest.importorskip("rich")
    server.enqueue(Reply("Some **bold** text"), Reply("Some **bold** text"))
    drawn, plain = on_terminal("Hi"), on_terminal("Hi", "--plain")

    statuses = [drawn.finish(), plain.finish()]

    assert [0, 0] == statuses
    assert "\x1b[1mbold\x1b[0m" in drawn.shown
    assert "Some **bold** text\r\n" == plain.shown


@pytest.mark.parametrize("variables", [{"TERM": "dumb"}, {"NO_COLOR": "1"}])
def test_a_terminal_without_colour_gets_none(on_terminal: Callable[..., Any], variables: dict[str, str]) -> None:
    """TERM=dumb and NO_COLOR are obeyed (https://no-color.org)."""
    terminal = on_terminal("Say hi", **variables)

    status = terminal.finish()

    assert 0 == status
    assert "You said: Say hi" in terminal.shown
    assert "\x1b[3" not in terminal.shown


def test_a_conversation_remembers(run: Run, server: FakeServer) -> None:
    """Each line of a pipe is a turn; /new forgets, /exit ends."""
    done = run("chat", "-s", "Be brief.", piped="one\n\ntwo\n/new\nthree\n/exit\nfour\n")

    turns = [[(turn["role"], turn["content"]) for turn in request.json["messages"]] for request in server.requests]
    start, first, second = ("system", "Be brief."), ("user", "one"), ("user", "two")
    assert [[start, first], [start, first, ("assistant", "You said: one"), second], [start, ("user", "three")]] == turns
    assert ("You said: one\nYou said: two\nYou said: three\n", 0) == (done.stdout, done.returncode)


def test_a_failed_turn_is_not_remembered(run: Run, server: FakeServer) -> None:
    """The conversation goes on without it; whoever pipes one learns of it by the status."""
    server.enqueue(Reply.error(400, message="No such thing."))

    done = run("chat", piped="one\ntwo\n")

    assert [{"role": "user", "content": "two"}] == last_messages(server)
    assert ("You said: two\n", 1) == (done.stdout, done.returncode)
    assert "No such thing." in done.stderr


def test_ctrl_c_stops_an_answer_and_not_the_conversation(on_terminal: Callable[..., Any], server: FakeServer) -> None:
    """What was read of it is part of what was said; Ctrl-D ends with status 0."""
    server.enqueue(UNENDING)
    terminal = on_terminal("chat")
    terminal.wait_for("> ")
    terminal.type("Tell me a story\n")
    terminal.wait_for("Once")

    terminal.process.send_signal(signal.SIGINT)
    terminal.wait_for("> ")
    terminal.type("Go on\n")
    terminal.wait_for("You said: Go on")
    terminal.wait_for("> ")
    terminal.type("\x04")

    assert 0 == terminal.finish()
    assert ["Tell me a story", "Once", "Go on"] == [turn["content"] for turn in last_messages(server)]
