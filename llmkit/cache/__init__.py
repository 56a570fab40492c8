"""Answers kept, so that the same question is not paid for twice: what counts as the same, where they lie, who asks for whom."""
