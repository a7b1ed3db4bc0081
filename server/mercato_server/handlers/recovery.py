"""The RPCs of AuthService that use mails: password reset and verification of addresses."""

from mercato.v1 import auth_pb2
from mercato_server.database.pool import Pool
from mercato_server.handlers.idempotency import Answer, Idempotency, answer
from mercato_server.handlers.new_passwords import check_new_password
from mercato_server.rpc.context import Context
from mercato_server.security.address_digests import AddressDigests
from mercato_server.security.hash_queue import Lane
from mercato_server.security.hasher import Passwords
from mercato_server.security.one_time_tokens import LENGTH, digest
from mercato_server.security.security_log import SecurityEvent
from mercato_server.store import idempotency, mails, recovery
from mercato_server.store.idempotency import IdempotencyKey, Stored
from mercato_server.validation.checks import Checks


class RecoveryHandler:
    """Requests for mails with one-time tokens, and the use of the tokens."""

    def __init__(self, pool: "Pool", keys: Idempotency, address_digests: AddressDigests, mails_per_hour: int) -> None:
        self._pool = pool
        self._idempotency = keys
        self._address_digests = address_digests
        self._mails_per_hour = mails_per_hour

    async def RequestPasswordReset(self, request: auth_pb2.RequestPasswordResetRequest, context: Context) -> Answer:
        """Send a mail with a token that sets a new password.

        The call does not read accounts, so neither its response nor its duration reveals whether an account exists.
        """
        with Checks() as check:
            email = check.email("email", request.email)
        key = self._idempotency.key(context, request, _reset_requested)
        return answer(context, await mails.request_reset(self._pool, email, self._mails_per_hour, key), _reset_requested)

    async def ResetPassword(self, request: auth_pb2.ResetPasswordRequest, context: Context, passwords: Passwords) -> Answer:
        """Set a new password."""
        with Checks() as check:
            _check_token(check, request.token)
            await check_new_password(check, "new_password", request.new_password)
        key = self._idempotency.key(context, request, _password_reset)
        done = await idempotency.answered_or(self._pool, key, lambda: self._reset_password(request, context, passwords, key))
        context.report(SecurityEvent.PASSWORD_RESET)
        return answer(context, done, _password_reset)

    async def RequestEmailVerification(self, request: auth_pb2.RequestEmailVerificationRequest, context: Context) -> Answer:
        """Send a mail with a token that verifies the caller's address."""
        key = self._idempotency.key(context, request, _verification_requested)
        requested = await mails.request_verification(self._pool, context.account_id, self._mails_per_hour, key)
        return answer(context, requested, _verification_requested)

    async def VerifyEmail(self, request: auth_pb2.VerifyEmailRequest, context: Context) -> Answer:
        """Verify an address."""
        with Checks() as check:
            _check_token(check, request.token)
        key = self._idempotency.key(context, request, _email_verified)
        return answer(context, await recovery.verify_email(self._pool, digest(request.token), key), _email_verified)

    async def _reset_password(
        self, request: auth_pb2.ResetPasswordRequest, context: Context, passwords: Passwords, key: IdempotencyKey | None
    ) -> int | Stored:
        token_digest = digest(request.token)
        address = await recovery.address(self._pool, token_digest)  # hash only for callers with a valid token, because hashing is expensive
        with Checks() as check:
            await check_new_password(check, "new_password", request.new_password, address)
        counters = self._address_digests.counters(address, passwords.network)
        context.address_digest = counters.everywhere.hex()
        async with passwords.place(Lane.CHANGE, counters.everywhere) as queued:
            new_hash = await queued.hash(request.new_password)
        reset = recovery.Reset(token_digest=token_digest, counters=counters, new_hash=new_hash)
        return await recovery.reset_password(self._pool, reset, key)


def _check_token(check: Checks, token: str) -> None:
    if len(token) != LENGTH:
        check.fail("token", "must be the token of a mail")


def _reset_requested(_queued: bool) -> auth_pb2.RequestPasswordResetResponse:  # noqa: FBT001 - the response must not reveal it
    return auth_pb2.RequestPasswordResetResponse()


def _password_reset(ended_sessions: int) -> auth_pb2.ResetPasswordResponse:
    return auth_pb2.ResetPasswordResponse(ended_sessions=ended_sessions)


def _verification_requested(_queued: bool) -> auth_pb2.RequestEmailVerificationResponse:  # noqa: FBT001 - the response does not have it
    return auth_pb2.RequestEmailVerificationResponse()


def _email_verified(email: str) -> auth_pb2.VerifyEmailResponse:
    return auth_pb2.VerifyEmailResponse(email=email)
