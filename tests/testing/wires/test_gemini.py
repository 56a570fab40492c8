"""The fake Gemini: what it answers, and what it refuses as the service does."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from llmkit.testing import wires
from llmkit.testing.replies import RecordedRequest, Reply
from llmkit.testing.wires.base import Rendered
from llmkit.testing.wires.gemini import MODELS, WIRE
from llmkit.testing.wires.gemini_turns import ANY_SEAL, sealed

LATE = "gemini-3-flash-preview"
USER = {"role": "user", "parts": [{"text": "Say hi"}]}
LOOK = {"name": "look", "parametersJsonSchema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}
TOOLS = [{"functionDeclarations": [LOOK]}]


def asked(
    body: Any = None,
    *,
    model: str = LATE,
    operation: str = "generateContent",
    provider: str = "google",
    base: str = "/v1beta/models",
    **rest: Any,
) -> RecordedRequest:
    data = body if isinstance(body, bytes) else json.dumps({"contents": [USER]} if body is None else body).encode()
    endpoint = f"{base}/{model}:{operation}" if operation else base
    path = f"/{provider}{endpoint}"
    method = "POST" if operation else "GET"
    return RecordedRequest(method=method, path=path, provider=provider, endpoint=endpoint, body=data, **rest)


def rendered(request: RecordedRequest, reply: Reply = Reply()) -> Rendered:  # noqa: B008 - frozen
    """Return what the server would send."""
    route = wires.find(request.provider, request.method, request.endpoint).route
    assert route is not None
    refusal = route.check(request)
    return WIRE.render_error(request, refusal) if refusal is not None else route.render(request, reply)


def answered(body: Any = None, reply: Reply = Reply(), **rest: Any) -> dict[str, Any]:  # noqa: B008 - frozen
    found = rendered(asked(body, **rest), reply)
    assert 200 == found.status
    said: dict[str, Any] = json.loads(b"".join(found.body))
    return said


def refused(body: Any, **rest: Any) -> tuple[int, str]:
    """Return status and sentence of a refusal."""
    found = rendered(asked(body, **rest))
    error = json.loads(b"".join(found.body))["error"]
    assert error["code"] == found.status
    return found.status, error["message"]


def parts(answer: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = answer["candidates"][0]["content"]["parts"]
    return found


# -- answers


def test_a_plain_answer_echoes() -> None:
    """With counts, the model's version and an id."""
    answer = answered()

    assert [{"text": "You said: Say hi"}] == parts(answer)
    assert "STOP" == answer["candidates"][0]["finishReason"]
    assert LATE == answer["modelVersion"]
    usage = answer["usageMetadata"]
    assert usage["totalTokenCount"] == usage["promptTokenCount"] + usage["candidatesTokenCount"]
    assert "thoughtsTokenCount" not in usage


def test_thoughts_come_when_they_are_asked_for() -> None:
    """Counted apart, and the text sealed."""
    answer = answered({"contents": [USER], "generationConfig": {"thinkingConfig": {"includeThoughts": True}}})

    thought, text = parts(answer)
    assert thought["thought"]
    assert {"text", "thoughtSignature"} == text.keys()
    assert 5 == answer["usageMetadata"]["thoughtsTokenCount"]


@pytest.mark.parametrize(("model", "late"), [(LATE, True), ("gemini-2.5-flash", False)])
def test_only_late_models_name_and_seal_their_calls(model: str, late: bool) -> None:
    """Of several calls the first is sealed."""
    reply = Reply(tool_calls=[("look", {"city": "Paris"}), ("look", {"city": "Rome"})])

    first, second = parts(answered(reply=reply, model=model))

    assert late is ("id" in first["functionCall"]) is ("thoughtSignature" in first)
    assert "thoughtSignature" not in second
    assert {"city": "Rome"} == second["functionCall"]["args"]


def test_a_demanded_call_is_made() -> None:
    """Of any tool, or of the one that is allowed."""
    for calling in ({"mode": "ANY"}, {"mode": "ANY", "allowedFunctionNames": ["look"]}):
        answer = answered({"contents": [USER], "tools": TOOLS, "toolConfig": {"functionCallingConfig": calling}})
        assert {"city": "Say hi"} == parts(answer)[0]["functionCall"]["args"]


def test_a_typed_answer_fits_its_schema() -> None:
    """JSON mode gives any object."""
    typed = {"responseMimeType": "application/json", "responseJsonSchema": LOOK["parametersJsonSchema"]}

    assert {"city": "Say hi"} == json.loads(parts(answered({"contents": [USER], "generationConfig": typed}))[0]["text"])
    plain = {"response_mime_type": "application/json"}
    assert {"answer": "You said: Say hi"} == json.loads(parts(answered({"contents": [USER], "generation_config": plain}))[0]["text"])


def test_a_limit_on_tokens_is_obeyed() -> None:
    """And said as the reason."""
    answer = answered({"contents": [USER], "generationConfig": {"maxOutputTokens": 2}})

    assert ("You said:", "MAX_TOKENS") == (parts(answer)[0]["text"], answer["candidates"][0]["finishReason"])


def test_a_refusal_is_a_blocked_prompt() -> None:
    """With a good status and no candidates."""
    answer = answered(reply=Reply(refusal="No."))

    assert "candidates" not in answer
    assert "No." == answer["promptFeedback"]["blockReasonMessage"]


def test_what_is_scripted_is_sent() -> None:
    """Counts in the wire's own words, ids, versions and reasons."""
    answer = answered(reply=Reply("x", usage={"cachedContentTokenCount": 3}, id="r1", model="v1", finish_reason="SAFETY"))

    assert (3, "r1", "v1") == (answer["usageMetadata"]["cachedContentTokenCount"], answer["responseId"], answer["modelVersion"])
    assert "SAFETY" == answer["candidates"][0]["finishReason"]


def test_a_stream_is_a_row_of_answers() -> None:
    """Each with the counts; the reason in the last, with CRLF between them and no word at the end."""
    found = rendered(asked(operation="streamGenerateContent", query_string="alt=sse"), Reply("a b", thinking="t"))

    events = [json.loads(piece.removeprefix(b"data: ").removesuffix(b"\r\n\r\n")) for piece in found.body]
    assert ("text/event-stream", True) == (found.content_type, found.streamed)
    assert ["t", "a", " b", ""] == [parts(event)[0]["text"] for event in events]
    assert [False, False, False, True] == ["finishReason" in event["candidates"][0] for event in events]
    assert "thoughtSignature" in parts(events[-1])[0]


def test_a_stream_that_is_not_asked_for_in_events_is_a_list() -> None:
    """Written piece by piece; errors are lists too."""
    found = rendered(asked(operation="streamGenerateContent"), Reply("a b"))
    error = rendered(asked(operation="streamGenerateContent", model="no-such-model"))

    assert ["a", " b", ""] == [parts(piece)[0]["text"] for piece in json.loads(b"".join(found.body))]
    assert 404 == json.loads(b"".join(error.body))[0]["error"]["code"]


def test_models_counts_and_vectors() -> None:
    """The other operations."""
    listed = json.loads(b"".join(rendered(asked(operation="")).body))
    cloud = json.loads(b"".join(rendered(asked(operation="", provider="vertex", base="/v1beta1/publishers/google/models")).body))
    counted = answered(operation="countTokens")
    inner = answered({"generateContentRequest": {"contents": [USER, USER]}}, operation="countTokens")
    one = {"model": f"models/{LATE}", "content": USER}
    vectors = answered({"requests": [one, {**one, "outputDimensionality": 3}]}, operation="batchEmbedContents")

    assert [f"models/{name}" for name in MODELS] == [row["name"] for row in listed["models"]]
    assert len(MODELS) == len(cloud["publisherModels"])
    assert 2 * counted["totalTokens"] == inner["totalTokens"]
    assert [8, 3] == [len(one["values"]) for one in vectors["embeddings"]]


# -- refusals


@pytest.mark.parametrize(
    ("request_", "status", "word", "reason"),
    [
        (asked(), 403, "PERMISSION_DENIED", None),
        (asked(key="k", headers={"x-goog-api-key": "k"}), 400, "INVALID_ARGUMENT", "API_KEY_INVALID"),
        (asked(key="t", headers={"authorization": "Bearer t"}), 401, "UNAUTHENTICATED", "ACCESS_TOKEN_EXPIRED"),
    ],
)
def test_a_missing_or_unknown_credential_is_refused(request_: RecordedRequest, status: int, word: str, reason: str | None) -> None:
    """A bad key is a bad argument, a bad token is not."""
    error = json.loads(b"".join(WIRE.render_error(request_, WIRE.unauthorized(request_)).body))["error"]

    assert (status, word) == (error["code"], error["status"])
    assert reason == next((detail["reason"] for detail in error.get("details", ())), None)


def test_a_project_is_not_asked_with_a_key() -> None:
    """Only with a token."""
    base = "/v1beta1/projects/p/locations/eu/publishers/google/models"
    keyed = asked(provider="vertex", base=base, headers={"x-goog-api-key": "k"})

    assert 401 == rendered(keyed).status
    assert 200 == rendered(asked(provider="vertex", base=base, headers={"authorization": "Bearer t"})).status


@pytest.mark.parametrize(
    ("status", "word"), [(400, "INVALID_ARGUMENT"), (429, "RESOURCE_EXHAUSTED"), (503, "UNAVAILABLE"), (599, "INTERNAL")]
)
def test_errors_have_googles_form(status: int, word: str) -> None:
    """Code, sentence, word; a hint stands in the details."""
    error = json.loads(b"".join(WIRE.render_error(asked(), Reply.error(status, retry_after=1.5)).body))["error"]

    assert (status, word) == (error["code"], error["status"])
    assert "1.5s" in [detail.get("retryDelay") for detail in error["details"]]


CALL = {"role": "model", "parts": [{"functionCall": {"name": "look", "args": {}, "id": "c1"}, "thoughtSignature": sealed("look")}]}
TWO = {"role": "model", "parts": [{"functionCall": {"name": "look"}, "thoughtSignature": ANY_SEAL}, {"functionCall": {"name": "now"}}]}
RESULT = {"functionResponse": {"name": "look", "response": {}, "id": "c1"}}
BARE = {"functionResponse": {"name": "look", "response": {}}}
NOW = {"functionResponse": {"name": "now", "response": {}}}
UNSEALED = {"role": "model", "parts": [{"functionCall": {"name": "look", "args": {}, "id": "c1"}}]}


def turn(*given: Any, role: str = "user") -> dict[str, Any]:
    return {"role": role, "parts": [*given]}


@pytest.mark.parametrize(
    ("contents", "words"),
    [
        ([], "contents is not specified"),
        ([turn()], "must not be empty"),
        ([turn({"thought": True})], "required oneof field 'data'"),
        ([turn({"text": "x"}, role="assistant")], "valid role"),
        ([turn({"text": "x", "cache": 1})], 'Unknown name "cache"'),
        ([turn({"text": "x", "thoughtSignature": "bm90IG91cnM="})], "Corrupted thought signature"),
        ([turn({"inlineData": {"mimeType": "image/png", "data": "?"}})], "Base64 decoding failed"),
        ([turn({"inlineData": {"data": "cG5n"}})], "mime_type"),
        ([CALL, turn(RESULT)], "comes immediately after a user turn"),
        ([USER, CALL], "equal to the number of function call parts"),
        ([USER, CALL, USER], "equal to the number of function call parts"),
        ([USER, CALL, turn(RESULT, {"text": "x"})], "equal to the number of function call parts"),
        ([USER, CALL, turn(RESULT), turn(RESULT)], "immediately after a function call turn"),
        ([USER, turn(RESULT)], "immediately after a function call turn"),
        ([USER, CALL, turn({"functionResponse": {"name": "look", "response": "x", "id": "c1"}})], "function_response.response"),
        ([USER, CALL, turn({"functionResponse": {"name": "", "response": {}, "id": "c1"}})], "Name cannot be empty"),
        ([USER, CALL, turn({"functionResponse": {"name": "look", "response": {}, "id": "c9"}})], "id of a function response"),
        ([USER, TWO, turn(NOW, BARE)], "in the order"),
        ([USER, UNSEALED, turn(RESULT)], "missing a thought_signature"),
    ],
)
def test_a_wrong_conversation_is_refused(contents: list[Any], words: str) -> None:
    """In the service's own words."""
    status, message = refused({"contents": contents})

    assert 400 == status
    assert words in message


@pytest.mark.parametrize(
    "contents", [[USER, CALL, turn(RESULT)], [USER, TWO, turn({**RESULT, "functionResponse": {"name": "look", "response": {}}}, NOW)]]
)
def test_a_right_conversation_is_taken(contents: list[Any]) -> None:
    """With the service's seals, or the one that stands for all."""
    assert answered({"contents": contents})


def test_seals_are_demanded_of_late_models_and_of_this_turn_only() -> None:
    """What lies before the user's last word is over."""
    past = [USER, UNSEALED, turn(RESULT), turn({"text": "ok"}, role="model"), USER]

    assert answered({"contents": past})
    assert answered({"contents": [USER, UNSEALED, turn(RESULT)]}, model="gemini-2.5-flash")


@pytest.mark.parametrize(
    ("model", "rest", "words"),
    [
        (LATE, {"foo": 1}, 'Unknown name "foo"'),
        (LATE, {"generationConfig": {"max_tokens": 1}}, 'Unknown name "maxTokens"'),
        (LATE, {"generationConfig": {"temperature": 3}}, "temperature must be in the range"),
        (LATE, {"generationConfig": {"maxOutputTokens": 0}}, "max_output_tokens"),
        (LATE, {"generationConfig": {"stopSequences": list("abcdef")}}, "stop sequences"),
        (LATE, {"generationConfig": {"thinkingConfig": {"thinkingBudget": 1, "thinkingLevel": "low"}}}, "only one"),
        ("gemini-2.5-pro", {"generationConfig": {"thinkingConfig": {"thinkingBudget": 0}}}, "only works in thinking mode"),
        ("gemini-2.5-pro", {"generationConfig": {"thinkingConfig": {"thinkingBudget": 5}}}, "between 128 and 32768"),
        ("gemini-2.5-flash", {"generationConfig": {"thinkingConfig": {"thinkingLevel": "low"}}}, "level is not supported"),
        ("gemini-3-pro-preview", {"generationConfig": {"thinkingConfig": {"thinkingLevel": "MEDIUM"}}}, "MEDIUM is not supported"),
        ("gemini-2.0-flash", {"generationConfig": {"thinkingConfig": {"thinkingBudget": 5}}}, "not supported by this model"),
        ("gemini-3.8-flash", {"contents": [USER, turn({"text": "a"}, role="model")]}, "ending with a model turn"),
        (LATE, {"tools": [{"functionDeclarations": [{"name": "1x"}]}]}, "Invalid function name"),
        (LATE, {"tools": [{"functionDeclarations": [LOOK, LOOK]}]}, "Duplicate"),
        (LATE, {"tools": [{"functionDeclarations": [{**LOOK, "parameters": {}}]}]}, "Only one of parameters"),
        (
            LATE,
            {"tools": [{"functionDeclarations": [{"name": "a", "parametersJsonSchema": {"properties": {"b": {"const": 1}}}}]}]},
            "const",
        ),
        (LATE, {"tools": TOOLS, "toolConfig": {"functionCallingConfig": {"mode": "AUTO", "allowedFunctionNames": ["look"]}}}, "mode"),
        (LATE, {"tools": TOOLS, "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["x"]}}}, "subset"),
        ("gemini-2.5-flash", {"tools": TOOLS, "generationConfig": {"responseMimeType": "application/json"}}, "mime type"),
        (LATE, {"generationConfig": {"responseJsonSchema": {}}}, "response_schema"),
        (LATE, {"generationConfig": {"responseMimeType": "application/json", "responseJsonSchema": {"$ref": "#", "type": "x"}}}, "$ref"),
        (LATE, {"generationConfig": {"responseMimeType": "application/json", "responseJsonSchema": {"enum": [None]}}}, "enum"),
        (LATE, {"generationConfig": {"responseSchema": {}, "responseJsonSchema": {}}}, "Only one of response_schema"),
        (LATE, {"cachedContent": "cachedContents/x", "tools": TOOLS}, "CachedContent"),
        ("no-such-model", {}, "is not found"),
    ],
)
def test_a_wrong_request_is_refused(model: str, rest: dict[str, Any], words: str) -> None:
    """Fields, ranges, thinking, tools, schemas."""
    status, message = refused({"contents": [USER], **rest}, model=model)

    assert (404 if model == "no-such-model" else 400) == status
    assert words in message


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null"])
def test_what_is_no_object_is_refused(body: bytes) -> None:
    """With the sentence of the JSON reader."""
    assert "Invalid JSON payload" in refused(body)[1]


def test_a_seal_is_base64() -> None:
    """As the service's are."""
    assert base64.b64decode(sealed("look"), validate=True)
