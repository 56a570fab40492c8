"""What a user has to show who one is, from which a provider that knows several ways chooses one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

from attrs import field

from llmkit.auth.base import Auth
from llmkit.transport.settings import TransportSettings
from llmkit.values import frozen

__all__ = ["Access", "Means"]


@frozen(kw_only=True)
class Means:
    """
    What there is to show who one is.

    Args:
        options: As the user gave them, completed from the environment; some may be secret.
        given: The names of those that the user gave.
        keyed: Whether the user gave a key.
        key_at_hand: Whether a variable of ``key_env`` is set.
        transport: How connections are made, for those that fetch a token.
    """

    options: Mapping[str, Any] = field(factory=dict, repr=False)
    given: frozenset[str] = frozenset()
    keyed: bool = False
    key_at_hand: bool = False
    transport: TransportSettings = field(factory=TransportSettings, repr=False)

    def of(self, names: Iterable[str]) -> frozenset[str]:
        """Return those of *names* that the user gave."""
        return self.given & frozenset(names)

    def without(self, *names: str) -> dict[str, str]:
        """Return the options but for *names*, which are secret or of no use any more."""
        return {name: value for name, value in self.options.items() if name not in names}


Access: TypeAlias = Callable[[Means], tuple[dict[str, str], Auth | None]]
"""
Decides how one shows who one is: returns the options in force, none of them secret, and the way to send the credential; None where that
is the provider's own, a key. Raises ``ConfigurationError`` if something is missing, or contradicts something else.
"""
