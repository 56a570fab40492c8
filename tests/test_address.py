"""Base URLs."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmkit.address import check_base_url, is_loopback, normalised, origin_of
from llmkit.errors import ConfigurationError


@pytest.mark.parametrize(
    ("url", "base"),
    [
        ("http://localhost:8000", "http://localhost:8000/v1"),
        ("http://localhost:8000/", "http://localhost:8000/v1"),
        ("http://localhost:8000/v1", "http://localhost:8000/v1"),
        ("http://localhost:8000/v1/", "http://localhost:8000/v1"),
        ("http://localhost:8000/v1//", "http://localhost:8000/v1"),
        ("http://localhost:8000/v1/chat/completions", "http://localhost:8000/v1"),
        ("http://localhost:8000/v1/chat/completions/", "http://localhost:8000/v1"),
        ("http://localhost:8000/chat/completions", "http://localhost:8000/v1"),
        ("http://localhost:8000/v1/completions", "http://localhost:8000/v1"),
        ("http://localhost:8000/v1/responses", "http://localhost:8000/v1"),
        ("http://localhost:8000/v1/embeddings", "http://localhost:8000/v1"),
        ("http://localhost:8000/v1/models", "http://localhost:8000/v1"),
        ("https://api.z.ai/api/paas/v4/models", "https://api.z.ai/api/paas/v4"),
        ("https://x.services.ai.azure.com/models", "https://x.services.ai.azure.com/models"),
        ("https://x.services.ai.azure.com/models/chat/completions", "https://x.services.ai.azure.com/models"),
        ("HTTPS://API.Example.COM:443/V1", "https://api.example.com/V1"),
        ("http://h:80/x", "http://h/x"),
        ("https://h:80/x", "https://h:80/x"),
        ("http://[::1]:8080", "http://[::1]:8080/v1"),
        ("http://[FE80::1]/x", "http://[fe80::1]/x"),
        ("https://h/a%2Fb/c", "https://h/a%2Fb/c"),
        ("https://h/a.b/..c", "https://h/a.b/..c"),
        ("https://h:/x", "https://h/x"),
        ("https://bücher.example/x", "https://bücher.example/x"),
    ],
)
def test_many_ways_of_writing_are_one_base(url: str, base: str) -> None:
    """With and without slash, version, port of its own and the operation behind it."""
    assert base == normalised(url, default_path="/v1")


@pytest.mark.parametrize(
    ("url", "words"),
    [
        (None, "is a URL such as"),
        (5, "is a URL such as"),
        (b"http://h", "is a URL such as"),
        ("", "is a URL such as"),
        ("localhost:8000", "begins with http:// or https:// and a host, as 'http://localhost:8000' does"),
        ("sk-canary", "begins with http"),
        ("api.example.com/v1", "begins with http"),
        ("//h/v1", "begins with http"),
        ("ftp://h", "begins with http.* not with ftp://h"),
        ("file:///etc/passwd", "begins with http"),
        ("http://", "begins with http"),
        ("http:///v1", "begins with http"),
        ("http:h", "begins with http"),
        ("http://:80", "begins with http"),
        ("http://h:port", "is no URL"),
        ("http://h:99999", "is no URL"),
        ("http://[::1", "is no URL"),
        ("http://h℀.example", "is no URL"),
        ("http://user@h", "user name or password"),
        ("http://user:canary@h/v1", "user name or password"),
        ("http://:canary@h", "user name or password"),
        ("http://@h", "user name or password"),
        ("http://h?x=1", "query or a fragment"),
        ("http://h/v1?", "query or a fragment"),
        ("http://h#", "query or a fragment"),
        ("http://h/v1#x", "query or a fragment"),
        ("http://h/../v1", "in its path"),
        ("http://h/v1/.", "in its path"),
        ("http://h/%2e%2E/v1", "in its path"),
        ("http://h/.%2e", "in its path"),
        ("http://h\\@evil.example/v1", "backslash"),
        (" http://h", "space"),
        ("http://h ", "space"),
        ("http://h/a b", "space"),
        ("http://h/\tx", "control"),
        ("http://h\r\nX: y", "control"),
        ("http://h\x00.example", "control"),
        ("http://h/\x7f", "control"),
        ("http://h/\x85", "control"),
        ("http://h/\u2028", "control"),
    ],
)
def test_what_could_send_a_key_elsewhere_is_refused(url: Any, words: str) -> None:
    """And the error shows no password."""
    with pytest.raises(ConfigurationError, match=words) as refused:
        check_base_url(url)

    assert "canary" not in str(refused.value)


@given(url=st.text(max_size=30) | st.text(st.sampled_from("htp:/@[]?#%.\\ 12ex"), max_size=20).map("http://".__add__))
def test_any_text_is_a_base_or_is_refused(url: str) -> None:
    """A base is its own base, and has neither query nor user."""
    try:
        base = normalised(url)
    except ConfigurationError:
        return
    assert base == normalised(base)
    assert base.startswith(origin_of(url))
    assert "@" not in origin_of(url)


@pytest.mark.parametrize(
    ("url", "stays"),
    [
        *[
            (f"http://{host}/v1", True)
            for host in ("localhost", "LOCALHOST:11434", "localhost.", "a.localhost", "127.0.0.1", "127.9.9.9", "[::1]:8000")
        ],
        ("http://[::ffff:127.0.0.1]", True),
        *[
            (f"http://{host}/v1", False)
            for host in ("example.com", "0.0.0.0", "10.0.0.1", "192.168.1.1", "[::]", "[fe80::1]", "169.254.169.254")
        ],
        *[
            (f"http://{host}/v1", False)
            for host in ("localhost.example.com", "notlocalhost", "127.0.0.1.example.com", "127.1", "2130706433")
        ],
        ("http://[::ffff:10.0.0.1]", False),
    ],
)
def test_only_this_machine_is_loopback(url: str, stays: bool) -> None:
    """A key may travel there without encryption, and nowhere else."""
    assert stays == is_loopback(url)
