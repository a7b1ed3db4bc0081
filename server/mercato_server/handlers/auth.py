"""AuthService."""

import time

from mercato.v1 import auth_pb2
from mercato_server.context import Context
from mercato_server.db import Pool
from mercato_server.domain.accounts import FULL_NAME_MAX, Role
from mercato_server.domain.errors import InvalidCredentials
from mercato_server.domain.passwords import PASSWORD_MAX_BYTES, weakness
from mercato_server.domain.tokens import Tokens
from mercato_server.handlers import convert
from mercato_server.handlers.checks import Checks
from mercato_server.handlers.forms import credentials
from mercato_server.handlers.idempotency import Answer, Idempotency, answer
from mercato_server.passwords import PasswordHasher
from mercato_server.store import accounts

EMAIL_MAX = 254
"""RFC 5321 section 4.5.3.1.3, as corrected by erratum 1690 of RFC 3696."""
BEARER = "bearer"


class AuthHandler:
    """Accounts and access tokens."""

    def __init__(self, pool: "Pool", tokens: Tokens, passwords: PasswordHasher, idempotency: Idempotency) -> None:
        self._pool = pool
        self._idempotency = idempotency
        self._tokens = tokens
        self._passwords = passwords

    async def SignUp(self, request: auth_pb2.SignUpRequest, context: Context) -> Answer:
        """Create an account of the role `user`."""
        with Checks() as check:
            email = check.email("email", request.email)
            full_name = check.text("full_name", request.full_name, longest=FULL_NAME_MAX)
            if weak := weakness(request.password):
                check.fail("password", weak)
        key = self._idempotency.key(context, request, convert.user)
        hashed = await self._passwords.hash(request.password)
        new = accounts.NewAccount(email=email, full_name=full_name, role=Role.USER, password_hash=hashed)
        return answer(context, await accounts.create(self._pool, new, key), convert.user)

    async def Login(self, request: auth_pb2.LoginRequest, _context: Context) -> auth_pb2.LoginResponse:
        """Exchange e-mail and password for an access token."""
        return await self._login(request.email, request.password)

    async def LoginForm(self, request: auth_pb2.LoginFormRequest, _context: Context) -> auth_pb2.LoginResponse:
        """Exchange an HTML form, or JSON, for an access token."""
        return await self._login(*credentials(request.form.content_type, request.form.data))

    async def GetMe(self, _request: auth_pb2.GetMeRequest, context: Context) -> auth_pb2.User:
        """Return the caller's account."""
        return convert.user(await accounts.get(self._pool, context.account_id))

    async def UpdateMe(self, request: auth_pb2.UpdateMeRequest, context: Context) -> Answer:
        """Change the caller's account."""
        if not request.HasField("full_name"):
            return await self.GetMe(auth_pb2.GetMeRequest(), context)
        with Checks() as check:
            full_name = check.text("full_name", request.full_name, longest=FULL_NAME_MAX)
        key = self._idempotency.key(context, request, convert.user)
        return answer(context, await accounts.rename(self._pool, context.account_id, full_name, key), convert.user)

    async def GetAdminOnly(self, _request: auth_pb2.GetAdminOnlyRequest, _context: Context) -> auth_pb2.GetAdminOnlyResponse:
        """Greet an administrator."""
        return auth_pb2.GetAdminOnlyResponse(message="Welcome, admin")

    async def _login(self, email: str, password: str) -> auth_pb2.LoginResponse:
        with Checks() as check:
            if not 0 < len(email) <= EMAIL_MAX or "\0" in email:
                check.fail("email", "must be the e-mail address of the account")
            if not 0 < len(password.encode()) <= PASSWORD_MAX_BYTES:
                check.fail("password", "must be the password of the account")
        account = await accounts.find(self._pool, email.strip().lower())
        if not await self._passwords.verify(password, account.password_hash if account else None) or account is None:
            raise InvalidCredentials
        return auth_pb2.LoginResponse(
            access_token=self._tokens.issue(account.id, time.time()), token_type=BEARER, expires_in=self._tokens.lifetime_s
        )
