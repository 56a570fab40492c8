"""AWS's own package talks to the fake server and notices nothing."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest

from llmkit.testing import FakeServer, Reply
from llmkit.testing.aws import ACCESS_KEY_ID, SECRET_ACCESS_KEY, secret_of

boto3 = pytest.importorskip("boto3")

CHAT = {"messages": [{"role": "user", "content": "Grüße"}], "max_tokens": 20}


@pytest.fixture
def runtime(server: FakeServer) -> Iterator[Callable[..., Any]]:
    """Return a maker of the official client."""
    from botocore.config import Config

    made: list[Any] = []

    def make(key: str = ACCESS_KEY_ID, secret: str = SECRET_ACCESS_KEY, token: str | None = None) -> Any:
        client = boto3.client(
            "sagemaker-runtime",
            region_name="us-east-1",
            endpoint_url=server.url("sagemaker"),
            aws_access_key_id=key,
            aws_secret_access_key=secret,
            aws_session_token=token,
            config=Config(retries={"total_max_attempts": 1}, proxies={}),
        )
        made.append(client)
        return client

    yield make
    for client in made:
        client.close()


def invoke(client: Any, body: Any, **parameters: Any) -> dict[str, Any]:
    terms = {"EndpointName": "my-endpoint", "ContentType": "application/json", "Body": json.dumps(body), **parameters}
    found: dict[str, Any] = client.invoke_endpoint(**terms)
    return found


def streamed(client: Any, body: Any) -> bytes:
    reply = client.invoke_endpoint_with_response_stream(
        EndpointName="my-endpoint", ContentType="application/json", Accept="text/event-stream", Body=json.dumps({**body, "stream": True})
    )
    assert "text/event-stream" in reply["ContentType"]
    with closing(reply["Body"]) as parts:
        return b"".join(event["PayloadPart"]["Bytes"] for event in parts)


def test_an_invocation(runtime: Callable[..., Any], server: FakeServer) -> None:
    """The container's answer comes through, with SageMaker's own head; its signature and headers are taken."""
    reply = invoke(runtime(), CHAT, InferenceComponentName="ic-1", TargetVariant="blue", InferenceId="i-1", CustomAttributes="a=b")

    assert "You said: Grüße" == json.loads(reply["Body"].read())["choices"][0]["message"]["content"]
    assert ("AllTraffic", "application/json") == (reply["InvokedProductionVariant"], reply["ContentType"])
    assert "ic-1" == server.requests[0].headers["x-amzn-sagemaker-inference-component"]


def test_temporary_credentials(runtime: Callable[..., Any]) -> None:
    """Their token is signed too."""
    assert invoke(runtime("ASIASDK", secret_of("ASIASDK"), "token"), CHAT)["Body"].read()


def test_a_stream_of_a_chat(runtime: Callable[..., Any]) -> None:
    """Its parts make up the container's events."""
    text = streamed(runtime(), CHAT).decode()

    events = [json.loads(line.removeprefix("data: ")) for line in text.splitlines() if line.startswith("data: {")]
    assert "You said: Grüße" == "".join(event["choices"][0]["delta"].get("content") or "" for event in events)
    assert text.endswith("data: [DONE]\n\n")


def test_prompts(runtime: Callable[..., Any]) -> None:
    """The container tells its wires apart by the body, whole and streamed."""
    body = {"inputs": "Grüße", "parameters": {"max_new_tokens": 20, "details": True}}

    whole = json.loads(invoke(runtime(), body)["Body"].read())
    text = streamed(runtime(), body).decode()

    assert ("You said: Grüße", "eos_token") == (whole[0]["generated_text"], whole[0]["details"]["finish_reason"])
    last = json.loads(text.strip().splitlines()[-1].removeprefix("data:"))
    assert ("You said: Grüße", True) == (last["generated_text"], last["token"]["special"])


def test_a_models_error(runtime: Callable[..., Any]) -> None:
    """With what the container said."""
    client = runtime()

    with pytest.raises(client.exceptions.ModelError) as raised:
        invoke(client, {**CHAT, "max_tokens": 0})

    reply = raised.value.response
    assert (424, 422) == (reply["ResponseMetadata"]["HTTPStatusCode"], reply["OriginalStatusCode"])
    assert "validation" == json.loads(reply["OriginalMessage"])["error_type"]


@pytest.mark.parametrize(
    ("keys", "code"),
    [
        ((ACCESS_KEY_ID, "wrong"), "InvalidSignatureException"),
        (("NOBODY", "x"), "UnrecognizedClientException"),
        (("ASIASDK", secret_of("ASIASDK"), "expired"), "ExpiredTokenException"),
    ],
)
def test_a_refused_signature(runtime: Callable[..., Any], keys: tuple[str, ...], code: str) -> None:
    """Under the name that AWS gives it."""
    from botocore.exceptions import ClientError

    with pytest.raises(ClientError) as raised:
        invoke(runtime(*keys), CHAT)

    assert (403, code) == (raised.value.response["ResponseMetadata"]["HTTPStatusCode"], raised.value.response["Error"]["Code"])


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        (Reply.error(400), "ValidationError"),
        (Reply.error(429), "ThrottlingException"),
        (Reply.error(500), "InternalFailure"),
        (Reply.error(503), "ServiceUnavailable"),
    ],
)
def test_errors_of_the_service(runtime: Callable[..., Any], server: FakeServer, reply: Reply, code: str) -> None:
    """Each with its code."""
    from botocore.exceptions import ClientError

    server.enqueue(reply)

    with pytest.raises(ClientError) as raised:
        invoke(runtime(), CHAT)

    assert code == raised.value.response["Error"]["Code"]
    assert raised.value.response["ResponseMetadata"]["RequestId"].startswith("00000000-")


def test_an_exception_in_a_stream(runtime: Callable[..., Any], server: FakeServer) -> None:
    """Behind what came before it."""
    from botocore.exceptions import EventStreamError

    failure = {":message-type": "exception", ":exception-type": "ModelStreamError", "Message": "gone", "ErrorCode": "StreamBroken"}
    server.enqueue(Reply(events=["one", failure]))

    with pytest.raises(EventStreamError, match="gone"):
        streamed(runtime(), CHAT)
