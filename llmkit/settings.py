"""What a client is made of: the arguments of both faces, checked once and kept together."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from attrs import Attribute, evolve, field, fields

from llmkit.abilities import as_capabilities
from llmkit.auth.base import Auth, AuthArgument, as_auth
from llmkit.errors import ConfigurationError
from llmkit.hooks import Hook, as_hooks
from llmkit.models.request import PARAMETERS, check_headers, check_parameter, check_seconds
from llmkit.providers import Provider, as_row
from llmkit.resilience.breaker import CircuitBreakerConfig
from llmkit.resilience.budget import Budget, budget_of
from llmkit.resilience.keys import APIKeyPool
from llmkit.resilience.retry import RetryConfig
from llmkit.secrets import Referenced
from llmkit.spelling import nearest, refuse_unknown
from llmkit.strategies import check_strategy
from llmkit.transport.settings import TransportSettings
from llmkit.transport.standing_in import TransportMaker, current_stand_in, default_model_of
from llmkit.values import frozen

if TYPE_CHECKING:
    from llmkit.resilience.hedge import Hedge
    from llmkit.resilience.rates import RateLimit, TokenBucket
    from llmkit.shared.address import Shared
    from llmkit.targets import Target

__all__ = ["AuthArgument", "Settings"]

SECRET_OPTIONS = frozenset(  # of whatever provider
    {"token", "client_secret", "private_key", "passphrase", "access_key_id", "secret_access_key", "session_token", "credentials"}
)

# What other libraries call it, where that is not near enough to be guessed.
_ELSEWHERE: Mapping[str, str] = {
    "api_base": "base_url=",
    "headers": "default_headers=",
    "http_client": "transport=",
    "max_retries": "retry=RetryConfig(max_retries=...)",
    "num_retries": "retry=RetryConfig(max_retries=...)",
    "organization": "default_headers={'OpenAI-Organization': ...}",
    "stop_sequences": "stop=",
}


def _seconds(instance: Any, attribute: Attribute[Any], value: Any) -> None:
    check_seconds(attribute.name, value)


def _seconds_or_none(instance: Any, attribute: Attribute[Any], value: Any) -> None:
    if value is not None:
        check_seconds(attribute.name, value)


def _is_a(*kinds: type) -> Callable[[Any, Attribute[Any], Any], None]:
    def check(instance: Any, attribute: Attribute[Any], value: Any) -> None:
        if value is not None and not isinstance(value, kinds):
            names = " or ".join(kind.__name__ for kind in kinds)
            msg = f"{attribute.name} is a {names}, not {type(value).__name__}."
            raise ConfigurationError(msg)

    return check


def _is_policy(kind: type) -> Callable[[Any, Attribute[Any], Any], None]:
    def check(instance: Any, attribute: Attribute[Any], value: Any) -> None:
        if value is not None and not isinstance(value, kind):
            msg = f"{attribute.name} is a {kind.__name__}, a dict of its fields, or None to switch it off; not {value!r}."
            raise ConfigurationError(msg)

    return check


def _sends(instance: Any, attribute: Attribute[Any], value: Any) -> None:
    if value is not None and not isinstance(value, TransportMaker) and not callable(getattr(value, "send", None)):
        msg = f"transport is an object with send(), as llmkit.Transport tells; not {type(value).__name__}."
        raise ConfigurationError(msg)


def _keys(instance: Any, attribute: Attribute[Any], value: Any) -> None:
    if value is None or isinstance(value, APIKeyPool):
        return
    if isinstance(value, str) or not isinstance(value, Sequence) or not value:
        msg = "api_keys is a list of keys or an APIKeyPool; a single key is api_key=."
        raise ConfigurationError(msg)


def _table(instance: Any, attribute: Attribute[Any], value: Any) -> None:
    if value is not None and not isinstance(value, Mapping):
        # Not shown: it may hold a credential.
        msg = f"{attribute.name} is a dict, not {type(value).__name__}."
        raise ConfigurationError(msg)


def _whole(instance: Any, attribute: Attribute[Any], value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        msg = f"{attribute.name} is a whole number of at least 1, not {value!r}."
        raise ConfigurationError(msg)


# A policy may be given as a dict, as a configuration file has it.
_RETRY_MS = ("initial_delay_ms", "max_delay_ms", "backoff_multiplier")


def _retry(value: Any) -> Any:
    if not isinstance(value, Mapping):
        return value
    refuse_unknown(value, (*(one.name for one in fields(RetryConfig)), *_RETRY_MS), path="retry")
    return RetryConfig.from_ms(**value)


def _breaker(value: Any) -> Any:
    if not isinstance(value, Mapping):
        return value
    refuse_unknown(value, (one.name for one in fields(CircuitBreakerConfig)), path="circuit_breaker")
    return CircuitBreakerConfig(**value)


# What most clients are made without is imported by the first that is made with it.


def _rate_limit(value: Any) -> RateLimit | TokenBucket | None:
    if value is None:
        return None
    from llmkit.resilience.rates import rate_limit_of

    return rate_limit_of(value)


def _targets(given: Any) -> tuple[Target, ...]:
    if given == ():
        return ()
    from llmkit.targets import as_targets

    return as_targets("fallbacks", given)


def _hedge(value: Any) -> Hedge | None:
    if value is None:
        return None
    from llmkit.resilience.hedge import hedge_of

    return hedge_of(value)


def _shared(value: Any) -> Shared | None:
    if value is None:
        return None
    from llmkit.shared.address import shared_of

    return shared_of(value)


@frozen(kw_only=True, eq=False)
class Settings:
    """The arguments of ``Client`` and ``AsyncClient``; API reference, section "Sync"."""

    model: str | None = None
    provider: str | Provider | None = field(default=None, converter=as_row, validator=_is_a(str, Provider))
    api_key: str | None = field(default=None, repr=False, validator=_is_a(str))
    api_keys: Sequence[str] | APIKeyPool | None = field(default=None, repr=False, validator=_keys)
    auth: AuthArgument = field(default=None, repr=False)
    base_url: str | None = field(default=None, validator=_is_a(str))
    timeout: float = field(default=60.0, validator=_seconds)
    deadline: float | None = field(default=600.0, validator=_seconds_or_none)
    retry: RetryConfig | None = field(factory=RetryConfig, converter=_retry, validator=_is_policy(RetryConfig))
    circuit_breaker: CircuitBreakerConfig | None = field(
        factory=CircuitBreakerConfig, converter=_breaker, validator=_is_policy(CircuitBreakerConfig)
    )
    rate_limit: RateLimit | TokenBucket | None = field(default=None, converter=_rate_limit)
    budget: Budget | None = field(default=None, converter=budget_of)
    fallbacks: tuple[Target, ...] = field(default=(), converter=_targets)
    strategy: str = field(default="fallback", converter=check_strategy)
    hedge: Hedge | None = field(default=None, converter=_hedge)
    hooks: tuple[Hook, ...] = field(default=(), converter=as_hooks)
    shared: Shared | None = field(default=None, converter=_shared)
    weight: float = 1.0  # of the first model, under strategy="weighted"
    cache: Any = field(default=None, repr=False)  # a Redis's address may hold a password
    transport: Any = field(default=None, validator=_sends)
    default_headers: Mapping[str, str] | None = field(default=None, repr=False)
    options: Mapping[str, Any] | None = field(default=None, repr=False, validator=_table)  # may hold a token
    capabilities: Mapping[str, Any] | None = field(default=None, converter=as_capabilities)
    drop_params: bool = False
    verify: bool | str = True
    cert: str | tuple[str, str] | None = None
    proxies: Mapping[str, str] | None = field(default=None, repr=False, validator=_table)
    trust_env: bool = True
    allow_insecure: bool = False
    untrusted_base_url: bool = False
    max_connections: int = field(default=100, validator=_whole)
    idle_timeout: float = field(default=300.0, validator=_seconds)
    pickle_keys: bool = False
    defaults: Mapping[str, Any] = field(factory=dict)

    def __attrs_post_init__(self) -> None:
        if self.api_key is not None and self.api_keys is not None:
            msg = "api_key= and api_keys= were both given; one of them is enough."
            raise ConfigurationError(msg)
        if self.default_headers is not None:
            check_headers("default_headers", self.default_headers)
        for name, value in self.defaults.items():
            if name not in PARAMETERS and name != "system":
                raise ConfigurationError(_unknown(name))
            if value is not None:
                check_parameter(name, value)
        # What stands in for a transport either sends nothing, or sends by the client's own.
        if self.untrusted_base_url and self.transport is not None and not isinstance(self.transport, TransportMaker):
            msg = "untrusted_base_url=True is kept to by the client's own transport; with transport= nobody would."
            raise ConfigurationError(msg)
        self.make_auth()

    @classmethod
    def of(cls, *, model: object = None, fallbacks: object = (), **arguments: Any) -> Settings:
        """
        Return the settings of a client made with these arguments: of a list of models the first serves, the rest are fallbacks.

        Raises:
            ConfigurationError: If something given is wrong.
        """
        if arguments.get("transport") is None:
            arguments["transport"] = current_stand_in()
        if model is None and arguments.get("provider") is None and arguments.get("base_url") is None:
            model = default_model_of(arguments["transport"])
        return cls(**{**arguments, **_spread(model, fallbacks)})

    def at(self, target: Target) -> Settings:
        """Return the same for the place that *target* names: nothing of this one's own provider goes there."""
        nothing = dict.fromkeys(("provider", "api_key", "api_keys", "auth", "base_url", "options", "capabilities"))
        return evolve(self, model=target.model, **{**nothing, **target.own})

    def make_auth(self) -> Auth | None:
        """Return the way to send the credential that the user asked for; None where the provider's own will do."""
        return as_auth(self.auth)

    def over(self, arguments: Mapping[str, Any]) -> Settings:
        """Return the same with *arguments* wherever nothing but the default was given; of parameters, each counts by itself."""
        given = {name: getattr(self, name) for name in SETTINGS}
        defaults = {name: getattr(PLAIN, name) for name in SETTINGS}
        said = {name for name in SETTINGS if given[name] is not defaults[name] and given[name] != defaults[name]}
        if {"api_key", "api_keys", "auth"} & said:
            said |= {"api_key", "api_keys", "auth"}  # one way to show who one is
        taken = {name: value for name, value in arguments.items() if name in SETTINGS and name not in said}
        taken |= _spread(taken.get("model", self.model), taken.get("fallbacks", self.fallbacks))
        parameters = {name: value for name, value in arguments.items() if name not in SETTINGS}
        return evolve(self, **taken, defaults={**parameters, **self.defaults})

    def transport_settings(self) -> TransportSettings:
        return TransportSettings(
            verify=self.verify,
            cert=self.cert,
            proxies=self.proxies,
            trust_env=self.trust_env,
            max_connections=self.max_connections,
            public_only=self.untrusted_base_url,
        )

    def portable(self) -> dict[str, Any]:
        """
        Return what travels in a pickle.

        Raises:
            ConfigurationError: If it holds a literal key and ``pickle_keys`` is not set, or a part that cannot travel.
        """
        if self.transport is not None:
            msg = "A client with a transport of its own cannot be pickled: a transport holds connections."
            raise ConfigurationError(msg)
        from llmkit.cache.opening import holds_password

        places: list[Settings | Target] = [self, *self.fallbacks]
        holds_key = any(_holds_key(place.api_key, place.api_keys, place.options) for place in places)
        addresses = (self.cache, *(self.proxies or {}).values())
        if (holds_key or any(holds_password(address) for address in addresses)) and not self.pickle_keys:
            msg = "This client holds a literal key, which is not pickled: set the provider's variable instead, or pass pickle_keys=True."
            raise ConfigurationError(msg)
        if self.shared is not None and self.shared.secrets and not self.pickle_keys:
            msg = "The address given as shared= holds a password, which is not pickled: let the other side make its own client."
            raise ConfigurationError(msg)
        return {name: getattr(self, name) for name in SETTINGS}


def _unknown(name: str) -> str:
    meant = _ELSEWHERE.get(name)
    hint = nearest(name, (*ARGUMENTS, *PARAMETERS, "system")) if meant is None else f" Did you mean {meant}?"
    hint = hint or " What one provider alone knows goes into options=, or into the body with extra_body=."
    return f"There is no argument {name!r}.{hint}"


def _spread(model: object, fallbacks: object) -> dict[str, Any]:
    """Return what a list of models says: the first serves, with what is its own, the rest are fallbacks."""
    if model == "":
        msg = "model is an empty string: name one, or leave it out to have one found."
        raise ConfigurationError(msg)
    if model is None or isinstance(model, str):
        return {"model": model, "fallbacks": fallbacks}
    from llmkit.targets import as_targets

    first, *others = as_targets("model", model) or (None,)
    if first is None:
        msg = "model is an empty list; name at least one model."
        raise ConfigurationError(msg)
    return {"model": first.model, "fallbacks": (*others, *as_targets("fallbacks", fallbacks)), "weight": first.weight, **first.own}


def _holds_key(api_key: object, api_keys: object, options: Mapping[str, Any] | None) -> bool:
    """Whether one of these holds a literal key: what was found by a reference travels as the reference."""
    keys = api_keys if isinstance(api_keys, (list, tuple)) else (api_keys,)
    tokens = [(options or {}).get(name) for name in SECRET_OPTIONS]
    return any(key is not None and not isinstance(key, Referenced) for key in (api_key, *tokens, *keys))


SETTINGS = tuple(attribute.name for attribute in Settings.__attrs_attrs__)
ARGUMENTS = tuple(name for name in SETTINGS if name not in ("weight", "defaults"))  # that a client takes by these names
PLAIN = Settings()


def environ(names: Sequence[str]) -> tuple[str, str] | None:
    """Return the first of the variables *names* that is set and not empty, as ``(name, value)``."""
    return next(((name, value) for name in names if (value := os.environ.get(name))), None)
