"""Streams of Text Generation Inference, without a pipe around them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from llmkit.dialects.base import WireError
from llmkit.dialects.tgi import TGI
from llmkit.models.chunk import CompletionChunk
from llmkit.models.fault import Fault
from llmkit.models.request import make_request
from llmkit.models.response import CompletionResponse, FinishReason
from llmkit.transport.base import HttpResponse

ASKED = make_request("Hi", model="m", stream=True)
END = {"finish_reason": "length", "generated_tokens": 2, "input_length": 4, "seed": None}


def event(text: str, *, special: bool = False, whole: str | None = None, details: Any = None) -> bytes:
    token = {"id": 1, "text": text, "logprob": -0.1, "special": special}
    return b"data:%b\n\n" % json.dumps({"index": 1, "token": token, "generated_text": whole, "details": details}).encode()


def read(*pieces: bytes) -> tuple[list[CompletionChunk], CompletionResponse, Fault | None]:
    decoder = TGI().decoder(HttpResponse(status=200, headers={"content-type": "text/event-stream"}), ASKED)
    chunks: list[CompletionChunk] = []
    try:
        for piece in pieces:
            chunks += decoder.feed(piece)
        chunks += decoder.finish()
    except WireError as error:
        return chunks + error.chunks, decoder.response(), error.fault
    return chunks, decoder.response(), None


def test_the_last_event_proves_the_answer() -> None:
    """It has the reason and both counts; marks of the model's are no text."""
    chunks, answer, fault = read(event("a"), event(" b"), event("</s>", special=True, whole="a b", details=END), event("late"))

    assert fault is None
    assert ["a", " b", ""] == [chunk.text for chunk in chunks]
    assert (FinishReason.LENGTH, 4, 2) == (chunks[-1].finish_reason, answer.usage.input_tokens, answer.usage.output_tokens)
    assert {"generated_text": "a b", "details": {**END, "tokens": answer.raw["details"]["tokens"]}} == answer.raw
    assert 3 == len(answer.raw["details"]["tokens"])


def test_a_stream_of_one_event_is_an_answer() -> None:
    """Some servers send no tokens."""
    chunks, answer, fault = read(b'data: {"generated_text":"all","details":null}\n\n')

    assert fault is None
    assert ("all", ["all"]) == (answer.text, [chunk.text for chunk in chunks])


def test_a_last_event_without_its_blank_line_counts() -> None:
    """Its JSON is whole beyond doubt."""
    _, answer, fault = read(event("a"), event("", whole="a", details=END).rstrip())

    assert fault is None
    assert "a" == answer.text


@pytest.mark.parametrize("rest", [b"", b"data: [DONE]\n\n", b'data:{"index":2,"tok'])
def test_without_it_the_answer_is_truncated(rest: bytes) -> None:
    """Whatever else says that it is over."""
    chunks, answer, fault = read(event("a"), rest)

    assert fault is not None
    assert ("truncated", "a", 1) == (fault.kind, answer.text, len(chunks))
    assert FinishReason.UNKNOWN == answer.finish_reason


def test_an_error_inside_is_raised_behind_what_came() -> None:
    """Also in the same bytes."""
    chunks, _, fault = read(event("a") + b'data:{"error":"Model is overloaded","error_type":"overloaded"}\n\n')

    assert fault is not None
    assert ("overloaded", "Model is overloaded") == (fault.type, fault.message)
    assert ["a"] == [chunk.text for chunk in chunks]
