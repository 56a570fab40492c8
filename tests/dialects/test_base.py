"""What all wire formats share."""

from __future__ import annotations

import pytest

from llmkit.dialects.base import Place, WireError, merged, request_id
from llmkit.transport.base import ERROR_BODY_LIMIT, HttpResponse


@pytest.mark.parametrize(
    ("headers", "found"),
    [
        ({}, None),
        ({"content-type": "x"}, None),
        ({"request-id": "a"}, "a"),
        ({"cf-ray": "a", "x-request-id": "b"}, "b"),
        ({"x-request-id": "", "cf-ray": "a"}, "a"),
    ],
)
def test_the_most_telling_request_id_is_taken(headers: dict[str, str], found: str | None) -> None:
    """That of the service before that of the network in front of it."""
    assert found == request_id(headers)


def test_a_wire_error_has_the_reply_in_it() -> None:
    """Status, headers, the request's id and the beginning of the body."""
    response = HttpResponse(status=203, headers={"x-request-id": "a"}, body=b"\xffx" * ERROR_BODY_LIMIT)

    for error, kind in ((WireError.malformed("No.", response), "malformed"), (WireError.truncated("No.", response), "truncated")):
        fault = error.fault
        assert (kind, 203, "a", "No.", ERROR_BODY_LIMIT) == (fault.kind, fault.status, fault.request_id, fault.message, len(fault.body))


def test_a_wire_error_may_stand_without_a_reply() -> None:
    """Then the status was a good one."""
    assert (200, "") == (WireError.truncated("No.").fault.status, WireError.malformed("No.").fault.body)


def test_a_place_refuses_nothing_at_first() -> None:
    """What a server does not take is found out."""
    assert (frozenset(), {}) == (Place(base_url="http://h").refused, Place(base_url="http://h").options)


def test_merging_nothing_changes_nothing() -> None:
    """And what is not an object on both sides is replaced."""
    assert {"a": 1} == merged({"a": 1}, None) == merged({"a": 1}, {})
    assert {"a": {"b": 1}, "c": 2} == merged({"a": 5, "c": {"d": 1}}, {"a": {"b": 1}, "c": 2})
