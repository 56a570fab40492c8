"""What a user says that the model can do, where that is not known or known wrongly: for one client, and its own model only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import asdict, evolve, has

from llmkit.errors import ConfigurationError, UnsupportedParameterError
from llmkit.models.content import Image
from llmkit.models.facts import ModelFacts
from llmkit.models.request import CompletionRequest
from llmkit.resilience.checks import flag, whole
from llmkit.spelling import refuse_unknown

__all__ = ["as_capabilities", "check_abilities", "facts_with"]

# Which parameters of a request each ability is needed for; and those that show in its messages, or in how it is sent.
PARAMETERS: Mapping[str, tuple[str, ...]] = {
    "supports_tools": ("tools", "tool_choice", "parallel_tool_calls"),
    "supports_json_mode": ("response_format",),
    "supports_reasoning": ("reasoning",),
}
OTHERS = ("supports_vision", "supports_streaming", "supports_system_message")
LIMITS = ("max_tokens", "context_window")


def as_capabilities(value: Any) -> Any:
    """
    Return *value*, a dict or an ``LLMCapabilities``, as a dict of what is said in it.

    Raises:
        ConfigurationError: If a name is unknown, or a value is not what it must be; it names the field.
    """
    if value is None:
        return None
    if not isinstance(value, Mapping):
        if not has(type(value)):
            msg = f"capabilities is a dict or an LLMCapabilities, not {type(value).__name__}."
            raise ConfigurationError(msg)
        value = asdict(value, recurse=False)
    refuse_unknown(value, (*PARAMETERS, *OTHERS, *LIMITS), path="capabilities")
    said = {name: given for name, given in value.items() if given is not None}
    for name, given in said.items():
        if name in LIMITS:
            whole(f"capabilities.{name}", given, least=1)
        else:
            flag(f"capabilities.{name}", given)
    return said


def facts_with(facts: ModelFacts, said: Mapping[str, Any] | None) -> ModelFacts:
    """Return *facts* with what is *said* of the model."""
    if not said:
        return facts
    can = {parameter for name, parameters in PARAMETERS.items() if said.get(name) is True for parameter in parameters}
    cannot = {parameter for name, parameters in PARAMETERS.items() if said.get(name) is False for parameter in parameters}
    longest = said.get("max_tokens", facts.max_output_tokens)
    return evolve(facts, refuses=(facts.refuses - can) | cannot, max_output_tokens=longest)


def check_abilities(request: CompletionRequest, said: Mapping[str, Any], provider: str) -> None:
    """
    Refuse what the model cannot do and no parameter shows.

    Raises:
        UnsupportedParameterError: Naming the ability.
    """
    asked = {
        "supports_streaming": request.stream,
        "supports_system_message": any(message.role == "system" for message in request.messages),
        "supports_vision": any(isinstance(part, Image) for message in request.messages for part in message.content),
    }
    for name, needed in asked.items():
        if needed and said.get(name) is False:
            msg = f"{provider}/{request.model} was said not to do this: capabilities has {name}=False."
            raise UnsupportedParameterError(msg, name, provider)
