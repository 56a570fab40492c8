"""
Embeddings at Amazon Bedrock: InvokeModel with the models of Amazon and Cohere, each with a body of its own.

Source: AWS, "Amazon Bedrock user guide", inference parameters of Titan, Nova and Cohere's embedding models; recorded traffic; read
2026-11-21.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping
from typing import Any

from llmkit.testing.replies import RecordedRequest, Reply
from llmkit.testing.wires.base import Rendered, Route, Wire, json_bytes
from llmkit.testing.wires.bedrock import WIRE as BEDROCK
from llmkit.testing.wires.bedrock_checks import check_access, check_model, model_in, refuse
from llmkit.testing.wires.openai_chat import vector
from llmkit.testing.wires.openai_checks import mapping

__all__ = ["WIRE"]

_DIMENSIONS = 8
_MOST_TEXTS = 96
_INPUT_TYPES = frozenset({"search_document", "search_query", "classification", "clustering"})
_PURPOSES = frozenset({"GENERIC_INDEX", "GENERIC_RETRIEVAL", "TEXT_RETRIEVAL", "CLASSIFICATION", "CLUSTERING"})
_numbers = itertools.count(1)

# By what an id shows its maker: the fields of its body, those that it demands first.
_FIELDS: Mapping[str, tuple[frozenset[str], frozenset[str]]] = {
    "titan": (frozenset({"inputText"}), frozenset({"dimensions", "normalize", "embeddingTypes"})),
    "cohere": (frozenset({"texts", "input_type"}), frozenset({"truncate", "output_dimension", "embedding_types", "max_tokens"})),
    "nova": (frozenset({"taskType", "singleEmbeddingParams"}), frozenset({"schemaVersion"})),
}


def _body(request: RecordedRequest) -> dict[str, Any]:
    try:
        return mapping(request.json)
    except ValueError:
        return {}


def _maker(request: RecordedRequest) -> str:
    model = model_in(request)
    return next((maker for maker in _FIELDS if maker in model), "")


def _nova_params(body: Mapping[str, Any]) -> dict[str, Any]:
    return mapping(body.get("singleEmbeddingParams"))


def _texts(request: RecordedRequest) -> list[Any]:
    body, maker = _body(request), _maker(request)
    if maker == "titan":
        return [body.get("inputText")]
    if maker == "nova":
        return [mapping(_nova_params(body).get("text")).get("value")]
    texts = body.get("texts")
    return texts if isinstance(texts, list) else []


def check_embedding(request: RecordedRequest) -> Reply | None:
    """Return the refusal of a request for embeddings, or None."""
    refusal = check_access(request) or check_model(model_in(request))
    if refusal is not None:
        return refusal
    maker, body = _maker(request), _body(request)
    if not maker:
        return refuse("The provided model identifier is invalid.")
    demanded, allowed = _FIELDS[maker]
    for name in sorted(demanded - body.keys()):
        return refuse(f"Malformed input request: #: required key [{name}] not found, please reformat your input and try again.")
    for name in sorted(body.keys() - demanded - allowed):
        return refuse(f"Malformed input request: #: extraneous key [{name}] is not permitted, please reformat your input and try again.")
    texts = _texts(request)
    if not 1 <= len(texts) <= _MOST_TEXTS or not all(isinstance(text, str) and text for text in texts):
        return refuse("Malformed input request: expected minLength: 1, please reformat your input and try again.")
    return _check_purpose(maker, body)


def _check_purpose(maker: str, body: Mapping[str, Any]) -> Reply | None:
    if maker == "cohere" and body["input_type"] not in _INPUT_TYPES:
        return refuse(f"Malformed input request: #/input_type: {body['input_type']} is not a valid enum value.")
    if maker == "nova" and _nova_params(body).get("embeddingPurpose") not in _PURPOSES:
        return refuse("Malformed input request: #/singleEmbeddingParams/embeddingPurpose: not a valid enum value.")
    return None


def render_embedding(request: RecordedRequest, reply: Reply) -> Rendered:
    """Return a vector for each text, in the form of the model's maker."""
    body, texts = _body(request), _texts(request)
    asked = body.get("dimensions") or body.get("output_dimension") or _nova_params(body).get("embeddingDimension") or _DIMENSIONS
    vectors = [vector(text, asked) for text in texts]
    tokens = sum(str(text).count(" ") + 1 for text in texts)
    data: dict[str, Any] = {"embeddings": {"float": vectors}, "id": f"fake{next(_numbers):08d}", "response_type": "embeddings_by_type"}
    if _maker(request) == "titan":
        data = {"embedding": vectors[0], "inputTextTokenCount": tokens}
    elif _maker(request) == "nova":
        data = {"embeddings": [{"embeddingType": "TEXT", "embedding": one} for one in vectors]}
    elif "v3" in model_in(request):
        data = {"embeddings": vectors, "id": data["id"], "response_type": "embeddings_floats", "texts": texts}
    headers = {
        "x-amzn-requestid": reply.request_id or f"00000000-0000-4000-8000-{next(_numbers):012d}",
        "x-amzn-bedrock-input-token-count": str(tokens),
    }
    return Rendered(status=reply.status, headers=headers, body=(json_bytes(data if reply.raw is None else reply.raw),))


WIRE = Wire(
    routes=(Route(method="POST", path=re.compile(r"/model/[^/]*embed[^/]*/invoke"), check=check_embedding, render=render_embedding),),
    render_error=BEDROCK.render_error,
    unauthorized=BEDROCK.unauthorized,
    providers=BEDROCK.providers,
)
