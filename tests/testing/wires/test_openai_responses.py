"""The Responses API as the fake server plays it: what it says, and what it refuses."""

from __future__ import annotations

import json
from typing import Any

import pytest
import requests

from llmkit.testing import FakeServer, Reply
from llmkit.testing.wires.openai_responses_checks import sealed

SCHEMA: dict[str, Any] = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"], "additionalProperties": False}
CALL = {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"}
OUTPUT = {"type": "function_call_output", "call_id": "c1", "output": "x"}
USER = {"role": "user", "content": "Hi"}
THOUGHT = {"id": "rs_1", "type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm."}], "encrypted_content": sealed("Hm.")}
SEALS = ["reasoning.encrypted_content"]


def post(server: FakeServer, provider: str = "openai", key: str | None = "sk-1", **body: Any) -> requests.Response:
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    return requests.post(f"{server.url(provider)}/responses", json={"model": "gpt-5", "input": "Hi", **body}, headers=headers, timeout=5)


def test_an_answer_echoes(server: FakeServer) -> None:
    """In one message, with its usage and what was asked."""
    answer = post(server, instructions="Be brief.").json()

    (message,) = answer["output"]
    assert ("You said: Hi", "completed", "Be brief.", True) == (
        message["content"][0]["text"],
        answer["status"],
        answer["instructions"],
        answer["store"],
    )
    assert answer["usage"]["total_tokens"] == answer["usage"]["input_tokens"] + answer["usage"]["output_tokens"]


def test_thoughts_are_sealed_for_who_asks(server: FakeServer) -> None:
    """And for nobody else."""
    server.enqueue(Reply("Hi", thinking="Hm."), Reply("Hi", thinking="Hm."))

    asked, unasked = post(server, include=SEALS).json()["output"], post(server).json()["output"]

    assert ["reasoning", "message"] == [item["type"] for item in asked]
    assert sealed("Hm.") == asked[0]["encrypted_content"]
    assert "encrypted_content" not in unasked[0]


def test_a_stream_is_named_numbered_and_has_no_done(server: FakeServer) -> None:
    """Its last event is the whole response."""
    text = post(server, stream=True).text

    names = [line[7:] for line in text.splitlines() if line.startswith("event: ")]
    events = [json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: ")]
    assert names == [event["type"] for event in events]
    assert list(range(len(events))) == [event["sequence_number"] for event in events]
    assert ("response.completed", "completed") == (names[-1], events[-1]["response"]["status"])
    assert "[DONE]" not in text


def test_an_answer_that_ran_out_is_incomplete(server: FakeServer) -> None:
    """Whole and streamed."""
    answer = post(server, max_output_tokens=1).json()

    assert ("incomplete", {"reason": "max_output_tokens"}) == (answer["status"], answer["incomplete_details"])
    assert "event: response.incomplete" in post(server, max_output_tokens=1, stream=True).text


def test_what_is_written_out_is_sent_so(server: FakeServer) -> None:
    """Events and bodies of the script's own."""
    server.enqueue(Reply(events=[{"type": "x"}]), Reply(raw={"a": 1}))

    assert 'data: {"type":"x"}\n\n' == post(server, stream=True).text
    assert {"a": 1} == post(server).json()


def test_a_call_is_demanded_and_answered(server: FakeServer) -> None:
    """Any, by name, or from a few."""
    tool = {"type": "function", "name": "f", "parameters": SCHEMA}

    for choice in ("required", {"type": "function", "name": "f"}):
        (item,) = post(server, tools=[tool], tool_choice=choice).json()["output"]
        assert ("function_call", "f", '{"n": 0}') == (item["type"], item["name"], item["arguments"])
    assert 200 == post(server, input=[USER, CALL, OUTPUT], tools=[tool]).status_code


@pytest.mark.parametrize(
    ("body", "status", "code", "words"),
    [
        ({"messages": []}, 400, "unknown_parameter", "Unknown parameter: 'messages'"),
        ({"stop": "x"}, 400, "unknown_parameter", "'stop'"),
        ({"seed": 1}, 400, "unknown_parameter", "'seed'"),
        ({"input": None}, 400, "missing_required_parameter", "'input'"),
        ({"input": [1]}, 400, "invalid_type", "'input[0]'"),
        ({"input": 1}, 400, "invalid_type", "'input'"),
        ({"input": [{"role": "tool", "content": "x"}]}, 400, "invalid_value", "'tool'"),
        ({"input": [{"role": "user", "content": "x", "name": "ann"}]}, 400, "unknown_parameter", "input[0].name"),
        ({"input": [{"role": "user", "content": None}]}, 400, "invalid_type", "content"),
        ({"input": [{"role": "user", "content": [{"type": "text", "text": "x"}]}]}, 400, "invalid_value", "'input_text'"),
        ({"input": [{"role": "assistant", "content": [{"type": "input_text", "text": "x"}]}]}, 400, "invalid_value", "'output_text'"),
        ({"input": [{"type": "odd"}]}, 400, "invalid_value", "'odd'"),
        ({"input": [{"type": "function_call", "call_id": "c"}]}, 400, "missing_required_parameter", "input[0].name"),
        ({"input": [USER, {**THOUGHT, "status": None}]}, 400, "invalid_type", "input[1].status"),
        ({"input": [USER, CALL]}, 400, None, "No tool output found for function call c1"),
        ({"input": [USER, OUTPUT]}, 400, None, "No tool call found"),
        ({"input": [USER, THOUGHT]}, 400, None, "required following item"),
        ({"input": [THOUGHT, USER]}, 400, None, "required following item"),
        ({"input": [{**THOUGHT, "encrypted_content": "x"}, CALL, OUTPUT]}, 400, "invalid_encrypted_content", "could not be verified"),
        ({"input": [{"id": "rs_1", "type": "reasoning", "summary": []}, CALL, OUTPUT], "store": False}, 404, None, "not found"),
        ({"max_output_tokens": "x"}, 400, "invalid_type", "max_output_tokens"),
        ({"temperature": 3}, 400, "decimal_above_max_value", "temperature"),
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, 400, "missing_required_parameter", "tools[0].name"),
        ({"tools": [{"type": "function", "name": "f", "parameters": {"type": "object"}}]}, 400, "invalid_function_parameters", "'f'"),
        ({"tool_choice": "required"}, 400, None, "no tools"),
        ({"text": {"format": {"type": "json_object"}}}, 400, None, "'json'"),
        ({"text": {"format": {"type": "json_schema", "json_schema": {}}}}, 400, "missing_required_parameter", "text.format.name"),
        (
            {"text": {"format": {"type": "json_schema", "name": "n", "schema": {"type": "object"}, "strict": True}}},
            400,
            "invalid_json_schema",
            "'n'",
        ),
        ({"model": "gpt-4o", "include": SEALS}, 400, None, "Encrypted content is not supported"),
        ({"model": "no-such-model"}, 400, "model_not_found", "does not exist"),
        ({"model": ""}, 400, None, "model parameter"),
    ],
)
def test_a_wrong_request_is_refused(server: FakeServer, body: dict[str, Any], status: int, code: str | None, words: str) -> None:
    """In the service's own words."""
    answer = post(server, **body)

    assert (status, code) == (answer.status_code, answer.json()["error"]["code"])
    assert words in answer.json()["error"]["message"]


def test_a_request_that_is_no_json_is_refused(server: FakeServer) -> None:
    """As on the other wire."""
    answer = requests.post(f"{server.url('openai')}/responses", data=b"{", headers={"Authorization": "Bearer sk-1"}, timeout=5)

    assert (400, "invalid_request_error") == (answer.status_code, answer.json()["error"]["type"])


def test_good_histories_are_taken(server: FakeServer) -> None:
    """A thought with what it led to, hosted tools, and what is kept by an id."""
    for given in ([USER, THOUGHT, CALL, OUTPUT], [USER, THOUGHT, {"id": "ws_1", "type": "web_search_call", "status": "completed"}, USER]):
        assert 200 == post(server, input=given, store=False).status_code
    assert 200 == post(server, input=[OUTPUT], previous_response_id="resp_1").status_code


def test_an_unknown_key_is_refused() -> None:
    """In OpenAI's words."""
    with FakeServer(keys=["sk-right"]) as server:
        answer = post(server, key="sk-wrong-wrong")

    assert (401, "invalid_api_key") == (answer.status_code, answer.json()["error"]["code"])


def test_texts_in_parts_are_read(server: FakeServer) -> None:
    """Pictures beside them are not."""
    picture = {"type": "input_image", "image_url": "data:image/png;base64,iVBORw=="}

    answer = post(server, input=[{"role": "user", "content": [{"type": "input_text", "text": "Hi"}, picture]}]).json()

    assert "You said: Hi" == answer["output"][0]["content"][0]["text"]


def test_a_refusal_has_its_own_part(server: FakeServer) -> None:
    """In a message."""
    server.enqueue(Reply(refusal="No."))

    assert [{"type": "refusal", "refusal": "No."}] == post(server).json()["output"][0]["content"]


def test_hosted_tools_are_taken_as_they_are(server: FakeServer) -> None:
    """Beside functions."""
    assert 200 == post(server, tools=[{"type": "web_search"}]).status_code


@pytest.mark.parametrize("provider", ["openai-responses", "deepseek", "openrouter", "azure"])
def test_others_speak_it_too(server: FakeServer, provider: str) -> None:
    """Each at its own address."""
    assert "You said: Hi" == post(server, provider).json()["output"][0]["content"][0]["text"]
