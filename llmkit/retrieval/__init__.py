"""
Texts, found again by what they mean: embedded, kept in a store of vectors, searched. ``pip install 'llmkit[retrieval]'`` brings Qdrant.

``retriever`` is the face; ``desk`` decides for it and for its twin, ``llmkit_async.retrieval``; ``store`` says what a store is.
"""

from __future__ import annotations

from llmkit.errors import RetrieverError
from llmkit.retrieval.memory import MemoryStore
from llmkit.retrieval.qdrant import QdrantStore
from llmkit.retrieval.records import Added, Hit, Record
from llmkit.retrieval.retriever import Retriever
from llmkit.retrieval.splitting import split
from llmkit.retrieval.store import AsyncVectorStore, VectorStore

__all__ = [
    "Added",
    "AsyncVectorStore",
    "Hit",
    "MemoryStore",
    "QdrantStore",
    "Record",
    "Retriever",
    "RetrieverError",
    "VectorStore",
    "split",
]
