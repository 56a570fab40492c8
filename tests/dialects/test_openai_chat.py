"""Requests of Chat Completions: what each of our words is on the wire."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from llmkit.dialects.base import Place, merged
from llmkit.dialects.openai_chat import OpenAIChat
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
from llmkit.transport.base import HttpRequest

OPENAI = OpenAIChat()
PLACE = Place(base_url="https://host.example/v1")
PNG = b"\x89PNG"
PNG_URL = "data:image/png;base64," + base64.b64encode(PNG).decode()
SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"], "additionalProperties": False}
LOOK = Tool(name="look", description="Looks.", parameters=SCHEMA)
CALL = ToolCall("call_0123456789", "look", {"n": 1})


def request(messages: Any = "Hi", dialect: OpenAIChat = OPENAI, place: Place = PLACE, **parameters: Any) -> HttpRequest:
    return dialect.encode(make_request(messages, model=parameters.pop("model", "m"), **parameters), place)


def body(messages: Any = "Hi", dialect: OpenAIChat = OPENAI, **parameters: Any) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(request(messages, dialect, **parameters).body)
    return read


def turns(messages: Any, dialect: OpenAIChat = OPENAI, **parameters: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = body(messages, dialect, **parameters)["messages"]
    return found


# -- the request as a whole


def test_a_plain_question_is_a_plain_request() -> None:
    """Only what the caller set is sent."""
    sent = request("Hi")

    assert ("POST", "https://host.example/v1/chat/completions") == (sent.method, sent.url)
    assert {"Content-Type": "application/json", "Accept": "application/json"} == dict(sent.headers)
    assert b'{"model":"m","messages":[{"role":"user","content":"Hi"}]}' == sent.body


@pytest.mark.parametrize(
    ("parameters", "wire"),
    [
        ({"temperature": 0.5}, {"temperature": 0.5}),
        ({"temperature": 0}, {"temperature": 0}),
        ({"top_p": 0.9}, {"top_p": 0.9}),
        ({"max_tokens": 7}, {"max_tokens": 7}),
        ({"stop": "END"}, {"stop": ["END"]}),
        ({"stop": ("a", "b")}, {"stop": ["a", "b"]}),
        ({"seed": -1}, {"seed": -1}),
        ({"frequency_penalty": -2, "presence_penalty": 2.0}, {"frequency_penalty": -2, "presence_penalty": 2.0}),
        ({"user": "u"}, {"user": "u"}),
        ({"metadata": {"a": "b"}}, {"metadata": {"a": "b"}}),
        ({"reasoning": "low"}, {"reasoning_effort": "low"}),
        ({"stream": True}, {"stream": True, "stream_options": {"include_usage": True}}),
        ({"system": "Be kind."}, {"messages": [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hi"}]}),
        ({"extra_body": {"n": 2, "model": "other"}}, {"n": 2, "model": "other"}),
    ],
)
def test_a_parameter_has_its_word_on_the_wire(parameters: dict[str, Any], wire: dict[str, Any]) -> None:
    """Each is sent as it was set, and nothing beside it."""
    assert {"model": "m", "messages": [{"role": "user", "content": "Hi"}], **wire} == body(**parameters)


@pytest.mark.parametrize(
    ("field", "value", "parameters", "wire"),
    [
        ("max_tokens_field", "max_completion_tokens", {"max_tokens": 7}, {"max_completion_tokens": 7}),
        ("seed_field", "random_seed", {"seed": 7}, {"random_seed": 7}),
        ("takes_top_k", True, {"top_k": 7}, {"top_k": 7}),
        ("extras", {"safe": False}, {}, {"safe": False}),
        ("stream_usage", False, {"stream": True}, {"stream": True}),
        ("reasoning", "nested", {"reasoning": "low"}, {"reasoning": {"effort": "low"}}),
        ("reasoning", "nested", {"reasoning": 900}, {"reasoning": {"max_tokens": 900}}),
        ("reasoning", "enable_thinking", {"reasoning": 900}, {"enable_thinking": True, "thinking_budget": 900}),
        ("reasoning", "enable_thinking", {"reasoning": "none"}, {"enable_thinking": False}),
        ("reasoning", "thinking", {"reasoning": "high"}, {"thinking": {"type": "enabled"}}),
        ("reasoning", "thinking_effort", {"reasoning": "none"}, {"thinking": {"type": "disabled"}}),
        ("reasoning", "thinking_effort", {"reasoning": "high"}, {"thinking": {"type": "enabled"}, "reasoning_effort": "high"}),
        ("required_choice", "any", {"tools": [LOOK], "tool_choice": "required"}, {"tool_choice": "any"}),
    ],
)
def test_a_field_of_the_dialect_changes_the_word(field: str, value: Any, parameters: dict[str, Any], wire: dict[str, Any]) -> None:
    """What servers call differently is a field."""
    found = body(dialect=evolve(OPENAI, **{field: value}), **parameters)

    assert {"model": "m", "messages": [{"role": "user", "content": "Hi"}], **wire} == {k: v for k, v in found.items() if k != "tools"}


def test_what_a_server_refused_is_left_out() -> None:
    """The question for usage is ours, not the user's."""
    place = Place(base_url="https://host.example/v1", refused=frozenset({"stream_options"}))

    assert "stream_options" not in json.loads(request(place=place, stream=True).body)


def test_parameters_name_what_the_wire_can_say() -> None:
    """What a server refuses is not among them; top_k only where it is known."""
    narrow = evolve(OPENAI, withholds=frozenset({"seed"}), takes_top_k=True)

    assert ({"seed"}, {"top_k"}) == (OPENAI.parameters - narrow.parameters, narrow.parameters - OPENAI.parameters)


def test_paths_queries_and_headers_say_options() -> None:
    """Percent-encoded in a URL; a header whose option was not given is left out."""
    dialect = evolve(
        OPENAI,
        path="/deployments/{model}/chat/completions",
        query="api-version={v}",
        headers={"X-A": "{v}", "X-B": "{w}"},
        model_option="d",
    )
    place = Place(base_url="http://h", options={"v": "1/2", "d": "my model"})

    sent, listing = request("Hi", dialect, place), dialect.encode_models(place)

    assert "http://h/deployments/my%20model/chat/completions?api-version=1%2F2" == sent.url
    assert ("1/2", False, "my model") == (sent.headers["X-A"], "X-B" in sent.headers, json.loads(sent.body)["model"])
    assert listing is not None
    assert ("GET", "http://h/models?api-version=1%2F2", b"") == (listing.method, listing.url, listing.body)
    assert evolve(OPENAI, models_path=None).encode_models(place) is None


def test_extra_headers_are_sent() -> None:
    """Beside the usual ones, which they may replace."""
    assert "x/y" == request(extra_headers={"X-One": "1", "Accept": "x/y"}).headers["Accept"]
    assert "1" == request(extra_headers={"X-One": "1"}).headers["X-One"]


def test_the_extra_body_has_the_last_word() -> None:
    """Objects key by key, everything else replaced, null included."""
    extra = {"stream_options": {"x": 1}, "temperature": None, "stop": ["z"], "new": {"a": [1]}}

    found = body(stream=True, temperature=1, stop=["a", "b"], extra_body=extra)

    assert {"include_usage": True, "x": 1} == found["stream_options"]
    assert (None, ["z"], {"a": [1]}) == (found["temperature"], found["stop"], found["new"])


TREES = st.dictionaries(
    st.sampled_from("abc"), st.recursive(st.integers(), lambda i: st.dictionaries(st.sampled_from("abc"), i, min_size=1, max_size=3))
)


@given(base=TREES, extra=TREES)
def test_merging_lays_one_tree_over_another(base: dict[str, Any], extra: dict[str, Any]) -> None:
    """Every leaf of the second is in the result, every leaf of the first that the second does not touch, and neither is changed."""

    def paths(tree: Any, path: tuple[str, ...] = ()) -> dict[tuple[str, ...], Any]:
        if not isinstance(tree, Mapping):
            return {path: tree}
        return {place: leaf for key, inner in tree.items() for place, leaf in paths(inner, (*path, key)).items()}

    before = json.dumps([base, extra])
    found = paths(merged(base, extra))

    assert found.items() >= paths(extra).items()
    touched = [
        place for place in paths(base) if any(place[: len(other)] == other or other[: len(place)] == place for other in paths(extra))
    ]
    assert found.items() >= {place: leaf for place, leaf in paths(base).items() if place not in touched}.items()
    assert before == json.dumps([base, extra])


@pytest.mark.parametrize("value", [float("nan"), float("inf"), object(), {1, 2}, "\ud800"])
def test_what_is_no_json_is_refused(value: Any) -> None:
    """By us, and not by a server that cannot say where."""
    with pytest.raises(ConfigurationError, match="cannot be written as JSON"):
        request(extra_body={"x": value})


def test_a_request_nested_without_end_is_refused() -> None:
    """No error of the interpreter's comes out."""
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]

    with pytest.raises(ConfigurationError, match="cannot be written as JSON"):
        request(extra_body={"x": deep})
    while deep:
        deep = deep.pop()  # taken apart by hand: not every interpreter frees such depth


# -- tools and shapes


def test_tools_are_functions_on_the_wire() -> None:
    """Name, description and schema; strict only where it was asked for."""
    silent = Tool(name="now", parameters=None, strict=True)

    found = body(tools=[LOOK, silent])["tools"]

    assert {"type": "function", "function": {"name": "look", "parameters": SCHEMA, "description": "Looks."}} == found[0]
    assert (True, False) == (found[1]["function"]["strict"], "description" in found[1]["function"])
    assert "strict" not in body(tools=[silent], dialect=evolve(OPENAI, strict_tools=False))["tools"][0]["function"]


@pytest.mark.parametrize(
    ("choice", "wire"),
    [
        ("auto", "auto"),
        ("none", "none"),
        ("required", "required"),
        ("look", {"type": "function", "function": {"name": "look"}}),
        ({"type": "function", "function": {"name": "look"}}, {"type": "function", "function": {"name": "look"}}),
    ],
)
def test_a_choice_of_tools_is_said(choice: Any, wire: Any) -> None:
    """A word, or a tool by its name, in either form."""
    found = body(tools=[LOOK], tool_choice=choice, parallel_tool_calls=False)

    assert (wire, False) == (found["tool_choice"], found["parallel_tool_calls"])


OPEN_SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}}


@pytest.mark.parametrize(
    ("shape", "fields", "wire"),
    [
        (SCHEMA, {}, {"name": "response", "schema": SCHEMA, "strict": True}),
        (
            {"type": "json_schema", "json_schema": {"name": "x", "description": "An x.", "schema": SCHEMA, "strict": True}},
            {},
            {"name": "x", "description": "An x.", "schema": SCHEMA, "strict": True},
        ),
        (
            {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA, "strict": False}},
            {},
            {"name": "x", "schema": SCHEMA, "strict": False},
        ),
        ("json", {"json_mode": False}, {"name": "response", "schema": {"type": "object"}, "strict": False}),
    ],
)
def test_a_schema_is_kept_to(shape: Any, fields: dict[str, Any], wire: dict[str, Any]) -> None:
    """As strictly as the user says, or else as strictly as the schema allows."""
    found = body(response_format=shape, dialect=evolve(OPENAI, **fields))["response_format"]

    assert {"type": "json_schema", "json_schema": wire} == found


def test_a_schema_may_have_to_be_said_in_words() -> None:
    """A server that only knows JSON is told the schema before everything else; the word "json", which its mode wants, is in it."""
    found = body("Hi", evolve(OPENAI, schema="json_object"), response_format=SCHEMA)

    assert ({"type": "json_object"}, "system", "user") == (found["response_format"], *(turn["role"] for turn in found["messages"]))
    assert json.dumps(SCHEMA) in found["messages"][0]["content"]
    assert "json" in found["messages"][0]["content"].lower()


@pytest.mark.parametrize("fields", [{}, {"schema": "json_object"}])
def test_json_mode_is_asked_for_with_its_word(fields: dict[str, Any]) -> None:
    """It is refused where no message has the word "json", so one is added; where one has it, nothing is."""
    dialect = evolve(OPENAI, **fields)
    result = tool_result(ToolCall("call_1", "f", {}), "As JSON, please.")

    plain = body("Three cities?", dialect, response_format="json")

    assert {"type": "json_object"} == plain["response_format"]
    assert ("system", "user") == tuple(turn["role"] for turn in plain["messages"])
    assert "JSON" in plain["messages"][0]["content"]
    assert ["user"] == [turn["role"] for turn in turns("Three cities as Json?", dialect, response_format="json")]
    assert ["assistant", "tool"] == [
        turn["role"] for turn in turns([assistant(ToolCall("call_1", "f", {})), result], dialect, response_format="json")
    ]


def test_a_schema_may_stand_under_value() -> None:
    """As Text Generation Inference wants it."""
    dialect = evolve(OPENAI, schema="value")

    assert {"type": "json_object", "value": SCHEMA} == body(dialect=dialect, response_format=SCHEMA)["response_format"]
    assert {"type": "json_object", "value": {"type": "object"}} == body(dialect=dialect, response_format="json")["response_format"]


# -- messages and parts

PARTS: list[tuple[Any, Any]] = [
    ("Hi", {"type": "text", "text": "Hi"}),
    (Text("Hi"), {"type": "text", "text": "Hi"}),
    (Image(url="https://x.example/a.png"), {"type": "image_url", "image_url": {"url": "https://x.example/a.png"}}),
    (Image(data=PNG, media_type="image/png", detail="low"), {"type": "image_url", "image_url": {"url": PNG_URL, "detail": "low"}}),
    (Audio(data=b"RIFF", media_type="audio/wav"), {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}}),
    (Audio(data=b"ID3", media_type="audio/mpeg"), {"type": "input_audio", "input_audio": {"data": "SUQz", "format": "mp3"}}),
    (
        Document(data=b"%PDF", media_type="application/pdf", name="a.pdf"),
        {"type": "file", "file": {"file_data": "data:application/pdf;base64,JVBERg==", "filename": "a.pdf"}},
    ),
    (
        Document(data=b"%PDF", media_type="application/pdf"),
        {"type": "file", "file": {"file_data": "data:application/pdf;base64,JVBERg==", "filename": "document.pdf"}},
    ),
    (Document(data=b"a,b", media_type="text/csv", name="a.csv"), {"type": "text", "text": "a,b"}),
    (Native("openai", {"type": "file", "file": {"file_id": "f"}}), {"type": "file", "file": {"file_id": "f"}}),
]


@pytest.mark.parametrize(("part", "wire"), PARTS)
def test_a_part_has_its_form_on_the_wire(part: Any, wire: dict[str, Any]) -> None:
    """Beside another part, content is a list."""
    assert [{"role": "user", "content": [{"type": "text", "text": "See:"}, wire]}] == turns(user("See:", part))


DICTS: list[Any] = [
    [{"role": "user", "content": "Hi"}],
    [{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "image_url", "image_url": {"url": PNG_URL, "detail": "high"}}]}],
    [{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "image_url", "image_url": {"url": "https://x.example/a.png"}}]}],
    [
        {
            "role": "user",
            "content": [{"type": "text", "text": "a"}, {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}}],
        }
    ],
    [{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "file", "file": {"file_id": "file-1"}}]}],
    [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "a"},
                {"type": "file", "file": {"file_data": "data:application/pdf;base64,JVBERg==", "filename": "a.pdf"}},
            ],
        }
    ],
    [{"role": "system", "content": "Be kind.", "name": "boss"}, {"role": "user", "content": "Hi", "name": "ann"}],
    [
        {"role": "user", "content": "Weather?"},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {"id": "a", "type": "function", "function": {"name": "look", "arguments": '{"n":  1}'}},
                {"id": "b", "type": "function", "function": {"name": "look", "arguments": "{broken"}},
            ],
        },
        {"role": "tool", "tool_call_id": "a", "content": "Sunny"},
        {"role": "tool", "tool_call_id": "b", "content": "Rain"},
        {"role": "assistant", "content": "Mixed."},
    ],
    [
        {
            "role": "assistant",
            "content": "Yes",
            "tool_calls": [
                {
                    "id": "a",
                    "type": "function",
                    "function": {"name": "look", "arguments": "{}"},
                    "extra_content": {"google": {"thought_signature": "s"}},
                }
            ],
        }
    ],
]


@pytest.mark.parametrize("messages", DICTS)
def test_openai_dicts_go_out_as_they_came(messages: list[dict[str, Any]]) -> None:
    """Ids, order and the text of arguments included."""
    assert messages == turns(messages)


def test_developers_and_old_function_calls_are_understood() -> None:
    """Newer and older words for the same turns."""
    messages = [
        {"role": "developer", "content": "Be kind."},
        {"role": "assistant", "content": None, "function_call": {"name": "look", "arguments": "{}"}},
        {"role": "function", "name": "look", "content": "Sunny"},
    ]

    first, second, third = turns(messages)

    assert ("system", "look", "tool") == (first["role"], second["tool_calls"][0]["function"]["name"], third["role"])
    assert second["tool_calls"][0]["id"] == third["tool_call_id"]


def test_results_of_tools_follow_their_calls() -> None:
    """Text as it is, other values as JSON, errors marked, since the wire has no flag for them."""
    history = [
        user("Go"),
        assistant(CALL, ToolCall("b", "f"), ToolCall("c", "f")),
        tool_result(CALL, "Sunny"),
        tool_result("b", {"é": [1, None]}),
        tool_result("c", "no such city", is_error=True),
        tool_result("d", "Error: gone", is_error=True),
    ]

    found = turns(history)[2:]

    assert ["call_0123456789", "b", "c", "d"] == [turn["tool_call_id"] for turn in found]
    assert ["Sunny", '{"é": [1, null]}', "Error: no such city", "Error: gone"] == [turn["content"] for turn in found]


def test_pictures_of_tools_go_beside_them() -> None:
    """A tool's message holds text only: what else the tools gave stands in one user message behind them all."""
    history = [
        assistant(CALL, ToolCall("b", "f")),
        tool_result(CALL, ["See", Image(data=PNG, media_type="image/png")]),
        tool_result("b", Document(data=b"%PDF", media_type="application/pdf")),
        user("And?"),
    ]

    found = turns(history)

    assert ["assistant", "tool", "tool", "user", "user"] == [turn["role"] for turn in found]
    assert ("See", "", "And?") == (found[1]["content"], found[2]["content"], found[4]["content"])
    assert ["text", "image_url", "text", "file"] == [piece["type"] for piece in found[3]["content"]]
    assert [found[3]] == turns(history[:-1])[3:]
    assert "call_0123456789" in found[3]["content"][0]["text"]


def test_a_server_of_plain_text_refuses_pictures_of_tools() -> None:
    """It could not be said, and is not dropped in silence."""
    history = [assistant(CALL), tool_result(CALL, ["See", Image(data=PNG, media_type="image/png")])]

    with pytest.raises(ConfigurationError, match="text only"):
        turns(history, evolve(OPENAI, plain_content=True))


def test_results_may_stand_in_a_users_message() -> None:
    """As Anthropic has it: they come first, each in its message."""
    found = turns([assistant(CALL), Message("user", [Text("And?"), ToolResult(CALL.id, "look", "Sunny")])])

    assert [("tool", "Sunny"), ("user", "And?")] == [(turn["role"], turn["content"]) for turn in found[1:]]


def test_ids_are_made_short_where_they_must_be() -> None:
    """The same long id comes out the same wherever it stands, and short ones stay."""
    dialect = evolve(OPENAI, short_tool_ids=True)

    found = turns([assistant(CALL, ToolCall("abcDEF123", "f")), tool_result(CALL, "x"), tool_result("abcDEF123", "y")], dialect)
    ids = [call["id"] for call in found[0]["tool_calls"]]

    assert ids == [turn["tool_call_id"] for turn in found[1:]]
    assert "abcDEF123" == ids[1]
    assert (9, True, True) == (len(ids[0]), ids[0].isalnum(), ids[0].isascii())


def test_a_silent_turn_has_null_for_content() -> None:
    """Beside calls only; without them content is a text, be it empty."""
    assert [None, "", "a"] == [turns(message)[0]["content"] for message in (assistant(CALL), assistant(), assistant("a", CALL))]


@pytest.mark.parametrize(
    ("replay", "wire"),
    [
        ("none", {"content": "Yes"}),
        ("reasoning_content", {"content": "Yes", "reasoning_content": "Hmm"}),
        ("reasoning", {"content": "Yes", "reasoning": "Hmm"}),
        ("reasoning_details", {"content": "Yes", "reasoning_details": [{"type": "reasoning.text", "text": "Hmm"}]}),
        ("content", {"content": [{"type": "thinking", "thinking": "Hmm"}, {"type": "text", "text": "Yes"}]}),
        ("tags", {"content": "<think>Hmm</think>Yes"}),
    ],
)
def test_thoughts_go_back_as_the_server_wants_them(replay: Any, wire: dict[str, Any]) -> None:
    """In the form in which it gave them, if they are its own."""
    data = {"reasoning_details": [{"type": "reasoning.text", "text": "Hmm"}], "content": [{"type": "thinking", "thinking": "Hmm"}]}
    own, foreign = (assistant(Thinking("Hmm", provider=name, data=data), "Yes") for name in ("openai", "other"))
    dialect = evolve(OPENAI, replay=replay)

    assert [{"role": "assistant", **wire}] == turns(own, dialect)
    assert [{"role": "assistant", "content": "Yes"}] == turns(foreign, dialect)


@pytest.mark.parametrize("replay", ["reasoning_content", "reasoning", "reasoning_details", "content", "tags"])
@pytest.mark.parametrize("data", [None, [1], {"reasoning_details": "x", "content": 5}])
def test_thoughts_without_anything_to_say_are_left_out(replay: Any, data: Any) -> None:
    """Nothing empty is sent, and nothing of another shape breaks the request."""
    message = assistant(Thinking("", data=data), "Yes")

    assert [{"role": "assistant", "content": "Yes"}] == turns(message, evolve(OPENAI, replay=replay))


@pytest.mark.parametrize("replay", ["content", "tags"])
def test_thoughts_go_before_native_blocks(replay: Any) -> None:
    """Content that is a list already stays one."""
    message = assistant(Thinking("Hm", data={"content": [{"type": "thinking", "thinking": "Hm"}]}), Native("openai", {"type": "x"}), "Yes")
    first = {"type": "thinking", "thinking": "Hm"} if replay == "content" else {"type": "text", "text": "<think>Hm</think>"}

    assert [first, {"type": "x"}, {"type": "text", "text": "Yes"}] == turns(message, evolve(OPENAI, replay=replay))[0]["content"]


def test_dicts_bring_their_thoughts_back() -> None:
    """A message that another program kept as OpenAI's dict is replayed like our own."""
    details = [{"type": "reasoning.text", "text": "Hm", "signature": "s"}]
    blocks = [{"type": "thinking", "thinking": [{"type": "text", "text": "Hm"}]}, {"type": "text", "text": "Yes"}]

    by_text = turns([{"role": "assistant", "content": "Yes", "reasoning": "Hm"}], evolve(OPENAI, replay="reasoning_content"))
    by_details = turns([{"role": "assistant", "content": "Yes", "reasoning_details": details}], evolve(OPENAI, replay="reasoning_details"))
    by_blocks = turns([{"role": "assistant", "content": blocks}], evolve(OPENAI, replay="content"))

    assert ("Hm", details, blocks) == (by_text[0]["reasoning_content"], by_details[0]["reasoning_details"], by_blocks[0]["content"])


def test_what_only_another_provider_reads_is_left_out() -> None:
    """Its native blocks and its thoughts mean nothing here, wherever they stand."""
    foreign = [Native("other", {"type": "x"}), Thinking("Hm", provider="other"), Native("other", {})]

    history = [user(*foreign, "Hi"), Message("assistant", foreign), assistant(*foreign, "Yes"), tool_result("a", [*foreign, "Sunny"])]

    assert ["", "Yes", "Sunny"] == [turn["content"] for turn in turns(history)[1:]]
    assert [{"type": "text", "text": "Hi"}] == turns(history)[0]["content"]


def test_cache_breakpoints_are_marked_where_they_are_known() -> None:
    """On any part, the assistant's included; elsewhere the mark says nothing."""
    marked = {"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}}
    history = [system(Text("a", cache=True)), user(Text("a", cache=True)), assistant(Text("a", cache=True))]

    assert [[marked]] * 3 == [turn["content"] for turn in turns(history, evolve(OPENAI, marks_cache=True))]
    assert ["a"] * 3 == [turn["content"] for turn in turns(history)]


@pytest.mark.parametrize(
    ("messages", "fields", "words"),
    [
        (user(Audio(url="https://x.example/a.wav")), {}, "audio as data"),
        (user(Audio(data=b"x", media_type="audio/flac")), {}, "WAV or MP3"),
        (user(Document(url="https://x.example/a.pdf")), {}, "documents as data"),
        (user(Image(url="https://x.example/a.png")), {"inline_images": True}, "pictures as data"),
        (user(Image(data=b"x", media_type="image/png")), {"plain_content": True}, "text only"),
        (user(CALL), {}, "ToolCall"),
        (tool_result("a", [CALL]), {}, "ToolCall"),
        (assistant(Image(data=b"x", media_type="image/png")), {}, "Image"),
        (Message("assistant", ToolResult("a", "f", "x")), {}, "ToolResult"),
        (Message("tool", "x"), {}, "tool results"),
        (Message("tool", [ToolResult("a", "f", "x"), Text("y")]), {}, "tool results"),
        (user(), {}, "nothing in it"),
        (user(Native("other", {})), {}, "nothing in it"),
        (Message("user", "Hi", name="ann"), {"speaker_names": False}, "speaker"),
        (assistant(ToolCall("a", "f", {"x": object()})), {}, "call of f cannot be written"),
        (assistant(ToolCall("a", "f", {"x": float("nan")})), {}, "call of f cannot be written"),
    ],
)
def test_what_the_wire_cannot_say_is_refused_by_name(messages: Message, fields: dict[str, Any], words: str) -> None:
    """Before anything is sent, and never dropped in silence."""
    with pytest.raises(ConfigurationError, match=words):
        request([messages], evolve(OPENAI, **fields))


def test_a_budget_is_refused_where_there_is_none() -> None:
    """An effort cannot be made of a number of tokens."""
    with pytest.raises(UnsupportedParameterError, match="no budget"):
        request(reasoning=900)
