"""
From a table of names and values to the arguments of a client.

Rule 1: a name that nobody knows is refused with its path; a value is left to whoever knows what it must be, and what they say of it is
        told with the table's place.
Rule 2: what may hold a secret is a ``Hidden`` from the first moment on, and no error quotes it.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

from attrs import define, evolve, field

from llmkit.catalogue.registry import maker_of
from llmkit.config.references import expand, is_reference
from llmkit.dialects.base import merged
from llmkit.errors import ConfigurationError
from llmkit.models.request import PARAMETERS
from llmkit.providers import Provider, find_provider, split_model
from llmkit.resilience.checks import number
from llmkit.resilience.rates import TokenBucket
from llmkit.secrets import Hidden, clean
from llmkit.settings import SETTINGS
from llmkit.spelling import refuse_unknown

__all__ = ["Table", "first_model"]

T = TypeVar("T")

# Other words for the same, those of other libraries among them.
ALIASES = {
    "type": "provider",
    "api_type": "provider",
    "model_name": "model",
    "api_base": "base_url",
    "azure_endpoint": "endpoint",
    "azure_deployment": "deployment",
    "deployment_name": "deployment",
}
NOT_FOR_FILES = frozenset({"transport", "hooks", "defaults", "weight"})  # what only a program has, and what is no argument
CLIENT = frozenset(SETTINGS) - NOT_FOR_FILES
REQUEST = frozenset(PARAMETERS) | {"system"}
SHORTHANDS = frozenset({"max_retries", "retry_delay", "rate_limit_capacity", "rate_limit_refill_rate", "extra_params"})
WORDS = CLIENT | REQUEST | SHORTHANDS

# What may hold a secret. A name that nobody knows may be a mistyped one of these.
SECRET = frozenset(
    {"api_key", "api_keys", "auth", "options", "default_headers", "extra_headers", "extra_body", "extra_params", "proxies", "shared"}
)
SWITCHES = frozenset({"retry", "circuit_breaker", "deadline"})  # what None switches off, and false where there is no None
NUMBERS = frozenset(
    {
        *("timeout", "deadline", "idle_timeout", "max_connections", "max_retries", "retry_delay", "rate_limit_capacity"),
        *("rate_limit_refill_rate", "temperature", "top_p", "top_k", "max_tokens", "seed", "frequency_penalty", "presence_penalty"),
    }
)
RATES = ("rate_limit_capacity", "rate_limit_refill_rate")
NO_KEY = "EMPTY"  # what is written for a server that wants none: vLLM's documentation, read 2026-11-21
LONGEST_DELAY = 30.0  # seconds: the usual bound of a wait, which a longer first delay raises

_KEY_NAME = re.compile(r"(?:key|token|secret|password|passphrase|authorization)s?$", re.IGNORECASE)


@define(kw_only=True, eq=False)
class Table:
    """
    One provider, described.

    Args:
        values: What is said of it, by name.
        file: Where it was read; empty for a dict of the program's.
        path: Its place in the file, such as ``providers.prod``.
        base: The directory that paths in it are relative to.
        everywhere: Whether references count in all its texts, or only in its keys.
    """

    values: Mapping[str, Any] = field(repr=False)
    file: str = ""
    path: str = ""
    base: str = ""
    everywhere: bool = False
    _seen: list[str] = field(factory=list, init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        with self.located():
            self.values = _renamed(_hidden(self.values), self.path)

    @property
    def has_literal_key(self) -> bool:
        """Whether a key stands in it as it is."""
        return any(_has_literal(name, value) for name, value in self.values.items())

    def check(self) -> None:
        """
        Refuse names that nobody knows, as far as that can be told before a client is made.

        Raises:
            ConfigurationError: With file, path and the nearest known name.
        """
        texts = [self.values[name] for name in ("provider", "model") if name in self.values]
        if any(isinstance(text, str) and ("${" in text or is_reference(text)) for text in texts):
            return
        with self.located():
            self._known_names(self.values)

    @property
    def names_provider(self) -> bool:
        """Whether it says itself who serves its model."""
        return "provider" in self.values or split_model(str(self.values.get("model", "")), discover=True)[0] is not None

    def with_provider(self, name: str) -> Table:
        """Return the same of the provider *name*, where the table names none."""
        return self if self.names_provider else evolve(self, values={"provider": name, **self.values})

    def make(self, client: Callable[..., T], changes: Mapping[str, Any]) -> T:
        """
        Return what *client* makes of the table's arguments and *changes*, which count before them.

        Raises:
            ConfigurationError: With file and path, if something is wrong or missing.
        """
        with self.located():
            return client(**self.complete(changes))

    def complete(self, changes: Mapping[str, Any]) -> dict[str, Any]:
        """
        Return the arguments of a client, *changes* before those of the table.

        Raises:
            ConfigurationError: As ``arguments``, and if neither says who is to be asked.
        """
        arguments = {**self.arguments(), **changes}
        if all(arguments.get(name) is None for name in ("provider", "model", "base_url")):
            msg = "it names neither a provider nor a model: say type and model."
            raise ConfigurationError(msg)
        return arguments

    def arguments(self) -> dict[str, Any]:
        """
        Return the arguments of a client.

        Raises:
            ConfigurationError: If a name is unknown, a reference leads nowhere, or two names say different things.
        """
        values = self._opened()
        row = self._known_names(values)
        for name in [name for name, value in values.items() if (value is None or value is False) and name in SWITCHES]:
            values[name] = None
        for name in [name for name, value in values.items() if value is None and name not in SWITCHES]:
            del values[name]
        if row is not None:
            _say_as_options(values, row)
            if values.get("api_key") == NO_KEY and not row.key_required and not row.key_env:
                del values["api_key"]
        _spread_extra_params(values, row)
        _say_retry(values)
        _say_rate_limit(values)
        return values

    @contextmanager
    def located(self) -> Iterator[None]:
        """Let errors of configuration tell where they come from, and quote no secret of this table."""
        place = ": ".join(part for part in (self.file, self.path) if part)
        try:
            yield
            return
        except ConfigurationError as error:
            message = error.message
        if place and not message.startswith(place):
            # A message that begins with the path of a name has the better place already.
            own = f"{self.path}." if self.path else ""
            message = f"{self.file}: {message}" if self.file and own and message.startswith(own) else f"{place}: {message}"
        raise ConfigurationError(clean(message, self._secrets()))

    def _secrets(self) -> set[str]:
        return {*self._seen, *(str(text) for text in _texts(self.values) if isinstance(text, Hidden))}

    def _known_names(self, values: Mapping[str, Any]) -> Provider | None:
        row = _row_of(values)
        refuse_unknown(values, WORDS | set(row.options if row is not None else ()), path=self.path)
        return row

    def _opened(self) -> dict[str, Any]:
        """Return the values with their references replaced."""
        opened: dict[str, Any] = {}
        for name, value in self.values.items():
            if not self.everywhere and name not in ("api_key", "api_keys"):
                opened[name] = value
                continue
            path = f"{self.path}.{name}" if self.path else name
            opened[name] = self._open(value, path, secret=name in SECRET)
            if name in NUMBERS and opened[name] is not value and isinstance(opened[name], str):
                opened[name] = _number(opened[name])
        return opened

    def _open(self, value: Any, path: str, *, secret: bool) -> Any:
        if isinstance(value, str):
            return self._open_text(value, path, secret=secret)
        if isinstance(value, (list, tuple)):
            return [self._open(item, f"{path}[{index}]", secret=secret) for index, item in enumerate(value)]
        if isinstance(value, Mapping):
            return {name: self._open(item, f"{path}.{name}", secret=secret or name in SECRET) for name, item in value.items()}
        return value

    def _open_text(self, text: str, path: str, *, secret: bool) -> str:
        # Of a dict of the program's only a key that is a reference as a whole counts: its own text may have any signs in it.
        if not self.everywhere and not is_reference(text):
            return text
        try:
            found = expand(str(text), self.base)
        except ConfigurationError as error:
            message = f"{path}: {error.message}"
        else:
            if found == text:
                return text
            self._seen.append(str(found))
            if secret:
                return found if isinstance(found, Hidden) else Hidden(found)
            return str(found)
        raise ConfigurationError(message)


def _hidden(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _without_dates(value, hide=name in SECRET or ALIASES.get(name, name) not in WORDS) for name, value in values.items()}


def _without_dates(value: Any, *, hide: bool) -> Any:
    """Return *value* with dates as text: unquoted, an API version is a date to TOML and YAML. *hide* says whether its texts are shown."""
    if isinstance(value, str):
        if hide:
            return value if isinstance(value, Hidden) else Hidden(value)
        return str(value)
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    if isinstance(value, (list, tuple)):
        return [_without_dates(item, hide=hide) for item in value]
    if isinstance(value, dict):
        return {name: _without_dates(item, hide=hide or name in SECRET) for name, item in value.items()}
    return value


def _renamed(values: Mapping[str, Any], path: str) -> dict[str, Any]:
    renamed: dict[str, Any] = {}
    by: dict[str, str] = {}
    for given, value in values.items():
        name = ALIASES.get(given, given)
        if name in renamed:
            msg = f"{path}{'.' if path else ''}{given} says the same as {by[name]}: leave one of them out."
            raise ConfigurationError(msg)
        renamed[name], by[name] = value, given
    return renamed


def _row_of(values: Mapping[str, Any]) -> Provider | None:
    """Return the provider that a table is about; None where only a client can tell."""
    given, model = values.get("provider"), first_model(values.get("model"))
    if isinstance(given, Provider):
        return given
    if given is not None and not (isinstance(given, str) and given):
        msg = f"provider is a provider's name, not {given!r}."
        raise ConfigurationError(msg)
    if given is None and isinstance(model, str):
        given = split_model(model, discover=True)[0] or maker_of(model)
    if given is not None:
        return find_provider(given)
    return find_provider("custom") if values.get("base_url") is not None else None


def first_model(model: Any) -> Any:
    """Return the name of *model*, or of the first of several: the others are fallbacks."""
    if isinstance(model, (list, tuple)) and model:
        model = model[0]
    return model.get("model") if isinstance(model, Mapping) else model


def _say_as_options(values: dict[str, Any], row: Provider) -> None:
    """Move what one provider alone knows to ``options``, where a client expects it."""
    options = values.get("options") or {}
    if not isinstance(options, Mapping):
        msg = f"options is a table, not {type(options).__name__}."
        raise ConfigurationError(msg)
    own = {name: values.pop(name) for name in row.options if name in values and name not in WORDS}
    if "endpoint" in own and "base_url" not in values:
        # As an address it counts before that of a variable.
        address = str(own.pop("endpoint"))
        values["base_url"] = address if "://" in address else f"https://{address}"
    if "model" not in values and "deployment" in own:
        values["model"] = str(own.pop("deployment"))
    if own:
        values["options"] = {**options, **own}


def _spread_extra_params(values: dict[str, Any], row: Provider | None) -> None:
    """Divide ``extra_params``: parameters of a request, options of the provider, and the rest, which goes into the body."""
    extra = values.pop("extra_params", None) or {}
    if not isinstance(extra, Mapping):
        msg = f"extra_params is a table, not {type(extra).__name__}."
        raise ConfigurationError(msg)
    body: dict[str, Any] = {}
    for name, value in extra.items():
        if name in REQUEST:
            if name in values:
                msg = f"{name} is said both by itself and in extra_params: leave one of them out."
                raise ConfigurationError(msg)
            values[name] = value
        elif row is not None and name in row.options and name not in WORDS:
            values["options"] = {name: value, **(values.get("options") or {})}
        elif name in WORDS:
            msg = f"extra_params.{name} is no parameter of a request: say {name} by itself."
            raise ConfigurationError(msg)
        else:
            body[name] = value
    given = values.get("extra_body", {})
    if body and isinstance(given, Mapping):  # a client will refuse what is none
        values["extra_body"] = merged(body, given)


def _say_retry(values: dict[str, Any]) -> None:
    short = {name: values.pop(name) for name in ("max_retries", "retry_delay") if name in values}
    if not short:
        return
    if "retry" in values:
        msg = f"{' and '.join(short)} and retry say the same: leave one of them out."
        raise ConfigurationError(msg)
    policy = {"max_retries": short["max_retries"]} if "max_retries" in short else {}
    if "retry_delay" in short:
        number("retry_delay", short["retry_delay"])
        policy |= {"base_delay": short["retry_delay"], "max_delay": max(LONGEST_DELAY, short["retry_delay"])}
    values["retry"] = policy


def _say_rate_limit(values: dict[str, Any]) -> None:
    short = {name: values.pop(name) for name in RATES if name in values}
    if not short:
        return
    if len(short) < len(RATES):
        msg = f"{' and '.join(RATES)} go together: give both or none."
        raise ConfigurationError(msg)
    if "rate_limit" in values:
        msg = f"{' and '.join(RATES)} and rate_limit say the same: leave one of them out."
        raise ConfigurationError(msg)
    number("rate_limit_capacity", short["rate_limit_capacity"], above=0.0)
    number("rate_limit_refill_rate", short["rate_limit_refill_rate"])
    values["rate_limit"] = TokenBucket(*(short[name] for name in RATES))


def _number(text: str) -> Any:
    """Return *text* as the number it spells; as it is, for the error that will refuse it, where it spells none."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _texts(item)


def _has_literal(name: str, value: Any) -> bool:
    if isinstance(value, Mapping):
        return any(_has_literal(inner, item) for inner, item in value.items())
    if isinstance(value, (list, tuple)):
        return any(_has_literal(name, item) for item in value)
    if not isinstance(value, str) or not value or value == NO_KEY or "${" in value or is_reference(value):
        return False
    return _KEY_NAME.search(name) is not None
