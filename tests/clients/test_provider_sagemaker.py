"""SageMaker through both faces: signed conversations with a server that refuses what the real one and its container do."""

from __future__ import annotations

import pickle
import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote

import pytest
from attrs import frozen

from llmkit import (
    AuthenticationError,
    Client,
    ConfigurationError,
    ContextWindowExceededError,
    FinishReason,
    Image,
    InternalError,
    InvalidRequestError,
    ModelNotFoundError,
    OverloadedError,
    PermissionDeniedError,
    Provider,
    RateLimitError,
    RequestTimeoutError,
    StreamInterruptedError,
    UnsupportedParameterError,
    system,
    tool_result,
    user,
)
from llmkit.auth.aws import AwsAuth, AwsCredentials
from llmkit.dialects.openai_chat import OpenAIChat
from llmkit.testing import FakeServer, RecordedRequest, Reply
from llmkit.testing.aws import ACCESS_KEY_ID, SECRET_ACCESS_KEY, refuse_signature, secret_of

PNG = b"\x89PNG picture"
KEYS = {"access_key_id": ACCESS_KEY_ID, "secret_access_key": SECRET_ACCESS_KEY}
OPTIONS = {"region": "us-east-1", **KEYS}
WHOLE = "/sagemaker/endpoints/my-endpoint/invocations"
STREAM = "/sagemaker/endpoints/my-endpoint/invocations-response-stream"


@frozen
class Verdict:
    """What is to be put on."""

    coat: bool
    why: str


def get_weather(city: str, days: int = 1) -> str:
    """Look up the weather."""
    return f"rain in {city} for {days}"


@pytest.fixture
def sagemaker(connect: Callable[..., Any], server: FakeServer) -> Callable[..., Any]:
    """Return a maker of clients of the fake SageMaker."""

    def make(model: str = "sagemaker/my-endpoint", options: Any = None, **kwargs: Any) -> Any:
        terms = {"base_url": server.url("sagemaker"), "api_key": None, "retry": None, **kwargs}
        return connect(model, options={**OPTIONS, **(options or {})}, **terms)

    return make


def asked(client: Any, messages: Any, *, streamed: bool, **parameters: Any) -> Any:
    """Return the answer, however it was got."""
    if not streamed:
        return client.complete(messages, **parameters)
    stream = client.stream(messages, **parameters)
    chunks = list(stream)
    answer = stream.response
    assert answer.text == "".join(chunk.text for chunk in chunks)
    assert answer.thinking == "".join(chunk.thinking for chunk in chunks)
    assert [answer.finish_reason] == [chunk.finish_reason for chunk in chunks if chunk.finish_reason is not None]
    return answer


@pytest.mark.parametrize("streamed", [False, True])
def test_a_whole_conversation(sagemaker: Callable[..., Any], server: FakeServer, streamed: bool) -> None:
    """A system message, a picture, two calls at once, their results, a follow-up and a typed answer."""
    server.enqueue(
        Reply("I look.", tool_calls=[("get_weather", {"city": "Paris"}), ("get_weather", {"city": "Rome", "days": 2})]),
        Reply("Rain in both: 雨.", usage={"prompt_tokens": 40, "completion_tokens": 9}),
        Reply('{"coat": true, "why": "rain"}'),
    )
    client = sagemaker()
    history = [system("Be brief."), user("Weather on this map?", Image(data=PNG, media_type="image/png"))]

    first = asked(client, history, streamed=streamed, tools=[get_weather], tool_choice="auto", max_tokens=100)
    results = [tool_result(call, get_weather(**call.arguments)) for call in first.tool_calls]
    history += [first.message, *results]
    second = asked(client, history, streamed=streamed, tools=[get_weather])
    history += [second.message, user("A coat, then?")]
    third = asked(client, history, streamed=streamed, response_format=Verdict)

    assert ("I look.", FinishReason.TOOL_CALLS, "sagemaker") == (first.text, first.finish_reason, first.provider)
    assert [{"city": "Paris"}, {"city": "Rome", "days": 2}] == [dict(call.arguments) for call in first.tool_calls]
    assert ("Rain in both: 雨.", 40, 9) == (second.text, second.usage.input_tokens, second.usage.output_tokens)
    assert Verdict(coat=True, why="rain") == third.parsed
    assert [STREAM if streamed else WHOLE] * 3 == [request.path for request in server.requests]
    again = server.requests[1].json["messages"]
    assert ["system", "user", "assistant", "tool", "tool"] == [turn["role"] for turn in again]
    ids = [call.id for call in first.tool_calls]
    assert ids == [call["id"] for call in again[2]["tool_calls"]] == [turn["tool_call_id"] for turn in again[3:]]
    assert {"coat", "why"} == set(server.requests[2].json["response_format"]["value"]["properties"])


@pytest.mark.parametrize("streamed", [False, True])
def test_a_prompt_instead_of_a_chat(sagemaker: Callable[..., Any], server: FakeServer, streamed: bool) -> None:
    """The container's own wire, with the messages written into one text."""
    client = sagemaker(options={"api": "generate", "chat_template": "chatml"})
    answer = asked(client, "Hi", streamed=streamed, max_tokens=50, temperature=0, top_k=4)

    sent = server.requests[0].json
    assert "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n" == sent["inputs"]
    assert (50, 4, False) == (sent["parameters"]["max_new_tokens"], sent["parameters"]["top_k"], sent["parameters"]["do_sample"])
    assert answer.text.startswith("You said: <|im_start|>user")
    assert (FinishReason.STOP, "eos_token") == (answer.finish_reason, answer.raw_finish_reason)


def test_a_typed_answer_to_a_prompt(sagemaker: Callable[..., Any]) -> None:
    """The grammar holds the model to it."""
    answer = sagemaker(options={"api": "generate"}).complete("A coat?", response_format=Verdict)

    assert isinstance(answer.parsed, Verdict)


@pytest.mark.parametrize("streamed", [False, True])
def test_options_go_along_as_signed_headers(sagemaker: Callable[..., Any], server: FakeServer, streamed: bool) -> None:
    """For endpoints that host several models."""
    client = sagemaker(options={"inference_component": "ic-1", "custom_attributes": "a=b"})

    asked(client, "Hi", streamed=streamed, extra_headers={"X-Amzn-SageMaker-Inference-Id": "i-1"})

    headers = server.requests[0].headers
    assert ("ic-1", "a=b", "i-1") == tuple(
        headers[f"x-amzn-sagemaker-{name}"] for name in ("inference-component", "custom-attributes", "inference-id")
    )
    assert "x-amzn-sagemaker-inference-component" in headers["authorization"]
    assert ACCESS_KEY_ID == server.requests[0].key


def test_what_cannot_be_said_is_refused_before_it_is_sent(sagemaker: Callable[..., Any], server: FakeServer) -> None:
    """By name, in each wire."""
    with pytest.raises(UnsupportedParameterError, match="reasoning"):
        sagemaker().complete("Hi", reasoning="low")
    with pytest.raises(UnsupportedParameterError, match="tools"):
        sagemaker(options={"api": "generate"}).complete("Hi", tools=[get_weather])
    with pytest.raises(ConfigurationError, match="Image"):
        sagemaker(options={"api": "generate"}).complete([user("What?", Image(data=PNG, media_type="image/png"))])

    assert 0 == server.hits


# -- errors


def wrapped(status: int, type: str, message: str) -> Reply:
    return Reply.error(424, code=status, type=type, message=message)


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(
    ("reply", "error", "kind", "status"),
    [
        (wrapped(422, "validation", "Input validation error: bad"), InvalidRequestError, "bad_request", 424),
        (wrapped(422, "validation", "`inputs` must have less than 9 tokens. Given: 10"), ContextWindowExceededError, "context_length", 424),
        (wrapped(429, "overloaded", "Model is overloaded"), OverloadedError, "overloaded", 424),
        (wrapped(500, "generation", "CUDA error"), InternalError, "server", 424),
        (wrapped(0, "text", "Your invocation timed out while waiting"), RequestTimeoutError, "timeout", 424),
        (Reply.error(400), ModelNotFoundError, "not_found", 400),
        (Reply.error(403), PermissionDeniedError, "permission", 403),
        (Reply.error(403, type="UnrecognizedClientException", message="invalid token"), AuthenticationError, "auth", 403),
        (Reply.error(429), RateLimitError, "rate_limit", 429),
        (Reply.error(429, type="ModelNotReadyException"), OverloadedError, "overloaded", 429),
        (Reply.error(500), InternalError, "server", 500),
        (Reply.error(503), InternalError, "server", 503),
        (Reply.error(530), InternalError, "server", 530),
    ],
)
def test_errors_have_their_classes(
    sagemaker: Callable[..., Any], server: FakeServer, streamed: bool, reply: Reply, error: Any, kind: str, status: int
) -> None:
    """Those of the container are found in the wrapping; the status is that of the reply."""
    server.enqueue(reply)

    with pytest.raises(error) as raised:
        asked(sagemaker(), "Hi", streamed=streamed)

    assert (kind, status, "sagemaker") == (raised.value.kind, raised.value.status_code, raised.value.provider)
    assert raised.value.request_id is not None


EXCEPTION = {":message-type": "exception", ":exception-type": "ModelStreamError", "Message": "gone", "ErrorCode": "StreamBroken"}
PIECE = {"choices": [{"index": 0, "delta": {"content": "Once"}, "finish_reason": None}]}


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (Reply(events=[PIECE, EXCEPTION]), InternalError),
        (Reply(events=[PIECE, {"error": {"message": "CUDA error", "http_status_code": 500}}]), InternalError),
        (Reply(events=[PIECE]), StreamInterruptedError),
        (Reply("Once upon a time", cut=1200), StreamInterruptedError),
    ],
    ids=["an exception", "an error of the container's", "no end", "cut in a frame"],
)
def test_a_stream_that_breaks_keeps_what_came(sagemaker: Callable[..., Any], server: FakeServer, reply: Reply, error: Any) -> None:
    """And is never a success, however it broke."""
    server.enqueue(reply)

    with pytest.raises(error) as raised:
        asked(sagemaker(), "Hi", streamed=True)

    assert raised.value.partial.text.startswith("Once")


def test_an_exception_before_any_content_is_tried_again(connect: Callable[..., Any], server: FakeServer) -> None:
    """Nobody has seen anything of it."""
    server.enqueue(Reply(events=[EXCEPTION]), Reply("Hi"))
    client = connect("sagemaker/my-endpoint", base_url=server.url("sagemaker"), api_key=None, options=OPTIONS)

    stream = client.stream("Hi")

    assert "Hi" == "".join(chunk.text for chunk in stream)
    assert ["server", None] == [attempt.error for attempt in stream.response.attempts]


# -- credentials


class Renewing:
    """Credentials of botocore's kind, whose first are spent."""

    def __init__(self, *tokens: str) -> None:
        self.tokens = list(tokens)
        self.threads: list[int] = []

    def get_frozen_credentials(self) -> Any:
        self.threads.append(threading.get_ident())
        token = self.tokens.pop(0) if len(self.tokens) > 1 else self.tokens[0]
        return SimpleNamespace(access_key="ASIATEST", secret_key=secret_of("ASIATEST"), token=token)


@pytest.mark.parametrize("streamed", [False, True])
def test_a_token_that_has_expired_is_replaced_once(face: Any, server: FakeServer, streamed: bool) -> None:
    """With others, at once and even where nothing is retried; an event loop has them fetched in a thread."""
    credentials = Renewing("expired-1", "good-2")

    with face.client(
        "sagemaker/my-endpoint",
        base_url=server.url("sagemaker"),
        options={"region": "us-east-1", "credentials": credentials},
    ) as client:
        answer = asked(client, "Hi", streamed=streamed)
        asked(client, "Hi", streamed=streamed)

    assert "You said: Hi" == answer.text
    assert ["auth", None] == [attempt.error for attempt in answer.attempts]
    assert ["expired-1", "good-2", "good-2"] == [request.headers["x-amz-security-token"] for request in server.requests]
    assert 2 == len(credentials.threads)
    assert (face.name == "sync") is (set(credentials.threads) == {threading.get_ident()})


def test_a_second_token_that_has_expired_is_an_error(face: Any, server: FakeServer) -> None:
    """A third would change nothing; the error shows none of them."""
    credentials = Renewing("expired-canary-1", "expired-canary-2", "good")

    with (
        face.client(
            "sagemaker/my-endpoint", base_url=server.url("sagemaker"), options={"region": "us-east-1", "credentials": credentials}
        ) as client,
        pytest.raises(AuthenticationError) as raised,
    ):
        client.complete("Hi")

    assert 2 == server.hits
    assert "ExpiredTokenException" == raised.value.type
    assert "canary" not in f"{raised.value!r} {raised.value} {raised.value.to_dict()}"


@pytest.mark.parametrize("type", ["UnrecognizedClientException", "AccessDeniedException", "InvalidSignatureException"])
def test_other_refusals_are_not_tried_again(face: Any, server: FakeServer, type: str) -> None:
    """New credentials would be refused alike."""
    credentials = Renewing("good-1")
    server.enqueue(Reply.error(403, type=type))

    with (
        face.client(
            "sagemaker/my-endpoint", base_url=server.url("sagemaker"), options={"region": "us-east-1", "credentials": credentials}
        ) as client,
        pytest.raises((AuthenticationError, PermissionDeniedError)),
    ):
        client.complete("Hi")

    assert 1 == server.hits


def test_the_environments_credentials_sign(face: Any, server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """And its region and address are found."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "ASIAENV")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", secret_of("ASIAENV"))
    monkeypatch.setenv("AWS_SESSION_TOKEN", "token")
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME", server.url("sagemaker"))

    with face.client("sagemaker/my-endpoint") as client:
        client.complete("Hi")

    assert "Credential=ASIAENV/" in server.requests[0].headers["authorization"]
    assert "/eu-central-1/sagemaker/aws4_request" in server.requests[0].headers["authorization"]


def test_each_retry_is_signed_anew(connect: Callable[..., Any], server: FakeServer) -> None:
    """With its own time; the server takes both."""
    server.enqueue(Reply.error(503), Reply("Hi"))
    client = connect("sagemaker/my-endpoint", base_url=server.url("sagemaker"), api_key=None, options=OPTIONS)

    assert "Hi" == client.complete("Hi").text
    assert 2 == len([request for request in server.requests if request.headers["authorization"].startswith("AWS4-HMAC-SHA256 ")])


def test_a_wrong_secret_is_an_authentication_error(sagemaker: Callable[..., Any], server: FakeServer) -> None:
    """Which shows nothing of it, nor of the signature."""
    with pytest.raises(AuthenticationError) as raised:
        sagemaker(options={"secret_access_key": "canary-secret"}).complete("Hi")

    error = raised.value
    assert ("auth", "InvalidSignatureException") == (error.kind, error.type)
    proof = server.requests[0].headers["authorization"].rpartition("=")[2]
    shown = f"{error!r} {error} {error.to_dict()} {error.attempts}"
    assert "canary" not in shown
    assert proof not in shown
    assert b"canary" not in pickle.dumps(error)


def test_no_secret_is_shown_or_pickled(face: Any, server: FakeServer) -> None:
    """By the client, its explanation, or its pickle."""
    options = {"region": "us-east-1", "access_key_id": "ASIACANARY", "secret_access_key": "canary-secret", "session_token": "canary-token"}
    with face.client("sagemaker/my-endpoint", base_url=server.url("sagemaker"), options=options) as client:
        told = client.explain("Hi")

        shown = f"{client!r} {told!r} {told} {told.headers}"

    assert "canary" not in shown
    with pytest.raises(ConfigurationError, match="literal key"):
        pickle.dumps(Client("sagemaker/my-endpoint", options=options))


# -- the path


@pytest.mark.parametrize("model", ["us.anthropic.claude-v1:0", "arn:aws:bedrock:us-east-1:123456789012:inference-profile/x y+ö", "a%3Ab"])
def test_the_path_is_sent_as_it_was_signed(face: Any, server: FakeServer, model: str) -> None:
    """Byte for byte, by both transports: a colon or slash that was decoded on the way would be another path."""
    credentials = AwsCredentials(access_key_id=ACCESS_KEY_ID, secret_access_key=SECRET_ACCESS_KEY)
    row = Provider(
        name="acme",
        base_url=server.url("acme"),
        dialect=OpenAIChat(owner="acme", path="/model/{model}/chat/completions"),
        auth=AwsAuth("bedrock", "us-east-1", credentials=credentials),
    )
    found: list[Reply | None] = []

    def answer(request: RecordedRequest) -> Reply:
        found.append(refuse_signature(request, service="bedrock"))
        return Reply("Hi")

    server.enqueue(answer, answer)
    with face.client(model, provider=row) as client:
        client.complete("Hi")
        client.stream("Hi").collect()

    assert [None, None] == found
    path = server.requests[0].path
    assert ":" not in path
    assert "/acme/v1/model/" + quote(model, safe="") + "/chat/completions" == path
