"""Conversations as items: what goes in, what goes back, and what stays behind."""

from __future__ import annotations

import json
from typing import Any

import pytest

from llmkit.dialects.base import Place
from llmkit.dialects.openai_responses import OpenAIResponses
from llmkit.errors import ConfigurationError
from llmkit.models.content import (
    Audio,
    Document,
    Image,
    Message,
    Native,
    Text,
    Thinking,
    ToolCall,
    assistant,
    system,
    tool_result,
    user,
)
from llmkit.models.request import make_request

DIALECT = OpenAIResponses()
OWNER = DIALECT.owner
CALL = ToolCall("call_1", "look", {"n": 1}, data={"provider": OWNER, "id": "fc_1", "status": "completed"})
THOUGHT = Thinking("Hm.", "gAAA", provider=OWNER, data={"id": "rs_1", "type": "reasoning", "summary": [], "status": None})
SAID: dict[str, Any] = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "status": "completed",
    "phase": "final_answer",
    "content": [{"type": "output_text", "text": "Four", "annotations": []}],
}


def sent(messages: Any, **parameters: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(DIALECT.encode(make_request(messages, model="m", **parameters), Place(base_url="http://h")).body)
    return found


def items(messages: Any, **parameters: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = sent(messages, **parameters)["input"]
    return found


# -- what goes in

PARTS: list[Any] = [
    (Image(data=b"\x89PNG", media_type="image/png"), {"type": "input_image", "image_url": "data:image/png;base64,iVBORw=="}),
    (Image(url="https://x.example/a.png", detail="low"), {"type": "input_image", "image_url": "https://x.example/a.png", "detail": "low"}),
    (Audio(data=b"ID3", media_type="audio/mpeg"), {"type": "input_audio", "input_audio": {"data": "SUQz", "format": "mp3"}}),
    (
        Document(data=b"%PDF", media_type="application/pdf", name="a.pdf"),
        {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERg=="},
    ),
    (Document(url="https://x.example/a.pdf"), {"type": "input_file", "file_url": "https://x.example/a.pdf"}),
    (Document(data=b"a,b", media_type="text/csv"), {"type": "input_text", "text": "a,b"}),
    (Native(OWNER, {"type": "input_file", "file_id": "f"}), {"type": "input_file", "file_id": "f"}),
    (Native("openai", {"type": "file", "file": {"file_id": "f"}}), {"type": "input_file", "file_id": "f"}),
]


@pytest.mark.parametrize(("part", "wire"), PARTS)
def test_a_part_has_its_form_on_the_wire(part: Any, wire: dict[str, Any]) -> None:
    """Beside another part, content is a list."""
    assert [{"role": "user", "content": [{"type": "input_text", "text": "See:"}, wire]}] == items(user("See:", part))


def test_the_first_system_message_is_the_instructions() -> None:
    """Later ones keep their place, and so does one with a picture or alone."""
    found = sent([system("Be kind."), user("Hi"), system("Be brief."), user("Go on")])

    assert "Be kind." == found["instructions"]
    assert [("user", "Hi"), ("system", "Be brief."), ("user", "Go on")] == [(item["role"], item["content"]) for item in found["input"]]
    assert [{"role": "system", "content": "Alone."}] == items([system("Alone.")])


def test_results_are_outputs_of_their_calls() -> None:
    """Text is a string, what is more a list, and an error says so."""
    png = Image(data=b"\x89PNG", media_type="image/png")
    calls = assistant(CALL, ToolCall("c2", "see", {}), ToolCall("c3", "f", {}))
    results = [tool_result(CALL, {"a": 1}), tool_result("c2", ["Here:", png]), tool_result("c3", "No.", is_error=True)]

    found = items([user("Hi"), calls, *results])

    assert [("call_1", '{"a": 1}'), ("c3", "Error: No.")] == [
        (found[4]["call_id"], found[4]["output"]),
        (found[6]["call_id"], found[6]["output"]),
    ]
    assert [{"type": "input_text", "text": "Here:"}, {"type": "input_image", "image_url": png.data_url()}] == found[5]["output"]


def test_what_only_others_can_read_is_left_out_of_a_turn() -> None:
    """The rest of it is sent."""
    foreign = (Native("anthropic", {"type": "x"}), Thinking("Hm."))

    assert [{"role": "user", "content": [{"type": "input_text", "text": "Hi"}]}] == items(user("Hi", *foreign))


def test_outputs_of_other_tools_are_items() -> None:
    """In the user's message, where they stand."""
    output = {"type": "custom_tool_call_output", "call_id": "c", "output": "x"}

    assert [output, {"role": "user", "content": "And?"}] == items(user(Native(OWNER, output), "And?"))


@pytest.mark.parametrize(
    "messages",
    [
        [Message("user", "Hi", name="ann")],
        [user(Audio(url="https://x.example/a.wav"))],
        [user(Audio(data=b"x", media_type="audio/ogg"))],
        [user(CALL)],
        [Message("tool", "text")],
        [user(Native("other", {}))],
        [assistant(Native("other", {}))],
        [user(Native(OWNER, ["x"]))],
        [assistant(Image(url="https://x.example/a.png"))],
    ],
)
def test_what_cannot_be_said_is_refused(messages: Any) -> None:
    """Before anything is sent."""
    with pytest.raises(ConfigurationError, match=OWNER):
        items(messages)


# -- what goes back


def test_thoughts_go_back_sealed_with_what_they_led_to() -> None:
    """In their order, with the ids they came with; nulls, which some servers refuse, are left out."""
    found = items([user("Hi"), assistant(THOUGHT, CALL), tool_result(CALL, "1")])

    assert [
        {"id": "rs_1", "type": "reasoning", "summary": [], "encrypted_content": "gAAA"},
        {"type": "function_call", "call_id": "call_1", "name": "look", "arguments": '{"n":1}', "id": "fc_1", "status": "completed"},
        {"type": "function_call_output", "call_id": "call_1", "output": "1"},
    ] == found[1:]


def test_a_message_goes_back_as_it_came() -> None:
    """With its phase and citations; without thoughts, its id means nothing to a server that kept nothing."""
    with_thoughts = items([user("Hi"), assistant(THOUGHT, Native(OWNER, SAID), Text("Four"))])
    without = items([user("Hi"), assistant(Native(OWNER, SAID), Text("Four"))])

    assert SAID == with_thoughts[2]
    assert [{key: value for key, value in SAID.items() if key not in ("id", "status")}] == without[1:]


@pytest.mark.parametrize("text", [(), (Text("Five"),), (Text("Fo"), Text("ur"))])
def test_a_text_that_was_changed_counts(text: tuple[Text, ...]) -> None:
    """What the caller made of it is sent, not what it was."""
    found = items([user("Hi"), assistant(Native(OWNER, SAID), *text)])

    pieces = [{"type": "output_text", "text": part.text} for part in text]
    expected = [] if not text else [{"role": "assistant", "content": text[0].text if len(text) == 1 else pieces}]
    assert expected == found[1:]


def test_a_thought_without_its_seal_stays_behind() -> None:
    """The server would look for it, and kept nothing; the ids of what it led to stay behind with it."""
    bare = Thinking("Hm.", provider=OWNER, data={"id": "rs_1", "type": "reasoning", "summary": []})
    history = [user("Hi"), assistant(bare, CALL), tool_result(CALL, "1")]

    assert [None, "function_call", "function_call_output"] == [item.get("type") for item in items(history)]
    assert "id" not in items(history)[1]
    assert ["rs_1", "fc_1"] == [item["id"] for item in items(history, extra_body={"store": True})[1:3]]


def test_a_thought_in_the_clear_goes_back() -> None:
    """As servers give it that seal none."""
    data = {"id": "x", "type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": "Hm."}]}

    assert data == items([user("Hi"), assistant(Thinking("Hm.", provider=OWNER, data=data), "Hello")])[1]


def test_foreign_thoughts_and_items_stay_behind() -> None:
    """Nothing else is lost, and ids that are too long are made to fit wherever they stand."""
    call = ToolCall("x" * 65, "look", {"n": 1}, data={"provider": "google", "extra_content": {}})
    spoken = assistant(Thinking("Hm.", "sig", provider="anthropic"), Native("anthropic", {"type": "x"}), "I look.", call)

    found = items([user("Hi"), spoken, tool_result(call, "1")])

    assert {"role": "assistant", "content": "I look."} == found[1]
    assert ["arguments", "call_id", "name", "type"] == sorted(found[2])
    assert found[2]["call_id"] == found[3]["call_id"] != call.id
    assert 64 >= len(found[2]["call_id"])


def test_arguments_go_back_as_the_model_wrote_them() -> None:
    """Even where they are no JSON."""
    call = ToolCall("c", "f", {}, text='{"a": ', invalid="cut")

    assert '{"a": ' == items([user("Hi"), assistant(call), tool_result("c", "No.")])[1]["arguments"]
