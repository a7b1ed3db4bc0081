"""Errors of commands: one line or JSON on standard error, and the exit code."""

import json
from typing import Any

from google.rpc import code_pb2

from mercato.cli.escapes import harmless_json
from mercato.cli.output import as_rest
from mercato.cli.streams import tell

DONE, REFUSED, USAGE, IN_PART, LOGIN, UNREACHABLE = range(6)
"""The exit codes, which are a contract."""


def reported(error: Exception, *, as_json: bool) -> int | None:
    """Tell an error and return the exit code; None, and nothing told, for an error of another kind."""
    from mercato.cli.profiles import ProfileError
    from mercato.errors import CallError, MercatoError
    from mercato.sessions import SessionStoreError

    if isinstance(error, CallError):
        return _call(error, as_json=as_json)
    if isinstance(error, ProfileError):
        return _told(code_pb2.INVALID_ARGUMENT, str(error), USAGE, as_json=as_json)
    if isinstance(error, SessionStoreError):
        return _told(code_pb2.UNAUTHENTICATED, str(error), LOGIN, as_json=as_json)
    if isinstance(error, MercatoError):
        return _told(code_pb2.UNAVAILABLE, str(error), UNREACHABLE, as_json=as_json)
    return None


def exit_code(error: Any) -> int:
    """Return the exit code of a failed call."""
    from mercato.reasons import REASONS, RetryAdvice

    reason = REASONS.get(error.reason)
    if error.code == "UNAUTHENTICATED" or (reason and reason.retry is RetryAdvice.AFTER_LOGIN):
        return LOGIN
    return UNREACHABLE if error.code in {"UNAVAILABLE", "DEADLINE_EXCEEDED"} else REFUSED


def _call(error: Any, *, as_json: bool) -> int:
    from mercato.reasons import REASONS

    code = exit_code(error)
    if as_json:
        details = [{"@type": f"type.googleapis.com/{each.DESCRIPTOR.full_name}", **as_rest(each)} for each in error.details]
        more = {"reason": error.reason, "request_id": error.request_id, "outcome_unknown": error.outcome_unknown}
        key = {"idempotency_key": error.idempotency_key} if error.outcome_unknown and error.idempotency_key else {}
        tell_json(_number(error.code), error.message, details=details, **more, **key)
        return code
    lines = [f"mercato: {error.message or error.code} ({error.reason or error.code}{_request(error)})"]
    if reason := REASONS.get(error.reason):
        lines.append(f"  {reason.remedy}")
    if code == LOGIN and error.reason != "CREDENTIALS_INVALID":
        lines.append("  To log in: mercato login")
    if error.outcome_unknown and error.idempotency_key:
        lines.append(f"  The outcome is unknown. Repeat the command with: --idempotency-key {error.idempotency_key}")
    tell(*lines)
    return code


def _request(error: Any) -> str:
    return f", request {error.request_id}" if error.request_id else ""


def _told(status: int, message: str, code: int, *, as_json: bool) -> int:
    if as_json:
        tell_json(status, message)
    else:
        tell(f"mercato: {message}")
    return code


def tell_json(status: int, message: str, **more: Any) -> None:
    """Print an error as REST's JSON."""
    told = json.dumps({"code": status, "message": message, "details": [], **more}, ensure_ascii=False)
    tell(harmless_json(told))


def _number(code: str) -> int:
    return int(code_pb2.Code.Value(code)) if code in code_pb2.Code.keys() else int(code_pb2.UNKNOWN)  # noqa: SIM118 - no mapping
