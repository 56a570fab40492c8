"""How many tokens a request is: asked of its provider where that counts, else worked out here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

from llmkit.errors import LLMKitError, ProviderError
from llmkit.models.usage import TokenCount

if TYPE_CHECKING:
    from llmkit.call import Call
    from llmkit.models.request import CompletionRequest

__all__ = ["Counting", "counted"]

NO_SUCH_PATH = frozenset({404, 405, 501})


@frozen(kw_only=True)
class Counting:
    """
    One question.

    ``call`` asks the provider, where it answers such questions; ``not_counted`` is what it says of a model of which it does not.
    """

    request: CompletionRequest
    call: Call[TokenCount] | None
    not_counted: str = ""

    def estimate(self) -> TokenCount:
        """Return the number as it is worked out here, text by text with the model's own tokenizer where that is at hand."""
        from llmkit.catalogue.bpe import tokenizer_at_hand
        from llmkit.catalogue.tokens import estimate_request

        found = tokenizer_at_hand(self.request.model)
        if found is None:
            return TokenCount(estimate_request(self.request))
        name, count = found
        return TokenCount(estimate_request(self.request, count), source=name)

    def lacks(self, error: LLMKitError) -> bool:
        """Whether *error* says that the server, which may be another behind the provider's name, does not count this model's tokens."""
        if not isinstance(error, ProviderError):
            return False
        if self.not_counted and self.not_counted in error.message:
            return True
        if error.status_code not in NO_SUCH_PATH:
            return False
        # A model that is missing is named, a path is not missed by naming the model.
        return self.request.model not in error.message


def counted(number: TokenCount, call: Call[TokenCount]) -> TokenCount:
    """Return *number* with who counted it."""
    return TokenCount(number, estimated=False, source=call.endpoint.provider.name)
