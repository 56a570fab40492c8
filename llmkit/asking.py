"""A request as the user says it, checked against the endpoint that it goes to: what cannot be said there is refused, or dropped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from attrs import evolve

from llmkit.abilities import check_abilities
from llmkit.errors import UnsupportedParameterError
from llmkit.models.request import CompletionRequest, make_request

if TYPE_CHECKING:
    from llmkit.endpoints import Endpoint
    from llmkit.settings import Settings

__all__ = ["checked_request", "unsupported"]


def checked_request(
    endpoint: Endpoint, settings: Settings, messages: Any, *, stream: bool, parameters: Mapping[str, Any]
) -> tuple[CompletionRequest, list[str]]:
    """
    Return the request for *endpoint*, and the names of what was dropped from it because the client was told to.

    Raises:
        ConfigurationError: If something said is wrong.
        UnsupportedParameterError: If the provider or the model does not know a parameter, and nothing is to be dropped.
    """
    if not endpoint.provider.completes:
        msg = f"{endpoint.provider.name} has embeddings only: call embed()."
        raise UnsupportedParameterError(msg, "messages", endpoint.provider.name)
    said = {**settings.defaults, **parameters} if settings.defaults else parameters
    request = make_request(messages, model=endpoint.model, stream=stream, facts=endpoint.facts, **said)
    if endpoint.said:
        check_abilities(request, endpoint.said, endpoint.provider.name)
    beyond = said.keys() - endpoint.parameters - {"system"}
    unknown = sorted(name for name in beyond if getattr(request, name) not in (None, ()))
    if not settings.drop_params:
        if not unknown:
            return request, []
        who = endpoint.provider.name if unknown[0] not in endpoint.facts.refuses else endpoint.label
        raise unsupported(endpoint.provider.name, unknown, who)
    return _without_unsayable(_without(request, unknown), unknown, endpoint)


def _without(request: CompletionRequest, names: Sequence[str]) -> CompletionRequest:
    nothing: dict[str, Any] = {name: () if name == "tools" else None for name in names}
    return evolve(request, **nothing)


def _without_unsayable(request: CompletionRequest, dropped: list[str], endpoint: Endpoint) -> tuple[CompletionRequest, list[str]]:
    """Return *request* without the values that its wire cannot say either, and all that was *dropped*."""
    while True:
        try:
            endpoint.dialect.encode(request, endpoint.place)
        except UnsupportedParameterError as error:
            if error.parameter in dropped or getattr(request, error.parameter, None) in (None, ()):
                raise
            dropped = [*dropped, error.parameter]
            request = _without(request, [error.parameter])
        else:
            return request, dropped


def unsupported(provider: str, unknown: list[str], who: str) -> UnsupportedParameterError:
    """Return the error that *who* does not take the parameters *unknown*."""
    msg = (
        f"{who} does not take {', '.join(unknown)}. Leave it out, say it in the provider's own words with "
        "extra_body=, or make the client with drop_params=True."
    )
    return UnsupportedParameterError(msg, unknown[0], provider)
