"""How a credential gets onto a request."""

from __future__ import annotations

from llmkit.auth.base import HeaderAuth, NoAuth
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
