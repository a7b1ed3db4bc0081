"""The RPCs of AuthService."""

from collections.abc import Callable
from functools import partial

from mercato.v1 import auth_pb2
from mercato_server.config.settings import Settings
from mercato_server.database.pool import Pool
from mercato_server.domain import addresses
from mercato_server.domain.accounts import FULL_NAME_MAX, Role, Session
from mercato_server.domain.errors import InvalidCredentials, PasswordWrong
from mercato_server.handlers import convert
from mercato_server.handlers.convert_guests import guest_merge
from mercato_server.handlers.forms import credentials
from mercato_server.handlers.guests import GuestHandler, joining, mode_of
from mercato_server.handlers.idempotency import Answer, Idempotency, answer
from mercato_server.handlers.new_passwords import check_new_password
from mercato_server.handlers.pages import Pager
from mercato_server.handlers.personal_data import PersonalDataHandler
from mercato_server.handlers.recovery import RecoveryHandler
from mercato_server.rpc.context import Context
from mercato_server.security.address_digests import AddressDigests
from mercato_server.security.hash_queue import Lane
from mercato_server.security.hasher import Passwords
from mercato_server.security.passwords import PASSWORD_MAX_BYTES, prepared
from mercato_server.security.refresh_tokens import LENGTH, RefreshTokens, digest
from mercato_server.security.security_log import SecurityEvent
from mercato_server.security.session_cache import Sessions
from mercato_server.store import accounts, idempotency, login_attempts, logins, sessions
from mercato_server.store.cart_merges import Joining
from mercato_server.store.idempotency import IdempotencyKey, Stored
from mercato_server.store.sessions import Opened
from mercato_server.validation.checks import Checks

BEARER = "bearer"


class AuthHandler:
    """Sign-up, sessions and passwords. RecoveryHandler has the RPCs that send mails or take the tokens of mails.

    PersonalDataHandler has those that export and erase the account.
    """

    def __init__(self, pool: "Pool", known: Sessions, pager: Pager, keys: Idempotency, settings: Settings) -> None:
        self._pool = pool
        self._pager = pager
        self._known = known
        self._idempotency = keys
        self._reserved_domains = settings.reserved_domains
        self._limits = settings.limits
        self._refresh_tokens = RefreshTokens(settings.secret_key)
        self._address_digests = AddressDigests(settings.secret_key)
        guest = GuestHandler(pool, self._refresh_tokens, self._address_digests, settings.guests, self._pair)
        self.CreateGuest = guest.CreateGuest
        self._units_max = settings.orders.units_per_product
        recovery = RecoveryHandler(pool, keys, self._address_digests, settings.limits.mails_per_hour)
        self.RequestPasswordReset = recovery.RequestPasswordReset
        self.ResetPassword = recovery.ResetPassword
        self.RequestEmailVerification = recovery.RequestEmailVerification
        self.VerifyEmail = recovery.VerifyEmail
        personal_data = PersonalDataHandler(pool, pager, self._address_digests, settings.limits)
        self.ExportMe = personal_data.ExportMe
        self.DeleteMe = personal_data.DeleteMe

    async def SignUp(self, request: auth_pb2.SignUpRequest, context: Context, passwords: Passwords) -> Answer:
        """Create an account with the role `user`."""
        with Checks() as check:
            email = check.new_email("email", request.email, reserved=self._reserved_domains)
            full_name = check.line("full_name", request.full_name, longest=FULL_NAME_MAX)
            await check_new_password(check, "password", request.password, email, full_name)
            guest = joining(check, request.guest_token, request.cart_merge, self._units_max)
        key = self._idempotency.key(context, request, convert.user)
        digest_of_address = self._address_digests.counters(email, passwords.network).everywhere
        async with passwords.place(Lane.CHANGE, digest_of_address) as queued:
            hashed = await queued.hash(request.password)
        new = accounts.NewAccount(email=email, full_name=full_name, role=Role.USER, password_hash=hashed)
        context.report(SecurityEvent.ACCOUNT_CREATED, address_digest=digest_of_address.hex())
        return answer(context, await accounts.sign_up(self._pool, new, self._limits.mails_per_hour, key, guest), convert.user)

    async def Login(self, request: auth_pb2.LoginRequest, context: Context, passwords: Passwords) -> auth_pb2.LoginResponse:
        """Open a session with an e-mail address and a password."""
        with Checks() as check:
            guest = joining(check, request.guest_token, request.cart_merge, self._units_max)
        return await self._login(request.email, request.password, guest, context, passwords)

    async def LoginForm(self, request: auth_pb2.LoginFormRequest, context: Context, passwords: Passwords) -> auth_pb2.LoginResponse:
        """Open a session with an HTML form or a JSON body."""
        form = credentials(request.form.content_type, request.form.data)
        with Checks() as check:
            guest = joining(check, form.guest_token, mode_of(form.cart_merge), self._units_max)
        return await self._login(form.email, form.password, guest, context, passwords)

    async def Refresh(self, request: auth_pb2.RefreshRequest, _context: Context) -> auth_pb2.LoginResponse:
        """Exchange a refresh token for new tokens."""
        with Checks() as check:
            if len(request.refresh_token) != LENGTH:
                check.fail("refresh_token", "must be the refresh token of the last Login or Refresh")
        successor = self._refresh_tokens.after(request.refresh_token)
        opened = await sessions.refresh(self._pool, digest(request.refresh_token), digest(successor))
        return self._pair(opened, successor)

    async def Logout(self, _request: auth_pb2.LogoutRequest, context: Context) -> auth_pb2.LogoutResponse:
        """End the session of the call."""
        await sessions.end(self._pool, context.identity.session_id, context.account_id)
        context.report(SecurityEvent.LOGGED_OUT)
        return auth_pb2.LogoutResponse()

    async def LogoutAll(self, _request: auth_pb2.LogoutAllRequest, context: Context) -> auth_pb2.LogoutAllResponse:
        """End every session of the caller."""
        ended = await sessions.end_all(self._pool, context.account_id)
        context.report(SecurityEvent.ALL_SESSIONS_ENDED)
        return auth_pb2.LogoutAllResponse(ended_sessions=ended)

    async def ListSessions(self, request: auth_pb2.ListSessionsRequest, context: Context) -> bytes:
        """List the caller's sessions."""
        with Checks() as check:
            self._pager.check(check, request)
        query = f"sessions {context.account_id}"
        page = self._pager.page(request, query)
        read = partial(sessions.of_account, self._pool, context.account_id)
        return await self._pager.answer(page, query, read, _converter(context), auth_pb2.ListSessionsResponse)

    async def RevokeSession(self, request: auth_pb2.RevokeSessionRequest, context: Context) -> Answer:
        """End one of the caller's sessions."""
        with Checks() as check:
            session_id = check.uuid("session_id", request.session_id)
        message = _converter(context)
        key = self._idempotency.key(context, request, message)
        context.report(SecurityEvent.SESSION_REVOKED, session_id=str(session_id))
        return answer(context, await sessions.revoke(self._pool, session_id, context.account_id, key), message)

    async def ChangePassword(self, request: auth_pb2.ChangePasswordRequest, context: Context, passwords: Passwords) -> Answer:
        """Replace the caller's password."""
        with Checks() as check:
            await check_new_password(check, "new_password", request.new_password)
            if prepared(request.new_password) == prepared(request.current_password):
                check.fail("new_password", "must differ from the current password")
            if not 0 < len(request.current_password.encode()) <= PASSWORD_MAX_BYTES:
                check.fail("current_password", "must be the password of the account")
        key = self._idempotency.key(context, request, _password_changed)
        changed = await idempotency.answered_or(self._pool, key, lambda: self._change_password(request, context, passwords, key))
        context.report(SecurityEvent.PASSWORD_CHANGED)
        return answer(context, changed, _password_changed)

    async def GetJwks(self, _request: auth_pb2.GetJwksRequest, _context: Context) -> auth_pb2.Jwks:
        """Return the public keys of access tokens."""
        return convert.jwks(self._known.tokens.keyring)

    async def _login(
        self, email: str, password: str, guest: Joining | None, context: Context, passwords: Passwords
    ) -> auth_pb2.LoginResponse:
        with Checks() as check:
            if not 0 < len(email) <= addresses.ADDRESS_MAX or "\0" in email:
                check.fail("email", "must be the e-mail address of the account")
            if not 0 < len(password.encode()) <= PASSWORD_MAX_BYTES:
                check.fail("password", "must be the password of the account")
        address = addresses.sought(email)
        counters = self._address_digests.counters(address, passwords.network)
        context.address_digest = counters.everywhere.hex()
        async with passwords.place(Lane.LOGIN, counters.everywhere) as queued:
            account = await accounts.find(self._pool, address)
            known = account is not None and counters.here in account.known_networks
            async with login_attempts.attempt(self._pool, self._limits, counters, known=known) as attempt:
                token = self._refresh_tokens.first()
                done = None
                if await queued.verify(password, account.password_hash if account else None) and account is not None:
                    login = logins.Login(
                        account=account,
                        device=context.device,
                        token_digest=digest(token),
                        counters=counters,
                        known_max=self._limits.networks_known,
                        joining=guest,
                    )
                    done = await logins.log_in(self._pool, login)
                attempt.succeeded, attempt.failed = done is not None, done is None
        if done is None:
            raise InvalidCredentials
        opened, merge = done
        context.report(SecurityEvent.LOGGED_IN, opened.account_id, session_id=str(opened.id))
        response = self._pair(opened, token)
        if merge:
            response.guest_merge.MergeFrom(guest_merge(merge))
        return response

    async def _change_password(
        self, request: auth_pb2.ChangePasswordRequest, context: Context, passwords: Passwords, key: IdempotencyKey | None
    ) -> int | Stored:
        account = await accounts.get(self._pool, context.account_id)
        with Checks() as check:
            await check_new_password(check, "new_password", request.new_password, account.email, account.full_name)
        counters = self._address_digests.counters(account.email, passwords.network)
        known = counters.here in account.known_networks
        async with (
            passwords.place(Lane.CHANGE, counters.everywhere) as queued,
            login_attempts.attempt(self._pool, self._limits, counters, known=known) as attempt,
        ):
            attempt.failed = not await queued.verify(request.current_password, account.password_hash)
            if attempt.failed:
                raise PasswordWrong
            new = accounts.NewPassword(
                account_id=account.id,
                session_id=context.identity.session_id,
                counters=counters,
                old_hash=account.password_hash,
                new_hash=await queued.hash(request.new_password),
            )
            changed = await accounts.change_password(self._pool, new, key)
            attempt.succeeded = True
            return changed

    def _pair(self, opened: Opened, refresh_token: str) -> auth_pb2.LoginResponse:
        """Return the tokens of a session that was opened or refreshed."""
        tokens = self._known.tokens
        return auth_pb2.LoginResponse(
            access_token=tokens.issue(opened.account_id, opened.id),
            token_type=BEARER,
            expires_in=tokens.lifetime_s,
            refresh_token=refresh_token,
            refresh_expires_in=opened.lasts_s,
        )


def _converter(context: Context) -> Callable[[Session], auth_pb2.Session]:
    """Return the function that makes messages of the caller's sessions."""
    return lambda found: convert.session(found, current=found.id == context.session_id)


def _password_changed(ended_sessions: int) -> auth_pb2.ChangePasswordResponse:
    return auth_pb2.ChangePasswordResponse(ended_sessions=ended_sessions)
