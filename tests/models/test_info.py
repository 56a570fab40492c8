"""What can be learned without asking a model."""

from __future__ import annotations

from llmkit.models.info import Explanation, ModelInfo


def test_models_are_equal_by_what_is_known_of_them() -> None:
    """The provider's own row is neither compared nor shown."""
    assert ModelInfo(id="a", raw={"x": "canary"}) == ModelInfo(id="a")
    assert "canary" not in repr(ModelInfo(id="a", raw={"x": "canary"}))


def test_an_explanation_reads_like_the_request() -> None:
    """First line, headers, body, and then why."""
    shown = str(
        Explanation(
            provider="openai",
            model="m",
            method="POST",
            url="https://h/v1",
            headers={"Authorization": "***"},
            body={"é": 1},
            reasons=("It was asked for.",),
        )
    )

    assert ["POST https://h/v1", "Authorization: ***", "", "{", '  "é": 1', "}", "", "- It was asked for."] == shown.split("\n")
