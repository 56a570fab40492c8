"""Requests on Gemini's wire: each thing that can be asked, and how the history goes back."""

from __future__ import annotations

import json
from typing import Any

import pytest

from llmkit.catalogue.facts import facts_of
from llmkit.dialects.base import Place
from llmkit.dialects.gemini import Gemini
from llmkit.dialects.gemini_contents import ANY_SEAL
from llmkit.errors import ConfigurationError, UnsupportedParameterError
from llmkit.models.content import (
    Audio,
    Document,
    Image,
    Message,
    Native,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    assistant,
    system,
    tool_result,
    user,
)
from llmkit.models.request import make_request
from llmkit.tools import Tool
from llmkit.transport.base import HttpRequest, HttpResponse

HOST = "https://host.example/v1beta"
GEMINI = Gemini()
VERTEX = Gemini(owner="vertex", publisher="publishers/google/", project_option="project", location_option="location")
LATE = "gemini-3-flash-preview"
EARLY = "gemini-2.5-flash"
LOOK = Tool(
    name="look", description="Looks.", parameters={"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
)
NOW = Tool(name="now")
SCHEMA = {"type": "object", "title": "N", "properties": {"n": {"type": "integer", "title": "N"}}, "required": ["n"]}


def encoded(
    messages: Any = "Hi", *, model: str = LATE, options: dict[str, str] | None = None, dialect: Gemini = GEMINI, **rest: Any
) -> HttpRequest:
    request = make_request(messages, model=model, facts=facts_of(model), **rest)
    return dialect.encode(request, Place(base_url=HOST, options=options or {}))


def body(messages: Any = "Hi", **rest: Any) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(encoded(messages, **rest).body)
    return read


def contents(messages: Any, **rest: Any) -> list[Any]:
    found: list[Any] = body(messages, **rest)["contents"]
    return found


def config(**parameters: Any) -> dict[str, Any]:
    found: dict[str, Any] = body(**parameters).get("generationConfig", {})
    return found


# -- the address


def test_a_plain_request_says_nothing_that_was_not_asked() -> None:
    """Model in the path, one content, no settings."""
    request = encoded()

    assert ("POST", f"{HOST}/models/gemini-3-flash-preview:generateContent") == (request.method, request.url)
    assert {"contents": [{"role": "user", "parts": [{"text": "Hi"}]}]} == json.loads(request.body)
    assert {"Content-Type": "application/json", "Accept": "application/json"} == dict(request.headers)


def test_a_stream_is_another_operation() -> None:
    """The body is the same; events are asked for."""
    request = encoded(stream=True)

    assert request.url.endswith("/models/gemini-3-flash-preview:streamGenerateContent?alt=sse")
    assert "text/event-stream" == request.headers["Accept"]
    assert body() == json.loads(request.body)


@pytest.mark.parametrize(
    ("dialect", "options", "model", "path"),
    [
        (GEMINI, {}, "models/gemini-x", "/models/gemini-x"),
        (GEMINI, {}, "tunedModels/my-1", "/tunedModels/my-1"),
        (GEMINI, {}, "a b/c?d", "/models/a%20b%2Fc%3Fd"),
        (GEMINI, {"project": "p"}, "m", "/models/m"),
        (VERTEX, {}, "gemini-x", "/publishers/google/models/gemini-x"),
        (VERTEX, {"project": "p", "location": "europe-west4"}, "m", "/projects/p/locations/europe-west4/publishers/google/models/m"),
        (VERTEX, {"project": "p:q"}, "m@1", "/projects/p%3Aq/locations/global/publishers/google/models/m@1"),
        (VERTEX, {"project": "p"}, "endpoints/7", "/projects/p/locations/global/endpoints/7"),
        (VERTEX, {"project": "p"}, "publishers/meta/models/l", "/projects/p/locations/global/publishers/meta/models/l"),
        (VERTEX, {"project": "p"}, "projects/o/locations/l/endpoints/7", "/projects/o/locations/l/endpoints/7"),
    ],
)
def test_a_model_is_where_the_service_has_it(dialect: Gemini, options: dict[str, str], model: str, path: str) -> None:
    """A bare name, or a resource's whole one; nothing in it can change the address."""
    assert f"{HOST}{path}:generateContent" == encoded(dialect=dialect, options=options, model=model).url


@pytest.mark.parametrize("model", ["..", "tunedModels/..", "projects//x", "projects/../../x"])
def test_a_name_that_would_move_the_request_is_refused(model: str) -> None:
    """Dot segments and empty ones are no names."""
    with pytest.raises(ConfigurationError):
        encoded(model=model)


def test_models_are_listed_beside_them() -> None:
    """Of AI Studio, and of Vertex AI, where the list is no project's."""
    first = GEMINI.encode_models(Place(base_url=HOST))
    second = VERTEX.encode_models(Place(base_url=HOST, options={"project": "p"}))

    assert first is not None
    assert second is not None
    assert (f"{HOST}/models?pageSize=1000", "GET") == (first.url, first.method)
    assert f"{HOST}/publishers/google/models?pageSize=1000" == second.url


# -- parameters


def test_sampling_goes_into_the_generation_config() -> None:
    """Each under the wire's own name."""
    said = config(
        model=EARLY,
        temperature=0.5,
        top_p=0.9,
        top_k=40,
        max_tokens=7,
        stop=["a", "b"],
        seed=1,
        frequency_penalty=0.1,
        presence_penalty=0.2,
    )

    expected = {
        "temperature": 0.5,
        "topP": 0.9,
        "topK": 40,
        "maxOutputTokens": 7,
        "stopSequences": ["a", "b"],
        "seed": 1,
        "frequencyPenalty": 0.1,
        "presencePenalty": 0.2,
    }
    assert expected == said


def test_what_the_wire_cannot_say_is_not_among_its_parameters() -> None:
    """There is no user, and no switch for parallel calls."""
    assert {"user", "parallel_tool_calls"}.isdisjoint(GEMINI.parameters)
    assert {"top_k", "seed", "tools", "reasoning", "response_format", "metadata"} <= GEMINI.parameters


def test_metadata_are_labels_and_extras_have_the_last_word() -> None:
    """Nested objects are merged key by key."""
    said = body(metadata={"team": "a"}, max_tokens=7, extra_body={"generationConfig": {"topK": 3}, "safetySettings": []})

    assert ({"team": "a"}, {"maxOutputTokens": 7, "topK": 3}, []) == (said["labels"], said["generationConfig"], said["safetySettings"])


def test_headers_of_the_callers_go_along() -> None:
    """Under their own names."""
    assert "1" == encoded(extra_headers={"x-server-timeout": "1"}).headers["x-server-timeout"]


def test_tools_are_declared_together() -> None:
    """One list for all functions; one without parameters has no schema."""
    said = body(tools=[LOOK, NOW])

    look = {"name": "look", "description": "Looks.", "parametersJsonSchema": LOOK.parameters}
    assert [{"functionDeclarations": [look, {"name": "now"}]}] == said["tools"]
    assert "toolConfig" not in said


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ("auto", {"mode": "AUTO"}),
        ("none", {"mode": "NONE"}),
        ("required", {"mode": "ANY"}),
        ("look", {"mode": "ANY", "allowedFunctionNames": ["look"]}),
    ],
)
def test_the_choice_of_a_tool_is_a_mode(choice: str, expected: dict[str, Any]) -> None:
    """A single one is the only one allowed."""
    assert expected == body(tools=[LOOK], tool_choice=choice)["toolConfig"]["functionCallingConfig"]


def test_a_strict_tool_asks_for_valid_arguments() -> None:
    """Where the model is free to call, it is held to the schemas when it does."""
    strict = Tool(name="look", strict=True)

    assert {"mode": "VALIDATED"} == body(tools=[strict])["toolConfig"]["functionCallingConfig"]
    assert {"mode": "ANY"} == body(tools=[strict], tool_choice="required")["toolConfig"]["functionCallingConfig"]


def test_a_typed_answer_has_its_schema_in_the_wires_words() -> None:
    """JSON alone needs the media type only."""
    typed = config(response_format=SCHEMA)

    assert {"responseMimeType": "application/json"} == config(response_format="json")
    assert "application/json" == typed["responseMimeType"]
    assert {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]} == typed["responseJsonSchema"]


def test_a_description_of_the_answer_is_not_lost() -> None:
    """The wire has no place for it beside the schema, so it goes into it."""
    wanted = {"type": "json_schema", "json_schema": {"name": "n", "description": "A number.", "schema": SCHEMA}}

    assert "A number." == config(response_format=wanted)["responseJsonSchema"]["description"]


def test_older_models_are_not_asked_for_what_they_refuse() -> None:
    """Tools and a typed answer at once are refused here, before anything is sent."""
    with pytest.raises(ConfigurationError, match="not both"):
        body(model=EARLY, tools=[LOOK], response_format=SCHEMA)

    assert body(model=LATE, tools=[LOOK], response_format=SCHEMA)


# -- thinking


@pytest.mark.parametrize(
    ("model", "reasoning", "expected"),
    [
        (EARLY, "none", {"thinkingBudget": 0}),
        (EARLY, 0, {"thinkingBudget": 0}),
        (EARLY, "low", {"includeThoughts": True, "thinkingBudget": 1024}),
        (EARLY, "high", {"includeThoughts": True, "thinkingBudget": 24576}),
        (EARLY, 512, {"includeThoughts": True, "thinkingBudget": 512}),
        ("gemini-2.5-pro", 128, {"includeThoughts": True, "thinkingBudget": 128}),
        ("models/gemini-2.5-flash-lite-preview", "minimal", {"includeThoughts": True, "thinkingBudget": 1024}),
        (LATE, "minimal", {"includeThoughts": True, "thinkingLevel": "minimal"}),
        ("gemini-3-pro-preview", "high", {"includeThoughts": True, "thinkingLevel": "high"}),
        ("gemini-3.8-flash", "medium", {"includeThoughts": True, "thinkingLevel": "medium"}),
        ("gemini-9-ultra", "low", {"includeThoughts": True, "thinkingLevel": "low"}),
        ("nobody-knows", "low", {"includeThoughts": True, "thinkingLevel": "low"}),
        ("nobody-knows", 100, {"includeThoughts": True, "thinkingBudget": 100}),
        ("nobody-knows", "none", {"thinkingBudget": 0}),
    ],
)
def test_thinking_is_asked_for_as_the_model_understands_it(model: str, reasoning: Any, expected: dict[str, Any]) -> None:
    """A budget or a level, never both."""
    assert expected == config(model=model, reasoning=reasoning)["thinkingConfig"]


@pytest.mark.parametrize(
    ("model", "reasoning", "words"),
    [
        ("gemini-2.5-pro", "none", "cannot stop thinking.*reasoning=128"),
        ("gemini-2.5-pro", 5, "128 to 32768"),
        ("gemini-2.5-flash-lite", 100, "512 to 24576"),
        (LATE, "none", "cannot stop thinking.*reasoning='minimal'"),
        (LATE, 1000, "only levels"),
        ("gemini-3-pro-preview", "medium", "low, high"),
        ("gemini-3.8-flash", "minimal", "low, medium, high"),
        ("gemini-9-ultra", 7, "minimal, low, medium, high"),
        ("gemini-2.0-flash", "low", "does not think"),
    ],
)
def test_thinking_that_a_model_cannot_do_is_refused_by_name(model: str, reasoning: Any, words: str) -> None:
    """With what it can do instead."""
    with pytest.raises(UnsupportedParameterError, match=words):
        config(model=model, reasoning=reasoning)


def test_a_model_that_never_thinks_need_not_be_stopped() -> None:
    """Asked not to, it is asked nothing."""
    assert "generationConfig" not in body(model="gemini-2.0-flash", reasoning="none")


@pytest.mark.parametrize(
    ("model", "refused"),
    [("gemini-3.8-flash", True), ("gemini-4-pro", True), ("gemini-3.5-flash-lite", True), (LATE, False), (EARLY, False), ("x", False)],
)
def test_the_newest_models_take_no_sampling(model: str, refused: bool) -> None:
    """Which the client tells the caller, before anything is sent."""
    assert refused is ({"temperature", "top_p", "top_k"} <= facts_of(model).refuses)


# -- the history


def test_system_messages_are_one_instruction() -> None:
    """Wherever they stand."""
    said = body([system("A."), user("Hi"), system("B.", "C.")])

    assert {"parts": [{"text": "A."}, {"text": "B."}, {"text": "C."}]} == said["systemInstruction"]
    assert [{"role": "user", "parts": [{"text": "Hi"}]}] == said["contents"]


def test_a_conversation_of_instructions_only_is_said_by_the_user() -> None:
    """The service wants a content."""
    said = body([system("A.")])

    assert [{"role": "user", "parts": [{"text": "A."}]}] == said["contents"]
    assert "systemInstruction" not in said


def test_what_one_says_in_a_row_is_one_content() -> None:
    """There are two speakers, who take turns."""
    said = contents([user("a"), user("b"), assistant("c"), assistant("d"), user("e")])

    assert [("user", 2), ("model", 2), ("user", 1)] == [(one["role"], len(one["parts"])) for one in said]


def test_the_first_word_is_the_users() -> None:
    """A greeting by the assistant is answered to."""
    assert ["user", "model", "user"] == [one["role"] for one in contents([assistant("Welcome!"), user("Hi")])]


def test_media_go_inline_or_by_address() -> None:
    """Pictures, sounds and documents alike; a data URL is data."""
    parts = contents(
        user(
            "Look",
            Image(data=b"png", media_type="image/png"),
            Audio(data=b"wav", media_type="audio/wav"),
            Document(data=b"pdf", media_type="application/pdf", name="a.pdf"),
            Image(url="gs://bucket/a.png", media_type="image/png"),
            Document(url="https://generativelanguage.googleapis.com/v1beta/files/x"),
            Image(url="data:image/gif;base64,R0lG"),
        )
    )[0]["parts"]

    expected = [
        {"text": "Look"},
        {"inlineData": {"mimeType": "image/png", "data": "cG5n"}},
        {"inlineData": {"mimeType": "audio/wav", "data": "d2F2"}},
        {"inlineData": {"mimeType": "application/pdf", "data": "cGRm"}},
        {"fileData": {"fileUri": "gs://bucket/a.png", "mimeType": "image/png"}},
        {"fileData": {"fileUri": "https://generativelanguage.googleapis.com/v1beta/files/x"}},
        {"inlineData": {"mimeType": "image/gif", "data": "R0lG"}},
    ]
    assert expected == parts


def test_results_stand_together_in_the_order_of_their_calls() -> None:
    """In a content of their own, whatever order and messages they came in; what the user adds follows."""
    calls = [ToolCall("c1", "look", {"city": "Paris"}), ToolCall("c2", "now", {})]
    said = contents([user("Hi"), Message("assistant", calls), tool_result("c2", "noon"), tool_result(calls[0], {"t": 20}), user("And?")])

    expected = [
        {"functionResponse": {"id": "c1", "name": "look", "response": {"t": 20}}},
        {"functionResponse": {"id": "c2", "name": "now", "response": {"output": "noon"}}},
    ]
    assert expected == said[2]["parts"]
    assert ["user", "model", "user", "user"] == [one["role"] for one in said]
    assert [{"text": "And?"}] == said[3]["parts"]


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        (ToolResult("c1", "look", "No.", True), {"error": "No."}),
        (ToolResult("c1", "look", "[1]"), {"output": "[1]"}),
        (ToolResult("c1", "look", '{"a": 1'), {"output": '{"a": 1'}),
        (ToolResult("c1", "look", '{"a": [1.5]}'), {"a": [1.5]}),
        (ToolResult("c1", "look", '{"error": "x"}'), {"output": '{"error": "x"}'}),
        (ToolResult("c1", "look", ()), {"output": ""}),
    ],
)
def test_a_result_is_an_object(result: ToolResult, expected: dict[str, Any]) -> None:
    """The tool's own, or one with the words for results and errors."""
    said = contents([user("Hi"), Message("assistant", ToolCall("c1", "look")), Message("tool", result)])

    assert expected == said[-1]["parts"][0]["functionResponse"]["response"]


def test_pictures_out_of_tools_are_seen() -> None:
    """Inside the result where the model looks there, else right behind it."""
    history = [
        user("Hi"),
        Message("assistant", ToolCall("c1", "look")),
        tool_result("c1", ["Here:", Image(data=b"png", media_type="image/png"), Audio(data=b"w", media_type="audio/wav")]),
        user("What is it?"),
    ]
    picture = {"inlineData": {"mimeType": "image/png", "data": "cG5n"}}
    sound = {"inlineData": {"mimeType": "audio/wav", "data": "dw=="}}

    late, early = contents(history), contents(history, model=EARLY)

    assert [picture] == late[2]["parts"][0]["functionResponse"]["parts"]
    assert [sound, {"text": "What is it?"}] == late[3]["parts"][1:]
    assert "parts" not in early[2]["parts"][0]["functionResponse"]
    assert [picture, sound, {"text": "What is it?"}] == early[3]["parts"][1:]


def test_a_result_without_a_name_finds_it_in_its_call() -> None:
    """And is refused where there is no such call."""
    with pytest.raises(ConfigurationError, match="answers no call"):
        contents([user("Hi"), tool_result("c9", "x")])


def test_a_call_that_names_no_tool_and_its_result_have_a_name() -> None:
    """Some models write such, and the API takes no empty one."""
    call = ToolCall("c1", "")

    sent = contents([user("Hi"), assistant(call), tool_result(call, "There is no such tool.")])

    assert ["_", "_"] == [sent[1]["parts"][0]["functionCall"]["name"], sent[2]["parts"][0]["functionResponse"]["name"]]


# -- what the model said goes back as it came

PARTS: list[dict[str, Any]] = [
    {"text": "Hm.", "thought": True},
    {"text": "Sealed thought.", "thought": True, "thoughtSignature": "A=="},
    {"text": "I look.", "thoughtSignature": "B=="},
    {"executableCode": {"id": "e1", "language": "PYTHON", "code": "1"}, "thoughtSignature": "C=="},
    {"codeExecutionResult": {"id": "e1", "outcome": "OUTCOME_OK", "output": "1"}},
    {"inlineData": {"mimeType": "image/png", "data": "cG5n"}, "thoughtSignature": "D=="},
    {"functionCall": {"name": "look", "args": {"b": 1, "a": [1.0, None]}, "id": "c1"}, "thoughtSignature": "E=="},
    {"functionCall": {"name": "look", "args": {}}},
    {"functionCall": {"name": "now", "args": {}, "id": "c3"}, "partMetadata": {"x": 1}},
    {"toolCall": {"toolType": "GOOGLE_SEARCH", "args": {}}},
    {"text": "", "thoughtSignature": "F=="},
]


@pytest.mark.parametrize("streamed", [False, True])
def test_an_answer_goes_back_byte_for_byte(streamed: bool) -> None:
    """Seals, ids, order, arguments and blocks that only the model understands, through a dict and back as well."""
    answer = {"candidates": [{"content": {"role": "model", "parts": PARTS}, "finishReason": "STOP"}], "responseId": "r1"}
    request = make_request("Hi", model=LATE, stream=streamed)
    if streamed:
        decoder = GEMINI.decoder(HttpResponse(status=200), request)
        decoder.feed(b"data: %b\r\n\r\n" % json.dumps(answer).encode())
        reply = decoder.response()
    else:
        reply = GEMINI.decode(HttpResponse(status=200, body=json.dumps(answer).encode()), request)
    kept = type(reply).from_dict(json.loads(json.dumps(reply.to_dict()))).message
    results = [tool_result(call, "ok") for call in reply.tool_calls]

    for message in (reply.message, kept):
        said = contents([user("Hi"), message, *reversed(results)])
        assert PARTS == said[1]["parts"]
        assert ["c1", None, "c3"] == [part["functionResponse"].get("id") for part in said[2]["parts"]]


def test_nothing_of_another_provider_goes_to_this_one() -> None:
    """Thoughts, seals and native blocks are their maker's; all the rest is kept, and the first call gets the seal for such."""
    message = Message(
        "assistant",
        [
            Thinking("Secret.", "anthropic-seal", provider="anthropic"),
            Text("I look."),
            Native("anthropic", {"type": "server_tool_use"}),
            ToolCall("toolu_1", "look", {"city": "Paris"}, data={"provider": "anthropic", "thoughtSignature": "X=="}),
            ToolCall("toolu_2", "now", {}),
        ],
    )

    said = contents([user("Hi"), message, tool_result("toolu_1", "a"), tool_result("toolu_2", "b")])

    expected = [
        {"text": "I look."},
        {"functionCall": {"id": "toolu_1", "name": "look", "args": {"city": "Paris"}}, "thoughtSignature": ANY_SEAL},
        {"functionCall": {"id": "toolu_2", "name": "now", "args": {}}},
    ]
    assert expected == said[1]["parts"]
    assert "thoughtSignature" not in json.dumps(contents([user("Hi"), message, tool_result("toolu_1", "a")], model=EARLY))


def test_a_turn_of_foreign_thoughts_alone_is_left_out() -> None:
    """There is nothing in it that could be said."""
    said = contents([user("a"), Message("assistant", Thinking("x", provider="openai")), user("b")])

    assert [{"role": "user", "parts": [{"text": "a"}, {"text": "b"}]}] == said


def test_thoughts_that_nobody_owns_are_taken_for_its_own() -> None:
    """A user may have written them; the two services do not share theirs."""
    mine = Message("assistant", [Thinking("Hm.", "S=="), Text("x")])
    theirs = Message("assistant", [Thinking("Hm.", "S==", provider="google"), Text("x")])

    assert {"text": "Hm.", "thought": True, "thoughtSignature": "S=="} == contents([user("a"), mine, user("b")])[1]["parts"][0]
    assert [{"text": "x"}] == contents([user("a"), theirs, user("b")], dialect=VERTEX)[1]["parts"]


def test_a_seal_whose_text_was_taken_away_stands_alone() -> None:
    """A user may shorten the history."""
    message = Message("assistant", [Thinking("", "S==", provider="google", data={"seals": "text"}), Text("x")])

    assert [{"text": "", "thoughtSignature": "S=="}, {"text": "x"}] == contents([user("a"), message, user("b")])[1]["parts"]


def test_the_seal_of_googles_compatible_api_is_found() -> None:
    """In a dict of OpenAI's form it hangs on the call."""
    call = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
    call["extra_content"] = {"google": {"thought_signature": "S=="}}
    history = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "x"},
    ]

    assert "S==" == contents(history)[1]["parts"][0]["thoughtSignature"]


def test_arguments_that_are_no_object_are_shown_as_they_were() -> None:
    """The model sees what it wrote."""
    call = ToolCall("c1", "look", {}, text="[1", invalid="not JSON")

    assert {"invalid": "[1"} == contents([user("Hi"), Message("assistant", call), tool_result(call, "no")])[1]["parts"][0]["functionCall"][
        "args"
    ]


# -- refusals


@pytest.mark.parametrize(
    ("messages", "words"),
    [
        ([Message("user", "Hi", name="Ann")], "names of speakers"),
        ([system(Image(data=b"x", media_type="image/png")), user("Hi")], "text only"),
        ([user(ToolCall("c", "look"))], "ToolCall"),
        ([Message("assistant", ToolResult("c", "look", "x")), user("Hi")], "ToolResult"),
        ([Message("tool", "x")], "tool results"),
        ([user("")], "nothing in it"),
        ([assistant("")], "nothing in them"),
        ([user(Native("google", 7))], "native part"),
        ([user(Image(url="data:image/png,abc"))], "base64"),
        ([user("\ud800")], "written as JSON"),
    ],
)
def test_what_cannot_be_said_is_refused(messages: Any, words: str) -> None:
    """Before anything is sent."""
    with pytest.raises(ConfigurationError, match=words):
        encoded(messages)


def test_late_models_do_not_go_on_with_their_own_turn() -> None:
    """Earlier ones do."""
    with pytest.raises(ConfigurationError, match="last message"):
        encoded([user("a"), assistant("b")], model="gemini-3.8-flash")

    assert encoded([user("a"), assistant("b")], model=EARLY)


def test_nothing_is_conceded() -> None:
    """Nothing is sent that was not asked for."""
    fault = GEMINI.fault(HttpResponse(status=400, body=b'{"error":{"message":"Unknown name"}}'))

    assert GEMINI.concession(fault, make_request("Hi", model="m")) is None
