"""
Python functions as tools that a model can call.

Rule 1: the function is the contract: its name, docstring and annotations become the schema, and ``Tool.bind`` reads a
        model's arguments by the same annotations.
Rule 2: what a model could not call (``*args``, positional-only parameters, a name no provider takes) is refused when the
        tool is made, not when it is called.
"""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable, Iterable, Mapping
from inspect import Parameter
from typing import Any, NamedTuple, Optional, TypeVar, cast, overload
from weakref import WeakKeyDictionary

from attrs import field, frozen

from llmkit.errors import ConfigurationError, ToolExecutionError
from llmkit.requirements import Requirement, Version, as_requirements, command_for
from llmkit.schema.annotations import described, hints_of_function
from llmkit.schema.describing import Writer
from llmkit.schema.docstrings import parse_docstring
from llmkit.schema.fields import Field
from llmkit.schema.mismatch import Mismatch
from llmkit.schema.nodes import Schema, accepts_null, copied, is_object, rooted
from llmkit.schema.strict import drop_nulls

__all__ = ["Tool", "as_tool", "as_tools", "tool"]

NAME = r"[a-zA-Z0-9_-]{1,64}"  # FunctionDefinition.name in the OpenAI API, as openai-python 3.54 documents it
_MARK = "__llmkit_tool__"  # functools.wraps copies it, so a decorated tool may be decorated further

_Function = TypeVar("_Function", bound=Callable[..., Any])


def checked_name(name: object) -> str:
    """Return *name* if it may name a tool or a schema on every wire."""
    if not isinstance(name, str) or not re.fullmatch(NAME, name):
        msg = f"A name must be 1 to 64 of a-z, A-Z, 0-9, _ and -, not {name!r}."
        raise ConfigurationError(msg)
    return name


def _as_parameters(schema: Mapping[str, Any] | None) -> Schema:
    if schema is None:
        return {"type": "object", "properties": {}, "additionalProperties": False}
    copy: Schema = copied(schema)
    if not is_object(rooted(copy)):
        msg = f"A tool's parameters must be a JSON Schema of type object, not {copy.get('type', sorted(copy))!r}."
        raise ConfigurationError(msg)
    return copy


def _as_version(version: Any) -> str | None:
    if version is None:
        return None
    Version.of(version)
    return str(version)


def _as_function(function: Any) -> Callable[..., Any] | None:
    """Return *function*; of an object that can be called, the method that does it."""
    if function is None or inspect.isroutine(function) or isinstance(function, functools.partial):
        return cast("Callable[..., Any] | None", function)
    if inspect.isclass(function) or not callable(function):
        msg = f"{function!r} is no tool: give a function, a Tool or a dict with type 'function'."
        raise ConfigurationError(msg)
    return cast("Callable[..., Any]", function.__call__)


def _as_timeout(seconds: Any) -> float | None:
    if seconds is None:
        return None
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not 0 < seconds < float("inf"):
        msg = f"timeout is a number of seconds above zero, not {seconds!r}."
        raise ConfigurationError(msg)
    return float(seconds)


def _as_decision(needs_approval: Any) -> bool | None:
    if needs_approval is not None and not isinstance(needs_approval, bool):
        msg = f"needs_approval is True, False or None, not {needs_approval!r}: who approves is said to the run, as approve=."
        raise ConfigurationError(msg)
    return needs_approval


@frozen(kw_only=True)
class Tool:
    """
    What a model may call: a name, what it does, the JSON Schema of its arguments, and the function, where there is one.

    Description and parameters are those of the function, unless they are given.

    Args:
        strict: Whether the provider is to keep to the schema; None leaves it to the dialect.
        version: Which one it is, for a ``ToolRegistry``.
        requires: The packages that it needs, as ``["pandas>=2"]``.
        timeout: Seconds that one use of it may take; a run's ``tool_timeout`` where there is none.
        needs_approval: True: a run has each use approved. None: where it is told who approves. False: never.

    Raises:
        ConfigurationError: If no provider takes the name, the parameters are no object, or a model could not call the function.
    """

    name: str = field(converter=checked_name)
    function: Callable[..., Any] | None = field(default=None, repr=False, eq=False, converter=_as_function)
    description: str = field()
    parameters: Schema = field(converter=_as_parameters, hash=False)
    strict: bool | None = None
    version: str | None = field(default=None, converter=_as_version)
    requires: tuple[str, ...] = field(default=(), converter=as_requirements)
    timeout: float | None = field(default=None, converter=_as_timeout)
    needs_approval: bool | None = field(default=None, converter=_as_decision)

    @description.default
    def _description_of_function(self) -> str:
        return "" if self.function is None else _signature_of(self.function).description

    @parameters.default
    def _parameters_of_function(self) -> Schema | None:
        return None if self.function is None else _signature_of(self.function).parameters

    def bind(self, arguments: object) -> dict[str, Any]:
        """
        Return *arguments*, the JSON that a model wrote, as the keyword arguments of the function: each as annotated.

        A tool without a function gets them as they are. Nulls for parameters that may be left out are left out.

        Raises:
            ToolExecutionError: If they are no object, or one is missing, unknown or of another type; the message names its path.
        """
        if not isinstance(arguments, Mapping):
            msg = f"The arguments of tool {self.name} must be an object, not {type(arguments).__name__}."
            raise ToolExecutionError(msg, tool=self.name, arguments=arguments)
        try:
            return self._bound(dict(arguments))
        except (Mismatch, RecursionError) as exc:
            msg = f"The arguments of tool {self.name} do not fit: {exc}"
            raise ToolExecutionError(msg, tool=self.name, arguments=dict(arguments), original_error=exc) from exc

    @property
    def title(self) -> str:
        """Its name, and its version where it has one."""
        return self.name if self.version is None else f"{self.name} {self.version}"

    def missing(self) -> dict[str, str]:
        """Return which of its requirements are not met, each with what is wrong: ``{"pandas>=2": "is not installed"}``."""
        found = {text: Requirement.of(text).lack() for text in self.requires}
        return {text: lack for text, lack in found.items() if lack is not None}

    def check(self) -> None:
        """
        Make sure that what it requires is installed.

        Raises:
            ConfigurationError: If something is not; it names each, and the command that installs them.
        """
        if missing := self.missing():
            lacks = "; ".join(f"{text} {lack}" for text, lack in missing.items())
            msg = f"The tool {self.title} lacks what it requires: {lacks}. Install it with: {command_for(missing)}"
            raise ConfigurationError(msg, metadata={"missing": missing})

    def _bound(self, arguments: dict[str, Any]) -> dict[str, Any]:
        given: dict[str, Any] = drop_nulls(arguments, self.parameters)
        if self.function is None:
            return given
        from llmkit.schema.structuring import structure_fields  # loads cattrs

        return structure_fields(given, _signature_of(self.function).fields)


class _Signature(NamedTuple):
    """A function as a model sees it, and the types that its arguments are read as."""

    description: str
    parameters: Schema
    fields: tuple[Field, ...]


# Weak, so that functions made for one call go when it ends. Two, since a method's function has a signature with self, and one without.
_PLAIN: WeakKeyDictionary[Any, _Signature] = WeakKeyDictionary()
_BOUND: WeakKeyDictionary[Any, _Signature] = WeakKeyDictionary()


def _signature_of(function: Callable[..., Any]) -> _Signature:
    """
    Return the signature of a function, bound method or ``functools.partial``; it is read once.

    Raises:
        ConfigurationError: If a model could not call it by name with JSON values.
    """
    cache = _BOUND if inspect.ismethod(function) else _PLAIN
    key = getattr(function, "__func__", function)
    known = cache.get(key)
    if known is None:
        known = cache[key] = _read_signature(function)
    return known


def _read_signature(function: Callable[..., Any]) -> _Signature:
    inner, given = _unwrapped(function)
    plain = _as_function(inner) or function
    title = getattr(plain, "__qualname__", repr(function))
    try:
        # What a partial gives already, as keys and connections, is none of the model's business.
        parameters = [one for one in inspect.signature(function).parameters.values() if one.name not in given]
    except ValueError as exc:
        msg = f"{title} cannot be a tool: Python knows no signature of it."
        raise ConfigurationError(msg) from exc
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        msg = f"{title} cannot be a tool: it yields its results one by one, and a model is given one: return a list of them."
        raise ConfigurationError(msg)
    prose, told = parse_docstring(plain.__doc__ or "")
    # Of the parameters only: what a function returns need not be importable at run time.
    hints = hints_of_function(plain, lambda name: name != "return")
    if parameters and parameters[0].name in ("self", "cls") and parameters[0].name not in hints:
        msg = f"{title} cannot be a tool as it stands: take the method of an instance, so that {parameters[0].name} is bound."
        raise ConfigurationError(msg)
    writer = Writer()
    fields = tuple(_as_field(one, hints.get(one.name, Any), told.get(one.name, ""), title) for one in parameters)
    return _Signature(description=prose, parameters=writer.finished(writer.write_fields(fields, title)), fields=fields)


def _unwrapped(function: Any) -> tuple[Any, frozenset[str]]:
    """Return what is called by a ``functools.partial``, or is none, and the keywords that it is given there."""
    given: frozenset[str] = frozenset()
    while isinstance(function, functools.partial):
        given |= function.keywords.keys()
        function = function.func
    return function, given


def _as_field(parameter: Parameter, hint: Any, told: str, title: str) -> Field:
    if parameter.kind in (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD):
        msg = f"{title} cannot be a tool: a model cannot know what to give for {parameter}. Name the parameters."
        raise ConfigurationError(msg)
    if parameter.kind is Parameter.POSITIONAL_ONLY:
        msg = f"{title} cannot be a tool: its parameter {parameter.name} is positional-only, and models call by name."
        raise ConfigurationError(msg)
    if parameter.default is None and not accepts_null(Writer().write(hint, f"{title}.{parameter.name}")):
        hint = Optional[hint]  # noqa: UP045 - not every annotation knows |; ``x: int = None`` means what it meant before PEP 484 forbade it
    return Field(
        name=parameter.name,
        type=hint,
        required=parameter.default is Parameter.empty,
        default=parameter.default,
        description=described(hint) or told,
    )


@overload
def tool(function: _Function) -> _Function: ...


@overload
def tool(
    *,
    name: str | None = None,
    description: str | None = None,
    strict: bool | None = None,
    version: str | None = None,
    requires: Iterable[str] = (),
    timeout: float | None = None,
    needs_approval: bool | None = None,
) -> Callable[[_Function], _Function]: ...


def tool(
    function: Callable[..., Any] | None = None,
    *,
    name: str | None = None,
    description: str | None = None,
    strict: bool | None = None,
    version: str | None = None,
    requires: Iterable[str] = (),
    timeout: float | None = None,
    needs_approval: bool | None = None,
) -> Any:
    """
    Mark a function as a tool and say of it what ``Tool`` says; it stays the function it was.

    Raises:
        ConfigurationError: If a model could not call it, or something said of it is wrong.
    """
    said = {
        "name": None if name is None else checked_name(name),
        "description": description,
        "strict": strict,
        "version": _as_version(version),
        "requires": as_requirements(requires),
        "timeout": _as_timeout(timeout),
        "needs_approval": _as_decision(needs_approval),
    }

    def mark(marked: Callable[..., Any]) -> Callable[..., Any]:
        if not inspect.isfunction(marked):
            msg = f"@tool decorates functions, not {marked!r}; below @staticmethod and @classmethod, not above."
            raise ConfigurationError(msg)
        if name is None:
            checked_name(marked.__name__)
        setattr(marked, _MARK, said)
        return marked

    return mark if function is None else mark(function)


def as_tool(value: object) -> Tool:
    """
    Return *value* as a ``Tool``: a function or method, one marked with ``@tool``, a ``functools.partial`` of it, an object that can be
    called, a ``Tool``, or an OpenAI-style dict.

    Raises:
        ConfigurationError: If it is none of these.
    """
    if isinstance(value, Tool):
        return value
    if isinstance(value, Mapping):
        return _tool_of_dict(value)
    function = _as_function(value)
    inner, _ = _unwrapped(value)
    name = inner.__name__ if inspect.isroutine(inner) else type(inner).__name__
    said = {key: item for key, item in getattr(inner, _MARK, {}).items() if item is not None}
    return Tool(**{"name": name, **said}, function=function)


def _tool_of_dict(value: Mapping[str, Any]) -> Tool:
    """Return the tool in a Chat Completions dict, whose facts are under ``function``, or in a flat one of Responses."""
    body = value.get("function", {key: item for key, item in value.items() if key != "type"})
    if value.get("type") != "function" or not isinstance(body, Mapping):
        msg = f"A tool's dict must have type 'function' and name, description and parameters; this has {dict(value)!r}."
        raise ConfigurationError(msg)
    unknown = [key for key in body if key not in ("name", "description", "parameters", "strict")]
    if "function" in value:
        unknown += [key for key in value if key not in ("type", "function")]
    if unknown:
        msg = f"The tool {body.get('name')!r} has keys that are not known: {', '.join(map(repr, unknown))}."
        raise ConfigurationError(msg)
    return Tool(
        name=body.get("name", ""),
        description=body.get("description") or "",
        parameters=body.get("parameters"),
        strict=body.get("strict"),
    )


def as_tools(values: Iterable[object]) -> tuple[Tool, ...]:
    """
    Return each of *values* as a ``Tool``.

    Raises:
        ConfigurationError: If one is no tool, or two have the same name.
    """
    if isinstance(values, (str, Mapping)) or not isinstance(values, Iterable):
        msg = f"tools must be a list of tools, not {values!r}."
        raise ConfigurationError(msg)
    tools = tuple(as_tool(value) for value in values)
    names = [one.name for one in tools]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        msg = f"Two tools have the same name: {', '.join(twice)}. Give one another with @tool(name=...)."
        raise ConfigurationError(msg)
    return tools
