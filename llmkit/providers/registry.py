"""
Looking providers up by name, and registering more of them at run time.

Rule 1: a row of the table is made when it is asked for, once: most programs ask for one of seventy.
Rule 2: reading takes no lock; registering does, and a name comes to be known only when all else about it is.
Rule 3: other packages are asked for their providers once, when a name is not known: looking for them costs more than importing llmkit.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from attrs import evolve

from llmkit._fork import renewed_in_child
from llmkit.address import check_base_url
from llmkit.auth.base import Auth, AuthArgument, as_auth
from llmkit.dialects.base import Dialect
from llmkit.dialects.openai_chat import OpenAIChat
from llmkit.errors import ConfigurationError
from llmkit.providers.embedders import COUNTERS, EMBEDDERS, EMBEDDING_MODELS, embeds_like_openai
from llmkit.providers.local import LocalProvider
from llmkit.providers.provider import Option, Provider, Row
from llmkit.providers.table import ALIASES, DETECTED, LOCAL, MODEL_PREFIXES, TABLE
from llmkit.spelling import closest, nearest

__all__ = [
    "ROWS",
    "Registry",
    "check_options",
    "detectable",
    "discover",
    "embedding_providers",
    "find_provider",
    "local_server",
    "meant_by",
    "owner_of",
    "provider_names",
    "register_provider",
    "split_model",
    "whose_is",
]

_NAME = r"[a-z0-9][a-z0-9._-]*"
_MARK = r"[/:](?=.)"
_FIELDS = frozenset(attribute.name for attribute in Provider.__attrs_attrs__)


class Registry:
    """All providers that are known; iterating gives them in the order of the table, then of registering."""

    def __init__(self, table: Mapping[str, Row]) -> None:
        self._table = table
        self._made: dict[str, Provider] = {}
        self._prefixes: dict[str, tuple[str, ...]] = dict(MODEL_PREFIXES)
        self._names: dict[str, str] = {name: name for name in table}
        for name, aliases in ALIASES.items():
            self._names.update(dict.fromkeys(aliases, name))
        self.history: list[str] = []  # the names that were registered, in order
        self.plugged: list[str] = []  # those that came from entry points
        self._discovered = False
        self._busy = False
        self._lock = threading.Lock()
        self._discovery = threading.RLock()
        renewed_in_child(self)

    def renew(self) -> None:
        self._lock = threading.Lock()
        self._discovery = threading.RLock()
        self._busy = False

    @contextmanager
    def discovering(self) -> Iterator[None]:
        """Keep others from taking for known what is being read from entry points."""
        with self._discovery:
            self._discovered, self._busy = False, True
            try:
                yield
            finally:
                self._discovered, self._busy = True, False

    def discover(self) -> bool:
        """Read the entry points unless that was done, and return whether it is worth while to look once more."""
        if self._discovered:
            return False
        with self._discovery:
            self._discover()
        return True

    def _discover(self) -> None:
        # What an entry point itself asks for, while it is read, is not there yet.
        if self._discovered or self._busy:
            return
        from llmkit.providers.plugins import refresh_custom_providers

        refresh_custom_providers()

    def __iter__(self) -> Iterator[Provider]:
        return (self._row(name) for name in dict.fromkeys(self._names.copy().values()))

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def names(self) -> list[str]:
        """Return all names, aliases too."""
        return list(self._names)

    def find(self, name: str) -> Provider | None:
        known = self._names.get(name)
        return None if known is None else self._row(known)

    def _row(self, name: str) -> Provider:
        made = self._made.get(name)
        if made is None:
            row = self._table[name](name)
            row = evolve(
                row,
                aliases=ALIASES.get(name, ()),
                model_prefixes=MODEL_PREFIXES.get(name, ()),
                choose_embedder=EMBEDDERS.get(name),
                embedding_model=EMBEDDING_MODELS.get(name),
                choose_counter=COUNTERS.get(name),
            )
            made = self._made.setdefault(name, row)  # the same one for all threads
        return made

    def owner_of(self, model: str) -> str | None:
        for name, prefixes in self._prefixes.items():
            if prefixes and model.startswith(prefixes):
                return name
        return None

    def added(self) -> list[Provider]:
        """Return the providers that were registered at run time."""
        return [row for name, row in self._made.copy().items() if name not in self._table]

    def add(self, row: Provider, *, replace: bool) -> None:
        with self._lock:
            for name in (row.name, *row.aliases):
                known = self._names.get(name)
                if known is not None and not replace and self._made.get(known) != row:
                    msg = f"The name {name!r} already means the provider {known!r}. Pass replace=True to have yours instead."
                    raise ConfigurationError(msg)
            self._made[row.name] = row
            self.history.append(row.name)
            # Before those of the table: who registers a provider wants it.
            self._prefixes = {row.name: row.model_prefixes, **{name: old for name, old in self._prefixes.items() if name != row.name}}
            self._names.update(dict.fromkeys((row.name, *row.aliases), row.name))

    def remove(self, name: str) -> None:
        """Forget the provider *name*; what the table says of its names counts again."""
        with self._lock:
            self._made.pop(name, None)
            self._prefixes.pop(name, None)
            if name in MODEL_PREFIXES:
                self._prefixes[name] = MODEL_PREFIXES[name]
            told = {alias: row for row, aliases in ALIASES.items() for alias in aliases} | {row: row for row in self._table}
            names = {known: row if row != name else told.get(known) for known, row in self._names.items()}
            self._names = {known: row for known, row in names.items() if row is not None}


ROWS = Registry(TABLE)


def discover() -> bool:
    """Read the entry points of other packages unless that was done, and return whether it is worth while to look once more."""
    return ROWS.discover()


def provider_names() -> list[str]:
    """Return the names of all known providers, without their aliases, sorted; those of other packages too."""
    discover()
    return sorted({row.name for row in ROWS})


def embedding_providers() -> list[str]:
    """Return the names of the providers that are known to embed, and with which model of theirs."""
    return list(EMBEDDING_MODELS)


def find_provider(name: str) -> Provider:
    """
    Return the provider called *name*.

    Raises:
        ConfigurationError: If there is none; it names the nearest.
    """
    row = ROWS.find(name) or ROWS.find(name.lower())
    if row is None and discover():
        row = ROWS.find(name) or ROWS.find(name.lower())
    if row is None:
        raise ConfigurationError(_unknown(name))
    return row


def _unknown(name: str) -> str:
    return (
        f"There is no provider {name!r}.{nearest(name, ROWS.names())} Known are {', '.join(provider_names())}; any other server "
        "that speaks OpenAI's wire is provider='custom' with base_url=."
    )


def split_model(model: str, *, discover: bool = False) -> tuple[str | None, str]:
    """
    Return ``(provider, model)`` for ``"provider/model"`` or ``"provider:model"``; no provider where none is named.

    The first separator whose left side is a known provider counts, so that ``ollama/llama3.2:1b`` and
    ``huggingface/meta-llama/Llama-3.1-8B`` both work. *discover* says whether other packages are asked, if none is known.
    """
    for index, mark in enumerate(model):
        if mark in "/:" and model[:index].lower() in ROWS and model[index + 1 :]:
            return model[:index].lower(), model[index + 1 :]
    if discover and ("/" in model or ":" in model) and ROWS.discover():
        return split_model(model)
    return None, model


def meant_by(model: str, *, alike: float = 0.6) -> str | None:
    """Return *model* with the provider's name that was probably meant before its separator; None where none is *alike* enough."""
    mark = re.search(_MARK, model)
    near = closest(model[: mark.start()], ROWS.names(), alike=alike) if mark is not None else None
    return None if mark is None or near is None else near + model[mark.start() :]


def whose_is(model: str) -> str:
    """Return what to tell whoever gave *model*, a name that says no provider."""
    row = ROWS.find(model.rstrip("/:").lower())
    if row is not None:
        usual = f", or pass provider={row.name!r} for its usual one" if row.default_model is not None else ""
        return f"{model!r} is a provider, and no model of it is named: write '{row.name}/MODEL'{usual}."
    meant = meant_by(model)
    if meant is not None:
        return f"It cannot be told who serves {model!r}. Did you mean {meant!r}?"
    return (
        f"It cannot be told who serves {model!r}. Name the provider, as in 'openai/{model}', or pass provider=, or base_url= for a "
        "server of your own."
    )


def check_options(provider: Provider, names: Iterable[str]) -> None:
    """
    Refuse the first of *names*, options given to a client of *provider*, that no provider has.

    One that another has may be meant for a fallback there. What a row reads that is not the table's is its maker's business.

    Raises:
        ConfigurationError: If there is one; it names the nearest.
    """
    beyond = [name for name in names if name not in provider.options]
    if not beyond or provider.name in ROWS.history or ROWS.find(provider.name) is not provider:
        return
    known = {option for row in ROWS for option in row.options}
    for name in beyond:
        if name not in known:
            there = f" There are {', '.join(sorted(provider.options))}." if provider.options else ""
            msg = f"{provider.name} has no option {name!r}.{nearest(name, provider.options) or there}"
            raise ConfigurationError(msg)


def owner_of(model: str) -> str | None:
    """Return the provider whose own model has the bare name *model*, by how its models' names begin."""
    bare = model.lower()
    # A tag behind a colon is how local servers name models (deepseek-r1:8b); of the owners only one has colons, behind "ft:".
    if ":" in bare and not bare.startswith("ft:"):
        return None
    return ROWS.owner_of(bare)


def detectable() -> list[Provider]:
    """
    Return the providers that are found by their key variables, in the order in which they are looked for: those of the table, in
    its order, then those registered at run time.
    """
    rows = [ROWS.find(name) for name in DETECTED] + ROWS.added()
    return [row for row in rows if row is not None and row.key_env and row.default_model is not None]


def local_server() -> Provider:
    """Return the provider that is looked for on this machine, where no key variable is set."""
    return find_provider(LOCAL)


def register_provider(
    name: str,
    *,
    base_url: str | None = None,
    env: str | tuple[str, ...] | list[str] = (),
    dialect: Dialect | None = None,
    auth: Auth | AuthArgument = None,
    aliases: str | tuple[str, ...] | list[str] = (),
    local: LocalProvider | None = None,
    replace: bool = False,
    **fields: Any,
) -> Provider:
    """
    Make a provider known for the rest of the process and return it; ``Client("name/model")`` then finds it.

    Args:
        name: What it is called: lower-case letters, digits, dots, hyphens and underscores.
        base_url: Where it is; None where each client says.
        env: Environment variables that may hold its key. Without any, no key is required.
        dialect: Its wire; OpenAI's Chat Completions unless said.
        auth: How the key is sent: a header's name, a callable that returns headers, False for not at all, or an ``Auth``; as a
            bearer token unless said.
        aliases: Other names for it.
        local: What answers in its place, where it is no service: then it has neither an address nor a key.
        replace: Whether it may take the place of the provider that now has the name.
        **fields: Other fields of ``Provider``.

    Raises:
        ConfigurationError: If something is not what it must be, or a name is taken.
    """
    key_env = _words("env", env)
    unknown = sorted(set(fields) - _FIELDS)
    if unknown:
        msg = f"register_provider() does not know {', '.join(unknown)}. There are {', '.join(sorted(_FIELDS))}."
        raise ConfigurationError(msg)
    for word in ("base_env", "model_prefixes"):
        if word in fields:
            fields[word] = _words(word, fields[word])
    names = _words("name", name) + _words("aliases", aliases)
    for word in names:
        if re.fullmatch(_NAME, word) is None:
            msg = f"A provider's name is of lower-case letters, digits, dots, hyphens and underscores, not {word!r}."
            raise ConfigurationError(msg)
    if local is not None:
        return _registered(local, names, {"base_url": base_url, "env": env, "dialect": dialect, "auth": auth}, fields, replace=replace)
    if base_url is not None and "{" not in str(base_url):
        check_base_url(base_url)
    if dialect is not None and not callable(getattr(dialect, "encode_models", None)):
        msg = f"dialect is an instance of a dialect, such as OpenAIChat(owner={name!r}), not {dialect!r}."
        raise ConfigurationError(msg)
    if auth is not None:
        fields["auth"] = auth if isinstance(auth, Auth) else as_auth(auth)
    for word in ("options", "headers", "static_headers"):
        if not isinstance(fields.get(word, {}), Mapping):
            msg = f"{word} is a dict, not {fields[word]!r}."
            raise ConfigurationError(msg)
    if not all(isinstance(option, Option) for option in fields.get("options", {}).values()):
        msg = f"The options of {name} are Option(...)s by name."
        raise ConfigurationError(msg)
    if dialect is None:
        fields.setdefault("choose_embedder", embeds_like_openai(name))
    row = Provider(
        name=name,
        base_url=None if base_url is None else base_url.rstrip("/"),
        dialect=dialect or OpenAIChat(owner=name, takes_top_k=True),
        aliases=names[1:],
        **{"key_env": key_env, "key_required": bool(key_env), **fields},
    )
    ROWS.add(row, replace=replace)
    return row


def _registered(
    local: object, names: tuple[str, ...], unfit: Mapping[str, object], fields: Mapping[str, Any], *, replace: bool
) -> Provider:
    if not isinstance(local, LocalProvider):
        msg = f"local is an instance of a LocalProvider, not {local!r}."
        raise ConfigurationError(msg)
    given = [name for name, value in unfit.items() if value not in (None, ())]
    if given:
        msg = f"A local provider is no service: it takes no {given[0]}."
        raise ConfigurationError(msg)
    row = evolve(local.row(names[0]), aliases=names[1:], **fields)
    ROWS.add(row, replace=replace)
    return row


def _words(name: str, value: object) -> tuple[str, ...]:
    words = (value,) if isinstance(value, str) else value
    if not isinstance(words, (list, tuple)) or not all(isinstance(word, str) and word for word in words):
        msg = f"{name} is a string or a list of strings, none of them empty, not {value!r}."
        raise ConfigurationError(msg)
    return tuple(words)
