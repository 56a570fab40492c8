"""SageMaker's requests and errors: the container's wire behind another address."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmkit.dialects.base import Place, WireError
from llmkit.dialects.openai_chat import OpenAIChat
from llmkit.dialects.sagemaker import OPTION_HEADERS, SageMaker
from llmkit.dialects.tgi import TGI
from llmkit.errors import ConfigurationError
from llmkit.models.fault import Fault
from llmkit.models.request import make_request
from llmkit.providers import find_provider
from llmkit.resilience.classify import classify
from llmkit.transport.base import HttpRequest, HttpResponse

SAMPLES = Path(__file__).parent.parent / "samples" / "sagemaker"
INDEX: dict[str, Any] = json.loads((SAMPLES / "index.json").read_text())["samples"]
ANSWERS = [name for name in INDEX if name.endswith(".json") and "api" in INDEX[name]]
ERRORS = [name for name in INDEX if name.startswith("error_")]

URL = "https://runtime.sagemaker.us-east-1.amazonaws.com"
SCHEMA = {"type": "object", "properties": {"answer": {"type": "string"}}, "required": ["answer"]}


def dialect(api: str = "chat") -> Any:
    return find_provider("sagemaker").dialect_for({"api": api})


def encoded(model: str = "my-endpoint", api: str = "chat", options: dict[str, str] | None = None, **parameters: Any) -> HttpRequest:
    request = make_request("Hi", model=model, **parameters)
    return dialect(api).encode(request, Place(base_url=URL, options=options or {}))


def body(**parameters: Any) -> dict[str, Any]:
    return json.loads(encoded(**parameters).body)


# -- requests


@pytest.mark.parametrize("api", ["chat", "generate"])
@pytest.mark.parametrize(
    ("stream", "operation", "header", "accept"),
    [
        (False, "invocations", "Accept", "application/json"),
        (True, "invocations-response-stream", "X-Amzn-SageMaker-Accept", "text/event-stream"),
    ],
)
def test_each_operation_has_its_address(api: str, stream: bool, operation: str, header: str, accept: str) -> None:
    """Whatever the container speaks; the stream's own Accept has another name."""
    http = encoded(api=api, stream=stream)

    assert f"{URL}/endpoints/my-endpoint/{operation}" == http.url
    assert {"Content-Type": "application/json", header: accept} == dict(http.headers)
    assert stream == json.loads(http.body).get("stream", False)


def test_the_body_is_the_containers() -> None:
    """Chat completions, with the schema where Text Generation Inference looks for it, and nothing that it would pass over."""
    sent = body(system="Be brief.", max_tokens=7, stop=["END"], seed=3, response_format=SCHEMA)

    assert [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}] == sent["messages"]
    assert {"type": "json_object", "value": SCHEMA} == sent["response_format"]
    assert (7, ["END"], 3, "my-endpoint") == (sent["max_tokens"], sent["stop"], sent["seed"], sent["model"])


def test_the_models_name_in_the_container_can_be_said() -> None:
    """Some containers check it."""
    assert "Qwen/Qwen3-8B" == body(options={"served_model": "Qwen/Qwen3-8B"})["model"]


def test_parameters_are_those_of_the_container() -> None:
    """What it would pass over in silence is none of them."""
    chat, generate = dialect().parameters, dialect("generate").parameters

    assert set() == {"user", "metadata", "reasoning", "parallel_tool_calls", "top_k"} & chat
    assert {"tools", "tool_choice", "response_format", "seed"} <= chat
    assert set() == {"tools", "tool_choice", "presence_penalty", "user"} & generate
    assert {"top_k", "seed", "stop", "response_format"} <= generate


@pytest.mark.parametrize(("option", "header"), OPTION_HEADERS.items())
def test_options_go_along_as_headers(option: str, header: str) -> None:
    """Each under its own name, and each is an option of the row."""
    http = encoded(options={option: "x-1"})

    assert "x-1" == http.headers[header]
    assert option in find_provider("sagemaker").options


def test_a_header_of_the_call_comes_before_an_option() -> None:
    """In whatever case it is written: sent twice, it would be signed as both."""
    http = encoded(options={"target_model": "a"}, extra_headers={"x-amzn-sagemaker-target-model": "b"})

    assert ["b"] == [value for name, value in http.headers.items() if name.lower() == "x-amzn-sagemaker-target-model"]


@pytest.mark.parametrize("value", ["a\r\nb: c", "ключ"])
def test_an_option_cannot_break_its_header(value: str) -> None:
    """It is refused by the header's name."""
    with pytest.raises(ConfigurationError, match="X-Amzn-SageMaker-Target-Variant"):
        encoded(options={"target_variant": value})


@pytest.mark.parametrize("model", ["", "a/b", "-a", "a--", "a" * 64, "a.b", "a b", "../x", "arn:aws:sagemaker:us-east-1:1:endpoint/"])
def test_a_model_is_an_endpoints_name(model: str) -> None:
    """Nothing else may stand in the path."""
    with pytest.raises(ConfigurationError, match="name of an endpoint"):
        encoded(model)


@given(st.from_regex(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,20}", fullmatch=True))
def test_every_endpoints_name_is_taken(model: str) -> None:
    """As AWS's own pattern has it."""
    assert f"{URL}/endpoints/{model}/invocations" == encoded(model).url


def test_an_arn_names_its_endpoint() -> None:
    """Its region is the row's to read."""
    assert f"{URL}/endpoints/my-endpoint/invocations" == encoded("arn:aws:sagemaker:eu-west-1:123456789012:endpoint/my-endpoint").url


def test_there_is_no_list_of_models() -> None:
    """The runtime has none."""
    response = HttpResponse(status=200, body=b"x")

    assert dialect().encode_models(Place(base_url=URL)) is None
    for api in ("chat", "generate"):
        with pytest.raises(WireError):
            dialect(api).decode_models(response)


def test_another_wire_is_refused() -> None:
    """By the names of those there are."""
    with pytest.raises(ConfigurationError, match="chat, generate"):
        dialect("converse")


# -- whole answers


@pytest.mark.parametrize("name", ANSWERS)
def test_each_answer_reads_as_its_index_says(name: str) -> None:
    """Text, thoughts, calls, reason and usage."""
    expected = INDEX[name]
    response = HttpResponse(status=200, headers={"x-amzn-requestid": "r-1"}, body=(SAMPLES / name).read_bytes())

    answer = dialect(expected["api"]).decode(response, make_request("Hi", model="my-endpoint"))

    assert expected["text"] == answer.text
    assert expected.get("thinking", "") == answer.thinking
    assert expected.get("calls", []) == [[call.id, call.name, dict(call.arguments)] for call in answer.tool_calls]
    assert expected["finish"] == answer.finish_reason
    assert expected.get("usage") == ([answer.usage.input_tokens, answer.usage.output_tokens] if answer.usage.reported else None)
    assert expected.get("output", answer.usage.output_tokens) == answer.usage.output_tokens
    assert "r-1" == answer.request_id
    assert json.loads(response.body) == answer.raw


# -- errors


def refusal(name: str) -> HttpResponse:
    expected = INDEX[name]
    headers = {"x-amzn-errortype": expected["errortype"], "x-amzn-requestid": "r-1"}
    return HttpResponse(status=expected["status"], headers=headers, body=(SAMPLES / name).read_bytes())


@pytest.mark.parametrize("name", ERRORS)
def test_each_error_reads_as_its_index_says(name: str) -> None:
    """The container's is unwrapped; the status stays that of the reply."""
    expected = INDEX[name]

    fault = dialect().fault(refusal(name))

    assert expected["kind"] == classify(fault)
    assert expected["message"] in fault.message
    assert (expected["status"], expected["type"], "r-1") == (fault.status, fault.type, fault.request_id)


@pytest.mark.parametrize("name", ERRORS)
def test_the_other_wire_reads_errors_alike(name: str) -> None:
    """It is the same container."""
    expected = INDEX[name]

    fault = dialect("generate").fault(refusal(name))

    assert (expected["kind"], expected["type"]) == (classify(fault), fault.type)


@given(
    st.integers(300, 599),
    st.binary(max_size=60) | st.from_regex(rb'\{"Original(Message|StatusCode)": ?("[a-z{]{0,9}"|\d{0,4}|null|\[\])\}'),
)
def test_no_error_body_raises(status: int, text: bytes) -> None:
    """Whatever stands in it."""
    fault = dialect().fault(HttpResponse(status=status, body=text))

    assert status == fault.status


def test_a_container_that_knows_no_usage_is_asked_without() -> None:
    """Its own status is inside the wrapping."""
    inside = {"OriginalMessage": '{"error":"unknown field stream_options"}', "OriginalStatusCode": 422}
    request = make_request("Hi", model="my-endpoint", stream=True)
    made = dialect()
    fault = made.fault(HttpResponse(status=424, body=json.dumps(inside).encode()))

    found = made.concession(fault, request)

    assert "stream_options" == found
    assert "stream_options" not in json.loads(made.encode(request, Place(base_url=URL, refused=frozenset({found}))).body)


@pytest.mark.parametrize("original", [0, None, "422", 9999, True])
def test_a_status_that_is_none_leaves_that_of_the_reply(original: Any) -> None:
    """A container that was silent for too long gives 0."""
    fault = Fault(status=424, error={"OriginalStatusCode": original})

    assert SageMaker(container=TGI()).concession(fault, make_request("Hi", model="m")) is None
    assert SageMaker(container=OpenAIChat()).concession(fault, make_request("Hi", model="m", stream=True)) is None
