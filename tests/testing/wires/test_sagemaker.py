"""What the fake SageMaker and its container refuse."""

from __future__ import annotations

import json
from typing import Any

import pytest
from attrs import evolve

from llmkit.auth.aws import AwsCredentials, sign
from llmkit.testing.aws import ACCESS_KEY_ID, SECRET_ACCESS_KEY
from llmkit.testing.replies import RecordedRequest, Reply
from llmkit.testing.wires import find
from llmkit.testing.wires.sagemaker import WIRE, render_error
from llmkit.testing.wires.sagemaker_checks import check

PATH = "/endpoints/my-endpoint/invocations"
USER = [{"role": "user", "content": "Hi"}]
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}


def request(body: Any, path: str = PATH, content_type: str = "application/json") -> RecordedRequest:
    """Return a request as it arrives, well signed."""
    import time

    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    credentials = AwsCredentials(access_key_id=ACCESS_KEY_ID, secret_access_key=SECRET_ACCESS_KEY)
    headers = {"Content-Type": content_type}
    url = f"http://127.0.0.1/sagemaker{path}"
    made = sign("POST", url, headers, data, service="sagemaker", region="us-east-1", credentials=credentials, at=time.time())
    lower = {name.lower(): value for name, value in {**headers, **made}.items()}
    return RecordedRequest(method="POST", path=f"/sagemaker{path}", provider="sagemaker", endpoint=path, headers=lower, body=data)


@pytest.mark.parametrize(
    "body",
    [
        {"messages": USER},
        {"messages": USER, "temperature": 0, "tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "f"}}},
        {"messages": [{"role": "assistant", "tool_calls": [{}]}], "response_format": {"type": "json_object", "value": {"type": "object"}}},
        {"inputs": "Hi"},
        {"inputs": "Hi", "parameters": {"temperature": 0.1, "top_p": 0.9, "grammar": {"type": "regex", "value": "a"}}},
    ],
    ids=str,
)
def test_what_the_container_takes_is_taken(body: Any) -> None:
    """Either wire."""
    assert check(request(body)) is None


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        (b"{", 400, "Failed to parse"),
        ([], 422, "untagged enum"),
        ({"prompt": 7}, 422, "untagged enum"),
        ({"messages": []}, 422, "sequence of messages"),
        ({"messages": ["Hi"]}, 422, "sequence of messages"),
        ({"messages": [{"role": "developer", "content": "Hi"}]}, 422, "unknown role"),
        ({"messages": [{"role": "user"}]}, 422, "MessageBody"),
        ({"messages": USER, "tools": [TOOL], "tool_choice": {"function": {"name": "g"}}}, 422, "Tool with name g"),
        ({"messages": USER, "response_format": {"type": "json_schema", "json_schema": {}}}, 422, "missing field `value`"),
        ({"messages": USER, "stop": ["1", "2", "3", "4", "5"]}, 422, "up to 4"),
        ({"messages": USER, "max_tokens": 0}, 422, "strictly positive"),
        ({"messages": USER, "seed": -1}, 422, "u64"),
        ({"inputs": ["Hi"]}, 422, "expected a string"),
        ({"inputs": ""}, 422, "cannot be empty"),
        ({"inputs": "Hi", "parameters": {"max_tokens": 5}}, 422, "unknown field `max_tokens`"),
        ({"inputs": "Hi", "parameters": {"temperature": 0}}, 422, "`temperature`"),
        ({"inputs": "Hi", "parameters": {"top_p": 1.0}}, 422, "`top_p`"),
        ({"inputs": "Hi", "parameters": {"top_k": 0}}, 422, "`top_k`"),
        ({"inputs": "Hi", "parameters": {"decoder_input_details": True}, "stream": True}, 422, "streaming tokens"),
        ({"inputs": "Hi", "parameters": {"grammar": {"type": "json"}}}, 422, "missing field `value`"),
    ],
)
def test_what_it_refuses_comes_back_wrapped(body: Any, status: int, message: str) -> None:
    """Under the status of the pipe, with its own inside."""
    asked = request(body)
    refusal = check(asked)

    assert refusal is not None
    assert refusal.failure is not None
    assert (424, status) == (refusal.status, refusal.failure.code)
    data = json.loads(render_error(asked, refusal).body[0])
    assert message in data["OriginalMessage"]
    assert status == data["OriginalStatusCode"]


def test_another_content_type_is_not_read() -> None:
    """The container takes JSON only."""
    refusal = check(request({"messages": USER}, content_type="text/plain"))

    assert refusal is not None
    assert refusal.failure is not None
    assert 415 == refusal.failure.code


def test_an_endpoints_name_is_checked() -> None:
    """By the pipe itself."""
    refusal = check(request({"messages": USER}, "/endpoints/-a/invocations"))

    assert refusal is not None
    assert 400 == refusal.status


def test_an_unsigned_request_is_refused_first() -> None:
    """Before anything in it is looked at."""
    refusal = check(evolve(request(b"{"), headers={}))

    assert refusal is not None
    assert 403 == refusal.status


def test_a_stream_operation_may_answer_whole() -> None:
    """Where the body does not ask for a stream: the container's document comes in parts."""
    asked = request({"messages": USER}, PATH + "-response-stream")
    route = find("sagemaker", "POST", asked.endpoint).route
    assert route is not None

    rendered = route.render(asked, Reply())

    assert "application/json" == rendered.headers["x-amzn-sagemaker-content-type"]
    assert "application/vnd.amazon.eventstream" == rendered.content_type


def test_an_unknown_key_is_refused_in_aws_words() -> None:
    """As for a key that was deleted."""
    reply = WIRE.unauthorized(request({}))

    assert reply.failure is not None
    assert (403, "UnrecognizedClientException") == (reply.status, reply.failure.type)
