"""What can be learned of models and endpoints without asking a model anything."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from attrs import field, frozen

from llmkit.models.ledger import Attempt

__all__ = ["Explanation", "HealthReport", "LLMCapabilities", "ModelInfo"]


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
class LLMCapabilities:
    """
    What a model can do.

    None is "not known", which is not "no", and which ``if`` takes for no: a model that nobody knows is taken to stream and to have
    system messages, as every wire has, and of all else nothing is promised.

    Args:
        supports_tools: Whether it calls tools.
        supports_vision: Whether it sees pictures.
        supports_streaming: Whether its answers come in pieces.
        supports_json_mode: Whether it can be held to JSON, or to a schema.
        supports_system_message: Whether it takes instructions apart from the conversation.
        supports_reasoning: Whether it thinks before it answers.
        max_tokens: The most that it can write, in tokens.
        context_window: The most that it can read and write, in tokens.
    """

    supports_tools: bool | None = None
    supports_vision: bool | None = None
    supports_streaming: bool | None = True
    supports_json_mode: bool | None = None
    supports_system_message: bool | None = True
    supports_reasoning: bool | None = None
    max_tokens: int | None = None
    context_window: int | None = None


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
