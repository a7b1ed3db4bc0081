"""The layer that turns exceptions into statuses: a MercatoError keeps its code, any other exception becomes INTERNAL."""

import asyncio

import structlog
from grpc.aio import AbortError

from mercato_server.database.pool import is_unfit, refusal
from mercato_server.domain.errors import Code, InvalidRequest, MercatoError, Violation
from mercato_server.rpc.context import Context
from mercato_server.rpc.layers import Answer, Method, Unary
from mercato_server.rpc.preconditions import status_headers
from mercato_server.rpc.statuses import status_code, status_message, status_metadata

log = structlog.get_logger(__name__)


class InternalError(MercatoError):
    """A bug in the server. The caller gets a request id to report; the exception's text stays in the log."""

    code, reason = Code.INTERNAL, "INTERNAL"


def map_errors(_method: Method, proceed: Unary) -> Unary:
    """Turn an exception of the call into its status."""

    async def mapped(request: bytes, context: Context) -> Answer:
        try:
            return await proceed(request, context)
        except (AbortError, asyncio.CancelledError):  # an AbortError is an Exception, and has been sent already
            raise
        except MercatoError as error:
            await end(context, error)
        except Exception as error:  # noqa: BLE001 - the outermost layer: gRPC would send the exception's text
            await end(context, _unfit(context, error) or refusal(error) or _internal(context, error))
        raise AssertionError("abort() returned")

    return mapped


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
    context.code = status_code(error)
    await context.transport.abort(context.code, status_message(error), (*status_metadata(error), *status_headers(error, context)))
