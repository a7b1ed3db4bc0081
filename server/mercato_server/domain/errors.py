"""The refusals of calls: one class for each kind of failure that a caller can act on.

Each class has one gRPC code and one reason (AIP-193). Clients receive any other exception as INTERNAL.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import ClassVar
from uuid import UUID


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
    """An invalid field of a request; the description says how to correct it."""

    field: str
    description: str


@dataclass(frozen=True, slots=True)
class Shortage:
    """A product of which a call requests more units than are available."""

    product_id: UUID
    product_name: str
    wanted: int
    available: int


class MercatoError(Exception):
    """A refusal that the caller can act on."""

    code: ClassVar[Code]
    reason: ClassVar[str]
    retry_after_s: float = 1.0
    """Delay that the server advises, for the codes whose errors carry a RetryInfo."""
    resource_type: ClassVar[str] = ""

    def __init__(self, message: str, *, resource: str = "", metadata: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.resource = resource
        self.metadata = dict(metadata or {})


class InvalidRequest(MercatoError):
    """The request breaks the contract; lists every violation."""

    code, reason = Code.INVALID_ARGUMENT, "INVALID_FIELD"

    def __init__(self, violations: Sequence[Violation]) -> None:
        super().__init__("; ".join(f"{v.field}: {v.description}" if v.field else v.description for v in violations))
        self.violations = tuple(violations)


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


class TokenInvalid(MercatoError):
    """The access token is missing, malformed, expired or for an unknown account."""

    code, reason = Code.UNAUTHENTICATED, "TOKEN_INVALID"


class InvalidCredentials(MercatoError):
    """E-mail address or password is wrong; the error does not reveal which."""

    code, reason = Code.UNAUTHENTICATED, "INVALID_CREDENTIALS"

    def __init__(self) -> None:
        super().__init__("e-mail or password is wrong")


class RefreshTokenInvalid(MercatoError):
    """The refresh token is unknown, used, or of a session that has ended; the error does not reveal which."""

    code, reason = Code.UNAUTHENTICATED, "REFRESH_TOKEN_INVALID"

    def __init__(self) -> None:
        super().__init__("the refresh token is no longer valid; log in again")


class PasswordWrong(MercatoError):
    """The current password in the request is wrong. The code is not UNAUTHENTICATED, because the token of the call is valid."""

    code, reason = Code.PERMISSION_DENIED, "PASSWORD_WRONG"

    def __init__(self) -> None:
        super().__init__("the current password is wrong")


class TooManyAttempts(MercatoError):
    """Too many logins with this e-mail address have failed; the caller must wait before the next one."""

    code, reason = Code.RESOURCE_EXHAUSTED, "TOO_MANY_ATTEMPTS"

    def __init__(self, retry_after_s: float) -> None:
        super().__init__("too many failed logins; wait before the next attempt")
        self.retry_after_s = retry_after_s


class OneTimeTokenInvalid(MercatoError):
    """The token of a mail is unknown, used, expired or replaced by a newer one; the error does not reveal which."""

    code, reason = Code.FAILED_PRECONDITION, "ONE_TIME_TOKEN_INVALID"

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

    def __init__(self) -> None:
        super().__init__("only administrators may do this")


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
        names = ", ".join(map(str, ids))
        super().__init__(f"{self.noun} {names} does not exist", resource=names)


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
        super().__init__(f"a product with the SKU {sku!r} exists", resource=sku)


class CategoryTaken(MercatoError):
    """A category of this name exists."""

    code, reason, resource_type = Code.ALREADY_EXISTS, "CATEGORY_TAKEN", "mercato.v1.Category"

    def __init__(self, name: str) -> None:
        super().__init__(f"a category named {name!r} exists", resource=name)


class CategoryInUse(MercatoError):
    """Products on sale belong to the category."""

    code, reason = Code.FAILED_PRECONDITION, "CATEGORY_IN_USE"


class ProductNotDeleted(MercatoError):
    """Only a deleted product can be undeleted."""

    code, reason = Code.FAILED_PRECONDITION, "PRODUCT_NOT_DELETED"


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
        super().__init__(
            "not enough stock: " + ", ".join(f"{s.product_name} (wanted {s.wanted}, available {s.available})" for s in shortages)
        )
        self.shortages = tuple(shortages)


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
        super().__init__(f"the {noun} changed since it was read; read it again", metadata={"expected_etag": expected, "etag": current})


class TotalChanged(MercatoError):
    """The total of the cart differs from the one that the caller expects."""

    code, reason = Code.ABORTED, "TOTAL_CHANGED"

    def __init__(self, expected_minor: int, total_minor: int) -> None:
        super().__init__(
            f"the total is {total_minor} minor units, not {expected_minor}",
            metadata={"expected_total": str(expected_minor), "total": str(total_minor)},
        )


class Conflict(MercatoError):
    """Concurrent calls hold locks that the call needs. It changed nothing, and the caller can repeat it."""

    code, reason, retry_after_s = Code.ABORTED, "CONFLICT", 0.1


class Overloaded(MercatoError):
    """The server sheds load: it rejects the call before any work."""

    code, reason = Code.RESOURCE_EXHAUSTED, "OVERLOADED"


class DatabaseUnavailable(MercatoError):
    """The database cannot be reached."""

    code, reason = Code.UNAVAILABLE, "DATABASE_UNAVAILABLE"

    def __init__(self) -> None:
        super().__init__("the database cannot be reached at the moment")


class DeadlineExceeded(MercatoError):
    """The deadline of the call has passed."""

    code, reason = Code.DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED"

    def __init__(self) -> None:
        super().__init__("the deadline passed before the call was complete")
