"""The services of `AsyncClient`. Generated from protos/; never edited."""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterable

from google.api import httpbody_pb2
from google.protobuf import field_mask_pb2, struct_pb2, timestamp_pb2

from mercato._aio import AsyncPager, Calls
from mercato._core import Answer, Metadata, Options, request_of
from mercato._services import methods
from mercato.v1 import (
    audit_pb2,
    auth_pb2,
    cart_merge_pb2,
    cart_pb2,
    catalog_pb2,
    fulfillment_pb2,
    media_pb2,
    money_pb2,
    order_pb2,
    payment_pb2,
    postal_address_pb2,
    promotion_pb2,
    shipping_pb2,
    shop_pb2,
    tax_pb2,
    user_pb2,
)


class AuditService:
    """The audit log: every change that administrators made.

    Every RPC can also answer DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED OVERLOADED and UNAVAILABLE DATABASE_UNAVAILABLE; the last two
    carry a RetryInfo.
    """

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def list_audit_log(
        self,
        request: audit_pb2.ListAuditLogRequest | None = None,
        /,
        *,
        page_size: int | None = None,
        page_token: str | None = None,
        actor_id: str | None = None,
        subject_id: str | None = None,
        action: str | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
    ) -> AsyncPager[audit_pb2.ListAuditLogResponse, audit_pb2.AuditEntry]:
        """List what administrators did, the latest first.

        Every change that needs an administrator leaves one entry, written in its transaction: products, stock, categories,
        orders, their payments, refunds, shipments and returns, accounts, taxes, deliveries, promotions, settings of the shop, and
        the commands `mercato admin create`, `mercato account export`, `mercato account erase`, `mercato keys rotate`, `mercato
        import`, `mercato taxes import`, `mercato promotions create-codes` and `mercato events --retry`. A refused call and a
        replayed answer leave no entry. Entries are never changed and never deleted, except that an erased account's address, name
        and tax number leave its entries.

        Errors: INVALID_ARGUMENT INVALID_FIELD or PAGE_TOKEN_INVALID, UNAUTHENTICATED TOKEN_INVALID, PERMISSION_DENIED ADMIN_ONLY.

        Args:
            page_size: Entries a page: 0 means 20, above 100 means 100.
            page_token: `next_page_token` of the page before.
            actor_id: Only changes by this account (UUID); empty means any.
            subject_id: Only changes of this product, category, order, account, tax rate, zone, method or promotion (UUID);
                empty means any.
            action: Only this action, such as user.updated; at most 100 characters; empty means any.
        """
        return AsyncPager(
            self._calls,
            methods.AUDIT_LIST_AUDIT_LOG,
            request_of(
                methods.AUDIT_LIST_AUDIT_LOG,
                request,
                {"page_size": page_size, "page_token": page_token, "actor_id": actor_id, "subject_id": subject_id, "action": action},
            ),
            Options(timeout, metadata),
        )


class AuditAnswers:
    """AuditService, whose methods return an `Answer`; those of lists return one page."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    async def list_audit_log(
        self,
        request: audit_pb2.ListAuditLogRequest | None = None,
        /,
        *,
        page_size: int | None = None,
        page_token: str | None = None,
        actor_id: str | None = None,
        subject_id: str | None = None,
        action: str | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
    ) -> Answer[audit_pb2.ListAuditLogResponse]:
        """As `AuditService.list_audit_log`, with the request id, and whether the answer was replayed."""
        return await self._calls.answer(
            methods.AUDIT_LIST_AUDIT_LOG,
            request_of(
                methods.AUDIT_LIST_AUDIT_LOG,
                request,
                {"page_size": page_size, "page_token": page_token, "actor_id": actor_id, "subject_id": subject_id, "action": action},
            ),
            Options(timeout, metadata),
        )


class AuthService:
    """Sign-up, sessions, passwords and tokens.

    A login opens a session: an access token of a few minutes, to send as `authorization: Bearer <token>`, and a refresh token
    that is exchanged for the next pair. A session ends by Logout, by a new password, when its account is disabled, or 30 days
    after its login. An ended one is refused at once by RPCs that change something and by those for administrators, and within 250
    ms by all others.

    Every RPC can also answer DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED OVERLOADED and UNAVAILABLE DATABASE_UNAVAILABLE; the last two
    carry a RetryInfo. RPCs that take a password can also answer UNAVAILABLE HASHING_UNAVAILABLE, with a RetryInfo. ABORTED
    CONFLICT, with a RetryInfo too, means that concurrent calls held locks that the call needed; it changed nothing.
    """

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    async def change_password(
        self,
        request: auth_pb2.ChangePasswordRequest | None = None,
        /,
        *,
        current_password: str | None = None,
        new_password: str | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
        idempotency_key: str | None = None,
    ) -> auth_pb2.ChangePasswordResponse:
        """Replace the caller's password; every other session of the account ends.

        A wrong current password counts as a failed login.

        Errors: INVALID_ARGUMENT INVALID_FIELD, UNAUTHENTICATED TOKEN_INVALID, PERMISSION_DENIED PASSWORD_WRONG,
        RESOURCE_EXHAUSTED TOO_MANY_ATTEMPTS.

        Args:
            current_password: The password until now.
            new_password: 8 characters to 1,024 bytes of UTF-8, not one of the commonest passwords, and another one than now.
        """
        return await self._calls.message(
            methods.AUTH_CHANGE_PASSWORD,
            request_of(methods.AUTH_CHANGE_PASSWORD, request, {"current_password": current_password, "new_password": new_password}),
            Options(timeout, metadata, idempotency_key),
        )

    async def create_guest(
        self, request: auth_pb2.CreateGuestRequest | None = None, /, *, timeout: float | None = None, metadata: Metadata = ()
    ) -> auth_pb2.LoginResponse:
        """Make a guest: an account with ROLE_GUEST and a session, for buyers who do not sign up.

        A guest has a cart, addresses, orders and payments of its own; its checkout needs `contact_email` in the cart's header. A
        guest that has ordered nothing is deleted when it was not used for a month, or as long as the shop's operator says. Each
        call makes another guest: it honours no `idempotency-key`.

        Errors: RESOURCE_EXHAUSTED TOO_MANY_GUESTS (the network of the client has made as many in the last hour as it may;
        RetryInfo says when), FAILED_PRECONDITION GUESTS_OFF.
        """
        return await self._calls.message(
            methods.AUTH_CREATE_GUEST, request_of(methods.AUTH_CREATE_GUEST, request, {}), Options(timeout, metadata)
        )

    async def delete_me(
        self,
        request: auth_pb2.DeleteMeRequest | None = None,
        /,
        *,
        password: str | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
    ) -> auth_pb2.DeleteMeResponse:
        """Erase the caller's account: its e-mail address, name, password, address book, cart, sessions, mails and stored answers,
        and its orders' contacts, addresses and words.

        Orders stay with their lines, amounts, and the country and region of their taxes.

        It cannot be undone. Every token of the account is invalid afterwards, so a repeated call is UNAUTHENTICATED
        TOKEN_INVALID. The e-mail address can sign up again, as a new account.

        Errors: UNAUTHENTICATED TOKEN_INVALID, PERMISSION_DENIED PASSWORD_WRONG, RESOURCE_EXHAUSTED TOO_MANY_ATTEMPTS (after wrong
        passwords; RetryInfo), FAILED_PRECONDITION ORDERS_UNFINISHED (orders that are not paid or not shipped, or with a refund or
        dispute under way; metadata `orders` has their numbers) or LAST_ADMIN, INVALID_ARGUMENT INVALID_FIELD.

        Args:
            password: The password of the account; a guest has none.
        """
        return await self._calls.message(
            methods.AUTH_DELETE_ME, request_of(methods.AUTH_DELETE_ME, request, {"password": password}), Options(timeout, metadata)
        )

    def export_me(
        self,
        request: auth_pb2.ExportMeRequest | None = None,
        /,
        *,
        page_size: int | None = None,
        page_token: str | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
    ) -> AsyncPager[auth_pb2.ExportMeResponse, struct_pb2.Struct]:
        """Return what the shop holds of the caller, as pages of JSON objects: the account with all that belongs to it on the first
        page, and the orders, the newest first.

        Follow `next_page_token` for all of them.

        Notes that administrators wrote about orders are not there, because they may be about others too; the shop gives them on
        request. Neither are the hashes of password and tokens. A guest gets its own data. The edge limits the calls of a client
        address as it limits logins.

        Errors: INVALID_ARGUMENT INVALID_FIELD or PAGE_TOKEN_INVALID, UNAUTHENTICATED TOKEN_INVALID.

        Args:
            page_size: Orders a page: 0 means 20, above 100 means 100.
            page_token: `next_page_token` of the page before.
        """
        return AsyncPager(
            self._calls,
            methods.AUTH_EXPORT_ME,
            request_of(methods.AUTH_EXPORT_ME, request, {"page_size": page_size, "page_token": page_token}),
            Options(timeout, metadata),
        )

    async def get_jwks(
        self, request: auth_pb2.GetJwksRequest | None = None, /, *, timeout: float | None = None, metadata: Metadata = ()
    ) -> auth_pb2.Jwks:
        """Return the public keys that verify access tokens: a JSON Web Key Set (RFC 7517).

        Empty where tokens are signed with a shared secret.

        The next key is among them before any token is signed with it, so the set may be cached for five minutes.

        Errors: none of its own.
        """
        return await self._calls.message(methods.AUTH_GET_JWKS, request_of(methods.AUTH_GET_JWKS, request, {}), Options(timeout, metadata))

    def list_sessions(
        self,
        request: auth_pb2.ListSessionsRequest | None = None,
        /,
        *,
        page_size: int | None = None,
        page_token: str | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
    ) -> AsyncPager[auth_pb2.ListSessionsResponse, auth_pb2.Session]:
        """List the caller's sessions that have not ended, a page at a time, the one used last first.

        One that is used meanwhile moves to the front.

        Errors: INVALID_ARGUMENT INVALID_FIELD or PAGE_TOKEN_INVALID, UNAUTHENTICATED TOKEN_INVALID.

        Args:
            page_size: Sessions a page: 0 means 20, above 100 means 100.
            page_token: `next_page_token` of the page before.
        """
        return AsyncPager(
            self._calls,
            methods.AUTH_LIST_SESSIONS,
            request_of(methods.AUTH_LIST_SESSIONS, request, {"page_size": page_size, "page_token": page_token}),
            Options(timeout, metadata),
        )

    async def login(
        self,
        request: auth_pb2.LoginRequest | None = None,
        /,
        *,
        email: str | None = None,
        password: str | None = None,
        guest_token: str | None = None,
        cart_merge: cart_merge_pb2.CartMergeMode.ValueType | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
    ) -> auth_pb2.LoginResponse:
        """Open a session with e-mail and password.

        An unknown e-mail, a wrong password and a disabled account are the same error, after the same work. After five failures
        from one client address (an IPv6 /64 counts as one) each further one doubles the time until the next attempt for that
        e-mail from there, from one second to one minute; a success forgets them. After 50 failures from all addresses together
        the same holds for all, except for those from which this account has logged in before. Attempts at the same time that
        could exceed the free failures wait for each other. With `guest_token` the guest's cart joins the account's cart, and the
        guest's session ends. No cart makes a login fail: `guest_merge` of the answer says what changed. Orders of guests whose
        `contact_email` is the verified address of the account move to it. A guest keeps its session while it has an unpaid order
        that has not moved.

        Errors: INVALID_ARGUMENT INVALID_FIELD, UNAUTHENTICATED INVALID_CREDENTIALS, RESOURCE_EXHAUSTED TOO_MANY_ATTEMPTS
        (RetryInfo says when).

        Args:
            email: E-mail address of the account.
            password: Its password.
            guest_token: Refresh token of a guest (CreateGuest) whose cart joins the account's cart; at most 47 characters. A
                wrong or expired one, or that of an account, changes nothing.
            cart_merge: How the carts are joined.
        """
        return await self._calls.message(
            methods.AUTH_LOGIN,
            request_of(
                methods.AUTH_LOGIN, request, {"email": email, "password": password, "guest_token": guest_token, "cart_merge": cart_merge}
            ),
            Options(timeout, metadata),
        )

    async def login_form(
        self,
        request: auth_pb2.LoginFormRequest | None = None,
        /,
        *,
        form: httpbody_pb2.HttpBody | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
    ) -> auth_pb2.LoginResponse:
        """Log in by HTML form (`username`, `password`; the OAuth 2.0 password form, RFC 6749 section 4.3.2) or by the JSON object
        {"username" or "email", "password"}.

        Both may have `guest_token` and `cart_merge` (SUM, KEEP or REPLACE), as Login.

        Errors: INVALID_ARGUMENT INVALID_FIELD (also for another content type), UNAUTHENTICATED INVALID_CREDENTIALS,
        RESOURCE_EXHAUSTED TOO_MANY_ATTEMPTS, as Login.

        Args:
            form: The HTTP body as it came: application/x-www-form-urlencoded or application/json.
        """
        return await self._calls.message(
            methods.AUTH_LOGIN_FORM, request_of(methods.AUTH_LOGIN_FORM, request, {"form": form}), Options(timeout, metadata)
        )

    async def logout(
        self, request: auth_pb2.LogoutRequest | None = None, /, *, timeout: float | None = None, metadata: Metadata = ()
    ) -> auth_pb2.LogoutResponse:
        """End the session that the call is made in.

        Errors: UNAUTHENTICATED TOKEN_INVALID.
        """
        return await self._calls.message(methods.AUTH_LOGOUT, request_of(methods.AUTH_LOGOUT, request, {}), Options(timeout, metadata))

    async def logout_all(
        self, request: auth_pb2.LogoutAllRequest | None = None, /, *, timeout: float | None = None, metadata: Metadata = ()
    ) -> auth_pb2.LogoutAllResponse:
        """End every session of the caller, this one too.

        Errors: UNAUTHENTICATED TOKEN_INVALID.
        """
        return await self._calls.message(
            methods.AUTH_LOGOUT_ALL, request_of(methods.AUTH_LOGOUT_ALL, request, {}), Options(timeout, metadata)
        )

    async def refresh(
        self,
        request: auth_pb2.RefreshRequest | None = None,
        /,
        *,
        refresh_token: str | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
    ) -> auth_pb2.LoginResponse:
        """Exchange a refresh token for a new access token and the next refresh token.

        A token can be exchanged once. A client that lost the response may exchange it again for ten seconds, while the next token
        is unused, and gets the same next token. A later second use means that two clients hold the token: the session ends.

        Errors: UNAUTHENTICATED REFRESH_TOKEN_INVALID.

        Args:
            refresh_token: The refresh token of the last Login or Refresh.
        """
        return await self._calls.message(
            methods.AUTH_REFRESH, request_of(methods.AUTH_REFRESH, request, {"refresh_token": refresh_token}), Options(timeout, metadata)
        )

    async def request_email_verification(
        self,
        request: auth_pb2.RequestEmailVerificationRequest | None = None,
        /,
        *,
        timeout: float | None = None,
        metadata: Metadata = (),
        idempotency_key: str | None = None,
    ) -> auth_pb2.RequestEmailVerificationResponse:
        """Ask for another mail with a token that verifies the caller's address (VerifyEmail), as SignUp sends one.

        Valid for 24 hours.

        An address that is verified already gets none. For a guest it is the `contact_email` of the cart's header, which a shop
        may want verified before the checkout.

        Errors: UNAUTHENTICATED TOKEN_INVALID, FAILED_PRECONDITION CONTACT_REQUIRED (a guest without a contact address),
        RESOURCE_EXHAUSTED TOO_MANY_MAILS (after five in an hour; RetryInfo says when).
        """
        return await self._calls.message(
            methods.AUTH_REQUEST_EMAIL_VERIFICATION,
            request_of(methods.AUTH_REQUEST_EMAIL_VERIFICATION, request, {}),
            Options(timeout, metadata, idempotency_key),
        )

    async def request_password_reset(
        self,
        request: auth_pb2.RequestPasswordResetRequest | None = None,
        /,
        *,
        email: str | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
        idempotency_key: str | None = None,
    ) -> auth_pb2.RequestPasswordResetResponse:
        """Ask for a mail with a token that sets a new password (ResetPassword).

        It is valid for an hour, and ends those that were asked for before.

        The answer is the same, and as quick, whether the address has an account or not: that is looked up when the mail is sent.
        More than five mails in an hour are not sent to an address; the answer does not tell, and the token of the last one stays
        valid.

        Errors: INVALID_ARGUMENT INVALID_FIELD.

        Args:
            email: E-mail address of the account.
        """
        return await self._calls.message(
            methods.AUTH_REQUEST_PASSWORD_RESET,
            request_of(methods.AUTH_REQUEST_PASSWORD_RESET, request, {"email": email}),
            Options(timeout, metadata, idempotency_key),
        )

    async def reset_password(
        self,
        request: auth_pb2.ResetPasswordRequest | None = None,
        /,
        *,
        token: str | None = None,
        new_password: str | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
        idempotency_key: str | None = None,
    ) -> auth_pb2.ResetPasswordResponse:
        """Set a new password with the token of a mail; every session of the account ends, and its address counts as verified.

        Errors: INVALID_ARGUMENT INVALID_FIELD, FAILED_PRECONDITION ONE_TIME_TOKEN_INVALID (unknown, used, expired, or followed by
        a newer one; it does not say which).

        Args:
            token: The token of the mail.
            new_password: 8 characters to 1,024 bytes of UTF-8, and not one of the commonest passwords.
        """
        return await self._calls.message(
            methods.AUTH_RESET_PASSWORD,
            request_of(methods.AUTH_RESET_PASSWORD, request, {"token": token, "new_password": new_password}),
            Options(timeout, metadata, idempotency_key),
        )

    async def revoke_session(
        self,
        request: auth_pb2.RevokeSessionRequest | None = None,
        /,
        *,
        session_id: str | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
        idempotency_key: str | None = None,
    ) -> auth_pb2.Session:
        """End one of the caller's sessions, say that of a lost phone.

        Errors: INVALID_ARGUMENT INVALID_FIELD, UNAUTHENTICATED TOKEN_INVALID, NOT_FOUND SESSION_NOT_FOUND (also for another
        account's, or an ended one).

        Args:
            session_id: UUID of the session.
        """
        return await self._calls.message(
            methods.AUTH_REVOKE_SESSION,
            request_of(methods.AUTH_REVOKE_SESSION, request, {"session_id": session_id}),
            Options(timeout, metadata, idempotency_key),
        )

    async def sign_up(
        self,
        request: auth_pb2.SignUpRequest | None = None,
        /,
        *,
        email: str | None = None,
        password: str | None = None,
        full_name: str | None = None,
        guest_token: str | None = None,
        cart_merge: cart_merge_pb2.CartMergeMode.ValueType | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
        idempotency_key: str | None = None,
    ) -> user_pb2.User:
        """Create an account with ROLE_USER, and send its address a mail with a token for VerifyEmail.

        With `guest_token` the guest becomes the account: its cart, orders, addresses and idempotency keys stay. Its sessions keep
        the rights of a guest; a login opens a full one. A sign-up that is refused leaves the guest as it was.

        Errors: INVALID_ARGUMENT INVALID_FIELD (every violation is listed), ALREADY_EXISTS EMAIL_TAKEN.

        Args:
            email: E-mail address, at most 254 characters; compared without regard to case.
            password: 8 characters to 1,024 bytes of UTF-8, and not one of the commonest passwords.
            full_name: At most 200 characters.
            guest_token: Refresh token of a guest (CreateGuest) whose account this becomes; at most 47 characters. A wrong or
                expired one, or that of an account, changes nothing.
            cart_merge: Has no effect: the account has the cart of its guest, and no other.
        """
        return await self._calls.message(
            methods.AUTH_SIGN_UP,
            request_of(
                methods.AUTH_SIGN_UP,
                request,
                {"email": email, "password": password, "full_name": full_name, "guest_token": guest_token, "cart_merge": cart_merge},
            ),
            Options(timeout, metadata, idempotency_key),
        )

    async def verify_email(
        self,
        request: auth_pb2.VerifyEmailRequest | None = None,
        /,
        *,
        token: str | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
        idempotency_key: str | None = None,
    ) -> auth_pb2.VerifyEmailResponse:
        """Verify an address with the token of a mail that was sent there.

        Errors: INVALID_ARGUMENT INVALID_FIELD, FAILED_PRECONDITION ONE_TIME_TOKEN_INVALID (unknown, used or expired; it does not
        say which).

        Args:
            token: The token of the mail.
        """
        return await self._calls.message(
            methods.AUTH_VERIFY_EMAIL,
            request_of(methods.AUTH_VERIFY_EMAIL, request, {"token": token}),
            Options(timeout, metadata, idempotency_key),
        )


class AuthAnswers:
    """AuthService, whose methods return an `Answer`; those of lists return one page."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    async def change_password(
        self,
        request: auth_pb2.ChangePasswordRequest | None = None,
        /,
        *,
        current_password: str | None = None,
        new_password: str | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
        idempotency_key: str | None = None,
    ) -> Answer[auth_pb2.ChangePasswordResponse]:
        """As `AuthService.change_password`, with the request id, and whether the answer was replayed."""
        return await self._calls.answer(
            methods.AUTH_CHANGE_PASSWORD,
            request_of(methods.AUTH_CHANGE_PASSWORD, request, {"current_password": current_password, "new_password": new_password}),
            Options(timeout, metadata, idempotency_key),
        )

    async def create_guest(
        self, request: auth_pb2.CreateGuestRequest | None = None, /, *, timeout: float | None = None, metadata: Metadata = ()
    ) -> Answer[auth_pb2.LoginResponse]:
        """As `AuthService.create_guest`, with the request id, and whether the answer was replayed."""
        return await self._calls.answer(
            methods.AUTH_CREATE_GUEST, request_of(methods.AUTH_CREATE_GUEST, request, {}), Options(timeout, metadata)
        )

    async def delete_me(
        self,
        request: auth_pb2.DeleteMeRequest | None = None,
        /,
        *,
        password: str | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
    ) -> Answer[auth_pb2.DeleteMeResponse]:
        """As `AuthService.delete_me`, with the request id, and whether the answer was replayed."""
        return await self._calls.answer(
            methods.AUTH_DELETE_ME, request_of(methods.AUTH_DELETE_ME, request, {"password": password}), Options(timeout, metadata)
        )

    async def export_me(
        self,
        request: auth_pb2.ExportMeRequest | None = None,
        /,
        *,
        page_size: int | None = None,
        page_token: str | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
    ) -> Answer[auth_pb2.ExportMeResponse]:
        """As `AuthService.export_me`, with the request id, and whether the answer was replayed."""
        return await self._calls.answer(
            methods.AUTH_EXPORT_ME,
            request_of(methods.AUTH_EXPORT_ME, request, {"page_size": page_size, "page_token": page_token}),
            Options(timeout, metadata),
        )

    async def get_jwks(
        self, request: auth_pb2.GetJwksRequest | None = None, /, *, timeout: float | None = None, metadata: Metadata = ()
    ) -> Answer[auth_pb2.Jwks]:
        """As `AuthService.get_jwks`, with the request id, and whether the answer was replayed."""
        return await self._calls.answer(methods.AUTH_GET_JWKS, request_of(methods.AUTH_GET_JWKS, request, {}), Options(timeout, metadata))

    async def list_sessions(
        self,
        request: auth_pb2.ListSessionsRequest | None = None,
        /,
        *,
        page_size: int | None = None,
        page_token: str | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
    ) -> Answer[auth_pb2.ListSessionsResponse]:
        """As `AuthService.list_sessions`, with the request id, and whether the answer was replayed."""
        return await self._calls.answer(
            methods.AUTH_LIST_SESSIONS,
            request_of(methods.AUTH_LIST_SESSIONS, request, {"page_size": page_size, "page_token": page_token}),
            Options(timeout, metadata),
        )

    async def login(
        self,
        request: auth_pb2.LoginRequest | None = None,
        /,
        *,
        email: str | None = None,
        password: str | None = None,
        guest_token: str | None = None,
        cart_merge: cart_merge_pb2.CartMergeMode.ValueType | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
    ) -> Answer[auth_pb2.LoginResponse]:
        """As `AuthService.login`, with the request id, and whether the answer was replayed."""
        return await self._calls.answer(
            methods.AUTH_LOGIN,
            request_of(
                methods.AUTH_LOGIN, request, {"email": email, "password": password, "guest_token": guest_token, "cart_merge": cart_merge}
            ),
            Options(timeout, metadata),
        )

    async def login_form(
        self,
        request: auth_pb2.LoginFormRequest | None = None,
        /,
        *,
        form: httpbody_pb2.HttpBody | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
    ) -> Answer[auth_pb2.LoginResponse]:
        """As `AuthService.login_form`, with the request id, and whether the answer was replayed."""
        return await self._calls.answer(
            methods.AUTH_LOGIN_FORM, request_of(methods.AUTH_LOGIN_FORM, request, {"form": form}), Options(timeout, metadata)
        )

    async def logout(
        self, request: auth_pb2.LogoutRequest | None = None, /, *, timeout: float | None = None, metadata: Metadata = ()
    ) -> Answer[auth_pb2.LogoutResponse]:
        """As `AuthService.logout`, with the request id, and whether the answer was replayed."""
        return await self._calls.answer(methods.AUTH_LOGOUT, request_of(methods.AUTH_LOGOUT, request, {}), Options(timeout, metadata))

    async def logout_all(
        self, request: auth_pb2.LogoutAllRequest | None = None, /, *, timeout: float | None = None, metadata: Metadata = ()
    ) -> Answer[auth_pb2.LogoutAllResponse]:
        """As `AuthService.logout_all`, with the request id, and whether the answer was replayed."""
        return await self._calls.answer(
            methods.AUTH_LOGOUT_ALL, request_of(methods.AUTH_LOGOUT_ALL, request, {}), Options(timeout, metadata)
        )

    async def refresh(
        self,
        request: auth_pb2.RefreshRequest | None = None,
        /,
        *,
        refresh_token: str | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
    ) -> Answer[auth_pb2.LoginResponse]:
        """As `AuthService.refresh`, with the request id, and whether the answer was replayed."""
        return await self._calls.answer(
            methods.AUTH_REFRESH, request_of(methods.AUTH_REFRESH, request, {"refresh_token": refresh_token}), Options(timeout, metadata)
        )

    async def request_email_verification(
        self,
        request: auth_pb2.RequestEmailVerificationRequest | None = None,
        /,
        *,
        timeout: float | None = None,
        metadata: Metadata = (),
        idempotency_key: str | None = None,
    ) -> Answer[auth_pb2.RequestEmailVerificationResponse]:
        """As `AuthService.request_email_verification`, with the request id, and whether the answer was replayed."""
        return await self._calls.answer(
            methods.AUTH_REQUEST_EMAIL_VERIFICATION,
            request_of(methods.AUTH_REQUEST_EMAIL_VERIFICATION, request, {}),
            Options(timeout, metadata, idempotency_key),
        )

    async def request_password_reset(
        self,
        request: auth_pb2.RequestPasswordResetRequest | None = None,
        /,
        *,
        email: str | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
        idempotency_key: str | None = None,
    ) -> Answer[auth_pb2.RequestPasswordResetResponse]:
        """As `AuthService.request_password_reset`, with the request id, and whether the answer was replayed."""
        return await self._calls.answer(
            methods.AUTH_REQUEST_PASSWORD_RESET,
            request_of(methods.AUTH_REQUEST_PASSWORD_RESET, request, {"email": email}),
            Options(timeout, metadata, idempotency_key),
        )

    async def reset_password(
        self,
        request: auth_pb2.ResetPasswordRequest | None = None,
        /,
        *,
        token: str | None = None,
        new_password: str | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
        idempotency_key: str | None = None,
    ) -> Answer[auth_pb2.ResetPasswordResponse]:
        """As `AuthService.reset_password`, with the request id, and whether the answer was replayed."""
        return await self._calls.answer(
            methods.AUTH_RESET_PASSWORD,
            request_of(methods.AUTH_RESET_PASSWORD, request, {"token": token, "new_password": new_password}),
            Options(timeout, metadata, idempotency_key),
        )

    async def revoke_session(
        self,
        request: auth_pb2.RevokeSessionRequest | None = None,
        /,
        *,
        session_id: str | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
        idempotency_key: str | None = None,
    ) -> Answer[auth_pb2.Session]:
        """As `AuthService.revoke_session`, with the request id, and whether the answer was replayed."""
        return await self._calls.answer(
            methods.AUTH_REVOKE_SESSION,
            request_of(methods.AUTH_REVOKE_SESSION, request, {"session_id": session_id}),
            Options(timeout, metadata, idempotency_key),
        )

    async def sign_up(
        self,
        request: auth_pb2.SignUpRequest | None = None,
        /,
        *,
        email: str | None = None,
        password: str | None = None,
        full_name: str | None = None,
        guest_token: str | None = None,
        cart_merge: cart_merge_pb2.CartMergeMode.ValueType | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
        idempotency_key: str | None = None,
    ) -> Answer[user_pb2.User]:
        """As `AuthService.sign_up`, with the request id, and whether the answer was replayed."""
        return await self._calls.answer(
            methods.AUTH_SIGN_UP,
            request_of(
                methods.AUTH_SIGN_UP,
                request,
                {"email": email, "password": password, "full_name": full_name, "guest_token": guest_token, "cart_merge": cart_merge},
            ),
            Options(timeout, metadata, idempotency_key),
        )

    async def verify_email(
        self,
        request: auth_pb2.VerifyEmailRequest | None = None,
        /,
        *,
        token: str | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
        idempotency_key: str | None = None,
    ) -> Answer[auth_pb2.VerifyEmailResponse]:
        """As `AuthService.verify_email`, with the request id, and whether the answer was replayed."""
        return await self._calls.answer(
            methods.AUTH_VERIFY_EMAIL,
            request_of(methods.AUTH_VERIFY_EMAIL, request, {"token": token}),
            Options(timeout, metadata, idempotency_key),
        )


class CartService:
    """The caller's cart.

    A cart exists from the start and is empty; it holds no stock.

    Every RPC can also answer UNAUTHENTICATED TOKEN_INVALID, DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED OVERLOADED and UNAVAILABLE
    DATABASE_UNAVAILABLE; the last two carry a RetryInfo.
    """

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    async def add_cart_item(
        self,
        request: cart_pb2.AddCartItemRequest | None = None,
        /,
        *,
        product_id: str | None = None,
        quantity: int | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
        idempotency_key: str | None = None,
    ) -> cart_pb2.Cart:
        """Add units of a product to the cart: a line that is there grows, and keeps a warning PRICE_CHANGED.

        Errors: INVALID_ARGUMENT INVALID_FIELD, NOT_FOUND PRODUCT_NOT_FOUND, FAILED_PRECONDITION CART_LIMIT (a line above the
        shop's limit of units, or more than 200 lines; `units` and `lines` of its ErrorInfo have the limits).

        Args:
            product_id: UUID.
            quantity: Units to add, 1 to 1,000; absent means 1.
        """
        return await self._calls.message(
            methods.CART_ADD_CART_ITEM,
            request_of(methods.CART_ADD_CART_ITEM, request, {"product_id": product_id, "quantity": quantity}),
            Options(timeout, metadata, idempotency_key),
        )

    async def clear_cart(
        self,
        request: cart_pb2.ClearCartRequest | None = None,
        /,
        *,
        timeout: float | None = None,
        metadata: Metadata = (),
        idempotency_key: str | None = None,
    ) -> cart_pb2.Cart:
        """Remove every line."""
        return await self._calls.message(
            methods.CART_CLEAR_CART, request_of(methods.CART_CLEAR_CART, request, {}), Options(timeout, metadata, idempotency_key)
        )

    async def get_cart(
        self, request: cart_pb2.GetCartRequest | None = None, /, *, timeout: float | None = None, metadata: Metadata = ()
    ) -> cart_pb2.Cart:
        """Return the cart with live prices and a warning on every line that could not be bought as it stands."""
        return await self._calls.message(methods.CART_GET_CART, request_of(methods.CART_GET_CART, request, {}), Options(timeout, metadata))

    async def get_cart_header(
        self, request: cart_pb2.GetCartHeaderRequest | None = None, /, *, timeout: float | None = None, metadata: Metadata = ()
    ) -> cart_pb2.CartHeader:
        """Return the header of the cart: where it goes, how, and with which codes.

        An order takes it along, and leaves an empty one.
        """
        return await self._calls.message(
            methods.CART_GET_CART_HEADER, request_of(methods.CART_GET_CART_HEADER, request, {}), Options(timeout, metadata)
        )

    async def get_shipping_options(
        self, request: cart_pb2.GetShippingOptionsRequest | None = None, /, *, timeout: float | None = None, metadata: Metadata = ()
    ) -> cart_pb2.GetShippingOptionsResponse:
        """Return the ways in which the cart can be delivered to its shipping address, with their prices: at most 100.

        There are none without an address or without goods that need delivery.
        """
        return await self._calls.message(
            methods.CART_GET_SHIPPING_OPTIONS, request_of(methods.CART_GET_SHIPPING_OPTIONS, request, {}), Options(timeout, metadata)
        )

    async def quote_cart(
        self,
        request: cart_pb2.QuoteCartRequest | None = None,
        /,
        *,
        timeout: float | None = None,
        metadata: Metadata = (),
        idempotency_key: str | None = None,
    ) -> cart_pb2.Quote:
        """Keep the price of the cart for 30 minutes, so that the buyer can agree to it: Checkout takes the quote's id, and refuses
        the purchase if anything that was quoted has changed.

        Errors: FAILED_PRECONDITION CART_EMPTY, OUT_OF_STOCK (with StockShortage: goods that are no longer on sale),
        ADDRESS_REQUIRED, SHIPPING_METHOD_REQUIRED, SHIPPING_METHOD_UNAVAILABLE, TAX_RATE_MISSING, PROMOTION_EXHAUSTED or
        PROMOTION_INVALID; in a shop whose taxes a provider names UNAVAILABLE TAX_PROVIDER_UNAVAILABLE (`failure` of its ErrorInfo
        tells how) and ABORTED CONFLICT (the cart has changed meanwhile).
        """
        return await self._calls.message(
            methods.CART_QUOTE_CART, request_of(methods.CART_QUOTE_CART, request, {}), Options(timeout, metadata, idempotency_key)
        )

    async def remove_cart_item(
        self,
        request: cart_pb2.RemoveCartItemRequest | None = None,
        /,
        *,
        product_id: str | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
        idempotency_key: str | None = None,
    ) -> cart_pb2.Cart:
        """Remove a line.

        A line that is not there is no error.

        Errors: INVALID_ARGUMENT INVALID_FIELD.

        Args:
            product_id: UUID.
        """
        return await self._calls.message(
            methods.CART_REMOVE_CART_ITEM,
            request_of(methods.CART_REMOVE_CART_ITEM, request, {"product_id": product_id}),
            Options(timeout, metadata, idempotency_key),
        )

    async def set_cart_item(
        self,
        request: cart_pb2.SetCartItemRequest | None = None,
        /,
        *,
        product_id: str | None = None,
        quantity: int | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
        idempotency_key: str | None = None,
    ) -> cart_pb2.Cart:
        """Set the units of a line; the line is made if it is absent, and removed by 0.

        It acknowledges the current price, also with the same quantity: the warning PRICE_CHANGED goes until the price changes
        again.

        Errors: INVALID_ARGUMENT INVALID_FIELD, NOT_FOUND PRODUCT_NOT_FOUND, FAILED_PRECONDITION CART_LIMIT, as AddCartItem.

        Args:
            product_id: UUID.
            quantity: Units the line shall have, 0 to 1,000; 0 removes it.
        """
        return await self._calls.message(
            methods.CART_SET_CART_ITEM,
            request_of(methods.CART_SET_CART_ITEM, request, {"product_id": product_id, "quantity": quantity}),
            Options(timeout, metadata, idempotency_key),
        )

    async def update_cart_header(
        self,
        request: cart_pb2.UpdateCartHeaderRequest | None = None,
        /,
        *,
        shipping_address: postal_address_pb2.PostalAddress | None = None,
        shipping_address_id: str | None = None,
        billing_address: postal_address_pb2.PostalAddress | None = None,
        billing_address_id: str | None = None,
        shipping_method_id: str | None = None,
        codes: Iterable[str] | None = None,
        contact_email: str | None = None,
        note: str | None = None,
        etag: str | None = None,
        update_mask: field_mask_pb2.FieldMask | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
        idempotency_key: str | None = None,
    ) -> cart_pb2.CartHeader:
        """Change the header of the cart (AIP-134): with `update_mask` exactly its fields, without one those that are present.

        Errors: INVALID_ARGUMENT INVALID_FIELD (also an address that does not fit its country), NOT_FOUND ADDRESS_NOT_FOUND or
        SHIPPING_METHOD_NOT_FOUND, FAILED_PRECONDITION PROMOTION_INVALID (a code that cannot be used now; all such codes answer
        alike) or PROMOTION_EXHAUSTED, RESOURCE_EXHAUSTED TOO_MANY_ATTEMPTS (too many codes that cannot be used; with a
        RetryInfo), ABORTED ETAG_MISMATCH.

        Args:
            shipping_address: Where the goods go; named by `update_mask` and absent: nowhere.
            shipping_address_id: UUID of an address of the caller's address book, which is copied to `shipping_address`.
            billing_address: Where the invoice goes.
            billing_address_id: UUID of an address of the caller's address book, which is copied to `billing_address`.
            shipping_method_id: UUID of the shipping method.
            codes: Codes of promotions, at most 10 of at most 64 characters; they replace those of the cart.
            contact_email: Where mails about the order go.
            note: The buyer's note to the shop, at most 1,000 characters.
            etag: Refuse to change a newer header.
            update_mask: The fields to change.
        """
        return await self._calls.message(
            methods.CART_UPDATE_CART_HEADER,
            request_of(
                methods.CART_UPDATE_CART_HEADER,
                request,
                {
                    "shipping_address": shipping_address,
                    "shipping_address_id": shipping_address_id,
                    "billing_address": billing_address,
                    "billing_address_id": billing_address_id,
                    "shipping_method_id": shipping_method_id,
                    "codes": codes,
                    "contact_email": contact_email,
                    "note": note,
                    "etag": etag,
                    "update_mask": update_mask,
                },
            ),
            Options(timeout, metadata, idempotency_key),
        )


class CartAnswers:
    """CartService, whose methods return an `Answer`; those of lists return one page."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    async def add_cart_item(
        self,
        request: cart_pb2.AddCartItemRequest | None = None,
        /,
        *,
        product_id: str | None = None,
        quantity: int | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
        idempotency_key: str | None = None,
    ) -> Answer[cart_pb2.Cart]:
        """As `CartService.add_cart_item`, with the request id, and whether the answer was replayed."""
        return await self._calls.answer(
            methods.CART_ADD_CART_ITEM,
            request_of(methods.CART_ADD_CART_ITEM, request, {"product_id": product_id, "quantity": quantity}),
            Options(timeout, metadata, idempotency_key),
        )

    async def clear_cart(
        self,
        request: cart_pb2.ClearCartRequest | None = None,
        /,
        *,
        timeout: float | None = None,
        metadata: Metadata = (),
        idempotency_key: str | None = None,
    ) -> Answer[cart_pb2.Cart]:
        """As `CartService.clear_cart`, with the request id, and whether the answer was replayed."""
        return await self._calls.answer(
            methods.CART_CLEAR_CART, request_of(methods.CART_CLEAR_CART, request, {}), Options(timeout, metadata, idempotency_key)
        )

    async def get_cart(
        self, request: cart_pb2.GetCartRequest | None = None, /, *, timeout: float | None = None, metadata: Metadata = ()
    ) -> Answer[cart_pb2.Cart]:
        """As `CartService.get_cart`, with the request id, and whether the answer was replayed."""
        return await self._calls.answer(methods.CART_GET_CART, request_of(methods.CART_GET_CART, request, {}), Options(timeout, metadata))

    async def get_cart_header(
        self, request: cart_pb2.GetCartHeaderRequest | None = None, /, *, timeout: float | None = None, metadata: Metadata = ()
    ) -> Answer[cart_pb2.CartHeader]:
        """As `CartService.get_cart_header`, with the request id, and whether the answer was replayed."""
        return await self._calls.answer(
            methods.CART_GET_CART_HEADER, request_of(methods.CART_GET_CART_HEADER, request, {}), Options(timeout, metadata)
        )

    async def get_shipping_options(
        self, request: cart_pb2.GetShippingOptionsRequest | None = None, /, *, timeout: float | None = None, metadata: Metadata = ()
    ) -> Answer[cart_pb2.GetShippingOptionsResponse]:
        """As `CartService.get_shipping_options`, with the request id, and whether the answer was replayed."""
        return await self._calls.answer(
            methods.CART_GET_SHIPPING_OPTIONS, request_of(methods.CART_GET_SHIPPING_OPTIONS, request, {}), Options(timeout, metadata)
        )

    async def quote_cart(
        self,
        request: cart_pb2.QuoteCartRequest | None = None,
        /,
        *,
        timeout: float | None = None,
        metadata: Metadata = (),
        idempotency_key: str | None = None,
    ) -> Answer[cart_pb2.Quote]:
        """As `CartService.quote_cart`, with the request id, and whether the answer was replayed."""
        return await self._calls.answer(
            methods.CART_QUOTE_CART, request_of(methods.CART_QUOTE_CART, request, {}), Options(timeout, metadata, idempotency_key)
        )

    async def remove_cart_item(
        self,
        request: cart_pb2.RemoveCartItemRequest | None = None,
        /,
        *,
        product_id: str | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
        idempotency_key: str | None = None,
    ) -> Answer[cart_pb2.Cart]:
        """As `CartService.remove_cart_item`, with the request id, and whether the answer was replayed."""
        return await self._calls.answer(
            methods.CART_REMOVE_CART_ITEM,
            request_of(methods.CART_REMOVE_CART_ITEM, request, {"product_id": product_id}),
            Options(timeout, metadata, idempotency_key),
        )

    async def set_cart_item(
        self,
        request: cart_pb2.SetCartItemRequest | None = None,
        /,
        *,
        product_id: str | None = None,
        quantity: int | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
        idempotency_key: str | None = None,
    ) -> Answer[cart_pb2.Cart]:
        """As `CartService.set_cart_item`, with the request id, and whether the answer was replayed."""
        return await self._calls.answer(
            methods.CART_SET_CART_ITEM,
            request_of(methods.CART_SET_CART_ITEM, request, {"product_id": product_id, "quantity": quantity}),
            Options(timeout, metadata, idempotency_key),
        )

    async def update_cart_header(
        self,
        request: cart_pb2.UpdateCartHeaderRequest | None = None,
        /,
        *,
        shipping_address: postal_address_pb2.PostalAddress | None = None,
        shipping_address_id: str | None = None,
        billing_address: postal_address_pb2.PostalAddress | None = None,
        billing_address_id: str | None = None,
        shipping_method_id: str | None = None,
        codes: Iterable[str] | None = None,
        contact_email: str | None = None,
        note: str | None = None,
        etag: str | None = None,
        update_mask: field_mask_pb2.FieldMask | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
        idempotency_key: str | None = None,
    ) -> Answer[cart_pb2.CartHeader]:
        """As `CartService.update_cart_header`, with the request id, and whether the answer was replayed."""
        return await self._calls.answer(
            methods.CART_UPDATE_CART_HEADER,
            request_of(
                methods.CART_UPDATE_CART_HEADER,
                request,
                {
                    "shipping_address": shipping_address,
                    "shipping_address_id": shipping_address_id,
                    "billing_address": billing_address,
                    "billing_address_id": billing_address_id,
                    "shipping_method_id": shipping_method_id,
                    "codes": codes,
                    "contact_email": contact_email,
                    "note": note,
                    "etag": etag,
                    "update_mask": update_mask,
                },
            ),
            Options(timeout, metadata, idempotency_key),
        )


class CatalogService:
    """Products, categories and stock.

    Every RPC can also answer DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED OVERLOADED and UNAVAILABLE DATABASE_UNAVAILABLE; the last two
    carry a RetryInfo. ABORTED CONFLICT, with a RetryInfo too, means that concurrent calls held locks that the call needed; it
    changed nothing.
    """

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    async def adjust_stock(
        self,
        request: catalog_pb2.AdjustStockRequest | None = None,
        /,
        *,
        product_id: str | None = None,
        delta: int | None = None,
        compare_and_set: catalog_pb2.AdjustStockRequest.CompareAndSet | None = None,
        reason: str | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
        idempotency_key: str | None = None,
    ) -> catalog_pb2.Product:
        """Change the stock by a difference, or set it if it still has the value that the caller saw.

        Writes the ledger as `adjust`.

        Errors: INVALID_ARGUMENT INVALID_FIELD, NOT_FOUND PRODUCT_NOT_FOUND, FAILED_PRECONDITION OUT_OF_STOCK (it would fall below
        zero), FAILED_PRECONDITION STOCK_LIMIT (it would pass 1,000,000,000; cancelled orders can lift it above, and then it
        cannot be raised further), ABORTED STOCK_CHANGED (it is not `expected_stock`; its ErrorInfo has the current one),
        UNAUTHENTICATED TOKEN_INVALID, PERMISSION_DENIED ADMIN_ONLY.

        Args:
            product_id: UUID.
            delta: Units to add, or to take away when negative; not 0.
            compare_and_set: Set the stock if it has not changed meanwhile.
            reason: Why, at most 500 characters; kept in the ledger.
        """
        return await self._calls.message(
            methods.CATALOG_ADJUST_STOCK,
            request_of(
                methods.CATALOG_ADJUST_STOCK,
                request,
                {"product_id": product_id, "delta": delta, "compare_and_set": compare_and_set, "reason": reason},
            ),
            Options(timeout, metadata, idempotency_key),
        )

    async def batch_get_products(
        self,
        request: catalog_pb2.BatchGetProductsRequest | None = None,
        /,
        *,
        ids: Iterable[str] | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
    ) -> catalog_pb2.BatchGetProductsResponse:
        """Return several products in the order asked for, each as often as asked.

        Errors: INVALID_ARGUMENT INVALID_FIELD, INVALID_ARGUMENT RESPONSE_TOO_LARGE (the products are larger than 4 MiB together:
        ask for fewer), NOT_FOUND PRODUCT_NOT_FOUND (names the first ten absent ids; no product is returned).

        Args:
            ids: 1 to 100 UUIDs.
        """
        return await self._calls.message(
            methods.CATALOG_BATCH_GET_PRODUCTS,
            request_of(methods.CATALOG_BATCH_GET_PRODUCTS, request, {"ids": ids}),
            Options(timeout, metadata),
        )

    async def create_category(
        self,
        request: catalog_pb2.CreateCategoryRequest | None = None,
        /,
        *,
        category: catalog_pb2.Category | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
        idempotency_key: str | None = None,
    ) -> catalog_pb2.Category:
        """Create a category.

        Errors: INVALID_ARGUMENT INVALID_FIELD, NOT_FOUND CATEGORY_NOT_FOUND (the parent), ALREADY_EXISTS CATEGORY_TAKEN or
        SLUG_TAKEN, FAILED_PRECONDITION CATEGORY_LIMIT (the parent has 1,000 subcategories, or the tree 8 levels), UNAUTHENTICATED
        TOKEN_INVALID, PERMISSION_DENIED ADMIN_ONLY.

        Args:
            category: The category; the server gives it id, etag and create_time, and ignores those of the request, and a slug
                beside an id, which is that of the category that was read.
        """
        return await self._calls.message(
            methods.CATALOG_CREATE_CATEGORY,
            request_of(methods.CATALOG_CREATE_CATEGORY, request, {"category": category}),
            Options(timeout, metadata, idempotency_key),
        )

    async def create_product(
        self,
        request: catalog_pb2.CreateProductRequest | None = None,
        /,
        *,
        product: catalog_pb2.Product | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
        idempotency_key: str | None = None,
    ) -> catalog_pb2.Product:
        """Create a product; its stock enters the ledger as `initial`.

        Errors: INVALID_ARGUMENT INVALID_FIELD, NOT_FOUND CATEGORY_NOT_FOUND or TAX_CATEGORY_NOT_FOUND, FAILED_PRECONDITION
        TAX_CATEGORY_ARCHIVED, ALREADY_EXISTS SKU_TAKEN, UNAUTHENTICATED TOKEN_INVALID, PERMISSION_DENIED ADMIN_ONLY. For a
        variant also NOT_FOUND GROUP_NOT_FOUND, ALREADY_EXISTS OPTIONS_TAKEN, FAILED_PRECONDITION GROUP_FULL (200 variants).

        Args:
            product: The product; the server gives it id, etag and times, and ignores those of the request, and a slug beside
                an id, which is that of the product that was read.
        """
        return await self._calls.message(
            methods.CATALOG_CREATE_PRODUCT,
            request_of(methods.CATALOG_CREATE_PRODUCT, request, {"product": product}),
            Options(timeout, metadata, idempotency_key),
        )

    async def create_product_group(
        self,
        request: catalog_pb2.CreateProductGroupRequest | None = None,
        /,
        *,
        group: catalog_pb2.ProductGroup | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
        idempotency_key: str | None = None,
    ) -> catalog_pb2.ProductGroup:
        """Create a group without variants.

        A product becomes a variant by its `group_id` and `options`; UpsertProductGroup writes several at once.

        Errors: INVALID_ARGUMENT INVALID_FIELD, ALREADY_EXISTS GROUP_CODE_TAKEN or SLUG_TAKEN, UNAUTHENTICATED TOKEN_INVALID,
        PERMISSION_DENIED ADMIN_ONLY.

        Args:
            group: The group; the server gives it id, etag and times, and ignores those of the request.
        """
        return await self._calls.message(
            methods.CATALOG_CREATE_PRODUCT_GROUP,
            request_of(methods.CATALOG_CREATE_PRODUCT_GROUP, request, {"group": group}),
            Options(timeout, metadata, idempotency_key),
        )

    async def delete_category(
        self,
        request: catalog_pb2.DeleteCategoryRequest | None = None,
        /,
        *,
        category_id: str | None = None,
        etag: str | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
        idempotency_key: str | None = None,
    ) -> catalog_pb2.Category:
        """Delete a category that has no product on sale and no subcategory.

        Returns it as it was.

        Errors: INVALID_ARGUMENT INVALID_FIELD, NOT_FOUND CATEGORY_NOT_FOUND, FAILED_PRECONDITION CATEGORY_IN_USE (its ErrorInfo
        has the numbers of products, up to 10,000, and of subcategories), ABORTED ETAG_MISMATCH, UNAUTHENTICATED TOKEN_INVALID,
        PERMISSION_DENIED ADMIN_ONLY.

        Args:
            category_id: UUID.
            etag: Delete only if the category still has this etag.
        """
        return await self._calls.message(
            methods.CATALOG_DELETE_CATEGORY,
            request_of(methods.CATALOG_DELETE_CATEGORY, request, {"category_id": category_id, "etag": etag}),
            Options(timeout, metadata, idempotency_key),
        )

    async def delete_product(
        self,
        request: catalog_pb2.DeleteProductRequest | None = None,
        /,
        *,
        product_id: str | None = None,
        etag: str | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
        idempotency_key: str | None = None,
    ) -> catalog_pb2.Product:
        """Delete a product softly: it leaves lists and cannot be bought; orders keep it.

        Returns it with `delete_time`.

        Errors: INVALID_ARGUMENT INVALID_FIELD, NOT_FOUND PRODUCT_NOT_FOUND, ABORTED ETAG_MISMATCH, UNAUTHENTICATED TOKEN_INVALID,
        PERMISSION_DENIED ADMIN_ONLY.

        Args:
            product_id: UUID.
            etag: Delete only if the product still has this etag.
        """
        return await self._calls.message(
            methods.CATALOG_DELETE_PRODUCT,
            request_of(methods.CATALOG_DELETE_PRODUCT, request, {"product_id": product_id, "etag": etag}),
            Options(timeout, metadata, idempotency_key),
        )

    async def delete_product_group(
        self,
        request: catalog_pb2.DeleteProductGroupRequest | None = None,
        /,
        *,
        group_id: str | None = None,
        etag: str | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
        idempotency_key: str | None = None,
    ) -> catalog_pb2.ProductGroup:
        """Delete a group without variants on sale; deleted products leave it.

        Returns it as it was.

        Errors: INVALID_ARGUMENT INVALID_FIELD, NOT_FOUND GROUP_NOT_FOUND, FAILED_PRECONDITION GROUP_IN_USE (its ErrorInfo has the
        number of variants), ABORTED ETAG_MISMATCH, UNAUTHENTICATED TOKEN_INVALID, PERMISSION_DENIED ADMIN_ONLY.

        Args:
            group_id: UUID.
            etag: Delete only if the group still has this etag.
        """
        return await self._calls.message(
            methods.CATALOG_DELETE_PRODUCT_GROUP,
            request_of(methods.CATALOG_DELETE_PRODUCT_GROUP, request, {"group_id": group_id, "etag": etag}),
            Options(timeout, metadata, idempotency_key),
        )

    async def get_category(
        self,
        request: catalog_pb2.GetCategoryRequest | None = None,
        /,
        *,
        category_id: str | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
    ) -> catalog_pb2.Category:
        """Return one category.

        Errors: INVALID_ARGUMENT INVALID_FIELD, NOT_FOUND CATEGORY_NOT_FOUND.

        Args:
            category_id: UUID.
        """
        return await self._calls.message(
            methods.CATALOG_GET_CATEGORY,
            request_of(methods.CATALOG_GET_CATEGORY, request, {"category_id": category_id}),
            Options(timeout, metadata),
        )

    async def get_product(
        self,
        request: catalog_pb2.GetProductRequest | None = None,
        /,
        *,
        product_id: str | None = None,
        show_deleted: bool | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
    ) -> catalog_pb2.Product:
        """Return one product.

        Errors: INVALID_ARGUMENT INVALID_FIELD, NOT_FOUND PRODUCT_NOT_FOUND (also when it is deleted, unless `show_deleted` is
        set). With `show_deleted` also UNAUTHENTICATED TOKEN_INVALID and PERMISSION_DENIED ADMIN_ONLY.

        Args:
            product_id: UUID.
            show_deleted: True: also if it is deleted (AIP-164); only administrators may set it.
        """
        return await self._calls.message(
            methods.CATALOG_GET_PRODUCT,
            request_of(methods.CATALOG_GET_PRODUCT, request, {"product_id": product_id, "show_deleted": show_deleted}),
            Options(timeout, metadata),
        )

    async def get_product_group(
        self,
        request: catalog_pb2.GetProductGroupRequest | None = None,
        /,
        *,
        group_id: str | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
    ) -> catalog_pb2.ProductGroup:
        """Return a group with its variants on sale.

        A group without any has no price and no representative.

        Errors: INVALID_ARGUMENT INVALID_FIELD, NOT_FOUND GROUP_NOT_FOUND.

        Args:
            group_id: UUID.
        """
        return await self._calls.message(
            methods.CATALOG_GET_PRODUCT_GROUP,
            request_of(methods.CATALOG_GET_PRODUCT_GROUP, request, {"group_id": group_id}),
            Options(timeout, metadata),
        )

    async def get_slug(
        self,
        request: catalog_pb2.GetSlugRequest | None = None,
        /,
        *,
        kind: str | None = None,
        slug: str | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
    ) -> catalog_pb2.GetSlugResponse:
        """Return the thing that has a slug, or had it last.

        Its own `slug` is the current one. Over REST an earlier slug is answered with 308 and the location of the current one.

        Errors: INVALID_ARGUMENT INVALID_FIELD (no such kind, or not the form of a slug), NOT_FOUND SLUG_NOT_FOUND (no thing has
        or had the slug, or it is deleted).

        Args:
            kind: `category`, `product` or `group`.
            slug: A slug that the thing has or had.
        """
        return await self._calls.message(
            methods.CATALOG_GET_SLUG,
            request_of(methods.CATALOG_GET_SLUG, request, {"kind": kind, "slug": slug}),
            Options(timeout, metadata),
        )

    def list_categories(
        self,
        request: catalog_pb2.ListCategoriesRequest | None = None,
        /,
        *,
        page_size: int | None = None,
        page_token: str | None = None,
        parent_id: str | None = None,
        roots: bool | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
    ) -> AsyncPager[catalog_pb2.ListCategoriesResponse, catalog_pb2.Category]:
        """List categories by name, sorted by the Unicode Collation Algorithm, a page at a time.

        With `parent_id` or `roots` list those directly below one category or at the top, by position and then by name.

        Errors: INVALID_ARGUMENT INVALID_FIELD, INVALID_ARGUMENT PAGE_TOKEN_INVALID.

        Args:
            page_size: Categories a page: 0 means 20, above 100 means 100.
            page_token: `next_page_token` of the page before; every other argument must be the same, page_size aside.
            parent_id: UUID of a category: only those directly below it, by position.
            roots: True: only those at the top, by position; `parent_id` must be empty.
        """
        return AsyncPager(
            self._calls,
            methods.CATALOG_LIST_CATEGORIES,
            request_of(
                methods.CATALOG_LIST_CATEGORIES,
                request,
                {"page_size": page_size, "page_token": page_token, "parent_id": parent_id, "roots": roots},
            ),
            Options(timeout, metadata),
        )

    def list_product_groups(
        self,
        request: catalog_pb2.ListProductGroupsRequest | None = None,
        /,
        *,
        page_size: int | None = None,
        page_token: str | None = None,
        code: str | None = None,
        show_empty: bool | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
    ) -> AsyncPager[catalog_pb2.ListProductGroupsResponse, catalog_pb2.ProductGroup]:
        """List groups with variants on sale, newest first, a page at a time.

        Lists leave `variants` out.

        Errors: INVALID_ARGUMENT INVALID_FIELD, INVALID_ARGUMENT PAGE_TOKEN_INVALID. With `show_empty` also UNAUTHENTICATED
        TOKEN_INVALID, PERMISSION_DENIED ADMIN_ONLY.

        Args:
            page_size: Groups a page: 0 means 20, above 100 means 100.
            page_token: `next_page_token` of the page before; every other argument must be the same, page_size aside.
            code: Only the group with this code.
            show_empty: True: also groups without variants on sale; only administrators may set it.
        """
        return AsyncPager(
            self._calls,
            methods.CATALOG_LIST_PRODUCT_GROUPS,
            request_of(
                methods.CATALOG_LIST_PRODUCT_GROUPS,
                request,
                {"page_size": page_size, "page_token": page_token, "code": code, "show_empty": show_empty},
            ),
            Options(timeout, metadata),
        )

    def list_products(
        self,
        request: catalog_pb2.ListProductsRequest | None = None,
        /,
        *,
        page_size: int | None = None,
        page_token: str | None = None,
        skip: int | None = None,
        category_id: str | None = None,
        q: str | None = None,
        min_price: int | None = None,
        max_price: int | None = None,
        in_stock: bool | None = None,
        order_by: str | None = None,
        include_total_size: bool | None = None,
        show_deleted: bool | None = None,
        only_deleted: bool | None = None,
        collapse: bool | None = None,
        facets: bool | None = None,
        options: Iterable[str] | None = None,
        group_id: str | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
    ) -> AsyncPager[catalog_pb2.ListProductsResponse, catalog_pb2.Product]:
        """List products, a page at a time.

        Only administrators see those that are deleted (AIP-164).

        Errors: INVALID_ARGUMENT INVALID_FIELD (a filter or order that does not exist), INVALID_ARGUMENT PAGE_TOKEN_INVALID
        (forged, or used with other arguments than those it came from). With `show_deleted` or `only_deleted` also UNAUTHENTICATED
        TOKEN_INVALID and PERMISSION_DENIED ADMIN_ONLY.

        Args:
            page_size: Products a page: 0 means 20, above 100 means 100.
            page_token: `next_page_token` of the page before; every other argument must be the same, page_size and skip aside.
            skip: Products to pass over before the page, 0 to 1,000.
            category_id: UUID of a category: only its products and those of the categories below it.
            q: Words to search for in name, SKU and description, at most 200 characters. A product must have all of them;
                accents, case and English endings do not matter, and the last word may be the beginning of one. `"two words"` must
                stand side by side, `-word` must be absent, and `or` separates alternatives. If nothing is found, words that no
                product has are replaced by words of product names: see `corrected_q`. By relevance a list ranks the newest 200
                products that match, by any other order it holds all of them.
            min_price: Lowest price, in minor units.
            max_price: Highest price, in minor units.
            in_stock: True: only products with stock.
            order_by: Fields to sort by, the first one first (AIP-132): `create_time`, `price` or `name`, each also with `
                desc`; after `price` and `name` also `create_time` in the same direction, which is the order of equal ones anyway.
                Names are sorted by the Unicode Collation Algorithm: apple, Apple, Äpfel, Zebra. Default: `create_time desc`, and
                by relevance where `q` is given.
            include_total_size: True: also count the products that match.
            show_deleted: True: also deleted products (AIP-164); only administrators may set it. Such a list has no `q`, and
                is sorted by `create_time`.
            only_deleted: True: only deleted products, which UndeleteProduct can bring back; otherwise as `show_deleted`.
            collapse: True: one product for each group, which is its variant that matches with the lowest price, of several
                the oldest one. All conditions must hold for one variant. Products without a group stay. Pages, `skip` and
                `total_size` count entries. `groups` describes the groups.
            facets: True: also count the options of the variants that match: see `facets` of the response.
            options: Options that a variant must have, such as `Size:M`: of the entries with one name any, of all names one
                each. Case, surrounding white space and the normal form of Unicode make no difference. The name ends at the first
                colon; a colon within it is written `\\:`, and a backslash `\\\\`. A name or value that no variant has finds nothing.
                At most 20.
            group_id: UUID of a group: only its variants. Such a list has no `q`.
        """
        return AsyncPager(
            self._calls,
            methods.CATALOG_LIST_PRODUCTS,
            request_of(
                methods.CATALOG_LIST_PRODUCTS,
                request,
                {
                    "page_size": page_size,
                    "page_token": page_token,
                    "skip": skip,
                    "category_id": category_id,
                    "q": q,
                    "min_price": min_price,
                    "max_price": max_price,
                    "in_stock": in_stock,
                    "order_by": order_by,
                    "include_total_size": include_total_size,
                    "show_deleted": show_deleted,
                    "only_deleted": only_deleted,
                    "collapse": collapse,
                    "facets": facets,
                    "options": options,
                    "group_id": group_id,
                },
            ),
            Options(timeout, metadata),
        )

    async def undelete_product(
        self,
        request: catalog_pb2.UndeleteProductRequest | None = None,
        /,
        *,
        product_id: str | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
        idempotency_key: str | None = None,
    ) -> catalog_pb2.Product:
        """Bring a deleted product back (AIP-164).

        ListProducts with `only_deleted` lists those that can be brought back.

        Errors: INVALID_ARGUMENT INVALID_FIELD, NOT_FOUND PRODUCT_NOT_FOUND, FAILED_PRECONDITION PRODUCT_NOT_DELETED or
        TAX_CATEGORY_ARCHIVED, ALREADY_EXISTS SKU_TAKEN (another product took its SKU meanwhile) or OPTIONS_TAKEN (another variant
        took its options), FAILED_PRECONDITION OPTIONS_OUTDATED (its group varies by other options now) or GROUP_FULL,
        UNAUTHENTICATED TOKEN_INVALID, PERMISSION_DENIED ADMIN_ONLY.

        Args:
            product_id: UUID.
        """
        return await self._calls.message(
            methods.CATALOG_UNDELETE_PRODUCT,
            request_of(methods.CATALOG_UNDELETE_PRODUCT, request, {"product_id": product_id}),
            Options(timeout, metadata, idempotency_key),
        )

    async def update_category(
        self,
        request: catalog_pb2.UpdateCategoryRequest | None = None,
        /,
        *,
        category: catalog_pb2.Category | None = None,
        update_mask: field_mask_pb2.FieldMask | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
        idempotency_key: str | None = None,
        etag: str | None = None,
    ) -> catalog_pb2.Category:
        """Change a category (AIP-134).

        With `update_mask` exactly its fields; without one, PATCH and gRPC change the populated fields, and PUT replaces all of
        them, except a slug that is left out. A new `parent_id` moves the category with all that is below it.

        Errors: INVALID_ARGUMENT INVALID_FIELD, NOT_FOUND CATEGORY_NOT_FOUND (the parent, too), ALREADY_EXISTS CATEGORY_TAKEN or
        SLUG_TAKEN, FAILED_PRECONDITION CATEGORY_CYCLE (the parent is the category itself or is below it) or CATEGORY_LIMIT (as
        CreateCategory; also if more than 10,000 products on sale would move), ABORTED ETAG_MISMATCH (the category changed since
        `category.etag` was read), UNAUTHENTICATED TOKEN_INVALID, PERMISSION_DENIED ADMIN_ONLY.

        Args:
            category: The category: its id, its new values, and an etag to refuse an update of something newer.
            update_mask: Fields to change: name, or `*` for all of them.
        """
        return await self._calls.message(
            methods.CATALOG_UPDATE_CATEGORY,
            request_of(methods.CATALOG_UPDATE_CATEGORY, request, {"category": category, "update_mask": update_mask}),
            Options(timeout, metadata, idempotency_key, etag=etag),
        )

    async def update_product(
        self,
        request: catalog_pb2.UpdateProductRequest | None = None,
        /,
        *,
        product: catalog_pb2.Product | None = None,
        update_mask: field_mask_pb2.FieldMask | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
        idempotency_key: str | None = None,
        etag: str | None = None,
    ) -> catalog_pb2.Product:
        """Change a product (AIP-134).

        With `update_mask` exactly its fields; without one, PATCH and gRPC change the populated fields, and PUT replaces all of
        them, except a stock that is left out: that stays, since sales move it meanwhile.

        Errors: INVALID_ARGUMENT INVALID_FIELD, NOT_FOUND PRODUCT_NOT_FOUND, CATEGORY_NOT_FOUND or TAX_CATEGORY_NOT_FOUND,
        FAILED_PRECONDITION TAX_CATEGORY_ARCHIVED, ALREADY_EXISTS SKU_TAKEN, ABORTED ETAG_MISMATCH (the product changed since
        `product.etag` or the tag of `if-match` was read; 412 over REST with `if-match`), UNAUTHENTICATED TOKEN_INVALID,
        PERMISSION_DENIED ADMIN_ONLY. For a variant also NOT_FOUND GROUP_NOT_FOUND, ALREADY_EXISTS OPTIONS_TAKEN,
        FAILED_PRECONDITION GROUP_FULL (200 variants).

        Args:
            product: The product: its id, its new values, and an etag to refuse an update of something newer.
            update_mask: Fields to change: name, description, price, category_id, sku, stock, image_urls, slug …, or `*` for
                all of them.
        """
        return await self._calls.message(
            methods.CATALOG_UPDATE_PRODUCT,
            request_of(methods.CATALOG_UPDATE_PRODUCT, request, {"product": product, "update_mask": update_mask}),
            Options(timeout, metadata, idempotency_key, etag=etag),
        )

    async def update_product_group(
        self,
        request: catalog_pb2.UpdateProductGroupRequest | None = None,
        /,
        *,
        group: catalog_pb2.ProductGroup | None = None,
        update_mask: field_mask_pb2.FieldMask | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
        idempotency_key: str | None = None,
        etag: str | None = None,
    ) -> catalog_pb2.ProductGroup:
        """Change a group (AIP-134).

        With `update_mask` exactly its fields; without one the populated fields. `varies_by` can be changed only while the group
        has no variants on sale; with them, UpsertProductGroup changes it together with their options.

        Errors: INVALID_ARGUMENT INVALID_FIELD, NOT_FOUND GROUP_NOT_FOUND, ALREADY_EXISTS GROUP_CODE_TAKEN or SLUG_TAKEN,
        FAILED_PRECONDITION GROUP_IN_USE, ABORTED ETAG_MISMATCH (the group changed since `group.etag` was read), UNAUTHENTICATED
        TOKEN_INVALID, PERMISSION_DENIED ADMIN_ONLY.

        Args:
            group: The group: its id, its new values, and an etag to refuse an update of something newer.
            update_mask: Fields to change: name, code, varies_by, slug, or `*` for all of them.
        """
        return await self._calls.message(
            methods.CATALOG_UPDATE_PRODUCT_GROUP,
            request_of(methods.CATALOG_UPDATE_PRODUCT_GROUP, request, {"group": group, "update_mask": update_mask}),
            Options(timeout, metadata, idempotency_key, etag=etag),
        )

    async def upsert_product_group(
        self,
        request: catalog_pb2.UpsertProductGroupRequest | None = None,
        /,
        *,
        group: catalog_pb2.ProductGroup | None = None,
        variants: Iterable[catalog_pb2.Product] | None = None,
        delete_others: bool | None = None,
        reorder: bool | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
        idempotency_key: str | None = None,
    ) -> catalog_pb2.ProductGroup:
        """Create or change a group and its variants, all of them or nothing.

        Every bad variant is a violation that names its index and field, such as `variants[3].options`, SKUs and options that are
        taken included. SKUs, options and places may be swapped within a call. Variants that do not differ from the stored ones
        are not written.

        Errors: INVALID_ARGUMENT INVALID_FIELD, NOT_FOUND GROUP_NOT_FOUND, ALREADY_EXISTS GROUP_CODE_TAKEN or SLUG_TAKEN,
        FAILED_PRECONDITION GROUP_FULL (with those that the call leaves out it would have more than 200 variants), ABORTED
        ETAG_MISMATCH, UNAUTHENTICATED TOKEN_INVALID, PERMISSION_DENIED ADMIN_ONLY.

        Args:
            group: The group. With an id it must exist. Without one it is the group with this code; if there is none, it is
                created. All of its name, code and `varies_by` are written; a code that is empty stays.
            variants: At most 200 products. All of their writable fields are written, except a stock that is absent;
                `group_id` is ignored. A product is found by its id, else by its SKU among the variants of the group, else by its
                options among them; otherwise it is created. An id may also be that of a product without a group, which becomes a
                variant.
            delete_others: True: variants on sale that the call leaves out are deleted. False: they stay as they are.
            reorder: True: the variants stand in the order of the call, before those that it leaves out. False: those that
                exist keep their places, and new ones follow in the order of the call.
        """
        return await self._calls.message(
            methods.CATALOG_UPSERT_PRODUCT_GROUP,
            request_of(
                methods.CATALOG_UPSERT_PRODUCT_GROUP,
                request,
                {"group": group, "variants": variants, "delete_others": delete_others, "reorder": reorder},
            ),
            Options(timeout, metadata, idempotency_key),
        )


class CatalogAnswers:
    """CatalogService, whose methods return an `Answer`; those of lists return one page."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    async def adjust_stock(
        self,
        request: catalog_pb2.AdjustStockRequest | None = None,
        /,
        *,
        product_id: str | None = None,
        delta: int | None = None,
        compare_and_set: catalog_pb2.AdjustStockRequest.CompareAndSet | None = None,
        reason: str | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
        idempotency_key: str | None = None,
    ) -> Answer[catalog_pb2.Product]:
        """As `CatalogService.adjust_stock`, with the request id, and whether the answer was replayed."""
        return await self._calls.answer(
            methods.CATALOG_ADJUST_STOCK,
            request_of(
                methods.CATALOG_ADJUST_STOCK,
                request,
                {"product_id": product_id, "delta": delta, "compare_and_set": compare_and_set, "reason": reason},
            ),
            Options(timeout, metadata, idempotency_key),
        )

    async def batch_get_products(
        self,
        request: catalog_pb2.BatchGetProductsRequest | None = None,
        /,
        *,
        ids: Iterable[str] | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
    ) -> Answer[catalog_pb2.BatchGetProductsResponse]:
        """As `CatalogService.batch_get_products`, with the request id, and whether the answer was replayed."""
        return await self._calls.answer(
            methods.CATALOG_BATCH_GET_PRODUCTS,
            request_of(methods.CATALOG_BATCH_GET_PRODUCTS, request, {"ids": ids}),
            Options(timeout, metadata),
        )

    async def create_category(
        self,
        request: catalog_pb2.CreateCategoryRequest | None = None,
        /,
        *,
        category: catalog_pb2.Category | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
        idempotency_key: str | None = None,
    ) -> Answer[catalog_pb2.Category]:
        """As `CatalogService.create_category`, with the request id, and whether the answer was replayed."""
        return await self._calls.answer(
            methods.CATALOG_CREATE_CATEGORY,
            request_of(methods.CATALOG_CREATE_CATEGORY, request, {"category": category}),
            Options(timeout, metadata, idempotency_key),
        )

    async def create_product(
        self,
        request: catalog_pb2.CreateProductRequest | None = None,
        /,
        *,
        product: catalog_pb2.Product | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
        idempotency_key: str | None = None,
    ) -> Answer[catalog_pb2.Product]:
        """As `CatalogService.create_product`, with the request id, and whether the answer was replayed."""
        return await self._calls.answer(
            methods.CATALOG_CREATE_PRODUCT,
            request_of(methods.CATALOG_CREATE_PRODUCT, request, {"product": product}),
            Options(timeout, metadata, idempotency_key),
        )

    async def create_product_group(
        self,
        request: catalog_pb2.CreateProductGroupRequest | None = None,
        /,
        *,
        group: catalog_pb2.ProductGroup | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
        idempotency_key: str | None = None,
    ) -> Answer[catalog_pb2.ProductGroup]:
        """As `CatalogService.create_product_group`, with the request id, and whether the answer was replayed."""
        return await self._calls.answer(
            methods.CATALOG_CREATE_PRODUCT_GROUP,
            request_of(methods.CATALOG_CREATE_PRODUCT_GROUP, request, {"group": group}),
            Options(timeout, metadata, idempotency_key),
        )

    async def delete_category(
        self,
        request: catalog_pb2.DeleteCategoryRequest | None = None,
        /,
        *,
        category_id: str | None = None,
        etag: str | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
        idempotency_key: str | None = None,
    ) -> Answer[catalog_pb2.Category]:
        """As `CatalogService.delete_category`, with the request id, and whether the answer was replayed."""
        return await self._calls.answer(
            methods.CATALOG_DELETE_CATEGORY,
            request_of(methods.CATALOG_DELETE_CATEGORY, request, {"category_id": category_id, "etag": etag}),
            Options(timeout, metadata, idempotency_key),
        )

    async def delete_product(
        self,
        request: catalog_pb2.DeleteProductRequest | None = None,
        /,
        *,
        product_id: str | None = None,
        etag: str | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
        idempotency_key: str | None = None,
    ) -> Answer[catalog_pb2.Product]:
        """As `CatalogService.delete_product`, with the request id, and whether the answer was replayed."""
        return await self._calls.answer(
            methods.CATALOG_DELETE_PRODUCT,
            request_of(methods.CATALOG_DELETE_PRODUCT, request, {"product_id": product_id, "etag": etag}),
            Options(timeout, metadata, idempotency_key),
        )

    async def delete_product_group(
        self,
        request: catalog_pb2.DeleteProductGroupRequest | None = None,
        /,
        *,
        group_id: str | None = None,
        etag: str | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
        idempotency_key: str | None = None,
    ) -> Answer[catalog_pb2.ProductGroup]:
        """As `CatalogService.delete_product_group`, with the request id, and whether the answer was replayed."""
        return await self._calls.answer(
            methods.CATALOG_DELETE_PRODUCT_GROUP,
            request_of(methods.CATALOG_DELETE_PRODUCT_GROUP, request, {"group_id": group_id, "etag": etag}),
            Options(timeout, metadata, idempotency_key),
        )

    async def get_category(
        self,
        request: catalog_pb2.GetCategoryRequest | None = None,
        /,
        *,
        category_id: str | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
    ) -> Answer[catalog_pb2.Category]:
        """As `CatalogService.get_category`, with the request id, and whether the answer was replayed."""
        return await self._calls.answer(
            methods.CATALOG_GET_CATEGORY,
            request_of(methods.CATALOG_GET_CATEGORY, request, {"category_id": category_id}),
            Options(timeout, metadata),
        )

    async def get_product(
        self,
        request: catalog_pb2.GetProductRequest | None = None,
        /,
        *,
        product_id: str | None = None,
        show_deleted: bool | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
    ) -> Answer[catalog_pb2.Product]:
        """As `CatalogService.get_product`, with the request id, and whether the answer was replayed."""
        return await self._calls.answer(
            methods.CATALOG_GET_PRODUCT,
            request_of(methods.CATALOG_GET_PRODUCT, request, {"product_id": product_id, "show_deleted": show_deleted}),
            Options(timeout, metadata),
        )

    async def get_product_group(
        self,
        request: catalog_pb2.GetProductGroupRequest | None = None,
        /,
        *,
        group_id: str | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
    ) -> Answer[catalog_pb2.ProductGroup]:
        """As `CatalogService.get_product_group`, with the request id, and whether the answer was replayed."""
        return await self._calls.answer(
            methods.CATALOG_GET_PRODUCT_GROUP,
            request_of(methods.CATALOG_GET_PRODUCT_GROUP, request, {"group_id": group_id}),
            Options(timeout, metadata),
        )

    async def get_slug(
        self,
        request: catalog_pb2.GetSlugRequest | None = None,
        /,
        *,
        kind: str | None = None,
        slug: str | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
    ) -> Answer[catalog_pb2.GetSlugResponse]:
        """As `CatalogService.get_slug`, with the request id, and whether the answer was replayed."""
        return await self._calls.answer(
            methods.CATALOG_GET_SLUG,
            request_of(methods.CATALOG_GET_SLUG, request, {"kind": kind, "slug": slug}),
            Options(timeout, metadata),
        )

    async def list_categories(
        self,
        request: catalog_pb2.ListCategoriesRequest | None = None,
        /,
        *,
        page_size: int | None = None,
        page_token: str | None = None,
        parent_id: str | None = None,
        roots: bool | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
    ) -> Answer[catalog_pb2.ListCategoriesResponse]:
        """As `CatalogService.list_categories`, with the request id, and whether the answer was replayed."""
        return await self._calls.answer(
            methods.CATALOG_LIST_CATEGORIES,
            request_of(
                methods.CATALOG_LIST_CATEGORIES,
                request,
                {"page_size": page_size, "page_token": page_token, "parent_id": parent_id, "roots": roots},
            ),
            Options(timeout, metadata),
        )

    async def list_product_groups(
        self,
        request: catalog_pb2.ListProductGroupsRequest | None = None,
        /,
        *,
        page_size: int | None = None,
        page_token: str | None = None,
        code: str | None = None,
        show_empty: bool | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
    ) -> Answer[catalog_pb2.ListProductGroupsResponse]:
        """As `CatalogService.list_product_groups`, with the request id, and whether the answer was replayed."""
        return await self._calls.answer(
            methods.CATALOG_LIST_PRODUCT_GROUPS,
            request_of(
                methods.CATALOG_LIST_PRODUCT_GROUPS,
                request,
                {"page_size": page_size, "page_token": page_token, "code": code, "show_empty": show_empty},
            ),
            Options(timeout, metadata),
        )

    async def list_products(
        self,
        request: catalog_pb2.ListProductsRequest | None = None,
        /,
        *,
        page_size: int | None = None,
        page_token: str | None = None,
        skip: int | None = None,
        category_id: str | None = None,
        q: str | None = None,
        min_price: int | None = None,
        max_price: int | None = None,
        in_stock: bool | None = None,
        order_by: str | None = None,
        include_total_size: bool | None = None,
        show_deleted: bool | None = None,
        only_deleted: bool | None = None,
        collapse: bool | None = None,
        facets: bool | None = None,
        options: Iterable[str] | None = None,
        group_id: str | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
    ) -> Answer[catalog_pb2.ListProductsResponse]:
        """As `CatalogService.list_products`, with the request id, and whether the answer was replayed."""
        return await self._calls.answer(
            methods.CATALOG_LIST_PRODUCTS,
            request_of(
                methods.CATALOG_LIST_PRODUCTS,
                request,
                {
                    "page_size": page_size,
                    "page_token": page_token,
                    "skip": skip,
                    "category_id": category_id,
                    "q": q,
                    "min_price": min_price,
                    "max_price": max_price,
                    "in_stock": in_stock,
                    "order_by": order_by,
                    "include_total_size": include_total_size,
                    "show_deleted": show_deleted,
                    "only_deleted": only_deleted,
                    "collapse": collapse,
                    "facets": facets,
                    "options": options,
                    "group_id": group_id,
                },
            ),
            Options(timeout, metadata),
        )

    async def undelete_product(
        self,
        request: catalog_pb2.UndeleteProductRequest | None = None,
        /,
        *,
        product_id: str | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
        idempotency_key: str | None = None,
    ) -> Answer[catalog_pb2.Product]:
        """As `CatalogService.undelete_product`, with the request id, and whether the answer was replayed."""
        return await self._calls.answer(
            methods.CATALOG_UNDELETE_PRODUCT,
            request_of(methods.CATALOG_UNDELETE_PRODUCT, request, {"product_id": product_id}),
            Options(timeout, metadata, idempotency_key),
        )

    async def update_category(
        self,
        request: catalog_pb2.UpdateCategoryRequest | None = None,
        /,
        *,
        category: catalog_pb2.Category | None = None,
        update_mask: field_mask_pb2.FieldMask | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
        idempotency_key: str | None = None,
        etag: str | None = None,
    ) -> Answer[catalog_pb2.Category]:
        """As `CatalogService.update_category`, with the request id, and whether the answer was replayed."""
        return await self._calls.answer(
            methods.CATALOG_UPDATE_CATEGORY,
            request_of(methods.CATALOG_UPDATE_CATEGORY, request, {"category": category, "update_mask": update_mask}),
            Options(timeout, metadata, idempotency_key, etag=etag),
        )

    async def update_product(
        self,
        request: catalog_pb2.UpdateProductRequest | None = None,
        /,
        *,
        product: catalog_pb2.Product | None = None,
        update_mask: field_mask_pb2.FieldMask | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
        idempotency_key: str | None = None,
        etag: str | None = None,
    ) -> Answer[catalog_pb2.Product]:
        """As `CatalogService.update_product`, with the request id, and whether the answer was replayed."""
        return await self._calls.answer(
            methods.CATALOG_UPDATE_PRODUCT,
            request_of(methods.CATALOG_UPDATE_PRODUCT, request, {"product": product, "update_mask": update_mask}),
            Options(timeout, metadata, idempotency_key, etag=etag),
        )

    async def update_product_group(
        self,
        request: catalog_pb2.UpdateProductGroupRequest | None = None,
        /,
        *,
        group: catalog_pb2.ProductGroup | None = None,
        update_mask: field_mask_pb2.FieldMask | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
        idempotency_key: str | None = None,
        etag: str | None = None,
    ) -> Answer[catalog_pb2.ProductGroup]:
        """As `CatalogService.update_product_group`, with the request id, and whether the answer was replayed."""
        return await self._calls.answer(
            methods.CATALOG_UPDATE_PRODUCT_GROUP,
            request_of(methods.CATALOG_UPDATE_PRODUCT_GROUP, request, {"group": group, "update_mask": update_mask}),
            Options(timeout, metadata, idempotency_key, etag=etag),
        )

    async def upsert_product_group(
        self,
        request: catalog_pb2.UpsertProductGroupRequest | None = None,
        /,
        *,
        group: catalog_pb2.ProductGroup | None = None,
        variants: Iterable[catalog_pb2.Product] | None = None,
        delete_others: bool | None = None,
        reorder: bool | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
        idempotency_key: str | None = None,
    ) -> Answer[catalog_pb2.ProductGroup]:
        """As `CatalogService.upsert_product_group`, with the request id, and whether the answer was replayed."""
        return await self._calls.answer(
            methods.CATALOG_UPSERT_PRODUCT_GROUP,
            request_of(
                methods.CATALOG_UPSERT_PRODUCT_GROUP,
                request,
                {"group": group, "variants": variants, "delete_others": delete_others, "reorder": reorder},
            ),
            Options(timeout, metadata, idempotency_key),
        )


class FulfillmentService:
    """The units of orders: shipments, returns, and the cancellation of units that were not shipped.

    The status of an order follows from its units and its money.

    Every RPC can also answer UNAUTHENTICATED TOKEN_INVALID, DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED OVERLOADED and UNAVAILABLE
    DATABASE_UNAVAILABLE; the last two carry a RetryInfo.
    """

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    async def cancel_order_items(
        self,
        request: fulfillment_pb2.CancelOrderItemsRequest | None = None,
        /,
        *,
        order_id: str | None = None,
        lines: Iterable[fulfillment_pb2.OrderUnits] | None = None,
        reason: str | None = None,
        etag: str | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
        idempotency_key: str | None = None,
    ) -> order_pb2.Order:
        """Cancel units that are neither shipped nor in a shipment, put them back into stock, and refund what was paid for them.

        If no units are left, the order is CANCELLED, and all of its money goes back.

        Errors: INVALID_ARGUMENT INVALID_FIELD, NOT_FOUND ORDER_NOT_FOUND, FAILED_PRECONDITION UNITS_EXCEED (fewer units of a
        product are left; `product_id` and `left` of its ErrorInfo), FAILED_PRECONDITION PAYMENT_STATE (a dispute of its payment
        is open), FAILED_PRECONDITION ORDER_STATE (the order is in a state that a later release added), ABORTED ETAG_MISMATCH,
        PERMISSION_DENIED ADMIN_ONLY.

        Args:
            order_id: UUID.
            lines: The units, 1 to 200 lines, each of another product.
            reason: Why, at most 500 characters; the refund keeps it, and the order's history if the status changes.
            etag: Refuse if the order changed since it had this etag.
        """
        return await self._calls.message(
            methods.FULFILLMENT_CANCEL_ORDER_ITEMS,
            request_of(
                methods.FULFILLMENT_CANCEL_ORDER_ITEMS, request, {"order_id": order_id, "lines": lines, "reason": reason, "etag": etag}
            ),
            Options(timeout, metadata, idempotency_key),
        )

    async def cancel_shipment(
        self,
        request: fulfillment_pb2.CancelShipmentRequest | None = None,
        /,
        *,
        order_id: str | None = None,
        shipment_id: str | None = None,
        etag: str | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
        idempotency_key: str | None = None,
    ) -> fulfillment_pb2.Shipment:
        """Cancel a shipment that has not left.

        Its units can be shipped or cancelled again.

        Errors: INVALID_ARGUMENT INVALID_FIELD, NOT_FOUND ORDER_NOT_FOUND or SHIPMENT_NOT_FOUND, FAILED_PRECONDITION
        SHIPMENT_STATE (it is not PREPARED), FAILED_PRECONDITION ORDER_STATE (the order is in a state that a later release added),
        ABORTED ETAG_MISMATCH, PERMISSION_DENIED ADMIN_ONLY.

        Args:
            order_id: UUID.
            shipment_id: UUID.
            etag: Refuse if the order changed since it had this etag.
        """
        return await self._calls.message(
            methods.FULFILLMENT_CANCEL_SHIPMENT,
            request_of(methods.FULFILLMENT_CANCEL_SHIPMENT, request, {"order_id": order_id, "shipment_id": shipment_id, "etag": etag}),
            Options(timeout, metadata, idempotency_key),
        )

    async def create_return(
        self,
        request: fulfillment_pb2.CreateReturnRequest | None = None,
        /,
        *,
        order_id: str | None = None,
        lines: Iterable[fulfillment_pb2.OrderUnits] | None = None,
        restock: bool | None = None,
        reason: str | None = None,
        etag: str | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
        idempotency_key: str | None = None,
    ) -> fulfillment_pb2.Return:
        """Take units back that were shipped, and put them into stock if they can be sold again.

        It refunds nothing: a refund is a call of its own.

        Errors: INVALID_ARGUMENT INVALID_FIELD, NOT_FOUND ORDER_NOT_FOUND, FAILED_PRECONDITION UNITS_EXCEED (fewer units of a
        product are with the buyer; `product_id` and `left` of its ErrorInfo), FAILED_PRECONDITION ORDER_STATE (the order is in a
        state that a later release added), ABORTED ETAG_MISMATCH, PERMISSION_DENIED ADMIN_ONLY.

        Args:
            order_id: UUID.
            lines: The units, 1 to 200 lines, each of another product.
            restock: True: put them back into stock.
            reason: Why, at most 500 characters; the buyer can read it.
            etag: Refuse if the order changed since it had this etag.
        """
        return await self._calls.message(
            methods.FULFILLMENT_CREATE_RETURN,
            request_of(
                methods.FULFILLMENT_CREATE_RETURN,
                request,
                {"order_id": order_id, "lines": lines, "restock": restock, "reason": reason, "etag": etag},
            ),
            Options(timeout, metadata, idempotency_key),
        )

    async def create_shipment(
        self,
        request: fulfillment_pb2.CreateShipmentRequest | None = None,
        /,
        *,
        order_id: str | None = None,
        lines: Iterable[fulfillment_pb2.OrderUnits] | None = None,
        carrier: str | None = None,
        tracking_number: str | None = None,
        tracking_url: str | None = None,
        etag: str | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
        idempotency_key: str | None = None,
    ) -> fulfillment_pb2.Shipment:
        """Prepare a shipment of units of an order.

        Its units are reserved: no other shipment takes them, and they cannot be cancelled.

        Errors: INVALID_ARGUMENT INVALID_FIELD, NOT_FOUND ORDER_NOT_FOUND, FAILED_PRECONDITION UNITS_EXCEED (fewer units of a
        product are left; `product_id` and `left` of its ErrorInfo), FAILED_PRECONDITION PAYMENT_STATE (the order is CANCELLED or
        REFUNDED, or no units are left), FAILED_PRECONDITION SHIPMENT_LIMIT (the order has 1,000 shipments; `limit` of its
        ErrorInfo), FAILED_PRECONDITION ORDER_STATE (the order is in a state that a later release added), ABORTED ETAG_MISMATCH,
        PERMISSION_DENIED ADMIN_ONLY.

        Args:
            order_id: UUID.
            lines: The units, at most 200 lines, each of another product; empty takes all units that are left.
            carrier: Who carries it, at most 100 characters.
            tracking_number: The carrier's number, at most 100 characters.
            tracking_url: Page that shows its way: an http or https URL of at most 2,000 bytes.
            etag: Refuse if the order changed since it had this etag, so that two packers do not ship the same units.
        """
        return await self._calls.message(
            methods.FULFILLMENT_CREATE_SHIPMENT,
            request_of(
                methods.FULFILLMENT_CREATE_SHIPMENT,
                request,
                {
                    "order_id": order_id,
                    "lines": lines,
                    "carrier": carrier,
                    "tracking_number": tracking_number,
                    "tracking_url": tracking_url,
                    "etag": etag,
                },
            ),
            Options(timeout, metadata, idempotency_key),
        )

    async def deliver_shipment(
        self,
        request: fulfillment_pb2.DeliverShipmentRequest | None = None,
        /,
        *,
        order_id: str | None = None,
        shipment_id: str | None = None,
        etag: str | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
        idempotency_key: str | None = None,
    ) -> fulfillment_pb2.Shipment:
        """Note that a shipment has arrived.

        With the last one of an order, its cash on delivery has been paid.

        Errors: INVALID_ARGUMENT INVALID_FIELD, NOT_FOUND ORDER_NOT_FOUND or SHIPMENT_NOT_FOUND, FAILED_PRECONDITION
        SHIPMENT_STATE (it is not SHIPPED), FAILED_PRECONDITION ORDER_STATE (the order is in a state that a later release added),
        ABORTED ETAG_MISMATCH, PERMISSION_DENIED ADMIN_ONLY.

        Args:
            order_id: UUID.
            shipment_id: UUID.
            etag: Refuse if the order changed since it had this etag.
        """
        return await self._calls.message(
            methods.FULFILLMENT_DELIVER_SHIPMENT,
            request_of(methods.FULFILLMENT_DELIVER_SHIPMENT, request, {"order_id": order_id, "shipment_id": shipment_id, "etag": etag}),
            Options(timeout, metadata, idempotency_key),
        )

    async def get_shipment(
        self,
        request: fulfillment_pb2.GetShipmentRequest | None = None,
        /,
        *,
        order_id: str | None = None,
        shipment_id: str | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
    ) -> fulfillment_pb2.Shipment:
        """Return a shipment of an order.

        Owner or administrator.

        Errors: INVALID_ARGUMENT INVALID_FIELD, NOT_FOUND ORDER_NOT_FOUND (another's order answers as an absent one), NOT_FOUND
        SHIPMENT_NOT_FOUND.

        Args:
            order_id: UUID.
            shipment_id: UUID.
        """
        return await self._calls.message(
            methods.FULFILLMENT_GET_SHIPMENT,
            request_of(methods.FULFILLMENT_GET_SHIPMENT, request, {"order_id": order_id, "shipment_id": shipment_id}),
            Options(timeout, metadata),
        )

    def list_returns(
        self,
        request: fulfillment_pb2.ListReturnsRequest | None = None,
        /,
        *,
        order_id: str | None = None,
        page_size: int | None = None,
        page_token: str | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
    ) -> AsyncPager[fulfillment_pb2.ListReturnsResponse, fulfillment_pb2.Return]:
        """List the returns of an order, newest first.

        Owner or administrator.

        Errors: INVALID_ARGUMENT INVALID_FIELD, INVALID_ARGUMENT PAGE_TOKEN_INVALID, NOT_FOUND ORDER_NOT_FOUND (another's order
        answers as an absent one).

        Args:
            order_id: UUID.
            page_size: Returns a page: 0 means 20, above 100 means 100.
            page_token: `next_page_token` of the page before.
        """
        return AsyncPager(
            self._calls,
            methods.FULFILLMENT_LIST_RETURNS,
            request_of(methods.FULFILLMENT_LIST_RETURNS, request, {"order_id": order_id, "page_size": page_size, "page_token": page_token}),
            Options(timeout, metadata),
        )

    def list_shipments(
        self,
        request: fulfillment_pb2.ListShipmentsRequest | None = None,
        /,
        *,
        order_id: str | None = None,
        page_size: int | None = None,
        page_token: str | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
    ) -> AsyncPager[fulfillment_pb2.ListShipmentsResponse, fulfillment_pb2.Shipment]:
        """List the shipments of an order, newest first.

        Owner or administrator.

        Errors: INVALID_ARGUMENT INVALID_FIELD, INVALID_ARGUMENT PAGE_TOKEN_INVALID, NOT_FOUND ORDER_NOT_FOUND (another's order
        answers as an absent one).

        Args:
            order_id: UUID.
            page_size: Shipments a page: 0 means 20, above 100 means 100.
            page_token: `next_page_token` of the page before.
        """
        return AsyncPager(
            self._calls,
            methods.FULFILLMENT_LIST_SHIPMENTS,
            request_of(
                methods.FULFILLMENT_LIST_SHIPMENTS, request, {"order_id": order_id, "page_size": page_size, "page_token": page_token}
            ),
            Options(timeout, metadata),
        )

    async def ship_shipment(
        self,
        request: fulfillment_pb2.ShipShipmentRequest | None = None,
        /,
        *,
        order_id: str | None = None,
        shipment_id: str | None = None,
        carrier: str | None = None,
        tracking_number: str | None = None,
        tracking_url: str | None = None,
        etag: str | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
        idempotency_key: str | None = None,
    ) -> fulfillment_pb2.Shipment:
        """Let a shipment leave.

        If its payment is authorized at a provider, the payment is captured first: the shipment is CAPTURING until the provider
        has answered, and PREPARED again, with `failure`, if the provider refuses.

        The answer has the state after the provider's answer, if that comes in time. With an idempotency key it is the state
        before that, so CAPTURING: read the shipment again. A call for a shipment that is CAPTURING waits for the same capture.

        Errors: INVALID_ARGUMENT INVALID_FIELD, NOT_FOUND ORDER_NOT_FOUND or SHIPMENT_NOT_FOUND, FAILED_PRECONDITION
        SHIPMENT_STATE (it has left, or was cancelled), FAILED_PRECONDITION PAYMENT_STATE (the order is CANCELLED or REFUNDED, or
        the payment does not cover it; or, without an idempotency key, the provider has refused the capture, or the authorization
        has lapsed: `failure` of its ErrorInfo has the provider's code), FAILED_PRECONDITION ORDER_STATE (the order is in a state
        that a later release added), ABORTED ETAG_MISMATCH, PERMISSION_DENIED ADMIN_ONLY.

        Args:
            order_id: UUID.
            shipment_id: UUID.
            carrier: Who carries it, at most 100 characters; empty keeps the carrier.
            tracking_number: The carrier's number, at most 100 characters; empty keeps the number.
            tracking_url: Page that shows its way: an http or https URL of at most 2,000 bytes; empty keeps the page.
            etag: Refuse if the order changed since it had this etag.
        """
        return await self._calls.message(
            methods.FULFILLMENT_SHIP_SHIPMENT,
            request_of(
                methods.FULFILLMENT_SHIP_SHIPMENT,
                request,
                {
                    "order_id": order_id,
                    "shipment_id": shipment_id,
                    "carrier": carrier,
                    "tracking_number": tracking_number,
                    "tracking_url": tracking_url,
                    "etag": etag,
                },
            ),
            Options(timeout, metadata, idempotency_key),
        )


class FulfillmentAnswers:
    """FulfillmentService, whose methods return an `Answer`; those of lists return one page."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    async def cancel_order_items(
        self,
        request: fulfillment_pb2.CancelOrderItemsRequest | None = None,
        /,
        *,
        order_id: str | None = None,
        lines: Iterable[fulfillment_pb2.OrderUnits] | None = None,
        reason: str | None = None,
        etag: str | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
        idempotency_key: str | None = None,
    ) -> Answer[order_pb2.Order]:
        """As `FulfillmentService.cancel_order_items`, with the request id, and whether the answer was replayed."""
        return await self._calls.answer(
            methods.FULFILLMENT_CANCEL_ORDER_ITEMS,
            request_of(
                methods.FULFILLMENT_CANCEL_ORDER_ITEMS, request, {"order_id": order_id, "lines": lines, "reason": reason, "etag": etag}
            ),
            Options(timeout, metadata, idempotency_key),
        )

    async def cancel_shipment(
        self,
        request: fulfillment_pb2.CancelShipmentRequest | None = None,
        /,
        *,
        order_id: str | None = None,
        shipment_id: str | None = None,
        etag: str | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
        idempotency_key: str | None = None,
    ) -> Answer[fulfillment_pb2.Shipment]:
        """As `FulfillmentService.cancel_shipment`, with the request id, and whether the answer was replayed."""
        return await self._calls.answer(
            methods.FULFILLMENT_CANCEL_SHIPMENT,
            request_of(methods.FULFILLMENT_CANCEL_SHIPMENT, request, {"order_id": order_id, "shipment_id": shipment_id, "etag": etag}),
            Options(timeout, metadata, idempotency_key),
        )

    async def create_return(
        self,
        request: fulfillment_pb2.CreateReturnRequest | None = None,
        /,
        *,
        order_id: str | None = None,
        lines: Iterable[fulfillment_pb2.OrderUnits] | None = None,
        restock: bool | None = None,
        reason: str | None = None,
        etag: str | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
        idempotency_key: str | None = None,
    ) -> Answer[fulfillment_pb2.Return]:
        """As `FulfillmentService.create_return`, with the request id, and whether the answer was replayed."""
        return await self._calls.answer(
            methods.FULFILLMENT_CREATE_RETURN,
            request_of(
                methods.FULFILLMENT_CREATE_RETURN,
                request,
                {"order_id": order_id, "lines": lines, "restock": restock, "reason": reason, "etag": etag},
            ),
            Options(timeout, metadata, idempotency_key),
        )

    async def create_shipment(
        self,
        request: fulfillment_pb2.CreateShipmentRequest | None = None,
        /,
        *,
        order_id: str | None = None,
        lines: Iterable[fulfillment_pb2.OrderUnits] | None = None,
        carrier: str | None = None,
        tracking_number: str | None = None,
        tracking_url: str | None = None,
        etag: str | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
        idempotency_key: str | None = None,
    ) -> Answer[fulfillment_pb2.Shipment]:
        """As `FulfillmentService.create_shipment`, with the request id, and whether the answer was replayed."""
        return await self._calls.answer(
            methods.FULFILLMENT_CREATE_SHIPMENT,
            request_of(
                methods.FULFILLMENT_CREATE_SHIPMENT,
                request,
                {
                    "order_id": order_id,
                    "lines": lines,
                    "carrier": carrier,
                    "tracking_number": tracking_number,
                    "tracking_url": tracking_url,
                    "etag": etag,
                },
            ),
            Options(timeout, metadata, idempotency_key),
        )

    async def deliver_shipment(
        self,
        request: fulfillment_pb2.DeliverShipmentRequest | None = None,
        /,
        *,
        order_id: str | None = None,
        shipment_id: str | None = None,
        etag: str | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
        idempotency_key: str | None = None,
    ) -> Answer[fulfillment_pb2.Shipment]:
        """As `FulfillmentService.deliver_shipment`, with the request id, and whether the answer was replayed."""
        return await self._calls.answer(
            methods.FULFILLMENT_DELIVER_SHIPMENT,
            request_of(methods.FULFILLMENT_DELIVER_SHIPMENT, request, {"order_id": order_id, "shipment_id": shipment_id, "etag": etag}),
            Options(timeout, metadata, idempotency_key),
        )

    async def get_shipment(
        self,
        request: fulfillment_pb2.GetShipmentRequest | None = None,
        /,
        *,
        order_id: str | None = None,
        shipment_id: str | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
    ) -> Answer[fulfillment_pb2.Shipment]:
        """As `FulfillmentService.get_shipment`, with the request id, and whether the answer was replayed."""
        return await self._calls.answer(
            methods.FULFILLMENT_GET_SHIPMENT,
            request_of(methods.FULFILLMENT_GET_SHIPMENT, request, {"order_id": order_id, "shipment_id": shipment_id}),
            Options(timeout, metadata),
        )

    async def list_returns(
        self,
        request: fulfillment_pb2.ListReturnsRequest | None = None,
        /,
        *,
        order_id: str | None = None,
        page_size: int | None = None,
        page_token: str | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
    ) -> Answer[fulfillment_pb2.ListReturnsResponse]:
        """As `FulfillmentService.list_returns`, with the request id, and whether the answer was replayed."""
        return await self._calls.answer(
            methods.FULFILLMENT_LIST_RETURNS,
            request_of(methods.FULFILLMENT_LIST_RETURNS, request, {"order_id": order_id, "page_size": page_size, "page_token": page_token}),
            Options(timeout, metadata),
        )

    async def list_shipments(
        self,
        request: fulfillment_pb2.ListShipmentsRequest | None = None,
        /,
        *,
        order_id: str | None = None,
        page_size: int | None = None,
        page_token: str | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
    ) -> Answer[fulfillment_pb2.ListShipmentsResponse]:
        """As `FulfillmentService.list_shipments`, with the request id, and whether the answer was replayed."""
        return await self._calls.answer(
            methods.FULFILLMENT_LIST_SHIPMENTS,
            request_of(
                methods.FULFILLMENT_LIST_SHIPMENTS, request, {"order_id": order_id, "page_size": page_size, "page_token": page_token}
            ),
            Options(timeout, metadata),
        )

    async def ship_shipment(
        self,
        request: fulfillment_pb2.ShipShipmentRequest | None = None,
        /,
        *,
        order_id: str | None = None,
        shipment_id: str | None = None,
        carrier: str | None = None,
        tracking_number: str | None = None,
        tracking_url: str | None = None,
        etag: str | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
        idempotency_key: str | None = None,
    ) -> Answer[fulfillment_pb2.Shipment]:
        """As `FulfillmentService.ship_shipment`, with the request id, and whether the answer was replayed."""
        return await self._calls.answer(
            methods.FULFILLMENT_SHIP_SHIPMENT,
            request_of(
                methods.FULFILLMENT_SHIP_SHIPMENT,
                request,
                {
                    "order_id": order_id,
                    "shipment_id": shipment_id,
                    "carrier": carrier,
                    "tracking_number": tracking_number,
                    "tracking_url": tracking_url,
                    "etag": etag,
                },
            ),
            Options(timeout, metadata, idempotency_key),
        )


class MediaService:
    """Pictures of products.

    An administrator creates an upload, sends the file, waits until it is ready, and then shows the picture.

    Every RPC can also answer DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED OVERLOADED and UNAVAILABLE DATABASE_UNAVAILABLE; the last two
    carry a RetryInfo. ABORTED CONFLICT, with a RetryInfo too, means that concurrent calls held locks that the call needed; it
    changed nothing.
    """

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    async def complete_picture_upload(
        self,
        request: media_pb2.CompletePictureUploadRequest | None = None,
        /,
        *,
        upload_id: str | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
    ) -> media_pb2.PictureUpload:
        """Say that the file of an upload has come to its `upload_url`; a worker then verifies it.

        An upload that has its file already is returned as it is: so a shop that takes files itself needs no such call. Where a
        client does not call, the shop finds the file within minutes.

        Errors: INVALID_ARGUMENT INVALID_FIELD, NOT_FOUND PICTURE_UPLOAD_NOT_FOUND, FAILED_PRECONDITION PICTURE_UPLOAD_ABSENT (the
        file has not come), FAILED_PRECONDITION PICTURE_UPLOAD_STATE (and the upload has expired), FAILED_PRECONDITION
        PICTURES_OFF, UNAVAILABLE PICTURES_UNAVAILABLE (the bucket does not work; its message says why), UNAUTHENTICATED
        TOKEN_INVALID, PERMISSION_DENIED ADMIN_ONLY.

        Args:
            upload_id: UUID.
        """
        return await self._calls.message(
            methods.MEDIA_COMPLETE_PICTURE_UPLOAD,
            request_of(methods.MEDIA_COMPLETE_PICTURE_UPLOAD, request, {"upload_id": upload_id}),
            Options(timeout, metadata),
        )

    async def create_picture_upload(
        self,
        request: media_pb2.CreatePictureUploadRequest | None = None,
        /,
        *,
        content_length: int | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
        idempotency_key: str | None = None,
    ) -> media_pb2.PictureUpload:
        """Create an upload, which takes one file within an hour.

        PUT the file to its `upload_url`, and then call CompletePictureUpload.

        Errors: INVALID_ARGUMENT INVALID_FIELD, FAILED_PRECONDITION PICTURES_OFF (the operator has set no directory for pictures),
        RESOURCE_EXHAUSTED TOO_MANY_UPLOADS (1,000 are not yet settled), UNAUTHENTICATED TOKEN_INVALID, PERMISSION_DENIED
        ADMIN_ONLY.

        Args:
            content_length: Bytes of the file, 1 to 20,971,520. A shop that keeps pictures in a bucket needs them: the
                `upload_url` takes a file of this length only.
        """
        return await self._calls.message(
            methods.MEDIA_CREATE_PICTURE_UPLOAD,
            request_of(methods.MEDIA_CREATE_PICTURE_UPLOAD, request, {"content_length": content_length}),
            Options(timeout, metadata, idempotency_key),
        )

    async def get_picture(
        self,
        request: media_pb2.GetPictureRequest | None = None,
        /,
        *,
        name: str | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
    ) -> httpbody_pb2.HttpBody:
        """Return a rendition of a picture, a WebP file.

        It never changes, so clients may keep it for ever. Ranges are not served.

        Errors: NOT_FOUND PICTURE_NOT_FOUND, UNAVAILABLE PICTURES_UNAVAILABLE (the bucket of the shop does not work).

        Args:
            name: The last part of the URL of a rendition.
        """
        return await self._calls.message(
            methods.MEDIA_GET_PICTURE, request_of(methods.MEDIA_GET_PICTURE, request, {"name": name}), Options(timeout, metadata)
        )

    async def get_picture_upload(
        self,
        request: media_pb2.GetPictureUploadRequest | None = None,
        /,
        *,
        upload_id: str | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
    ) -> media_pb2.PictureUpload:
        """Return an upload, and its outcome once there is one.

        Settled uploads are kept for a week.

        Errors: INVALID_ARGUMENT INVALID_FIELD, NOT_FOUND PICTURE_UPLOAD_NOT_FOUND, UNAUTHENTICATED TOKEN_INVALID,
        PERMISSION_DENIED ADMIN_ONLY.

        Args:
            upload_id: UUID.
        """
        return await self._calls.message(
            methods.MEDIA_GET_PICTURE_UPLOAD,
            request_of(methods.MEDIA_GET_PICTURE_UPLOAD, request, {"upload_id": upload_id}),
            Options(timeout, metadata),
        )

    async def set_product_pictures(
        self,
        request: media_pb2.SetProductPicturesRequest | None = None,
        /,
        *,
        product_id: str | None = None,
        pictures: Iterable[media_pb2.SetProductPicturesRequest.Shown] | None = None,
        etag: str | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
        idempotency_key: str | None = None,
    ) -> catalog_pb2.Product:
        """Show these pictures with a product, in this order, and no others.

        A picture may belong to several products. One that no product shows is deleted after the days that backups are kept, 30
        unless the operator says otherwise.

        Errors: INVALID_ARGUMENT INVALID_FIELD, NOT_FOUND PRODUCT_NOT_FOUND, NOT_FOUND PICTURE_NOT_FOUND, FAILED_PRECONDITION
        PICTURES_LIMIT (a product has at most 20 pictures, external URLs included), ABORTED ETAG_MISMATCH (the product changed
        since `etag` or the tag of `if-match` was read; 412 over REST with `if-match`), UNAUTHENTICATED TOKEN_INVALID,
        PERMISSION_DENIED ADMIN_ONLY.

        Args:
            product_id: UUID of the product.
            pictures: At most 20 pictures, each once; empty removes all.
            etag: Refuse to change a newer product than the one with this etag; sales make no difference.
        """
        return await self._calls.message(
            methods.MEDIA_SET_PRODUCT_PICTURES,
            request_of(methods.MEDIA_SET_PRODUCT_PICTURES, request, {"product_id": product_id, "pictures": pictures, "etag": etag}),
            Options(timeout, metadata, idempotency_key),
        )

    async def upload_picture_content(
        self,
        requests: Iterable[media_pb2.UploadPictureContentRequest] | AsyncIterable[media_pb2.UploadPictureContentRequest],
        /,
        *,
        timeout: float | None = None,
        metadata: Metadata = (),
    ) -> media_pb2.PictureUpload:
        """Send the file of an upload: over REST as the body, of any type; over gRPC in pieces of at most 1 MiB.

        The file has at most 20 MiB. A worker then verifies it; GetPictureUpload tells the outcome.

        Errors: INVALID_ARGUMENT INVALID_FIELD (the file is empty), NOT_FOUND PICTURE_UPLOAD_NOT_FOUND, FAILED_PRECONDITION
        PICTURE_UPLOAD_STATE (it has its file already, or has expired), FAILED_PRECONDITION PICTURE_UPLOAD_ELSEWHERE (the shop
        keeps pictures in a bucket: the `upload_url` is not of this shop), FAILED_PRECONDITION PICTURES_OFF, RESOURCE_EXHAUSTED
        REQUEST_TOO_LARGE (413 over REST), TOO_MANY_STREAMS or STREAM_TOO_LONG, DEADLINE_EXCEEDED STREAM_IDLE, UNAUTHENTICATED
        TOKEN_INVALID, PERMISSION_DENIED ADMIN_ONLY.
        """
        return await self._calls.message(methods.MEDIA_UPLOAD_PICTURE_CONTENT, requests, Options(timeout, metadata))


class MediaAnswers:
    """MediaService, whose methods return an `Answer`; those of lists return one page."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    async def complete_picture_upload(
        self,
        request: media_pb2.CompletePictureUploadRequest | None = None,
        /,
        *,
        upload_id: str | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
    ) -> Answer[media_pb2.PictureUpload]:
        """As `MediaService.complete_picture_upload`, with the request id, and whether the answer was replayed."""
        return await self._calls.answer(
            methods.MEDIA_COMPLETE_PICTURE_UPLOAD,
            request_of(methods.MEDIA_COMPLETE_PICTURE_UPLOAD, request, {"upload_id": upload_id}),
            Options(timeout, metadata),
        )

    async def create_picture_upload(
        self,
        request: media_pb2.CreatePictureUploadRequest | None = None,
        /,
        *,
        content_length: int | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
        idempotency_key: str | None = None,
    ) -> Answer[media_pb2.PictureUpload]:
        """As `MediaService.create_picture_upload`, with the request id, and whether the answer was replayed."""
        return await self._calls.answer(
            methods.MEDIA_CREATE_PICTURE_UPLOAD,
            request_of(methods.MEDIA_CREATE_PICTURE_UPLOAD, request, {"content_length": content_length}),
            Options(timeout, metadata, idempotency_key),
        )

    async def get_picture(
        self,
        request: media_pb2.GetPictureRequest | None = None,
        /,
        *,
        name: str | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
    ) -> Answer[httpbody_pb2.HttpBody]:
        """As `MediaService.get_picture`, with the request id, and whether the answer was replayed."""
        return await self._calls.answer(
            methods.MEDIA_GET_PICTURE, request_of(methods.MEDIA_GET_PICTURE, request, {"name": name}), Options(timeout, metadata)
        )

    async def get_picture_upload(
        self,
        request: media_pb2.GetPictureUploadRequest | None = None,
        /,
        *,
        upload_id: str | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
    ) -> Answer[media_pb2.PictureUpload]:
        """As `MediaService.get_picture_upload`, with the request id, and whether the answer was replayed."""
        return await self._calls.answer(
            methods.MEDIA_GET_PICTURE_UPLOAD,
            request_of(methods.MEDIA_GET_PICTURE_UPLOAD, request, {"upload_id": upload_id}),
            Options(timeout, metadata),
        )

    async def set_product_pictures(
        self,
        request: media_pb2.SetProductPicturesRequest | None = None,
        /,
        *,
        product_id: str | None = None,
        pictures: Iterable[media_pb2.SetProductPicturesRequest.Shown] | None = None,
        etag: str | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
        idempotency_key: str | None = None,
    ) -> Answer[catalog_pb2.Product]:
        """As `MediaService.set_product_pictures`, with the request id, and whether the answer was replayed."""
        return await self._calls.answer(
            methods.MEDIA_SET_PRODUCT_PICTURES,
            request_of(methods.MEDIA_SET_PRODUCT_PICTURES, request, {"product_id": product_id, "pictures": pictures, "etag": etag}),
            Options(timeout, metadata, idempotency_key),
        )

    async def upload_picture_content(
        self,
        requests: Iterable[media_pb2.UploadPictureContentRequest] | AsyncIterable[media_pb2.UploadPictureContentRequest],
        /,
        *,
        timeout: float | None = None,
        metadata: Metadata = (),
    ) -> Answer[media_pb2.PictureUpload]:
        """As `MediaService.upload_picture_content`, with the request id, and whether the answer was replayed."""
        return await self._calls.answer(methods.MEDIA_UPLOAD_PICTURE_CONTENT, requests, Options(timeout, metadata))


class OrderService:
    """Orders.

    PLACED → PAID → SHIPPED → DELIVERED; PLACED and PAID can become CANCELLED (which restocks); PAID, SHIPPED and DELIVERED can
    become REFUNDED. The status follows from the order's money and units; `payment_status` and `fulfillment_status` tell more of
    each.

    Every RPC can also answer UNAUTHENTICATED TOKEN_INVALID, DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED OVERLOADED and UNAVAILABLE
    DATABASE_UNAVAILABLE; the last two carry a RetryInfo.
    """

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    async def advance_order(
        self,
        request: order_pb2.AdvanceOrderRequest | None = None,
        /,
        *,
        order_id: str | None = None,
        status: order_pb2.OrderStatus.ValueType | None = None,
        reason: str | None = None,
        etag: str | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
        idempotency_key: str | None = None,
    ) -> order_pb2.Order:
        """Do what moves an order to its next state: PAID records a payment of what is owed, SHIPPED ships all units that are left,
        DELIVERED notes that all shipments have arrived, REFUNDED refunds all.

        CANCELLED restocks, as CancelOrder does. With a payment provider between, the state may follow later than the answer.

        Errors: INVALID_ARGUMENT INVALID_FIELD, NOT_FOUND ORDER_NOT_FOUND, FAILED_PRECONDITION ORDER_STATE (`allowed` of its
        ErrorInfo), FAILED_PRECONDITION PAYMENT_STATE (its payments or units do not allow it), FAILED_PRECONDITION SHIPMENT_LIMIT,
        ABORTED ETAG_MISMATCH, PERMISSION_DENIED ADMIN_ONLY.

        Args:
            order_id: UUID.
            status: The state to go to.
            reason: Why, at most 500 characters; kept in the order's history.
            etag: Refuse if the order changed since it had this etag: of two packers, one ships.
        """
        return await self._calls.message(
            methods.ORDER_ADVANCE_ORDER,
            request_of(methods.ORDER_ADVANCE_ORDER, request, {"order_id": order_id, "status": status, "reason": reason, "etag": etag}),
            Options(timeout, metadata, idempotency_key),
        )

    async def cancel_order(
        self,
        request: order_pb2.CancelOrderRequest | None = None,
        /,
        *,
        order_id: str | None = None,
        reason: str | None = None,
        etag: str | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
        idempotency_key: str | None = None,
    ) -> order_pb2.Order:
        """Cancel an order that is PLACED or PAID, put its units back into stock, and refund what was paid.

        Owner or administrator.

        Errors: INVALID_ARGUMENT INVALID_FIELD, NOT_FOUND ORDER_NOT_FOUND, FAILED_PRECONDITION ORDER_STATE (`allowed` of its
        ErrorInfo has the states it can go to), FAILED_PRECONDITION PAYMENT_STATE (units of it were shipped, or a dispute of its
        payment is open), ABORTED ETAG_MISMATCH.

        Args:
            order_id: UUID.
            reason: Why, at most 500 characters; kept in the order's history.
            etag: Refuse if the order changed since it had this etag.
        """
        return await self._calls.message(
            methods.ORDER_CANCEL_ORDER,
            request_of(methods.ORDER_CANCEL_ORDER, request, {"order_id": order_id, "reason": reason, "etag": etag}),
            Options(timeout, metadata, idempotency_key),
        )

    async def checkout(
        self,
        request: order_pb2.CheckoutRequest | None = None,
        /,
        *,
        expected_total: money_pb2.Money | None = None,
        cart_etag: str | None = None,
        validate_only: bool | None = None,
        quote_id: str | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
        idempotency_key: str | None = None,
    ) -> order_pb2.Order:
        """Buy the products in the cart: take the stock, keep names and prices, place the order and empty the cart, all or nothing.

        With an `idempotency-key` (1 to 255 visible ASCII characters) a repeated call returns the order of the first, marked
        `idempotent-replayed: true`; keys are kept for 24 hours.

        Errors: INVALID_ARGUMENT INVALID_FIELD, INVALID_ARGUMENT IDEMPOTENCY_KEY_REUSED (same key, other request),
        FAILED_PRECONDITION CART_EMPTY, FAILED_PRECONDITION OUT_OF_STOCK (with StockShortage: every line that cannot be served),
        FAILED_PRECONDITION UNITS_LIMIT (a line above the shop's limit of units of a product; `limit` of its ErrorInfo),
        FAILED_PRECONDITION OPEN_ORDERS_LIMIT (too many unpaid orders of the account; `limit` of its ErrorInfo),
        FAILED_PRECONDITION EMAIL_NOT_VERIFIED (the shop sells to verified addresses only; call RequestEmailVerification),
        FAILED_PRECONDITION CONTACT_REQUIRED (a guest's cart has no `contact_email` in its header), FAILED_PRECONDITION
        ADDRESS_REQUIRED, SHIPPING_METHOD_REQUIRED or SHIPPING_METHOD_UNAVAILABLE (goods need delivery), FAILED_PRECONDITION
        TAX_RATE_MISSING (the shop has rates in the country, but none for a product), FAILED_PRECONDITION QUOTE_REQUIRED (a
        provider names the taxes of the shop, with a quote only), FAILED_PRECONDITION PROMOTION_EXHAUSTED or PROMOTION_INVALID (a
        code of the cart cannot be used any more), ABORTED TOTAL_CHANGED or ETAG_MISMATCH (`expected_total` or `cart_etag` differs
        from the current value; its ErrorInfo has both values), NOT_FOUND QUOTE_NOT_FOUND, FAILED_PRECONDITION QUOTE_EXPIRED,
        ABORTED QUOTE_CHANGED (with QuoteChange: the price that was quoted and the price now; `missing` of its ErrorInfo has the
        reason if the price now is not whole, such as TAX_RATE_MISSING).

        Args:
            expected_total: Refuse the purchase if the total is another.
            cart_etag: Refuse the purchase if the cart is another.
            validate_only: True: check everything and change nothing; the answer is the order that would be placed. Nothing is
                stored with an `idempotency-key` either, and none is replayed: the key stays free for the purchase.
            quote_id: Buy for the price of this quote; UUID.
        """
        return await self._calls.message(
            methods.ORDER_CHECKOUT,
            request_of(
                methods.ORDER_CHECKOUT,
                request,
                {"expected_total": expected_total, "cart_etag": cart_etag, "validate_only": validate_only, "quote_id": quote_id},
            ),
            Options(timeout, metadata, idempotency_key),
        )

    async def create_order_note(
        self,
        request: order_pb2.CreateOrderNoteRequest | None = None,
        /,
        *,
        order_id: str | None = None,
        text: str | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
        idempotency_key: str | None = None,
    ) -> order_pb2.OrderNote:
        """Add a note to an order, for administrators only: neither its buyer nor a mail or event shows it.

        A note is never changed.

        Errors: INVALID_ARGUMENT INVALID_FIELD, NOT_FOUND ORDER_NOT_FOUND, FAILED_PRECONDITION ORDER_NOTE_LIMIT (the order has
        1,000 notes; `limit` of its ErrorInfo), PERMISSION_DENIED ADMIN_ONLY.

        Args:
            order_id: UUID.
            text: The note, 1 to 2,000 characters.
        """
        return await self._calls.message(
            methods.ORDER_CREATE_ORDER_NOTE,
            request_of(methods.ORDER_CREATE_ORDER_NOTE, request, {"order_id": order_id, "text": text}),
            Options(timeout, metadata, idempotency_key),
        )

    async def get_linked_order(
        self,
        request: order_pb2.GetLinkedOrderRequest | None = None,
        /,
        *,
        order_id: str | None = None,
        token: str | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
    ) -> order_pb2.Order:
        """Return an order for the signed link of a mail about it, without a login.

        The link can be used any number of times, and only for reading. It ends 180 days after the order's last change.

        Over REST the answer has `cache-control: no-store`, `referrer-policy: no-referrer` and `x-robots-tag: noindex`.

        Errors: NOT_FOUND ORDER_NOT_FOUND (any wrong or expired link answers as that of an absent order).

        Args:
            order_id: UUID of the order.
            token: The token of the link.
        """
        return await self._calls.message(
            methods.ORDER_GET_LINKED_ORDER,
            request_of(methods.ORDER_GET_LINKED_ORDER, request, {"order_id": order_id, "token": token}),
            Options(timeout, metadata),
        )

    async def get_order(
        self,
        request: order_pb2.GetOrderRequest | None = None,
        /,
        *,
        order_id: str | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
    ) -> order_pb2.Order:
        """Return an order of the caller; administrators see every order.

        Errors: INVALID_ARGUMENT INVALID_FIELD, NOT_FOUND ORDER_NOT_FOUND (another's order answers as an absent one).

        Args:
            order_id: UUID.
        """
        return await self._calls.message(
            methods.ORDER_GET_ORDER, request_of(methods.ORDER_GET_ORDER, request, {"order_id": order_id}), Options(timeout, metadata)
        )

    def list_all_orders(
        self,
        request: order_pb2.ListAllOrdersRequest | None = None,
        /,
        *,
        page_size: int | None = None,
        page_token: str | None = None,
        status: order_pb2.OrderStatus.ValueType | None = None,
        account_id: str | None = None,
        number: str | None = None,
        contact_email: str | None = None,
        statuses: Iterable[order_pb2.OrderStatus.ValueType] | None = None,
        product_id: str | None = None,
        start_time: timestamp_pb2.Timestamp | None = None,
        end_time: timestamp_pb2.Timestamp | None = None,
        min_total: int | None = None,
        max_total: int | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
    ) -> AsyncPager[order_pb2.ListAllOrdersResponse, order_pb2.Order]:
        """List the orders of every account that fit all filters of the request, newest first.

        Errors: INVALID_ARGUMENT INVALID_FIELD, INVALID_ARGUMENT PAGE_TOKEN_INVALID, PERMISSION_DENIED ADMIN_ONLY.

        Args:
            page_size: Orders a page: 0 means 20, above 100 means 100.
            page_token: `next_page_token` of the page before.
            status: Only orders in this state.
            account_id: Only orders of this account.
            number: Only the order with this number, as a person types it: in any case, with I or L for 1, O for 0, hyphens or
                spaces; at most 40 characters.
            contact_email: Only orders whose mails go to this address, in any of its spellings; at most 254 characters.
            statuses: Only orders in one of these states, at most 6; not together with `status`. ORDER_STATUS_UNSPECIFIED is
                no condition.
            product_id: Only orders with a line of this product; UUID.
            start_time: Only orders that were placed at this time or later.
            end_time: Only orders that were placed before this time, which is after `start_time`.
            min_total: Lowest total, in minor units; not negative.
            max_total: Highest total, in minor units; at least `min_total`.
        """
        return AsyncPager(
            self._calls,
            methods.ORDER_LIST_ALL_ORDERS,
            request_of(
                methods.ORDER_LIST_ALL_ORDERS,
                request,
                {
                    "page_size": page_size,
                    "page_token": page_token,
                    "status": status,
                    "account_id": account_id,
                    "number": number,
                    "contact_email": contact_email,
                    "statuses": statuses,
                    "product_id": product_id,
                    "start_time": start_time,
                    "end_time": end_time,
                    "min_total": min_total,
                    "max_total": max_total,
                },
            ),
            Options(timeout, metadata),
        )

    def list_order_notes(
        self,
        request: order_pb2.ListOrderNotesRequest | None = None,
        /,
        *,
        order_id: str | None = None,
        page_size: int | None = None,
        page_token: str | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
    ) -> AsyncPager[order_pb2.ListOrderNotesResponse, order_pb2.OrderNote]:
        """List the notes of an order, newest first.

        Errors: INVALID_ARGUMENT INVALID_FIELD, INVALID_ARGUMENT PAGE_TOKEN_INVALID, NOT_FOUND ORDER_NOT_FOUND, PERMISSION_DENIED
        ADMIN_ONLY.

        Args:
            order_id: UUID.
            page_size: Notes a page: 0 means 20, above 100 means 100.
            page_token: `next_page_token` of the page before.
        """
        return AsyncPager(
            self._calls,
            methods.ORDER_LIST_ORDER_NOTES,
            request_of(methods.ORDER_LIST_ORDER_NOTES, request, {"order_id": order_id, "page_size": page_size, "page_token": page_token}),
            Options(timeout, metadata),
        )

    def list_orders(
        self,
        request: order_pb2.ListOrdersRequest | None = None,
        /,
        *,
        page_size: int | None = None,
        page_token: str | None = None,
        status: order_pb2.OrderStatus.ValueType | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
    ) -> AsyncPager[order_pb2.ListOrdersResponse, order_pb2.Order]:
        """List the caller's orders, newest first.

        Errors: INVALID_ARGUMENT INVALID_FIELD, INVALID_ARGUMENT PAGE_TOKEN_INVALID.

        Args:
            page_size: Orders a page: 0 means 20, above 100 means 100.
            page_token: `next_page_token` of the page before.
            status: Only orders in this state.
        """
        return AsyncPager(
            self._calls,
            methods.ORDER_LIST_ORDERS,
            request_of(methods.ORDER_LIST_ORDERS, request, {"page_size": page_size, "page_token": page_token, "status": status}),
            Options(timeout, metadata),
        )


class OrderAnswers:
    """OrderService, whose methods return an `Answer`; those of lists return one page."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    async def advance_order(
        self,
        request: order_pb2.AdvanceOrderRequest | None = None,
        /,
        *,
        order_id: str | None = None,
        status: order_pb2.OrderStatus.ValueType | None = None,
        reason: str | None = None,
        etag: str | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
        idempotency_key: str | None = None,
    ) -> Answer[order_pb2.Order]:
        """As `OrderService.advance_order`, with the request id, and whether the answer was replayed."""
        return await self._calls.answer(
            methods.ORDER_ADVANCE_ORDER,
            request_of(methods.ORDER_ADVANCE_ORDER, request, {"order_id": order_id, "status": status, "reason": reason, "etag": etag}),
            Options(timeout, metadata, idempotency_key),
        )

    async def cancel_order(
        self,
        request: order_pb2.CancelOrderRequest | None = None,
        /,
        *,
        order_id: str | None = None,
        reason: str | None = None,
        etag: str | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
        idempotency_key: str | None = None,
    ) -> Answer[order_pb2.Order]:
        """As `OrderService.cancel_order`, with the request id, and whether the answer was replayed."""
        return await self._calls.answer(
            methods.ORDER_CANCEL_ORDER,
            request_of(methods.ORDER_CANCEL_ORDER, request, {"order_id": order_id, "reason": reason, "etag": etag}),
            Options(timeout, metadata, idempotency_key),
        )

    async def checkout(
        self,
        request: order_pb2.CheckoutRequest | None = None,
        /,
        *,
        expected_total: money_pb2.Money | None = None,
        cart_etag: str | None = None,
        validate_only: bool | None = None,
        quote_id: str | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
        idempotency_key: str | None = None,
    ) -> Answer[order_pb2.Order]:
        """As `OrderService.checkout`, with the request id, and whether the answer was replayed."""
        return await self._calls.answer(
            methods.ORDER_CHECKOUT,
            request_of(
                methods.ORDER_CHECKOUT,
                request,
                {"expected_total": expected_total, "cart_etag": cart_etag, "validate_only": validate_only, "quote_id": quote_id},
            ),
            Options(timeout, metadata, idempotency_key),
        )

    async def create_order_note(
        self,
        request: order_pb2.CreateOrderNoteRequest | None = None,
        /,
        *,
        order_id: str | None = None,
        text: str | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
        idempotency_key: str | None = None,
    ) -> Answer[order_pb2.OrderNote]:
        """As `OrderService.create_order_note`, with the request id, and whether the answer was replayed."""
        return await self._calls.answer(
            methods.ORDER_CREATE_ORDER_NOTE,
            request_of(methods.ORDER_CREATE_ORDER_NOTE, request, {"order_id": order_id, "text": text}),
            Options(timeout, metadata, idempotency_key),
        )

    async def get_linked_order(
        self,
        request: order_pb2.GetLinkedOrderRequest | None = None,
        /,
        *,
        order_id: str | None = None,
        token: str | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
    ) -> Answer[order_pb2.Order]:
        """As `OrderService.get_linked_order`, with the request id, and whether the answer was replayed."""
        return await self._calls.answer(
            methods.ORDER_GET_LINKED_ORDER,
            request_of(methods.ORDER_GET_LINKED_ORDER, request, {"order_id": order_id, "token": token}),
            Options(timeout, metadata),
        )

    async def get_order(
        self,
        request: order_pb2.GetOrderRequest | None = None,
        /,
        *,
        order_id: str | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
    ) -> Answer[order_pb2.Order]:
        """As `OrderService.get_order`, with the request id, and whether the answer was replayed."""
        return await self._calls.answer(
            methods.ORDER_GET_ORDER, request_of(methods.ORDER_GET_ORDER, request, {"order_id": order_id}), Options(timeout, metadata)
        )

    async def list_all_orders(
        self,
        request: order_pb2.ListAllOrdersRequest | None = None,
        /,
        *,
        page_size: int | None = None,
        page_token: str | None = None,
        status: order_pb2.OrderStatus.ValueType | None = None,
        account_id: str | None = None,
        number: str | None = None,
        contact_email: str | None = None,
        statuses: Iterable[order_pb2.OrderStatus.ValueType] | None = None,
        product_id: str | None = None,
        start_time: timestamp_pb2.Timestamp | None = None,
        end_time: timestamp_pb2.Timestamp | None = None,
        min_total: int | None = None,
        max_total: int | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
    ) -> Answer[order_pb2.ListAllOrdersResponse]:
        """As `OrderService.list_all_orders`, with the request id, and whether the answer was replayed."""
        return await self._calls.answer(
            methods.ORDER_LIST_ALL_ORDERS,
            request_of(
                methods.ORDER_LIST_ALL_ORDERS,
                request,
                {
                    "page_size": page_size,
                    "page_token": page_token,
                    "status": status,
                    "account_id": account_id,
                    "number": number,
                    "contact_email": contact_email,
                    "statuses": statuses,
                    "product_id": product_id,
                    "start_time": start_time,
                    "end_time": end_time,
                    "min_total": min_total,
                    "max_total": max_total,
                },
            ),
            Options(timeout, metadata),
        )

    async def list_order_notes(
        self,
        request: order_pb2.ListOrderNotesRequest | None = None,
        /,
        *,
        order_id: str | None = None,
        page_size: int | None = None,
        page_token: str | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
    ) -> Answer[order_pb2.ListOrderNotesResponse]:
        """As `OrderService.list_order_notes`, with the request id, and whether the answer was replayed."""
        return await self._calls.answer(
            methods.ORDER_LIST_ORDER_NOTES,
            request_of(methods.ORDER_LIST_ORDER_NOTES, request, {"order_id": order_id, "page_size": page_size, "page_token": page_token}),
            Options(timeout, metadata),
        )

    async def list_orders(
        self,
        request: order_pb2.ListOrdersRequest | None = None,
        /,
        *,
        page_size: int | None = None,
        page_token: str | None = None,
        status: order_pb2.OrderStatus.ValueType | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
    ) -> Answer[order_pb2.ListOrdersResponse]:
        """As `OrderService.list_orders`, with the request id, and whether the answer was replayed."""
        return await self._calls.answer(
            methods.ORDER_LIST_ORDERS,
            request_of(methods.ORDER_LIST_ORDERS, request, {"page_size": page_size, "page_token": page_token, "status": status}),
            Options(timeout, metadata),
        )


class PaymentService:
    """Payments of orders, refunds, and the notices of payment providers.

    An order is placed first and paid then: its status follows from the money.

    Calls that ask a provider promise the same effect with the same `idempotency-key`, not the same bytes: a replay shows the
    payment or refund as it is now. They commit before they ask. If the provider does not answer in time, a worker goes on asking,
    and the answer of the call shows the state so far.

    Every RPC can also answer UNAUTHENTICATED TOKEN_INVALID, DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED OVERLOADED and UNAVAILABLE
    DATABASE_UNAVAILABLE; the last two carry a RetryInfo. ABORTED CONFLICT, with a RetryInfo too, means that concurrent calls held
    locks that the call needed; it changed nothing.
    """

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    async def cancel_payment(
        self,
        request: payment_pb2.CancelPaymentRequest | None = None,
        /,
        *,
        order_id: str | None = None,
        payment_id: str | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
        idempotency_key: str | None = None,
    ) -> payment_pb2.Payment:
        """Cancel a payment by which no money has come.

        It is CANCELLED once the provider has confirmed that none can come.

        Errors: INVALID_ARGUMENT INVALID_FIELD, INVALID_ARGUMENT IDEMPOTENCY_KEY_REUSED, NOT_FOUND ORDER_NOT_FOUND or
        PAYMENT_NOT_FOUND, FAILED_PRECONDITION PAYMENT_STATE (it is captured, processing or ended, the provider has not answered
        yet whether it exists, or it covers an order that is PAID: cancel the order), PERMISSION_DENIED ADMIN_ONLY.

        Args:
            order_id: UUID.
            payment_id: UUID.
        """
        return await self._calls.message(
            methods.PAYMENT_CANCEL_PAYMENT,
            request_of(methods.PAYMENT_CANCEL_PAYMENT, request, {"order_id": order_id, "payment_id": payment_id}),
            Options(timeout, metadata, idempotency_key),
        )

    async def capture_payment(
        self,
        request: payment_pb2.CapturePaymentRequest | None = None,
        /,
        *,
        order_id: str | None = None,
        payment_id: str | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
        idempotency_key: str | None = None,
    ) -> payment_pb2.Payment:
        """Capture an authorised payment, of what is owed for the order now; the rest of the authorisation is released.

        Errors: INVALID_ARGUMENT INVALID_FIELD, INVALID_ARGUMENT IDEMPOTENCY_KEY_REUSED, NOT_FOUND ORDER_NOT_FOUND or
        PAYMENT_NOT_FOUND, FAILED_PRECONDITION PAYMENT_STATE (the payment is not authorised, or nothing is owed),
        FAILED_PRECONDITION PAYMENTS_PAUSED (as CreatePayment), PERMISSION_DENIED ADMIN_ONLY.

        Args:
            order_id: UUID.
            payment_id: UUID.
        """
        return await self._calls.message(
            methods.PAYMENT_CAPTURE_PAYMENT,
            request_of(methods.PAYMENT_CAPTURE_PAYMENT, request, {"order_id": order_id, "payment_id": payment_id}),
            Options(timeout, metadata, idempotency_key),
        )

    async def create_payment(
        self,
        request: payment_pb2.CreatePaymentRequest | None = None,
        /,
        *,
        order_id: str | None = None,
        method: payment_pb2.PaymentMethod.ValueType | None = None,
        etag: str | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
        idempotency_key: str | None = None,
    ) -> payment_pb2.CreatePaymentResponse:
        """Open a payment of what is owed for an order.

        Its buyer, or an administrator.

        The answer has the secret with which the buyer's browser confirms the payment at the provider. It is stored nowhere; a
        repeated call reads it there again. While a payment of the order is pending, the call returns that one. An administrator
        may record money that has come in another way: with `method`, the payment is captured at once, and cash on delivery is
        authorised.

        Errors: INVALID_ARGUMENT INVALID_FIELD, INVALID_ARGUMENT IDEMPOTENCY_KEY_REUSED, NOT_FOUND ORDER_NOT_FOUND,
        PERMISSION_DENIED ADMIN_ONLY (a `method` by a buyer), FAILED_PRECONDITION PAYMENT_STATE (the order is not PLACED, its time
        to pay has passed, another payment holds money, or the shop takes no payments online), FAILED_PRECONDITION PAYMENT_AMOUNT
        (the provider cannot charge this amount), FAILED_PRECONDITION PAYMENTS_PAUSED (the shop was restored from a backup, and an
        operator must compare its payments first), ABORTED ETAG_MISMATCH, UNAVAILABLE PAYMENT_PROVIDER_UNAVAILABLE (with a
        RetryInfo: the same key goes on with the same payment).

        Args:
            order_id: UUID.
            method: How the money has come, or comes. Administrators only; unspecified: at the shop's provider.
            etag: Refuse if the order changed since it had this etag.
        """
        return await self._calls.message(
            methods.PAYMENT_CREATE_PAYMENT,
            request_of(methods.PAYMENT_CREATE_PAYMENT, request, {"order_id": order_id, "method": method, "etag": etag}),
            Options(timeout, metadata, idempotency_key),
        )

    async def create_refund(
        self,
        request: payment_pb2.CreateRefundRequest | None = None,
        /,
        *,
        order_id: str | None = None,
        amount: money_pb2.Money | None = None,
        lines: Iterable[payment_pb2.RefundLine] | None = None,
        reason: str | None = None,
        payment_id: str | None = None,
        etag: str | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
        idempotency_key: str | None = None,
    ) -> payment_pb2.Refund:
        """Give money back: an amount, what units cost, or without both all that is left.

        The order's status follows once the money has gone.

        After k of n units of a line that cost T, ⌊T·k/n⌋ was given back, in whatever order. Units stay shipped: a return is a
        call of its own.

        Errors: INVALID_ARGUMENT INVALID_FIELD, INVALID_ARGUMENT IDEMPOTENCY_KEY_REUSED, NOT_FOUND ORDER_NOT_FOUND or
        PAYMENT_NOT_FOUND, FAILED_PRECONDITION PAYMENT_STATE (no money was captured, a dispute is open, or nothing is left for
        these units), FAILED_PRECONDITION REFUND_EXCEEDS (`left` of its ErrorInfo, in minor units), FAILED_PRECONDITION
        UNITS_EXCEED, FAILED_PRECONDITION PAYMENTS_PAUSED (as CreatePayment), ABORTED ETAG_MISMATCH, PERMISSION_DENIED ADMIN_ONLY.

        Args:
            order_id: UUID.
            amount: The amount, above 0; not together with `lines`.
            lines: Units to refund, at most 200 products; each once.
            reason: Why, at most 500 characters.
            payment_id: UUID of the payment; empty: the one of the order with the most money left.
            etag: Refuse if the order changed since it had this etag.
        """
        return await self._calls.message(
            methods.PAYMENT_CREATE_REFUND,
            request_of(
                methods.PAYMENT_CREATE_REFUND,
                request,
                {"order_id": order_id, "amount": amount, "lines": lines, "reason": reason, "payment_id": payment_id, "etag": etag},
            ),
            Options(timeout, metadata, idempotency_key),
        )

    async def get_payment(
        self,
        request: payment_pb2.GetPaymentRequest | None = None,
        /,
        *,
        order_id: str | None = None,
        payment_id: str | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
    ) -> payment_pb2.Payment:
        """Return a payment of an order.

        Its buyer, or an administrator.

        Errors: INVALID_ARGUMENT INVALID_FIELD, NOT_FOUND ORDER_NOT_FOUND or PAYMENT_NOT_FOUND.

        Args:
            order_id: UUID.
            payment_id: UUID.
        """
        return await self._calls.message(
            methods.PAYMENT_GET_PAYMENT,
            request_of(methods.PAYMENT_GET_PAYMENT, request, {"order_id": order_id, "payment_id": payment_id}),
            Options(timeout, metadata),
        )

    async def handle_payment_event(
        self,
        request: payment_pb2.HandlePaymentEventRequest | None = None,
        /,
        *,
        provider: str | None = None,
        event: httpbody_pb2.HttpBody | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
    ) -> payment_pb2.HandlePaymentEventResponse:
        """Take a notice of a payment provider.

        The body is that of the provider, and the header `stripe-signature` (over gRPC: metadata) signs its bytes.

        The answer comes once the notice is stored. A notice that was stored before, or that is not about a payment of the shop,
        is answered alike.

        Errors: INVALID_ARGUMENT WEBHOOK_INVALID (the signature is wrong or older than five minutes, or the body is no notice),
        RESOURCE_EXHAUSTED REQUEST_TOO_LARGE.

        Args:
            provider: The provider, such as `stripe`.
            event: The notice, as the provider has sent it.
        """
        return await self._calls.message(
            methods.PAYMENT_HANDLE_PAYMENT_EVENT,
            request_of(methods.PAYMENT_HANDLE_PAYMENT_EVENT, request, {"provider": provider, "event": event}),
            Options(timeout, metadata),
        )

    def list_all_payments(
        self,
        request: payment_pb2.ListAllPaymentsRequest | None = None,
        /,
        *,
        page_size: int | None = None,
        page_token: str | None = None,
        state: payment_pb2.PaymentState.ValueType | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
    ) -> AsyncPager[payment_pb2.ListAllPaymentsResponse, payment_pb2.Payment]:
        """List the payments of all orders, newest first.

        Errors: INVALID_ARGUMENT INVALID_FIELD, INVALID_ARGUMENT PAGE_TOKEN_INVALID, PERMISSION_DENIED ADMIN_ONLY.

        Args:
            page_size: Payments a page: 0 means 20, above 100 means 100.
            page_token: `next_page_token` of the page before.
            state: Only payments in this state.
        """
        return AsyncPager(
            self._calls,
            methods.PAYMENT_LIST_ALL_PAYMENTS,
            request_of(methods.PAYMENT_LIST_ALL_PAYMENTS, request, {"page_size": page_size, "page_token": page_token, "state": state}),
            Options(timeout, metadata),
        )

    def list_all_refunds(
        self,
        request: payment_pb2.ListAllRefundsRequest | None = None,
        /,
        *,
        page_size: int | None = None,
        page_token: str | None = None,
        state: payment_pb2.RefundState.ValueType | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
    ) -> AsyncPager[payment_pb2.ListAllRefundsResponse, payment_pb2.Refund]:
        """List the refunds of all orders, newest first.

        Those that have failed need a person: the money is the shop's again.

        Errors: INVALID_ARGUMENT INVALID_FIELD, INVALID_ARGUMENT PAGE_TOKEN_INVALID, PERMISSION_DENIED ADMIN_ONLY.

        Args:
            page_size: Refunds a page: 0 means 20, above 100 means 100.
            page_token: `next_page_token` of the page before.
            state: Only refunds in this state.
        """
        return AsyncPager(
            self._calls,
            methods.PAYMENT_LIST_ALL_REFUNDS,
            request_of(methods.PAYMENT_LIST_ALL_REFUNDS, request, {"page_size": page_size, "page_token": page_token, "state": state}),
            Options(timeout, metadata),
        )

    def list_disputes(
        self,
        request: payment_pb2.ListDisputesRequest | None = None,
        /,
        *,
        page_size: int | None = None,
        page_token: str | None = None,
        state: payment_pb2.DisputeState.ValueType | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
    ) -> AsyncPager[payment_pb2.ListDisputesResponse, payment_pb2.Dispute]:
        """List the disputes of all orders, newest first.

        The provider decides them; the shop answers there.

        Errors: INVALID_ARGUMENT INVALID_FIELD, INVALID_ARGUMENT PAGE_TOKEN_INVALID, PERMISSION_DENIED ADMIN_ONLY.

        Args:
            page_size: Disputes a page: 0 means 20, above 100 means 100.
            page_token: `next_page_token` of the page before.
            state: Only disputes in this state.
        """
        return AsyncPager(
            self._calls,
            methods.PAYMENT_LIST_DISPUTES,
            request_of(methods.PAYMENT_LIST_DISPUTES, request, {"page_size": page_size, "page_token": page_token, "state": state}),
            Options(timeout, metadata),
        )

    def list_payment_events(
        self,
        request: payment_pb2.ListPaymentEventsRequest | None = None,
        /,
        *,
        page_size: int | None = None,
        page_token: str | None = None,
        show_resolved: bool | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
    ) -> AsyncPager[payment_pb2.ListPaymentEventsResponse, payment_pb2.PaymentEvent]:
        """List the notices of providers that do not fit the shop's payments, newest first.

        They moved no money in the shop.

        Errors: INVALID_ARGUMENT INVALID_FIELD, INVALID_ARGUMENT PAGE_TOKEN_INVALID, PERMISSION_DENIED ADMIN_ONLY.

        Args:
            page_size: Events a page: 0 means 20, above 100 means 100.
            page_token: `next_page_token` of the page before.
            show_resolved: True: also those that administrators have dismissed.
        """
        return AsyncPager(
            self._calls,
            methods.PAYMENT_LIST_PAYMENT_EVENTS,
            request_of(
                methods.PAYMENT_LIST_PAYMENT_EVENTS,
                request,
                {"page_size": page_size, "page_token": page_token, "show_resolved": show_resolved},
            ),
            Options(timeout, metadata),
        )

    def list_payment_requests(
        self,
        request: payment_pb2.ListPaymentRequestsRequest | None = None,
        /,
        *,
        page_size: int | None = None,
        page_token: str | None = None,
        show_settled: bool | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
    ) -> AsyncPager[payment_pb2.ListPaymentRequestsResponse, payment_pb2.PaymentRequest]:
        """List the requests to providers whose outcome is not known, newest first.

        A worker repeats them.

        Errors: INVALID_ARGUMENT INVALID_FIELD, INVALID_ARGUMENT PAGE_TOKEN_INVALID, PERMISSION_DENIED ADMIN_ONLY.

        Args:
            page_size: Requests a page: 0 means 20, above 100 means 100.
            page_token: `next_page_token` of the page before.
            show_settled: True: also those whose outcome is known.
        """
        return AsyncPager(
            self._calls,
            methods.PAYMENT_LIST_PAYMENT_REQUESTS,
            request_of(
                methods.PAYMENT_LIST_PAYMENT_REQUESTS,
                request,
                {"page_size": page_size, "page_token": page_token, "show_settled": show_settled},
            ),
            Options(timeout, metadata),
        )

    def list_payments(
        self,
        request: payment_pb2.ListPaymentsRequest | None = None,
        /,
        *,
        order_id: str | None = None,
        page_size: int | None = None,
        page_token: str | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
    ) -> AsyncPager[payment_pb2.ListPaymentsResponse, payment_pb2.Payment]:
        """List the payments of an order, newest first.

        Its buyer, or an administrator.

        Errors: INVALID_ARGUMENT INVALID_FIELD, INVALID_ARGUMENT PAGE_TOKEN_INVALID, NOT_FOUND ORDER_NOT_FOUND.

        Args:
            order_id: UUID.
            page_size: Payments a page: 0 means 20, above 100 means 100.
            page_token: `next_page_token` of the page before.
        """
        return AsyncPager(
            self._calls,
            methods.PAYMENT_LIST_PAYMENTS,
            request_of(methods.PAYMENT_LIST_PAYMENTS, request, {"order_id": order_id, "page_size": page_size, "page_token": page_token}),
            Options(timeout, metadata),
        )

    def list_refunds(
        self,
        request: payment_pb2.ListRefundsRequest | None = None,
        /,
        *,
        order_id: str | None = None,
        page_size: int | None = None,
        page_token: str | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
    ) -> AsyncPager[payment_pb2.ListRefundsResponse, payment_pb2.Refund]:
        """List the refunds of an order, newest first.

        Its buyer, or an administrator.

        Errors: INVALID_ARGUMENT INVALID_FIELD, INVALID_ARGUMENT PAGE_TOKEN_INVALID, NOT_FOUND ORDER_NOT_FOUND.

        Args:
            order_id: UUID.
            page_size: Refunds a page: 0 means 20, above 100 means 100.
            page_token: `next_page_token` of the page before.
        """
        return AsyncPager(
            self._calls,
            methods.PAYMENT_LIST_REFUNDS,
            request_of(methods.PAYMENT_LIST_REFUNDS, request, {"order_id": order_id, "page_size": page_size, "page_token": page_token}),
            Options(timeout, metadata),
        )

    async def resolve_payment_event(
        self,
        request: payment_pb2.ResolvePaymentEventRequest | None = None,
        /,
        *,
        payment_event_id: str | None = None,
        retry: bool | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
        idempotency_key: str | None = None,
    ) -> payment_pb2.PaymentEvent:
        """Resolve a quarantined notice: read its payment again, or dismiss it after a person has settled the matter at the provider.

        Errors: INVALID_ARGUMENT INVALID_FIELD, INVALID_ARGUMENT IDEMPOTENCY_KEY_REUSED, NOT_FOUND PAYMENT_EVENT_NOT_FOUND (or it
        is resolved), PERMISSION_DENIED ADMIN_ONLY.

        Args:
            payment_event_id: UUID.
            retry: True: read the payment again. False: dismiss the notice.
        """
        return await self._calls.message(
            methods.PAYMENT_RESOLVE_PAYMENT_EVENT,
            request_of(methods.PAYMENT_RESOLVE_PAYMENT_EVENT, request, {"payment_event_id": payment_event_id, "retry": retry}),
            Options(timeout, metadata, idempotency_key),
        )


class PaymentAnswers:
    """PaymentService, whose methods return an `Answer`; those of lists return one page."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    async def cancel_payment(
        self,
        request: payment_pb2.CancelPaymentRequest | None = None,
        /,
        *,
        order_id: str | None = None,
        payment_id: str | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
        idempotency_key: str | None = None,
    ) -> Answer[payment_pb2.Payment]:
        """As `PaymentService.cancel_payment`, with the request id, and whether the answer was replayed."""
        return await self._calls.answer(
            methods.PAYMENT_CANCEL_PAYMENT,
            request_of(methods.PAYMENT_CANCEL_PAYMENT, request, {"order_id": order_id, "payment_id": payment_id}),
            Options(timeout, metadata, idempotency_key),
        )

    async def capture_payment(
        self,
        request: payment_pb2.CapturePaymentRequest | None = None,
        /,
        *,
        order_id: str | None = None,
        payment_id: str | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
        idempotency_key: str | None = None,
    ) -> Answer[payment_pb2.Payment]:
        """As `PaymentService.capture_payment`, with the request id, and whether the answer was replayed."""
        return await self._calls.answer(
            methods.PAYMENT_CAPTURE_PAYMENT,
            request_of(methods.PAYMENT_CAPTURE_PAYMENT, request, {"order_id": order_id, "payment_id": payment_id}),
            Options(timeout, metadata, idempotency_key),
        )

    async def create_payment(
        self,
        request: payment_pb2.CreatePaymentRequest | None = None,
        /,
        *,
        order_id: str | None = None,
        method: payment_pb2.PaymentMethod.ValueType | None = None,
        etag: str | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
        idempotency_key: str | None = None,
    ) -> Answer[payment_pb2.CreatePaymentResponse]:
        """As `PaymentService.create_payment`, with the request id, and whether the answer was replayed."""
        return await self._calls.answer(
            methods.PAYMENT_CREATE_PAYMENT,
            request_of(methods.PAYMENT_CREATE_PAYMENT, request, {"order_id": order_id, "method": method, "etag": etag}),
            Options(timeout, metadata, idempotency_key),
        )

    async def create_refund(
        self,
        request: payment_pb2.CreateRefundRequest | None = None,
        /,
        *,
        order_id: str | None = None,
        amount: money_pb2.Money | None = None,
        lines: Iterable[payment_pb2.RefundLine] | None = None,
        reason: str | None = None,
        payment_id: str | None = None,
        etag: str | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
        idempotency_key: str | None = None,
    ) -> Answer[payment_pb2.Refund]:
        """As `PaymentService.create_refund`, with the request id, and whether the answer was replayed."""
        return await self._calls.answer(
            methods.PAYMENT_CREATE_REFUND,
            request_of(
                methods.PAYMENT_CREATE_REFUND,
                request,
                {"order_id": order_id, "amount": amount, "lines": lines, "reason": reason, "payment_id": payment_id, "etag": etag},
            ),
            Options(timeout, metadata, idempotency_key),
        )

    async def get_payment(
        self,
        request: payment_pb2.GetPaymentRequest | None = None,
        /,
        *,
        order_id: str | None = None,
        payment_id: str | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
    ) -> Answer[payment_pb2.Payment]:
        """As `PaymentService.get_payment`, with the request id, and whether the answer was replayed."""
        return await self._calls.answer(
            methods.PAYMENT_GET_PAYMENT,
            request_of(methods.PAYMENT_GET_PAYMENT, request, {"order_id": order_id, "payment_id": payment_id}),
            Options(timeout, metadata),
        )

    async def handle_payment_event(
        self,
        request: payment_pb2.HandlePaymentEventRequest | None = None,
        /,
        *,
        provider: str | None = None,
        event: httpbody_pb2.HttpBody | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
    ) -> Answer[payment_pb2.HandlePaymentEventResponse]:
        """As `PaymentService.handle_payment_event`, with the request id, and whether the answer was replayed."""
        return await self._calls.answer(
            methods.PAYMENT_HANDLE_PAYMENT_EVENT,
            request_of(methods.PAYMENT_HANDLE_PAYMENT_EVENT, request, {"provider": provider, "event": event}),
            Options(timeout, metadata),
        )

    async def list_all_payments(
        self,
        request: payment_pb2.ListAllPaymentsRequest | None = None,
        /,
        *,
        page_size: int | None = None,
        page_token: str | None = None,
        state: payment_pb2.PaymentState.ValueType | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
    ) -> Answer[payment_pb2.ListAllPaymentsResponse]:
        """As `PaymentService.list_all_payments`, with the request id, and whether the answer was replayed."""
        return await self._calls.answer(
            methods.PAYMENT_LIST_ALL_PAYMENTS,
            request_of(methods.PAYMENT_LIST_ALL_PAYMENTS, request, {"page_size": page_size, "page_token": page_token, "state": state}),
            Options(timeout, metadata),
        )

    async def list_all_refunds(
        self,
        request: payment_pb2.ListAllRefundsRequest | None = None,
        /,
        *,
        page_size: int | None = None,
        page_token: str | None = None,
        state: payment_pb2.RefundState.ValueType | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
    ) -> Answer[payment_pb2.ListAllRefundsResponse]:
        """As `PaymentService.list_all_refunds`, with the request id, and whether the answer was replayed."""
        return await self._calls.answer(
            methods.PAYMENT_LIST_ALL_REFUNDS,
            request_of(methods.PAYMENT_LIST_ALL_REFUNDS, request, {"page_size": page_size, "page_token": page_token, "state": state}),
            Options(timeout, metadata),
        )

    async def list_disputes(
        self,
        request: payment_pb2.ListDisputesRequest | None = None,
        /,
        *,
        page_size: int | None = None,
        page_token: str | None = None,
        state: payment_pb2.DisputeState.ValueType | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
    ) -> Answer[payment_pb2.ListDisputesResponse]:
        """As `PaymentService.list_disputes`, with the request id, and whether the answer was replayed."""
        return await self._calls.answer(
            methods.PAYMENT_LIST_DISPUTES,
            request_of(methods.PAYMENT_LIST_DISPUTES, request, {"page_size": page_size, "page_token": page_token, "state": state}),
            Options(timeout, metadata),
        )

    async def list_payment_events(
        self,
        request: payment_pb2.ListPaymentEventsRequest | None = None,
        /,
        *,
        page_size: int | None = None,
        page_token: str | None = None,
        show_resolved: bool | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
    ) -> Answer[payment_pb2.ListPaymentEventsResponse]:
        """As `PaymentService.list_payment_events`, with the request id, and whether the answer was replayed."""
        return await self._calls.answer(
            methods.PAYMENT_LIST_PAYMENT_EVENTS,
            request_of(
                methods.PAYMENT_LIST_PAYMENT_EVENTS,
                request,
                {"page_size": page_size, "page_token": page_token, "show_resolved": show_resolved},
            ),
            Options(timeout, metadata),
        )

    async def list_payment_requests(
        self,
        request: payment_pb2.ListPaymentRequestsRequest | None = None,
        /,
        *,
        page_size: int | None = None,
        page_token: str | None = None,
        show_settled: bool | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
    ) -> Answer[payment_pb2.ListPaymentRequestsResponse]:
        """As `PaymentService.list_payment_requests`, with the request id, and whether the answer was replayed."""
        return await self._calls.answer(
            methods.PAYMENT_LIST_PAYMENT_REQUESTS,
            request_of(
                methods.PAYMENT_LIST_PAYMENT_REQUESTS,
                request,
                {"page_size": page_size, "page_token": page_token, "show_settled": show_settled},
            ),
            Options(timeout, metadata),
        )

    async def list_payments(
        self,
        request: payment_pb2.ListPaymentsRequest | None = None,
        /,
        *,
        order_id: str | None = None,
        page_size: int | None = None,
        page_token: str | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
    ) -> Answer[payment_pb2.ListPaymentsResponse]:
        """As `PaymentService.list_payments`, with the request id, and whether the answer was replayed."""
        return await self._calls.answer(
            methods.PAYMENT_LIST_PAYMENTS,
            request_of(methods.PAYMENT_LIST_PAYMENTS, request, {"order_id": order_id, "page_size": page_size, "page_token": page_token}),
            Options(timeout, metadata),
        )

    async def list_refunds(
        self,
        request: payment_pb2.ListRefundsRequest | None = None,
        /,
        *,
        order_id: str | None = None,
        page_size: int | None = None,
        page_token: str | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
    ) -> Answer[payment_pb2.ListRefundsResponse]:
        """As `PaymentService.list_refunds`, with the request id, and whether the answer was replayed."""
        return await self._calls.answer(
            methods.PAYMENT_LIST_REFUNDS,
            request_of(methods.PAYMENT_LIST_REFUNDS, request, {"order_id": order_id, "page_size": page_size, "page_token": page_token}),
            Options(timeout, metadata),
        )

    async def resolve_payment_event(
        self,
        request: payment_pb2.ResolvePaymentEventRequest | None = None,
        /,
        *,
        payment_event_id: str | None = None,
        retry: bool | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
        idempotency_key: str | None = None,
    ) -> Answer[payment_pb2.PaymentEvent]:
        """As `PaymentService.resolve_payment_event`, with the request id, and whether the answer was replayed."""
        return await self._calls.answer(
            methods.PAYMENT_RESOLVE_PAYMENT_EVENT,
            request_of(methods.PAYMENT_RESOLVE_PAYMENT_EVENT, request, {"payment_event_id": payment_event_id, "retry": retry}),
            Options(timeout, metadata, idempotency_key),
        )


class PromotionService:
    """Promotions, and the codes that some of them need.

    Every RPC can also answer DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED OVERLOADED and UNAVAILABLE DATABASE_UNAVAILABLE; the last two
    carry a RetryInfo. ABORTED CONFLICT, with a RetryInfo too, means that concurrent calls held locks that the call needed; it
    changed nothing.
    """

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    async def archive_promotion(
        self,
        request: promotion_pb2.ArchivePromotionRequest | None = None,
        /,
        *,
        promotion_id: str | None = None,
        etag: str | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
        idempotency_key: str | None = None,
    ) -> promotion_pb2.Promotion:
        """Archive a promotion: it gives nothing any more, and its codes are no longer valid.

        That cannot be undone. A promotion that is archived already is returned as it is.

        Errors: INVALID_ARGUMENT INVALID_FIELD, NOT_FOUND PROMOTION_NOT_FOUND, ABORTED ETAG_MISMATCH, UNAUTHENTICATED
        TOKEN_INVALID, PERMISSION_DENIED ADMIN_ONLY.

        Args:
            promotion_id: UUID.
            etag: Archive only if the promotion still has this etag.
        """
        return await self._calls.message(
            methods.PROMOTION_ARCHIVE_PROMOTION,
            request_of(methods.PROMOTION_ARCHIVE_PROMOTION, request, {"promotion_id": promotion_id, "etag": etag}),
            Options(timeout, metadata, idempotency_key),
        )

    async def archive_promotion_code(
        self,
        request: promotion_pb2.ArchivePromotionCodeRequest | None = None,
        /,
        *,
        promotion_id: str | None = None,
        code: str | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
        idempotency_key: str | None = None,
    ) -> promotion_pb2.PromotionCode:
        """Archive a code: it is no longer valid, and stays taken.

        That cannot be undone. A code that is archived already is returned as it is.

        Errors: INVALID_ARGUMENT INVALID_FIELD, NOT_FOUND PROMOTION_CODE_NOT_FOUND, UNAUTHENTICATED TOKEN_INVALID,
        PERMISSION_DENIED ADMIN_ONLY.

        Args:
            promotion_id: UUID of the promotion.
            code: The code, in any spelling that folds to the same form.
        """
        return await self._calls.message(
            methods.PROMOTION_ARCHIVE_PROMOTION_CODE,
            request_of(methods.PROMOTION_ARCHIVE_PROMOTION_CODE, request, {"promotion_id": promotion_id, "code": code}),
            Options(timeout, metadata, idempotency_key),
        )

    async def create_promotion(
        self,
        request: promotion_pb2.CreatePromotionRequest | None = None,
        /,
        *,
        promotion: promotion_pb2.Promotion | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
        idempotency_key: str | None = None,
    ) -> promotion_pb2.Promotion:
        """Create a promotion.

        Errors: INVALID_ARGUMENT INVALID_FIELD (also for a field that the kind does not use), NOT_FOUND PRODUCT_NOT_FOUND,
        CATEGORY_NOT_FOUND or SHIPPING_METHOD_NOT_FOUND (each violation names the place of an id in its list), FAILED_PRECONDITION
        PROMOTION_LIMIT (the shop has 1,000 promotions that are not archived, or 100 of them need no code), UNAUTHENTICATED
        TOKEN_INVALID, PERMISSION_DENIED ADMIN_ONLY.

        Args:
            promotion: The promotion; the server gives it id, etag, counters and times, and ignores those of the request.
        """
        return await self._calls.message(
            methods.PROMOTION_CREATE_PROMOTION,
            request_of(methods.PROMOTION_CREATE_PROMOTION, request, {"promotion": promotion}),
            Options(timeout, metadata, idempotency_key),
        )

    async def create_promotion_code(
        self,
        request: promotion_pb2.CreatePromotionCodeRequest | None = None,
        /,
        *,
        promotion_id: str | None = None,
        code: str | None = None,
        usage_limit: int | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
        idempotency_key: str | None = None,
    ) -> promotion_pb2.PromotionCode:
        """Create a code that the caller chooses.

        Two codes are one if their folded forms are equal: trimmed, in NFKC, and without case.

        Errors: INVALID_ARGUMENT INVALID_FIELD, NOT_FOUND PROMOTION_NOT_FOUND, ALREADY_EXISTS PROMOTION_CODE_TAKEN (by any
        promotion, also an archived one), FAILED_PRECONDITION PROMOTION_STATE (the promotion is archived, or needs no code),
        FAILED_PRECONDITION PROMOTION_LIMIT (the promotion has 100,000 codes, or the shop 1,000,000), UNAUTHENTICATED
        TOKEN_INVALID, PERMISSION_DENIED ADMIN_ONLY.

        Args:
            promotion_id: UUID of the promotion.
            code: 1 to 64 characters. Its folded form has letters of any script, digits, `-` and `_`, at most 64 of them, and
                the first is no sign.
            usage_limit: Most uses by all orders, 1 to 1,000,000,000; absent for any number.
        """
        return await self._calls.message(
            methods.PROMOTION_CREATE_PROMOTION_CODE,
            request_of(
                methods.PROMOTION_CREATE_PROMOTION_CODE, request, {"promotion_id": promotion_id, "code": code, "usage_limit": usage_limit}
            ),
            Options(timeout, metadata, idempotency_key),
        )

    async def generate_promotion_codes(
        self,
        request: promotion_pb2.GeneratePromotionCodesRequest | None = None,
        /,
        *,
        promotion_id: str | None = None,
        count: int | None = None,
        prefix: str | None = None,
        length: int | None = None,
        usage_limit: int | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
        idempotency_key: str | None = None,
    ) -> promotion_pb2.GeneratePromotionCodesResponse:
        """Create many random codes at once, all of them or none.

        ListPromotionCodes lists them by their batch.

        Errors: INVALID_ARGUMENT INVALID_FIELD, NOT_FOUND PROMOTION_NOT_FOUND, FAILED_PRECONDITION PROMOTION_STATE or
        PROMOTION_LIMIT as for CreatePromotionCode, UNAUTHENTICATED TOKEN_INVALID, PERMISSION_DENIED ADMIN_ONLY.

        Args:
            promotion_id: UUID of the promotion.
            count: Codes to create, 1 to 10,000.
            prefix: The beginning of each code, at most 12 characters of those that a code may have.
            length: Random characters of each code, 8 to 24; absent means 12. They are capitals and digits that do not look
                alike.
            usage_limit: Most uses of each code, 1 to 1,000,000,000; absent means 1.
        """
        return await self._calls.message(
            methods.PROMOTION_GENERATE_PROMOTION_CODES,
            request_of(
                methods.PROMOTION_GENERATE_PROMOTION_CODES,
                request,
                {"promotion_id": promotion_id, "count": count, "prefix": prefix, "length": length, "usage_limit": usage_limit},
            ),
            Options(timeout, metadata, idempotency_key),
        )

    async def get_promotion(
        self,
        request: promotion_pb2.GetPromotionRequest | None = None,
        /,
        *,
        promotion_id: str | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
    ) -> promotion_pb2.Promotion:
        """Return one promotion, also if it is archived.

        Errors: INVALID_ARGUMENT INVALID_FIELD, NOT_FOUND PROMOTION_NOT_FOUND, UNAUTHENTICATED TOKEN_INVALID, PERMISSION_DENIED
        ADMIN_ONLY.

        Args:
            promotion_id: UUID.
        """
        return await self._calls.message(
            methods.PROMOTION_GET_PROMOTION,
            request_of(methods.PROMOTION_GET_PROMOTION, request, {"promotion_id": promotion_id}),
            Options(timeout, metadata),
        )

    def list_promotion_codes(
        self,
        request: promotion_pb2.ListPromotionCodesRequest | None = None,
        /,
        *,
        promotion_id: str | None = None,
        page_size: int | None = None,
        page_token: str | None = None,
        batch_id: str | None = None,
        show_archived: bool | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
    ) -> AsyncPager[promotion_pb2.ListPromotionCodesResponse, promotion_pb2.PromotionCode]:
        """List the codes of a promotion in the order of their folded forms, a page at a time.

        Errors: INVALID_ARGUMENT INVALID_FIELD or PAGE_TOKEN_INVALID, NOT_FOUND PROMOTION_NOT_FOUND, UNAUTHENTICATED
        TOKEN_INVALID, PERMISSION_DENIED ADMIN_ONLY.

        Args:
            promotion_id: UUID of the promotion.
            page_size: Codes a page: 0 means 20, above 100 means 100.
            page_token: `next_page_token` of the page before; every other argument must be the same, page_size aside.
            batch_id: Only the codes of this batch (UUID); empty means any.
            show_archived: True: also archived codes.
        """
        return AsyncPager(
            self._calls,
            methods.PROMOTION_LIST_PROMOTION_CODES,
            request_of(
                methods.PROMOTION_LIST_PROMOTION_CODES,
                request,
                {
                    "promotion_id": promotion_id,
                    "page_size": page_size,
                    "page_token": page_token,
                    "batch_id": batch_id,
                    "show_archived": show_archived,
                },
            ),
            Options(timeout, metadata),
        )

    def list_promotions(
        self,
        request: promotion_pb2.ListPromotionsRequest | None = None,
        /,
        *,
        page_size: int | None = None,
        page_token: str | None = None,
        show_archived: bool | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
    ) -> AsyncPager[promotion_pb2.ListPromotionsResponse, promotion_pb2.Promotion]:
        """List promotions, newest first, a page at a time.

        Errors: INVALID_ARGUMENT INVALID_FIELD or PAGE_TOKEN_INVALID, UNAUTHENTICATED TOKEN_INVALID, PERMISSION_DENIED ADMIN_ONLY.

        Args:
            page_size: Promotions a page: 0 means 20, above 100 means 100.
            page_token: `next_page_token` of the page before.
            show_archived: True: also archived promotions.
        """
        return AsyncPager(
            self._calls,
            methods.PROMOTION_LIST_PROMOTIONS,
            request_of(
                methods.PROMOTION_LIST_PROMOTIONS,
                request,
                {"page_size": page_size, "page_token": page_token, "show_archived": show_archived},
            ),
            Options(timeout, metadata),
        )

    async def update_promotion(
        self,
        request: promotion_pb2.UpdatePromotionRequest | None = None,
        /,
        *,
        promotion: promotion_pb2.Promotion | None = None,
        update_mask: field_mask_pb2.FieldMask | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
        idempotency_key: str | None = None,
        etag: str | None = None,
    ) -> promotion_pb2.Promotion:
        """Change a promotion (AIP-134).

        With `update_mask` exactly its fields, without one the populated fields. The kind cannot be changed. Orders that were
        placed keep what they were given.

        Errors: as CreatePromotion; PROMOTION_LIMIT only if it no longer needs a code. INVALID_ARGUMENT INVALID_FIELD also for a
        `usage_limit` below `used`. NOT_FOUND PROMOTION_NOT_FOUND, FAILED_PRECONDITION PROMOTION_STATE (it is archived, or of a
        kind of a later release, or it has been used too often to begin to count its buyers), ABORTED ETAG_MISMATCH (the promotion
        changed since `promotion.etag` was read).

        Args:
            promotion: The promotion: its id, its new values, and an etag to refuse an update of something newer.
            update_mask: Fields to change, or `*` for all of them: name, percent_ppm, amount, buy_quantity, get_quantity,
                product_ids, category_ids, get_product_ids, get_category_ids, shipping_method_ids, delivery_max, min_subtotal,
                needs_code, start_time, end_time, usage_limit, per_buyer_limit, priority, combinable. A field that is named and
                absent gets its default.
        """
        return await self._calls.message(
            methods.PROMOTION_UPDATE_PROMOTION,
            request_of(methods.PROMOTION_UPDATE_PROMOTION, request, {"promotion": promotion, "update_mask": update_mask}),
            Options(timeout, metadata, idempotency_key, etag=etag),
        )


class PromotionAnswers:
    """PromotionService, whose methods return an `Answer`; those of lists return one page."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    async def archive_promotion(
        self,
        request: promotion_pb2.ArchivePromotionRequest | None = None,
        /,
        *,
        promotion_id: str | None = None,
        etag: str | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
        idempotency_key: str | None = None,
    ) -> Answer[promotion_pb2.Promotion]:
        """As `PromotionService.archive_promotion`, with the request id, and whether the answer was replayed."""
        return await self._calls.answer(
            methods.PROMOTION_ARCHIVE_PROMOTION,
            request_of(methods.PROMOTION_ARCHIVE_PROMOTION, request, {"promotion_id": promotion_id, "etag": etag}),
            Options(timeout, metadata, idempotency_key),
        )

    async def archive_promotion_code(
        self,
        request: promotion_pb2.ArchivePromotionCodeRequest | None = None,
        /,
        *,
        promotion_id: str | None = None,
        code: str | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
        idempotency_key: str | None = None,
    ) -> Answer[promotion_pb2.PromotionCode]:
        """As `PromotionService.archive_promotion_code`, with the request id, and whether the answer was replayed."""
        return await self._calls.answer(
            methods.PROMOTION_ARCHIVE_PROMOTION_CODE,
            request_of(methods.PROMOTION_ARCHIVE_PROMOTION_CODE, request, {"promotion_id": promotion_id, "code": code}),
            Options(timeout, metadata, idempotency_key),
        )

    async def create_promotion(
        self,
        request: promotion_pb2.CreatePromotionRequest | None = None,
        /,
        *,
        promotion: promotion_pb2.Promotion | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
        idempotency_key: str | None = None,
    ) -> Answer[promotion_pb2.Promotion]:
        """As `PromotionService.create_promotion`, with the request id, and whether the answer was replayed."""
        return await self._calls.answer(
            methods.PROMOTION_CREATE_PROMOTION,
            request_of(methods.PROMOTION_CREATE_PROMOTION, request, {"promotion": promotion}),
            Options(timeout, metadata, idempotency_key),
        )

    async def create_promotion_code(
        self,
        request: promotion_pb2.CreatePromotionCodeRequest | None = None,
        /,
        *,
        promotion_id: str | None = None,
        code: str | None = None,
        usage_limit: int | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
        idempotency_key: str | None = None,
    ) -> Answer[promotion_pb2.PromotionCode]:
        """As `PromotionService.create_promotion_code`, with the request id, and whether the answer was replayed."""
        return await self._calls.answer(
            methods.PROMOTION_CREATE_PROMOTION_CODE,
            request_of(
                methods.PROMOTION_CREATE_PROMOTION_CODE, request, {"promotion_id": promotion_id, "code": code, "usage_limit": usage_limit}
            ),
            Options(timeout, metadata, idempotency_key),
        )

    async def generate_promotion_codes(
        self,
        request: promotion_pb2.GeneratePromotionCodesRequest | None = None,
        /,
        *,
        promotion_id: str | None = None,
        count: int | None = None,
        prefix: str | None = None,
        length: int | None = None,
        usage_limit: int | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
        idempotency_key: str | None = None,
    ) -> Answer[promotion_pb2.GeneratePromotionCodesResponse]:
        """As `PromotionService.generate_promotion_codes`, with the request id, and whether the answer was replayed."""
        return await self._calls.answer(
            methods.PROMOTION_GENERATE_PROMOTION_CODES,
            request_of(
                methods.PROMOTION_GENERATE_PROMOTION_CODES,
                request,
                {"promotion_id": promotion_id, "count": count, "prefix": prefix, "length": length, "usage_limit": usage_limit},
            ),
            Options(timeout, metadata, idempotency_key),
        )

    async def get_promotion(
        self,
        request: promotion_pb2.GetPromotionRequest | None = None,
        /,
        *,
        promotion_id: str | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
    ) -> Answer[promotion_pb2.Promotion]:
        """As `PromotionService.get_promotion`, with the request id, and whether the answer was replayed."""
        return await self._calls.answer(
            methods.PROMOTION_GET_PROMOTION,
            request_of(methods.PROMOTION_GET_PROMOTION, request, {"promotion_id": promotion_id}),
            Options(timeout, metadata),
        )

    async def list_promotion_codes(
        self,
        request: promotion_pb2.ListPromotionCodesRequest | None = None,
        /,
        *,
        promotion_id: str | None = None,
        page_size: int | None = None,
        page_token: str | None = None,
        batch_id: str | None = None,
        show_archived: bool | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
    ) -> Answer[promotion_pb2.ListPromotionCodesResponse]:
        """As `PromotionService.list_promotion_codes`, with the request id, and whether the answer was replayed."""
        return await self._calls.answer(
            methods.PROMOTION_LIST_PROMOTION_CODES,
            request_of(
                methods.PROMOTION_LIST_PROMOTION_CODES,
                request,
                {
                    "promotion_id": promotion_id,
                    "page_size": page_size,
                    "page_token": page_token,
                    "batch_id": batch_id,
                    "show_archived": show_archived,
                },
            ),
            Options(timeout, metadata),
        )

    async def list_promotions(
        self,
        request: promotion_pb2.ListPromotionsRequest | None = None,
        /,
        *,
        page_size: int | None = None,
        page_token: str | None = None,
        show_archived: bool | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
    ) -> Answer[promotion_pb2.ListPromotionsResponse]:
        """As `PromotionService.list_promotions`, with the request id, and whether the answer was replayed."""
        return await self._calls.answer(
            methods.PROMOTION_LIST_PROMOTIONS,
            request_of(
                methods.PROMOTION_LIST_PROMOTIONS,
                request,
                {"page_size": page_size, "page_token": page_token, "show_archived": show_archived},
            ),
            Options(timeout, metadata),
        )

    async def update_promotion(
        self,
        request: promotion_pb2.UpdatePromotionRequest | None = None,
        /,
        *,
        promotion: promotion_pb2.Promotion | None = None,
        update_mask: field_mask_pb2.FieldMask | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
        idempotency_key: str | None = None,
        etag: str | None = None,
    ) -> Answer[promotion_pb2.Promotion]:
        """As `PromotionService.update_promotion`, with the request id, and whether the answer was replayed."""
        return await self._calls.answer(
            methods.PROMOTION_UPDATE_PROMOTION,
            request_of(methods.PROMOTION_UPDATE_PROMOTION, request, {"promotion": promotion, "update_mask": update_mask}),
            Options(timeout, metadata, idempotency_key, etag=etag),
        )


class ShippingService:
    """Prices of deliveries: zones, and methods with a rate for each zone that they serve.

    An order costs the rate of its method in the zone of its destination. Of the zones that have the destination, that of the
    longest postal prefix counts, then that of the region, then that of the country. A method without a rate for this zone does
    not deliver there.

    Every RPC is for administrators, and can also answer UNAUTHENTICATED TOKEN_INVALID, PERMISSION_DENIED ADMIN_ONLY,
    DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED OVERLOADED and UNAVAILABLE DATABASE_UNAVAILABLE; the last two carry a RetryInfo. ABORTED
    CONFLICT, with a RetryInfo too, means that concurrent calls held locks that the call needed; it changed nothing.
    """

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    async def archive_shipping_method(
        self,
        request: shipping_pb2.ArchiveShippingMethodRequest | None = None,
        /,
        *,
        shipping_method_id: str | None = None,
        etag: str | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
        idempotency_key: str | None = None,
    ) -> shipping_pb2.ShippingMethod:
        """Archive a method for good: it leaves lists, and buyers cannot choose it.

        A method that is archived already is returned as it is.

        Errors: INVALID_ARGUMENT INVALID_FIELD, NOT_FOUND SHIPPING_METHOD_NOT_FOUND, ABORTED ETAG_MISMATCH.

        Args:
            shipping_method_id: UUID.
            etag: Archive only if the method still has this etag.
        """
        return await self._calls.message(
            methods.SHIPPING_ARCHIVE_SHIPPING_METHOD,
            request_of(methods.SHIPPING_ARCHIVE_SHIPPING_METHOD, request, {"shipping_method_id": shipping_method_id, "etag": etag}),
            Options(timeout, metadata, idempotency_key),
        )

    async def archive_shipping_zone(
        self,
        request: shipping_pb2.ArchiveShippingZoneRequest | None = None,
        /,
        *,
        shipping_zone_id: str | None = None,
        etag: str | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
        idempotency_key: str | None = None,
    ) -> shipping_pb2.ShippingZone:
        """Archive a zone for good: it leaves lists, and other zones can have its areas.

        A zone that is archived already is returned as it is.

        Errors: INVALID_ARGUMENT INVALID_FIELD, NOT_FOUND SHIPPING_ZONE_NOT_FOUND, ABORTED ETAG_MISMATCH, FAILED_PRECONDITION
        SHIPPING_ZONE_IN_USE (methods that are not archived have a rate for it; metadata `count`, and the first ten in
        `shipping_method_ids`).

        Args:
            shipping_zone_id: UUID.
            etag: Archive only if the zone still has this etag.
        """
        return await self._calls.message(
            methods.SHIPPING_ARCHIVE_SHIPPING_ZONE,
            request_of(methods.SHIPPING_ARCHIVE_SHIPPING_ZONE, request, {"shipping_zone_id": shipping_zone_id, "etag": etag}),
            Options(timeout, metadata, idempotency_key),
        )

    async def create_shipping_method(
        self,
        request: shipping_pb2.CreateShippingMethodRequest | None = None,
        /,
        *,
        shipping_method: shipping_pb2.ShippingMethod | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
        idempotency_key: str | None = None,
    ) -> shipping_pb2.ShippingMethod:
        """Create a method.

        Errors: INVALID_ARGUMENT INVALID_FIELD, NOT_FOUND SHIPPING_ZONE_NOT_FOUND or TAX_CATEGORY_NOT_FOUND, FAILED_PRECONDITION
        TAX_CATEGORY_ARCHIVED or SHIPPING_ZONE_ARCHIVED (a rate is for an archived zone), FAILED_PRECONDITION
        SHIPPING_METHOD_LIMIT (100 methods) or SHIPPING_TIER_LIMIT (50,000 tiers of all methods; both with metadata `limit`;
        archived methods do not count).

        Args:
            shipping_method: The method; the server gives it id, etag and times, and ignores those of the request.
        """
        return await self._calls.message(
            methods.SHIPPING_CREATE_SHIPPING_METHOD,
            request_of(methods.SHIPPING_CREATE_SHIPPING_METHOD, request, {"shipping_method": shipping_method}),
            Options(timeout, metadata, idempotency_key),
        )

    async def create_shipping_zone(
        self,
        request: shipping_pb2.CreateShippingZoneRequest | None = None,
        /,
        *,
        shipping_zone: shipping_pb2.ShippingZone | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
        idempotency_key: str | None = None,
    ) -> shipping_pb2.ShippingZone:
        """Create a zone.

        Errors: INVALID_ARGUMENT INVALID_FIELD, ALREADY_EXISTS SHIPPING_AREA_TAKEN (another zone has one of the areas; metadata
        `country_code`, `region`, `postal_prefix`, `shipping_zone_id`), FAILED_PRECONDITION SHIPPING_ZONE_LIMIT (200 zones) or
        SHIPPING_AREA_LIMIT (2,000 areas of all zones; both with metadata `limit`; archived zones do not count).

        Args:
            shipping_zone: The zone; the server gives it id, etag and times, and ignores those of the request.
        """
        return await self._calls.message(
            methods.SHIPPING_CREATE_SHIPPING_ZONE,
            request_of(methods.SHIPPING_CREATE_SHIPPING_ZONE, request, {"shipping_zone": shipping_zone}),
            Options(timeout, metadata, idempotency_key),
        )

    async def get_shipping_method(
        self,
        request: shipping_pb2.GetShippingMethodRequest | None = None,
        /,
        *,
        shipping_method_id: str | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
    ) -> shipping_pb2.ShippingMethod:
        """Return one method, also an archived one.

        Errors: INVALID_ARGUMENT INVALID_FIELD, NOT_FOUND SHIPPING_METHOD_NOT_FOUND.

        Args:
            shipping_method_id: UUID.
        """
        return await self._calls.message(
            methods.SHIPPING_GET_SHIPPING_METHOD,
            request_of(methods.SHIPPING_GET_SHIPPING_METHOD, request, {"shipping_method_id": shipping_method_id}),
            Options(timeout, metadata),
        )

    async def get_shipping_zone(
        self,
        request: shipping_pb2.GetShippingZoneRequest | None = None,
        /,
        *,
        shipping_zone_id: str | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
    ) -> shipping_pb2.ShippingZone:
        """Return one zone, also an archived one.

        Errors: INVALID_ARGUMENT INVALID_FIELD, NOT_FOUND SHIPPING_ZONE_NOT_FOUND.

        Args:
            shipping_zone_id: UUID.
        """
        return await self._calls.message(
            methods.SHIPPING_GET_SHIPPING_ZONE,
            request_of(methods.SHIPPING_GET_SHIPPING_ZONE, request, {"shipping_zone_id": shipping_zone_id}),
            Options(timeout, metadata),
        )

    def list_shipping_methods(
        self,
        request: shipping_pb2.ListShippingMethodsRequest | None = None,
        /,
        *,
        page_size: int | None = None,
        page_token: str | None = None,
        show_archived: bool | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
    ) -> AsyncPager[shipping_pb2.ListShippingMethodsResponse, shipping_pb2.ShippingMethod]:
        """List methods by `position`, then by creation, a page at a time.

        Buyers see them in this order.

        Errors: INVALID_ARGUMENT INVALID_FIELD, INVALID_ARGUMENT PAGE_TOKEN_INVALID.

        Args:
            page_size: Methods a page: 0 means 20, above 100 means 100. A page of long methods has fewer.
            page_token: `next_page_token` of the page before; every other argument must be the same, page_size aside.
            show_archived: True: also archived methods.
        """
        return AsyncPager(
            self._calls,
            methods.SHIPPING_LIST_SHIPPING_METHODS,
            request_of(
                methods.SHIPPING_LIST_SHIPPING_METHODS,
                request,
                {"page_size": page_size, "page_token": page_token, "show_archived": show_archived},
            ),
            Options(timeout, metadata),
        )

    def list_shipping_zones(
        self,
        request: shipping_pb2.ListShippingZonesRequest | None = None,
        /,
        *,
        page_size: int | None = None,
        page_token: str | None = None,
        show_archived: bool | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
    ) -> AsyncPager[shipping_pb2.ListShippingZonesResponse, shipping_pb2.ShippingZone]:
        """List zones by name, sorted by the Unicode Collation Algorithm, a page at a time.

        Errors: INVALID_ARGUMENT INVALID_FIELD, INVALID_ARGUMENT PAGE_TOKEN_INVALID.

        Args:
            page_size: Zones a page: 0 means 20, above 100 means 100. A page of long zones has fewer.
            page_token: `next_page_token` of the page before; every other argument must be the same, page_size aside.
            show_archived: True: also archived zones.
        """
        return AsyncPager(
            self._calls,
            methods.SHIPPING_LIST_SHIPPING_ZONES,
            request_of(
                methods.SHIPPING_LIST_SHIPPING_ZONES,
                request,
                {"page_size": page_size, "page_token": page_token, "show_archived": show_archived},
            ),
            Options(timeout, metadata),
        )

    async def update_shipping_method(
        self,
        request: shipping_pb2.UpdateShippingMethodRequest | None = None,
        /,
        *,
        shipping_method: shipping_pb2.ShippingMethod | None = None,
        update_mask: field_mask_pb2.FieldMask | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
        idempotency_key: str | None = None,
        etag: str | None = None,
    ) -> shipping_pb2.ShippingMethod:
        """Change a method (AIP-134).

        With `update_mask` exactly its fields; without one the populated fields. The rates are replaced together.

        Errors: INVALID_ARGUMENT INVALID_FIELD, NOT_FOUND SHIPPING_METHOD_NOT_FOUND, SHIPPING_ZONE_NOT_FOUND or
        TAX_CATEGORY_NOT_FOUND, FAILED_PRECONDITION SHIPPING_METHOD_ARCHIVED, SHIPPING_ZONE_ARCHIVED or TAX_CATEGORY_ARCHIVED,
        ABORTED ETAG_MISMATCH (the method changed since `shipping_method.etag` or the tag of `if-match` was read; 412 over REST
        with `if-match`), FAILED_PRECONDITION SHIPPING_TIER_LIMIT.

        Args:
            shipping_method: The method: its id, its new values, and an etag to refuse an update of something newer.
            update_mask: Fields to change: name, description, position, tax_category, rates, or `*` for all of them.
        """
        return await self._calls.message(
            methods.SHIPPING_UPDATE_SHIPPING_METHOD,
            request_of(methods.SHIPPING_UPDATE_SHIPPING_METHOD, request, {"shipping_method": shipping_method, "update_mask": update_mask}),
            Options(timeout, metadata, idempotency_key, etag=etag),
        )

    async def update_shipping_zone(
        self,
        request: shipping_pb2.UpdateShippingZoneRequest | None = None,
        /,
        *,
        shipping_zone: shipping_pb2.ShippingZone | None = None,
        update_mask: field_mask_pb2.FieldMask | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
        idempotency_key: str | None = None,
        etag: str | None = None,
    ) -> shipping_pb2.ShippingZone:
        """Change a zone (AIP-134).

        With `update_mask` exactly its fields; without one the populated fields. The areas are replaced together.

        Errors: INVALID_ARGUMENT INVALID_FIELD, NOT_FOUND SHIPPING_ZONE_NOT_FOUND, FAILED_PRECONDITION SHIPPING_ZONE_ARCHIVED,
        ABORTED ETAG_MISMATCH (the zone changed since `shipping_zone.etag` or the tag of `if-match` was read; 412 over REST with
        `if-match`), ALREADY_EXISTS SHIPPING_AREA_TAKEN, FAILED_PRECONDITION SHIPPING_AREA_LIMIT.

        Args:
            shipping_zone: The zone: its id, its new values, and an etag to refuse an update of something newer.
            update_mask: Fields to change: name, areas, or `*` for all of them.
        """
        return await self._calls.message(
            methods.SHIPPING_UPDATE_SHIPPING_ZONE,
            request_of(methods.SHIPPING_UPDATE_SHIPPING_ZONE, request, {"shipping_zone": shipping_zone, "update_mask": update_mask}),
            Options(timeout, metadata, idempotency_key, etag=etag),
        )


class ShippingAnswers:
    """ShippingService, whose methods return an `Answer`; those of lists return one page."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    async def archive_shipping_method(
        self,
        request: shipping_pb2.ArchiveShippingMethodRequest | None = None,
        /,
        *,
        shipping_method_id: str | None = None,
        etag: str | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
        idempotency_key: str | None = None,
    ) -> Answer[shipping_pb2.ShippingMethod]:
        """As `ShippingService.archive_shipping_method`, with the request id, and whether the answer was replayed."""
        return await self._calls.answer(
            methods.SHIPPING_ARCHIVE_SHIPPING_METHOD,
            request_of(methods.SHIPPING_ARCHIVE_SHIPPING_METHOD, request, {"shipping_method_id": shipping_method_id, "etag": etag}),
            Options(timeout, metadata, idempotency_key),
        )

    async def archive_shipping_zone(
        self,
        request: shipping_pb2.ArchiveShippingZoneRequest | None = None,
        /,
        *,
        shipping_zone_id: str | None = None,
        etag: str | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
        idempotency_key: str | None = None,
    ) -> Answer[shipping_pb2.ShippingZone]:
        """As `ShippingService.archive_shipping_zone`, with the request id, and whether the answer was replayed."""
        return await self._calls.answer(
            methods.SHIPPING_ARCHIVE_SHIPPING_ZONE,
            request_of(methods.SHIPPING_ARCHIVE_SHIPPING_ZONE, request, {"shipping_zone_id": shipping_zone_id, "etag": etag}),
            Options(timeout, metadata, idempotency_key),
        )

    async def create_shipping_method(
        self,
        request: shipping_pb2.CreateShippingMethodRequest | None = None,
        /,
        *,
        shipping_method: shipping_pb2.ShippingMethod | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
        idempotency_key: str | None = None,
    ) -> Answer[shipping_pb2.ShippingMethod]:
        """As `ShippingService.create_shipping_method`, with the request id, and whether the answer was replayed."""
        return await self._calls.answer(
            methods.SHIPPING_CREATE_SHIPPING_METHOD,
            request_of(methods.SHIPPING_CREATE_SHIPPING_METHOD, request, {"shipping_method": shipping_method}),
            Options(timeout, metadata, idempotency_key),
        )

    async def create_shipping_zone(
        self,
        request: shipping_pb2.CreateShippingZoneRequest | None = None,
        /,
        *,
        shipping_zone: shipping_pb2.ShippingZone | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
        idempotency_key: str | None = None,
    ) -> Answer[shipping_pb2.ShippingZone]:
        """As `ShippingService.create_shipping_zone`, with the request id, and whether the answer was replayed."""
        return await self._calls.answer(
            methods.SHIPPING_CREATE_SHIPPING_ZONE,
            request_of(methods.SHIPPING_CREATE_SHIPPING_ZONE, request, {"shipping_zone": shipping_zone}),
            Options(timeout, metadata, idempotency_key),
        )

    async def get_shipping_method(
        self,
        request: shipping_pb2.GetShippingMethodRequest | None = None,
        /,
        *,
        shipping_method_id: str | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
    ) -> Answer[shipping_pb2.ShippingMethod]:
        """As `ShippingService.get_shipping_method`, with the request id, and whether the answer was replayed."""
        return await self._calls.answer(
            methods.SHIPPING_GET_SHIPPING_METHOD,
            request_of(methods.SHIPPING_GET_SHIPPING_METHOD, request, {"shipping_method_id": shipping_method_id}),
            Options(timeout, metadata),
        )

    async def get_shipping_zone(
        self,
        request: shipping_pb2.GetShippingZoneRequest | None = None,
        /,
        *,
        shipping_zone_id: str | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
    ) -> Answer[shipping_pb2.ShippingZone]:
        """As `ShippingService.get_shipping_zone`, with the request id, and whether the answer was replayed."""
        return await self._calls.answer(
            methods.SHIPPING_GET_SHIPPING_ZONE,
            request_of(methods.SHIPPING_GET_SHIPPING_ZONE, request, {"shipping_zone_id": shipping_zone_id}),
            Options(timeout, metadata),
        )

    async def list_shipping_methods(
        self,
        request: shipping_pb2.ListShippingMethodsRequest | None = None,
        /,
        *,
        page_size: int | None = None,
        page_token: str | None = None,
        show_archived: bool | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
    ) -> Answer[shipping_pb2.ListShippingMethodsResponse]:
        """As `ShippingService.list_shipping_methods`, with the request id, and whether the answer was replayed."""
        return await self._calls.answer(
            methods.SHIPPING_LIST_SHIPPING_METHODS,
            request_of(
                methods.SHIPPING_LIST_SHIPPING_METHODS,
                request,
                {"page_size": page_size, "page_token": page_token, "show_archived": show_archived},
            ),
            Options(timeout, metadata),
        )

    async def list_shipping_zones(
        self,
        request: shipping_pb2.ListShippingZonesRequest | None = None,
        /,
        *,
        page_size: int | None = None,
        page_token: str | None = None,
        show_archived: bool | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
    ) -> Answer[shipping_pb2.ListShippingZonesResponse]:
        """As `ShippingService.list_shipping_zones`, with the request id, and whether the answer was replayed."""
        return await self._calls.answer(
            methods.SHIPPING_LIST_SHIPPING_ZONES,
            request_of(
                methods.SHIPPING_LIST_SHIPPING_ZONES,
                request,
                {"page_size": page_size, "page_token": page_token, "show_archived": show_archived},
            ),
            Options(timeout, metadata),
        )

    async def update_shipping_method(
        self,
        request: shipping_pb2.UpdateShippingMethodRequest | None = None,
        /,
        *,
        shipping_method: shipping_pb2.ShippingMethod | None = None,
        update_mask: field_mask_pb2.FieldMask | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
        idempotency_key: str | None = None,
        etag: str | None = None,
    ) -> Answer[shipping_pb2.ShippingMethod]:
        """As `ShippingService.update_shipping_method`, with the request id, and whether the answer was replayed."""
        return await self._calls.answer(
            methods.SHIPPING_UPDATE_SHIPPING_METHOD,
            request_of(methods.SHIPPING_UPDATE_SHIPPING_METHOD, request, {"shipping_method": shipping_method, "update_mask": update_mask}),
            Options(timeout, metadata, idempotency_key, etag=etag),
        )

    async def update_shipping_zone(
        self,
        request: shipping_pb2.UpdateShippingZoneRequest | None = None,
        /,
        *,
        shipping_zone: shipping_pb2.ShippingZone | None = None,
        update_mask: field_mask_pb2.FieldMask | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
        idempotency_key: str | None = None,
        etag: str | None = None,
    ) -> Answer[shipping_pb2.ShippingZone]:
        """As `ShippingService.update_shipping_zone`, with the request id, and whether the answer was replayed."""
        return await self._calls.answer(
            methods.SHIPPING_UPDATE_SHIPPING_ZONE,
            request_of(methods.SHIPPING_UPDATE_SHIPPING_ZONE, request, {"shipping_zone": shipping_zone, "update_mask": update_mask}),
            Options(timeout, metadata, idempotency_key, etag=etag),
        )


class ShopService:
    """The settings of the shop.

    Every RPC can also answer DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED OVERLOADED and UNAVAILABLE DATABASE_UNAVAILABLE; the last two
    carry a RetryInfo. ABORTED CONFLICT, with a RetryInfo too, means that concurrent calls held locks that the call needed; it
    changed nothing.
    """

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    async def get_shop(
        self, request: shop_pb2.GetShopRequest | None = None, /, *, timeout: float | None = None, metadata: Metadata = ()
    ) -> shop_pb2.Shop:
        """Return the settings of the shop.

        Clients need its currency, and whether its prices include tax.

        Errors: INVALID_ARGUMENT INVALID_FIELD.
        """
        return await self._calls.message(methods.SHOP_GET_SHOP, request_of(methods.SHOP_GET_SHOP, request, {}), Options(timeout, metadata))

    async def update_shop(
        self,
        request: shop_pb2.UpdateShopRequest | None = None,
        /,
        *,
        shop: shop_pb2.Shop | None = None,
        update_mask: field_mask_pb2.FieldMask | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
        idempotency_key: str | None = None,
        etag: str | None = None,
    ) -> shop_pb2.Shop:
        """Change the settings of the shop (AIP-134): with `update_mask` exactly its fields, without one those that are present.

        Orders keep the amounts with which they were placed.

        Errors: INVALID_ARGUMENT INVALID_FIELD, ABORTED ETAG_MISMATCH (the settings changed since `shop.etag` or the tag of
        `if-match` was read; 412 over REST with `if-match`), UNAUTHENTICATED TOKEN_INVALID, PERMISSION_DENIED ADMIN_ONLY.

        Args:
            shop: The new settings, and an etag to refuse a change of newer ones.
            update_mask: Fields to change: country_code, prices_include_tax, tax_rounding, time_zone, or `*` for all of them.
        """
        return await self._calls.message(
            methods.SHOP_UPDATE_SHOP,
            request_of(methods.SHOP_UPDATE_SHOP, request, {"shop": shop, "update_mask": update_mask}),
            Options(timeout, metadata, idempotency_key, etag=etag),
        )


class ShopAnswers:
    """ShopService, whose methods return an `Answer`; those of lists return one page."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    async def get_shop(
        self, request: shop_pb2.GetShopRequest | None = None, /, *, timeout: float | None = None, metadata: Metadata = ()
    ) -> Answer[shop_pb2.Shop]:
        """As `ShopService.get_shop`, with the request id, and whether the answer was replayed."""
        return await self._calls.answer(methods.SHOP_GET_SHOP, request_of(methods.SHOP_GET_SHOP, request, {}), Options(timeout, metadata))

    async def update_shop(
        self,
        request: shop_pb2.UpdateShopRequest | None = None,
        /,
        *,
        shop: shop_pb2.Shop | None = None,
        update_mask: field_mask_pb2.FieldMask | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
        idempotency_key: str | None = None,
        etag: str | None = None,
    ) -> Answer[shop_pb2.Shop]:
        """As `ShopService.update_shop`, with the request id, and whether the answer was replayed."""
        return await self._calls.answer(
            methods.SHOP_UPDATE_SHOP,
            request_of(methods.SHOP_UPDATE_SHOP, request, {"shop": shop, "update_mask": update_mask}),
            Options(timeout, metadata, idempotency_key, etag=etag),
        )


class TaxService:
    """Tax categories of products and deliveries, and the rates of their taxes.

    Every RPC can also answer DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED OVERLOADED and UNAVAILABLE DATABASE_UNAVAILABLE; the last two
    carry a RetryInfo. ABORTED CONFLICT, with a RetryInfo too, means that concurrent calls held locks that the call needed; it
    changed nothing.
    """

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    async def archive_tax_category(
        self,
        request: tax_pb2.ArchiveTaxCategoryRequest | None = None,
        /,
        *,
        tax_category_id: str | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
        idempotency_key: str | None = None,
    ) -> tax_pb2.TaxCategory:
        """Archive a tax category that no live rate, no live shipping method and no product on sale has: lists hide it, and nothing
        new can have it.

        It is never deleted. Returns it with `archive_time`; a repeated call answers the same.

        Errors: INVALID_ARGUMENT INVALID_FIELD, NOT_FOUND TAX_CATEGORY_NOT_FOUND, FAILED_PRECONDITION TAX_CATEGORY_IN_USE,
        UNAUTHENTICATED TOKEN_INVALID, PERMISSION_DENIED ADMIN_ONLY.

        Args:
            tax_category_id: Id of the category.
        """
        return await self._calls.message(
            methods.TAX_ARCHIVE_TAX_CATEGORY,
            request_of(methods.TAX_ARCHIVE_TAX_CATEGORY, request, {"tax_category_id": tax_category_id}),
            Options(timeout, metadata, idempotency_key),
        )

    async def archive_tax_rate(
        self,
        request: tax_pb2.ArchiveTaxRateRequest | None = None,
        /,
        *,
        tax_rate_id: str | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
        idempotency_key: str | None = None,
    ) -> tax_pb2.TaxRate:
        """Archive a tax rate: it taxes nothing any more, and lists hide it.

        It is never deleted. Returns it with `archive_time`; a repeated call answers the same.

        Errors: INVALID_ARGUMENT INVALID_FIELD, NOT_FOUND TAX_RATE_NOT_FOUND, UNAUTHENTICATED TOKEN_INVALID, PERMISSION_DENIED
        ADMIN_ONLY.

        Args:
            tax_rate_id: UUID of the rate.
        """
        return await self._calls.message(
            methods.TAX_ARCHIVE_TAX_RATE,
            request_of(methods.TAX_ARCHIVE_TAX_RATE, request, {"tax_rate_id": tax_rate_id}),
            Options(timeout, metadata, idempotency_key),
        )

    async def create_tax_category(
        self,
        request: tax_pb2.CreateTaxCategoryRequest | None = None,
        /,
        *,
        tax_category: tax_pb2.TaxCategory | None = None,
        tax_category_id: str | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
        idempotency_key: str | None = None,
    ) -> tax_pb2.TaxCategory:
        """Create a tax category, or bring an archived one back under its id, with the new name.

        Errors: INVALID_ARGUMENT INVALID_FIELD, ALREADY_EXISTS TAX_CATEGORY_TAKEN, FAILED_PRECONDITION TAX_CATEGORY_LIMIT (the
        shop has 200 categories that are not archived; metadata `limit`), UNAUTHENTICATED TOKEN_INVALID, PERMISSION_DENIED
        ADMIN_ONLY.

        Args:
            tax_category: The category; the server gives it etag and times, and ignores those and the id in it.
            tax_category_id: Its id: a lower-case letter, then up to 31 of a to z, 0 to 9 and `-`; not `as-goods`.
        """
        return await self._calls.message(
            methods.TAX_CREATE_TAX_CATEGORY,
            request_of(methods.TAX_CREATE_TAX_CATEGORY, request, {"tax_category": tax_category, "tax_category_id": tax_category_id}),
            Options(timeout, metadata, idempotency_key),
        )

    async def create_tax_rate(
        self,
        request: tax_pb2.CreateTaxRateRequest | None = None,
        /,
        *,
        tax_rate: tax_pb2.TaxRate | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
        idempotency_key: str | None = None,
    ) -> tax_pb2.TaxRate:
        """Create a tax rate.

        Errors: INVALID_ARGUMENT INVALID_FIELD, NOT_FOUND TAX_CATEGORY_NOT_FOUND, FAILED_PRECONDITION TAX_CATEGORY_ARCHIVED,
        ALREADY_EXISTS TAX_RATE_OVERLAPS (a live rate of the same country, region and category is valid at the same time; metadata
        `tax_rate_id`), FAILED_PRECONDITION TAX_RATE_LIMIT (the shop has 5,000 rates that are not archived; metadata `limit`),
        UNAUTHENTICATED TOKEN_INVALID, PERMISSION_DENIED ADMIN_ONLY.

        Args:
            tax_rate: The rate; the server gives it id, etag and times, and ignores those of the request.
        """
        return await self._calls.message(
            methods.TAX_CREATE_TAX_RATE,
            request_of(methods.TAX_CREATE_TAX_RATE, request, {"tax_rate": tax_rate}),
            Options(timeout, metadata, idempotency_key),
        )

    async def get_tax_category(
        self,
        request: tax_pb2.GetTaxCategoryRequest | None = None,
        /,
        *,
        tax_category_id: str | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
    ) -> tax_pb2.TaxCategory:
        """Return one tax category, also an archived one.

        Errors: INVALID_ARGUMENT INVALID_FIELD, NOT_FOUND TAX_CATEGORY_NOT_FOUND, UNAUTHENTICATED TOKEN_INVALID, PERMISSION_DENIED
        ADMIN_ONLY.

        Args:
            tax_category_id: Id of the category.
        """
        return await self._calls.message(
            methods.TAX_GET_TAX_CATEGORY,
            request_of(methods.TAX_GET_TAX_CATEGORY, request, {"tax_category_id": tax_category_id}),
            Options(timeout, metadata),
        )

    async def get_tax_rate(
        self,
        request: tax_pb2.GetTaxRateRequest | None = None,
        /,
        *,
        tax_rate_id: str | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
    ) -> tax_pb2.TaxRate:
        """Return one tax rate, also an archived one.

        Errors: INVALID_ARGUMENT INVALID_FIELD, NOT_FOUND TAX_RATE_NOT_FOUND, UNAUTHENTICATED TOKEN_INVALID, PERMISSION_DENIED
        ADMIN_ONLY.

        Args:
            tax_rate_id: UUID of the rate.
        """
        return await self._calls.message(
            methods.TAX_GET_TAX_RATE,
            request_of(methods.TAX_GET_TAX_RATE, request, {"tax_rate_id": tax_rate_id}),
            Options(timeout, metadata),
        )

    def list_tax_categories(
        self,
        request: tax_pb2.ListTaxCategoriesRequest | None = None,
        /,
        *,
        page_size: int | None = None,
        page_token: str | None = None,
        show_archived: bool | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
    ) -> AsyncPager[tax_pb2.ListTaxCategoriesResponse, tax_pb2.TaxCategory]:
        """List tax categories by id, a page at a time.

        Errors: INVALID_ARGUMENT INVALID_FIELD, INVALID_ARGUMENT PAGE_TOKEN_INVALID, UNAUTHENTICATED TOKEN_INVALID,
        PERMISSION_DENIED ADMIN_ONLY.

        Args:
            page_size: Categories a page: 0 means 20, above 100 means 100.
            page_token: `next_page_token` of the page before; `show_archived` must be the same.
            show_archived: True: also archived categories.
        """
        return AsyncPager(
            self._calls,
            methods.TAX_LIST_TAX_CATEGORIES,
            request_of(
                methods.TAX_LIST_TAX_CATEGORIES, request, {"page_size": page_size, "page_token": page_token, "show_archived": show_archived}
            ),
            Options(timeout, metadata),
        )

    def list_tax_rates(
        self,
        request: tax_pb2.ListTaxRatesRequest | None = None,
        /,
        *,
        page_size: int | None = None,
        page_token: str | None = None,
        country_code: str | None = None,
        show_archived: bool | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
    ) -> AsyncPager[tax_pb2.ListTaxRatesResponse, tax_pb2.TaxRate]:
        """List tax rates by country, region and category, in the order of their creation within these, a page at a time.

        Errors: INVALID_ARGUMENT INVALID_FIELD, INVALID_ARGUMENT PAGE_TOKEN_INVALID, UNAUTHENTICATED TOKEN_INVALID,
        PERMISSION_DENIED ADMIN_ONLY.

        Args:
            page_size: Rates a page: 0 means 20, above 100 means 100.
            page_token: `next_page_token` of the page before; every other argument must be the same, page_size aside.
            country_code: Country (ISO 3166-1 alpha-2, upper case): only its rates; empty means any.
            show_archived: True: also archived rates.
        """
        return AsyncPager(
            self._calls,
            methods.TAX_LIST_TAX_RATES,
            request_of(
                methods.TAX_LIST_TAX_RATES,
                request,
                {"page_size": page_size, "page_token": page_token, "country_code": country_code, "show_archived": show_archived},
            ),
            Options(timeout, metadata),
        )

    async def update_tax_category(
        self,
        request: tax_pb2.UpdateTaxCategoryRequest | None = None,
        /,
        *,
        tax_category: tax_pb2.TaxCategory | None = None,
        update_mask: field_mask_pb2.FieldMask | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
        idempotency_key: str | None = None,
        etag: str | None = None,
    ) -> tax_pb2.TaxCategory:
        """Change a tax category (AIP-134): with `update_mask` exactly its fields, without one those that are populated.

        Errors: INVALID_ARGUMENT INVALID_FIELD, NOT_FOUND TAX_CATEGORY_NOT_FOUND, FAILED_PRECONDITION TAX_CATEGORY_ARCHIVED,
        ABORTED ETAG_MISMATCH (the category changed since `tax_category.etag` was read), UNAUTHENTICATED TOKEN_INVALID,
        PERMISSION_DENIED ADMIN_ONLY.

        Args:
            tax_category: The category: its id, its new values, and an etag to refuse an update of something newer.
            update_mask: Fields to change: display_name, or `*` for all of them.
        """
        return await self._calls.message(
            methods.TAX_UPDATE_TAX_CATEGORY,
            request_of(methods.TAX_UPDATE_TAX_CATEGORY, request, {"tax_category": tax_category, "update_mask": update_mask}),
            Options(timeout, metadata, idempotency_key, etag=etag),
        )

    async def update_tax_rate(
        self,
        request: tax_pb2.UpdateTaxRateRequest | None = None,
        /,
        *,
        tax_rate: tax_pb2.TaxRate | None = None,
        update_mask: field_mask_pb2.FieldMask | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
        idempotency_key: str | None = None,
        etag: str | None = None,
    ) -> tax_pb2.TaxRate:
        """Change a tax rate (AIP-134): with `update_mask` exactly its fields, without one those that are populated.

        Country, region, category and percentage of a rate never change, since orders were placed with it. For another percentage,
        end the rate with `valid_until` and create one that begins then. To correct a mistake, archive the rate and create
        another. Orders keep their amounts.

        Errors: INVALID_ARGUMENT INVALID_FIELD (also for another value of a field that cannot be changed), NOT_FOUND
        TAX_RATE_NOT_FOUND, FAILED_PRECONDITION TAX_RATE_ARCHIVED, FAILED_PRECONDITION TAX_RATE_BEGUN (its `valid_from` has
        passed, and cannot be moved any more), ALREADY_EXISTS TAX_RATE_OVERLAPS (metadata `tax_rate_id`), ABORTED ETAG_MISMATCH
        (the rate changed since `tax_rate.etag` was read), UNAUTHENTICATED TOKEN_INVALID, PERMISSION_DENIED ADMIN_ONLY.

        Args:
            tax_rate: The rate: its id, its new values, and an etag to refuse an update of something newer.
            update_mask: Fields to change: name, parts, valid_from, valid_until, or `*` for all of them.
        """
        return await self._calls.message(
            methods.TAX_UPDATE_TAX_RATE,
            request_of(methods.TAX_UPDATE_TAX_RATE, request, {"tax_rate": tax_rate, "update_mask": update_mask}),
            Options(timeout, metadata, idempotency_key, etag=etag),
        )


class TaxAnswers:
    """TaxService, whose methods return an `Answer`; those of lists return one page."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    async def archive_tax_category(
        self,
        request: tax_pb2.ArchiveTaxCategoryRequest | None = None,
        /,
        *,
        tax_category_id: str | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
        idempotency_key: str | None = None,
    ) -> Answer[tax_pb2.TaxCategory]:
        """As `TaxService.archive_tax_category`, with the request id, and whether the answer was replayed."""
        return await self._calls.answer(
            methods.TAX_ARCHIVE_TAX_CATEGORY,
            request_of(methods.TAX_ARCHIVE_TAX_CATEGORY, request, {"tax_category_id": tax_category_id}),
            Options(timeout, metadata, idempotency_key),
        )

    async def archive_tax_rate(
        self,
        request: tax_pb2.ArchiveTaxRateRequest | None = None,
        /,
        *,
        tax_rate_id: str | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
        idempotency_key: str | None = None,
    ) -> Answer[tax_pb2.TaxRate]:
        """As `TaxService.archive_tax_rate`, with the request id, and whether the answer was replayed."""
        return await self._calls.answer(
            methods.TAX_ARCHIVE_TAX_RATE,
            request_of(methods.TAX_ARCHIVE_TAX_RATE, request, {"tax_rate_id": tax_rate_id}),
            Options(timeout, metadata, idempotency_key),
        )

    async def create_tax_category(
        self,
        request: tax_pb2.CreateTaxCategoryRequest | None = None,
        /,
        *,
        tax_category: tax_pb2.TaxCategory | None = None,
        tax_category_id: str | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
        idempotency_key: str | None = None,
    ) -> Answer[tax_pb2.TaxCategory]:
        """As `TaxService.create_tax_category`, with the request id, and whether the answer was replayed."""
        return await self._calls.answer(
            methods.TAX_CREATE_TAX_CATEGORY,
            request_of(methods.TAX_CREATE_TAX_CATEGORY, request, {"tax_category": tax_category, "tax_category_id": tax_category_id}),
            Options(timeout, metadata, idempotency_key),
        )

    async def create_tax_rate(
        self,
        request: tax_pb2.CreateTaxRateRequest | None = None,
        /,
        *,
        tax_rate: tax_pb2.TaxRate | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
        idempotency_key: str | None = None,
    ) -> Answer[tax_pb2.TaxRate]:
        """As `TaxService.create_tax_rate`, with the request id, and whether the answer was replayed."""
        return await self._calls.answer(
            methods.TAX_CREATE_TAX_RATE,
            request_of(methods.TAX_CREATE_TAX_RATE, request, {"tax_rate": tax_rate}),
            Options(timeout, metadata, idempotency_key),
        )

    async def get_tax_category(
        self,
        request: tax_pb2.GetTaxCategoryRequest | None = None,
        /,
        *,
        tax_category_id: str | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
    ) -> Answer[tax_pb2.TaxCategory]:
        """As `TaxService.get_tax_category`, with the request id, and whether the answer was replayed."""
        return await self._calls.answer(
            methods.TAX_GET_TAX_CATEGORY,
            request_of(methods.TAX_GET_TAX_CATEGORY, request, {"tax_category_id": tax_category_id}),
            Options(timeout, metadata),
        )

    async def get_tax_rate(
        self,
        request: tax_pb2.GetTaxRateRequest | None = None,
        /,
        *,
        tax_rate_id: str | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
    ) -> Answer[tax_pb2.TaxRate]:
        """As `TaxService.get_tax_rate`, with the request id, and whether the answer was replayed."""
        return await self._calls.answer(
            methods.TAX_GET_TAX_RATE,
            request_of(methods.TAX_GET_TAX_RATE, request, {"tax_rate_id": tax_rate_id}),
            Options(timeout, metadata),
        )

    async def list_tax_categories(
        self,
        request: tax_pb2.ListTaxCategoriesRequest | None = None,
        /,
        *,
        page_size: int | None = None,
        page_token: str | None = None,
        show_archived: bool | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
    ) -> Answer[tax_pb2.ListTaxCategoriesResponse]:
        """As `TaxService.list_tax_categories`, with the request id, and whether the answer was replayed."""
        return await self._calls.answer(
            methods.TAX_LIST_TAX_CATEGORIES,
            request_of(
                methods.TAX_LIST_TAX_CATEGORIES, request, {"page_size": page_size, "page_token": page_token, "show_archived": show_archived}
            ),
            Options(timeout, metadata),
        )

    async def list_tax_rates(
        self,
        request: tax_pb2.ListTaxRatesRequest | None = None,
        /,
        *,
        page_size: int | None = None,
        page_token: str | None = None,
        country_code: str | None = None,
        show_archived: bool | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
    ) -> Answer[tax_pb2.ListTaxRatesResponse]:
        """As `TaxService.list_tax_rates`, with the request id, and whether the answer was replayed."""
        return await self._calls.answer(
            methods.TAX_LIST_TAX_RATES,
            request_of(
                methods.TAX_LIST_TAX_RATES,
                request,
                {"page_size": page_size, "page_token": page_token, "country_code": country_code, "show_archived": show_archived},
            ),
            Options(timeout, metadata),
        )

    async def update_tax_category(
        self,
        request: tax_pb2.UpdateTaxCategoryRequest | None = None,
        /,
        *,
        tax_category: tax_pb2.TaxCategory | None = None,
        update_mask: field_mask_pb2.FieldMask | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
        idempotency_key: str | None = None,
        etag: str | None = None,
    ) -> Answer[tax_pb2.TaxCategory]:
        """As `TaxService.update_tax_category`, with the request id, and whether the answer was replayed."""
        return await self._calls.answer(
            methods.TAX_UPDATE_TAX_CATEGORY,
            request_of(methods.TAX_UPDATE_TAX_CATEGORY, request, {"tax_category": tax_category, "update_mask": update_mask}),
            Options(timeout, metadata, idempotency_key, etag=etag),
        )

    async def update_tax_rate(
        self,
        request: tax_pb2.UpdateTaxRateRequest | None = None,
        /,
        *,
        tax_rate: tax_pb2.TaxRate | None = None,
        update_mask: field_mask_pb2.FieldMask | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
        idempotency_key: str | None = None,
        etag: str | None = None,
    ) -> Answer[tax_pb2.TaxRate]:
        """As `TaxService.update_tax_rate`, with the request id, and whether the answer was replayed."""
        return await self._calls.answer(
            methods.TAX_UPDATE_TAX_RATE,
            request_of(methods.TAX_UPDATE_TAX_RATE, request, {"tax_rate": tax_rate, "update_mask": update_mask}),
            Options(timeout, metadata, idempotency_key, etag=etag),
        )


class UserService:
    """Accounts: the caller's own with its addresses, and those of others for administrators.

    Every RPC can also answer DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED OVERLOADED and UNAVAILABLE DATABASE_UNAVAILABLE; the last two
    carry a RetryInfo. ABORTED CONFLICT, with a RetryInfo too, means that concurrent calls held locks that the call needed; it
    changed nothing.
    """

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    async def create_address(
        self,
        request: user_pb2.CreateAddressRequest | None = None,
        /,
        *,
        address: user_pb2.Address | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
        idempotency_key: str | None = None,
    ) -> user_pb2.Address:
        """Add an address to those of the caller.

        An account has 50 at most. The first one becomes the default, whatever the request says.

        Errors: INVALID_ARGUMENT INVALID_FIELD, UNAUTHENTICATED TOKEN_INVALID, FAILED_PRECONDITION ADDRESS_LIMIT (its ErrorInfo
        has the `limit`).

        Args:
            address: The address; the server gives it id, etag and times, and ignores those of the request.
        """
        return await self._calls.message(
            methods.USER_CREATE_ADDRESS,
            request_of(methods.USER_CREATE_ADDRESS, request, {"address": address}),
            Options(timeout, metadata, idempotency_key),
        )

    async def delete_address(
        self,
        request: user_pb2.DeleteAddressRequest | None = None,
        /,
        *,
        address_id: str | None = None,
        etag: str | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
        idempotency_key: str | None = None,
    ) -> user_pb2.Address:
        """Delete an address of the caller.

        Returns it as it was. If it was the default, the account has none until another one is made so.

        Errors: INVALID_ARGUMENT INVALID_FIELD, UNAUTHENTICATED TOKEN_INVALID, NOT_FOUND ADDRESS_NOT_FOUND (also for an address of
        another account), ABORTED ETAG_MISMATCH.

        Args:
            address_id: UUID.
            etag: Delete only if the address still has this etag.
        """
        return await self._calls.message(
            methods.USER_DELETE_ADDRESS,
            request_of(methods.USER_DELETE_ADDRESS, request, {"address_id": address_id, "etag": etag}),
            Options(timeout, metadata, idempotency_key),
        )

    async def get_address(
        self,
        request: user_pb2.GetAddressRequest | None = None,
        /,
        *,
        address_id: str | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
    ) -> user_pb2.Address:
        """Return an address of the caller.

        Errors: INVALID_ARGUMENT INVALID_FIELD, UNAUTHENTICATED TOKEN_INVALID, NOT_FOUND ADDRESS_NOT_FOUND (also for an address of
        another account).

        Args:
            address_id: UUID.
        """
        return await self._calls.message(
            methods.USER_GET_ADDRESS, request_of(methods.USER_GET_ADDRESS, request, {"address_id": address_id}), Options(timeout, metadata)
        )

    async def get_admin_only(
        self, request: user_pb2.GetAdminOnlyRequest | None = None, /, *, timeout: float | None = None, metadata: Metadata = ()
    ) -> user_pb2.GetAdminOnlyResponse:
        """Greet an administrator: the smallest example of a route for admins only.

        Errors: UNAUTHENTICATED TOKEN_INVALID, PERMISSION_DENIED ADMIN_ONLY.
        """
        return await self._calls.message(
            methods.USER_GET_ADMIN_ONLY, request_of(methods.USER_GET_ADMIN_ONLY, request, {}), Options(timeout, metadata)
        )

    async def get_me(
        self, request: user_pb2.GetMeRequest | None = None, /, *, timeout: float | None = None, metadata: Metadata = ()
    ) -> user_pb2.User:
        """Return the caller's account.

        Errors: UNAUTHENTICATED TOKEN_INVALID (also when the account is gone).
        """
        return await self._calls.message(methods.USER_GET_ME, request_of(methods.USER_GET_ME, request, {}), Options(timeout, metadata))

    async def get_user(
        self,
        request: user_pb2.GetUserRequest | None = None,
        /,
        *,
        user_id: str | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
    ) -> user_pb2.User:
        """Return an account.

        Errors: INVALID_ARGUMENT INVALID_FIELD, UNAUTHENTICATED TOKEN_INVALID, PERMISSION_DENIED ADMIN_ONLY, NOT_FOUND
        USER_NOT_FOUND.

        Args:
            user_id: UUID of the account.
        """
        return await self._calls.message(
            methods.USER_GET_USER, request_of(methods.USER_GET_USER, request, {"user_id": user_id}), Options(timeout, metadata)
        )

    def list_addresses(
        self,
        request: user_pb2.ListAddressesRequest | None = None,
        /,
        *,
        page_size: int | None = None,
        page_token: str | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
    ) -> AsyncPager[user_pb2.ListAddressesResponse, user_pb2.Address]:
        """List the addresses of the caller, the newest first.

        Errors: INVALID_ARGUMENT INVALID_FIELD or PAGE_TOKEN_INVALID, UNAUTHENTICATED TOKEN_INVALID.

        Args:
            page_size: Addresses a page: 0 means 20, above 100 means 100.
            page_token: `next_page_token` of the page before.
        """
        return AsyncPager(
            self._calls,
            methods.USER_LIST_ADDRESSES,
            request_of(methods.USER_LIST_ADDRESSES, request, {"page_size": page_size, "page_token": page_token}),
            Options(timeout, metadata),
        )

    def list_users(
        self,
        request: user_pb2.ListUsersRequest | None = None,
        /,
        *,
        page_size: int | None = None,
        page_token: str | None = None,
        q: str | None = None,
        role: user_pb2.Role.ValueType | None = None,
        disabled: bool | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
    ) -> AsyncPager[user_pb2.ListUsersResponse, user_pb2.User]:
        """List accounts, the newest first.

        Errors: INVALID_ARGUMENT INVALID_FIELD or PAGE_TOKEN_INVALID, UNAUTHENTICATED TOKEN_INVALID, PERMISSION_DENIED ADMIN_ONLY.

        Args:
            page_size: Accounts a page: 0 means 20, above 100 means 100.
            page_token: `next_page_token` of the page before.
            q: Part of the e-mail address or of the name, without regard to case and accents; at most 200 characters. Fewer
                than three are slow to find where they are rare.
            role: Only accounts of this role; unspecified means any.
            disabled: Only accounts that are disabled (true), or that are not (false); absent means both.
        """
        return AsyncPager(
            self._calls,
            methods.USER_LIST_USERS,
            request_of(
                methods.USER_LIST_USERS,
                request,
                {"page_size": page_size, "page_token": page_token, "q": q, "role": role, "disabled": disabled},
            ),
            Options(timeout, metadata),
        )

    async def update_address(
        self,
        request: user_pb2.UpdateAddressRequest | None = None,
        /,
        *,
        address: user_pb2.Address | None = None,
        update_mask: field_mask_pb2.FieldMask | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
        idempotency_key: str | None = None,
        etag: str | None = None,
    ) -> user_pb2.Address:
        """Change an address of the caller (AIP-134).

        With `update_mask` exactly its fields; without one, PATCH and gRPC change the populated fields, and PUT replaces all of
        them. The postal address is one field: it is replaced as a whole.

        The address that becomes the default takes that place from the one that was, in the same moment. An account may have no
        default.

        Errors: INVALID_ARGUMENT INVALID_FIELD, UNAUTHENTICATED TOKEN_INVALID, NOT_FOUND ADDRESS_NOT_FOUND (also for an address of
        another account), ABORTED ETAG_MISMATCH (the address changed since `address.etag` was read).

        Args:
            address: The address: its id, its new values, and an etag to refuse an update of something newer.
            update_mask: Fields to change: postal_address, is_default, or `*` for both.
        """
        return await self._calls.message(
            methods.USER_UPDATE_ADDRESS,
            request_of(methods.USER_UPDATE_ADDRESS, request, {"address": address, "update_mask": update_mask}),
            Options(timeout, metadata, idempotency_key, etag=etag),
        )

    async def update_me(
        self,
        request: user_pb2.UpdateMeRequest | None = None,
        /,
        *,
        full_name: str | None = None,
        update_mask: field_mask_pb2.FieldMask | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
        idempotency_key: str | None = None,
    ) -> user_pb2.User:
        """Change the caller's account (AIP-134): with `update_mask` exactly its fields, without one those that are present.

        Errors: INVALID_ARGUMENT INVALID_FIELD, UNAUTHENTICATED TOKEN_INVALID.

        Args:
            full_name: New name, at most 200 characters; empty, or absent from a mask that names it, removes it.
            update_mask: Fields to change: full_name, or `*` for all of them.
        """
        return await self._calls.message(
            methods.USER_UPDATE_ME,
            request_of(methods.USER_UPDATE_ME, request, {"full_name": full_name, "update_mask": update_mask}),
            Options(timeout, metadata, idempotency_key),
        )

    async def update_user(
        self,
        request: user_pb2.UpdateUserRequest | None = None,
        /,
        *,
        user_id: str | None = None,
        role: user_pb2.Role.ValueType | None = None,
        disabled: bool | None = None,
        update_mask: field_mask_pb2.FieldMask | None = None,
        tax_treatment: user_pb2.TaxTreatment.ValueType | None = None,
        tax_number: str | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
        idempotency_key: str | None = None,
    ) -> user_pb2.User:
        """Change role, state and taxes of an account (AIP-134): with `update_mask` exactly its fields, without one those that are
        present.

        Disabling an account ends its sessions.

        One administrator who is not disabled always remains, also when several demote or disable each other at once.

        Errors: INVALID_ARGUMENT INVALID_FIELD, UNAUTHENTICATED TOKEN_INVALID, PERMISSION_DENIED ADMIN_ONLY, NOT_FOUND
        USER_NOT_FOUND, FAILED_PRECONDITION LAST_ADMIN, GUEST_ROLE or ACCOUNT_ERASED.

        Args:
            user_id: UUID of the account.
            role: New role of the account; required if `update_mask` names it.
            disabled: Whether the account is disabled: true ends its sessions, false lets it log in again. Absent means false
                if `update_mask` names it.
            update_mask: Fields to change: role, disabled, tax_treatment, tax_number, or `*` for all of them.
            tax_treatment: How its orders are taxed from now on; required if `update_mask` names it. With `*`, absent leaves
                it unchanged.
            tax_number: Only with `tax_treatment`, and written with it. Reverse charge needs a VAT number of the European
                Union, such as DE136695976; its form and check digits are checked. TAX_TREATMENT_EXEMPT needs a number of 1 to 50
                visible characters; TAX_TREATMENT_NORMAL has none.
        """
        return await self._calls.message(
            methods.USER_UPDATE_USER,
            request_of(
                methods.USER_UPDATE_USER,
                request,
                {
                    "user_id": user_id,
                    "role": role,
                    "disabled": disabled,
                    "update_mask": update_mask,
                    "tax_treatment": tax_treatment,
                    "tax_number": tax_number,
                },
            ),
            Options(timeout, metadata, idempotency_key),
        )


class UserAnswers:
    """UserService, whose methods return an `Answer`; those of lists return one page."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    async def create_address(
        self,
        request: user_pb2.CreateAddressRequest | None = None,
        /,
        *,
        address: user_pb2.Address | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
        idempotency_key: str | None = None,
    ) -> Answer[user_pb2.Address]:
        """As `UserService.create_address`, with the request id, and whether the answer was replayed."""
        return await self._calls.answer(
            methods.USER_CREATE_ADDRESS,
            request_of(methods.USER_CREATE_ADDRESS, request, {"address": address}),
            Options(timeout, metadata, idempotency_key),
        )

    async def delete_address(
        self,
        request: user_pb2.DeleteAddressRequest | None = None,
        /,
        *,
        address_id: str | None = None,
        etag: str | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
        idempotency_key: str | None = None,
    ) -> Answer[user_pb2.Address]:
        """As `UserService.delete_address`, with the request id, and whether the answer was replayed."""
        return await self._calls.answer(
            methods.USER_DELETE_ADDRESS,
            request_of(methods.USER_DELETE_ADDRESS, request, {"address_id": address_id, "etag": etag}),
            Options(timeout, metadata, idempotency_key),
        )

    async def get_address(
        self,
        request: user_pb2.GetAddressRequest | None = None,
        /,
        *,
        address_id: str | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
    ) -> Answer[user_pb2.Address]:
        """As `UserService.get_address`, with the request id, and whether the answer was replayed."""
        return await self._calls.answer(
            methods.USER_GET_ADDRESS, request_of(methods.USER_GET_ADDRESS, request, {"address_id": address_id}), Options(timeout, metadata)
        )

    async def get_admin_only(
        self, request: user_pb2.GetAdminOnlyRequest | None = None, /, *, timeout: float | None = None, metadata: Metadata = ()
    ) -> Answer[user_pb2.GetAdminOnlyResponse]:
        """As `UserService.get_admin_only`, with the request id, and whether the answer was replayed."""
        return await self._calls.answer(
            methods.USER_GET_ADMIN_ONLY, request_of(methods.USER_GET_ADMIN_ONLY, request, {}), Options(timeout, metadata)
        )

    async def get_me(
        self, request: user_pb2.GetMeRequest | None = None, /, *, timeout: float | None = None, metadata: Metadata = ()
    ) -> Answer[user_pb2.User]:
        """As `UserService.get_me`, with the request id, and whether the answer was replayed."""
        return await self._calls.answer(methods.USER_GET_ME, request_of(methods.USER_GET_ME, request, {}), Options(timeout, metadata))

    async def get_user(
        self,
        request: user_pb2.GetUserRequest | None = None,
        /,
        *,
        user_id: str | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
    ) -> Answer[user_pb2.User]:
        """As `UserService.get_user`, with the request id, and whether the answer was replayed."""
        return await self._calls.answer(
            methods.USER_GET_USER, request_of(methods.USER_GET_USER, request, {"user_id": user_id}), Options(timeout, metadata)
        )

    async def list_addresses(
        self,
        request: user_pb2.ListAddressesRequest | None = None,
        /,
        *,
        page_size: int | None = None,
        page_token: str | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
    ) -> Answer[user_pb2.ListAddressesResponse]:
        """As `UserService.list_addresses`, with the request id, and whether the answer was replayed."""
        return await self._calls.answer(
            methods.USER_LIST_ADDRESSES,
            request_of(methods.USER_LIST_ADDRESSES, request, {"page_size": page_size, "page_token": page_token}),
            Options(timeout, metadata),
        )

    async def list_users(
        self,
        request: user_pb2.ListUsersRequest | None = None,
        /,
        *,
        page_size: int | None = None,
        page_token: str | None = None,
        q: str | None = None,
        role: user_pb2.Role.ValueType | None = None,
        disabled: bool | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
    ) -> Answer[user_pb2.ListUsersResponse]:
        """As `UserService.list_users`, with the request id, and whether the answer was replayed."""
        return await self._calls.answer(
            methods.USER_LIST_USERS,
            request_of(
                methods.USER_LIST_USERS,
                request,
                {"page_size": page_size, "page_token": page_token, "q": q, "role": role, "disabled": disabled},
            ),
            Options(timeout, metadata),
        )

    async def update_address(
        self,
        request: user_pb2.UpdateAddressRequest | None = None,
        /,
        *,
        address: user_pb2.Address | None = None,
        update_mask: field_mask_pb2.FieldMask | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
        idempotency_key: str | None = None,
        etag: str | None = None,
    ) -> Answer[user_pb2.Address]:
        """As `UserService.update_address`, with the request id, and whether the answer was replayed."""
        return await self._calls.answer(
            methods.USER_UPDATE_ADDRESS,
            request_of(methods.USER_UPDATE_ADDRESS, request, {"address": address, "update_mask": update_mask}),
            Options(timeout, metadata, idempotency_key, etag=etag),
        )

    async def update_me(
        self,
        request: user_pb2.UpdateMeRequest | None = None,
        /,
        *,
        full_name: str | None = None,
        update_mask: field_mask_pb2.FieldMask | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
        idempotency_key: str | None = None,
    ) -> Answer[user_pb2.User]:
        """As `UserService.update_me`, with the request id, and whether the answer was replayed."""
        return await self._calls.answer(
            methods.USER_UPDATE_ME,
            request_of(methods.USER_UPDATE_ME, request, {"full_name": full_name, "update_mask": update_mask}),
            Options(timeout, metadata, idempotency_key),
        )

    async def update_user(
        self,
        request: user_pb2.UpdateUserRequest | None = None,
        /,
        *,
        user_id: str | None = None,
        role: user_pb2.Role.ValueType | None = None,
        disabled: bool | None = None,
        update_mask: field_mask_pb2.FieldMask | None = None,
        tax_treatment: user_pb2.TaxTreatment.ValueType | None = None,
        tax_number: str | None = None,
        timeout: float | None = None,
        metadata: Metadata = (),
        idempotency_key: str | None = None,
    ) -> Answer[user_pb2.User]:
        """As `UserService.update_user`, with the request id, and whether the answer was replayed."""
        return await self._calls.answer(
            methods.USER_UPDATE_USER,
            request_of(
                methods.USER_UPDATE_USER,
                request,
                {
                    "user_id": user_id,
                    "role": role,
                    "disabled": disabled,
                    "update_mask": update_mask,
                    "tax_treatment": tax_treatment,
                    "tax_number": tax_number,
                },
            ),
            Options(timeout, metadata, idempotency_key),
        )


class Services:
    """Every service of a shop."""

    def __init__(self, calls: Calls) -> None:
        self.auth = AuthService(calls)
        self.users = UserService(calls)
        self.audit = AuditService(calls)
        self.catalog = CatalogService(calls)
        self.media = MediaService(calls)
        self.cart = CartService(calls)
        self.orders = OrderService(calls)
        self.fulfillment = FulfillmentService(calls)
        self.shipping = ShippingService(calls)
        self.promotions = PromotionService(calls)
        self.shop = ShopService(calls)
        self.taxes = TaxService(calls)
        self.payments = PaymentService(calls)


class Answers:
    """Every service of a shop; its methods return an `Answer`."""

    def __init__(self, calls: Calls) -> None:
        self.auth = AuthAnswers(calls)
        self.users = UserAnswers(calls)
        self.audit = AuditAnswers(calls)
        self.catalog = CatalogAnswers(calls)
        self.media = MediaAnswers(calls)
        self.cart = CartAnswers(calls)
        self.orders = OrderAnswers(calls)
        self.fulfillment = FulfillmentAnswers(calls)
        self.shipping = ShippingAnswers(calls)
        self.promotions = PromotionAnswers(calls)
        self.shop = ShopAnswers(calls)
        self.taxes = TaxAnswers(calls)
        self.payments = PaymentAnswers(calls)
