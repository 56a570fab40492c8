"""Chat Completions as the providers send them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from llmkit.testing.replies import RecordedRequest, Reply
from llmkit.testing.wires import base_path, find
from llmkit.testing.wires.openai_chat import WIRE

USER = {"role": "user", "content": "Say hi"}


def render(reply: Reply | None = None, *, provider: str = "openai", path: str = "/v1/chat/completions", **body: Any) -> Any:
    """Return what is sent for a request with *body*."""
    request = RecordedRequest(
        method="POST",
        path=f"/{provider}{path}",
        provider=provider,
        endpoint=path,
        body=json.dumps({"model": "gpt-4o", "messages": [USER], **body}).encode(),
    )
    reply = reply or Reply()
    route = find(provider, "POST", path).route
    assert route is not None
    return (WIRE.render_error if reply.fails else route.render)(request, reply)


def whole(reply: Reply | None = None, **body: Any) -> Any:
    return json.loads(b"".join(render(reply, **body).body))


def chunks(reply: Reply | None = None, **body: Any) -> list[Any]:
    """Return the chunks of a stream, and check its end."""
    *events, done = render(reply, stream=True, **body).body
    assert b"data: [DONE]\n\n" == done
    return [json.loads(event[len("data: ") :]) for event in events]


def deltas(reply: Reply | None = None, **body: Any) -> list[Any]:
    return [chunk["choices"][0]["delta"] for chunk in chunks(reply, **body) if chunk["choices"]]


def test_a_scripted_answer_has_all_that_was_said() -> None:
    """In the provider's own places."""
    reply = Reply("Hi", finish_reason="length", model="m-1", id="id-1", usage={"prompt_tokens": 100}, tool_calls=[("f", {"a": 1})])

    answer = whole(reply)

    (choice,) = answer["choices"]
    assert ("id-1", "m-1", "chat.completion") == (answer["id"], answer["model"], answer["object"])
    assert ("Hi", "length") == (choice["message"]["content"], choice["finish_reason"])
    assert {"name": "f", "arguments": '{"a": 1}'} == choice["message"]["tool_calls"][0]["function"]
    assert (100, 103) == (answer["usage"]["prompt_tokens"], answer["usage"]["total_tokens"])


def test_tool_calls_can_be_objects_and_arguments_can_be_broken() -> None:
    """An id that is given is kept, and text is sent unchecked."""

    class Call:
        id, name, arguments = "call-7", "f", '{"a":'

    message = whole(Reply(tool_calls=[Call()]))["choices"][0]["message"]

    assert [{"id": "call-7", "type": "function", "function": {"name": "f", "arguments": '{"a":'}}] == message["tool_calls"]
    assert message["content"] is None


def test_a_refusal_has_no_content() -> None:
    """Whole and streamed."""
    assert {"role": "assistant", "content": None, "refusal": "No.", "annotations": []} == whole(Reply(refusal="No."))["choices"][0][
        "message"
    ]
    assert {"refusal": "No."} in deltas(Reply(refusal="No."))


def test_a_stream_is_a_role_then_pieces_then_an_end() -> None:
    """Cut into words, or as scripted."""
    role = {"role": "assistant", "content": "", "refusal": None}

    assert [role, {"content": "You"}, {"content": " said:"}, {"content": " Say"}, {"content": " hi"}, {}] == deltas()
    assert [role, {"content": "a b"}, {"content": ""}, {"content": "c"}, {}] == deltas(Reply(chunks=["a b", "", "c"]))


def test_usage_comes_when_asked_and_last() -> None:
    """Every other chunk says null; unasked, none says anything."""
    asked = chunks(stream_options={"include_usage": True})

    assert [None] == list({chunk["usage"] for chunk in asked[:-1]})
    assert ([], 4) == (asked[-1]["choices"], asked[-1]["usage"]["completion_tokens"])
    assert not any("usage" in chunk for chunk in chunks())


def test_streamed_tool_calls_begin_with_a_name_and_go_on_with_arguments() -> None:
    """One index after the other."""
    reply = Reply(tool_calls=[("f", {"word": "longer than a piece"}), ("g", {})])

    pieces = [call for delta in deltas(reply) for call in delta.get("tool_calls", ())]

    firsts = [piece for piece in pieces if "id" in piece]
    assert [(0, "f", ""), (1, "g", "")] == [(piece["index"], piece["function"]["name"], piece["function"]["arguments"]) for piece in firsts]
    texts = ["".join(p["function"]["arguments"] for p in pieces if index == p["index"]) for index in (0, 1)]
    assert ['{"word": "longer than a piece"}', "{}"] == texts
    assert sorted(pieces, key=lambda piece: piece["index"]) == pieces


def test_events_are_sent_as_given() -> None:
    """Payloads become events; text that ends with a newline is framed already."""
    events: list[Any] = [{"a": "é"}, "[DONE]", b"\xff", "two\nlines", ": comment\n\n"]

    sent = render(Reply(events=events)).body

    assert (
        'data: {"a":"é"}\n\n'.encode(),
        b"data: [DONE]\n\n",
        b"data: \xff\n\n",
        b"data: two\ndata: lines\n\n",
        b": comment\n\n",
    ) == sent


def test_a_raw_body_answers_a_stream_too() -> None:
    """As gateways do when something is wrong."""
    rendered = render(Reply(raw=[1]), stream=True)

    assert ("application/json", (b"[1]",), False) == (rendered.content_type, rendered.body, rendered.streamed)


def test_choices_and_logprobs_are_given_when_asked() -> None:
    """Whole and streamed."""
    answer = whole(n=2, logprobs=True, top_logprobs=1)
    streamed = chunks(n=2, logprobs=True)

    assert [0, 1] == [choice["index"] for choice in answer["choices"]]
    tokens = answer["choices"][1]["logprobs"]["content"]
    assert ["You", " said:", " Say", " hi"] == [token["token"] for token in tokens]
    assert [["You"]] == [[top["token"] for top in tokens[0]["top_logprobs"]]]
    assert {0, 1} == {chunk["choices"][0]["index"] for chunk in streamed}
    assert "You" == streamed[1]["choices"][0]["logprobs"]["content"][0]["token"]


def test_a_good_answer_obeys_limits_and_stops() -> None:
    """With the finish reason that belongs to each."""
    limited = whole(max_completion_tokens=2)["choices"][0]
    stopped = whole(stop=["hi", "Say"])["choices"][0]

    assert ("You said:", "length") == (limited["message"]["content"], limited["finish_reason"])
    assert ("You said: ", "stop") == (stopped["message"]["content"], stopped["finish_reason"])


@pytest.mark.parametrize(("count", "expected"), [(2, ["You", " said: Say hi"]), (5, ["You", " said:", " Say", " hi", " word"])])
def test_a_model_can_be_asked_for_a_number_of_events(count: int, expected: list[str]) -> None:
    """Exactly so many pieces of text."""
    found = [delta["content"] for delta in deltas(model=f"fake-stream-{count}") if delta.get("content")]

    assert expected == found


def test_the_echo_is_of_the_last_user_turn() -> None:
    """Whatever follows it, and in parts as well."""
    parts = [{"type": "text", "text": "one "}, {"type": "image_url", "image_url": {}}, {"type": "text", "text": "two"}]
    messages = [USER, {"role": "assistant", "content": "a"}, {"role": "user", "content": parts}]

    assert "You said: one two" == whole(messages=messages)["choices"][0]["message"]["content"]


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ("required", "f"),
        ("any", "f"),
        ({"type": "function", "function": {"name": "g"}}, "g"),
        ({"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [{"function": {"name": "g"}}]}}, "g"),
        ("auto", None),
        ("none", None),
        ({"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [{"function": {"name": "g"}}]}}, None),
    ],
)
def test_a_tool_is_called_when_one_must_be(choice: Any, expected: str | None) -> None:
    """The named one or else the first."""
    tools = [{"type": "function", "function": {"name": name}} for name in ("f", "g")]

    message = whole(tools=tools, tool_choice=choice)["choices"][0]["message"]

    assert ([expected] if expected else []) == [call["function"]["name"] for call in message.get("tool_calls", ())]


def test_json_is_answered_when_asked() -> None:
    """An object, or the least instance of the schema."""
    schema = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}

    plain = whole(response_format={"type": "json_object"})
    shaped = whole(response_format={"type": "json_schema", "json_schema": {"name": "x", "schema": schema}})

    assert {"answer": "You said: Say hi"} == json.loads(plain["choices"][0]["message"]["content"])
    assert {"a": "Say hi"} == json.loads(shaped["choices"][0]["message"]["content"])


@pytest.mark.parametrize(
    ("provider", "message", "delta"),
    [
        ("deepseek", {"content": "Hi", "reasoning_content": "Hm"}, {"content": None, "reasoning_content": "Hm"}),
        ("groq", {"content": "Hi", "reasoning": "Hm"}, {"content": None, "reasoning": "Hm"}),
        ("perplexity", {"content": "<think>Hm</think>Hi"}, {"content": "<think>Hm</think>"}),
        (
            "mistral",
            {
                "content": [
                    {"type": "thinking", "thinking": [{"type": "text", "text": "Hm"}]},
                    {"type": "text", "text": "Hi"},
                ]
            },
            {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "Hm"}]}]},
        ),
    ],
)
def test_thoughts_stand_where_the_provider_puts_them(provider: str, message: Any, delta: Any) -> None:
    """In a field, in the text, or among the parts."""
    reply = Reply("Hi", thinking="Hm")

    assert message.items() <= whole(reply, provider=provider)["choices"][0]["message"].items()
    assert delta == deltas(reply, provider=provider)[1]


def test_usage_stands_where_the_provider_puts_it() -> None:
    """In the finishing chunk, or in one of its own unasked."""
    finishing, apart = chunks(provider="groq"), chunks(provider="xai")

    assert "stop" == finishing[-1]["choices"][0]["finish_reason"]
    assert 4 == finishing[-1]["usage"]["completion_tokens"]
    assert ([], 4) == (apart[-1]["choices"], apart[-1]["usage"]["completion_tokens"])


@pytest.mark.parametrize(
    ("provider", "expected"),
    [
        ("openai", {"error": {"message": "m", "type": "t", "param": "p", "code": "c"}}),
        ("openrouter", {"error": {"message": "m", "type": "t", "param": "p", "code": "c"}}),
        ("mistral", {"object": "error", "message": "m", "type": "t", "param": "p", "code": "c"}),
        ("xai", {"code": "c", "error": "m"}),
    ],
)
def test_errors_have_the_providers_form(provider: str, expected: Any) -> None:
    """Nested, flat or text."""
    assert expected == whole(Reply.error(400, code="c", type="t", message="m", param="p"), provider=provider)


def test_an_error_says_what_belongs_to_its_status() -> None:
    """As far as the script leaves it open."""
    limited, own, mute = whole(Reply.error(429)), whole(Reply.error(429, message="m")), whole(Reply(status=599))

    assert "rate_limit_exceeded" == limited["error"]["code"]
    assert ("m", "requests", None) == (own["error"]["message"], own["error"]["type"], own["error"]["code"])
    assert "server_error" == mute["error"]["type"]
    assert 429 == whole(Reply.error(429, message="m"), provider="openrouter")["error"]["code"]
    assert {"own": 1} == whole(Reply.error(500, body={"own": 1}))


def test_identifiers_are_not_repeated() -> None:
    """Of answers, requests and tool calls; the last in the nine characters that every provider takes back."""
    first, second = render(), render()
    calls = whole(Reply(tool_calls=[("f", {}), ("f", {})]))["choices"][0]["message"]["tool_calls"]

    assert json.loads(first.body[0])["id"] != json.loads(second.body[0])["id"]
    assert first.headers["x-request-id"] != second.headers["x-request-id"]
    assert 2 == len({call["id"] for call in calls})
    assert [9, 9] == [len(call["id"]) for call in calls if call["id"].isalnum()]
    assert "r-1" == render(Reply(request_id="r-1")).headers["x-request-id"]


def test_unknown_paths_and_methods_are_told_apart() -> None:
    """404 where nothing is, 405 where another method would do."""
    request = RecordedRequest(method="GET", path="/openai/v1/x", provider="openai", endpoint="/v1/x")

    assert 404 == find("openai", "GET", "/v1/x").missing(request).status
    wrong = find("openai", "GET", "/v1/chat/completions").missing(request)
    assert (405, "POST") == (wrong.status, wrong.headers["allow"])
    assert "/v1" == base_path("whoever")
