"""Types as JSON Schemas (2020-12)."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from enum import Enum
from itertools import count
from types import UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

from attrs import NOTHING

from llmkit.errors import ConfigurationError
from llmkit.schema.annotations import (
    COLLECTIONS,
    MAPPINGS,
    aliased,
    described,
    is_alias,
    is_hashable,
    is_pydantic,
    is_record,
    items_of_tuple,
)
from llmkit.schema.docstrings import own_docstring, parse_docstring
from llmkit.schema.fields import Field, fields_of
from llmkit.schema.limits import constrained, limits_of_notes
from llmkit.schema.nodes import JSON_TYPES, Schema, any_of, mapped, nodes_of, target, with_description

__all__ = ["Writer", "as_json", "schema_of"]

# By name, since importing uuid and decimal costs milliseconds.
_STRINGS: Mapping[str, Schema] = {
    "datetime.datetime": {"type": "string", "format": "date-time"},
    "datetime.date": {"type": "string", "format": "date"},
    "datetime.time": {"type": "string", "format": "time"},
    "datetime.timedelta": {"type": "string", "format": "duration"},
    "uuid.UUID": {"type": "string", "format": "uuid"},
    "decimal.Decimal": {"type": "number"},
    "pathlib.Path": {"type": "string", "format": "path"},
    "pathlib.PurePath": {"type": "string", "format": "path"},
}

_GENERAL_ADVICE = "Use the JSON types, Literal, Enum, unions, collections, or a class with annotated fields."
_ADVICE: Mapping[Any, str] = {
    bytes: "JSON has no bytes: use str and say in the description how it is encoded (base64, say).",
    bytearray: "JSON has no bytes: use str and say in the description how it is encoded (base64, say).",
    complex: "JSON has no complex numbers: use a record of two floats.",
}


def schema_of(tp: Any) -> Schema:
    """
    Return the JSON Schema (draft 2020-12) of a type.

    Known are: the JSON types, ``Literal``, ``Enum``, unions, lists, tuples, sets, mappings with text keys, attrs
    classes, dataclasses, ``TypedDict``, ``NamedTuple``, pydantic models, ``datetime``, ``date``, ``time``, ``timedelta``,
    ``UUID``, ``Decimal``, ``Path``, and ``Annotated`` of these with a description or bounds. Records are closed
    (``additionalProperties: false``); a field with a default is not required. A record that occurs once stands in its
    place; one that occurs more often, or contains itself, in ``$defs``.

    Raises:
        ConfigurationError: If JSON cannot say the type; the message has the path to it.
    """
    writer = Writer()
    return writer.finished(writer.write(tp, getattr(tp, "__name__", "the type")))


class Writer:
    """Write the schemas of types that share their ``$defs``."""

    def __init__(self) -> None:
        self._names: dict[Any, str] = {}
        self._definitions: dict[str, Schema] = {}

    def write(self, tp: Any, path: str) -> Schema:
        """Return the schema of one type; *path* is where it was met, for errors."""
        if not is_hashable(tp):
            raise _refusal(tp, path, "A type has a hash, and so has each note in an Annotated: use a tuple instead of a list.")
        origin = get_origin(tp)
        if tp is Any or tp is object:
            return {}
        if tp is None:
            return {"type": "null"}
        if isinstance(tp, type) and tp in JSON_TYPES:
            return {"type": JSON_TYPES[tp]}
        if origin is Annotated:
            return self._annotated(tp, path)
        if origin is Literal:
            return _enumerated([one.value if isinstance(one, Enum) else one for one in get_args(tp)], path)
        if origin in (Union, UnionType):
            return any_of([self.write(one, path) for one in get_args(tp)])
        if is_alias(tp):
            return self._named(tp, lambda: self.write(aliased(tp), path))
        if hasattr(tp, "__supertype__"):
            return self.write(tp.__supertype__, path)
        if isinstance(tp, TypeVar):
            return any_of([self.write(one, path) for one in tp.__constraints__ or (tp.__bound__ or Any,)])
        return self._class(tp, origin or tp, path)

    def _class(self, tp: Any, cls: Any, path: str) -> Schema:
        if cls in COLLECTIONS:
            return self._collection(cls, get_args(tp), path)
        if cls is tuple:
            return self._tuple(tp, path)
        if cls in MAPPINGS:
            return self._mapping(get_args(tp), path)
        if is_pydantic(tp):
            return self._pydantic(tp)
        if is_record(tp):
            return self._named(tp, lambda: self._record(tp, path))
        if isinstance(cls, type) and issubclass(cls, Enum):
            return with_description(_enumerated([one.value for one in cls], path), parse_docstring(own_docstring(cls))[0])
        name = f"{getattr(cls, '__module__', '')}.{getattr(cls, '__qualname__', '')}"
        known = _STRINGS.get(name.replace("pathlib._local", "pathlib"))  # where Python 3.13 has them
        if known is None:
            raise _refusal(tp, path, _ADVICE.get(tp, _GENERAL_ADVICE))
        return dict(known)

    def _annotated(self, tp: Any, path: str) -> Schema:
        node = constrained(self.write(get_args(tp)[0], path), limits_of_notes(tp.__metadata__))
        return with_description(node, described(tp))

    def _collection(self, cls: Any, args: tuple[Any, ...], path: str) -> Schema:
        items = self.write(args[0] if args else Any, f"{path}[]")
        unique = {"uniqueItems": True} if issubclass(COLLECTIONS[cls], (set, frozenset)) else {}
        return {"type": "array", "items": items, **unique}

    def _tuple(self, tp: Any, path: str) -> Schema:
        kinds, repeated = items_of_tuple(tp)
        if repeated:
            return self._collection(list, kinds, path)
        items = [self.write(one, f"{path}[{index}]") for index, one in enumerate(kinds)]
        first = {"prefixItems": items} if items else {}  # the draft wants it non-empty
        return {"type": "array", **first, "items": False, "minItems": len(items), "maxItems": len(items)}

    def _mapping(self, args: tuple[Any, ...], path: str) -> Schema:
        key, value = args or (Any, Any)
        keys = self.write(key, f"{path} (a key)")
        if keys and keys.get("type") != "string":
            msg = f"The keys of a JSON object are text, not {key!r} (at {path}): use a list of records instead."
            raise ConfigurationError(msg)
        names = {"propertyNames": keys} if len(keys) > 1 else {}
        return {"type": "object", "additionalProperties": self.write(value, f"{path}[...]") or True, **names}

    def _record(self, tp: Any, path: str) -> Schema:
        prose = parse_docstring(own_docstring(get_origin(tp) or tp))[0]
        return with_description(self.write_fields(fields_of(tp), path), prose)

    def write_fields(self, fields: Iterable[Field], path: str) -> Schema:
        """Return the schema of an object with these fields and no others."""
        properties: dict[str, Schema] = {}
        required: list[str] = []
        for one in fields:
            node = constrained(self.write(one.type, f"{path}.{one.name}"), one.limits)
            node = with_description(node, one.description)
            if (default := as_json(one.default)) is not NOTHING:
                node = {**node, "default": default}
            properties[one.name] = node
            if one.required:
                required.append(one.name)
        needed = {"required": required} if required else {}
        return {"type": "object", "properties": properties, **needed, "additionalProperties": False}

    def _pydantic(self, tp: Any) -> Schema:
        body: Schema = tp.model_json_schema()
        taken = {**self._definitions, **dict.fromkeys(self._names.values())}
        if any(taken.get(name, node) != node for name, node in body.get("$defs", {}).items()):
            prefix = self._free_name(f"{tp.__name__}_")
            body = tp.model_json_schema(ref_template=f"#/$defs/{prefix}{{model}}")
            body["$defs"] = {f"{prefix}{name}": node for name, node in body["$defs"].items()}
        self._definitions.update(body.pop("$defs", {}))
        return body

    def _named(self, tp: Any, write: Callable[[], Schema]) -> Schema:
        """Return a reference to the definition of *tp*, which is written when it is first met."""
        if tp not in self._names:
            words = (get_origin(tp) or tp, *get_args(tp))
            name = self._free_name("_".join(str(getattr(word, "__name__", "")) for word in words))
            self._names[tp] = name  # before it is written, so that a type which contains itself finds it
            self._definitions[name] = write()
        return {"$ref": f"#/$defs/{self._names[tp]}"}

    def _free_name(self, wish: str) -> str:
        taken = {*self._names.values(), *self._definitions}
        wish = re.sub(r"[^a-zA-Z0-9_]", "_", wish)
        return next(name for name in _numbered(wish) if name not in taken)

    def finished(self, root: Schema) -> Schema:
        """Return the whole schema: definitions used once stand in their place, the others under ``$defs``."""
        uses = Counter(target(node) for top in (root, *self._definitions.values()) for node in nodes_of(top))
        single = {name for name, number in uses.items() if name and number == 1}

        def settled(node: Schema) -> Schema:
            # A discriminator's mapping (OpenAPI, written by pydantic) would go on naming definitions that are gone.
            rest = {key: value for key, value in node.items() if key not in ("$ref", "discriminator")}
            if (name := target(node)) in single:
                return settled({**self._definitions[name], **rest})
            return mapped(settled, {**node, **rest} if "$ref" in node else rest)

        if target(root):
            root = self._definitions[target(root)]
        body = settled(root)
        kept = {name: settled(node) for name, node in self._definitions.items() if uses[name] > 1}
        return {**body, "$defs": kept} if any(target(node) for node in nodes_of(body)) else body


def _refusal(tp: Any, path: str, advice: str) -> ConfigurationError:
    return ConfigurationError(f"No JSON Schema can be made of {tp!r} (at {path}). {advice}")


def _numbered(wish: str) -> Iterator[str]:
    yield wish
    yield from (f"{wish}_{number}" for number in count(2))


def _enumerated(values: list[Any], path: str) -> Schema:
    """Return the schema of a closed set of values: one branch for each JSON type among them."""
    unsayable = [value for value in values if type(value) not in JSON_TYPES]
    if unsayable or not values:
        found = repr(unsayable[0]) if unsayable else "an Enum without members"
        msg = f"A choice must be text, a number, a bool or None, not {found} (at {path})."
        raise ConfigurationError(msg)
    groups: dict[str, list[Any]] = {}
    for value in values:
        groups.setdefault(JSON_TYPES[type(value)], []).append(value)
    return any_of([{"type": kind} if kind == "null" else {"type": kind, "enum": group} for kind, group in groups.items()])


def as_json(value: Any) -> Any:
    """Return *value* as JSON says it, or ``NOTHING`` where JSON cannot."""
    if isinstance(value, Enum) and value is not NOTHING:  # attrs' NOTHING is a member of an Enum, with the value 1
        return as_json(value.value)
    if value is None or isinstance(value, (bool, int, str)) or (isinstance(value, float) and abs(value) < float("inf")):
        return value
    if isinstance(value, (list, tuple)):
        items = [as_json(item) for item in value]
        return NOTHING if NOTHING in items else items
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        pairs = {key: as_json(item) for key, item in value.items()}
        return NOTHING if NOTHING in pairs.values() else pairs
    return NOTHING
