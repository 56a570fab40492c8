"""
Typed functions that a model answers: the docstring is the prompt, the arguments fill it, the return annotation is the shape.

Rule 1: the body of such a function is never run.
Rule 2: what cannot work is refused when the function is decorated: a place without an argument, an argument without a place, an option
        that nobody knows. Annotations are looked at when the function is first called, since what they name may stand further down.
Rule 3: an argument's value is put into the prompt as it is, and is no template itself; images and other parts become parts of the message.
"""

from __future__ import annotations

import functools
import inspect
import threading
from collections.abc import Callable, Iterator, Mapping
from string import Formatter
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, overload

from attrs import define, field

from llmkit._fork import renewed_in_child
from llmkit.errors import ConfigurationError
from llmkit.models.content import PARTS, Message, Part, Text
from llmkit.models.request import PARAMETERS, check_parameter, check_seconds
from llmkit.models.response import CompletionResponse
from llmkit.schema.annotations import hints_of_function

if TYPE_CHECKING:
    from llmkit.client import Client

__all__ = ["decorate", "forget_default_clients", "llm_function"]

P = ParamSpec("P")
R = TypeVar("R")

_SECONDS = ("timeout", "deadline")
_OPTIONS = frozenset({"model", "system", "cache", "repair", *_SECONDS, *PARAMETERS}) - {"response_format"}


@overload
def llm_function(function: Callable[P, R], /) -> Callable[P, R]: ...


@overload
def llm_function(*, client: Client | None = None, **options: Any) -> Callable[[Callable[P, R]], Callable[P, R]]: ...


def llm_function(function: Any = None, /, *, client: Any = None, **options: Any) -> Any:
    """
    Return a function that asks a model: its docstring, with the arguments in their ``{places}``, is the prompt, and its return
    annotation the type of the answer.

    Used as ``@llm_function`` or ``@llm_function(model=..., temperature=0, repair=1)``; a function that is annotated with ``str``, or with
    nothing, returns the text, one with ``CompletionResponse`` the whole answer. An ``async def`` needs an ``AsyncClient``:
    ``llmkit_async.llm_function``, or ``client=``.

    Args:
        function: What is decorated.
        client: Who is asked; ``Client()`` unless said, made when it is first needed, one for all such functions.
        **options: Any of ``complete()``, but for the messages and ``response_format``.

    Raises:
        ConfigurationError: If docstring, parameters and options do not fit each other.
    """
    if function is None:
        return functools.partial(decorate, client=client, options=options, default=_default_client)
    return decorate(function, client=client, options=options, default=_default_client)


def decorate(function: Any, *, client: Any, options: Mapping[str, Any], default: Callable[[], Any] | None) -> Any:
    """
    Return *function* answered by a model, as ``llm_function`` says. *default* makes the client where none is given.

    Raises:
        ConfigurationError: As ``llm_function``.
    """
    asked = _Asked(function=function, options=_checked(options), client=client, default=default)
    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def answering(*args: Any, **kwargs: Any) -> Any:
            return asked.result(await asked.ask(args, kwargs, awaited=True))

        return answering

    @functools.wraps(function)
    def answer(*args: Any, **kwargs: Any) -> Any:
        return asked.result(asked.ask(args, kwargs, awaited=False))

    return answer


def _checked(options: Mapping[str, Any]) -> dict[str, Any]:
    unknown = sorted(set(options) - _OPTIONS)
    if unknown:
        msg = f"llm_function does not know {', '.join(unknown)}. There are {', '.join(sorted(_OPTIONS))}."
        raise ConfigurationError(msg)
    for name, value in options.items():
        if value is not None and name in PARAMETERS:
            check_parameter(name, value)
        elif value is not None and name in _SECONDS:
            check_seconds(name, value)
    return dict(options)


@define(kw_only=True, eq=False)
class _Asked:
    """What is known of a decorated function."""

    function: Any
    options: dict[str, Any]
    client: Any
    default: Callable[[], Any] | None
    signature: inspect.Signature = field(init=False)
    template: str = field(init=False)
    _returns: tuple[Any, ...] = field(default=(), init=False)  # the return type, once it is known

    def __attrs_post_init__(self) -> None:
        if not inspect.isfunction(self.function):
            msg = f"llm_function decorates a function, not {type(self.function).__name__}."
            raise ConfigurationError(msg)
        self.signature = inspect.signature(self.function)
        self.template = inspect.getdoc(self.function) or ""
        self._check_places()

    def _check_places(self) -> None:
        name = self.function.__qualname__
        if not self.template:
            msg = f"{name} has no docstring, which would be its prompt."
            raise ConfigurationError(msg)
        try:
            places = set(_places(self.template))
        except ValueError as error:
            msg = f"The docstring of {name} is no template: {error}. A brace that is no place is written twice."
            raise ConfigurationError(msg) from error
        known = list(self.signature.parameters)
        strange = sorted(places - set(known))
        if strange:
            msg = (
                f"The docstring of {name} has a place {strange[0]!r}, and there is no such parameter. A brace that is no place is written "
                "twice."
            )
            raise ConfigurationError(msg)
        unused = [one for one in known if one not in places and not (one in ("self", "cls") and one == known[0])]
        if unused:
            msg = f"The docstring of {name} has no place for the parameter {unused[0]!r}: write {{{unused[0]}}} where it belongs."
            raise ConfigurationError(msg)

    @property
    def returns(self) -> Any:
        if not self._returns:
            self._returns = (hints_of_function(self.function, lambda name: name == "return").get("return", str),)
        return self._returns[0]

    def ask(self, args: tuple[Any, ...], kwargs: dict[str, Any], *, awaited: bool) -> Any:
        bound = self.signature.bind(*args, **kwargs)
        bound.apply_defaults()
        wanted = {} if self.returns in (str, CompletionResponse) else {"response_format": self.returns}
        options = self.options if wanted else {name: value for name, value in self.options.items() if name != "repair"}
        return self._asks(awaited).complete(_filled(self.template, bound.arguments), **wanted, **options)

    def _asks(self, awaited: bool) -> Any:
        client = self.client if self.client is not None or self.default is None else self.default()
        if client is None or inspect.iscoroutinefunction(client.complete) is not awaited:
            name = self.function.__qualname__
            kind, word = ("an AsyncClient", "llmkit_async.llm_function") if awaited else ("a Client", "llmkit.llm_function")
            msg = f"{name} is {'' if awaited else 'not '}an async function, so it needs {kind}: give it as client=, or use {word}."
            raise ConfigurationError(msg)
        return client

    def result(self, reply: CompletionResponse) -> Any:
        if self.returns is CompletionResponse:
            return reply
        return reply.text if self.returns is str else reply.parsed


def _places(template: str) -> Iterator[str]:
    """Yield the parameters that *template* names, in the formats of others too, as in ``{price:>{width}}``."""
    for _, place, spec, _ in Formatter().parse(template):
        if place is not None:
            yield _root(place)
            yield from _places(spec or "")


def _root(place: str) -> str:
    """Return the parameter that a place such as ``city.name`` or ``rows[0]`` names."""
    return place.partition(".")[0].partition("[")[0]


def _filled(template: str, arguments: Mapping[str, Any]) -> Message:
    """Return the prompt: text, and between it the arguments that are parts."""
    formatter = Formatter()
    pieces: list[Any] = []
    for text, place, spec, conversion in formatter.parse(template):
        pieces.append(text)
        if place is None:
            continue
        value, _ = formatter.get_field(place, (), arguments)
        if isinstance(value, PARTS):
            pieces.append(value)
        else:
            given = value if conversion is None else formatter.convert_field(value, conversion)
            pieces.append(format(given, formatter.vformat(spec or "", (), arguments)))
    return Message("user", _joined(pieces))


def _joined(pieces: list[Any]) -> list[Part]:
    parts: list[Part] = []
    for piece in pieces:
        if isinstance(piece, str) and parts and isinstance(parts[-1], Text):
            parts[-1] = Text(parts[-1].text + piece)
        elif piece != "":
            parts.append(Text(piece) if isinstance(piece, str) else piece)
    return parts


# -- the clients of functions that were given none


class _Defaults:
    """One client for all functions of each face, made when it is first needed."""

    def __init__(self) -> None:
        self._made: dict[str, Any] = {}
        self._lock = threading.Lock()
        renewed_in_child(self)

    def renew(self) -> None:
        self._lock = threading.Lock()

    def get(self, face: str, make: Callable[[], Any]) -> Any:
        with self._lock:
            if face not in self._made:
                self._made[face] = make()
            return self._made[face]

    def forget(self) -> None:
        with self._lock:
            self._made.clear()


DEFAULTS = _Defaults()


def forget_default_clients() -> None:
    """Have the clients of functions that were given none made anew, as after a change of the environment."""
    DEFAULTS.forget()


def _default_client() -> Client:
    from llmkit.client import Client

    made: Client = DEFAULTS.get("sync", Client)
    return made
