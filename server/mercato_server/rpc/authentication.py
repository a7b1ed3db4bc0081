"""Who calls, and whether that may be."""

import time

from mercato.v1.policy_pb2 import ACCESS_ADMIN, ACCESS_ANYONE
from mercato_server.domain.accounts import Role
from mercato_server.domain.errors import AdminOnly, TokenInvalid
from mercato_server.rpc.context import Context
from mercato_server.rpc.layers import Answer, Layer, Method, Unary
from mercato_server.security.session_cache import Sessions


def authenticate(sessions: Sessions) -> Layer:
    """Let a call through if its RPC's policy does.

    A token says who somebody is and never what they may do. Calls that change something, and those for administrators, ask the database
    whether the session is live and what the account may do now; concurrent ones ask together, those that share transactions in there. Other
    calls go by what the worker has heard.
    """

    def layer(method: Method, proceed: Unary) -> Unary:
        policy, reads = method.rpc.policy, method.rpc.reads

        async def reading(request: bytes, context: Context) -> Answer:
            context.identity = identity = sessions.identify(_token(context), time.time())
            await sessions.require_live(identity)
            return await proceed(request, context)

        async def changing(request: bytes, context: Context) -> Answer:
            context.identity = identity = sessions.identify(_token(context), time.time())
            context.role = await sessions.role(identity)
            if admins_only and context.role is not Role.ADMIN:
                raise AdminOnly
            return await proceed(request, context)

        async def admitted_later(request: bytes, context: Context) -> Answer:
            context.identity = sessions.identify(_token(context), time.time())
            return await proceed(request, context)

        admins_only = policy.access == ACCESS_ADMIN
        if policy.access == ACCESS_ANYONE:
            return proceed
        if method.asks_for_session and not admins_only:
            return admitted_later
        return reading if reads and not admins_only else changing

    return layer


def _token(context: Context) -> str:
    given = context.metadata_all("authorization")
    if not given:
        raise TokenInvalid("the call needs an access token; send authorization: Bearer <token>")
    scheme, _, token = given[0].partition(" ")
    if len(given) > 1 or scheme.lower() != "bearer":
        raise TokenInvalid("send one authorization header: Bearer <token>")
    return token.strip()
