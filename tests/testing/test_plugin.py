"""The fixture that a user's own tests get by having llmkit installed."""

from __future__ import annotations

import configparser
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A directory in which pytest has this plugin and no other."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    return pytester


def test_a_program_under_test_finds_the_fake(run: pytest.Pytester) -> None:
    """Plain ``Client()``, and any provider by name, in both twins; each test has a server of its own."""
    run.makepyfile(
        """
        import asyncio

        from llmkit import Client
        from llmkit.testing import Reply
        from llmkit_async import AsyncClient


        def greet(name):
            return Client().complete(f"Greet {name}").text


        def test_scripted(fake_llm):
            fake_llm.enqueue(Reply("Hello, Ada!"))

            assert "Hello, Ada!" == greet("Ada")
            assert "Greet Ada" == fake_llm.requests[0].json["messages"][0]["content"]


        def test_not_scripted(fake_llm):
            assert "You said: Greet Bob" == greet("Bob")
            assert 1 == fake_llm.hits


        def test_others(fake_llm):
            for model in ("anthropic/claude-sonnet-4-5", "google/gemini-2.5-flash", "ollama/llama3.2", "groq/llama", "azure/deployment"):
                assert "You said: Hi" == Client(model).complete("Hi").text
            assert ["anthropic", "google", "ollama", "groq", "azure"] == [request.provider for request in fake_llm.requests]


        def test_the_twin(fake_llm):
            async def ask():
                async with AsyncClient() as client:
                    return (await client.complete("Hi")).text

            assert "You said: Hi" == asyncio.run(ask())
        """
    )

    result = run.runpytest_subprocess("-p", "llmkit.testing.plugin", "-W", "error", timeout=60)

    result.assert_outcomes(passed=4)


def test_the_environment_is_as_before_afterwards(run: pytest.Pytester) -> None:
    """A user's own key comes back, and nothing stays."""
    run.makepyfile(
        """
        import os


        def test_inside(fake_llm):
            assert os.environ["OPENAI_API_KEY"].startswith("sk-fake")


        def test_after():
            assert "OPENAI_API_KEY" not in os.environ
            assert "LLMKIT_MODEL" not in os.environ
        """
    )

    run.runpytest_subprocess("-p", "llmkit.testing.plugin", timeout=60).assert_outcomes(passed=2)


def test_the_plugin_costs_those_nothing_who_do_not_ask(run: pytest.Pytester) -> None:
    """It is loaded in every run of pytest on a machine that has llmkit."""
    run.makepyfile(
        """
        import sys


        def test_loaded():
            assert "llmkit.testing.plugin" in sys.modules
            assert not {"requests", "aiohttp", "cattrs", "backoff"} & set(sys.modules)
        """
    )

    run.runpytest_subprocess("-p", "llmkit.testing.plugin", timeout=60).assert_outcomes(passed=1)


def test_pytest_finds_the_plugin_by_itself() -> None:
    """By its entry point."""
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")

    assert "llmkit = llmkit.testing.plugin" in setup["options.entry_points"]["pytest11"]
