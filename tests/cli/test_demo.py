"""The demo: it shows what is true, and notices what is not."""

from __future__ import annotations

import io
import re
import subprocess
from argparse import Namespace
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from attrs import evolve

from llmkit import Client
from llmkit.cli import demo as module
from llmkit.cli.claims import Answers, Claim, Sight, Step, is_equal
from llmkit.cli.demo import FAST_PACE, run, source_of
from llmkit.cli.screen import Screen
from llmkit.cli.steps import STEPS

Run = Callable[..., subprocess.CompletedProcess[str]]


def play(*steps: Step) -> tuple[int, str]:
    """Run *steps* on a plain screen and return status and output."""
    out = io.StringIO()
    status = run(steps, Screen(out), pace=FAST_PACE)
    return status, out.getvalue()


def ask(url: str) -> Answers:
    client = Client("openai/gpt-4o-mini", base_url=url, api_key="sk-demo")
    reply = client.complete("Say hi")
    print(reply.text)
    return [reply]


def check_one_request(sight: Sight) -> Iterator[Claim]:
    yield is_equal("one request reached the server", 1, len(sight.requests))


def check_two_requests(sight: Sight) -> Iterator[Claim]:
    yield is_equal("two requests reached the server", 2, len(sight.requests))


HONEST = Step(title="Honest", shows="what it does", setting="", code=ask, check=check_one_request)
LIAR = evolve(HONEST, title="Liar", check=check_two_requests)


def test_the_demo_does_what_it_claims(run: Run) -> None:
    """Every step, in plain text when piped, whatever proxy and key there are; and nothing goes elsewhere."""
    done = run("demo", "--fast", HTTP_PROXY="http://127.0.0.1:9", ALL_PROXY="http://127.0.0.1:9")

    assert 0 == done.returncode, done.stdout
    assert "" == done.stderr
    assert "\x1b" not in done.stdout
    assert "FAILED" not in done.stdout
    assert "Every step did what it claims." in done.stdout
    assert [step.title for step in STEPS] == re.findall(r"^\d+\. (.*?) - ", done.stdout, re.MULTILINE)
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_the_demo_is_coloured_on_a_terminal(on_terminal: Callable[..., Any]) -> None:
    """With its code in colours and its claims ticked off."""
    pytest.importorskip("rich")
    terminal = on_terminal("demo", "--fast")

    terminal.wait_for("1. A completion")
    terminal.wait_for("\x1b[35;49mfrom\x1b[0m")
    terminal.wait_for("✓ one request reached the server")


def test_a_claim_that_does_not_hold_fails_the_demo() -> None:
    """What was expected and what was seen are told, and the other steps are shown all the same."""
    status, shown = play(LIAR, HONEST)

    assert 1 == status
    assert "FAILED two requests reached the server: expected 2, saw 1" in shown
    assert "ok one request reached the server" in shown
    assert "Not as claimed: Liar." in shown


def test_honest_steps_pass() -> None:
    """Else the test before this one would prove nothing."""
    assert 0 == play(HONEST)[0]


def test_a_step_that_claims_nothing_fails() -> None:
    """Nothing shown is no success."""
    assert 1 == play(evolve(HONEST, check=lambda _sight: iter(())))[0]


def test_code_that_raises_fails_its_step_only() -> None:
    """Its error is told in a line."""

    def broken(url: str) -> Answers:
        raise RuntimeError(f"no luck at {url}")

    status, shown = play(evolve(HONEST, title="Broken", code=broken), HONEST)

    assert 1 == status
    assert "RuntimeError: no luck" in shown
    assert "Not as claimed: Broken." in shown


def test_a_step_without_its_library_is_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    """It says how to get it, and the demo succeeds."""
    monkeypatch.setattr(module, "find_spec", lambda _name: None)

    status, shown = play(HONEST, evolve(LIAR, needs="aiohttp"))

    assert 0 == status
    assert "pip install 'llmkit[async]'" in shown
    assert "Every step that ran did what it claims." in shown


def test_the_code_shown_is_the_code_that_runs() -> None:
    """Without the def, the result handed back, and remarks to tools."""
    assert [
        'client = Client("openai/gpt-4o-mini", base_url=url, api_key="sk-demo")',
        'reply = client.complete("Say hi")',
        "print(reply.text)",
    ] == source_of(ask).splitlines()


def test_output_is_shown_with_its_bar_and_broken_at_words() -> None:
    """However it was printed: in pieces, in one, or too long."""

    def talkative(url: str) -> Answers:
        print("one", end="")
        print(" two\n\nthree " + "word " * 30, end="")
        return ask(url)

    shown = play(evolve(HONEST, code=talkative))[1].splitlines()

    printed = [line for line in shown if line.startswith("   | ")]
    assert ["   | one two", "   | "] == printed[:2]
    assert printed[2].startswith("   | three word")
    assert all(len(line) <= 80 for line in printed)


def test_logs_and_variables_are_left_as_they_were(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The demo keeps proxies and log lines away only while it lasts."""
    import logging
    import os

    monkeypatch.setenv("no_proxy", "example.com")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.setattr(module, "STEPS", (HONEST,))

    status = module.demo(Namespace(fast=True))

    assert 0 == status
    assert ("example.com", None) == (os.environ.get("no_proxy"), os.environ.get("NO_PROXY"))
    assert logging.NOTSET == logging.getLogger("llmkit").level
    assert "Next:" in capsys.readouterr().out
