"""A credential that a function of the user's gives."""

from __future__ import annotations

from typing import Any

import pytest

from llmkit.auth.function import CallableAuth
from llmkit.errors import ConfigurationError
from llmkit.transport.base import HttpRequest

REQUEST = HttpRequest(method="POST", url="https://h")


def test_a_callable_is_asked_for_each_attempt() -> None:
    """A token may have expired since the last."""
    tokens = iter(["one", "canary"])
    auth = CallableAuth(lambda: {"X-Token": next(tokens)})

    first, second = auth.headers(REQUEST, None), auth.headers(REQUEST, None)

    assert ("one", "canary", False) == (first["X-Token"], second["X-Token"], auth.needs_key)
    assert "canary" not in repr(second)


@pytest.mark.parametrize("found", [None, "canary", [("X", "canary")], {"X": b"canary"}, {5: "canary"}])
def test_a_callable_returns_headers(found: Any) -> None:
    """The error names what it was given by its type."""
    with pytest.raises(ConfigurationError, match="returns a dict") as refused:
        CallableAuth(lambda: found).headers(REQUEST, None)

    assert "canary" not in str(refused.value)


@pytest.mark.parametrize(
    "found", [{"X": "canary\r\nY: z"}, {"X": "canary\x00"}, {"X": "cänary"}, {"X": "canary\x7f"}, {"X Y": "canary"}, {"": "x"}]
)
def test_a_callables_headers_are_fit_to_be_sent(found: dict[str, str]) -> None:
    """Nothing breaks out of its line, and nothing is shown."""
    with pytest.raises(ConfigurationError, match="line break") as refused:
        CallableAuth(lambda: found).headers(REQUEST, None)

    assert "canary" not in str(refused.value)
