"""What is known of one provider: its address, its variables, its wire. A value; nothing here reads the environment or a socket."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypeAlias

from attrs import field

from llmkit.address import check_base_url, normalised
from llmkit.auth.base import Auth, HeaderAuth
from llmkit.dialects.base import Dialect
from llmkit.errors import ConfigurationError
from llmkit.models.usage import Usage
from llmkit.values import frozen

if TYPE_CHECKING:
    from llmkit.dialects.embedding import Embedder, TokenCounter
    from llmkit.providers.local import LocalProvider
    from llmkit.providers.means import Access

__all__ = ["Option", "Provider", "Row", "urls"]

_MARK = r"\{(\w+)\}"
_FIT_FOR_URL = r"[A-Za-z0-9._~:/\[\]-]+"  # what an option may bring into an address: no query, no user info


@frozen(kw_only=True)
class Option:
    """
    What one provider alone needs, such as a region.

    Args:
        env: Environment variables that may hold it, the first found wins.
        default: What it is where nobody says; None where it cannot be guessed.
        meaning: What it is, for errors and documentation.
        choices: What it may be, and what stands in the address for each; empty where it is free.
        read: Turns what people write into what stands in the address; raises ``ConfigurationError``.
        personal: Whether it says who one is. Then, where a client is given it, that is meant for the client's own provider alone.
    """

    env: tuple[str, ...] = ()
    default: str | None = None
    meaning: str = ""
    choices: Mapping[str, str] = field(factory=dict)
    read: Callable[[str], str] | None = None
    personal: bool = False


@frozen(kw_only=True)
class Provider:
    """
    One provider.

    Args:
        name: What it is called in ``"provider/model"``.
        dialect: Its wire, with its quirks.
        base_url: Where it is; ``{name}`` is an option of that name. None where the user must say.
        aliases: Other names for it.
        key_env: Environment variables that may hold its key, the first found wins.
        base_env: Environment variables that may hold its base URL.
        auth: How the key is sent.
        key_required: Whether it can do nothing without a key.
        per_token: Whether somebody charges for its tokens; not so on one's own servers, which cost by the hour.
        options: What else it needs.
        headers: Header names and the environment variables they are taken from, where those are set.
        static_headers: Headers that always go along.
        default_path: The path of a base URL that has none; that of ``base_url`` unless said.
        own_path: A regular expression for the end of a base URL that is part of the wire's own paths, and so is cut off.
        read_base: Turns what people write for a base URL into one, where the provider's own tools take more than URLs.
        default_model: The model of ``Client()``, when this provider is found by itself.
        model_prefixes: How its own models' names begin, in lower case, for a bare ``"gpt-4o"``.
        choose_dialect: Gives the wire that the options ask for, where there are several.
        choose_access: Gives the way to send the credential, where there are several.
        options_of_model: Gives the options that a model's name says, such as a region, to ``choose_access``.
        guests: The rows of models of other makers that are served here too, on another wire, by how their names begin, in lower case.
        catalogue: Whose models and prices are its own, of the names under which the catalogue has data; the first that has a model
            counts. Its own name unless said.
        reported_cost: Reads from an answer's JSON what the server says that it cost, in US dollars; None where it does not say.
        batches: Whose batches it has, as a word that ``llmkit.batch.wires`` knows; empty where it has none that llmkit speaks.
        batches_in: Where it has its batches put, and puts their results, where that is not with itself: a store of files.
        charges: Reads from an answer's JSON the tokens that are charged for, where these are not those that were used.
        choose_embedder: Gives the wire for embeddings under the options; None where it has none.
        embedding_model: The model that embeds where nobody names one.
        choose_counter: Gives the wire for counting tokens under the options, None where it does not count under them; None where it
            never does.
        completes: Whether it has models that answer, and not only such that embed.
        local: What answers in place of a service, where it is no service.
    """

    name: str
    dialect: Dialect
    base_url: str | None = None
    aliases: tuple[str, ...] = ()
    key_env: tuple[str, ...] = ()
    base_env: tuple[str, ...] = ()
    auth: Auth = HeaderAuth()
    key_required: bool = True
    per_token: bool = True
    options: Mapping[str, Option] = field(factory=dict)
    headers: Mapping[str, tuple[str, ...]] = field(factory=dict)
    static_headers: Mapping[str, str] = field(factory=dict)
    default_path: str = field()
    own_path: str = ""
    read_base: Callable[[str], str] | None = None
    default_model: str | None = None
    model_prefixes: tuple[str, ...] = ()
    choose_dialect: Callable[[Mapping[str, str]], Dialect] | None = None
    choose_access: Access | None = None
    options_of_model: Callable[[str], Mapping[str, str]] | None = None
    guests: Mapping[str, Row] = field(factory=dict)
    catalogue: tuple[str, ...] = field()
    reported_cost: Callable[[Mapping[str, Any]], Decimal | None] | None = None
    charges: Callable[[Mapping[str, Any]], Usage | None] | None = None
    choose_embedder: Callable[[Mapping[str, str]], Embedder] | None = None
    embedding_model: str | None = None
    choose_counter: Callable[[Mapping[str, str]], TokenCounter | None] | None = None
    completes: bool = True
    batches: str = ""
    batches_in: str = ""
    local: LocalProvider | None = None

    @catalogue.default
    def _own_catalogue(self) -> tuple[str, ...]:
        return (self.name,)

    @default_path.default
    def _path_of_base_url(self) -> str:
        _, _, rest = (self.base_url or "").partition("://")
        _, slash, path = rest.partition("/")
        return slash + path if path and "{" not in path else ""

    def serving(self, model: str) -> Provider:
        """Return the row by which *model* is served: this one, or that of its maker's models here."""
        name = model.lower()
        return next((row(self.name) for beginning, row in self.guests.items() if name.startswith(beginning)), self)

    def dialect_for(self, options: Mapping[str, str]) -> Dialect:
        """Return the wire to speak under *options*."""
        return self.dialect if self.choose_dialect is None else self.choose_dialect(options)

    def base(self, url: str | None, options: Mapping[str, str]) -> str:
        """
        Return the base URL of requests, without a slash at its end.

        Args:
            url: What the user or a variable of ``base_env`` says it is; None for the provider's own address.
            options: The options in force.

        Raises:
            ConfigurationError: If it is no fit URL, or the provider's own address needs an option that is not there.
        """
        if url is None:
            return self._own_base(options)
        given = url if self.read_base is None else self.read_base(url)
        base = normalised(given)
        if self.own_path:
            base = re.sub(f"(?<=[^/])(?:{self.own_path})$", "", base)
        return normalised(base, default_path=self.default_path)

    def _own_base(self, options: Mapping[str, str]) -> str:
        if self.local is not None and self.base_url is not None:
            return self.base_url  # a name for it, and no address
        if self.base_url is None:
            variables = f", or set {' or '.join(self.base_env)}" if self.base_env else ""
            msg = f"{self.name} is wherever you run it: pass base_url={variables}."
            raise ConfigurationError(msg)
        base = re.sub(_MARK, lambda mark: self._option(mark[1], options), self.base_url)
        # An option that is a host may bring its own scheme, which then counts.
        base = re.sub("^https://(?=https?://)", "", base)
        check_base_url(base)
        return base.rstrip("/")

    def _option(self, name: str, options: Mapping[str, str]) -> str:
        option = self.options[name]
        value = options.get(name) or option.default
        if not value:
            variables = f", or set {' or '.join(option.env)}" if option.env else ""
            msg = f"{self.name} needs options={{{name!r}: ...}}{variables}: {option.meaning}."
            raise ConfigurationError(msg)
        if option.choices:
            if value not in option.choices:
                msg = f"The option {name!r} of {self.name} is one of {', '.join(option.choices)}, not {value!r}."
                raise ConfigurationError(msg)
            return option.choices[value]
        found = value if option.read is None else option.read(value)
        if not re.fullmatch(_FIT_FOR_URL, found) or (option.read is None and "/" in found):
            msg = f"The option {name!r} of {self.name} cannot stand in an address: {value!r}. It is {option.meaning}."
            raise ConfigurationError(msg)
        return found


Row: TypeAlias = Callable[[str], Provider]
"""Makes a provider, given its name."""


def urls(*prefixes: str) -> tuple[str, ...]:
    """Return the names of variables that may hold a base URL."""
    # Two customs of naming: that of OpenAI's SDKs, and LiteLLM's.
    return tuple(prefix + ending for prefix in prefixes for ending in ("_BASE_URL", "_API_BASE"))
