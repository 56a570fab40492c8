"""Bodies are those that providers sent, trimmed: recorded by pydantic-ai and vercel/ai, or from a reference (2025 to 2026)."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmkit.errors import KINDS
from llmkit.models.fault import Fault
from llmkit.resilience.classify import ROWS, RULES, Row, Rule, classify, is_expired, rule_for


def fault(status: int, body: dict[str, Any] | str, headers: dict[str, str] | None = None) -> Fault:
    """Return what a dialect makes of a refusal: the inner error object where there is one."""
    if isinstance(body, str):
        return Fault(status=status, headers=headers or {}, body=body)
    inner = body.get("error", body)
    error = inner if isinstance(inner, dict) else body
    message = inner if isinstance(inner, str) else str(error.get("message", ""))
    code, kind = error.get("code"), error.get("type")
    return Fault(
        status=status,
        message=message,
        code=None if code is None else str(code),
        type=kind if isinstance(kind, str) else None,
        headers=headers or {},
        error=error,
        body=json.dumps(body),
    )


def wrapped(code: object = None, message: str = "", **others: Any) -> dict[str, Any]:
    return {"error": {"code": code, "message": message, **others}}


def google(code: int, status: str, message: str = "", *details: dict[str, Any]) -> dict[str, Any]:
    return {"error": {"code": code, "message": message, "status": status, "details": list(details)}}


def violation(quota_id: str) -> dict[str, Any]:
    return {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [{"quotaId": quota_id}]}


EXCEEDED = "You exceeded your current quota, please check your plan and billing details."
AZURE_FILTER = {
    "code": "content_filter",
    "message": "The response was filtered due to the prompt triggering Azure OpenAI's content management policy.",
    "param": "prompt",
    "status": 400,
    "innererror": {"code": "ResponsibleAIPolicyViolation", "content_filter_result": {"hate": {"filtered": True}}},
}
FLAGGED = {"reasons": ["violence"], "flagged_input": "…", "provider_name": "OpenAI"}
LLAMA_FULL = {
    "code": 400,
    "message": "request (4390 tokens) exceeds the available context size (4096 tokens), try increasing it",
    "type": "exceed_context_size_error",
    "n_prompt_tokens": 4390,
}
OLD_VLLM_FULL = {
    "object": "error",
    "message": "This model's maximum context length is 2048 tokens.",
    "type": "BadRequestError",
    "param": None,
    "code": 400,
}

REPLIES: list[tuple[str, int, dict[str, Any] | str]] = [
    # OpenAI
    ("bad_request", 400, wrapped("decimal_below_min_value", "Invalid 'temperature'", param="temperature", type="invalid_request_error")),
    ("bad_request", 400, wrapped(None, "Item 'rs_68c4' of type 'reasoning' was provided without", type="invalid_request_error")),
    ("bad_request", 400, wrapped("string_above_max_length", "string too long, maximum context length is", type="invalid_request_error")),
    ("not_found", 404, wrapped("model_not_found", "The model `x` does not exist or you do not have access to it.")),
    ("not_found", 400, wrapped("model_not_found", "The requested model 'x' does not exist.", param="model")),
    ("permission", 403, wrapped("model_not_found", "Project `p` does not have access to model `gpt-4`")),
    ("permission", 403, wrapped("unsupported_country_region_territory", "Country, region, or territory not supported")),
    ("quota", 429, wrapped("insufficient_quota", EXCEEDED, type="insufficient_quota")),
    ("quota", 429, wrapped(None, EXCEEDED)),
    ("quota", 429, wrapped("organization_spend_limit_exceeded", "", type="insufficient_quota")),
    ("quota", 429, wrapped("billing_hard_limit_reached")),
    ("rate_limit", 429, wrapped("rate_limit_exceeded", "Please try again in 41.724s", type="tokens")),
    ("request_too_large", 429, wrapped("rate_limit_exceeded", "Request too large for gpt-4o on tokens per min (TPM)", type="tokens")),
    ("overloaded", 429, wrapped(None, "The engine is currently overloaded, please try again later")),
    ("context_length", 400, wrapped("context_length_exceeded", "maximum context length is 8192 tokens")),
    ("server", 200, wrapped(None, "The server had an error while processing your request.", type="server_error")),
    ("quota", 200, wrapped("insufficient_quota", EXCEEDED, type="insufficient_quota")),
    ("auth", 401, wrapped("invalid_api_key", "Incorrect API key provided: sk-***")),
    # Anthropic
    ("overloaded", 529, wrapped(None, "Overloaded", type="overloaded_error")),
    ("overloaded", 200, wrapped(None, "Overloaded", type="overloaded_error")),
    ("rate_limit", 429, wrapped(None, "", type="rate_limit_error")),
    ("rate_limit", 200, wrapped(None, "", type="rate_limit_error")),
    ("quota", 429, wrapped(None, "", type="rate_limit_error", details={"error_code": "enforced_spend_limit_reached"})),
    ("quota", 402, wrapped(None, "", type="billing_error")),
    ("quota", 400, wrapped(None, "Your credit balance is too low to access the Anthropic API.", type="invalid_request_error")),
    ("auth", 401, wrapped(None, "invalid x-api-key", type="authentication_error")),
    ("permission", 403, wrapped(None, "", type="permission_error")),
    ("permission", 403, wrapped(None, "Request not allowed", type="forbidden")),
    ("not_found", 404, wrapped(None, "model: claude-sonet-4-5", type="not_found_error")),
    ("not_found", 200, wrapped(None, "model: claude-sonet-4-5", type="not_found_error")),
    ("request_too_large", 413, wrapped(None, "", type="request_too_large")),
    ("context_length", 400, wrapped(None, "prompt is too long: 210000 tokens > 200000 maximum", type="invalid_request_error")),
    ("bad_request", 400, wrapped(None, "This model does not support effort level 'xhigh'.", type="invalid_request_error")),
    ("bad_request", 200, wrapped(None, "", type="invalid_request_error")),
    ("content_filter", 400, wrapped(None, "Output blocked by content filtering policy", type="invalid_request_error")),
    ("timeout", 504, wrapped(None, "", type="timeout_error")),
    ("timeout", 200, wrapped(None, "", type="timeout_error")),
    ("conflict", 409, wrapped(None, "", type="conflict_error")),
    ("server", 500, wrapped(None, "", type="api_error")),
    ("server", 200, wrapped(None, "", type="api_error")),
    # Google
    ("rate_limit", 429, google(429, "RESOURCE_EXHAUSTED", EXCEEDED, violation("GenerateRequestsPerMinutePerProjectPerModel"))),
    ("quota", 429, google(429, "RESOURCE_EXHAUSTED", EXCEEDED, violation("GenerateRequestsPerDayPerProjectPerModel-FreeTier"))),
    ("auth", 400, google(400, "INVALID_ARGUMENT", "API key not valid.", {"reason": "API_KEY_INVALID"})),
    ("auth", 401, google(401, "UNAUTHENTICATED")),
    ("auth", 403, google(403, "PERMISSION_DENIED", "Your API key was reported as leaked. Please use another API key.")),
    ("permission", 403, google(403, "PERMISSION_DENIED", "", {"reason": "SERVICE_DISABLED"})),
    ("permission", 200, google(403, "PERMISSION_DENIED")),
    ("permission", 400, google(400, "FAILED_PRECONDITION", "User location is not supported for the API use.")),
    ("bad_request", 400, google(400, "FAILED_PRECONDITION", "The File x is not in an ACTIVE state")),
    ("bad_request", 400, google(400, "INVALID_ARGUMENT", "Unknown name")),
    ("context_length", 400, google(400, "INVALID_ARGUMENT", "The input token count (9) exceeds the maximum number of tokens allowed (8).")),
    ("not_found", 404, google(404, "NOT_FOUND", "models/gemini-3.6-flahs is not found for API version v1beta")),
    ("overloaded", 503, google(503, "UNAVAILABLE", "The model is overloaded. Please try again later.")),
    ("server", 503, google(503, "UNAVAILABLE", "The service is currently unavailable.")),
    ("server", 200, google(503, "UNAVAILABLE")),
    ("timeout", 504, google(504, "DEADLINE_EXCEEDED")),
    # Azure
    ("content_filter", 400, {"error": AZURE_FILTER}),
    ("content_filter", 400, wrapped(None, "", inner_error={"code": "ResponsibleAIPolicyViolation"})),
    ("not_found", 404, wrapped("404", "Resource not found")),
    ("auth", 401, {"statusCode": 401, "message": "Unauthorized. Access token is missing, invalid, or have expired."}),
    ("permission", 401, wrapped("PermissionDenied", "The principal lacks the required data action")),
    # OpenRouter
    ("rate_limit", 429, wrapped(429, "Provider returned error", metadata={"raw": "temporarily rate-limited upstream"})),
    ("bad_request", 200, wrapped(400, "Token limit reached")),
    ("server", 200, wrapped(502, "Provider returned error")),
    ("quota", 200, wrapped(402, "Insufficient credits")),
    ("content_filter", 403, wrapped(403, "Input flagged", metadata=FLAGGED)),
    ("context_length", 400, wrapped(400, "Provider returned error", metadata={"raw": '{"message":"maximum context length is 4096"}'})),
    # xAI
    ("server", 200, {"code": "The service is currently unavailable", "error": "Please try again"}),
    ("auth", 400, {"code": "Client specified an invalid argument", "error": "Incorrect API key provided: xa***"}),
    ("quota", 429, "Your team x has either used all available credits or reached its monthly spending limit."),
    ("quota", 403, {"code": "permission-denied", "error": "You have run out of credits or need a Grok subscription."}),
    # DeepSeek, Groq, Mistral, Cerebras, Moonshot
    ("quota", 402, wrapped("invalid_request_error", "Insufficient Balance")),
    ("not_found", 400, wrapped("invalid_request_error", "The supported API model names are deepseek-flash")),
    ("overloaded", 200, wrapped("insufficient_system_resource")),
    ("bad_request", 200, wrapped("tool_use_failed", "Tool call validation failed", type="invalid_request_error", status_code=400)),
    ("request_too_large", 413, wrapped("rate_limit_exceeded", "Request too large for model", type="tokens")),
    ("overloaded", 498, wrapped("capacity_exceeded", "Flex tier capacity exceeded")),
    ("bad_request", 400, {"object": "error", "message": "", "type": "invalid_request_error", "param": None, "code": "3280"}),
    ("bad_request", 422, {"detail": [{"loc": ["body", "messages"], "msg": "…", "type": "missing"}]}),
    ("auth", 401, {"message": "", "type": "invalid_request_error", "param": None, "code": "wrong_api_key"}),
    ("quota", 402, {"message": "", "type": "", "param": None, "code": "payment_required"}),
    ("context_length", 400, {"message": "Current length is 9000 while limit is 8192", "code": "context_length_exceeded"}),
    ("quota", 429, wrapped(None, "", type="exceeded_current_quota_error")),
    ("overloaded", 429, wrapped(None, "", type="engine_overloaded_error")),
    ("rate_limit", 429, wrapped(None, "", type="rate_limit_reached_error")),
    ("auth", 401, wrapped(None, "", type="incorrect_api_key_error")),
    # Z.ai, MiniMax, Ark, Baidu, SiliconFlow, Venice, Cohere
    ("quota", 429, wrapped("1113", "Insufficient balance or no resource package.")),
    ("rate_limit", 429, wrapped("1302", "")),
    ("overloaded", 429, wrapped("1305", "")),
    ("context_length", 400, wrapped("1261", "Prompt exceeds max length")),
    ("content_filter", 400, wrapped("1301", "")),
    ("not_found", 400, wrapped("1211", "Unknown Model")),
    ("rate_limit", 200, {"base_resp": {"status_code": 1002, "status_msg": "rate limit"}}),
    ("auth", 200, {"base_resp": {"status_code": 1004, "status_msg": "login fail"}}),
    ("quota", 200, {"base_resp": {"status_code": 1008, "status_msg": "no balance"}}),
    ("server", 200, {"base_resp": {"status_code": 1013, "status_msg": "internal"}}),
    ("content_filter", 200, {"base_resp": {"status_code": 1026, "status_msg": "sensitive"}}),
    ("context_length", 200, {"base_resp": {"status_code": 1039, "status_msg": "tokens"}}),
    ("bad_request", 200, {"base_resp": {"status_code": 2013, "status_msg": "invalid params"}}),
    ("auth", 401, wrapped(None, "login fail (1004)", type="authorized_error", http_code="401")),
    ("quota", 403, wrapped("AccountOverdueError", "")),
    ("permission", 403, wrapped("AccessDenied", "")),
    ("permission", 404, wrapped("ModelNotOpen", "")),
    ("not_found", 404, wrapped("InvalidEndpointOrModel.NotFound", "")),
    ("content_filter", 400, wrapped("InputTextRiskDetection", "")),
    ("rate_limit", 429, wrapped("RateLimitExceeded.EndpointRPMExceeded", "")),
    ("overloaded", 429, wrapped("ServerOverloaded", "")),
    ("permission", 401, wrapped("invalid_model", "No permission to use the model", type="invalid_request_error")),
    ("context_length", 400, wrapped("tokens_too_long", "")),
    ("quota", 403, wrapped("BILLING_INSUFFICIENT_BALANCE", "")),
    ("not_found", 400, {"code": 20012, "message": "Model does not exist. Please check it carefully.", "data": None}),
    ("quota", 402, wrapped("INSUFFICIENT_BALANCE", "")),
    ("overloaded", 429, wrapped("MODEL_OVERLOADED", "")),
    ("quota", 429, {"message": "You are using a Trial key, which is limited to 1000 API calls / month."}),
    ("rate_limit", 429, {"message": "You are using a Trial key, which is limited to 20 API calls / minute."}),
    ("content_filter", 498, {"message": "a token is on the deny list"}),
    # vLLM, TGI, llama.cpp, FastChat, Ollama, LiteLLM
    ("context_length", 400, OLD_VLLM_FULL),
    ("bad_request", 200, wrapped(400, "", type="BadRequestError")),
    ("bad_request", 422, {"error": "Input validation error: …", "error_type": "validation"}),
    ("context_length", 422, {"error": "`inputs` must have less than 4095 tokens. Given: 5000", "error_type": "validation"}),
    ("context_length", 422, {"error": "`inputs` tokens + `max_new_tokens` must be <= 4096", "error_type": "validation"}),
    ("overloaded", 429, {"error": "Model is overloaded", "error_type": "overloaded"}),
    ("overloaded", 200, {"error": "Model is overloaded", "error_type": "overloaded"}),
    ("server", 424, {"error": "Request failed during generation", "error_type": "generation"}),
    ("server", 500, {"error": "Incomplete generation", "error_type": "incomplete_generation"}),
    ("context_length", 400, {"error": LLAMA_FULL}),
    ("context_length", 500, wrapped(500, "Context size has been exceeded.", type="server_error")),
    ("overloaded", 503, wrapped(503, "Loading model", type="unavailable_error")),
    ("server", 501, wrapped(501, "", type="not_supported_error")),
    ("rate_limit", 500, {"object": "error", "message": "", "code": 42901}),
    ("quota", 400, {"object": "error", "message": "", "code": 42902}),
    ("overloaded", 400, {"object": "error", "message": "", "code": 42903}),
    ("auth", 400, {"object": "error", "message": "", "code": 40101}),
    ("bad_request", 500, {"object": "error", "message": "", "code": 40001}),
    ("not_found", 400, {"object": "error", "message": "", "code": 40301}),
    ("context_length", 400, {"object": "error", "message": "", "code": 40303}),
    ("server", 400, {"object": "error", "message": "", "code": 50002}),
    ("overloaded", 503, {"error": "server busy, please try again.  maximum pending requests exceeded"}),
    ("context_length", 400, {"error": "the prompt is longer than the context length (4096)"}),
    ("not_found", 404, {"error": "model 'x' not found"}),
    ("rate_limit", 200, wrapped("429", "litellm.RateLimitError: …")),
    ("server", 200, wrapped("500", "litellm.InternalServerError: …")),
    # SageMaker
    ("bad_request", 424, {"OriginalStatusCode": 422, "OriginalMessage": "…", "Message": "Received client error (422)"}),
    ("rate_limit", 424, {"OriginalStatusCode": 429, "Message": "Received client error (429)"}),
    ("server", 424, {"OriginalStatusCode": 500, "Message": "Received server error (500)"}),
    ("server", 530, {"message": "internal dependency"}),
    # Statuses alone
    *(("bad_request", status, "") for status in (400, 405, 410, 411, 414, 415, 416, 417, 418, 422, 424, 431, 499)),
    *(("server", status, "") for status in (500, 502, 503, 520, 521, 522, 523, 599, 501, 505)),
    *(("timeout", status, "") for status in (408, 504, 524)),
    *(("redirect", status, "") for status in (301, 302, 303, 307, 308)),
    ("auth", 401, ""),
    ("quota", 402, ""),
    ("permission", 403, ""),
    ("permission", 451, ""),
    ("not_found", 404, ""),
    ("proxy", 407, ""),
    ("conflict", 409, ""),
    ("conflict", 425, ""),
    ("request_too_large", 413, ""),
    ("connection_lost", 421, ""),
    ("rate_limit", 429, ""),
    ("overloaded", 503, "<html>overloaded</html>"),
    ("overloaded", 529, ""),
    ("server", 200, ""),
]


@pytest.mark.parametrize(("kind", "status", "body"), REPLIES)
def test_a_refusal_is_classed(kind: str, status: int, body: dict[str, Any] | str) -> None:
    """By what it says of itself, and else by its status."""
    assert kind == classify(fault(status, body))


@pytest.mark.parametrize(
    ("kind", "status", "name"),
    [
        ("rate_limit", 429, "ThrottlingException"),
        ("rate_limit", 400, "ThrottlingException"),
        ("quota", 400, "ServiceQuotaExceededException"),
        ("timeout", 408, "ModelTimeoutException"),
        ("overloaded", 429, "ModelNotReadyException"),
        ("server", 424, "ModelErrorException"),
        ("bad_request", 400, "ValidationException:http://internal.amazon.com/coral/com.amazon.bedrock/"),
        ("auth", 403, "UnrecognizedClientException"),
        ("auth", 403, "ExpiredTokenException"),
        ("auth", 403, "com.amazon.coral.service#InvalidSignatureException"),
        ("permission", 403, "AccessDeniedException"),
        ("not_found", 404, "ResourceNotFoundException"),
        ("server", 500, "InternalServerException"),
        ("server", 503, "ServiceUnavailableException"),
    ],
)
def test_amazon_names_its_exceptions_in_a_header_or_in_the_body(kind: str, status: int, name: str) -> None:
    """With a URL behind a colon or a package before a hash."""
    assert kind == classify(fault(status, {"message": ""}, {"x-amzn-errortype": name}))
    assert kind == classify(fault(status, {"message": "", "__type": name.partition(":")[0]}))


CODES: list[tuple[str, int, str]] = [
    ("quota", 429, "credit_balance_exhausted project_spend_limit_exceeded organization_usage_limit_exceeded contract_spend_limit_reached"),
    ("quota", 403, "QuotaExceeded ServiceQuotaExceededException PAYMENT_REQUIRED INSUFFICIENT_BALANCE billing_not_active BILLING_DISABLED"),
    ("quota", 200, "1113 1008 42902 insufficient_quota exceeded_current_quota_error"),
    ("auth", 403, "SignatureDoesNotMatch InvalidSignatureException IncompleteSignature IncompleteSignatureException"),
    ("permission", 401, "ip_not_authorized unsupported_country_region_territory invalid_appid"),
    ("auth", 200, "invalid_api_key incorrect_api_key_error API_KEY_INVALID wrong_api_key authentication_error AuthenticationError"),
    ("auth", 200, "AUTHENTICATION_FAILED authorized_error UNAUTHENTICATED ACCESS_TOKEN_EXPIRED invalid_iam_token"),
    ("auth", 403, "UnrecognizedClientException ExpiredTokenException MissingAuthenticationTokenException"),
    ("auth", 400, "40101 40102 40103"),
    ("context_length", 400, "context_length_exceeded exceed_context_size_error model_context_window_exceeded"),
    ("context_length", 400, "tokens_too_long characters_too_long 1261 40303"),
    ("content_filter", 400, "content_filter content_policy_violation ResponsibleAIPolicyViolation"),
    ("content_filter", 400, "SensitiveContentDetected invalid_prompt"),
    ("content_filter", 200, "1301 1026 1027 OutputImageRiskDetection"),
    ("request_too_large", 200, "request_too_large"),
    ("overloaded", 200, "ModelNotReadyException unavailable_error"),
    ("overloaded", 200, "overloaded overloaded_error engine_overloaded engine_overloaded_error"),
    ("overloaded", 200, "MODEL_OVERLOADED ServerOverloaded capacity_exceeded insufficient_system_resource 1305 42903"),
    ("timeout", 200, "ModelTimeoutException ModelInvocationTimeExceeded timeout_error DEADLINE_EXCEEDED 1001"),
    ("rate_limit", 200, "rate_limit_error rate_limit_exceeded rate_limit_reached_error TooManyRequestsException RESOURCE_EXHAUSTED"),
    ("rate_limit", 400, "1302 42901 Throttling ThrottledException RateLimitExceeded.EndpointTPMExceeded"),
    ("permission", 200, "permission_error PERMISSION_DENIED AccessDeniedException AccessDenied ModelNotOpen"),
    ("not_found", 200, "model_not_found not_found_error resource_not_found_error NOT_FOUND ResourceNotFoundException invalid_model"),
    ("not_found", 500, "1211 20012 40301"),
    ("conflict", 200, "conflict_error"),
    ("bad_request", 500, "40001 40302"),
    ("bad_request", 200, "unsupported_parameter unsupported_value invalid_value decimal_below_min_value unsupported_file tool_use_failed"),
    ("bad_request", 200, "malformed_json invalid_messages MissingParameter InvalidParameter invalid_function_call validation"),
    ("bad_request", 200, "template_error tool_error missing_template_variable 3280 1210 2013"),
    ("bad_request", 200, "invalid_request_error INVALID_ARGUMENT FAILED_PRECONDITION"),
    ("bad_request", 200, "BadRequestError ValidationException ValidationError string_above_max_length"),
    ("server", 400, "50001 50002 50003 50004 50005 50006"),
    ("server", 424, "ModelError ModelErrorException ModelStreamErrorException generation"),
]


@pytest.mark.parametrize(("kind", "status", "code"), [(kind, status, code) for kind, status, codes in CODES for code in codes.split()])
def test_a_code_decides_alone(kind: str, status: int, code: str) -> None:
    """Wherever the provider puts it, and in any case of letters."""
    assert kind == classify(Fault(status=status, code=code))
    assert kind == classify(Fault(status=status, error={"type": code.upper()}))


@pytest.mark.parametrize(
    ("kind", "status", "message"),
    [
        ("quota", 400, "Insufficient balance"),
        ("quota", 429, "insufficient_balance: top up"),
        ("quota", 429, "credit_balance is 0"),
        ("quota", 429, "project spend_limit reached"),
        ("quota", 400, "You have reached your specified API usage limits."),
        ("quota", 429, "Your prepayment credits are depleted."),
        ("permission", 403, "Country, region, or territory not supported"),
        ("permission", 400, "Access to Anthropic models is not allowed from unsupported countries, regions, or territories."),
        ("permission", 400, "Gemini API free tier is not available in your country."),
        ("permission", 403, "Request is prohibited by organization policy"),
        ("auth", 400, "API key not valid. Please pass a valid API key."),
        ("auth", 403, "Invalid API key"),
        ("auth", 400, "API key expired. Please renew the API key."),
        ("context_length", 400, "This is longer than the model's maximum context limit"),
        ("context_length", 400, "the model's maximum context limit is 8192"),
        ("context_length", 400, "input length and `max_tokens` exceed context limit: 198000 + 8192 > 200000"),
        ("context_length", 400, "The prompt (9000) is longer than the model's context length (8192)."),
        ("context_length", 400, "Input tokens exceed the configured limit of 272000 tokens."),
        ("context_length", 400, "request exceeds the available context size"),
        ("context_length", 400, "Current length is 9000 while limit is 8192"),
        ("context_length", 400, "Input too long"),
        ("context_length", 400, "Input is too long for requested model."),
        ("context_length", 400, "the input length exceeds the context length"),
        ("context_length", 400, "too many tokens: total number of tokens in the prompt cannot exceed 4081"),
        ("content_filter", 400, "filtered due to the prompt triggering Azure OpenAI's content management policy"),
        ("content_filter", 400, "Your prompt was flagged as potentially violating our usage policy."),
        ("overloaded", 503, "Model x is currently loading"),
        ("overloaded", 503, "Loading model"),
        ("overloaded", 503, "server busy"),
        ("overloaded", 503, "maximum pending requests exceeded"),
        ("overloaded", 498, "Flex tier capacity exceeded"),
        ("timeout", 424, 'Received server error (0) from primary with message "Your invocation timed out while waiting"'),
        ("not_found", 400, "The provided model identifier is invalid."),
        ("not_found", 400, "Model does not exist. Please check it carefully."),
    ],
)
def test_a_sentence_decides_where_there_is_no_code(kind: str, status: int, message: str) -> None:
    """Under the status it comes with."""
    assert kind == classify(Fault(status=status, message=message))


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("rate_limit", "throttlingException"),
        ("bad_request", "validationException"),
        ("server", "serviceUnavailableException"),
        ("server", "modelStreamErrorException"),
        ("timeout", "modelTimeoutException"),
    ],
)
def test_amazon_names_its_exceptions_inside_streams(kind: str, name: str) -> None:
    """The status of the stream was 200."""
    assert kind == classify(Fault(status=200, type=name))


def test_the_dialect_knows_better() -> None:
    """A kind set by the dialect is the kind."""
    assert "content_filter" == classify(Fault(status=200, kind="content_filter"))


def test_a_message_that_quotes_the_user_moves_no_server_error() -> None:
    """Markers in texts count only under the statuses they come with."""
    assert "server" == classify(Fault(status=500, message="cannot parse 'your credit balance, api key not valid'"))


def test_every_kind_has_a_rule() -> None:
    """And no rule is for a kind that does not exist; cancellation and bugs have no class of ours."""
    assert {*KINDS, "cancelled", "bug"} == set(RULES)


def test_every_row_names_a_kind_and_can_be_reached() -> None:
    """A row is in vain if one above it asks for less; the last one asks for nothing."""
    for position, row in enumerate(ROWS):
        assert row.kind in RULES
        for above in ROWS[:position]:
            covers = not above.statuses or (row.statuses and set(row.statuses) <= set(above.statuses))
            assert not (covers and not above.is_named), f"{above} hides {row}"
            assert not (covers and row.words and row.words <= above.words and not row.parts and not row.texts)
    assert Row("server") == ROWS[-1]


@pytest.mark.parametrize(
    ("kind", "rule"),
    [
        ("quota", Rule("no", "eject_quota", True, "neutral")),
        ("auth", Rule("no", "eject_auth", True, "neutral")),
        ("permission", Rule("no", "eject_model", True, "neutral")),
        ("context_length", Rule("no", "none", True, "neutral")),
        ("content_filter", Rule("no", "none", False, "neutral")),
        ("bad_request", Rule("no", "none", False, "neutral")),
        ("not_found", Rule("no", "none", True, "neutral")),
        ("request_too_large", Rule("no", "none", True, "neutral")),
        ("timeout", Rule("yes", "none", True, "failure", billed=True)),
        ("conflict", Rule("yes", "none", False, "neutral")),
        ("rate_limit", Rule("yes", "cool", True, "neutral")),
        ("overloaded", Rule("yes", "none", True, "failure", yields=True)),
        ("server", Rule("yes", "none", True, "failure")),
        ("proxy", Rule("no", "none", False, "neutral")),
        ("redirect", Rule("no", "none", False, "neutral")),
        ("tls", Rule("no", "none", True, "failure")),
        ("dns", Rule("yes", "none", True, "failure")),
        ("connect", Rule("yes", "none", True, "failure")),
        ("read_timeout", Rule("yes", "none", True, "failure", billed=True)),
        ("response_too_large", Rule("no", "none", False, "neutral", billed=True)),
    ],
)
def test_a_kind_has_its_consequences(kind: str, rule: Rule) -> None:
    """For the same target, the key, the fallbacks and the breaker."""
    assert rule == rule_for(kind)


@pytest.mark.parametrize(
    ("status", "body", "rule"),
    [
        (403, wrapped("unsupported_country_region_territory"), Rule("no", "none", True, "neutral")),
        (451, "", Rule("no", "none", True, "neutral")),
        (403, wrapped(None, "Request not allowed", type="forbidden"), Rule("no", "none", True, "neutral")),
        (403, wrapped(None, "Country, region, or territory not supported"), Rule("no", "none", True, "neutral")),
        (403, google(403, "PERMISSION_DENIED", "blocked by an organization policy"), Rule("no", "none", True, "neutral")),
        (403, {"__type": "SignatureDoesNotMatch"}, Rule("no", "none", False, "neutral")),
        (421, "", Rule("once", "none", True, "neutral")),
        (425, "", Rule("yes", "none", True, "neutral")),
        (409, "", Rule("yes", "none", False, "neutral")),
        (501, "", Rule("no", "none", True, "neutral")),
        (505, "", Rule("no", "none", False, "neutral")),
        (429, {"__type": "ModelNotReadyException"}, Rule("yes", "none", True, "neutral", yields=True)),
        (503, wrapped(503, "Loading model", type="unavailable_error"), Rule("yes", "none", True, "neutral", yields=True)),
        (403, "", Rule("no", "eject_model", True, "neutral")),
    ],
)
def test_some_replies_are_exceptions_to_their_kind(status: int, body: dict[str, Any] | str, rule: Rule) -> None:
    """What hits every key leaves the keys alone; what loads is not broken."""
    refusal = fault(status, body)

    assert rule == rule_for(classify(refusal), refusal)


@pytest.mark.parametrize(
    ("again", "status", "body", "advice"),
    [
        ("no", 500, "", "false"),
        ("no", 429, "", "False"),
        ("yes", 500, "", "maybe"),
        ("yes", 501, "", "true"),
        ("yes", 400, "", "true"),
        ("yes", 400, wrapped("a_code_from_tomorrow"), "TRUE"),
        ("no", 400, wrapped("unsupported_parameter"), "true"),
        ("no", 400, wrapped("context_length_exceeded"), "true"),
        ("no", 401, wrapped("invalid_api_key"), "true"),
        ("no", 402, "", "true"),
        ("no", 429, wrapped("insufficient_quota"), "true"),
    ],
)
def test_the_provider_may_advise_on_a_second_try(again: str, status: int, body: dict[str, Any] | str, advice: str) -> None:
    """But not against a code that is known to be final, and never for an empty account."""
    refusal = fault(status, body, {"x-should-retry": advice})

    assert again == rule_for(classify(refusal), refusal).again


def test_advice_changes_nothing_else() -> None:
    """Key, fallback and breaker stay as they are."""
    refusal = fault(500, "", {"x-should-retry": "false"})

    assert RULES["server"]._replace(again="no") == rule_for("server", refusal)


def test_a_kind_set_by_the_dialect_keeps_its_own_rule() -> None:
    """The exception of a row is for the row's kind alone."""
    refusal = Fault(status=451, kind="content_filter", headers={"x-should-retry": "true"})

    assert RULES["content_filter"] == rule_for(classify(refusal), refusal)


@pytest.mark.parametrize(("kind", "again"), [("protocol", "no"), ("connect", "no"), ("dns", "once")])
def test_the_transport_may_know_that_it_is_in_vain(kind: str, again: str) -> None:
    """A name that does not exist is asked for once more: resolvers err."""
    assert again == rule_for(kind, fatal=True).again


def test_a_fault_of_this_machine_is_not_the_endpoints() -> None:
    """No descriptor left: another try may work, another provider will not."""
    assert Rule("yes", "none", False, "neutral") == rule_for("connect", local=True)


def test_an_unheard_of_kind_is_handled_with_care() -> None:
    """No retry, no fallback, no blame."""
    assert RULES["unknown"] == rule_for("something new")


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=8)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(["code", "type", "status", "error", "details", "metadata", "raw", "errors"]), inner, max_size=4),
    ),
    max_leaves=12,
)


@given(st.integers(100, 999), st.dictionaries(st.sampled_from(["code", "error", "details", "metadata", "OriginalStatusCode"]), JSON))
def test_any_body_is_classed(status: int, error: dict[str, Any]) -> None:
    """Whatever shape it has."""
    refusal = Fault(status=status, error=error)

    assert rule_for(classify(refusal), refusal) is not None
    assert classify(refusal) in KINDS


@pytest.mark.parametrize(
    ("headers", "error", "expired"),
    [
        ({"x-amzn-errortype": "ExpiredTokenException:http://internal.amazon.com/"}, {}, True),
        ({}, {"__type": "com.amazon.coral.service#ExpiredTokenException"}, True),
        ({"x-amzn-errortype": "UnrecognizedClientException"}, {"message": "ExpiredTokenException"}, False),
        ({}, {}, False),
    ],
)
def test_a_spent_credential_is_known_by_its_word(headers: dict[str, str], error: dict[str, str], expired: bool) -> None:
    """Not by its status, which it shares with what no other credential would cure."""
    assert expired is is_expired(Fault(status=403, headers=headers, error=error))
