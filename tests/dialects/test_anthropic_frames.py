"""The Messages wire in the envelope of AWS: requests, streams in frames, errors."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from struct import pack
from typing import Any
from zlib import crc32

import pytest

from llmkit.dialects.anthropic import AnthropicMessages
from llmkit.dialects.base import Place, WireError
from llmkit.models.chunk import CompletionChunk
from llmkit.models.content import Image, user
from llmkit.models.request import make_request
from llmkit.models.response import CompletionResponse
from llmkit.providers.bedrock import bedrock_dialect
from llmkit.transport.base import HttpResponse

SAMPLES = Path(__file__).parent.parent / "samples" / "anthropic"
STREAMS = ["text.sse", "parallel_tools.sse", "thinking_and_tool.sse", "sealed_thoughts.sse", "cached.sse", "refusal.sse"]
EVENTS = {"content-type": "application/vnd.amazon.eventstream", "x-amzn-requestid": "r-7"}
ASKED = make_request("Hi", model="asked", stream=True)
DIALECT = bedrock_dialect({"api": "invoke"})
RECORDED = (
    "AAAAewAAAEsKLpavCzpldmVudC10eXBlBwAFY2h1bmsNOmNvbnRlbnQtdHlwZQcAEGFwcGxpY2F0aW9uL2pzb24NOm1lc3NhZ2UtdHlwZQcABWV2ZW50eyJieXRlcyI6Im"
    "V5SjBlWEJsSWpvaWNHbHVaeUo5In2gH1bE"
)


def frame(payload: Any, **headers: str) -> bytes:
    """Return one frame; the names of *headers* have underscores for hyphens."""
    head = b"".join(
        pack(">B", len(name) + 1) + b":" + name.replace("_", "-").encode() + pack(">BH", 7, len(value)) + value.encode()
        for name, value in headers.items()
    )
    body = json.dumps(payload).encode()
    prelude = pack(">II", len(head) + len(body) + 16, len(head))
    whole = prelude + pack(">I", crc32(prelude)) + head + body
    return whole + pack(">I", crc32(whole))


def chunk(event: Any) -> bytes:
    data = event if isinstance(event, bytes) else json.dumps(event).encode()
    return frame({"bytes": base64.b64encode(data).decode(), "p": "abc"}, event_type="chunk", message_type="event")


def framed(name: str) -> bytes:
    """Return a recorded stream of server-sent events as chunks, with what Bedrock adds to its end."""
    lines = [line[len("data: ") :] for line in (SAMPLES / name).read_text().split("\n") if line.startswith("data: ")]
    events = [json.loads(line) for line in lines]
    events[-1]["amazon-bedrock-invocationMetrics"] = {"inputTokenCount": 1}
    return b"".join(map(chunk, events)) + chunk({"amazon-bedrock-trace": {}})


def read(dialect: Any, pieces: list[bytes], headers: dict[str, str]) -> tuple[list[CompletionChunk], CompletionResponse]:
    decoder = dialect.decoder(HttpResponse(status=200, headers=headers), ASKED)
    chunks: list[CompletionChunk] = []
    for piece in pieces:
        chunks += decoder.feed(piece)
        if decoder.ended:
            break
    else:
        chunks += decoder.finish()
    return chunks, decoder.response()


def test_a_request_names_its_version_and_no_model() -> None:
    """Betas stand in the body; pictures come as data."""
    request = make_request("Hi", model="us.anthropic.claude-v1:0", max_tokens=5, stream=True)

    wire = DIALECT.encode(request, Place(base_url="https://h", options={"beta": "a, b"}))

    assert "https://h/model/us.anthropic.claude-v1%3A0/invoke-with-response-stream" == wire.url
    assert {
        "anthropic_version": "bedrock-2023-05-31",
        "anthropic_beta": ["a", "b"],
        "max_tokens": 5,
        "messages": [{"role": "user", "content": "Hi"}],
    } == json.loads(wire.body)
    assert {"Content-Type": "application/json", "Accept": "application/json"} == dict(wire.headers)
    with pytest.raises(Exception, match="as data"):
        DIALECT.encode(make_request(user(Image(url="https://x.example/a.png")), model="m"), Place(base_url="https://h"))


@pytest.mark.parametrize(("model", "holds"), [("anthropic.claude-sonnet-4-5-20250929-v1:0", True), ("anthropic.claude-opus-4-7-v1", False)])
def test_who_is_not_held_to_a_schema_there_is_told_it(model: str, holds: bool) -> None:
    """In words, though the model could be elsewhere."""
    shape = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}

    body = json.loads(DIALECT.encode(make_request("Hi", model=model, response_format=shape), Place(base_url="https://h")).body)

    assert (holds, not holds) == ("output_config" in body, "JSON Schema" in body.get("system", ""))


@pytest.mark.parametrize("name", STREAMS)
def test_a_framed_stream_reads_like_the_unframed_one(name: str) -> None:
    """Whole and byte by byte: the same chunks, the same answer."""
    stream = framed(name)
    plain = AnthropicMessages(owner="bedrock-invoke")
    expected = read(plain, [(SAMPLES / name).read_bytes()], {"content-type": "text/event-stream", "x-amzn-requestid": "r-7"})

    for pieces in ([stream], [stream[n : n + 1] for n in range(len(stream))]):
        assert expected == read(DIALECT, pieces, EVENTS)


def test_a_recorded_chunk_is_read() -> None:
    """It holds a ping, which says nothing."""
    decoder = DIALECT.decoder(HttpResponse(status=200, headers=EVENTS), ASKED)

    assert [] == decoder.feed(base64.b64decode(RECORDED))


@pytest.mark.parametrize(
    ("stream", "kind", "type"),
    [
        (frame({"message": "Slow"}, message_type="exception", exception_type="modelTimeoutException"), None, "modelTimeoutException"),
        (chunk({"type": "error", "error": {"type": "overloaded_error", "message": "Busy"}}), None, "overloaded_error"),
        (chunk(b"{no"), "malformed", None),
        (chunk([1]), "malformed", None),
        (frame({"bytes": "%%%"}, event_type="chunk", message_type="event"), "malformed", None),
        (b"", "truncated", None),
        (chunk({"type": "ping"})[:-1] + b"\x00", "protocol", None),
    ],
)
def test_what_goes_wrong_is_told(stream: bytes, kind: str | None, type: str | None) -> None:
    """Behind what had come."""
    begun = chunk({"type": "message_start", "message": {"id": "m", "content": []}})

    with pytest.raises(WireError) as caught:
        read(DIALECT, [begun + stream], EVENTS)

    assert (kind, type, "r-7") == (caught.value.fault.kind, caught.value.fault.type, caught.value.fault.request_id)


def test_refusals_are_those_of_aws() -> None:
    """Named in a header."""
    headers = {"x-amzn-errortype": "ThrottlingException:http://x/"}

    fault = DIALECT.fault(HttpResponse(status=429, headers=headers, body=b'{"message": "Slow down"}'))

    assert ("ThrottlingException", "Slow down") == (fault.type, fault.message)


def test_a_whole_answer_may_come_either_way() -> None:
    """Whole where a stream was asked for, or the other way round."""
    whole = (SAMPLES / "text.json").read_bytes()

    _, answer = read(DIALECT, [whole], {"content-type": "application/json"})
    streamed = DIALECT.decode(HttpResponse(status=200, headers=EVENTS, body=framed("text.sse")), ASKED)

    assert answer.text == streamed.text
    assert "r-7" == streamed.request_id
