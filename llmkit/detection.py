"""
Finding a provider when none is named: environment variables, then a configuration file, then an Ollama.

Rule 1: nothing is read or probed before a client is made without a model, and nothing beyond the first thing that is found.
Rule 2: of a variable or a file it is told that it is there, never what it holds.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, Literal

from attrs import field, frozen

from llmkit.catalogue.registry import maker_of
from llmkit.errors import ConfigurationError
from llmkit.probe import PROBE_TIME, chat_model_at
from llmkit.providers import Provider, detectable, discover, find_provider, local_server, split_model

if TYPE_CHECKING:
    from llmkit.config.tables import Table

__all__ = ["Detection", "Found", "Look", "detect", "detection"]

MODEL_VARIABLE = "LLMKIT_MODEL"
CONFIG_VARIABLE = "LLMKIT_CONFIG"
CONFIG_NAME = "llmkit.toml"


@frozen(kw_only=True)
class Found:
    """What was found, and by what. ``arguments`` are those of a client."""

    provider: str
    model: str
    reason: str
    arguments: Mapping[str, Any] = field(factory=dict, repr=False)
    table: Table | None = field(default=None, repr=False)

    def located(self) -> AbstractContextManager[None]:
        """Let errors of configuration tell the file that they come from."""
        return nullcontext() if self.table is None else self.table.located()


@frozen(kw_only=True)
class Look:
    """One place that was looked at; ``told`` is a sentence without its full stop."""

    place: str
    state: Literal["found", "absent", "refused"]
    told: str


@frozen(kw_only=True)
class Detection:
    """
    What ``Client()`` would use, and why; no key is in it.

    ``looks`` are all places in their order; the first that is not ``absent`` decides. ``provider``, ``model`` and ``reason`` are what
    was found, or None, None and why not.
    """

    looks: tuple[Look, ...]
    provider: str | None
    model: str | None
    reason: str

    @property
    def found(self) -> bool:
        return self.provider is not None

    def lines(self) -> list[str]:
        """Return what was found, the winner first, then what was not."""
        there = [look for look in self.looks if look.state != "absent"]
        lines = [f"{look.told}{'' if look is there[0] else ' (not used: something before it counts)'}" for look in there]
        absent = [look.place for look in self.looks if look.state == "absent"]
        return [*lines, *([f"not there: {', '.join(absent)}"] if absent else [])]

    def __str__(self) -> str:
        head = f"Client() is {self.provider}/{self.model}: {self.reason}" if self.found else self.reason
        return "\n".join([head, *(f"- {line}" for line in self.lines())])


# A place to look at: what it is called, and who looks. None is "not there"; a ConfigurationError "there, but of no use".
Place = tuple[str, Callable[[], Found | None]]


def detect() -> Found:
    """
    Return the provider and model to use, and the other arguments where a file has some.

    The probe of the local server, which comes last, takes 300 ms at most.

    Raises:
        ConfigurationError: If nothing was found, and how to set one; or if what was found first is of no use.
    """
    for _, look in _places():
        found = look()
        if found is not None:
            return found
    raise ConfigurationError(_nothing())


def detection() -> Detection:
    """Return what ``detect`` would find, and everything else that is there. Raises nothing."""
    looks: list[Look] = []
    winner: Found | None = None
    for place, look in _places():
        try:
            found = look()
        except ConfigurationError as error:
            looks.append(Look(place=place, state="refused", told=error.message))
            continue
        if found is None:
            looks.append(Look(place=place, state="absent", told=f"{place}: not there"))
            continue
        if winner is None and all(look.state == "absent" for look in looks):
            winner = found
        looks.append(Look(place=place, state="found", told=f"{found.reason.removesuffix('.')}: {found.provider}/{found.model}"))
    if winner is not None:
        return Detection(looks=tuple(looks), provider=winner.provider, model=winner.model, reason=winner.reason)
    refusal = next((look.told for look in looks if look.state == "refused"), None)
    return Detection(looks=tuple(looks), provider=None, model=None, reason=refusal or _nothing())


def _nothing() -> str:
    variables = ", ".join(row.key_env[0] for row in detectable())
    files = ", ".join(_config_files().values())
    return (
        "No provider was found. Name a model, as in Client('openai/gpt-4o-mini', api_key=...), or set one of what was looked for: "
        f"{MODEL_VARIABLE}; the keys {variables}; a file ({CONFIG_VARIABLE}, {files}); {_local_place()}."
    )


def _places() -> Iterator[Place]:
    yield MODEL_VARIABLE, _model_variable
    known = detectable()
    yield from _keys(known)
    if discover():
        yield from _keys([row for row in detectable() if row not in known])
    yield CONFIG_VARIABLE, _named_file
    for path, shown in _config_files().items():
        yield shown, _at(path, shown)
    yield _local_place(), _local


def _model_variable() -> Found | None:
    model = os.environ.get(MODEL_VARIABLE)
    if not model:
        return None
    provider, name = split_model(model, discover=True)
    provider = provider or maker_of(model)
    if provider is None:
        msg = f"{MODEL_VARIABLE} is 'provider/model', such as 'openai/gpt-4o-mini', not {model!r}."
        raise ConfigurationError(msg)
    return _found(provider, name, f"{MODEL_VARIABLE} names it.")


def _keys(rows: list[Provider]) -> Iterator[Place]:
    for row in rows:
        for variable in row.key_env:
            yield variable, _key(row, variable)


def _key(row: Provider, variable: str) -> Callable[[], Found | None]:
    def look() -> Found | None:
        if not os.environ.get(variable):
            return None
        assert row.default_model is not None  # detectable rows have one
        return _found(row.name, row.default_model, f"{variable} is set, so the provider is {row.name}.")

    return look


def _named_file() -> Found | None:
    path = os.environ.get(CONFIG_VARIABLE)
    return _of_file(path, f"{CONFIG_VARIABLE} names {path}.") if path else None


def _at(path: str, shown: str) -> Callable[[], Found | None]:
    def look() -> Found | None:
        return _of_file(path, f"{shown} is there.") if os.path.isfile(path) else None

    return look


def _of_file(path: str, reason: str) -> Found:
    from llmkit.config.files import load_shelf
    from llmkit.config.tables import first_model

    table = load_shelf(path).choose(None)
    with table.located():
        arguments = table.complete({})
    name, model = str(arguments.get("provider", "")), str(first_model(arguments.get("model")) or "")
    if not name:
        named, model = split_model(model)
        name = named or maker_of(model) or "custom"
    model = model or find_provider(name).default_model or "no model"
    return Found(provider=name, model=model, reason=reason, arguments=arguments, table=table)


def _config_files() -> dict[str, str]:
    """Return where a configuration file may be, in order, each with how it is shown."""
    files = {CONFIG_NAME: f"./{CONFIG_NAME}"}
    directory = _user_directory()
    if directory is not None:
        path = os.path.join(directory, "llmkit", CONFIG_NAME)
        files[path] = path
    return files


def _user_directory() -> str | None:
    """
    Return the directory of the user's configuration; None where there is no home.

    Source: XDG Base Directory Specification 0.8: a relative path is ignored; elsewhere, what the system's own programs use.
    """
    said = os.environ.get("XDG_CONFIG_HOME", "")
    if os.path.isabs(said):
        return said
    if sys.platform == "win32":
        return os.environ.get("APPDATA")
    home = os.path.expanduser("~")
    if not os.path.isabs(home):
        return None
    return os.path.join(home, "Library/Application Support" if sys.platform == "darwin" else ".config")


def _local() -> Found | None:
    base = _local_base()
    model = chat_model_at(base, seconds=PROBE_TIME)
    return None if model is None else _found(local_server().name, model, f"{local_server().name} answers at {base}.")


def _local_place() -> str:
    try:
        return f"an Ollama with a chat model at {_local_base()}"
    except ConfigurationError:
        return f"an Ollama where {local_server().base_env[0]} says"


def _local_base() -> str:
    """Return where the local server is, or would be."""
    local = local_server()
    return local.base(next(filter(None, map(os.environ.get, local.base_env)), None), {})


def _found(provider: str, model: str, reason: str) -> Found:
    return Found(provider=provider, model=model, reason=reason, arguments={"model": f"{provider}/{model}"})
