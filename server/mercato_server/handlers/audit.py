"""The RPCs of AuditService."""

from mercato.v1 import audit_pb2
from mercato_server.database.pool import Pool
from mercato_server.domain.audit_log import ACTION_MAX, AuditFilter
from mercato_server.handlers import convert
from mercato_server.handlers.idempotency import Answer
from mercato_server.handlers.pages import Pager
from mercato_server.rpc.context import Context
from mercato_server.store import audit_log
from mercato_server.validation.checks import Checks


class AuditHandler:
    """Serves the audit log to administrators."""

    def __init__(self, pool: "Pool", pager: Pager) -> None:
        self._pool = pool
        self._pager = pager

    async def ListAuditLog(self, request: audit_pb2.ListAuditLogRequest, _context: Context) -> Answer:
        """List the actions of administrators and of the command line."""
        with Checks() as check:
            self._pager.check(check, request)
            actor_id = check.optional_uuid("actor_id", request.actor_id)
            subject_id = check.optional_uuid("subject_id", request.subject_id)
            action = check.text("action", request.action, longest=ACTION_MAX)
        wanted = AuditFilter(actor_id=actor_id, subject_id=subject_id, action=action or None)
        query = f"audit log {wanted}"
        page = self._pager.page(request, query)
        return await self._pager.answer(
            page, query, lambda page: audit_log.entries(self._pool, wanted, page), convert.audit_entry, audit_pb2.ListAuditLogResponse
        )
