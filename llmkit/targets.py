"""A further place where a call may be answered: what is written in a list of models, or in ``fallbacks=``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from attrs import field

from llmkit.errors import ConfigurationError
from llmkit.kinds import KINDS
from llmkit.providers import Provider, as_row
from llmkit.resilience.checks import number
from llmkit.resilience.keys import APIKeyPool
from llmkit.values import frozen

__all__ = ["Target", "as_targets"]


def _kinds(values: Iterable[str]) -> frozenset[str]:
    return frozenset({values} if isinstance(values, str) else values)


@frozen(kw_only=True, eq=False)
class Target:
    """
    A model, and where it is served if not where its name says.

    A plain name is as good as ``Target("name")``. What is left out is the provider's own or the client's: a target never gets the key
    of another provider.

    Args:
        model: As in ``Client(model)``.
        weight: Its share of the calls under ``strategy="weighted"``.
        on: Kinds of failure (``error.kind``) after which it is asked, beside those after which a fallback is asked anyway; for example
            ``"content_filter"``, which by itself moves no request elsewhere, or ``"context_length"``, which moves it only to models
            whose window is known to be larger.

    Raises:
        ConfigurationError: If a value is out of range; it names the field.
    """

    model: str | None = field(default=None, kw_only=False)
    provider: str | Provider | None = field(default=None, converter=as_row)
    api_key: str | None = field(default=None, repr=False)
    api_keys: Sequence[str] | APIKeyPool | None = field(default=None, repr=False)
    auth: str | Callable[[], Mapping[str, str]] | bool | None = field(default=None, repr=False)
    base_url: str | None = None
    options: Mapping[str, Any] | None = field(default=None, repr=False)
    weight: float = 1.0
    on: frozenset[str] = field(default=frozenset(), converter=_kinds)

    def __attrs_post_init__(self) -> None:
        number("weight", self.weight, above=0.0)
        unknown = sorted(self.on - KINDS.keys())
        if unknown:
            msg = f"on= has no kind of failure {unknown[0]!r}; the kinds are {', '.join(sorted(KINDS))}."
            raise ConfigurationError(msg)
        if self.model is None and self.provider is None and self.base_url is None:
            msg = "A target names a model, a provider or a base_url."
            raise ConfigurationError(msg)

    @property
    def own(self) -> dict[str, Any]:
        """What it says of where it is served, by the names of the client's arguments."""
        given = {name: getattr(self, name) for name in _OWN}
        return {name: value for name, value in given.items() if value is not None}


_OWN = ("provider", "api_key", "api_keys", "auth", "base_url", "options")


def as_targets(name: str, given: object) -> tuple[Target, ...]:
    """
    Return *given*, the value of the argument *name*, as targets: a model's name, a ``Target``, or a sequence of those.

    Raises:
        ConfigurationError: If it is something else.
    """
    if isinstance(given, str):
        return (Target(given),)
    if isinstance(given, Target):
        return (given,)
    if not isinstance(given, Iterable) or isinstance(given, (bytes, Mapping)):
        msg = f"{name} is a model's name, a Target, or a list of those, not {type(given).__name__}."
        raise ConfigurationError(msg)
    return tuple(_one(name, each) for each in given)


def _one(name: str, given: object) -> Target:
    if isinstance(given, Target):
        return given
    if isinstance(given, str) and given:
        return Target(given)
    if isinstance(given, Mapping):
        unknown = sorted(set(given) - {"model", "weight", "on", *_OWN})
        if unknown:
            msg = f"{name} has a target with {unknown[0]!r}, which is not known; known are {', '.join(('model', 'weight', 'on', *_OWN))}."
            raise ConfigurationError(msg)
        return Target(**given)
    msg = f"{name} holds models' names and Targets, not {type(given).__name__}."
    raise ConfigurationError(msg)
