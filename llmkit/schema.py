"""
Types as JSON Schemas (2020-12), and schemas as strict mode wants them.

Rule 1: a schema says what ``llmkit.structuring`` accepts: both read a type's fields from ``fields_of``.
Rule 2: what a schema cannot say is refused by name (``ConfigurationError``), never left out in silence.
Rule 3: nothing here is imported on behalf of a type: pydantic, decimal or uuid are there if the type is.
"""

from __future__ import annotations

import collections.abc
import json
import re
import types
import typing
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from enum import Enum
from functools import lru_cache
from inspect import cleandoc
from itertools import chain, repeat
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

import attrs
from attrs import NOTHING, define, field, frozen

from llmkit.errors import ConfigurationError

__all__ = ["drop_nulls", "is_strict_able", "schema_of", "strict_schema"]

Schema = dict[str, Any]

PRIMITIVES: Mapping[Any, str] = {bool: "boolean", int: "integer", float: "number", str: "string", type(None): "null"}

# Annotation -> what is built for it. The abstract ones become what one would write by hand.
COLLECTIONS: Mapping[Any, type] = {
    list: list,
    set: set,
    frozenset: frozenset,
    collections.abc.Iterable: list,
    collections.abc.Collection: list,
    collections.abc.Sequence: list,
    collections.abc.MutableSequence: list,
    collections.abc.Set: set,
    collections.abc.MutableSet: set,
}
MAPPINGS = (dict, collections.abc.Mapping, collections.abc.MutableMapping)

# By name, since importing uuid and decimal costs milliseconds. Python 3.13 moved pathlib's classes to pathlib._local.
STRINGS: Mapping[str, Schema] = {
    "datetime.datetime": {"type": "string", "format": "date-time"},
    "datetime.date": {"type": "string", "format": "date"},
    "datetime.time": {"type": "string", "format": "time"},
    "uuid.UUID": {"type": "string", "format": "uuid"},
    "decimal.Decimal": {"type": "number"},
    "pathlib.Path": {"type": "string", "format": "path"},
    "pathlib.PurePath": {"type": "string", "format": "path"},
}

NUMBER_LIMITS = ("minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum", "multipleOf")
COMPARISONS: Mapping[str, str] = {">=": "minimum", ">": "exclusiveMinimum", "<=": "maximum", "<": "exclusiveMaximum"}
LIMIT_ATTRIBUTES: Mapping[str, str] = {
    "ge": "minimum",
    "gt": "exclusiveMinimum",
    "le": "maximum",
    "lt": "exclusiveMaximum",
    "multiple_of": "multipleOf",
    "min_length": "minLength",
    "max_length": "maxLength",
    "pattern": "pattern",
}
LENGTH_LIMITS: Mapping[str, Mapping[str, str]] = {
    "string": {"minLength": "minLength", "maxLength": "maxLength"},
    "array": {"minLength": "minItems", "maxLength": "maxItems"},
    "object": {"minLength": "minProperties", "maxLength": "maxProperties"},
}


@frozen(kw_only=True)
class Field:
    """One named value of a record or of a function call: its key in JSON, its type, and what is said about it."""

    name: str
    type: Any
    required: bool
    default: Any = NOTHING
    description: str = ""
    limits: Mapping[str, Any] = field(factory=dict)


# Docstrings: Google (a header with a colon), numpy (an underlined header) and Sphinx (fields) styles.
# Patterns stay text until they are first used, since compiling them would double the time to import this module.
_SECTIONS_OF_NAMES = frozenset(
    ["Args", "Arguments", "Parameters", "Params", "Keyword Args", "Keyword Arguments", "Other Parameters", "Attributes"]
)
_OTHER_SECTIONS = "Returns?|Yields?|Raises|Examples?|Notes?|See Also|Warn(?:ing)?s?|References|Todo|Methods"
_SECTION = rf"({'|'.join(sorted(_SECTIONS_OF_NAMES))}|{_OTHER_SECTIONS})(:?)\s*$"
_SPHINX_FIELD = r":\w+(?:\s[^:]*)?:(?:\s|$)"
_ENTRIES = {
    "google": r"\*{0,2}(\w+)\s*(?:\(.*?\))?\s*:(?:\s+(.*))?$",
    "numpy": r"(\*{0,2}\w+(?:\s*,\s*\*{0,2}\w+)*)\s*(?::.*)?()$",
    "sphinx": r":(?:param|parameter|arg|argument|key|keyword|ivar|var|cvar|attribute)\s+(?:[^:]*\s)?(\*{0,2}\w+):(?:\s+(.*))?$",
}


def parse_docstring(doc: str) -> tuple[str, dict[str, str]]:
    """Return the text before the first section of *doc*, and what its sections say of each parameter or attribute."""
    (_, prose), *blocks = _blocks(cleandoc(doc).splitlines())
    told: dict[str, list[str]] = {}
    for style, block in blocks:
        if style in _ENTRIES:
            told.update(_entries(_ENTRIES[style], block))
    texts = {name: " ".join(" ".join(lines).split()) for name, lines in told.items()}
    return "\n".join(prose).strip(), {name: text for name, text in texts.items() if text}


def _blocks(lines: list[str]) -> Iterator[tuple[str, list[str]]]:
    """Cut a docstring at its headers: the first block is prose, the others are named after their style."""
    style, block = "prose", list[str]()
    for line, following in zip(lines, [*lines[1:], ""], strict=False):
        begun = _style_begun(line, following)
        if not begun and ((style == "google" and line[:1].strip()) or (style == "sphinx" and not line.strip())):
            begun = "other"
        if begun:
            yield style, block
            style, block = begun, []
        block.append(line)
    yield style, block


def _style_begun(line: str, following: str) -> str:
    if re.match(_SPHINX_FIELD, line):
        return "sphinx"
    header = re.match(_SECTION, line)
    if header is None:
        return ""
    if set(following.strip()) == {"-"}:
        return "numpy" if header[1] in _SECTIONS_OF_NAMES else "other"
    if not header[2]:
        return ""
    return "google" if header[1] in _SECTIONS_OF_NAMES else "other"


def _entries(pattern: str, block: list[str]) -> dict[str, list[str]]:
    """Return the lines said of each name in one block; a line that begins no entry continues the one above."""
    body = block if block[0].startswith(":") else block[1:]
    margin = min((len(line) - len(line.lstrip()) for line in body if line.strip()), default=0)
    told: dict[str, list[str]] = {}
    texts: list[str] = []
    for line in body:
        entry = re.match(pattern, line[margin:])
        if entry is None:
            texts.append(line)
            continue
        texts = [entry[2] or ""]
        told.update({name.strip().lstrip("*"): texts for name in entry[1].split(",")})
    return told


# Fields: what a record (attrs, dataclass, TypedDict, NamedTuple) is made of.


def is_typed_dict(tp: Any) -> bool:
    # typing.is_typeddict does not know those of typing_extensions.
    return isinstance(tp, type) and issubclass(tp, dict) and hasattr(tp, "__required_keys__")


def is_named_tuple(tp: Any) -> bool:
    return isinstance(tp, type) and issubclass(tp, tuple) and hasattr(tp, "_fields")


def items_of_tuple(tp: Any) -> tuple[tuple[Any, ...], bool]:
    """Return the types of a tuple's items, and whether it is one type for any number of them."""
    args = get_args(tp)
    if tp in (tuple, typing.Tuple):  # noqa: UP006 - the old spelling has no arguments either, as tuple[()] has none
        return (Any,), True
    if args == ((),):  # how Python 3.10 spells the arguments of tuple[()]
        return (), False
    return (args[:1], True) if args[1:] == (Ellipsis,) else (args, False)


def is_record(tp: Any) -> bool:
    """Return whether *tp*, or the class that it parametrises, has named fields that ``fields_of`` can list."""
    cls = get_origin(tp) or tp
    if not isinstance(cls, type):
        return False
    return attrs.has(cls) or hasattr(cls, "__dataclass_fields__") or is_typed_dict(cls) or is_named_tuple(cls)


def is_pydantic(tp: Any) -> bool:
    return isinstance(tp, type) and hasattr(tp, "model_json_schema") and hasattr(tp, "model_validate_json")


def is_alias(tp: Any) -> bool:
    """Return whether *tp* was made by a ``type`` statement, or by its copy in typing_extensions."""
    return type(get_origin(tp) or tp).__name__ == "TypeAliasType"


@lru_cache(maxsize=512)
def fields_of(tp: Any) -> tuple[Field, ...]:
    """
    Return the fields of a record, in order; type variables are replaced by the arguments of *tp*.

    Raises:
        ConfigurationError: If an annotation cannot be resolved.
    """
    cls = get_origin(tp) or tp
    hints = resolved_hints(cls)
    told = {name: text for base in reversed(cls.__mro__) for name, text in parse_docstring(own_docstring(base))[1].items()}
    return tuple(
        Field(
            name=name,
            type=(kept := substituted(tp, unqualified(hint))),
            required=required,
            default=default,
            description=described(kept) or str(metadata.get("description") or told.get(attribute, "")),
            limits=limits_of_validator(validator),
        )
        for name, attribute, hint, required, default, metadata, validator in _raw_fields(cls, hints)
    )


_RawField = tuple[str, str, Any, bool, Any, Mapping[Any, Any], Any]


def _raw_fields(cls: Any, hints: Mapping[str, Any]) -> Iterator[_RawField]:
    """Yield key, attribute, annotation, whether required, default, metadata and validator."""
    if attrs.has(cls):
        for one in attrs.fields(cls):
            if one.init:
                hint = hints.get(one.name, Any if one.type is None else one.type)
                plain = NOTHING if isinstance(one.default, attrs.Factory) else one.default  # type: ignore[arg-type]
                yield one.alias or one.name, one.name, hint, one.default is NOTHING, plain, one.metadata, one.validator
    elif hasattr(cls, "__dataclass_fields__"):
        yield from _raw_dataclass_fields(cls, hints)
    elif is_typed_dict(cls):
        for name, hint in hints.items():
            yield name, name, hint, _is_required(cls, name, hint), NOTHING, {}, None
    else:
        for name in cls._fields:
            default = cls._field_defaults.get(name, NOTHING)
            yield name, name, hints.get(name, Any), default is NOTHING, default, {}, None


def _raw_dataclass_fields(cls: Any, hints: Mapping[str, Any]) -> Iterator[_RawField]:
    import dataclasses  # already there, since the class is one

    for name, hint in hints.items():
        if isinstance(hint, dataclasses.InitVar):
            msg = f"{cls.__qualname__}.{name} is an InitVar, which no schema can describe: make it a field."
            raise ConfigurationError(msg)
    for one in dataclasses.fields(cls):
        if one.init:
            default = NOTHING if one.default is dataclasses.MISSING else one.default
            required = default is NOTHING and one.default_factory is dataclasses.MISSING
            yield one.name, one.name, hints.get(one.name, Any), required, default, one.metadata, None


def _is_required(cls: Any, name: str, hint: Any) -> bool:
    # __required_keys__ misses qualifiers in annotations that are still text (``from __future__ import annotations``).
    qualifiers = list(_qualifiers(hint))
    if "NotRequired" in qualifiers:
        return False
    return "Required" in qualifiers or name in cls.__required_keys__


def _qualifiers(hint: Any) -> Iterator[str]:
    while (word := getattr(get_origin(hint), "_name", "")) in ("Required", "NotRequired", "ReadOnly", "Final"):
        yield word
        hint = get_args(hint)[0]


def unqualified(hint: Any) -> Any:
    """Return *hint* without ``Required``, ``NotRequired``, ``ReadOnly`` and ``Final``."""
    for _ in list(_qualifiers(hint)):
        hint = get_args(hint)[0]
    return hint


def resolved_hints(target: Any) -> dict[str, Any]:
    """Return the annotations of a class or function as types, ``Annotated`` kept."""
    nearby = {**getattr(target, "__dict__", {}), getattr(target, "__name__", ""): target}
    for local_names in (None, nearby):  # the second for classes defined in a function or in another class
        try:
            return typing.get_type_hints(target, localns=local_names, include_extras=True)
        except Exception as exc:  # noqa: BLE001 - an annotation is code, and may raise anything
            failure = exc
    msg = (
        f"An annotation of {getattr(target, '__qualname__', target)} cannot be resolved ({failure}): "
        "its names must be importable from its module at run time, not defined in a function or under TYPE_CHECKING."
    )
    raise ConfigurationError(msg) from failure


def substituted(tp: Any, hint: Any) -> Any:
    """Return *hint*, which stands in the class of *tp*, with its type variables replaced by the arguments of *tp*."""
    values = dict(zip(getattr(get_origin(tp), "__parameters__", ()), get_args(tp), strict=False))
    if isinstance(hint, TypeVar):
        return values.get(hint, hint)
    free = getattr(hint, "__parameters__", ()) if values and get_origin(hint) else ()
    return hint[tuple(values.get(name, name) for name in free)] if free else hint


def own_docstring(cls: Any) -> str:
    """Return the docstring that was written for *cls*: neither inherited nor made by dataclass, NamedTuple or Enum."""
    doc = vars(cls).get("__doc__")
    if not isinstance(doc, str) or cls.__module__ == "builtins":
        return ""
    return "" if doc.startswith(f"{cls.__name__}(") or doc == "An enumeration." else doc


# What annotations and validators say beyond the type.


def described(hint: Any) -> str:
    """Return the description in an ``Annotated``: its first text, or that of a pydantic ``Field`` or a ``Doc``."""
    for note in getattr(hint, "__metadata__", ()):
        for text in (note, getattr(note, "description", None), getattr(note, "documentation", None)):
            if isinstance(text, str):
                return text
    return ""


def limits_of_notes(notes: Iterable[Any]) -> dict[str, Any]:
    """Return the bounds in an ``Annotated``, by attribute: those of annotated_types, and of anything made like them."""
    limits: dict[str, Any] = {}
    for note in notes:
        if isinstance(nested := getattr(note, "metadata", None), (list, tuple)):  # pydantic's Field keeps its bounds there
            limits.update(limits_of_notes(nested))
        for attribute, keyword in LIMIT_ATTRIBUTES.items():
            bound = getattr(note, attribute, None)
            if bound is not None:
                limits[keyword] = getattr(bound, "pattern", bound)
    return limits


def limits_of_validator(validator: Any) -> dict[str, Any]:
    """Return the bounds in an attrs validator, read by attribute, since its classes are private."""
    if validator is None:
        return {}
    limits: dict[str, Any] = {}
    for inner in (*getattr(validator, "_validators", ()), *filter(None, [getattr(validator, "validator", None)])):
        if type(validator).__name__ != "_NotValidator":
            limits.update(limits_of_validator(inner))
    if keyword := COMPARISONS.get(str(getattr(validator, "compare_op", ""))):
        limits[keyword] = validator.bound
    for attribute in ("min_length", "max_length"):
        if (bound := getattr(validator, attribute, None)) is not None:
            limits[LIMIT_ATTRIBUTES[attribute]] = bound
    if isinstance(options := getattr(validator, "options", None), (tuple, list, set, frozenset)):
        unordered = isinstance(getattr(validator, "_original_options", options), (set, frozenset))
        limits["enum"] = sorted(options, key=repr) if unordered else list(options)
    # Flags have no place in a JSON Schema; the validator still checks what its pattern says.
    if (pattern := getattr(validator, "pattern", None)) is not None and pattern.flags & ~re.UNICODE == 0:
        limits["pattern"] = _anchored(pattern.pattern, validator.match_func.__name__)
    return limits


def _anchored(pattern: str, how: str) -> str:
    grouped = f"(?:{pattern})" if "|" in pattern else pattern
    return {"fullmatch": f"^{grouped}$", "match": f"^{grouped}"}.get(how, pattern)


def constrained(node: Schema, limits: Mapping[str, Any]) -> Schema:
    """Return *node* with those *limits* that its type knows."""
    if not limits:
        return node
    if "anyOf" in node:
        return {**node, "anyOf": [constrained(branch, limits) for branch in node["anyOf"]]}
    kind = node.get("type")
    said: Schema = {}
    if kind in ("integer", "number"):
        said = {key: _as_number(limits[key]) for key in NUMBER_LIMITS if key in limits}
    for limit, keyword in LENGTH_LIMITS.get(str(kind), {}).items():
        if limits.get(limit):
            said[keyword] = limits[limit]
    if kind == "string" and "pattern" in limits:
        said["pattern"] = limits["pattern"]
    if options := [option for option in limits.get("enum", ()) if kind == PRIMITIVES.get(type(option))]:
        said["enum"] = [option for option in node.get("enum", options) if option in options]
    return {**node, **said}


def _as_number(bound: Any) -> int | float:
    return bound if isinstance(bound, (int, float)) else float(bound)


# Types as schemas.


def schema_of(tp: Any) -> Schema:
    """
    Return the JSON Schema (draft 2020-12) of a type.

    Known are: the JSON types, ``Literal``, ``Enum``, unions, lists, tuples, sets, mappings with text keys, attrs
    classes, dataclasses, ``TypedDict``, ``NamedTuple``, pydantic models, ``datetime``, ``date``, ``time``, ``UUID``,
    ``Decimal``, ``Path``, and ``Annotated`` of these with a description or bounds. Records are closed
    (``additionalProperties: false``); a field with a default is not required. A record that occurs once stands in its
    place; one that occurs more often, or contains itself, in ``$defs``.

    Raises:
        ConfigurationError: If JSON cannot say the type; the message has the path to it.
    """
    writer = Writer()
    return writer.finished(writer.write(tp, getattr(tp, "__name__", "the type")))


@define
class Writer:
    """Write the schemas of types that share their ``$defs``."""

    _names: dict[Any, str] = field(factory=dict, init=False)
    _definitions: dict[str, Schema] = field(factory=dict, init=False)

    def write(self, tp: Any, path: str) -> Schema:
        """Return the schema of one type; *path* is where it was met, for errors."""
        origin = get_origin(tp)
        if tp is Any or tp is object:
            return {}
        if tp is None or (isinstance(tp, type) and tp in PRIMITIVES):
            return {"type": PRIMITIVES[type(None) if tp is None else tp]}
        if origin is Annotated:
            return self._annotated(tp, path)
        if origin is Literal:
            return _enumerated([one.value if isinstance(one, Enum) else one for one in get_args(tp)], path)
        if origin in (Union, types.UnionType):
            return _any_of([self.write(one, path) for one in get_args(tp)])
        if is_alias(tp):
            return self._named(tp, lambda: self.write(substituted(tp, (origin or tp).__value__), path))
        if hasattr(tp, "__supertype__"):
            return self.write(tp.__supertype__, path)
        if isinstance(tp, TypeVar):
            return _any_of([self.write(one, path) for one in tp.__constraints__ or (tp.__bound__ or Any,)])
        return self._written_class(tp, origin or tp, path)

    def _written_class(self, tp: Any, cls: Any, path: str) -> Schema:
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
        module = "pathlib" if getattr(cls, "__module__", "") == "pathlib._local" else getattr(cls, "__module__", "")
        known = STRINGS.get(f"{module}.{getattr(cls, '__qualname__', '')}")
        if known is None:
            advice = next((advice for unsayable, advice in _ADVICE if unsayable is tp), _GENERAL_ADVICE)
            msg = f"No JSON Schema can be made of {tp!r} (at {path}). {advice}"
            raise ConfigurationError(msg)
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
            self._names[tp] = name
            self._definitions[name] = write()
        return {"$ref": f"#/$defs/{self._names[tp]}"}

    def _free_name(self, wish: str) -> str:
        taken = {*self._names.values(), *self._definitions}
        wish = re.sub(r"[^a-zA-Z0-9_]", "_", wish)
        return next(name for name in _numbered(wish) if name not in taken)

    def finished(self, root: Schema) -> Schema:
        """Return the whole schema: definitions used once stand in their place, the others under ``$defs``."""
        uses = Counter(_target(node) for top in (root, *self._definitions.values()) for node in _nodes(top))
        single = {name for name, count in uses.items() if name and count == 1}

        def settled(node: Schema) -> Schema:
            # A discriminator's mapping (OpenAPI, written by pydantic) would go on naming definitions that are gone.
            rest = {key: value for key, value in node.items() if key not in ("$ref", "discriminator")}
            if (name := _target(node)) in single:
                return settled({**self._definitions[name], **rest})
            return mapped(settled, {**node, **rest} if "$ref" in node else rest)

        if _target(root):
            root = self._definitions[_target(root)]
        body = settled(root)
        kept = {name: settled(node) for name, node in self._definitions.items() if uses[name] > 1}
        return {**body, "$defs": kept} if any(_target(node) for node in _nodes(body)) else body


_GENERAL_ADVICE = "Use the JSON types, Literal, Enum, unions, collections, or a class with annotated fields."
_ADVICE = (
    (bytes, "JSON has no bytes: use str and say in the description how it is encoded (base64, say)."),
    (bytearray, "JSON has no bytes: use str and say in the description how it is encoded (base64, say)."),
    (complex, "JSON has no complex numbers: use a record of two floats."),
)


def _numbered(wish: str) -> Iterator[str]:
    yield wish
    number = 2
    while True:
        yield f"{wish}_{number}"
        number += 1


def with_description(node: Schema, text: str) -> Schema:
    return {**node, "description": text} if text else node


def _any_of(branches: list[Schema]) -> Schema:
    distinct = [branch for index, branch in enumerate(branches) if branch not in branches[:index]]
    if {} in distinct:
        return {}
    return distinct[0] if len(distinct) == 1 else {"anyOf": distinct}


def _enumerated(values: list[Any], path: str) -> Schema:
    """Return the schema of a closed set of values: one branch for each JSON type among them."""
    unsayable = [value for value in values if type(value) not in PRIMITIVES]
    if unsayable or not values:
        found = repr(unsayable[0]) if unsayable else "an Enum without members"
        msg = f"A choice must be text, a number, a bool or None, not {found} (at {path})."
        raise ConfigurationError(msg)
    kinds = dict.fromkeys(PRIMITIVES[type(value)] for value in values)
    groups = {kind: [value for value in values if PRIMITIVES[type(value)] == kind] for kind in kinds}
    return _any_of([{"type": kind} if kind == "null" else {"type": kind, "enum": group} for kind, group in groups.items()])


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


# Walking schemas: only these keywords hold schemas; what looks like one in an enum or a default is a value.

_ONE = (
    *("items", "additionalProperties", "propertyNames", "contains", "unevaluatedItems", "unevaluatedProperties"),
    *("not", "if", "then", "else"),
)
_LIST = ("anyOf", "oneOf", "allOf", "prefixItems")
_MAP = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")


def mapped(change: Callable[[Schema], Schema], node: Schema) -> Schema:
    """Return a copy of *node* with each schema directly in it changed."""

    def changed(child: Any) -> Any:
        return change(child) if isinstance(child, dict) else child

    copy = dict(node)
    for key, value in node.items():
        if key in _ONE:
            copy[key] = changed(value)
        elif key in _LIST and isinstance(value, list):
            copy[key] = [changed(child) for child in value]
        elif key in _MAP and isinstance(value, dict):
            copy[key] = {name: changed(child) for name, child in value.items()}
    return copy


def copied(value: Any) -> Any:
    """Return a copy of a JSON value that shares nothing with it: mappings become dicts, sequences lists."""
    if isinstance(value, Mapping):
        return {key: copied(item) for key, item in value.items()}
    return [copied(item) for item in value] if isinstance(value, (list, tuple)) else value


def _nodes(schema: Schema) -> Iterator[Schema]:
    """Yield *schema* and every schema in it."""
    found: list[Schema] = []

    def remember(node: Schema) -> Schema:
        found.append(node)
        return mapped(remember, node)

    remember(schema)
    yield from found


def _target(node: Schema) -> str:
    """Return the name of the definition that *node* refers to, or an empty text."""
    reference = node.get("$ref")
    return reference[len("#/$defs/") :] if isinstance(reference, str) and reference.startswith("#/$defs/") else ""


def resolved(node: Any, root: Schema) -> dict[str, Any]:
    """Return *node*, or the schema in *root* that its ``$ref`` names; an empty schema where there is none."""
    for _ in range(32):  # a chain of references may be a circle
        if not isinstance(node, dict):
            return {}
        reference = node.get("$ref")
        if not isinstance(reference, str):
            return node
        if not reference.startswith("#"):
            return {}
        node = root
        for step in reference.split("/")[1:]:
            step = step.replace("~1", "/").replace("~0", "~")
            node = node.get(step) if isinstance(node, dict) else None
    return {}


# Strict mode.

_STRICT_FORMATS = ("date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid")
_UNSPEAKABLE = (
    *(
        "minLength",
        "maxLength",
        "patternProperties",
        "propertyNames",
        "minProperties",
        "maxProperties",
        "unevaluatedProperties",
    ),
    *("unevaluatedItems", "contains", "minContains", "maxContains", "uniqueItems", "not", "if", "then", "else"),
    *("dependentRequired", "dependentSchemas"),
)
# Among these, the ones that are the point of a schema where they occur, and not a finer limit on it.
_ESSENTIAL = ("patternProperties", "not", "if", "then", "else", "dependentRequired", "dependentSchemas")
_LOOK_AROUND = r"\(\?<?[=!]"


def is_strict_able(schema: Schema) -> bool:
    """Return whether strict mode can express *schema*: an object at its root, no free-form object, a type everywhere."""
    root = rooted(schema)
    return is_object(root) and all(_is_speakable(node) for node in _nodes(root))


def rooted(schema: Schema) -> Schema:
    """Return *schema* with the definition in place that its root refers to."""
    if "$ref" not in schema:
        return schema
    rest = {key: value for key, value in schema.items() if key != "$ref"}
    return {**resolved(schema, schema), **rest}


def is_object(schema: Schema) -> bool:
    return schema.get("type") == "object" or ("type" not in schema and "properties" in schema)


def _is_speakable(node: Schema) -> bool:
    if any(key in node for key in _ESSENTIAL) or len(node.get("allOf", ())) > 1 or ("anyOf" in node and "oneOf" in node):
        return False
    if any(not isinstance(child, dict) for key in ("anyOf", "oneOf", "allOf", "prefixItems") for child in node.get(key, ())):
        return False
    reference = node.get("$ref")
    if reference is not None:
        return str(reference).startswith("#")
    kinds = node.get("type", "object" if "properties" in node else ())
    if "object" in kinds and not _is_closed(node):
        return False
    if "array" in kinds and not (node.get("prefixItems") or isinstance(node.get("items"), dict)):
        return False
    return bool(kinds) or any(key in node for key in ("enum", "const", "anyOf", "oneOf", "allOf"))


def _is_closed(node: Schema) -> bool:
    """Return whether the keys of an object are known: strict mode has no others."""
    if node.get("additionalProperties", False) is not False:
        return False
    properties = node.get("properties", {} if "additionalProperties" in node else None)
    return properties is not None and all(isinstance(child, dict) for child in properties.values())


def strict_schema(schema: Schema) -> Schema:
    """
    Return *schema* as OpenAI's strict mode wants it: objects closed, every property required, an optional one nullable.

    Keywords that strict mode does not know are told in the description. ``drop_nulls`` undoes on an answer what this
    does to the schema.

    Raises:
        ConfigurationError: If the root is no object.

    Source: pydantic-ai at 4fda389, profiles/openai.py, OpenAIJsonSchemaTransformer (August 2026).
    """
    root = rooted(schema)
    if not is_object(root):
        msg = f"A strict schema must be an object at its root, not {json.dumps(root.get('type', sorted(root)))}."
        raise ConfigurationError(msg)
    return _strict(root)


def _strict(original: Schema) -> Schema:
    node = mapped(_strict, original)
    node = _flattened({key: value for key, value in node.items() if key not in ("default", "$schema", "$id")})
    notes = [f"{key}: {json.dumps(node.pop(key), ensure_ascii=False)}" for key in _UNSPEAKABLE if key in node]
    if isinstance(node.get("format"), str) and node["format"] not in _STRICT_FORMATS:
        notes.append(f"format: {node.pop('format')}")
    if isinstance(node.get("pattern"), str) and re.search(_LOOK_AROUND, node["pattern"]):
        notes.append(f"pattern: {node.pop('pattern')}")
    if "prefixItems" in node:
        items = node.pop("prefixItems")
        notes.append(f"items in order: {json.dumps(items, ensure_ascii=False)}")
        node["items"] = _any_of(items)
    if is_object(node) or "object" in node.get("type", ()):
        node = _closed(node, original)
    text = "; ".join(filter(None, [str(node.pop("description", "")), *notes]))
    if "$ref" in node and (text or len(node) > 1):
        node = {"anyOf": [{"$ref": node.pop("$ref")}], **node}
    return with_description(node, text)


def _flattened(node: Schema) -> Schema:
    """Return *node* with ``oneOf``, ``const`` and a lone ``allOf`` in the words that strict mode has."""
    if "oneOf" in node:
        node["anyOf"] = node.pop("oneOf")
        node.pop("discriminator", None)
    if len(node.get("allOf", ())) == 1:
        (only,) = node.pop("allOf")
        node = {**only, **node}
    if "const" in node:
        node["enum"] = [node.pop("const")]
    if "enum" in node and "type" not in node:
        kinds = list(dict.fromkeys(PRIMITIVES.get(type(value), "object") for value in node["enum"]))
        node["type"] = kinds[0] if len(kinds) == 1 else kinds
    return node


def _closed(node: Schema, original: Schema) -> Schema:
    needed = original.get("required", ())
    properties = {
        name: child if name in needed or accepts_null(child) else _nullable(child) for name, child in node.get("properties", {}).items()
    }
    return {**node, "properties": properties, "required": list(properties), "additionalProperties": False}


def _nullable(node: Schema) -> Schema:
    text = node.get("description", "")
    bare = {key: value for key, value in node.items() if key != "description"}
    branches = bare["anyOf"] if set(bare) == {"anyOf"} else [bare]
    return with_description({"anyOf": [*branches, {"type": "null"}]}, text)


def accepts_null(node: Schema) -> bool:
    """Return whether null is a value of *node*, references aside."""
    if "enum" in node:
        return None in node["enum"]
    if "const" in node:
        return node["const"] is None
    if "type" in node:
        return "null" in (node["type"] if isinstance(node["type"], list) else [node["type"]])
    branches = [*node.get("anyOf", ()), *node.get("oneOf", ())]
    if not branches:
        return "$ref" not in node
    return any(accepts_null(branch) for branch in branches if isinstance(branch, dict))


def drop_nulls(value: Any, schema: Schema) -> Any:
    """Return *value* without nulls that say "absent": of properties that *schema* neither requires nor lets be null."""
    return _dropped(value, schema, schema)


def _dropped(value: Any, node: Any, root: Schema) -> Any:
    if not isinstance(value, (dict, list)):
        return value
    node = _branch(value, node, root)
    if isinstance(value, list):
        nodes = chain(node.get("prefixItems", ()), repeat(node.get("items")))
        return [_dropped(item, child, root) for item, child in zip(value, nodes, strict=False)]
    properties, needed = node.get("properties", {}), node.get("required", ())
    return {
        key: _dropped(item, properties.get(key, node.get("additionalProperties")), root)
        for key, item in value.items()
        if item is not None or key not in properties or key in needed or accepts_null(resolved(properties[key], root))
    }


def _branch(value: dict[str, Any] | list[Any], node: Any, root: Schema) -> Schema:
    """Return the alternative of *node* that *value* seems to answer: in strict mode it has exactly its keys."""
    whole = resolved(node, root)
    alternatives = [child for key in ("anyOf", "oneOf", "allOf") for child in whole.get(key, ())]
    if not alternatives:
        return whole
    branches = [_branch(value, child, root) for child in alternatives]
    if isinstance(value, list):
        return next((branch for branch in branches if branch.get("type") == "array"), Schema())
    objects = [branch for branch in branches if is_object(branch)]
    return max(objects, key=lambda branch: _likeness(value, branch), default=Schema())


def _likeness(value: dict[str, Any], branch: Schema) -> tuple[bool, int]:
    properties: dict[str, Any] = branch.get("properties", {})
    tags = {key: child.get("enum", [child.get("const")]) for key, child in properties.items() if isinstance(child, dict)}
    tags_fit = all(value.get(key) in options for key, options in tags.items() if options != [None])
    return tags_fit, -len(set(value) ^ set(properties))
