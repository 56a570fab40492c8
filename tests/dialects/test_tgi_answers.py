"""Answers of Text Generation Inference that are none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmkit.dialects.base import WireError
from llmkit.dialects.tgi import TGI
from llmkit.models.fault import Fault
from llmkit.models.request import make_request
from llmkit.models.response import CompletionResponse, FinishReason
from llmkit.transport.base import HttpResponse

ASKED = make_request("Hi", model="m")


def decode(body: bytes) -> CompletionResponse:
    return TGI().decode(HttpResponse(status=200, body=body), ASKED)


def fault_of(body: bytes) -> Fault:
    with pytest.raises(WireError) as raised:
        decode(body)
    return raised.value.fault


@pytest.mark.parametrize("body", [b"", b"  ", b"no", b"[]", b"{}", b'"x"', b"[1]", b'[{"generated_text":1}]', b'{"outputs":"x"}'])
def test_what_has_no_text_is_malformed(body: bytes) -> None:
    """Also with a good status."""
    assert "malformed" == fault_of(body).kind


def test_an_error_with_a_good_status_is_an_error() -> None:
    """In its own words."""
    fault = fault_of(b'{"error":"Model is overloaded","error_type":"overloaded"}')

    assert ("Model is overloaded", "overloaded", None) == (fault.message, fault.type, fault.kind)


def test_details_of_wrong_types_are_passed_over() -> None:
    """The text is there all the same."""
    answer = decode(b'{"generated_text":"a","details":{"finish_reason":7,"generated_tokens":"x","prefill":{}}}')

    assert ("a", FinishReason.UNKNOWN, None) == (answer.text, answer.finish_reason, answer.raw_finish_reason)
    assert not answer.usage.reported


def test_a_new_reason_is_kept() -> None:
    """As it was written."""
    answer = decode(b'[{"generated_text":"","details":{"finish_reason":"tired"}}]')

    assert (FinishReason.UNKNOWN, "tired", ()) == (answer.finish_reason, answer.raw_finish_reason, answer.message.content)


@given(st.binary(max_size=50) | st.from_regex(rb'[\[{]"(generated_text|details|error)":("a"|null|\[\]|\{\})[\]}]', fullmatch=True))
def test_no_body_raises_anything_else(body: bytes) -> None:
    """Than what the client expects."""
    TGI().fault(HttpResponse(status=500, body=body))
    try:
        decode(body)
    except WireError as error:
        assert error.fault.status == 200
