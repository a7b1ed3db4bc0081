"""The RPCs of AuthService by which people get their data, and erase it."""

from functools import partial

from mercato.v1 import auth_pb2
from mercato_server.config.settings import Limits
from mercato_server.database.pool import Pool
from mercato_server.domain.accounts import Account
from mercato_server.domain.errors import PasswordWrong
from mercato_server.handlers import convert
from mercato_server.handlers.pages import Pager
from mercato_server.rpc.context import Context
from mercato_server.security.address_digests import AddressDigests
from mercato_server.security.hash_queue import Lane
from mercato_server.security.hasher import Passwords
from mercato_server.security.passwords import PASSWORD_MAX_BYTES
from mercato_server.security.security_log import SecurityEvent
from mercato_server.store import accounts, erasure, login_attempts, personal_exports
from mercato_server.validation.checks import Checks


class PersonalDataHandler:
    """Exports and erases the caller's account."""

    def __init__(self, pool: "Pool", pager: Pager, address_digests: AddressDigests, limits: Limits) -> None:
        self._pool = pool
        self._pager = pager
        self._address_digests = address_digests
        self._limits = limits

    async def ExportMe(self, request: auth_pb2.ExportMeRequest, context: Context) -> bytes:
        """Return a page of what the shop holds of the caller."""
        with Checks() as check:
            self._pager.check(check, request)
        query = f"export {context.account_id}"
        page = self._pager.page(request, query)
        read = partial(personal_exports.orders, self._pool, context.account_id)
        orders = await self._pager.answer(page, query, read, convert.struct, auth_pb2.ExportMeResponse)
        if page.after:
            return orders
        account = await personal_exports.account(self._pool, context.account_id)
        context.report(SecurityEvent.PERSONAL_DATA_EXPORTED)
        return orders + auth_pb2.ExportMeResponse(account=convert.struct(account or {})).SerializeToString()

    async def DeleteMe(self, request: auth_pb2.DeleteMeRequest, context: Context, passwords: Passwords) -> auth_pb2.DeleteMeResponse:
        """Erase the caller's account."""
        with Checks() as check:
            if len(request.password.encode()) > PASSWORD_MAX_BYTES:
                check.fail("password", "must be the password of the account")
        account = await accounts.get(self._pool, context.account_id)
        erase = self._erase if account.password_hash else self._erase_guest
        kept = await erase(account, request.password, passwords)
        context.report(SecurityEvent.ACCOUNT_ERASED)
        return auth_pb2.DeleteMeResponse(kept_orders=kept)

    async def _erase(self, account: Account, password: str, passwords: Passwords) -> int:
        """Erase an account if the password is right; a wrong one counts as a failed login."""
        counters = self._address_digests.counters(account.email, passwords.network)
        known = counters.here in account.known_networks
        async with (
            passwords.place(Lane.CHANGE, counters.everywhere) as queued,
            login_attempts.attempt(self._pool, self._limits, counters, known=known) as attempt,
        ):
            attempt.failed = not await queued.verify(password, account.password_hash)
            if attempt.failed:
                raise PasswordWrong
            wanted = erasure.Erasure(account_id=account.id, old_hash=account.password_hash, counters=counters)
            orders = await erasure.erase(self._pool, wanted)
            attempt.succeeded = True
            return orders

    async def _erase_guest(self, account: Account, _password: str, _passwords: Passwords) -> int:
        return await erasure.erase(self._pool, erasure.Erasure(account_id=account.id, old_hash=""))
