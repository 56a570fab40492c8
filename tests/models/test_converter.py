"""Our models as plain JSON, and back."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from cattrs import ClassValidationError
from hypothesis import given, settings
from hypothesis import strategies as st

from llmkit.models.content import Audio, Document, Image, Message, Native, Text, Thinking, ToolCall, ToolResult, assistant
from llmkit.models.converter import structure, unstructure
from llmkit.models.ledger import Attempt
from llmkit.models.response import CompletionResponse, FinishReason
from llmkit.models.usage import Usage

WORDS = st.text(max_size=8)
OPTIONAL = st.none() | WORDS
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=5,
)
OBJECTS = st.dictionaries(WORDS, JSON, max_size=3)


def media(cls: type[Image]) -> st.SearchStrategy[Any]:
    rest = {"name": OPTIONAL, "cache": st.booleans()}
    return st.builds(cls, url=WORDS, **rest) | st.builds(cls, data=st.binary(max_size=8), media_type=st.just("a/b"), **rest)


CALLS = st.builds(ToolCall, WORDS, WORDS, OBJECTS, text=OPTIONAL, invalid=OPTIONAL, data=JSON)
LEAVES = (
    st.builds(Text, WORDS, cache=st.booleans())
    | media(Image)
    | media(Audio)  # type: ignore[arg-type]  # its sister
    | media(Document)  # type: ignore[arg-type]
    | st.builds(Thinking, WORDS, OPTIONAL, provider=OPTIONAL, data=JSON)
    | CALLS
    | st.builds(Native, st.sampled_from(["openai", "anthropic"]), JSON)
)
PARTS = LEAVES | st.builds(ToolResult, WORDS, WORDS, st.lists(LEAVES, max_size=2).map(tuple), st.booleans())
MESSAGES = st.builds(Message, st.sampled_from(["system", "user", "assistant", "tool"]), st.lists(PARTS, max_size=4), name=OPTIONAL)
NUMBERS = st.integers(0, 10**9)
SECONDS = st.floats(0, 1e6)
ATTEMPTS = st.builds(
    Attempt,
    number=NUMBERS,
    provider=WORDS,
    model=WORDS,
    endpoint=WORDS,
    key=OPTIONAL,
    status=st.none() | NUMBERS,
    request_id=OPTIONAL,
    error=OPTIONAL,
    wait=SECONDS,
    why=OPTIONAL,
    at=SECONDS,
    connect=st.none() | SECONDS,
    first_byte=st.none() | SECONDS,
    elapsed=SECONDS,
)
USAGES = st.builds(Usage, input_tokens=NUMBERS, output_tokens=NUMBERS, cache_read_tokens=NUMBERS, reported=st.booleans())
RESPONSES = st.builds(
    CompletionResponse,
    message=MESSAGES,
    finish_reason=st.sampled_from(FinishReason),
    raw_finish_reason=OPTIONAL,
    usage=USAGES,
    cost=st.none() | st.decimals(allow_nan=False, allow_infinity=False, places=6),
    id=OPTIONAL,
    model=WORDS,
    provider=WORDS,
    request_id=OPTIONAL,
    attempts=st.lists(ATTEMPTS, max_size=2).map(tuple),
    elapsed=SECONDS,
    cached=st.booleans(),
    raw=JSON,
)


def texts_of(message: Message) -> list[str | None]:
    return [call.text for call in message.tool_calls]


@settings(max_examples=200)
@given(response=RESPONSES)
def test_a_response_comes_back_from_json_as_it_was(response: CompletionResponse) -> None:
    """Through text, too: every part, number and price; raw and the spelling of arguments, which equality leaves out, included."""
    data = json.loads(json.dumps(response.to_dict()))

    back = CompletionResponse.from_dict(data)

    assert (response, response.raw, texts_of(response.message)) == (back, back.raw, texts_of(back.message))
    assert data == back.to_dict()


@settings(max_examples=100)
@given(message=MESSAGES)
def test_a_message_comes_back_by_itself(message: Message) -> None:
    """Histories are kept without their responses."""
    assert message == structure(json.loads(json.dumps(unstructure(message))), Message)


@pytest.mark.parametrize(
    ("part", "wire"),
    [
        (Text("a"), {"type": "text", "text": "a"}),
        (Text("a", cache=True), {"type": "text", "text": "a", "cache": True}),
        (Image(data=b"\x00", media_type="image/png"), {"type": "image", "data": "AA==", "media_type": "image/png"}),
        (ToolCall("a", "f", {"x": 1}, text="{}"), {"type": "tool_call", "id": "a", "name": "f", "arguments": {"x": 1}, "text": "{}"}),
        (ToolResult("a", "f", "x"), {"type": "tool_result", "call_id": "a", "name": "f", "content": [{"type": "text", "text": "x"}]}),
        (Native("p", [1]), {"type": "native", "provider": "p", "data": [1]}),
    ],
)
def test_a_part_is_written_with_its_type_and_what_is_set(part: Any, wire: dict[str, Any]) -> None:
    """Records are kept for years: their form is fixed."""
    assert {"role": "assistant", "content": [wire]} == unstructure(Message("assistant", part))


def test_what_a_later_version_wrote_survives() -> None:
    """A type that is not known is kept whole and written again as it was; fields that are not known are passed over."""
    record = {
        "role": "assistant",
        "content": [{"type": "hologram", "rays": [1]}, {"type": "text", "text": "a", "colour": "red"}],
        "mood": 1,
    }

    message = structure(record, Message)

    assert assistant(Native("llmkit", {"type": "hologram", "rays": [1]}), "a") == message
    assert {"role": "assistant", "content": [{"type": "hologram", "rays": [1]}, {"type": "text", "text": "a"}]} == unstructure(message)


def test_a_price_stays_exact() -> None:
    """Money is no float."""
    response = CompletionResponse(message=assistant("a"), cost=Decimal("0.10"))

    assert ("0.10", Decimal("0.10")) == (response.to_dict()["cost"], CompletionResponse.from_dict(response.to_dict()).cost)


def test_what_was_parsed_stays_behind() -> None:
    """Its type is the user's, whose rules are not ours."""
    assert "parsed" not in CompletionResponse(message=assistant("a"), parsed=object()).to_dict()


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"message": 5},
        {"message": {"role": "boss"}},
        {"message": {"role": "user", "content": [5]}},
        {"message": {"role": "user", "content": [{}]}, "usage": 5},
    ],
)
def test_a_record_of_another_shape_is_refused(data: dict[str, Any]) -> None:
    """In the converter's word, which names the path."""
    with pytest.raises(ClassValidationError):
        CompletionResponse.from_dict(data)
