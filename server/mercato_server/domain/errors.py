"""The refusals of calls: one class for each kind of failure that a caller can act on.

Each class has one gRPC code and one reason (AIP-193). Clients receive any other exception as INTERNAL.

A message is a template and its values. The metadata of an error holds all values of its message (AIP-193), because both come from the same
arguments. So no caller puts a value into the text of a template; a test refuses it.
"""

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import ClassVar
from uuid import UUID

from mercato_server.domain.messages import LISTED_MAX, Value, listed, written


class Code(Enum):
    """The kind of a refusal, named as in google.rpc.Code."""

    ABORTED = auto()
    ALREADY_EXISTS = auto()
    DEADLINE_EXCEEDED = auto()
    FAILED_PRECONDITION = auto()
    INTERNAL = auto()
    INVALID_ARGUMENT = auto()
    NOT_FOUND = auto()
    PERMISSION_DENIED = auto()
    RESOURCE_EXHAUSTED = auto()
    UNAUTHENTICATED = auto()
    UNAVAILABLE = auto()


@dataclass(frozen=True, slots=True)
class Violation:
    """An invalid field of a request. The template and its values are the description, which says how to correct it."""

    field: str
    template: str
    values: Mapping[str, Value] = dataclasses.field(default_factory=dict)

    @property
    def description(self) -> str:
        """How to correct the field."""
        return written(self.template, self.values)

    @property
    def text(self) -> str:
        """The violation as it stands in a message."""
        return f"{self.field}: {self.description}" if self.field else self.description

    @property
    def variables(self) -> dict[str, Value]:
        """The values of the text."""
        return {"field": self.field, **self.values} if self.field else {**self.values}


@dataclass(frozen=True, slots=True)
class Shortage:
    """A product of which a call requests more units than are available."""

    product_id: UUID
    product_name: str
    wanted: int
    available: int

    @property
    def text(self) -> str:
        """The shortage as it stands in a message."""
        return f"{self.product_name} (wanted {self.wanted}, available {self.available})"

    @property
    def variables(self) -> dict[str, Value]:
        """The values of the text."""
        return {"product_name": self.product_name, "wanted": self.wanted, "available": self.available}


class MercatoError(Exception):
    """A refusal that the caller can act on.

    The message is the template with its values, as str.format writes them. The metadata holds the values, and may hold more.
    """

    code: ClassVar[Code]
    reason: ClassVar[str]
    retry_after_s: float | None = None
    """Delay after which the same request may succeed; None if a retry cannot help, because the caller must change something first."""
    resource_type: ClassVar[str] = ""
    security_event: str = ""
    """The reason under which the security log has the refusal; empty if that log does not have it."""
    account_id: UUID | None = None
    """The account that the refusal concerns, for the security log only; None if no token or the call's own tells it."""

    def __init__(self, template: str, *, resource: str = "", **values: Value) -> None:
        self.message = written(template, values)
        super().__init__(self.message)
        self.resource = resource
        self.metadata = {name: str(value) for name, value in values.items()}


class InvalidRequest(MercatoError):
    """The request breaks the contract; lists every violation."""

    code, reason = Code.INVALID_ARGUMENT, "INVALID_FIELD"

    def __init__(self, violations: Sequence[Violation], *, resource: str = "") -> None:
        text, values = listed(violations, "; ")
        super().__init__(text, resource=resource)
        self.metadata |= values
        self.violations = tuple(violations)


class MalformedRequest(InvalidRequest):
    """The request cannot be parsed."""

    reason = "MALFORMED_REQUEST"

    def __init__(self, template: str, **values: Value) -> None:
        super().__init__([Violation("", f"malformed request: {template}", values)])


class RequestTooLarge(MercatoError):
    """The request has more bytes than its RPC takes."""

    code, reason = Code.RESOURCE_EXHAUSTED, "REQUEST_TOO_LARGE"

    def __init__(self, length: int, limit: int) -> None:
        super().__init__("the request has {length} bytes; this RPC takes {limit} bytes at most", length=length, limit=limit)


class ResponseTooLarge(InvalidRequest):
    """The request asks for more bytes than a response has."""

    reason = "RESPONSE_TOO_LARGE"

    def __init__(self, field: str, length: int, limit: int) -> None:
        values = {"length": length, "limit": limit}
        super().__init__([Violation(field, "the response would have {length} bytes, and has {limit} at most; ask for less", values)])


class PageTokenInvalid(InvalidRequest):
    """The page token was not issued by this server, or belongs to another query."""

    reason = "PAGE_TOKEN_INVALID"

    def __init__(self) -> None:
        super().__init__([Violation("page_token", "is not a token of this list with these arguments; start again without one")])


class IdempotencyKeyReused(InvalidRequest):
    """The key belongs to an earlier, different request."""

    reason = "IDEMPOTENCY_KEY_REUSED"

    def __init__(self) -> None:
        super().__init__([Violation("idempotency-key", "was used for another request; take a new key")])


class TooManyKeys(MercatoError):
    """The account has as many stored idempotency keys as it may have. Each expires a day after its first use."""

    code, reason = Code.RESOURCE_EXHAUSTED, "TOO_MANY_KEYS"

    def __init__(self, live_max: int) -> None:
        super().__init__(
            "{limit} idempotency keys of the last 24 hours are stored; repeat a call with its first key, or send fewer new ones",
            limit=live_max,
        )


class TokenInvalid(MercatoError):
    """The access token is missing, malformed, expired or for an unknown account."""

    code, reason = Code.UNAUTHENTICATED, "TOKEN_INVALID"

    def __init__(self, message: str, *, security_event: str = reason) -> None:
        super().__init__(message)
        self.security_event = security_event


class InvalidCredentials(MercatoError):
    """E-mail address or password is wrong; the error does not reveal which."""

    code, reason = Code.UNAUTHENTICATED, "INVALID_CREDENTIALS"
    security_event = reason

    def __init__(self) -> None:
        super().__init__("e-mail or password is wrong")


class RefreshTokenInvalid(MercatoError):
    """The refresh token is unknown, used, or of a session that has ended; the error does not reveal which."""

    code, reason = Code.UNAUTHENTICATED, "REFRESH_TOKEN_INVALID"
    security_event = reason

    def __init__(self, account_id: UUID | None = None, *, reused: bool = False) -> None:
        super().__init__("the refresh token is no longer valid; log in again")
        self.account_id = account_id
        if reused:
            self.security_event = "REFRESH_TOKEN_REUSED"


class PasswordWrong(MercatoError):
    """The current password in the request is wrong. The code is not UNAUTHENTICATED, because the token of the call is valid."""

    code, reason = Code.PERMISSION_DENIED, "PASSWORD_WRONG"
    security_event = reason

    def __init__(self) -> None:
        super().__init__("the current password is wrong")


class TooManyAttempts(MercatoError):
    """Too many logins with this e-mail address have failed; the caller must wait before the next one."""

    code, reason = Code.RESOURCE_EXHAUSTED, "TOO_MANY_ATTEMPTS"
    security_event = reason

    def __init__(self, retry_after_s: float) -> None:
        super().__init__("too many failed logins; wait before the next attempt")
        self.retry_after_s = retry_after_s


class OneTimeTokenInvalid(MercatoError):
    """The token of a mail is unknown, used, expired or replaced by a newer one; the error does not reveal which."""

    code, reason = Code.FAILED_PRECONDITION, "ONE_TIME_TOKEN_INVALID"
    security_event = reason

    def __init__(self) -> None:
        super().__init__("the token of this mail is no longer valid; request a new one")


class TooManyMails(MercatoError):
    """Callers have requested more mails of one kind to an address than the limit for an hour."""

    code, reason = Code.RESOURCE_EXHAUSTED, "TOO_MANY_MAILS"

    def __init__(self, retry_after_s: float) -> None:
        super().__init__("too many mails were requested; use the last one, or wait")
        self.retry_after_s = retry_after_s


class AdminOnly(MercatoError):
    """Only administrators may make the call."""

    code, reason = Code.PERMISSION_DENIED, "ADMIN_ONLY"
    security_event = reason

    def __init__(self) -> None:
        super().__init__("only administrators may do this")


class AccountRequired(MercatoError):
    """A guest has made a call that needs an account."""

    code, reason = Code.PERMISSION_DENIED, "ACCOUNT_REQUIRED"

    def __init__(self) -> None:
        super().__init__("a guest cannot do this; sign up or log in first")


class ContactRequired(MercatoError):
    """A guest has no contact e-mail address in the cart's header."""

    code, reason = Code.FAILED_PRECONDITION, "CONTACT_REQUIRED"

    def __init__(self) -> None:
        super().__init__("a guest needs a contact e-mail address; set contact_email of the cart's header")


class GuestRole(MercatoError):
    """Only a sign-up can change the role of a guest."""

    code, reason = Code.FAILED_PRECONDITION, "GUEST_ROLE"

    def __init__(self) -> None:
        super().__init__("the account is a guest's, without e-mail address and password; only a sign-up can give it another role")


class GuestsOff(MercatoError):
    """The shop makes no guests."""

    code, reason = Code.FAILED_PRECONDITION, "GUESTS_OFF"

    def __init__(self) -> None:
        super().__init__("this shop makes no guests now; sign up or log in")


class TooManyGuests(MercatoError):
    """A network has made as many guests in the last hour as it may."""

    code, reason = Code.RESOURCE_EXHAUSTED, "TOO_MANY_GUESTS"

    def __init__(self, guests_max: int, retry_after_s: float) -> None:
        super().__init__("{limit} guests were made from this network in the last hour; use one of them, or wait", limit=guests_max)
        self.retry_after_s = retry_after_s


class LastAdmin(MercatoError):
    """The change would leave the shop without an administrator."""

    code, reason = Code.FAILED_PRECONDITION, "LAST_ADMIN"

    def __init__(self) -> None:
        super().__init__("this is the last administrator; make another account an administrator first")


class NotFound(MercatoError):
    """A resource that the request names does not exist, or the caller may not see it."""

    code = Code.NOT_FOUND
    noun: ClassVar[str]

    def __init__(self, *ids: UUID) -> None:
        names, more = ", ".join(map(str, ids[:LISTED_MAX])), len(ids) - LISTED_MAX
        if more > 0:
            super().__init__(self.noun + " {ids} and {more} more do not exist", resource=names, ids=names, more=more)
        else:
            super().__init__(self.noun + " {ids} does not exist", resource=names, ids=names)


class ProductNotFound(NotFound):
    """No product with this id is on sale."""

    reason, resource_type, noun = "PRODUCT_NOT_FOUND", "mercato.v1.Product", "product"


class CategoryNotFound(NotFound):
    """No category has this id."""

    reason, resource_type, noun = "CATEGORY_NOT_FOUND", "mercato.v1.Category", "category"


class OrderNotFound(NotFound):
    """No order has this id, or the order belongs to another account."""

    reason, resource_type, noun = "ORDER_NOT_FOUND", "mercato.v1.Order", "order"


class UserNotFound(NotFound):
    """No account has this id."""

    reason, resource_type, noun = "USER_NOT_FOUND", "mercato.v1.User", "user"


class AddressNotFound(NotFound):
    """No address has this id, or the address belongs to another account."""

    reason, resource_type, noun = "ADDRESS_NOT_FOUND", "mercato.v1.Address", "address"


class HealthServiceUnknown(MercatoError):
    """A worker reports no health under this name."""

    code, reason, resource_type = Code.NOT_FOUND, "SERVICE_UNKNOWN", "grpc.health.v1.Health"

    def __init__(self, service: str) -> None:
        super().__init__("no health is reported under this name; List returns the names", resource=service)


class SessionNotFound(NotFound):
    """The account has no live session with this id."""

    reason, resource_type, noun = "SESSION_NOT_FOUND", "mercato.v1.Session", "session"


class EmailTaken(MercatoError):
    """An account with this e-mail address exists."""

    code, reason, resource_type = Code.ALREADY_EXISTS, "EMAIL_TAKEN", "mercato.v1.User"

    def __init__(self, email: str) -> None:
        super().__init__("an account with this e-mail address exists", resource=email)


class SkuTaken(MercatoError):
    """A product on sale has this SKU."""

    code, reason, resource_type = Code.ALREADY_EXISTS, "SKU_TAKEN", "mercato.v1.Product"

    def __init__(self, sku: str) -> None:
        super().__init__("a product with the SKU {sku!r} exists", resource=sku, sku=sku)


class CategoryTaken(MercatoError):
    """A category of this name exists."""

    code, reason, resource_type = Code.ALREADY_EXISTS, "CATEGORY_TAKEN", "mercato.v1.Category"

    def __init__(self, name: str) -> None:
        super().__init__("a category named {name!r} exists", resource=name, name=name)


class CategoryInUse(MercatoError):
    """Products on sale or subcategories belong to the category. Both are counted up to a limit."""

    code, reason = Code.FAILED_PRECONDITION, "CATEGORY_IN_USE"

    def __init__(self, products: int, subcategories: int) -> None:
        super().__init__(
            "{products} products on sale and {subcategories} subcategories belong to the category; move or delete them first",
            products=products,
            subcategories=subcategories,
        )


class ProductNotDeleted(MercatoError):
    """Only a deleted product can be undeleted."""

    code, reason = Code.FAILED_PRECONDITION, "PRODUCT_NOT_DELETED"


class AddressLimit(MercatoError):
    """The account has as many addresses as it may have."""

    code, reason = Code.FAILED_PRECONDITION, "ADDRESS_LIMIT"

    def __init__(self, addresses_max: int) -> None:
        super().__init__("an account may have {limit} addresses; change or delete one", limit=addresses_max)


class CartLimit(MercatoError):
    """The change would exceed the limits of a cart."""

    code, reason = Code.FAILED_PRECONDITION, "CART_LIMIT"


class CartEmpty(MercatoError):
    """The cart has no lines."""

    code, reason = Code.FAILED_PRECONDITION, "CART_EMPTY"

    def __init__(self) -> None:
        super().__init__("the cart is empty; add a product first")


class OutOfStock(MercatoError):
    """The stock is not sufficient; the error lists every line that cannot be served."""

    code, reason = Code.FAILED_PRECONDITION, "OUT_OF_STOCK"

    def __init__(self, shortages: Sequence[Shortage]) -> None:
        text, values = listed(shortages, ", ")
        super().__init__("not enough stock: " + text)
        self.metadata |= values
        self.shortages = tuple(shortages)


class UnitsLimit(MercatoError):
    """A line has more units than the shop sells of one product in one order."""

    code, reason = Code.FAILED_PRECONDITION, "UNITS_LIMIT"

    def __init__(self, product_names: Sequence[str], units_max: int) -> None:
        super().__init__(
            "an order may have {limit} units of a product; take fewer of: {product_names}",
            limit=units_max,
            product_names=", ".join(product_names),
        )


class OpenOrdersLimit(MercatoError):
    """The account, or the guests of a network together, have as many unpaid orders as they may have."""

    code, reason = Code.FAILED_PRECONDITION, "OPEN_ORDERS_LIMIT"

    def __init__(self, orders_max: int, *, of_network: bool = False) -> None:
        super().__init__(
            "{limit} orders of the guests of this network are not paid, the most that they may have; pay or cancel one first"
            if of_network
            else "{limit} orders of this account are not paid, the most that it may have; pay or cancel one first",
            limit=orders_max,
        )


class EmailNotVerified(MercatoError):
    """The shop sells only to accounts with a verified e-mail address."""

    code, reason = Code.FAILED_PRECONDITION, "EMAIL_NOT_VERIFIED"

    def __init__(self) -> None:
        super().__init__("this shop sells only to verified e-mail addresses; call RequestEmailVerification, then use the token of the mail")


class StockLimit(MercatoError):
    """The change would exceed the maximum stock of a product."""

    code, reason = Code.FAILED_PRECONDITION, "STOCK_LIMIT"


class OrderState(MercatoError):
    """The order's current state does not allow the requested transition."""

    code, reason = Code.FAILED_PRECONDITION, "ORDER_STATE"


class StockChanged(MercatoError):
    """The stock differs from the one that the caller expects."""

    code, reason = Code.ABORTED, "STOCK_CHANGED"


class EtagMismatch(MercatoError):
    """The resource changed since the caller read it."""

    code, reason = Code.ABORTED, "ETAG_MISMATCH"

    def __init__(self, noun: str, expected: str, current: str) -> None:
        super().__init__("the " + noun + " changed since it was read; read it again", expected_etag=expected, etag=current)


def require_etag(noun: str, expected: Collection[str], current: str) -> None:
    """Raise EtagMismatch if the caller read none of these versions of a resource; no version skips the check."""
    if expected and current not in expected:
        raise EtagMismatch(noun, ", ".join(expected), current)


class TotalChanged(MercatoError):
    """The total of the cart differs from the one that the caller expects."""

    code, reason = Code.ABORTED, "TOTAL_CHANGED"

    def __init__(self, expected_minor: int, total_minor: int) -> None:
        super().__init__("the total is {total} minor units, not {expected_total}", expected_total=expected_minor, total=total_minor)


class Conflict(MercatoError):
    """Concurrent calls hold locks that the call needs. It changed nothing, and the caller can repeat it."""

    code, reason, retry_after_s = Code.ABORTED, "CONFLICT", 0.1


class Overloaded(MercatoError):
    """The server sheds load: it rejects the call before any work."""

    code, reason, retry_after_s = Code.RESOURCE_EXHAUSTED, "OVERLOADED", 1.0


class TooManyCalls(MercatoError):
    """One client has as many calls in progress as it may have; others are still served."""

    code, reason, retry_after_s = Code.RESOURCE_EXHAUSTED, "TOO_MANY_CALLS", 1.0

    def __init__(self, most: int) -> None:
        super().__init__("this address has {most} calls in progress; wait until some have ended", most=most)


class TooManyStreams(MercatoError):
    """One client has as many streams of a kind as it may have: health watches and reflection together, and uploads."""

    code, reason, retry_after_s = Code.RESOURCE_EXHAUSTED, "TOO_MANY_STREAMS", 1.0

    def __init__(self, most: int) -> None:
        super().__init__("this address has {most} streams open; end one first", most=most)


class StreamIdle(MercatoError):
    """A client that streams a request has sent nothing for too long."""

    code, reason = Code.DEADLINE_EXCEEDED, "STREAM_IDLE"

    def __init__(self, seconds: float) -> None:
        super().__init__("nothing has come for {seconds} s; send the rest without pauses", seconds=f"{seconds:g}")


class StreamTooLong(MercatoError):
    """A stream has had as many messages as it may have; the client opens another."""

    code, reason = Code.RESOURCE_EXHAUSTED, "STREAM_TOO_LONG"

    def __init__(self, most: int) -> None:
        super().__init__("a stream takes {most} requests; open another", most=most)


class DatabaseUnavailable(MercatoError):
    """The database cannot be reached."""

    code, reason, retry_after_s = Code.UNAVAILABLE, "DATABASE_UNAVAILABLE", 1.0

    def __init__(self) -> None:
        super().__init__("the database cannot be reached at the moment")


class HashingUnavailable(MercatoError):
    """The process that hashes passwords has ended and is being started again."""

    code, reason, retry_after_s = Code.UNAVAILABLE, "HASHING_UNAVAILABLE", 1.0

    def __init__(self) -> None:
        super().__init__("passwords cannot be checked at the moment")


class DeadlineExceeded(MercatoError):
    """The deadline of the call has passed."""

    code, reason = Code.DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED"

    def __init__(self) -> None:
        super().__init__("the deadline passed before the call was complete")
