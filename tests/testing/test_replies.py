"""What can be said, and what was asked."""

from __future__ import annotations

from typing import Any

import pytest
from attrs import evolve

from llmkit.testing import RecordedRequest, Reply


@pytest.mark.parametrize("wrong", [{"delay": -1}, {"framing": "none"}, {"status": 42}, {"truncate_gzip": True}, {"pieces": 0}])
def test_an_impossible_reply_is_refused_when_it_is_made(wrong: dict[str, Any]) -> None:
    """The mistake shows where it is made, and not in the server's thread."""
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Reply(**wrong)


def test_a_fault_can_be_added_to_an_error() -> None:
    """By attrs' own function; what the error says stays."""
    reply = evolve(Reply.error(429, retry_after=1.5, headers={"x-a": "1"}), delay=1)

    assert {"retry-after": "1.5", "x-a": "1"} == reply.headers
    assert (429, 1.0, True) == (reply.status, reply.delay, reply.fails)


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (Reply(), False),
        (Reply(delay=1, model="m"), False),
        (Reply(""), True),
        (Reply(chunks=[]), True),
        (Reply(tool_calls=[("f", {})]), True),
    ],
)
def test_an_empty_text_is_something_that_is_said(reply: Reply, expected: bool) -> None:
    """Only where nothing is said, the provider's own answer is given."""
    assert expected is reply.says_something


def test_a_recorded_body_that_is_no_json_says_so() -> None:
    """The error is the one of the standard library."""
    request = RecordedRequest(method="POST", path="/a/b", provider="a", endpoint="/b", body=b"?")

    with pytest.raises(ValueError, match="Expecting value"):
        _ = request.json
