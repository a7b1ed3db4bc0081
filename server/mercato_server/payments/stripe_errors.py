"""Failed requests to Stripe as errors of the shop. No text of Stripe's goes into a message, as it may have personal data.

Certainty follows https://docs.stripe.com/error-low-level and https://docs.stripe.com/api/idempotent_requests: a key stores the result of a
request whose execution began. Everything that is refused in front of that store proves nothing about an earlier try of the same key, and
neither does an error that this module does not know.
"""

import re
from collections.abc import Mapping
from typing import Any

import httpx
import stripe

from mercato_server.payments.provider import Certainty, ProviderError

WORD = re.compile(r"[a-z0-9_]{1,80}")
REQUEST_ID = re.compile(r"req_[A-Za-z0-9_]{1,60}")
RETRY_AFTER_MAX_S = 3600
UNUSABLE = "unusable_answer"
TOO_LARGE = "answer_too_large"
INVALID = re.compile(r"parameter_.*|amount_too_(small|large)|invalid_charge_amount|resource_missing")
"""Codes of parameters that Stripe refuses before the execution: https://docs.stripe.com/error-codes."""
REFUSED = re.compile(
    r"(payment_intent|charge|refund|capture|intent)_.*|balance_insufficient|insufficient_funds|.*card_declined|expired_card"
)
"""Codes of the state of a payment, which the execution has found."""
BAD_REQUEST, PAYMENT_REQUIRED, NOT_FOUND = 400, 402, 404
DECISIVE = {BAD_REQUEST: "invalid_request_error", PAYMENT_REQUIRED: "card_error", NOT_FOUND: "invalid_request_error"}
"""Statuses that can prove something, each with the type of its error."""
PASSING = re.compile(r"timeout|connection|local_limit|rate_limit|lock_timeout|http_(409|429|5\d\d)")
"""Codes of failures after which a read may succeed."""
NEVER_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol, httpx.ProxyError)


def of_answer(error: stripe.StripeError) -> ProviderError:
    """Return the error of an answer that is no success."""
    status, fields, headers = error.http_status or 0, _fields(error.json_body), error.headers or {}
    kind, code = _word(fields.get("type")), _word(fields.get("code"))
    is_stored = headers.get("idempotent-replayed") == "true"
    if 200 <= status < 300:
        return unusable(type(error).__name__)
    shown = [kind, f"status {status}", _request_id(headers)]
    return ProviderError(
        certainty(status, kind, code, names_parameter=bool(fields.get("param")), is_stored=is_stored),
        code or (kind if kind == "idempotency_error" else f"http_{status}"),
        ", ".join(part for part in shown if part),
        retry_after_s=_retry_after_s(headers),
        is_stored=is_stored,
    )


def certainty(status: int, kind: str, code: str, *, names_parameter: bool, is_stored: bool = False) -> Certainty:
    """Return whether an error proves that its request has had no effect.

    Args:
        status: of the response.
        kind: the type of the error.
        code: the code of the error, or nothing.
        names_parameter: whether the error names the parameter that is wrong.
        is_stored: whether the key has brought it a second time, so that the execution had begun.
    """
    if DECISIVE.get(status) != kind:
        return Certainty.UNKNOWN
    if status == PAYMENT_REQUIRED or is_stored or REFUSED.fullmatch(code):
        return Certainty.REFUSED
    if INVALID.fullmatch(code) or (not code and names_parameter):
        return Certainty.INVALID
    return Certainty.UNKNOWN


def of_connection(error: Exception) -> ProviderError:
    """Return the error of a connection that failed; only one that was not made has surely sent nothing."""
    sent = Certainty.UNSENT if isinstance(error, NEVER_SENT) else Certainty.UNKNOWN
    return ProviderError(sent, "connection", type(error).__name__)


def may_pass(error: ProviderError) -> bool:
    """Return whether a read that failed so may succeed later."""
    return bool(PASSING.fullmatch(error.code))


def unusable(detail: str) -> ProviderError:
    """Return the error of an answer that is not as Stripe documents it; the request may have had its effect."""
    return ProviderError(Certainty.UNKNOWN, UNUSABLE, detail)


def _fields(body: object) -> Mapping[str, Any]:
    found = body.get("error") if isinstance(body, dict) else None
    return found if isinstance(found, dict) else {}


def _word(value: object) -> str:
    return value if isinstance(value, str) and WORD.fullmatch(value) else ""


def _request_id(headers: Mapping[str, str]) -> str:
    value = headers.get("request-id", "")
    return f"request {value}" if REQUEST_ID.fullmatch(value) else ""


def _retry_after_s(headers: Mapping[str, str]) -> float | None:
    value = headers.get("retry-after", "")
    return float(min(int(value), RETRY_AFTER_MAX_S)) if re.fullmatch(r"[0-9]{1,9}", value) else None
