"""Cohere's API as the fake server sends it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from llmkit.testing.replies import RecordedRequest, Reply
from llmkit.testing.wires import base_path, find
from llmkit.testing.wires.cohere import WIRE

USER = {"role": "user", "content": "Say hi"}
LOOK = {
    "type": "function",
    "function": {"name": "look", "parameters": {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}},
}


def render(
    reply: Reply | None = None,
    *,
    method: str = "POST",
    path: str = "/v2/chat",
    query_string: str = "",
    data: bytes | None = None,
    **body: Any,
) -> Any:
    """Return what is sent for a request with *body*."""
    whole = json.dumps({"model": "command-a-03-2025", "messages": [USER], **body}).encode()
    request = RecordedRequest(
        method=method,
        path=f"/cohere{path}",
        provider="cohere",
        endpoint=path,
        query_string=query_string,
        body=whole if data is None else data,
    )
    reply = reply or Reply()
    route = find("cohere", method, path).route
    assert route is not None
    return (WIRE.render_error if reply.fails else route.render)(request, reply)


def whole(reply: Reply | None = None, **rest: Any) -> Any:
    return json.loads(b"".join(render(reply, **rest).body))


def events(reply: Reply | None = None, **body: Any) -> list[Any]:
    """Return the events of a stream, each of which says its type twice."""
    rendered = render(reply, stream=True, **body)
    assert ("text/event-stream", True) == (rendered.content_type, rendered.streamed)
    found = []
    for piece in rendered.body:
        name, data = piece.decode().rstrip("\n").split("\n")
        found.append(json.loads(data.removeprefix("data: ")))
        assert f"event: {found[-1]['type']}" == name
    return found


def test_it_is_found_by_its_paths() -> None:
    """Without a path in its base."""
    assert "" == base_path("cohere")
    assert find("cohere", "POST", "/v2/chat").wire is WIRE
    assert find("openai", "POST", "/v2/chat").route is None


def test_an_echo_with_its_counts() -> None:
    """More is read than is charged for, since Cohere says something too."""
    answer = whole()

    assert {"role": "assistant", "content": [{"type": "text", "text": "You said: Say hi"}]} == answer["message"]
    assert "COMPLETE" == answer["finish_reason"]
    assert ({"input_tokens": 5, "output_tokens": 4}, {"input_tokens": 105, "output_tokens": 4}, 0) == tuple(answer["usage"].values())
    assert set(answer) == {"id", "finish_reason", "usage", "message"}


def test_a_scripted_answer_has_all_that_was_said() -> None:
    """In its own places: beside calls, the text is the plan."""
    reply = Reply(
        "I look.", thinking="Hm hm", id="a-1", request_id="t-1", usage={"cached_tokens": 50}, tool_calls=[("f", {"a": 1}), ("g", {})]
    )

    answer = whole(reply)

    message = answer["message"]
    assert ("a-1", "TOOL_CALL", 50) == (answer["id"], answer["finish_reason"], answer["usage"]["cached_tokens"])
    assert ([{"type": "thinking", "thinking": "Hm hm"}], "I look.") == (message["content"], message["tool_plan"])
    assert [{"name": "f", "arguments": '{"a": 1}'}, {"name": "g", "arguments": "{}"}] == [
        call["function"] for call in message["tool_calls"]
    ]
    assert 2 == len({call["id"] for call in message["tool_calls"]})
    assert "t-1" == render(reply).headers["x-debug-trace-id"]


def test_a_stream_of_text() -> None:
    """A start, pieces, ends; counts come last."""
    found = events(Reply("Hi you", thinking="Hm"))

    kinds = [event["type"] for event in found]
    block = ["content-start", "content-delta", "content-end"]
    assert ["message-start", *block, "content-start", "content-delta", "content-delta", "content-end", "message-end"] == kinds
    assert [{"type": "thinking", "thinking": ""}, {"thinking": "Hm"}] == [event["delta"]["message"]["content"] for event in found[1:3]]
    assert [0, 0, 0, 1, 1, 1, 1] == [event["index"] for event in found[1:-1]]
    assert ("COMPLETE", 3) == (found[-1]["delta"]["finish_reason"], found[-1]["delta"]["usage"]["tokens"]["output_tokens"])


def test_a_stream_of_calls() -> None:
    """A plan, then each call: an object, arguments in pieces, none for a call that needs none but its braces."""
    found = events(Reply("I look.", tool_calls=[("f", {"city": "San Francisco"}), ("g", "")]))

    assert "I look." == "".join(event["delta"]["message"]["tool_plan"] for event in found if event["type"] == "tool-plan-delta")
    starts = [event["delta"]["message"]["tool_calls"] for event in found if event["type"] == "tool-call-start"]
    assert [("f", ""), ("g", "")] == [(call["function"]["name"], call["function"]["arguments"]) for call in starts]
    deltas = [event for event in found if event["type"] == "tool-call-delta"]
    assert {0} == {event["index"] for event in deltas}
    assert '{"city": "San Francisco"}' == "".join(event["delta"]["message"]["tool_calls"]["function"]["arguments"] for event in deltas)
    assert "TOOL_CALL" == found[-1]["delta"]["finish_reason"]


def test_a_refusal_is_text() -> None:
    """The wire has no other place for it."""
    assert "No." == whole(Reply(refusal="No."))["message"]["content"][0]["text"]
    assert "No." == events(Reply(refusal="No."))[2]["delta"]["message"]["content"]["text"]


def test_limits_stops_choices_and_shapes_are_obeyed() -> None:
    """Each in its own words."""
    cut, stopped = whole(max_tokens=2), whole(stop_sequences=["Say"])
    called = whole(tools=[LOOK], tool_choice="REQUIRED")["message"]
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}

    assert ("You said:", "MAX_TOKENS") == (cut["message"]["content"][0]["text"], cut["finish_reason"])
    assert "You said: " == stopped["message"]["content"][0]["text"]
    assert {"name": "look", "arguments": '{"n": 0}'} == called["tool_calls"][0]["function"]
    assert '{"n": 0}' == whole(response_format={"type": "json_object", "json_schema": schema})["message"]["content"][0]["text"]
    assert '{"answer": "You said: Say hi"}' == whole(response_format={"type": "json_object"})["message"]["content"][0]["text"]


def test_nothing_at_all_may_be_said() -> None:
    """Keys of which there is nothing are absent."""
    assert {"role": "assistant"} == whole(Reply(""))["message"]
    assert ["message-start", "message-end"] == [event["type"] for event in events(Reply(""))]


def test_a_body_that_is_no_json_is_answered_all_the_same() -> None:
    """Where a script answers it."""
    assert "Hi" == json.loads(render(Reply("Hi"), data=b"?").body[0])["message"]["content"][0]["text"]


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (401, "invalid api token"),
        (418, "invalid request"),
        (498, "the request contains a deny-listed token"),
        (599, "internal server error, this has been reported to our developers."),
    ],
)
def test_an_error_is_an_id_and_a_sentence(status: int, message: str) -> None:
    """With a trace in the header."""
    rendered = render(Reply.error(status))

    body = json.loads(rendered.body[0])
    assert (status, message, {"id", "message"}) == (rendered.status, body["message"], set(body))
    assert rendered.headers["x-debug-trace-id"]


def test_an_error_may_be_scripted() -> None:
    """Its message, or the whole body; a key that is missing is another matter than a bad one."""
    assert "no" == whole(Reply.error(400, message="no"))["message"]
    assert {"detail": 1} == whole(Reply.error(400, body={"detail": 1}))
    request = RecordedRequest(method="POST", path="/cohere/v2/chat", provider="cohere", endpoint="/v2/chat", key="k")
    failures = [
        WIRE.unauthorized(one).failure for one in (request, RecordedRequest(method="POST", path="/", provider="cohere", endpoint="/"))
    ]
    assert ["invalid api token", "no api key supplied"] == [failure and failure.message for failure in failures]


def test_what_is_written_out_is_sent_as_it_is() -> None:
    """Bodies, events, and answers without a body."""
    assert (b'data: {"a":1}\n\n', b"event: x\n\n") == render(Reply(events=[{"a": 1}, b"event: x\n\n"])).body
    assert {"a": 1} == whole(Reply(raw={"a": 1}))
    assert () == render(Reply(status=204)).body


def test_models_are_listed_and_shown() -> None:
    """Those of one operation, where that is asked for."""
    chat = whole(method="GET", path="/v1/models", query_string="endpoint=chat&page_size=1000")["models"]
    every = whole(method="GET", path="/v1/models")["models"]
    one, unknown = whole(method="GET", path="/v1/models/embed-v4.0"), whole(method="GET", path="/v1/models/mine")

    assert {"chat"} == {endpoint for row in chat for endpoint in row["endpoints"]}
    assert len(every) > len(chat)
    assert (["embed"], ["chat"]) == (one["endpoints"], unknown["endpoints"])
    assert (
        {"a": 1}
        == whole(Reply(raw={"a": 1}), method="GET", path="/v1/models")
        == whole(Reply(raw={"a": 1}), method="GET", path="/v1/models/x")
    )


def test_embeddings_have_length_one() -> None:
    """The same for the same text, or picture."""
    answer = whole(path="/v2/embed", texts=["a b", "c", "a b"], output_dimension=4)
    pictures = whole(path="/v2/embed", images=["data:image/png;base64,QQ=="])

    vectors = answer["embeddings"]["float"]
    assert vectors[0] == vectors[2] != vectors[1]
    assert pytest.approx(1.0) == sum(number**2 for number in vectors[0])
    assert (["a b", "c", "a b"], 5) == (answer["texts"], answer["meta"]["billed_units"]["input_tokens"])
    assert "texts" not in pictures
    assert {"a": 1} == whole(Reply(raw={"a": 1}), path="/v2/embed")


def test_documents_are_ranked_by_their_words() -> None:
    """The best first, as many as are asked for."""
    answer = whole(path="/v2/rerank", query="tall birds", documents=["fish", "tall birds here", "birds"], top_n=2)

    assert [(1, 1.0), (2, 0.5)] == [(row["index"], row["relevance_score"]) for row in answer["results"]]
    assert {"a": 1} == whole(Reply(raw={"a": 1}), path="/v2/rerank")


def test_a_word_is_a_token() -> None:
    """In order."""
    answer = whole(path="/v1/tokenize", text="a b")

    assert ([0, 1], ["a", " b"]) == (answer["tokens"], answer["token_strings"])
    assert {"a": 1} == whole(Reply(raw={"a": 1}), path="/v1/tokenize")


def test_a_model_that_does_not_exist_is_refused() -> None:
    """By its path."""
    request = RecordedRequest(method="GET", path="/x", provider="cohere", endpoint="/v1/models/no-such-model")
    route = find("cohere", "GET", "/v1/models/no-such-model").route

    assert route is not None
    refusal = route.check(request)
    assert refusal is not None
    assert 404 == refusal.status
