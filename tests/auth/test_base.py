"""How a credential gets onto a request."""

from __future__ import annotations

from typing import Any

import pytest

from llmkit.auth.base import CallableAuth, HeaderAuth, NoAuth
from llmkit.errors import ConfigurationError
from llmkit.secrets import Secret
from llmkit.transport.base import HttpRequest

REQUEST = HttpRequest(method="POST", url="https://h")
KEY = Secret("sk-canary")


def test_a_key_stands_in_one_header() -> None:
    """Behind its prefix, and not for everyone to see."""
    found = HeaderAuth().headers(REQUEST, KEY)

    assert ({"Authorization": "Bearer sk-canary"}, True) == (dict(found), HeaderAuth().needs_key)
    assert {"api-key": "sk-canary"} == dict(HeaderAuth(header="api-key", prefix="").headers(REQUEST, KEY))
    assert "canary" not in repr(found)


def test_no_key_is_no_header() -> None:
    """An empty one would be refused with another error."""
    assert {} == HeaderAuth().headers(REQUEST, None) == NoAuth().headers(REQUEST, KEY)


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
