"""The fake Bedrock: what it refuses, and what it takes."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from llmkit.testing import FakeServer

CLAUDE = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
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
