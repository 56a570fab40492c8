"""
The shapes that a configuration file may have, as tables by name.

- ``[provider]``: one table; or the same without a heading.
- ``[providers.NAME]``: several, ``default`` names the one that counts where none is asked for.
- ``[profiles.NAME]``: what is different there, laid over the rest; a ``[provider]`` by itself, or with the same headings.
- Provider, model, table: ``{"openai": {"gpt-4": {"api_keys": [...]}}}``; or provider and table.
- A list of tables with their names, as AutoGen's ``OAI_CONFIG_LIST`` is; or LiteLLM's ``model_list``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from attrs import frozen

from llmkit.config.tables import ALIASES, WORDS, Table
from llmkit.dialects.base import merged
from llmkit.errors import ConfigurationError
from llmkit.providers import find_provider, provider_names
from llmkit.spelling import nearest, refuse_unknown

__all__ = ["Shelf", "shelf_of"]

HEADINGS = frozenset({"provider", "providers", "profiles", "default"})
CURE = "Write a table [provider] with type, model and api_key, or several [providers.NAME]."
RATES = {"rpm": "requests_per_minute", "tpm": "tokens_per_minute"}  # LiteLLM's documentation, "Proxy config.yaml", read 2026-11-21
ALONE = "provider"  # the name of a table that has none


@frozen(kw_only=True)
class Shelf:
    """
    The tables of one file by name: ``prod``, or ``openai/gpt-4`` where they stand by provider and model.

    Args:
        file: Where they were read.
        tables: Those there are; a name may be a provider, with its tables by model.
        default: The name of the one that counts where none is asked for.
    """

    file: str
    tables: Mapping[str, Table | Mapping[str, Table]]
    default: str | None = None

    def __iter__(self) -> Iterator[Table]:
        return iter(self._flat().values())

    def choose(self, name: str | None) -> Table:
        """
        Return the table *name*; without one, the only one, or the default.

        Raises:
            ConfigurationError: If there is none of that name, or several and no default; it tells their names.
        """
        flat = self._flat()
        wanted = self.default if name is None else name
        if wanted is None and ALONE in flat:
            wanted = ALONE
        if wanted is None and len(flat) == 1:
            return next(iter(flat.values()))
        if wanted is None:
            msg = (
                f"{self.file} has several: {', '.join(flat)}. Name one, as in name={next(iter(flat))!r}, or begin the file with default = ."
            )
            raise ConfigurationError(msg)
        if wanted in flat:
            return flat[wanted]
        of_provider = self.tables.get(wanted)
        if isinstance(of_provider, Mapping) and len(of_provider) == 1:
            return next(iter(of_provider.values()))
        msg = f"{self.file} has no {wanted!r}.{nearest(wanted, flat)} There are {', '.join(flat)}."
        raise ConfigurationError(msg)

    def _flat(self) -> dict[str, Table]:
        flat: dict[str, Table] = {}
        for name, found in self.tables.items():
            if isinstance(found, Table):
                flat[name] = found
            else:
                flat.update({f"{name}/{model}": table for model, table in found.items()})
        return flat


def shelf_of(document: Any, *, file: str, base: str, profile: str | None, strict: bool = True) -> Shelf:
    """
    Return the tables of *document*, each with all its names checked, in every profile.

    Args:
        document: What a file holds, with strings as keys.
        file: Its path, for errors.
        base: The directory that paths in it are relative to.
        profile: The name of what is to be laid over the rest.
        strict: Whether a file without profiles refuses one.

    Raises:
        ConfigurationError: If it has another shape, or a name that nobody knows; with its place.
    """
    flat = isinstance(document, Mapping) and _is_flat(document)
    builder = _Builder(file=file, base=base, alone="" if flat else ALONE)
    plain = _below_heading(document) if flat else document
    if not isinstance(plain, Mapping) or "profiles" not in plain:
        if profile is not None and strict:
            msg = f"{file} has no profiles, and so no {profile!r}. A profile is a table [profiles.{profile}]."
            raise ConfigurationError(msg)
        return builder.shelf(plain)
    profiles = {name: builder.overlay(name, value) for name, value in builder.tables("profiles", plain["profiles"]).items()}
    rest = {name: value for name, value in plain.items() if name != "profiles"}
    if profile is not None and profile not in profiles:
        msg = f"{file} has no profile {profile!r}.{nearest(profile, profiles)} There are {', '.join(profiles)}."
        raise ConfigurationError(msg)
    shelves = {name: builder.shelf(merged(rest, over), over=over, profile=name) for name, over in profiles.items()}
    if profile is not None:
        return shelves[profile]
    if not rest:
        msg = f"{file} has only profiles: choose one by profile= or LLMKIT_PROFILE. There are {', '.join(profiles)}."
        raise ConfigurationError(msg)
    return builder.shelf(rest)


def _below_heading(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return a table by itself under the heading that it goes without."""
    apart = {name: document[name] for name in ("profiles", "default") if name in document}
    return {ALONE: {name: value for name, value in document.items() if name not in apart}, **apart}


def _is_flat(document: Mapping[str, Any]) -> bool:
    """Whether *document* is a table by itself: it says what only a table says, and not below a heading."""
    words = (WORDS | ALIASES.keys()) - {"options", "provider"}
    return isinstance(document.get("provider"), str) or any(
        name in words and not isinstance(value, Mapping) for name, value in document.items()
    )


@frozen(kw_only=True)
class _Builder:
    """Makes tables of one file."""

    file: str
    base: str
    alone: str = ALONE  # the path of the table that has no name

    def shelf(self, document: Any, *, over: Mapping[str, Any] | None = None, profile: str = "") -> Shelf:
        """Return the tables of *document*; *over* is the part of it that the profile *profile* brought."""
        if isinstance(document, list):
            return self._listed(document, "", "name")
        if not isinstance(document, Mapping) or not document:
            raise self.wrong("", f"there is no provider. {CURE}")
        if "model_list" in document:
            self._known(document, frozenset({"model_list"}), "")
            return self._of_litellm(document["model_list"])
        if not HEADINGS & document.keys():
            return Shelf(file=self.file, tables=self._by_provider(document))
        with_headings = self._with_headings(document)
        for name, path, values in _tables_under(over or {}):
            # The names of a profile once more, for the place where they stand.
            whole = with_headings.tables[name]
            assert isinstance(whole, Table)
            given = {ALIASES.get(word, word) for word in values}
            said = {word: whole.values[word] for word in ("provider", "model") if word in whole.values and word not in given}
            self._table({**said, **values}, f"profiles.{profile}.{path}").check()
        for table in with_headings:
            table.check()
        return with_headings

    def overlay(self, name: str, value: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return what a profile lays over the rest, below headings."""
        if not HEADINGS & value.keys() or _is_flat(value):
            return {ALONE: dict(value)}
        self._known(value, HEADINGS - {"profiles"}, f"profiles.{name}")
        return value

    def tables(self, path: str, value: Any) -> Mapping[str, Mapping[str, Any]]:
        """Return *value*, tables by name."""
        if not isinstance(value, Mapping) or not value:
            raise self.wrong(path, f"here are tables by name, as in [{path}.prod].")
        for name, table in value.items():
            if not isinstance(table, Mapping):
                raise self.wrong(f"{path}.{name}", f"here is a table, as in [{path}.{name}].")
        return value

    def wrong(self, path: str, text: str) -> ConfigurationError:
        return ConfigurationError(f"{self.file}: {path}{': ' if path else ''}{text}")

    def _known(self, given: Mapping[str, Any], known: frozenset[str], path: str) -> None:
        try:
            refuse_unknown(given, known, path=path)
        except ConfigurationError as error:
            message = error.message
        else:
            return
        raise ConfigurationError(f"{self.file}: {message}")

    def _table(self, values: Any, path: str) -> Table:
        if not isinstance(values, Mapping):
            raise self.wrong(path, "here is a table of names and values.")
        return Table(values=values, file=self.file, path=path, base=self.base, everywhere=True)

    def _with_headings(self, document: Mapping[str, Any]) -> Shelf:
        self._known(document, HEADINGS, "")
        default = document.get("default")
        if default is not None and not isinstance(default, str):
            raise self.wrong("default", "here is the name of one of the providers.")
        found: dict[str, Table] = {}
        if "provider" in document:
            found[ALONE] = self._table(document["provider"], self.alone)
        if "providers" in document:
            for name, values in self.tables("providers", document["providers"]).items():
                table = self._table(values, f"providers.{name}")
                found[name] = table if table.names_provider or name not in provider_names() else table.with_provider(name)
        if not found:
            raise self.wrong("", f"there is no provider. {CURE}")
        return Shelf(file=self.file, tables=found, default=None if default is None else str(default))

    def _by_provider(self, document: Mapping[str, Any]) -> dict[str, Table | Mapping[str, Table]]:
        found: dict[str, Table | Mapping[str, Table]] = {}
        for provider, value in document.items():
            self._check_provider(provider)
            if not isinstance(value, Mapping) or not value:
                raise self.wrong(provider, "here is a table, or tables by model.")
            if not all(isinstance(inner, Mapping) for inner in value.values()):
                found[provider] = self._table(value, provider).with_provider(provider)
                continue
            found[provider] = {model: self._of_model(provider, model, inner) for model, inner in value.items()}
        shelf = Shelf(file=self.file, tables=found)
        for table in shelf:
            table.check()
        return found

    def _of_model(self, provider: str, model: str, values: Mapping[str, Any]) -> Table:
        if not {"provider", "type", "api_type"}.isdisjoint(values):
            raise self.wrong(f"{provider}.{model}", f"it stands under {provider!r}, so it names no provider of its own.")
        named = values if not {"model", "model_name"}.isdisjoint(values) else {"model": model, **values}
        return self._table({"provider": provider, **named}, f"{provider}.{model}")

    def _check_provider(self, name: str) -> None:
        try:
            find_provider(name)
        except ConfigurationError:
            near = nearest(name, [*HEADINGS, *provider_names(), *WORDS, *ALIASES])
        else:
            return
        raise self.wrong(name, f"it is neither a provider nor a heading.{near} {CURE}")

    def _listed(self, entries: list[Any], path: str, name_word: str) -> Shelf:
        named: dict[str, Mapping[str, Any]] = {}
        places: dict[str, str] = {}
        for index, entry in enumerate(entries):
            place = f"{path}[{index}]"
            if not isinstance(entry, Mapping):
                raise self.wrong(place, "here is a table of names and values.")
            name = entry.get(name_word) or entry.get("model") or entry.get("model_name")
            if not isinstance(name, str):
                raise self.wrong(place, f"it has neither {name_word!r} nor 'model' to be called by.")
            if name in named:
                cure = (
                    "Give one of them another name"
                    + (" by 'name'" if name_word == "name" else "")
                    + "; keys of one place go into api_keys."
                )
                raise self.wrong(place, f"it is called {str(name)!r}, as is {places[name]}. {cure}")
            named[str(name)], places[str(name)] = entry, place
        if not named:
            raise self.wrong(path, f"there is no provider. {CURE}")
        shelf = Shelf(file=self.file, tables={name: self._entry(entry, places[name]) for name, entry in named.items()})
        for table in shelf:
            table.check()
        return shelf

    def _entry(self, entry: Mapping[str, Any], place: str) -> Table:
        if "litellm_params" in entry:
            self._known(entry, frozenset({"model_name", "litellm_params"}), place)
            return self._table(_with_rates(entry["litellm_params"]), f"{place}.litellm_params")
        return self._table({name: value for name, value in entry.items() if name != "name"}, place)

    def _of_litellm(self, entries: Any) -> Shelf:
        if not isinstance(entries, list):
            raise self.wrong("model_list", "here is a list of models.")
        return self._listed(entries, "model_list", "model_name")


def _with_rates(values: Any) -> Any:
    """Return LiteLLM's *values* with its limits by the minute in our words."""
    if not isinstance(values, Mapping):
        return values
    rates = {ours: values[theirs] for theirs, ours in RATES.items() if theirs in values}
    rest = {name: value for name, value in values.items() if name not in RATES}
    return {**rest, "rate_limit": rates} if rates else rest


def _tables_under(document: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Yield the tables below headings: name, path and values."""
    if isinstance(document.get("provider"), Mapping):
        yield ALONE, "provider", document["provider"]
    several = document.get("providers")
    if isinstance(several, Mapping):
        yield from ((name, f"providers.{name}", values) for name, values in several.items() if isinstance(values, Mapping))
