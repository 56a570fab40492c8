"""What errors say, in all the shapes that servers give them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmkit.dialects.openai_chat import OpenAIChat
from llmkit.dialects.wire_json import count, label
from llmkit.models.fault import Fault
from llmkit.models.request import make_request
from llmkit.secrets import clean
from llmkit.transport.base import HttpResponse

OPENAI = OpenAIChat()


def fault_of(body: Any, status: int = 400, headers: dict[str, str] | None = None) -> Fault:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return OPENAI.fault(HttpResponse(status=status, headers=headers or {}, body=content))


# Sources: recorded cassettes of pydantic-ai at 4fda389, fixtures of vercel/ai, and the vendors' documentation, read 2026-11-21.
SHAPES = {
    "openai": (
        {
            "error": {
                "code": "decimal_below_min_value",
                "message": "Invalid 'temperature'.",
                "param": "temperature",
                "type": "invalid_request_error",
            }
        },
        ("Invalid 'temperature'.", "decimal_below_min_value", "invalid_request_error", "temperature"),
    ),
    "openai_null_code": (
        {
            "error": {
                "code": None,
                "message": "Item without its required following item.",
                "param": "input",
                "type": "invalid_request_error",
            }
        },
        ("Item without its required following item.", None, "invalid_request_error", "input"),
    ),
    "azure": (
        {"error": {"code": "content_filter", "message": "Filtered.", "param": "prompt", "status": 400, "innererror": {"code": "X"}}},
        ("Filtered.", "content_filter", None, "prompt"),
    ),
    "apim": ({"statusCode": 401, "message": "Access denied."}, ("Access denied.", None, None, None)),
    "xai": (
        {"code": "Client specified an invalid argument", "error": "Bad model."},
        ("Bad model.", "Client specified an invalid argument", None, None),
    ),
    "mistral": (
        {"object": "error", "message": "No.", "type": "invalid_request_error", "param": None, "code": "3280"},
        ("No.", "3280", "invalid_request_error", None),
    ),
    "mistral_object": (
        {
            "object": "error",
            "message": {"detail": [{"loc": ["body"], "msg": "Field required", "type": "missing"}]},
            "type": "t",
            "code": None,
        },
        ("Field required", None, "t", None),
    ),
    "fastapi": ({"detail": [{"loc": ["body", "x"], "msg": "A", "type": "t"}, {"msg": "B"}]}, ("A; B", None, None, None)),
    "fastapi_text": ({"detail": "Not Found"}, ("Not Found", None, None, None)),
    "cerebras": (
        {"message": "Wrong API Key", "type": "invalid_request_error", "param": "api_key", "code": "wrong_api_key"},
        ("Wrong API Key", "wrong_api_key", "invalid_request_error", "api_key"),
    ),
    "siliconflow": ({"code": 20012, "message": "Model does not exist.", "data": None}, ("Model does not exist.", "20012", None, None)),
    "tgi": ({"error": "Input validation error", "error_type": "validation"}, ("Input validation error", None, "validation", None)),
    "llamacpp": (
        {"error": {"code": 400, "message": "exceeds", "type": "exceed_context_size_error", "n_ctx": 4096}},
        ("exceeds", "400", "exceed_context_size_error", None),
    ),
    "openrouter": (
        {"error": {"code": 429, "message": "Provider returned error", "metadata": {"provider_name": "Google", "raw": "slow down"}}},
        ("Provider returned error: slow down", "429", None, None),
    ),
    "minimax": ({"base_resp": {"status_code": 1008, "status_msg": "insufficient balance"}}, ("insufficient balance", "1008", None, None)),
    "fastchat": ({"object": "error", "message": "max tokens", "code": 40303}, ("max tokens", "40303", None, None)),
    "databricks": ({"error_code": "BAD_REQUEST", "message": "No."}, ("No.", "BAD_REQUEST", None, None)),
    "baidu_old": ({"error_code": 336003, "error_msg": "bad messages"}, ("bad messages", "336003", None, None)),
    "nim": ({"status": 401, "title": "Unauthorized", "detail": "Key."}, ("Key.", None, None, None)),
    "cloudflare": (
        {"success": False, "errors": [{"code": 5006, "message": "Bad input"}], "result": None},
        ("Bad input", "5006", None, None),
    ),
    "gemini_list": (
        [{"error": {"code": 400, "message": "API key not valid.", "status": "INVALID_ARGUMENT"}}],
        ("API key not valid.", "400", None, None),
    ),
    "venice": ({"error": "Insufficient balance"}, ("Insufficient balance", None, None, None)),
}


@pytest.mark.parametrize("name", SHAPES)
def test_every_shape_of_error_is_understood(name: str) -> None:
    """Message, code, type and parameter, wherever that server puts them; the whole body is kept."""
    body, wanted = SHAPES[name]

    fault = fault_of(body)

    assert wanted == (fault.message, fault.code, fault.type, fault.param)
    assert (400, body) == (fault.status, json.loads(fault.body))


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", ""),
        (b"upstream connect error\n  or disconnect", "upstream connect error or disconnect"),
        (b"<html>\n<body>502</body></html>", "<html> <body>502</body></html>"),
        (b'{"error": {}}', '{"error": {}}'),
        (b'{"error": {"message": ', '{"error": {"message":'),
        (b"5", "5"),
        (b"\xff", "�"),
    ],
)
def test_a_body_that_says_nothing_is_quoted(body: bytes, message: str) -> None:
    """In one line, so that a log stays readable."""
    assert message == fault_of(body, 502).message


def test_a_long_body_is_cut_between_words() -> None:
    """A key that lies across the cut is left out whole, since half of it would not be masked."""
    key = "sk-" + "x" * 60
    fault = fault_of(("word " * 95 + key + " end").encode(), 500)

    shown = clean(fault.message, [key])

    assert ("sk-" in shown, True, True) == (False, len(shown) <= 502, shown.endswith("word …"))
    assert key in fault.body


@pytest.mark.parametrize(
    "name", ["x-request-id", "request-id", "apim-request-id", "mistral-correlation-id", "x-generation-id", "inference-id", "cf-ray"]
)
def test_the_request_id_is_found_in_the_headers(name: str) -> None:
    """Under any of the names that servers have for it."""
    assert "abc" == fault_of(b"{}", headers={name: "abc"}).request_id


def test_the_request_id_may_stand_in_the_body() -> None:
    """Where no header has it."""
    assert "abc" == fault_of({"request_id": "abc", "code": "X", "message": "m"}).request_id


def test_headers_travel_with_the_fault() -> None:
    """The hints in them are read by others."""
    assert {"retry-after": "3"} == fault_of(b"{}", 429, {"retry-after": "3"}).headers


@pytest.mark.parametrize(
    ("status", "message", "stream", "wanted"),
    [
        (400, "Unrecognized request argument: stream_options", True, "stream_options"),
        (422, "extra inputs are not permitted: STREAM_OPTIONS", True, "stream_options"),
        (400, "Unrecognized request argument: stop", True, None),
        (500, "stream_options", True, None),
        (400, "stream_options", False, None),
    ],
)
def test_what_the_user_did_not_ask_for_is_conceded(status: int, message: str, stream: bool, wanted: str | None) -> None:
    """A server that refuses our question for usage is asked again without it."""
    request = make_request("Hi", model="m", stream=stream)

    assert wanted == OPENAI.concession(fault_of({"error": {"message": message}}, status), request)


def test_what_the_user_asked_for_is_not_conceded() -> None:
    """Then the refusal is the user's to see."""
    request = make_request("Hi", model="m", stream=True, extra_body={"stream_options": {"include_usage": True}})

    assert OPENAI.concession(fault_of({"error": {"message": "stream_options"}}), request) is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "error",
                    "errors",
                    "base_resp",
                    "message",
                    "detail",
                    "msg",
                    "code",
                    "type",
                    "metadata",
                    "raw",
                    "status_code",
                    "error_code",
                    "param",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=10,
)


@given(body=JSON.map(lambda value: json.dumps(value).encode()) | st.binary(max_size=60), status=st.integers(300, 599))
def test_reading_an_error_never_fails(body: bytes, status: int) -> None:
    """Whatever a bad reply holds, there is a fault of it, with text for its fields."""
    fault = fault_of(body, status)

    assert isinstance(fault.message, str)
    assert all(value is None or isinstance(value, str) for value in (fault.code, fault.type, fault.param, fault.request_id))


@pytest.mark.parametrize("body", [b"[" * 100_000, b'{"error":' * 400 + b"1" + b"}" * 400, b"1" * 5000, b'{"code": ' + b"9" * 4000 + b"}"])
def test_no_depth_and_no_length_of_an_error_fails(body: bytes) -> None:
    """Nesting and digits beyond what the interpreter reads are quoted as text."""
    assert isinstance(fault_of(body).message, str)


@given(value=JSON)
def test_small_words_take_anything(value: Any) -> None:
    """A count is a number that can be counted to; a label is text, or nothing."""
    assert 0 <= count(value) < 1e15
    assert label(value) is None or isinstance(label(value), str)
