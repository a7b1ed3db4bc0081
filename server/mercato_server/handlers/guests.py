"""Guests in requests and answers: the RPC that makes one, and the guest that logs in or signs up."""

from collections.abc import Callable

from mercato.v1 import auth_pb2, cart_merge_pb2
from mercato_server.config.settings import GuestRules
from mercato_server.database.pool import Pool
from mercato_server.domain.cart_merges import MergeMode
from mercato_server.domain.errors import GuestsOff
from mercato_server.handlers.convert_guests import MODE_OF
from mercato_server.rpc.context import Context
from mercato_server.security.address_digests import AddressDigests
from mercato_server.security.refresh_tokens import RefreshTokens, digest
from mercato_server.store import guests
from mercato_server.store.cart_merges import Joining
from mercato_server.store.sessions import Opened
from mercato_server.validation.checks import Checks

_PREFIX = "CART_MERGE_MODE_"

Pair = Callable[[Opened, str], auth_pb2.LoginResponse]
"""Returns the tokens of a session, with its refresh token."""


class GuestHandler:
    """Makes guests."""

    def __init__(self, pool: "Pool", tokens: RefreshTokens, digests: AddressDigests, rules: GuestRules, pair: Pair) -> None:
        self._pool = pool
        self._tokens = tokens
        self._digests = digests
        self._rules = rules
        self._pair = pair

    async def CreateGuest(self, _request: auth_pb2.CreateGuestRequest, context: Context) -> auth_pb2.LoginResponse:
        """Make a guest with a session."""
        if not self._rules.allowed:
            raise GuestsOff
        device, token = context.device, self._tokens.first()
        new = guests.NewGuest(network=self._digests.network(device.network), device=device, token_digest=digest(token))
        opened = await guests.create(self._pool, new, self._rules.per_hour, self._rules.idle_s)
        return self._pair(opened, token)


def joining(check: Checks, token: str, mode: cart_merge_pb2.CartMergeMode.ValueType, units_max: int) -> Joining | None:
    """Return the guest that a request names, or None; a token that is wrong is found out later, and fails nothing."""
    if mode not in MODE_OF:
        check.fail("cart_merge", "must be one of CART_MERGE_MODE_SUM, CART_MERGE_MODE_KEEP, CART_MERGE_MODE_REPLACE")
    return Joining(digest(token), MODE_OF.get(mode, MergeMode.SUM), units_max) if token else None


def mode_of(name: str) -> cart_merge_pb2.CartMergeMode.ValueType:
    """Return the mode of a login form's text, such as `KEEP`; a value that no mode has for any other text."""
    full = name if name.startswith(_PREFIX) else f"{_PREFIX}{name or 'SUM'}"
    known = cart_merge_pb2.CartMergeMode.DESCRIPTOR.values_by_name.get(full)
    return cart_merge_pb2.CartMergeMode.ValueType(known.number if known else -1)
