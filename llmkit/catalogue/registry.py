"""
``ModelRegistry``: what models can do, how much they take, and what they cost.

Rule 1: what the user registered comes first, then what the provider's catalogue says, then, of abilities only, what is known of the
model at its maker: a host may serve it with other limits, and at another price.
Rule 2: reading takes no lock; registering makes a new state, so that nothing found before can be taken for what holds now.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from attrs import evolve, fields

from llmkit._fork import renewed_in_child
from llmkit.catalogue import table
from llmkit.catalogue.facts import facts_of, register_facts
from llmkit.catalogue.names import key_of, spellings
from llmkit.catalogue.table import UNKNOWN, Entry, Tariff
from llmkit.errors import ConfigurationError
from llmkit.models.capabilities import LLMCapabilities
from llmkit.models.facts import ModelFacts
from llmkit.models.price import Price, price_of
from llmkit.models.usage import Usage
from llmkit.providers import Provider, find_provider, owner_of, split_model

if TYPE_CHECKING:
    from decimal import Decimal

__all__ = ["ModelRegistry", "cost_of", "facts_at", "maker_of", "register_all", "registered"]

ABILITIES = tuple(attribute.name for attribute in fields(LLMCapabilities) if attribute.name.startswith("supports_"))
LIMITS = ("max_tokens", "context_window")
CACHED = 4096  # models: an application asks for a few, but their names may come from outside


class Registration(NamedTuple):
    """What the user says of one model; what is not in ``said`` stays as it is known."""

    said: Mapping[str, Any]
    price: Price | None = None


class State:
    """What was registered, and what was found since."""

    def __init__(self, registered: Mapping[tuple[str, str], Registration]) -> None:
        self.registered = registered
        self.found: dict[tuple[str, tuple[str, ...], str], Entry] = {}

    def entry(self, provider: Provider, model: str) -> Entry:
        known = (provider.name, provider.catalogue, model)
        entry = self.found.get(known)
        if entry is None:
            if len(self.found) >= CACHED:
                self.found = {}
            entry = self.found[known] = self._made(provider, model)
        return entry

    def registration(self, provider: Provider, model: str) -> Registration | None:
        if not self.registered:
            return None
        whose = dict.fromkeys((provider.name, *provider.catalogue))
        found = (self.registered.get((name, key)) for name in whose for key in spellings(model))
        return next((registration for registration in found if registration is not None), None)

    def _made(self, provider: Provider, model: str) -> Entry:
        entry = table.find(provider.catalogue, model)
        own = self.registration(provider, model)
        if own is None:
            return entry
        tariff = entry.tariff if own.price is None else Tariff(price=own.price)
        return Entry(capabilities=evolve(entry.capabilities, **own.said), tariff=tariff)


class ModelRegistry:
    """
    What is known of models, and what you know better.

    The data is of the day that ``date()`` tells. It holds list prices of the providers' standard service, for text: without discounts
    of your own, faster or slower service tiers, surcharges of regions, what tools of the provider's (such as web search) cost beside
    tokens, and prices of sound and pictures.
    """

    _state = State({})
    _lock = threading.Lock()

    @classmethod
    def renew(cls) -> None:
        cls._lock = threading.Lock()

    @classmethod
    def get_capabilities(cls, provider: str | Provider, model: str) -> LLMCapabilities:
        """
        Return what *model* at *provider* can do; what is not known is None.

        Raises:
            ConfigurationError: If there is no such provider.
        """
        found = _provider(provider)
        return _completed(cls._state.entry(found, model).capabilities, found, model)

    @classmethod
    def get_price(cls, provider: str | Provider, model: str, *, at: float | None = None) -> Price | None:
        """
        Return what *model* at *provider* costs, None where that is not known: of your own servers, it never is.

        Args:
            provider: The provider, or its name.
            model: The model, by any of its names.
            at: When, as a Unix time, since some prices change with the hour and some changes are announced; now, unless said.

        Raises:
            ConfigurationError: If there is no such provider.
        """
        tariff = cls._state.entry(_provider(provider), model).tariff
        return None if tariff is None else tariff.at(time.time() if at is None else at)

    @classmethod
    def register(
        cls,
        provider: str | Provider,
        model: str,
        *,
        price: Price | None = None,
        facts: ModelFacts | None = None,
        **capabilities: bool | int | None,
    ) -> None:
        """
        Let what is given hold for *model* at *provider*, for the rest of the process; what is not given stays as it is known.

        Args:
            provider: The provider, or its name.
            model: The model's name; other spellings of it count too.
            price: Your price.
            facts: How the model is to be asked; this holds at all providers, and for clients made from now on.
            **capabilities: Fields of ``LLMCapabilities``. Where a wire demands a length, ``max_tokens`` is what is said.

        Raises:
            ConfigurationError: If something is not what it must be, or there is no such provider.
        """
        _check(model, price, facts, capabilities)
        keys = (_provider(provider).name, key_of(model))
        with cls._lock:
            before = cls._state.registered
            old = before.get(keys, Registration(said={}))
            new = Registration(said={**old.said, **capabilities}, price=price or old.price)
            cls._state = State({**before, keys: new})
        if facts is not None:
            register_facts(f"^{re.escape(model.lower().rpartition('/')[2])}$", facts)

    @classmethod
    def models(cls, provider: str | Provider) -> list[str]:
        """Return the names of the models that the catalogue has of *provider*. The provider itself knows better: ``client.models()``."""
        return [name for catalogue in _provider(provider).catalogue for name in table.names(catalogue)]

    @classmethod
    def date(cls) -> str:
        """Return the day of the data, as ISO 8601 writes it."""
        day: str = table.index()["date"]
        return day


renewed_in_child(ModelRegistry)


def registered() -> Mapping[tuple[str, str], Registration]:
    """Return what was registered in this process of abilities, limits and prices, to be told to another."""
    return ModelRegistry._state.registered


def register_all(told: Mapping[tuple[str, str], Registration]) -> None:
    """Let what was registered in another process hold in this one, too."""
    with ModelRegistry._lock:
        known = ModelRegistry._state.registered
        if any(known.get(keys) != registration for keys, registration in told.items()):
            ModelRegistry._state = State({**known, **told})


def cost_of(provider: Provider, usage: Usage, *models: str, batch: bool = False) -> Decimal | None:
    """
    Return what *usage* costs now, by the first of *models*, names of one model, whose price is known; None where none is.

    *batch* asks for the price in the provider's own batches.
    """
    if not usage.reported:
        return None
    state = ModelRegistry._state
    for model in models:
        tariff = state.entry(provider, model).tariff if model else None
        if tariff is not None:
            price = tariff.at(time.time())
            return price_of(usage, price.batch if batch else price)
    return None


def facts_at(provider: Provider, model: str) -> ModelFacts:
    """Return the rules of *model*, with the length that was registered for it at *provider*."""
    facts = facts_of(model)
    own = ModelRegistry._state.registration(provider, model)
    longest = None if own is None else own.said.get("max_tokens")
    return facts if longest is None else evolve(facts, max_output_tokens=longest)


def maker_of(model: str) -> str | None:
    """Return the provider whose model the bare name *model* is; None where that is not known."""
    found: str | None = owner_of(model) or table.index()["makers"].get(model.lower())
    return found


def _provider(provider: str | Provider) -> Provider:
    return provider if isinstance(provider, Provider) else find_provider(provider)


def _completed(capabilities: LLMCapabilities, provider: Provider, model: str) -> LLMCapabilities:
    """Return *capabilities* with what is known of the model wherever it runs."""
    facts = facts_of(model)
    more: dict[str, Any] = {"max_tokens": facts.max_output_tokens}
    if None in [getattr(capabilities, name) for name in ABILITIES]:
        elsewhere = _at_its_maker(provider, model).capabilities
        more.update({name: getattr(elsewhere, name) for name in ABILITIES})
    if more.get("supports_reasoning") is None and facts.thinking is not None:
        more["supports_reasoning"] = facts.thinking != "none"
    unknown = {name: value for name, value in more.items() if value is not None and getattr(capabilities, name) is None}
    return evolve(capabilities, **unknown) if unknown else capabilities


def _at_its_maker(provider: Provider, model: str) -> Entry:
    named, rest = split_model(model)
    maker = named or owner_of(rest.rpartition("/")[2])
    return UNKNOWN if maker is None or maker == provider.name else table.find(find_provider(maker).catalogue, rest)


def _check(model: object, price: object, facts: object, capabilities: Mapping[str, Any]) -> None:
    if not isinstance(model, str) or not model:
        msg = f"A model has a name, which {model!r} is not."
        raise ConfigurationError(msg)
    if price is not None and not isinstance(price, Price):
        msg = f"price is a Price, such as Price(input='2.50', output='10'), not {price!r}."
        raise ConfigurationError(msg)
    if facts is not None and not isinstance(facts, ModelFacts):
        msg = f"facts is a ModelFacts, not {facts!r}."
        raise ConfigurationError(msg)
    for name, value in capabilities.items():
        if name not in ABILITIES and name not in LIMITS:
            msg = f"A model has no capability {name!r}. There are {', '.join((*ABILITIES, *LIMITS))}."
            raise ConfigurationError(msg)
        fits = isinstance(value, bool) if name in ABILITIES else isinstance(value, int) and not isinstance(value, bool) and value > 0
        if value is not None and not fits:
            what = "True, False or None" if name in ABILITIES else "a whole number of at least 1, or None"
            msg = f"{name} is {what}, not {value!r}."
            raise ConfigurationError(msg)
