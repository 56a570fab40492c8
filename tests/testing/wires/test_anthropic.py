"""Messages as the fake sends them: shapes that no official client looks at closely."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from llmkit.testing import FakeServer, Reply
from llmkit.testing.wires.anthropic_history import sealed

HEADERS = {"anthropic-version": "2023-06-01", "x-api-key": "sk-1"}


@pytest.fixture
def session() -> Iterator[requests.Session]:
    """A bare client, so that the wire itself is seen."""
    with requests.Session() as session:
        session.headers.update(HEADERS)
        yield session


def asked(server: FakeServer, session: requests.Session, **body: Any) -> requests.Response:
    good = {"model": "claude-sonnet-4-5", "max_tokens": 100, "messages": [{"role": "user", "content": "Say hi"}]}
    return session.post(f"{server.url('anthropic')}/v1/messages", json={**good, **body}, timeout=5)


def events(response: requests.Response) -> list[tuple[str, dict[str, Any]]]:
    """Return the names and the data of a stream's events."""
    found = []
    for block in response.content.decode().split("\n\n")[:-1]:
        name, _, data = block.partition("\n")
        found.append((name.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
    return found


def test_an_answer_has_every_field(server: FakeServer, session: requests.Session) -> None:
    """With ids and limits in the headers."""
    response = asked(server, session)
    told = response.json()

    assert {
        *("id", "type", "role", "model", "content", "stop_reason", "stop_sequence", "stop_details", "usage"),
    } == set(told)
    assert [{"type": "text", "text": "You said: Say hi"}] == told["content"]
    assert ("end_turn", 5, 4) == (told["stop_reason"], told["usage"]["input_tokens"], told["usage"]["output_tokens"])
    assert response.headers["request-id"].startswith("req_")
    assert "3999" == response.headers["anthropic-ratelimit-requests-remaining"]


def test_a_stream_names_its_events(server: FakeServer, session: requests.Session) -> None:
    """In the order of the reference, with a ping behind the first block."""
    server.enqueue(Reply("Hi all", thinking="Hm", tool_calls=[("look", {"city": "Paris"}), ("look", {})]))

    found = events(asked(server, session, stream=True))

    assert all(name == data["type"] for name, data in found)
    deltas = [data["delta"] for _, data in found if data["type"] == "content_block_delta"]
    assert [
        ("thinking_delta", "Hm"),
        ("signature_delta", sealed("Hm")),
        ("text_delta", "Hi"),
        ("text_delta", " all"),
        ("input_json_delta", ""),
        ("input_json_delta", '{"city": "Pa'),
        ("input_json_delta", 'ris"}'),
        ("input_json_delta", ""),
    ] == [tuple(delta.values()) for delta in deltas]
    shown = [name for name, data in found if name not in ("content_block_delta",)]
    block = ["content_block_start", "content_block_stop"]
    assert ["message_start", *block, "ping", *block, *block, *block, "message_delta", "message_stop"] == shown
    assert ("tool_use", 1) == (found[-2][1]["delta"]["stop_reason"], found[0][1]["message"]["usage"]["output_tokens"])


def test_thoughts_are_sealed_and_may_be_hidden(server: FakeServer, session: requests.Session) -> None:
    """Newer models show the seal alone, unless they are asked for more."""
    server.always(Reply("Hi", thinking="Hm"))

    old = asked(server, session).json()["content"][0]
    new = asked(server, session, model="claude-opus-5").json()["content"][0]
    both = asked(server, session, model="claude-opus-5", thinking={"type": "adaptive", "display": "summarized"}).json()

    assert ("Hm", sealed("Hm"), "", sealed("")) == (old["thinking"], old["signature"], new["thinking"], new["signature"])
    assert ("Hm", 1) == (both["content"][0]["thinking"], both["usage"]["output_tokens_details"]["thinking_tokens"])


def test_a_demanded_tool_is_called(server: FakeServer, session: requests.Session) -> None:
    """With the least that its schema allows, and a native id."""
    tools = [{"name": "look", "input_schema": {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}}]

    for choice in ({"type": "any"}, {"type": "tool", "name": "look"}):
        told = asked(server, session, tools=tools, tool_choice=choice).json()
        (call,) = told["content"]
        assert ("tool_use", "look", {"n": 0}) == (told["stop_reason"], call["name"], call["input"])
        assert call["id"].startswith("toolu_")


def test_a_schema_is_kept_to(server: FakeServer, session: requests.Session) -> None:
    """In the text."""
    schema = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": False}

    told = asked(server, session, output_config={"format": {"type": "json_schema", "schema": schema}}).json()

    assert {"a": "Say hi"} == json.loads(told["content"][0]["text"])


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"max_tokens": 2}, ("You said:", "max_tokens", None)),
        ({"stop_sequences": ["x", " said"]}, ("You", "stop_sequence", " said")),
        ({"stop_sequences": ["x"]}, ("You said: Say hi", "end_turn", None)),
    ],
)
def test_bounds_are_obeyed(server: FakeServer, session: requests.Session, body: dict[str, Any], expected: Any) -> None:
    """And named as the reason."""
    told = asked(server, session, **body).json()

    assert expected == (told["content"][0]["text"], told["stop_reason"], told["stop_sequence"])


def test_a_refusal_says_nothing(server: FakeServer, session: requests.Session) -> None:
    """Beside why."""
    server.enqueue(Reply(refusal="No."))

    told = asked(server, session).json()

    assert ([], "refusal", "No.") == (told["content"], told["stop_reason"], told["stop_details"]["explanation"])


def test_a_script_may_say_how_it_ends_and_what_it_cost(server: FakeServer, session: requests.Session) -> None:
    """In the wire's own words."""
    server.enqueue(Reply("Hi", finish_reason="pause_turn", usage={"cache_read_input_tokens": 7}, id="msg_x", model="m", request_id="req_x"))

    response = asked(server, session)
    told = response.json()

    assert ("pause_turn", 7, "msg_x", "m") == (told["stop_reason"], told["usage"]["cache_read_input_tokens"], told["id"], told["model"])
    assert "req_x" == response.headers["request-id"]


def test_the_last_words_of_the_user_are_echoed(server: FakeServer, session: requests.Session) -> None:
    """A turn of results alone has none."""
    call = {"type": "tool_use", "id": "a", "name": "look", "input": {}}
    history = [{"role": "user", "content": "Look."}, {"role": "assistant", "content": [call]}]
    result = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "a", "content": "Sun"}]}

    assert "You said: Look." == asked(server, session, messages=[*history, result]).json()["content"][0]["text"]


def test_errors_have_their_form(server: FakeServer, session: requests.Session) -> None:
    """Type, sentence, the id of the request, and a code where the script has one."""
    server.enqueue(Reply.error(529), Reply.error(429, code="enforced_spend_limit_reached", message="No.", retry_after=3), Reply.error(503))

    first, second, third = (asked(server, session) for _ in range(3))

    assert {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}} == {
        key: value for key, value in first.json().items() if key != "request_id"
    }
    assert first.json()["request_id"] == first.headers["request-id"]
    assert {"error_code": "enforced_spend_limit_reached"} == second.json()["error"]["details"]
    assert ("3", "api_error") == (second.headers["retry-after"], third.json()["error"]["type"])


def test_what_is_written_out_is_sent_so(server: FakeServer, session: requests.Session) -> None:
    """Documents, events, and replies without a body."""
    server.enqueue(Reply(raw={"a": 1}), Reply(events=[{"type": "ping"}, ": note\n\n", {"x": 1}]), Reply(status=204))

    assert {"a": 1} == asked(server, session).json()
    assert b'event: ping\ndata: {"type":"ping"}\n\n: note\n\ndata: {"x":1}\n\n' == asked(server, session, stream=True).content
    assert b"" == asked(server, session).content

    server.enqueue(Reply.error(500, body={"b": 2}), Reply(raw={"data": []}))
    assert (500, {"b": 2}) == ((failed := asked(server, session)).status_code, failed.json())
    assert {"data": []} == session.get(f"{server.url('anthropic')}/v1/models", timeout=5).json()


def test_a_script_answers_what_is_no_request() -> None:
    """Where the checks are off."""
    with FakeServer(strict=False) as server, requests.Session() as session:
        server.enqueue(Reply("Hi"))

        response = session.post(f"{server.url('anthropic')}/v1/messages", data=b"no json", timeout=5)

    assert "Hi" == response.json()["content"][0]["text"]


def test_keys_are_demanded_in_either_header() -> None:
    """The official package sends a bearer token since its second version."""
    with FakeServer(keys=["sk-1"]) as server, requests.Session() as session:
        url = f"{server.url('anthropic')}/v1/models"
        version = {"anthropic-version": "2023-06-01"}
        told = [
            session.get(url, headers={**version, **headers}, timeout=5)
            for headers in ({}, {"x-api-key": "sk-2"}, {"x-api-key": "sk-1"}, {"authorization": "Bearer sk-1"})
        ]

    assert [401, 401, 200, 200] == [response.status_code for response in told]
    assert ["x-api-key header is required", "invalid x-api-key"] == [response.json()["error"]["message"] for response in told[:2]]


def test_models_come_in_pages(server: FakeServer, session: requests.Session) -> None:
    """And one by one."""
    url = f"{server.url('anthropic')}/v1/models"
    first = session.get(url, params={"limit": 4}, timeout=5).json()
    second = session.get(url, params={"limit": 4, "after_id": first["last_id"]}, timeout=5).json()
    one = session.get(f"{url}/claude-haiku-4-5", timeout=5).json()

    assert ([4, True], [2, False]) == ([len(first["data"]), first["has_more"]], [len(second["data"]), second["has_more"]])
    assert (200_000, 64_000, "haiku") == (one["max_input_tokens"], one["max_tokens"], one["line"])
    assert 404 == session.get(f"{url}/no-such-model", timeout=5).status_code
    assert 400 == session.get(url, headers={"anthropic-version": "1"}, timeout=5).status_code


def test_tokens_are_counted(server: FakeServer, session: requests.Session) -> None:
    """The system's too."""
    body = {"model": "m", "system": "Be kind.", "messages": [{"role": "user", "content": "Say hi"}]}

    told = session.post(f"{server.url('anthropic')}/v1/messages/count_tokens", json=body, timeout=5).json()

    assert {"input_tokens": 10} == told


def test_the_base_url_is_that_of_the_documentation(server: FakeServer) -> None:
    """Without a version in its path, which the wire's own paths have."""
    assert f"{server.origin}/anthropic" == server.url("anthropic")
