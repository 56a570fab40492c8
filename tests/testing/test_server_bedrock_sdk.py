"""The fake Bedrock through AWS's own package, which checks signatures, shapes and checksums itself."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from llmkit.testing import FakeServer, Reply

boto3 = pytest.importorskip("boto3")

CLAUDE = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
KEYS = {"aws_access_key_id": "AKIDEXAMPLE", "aws_secret_access_key": "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"}
TOOL = {"toolSpec": {"name": "look", "inputSchema": {"json": {"type": "object", "properties": {}}}}}


def user(*blocks: Any) -> dict[str, Any]:
    return {"role": "user", "content": [{"text": block} if isinstance(block, str) else block for block in blocks]}


def result(call_id: str = "t1", **more: Any) -> dict[str, Any]:
    return {"toolResult": {"toolUseId": call_id, "content": [{"text": "x"}], **more}}


@pytest.fixture
def aws(server: FakeServer) -> Iterator[Any]:
    """AWS's own client of the runtime, which signs and does not try again."""
    config = boto3.session.Config(retries={"total_max_attempts": 1})
    client = boto3.client("bedrock-runtime", region_name="us-east-1", endpoint_url=server.url("bedrock"), config=config, **KEYS)
    yield client
    client.close()


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
