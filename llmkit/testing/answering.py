"""What is answered to a request: a refusal that the provider would send, what is scripted, or what the provider would say."""

from __future__ import annotations

from collections.abc import Callable

from llmkit.testing import wires
from llmkit.testing.replies import RecordedRequest, Reply, Script
from llmkit.testing.wires.base import Rendered

__all__ = ["GOOD", "answer"]

GOOD = Reply()


def answer(
    request: RecordedRequest,
    take: Callable[[RecordedRequest], Script | None],
    *,
    strict: bool,
    is_known: Callable[[RecordedRequest], bool] = lambda request: True,
) -> tuple[Rendered, Reply]:
    """
    Return the answer to *request*, and the reply that it was made from.

    Args:
        take: Returns what is scripted, and uses it up; None where nothing is.
        strict: Whether a request that the provider would refuse is refused, and nothing taken.
        is_known: Whether the key of a request is accepted.
    """
    found = wires.find(request.provider, request.method, request.endpoint)
    route = found.route
    refusal = None
    if not is_known(request):
        refusal = found.wire.unauthorized(request)
    elif route is not None and strict:
        refusal = route.check(request)
    if refusal is not None:
        return found.wire.render_error(request, refusal), refusal
    script = take(request)
    reply = script(request) if callable(script) else script
    if isinstance(reply, str):
        reply = Reply(reply)
    if reply is None and route is not None:
        reply = (None if strict else route.check(request)) or GOOD
    elif reply is None:
        reply = found.missing(request)
    if reply.fails:
        return found.wire.render_error(request, reply), reply
    return (route or found.wire.routes[0]).render(request, reply), reply
