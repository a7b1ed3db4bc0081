"""The layer that authenticates the caller and enforces the access policy of the RPC."""

import time

from mercato.v1.policy_pb2 import ACCESS_ADMIN, ACCESS_ANYONE, ACCESS_BUYER, ACCESS_USER, Access
from mercato_server.domain.accounts import Role
from mercato_server.domain.errors import AccountRequired, AdminOnly, TokenInvalid
from mercato_server.rpc.context import Context
from mercato_server.rpc.layers import Answer, Call, Layer, Method, Request
from mercato_server.security.session_cache import Sessions
from mercato_server.security.tokens import Identity


def authenticate(sessions: Sessions) -> Layer:
    """Let a call through if the access policy of its RPC allows it.

    A token proves an account and a session; it carries no role. For commands and for administrators' calls the database is asked whether
    the session is live and which role the account has. Concurrent calls share that query; commands that share a transaction check in it.
    Other reads rely on the worker's session cache, which the change feed keeps at most 250 ms old. A public RPC may require an
    administrator while it runs (`context.require_admin`).
    """

    async def identify(context: Context) -> None:
        context.role = await sessions.role(_identified(sessions, context))

    def layer(method: Method, proceed: Call) -> Call:
        policy, reads = method.rpc.policy, method.rpc.reads

        async def reading(request: Request, context: Context) -> Answer:
            _check_role(access, Role.GUEST if await sessions.require_live(_identified(sessions, context)) else Role.USER)
            return await proceed(request, context)

        async def changing(request: Request, context: Context) -> Answer:
            await identify(context)
            _check_role(access, context.role)
            return await proceed(request, context)

        async def open_to_all(request: Request, context: Context) -> Answer:
            context.authenticate = identify
            return await proceed(request, context)

        async def admitted_later(request: Request, context: Context) -> Answer:
            _identified(sessions, context)
            return await proceed(request, context)

        access = policy.access
        if access == ACCESS_ANYONE:
            return open_to_all
        if method.asks_for_session and access == ACCESS_BUYER:
            return admitted_later
        return reading if reads and access != ACCESS_ADMIN else changing

    return layer


def _check_role(access: Access.ValueType, role: Role | None) -> None:
    """Raise AdminOnly or AccountRequired if the policy of an RPC does not allow a role to call it."""
    if access == ACCESS_ADMIN and role is not Role.ADMIN:
        raise AdminOnly
    if access == ACCESS_USER and role is Role.GUEST:
        raise AccountRequired


def _identified(sessions: Sessions, context: Context) -> Identity:
    """Return the account and the session that the caller's token proves; the context keeps them."""
    context.identity = identity = sessions.identify(_token(context), time.time())
    return identity


def _token(context: Context) -> str:
    given = context.metadata_all("authorization")
    if not given:
        raise TokenInvalid("the call needs an access token; send authorization: Bearer <token>", security_event="")
    scheme, _, token = given[0].partition(" ")
    if len(given) > 1 or scheme.lower() != "bearer":
        raise TokenInvalid("send one authorization header: Bearer <token>")
    return token.strip()
