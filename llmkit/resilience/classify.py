"""
What kind of failure a provider's refusal is, and what follows from its kind.

Rule 1: ``ROWS`` is read from the top, and the first row that fits decides. What a provider says by name stands above what its status
        says, because the same status means different things: a 429 is a rate limit, an empty account or a crowded engine.
Rule 2: ``RULES`` says what each kind means for the same target, its key, the fallbacks and the breaker; a row that is an exception to
        its kind carries its own rule.
Rule 3: a marker found in the message counts only under the statuses of its row: a message may quote the user.

Sources: the API references of OpenAI, Anthropic, Google, AWS, Cohere, Groq, Mistral, OpenRouter, Z.ai, MiniMax, Volcengine Ark, Baidu
and SiliconFlow, and the sources of vLLM, TGI, llama.cpp, Ollama, FastChat and LiteLLM, read 2026-11-21.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

if TYPE_CHECKING:
    from llmkit.models.fault import Fault

__all__ = ["ROWS", "RULES", "Row", "Rule", "classify", "is_expired", "rule_for"]

TEXT_LIMIT = 8192  # characters of a message that are searched for markers


class Rule(NamedTuple):
    """What a kind of failure means for what comes next."""

    again: Literal["yes", "once", "no"]  # whether the same target may be asked again
    key: Literal["none", "cool", "eject_auth", "eject_quota", "eject_model"] = "none"
    fallback: bool = True
    breaker: Literal["failure", "neutral", "success"] = "failure"
    billed: bool = False  # whether the provider may charge for it all the same
    yields: bool = False  # whether a fallback, where there is one, is better than the same target again


RULES: Mapping[str, Rule] = {
    # No reply, or none that could be read.
    "connect": Rule("yes"),
    "connect_timeout": Rule("yes"),
    "dns": Rule("yes"),
    "tls": Rule("no"),
    "proxy": Rule("no", fallback=False, breaker="neutral"),
    "connection_lost": Rule("yes", billed=True),
    "read_timeout": Rule("yes", billed=True),
    "idle_timeout": Rule("yes", billed=True),
    "protocol": Rule("yes"),
    "truncated": Rule("yes", billed=True),
    "malformed": Rule("yes", billed=True),
    "response_too_large": Rule("no", fallback=False, breaker="neutral", billed=True),
    "redirect": Rule("no", fallback=False, breaker="neutral"),
    # The provider refused.
    "quota": Rule("no", key="eject_quota", breaker="neutral"),
    "auth": Rule("no", key="eject_auth", breaker="neutral"),
    "permission": Rule("no", key="eject_model", breaker="neutral"),
    "context_length": Rule("no", breaker="neutral"),  # its fallback must have a larger window
    "content_filter": Rule("no", fallback=False, breaker="neutral"),
    "bad_request": Rule("no", fallback=False, breaker="neutral"),
    "not_found": Rule("no", breaker="neutral"),
    "request_too_large": Rule("no", breaker="neutral"),
    "rate_limit": Rule("yes", key="cool", breaker="neutral"),
    # The provider failed.
    "timeout": Rule("yes", billed=True),
    "conflict": Rule("yes", fallback=False, breaker="neutral"),
    "overloaded": Rule("yes", yields=True),
    "server": Rule("yes"),
    # Nothing was sent, or it is nobody's fault.
    "circuit_open": Rule("no", breaker="neutral"),
    "no_key": Rule("no", breaker="neutral"),
    "limiter": Rule("no", breaker="neutral"),
    "deadline": Rule("no", fallback=False, breaker="neutral"),
    "config": Rule("no", fallback=False, breaker="neutral"),
    "unsupported": Rule("no", fallback=False, breaker="neutral"),
    "budget": Rule("no", fallback=False, breaker="neutral"),
    "structured_output": Rule("no", fallback=False, breaker="neutral"),
    "tool": Rule("no", fallback=False, breaker="neutral"),
    "tool_loop": Rule("no", fallback=False, breaker="neutral"),
    "shared": Rule("no", fallback=False, breaker="neutral"),
    "batch": Rule("no", fallback=False, breaker="neutral"),
    "checkpoint": Rule("no", fallback=False, breaker="neutral"),
    "store": Rule("no", fallback=False, breaker="neutral"),
    "cancelled": Rule("no", fallback=False, breaker="neutral"),
    "bug": Rule("no", fallback=False, breaker="neutral"),
    "unknown": Rule("no", fallback=False, breaker="neutral"),
}

# The caller's own fault, or the account's: a provider's ``x-should-retry: true`` does not make them worth a second try.
_FINAL = frozenset({"auth", "permission", "context_length", "content_filter", "bad_request", "not_found", "request_too_large"})


class Row(NamedTuple):
    """
    One line of the table: it fits if the status is among *statuses* (empty: any) and a marker is found, where it has markers.

    ``words`` are compared with the codes and types of the error, whole and in lower case; ``parts`` are looked for inside them,
    ``texts`` inside the message.
    """

    kind: str
    statuses: tuple[int, ...] | range = ()
    words: frozenset[str] = frozenset()
    parts: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    rule: Rule | None = None

    @property
    def is_named(self) -> bool:
        """Whether it asks for more than a status."""
        return bool(self.words or self.parts or self.texts)


def _words(names: str) -> frozenset[str]:
    return frozenset(names.split())


# What hits every key alike must not empty the pool.
_FOR_ALL_KEYS = RULES["permission"]._replace(key="none")

# A model that is still being loaded says nothing about the health of its endpoint.
_LOADING = RULES["overloaded"]._replace(breaker="neutral")

ROWS: tuple[Row, ...] = (
    # Money. A quotaId of Google's QuotaFailure tells a day's limit from a minute's; the sentence and the status are the same.
    Row("quota", parts=("perday",)),
    Row(
        "quota",
        statuses=(200, 400, 402, 403, 429),
        texts=(
            "credit balance",
            "credit_balance",
            "insufficient balance",
            "insufficient_balance",
            "spend_limit",
            "spending limit",  # xAI, 403 and 429
            "run out of credits",  # xAI, 403
            "credits are depleted",  # Google, 429
            "api usage limits",  # Anthropic, 400: the limit which the organisation has set itself
            "calls / month",  # Cohere's trial keys, 429
        ),
    ),
    Row("rate_limit", words=_words("resource_exhausted")),
    Row(
        "quota",
        words=_words(
            "insufficient_quota exceeded_current_quota_error organization_usage_limit_exceeded insufficient_balance payment_required"
            " accountoverdueerror quotaexceeded servicequotaexceededexception 1113 1008 42902"
        ),
        parts=("billing_", "credit_balance", "spend_limit"),
    ),
    Row("quota", statuses=(200, 400, 403, 429), texts=("exceeded your current quota",)),
    Row("quota", statuses=(402,)),
    # What hits every key alike.
    Row(
        "auth",
        words=_words("signaturedoesnotmatch invalidsignatureexception incompletesignature incompletesignatureexception"),
        rule=RULES["auth"]._replace(key="none", fallback=False),
    ),
    Row(
        "permission",
        statuses=(400, 401, 403),
        words=_words("unsupported_country_region_territory ip_not_authorized"),
        texts=(
            "country, region, or territory",
            "unsupported countries",  # Anthropic's models on Bedrock, 400
            "request not allowed",  # Anthropic, 403
            "location is not supported",  # Google, 400
            "not available in your country",
            "organization policy",
        ),
        rule=_FOR_ALL_KEYS,
    ),
    Row("permission", statuses=(451,), rule=_FOR_ALL_KEYS),
    # The key.
    Row("permission", statuses=(401,), words=_words("invalid_model invalid_appid permissiondenied")),  # Baidu, Azure
    Row(
        "auth",
        words=_words(
            "invalid_api_key incorrect_api_key_error api_key_invalid wrong_api_key authentication_error authenticationerror"
            " authentication_failed authorized_error unauthenticated access_token_expired invalid_iam_token"
            " unrecognizedclientexception expiredtokenexception missingauthenticationtokenexception 40101 40102 40103"
        ),
    ),
    Row("auth", statuses=(200,), words=_words("1004")),  # MiniMax
    Row(
        "auth",
        statuses=(400, 401, 403),
        texts=("api key not valid", "incorrect api key", "invalid api key", "api key expired", "reported as leaked"),
    ),
    Row("auth", statuses=(401,)),
    # The request: too long, unwelcome, too large.
    Row("bad_request", words=_words("string_above_max_length")),  # its text speaks of a maximum length too
    Row(
        "context_length",
        words=_words(
            "context_length_exceeded exceed_context_size_error model_context_window_exceeded tokens_too_long characters_too_long 1261 40303"
        ),
    ),
    Row("context_length", statuses=(200,), words=_words("1039")),  # MiniMax
    Row(
        "context_length",
        statuses=(200, 400, 413, 422, 500),
        texts=(
            "maximum context length",
            "model's maximum context limit",
            "exceed context limit",
            "longer than the model's context length",
            "input tokens exceed the configured limit",
            "`inputs` tokens + `max_new_tokens` must be",  # TGI
            "`inputs` must have less than",  # TGI
            "exceeds the available context size",  # llama.cpp
            "context size has been exceeded",  # llama.cpp, 500
            "exceeds the maximum number of tokens allowed",  # Google
            "while limit is",  # Cerebras
            "input too long",
            "input is too long",  # Bedrock
            "prompt is too long",  # Anthropic
            "longer than the context length",  # Ollama
            "exceeds the context length",  # Ollama, embeddings
            "too many tokens: ",  # Cohere
        ),
    ),
    Row(
        "content_filter",
        words=_words(
            "content_filter content_policy_violation responsibleaipolicyviolation sensitivecontentdetected invalid_prompt moderation 1301"
        ),
        parts=("riskdetection",),  # Ark
    ),
    Row("content_filter", statuses=(200,), words=_words("1026 1027")),  # MiniMax
    Row(
        "content_filter",
        statuses=(200, 400, 403, 422),
        texts=("content filtering policy", "content management policy", "flagged as potentially violating"),
    ),
    Row("request_too_large", words=_words("request_too_large")),
    Row("request_too_large", statuses=(429,), texts=("request too large",)),
    Row("request_too_large", statuses=(413,)),
    # The model: not ready, crowded, slow.
    Row("overloaded", words=_words("modelnotreadyexception unavailable_error"), rule=_LOADING),  # AWS, llama.cpp
    Row("overloaded", statuses=(503,), texts=("loading model", "currently loading"), rule=_LOADING),
    Row(
        "overloaded",
        words=_words(
            "overloaded overloaded_error engine_overloaded engine_overloaded_error model_overloaded serveroverloaded capacity_exceeded"
            " insufficient_system_resource 1305 42903"
        ),
    ),
    Row("overloaded", statuses=(200, 429, 503), texts=("overloaded", "server busy", "maximum pending requests")),
    Row("overloaded", statuses=(498,), texts=("capacity",)),  # Groq
    Row("overloaded", statuses=(529,)),
    Row("content_filter", statuses=(498,)),  # Cohere: a word on its deny list
    Row("timeout", words=_words("modeltimeoutexception modelinvocationtimeexceeded timeout_error deadline_exceeded")),
    Row("timeout", statuses=(200,), words=_words("1001")),  # MiniMax
    Row("timeout", statuses=(424, 500), texts=("invocation timed out",)),  # SageMaker
    Row("timeout", statuses=(408, 504, 524)),
    # The rate.
    Row(
        "rate_limit",
        words=_words("rate_limit_error rate_limit_exceeded rate_limit_reached_error toomanyrequestsexception 1302 42901"),
        parts=("throttl", "ratelimitexceeded"),
    ),
    Row("rate_limit", statuses=(200,), words=_words("1002")),  # MiniMax
    Row("rate_limit", statuses=(429,)),
    # The model is not there, or not for this key.
    Row("permission", words=_words("permission_error permission_denied accessdeniedexception accessdenied modelnotopen")),
    Row("permission", statuses=(403,)),
    Row("not_found", words=_words("1211 20012 40301")),  # Z.ai, SiliconFlow, FastChat
    Row(
        "not_found",
        statuses=(200, 400, 404, 422),
        words=_words("model_not_found not_found_error resource_not_found_error not_found resourcenotfoundexception invalid_model"),
        texts=("model identifier is invalid", "supported api model names are", "model does not exist"),  # Bedrock, DeepSeek, SiliconFlow
    ),
    Row("not_found", statuses=(404,)),
    # The rest, by what is known of its code, then by its status.
    Row("conflict", words=_words("conflict_error")),
    Row("conflict", statuses=(409,)),
    Row("conflict", statuses=(425,), rule=RULES["conflict"]._replace(fallback=True)),
    Row("connection_lost", statuses=(421,), rule=Rule("once", breaker="neutral")),
    Row("bad_request", words=_words("40001 40302")),  # FastChat, which says 500 to everything
    Row(
        "bad_request",
        statuses=(200, 400, 422),
        words=_words(
            "unsupported_parameter unsupported_value invalid_value decimal_below_min_value unsupported_file tool_use_failed malformed_json"
            " invalid_messages missingparameter invalidparameter invalid_function_call validation template_error tool_error"
            " missing_template_variable 3280 1210 2013"
        ),
    ),
    Row(
        "bad_request",
        statuses=(200,),
        words=_words("invalid_request_error invalid_argument failed_precondition badrequesterror validationexception validationerror"),
    ),
    Row("server", words=_words("50001 50002 50003 50004 50005 50006")),  # FastChat
    Row("server", statuses=(424,), words=_words("modelerror modelerrorexception modelstreamerrorexception generation")),  # AWS, TGI
    Row("proxy", statuses=(407,)),
    Row("redirect", statuses=range(300, 400)),
    Row("bad_request", statuses=range(400, 500)),
    Row("server", statuses=(501,), rule=Rule("no", breaker="neutral")),
    Row("server", statuses=(505,), rule=Rule("no", fallback=False, breaker="neutral")),
    Row("server"),
)


def classify(fault: Fault) -> str:
    """Return the kind of *fault*: a name of ``llmkit.errors.KINDS``, its dialect's own word for it where it has one."""
    return fault.kind or _row(fault).kind


def is_expired(fault: Fault) -> bool:
    """Whether *fault* says in so many words that the credential has had its time: AWS does with a 403."""
    return "expiredtokenexception" in _words_of(fault)


def rule_for(kind: str, fault: Fault | None = None, *, fatal: bool = False, local: bool = False) -> Rule:
    """
    Return what follows from a failure of *kind*, with the exceptions which *fault* or the transport makes.

    Args:
        kind: Of the failure; one that is not in ``RULES`` counts as ``unknown``.
        fault: What the provider said, None if it said nothing. Its ``x-should-retry`` overrides ``again`` alone.
        fatal: The transport knows that the same request can only fail again. A name that does not exist is asked for once more.
        local: The fault is this machine's own, and says nothing about the endpoint.
    """
    rule = RULES.get(kind, RULES["unknown"])
    if fault is not None:
        row = _row(fault)
        rule = row.rule if row.rule is not None and row.kind == kind else rule
        rule = rule._replace(again=_advised(rule, kind, row, fault))
    if local:
        rule = rule._replace(fallback=False, breaker="neutral")
    if fatal:
        rule = rule._replace(again="once" if kind == "dns" else "no")
    return rule


def _advised(rule: Rule, kind: str, row: Row, fault: Fault) -> Literal["yes", "once", "no"]:
    """Return ``rule.again``, or what the provider advises instead: openai and anthropic send ``x-should-retry``."""
    advice = str(fault.headers.get("x-should-retry", "")).strip().lower()
    if advice == "false":
        return "no"
    if advice != "true" or kind == "quota":
        return rule.again
    if kind in _FINAL and (row.kind != kind or row.is_named):
        return rule.again
    return "yes"


def _row(fault: Fault) -> Row:
    words = tuple(_words_of(fault))
    status = _status(fault, words)
    text = _text_of(fault)
    return next(row for row in ROWS if _fits(row, status, words, text))


def _fits(row: Row, status: int, words: tuple[str, ...], text: str) -> bool:
    if row.statuses and status not in row.statuses:
        return False
    if not row.is_named:
        return True
    if not row.words.isdisjoint(words):
        return True
    if row.parts and any(part in word for part in row.parts for word in words):
        return True
    return bool(row.texts) and any(marker in text for marker in row.texts)


def _status(fault: Fault, words: tuple[str, ...]) -> int:
    """Return the status that counts: the one inside a good reply (OpenRouter, vLLM), and behind a bad container (SageMaker)."""
    if 200 <= fault.status < 300:
        return next((int(word) for word in words if _is_status(word)), 200)
    if fault.status == 424:
        original = str(fault.error.get("OriginalStatusCode", fault.error.get("originalStatusCode", "")))
        return int(original) if _is_status(original) else 424
    return fault.status


def _is_status(word: str) -> bool:
    return len(word) == 3 and word.isascii() and word.isdigit() and word[0] in "45"


# Where providers put words about the error, and where in it they put more such objects.
_WORD_FIELDS = (
    *("code", "type", "status", "reason", "error_type", "__type", "error_code", "ErrorCode", "quotaId"),
    *("status_code", "http_status_code", "http_code"),
)
_INNER_FIELDS = ("error", "errors", "innererror", "inner_error", "details", "detail", "metadata", "base_resp", "violations")


def _words_of(fault: Fault) -> Iterator[str]:
    """Yield every code and type that *fault* knows, in lower case, the outer ones first."""
    # ``ValidationException:http://...`` or ``com.amazon#ValidationException``
    aws = str(fault.headers.get("x-amzn-errortype", "")).partition(":")[0].rpartition("#")[2]
    for word in (fault.code, fault.type, aws):
        if word:
            yield word.strip().lower()
    yield from _words_in(fault.error, depth=4)


def _words_in(value: object, *, depth: int) -> Iterator[str]:
    if isinstance(value, (list, tuple)):
        for item in value[:16]:
            yield from _words_in(item, depth=depth)
        return
    if depth == 0 or not isinstance(value, Mapping):
        return
    for name in _WORD_FIELDS:
        word: Any = value.get(name)
        if isinstance(word, (str, int)):
            yield str(word).strip().lower().rpartition("#")[2]
    if "flagged_input" in value or "reasons" in value:  # OpenRouter's refusal by moderation, a 403
        yield "moderation"
    for name in _INNER_FIELDS:
        yield from _words_in(value.get(name), depth=depth - 1)


def _text_of(fault: Fault) -> str:
    """Return what *fault* says to people, in lower case, with what a router passes on from its upstream."""
    metadata = fault.error.get("metadata")
    upstream = metadata.get("raw") if isinstance(metadata, Mapping) else None
    text = f"{fault.message or fault.body}\n{upstream}" if isinstance(upstream, str) else fault.message or fault.body
    return text[:TEXT_LIMIT].lower()
