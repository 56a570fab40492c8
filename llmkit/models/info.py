"""What can be learned of models and endpoints without asking a model anything."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from attrs import field

from llmkit.models.ledger import Attempt
from llmkit.values import frozen

__all__ = ["Explanation", "HealthReport", "ModelInfo"]


@frozen(kw_only=True)
class ModelInfo:
    """A model that a provider lists. ``created`` is a Unix time; ``raw`` the provider's own row."""

    id: str
    provider: str = ""
    owned_by: str | None = None
    created: int | None = None
    context_window: int | None = None
    raw: Mapping[str, Any] = field(factory=dict, repr=False, eq=False)


@frozen(kw_only=True)
class HealthReport:
    """
    Whether an endpoint answers, and how it stands.

    ``latency`` is seconds for the probe; ``error`` the text of what failed; ``breaker`` the circuit's state; ``keys`` the state of
    each key by label.
    """

    ok: bool
    provider: str
    model: str
    endpoint: str
    latency: float
    error: str | None = None
    kind: str | None = None
    breaker: str = "closed"
    keys: Mapping[str, str] = field(factory=dict)
    attempts: tuple[Attempt, ...] = ()


@frozen(kw_only=True)
class Explanation:
    """
    What a call would send, and why there: nothing was sent to make this.

    ``headers`` has credentials masked; ``body`` is the decoded JSON; ``key`` a label; ``reasons`` says in sentences how provider,
    model, address and key were found; ``dropped`` which parameters were left out because the client was told to.
    ``estimated_input_tokens`` is what the request comes to, ``estimated_output_tokens`` what may come back (``max_tokens``, or what is
    usual), ``estimated_cost`` both in US dollars, None where the price is unknown.
    """

    provider: str
    model: str
    method: str
    url: str
    headers: Mapping[str, str]
    body: Any
    key: str | None = None
    reasons: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()
    estimated_input_tokens: int = 0
    estimated_output_tokens: int = 0
    estimated_cost: Decimal | None = None

    def __str__(self) -> str:
        import json

        head = [f"{self.method} {self.url}", *(f"{name}: {value}" for name, value in self.headers.items())]
        body = json.dumps(self.body, indent=2, ensure_ascii=False)
        return "\n".join([*head, "", body, "", *(f"- {reason}" for reason in self.reasons)])
