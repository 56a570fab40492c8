"""Streams of Chat Completions: what each server sends, cut anyhow, and what may go wrong in it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st

from llmkit.dialects.base import Place, WireError
from llmkit.dialects.openai_chat import OpenAIChat
from llmkit.models.chunk import CompletionChunk
from llmkit.models.content import user
from llmkit.models.fault import Fault
from llmkit.models.request import make_request
from llmkit.models.response import CompletionResponse
from llmkit.transport.base import HttpResponse

SAMPLES = Path(__file__).parent.parent / "samples" / "openai_chat"
INDEX: dict[str, Any] = json.loads((SAMPLES / "index.json").read_text())["samples"]
STREAMS = sorted(name for name in INDEX if name.endswith(".sse"))
EVENTS = {"content-type": "text/event-stream", "x-request-id": "req_7"}
ASKED = make_request("Hi", model="asked", stream=True)
OPENAI = OpenAIChat()


def dialect_of(name: str) -> OpenAIChat:
    return OpenAIChat(**INDEX[name]["quirks"])


def read(
    dialect: OpenAIChat, pieces: Iterable[bytes], headers: dict[str, str] | None = None
) -> tuple[list[CompletionChunk], CompletionResponse, Fault | None]:
    """Return the chunks of a stream, the answer as far as it came, and what went wrong."""
    decoder = dialect.decoder(HttpResponse(status=200, headers=EVENTS if headers is None else headers), ASKED)
    chunks: list[CompletionChunk] = []
    fault = None
    try:
        for piece in pieces:
            chunks += decoder.feed(piece)
            if decoder.ended:
                break
        else:
            chunks += decoder.finish()
    except WireError as error:
        chunks += error.chunks
        fault = error.fault
    return chunks, decoder.response(), fault


def sse(*events: Any, done: bool = True) -> bytes:
    """Return *events* as a stream: those that are no string as JSON."""
    lines = [f"data: {event if isinstance(event, str) else json.dumps(event)}\n\n" for event in events]
    return "".join([*lines, "data: [DONE]\n\n" if done else ""]).encode()


def chunk(finish: Any = None, *, index: int = 0, **delta: Any) -> dict[str, Any]:
    """Return an event with one choice."""
    choice = {"index": index, "delta": delta, "finish_reason": finish}
    return {"id": "chatcmpl-1", "object": "chat.completion.chunk", "model": "m", "choices": [choice]}


def piece(index: Any = None, call_id: Any = None, name: Any = None, arguments: Any = None) -> dict[str, Any]:
    """Return a fragment of a tool call; what is None is left out."""
    function = {key: value for key, value in (("name", name), ("arguments", arguments)) if value is not None}
    rest = {key: value for key, value in (("index", index), ("id", call_id)) if value is not None}
    return {**rest, "function": function}


def calls_of(*pieces: dict[str, Any]) -> list[tuple[str, str, dict[str, Any], str | None]]:
    """Return the calls that *pieces*, each in an event of its own, make."""
    stream = sse(chunk(role="assistant"), *(chunk(tool_calls=[item]) for item in pieces), chunk("tool_calls"))
    _, answer, fault = read(OPENAI, [stream])
    assert fault is None
    return [(call.id, call.name, dict(call.arguments), call.invalid) for call in answer.tool_calls]


# -- what servers send


@pytest.mark.parametrize("name", STREAMS)
def test_each_sample_reads_as_its_index_says(name: str) -> None:
    """Text, thoughts, calls, reason and usage are those written beside the recording."""
    expected = INDEX[name]["expect"]

    chunks, answer, fault = read(dialect_of(name), [(SAMPLES / name).read_bytes()])

    usage = answer.usage
    found = {
        "text": answer.text,
        "thinking": answer.thinking,
        "calls": [[call.id, call.name, call.text or ""] for call in answer.tool_calls],
        "finish": answer.finish_reason.value,
        "usage": [usage.input_tokens, usage.output_tokens, usage.cache_read_tokens, usage.reasoning_tokens],
    }
    if "calls" in expected and not expected["calls"][0][0]:
        assert all(call[0].startswith("call_") for call in found["calls"])
        found["calls"] = [["", *call[1:]] for call in found["calls"]]
    defaults = {"text": "", "thinking": "", "calls": [], "finish": "unknown", "usage": [0, 0, 0, 0]}
    assert {key: expected.get(key, default) for key, default in defaults.items()} == found
    wrong = expected.get("error")
    assert wrong == (wrong and {key: getattr(fault, key) for key in wrong})
    assert (wrong is None) == (fault is None)
    assert expected.get("text", "") == "".join(chunk.text for chunk in chunks)
    assert expected.get("thinking", "") == "".join(chunk.thinking for chunk in chunks)


@pytest.mark.parametrize("name", [name for name in STREAMS if "error" not in INDEX[name]["expect"]])
def test_what_a_stream_said_goes_back_as_it_came(name: str) -> None:
    """The message, appended to the history, has its ids, order, arguments and thoughts as the provider gave them."""
    dialect = dialect_of(name)
    message = read(dialect, [(SAMPLES / name).read_bytes()])[1].message
    expected = INDEX[name]["expect"]

    request = make_request([user("Hi"), message], model="m")
    turn = json.loads(dialect.encode(request, Place(base_url="http://h")).body)["messages"][-1]

    calls = [[call["id"], call["function"]["name"], call["function"]["arguments"]] for call in turn.get("tool_calls", [])]
    assert [[call.id, call.name, call.text] for call in message.tool_calls] == calls
    if "details" in expected:
        assert expected["details"] == turn["reasoning_details"]
    if "content" in expected:
        assert [*expected["content"], {"type": "text", "text": expected["text"]}] == turn["content"]
    if dialect.replay in ("reasoning_content", "reasoning"):
        assert expected["thinking"] == turn[dialect.replay]
    if dialect.replay == "tags":
        assert f"<think>{expected['thinking']}</think>{expected['text']}" == turn["content"]


def test_the_seal_on_a_call_goes_back() -> None:
    """Google hangs the signature of its thoughts on the call."""
    dialect = dialect_of("gemini_parallel_calls.sse")
    message = read(dialect, [(SAMPLES / "gemini_parallel_calls.sse").read_bytes()])[1].message

    turn = json.loads(dialect.encode(make_request([message], model="m"), Place(base_url="http://h")).body)["messages"][0]

    assert {"google": {"thought_signature": "CtwFAXLI"}} == turn["tool_calls"][0]["extra_content"]
    assert "extra_content" not in turn["tool_calls"][1]


# -- tool calls in pieces


@given(data=st.data())
def test_parallel_calls_come_apart_however_their_pieces_are_mixed(data: st.DataObject) -> None:
    """Pieces with an index find their call, whichever way the calls are interleaved and whatever is repeated or empty."""
    count = data.draw(st.integers(1, 4))
    wanted, queues = [], []
    for index in range(count):
        arguments = data.draw(st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=8), max_size=3))
        text = json.dumps(arguments)
        cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=4)))
        fragments = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
        wanted.append((f"call_{index}", f"tool{index}", arguments, None))
        repeats_id, repeats_name = data.draw(st.sampled_from([None, "", f"call_{index}"])), data.draw(st.sampled_from([None, ""]))
        queues.append(
            [piece(index, f"call_{index}", f"tool{index}", ""), *(piece(index, repeats_id, repeats_name, text) for text in fragments)]
        )
    begun = [queue.pop(0) for queue in queues]
    mixed = []
    while any(queues):
        queue = data.draw(st.sampled_from([queue for queue in queues if queue]))
        mixed.append(queue.pop(0))

    assert wanted == calls_of(*begun, *mixed)


@given(data=st.data())
def test_pieces_without_an_index_are_told_apart_by_id(data: st.DataObject) -> None:
    """With an id on each piece, the order does not matter; without, each goes to the call before it."""
    texts = data.draw(st.lists(st.dictionaries(st.text(max_size=3), st.integers(), max_size=2).map(json.dumps), min_size=1, max_size=4))
    has_ids = data.draw(st.booleans())
    pieces = []
    for number, text in enumerate(texts):
        middle = data.draw(st.integers(0, len(text)))
        pieces.append(piece(None, f"id{number}", f"t{number}", text[:middle]))
        pieces.append(piece(None, f"id{number}" if has_ids else None, None, text[middle:]))
    if has_ids:
        pieces = pieces[::2] + data.draw(st.permutations(pieces[1::2]))

    assert [(f"id{n}", f"t{n}", json.loads(text), None) for n, text in enumerate(texts)] == calls_of(*pieces)


@pytest.mark.parametrize(
    ("pieces", "wanted"),
    [
        ([piece(0, "", "f", '{"a":1}'), piece(0, "", "f", '{"a":2}')], [("f", {"a": 1}), ("f", {"a": 2})]),
        ([piece(0, "", "f", "{}"), piece(0, "", "f", "{}")], [("f", {}), ("f", {})]),
        ([piece(None, None, "f", "{}"), piece(None, None, "g", "{}")], [("f", {}), ("g", {})]),
        ([piece(None, None, "f", ""), piece(None, None, "g", '{"a":1}')], [("f", {}), ("g", {"a": 1})]),
        ([piece(None, None, "f", '{"a"'), piece(None, None, "f", ":1}")], [("f", {"a": 1})]),
        ([piece(0, "x", "f", ""), piece(0, "y", None, '{"a":1}')], [("f", {"a": 1})]),
        ([piece(0, "x", "f", '{"a":1}'), piece(0, "y", "f", '{"a":2}')], [("f", {"a": 1}), ("f", {"a": 2})]),
        ([piece(0, "null", "f", '{"a":1}'), piece(1, "null", "g", '{"a":2}')], [("f", {"a": 1}), ("g", {"a": 2})]),
        ([piece(0, "x", "f", {"a": 1})], [("f", {"a": 1})]),
        ([piece(0, "x", "f", {}), piece(0, None, None, '{"a":1}')], [("f", {"a": 1})]),
        ([piece(1, "x", None, '{"a":'), piece(1, None, "f", "1}")], [("f", {"a": 1})]),
        ([piece(0, "x", "f", '{"a":1}'), piece(0, "x", "f", "")], [("f", {"a": 1})]),
        ([{"index": 0, "id": "x", "function": {"name": "f", "arguments": None}}], [("f", {})]),
        ([{"index": 0, "id": "x", "function": None}, None, "?", piece(0, None, "f", None)], [("f", {})]),
        ([piece(None, None, None, '{"a":1}')], []),
    ],
)
def test_odd_pieces_make_the_calls_that_were_meant(pieces: list[Any], wanted: list[Any]) -> None:
    """Servers number all calls 0, or none; give no ids, or one word for none; send objects, nulls and repetitions."""
    assert wanted == [(name, arguments) for _, name, arguments, _ in calls_of(*pieces)]


def test_deltas_add_up_to_the_call() -> None:
    """Whoever joins the deltas by index gets what the whole answer has, also where the server sends an object."""
    stream = sse(
        chunk(tool_calls=[piece(0, "a", "f", '{"x'), piece(1, "b", "g", {"y": 2})]), chunk(tool_calls=[piece(0, "a", "f", '":1}')])
    )

    chunks, answer, _ = read(OPENAI, [stream])

    deltas = [chunk.tool_call for chunk in chunks if chunk.tool_call is not None]
    assert [(0, "a", "f"), (1, "b", "g"), (0, None, None)] == [(delta.index, delta.id, delta.name) for delta in deltas]
    assert ['{"x":1}', '{"y": 2}'] == ["".join(d.arguments for d in deltas if d.index == index) for index in (0, 1)]
    assert ['{"x":1}', '{"y": 2}'] == [call.text for call in answer.tool_calls]
    assert ['{"x":1}', '{"y": 2}'] == [call["function"]["arguments"] for call in answer.raw["choices"][0]["message"]["tool_calls"]]


def test_arguments_that_are_no_json_are_kept_and_said_to_be_none() -> None:
    """A model's broken JSON is not lost: the call says what is wrong with it."""
    ((_, _, arguments, invalid),) = calls_of(piece(0, "a", "f", '{"x": '))

    assert ({}, True) == (arguments, "not JSON" in str(invalid))


def test_the_old_function_call_is_a_call() -> None:
    """Before there were several, a call stood alone and had no id."""
    stream = sse(chunk(function_call={"name": "f", "arguments": '{"a"'}), chunk(function_call={"arguments": ":1}"}), chunk("function_call"))

    _, answer, _ = read(OPENAI, [stream])

    assert ([("f", {"a": 1})], "tool_calls") == ([(c.name, c.arguments) for c in answer.tool_calls], answer.finish_reason.value)
    assert answer.tool_calls[0].id == read(OPENAI, [stream])[1].tool_calls[0].id


# -- ends, reasons and usage


@pytest.mark.parametrize(
    ("reason", "delta", "wanted"),
    [
        ("stop", {}, "stop"),
        ("stop", {"tool_calls": [piece(0, "a", "f", "{}")]}, "tool_calls"),
        ("length", {"tool_calls": [piece(0, "a", "f", "{")]}, "length"),
        ("eos", {}, "stop"),
        ("stop", {"refusal": "No."}, "refusal"),
        ("sensitive", {}, "content_filter"),
        ("error", {}, "error"),
        ("astonishing", {}, "unknown"),
    ],
)
def test_a_chunk_and_the_answer_agree_on_the_reason(reason: str, delta: dict[str, Any], wanted: str) -> None:
    """What the last chunk says is what the answer says, also where a server says stop beside calls."""
    chunks, answer, _ = read(OPENAI, [sse(chunk(content="a"), chunk(**delta), chunk(reason))])

    assert wanted == str(chunks[-1].finish_reason) == str(answer.finish_reason)
    assert reason == answer.raw_finish_reason


@pytest.mark.parametrize("reason", [None, ""])
def test_done_without_a_reason_is_complete(reason: str | None) -> None:
    """Snowflake never gives a reason: [DONE] is proof enough, and the reason is told from what came."""
    called = sse(chunk(reason, tool_calls=[piece(0, "a", "f", "{}")]))

    assert "stop" == read(OPENAI, [sse(chunk(reason, content="a"))])[1].finish_reason
    assert "tool_calls" == read(OPENAI, [called])[1].finish_reason


def test_a_reason_without_done_is_complete() -> None:
    """Perplexity sends no [DONE], and a connection may break right after the reason."""
    _, answer, fault = read(OPENAI, [sse(chunk(content="a"), chunk("stop"), done=False)])

    assert (None, "a", "stop") == (fault, answer.text, answer.finish_reason)


def test_the_last_event_counts_without_its_blank_line() -> None:
    """Some servers forget the blank line behind their last event."""
    _, answer, fault = read(OPENAI, [sse(chunk(content="a"), chunk("stop", content="b"), done=False).rstrip(b"\n")])

    assert (None, "ab") == (fault, answer.text)


def test_a_cut_in_the_last_event_gives_out_what_came_before() -> None:
    """The last event counts without its blank line, also where nothing proves the answer whole."""
    chunks, answer, fault = read(OPENAI, [sse(chunk(content="a"), chunk(content="b"), done=False).rstrip(b"\n")])

    assert ("truncated", ["a", "b"], "ab") == (getattr(fault, "kind", None), [chunk.text for chunk in chunks], answer.text)


def test_every_choice_needs_its_end() -> None:
    """With two choices asked for, one reason does not prove the other choice whole."""
    begun = [chunk(content="a"), chunk(index=1, content="b"), chunk("stop")]

    assert "truncated" == getattr(read(OPENAI, [sse(*begun, done=False)])[2], "kind", None)
    assert read(OPENAI, [sse(*begun, chunk("stop", index=1), done=False)])[2] is None


def test_further_choices_are_in_raw_alone() -> None:
    """Chunks and text are those of the first choice; the others are in raw, in the shape of a whole answer."""
    chunks, answer, _ = read(OPENAI, [sse(chunk(content="a"), chunk(index=1, content="b"), chunk(index=1, content="c"), chunk("stop"))])

    assert (["a", ""], "a") == ([chunk.text for chunk in chunks], answer.text)
    assert ["a", "bc"] == [choice["message"]["content"] for choice in answer.raw["choices"]]
    assert ["stop", None] == [choice["finish_reason"] for choice in answer.raw["choices"]]


def test_what_follows_done_is_not_read() -> None:
    """However the bytes are cut, nothing behind [DONE] counts."""
    decoder = OPENAI.decoder(HttpResponse(status=200, headers=EVENTS), ASKED)
    decoder.feed(sse(chunk("stop", content="a")))

    late = [*decoder.feed(sse(chunk(content="b"))), *decoder.feed(b"data: {broken\n\n"), *decoder.finish()]

    assert ([], "a", True) == (late, decoder.response().text, decoder.ended)


@pytest.mark.parametrize(
    "events",
    [
        [chunk("stop"), {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 4}}],
        [{**chunk("stop"), "usage": {"prompt_tokens": 3, "completion_tokens": 4}}],
        [{**chunk("stop"), "x_groq": {"usage": {"prompt_tokens": 3, "completion_tokens": 4}}}],
        [{**chunk(content="a"), "usage": {"prompt_tokens": 3, "completion_tokens": n}} for n in range(4)]
        + [{**chunk("stop"), "usage": {"prompt_tokens": 3, "completion_tokens": 4}}],
        [chunk("stop"), {**chunk(content=""), "usage": {"prompt_tokens": 3, "completion_tokens": 4}}],
        [chunk("stop"), {"choices": None, "usage": {"prompt_tokens": 3, "completion_tokens": 4.0}}, {**chunk(), "usage": "none"}],
        [{"usage": {"prompt_tokens": 3, "completion_tokens": 4}}, chunk("stop"), {"choices": [], "usage": None}, {"usage": {}}],
    ],
)
def test_usage_is_found_wherever_it_stands(events: list[Any]) -> None:
    """In a chunk of its own, with the reason, behind it, in every chunk, or under x_groq: the last that says something counts."""
    chunks, answer, _ = read(OPENAI, [sse(*events)])

    assert (3, 4, True) == (answer.usage.input_tokens, answer.usage.output_tokens, answer.usage.reported)
    assert answer.usage == [chunk.usage for chunk in chunks if chunk.usage is not None][-1]


def test_done_without_any_choice_is_no_answer() -> None:
    """Nothing was said, not even that nothing is to be said."""
    _, _, fault = read(OPENAI, [sse({"usage": {"prompt_tokens": 3}})])

    assert "malformed" == getattr(fault, "kind", None)


def test_usage_that_was_not_sent_is_not_reported() -> None:
    """Nobody shall take zero for a number that was counted."""
    assert not read(OPENAI, [sse(chunk("stop"))])[1].usage.reported


def test_logprobs_are_in_raw() -> None:
    """They come in pieces, and are joined in the shape of a whole answer."""
    events = [chunk(content=text) for text in "ab"]
    for event, token in zip(events, "ab", strict=True):
        event["choices"][0]["logprobs"] = {"content": [{"token": token}], "refusal": None}

    raw = read(OPENAI, [sse(*events, chunk("stop"))])[1].raw

    assert {"content": [{"token": "a"}, {"token": "b"}]} == raw["choices"][0]["logprobs"]


def test_raw_keeps_what_stands_beside_the_choices() -> None:
    """Facts like citations and filter results, from the first event that has them; the answer's id is that of its first event."""
    first = {"id": "", "model": "", "choices": [], "prompt_filter_results": [1]}
    last = {**chunk("stop"), "id": "other", "time_info": {"total": 1}}

    answer = read(OPENAI, [sse(first, {**chunk(content="a"), "citations": ["u"]}, last)])[1]

    assert ([1], {"total": 1}, "chatcmpl-1") == (answer.raw["prompt_filter_results"], answer.raw["time_info"], answer.id)
    assert ("m", "asked") == (answer.model, read(OPENAI, [sse({"choices": [{"delta": {"content": "a"}}]})])[1].model)


# -- errors


@pytest.mark.parametrize(
    "event",
    [
        {"error": {"message": "Broken", "code": 500}},
        {**chunk(content="c"), "error": {"message": "Broken"}},
        {"error": "Broken"},
        {"object": "error", "message": "Broken"},
        {"text": "Broken", "error_code": 50001},
        {"choices": None, "base_resp": {"status_code": 1002, "status_msg": "Broken"}},
        {**chunk(content="c"), "base_resp": {"status_code": 1002, "status_msg": "Broken"}},
        {"choices": [{"index": 0, "delta": {"content": ""}, "error": {"message": "Broken"}}]},
    ],
)
def test_an_error_in_a_stream_is_an_error(event: dict[str, Any]) -> None:
    """Whatever its shape, and though the status was 200; what came before it is kept, and so is the request's id."""
    chunks, answer, fault = read(OPENAI, [sse(chunk(content="a"), done=False), sse(event)])

    assert fault is not None
    assert ("Broken", 200, "req_7") == (fault.message, fault.status, fault.request_id)
    assert (["a"], "a", "unknown") == ([chunk.text for chunk in chunks], answer.text, answer.finish_reason)


def test_an_error_event_is_an_error_by_its_name() -> None:
    """The name of the event says it, whatever its data look like."""
    _, _, fault = read(OPENAI, [b'event: error\ndata: {"message": "Broken", "status_code": 400}\n\n'])

    assert fault is not None
    assert ("Broken", "400", '{"message": "Broken", "status_code": 400}') == (fault.message, fault.code, fault.body)


@pytest.mark.parametrize(
    "event", ["{broken", "[]", "5", '"x"', '{"choices": {"a": 1}}', '{"choices": [3]}', '{"x": NaN}', "[" * 100_000, "1" * 5000]
)
def test_an_event_that_cannot_be_read_is_malformed(event: str) -> None:
    """It is never passed over: that would leave a hole in the text."""
    _, answer, fault = read(OPENAI, [sse(chunk(content="a"), event)])

    assert ("malformed", "a") == (getattr(fault, "kind", None), answer.text)


@pytest.mark.parametrize(
    ("body", "kind", "message"),
    [
        (b'{"error": {"message": "No credit", "code": "x"}}', None, "No credit"),
        (b"<html><body>Sign in</body></html>", "malformed", "not JSON"),
        (b'{"id": "x"}', "malformed", "no stream"),
        (b"", "truncated", "ended before"),
    ],
)
def test_what_is_no_stream_at_all_is_told(body: bytes, kind: str | None, message: str) -> None:
    """A body without events is an error of the server's or a page of somebody else's, though nothing labels it as such."""
    _, _, fault = read(OPENAI, [body], headers={})

    assert fault is not None
    assert (kind, True) == (fault.kind, message in fault.message)


def test_an_event_without_end_is_refused() -> None:
    """A peer that never ends an event cannot fill the memory."""
    _, _, fault = read(OPENAI, [b"data: ", *[b"x" * 1024 * 1024] * 40])

    assert "malformed" == getattr(fault, "kind", None)


# -- documents for streams, streams for documents


def as_json(body: dict[str, Any] | bytes) -> tuple[list[CompletionChunk], CompletionResponse, Fault | None]:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return read(OPENAI, [content[:7], content[7:]], headers={"content-type": "application/json; charset=utf-8"})


def test_a_document_in_place_of_a_stream_is_the_answer() -> None:
    """Asked for a stream, a server may answer with one document: it gives the same chunks in the end."""
    call = {"id": "a", "function": {"name": "f", "arguments": ""}}
    message = {"content": "Hi", "reasoning_content": "Hm", "tool_calls": [call]}

    chunks, answer, fault = as_json({"id": "1", "model": "m", "choices": [{"message": message, "finish_reason": "stop"}], "usage": {}})

    assert (None, "Hi", "Hm", "tool_calls") == (fault, answer.text, answer.thinking, answer.finish_reason)
    assert ("Hi", "Hm") == ("".join(chunk.text for chunk in chunks), "".join(chunk.thinking for chunk in chunks))
    assert [(0, "a", "f", "{}")] == [(d.index, d.id, d.name, d.arguments) for chunk in chunks if (d := chunk.tool_call)]


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"choices": []}'])
def test_a_document_that_is_no_answer_is_malformed(body: bytes) -> None:
    """Empty, cut or of another shape."""
    _, answer, fault = as_json(body)

    assert ("malformed", "", "asked") == (getattr(fault, "kind", None), answer.text, answer.model)


def test_an_error_document_in_place_of_a_stream_is_an_error() -> None:
    """xAI answers so, with status 200."""
    _, _, fault = as_json((SAMPLES / "xai_error.json").read_bytes())

    assert "The service is currently unavailable" == getattr(fault, "code", None)


def test_a_stream_labelled_as_json_is_read() -> None:
    """Gateways mislabel."""
    chunks, answer, fault = as_json(sse(chunk(content="a"), chunk("stop")))

    assert (None, "a", "a") == (fault, answer.text, "".join(chunk.text for chunk in chunks))


@pytest.mark.parametrize("content_type", ["text/event-stream; charset=utf-8", "application/json", ""])
def test_a_stream_in_place_of_a_document_is_the_answer(content_type: str) -> None:
    """Some servers stream whether they are asked to or not."""
    request = make_request("Hi", model="asked")
    headers = {"content-type": content_type, "x-request-id": "req_7"}

    answer = OPENAI.decode(HttpResponse(status=200, headers=headers, body=sse({"choices": [{"delta": {"content": "a"}}]})), request)

    assert ("a", "asked", "req_7") == (answer.text, answer.model, answer.request_id)


def test_a_cut_stream_in_place_of_a_document_is_truncated() -> None:
    """It is no success there either."""
    body = sse(chunk(content="a"), done=False)

    with pytest.raises(WireError) as refused:
        OPENAI.decode(HttpResponse(status=200, headers=EVENTS, body=body), make_request("Hi", model="m"))

    assert "truncated" == refused.value.fault.kind


@pytest.mark.parametrize("first", ["refusal", "content"])
def test_a_refusal_among_text_is_in_the_answer_where_it_was_streamed(first: str) -> None:
    """What was shown stays; in the raw answer each is in its own field."""
    second = "content" if first == "refusal" else "refusal"

    chunks, answer, fault = read(OPENAI, [sse(chunk(**{first: "a"}), chunk(**{second: "b"}), chunk("stop"))])

    assert fault is None
    assert ("ab", "ab") == ("".join(piece.text for piece in chunks), answer.text)
    message = answer.raw["choices"][0]["message"]
    assert {first: "a", second: "b"} == {name: message[name] for name in ("content", "refusal")}


# -- whatever the bytes

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=6) | st.sampled_from(["error", "stop", "0"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["type", "text", "id", "name", "x"]), inner, max_size=3),
    max_leaves=6,
)
DELTA = st.dictionaries(
    st.sampled_from(["role", "content", "refusal", "reasoning", "reasoning_content", "reasoning_details", "tool_calls", "function_call"]),
    JSON,
)
PIECE = st.fixed_dictionaries(
    {},
    optional={
        "index": JSON,
        "id": JSON,
        "function": JSON | st.fixed_dictionaries({"name": JSON, "arguments": JSON}),
        "extra_content": JSON,
    },
)
CHOICE = st.fixed_dictionaries(
    {},
    optional={
        "index": JSON,
        "delta": JSON | DELTA | st.fixed_dictionaries({"tool_calls": st.lists(PIECE, max_size=3)}),
        "message": JSON | DELTA,
        "finish_reason": JSON,
        "logprobs": JSON,
        "error": st.none() | JSON,
    },
)
EVENT = st.fixed_dictionaries(
    {},
    optional={
        "id": JSON,
        "model": JSON,
        "choices": JSON | st.lists(CHOICE | JSON, max_size=2),
        "usage": JSON | st.dictionaries(st.sampled_from(["prompt_tokens", "total_tokens", "prompt_tokens_details"]), JSON),
        "x_groq": JSON,
        "error": st.none() | JSON,
        "base_resp": JSON,
        "object": JSON,
    },
)
TAGGING = evolve(OPENAI, think_tags=True, hidden_output=True)


@settings(max_examples=300)
@given(events=st.lists(EVENT | JSON, max_size=5), tagging=st.booleans())
def test_no_field_of_another_type_breaks_the_reading(events: list[Any], tagging: bool) -> None:
    """Anything in place of anything: an answer, or a fault, and nothing else."""
    chunks, answer, fault = read(TAGGING if tagging else OPENAI, [sse(*events)])

    assert isinstance(answer.text, str)
    assert fault is not None or "".join(chunk.text for chunk in chunks) == answer.text
    json.dumps(answer.to_dict())
