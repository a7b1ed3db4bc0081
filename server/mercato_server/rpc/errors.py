"""The layer that turns exceptions into statuses: a MercatoError keeps its code, any other exception becomes INTERNAL."""

import asyncio
from collections import Counter
from uuid import UUID

import structlog
from grpc.aio import AbortError

from mercato_server.config.settings import Limits
from mercato_server.database.pool import is_unfit, refusal
from mercato_server.domain.errors import Code, InvalidRequest, MercatoError, OutOfStock, Violation
from mercato_server.rpc.context import Context
from mercato_server.rpc.headers import PREVIOUS_ATTEMPTS
from mercato_server.rpc.layers import Answer, Call, Method, Request
from mercato_server.rpc.line_budget import SUCCESS, LineBudget
from mercato_server.rpc.preconditions import status_headers
from mercato_server.rpc.statuses import abort, status_code
from mercato_server.security import security_log

log = structlog.get_logger(__name__)

ATTEMPTS, TOLD_ATTEMPTS = "grpc-previous-rpc-attempts", "previous-attempts"


class InternalError(MercatoError):
    """A bug in the server. The caller gets a request id to report; the exception's text stays in the log."""

    code, reason = Code.INTERNAL, "INTERNAL"


class Errors:
    """Turns the exceptions of calls into statuses. The security log gets those that may be a part of an attack, and what calls report."""

    def __init__(self, limits: Limits) -> None:
        self.security_lines = LineBudget(limits, _report)
        self.refused: Counter[str] = Counter({OutOfStock.reason: 0})
        """Calls that a MercatoError has refused, by its reason."""

    def layer(self, _method: Method, proceed: Call) -> Call:
        """Turn an exception of a call into its status."""

        async def mapped(request: Request, context: Context) -> Answer:
            try:
                answer = await proceed(request, context)
            except (AbortError, asyncio.CancelledError):  # an AbortError is an Exception, and has been sent already
                raise
            except MercatoError as error:
                self.refused[error.reason] += 1
                self._log(context, error)
                await end(context, error)
            except Exception as error:  # noqa: BLE001 - the outermost layer: gRPC would send the exception's text
                await end(context, _unfit(context, error) or refusal(error) or _internal(context, error))
            else:
                self._log_reported(context)
                return answer
            raise AssertionError("abort() returned")

        return mapped

    def _log(self, context: Context, error: MercatoError) -> None:
        """Write a line about a refusal to the security log, unless there are too many; who calls is in it as far as it is known."""
        reason = error.security_event
        if not reason or not self.security_lines.take(reason, context.device.network):
            return
        account_id = error.account_id or context.caller_id
        security_log.log.warning("a call was refused", reason=reason, **_fields(context, account_id))

    def _log_reported(self, context: Context) -> None:
        """Write the events that a call has reported; a call that succeeds is known by its account."""
        for event, account_id, more in context.reported:
            if self.security_lines.take_success():
                about = {"by_account_id": str(context.caller_id)} if account_id and context.caller_id else {}
                fields = _fields(context, account_id or context.caller_id)
                security_log.log.info("a security event", reason=event.value, **fields | about | more)


def _fields(context: Context, account_id: UUID | None) -> dict[str, str]:
    """Return who calls from where, as far as it is known."""
    fields = {
        "account_id": str(account_id or ""),
        "address_digest": context.address_digest,
        "method": context.rpc.path,
        "request_id": context.request_id,
        "trace_id": context.trace_id,
        "client": context.device.ip_address,
    }
    return {name: value for name, value in fields.items() if value}


def _report(reason: str, count: int) -> None:
    event = "more security events" if reason == SUCCESS else "more calls were refused"
    security_log.log.warning(event, reason=reason, calls=count)


def _unfit(context: Context, error: Exception) -> InvalidRequest | None:
    """Return the refusal of a request with a value that the checks let pass and PostgreSQL did not.

    The value came with the request, so the worker is sound: an INTERNAL would count against its health. The log names the missing check.
    """
    if not is_unfit(error):
        return None
    log.error("the database refused a value of a call", method=context.rpc.path, request_id=context.request_id, exc_info=error)
    return InvalidRequest([Violation("", "the request has a value that the database cannot take")])


def _internal(context: Context, error: Exception) -> InternalError:
    log.error("call failed unexpectedly", method=context.rpc.path, request_id=context.request_id, exc_info=error)
    return InternalError("internal error", request_id=context.request_id)


async def end(context: Context, error: MercatoError) -> None:
    """Send the error; raises AbortError."""
    context.code, context.reason = status_code(error), error.reason
    await abort(context.transport, error, *status_headers(error, context), *_previous_attempts(context))


def _previous_attempts(context: Context) -> tuple[tuple[str, str], ...]:
    """Return the trailing metadata by which a client learns that its gRPC has sent the call before; the C core does not tell it.

    An attempt before this one may have acted, although this one is refused.
    """
    given = context.metadata(ATTEMPTS) or context.metadata(PREVIOUS_ATTEMPTS) or ""
    return ((TOLD_ATTEMPTS, given),) if given.isdecimal() and len(given) == 1 else ()
