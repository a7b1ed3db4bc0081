"""The part of AuthService that is for administrators: accounts and the audit log."""

from mercato.v1 import auth_pb2
from mercato_server.database.pool import Pool
from mercato_server.domain.accounts import SEARCH_MAX, AccountFilter, Role
from mercato_server.domain.audit_log import ACTION_MAX, AuditFilter
from mercato_server.handlers import convert
from mercato_server.handlers.idempotency import Answer, Idempotency, answer
from mercato_server.handlers.pages import Pager
from mercato_server.rpc.context import Context
from mercato_server.store import audit_log, users
from mercato_server.validation.checks import Checks


class UserHandler:
    """Everybody's accounts, and what administrators did."""

    def __init__(self, pool: "Pool", pager: Pager, keys: Idempotency) -> None:
        self._pool = pool
        self._pager = pager
        self._idempotency = keys

    async def GetAdminOnly(self, _request: auth_pb2.GetAdminOnlyRequest, _context: Context) -> auth_pb2.GetAdminOnlyResponse:
        """Greet an administrator."""
        return auth_pb2.GetAdminOnlyResponse(message="Welcome, admin")

    async def ListUsers(self, request: auth_pb2.ListUsersRequest, _context: Context) -> auth_pb2.ListUsersResponse:
        """List accounts."""
        with Checks() as check:
            self._pager.check(check, request)
            text = check.text("q", request.q, longest=SEARCH_MAX)
            role = _role(check, request.role) if request.role else None
        wanted = AccountFilter(query=text or None, role=role, disabled=request.disabled if request.HasField("disabled") else None)
        query = f"users {wanted}"
        found, last = await users.users(self._pool, wanted, self._pager.page(request, query))
        return auth_pb2.ListUsersResponse(
            users=[convert.user(account) for account in found], next_page_token=self._pager.next_token(last, query)
        )

    async def GetUser(self, request: auth_pb2.GetUserRequest, _context: Context) -> auth_pb2.User:
        """Return an account."""
        with Checks() as check:
            user_id = check.uuid("user_id", request.user_id)
        return convert.user(await users.get(self._pool, user_id))

    async def UpdateUser(self, request: auth_pb2.UpdateUserRequest, context: Context) -> Answer:
        """Change what an account may do."""
        with Checks() as check:
            user_id = check.uuid("user_id", request.user_id)
            role = _role(check, request.role) if request.HasField("role") else None
        disabled = request.disabled if request.HasField("disabled") else None
        change = users.Update(user_id=user_id, role=role, disabled=disabled, actor=context.actor)
        key = self._idempotency.key(context, request, convert.user)
        return answer(context, await users.update(self._pool, change, key), convert.user)

    async def ListAuditLog(self, request: auth_pb2.ListAuditLogRequest, _context: Context) -> auth_pb2.ListAuditLogResponse:
        """List what administrators did."""
        with Checks() as check:
            self._pager.check(check, request)
            actor_id = check.optional_uuid("actor_id", request.actor_id)
            subject_id = check.optional_uuid("subject_id", request.subject_id)
            action = check.text("action", request.action, longest=ACTION_MAX)
        wanted = AuditFilter(actor_id=actor_id, subject_id=subject_id, action=action or None)
        query = f"audit log {wanted}"
        found, last = await audit_log.entries(self._pool, wanted, self._pager.page(request, query))
        return auth_pb2.ListAuditLogResponse(
            entries=[convert.audit_entry(entry) for entry in found], next_page_token=self._pager.next_token(last, query)
        )


def _role(check: Checks, number: auth_pb2.Role.ValueType) -> Role:
    if number not in convert.ROLE_OF:
        check.fail("role", "must be ROLE_USER or ROLE_ADMIN")
    return convert.ROLE_OF.get(number, Role.USER)
