"""
Endpoints: a model's name resolved to who serves it, where, with which keys.

An endpoint is one model at one address with one set of keys; its breaker, quota and pool live as long as the client.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from attrs import define, evolve, field

from llmkit import __version__
from llmkit._fork import renewed_in_child
from llmkit.abilities import facts_with
from llmkit.address import is_loopback, origin_of
from llmkit.auth.base import Auth, NoAuth, RenewableAuth
from llmkit.catalogue.registry import ModelRegistry, cost_of, facts_at, maker_of
from llmkit.dialects.base import Dialect, Place
from llmkit.errors import ConfigurationError
from llmkit.hooks import Hooks
from llmkit.models.facts import ModelFacts
from llmkit.models.usage import Usage
from llmkit.providers import Provider, check_options, discover, find_provider, meant_by, split_model, whose_is
from llmkit.resilience.breaker import CircuitBreaker, CircuitState
from llmkit.resilience.keys import APIKeyPool
from llmkit.resilience.learned import Pace
from llmkit.resilience.quota import RetryQuota
from llmkit.secrets import Headers, Referenced
from llmkit.settings import SECRET_OPTIONS, Settings, environ
from llmkit.transport.base import HttpRequest
from llmkit.transport.standing_in import needs_key

if TYPE_CHECKING:
    from llmkit.dialects.embedding import Embedder, TokenCounter
    from llmkit.resilience.limits import Limiting
    from llmkit.resilience.traffic import Traffic
    from llmkit.shared.board import Board, Sharing

__all__ = ["Endpoint", "Endpoints"]

USER_AGENT = f"llmkit/{__version__}"


@define(kw_only=True, eq=False, repr=False)
class Endpoint:
    """One model at one address."""

    provider: Provider
    dialect: Dialect
    base_url: str
    origin: str
    model: str
    auth: Auth
    pool: APIKeyPool | None
    breaker: CircuitBreaker | None
    site_breaker: CircuitBreaker | None  # of all models at the address: of whether it can be reached at all
    traffic: Traffic | None  # where somebody wants to know
    limiter: Limiting | None  # of all models at the address
    quota: RetryQuota | None
    options: Mapping[str, str]
    default_headers: Mapping[str, str]
    reasons: tuple[str, ...]
    facts: ModelFacts
    parameters: frozenset[str]  # that its wire can say and its model does not refuse
    said: Mapping[str, Any] = field(factory=dict)  # of the model's capabilities, by the user
    board: Board | None  # of what other processes know
    _paces: dict[str, Pace] = field(factory=dict, init=False)
    place: Place = field(init=False)
    renewable: RenewableAuth | None = field(init=False)  # the auth, where it fetches its credential
    _headers: Headers = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.place = Place(base_url=self.base_url, options=self.options)
        self.renewable = self.auth if isinstance(self.auth, RenewableAuth) else None
        self._headers = Headers({"User-Agent": USER_AGENT, **self.default_headers})

    @property
    def label(self) -> str:
        return f"{self.provider.name}/{self.model}"

    def pace(self, key: str) -> Pace:
        """Return how fast the key with that label may be used here, as far as the provider has said."""
        found = self._paces.get(key)
        if found is None:
            found = self._paces.setdefault(key, Pace())
        return found

    def look(self) -> None:
        """Learn what other processes have found out. Blocks, where something is shared."""
        if self.board is not None:
            self.board.look()

    @property
    def counts_tokens(self) -> bool:
        """Whether its limiter limits tokens."""
        return self.limiter is not None and self.limiter.counts_tokens

    @property
    def is_let_through(self) -> bool:
        """Whether its breakers let the next call through."""
        return all(breaker is None or breaker.allows() for breaker in (self.breaker, self.site_breaker))

    @property
    def context_window(self) -> int | None:
        """How many tokens fit its model, where that is known."""
        said: int | None = self.said.get("context_window")
        return ModelRegistry.get_capabilities(self.provider, self.model).context_window if said is None else said

    @property
    def price(self) -> Decimal | None:
        """The dollars for a million tokens in and as many out, where that is known."""
        price = ModelRegistry.get_price(self.provider, self.model)
        return None if price is None or price.input is None else price.input + (price.output or Decimal(0))

    def cost(self, usage: Usage) -> Decimal | None:
        """Return the dollars that *usage* costs here, where that is known; on one's own servers tokens cost nothing."""
        known = cost_of(self.provider, usage, self.model)
        return Decimal(0) if known is None and not self.provider.per_token else known

    @property
    def in_flight(self) -> int:
        """The attempts under way."""
        return 0 if self.traffic is None else self.traffic.in_flight

    @property
    def latency(self) -> float | None:
        """The seconds to the first content, as of late; None where nothing is known."""
        return None if self.traffic is None else self.traffic.average

    @property
    def embedder(self) -> Embedder | None:
        """The wire for embeddings, where there is one."""
        choose = self.provider.choose_embedder
        return None if choose is None else choose(self.options)

    @property
    def counter(self) -> TokenCounter | None:
        """The wire for counting tokens, where there is one."""
        choose = self.provider.choose_counter
        return None if choose is None else choose(self.options)

    def refuses(self, what: str) -> None:
        """Take note that the server was found not to take *what*."""
        self.place = evolve(self.place, refused=self.place.refused | {what})

    def finish_headers(self, http: HttpRequest) -> None:
        """Lay the client's own headers under those of the request."""
        headers = self._headers.copy()
        headers.update(http.headers)
        http.headers = headers

    def secrets(self) -> tuple[str, ...]:
        """Return what no text may show."""
        return () if self.pool is None else self.pool.secrets()


class Endpoints:
    """
    The endpoints of one client, made when they are first asked for.

    ``default`` is the client's own. ``settings`` are those given, with the model that was found where none was named.
    """

    def __init__(self, settings: Settings, hooks: Hooks | None = None) -> None:
        self.settings = settings
        self._hooks = hooks or Hooks()
        self._limiters: dict[str, Limiting] = {}
        self._site_breakers: dict[str, CircuitBreaker | None] = {}
        self.sharing = _sharing(settings)
        self._lock = threading.Lock()
        self._made: dict[str, Endpoint] = {}
        self._pools: dict[str, APIKeyPool | None] = {}
        self._chosen: dict[tuple[Any, ...], tuple[Mapping[str, str], Auth | None]] = {}
        self.default = self.find(None) if settings.model or settings.provider or settings.base_url else self._detected()
        renewed_in_child(self)

    def renew(self) -> None:
        self._lock = threading.Lock()

    def find(self, model: str | None) -> Endpoint:
        """
        Return the endpoint for *model*, or the client's own.

        Raises:
            ConfigurationError: If it cannot be told who serves it, or a key, address or option is missing; it says how to give one.
        """
        name = model or ""
        found = self._made.get(name)
        if found is not None:
            return found
        with self._lock:
            found = self._made.get(name)
            if found is None:
                made = self._make(model)
                # One endpoint, one breaker, whichever way it was named.
                alike = (each for each in self._made.values() if (each.label, each.base_url) == (made.label, made.base_url))
                found = self._made[name] = next(alike, made)
        return found

    def _detected(self) -> Endpoint:
        from llmkit.detection import detect

        found = detect()
        with found.located():
            self.settings = self.settings.over(found.arguments)
            self.sharing = _sharing(self.settings)
            endpoint = self.find(None)
        endpoint.reasons = (found.reason, *endpoint.reasons)
        return endpoint

    def _make(self, model: str | None) -> Endpoint:
        settings = self.settings
        provider, name, reasons = self._resolve(model)
        own = model is None or provider.name == self._own_provider()
        if model is None:
            check_options(provider, settings.options or ())
        provider = provider.serving(name)
        options, chosen = self._access(provider, own, name)
        dialect = provider.dialect_for(options)
        base_url = self._base_url(provider, options, own, reasons)
        auth = (settings.make_auth() if own else None) or chosen or provider.auth
        pool = self._pool(provider, base_url, auth, own, reasons)
        if pool is None and auth.needs_key:
            auth = NoAuth()
        self._check_secrecy(base_url, auth)
        said = settings.capabilities if model is None else None
        facts = facts_with(facts_at(provider, name), said)
        origin = origin_of(base_url)
        place, what = f"{provider.name}@{origin}", f"{name} {base_url}"
        breaker, quota = self._breaker(f"{provider.name}/{name} at {origin}", place, what), self._quota(place, what)
        site_breaker = self._site_breaker(f"{provider.name} at {origin}", place)
        board = None
        if self.sharing is not None:
            pool = None if pool is None else self.sharing.pool(pool, place=place, of=base_url)
            board = self.sharing.board(place=place, breaker=breaker, site_breaker=site_breaker, pool=pool, quota=quota)
            reasons.append(f"What it may do and what fails is shared through {self.sharing.where}.")
        return Endpoint(
            provider=provider,
            dialect=dialect,
            base_url=base_url,
            origin=origin,
            model=name,
            auth=auth,
            pool=pool,
            breaker=breaker,
            site_breaker=site_breaker,
            limiter=self._limiter(place),
            traffic=self._traffic(),
            quota=quota,
            board=board,
            options=options,
            default_headers={**_from_environment(provider), **(settings.default_headers or {})},
            reasons=tuple(reasons),
            facts=facts,
            parameters=dialect.parameters - facts.refuses,
            said=said or {},
        )

    def _check_secrecy(self, base_url: str, auth: Auth) -> None:
        """Refuse to send a credential in the clear to another machine."""
        if isinstance(auth, NoAuth) or self.settings.allow_insecure or not base_url.startswith("http:") or is_loopback(base_url):
            return
        msg = f"{origin_of(base_url)} would get a key over plain http. Use https, or allow_insecure=True if that network is yours."
        raise ConfigurationError(msg)

    # -- what keeps the calls in order: this process's own, or what it shares with others

    def _breaker(self, name: str, place: str, of: str = "") -> CircuitBreaker | None:
        config = self.settings.circuit_breaker
        if config is None:
            return None
        observers = (self._tell,) if self._hooks else ()
        if self.sharing is not None:
            return self.sharing.breaker(config, place=place, of=of, name=name, on_change=observers)
        return CircuitBreaker(config, name=name, on_change=observers)

    def _site_breaker(self, name: str, place: str) -> CircuitBreaker | None:
        if place not in self._site_breakers:
            self._site_breakers[place] = self._breaker(name, place)
        return self._site_breakers[place]

    def _limiter(self, place: str) -> Limiting | None:
        limit = self.settings.rate_limit
        if limit is None:
            return None
        if place not in self._limiters:
            self._limiters[place] = limit.make() if self.sharing is None else self.sharing.limiter(limit, place=place)
        return self._limiters[place]

    def _traffic(self) -> Traffic | None:
        if self.settings.hedge is None and self.settings.strategy == "fallback":
            return None
        from llmkit.resilience.traffic import Traffic

        return Traffic()

    def _quota(self, place: str, of: str) -> RetryQuota | None:
        if self.settings.retry is None:
            return None
        return RetryQuota() if self.sharing is None else self.sharing.quota(place=place, of=of)

    def _tell(self, breaker: CircuitBreaker, old: CircuitState, new: CircuitState) -> None:
        from llmkit.events import Event

        self._hooks.tell(Event(name="breaker", endpoint=breaker.name, facts={"old": old.value, "new": new.value}))

    def _own_provider(self) -> str | None:
        """Return whose key and address the client was given."""
        return self._resolve(None)[0].name

    def _resolve(self, model: str | None) -> tuple[Provider, str, list[str]]:
        """Return who serves *model*, by which name, and how that was told."""
        settings = self.settings
        asked = model or settings.model
        given = settings.provider
        if given is not None:
            own = given if isinstance(given, Provider) else find_provider(given)
            if asked is None:
                return own, self._default_model(own), [f"The provider is {own.name}, as given; the model is its default."]
            # With a provider given, only the model of one call may be somebody else's.
            named, rest = split_model(asked, discover=model is not None)
            if named is None and model is not None:
                self._check_spelling(asked, own)
            if named is None or (model is None and find_provider(named) is not own):
                # With a provider given, a name that looks like another's is this one's own: "openai/gpt-4o" at OpenRouter.
                return own, asked, [f"The provider is {own.name}, as given; the model is {asked!r}."]
            return find_provider(named), rest, [f"{asked!r} names the provider and the model."]
        if asked is None:
            own = find_provider("custom")
            return own, self._default_model(own), []
        named, rest = split_model(asked, discover=True)
        if named is not None:
            return find_provider(named), rest, [f"{asked!r} names the provider and the model."]
        if model is not None and (settings.provider or settings.model):
            own = self._resolve(None)[0]
            self._check_spelling(asked, own)
            return own, asked, [f"{asked!r} names no provider, so it is the client's own, {own.name}."]
        owner = maker_of(asked)
        if owner is not None:
            return find_provider(owner), asked, [f"{asked!r} is a model of {owner}."]
        if settings.base_url is not None:
            return find_provider("custom"), asked, [f"{asked!r} is served at the base_url given."]
        if discover():
            return self._resolve(model)
        raise ConfigurationError(whose_is(asked))

    def _check_spelling(self, model: str, own: Provider) -> None:
        """
        Refuse a *model* whose provider's name seems misspelt: taken for a model of *own*, as a fallback it would fail in an outage first.

        Models do have names such as "deepseek-ai/DeepSeek-V3": where *own* has such, or it is not known what is served, nothing is said.
        """
        elsewhere = self.settings.base_url is not None or environ(own.base_env) is not None
        names = ModelRegistry.models(own) if "/" in model and not elsewhere else []
        meant = meant_by(model, alike=0.8) if names and not any("/" in name for name in names) else None
        if meant is not None:
            msg = f"{own.name} has no model {model!r}. Did you mean {meant!r}?"
            raise ConfigurationError(msg)

    @staticmethod
    def _default_model(provider: Provider) -> str:
        if provider.default_model is None:
            msg = f"{provider.name} has no model of its own to begin with: name one, as in Client('{provider.name}/MODEL')."
            raise ConfigurationError(msg)
        return provider.default_model

    def _given(self, provider: Provider, own: bool) -> dict[str, Any]:
        """Return the options that were given, but for those that say to somebody else who one is."""
        found = {}
        for name, value in (self.settings.options or {}).items():
            option = provider.options.get(name)
            meant = name not in SECRET_OPTIONS if option is None else own or not option.personal
            if value is not None and meant:
                found[name] = value
        return found

    def _options(self, provider: Provider, own: bool) -> dict[str, str]:
        options = {name: str(value) for name, value in self._given(provider, own).items()}
        for name, option in provider.options.items():
            if name in options:
                continue
            found = environ(option.env)
            if found is not None:
                options[name] = found[1]
            elif option.default is not None:
                options[name] = option.default
        return options

    def _access(self, provider: Provider, own: bool, model: str) -> tuple[Mapping[str, str], Auth | None]:
        """Return the options in force, and the way to send the credential where the provider has several."""
        options = self._options(provider, own)
        if provider.choose_access is None:
            return options, None
        said = {} if provider.options_of_model is None else provider.options_of_model(model)
        # A provider's guests have options of their own, and so have models whose names say some.
        where = (provider.name, provider.base_url, *sorted(said.items()))
        if where not in self._chosen:
            from llmkit.providers.means import Means

            settings = self.settings
            given = self._given(provider, own)
            means = Means(
                options={**said, **options, **given},
                given=frozenset(given),
                keyed=own and (settings.api_key is not None or settings.api_keys is not None),
                key_at_hand=environ(provider.key_env) is not None or not needs_key(settings.transport),
                transport=settings.transport_settings(),
            )
            # Once for all other models there: they share a token.
            in_force, auth = provider.choose_access(means)
            unasked = not needs_key(settings.transport) and not (means.keyed or means.of(SECRET_OPTIONS))
            self._chosen[where] = in_force, NoAuth() if unasked and auth is not None and not auth.needs_key else auth
        return self._chosen[where]

    def _base_url(self, provider: Provider, options: Mapping[str, str], own: bool, reasons: list[str]) -> str:
        if provider.local is not None:
            return self._nowhere(provider, own, reasons)
        if own and self.settings.base_url is not None:
            reasons.append("The address is the base_url given.")
            return provider.base(self.settings.base_url, options)
        found = environ(provider.base_env)
        if found is not None:
            reasons.append(f"The address is that of {found[0]}.")
            return provider.base(found[1], options)
        reasons.append("The address is the provider's own.")
        return provider.base(None, options)

    def _nowhere(self, provider: Provider, own: bool, reasons: list[str]) -> str:
        """Return what stands for the address of a provider in Python, which has neither address nor key."""
        given = [name for name in ("base_url", "api_key", "api_keys", "auth") if own and getattr(self.settings, name) is not None]
        if given:
            msg = f"{provider.name} runs in this process: it takes no {given[0]}."
            raise ConfigurationError(msg)
        reasons.append("It runs in this process.")
        return provider.base(None, {})

    def _pool(self, provider: Provider, base_url: str, auth: Auth, own: bool, reasons: list[str]) -> APIKeyPool | None:
        """Return the keys for an address: one pool for all models there."""
        if not auth.needs_key:
            said = "An access token stands in for a key." if isinstance(auth, RenewableAuth) else "No key is needed."
            reasons.append("The credential is the one given as auth=." if own and self.settings.auth is not None else said)
            return None
        where = f"{provider.name} {base_url}"
        if where not in self._pools:
            self._pools[where] = self._make_pool(provider, own, reasons)
        return self._pools[where]

    def _make_pool(self, provider: Provider, own: bool, reasons: list[str]) -> APIKeyPool | None:
        settings = self.settings
        if own and settings.api_keys is not None:
            reasons.append("The keys are those given as api_keys=.")
            if isinstance(settings.api_keys, APIKeyPool):
                return settings.api_keys
            names = [key.source if isinstance(key, Referenced) else f"key {place}" for place, key in enumerate(settings.api_keys, start=1)]
            return APIKeyPool(list(settings.api_keys), names=names)
        if own and settings.api_key is not None:
            if isinstance(settings.api_key, Referenced):
                reasons.append(f"The key is that of {settings.api_key.source}.")
                return APIKeyPool([settings.api_key], names=[settings.api_key.source])
            reasons.append("The key is the one given as api_key=.")
            return APIKeyPool([settings.api_key])
        found = environ(provider.key_env)
        if found is not None:
            reasons.append(f"The key is that of {found[0]}.")
            return APIKeyPool([found[1]], names=[found[0]])
        if not provider.key_required or not needs_key(settings.transport):
            reasons.append("No key was given, and none is needed.")
            return None
        variables = f"set {' or '.join(provider.key_env)}, or " if provider.key_env else ""
        msg = f"There is no key for {provider.name}: {variables}pass api_key=."
        raise ConfigurationError(msg)


def _sharing(settings: Settings) -> Sharing | None:
    if settings.shared is None:
        return None
    from llmkit.shared.board import sharing_of

    return sharing_of(settings.shared)


def _from_environment(provider: Provider) -> dict[str, str]:
    found = {header: environ(names) for header, names in provider.headers.items()}
    return {**provider.static_headers, **{header: value[1] for header, value in found.items() if value is not None}}
