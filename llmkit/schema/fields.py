"""What a record is made of, be it an attrs class, a dataclass, a ``TypedDict`` or a ``NamedTuple``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, get_origin

import attrs
from attrs import NOTHING, field, frozen

from llmkit.errors import ConfigurationError
from llmkit.schema.annotations import described, homes_of, is_typed_dict, qualifiers_of, resolved_hints, substituted, unqualified
from llmkit.schema.docstrings import own_docstring, parse_docstring
from llmkit.schema.limits import limits_of_notes, limits_of_validator

__all__ = ["Field", "fields_of"]

_Hints = Mapping[str, Any]
_Texts = Mapping[str, str]


@frozen(kw_only=True)
class Field:
    """
    One named value of a record or of a function call: its key in JSON, its type, and what is said about it.

    ``default`` may be anything, a factory or a library's own sign for none included: it is told if JSON can say it.
    """

    name: str
    type: Any
    required: bool
    default: Any
    description: str = ""
    limits: Mapping[str, Any] = field(factory=dict)


@lru_cache(maxsize=512)
def fields_of(tp: Any) -> tuple[Field, ...]:
    """
    Return the fields of a record, in order; type variables are replaced by the arguments of *tp*.

    Raises:
        ConfigurationError: If an annotation cannot be resolved.
    """
    cls = get_origin(tp) or tp
    texts = {name: text for base in reversed(cls.__mro__) for name, text in parse_docstring(own_docstring(base))[1].items()}
    homes = homes_of(tp)
    hints = {name: substituted(homes.get(name, tp), hint) for name, hint in resolved_hints(cls).items()}
    return tuple(_finished(one) for one in _listed(cls, hints, texts))


def _finished(raw: Field) -> Field:
    kept = unqualified(raw.type)
    return attrs.evolve(raw, type=kept, description=described(kept) or raw.description)


def _listed(cls: Any, hints: _Hints, texts: _Texts) -> Iterator[Field]:
    """Yield the fields of *cls* as they are written there; *texts* are what its docstring says of them."""
    if attrs.has(cls):
        return _of_attrs(cls, hints, texts)
    if hasattr(cls, "__dataclass_fields__"):
        return _of_dataclass(cls, hints, texts)
    if is_typed_dict(cls):
        return _of_typed_dict(cls, hints, texts)
    return _of_named_tuple(cls, hints, texts)


def _of_attrs(cls: Any, hints: _Hints, texts: _Texts) -> Iterator[Field]:
    for one in attrs.fields(cls):
        if one.init:
            yield Field(
                name=one.alias or one.name,
                type=hints.get(one.name, Any if one.type is None else one.type),
                required=one.default is NOTHING,
                default=one.default,
                description=str(one.metadata.get("description") or texts.get(one.name, "")),
                limits=limits_of_validator(one.validator),
            )


def _of_dataclass(cls: Any, hints: _Hints, texts: _Texts) -> Iterator[Field]:
    from dataclasses import MISSING, InitVar, fields  # already loaded, since the class is one

    for name, hint in hints.items():
        if isinstance(hint, InitVar):
            msg = f"{cls.__qualname__}.{name} is an InitVar, which no schema can describe: make it a field."
            raise ConfigurationError(msg)
    for one in fields(cls):
        default: Any = one.default
        if one.init and hasattr(default, "is_required"):  # a pydantic Field, in a dataclass of pydantic's
            yield Field(
                name=default.alias or one.name,
                type=hints.get(one.name, Any),
                required=default.is_required(),
                default=default.default,
                description=str(default.description or texts.get(one.name, "")),
                limits=limits_of_notes([default]),
            )
        elif one.init:
            yield Field(
                name=one.name,
                type=hints.get(one.name, Any),
                required=default is MISSING and one.default_factory is MISSING,
                default=default,
                description=str(one.metadata.get("description") or texts.get(one.name, "")),
            )


def _of_typed_dict(cls: Any, hints: _Hints, texts: _Texts) -> Iterator[Field]:
    for name, hint in hints.items():
        # __required_keys__ misses qualifiers in annotations that are still text (``from __future__ import annotations``).
        qualifiers = set(qualifiers_of(hint))
        required = "NotRequired" not in qualifiers and ("Required" in qualifiers or name in cls.__required_keys__)
        yield Field(name=name, type=hint, required=required, default=NOTHING, description=texts.get(name, ""))


def _of_named_tuple(cls: Any, hints: _Hints, texts: _Texts) -> Iterator[Field]:
    for name in cls._fields:
        default = cls._field_defaults.get(name, NOTHING)
        yield Field(name=name, type=hints.get(name, Any), required=default is NOTHING, default=default, description=texts.get(name, ""))
