"""Ollama's API as the fake server sends it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from llmkit.testing.replies import RecordedRequest, Reply
from llmkit.testing.wires import base_path, find, openai_chat
from llmkit.testing.wires.ollama import MODELS, WIRE, line

USER = {"role": "user", "content": "Say hi"}


def asked(method: str, path: str, data: bytes = b"") -> RecordedRequest:
    return RecordedRequest(method=method, path=f"/ollama{path}", provider="ollama", endpoint=path, body=data)


def render(reply: Reply | None = None, *, method: str = "POST", path: str = "/api/chat", data: bytes | None = None, **body: Any) -> Any:
    """Return what is sent for a request with *body*."""
    whole = {"model": "llama3.2", "messages": [USER], "stream": False, **body}
    request = asked(method, path, json.dumps(whole).encode() if data is None else data)
    reply = reply or Reply()
    route = find("ollama", method, path).route
    assert route is not None
    return (WIRE.render_error if reply.fails else route.render)(request, reply)


def whole(reply: Reply | None = None, **rest: Any) -> Any:
    return json.loads(b"".join(render(reply, **rest).body))


def lines(reply: Reply | None = None, **body: Any) -> list[Any]:
    """Return the lines of a stream."""
    rendered = render(reply, stream=True, **body)
    assert ("application/x-ndjson", True) == (rendered.content_type, rendered.streamed)
    assert all(piece.endswith(b"\n") and piece.count(b"\n") == 1 for piece in rendered.body)
    return [json.loads(piece) for piece in rendered.body]


def test_its_base_has_no_path_and_its_compatible_route_is_the_familys() -> None:
    """Both stand on one host."""
    found = find("ollama", "POST", "/v1/chat/completions")

    assert "" == base_path("ollama")
    assert found.wire is openai_chat.WIRE
    assert find("ollama", "POST", "/api/chat").wire is WIRE
    assert find("ollama", "GET", "/nowhere").wire is WIRE
    assert find("openai", "POST", "/api/chat").route is None


def test_an_echo_with_its_counts() -> None:
    """Nanoseconds and tokens, as Go writes them."""
    answer = whole()

    assert {"role": "assistant", "content": "You said: Say hi"} == answer["message"]
    assert ("llama3.2", True, "stop") == (answer["model"], answer["done"], answer["done_reason"])
    assert (5, 4) == (answer["prompt_eval_count"], answer["eval_count"])
    assert {"total_duration", "load_duration", "prompt_eval_duration", "eval_duration"} <= set(answer)


def test_streaming_is_the_default() -> None:
    """One word a line, the last with the counts."""
    rendered = render(stream=None)
    unsaid = render(data=json.dumps({"model": "m", "messages": [USER]}).encode())

    *words, last = lines()

    assert not rendered.streamed
    assert unsaid.streamed
    assert ["You", " said:", " Say", " hi"] == [event["message"]["content"] for event in words]
    assert not any(event["done"] or "eval_count" in event for event in words)
    assert (True, "", "stop", 4) == (last["done"], last["message"]["content"], last["done_reason"], last["eval_count"])


def test_a_scripted_answer_has_all_that_was_said() -> None:
    """In its own places; calls have the index 0, each an id of its own, and its reason is stop."""
    reply = Reply(
        "Hi", thinking="Hm hm", model="m-1", request_id="r-1", usage={"prompt_eval_count": 100}, tool_calls=[("f", {"a": 1}), ("g", {})]
    )

    answer = whole(reply)

    message = answer["message"]
    assert ("m-1", "Hi", "Hm hm", "stop", 100) == (
        answer["model"], message["content"], message["thinking"], answer["done_reason"], answer["prompt_eval_count"],
    )  # fmt: skip
    assert [{"index": 0, "name": "f", "arguments": {"a": 1}}, {"index": 0, "name": "g", "arguments": {}}] == [
        call["function"] for call in message["tool_calls"]
    ]
    assert 2 == len({call["id"] for call in message["tool_calls"]})
    assert "r-1" == render(reply).headers["x-request-id"]


def test_a_stream_has_thoughts_then_text_then_calls() -> None:
    """Each call whole, in a line of its own."""
    events = lines(Reply("Hi", thinking="Hm hm", tool_calls=[("f", {"a": 1}), ("g", {})]))

    assert ["Hm", " hm"] == [event["message"]["thinking"] for event in events[:2]]
    assert "Hi" == events[2]["message"]["content"]
    assert ["f", "g"] == [event["message"]["tool_calls"][0]["function"]["name"] for event in events[3:5]]
    assert events[5]["done"]


def test_calls_may_be_given_as_objects_and_arguments_may_be_broken() -> None:
    """An id that is given is kept; text that is JSON becomes an object, and other text is sent as it is."""

    class Call:
        def __init__(self, arguments: str) -> None:
            self.id, self.name, self.arguments = "call-7", "f", arguments

    calls = whole(Reply(tool_calls=[Call('{"a": 1}'), Call("{")]))["message"]["tool_calls"]

    assert [("call-7", {"a": 1}), ("call-7", "{")] == [(call["id"], call["function"]["arguments"]) for call in calls]


def test_a_refusal_is_text() -> None:
    """The wire has no other place for it."""
    assert "No." == whole(Reply(refusal="No."))["message"]["content"]
    assert "No." == lines(Reply(refusal="No."))[0]["message"]["content"]


def test_limits_and_stops_are_obeyed() -> None:
    """Those of the options."""
    cut = whole(options={"num_predict": 2})
    stopped = whole(options={"stop": ["Say"]})

    assert ("You said:", "length", 2) == (cut["message"]["content"], cut["done_reason"], cut["eval_count"])
    assert ("You said: ", "stop") == (stopped["message"]["content"], stopped["done_reason"])


def test_no_bound_is_none() -> None:
    """Minus one is how Ollama says so; counts of nothing are left out."""
    answer = whole(options={"num_predict": -1}, messages=[{"role": "user", "content": ""}])

    assert "You said: " == answer["message"]["content"]
    assert "eval_count" not in whole(Reply("", usage={}))


def test_the_format_is_kept_to() -> None:
    """A schema is answered with the least value that fits."""
    schema = {"type": "object", "properties": {"n": {"type": "integer", "minimum": 3}}, "required": ["n"]}

    assert '{"n": 3}' == whole(format=schema)["message"]["content"]
    assert '{"answer": "You said: Say hi"}' == whole(format="json")["message"]["content"]


def test_without_messages_a_model_is_only_loaded() -> None:
    """Nothing is counted."""
    answer = whole(messages=[])

    assert ("load", True) == (answer["done_reason"], answer["done"])
    assert "eval_count" not in answer


def test_a_long_stream_is_made_by_the_models_name() -> None:
    """For load tests."""
    assert 1001 == len(lines(model="fake-stream-1000"))


def test_a_body_that_is_no_json_is_answered_all_the_same() -> None:
    """Where a script answers it."""
    assert "Hi" == json.loads(b"".join(render(Reply("Hi"), data=b"?").body).splitlines()[0])["message"]["content"]


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (400, "invalid request"),
        (401, "unauthorized"),
        (404, "model 'x' not found"),
        (418, "invalid request"),
        (503, "server busy, please try again.  maximum pending requests exceeded"),
        (599, "an error was encountered while running the model: unexpected EOF"),
    ],
)
def test_an_error_is_a_sentence(status: int, message: str) -> None:
    """Of ollama.com's own, with the way to sign in."""
    body = whole(Reply.error(status))

    assert message == body["error"]
    assert (status == 401) == ("signin_url" in body)


def test_an_error_may_be_scripted() -> None:
    """Its message, or the whole body."""
    assert {"error": "no"} == whole(Reply.error(400, message="no"))
    assert {"detail": 1} == whole(Reply.error(400, body={"detail": 1}))
    assert 401 == (WIRE.unauthorized(asked("POST", "/api/chat")).status)


def test_what_is_written_out_is_sent_as_it_is() -> None:
    """Bodies, lines, and answers without a body."""
    events = render(Reply(events=[{"a": 1}, "text", b"bytes\n"])).body

    assert (b'{"a":1}\n', b"text\n", b"bytes\n") == events
    assert {"a": 1} == whole(Reply(raw={"a": 1}))
    assert () == render(Reply(status=204)).body
    assert b"x\n" == line("x\n")


@pytest.mark.parametrize("path", ["/api/tags", "/api/version", "/", ""])
def test_what_is_asked_of_the_server_itself(path: str) -> None:
    """Its models, its version, whether it runs; a script may answer instead."""
    rendered = render(method="GET", path=path)
    scripted = render(Reply(raw={"a": 1}), method="GET", path=path)

    data = b"".join(rendered.body)
    if path == "/api/tags":
        assert list(MODELS) == [row["name"] for row in json.loads(data)["models"]]
        assert 131072 == json.loads(data)["models"][0]["details"]["context_length"]
    elif path == "/api/version":
        assert {"version"} == set(json.loads(data))
    else:
        assert (b"Ollama is running", "text/plain; charset=utf-8") == (data, rendered.content_type)
    assert (b'{"a":1}',) == scripted.body


def test_what_is_known_of_a_model() -> None:
    """What it can do, and how long its window is; one that is not known can do everything."""
    known, unknown = whole(path="/api/show", model="gemma3:4b"), whole(path="/api/show", model="mine")

    assert ["completion", "vision"] == known["capabilities"]
    assert (131072, 4096) == (known["model_info"]["fake.context_length"], unknown["model_info"]["fake.context_length"])
    assert {"tools", "thinking"} <= set(unknown["capabilities"])
    assert {"a": 1} == whole(Reply(raw={"a": 1}), path="/api/show")


def test_embeddings_have_length_one() -> None:
    """The same for the same text; of nothing there are none."""
    answer = whole(path="/api/embed", input=["a b", "c", "a b"], dimensions=4)
    one = whole(path="/api/embed", input="a b")
    none = whole(path="/api/embed", input=[])

    vectors = answer["embeddings"]
    assert vectors[0] == vectors[2] != vectors[1]
    assert [4, 4, 4] == list(map(len, vectors))
    assert pytest.approx(1.0) == sum(number**2 for number in vectors[0])
    assert (5, 8, []) == (answer["prompt_eval_count"], len(one["embeddings"][0]), none["embeddings"])
    assert {"a": 1} == whole(Reply(raw={"a": 1}), path="/api/embed")
