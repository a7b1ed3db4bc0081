"""Who calls, and whether that may be."""

import time
from collections.abc import Callable
from uuid import UUID

from cachetools import LRUCache

from mercato.v1.policy_pb2 import ACCESS_ADMIN, ACCESS_ANYONE
from mercato_server.context import Context, Rpc
from mercato_server.db import Pool
from mercato_server.domain.errors import AdminOnly, TokenInvalid
from mercato_server.domain.tokens import Tokens
from mercato_server.interceptors import Answer, Unary
from mercato_server.store import accounts

TOKENS_REMEMBERED = 10_000
"""Verified tokens that are remembered until they expire: to verify one costs a fifth of an empty call."""


def authenticate(tokens: Tokens, pool: "Pool") -> Callable[[Rpc, Unary], Unary]:
    """Let a call through if its RPC's policy does.

    A token says who somebody is and never what they may do: whether they are an administrator is read from the database at each call that
    needs to know, so that a demoted one is refused on the next call.
    """
    verified: LRUCache[str, tuple[UUID, float]] = LRUCache(TOKENS_REMEMBERED)

    def account_of(context: Context) -> UUID:
        token = _token(context)
        known = verified.get(token)
        if known is None or known[1] <= time.time():
            known = verified[token] = tokens.verify(token)
        return known[0]

    def layer(rpc: Rpc, proceed: Unary) -> Unary:
        if rpc.policy.access == ACCESS_ANYONE:
            return proceed

        async def as_user(request: bytes, context: Context) -> Answer:
            context.account_id = account_of(context)
            return await proceed(request, context)

        async def as_admin(request: bytes, context: Context) -> Answer:
            context.account_id = account_of(context)
            if not await accounts.is_admin(pool, context.account_id):
                raise AdminOnly
            return await proceed(request, context)

        return as_admin if rpc.policy.access == ACCESS_ADMIN else as_user

    return layer


def _token(context: Context) -> str:
    given = context.metadata_all("authorization")
    if not given:
        raise TokenInvalid("the call needs an access token; send authorization: Bearer <token>")
    scheme, _, token = given[0].partition(" ")
    if len(given) > 1 or scheme.lower() != "bearer":
        raise TokenInvalid("send one authorization header: Bearer <token>")
    return token.strip()
