"""
The pytest plugin: with llmkit installed, every test can ask for the fixture ``fake_llm``.

Rule 1: pytest loads this in every run, also in those that never ask a model, so it imports nothing before a fixture is asked for.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from llmkit.testing import FakeServer

__all__ = ["fake_llm"]

KEY = "sk-fake-0123456789"
MODEL = "openai/gpt-4o-mini"


@pytest.fixture
def fake_llm(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeServer]:
    """
    A running ``FakeServer``, with the environment pointing to it: plain ``Client()`` asks it, and so does ``Client("provider/model")``
    for every provider whose address can be set by a variable. Nothing leaves the machine.
    """
    from llmkit.functions import forget_default_clients
    from llmkit.testing import FakeServer

    with FakeServer() as server:
        for name, value in _environment(server).items():
            monkeypatch.setenv(name, value)
        forget_default_clients()
        yield server
    forget_default_clients()


def _environment(server: FakeServer) -> dict[str, str]:
    """Return the variables that point to *server*."""
    from llmkit.providers import ROWS

    found = {"LLMKIT_MODEL": MODEL, "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
    for row in ROWS:
        for names, value in ((row.base_env, server.url(row.name)), (row.key_env, KEY)):
            # The first counts before the others, whatever is in them.
            found.update({name: value for name in names[:1] if name not in found})
    return found
