"""
SageMaker's runtime, with a container behind it that is Text Generation Inference.

The container tells its two wires apart by the body: ``inputs`` is a prompt, ``messages`` a chat. Its errors come back wrapped, under
the status 424.

Source: botocore 1.44.5, ``sagemaker-runtime/2017-05-13/service-2.json``; huggingface/text-generation-inference at db931fcf,
``router/src``; read 2026-11-21.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from attrs import evolve

from llmkit.testing.replies import Event, Failure, RecordedRequest, Reply
from llmkit.testing.wires import openai_chat
from llmkit.testing.wires.base import Rendered, Route, Wire, json_bytes, sse
from llmkit.testing.wires.frames import event_frame, scripted_frame
from llmkit.testing.wires.openai_answers import Answer, answer
from llmkit.testing.wires.openai_checks import mapping
from llmkit.testing.wires.sagemaker_checks import check

__all__ = ["WIRE"]

_numbers = itertools.count(1)
_ARN = "arn:aws:logs:us-east-1:123456789012:log-group:/aws/sagemaker/Endpoints/fake"

_CONTAINER = 424
_ERRORS: dict[int, tuple[str, str]] = {
    400: ("ValidationError", "Endpoint fake of account 123456789012 not found."),
    403: ("AccessDeniedException", "User: arn:aws:iam::123456789012:user/fake is not authorized to perform: sagemaker:InvokeEndpoint"),
    429: ("ThrottlingException", "Rate exceeded"),
    500: ("InternalFailure", "An internal failure occurred."),
    503: ("ServiceUnavailable", "The service is unavailable."),
    530: ("InternalDependencyException", "An internal dependency failed."),
}
_FINISH = {"stop": "eos_token"}  # the one reason for which the container's own wire has another word


def _headers(reply: Reply) -> dict[str, str]:
    request_id = reply.request_id or f"00000000-0000-0000-0000-{next(_numbers):012d}"
    return {"x-amzn-requestid": request_id, "x-amzn-invoked-production-variant": "AllTraffic"}


def _whole(reply: Reply, data: Any, content_type: str = "application/json") -> Rendered:
    body = () if data is None else (json_bytes(data),)
    return Rendered(status=reply.status, content_type=content_type, headers=_headers(reply), body=body)


def _framed(reply: Reply, events: Iterator[bytes], kind: str) -> Rendered:
    return Rendered(
        status=reply.status,
        content_type="application/vnd.amazon.eventstream",
        headers={**_headers(reply), "x-amzn-sagemaker-content-type": kind},
        body=tuple(events),
        streamed=True,
    )


def _parts(data: bytes) -> bytes:
    """Return *data* in two frames, the first of which ends wherever its middle is: as in life, inside of lines and characters."""
    half = len(data) // 2
    return b"".join(event_frame("PayloadPart", part, "application/octet-stream") for part in (data[:half], data[half:]) if part)


def _scripted(event: Event) -> bytes:
    written = scripted_frame(event) if isinstance(event, Mapping) else None
    return written if written is not None else _parts(sse(event))


# Errors.


def render_error(_request: RecordedRequest, reply: Reply) -> Rendered:
    """Return an error in the form of AWS, or the container's in a wrapping of SageMaker's."""
    if reply.raw is not None:
        return _whole(reply, reply.raw)
    failure = reply.failure or Failure()
    if reply.status == _CONTAINER:
        return evolve(_whole(reply, _wrapped(failure)), headers={**_headers(reply), "x-amzn-errortype": "ModelError"})
    kind, message = _ERRORS.get(reply.status, _ERRORS[500 if reply.status >= 500 else 400])
    named = kind if failure.type is None else failure.type
    body = {"Message" if named.endswith("Error") else "message": message if failure.message is None else failure.message}
    return evolve(_whole(reply, body), headers={**_headers(reply), "x-amzn-errortype": named})


def _wrapped(failure: Failure) -> dict[str, Any]:
    status = int(failure.code) if failure.code is not None else 500
    side = "client" if 400 <= status < 500 else "server"
    message = "Request failed during generation: unknown" if failure.message is None else failure.message
    original = message if failure.type == "text" else json.dumps({"error": message, "error_type": failure.type or "generation"})
    return {
        "ErrorCode": f"{side.upper()}_ERROR_FROM_MODEL",
        "LogStreamArn": _ARN,
        "Message": f'Received {side} error ({status}) from primary with message "{original}". See {_ARN} for more information.',
        "OriginalMessage": original,
        "OriginalStatusCode": status,
    }


def unauthorized(_request: RecordedRequest) -> Reply:
    """Return the refusal of an access key that is not known."""
    failure = Failure(type="UnrecognizedClientException", message="The security token included in the request is invalid.")
    return Reply(status=403, failure=failure)


# Answers.


def render_invocation(request: RecordedRequest, reply: Reply) -> Rendered:
    """Return the container's answer as it is."""
    if reply.raw is not None or reply.status < 200 or 300 <= reply.status < 400:
        return _whole(reply, reply.raw)
    return evolve(_container(request, reply), headers=_headers(reply))


def render_stream(request: RecordedRequest, reply: Reply) -> Rendered:
    """Return the container's answer in frames."""
    if reply.events is not None:
        return _framed(reply, map(_scripted, reply.events), "text/event-stream")
    if reply.raw is not None:
        return _framed(reply, iter([_parts(json_bytes(reply.raw))]), "application/json")
    if reply.status < 200 or 300 <= reply.status < 400:
        return _whole(reply, None)
    made = _container(request, reply)
    return _framed(reply, map(_parts, made.body), made.content_type)


def _container(request: RecordedRequest, reply: Reply) -> Rendered:
    body = openai_chat.body_of(request)
    if "inputs" not in body:
        return openai_chat.render_chat(evolve(request, body=json_bytes(_in_openai_words(body))), reply)
    said = answer(_as_chat(body), reply, model="")
    if reply.events is not None or not body.get("stream"):
        whole = {"generated_text": said.text or "", "details": {**_details(said), "prefill": [], "tokens": _tokens(said)}}
        return _whole(reply, [whole])
    return Rendered(content_type="text/event-stream", body=tuple(_token_events(said)), streamed=True)


def _in_openai_words(body: dict[str, Any]) -> dict[str, Any]:
    """Return a chat in the words in which the fake model was taught: the container has a schema under ``value``."""
    wanted = mapping(body.get("response_format"))
    value = mapping(wanted.get("value"))
    if not value:
        return body
    schema = mapping(value.get("schema")) if wanted.get("type") == "json_schema" else value
    return {**body, "response_format": {"type": "json_schema", "json_schema": {"schema": schema}}}


def _as_chat(body: dict[str, Any]) -> dict[str, Any]:
    parameters = mapping(body.get("parameters"))
    return _in_openai_words(
        {
            "messages": [{"role": "user", "content": str(body.get("inputs", ""))}],
            "max_tokens": parameters.get("max_new_tokens"),
            "stop": parameters.get("stop"),
            "response_format": parameters.get("grammar"),
        }
    )


def _details(said: Answer) -> dict[str, Any]:
    return {
        "finish_reason": _FINISH.get(said.finish_reason, said.finish_reason),
        "generated_tokens": said.usage["completion_tokens"],
        "seed": None,
    }


def _tokens(said: Answer) -> list[dict[str, Any]]:
    return [{"id": number, "text": text, "logprob": -0.25, "special": False} for number, text in enumerate(said.pieces or (), 100)]


def _token_events(said: Answer) -> Iterator[bytes]:
    tokens = [*_tokens(said), {"id": 2, "text": "</s>", "logprob": -0.1, "special": True}]
    for index, token in enumerate(tokens, 1):
        is_last = index == len(tokens)
        event = {
            "index": index,
            "token": token,
            "generated_text": (said.text or "") if is_last else None,
            "details": {**_details(said), "input_length": said.usage["prompt_tokens"]} if is_last else None,
        }
        # Without the space that others put behind the colon.
        yield b"data:%b\n\n" % json_bytes(event)


WIRE = Wire(
    routes=(
        Route(method="POST", path=re.compile(r"/endpoints/[^/]+/invocations"), check=check, render=render_invocation),
        Route(method="POST", path=re.compile(r"/endpoints/[^/]+/invocations-response-stream"), check=check, render=render_stream),
    ),
    render_error=render_error,
    unauthorized=unauthorized,
    providers=frozenset({"sagemaker"}),
    bases={"sagemaker": ""},
)
