"""Lines of the logger `mercato`: a call each at DEBUG, refreshes at INFO, what an operator must know at WARNING.

A line has no token, no password, no field of a request and no text of an error, which may quote one. Values are attributes of the record
too, for logs of JSON: `rpc`, `code`, `reason`, `elapsed_ms`, `request_id` and `idempotency_key`.
"""

import logging

logger = logging.getLogger("mercato")
logger.addHandler(logging.NullHandler())


def call(path: str, *, elapsed_s: float, request_id: str, code: str = "OK", reason: str = "", idempotency_key: str | None = None) -> None:
    """Tell that a call has ended; the key is told where it is needed to repeat the call."""
    if not logger.isEnabledFor(logging.DEBUG):
        return
    rpc, elapsed_ms = path.rpartition(".")[2], round(elapsed_s * 1000, 1)
    values = {
        "rpc": rpc,
        "code": code,
        "reason": reason,
        "elapsed_ms": elapsed_ms,
        "request_id": request_id,
        "idempotency_key": idempotency_key,
    }
    ended = f"{code} {reason}" if reason else code
    repeat = f", repeat it with the key {idempotency_key}" if idempotency_key else ""
    logger.debug("%s: %s in %s ms, request %s%s", rpc, ended, elapsed_ms, request_id, repeat, extra=values)


def refreshed(*, by: str) -> None:
    """Tell that the session has its next access token: `by` this client, or another process."""
    logger.info("the session was refreshed by %s", by)


def refresh_failed(error: BaseException, *, valid_s: float) -> None:
    """Tell that a refresh failed, and for how many seconds the last access token is still valid."""
    if valid_s > 0:
        logger.warning("the session could not be refreshed (%s); its access token is valid for another %.0f s", _cause(error), valid_s)
    else:
        logger.warning("the session could not be refreshed (%s), and its access token has expired", _cause(error))


def session_ended(error: BaseException) -> None:
    """Tell that the session has ended, so that its user must log in again."""
    logger.warning("the session has ended (%s); log in again", _cause(error))


def _cause(error: BaseException) -> str:
    """Return the reason, the code or the class of an error, never its text."""
    return getattr(error, "reason", "") or getattr(error, "code", "") or type(error).__name__
