"""Requests of Text Generation Inference's own wire: parameters as its validation takes them, messages as a prompt."""

from __future__ import annotations

import json
from typing import Any

import pytest

from llmkit.dialects.base import Place
from llmkit.dialects.tgi import TGI
from llmkit.errors import ConfigurationError
from llmkit.models.content import Image, Native, Text, Thinking, assistant, system, tool_result, user
from llmkit.models.request import make_request

USUAL = {"details": True, "return_full_text": False}
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}}


def body(messages: Any = "Hi", template: str | None = None, **parameters: Any) -> dict[str, Any]:
    options = {} if template is None else {"chat_template": template}
    http = TGI().encode(make_request(messages, model="m", **parameters), Place(base_url="http://h", options=options))
    assert "http://h/" == http.url
    return json.loads(http.body)


def prompt(*messages: Any, template: str | None = None) -> str:
    return str(body(list(messages), template)["inputs"])


@pytest.mark.parametrize(
    ("asked", "sent"),
    [
        ({}, {}),
        ({"max_tokens": 5}, {"max_new_tokens": 5}),
        ({"temperature": 0.7}, {"temperature": 0.7}),
        ({"temperature": 0}, {"do_sample": False}),
        ({"top_p": 0.9, "top_k": 4}, {"top_p": 0.9, "top_k": 4}),
        ({"top_p": 1.0}, {}),
        ({"stop": ["a", "b"], "seed": 7}, {"stop": ["a", "b"], "seed": 7}),
        ({"frequency_penalty": 0.5}, {"frequency_penalty": 0.5}),
        ({"response_format": SCHEMA}, {"grammar": {"type": "json", "value": SCHEMA}}),
        ({"response_format": "json"}, {"grammar": {"type": "json", "value": {"type": "object"}}}),
        ({"extra_body": {"parameters": {"watermark": True}}}, {"watermark": True}),
    ],
    ids=str,
)
def test_parameters_are_said_in_its_words(asked: dict[str, Any], sent: dict[str, Any]) -> None:
    """Nothing that was not asked for but what the answer is read by; zero and one are said as it takes them."""
    assert {**USUAL, **sent} == body(**asked)["parameters"]


def test_a_stream_is_asked_for_in_the_body() -> None:
    """At the one address there is."""
    assert "stream" not in body()
    assert body(stream=True)["stream"] is True


TURNS = (system("Be {brief}."), user("Hi"), assistant(Thinking("hm"), "Hello", Native("x", {"a": 1})), user(Text("And "), Text("you?")))


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        (None, "Be {brief}.\n\nUser: Hi\nAssistant: Hello\nUser: And you?\nAssistant:"),
        (
            "chatml",
            (
                "<|im_start|>system\nBe {brief}.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\nHello<|im_end|>\n"
                "<|im_start|>user\nAnd you?<|im_end|>\n<|im_start|>assistant\n"
            ),
        ),
        (
            "llama3",
            (
                "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nBe {brief}.<|eot_id|>"
                "<|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\nHello<|eot_id|>"
                "<|start_header_id|>user<|end_header_id|>\n\nAnd you?<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n"
            ),
        ),
    ],
)
def test_messages_are_written_by_a_template(template: str | None, expected: str) -> None:
    """Their texts as they are; thoughts and other providers' blocks are left out."""
    assert expected == prompt(*TURNS, template=template)


def test_a_raw_prompt_is_sent_as_it_is() -> None:
    """For models that only continue, and for prompts with marks of their own."""
    assert "Once upon" == prompt(user("Once upon"), template="raw")
    with pytest.raises(ConfigurationError, match="one message"):
        prompt(*TURNS, template="raw")


def test_an_unknown_template_is_refused() -> None:
    """By the names of those there are."""
    with pytest.raises(ConfigurationError, match="plain, raw, chatml, llama3"):
        prompt(user("Hi"), template="alpaca")


@pytest.mark.parametrize(
    ("message", "word"),
    [
        (user("What?", Image(url="https://a.example/x.png")), "Image"),
        ({"role": "assistant", "tool_calls": [{"id": "c", "function": {"name": "f", "arguments": "{}"}}]}, "ToolCall"),
        (tool_result("c", "rain"), "tool's result"),
    ],
)
def test_what_is_no_text_is_refused_by_name(message: Any, word: str) -> None:
    """Rather than left out."""
    with pytest.raises(ConfigurationError, match=word):
        prompt(user("Hi"), message)
