"""The result of a batch."""

from __future__ import annotations

import pickle
from decimal import Decimal

import pytest

from llmkit import BatchError, BatchItem, BatchResult, CompletionResponse, QuotaExceededError, Usage, assistant
from llmkit.errors import InternalError

YES = CompletionResponse(message=assistant("yes"), usage=Usage(input_tokens=3, output_tokens=1), cost=Decimal("0.25"))
UNPRICED = CompletionResponse(message=assistant("yes"), usage=Usage(input_tokens=3, output_tokens=1))


def test_a_result_is_a_sequence_of_its_items() -> None:
    """With what other sequences can."""
    items = [BatchItem(0, YES), BatchItem(1, None, InternalError("down"))]

    result = BatchResult(items)

    assert (2, items[1], tuple(items), True) == (len(result), result[-1], result[:], items[0] in result)
    assert ([YES, None], [None, items[1].error]) == (result.responses, result.errors)
    assert (1, 1) == (result.succeeded, result.failed)
    assert "BatchResult(1 succeeded, 1 failed)" == repr(result)


@pytest.mark.parametrize(
    ("responses", "cost"),
    [([], Decimal(0)), ([YES, YES], Decimal("0.50")), ([YES, UNPRICED], Decimal("0.25")), ([UNPRICED], None)],
)
def test_the_cost_is_of_those_whose_price_is_known(responses: list[CompletionResponse], cost: Decimal | None) -> None:
    """And None where none is."""
    result = BatchResult(BatchItem(index, response) for index, response in enumerate(responses))

    assert cost == result.cost
    assert 4 * len(responses) == result.usage.total_tokens


def test_nothing_is_raised_where_nothing_failed() -> None:
    """But what stopped a batch that nobody can tell the length of."""
    BatchResult([BatchItem(0, YES)]).raise_for_errors()

    with pytest.raises(QuotaExceededError):
        BatchResult([BatchItem(0, YES)], QuotaExceededError("empty")).raise_for_errors()


def test_an_error_of_a_batch_travels() -> None:
    """With the errors of its items."""
    with pytest.raises(BatchError) as caught:
        BatchResult([BatchItem(4, None, InternalError("down"))]).raise_for_errors()

    arrived = pickle.loads(pickle.dumps(caught.value))

    assert {"4": InternalError("down").to_dict()} == arrived.to_dict()["errors"]
