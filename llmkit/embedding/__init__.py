"""Texts as vectors, any number of them: ``work`` decides, ``threads`` and, in the twin, ``llmkit_async.embedding`` carry it out."""
