"""
What Converse refuses in a conversation, in its own words.

Each check gets the messages, of which the shape was checked before, and the model's id; the first refusal is the answer.

Source: AWS, "Amazon Bedrock API reference", ``Message`` and ``ContentBlock``, by botocore 1.44.5, and refusals as users reported them;
read 2026-11-21. Where a wording was not to be had it is made after those that were.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

from llmkit.testing.replies import Failure, Reply
from llmkit.testing.wires.anthropic_history import sealed
from llmkit.testing.wires.anthropic_models import model_named
from llmkit.testing.wires.openai_checks import mapping, rows

__all__ = ["blocks_in", "check_history", "refuse", "seals_thoughts", "thought_seal"]

_ID = re.compile(r"[a-zA-Z0-9_.:-]{1,64}")
_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_DOCUMENT_NAME = re.compile(r"(?!.*  )[a-zA-Z0-9_ \-()\[\]]{1,200}")
_DOCUMENT_NAME_RULE = (
    "The document file name can only contain alphanumeric characters, whitespace characters, hyphens, parentheses, and square brackets. "
    "The name can't contain more than one consecutive whitespace character. Check that the file name conforms to these restrictions and "
    "retry your request."
)
_FORMATS = {
    "image": frozenset({"png", "jpeg", "gif", "webp"}),
    "document": frozenset({"pdf", "csv", "doc", "docx", "xls", "xlsx", "html", "txt", "md"}),
    "audio": frozenset({"mp3", "opus", "wav", "aac", "flac", "mp4", "ogg", "mkv", "mka", "x-aac", "m4a", "mpeg", "mpga", "pcm", "webm"}),
    "video": frozenset({"mkv", "mov", "mp4", "webm", "flv", "mpeg", "mpg", "wmv", "three_gp"}),
}
_SOURCES = {"image": {"bytes", "s3Location"}, "document": {"bytes", "s3Location", "text", "content"}}
_ANYWHERE = {"text", "cachePoint"}
_USER_BLOCKS = {*_ANYWHERE, *_FORMATS, "toolResult", "guardContent", "searchResult"}
_ASSISTANT_BLOCKS = {*_ANYWHERE, "toolUse", "toolResult", "reasoningContent", "citationsContent", "image"}
_SYSTEM_BLOCKS = {*_ANYWHERE, "guardContent"}
_RESULT_BLOCKS = {"text", "json", "image", "document", "video", "searchResult"}
_BREAKPOINTS = 4


def refuse(message: str, *, status: int = 400, type: str = "ValidationException") -> Reply:
    return Reply(status=status, failure=Failure(type=type, message=message))


def _inner(message: str) -> Reply:
    """Return a refusal of the model's, which Bedrock hands on."""
    return refuse(f"The model returned the following errors: {message}")


def seals_thoughts(model: str) -> bool:
    """Return whether the thoughts of *model* come with a seal, which they must have when they come back."""
    return "claude" in model or ":application-inference-profile/" in model


def thought_seal(thought: str) -> str:
    """Return the seal on the fake's own thoughts."""
    return sealed(thought)


def blocks_in(body: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield all blocks of all messages."""
    for message in rows(body.get("messages")):
        yield from rows(message.get("content"))


def check_history(body: dict[str, Any], model: str) -> Reply | None:
    """Return the refusal of the messages of *body*, or None."""
    names: set[str] = set()
    for index, message in enumerate(body["messages"]):
        refusal = _check_message(f"messages.{index}", message, model, names)
        if refusal is not None:
            return refusal
    checks: tuple[Callable[[dict[str, Any], str], Reply | None], ...] = (
        _check_roles,
        _check_results,
        _check_neighbours,
        _check_documents,
        _check_marks,
        _check_thoughts,
        _check_end,
    )
    return next(filter(None, (check(body, model) for check in checks)), None)


def _check_message(place: str, message: Any, model: str, names: set[str]) -> Reply | None:
    if not isinstance(message, dict) or set(message) - {"role", "content"}:
        return refuse(f"Malformed input request: {place}: extraneous key is not permitted, please reformat your input and try again.")
    role, content = message.get("role"), message.get("content")
    if role not in ("user", "assistant", "system"):
        return refuse(f"Value at '{place}.role' failed to satisfy constraint: Member must be one of [user, assistant, system]")
    if role == "system" and not model_named(model).takes_system_turns:
        return refuse("This model doesn't support the system role in messages. Remove the role and try again.")
    if not isinstance(content, list) or not content:
        return refuse(
            f"The content field in the Message object at {place} is empty. Add a ContentBlock object to the content field and try again."
        )
    allowed = {"user": _USER_BLOCKS, "assistant": _ASSISTANT_BLOCKS, "system": _SYSTEM_BLOCKS}[role]
    refusals = (_check_block(f"{place}.content.{number}", block, allowed, names) for number, block in enumerate(content))
    return next(filter(None, refusals), None)


def _check_block(place: str, block: Any, allowed: set[str], names: set[str]) -> Reply | None:
    if not isinstance(block, dict) or len(block) != 1:
        return refuse(f"The value at {place} is a union: exactly one of its members must be set.")
    ((kind, value),) = block.items()
    if kind not in allowed:
        return refuse(f"The ContentBlock object at {place} has {kind}, which cannot stand there.")
    if kind == "text":
        if not isinstance(value, str) or not value.strip():
            return refuse(f"The text field in the ContentBlock object at {place} is blank. Add text to the text field, and try again.")
        return None
    if not isinstance(value, dict):
        return None if kind == "json" else refuse(f"{place}.{kind} must be a structure.")
    if kind in _FORMATS:
        return _check_media(place, kind, value, names)
    check = {"toolUse": _check_use, "reasoningContent": _check_thought, "cachePoint": _check_mark}.get(kind)
    if kind == "toolResult":
        return _check_result(place, value, names)
    return None if check is None else check(place, value)


def _check_media(place: str, kind: str, value: dict[str, Any], names: set[str]) -> Reply | None:
    source = value.get("source")
    if value.get("format") not in _FORMATS[kind]:
        return refuse(
            f"Value '{value.get('format')}' at '{place}.{kind}.format' failed to satisfy constraint: Member must satisfy enum value set"
        )
    if not isinstance(source, dict) or len(source) != 1 or set(source) - _SOURCES.get(kind, {"bytes", "s3Location"}):
        return refuse(f"The source at {place}.{kind} is a union: exactly one of its members must be set.")
    if "bytes" in source:
        try:
            found = base64.b64decode(source["bytes"], validate=True)
        except (ValueError, TypeError):
            found = b""
        if not found:
            return refuse(f"{place}.{kind}.source.bytes is not base64.")
    if kind != "document":
        return None
    name = value.get("name")
    if not isinstance(name, str) or _DOCUMENT_NAME.fullmatch(name) is None:
        return refuse(_DOCUMENT_NAME_RULE)
    if name in names:
        return refuse(f"The document file name {name} is used more than once. Give each document a name of its own and try again.")
    names.add(name)
    return None


def _check_use(place: str, value: dict[str, Any]) -> Reply | None:
    if set(value) - {"toolUseId", "name", "input", "type"}:
        return refuse(f"Malformed input request: {place}.toolUse: extraneous key is not permitted.")
    if not _ID.fullmatch(str(value.get("toolUseId", ""))):
        return refuse(f"Value at '{place}.toolUse.toolUseId' failed to satisfy constraint: Member must match [a-zA-Z0-9_.:-]+, up to 64")
    if not _NAME.fullmatch(str(value.get("name", ""))):
        return refuse(f"Value at '{place}.toolUse.name' failed to satisfy constraint: Member must match [a-zA-Z0-9_-]+, up to 64")
    if isinstance(value.get("input"), dict):
        return None
    return refuse(f"The format of the value at {place}.toolUse.input is invalid. Provide a json object for the field and try again.")


def _check_result(place: str, value: dict[str, Any], names: set[str]) -> Reply | None:
    if set(value) - {"toolUseId", "content", "status", "type"}:
        return refuse(f"Malformed input request: {place}.toolResult: extraneous key is not permitted.")
    content = value.get("content")
    if not isinstance(content, list):
        return refuse(f"{place}.toolResult.content must be a list.")
    if value.get("status", "success") not in ("success", "error"):
        return refuse(f"Value at '{place}.toolResult.status' failed to satisfy constraint: [success, error]")
    for number, block in enumerate(content):
        refusal = _check_block(f"{place}.toolResult.content.{number}", block, _RESULT_BLOCKS, names)
        if refusal is not None:
            return refusal
        if "json" in block and not isinstance(block["json"], dict):
            return refuse(
                f"The format of the value at {place}.toolResult.content.{number}.json is invalid. Provide a json object for the field."
            )
    return None


def _check_thought(place: str, value: dict[str, Any]) -> Reply | None:
    said = value.get("reasoningText")
    is_text = isinstance(said, dict) and isinstance(said.get("text"), str) and not set(said) - {"text", "signature"}
    if len(value) == 1 and (is_text or isinstance(value.get("redactedContent"), str)):
        return None
    return refuse(f"The reasoningContent at {place} must have reasoningText with a text, or redactedContent.")


def _check_mark(place: str, value: dict[str, Any]) -> Reply | None:
    if value.get("type") == "default" and not set(value) - {"type", "ttl"} and value.get("ttl", "5m") in ("5m", "1h"):
        return None
    return refuse(f"Value at '{place}.cachePoint.type' failed to satisfy constraint: Member must be one of [default]")


# -- the conversation


def _check_roles(body: dict[str, Any], model: str) -> Reply | None:
    roles = [message["role"] for message in body["messages"]]
    if roles[0] != "user" and not ("claude" in model or "qwen" in model):
        return refuse("A conversation must start with a user message. Try again with a conversation that starts with a user message.")
    for index, role in enumerate(roles):
        if role == "system" and (index == 0 or roles[index - 1] != "user"):
            return _inner(f"messages.{index}: a system message must follow a user turn, and come last or before an assistant turn")
    spoken = [role for role in roles if role != "system"]
    if any(one == other for one, other in pairwise(spoken)):
        return refuse(
            "A conversation must alternate between user and assistant roles. Make sure the conversation alternates between user and "
            "assistant roles and try again."
        )
    return None


def _check_results(body: dict[str, Any], _: str) -> Reply | None:
    """Demand that each call is answered in the next turn, and that nothing else is."""
    waiting: list[str] = []
    for index, message in enumerate(body["messages"]):
        if message["role"] == "system":
            continue
        found = [
            block["toolResult"]["toolUseId"] for block in message["content"] if "toolResult" in block and "type" not in block["toolResult"]
        ]
        if missing := [one for one in waiting if one not in found]:
            return refuse(f"Expected toolResult blocks at messages.{index}.content for the following Ids: {', '.join(missing)}")
        if len(found) > len(waiting):
            return refuse(
                f"The number of toolResult blocks at messages.{index}.content exceeds the number of toolUse blocks of previous turn."
            )
        waiting = [block["toolUse"]["toolUseId"] for block in message["content"] if "toolUse" in block and "type" not in block["toolUse"]]
        if len(set(waiting)) < len(waiting):
            return refuse(f"The toolUse blocks at messages.{index}.content contain duplicate Ids: {', '.join(waiting)}")
    if waiting:
        return refuse(f"Expected toolResult blocks at messages.{len(body['messages'])}.content for the following Ids: {', '.join(waiting)}")
    return None


def _check_neighbours(body: dict[str, Any], model: str) -> Reply | None:
    strict = "llama" in model or "mistral" in model
    for index, message in enumerate(body["messages"]):
        kinds = [next(iter(block)) for block in message["content"]]
        if message["role"] != "user" or "toolResult" not in kinds:
            continue
        others = set(kinds) - {"toolResult", "cachePoint"}
        unfit = others if strict else others & {"document", "video"} if "claude" in model else set()
        if unfit:
            return refuse(
                f"The ContentBlock objects at messages.{index}.content have {', '.join(sorted(unfit))} beside toolResult blocks, which "
                "this model doesn't support."
            )
    return None


def _check_documents(body: dict[str, Any], _: str) -> Reply | None:
    for index, message in enumerate(body["messages"]):
        kinds = {next(iter(block)) for block in message["content"]}
        if "document" in kinds and "text" not in kinds:
            return refuse(f"A text block must be included in the message at messages.{index} that has a document block.")
    return None


def _check_marks(body: dict[str, Any], model: str) -> Reply | None:
    config = mapping(body.get("toolConfig"))
    in_tools = sum("cachePoint" in tool for tool in rows(config.get("tools")))
    places = [*rows(body.get("system")), *blocks_in(body)]
    marks = sum("cachePoint" in block for block in places) + in_tools
    if marks and not any(name in model for name in ("claude", "nova", "arn:")):
        return refuse(
            "You invoked an unsupported model or your request did not allow prompt caching. See the documentation for more information."
        )
    if in_tools and "nova" in model:
        return refuse("This model doesn't support cache points in the tools.")
    for block, following in pairwise(places):
        if "claude" in model and "cachePoint" in following and mapping(block.get("document")).get("format", "pdf") != "pdf":
            return _inner("messages.0.content.1.type: Field required")
    if marks > _BREAKPOINTS:
        return _inner(f"A maximum of {_BREAKPOINTS} blocks with cache_control may be provided. Found {marks}.")
    return None


def _check_thoughts(body: dict[str, Any], model: str) -> Reply | None:
    for index, message in enumerate(body["messages"]):
        for number, block in enumerate(message["content"]):
            if "reasoningContent" not in block:
                continue
            refusal = _check_seal(f"messages.{index}.content.{number}", block["reasoningContent"].get("reasoningText"), model)
            if refusal is not None:
                return refusal
    return None


def _check_seal(place: str, said: dict[str, Any] | None, model: str) -> Reply | None:
    if any(name in model for name in ("llama", "mistral", "nova-lite-v1", "titan")):
        return refuse("This model doesn't support the reasoningContent field. Remove reasoningContent and try again.")
    if said is None:
        return None
    seal = said.get("signature")
    if not seals_thoughts(model):
        what = "reasoningContent.reasoningText.signature"
        return None if seal is None else refuse(f"This model doesn't support the {what} field. Remove {what} and try again.")
    if not seal:
        return _inner(f"{place}.thinking.signature: Field required")
    return None if seal == thought_seal(said["text"]) else _inner(f"{place}: Invalid `signature` in `thinking` block")


def _check_end(body: dict[str, Any], model: str) -> Reply | None:
    last = body["messages"][-1]
    if last["role"] != "assistant":
        return None
    text = str(last["content"][-1].get("text", ""))
    if "claude" in model and text != text.rstrip():
        return _inner("messages: final assistant content cannot end with trailing whitespace")
    return None
