"""
Answers in a shape: what was asked for as ``response_format``, and the answer's text read by it.

Most wires want an object at the root of a schema. Where the shape is another (a list, a union), it is wrapped in
``{"value": ...}`` on the way out and unwrapped on the way in, so that neither the caller nor a dialect sees it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, Literal, get_origin

from attrs import field, frozen

from llmkit.errors import ConfigurationError, StructuredOutputError
from llmkit.schema.annotations import is_hashable, is_pydantic, is_record
from llmkit.schema.describing import schema_of
from llmkit.schema.growing import MISSING, GrowingJson
from llmkit.schema.mismatch import Mismatch
from llmkit.schema.nodes import Schema, copied, is_object, mapped, rooted
from llmkit.schema.partial import grown
from llmkit.schema.strict import drop_nulls
from llmkit.tools import checked_name

__all__ = ["Growth", "ResponseFormat", "as_response_format", "parse"]

UNNAMED = "response"  # the name, which wires want, of a shape that has none
_SCHEMA_WORDS = frozenset(("type", "properties", "items", "enum", "const", "anyOf", "oneOf", "allOf", "$ref", "$defs", "not"))
_TYPE_NAMES = ("object", "array", "string", "number", "integer", "boolean", "null")


@frozen(kw_only=True)
class ResponseFormat:
    """
    The shape an answer must have.

    ``kind`` is ``"json"`` (any JSON) or ``"schema"``. ``schema`` has an object at its root; it is shared, so copy it to change it.
    ``name`` is one that every wire takes. ``type`` is the Python type the answer becomes, None for plain JSON. ``strict`` asks the
    provider to keep to the schema; None leaves it to the dialect. ``wrapped`` says that the answer is under ``value``.
    """

    kind: Literal["json", "schema"]
    schema: Schema | None = field(default=None, hash=False)
    name: str = UNNAMED
    description: str = ""
    type: Any = None
    strict: bool | None = None
    wrapped: bool = False


def as_response_format(value: Any) -> ResponseFormat | None:
    """
    Return the shape that *value* asks for, None for plain text.

    Args:
        value: ``"json"``, a JSON Schema, an OpenAI-style dict (``text``, ``json_object``, ``json_schema``), or a type.

    Raises:
        ConfigurationError: If it is none of these, or a type that no schema can describe.
    """
    if value is None or isinstance(value, ResponseFormat):
        return value
    if value == "json":
        return ResponseFormat(kind="json")
    if isinstance(value, Mapping):
        return _format_of_dict(value)
    if isinstance(value, str) or not is_hashable(value):
        msg = f"response_format must be 'json', a JSON Schema or a type, of which all parts are hashable, not {value!r}."
        raise ConfigurationError(msg)
    # Equal unions may differ in the order of their members, which decides what fits first: hence the text in the key.
    return _format_of_type(value, repr(value))


def _format_of_dict(value: Mapping[str, Any]) -> ResponseFormat | None:
    kind = value.get("type")
    if kind == "json_schema":
        return _format_of_openai(value)
    if kind in ("text", "json_object"):
        if len(value) > 1:
            msg = f"A response_format of type {kind!r} has no other keys; this has {', '.join(map(repr, value))}."
            raise ConfigurationError(msg)
        return ResponseFormat(kind="json") if kind == "json_object" else None
    return _format_of_schema(value, name=_as_name(str(value.get("title", ""))))


def _format_of_openai(value: Mapping[str, Any]) -> ResponseFormat:
    """Read OpenAI's dict: its facts are under ``json_schema`` in Chat Completions, and beside the type in Responses."""
    body = value.get("json_schema", {key: item for key, item in value.items() if key != "type"})
    if not isinstance(body, Mapping) or not isinstance(body.get("schema"), Mapping):
        msg = "A response_format of type 'json_schema' must have a schema."
        raise ConfigurationError(msg)
    name = checked_name(body.get("name", UNNAMED))
    return _format_of_schema(body["schema"], name=name, description=body.get("description") or "", strict=body.get("strict"))


def _format_of_schema(schema: Mapping[str, Any], *, name: str, description: str = "", strict: bool | None = None) -> ResponseFormat:
    kinds = schema.get("type", [])
    unknown = [kind for kind in (kinds if isinstance(kinds, list) else [kinds]) if kind not in _TYPE_NAMES]
    if unknown or not _SCHEMA_WORDS & set(schema):
        msg = f"response_format is neither a JSON Schema nor one of OpenAI's dicts: {dict(schema)!r}."
        raise ConfigurationError(msg)
    body, is_wrapped = _wrapped(copied(schema))
    return ResponseFormat(kind="schema", schema=body, name=name, description=description, strict=strict, wrapped=is_wrapped)


@lru_cache(maxsize=256)
def _format_of_type(tp: Any, _: str) -> ResponseFormat:
    schema, is_wrapped = _wrapped(schema_of(tp))
    named = is_record(tp) or is_pydantic(tp)
    name = _as_name(getattr(get_origin(tp) or tp, "__name__", "") if named else "")
    return ResponseFormat(kind="schema", schema=schema, name=name, type=tp, wrapped=is_wrapped)


def _as_name(title: str) -> str:
    return re.sub(r"[^a-zA-Z0-9_-]", "_", title)[:64] or UNNAMED


def _wrapped(schema: Schema) -> tuple[Schema, bool]:
    """Return *schema* with an object at its root, and whether it had to be wrapped."""
    if is_object(rooted(schema)):
        return schema, False
    shared = {key: value for key, value in schema.items() if key in ("$defs", "definitions", "$schema")}
    inner = {key: value for key, value in schema.items() if key not in shared}
    root = {"type": "object", "properties": {"value": _moved(inner)}, "required": ["value"], "additionalProperties": False}
    return {**root, **mapped(_moved, shared)}, True


def _moved(node: Schema) -> Schema:
    """Return *node* with its references to the root, or to what is below it, pointing to where that went."""
    reference = node.get("$ref")
    if isinstance(reference, str) and re.match(r"#(?!/\$defs/|/definitions/)", reference):
        node = {**node, "$ref": f"#/properties/value{reference[1:]}"}
    return mapped(_moved, node)


def parse(shape: ResponseFormat, text: str) -> Any:
    """
    Return the answer *text* as *shape* says: an instance of its type, or the decoded JSON where there is no type.

    White space and a Markdown fence around the JSON are passed over, and what is said around a fence, if there is only one.

    Raises:
        StructuredOutputError: If it is not JSON or not of the type; the message names path and expectation, ``text`` holds
            the answer and ``parsed`` its JSON.
    """
    try:
        answer = _decoded(text)
    except (ValueError, RecursionError) as exc:
        reason = f"is not JSON: {exc}" if text.strip() else "is empty"
        msg = f"The answer {reason}"
        raise StructuredOutputError(msg, text=text, original_error=exc) from exc
    try:
        return _fitted(shape, answer)
    except (Mismatch, RecursionError) as exc:
        msg = f"The answer does not fit {'response_format' if shape.name == UNNAMED else shape.name}: {exc}"
        raise StructuredOutputError(msg, text=text, parsed=answer, original_error=exc) from exc


def _fitted(shape: ResponseFormat, answer: Any) -> Any:
    if shape.schema is None:
        return answer
    given = drop_nulls(_unwrapped(shape, answer), shape.schema)
    value = given["value"] if shape.wrapped else given
    if shape.type is None:
        return value
    from llmkit.schema.structuring import structure  # loads cattrs

    return structure(value, shape.type)


class Growth:
    """An answer in a shape while it grows: ``feed`` it text, and ``value`` is the instance of what there is."""

    def __init__(self, shape: ResponseFormat) -> None:
        self._shape = shape
        self._reader = GrowingJson()
        self._is_over = False
        self.value: Any = MISSING

    def feed(self, text: str) -> bool:
        """Add *text*, and return whether ``value`` is another than before."""
        if self._is_over or not self._reader.feed(text):
            return False
        before = self.value
        try:
            self.value = self._grown()
            return self.value is not MISSING and (before is MISSING or bool(before != self.value))
        except RecursionError:  # a model may open brackets without end; the whole, once it is there, is refused for it
            self._is_over = True
            return False

    def _grown(self) -> Any:
        given = self._reader.value
        if self._shape.wrapped:
            # Some models leave the wrapping out, as ``_unwrapped`` knows: then the first value tells.
            wrapped = isinstance(given, dict) and (not given or "value" in given)
            given = given.get("value", MISSING) if wrapped else given
        return grown(given, Any if self._shape.type is None else self._shape.type)


def _unwrapped(shape: ResponseFormat, answer: Any) -> Any:
    """Return *answer* as the schema has it: a wrapped shape under ``value``, even if the model did not put it there."""
    if not shape.wrapped or (isinstance(answer, dict) and "value" in answer):
        return answer
    if shape.type is None:
        raise Mismatch(("$", 'expected an object with the key "value"'))
    return {"value": answer}  # whether it fits the type is seen when it is structured


def _decoded(text: str) -> Any:
    """Return the JSON in *text*, which raises ``ValueError`` or ``RecursionError`` where it is none."""
    try:
        return json.loads(_unfenced(text), parse_constant=_refuse_constant)
    except ValueError:
        blocks = list(_fenced(text))
        if len(blocks) != 1:
            raise
        return json.loads(blocks[0], parse_constant=_refuse_constant)


def _fenced(text: str) -> Iterator[str]:
    """Yield what stands between fences that are marked as JSON, or with nothing; in JSON itself, no text has a line to be taken for one."""
    word, block = None, list[str]()
    for line in text.split("\n"):
        mark = line.strip().lower()
        if word is None and mark.startswith("```"):
            word, block = mark[3:], []
        elif word is not None and mark == "```":
            if word == "" or word.startswith("json"):
                yield "\n".join(block)
            word = None
        else:
            block.append(line)


def _unfenced(text: str) -> str:
    text = text.strip().removeprefix("\ufeff").strip()
    if len(text) < 6 or not (text.startswith("```") and text.endswith("```")):
        return text
    body = text[3:-3]
    word = re.match(r"json\w*", body, re.IGNORECASE)
    return body[word.end() :] if word else body


def _refuse_constant(word: str) -> Any:
    msg = f"{word} is no JSON value"
    raise ValueError(msg)
