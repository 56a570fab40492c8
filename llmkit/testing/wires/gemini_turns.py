"""
What ``generateContent`` refuses of a conversation, in its own words: contents, their turns and their seals.

Each check gets the decoded body and the model's name, and returns a refusal or None.

Source: Google AI for Developers, "Generating content", "Thought signatures" and "Function calling"; recorded error bodies; read
2026-11-21.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Any

from llmkit.testing.replies import Failure, Reply
from llmkit.testing.wires.openai_checks import mapping, rows

__all__ = ["ANY_SEAL", "DATA", "check_contents", "check_last", "check_seals", "check_turns", "is_late", "refuse", "sealed"]

# What Google's documentation gives for calls that another model made.
ANY_SEAL = base64.b64encode(b"skip_thought_signature_validator").decode()
_SEAL_MARK = b"fake-seal:"

_LATE = re.compile(r"gemini-(?:[3-9]|\w+-latest)")
_NO_MODEL_TURN = re.compile(r"gemini-(?:3\.5-flash-lite|3\.[6-9]|[4-9])")
# fmt: off
DATA = frozenset(
    [
        "text", "inlineData", "fileData", "functionCall", "functionResponse", "executableCode", "codeExecutionResult", "toolCall",
        "toolResponse",
    ]
)
# fmt: on


def refuse(
    message: str, *, status: int = 400, word: str = "INVALID_ARGUMENT", reason: str | None = None, field: str | None = None
) -> Reply:
    """Return the error of a request that is itself wrong."""
    return Reply(status=status, failure=Failure(type=word, code=reason, message=message, param=field))


def is_late(model: str) -> bool:
    """Whether *model* is of the generation that seals its calls and gives them ids."""
    return _LATE.match(model) is not None


def sealed(what: str) -> str:
    """Return a seal that this server knows for its own."""
    return base64.b64encode(_SEAL_MARK + what.encode("utf-8", "replace")[:24]).decode()


def _is_seal(text: Any) -> bool:
    if text == ANY_SEAL:
        return True
    try:
        plain = base64.b64decode(str(text).replace("-", "+").replace("_", "/"), validate=True)
    except (binascii.Error, ValueError):
        return False
    return plain.startswith(_SEAL_MARK)


def check_contents(body: dict[str, Any], _model: str) -> Reply | None:
    """Return the refusal of contents that are missing, or not what they must be, or None."""
    contents = body.get("contents")
    if not isinstance(contents, list) or not contents:
        return refuse("* GenerateContentRequest.contents: contents is not specified\n")
    for number, content in enumerate(contents):
        place = f"GenerateContentRequest.contents[{number}]"
        if mapping(content).get("role") not in ("user", "model", None):
            return refuse("Please use a valid role: user, model.")
        parts = rows(mapping(content).get("parts"))
        if not parts:
            return refuse(f"* {place}.parts: contents.parts must not be empty.\n")
        for index, part in enumerate(parts):
            refusal = _check_part(part, f"{place}.parts[{index}]")
            if refusal is not None:
                return refusal
    return None


def _check_part(part: dict[str, Any], place: str) -> Reply | None:
    if not part.keys() & DATA:
        return refuse(f"* {place}.data: required oneof field 'data' must have one initialized field\n")
    seal = part.get("thoughtSignature")
    if seal is not None and not _is_seal(seal):
        return refuse("Corrupted thought signature.")
    inline = part.get("inlineData")
    if inline is not None:
        try:
            base64.b64decode(str(mapping(inline).get("data")), validate=True)
        except (binascii.Error, ValueError):
            return refuse(f"Invalid value at '{place}.inline_data.data' (TYPE_BYTES), Base64 decoding failed.")
        if not mapping(inline).get("mimeType"):
            return refuse(f"* {place}.inline_data.mime_type: mime_type must not be empty.\n")
    answer = part.get("functionResponse")
    if answer is not None:
        if not mapping(answer).get("name"):
            return refuse(f"* {place}.function_response.name: Name cannot be empty.\n")
        if not isinstance(mapping(answer).get("response"), dict):
            return refuse(f"Invalid value at '{place}.function_response.response' (type.googleapis.com/google.protobuf.Struct).")
    call = part.get("functionCall")
    if call is not None and (not mapping(call).get("name") or not isinstance(mapping(call).get("args", {}), dict)):
        return refuse(f"Invalid value at '{place}.function_call.args' (type.googleapis.com/google.protobuf.Struct).")
    return None


def _parts_of(content: dict[str, Any], word: str) -> list[dict[str, Any]]:
    return [mapping(part[word]) for part in rows(content.get("parts")) if word in part]


def check_turns(body: dict[str, Any], _model: str) -> Reply | None:
    """Demand that each turn of calls follows another speaker and has its results right behind it."""
    waiting: list[dict[str, Any]] = []
    before: dict[str, Any] = {}
    for content in rows(body["contents"]):
        calls, answers = _parts_of(content, "functionCall"), _parts_of(content, "functionResponse")
        if waiting:
            refusal = _check_answers(waiting, answers, content)
            if refusal is not None:
                return refusal
        elif answers:
            return refuse("Please ensure that function response turn comes immediately after a function call turn.")
        if calls and before.get("role", "model") == "model":
            return refuse("Please ensure that function call turn comes immediately after a user turn or after a function response turn.")
        waiting, before = calls, {"role": "user", **content}
    return _uneven() if waiting else None


def _check_answers(calls: list[dict[str, Any]], answers: list[dict[str, Any]], content: dict[str, Any]) -> Reply | None:
    if len(answers) != len(calls) or len(answers) != len(rows(content.get("parts"))):
        return _uneven()
    named = {call["id"] for call in calls if call.get("id")}
    if any(answer.get("id") and named and answer["id"] not in named for answer in answers):
        return refuse("The id of a function response part is that of no function call part of the function call turn.")
    if [call.get("name") for call in calls if not named] != [answer.get("name") for answer in answers if not named]:
        return refuse("Please ensure that the function response parts are in the order of the function call parts.")
    return None


def _uneven() -> Reply:
    return refuse(
        "Please ensure that the number of function response parts is equal to the number of function call parts of the function call turn."
    )


def check_seals(body: dict[str, Any], model: str) -> Reply | None:
    """Demand the seal of the first call in each turn since the user last said something."""
    if not is_late(model):
        return None
    contents = rows(body["contents"])
    spoke = max((n for n, one in enumerate(contents) if one.get("role") != "model" and not _parts_of(one, "functionResponse")), default=0)
    for number, content in enumerate(contents[spoke:], spoke):
        first = next((part for part in rows(content.get("parts")) if "functionCall" in part), None)
        if first is not None and not first.get("thoughtSignature"):
            name = mapping(first["functionCall"]).get("name")
            return refuse(
                "Function call is missing a thought_signature in functionCall parts. This is required for tools to work correctly, and "
                "missing thought_signature may lead to degraded model performance. Additional data, function call "
                f"`default_api:{name}` , position {number + 1}. Please refer to "
                "https://ai.google.dev/gemini-api/docs/thought-signatures for more details."
            )
    return None


def check_last(body: dict[str, Any], model: str) -> Reply | None:
    """Refuse, for some models, a conversation that ends with a turn of the model's."""
    ends = rows(body["contents"])[-1].get("role") == "model"
    return refuse("Requests ending with a model turn are not supported.") if ends and _NO_MODEL_TURN.match(model) else None
