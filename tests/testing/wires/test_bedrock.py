"""The fake Bedrock: what AWS's own package makes of it, and what it refuses."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from llmkit.testing import FakeServer, Reply

boto3 = pytest.importorskip("boto3")

CLAUDE = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
KEYS = {"aws_access_key_id": "AKIDEXAMPLE", "aws_secret_access_key": "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"}
TOOL = {"toolSpec": {"name": "look", "inputSchema": {"json": {"type": "object", "properties": {}}}}}


def user(*blocks: Any) -> dict[str, Any]:
    return {"role": "user", "content": [{"text": block} if isinstance(block, str) else block for block in blocks]}


def assistant(*blocks: Any) -> dict[str, Any]:
    return {**user(*blocks), "role": "assistant"}


def use(call_id: str = "t1", **more: Any) -> dict[str, Any]:
    return {"toolUse": {"toolUseId": call_id, "name": "look", "input": {}, **more}}


def result(call_id: str = "t1", **more: Any) -> dict[str, Any]:
    return {"toolResult": {"toolUseId": call_id, "content": [{"text": "x"}], **more}}


@pytest.fixture
def aws(server: FakeServer) -> Iterator[Any]:
    """AWS's own client of the runtime, which signs and does not try again."""
    config = boto3.session.Config(retries={"total_max_attempts": 1})
    client = boto3.client("bedrock-runtime", region_name="us-east-1", endpoint_url=server.url("bedrock"), config=config, **KEYS)
    yield client
    client.close()


# -- through AWS's own package


def test_a_conversation(aws: Any, server: FakeServer) -> None:
    """A text, then a call with thoughts, sent back with its result."""
    server.enqueue(Reply("Hi there"), Reply("I look.", thinking="Hm.", tool_calls=[("look", {"city": "Rome"})]), Reply("Rain."))
    asked = {"modelId": CLAUDE, "toolConfig": {"tools": [TOOL]}}

    first = aws.converse(**asked, messages=[user("Hi")], system=[{"text": "Be brief."}], inferenceConfig={"maxTokens": 100})
    second = aws.converse(**asked, messages=[user("Weather?")])
    call = second["output"]["message"]["content"][-1]["toolUse"]
    third = aws.converse(**asked, messages=[user("Weather?"), second["output"]["message"], user(result(call["toolUseId"]))])

    assert ("end_turn", [{"text": "Hi there"}]) == (first["stopReason"], first["output"]["message"]["content"])
    assert {"inputTokens": 4, "outputTokens": 2, "totalTokens": 6, "cacheReadInputTokens": 0, "cacheWriteInputTokens": 0} == first["usage"]
    assert ("tool_use", {"city": "Rome"}) == (second["stopReason"], call["input"])
    assert [["reasoningContent"], ["text"], ["toolUse"]] == [list(block) for block in second["output"]["message"]["content"]]
    assert [{"text": "Rain."}] == third["output"]["message"]["content"]
    assert first["ResponseMetadata"]["RequestId"]


def test_a_stream(aws: Any, server: FakeServer) -> None:
    """In the order of the reference; AWS's package checks its checksums."""
    server.enqueue(Reply("I look.", thinking="Hm.", tool_calls=[("look", {"city": "Rome, of course"}), ("look", {})]))

    events = list(aws.converse_stream(modelId=CLAUDE, messages=[user("Hi")])["stream"])

    kinds = [next(iter(event)) for event in events]
    assert ["messageStart", "contentBlockDelta"] == kinds[:2]
    assert ["contentBlockStop", "messageStop", "metadata"] == kinds[-3:]
    assert 2 == kinds.count("contentBlockStart")
    deltas = [event["contentBlockDelta"]["delta"] for event in events if "contentBlockDelta" in event]
    assert "I look." == "".join(delta.get("text", "") for delta in deltas)
    assert {"city": "Rome, of course"} == json.loads("".join(delta["toolUse"]["input"] for delta in deltas if "toolUse" in delta))
    seals = [delta["reasoningContent"] for delta in deltas if "signature" in delta.get("reasoningContent", {})]
    assert 1 == len(seals)
    assert "tool_use" == next(event["messageStop"]["stopReason"] for event in events if "messageStop" in event)


def test_claude_is_invoked_in_its_own_words(aws: Any) -> None:
    """Whole and in chunks."""
    body = {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 50, "messages": [{"role": "user", "content": "Hi"}]}

    whole = json.loads(aws.invoke_model(modelId=CLAUDE, body=json.dumps(body))["body"].read())
    chunks = aws.invoke_model_with_response_stream(modelId=CLAUDE, body=json.dumps(body))["body"]
    events = [json.loads(event["chunk"]["bytes"]) for event in chunks]

    assert ("You said: Hi", True) == (whole["content"][0]["text"], whole["id"].startswith("msg_bdrk_"))
    assert ("message_start", "message_stop") == (events[0]["type"], events[-1]["type"])
    assert "You said: Hi" == "".join(event["delta"].get("text", "") for event in events if event["type"] == "content_block_delta")


def test_refusals_have_their_classes(aws: Any, server: FakeServer) -> None:
    """Which AWS's package makes of the name in the header."""
    server.enqueue(Reply.error(429), Reply.error(400, type="ServiceQuotaExceededException", message="No more."))

    with pytest.raises(aws.exceptions.ThrottlingException, match="Too many requests"):
        aws.converse(modelId=CLAUDE, messages=[user("Hi")])
    with pytest.raises(aws.exceptions.ServiceQuotaExceededException, match="No more"):
        aws.converse(modelId=CLAUDE, messages=[user("Hi")])
    with pytest.raises(aws.exceptions.ValidationException, match="identifier is invalid"):
        aws.converse(modelId="no-such-model", messages=[user("Hi")])


def test_exceptions_come_in_streams(aws: Any, server: FakeServer) -> None:
    """Behind what had come."""
    from botocore.exceptions import EventStreamError

    delta = {"contentBlockDelta": {"contentBlockIndex": 0, "delta": {"text": "Once"}}}
    server.enqueue(Reply(events=[delta, {"throttlingException": {"message": "Slow down"}}]))
    stream = aws.converse_stream(modelId=CLAUDE, messages=[user("Hi")])["stream"]
    events = iter(stream)

    assert "Once" == next(events)["contentBlockDelta"]["delta"]["text"]
    with pytest.raises(EventStreamError, match=r"throttlingException.*Slow down"):
        next(events)
    stream.close()


def test_tokens_are_counted(aws: Any) -> None:
    """Before anything is asked."""
    assert 4 == aws.count_tokens(modelId=CLAUDE, input={"converse": {"messages": [user("Hi")]}})["inputTokens"]


def test_models_and_profiles_are_listed(server: FakeServer) -> None:
    """By the control plane's client."""
    control = boto3.client("bedrock", region_name="us-east-1", endpoint_url=server.url("bedrock"), **KEYS)

    models = [row["modelId"] for row in control.list_foundation_models()["modelSummaries"]]
    profiles = [row["inferenceProfileId"] for row in control.list_inference_profiles()["inferenceProfileSummaries"]]
    control.close()

    assert CLAUDE.removeprefix("us.") in models
    assert CLAUDE in profiles


def test_who_signs_wrongly_is_refused(server: FakeServer) -> None:
    """By the same name as there."""
    from botocore.exceptions import ClientError

    client = boto3.client(
        "bedrock-runtime",
        region_name="us-east-1",
        endpoint_url=server.url("bedrock"),
        aws_access_key_id="AKIDEXAMPLE",
        aws_secret_access_key="wrong",
    )

    with pytest.raises(ClientError, match="InvalidSignatureException"):
        client.converse(modelId=CLAUDE, messages=[user("Hi")])
    client.close()


# -- what it refuses


@pytest.fixture
def session() -> Iterator[requests.Session]:
    """A bare client, which sends anything."""
    with requests.Session() as session:
        session.headers["Authorization"] = "Bearer key"
        yield session


def refused(server: FakeServer, session: requests.Session, body: Any, *, model: str = CLAUDE, operation: str = "converse") -> str:
    """Return the message of a refusal, or nothing where there is none."""
    url = f"{server.url('bedrock')}/model/{model.replace(':', '%3A')}/{operation}"
    response = session.post(url, data=body if isinstance(body, bytes) else json.dumps(body), timeout=5)
    if response.status_code == 200:
        return ""
    assert (400, True) == (response.status_code, "Exception:" in response.headers["x-amzn-errortype"])
    return str(response.json()["message"])


HI = {"messages": [user("Hi")]}
CALLED = [user("a"), assistant(use()), user(result())]
IMAGE = {"image": {"format": "png", "source": {"bytes": base64.b64encode(b"png").decode()}}}
DOCUMENT = {"document": {"format": "pdf", "name": "a", "source": {"bytes": base64.b64encode(b"pdf").decode()}}}
TEXT_DOCUMENT = {"document": {**DOCUMENT["document"], "format": "txt"}}
POINT = {"cachePoint": {"type": "default"}}
TOOLS = {"tools": [TOOL]}
LLAMA, NOVA, OSS = "us.meta.llama3-3-70b-instruct-v1:0", "amazon.nova-lite-v1:0", "openai.gpt-oss-120b-1:0"


def held(schema: Any) -> dict[str, Any]:
    shape = {"schema": schema if isinstance(schema, str) else json.dumps(schema), "name": "x"}
    return {"textFormat": {"type": "json_schema", "structure": {"jsonSchema": shape}}}


def thought(**said: Any) -> dict[str, Any]:
    return {"reasoningContent": {"reasoningText": said}}


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"{no", "parse the request body"),
        (b"[]", "parse the request body"),
        ({}, "must start with a user message"),
        ({"messages": []}, "must start with a user message"),
        ({**HI, "model": "x"}, "extraneous key [model]"),
        ({**HI, "stream": True}, "extraneous key [stream]"),
        ({**HI, "system": "x"}, "list of unions"),
        ({**HI, "system": [{"text": " "}]}, "is blank"),
        ({**HI, "system": [{"image": {}}]}, "has text, cachePoint"),
        ({"messages": [user("a"), user("b")]}, "must alternate"),
        ({"messages": [{"role": "tool", "content": [{"text": "a"}]}]}, "Member must be one of"),
        ({"messages": [{"role": "user", "content": []}]}, "is empty"),
        ({"messages": [{"role": "user", "content": "Hi"}]}, "is empty"),
        ({"messages": [{**user("a"), "name": "ann"}]}, "extraneous key"),
        ({"messages": [user("a"), {"role": "system", "content": [{"text": "b"}]}]}, "system role"),
        ({"messages": [user(" ")]}, "is blank"),
        ({"messages": [user({"text": "a", **POINT})]}, "is a union"),
        ({"messages": [user(use())]}, "cannot stand there"),
        ({"messages": [user({"image": {**IMAGE["image"], "format": "tiff"}})]}, "'tiff'"),
        ({"messages": [user({"image": {"format": "png", "source": {"bytes": "%%"}}})]}, "not base64"),
        ({"messages": [user({"image": {"format": "png", "source": {"url": "https://x"}}})]}, "is a union"),
        ({"messages": [user(DOCUMENT)]}, "text block must be included"),
        ({"messages": [user("a", DOCUMENT, DOCUMENT)]}, "more than once"),
        ({"messages": [user("a", {"document": {**DOCUMENT["document"], "name": "a.pdf"}})]}, "alphanumeric"),
        ({"messages": [user("a", TEXT_DOCUMENT, POINT)]}, "type: Field required"),
        ({"messages": CALLED}, "toolConfig field must be defined"),
        ({"messages": CALLED[:2], "toolConfig": TOOLS}, "Expected toolResult blocks"),
        ({"messages": [*CALLED[:2], user("a")], "toolConfig": TOOLS}, "Expected toolResult blocks"),
        ({"messages": [user(result())], "toolConfig": TOOLS}, "exceeds the number of toolUse"),
        ({"messages": [user("a"), assistant(use(), use()), user(result())], "toolConfig": TOOLS}, "duplicate Ids"),
        ({"messages": [user("a"), assistant(use("a/b")), user(result("a/b"))], "toolConfig": TOOLS}, "toolUseId"),
        ({"messages": [user("a"), assistant(use(input="{}")), user(result())], "toolConfig": TOOLS}, "json object"),
        ({"messages": [user("a"), assistant(use(name="a.b")), user(result())], "toolConfig": TOOLS}, "name"),
        ({"messages": [*CALLED[:2], user(result(status="bad"))], "toolConfig": TOOLS}, "status"),
        ({"messages": [*CALLED[:2], user(result(content=[{"json": 1}]))], "toolConfig": TOOLS}, "json object"),
        ({"messages": [*CALLED[:2], user(result(), "a", DOCUMENT)], "toolConfig": TOOLS}, "beside toolResult"),
        ({"messages": [user("a"), assistant(thought(text="x"), "b"), user("c")]}, "signature: Field required"),
        ({"messages": [user("a"), assistant(thought(text="x", signature="made up"), "b"), user("c")]}, "Invalid `signature`"),
        ({"messages": [user("a"), assistant({"reasoningContent": {"text": "x"}}), user("c")]}, "must have reasoningText"),
        ({"messages": [user("a"), assistant("b ")]}, "trailing whitespace"),
        ({"messages": [user("a", POINT, "b", POINT, "c", POINT, "d", POINT, "e", POINT)]}, "A maximum of 4"),
        ({"messages": [user("a", {"cachePoint": {"type": "other"}})]}, "cachePoint.type"),
        ({**HI, "inferenceConfig": {"topK": 1}}, "extraneous key [topK]"),
        ({**HI, "inferenceConfig": {"temperature": 1.5}}, "inferenceConfig.temperature"),
        ({**HI, "inferenceConfig": {"maxTokens": 0}}, "maxTokens"),
        ({**HI, "inferenceConfig": {"stopSequences": [""]}}, "stopSequences"),
        ({**HI, "toolConfig": {"tools": []}}, "length greater than or equal to 1"),
        ({**HI, "toolConfig": {"tools": [TOOL, TOOL]}}, "unique"),
        ({**HI, "toolConfig": {"tools": [{"toolSpec": {**TOOL["toolSpec"], "description": ""}}]}}, "description"),
        ({**HI, "toolConfig": {"tools": [{"toolSpec": {**TOOL["toolSpec"], "inputSchema": {"json": {}}}}]}}, "object"),
        ({**HI, "toolConfig": {"tools": [{"toolSpec": {**TOOL["toolSpec"], "strict": True}}]}}, "additionalProperties"),
        ({**HI, "toolConfig": {**TOOLS, "toolChoice": {"none": {}}}}, "is a union"),
        ({**HI, "toolConfig": {**TOOLS, "toolChoice": {"tool": {"name": "other"}}}}, "not found"),
        ({**HI, "additionalModelRequestFields": {"reasoning_effort": "low"}}, "extraneous key [reasoning_effort]"),
        ({**HI, "outputConfig": held({"type": "object"})}, "additionalProperties"),
        ({**HI, "outputConfig": held("{no")}, "not valid JSON"),
        ({**HI, "outputConfig": {"textFormat": {"type": "json_schema", "structure": {"jsonSchema": {"schema": {}}}}}}, "JSON string"),
    ],
)
def test_a_bad_request_is_refused(server: FakeServer, session: requests.Session, body: Any, words: str) -> None:
    """In the service's words, or such as they would be."""
    assert words in refused(server, session, body)


@pytest.mark.parametrize(
    ("model", "body", "words"),
    [
        (LLAMA, {"messages": [assistant("a"), user("b")]}, "must start with a user message"),
        (LLAMA, {"messages": [*CALLED[:2], user(result(), "a")], "toolConfig": TOOLS}, "beside toolResult"),
        (LLAMA, {**HI, "toolConfig": {**TOOLS, "toolChoice": {"any": {}}}}, "toolConfig.toolChoice.any"),
        (LLAMA, {"messages": [user("a"), assistant(thought(text="x"), "b"), user("c")]}, "reasoningContent field"),
        (LLAMA, {"messages": [user("a", POINT)]}, "prompt caching"),
        (OSS, {"messages": [user("a"), assistant(thought(text="x", signature=""), "b"), user("c")]}, "signature field"),
        (NOVA, {**HI, "toolConfig": {"tools": [TOOL, POINT]}}, "cache points in the tools"),
        (NOVA, {**HI, "outputConfig": held({"type": "object"})}, "outputConfig.textFormat"),
        (NOVA, {**HI, "additionalModelRequestFields": {"top_k": 1}}, "extraneous key [top_k]"),
        (
            NOVA,
            {**HI, "toolConfig": {"tools": [{"toolSpec": {"name": "a", "inputSchema": {"json": {"type": "object", "title": "x"}}}}]}},
            "conventions",
        ),
    ],
)
def test_families_refuse_what_they_do_not_know(server: FakeServer, session: requests.Session, model: str, body: Any, words: str) -> None:
    """Each its own."""
    assert words in refused(server, session, body, model=model)


@pytest.mark.parametrize(
    ("model", "body"),
    [
        (CLAUDE, {**HI, "system": []}),
        (CLAUDE, {"messages": [assistant("a"), user("b")]}),
        (CLAUDE, {"messages": [*CALLED[:2], user(result(), "a", IMAGE)], "toolConfig": TOOLS}),
        (CLAUDE, {"messages": [user("a", DOCUMENT, POINT)]}),
        (CLAUDE, {**HI, "guardrailConfig": {}, "serviceTier": {"type": "flex"}, "requestMetadata": {"a": "b"}}),
        (OSS, {"messages": [user("a"), assistant(thought(text="x"), "b"), user("c")]}),
        ("acme.new-v1:0", {**HI, "additionalModelRequestFields": {"anything": 1}}),
    ],
)
def test_what_is_good_is_taken(server: FakeServer, session: requests.Session, model: str, body: Any) -> None:
    """So that strictness does not come to mean suspicion."""
    assert "" == refused(server, session, body, model=model)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"model": "x"}, "extraneous key [model]"),
        ({"stream": True}, "extraneous key [stream]"),
        ({"max_tokens": 1, "messages": []}, "anthropic_version"),
        ({"anthropic_version": "bedrock-2023-05-31", "messages": [{"role": "user", "content": "Hi"}]}, "max_tokens: Field required"),
    ],
)
def test_an_invocation_is_anthropics_and_more(server: FakeServer, session: requests.Session, body: Any, words: str) -> None:
    """Its version stands in the body, its model in the path."""
    assert words in refused(server, session, body, operation="invoke")


def test_headers_of_anthropics_are_refused(server: FakeServer, session: requests.Session) -> None:
    """They belong into the body."""
    session.headers["anthropic-beta"] = "x"

    assert "in the body" in refused(server, session, {"anthropic_version": "bedrock-2023-05-31"}, operation="invoke")


def test_nobody_is_let_in_without_a_key(server: FakeServer) -> None:
    """Nor with one that is not known."""
    url = f"{server.url('bedrock')}/model/m/converse"

    nobody = requests.post(url, json=HI, timeout=5)
    with FakeServer(keys=["good"]) as choosy:
        stranger = requests.post(f"{choosy.url('bedrock')}/model/m/converse", json=HI, headers={"Authorization": "Bearer x"}, timeout=5)

    assert (403, "MissingAuthenticationTokenException") == (nobody.status_code, nobody.headers["x-amzn-errortype"].partition(":")[0])
    assert (403, "Authentication failed: Please make sure your API Key is valid.") == (stranger.status_code, stranger.json()["message"])


def test_an_unquoted_path_leads_nowhere(server: FakeServer, session: requests.Session) -> None:
    """The slash of an ARN would be another segment."""
    url = f"{server.url('bedrock')}/model/arn:aws:bedrock:us-east-1:1:inference-profile/x/converse"

    assert 404 == session.post(url, json=HI, timeout=5).status_code
