"""The errors of calls: a class for each gRPC code, and below it one for each reason. Generated from protos/; never edited.

An error of a reason that this release does not know is of the class of its code. `mercato.reasons` has what each reason means as data.
"""

from collections.abc import Sequence
from typing import Any

from mercato._call_errors import DOMAIN, CallError, ClientClosed, ConnectionFailed, Failure, status_of, values
from mercato._code_errors import (
    CODES,
    Aborted,
    AlreadyExists,
    Cancelled,
    DataLoss,
    DeadlineExceeded,
    FailedPrecondition,
    Internal,
    InvalidArgument,
    NotFound,
    OutOfRange,
    PermissionDenied,
    ResourceExhausted,
    Unauthenticated,
    Unavailable,
    Unimplemented,
    Unknown,
    Violation,
)
from mercato._root_error import MercatoError
from mercato.sessions import SessionStoreError
from mercato.v1 import cart_pb2, order_pb2, price_pb2

__all__ = [
    "DOMAIN",
    "Aborted",
    "AccountErased",
    "AccountRequired",
    "AddressLimit",
    "AddressNotFound",
    "AddressRequired",
    "AdminOnly",
    "AlreadyExists",
    "CallError",
    "Cancelled",
    "CartEmpty",
    "CartLimit",
    "CategoryCycle",
    "CategoryInUse",
    "CategoryLimit",
    "CategoryNotFound",
    "CategoryTaken",
    "ClientClosed",
    "Conflict",
    "ConnectionFailed",
    "ContactRequired",
    "DataLoss",
    "DatabaseUnavailable",
    "DeadlineExceeded",
    "EmailNotVerified",
    "EmailTaken",
    "EtagMismatch",
    "FailedPrecondition",
    "GroupCodeTaken",
    "GroupFull",
    "GroupInUse",
    "GroupNotFound",
    "GuestRole",
    "GuestsOff",
    "HashingUnavailable",
    "HeadersTooLarge",
    "HttpVersion",
    "IdempotencyKeyReused",
    "Internal",
    "InvalidArgument",
    "InvalidCredentials",
    "InvalidField",
    "LastAdmin",
    "MalformedRequest",
    "MercatoError",
    "MethodNotAllowed",
    "NotFound",
    "OneTimeTokenInvalid",
    "OpenOrdersLimit",
    "OptionsOutdated",
    "OptionsTaken",
    "OrderNotFound",
    "OrderNoteLimit",
    "OrderState",
    "OrdersUnfinished",
    "OutOfRange",
    "OutOfStock",
    "Overloaded",
    "PageTokenInvalid",
    "PasswordWrong",
    "PaymentAmount",
    "PaymentEventNotFound",
    "PaymentNotFound",
    "PaymentProviderUnavailable",
    "PaymentState",
    "PaymentsPaused",
    "PermissionDenied",
    "PictureNotFound",
    "PictureUploadAbsent",
    "PictureUploadElsewhere",
    "PictureUploadNotFound",
    "PictureUploadState",
    "PicturesLimit",
    "PicturesOff",
    "PicturesUnavailable",
    "ProductNotDeleted",
    "ProductNotFound",
    "PromotionCodeNotFound",
    "PromotionCodeTaken",
    "PromotionExhausted",
    "PromotionInvalid",
    "PromotionLimit",
    "PromotionNotFound",
    "PromotionState",
    "QuoteChanged",
    "QuoteExpired",
    "QuoteNotFound",
    "QuoteRequired",
    "RateLimited",
    "RefreshTokenInvalid",
    "RefundExceeds",
    "RequestTooLarge",
    "ResourceExhausted",
    "ResponseTooLarge",
    "RouteNotFound",
    "ServiceUnknown",
    "SessionNotFound",
    "SessionStoreError",
    "ShipmentLimit",
    "ShipmentNotFound",
    "ShipmentState",
    "ShippingAreaLimit",
    "ShippingAreaTaken",
    "ShippingMethodArchived",
    "ShippingMethodLimit",
    "ShippingMethodNotFound",
    "ShippingMethodRequired",
    "ShippingMethodUnavailable",
    "ShippingTierLimit",
    "ShippingZoneArchived",
    "ShippingZoneInUse",
    "ShippingZoneLimit",
    "ShippingZoneNotFound",
    "SkuTaken",
    "SlugNotFound",
    "SlugTaken",
    "StockChanged",
    "StockLimit",
    "StreamIdle",
    "StreamTooLong",
    "TaxCategoryArchived",
    "TaxCategoryInUse",
    "TaxCategoryLimit",
    "TaxCategoryNotFound",
    "TaxCategoryTaken",
    "TaxProviderUnavailable",
    "TaxRateArchived",
    "TaxRateBegun",
    "TaxRateLimit",
    "TaxRateMissing",
    "TaxRateNotFound",
    "TaxRateOverlaps",
    "TokenInvalid",
    "TooManyAttempts",
    "TooManyCalls",
    "TooManyGuests",
    "TooManyKeys",
    "TooManyMails",
    "TooManyStreams",
    "TooManyUploads",
    "TotalChanged",
    "Unauthenticated",
    "Unavailable",
    "Unimplemented",
    "UnitsExceed",
    "UnitsLimit",
    "Unknown",
    "UnsupportedMediaType",
    "UpgradeRefused",
    "UpstreamUnavailable",
    "UserNotFound",
    "Violation",
    "WebhookInvalid",
    "call_error",
    "error_of",
]


class InvalidField(InvalidArgument):
    """Fields of the request break the contract.

    Correct each field that the BadRequest lists.
    """


class MalformedRequest(InvalidArgument):
    """The request cannot be parsed.

    Send a request that matches the protos, over REST the OpenAPI document.
    """


class RequestTooLarge(ResourceExhausted):
    """The request has more bytes than its RPC takes.

    Send fewer bytes. The message names the limit.
    """


class ResponseTooLarge(InvalidArgument):
    """The request asks for more bytes than a response has.

    Ask for less, such as a smaller page.
    """


class PageTokenInvalid(InvalidArgument):
    """The page token is not from this list with these arguments.

    Start again without a page token.
    """


class IdempotencyKeyReused(InvalidArgument):
    """The idempotency key belongs to an earlier, different request.

    Take a new key for a new request.
    """


class TooManyKeys(ResourceExhausted):
    """The account has as many stored idempotency keys as the shop allows.

    Repeat a call with its first key, or send fewer new keys. Each key expires after 24 hours.
    """


class HeadersTooLarge(InvalidArgument):
    """The headers of the request are larger than the edge takes.

    Send fewer or shorter headers.
    """


class HttpVersion(InvalidArgument):
    """The HTTP version of the request is not served.

    Use HTTP/1.1 or HTTP/2.
    """


class MethodNotAllowed(Unimplemented):
    """The path does not take this HTTP method.

    Use a method that the header `allow` names.
    """


class RouteNotFound(NotFound):
    """The shop has no such path or RPC.

    Correct the path. An older server does not have newer RPCs.
    """


class UnsupportedMediaType(InvalidArgument):
    """The body is encoded, or not of a type that the path takes.

    Send JSON without a content encoding, unless the OpenAPI document names another type.
    """


class UpgradeRefused(InvalidArgument):
    """The request asks to upgrade the connection.

    Send the request without the header `upgrade`.
    """


class StreamIdle(DeadlineExceeded):
    """The client has sent nothing in its stream for too long.

    Send the whole stream again, without pauses.
    """


class StreamTooLong(ResourceExhausted):
    """The stream has had as many messages as it may have.

    Open another stream for further messages.
    """


class Conflict(Aborted):
    """Concurrent calls change the same rows.

    The call has changed nothing.

    Wait for the retry delay, then send the same request again.
    """


class Overloaded(ResourceExhausted):
    """The server sheds load.

    It has refused the call before any work.

    Wait for the retry delay, then send the same request again.
    """


class TooManyCalls(ResourceExhausted):
    """The address of the client has as many calls in progress as it may have.

    Wait until some of them have ended, and for the retry delay.
    """


class TooManyStreams(ResourceExhausted):
    """The address of the client has as many streams open as it may have.

    End a stream, and wait for the retry delay.
    """


class RateLimited(ResourceExhausted):
    """The address of the client has sent more requests than the edge admits in this time.

    Wait for the retry delay, which the header `retry-after` also has.
    """


class DatabaseUnavailable(Unavailable):
    """The database cannot be reached at the moment.

    A change may have been made if the connection broke at its end.

    Wait for the retry delay, then send the same request again, a change with the same idempotency key.
    """


class HashingUnavailable(Unavailable):
    """The process that hashes passwords is being started again.

    Wait for the retry delay, then send the same request again.
    """


class UpstreamUnavailable(Unavailable):
    """No worker could answer, or the worker ended before its answer.

    Wait for the retry delay, then send the same request again, a change with the same idempotency key.
    """


class ServiceUnknown(NotFound):
    """A worker reports no health under this name.

    Ask for a name that the RPC List of grpc.health.v1.Health returns.
    """


class TokenInvalid(Unauthenticated):
    """The access token is absent, malformed, expired or for an unknown account.

    Refresh the session, or log in again.
    """


class InvalidCredentials(Unauthenticated):
    """E-mail address or password is wrong.

    Enter both again, or reset the password.
    """


class RefreshTokenInvalid(Unauthenticated):
    """The refresh token is unknown, used, or of a session that has ended.

    Log in again.
    """


class PasswordWrong(PermissionDenied):
    """The current password in the request is wrong.

    Enter the current password again.
    """


class TooManyAttempts(ResourceExhausted):
    """Too many logins with this e-mail address have failed, or the account has tried too many promotion codes.

    Wait for the retry delay before the next attempt.
    """


class OneTimeTokenInvalid(FailedPrecondition):
    """The token of a mail is unknown, used, expired or replaced by a newer one.

    Request a new mail.
    """


class TooManyMails(ResourceExhausted):
    """More mails of one kind were requested for an address than the limit of an hour.

    Use the last mail, or wait for the retry delay.
    """


class AdminOnly(PermissionDenied):
    """Only administrators may make the call.

    Log in as an administrator.
    """


class AccountRequired(PermissionDenied):
    """A guest has made a call that needs an account.

    Sign up or log in.
    """


class ContactRequired(FailedPrecondition):
    """The cart of a guest has no contact e-mail address.

    Set contact_email of the cart's header.
    """


class EmailNotVerified(FailedPrecondition):
    """The shop sells only to accounts with a verified e-mail address.

    Call RequestEmailVerification, then use the token of the mail.
    """


class EmailTaken(AlreadyExists):
    """An account with this e-mail address exists.

    Log in, or take another address.
    """


class GuestRole(FailedPrecondition):
    """The account is a guest's, and only a sign-up can give it another role.

    Let the guest sign up first.
    """


class GuestsOff(FailedPrecondition):
    """The shop makes no guests now.

    Sign up or log in.
    """


class TooManyGuests(ResourceExhausted):
    """A network has made as many guests in the last hour as it may.

    Use one of these guests, or wait for the retry delay.
    """


class LastAdmin(FailedPrecondition):
    """The change would leave the shop without an administrator.

    Make another account an administrator first.
    """


class AccountErased(FailedPrecondition):
    """The account has been erased.

    Only its id and role are left.

    The owner may sign up again.
    """


class OrdersUnfinished(FailedPrecondition):
    """Orders of the account may still need the buyer.

    Cancel the orders, or wait until they have been shipped and refunded.
    """


class UserNotFound(NotFound):
    """No account has this id.

    Correct the id.
    """


class SessionNotFound(NotFound):
    """The account has no live session with this id.

    List the sessions of the account.
    """


class AddressNotFound(NotFound):
    """No address has this id, or it belongs to another account.

    List the addresses of the account.
    """


class AddressLimit(FailedPrecondition):
    """The account has as many addresses as it may have.

    Change or delete an address.
    """


class EtagMismatch(Aborted):
    """The resource has changed since the caller read it.

    Read it again, apply the change to the newer state, and send its etag.
    """

    @property
    def current_etag(self) -> str:
        """The etag that the resource has now."""
        return self.metadata.get("etag", "")


class StockChanged(Aborted):
    """The stock differs from the expected one.

    Read the stock again, and send the newer number.
    """


class TotalChanged(Aborted):
    """The total of the cart differs from the expected one.

    Read the cart again, show the new total to the buyer, and send it.
    """


class QuoteChanged(Aborted):
    """The purchase does not cost the price of the quote, or not for the same causes.

    Show both prices to the buyer, and ask for a new quote.
    """

    @property
    def quoted(self) -> price_pb2.PriceBreakdown | None:
        """The price of the quote."""
        found = self.detail(cart_pb2.QuoteChange)
        return found.quoted if found is not None else None

    @property
    def current(self) -> price_pb2.PriceBreakdown | None:
        """The price now."""
        found = self.detail(cart_pb2.QuoteChange)
        return found.current if found is not None else None


class ProductNotFound(NotFound):
    """No product with this id is on sale.

    Correct the id, or leave the product out.
    """


class ProductNotDeleted(FailedPrecondition):
    """Only a deleted product can be undeleted.

    Nothing is to be done. The product is on sale.
    """


class SkuTaken(AlreadyExists):
    """A product on sale has this SKU.

    Take another SKU, or change that product.
    """


class SlugNotFound(NotFound):
    """No category or product has or had this slug.

    Correct the slug.
    """


class SlugTaken(AlreadyExists):
    """Another category, or another product on sale, has this slug.

    Take another slug.
    """


class CategoryNotFound(NotFound):
    """No category has this id.

    Correct the id, or leave the category out.
    """


class CategoryTaken(AlreadyExists):
    """A category of this name exists.

    Take another name.
    """


class CategoryInUse(FailedPrecondition):
    """Products on sale or subcategories belong to the category.

    Move or delete them first.
    """


class CategoryCycle(FailedPrecondition):
    """A category cannot be moved below itself.

    Choose another parent.
    """


class CategoryLimit(FailedPrecondition):
    """The tree of categories would be too deep or too wide, or too many products would move at once.

    Change less at once, or use fewer categories.
    """


class GroupNotFound(NotFound):
    """No product group has this id.

    Correct the id.
    """


class GroupCodeTaken(AlreadyExists):
    """A product group with this code exists.

    Take another code.
    """


class GroupInUse(FailedPrecondition):
    """The product group has variants on sale.

    Delete or change its variants first.
    """


class GroupFull(FailedPrecondition):
    """The product group would have more variants on sale than it may have.

    Delete a variant first.
    """


class OptionsTaken(AlreadyExists):
    """A variant on sale of the product group has these options.

    Choose other options.
    """


class OptionsOutdated(FailedPrecondition):
    """The product group of a deleted product varies by other options now.

    Create a new variant.
    """


class StockLimit(FailedPrecondition):
    """The change would exceed the bounds of the stock of a product.

    Change the stock by less.
    """


class PictureNotFound(NotFound):
    """No picture has this id or name.

    One that no product shows is deleted after a day.

    Correct the id, or upload the picture again.
    """


class PicturesLimit(FailedPrecondition):
    """The product would have more pictures than it may have.

    Remove a picture first.
    """


class PicturesOff(FailedPrecondition):
    """The shop takes no pictures.

    Ask the operator of the shop to set a place for pictures.
    """


class PicturesUnavailable(Unavailable):
    """The storage of pictures cannot be used at the moment.

    Wait for the retry delay, then send the same request again.
    """


class PictureUploadNotFound(NotFound):
    """No upload has this id.

    Settled ones are kept for a week.

    Create another upload.
    """


class PictureUploadState(FailedPrecondition):
    """The upload has its file already, or has expired.

    Create another upload.
    """


class PictureUploadAbsent(FailedPrecondition):
    """The file of the upload has not come.

    Send the file to the upload_url of its upload first.
    """


class PictureUploadElsewhere(FailedPrecondition):
    """The shop keeps pictures in a bucket, which takes the file itself.

    Send the file to the upload_url of its upload.
    """


class TooManyUploads(ResourceExhausted):
    """Too many uploads wait for their file or for a worker.

    Send their files, and wait for the retry delay.
    """


class CartEmpty(FailedPrecondition):
    """The cart has no lines.

    Add a product first.
    """


class CartLimit(FailedPrecondition):
    """The change would exceed the limits of a cart.

    Take fewer products or units.
    """


class OutOfStock(FailedPrecondition):
    """The stock is not sufficient for lines of the request.

    Take fewer units of the lines that the StockShortage lists.
    """

    @property
    def lines(self) -> Sequence[order_pb2.StockShortage.Line]:
        """The lines, by product id."""
        found = self.detail(order_pb2.StockShortage)
        return found.lines if found is not None else ()


class UnitsLimit(FailedPrecondition):
    """A line has more units than the shop sells of one product in one order.

    Take fewer units of the products that the message names.
    """


class OpenOrdersLimit(FailedPrecondition):
    """The account, or the guests of a network together, have as many unpaid orders as they may have.

    Pay or cancel an order first.
    """


class AddressRequired(FailedPrecondition):
    """Goods of the cart need delivery, and the cart has no shipping address.

    Set the shipping address of the cart.
    """


class ShippingMethodRequired(FailedPrecondition):
    """Goods of the cart need delivery, and the cart has no shipping method.

    Choose one of the shipping options of the cart.
    """


class ShippingMethodUnavailable(FailedPrecondition):
    """The shipping method does not deliver these goods to this address.

    Choose another of the shipping options of the cart.
    """


class TaxRateMissing(FailedPrecondition):
    """The country of the destination has tax rates, but none for a category of the goods or of their delivery.

    An administrator has to create the tax rate.
    """


class TaxProviderUnavailable(Unavailable):
    """The provider of taxes has given no answer that can be used.

    Nothing was quoted.

    Wait for the retry delay, then send the same request again.
    """


class QuoteRequired(FailedPrecondition):
    """A provider names the taxes of the shop, and they are known with a quote only.

    Ask for a quote, and check out with its id.
    """


class QuoteNotFound(NotFound):
    """No quote has this id, or it belongs to another account.

    Ask for a new quote.
    """


class QuoteExpired(FailedPrecondition):
    """The quote has ended.

    Ask for a new quote.
    """


class OrderNotFound(NotFound):
    """No order has this id, or it belongs to another account.

    Correct the id.
    """


class OrderState(FailedPrecondition):
    """The state of the order does not allow the change.

    Read the order, and choose a change that its state allows.
    """


class OrderNoteLimit(FailedPrecondition):
    """The order has as many notes as it may have.

    Use the existing notes.
    """


class PaymentNotFound(NotFound):
    """The order has no payment with this id.

    List the payments of the order.
    """


class PaymentEventNotFound(NotFound):
    """No quarantined event has this id.

    List the quarantined events.
    """


class PaymentState(FailedPrecondition):
    """The payments of the order, or its units, do not allow the call.

    Read the order and its payments. The message names the cause.
    """


class PaymentsPaused(FailedPrecondition):
    """The shop was restored from a backup, and takes no payments yet.

    Wait until the operator has compared the payments with the provider's.
    """


class PaymentAmount(FailedPrecondition):
    """The provider cannot charge this amount in this currency.

    Choose another way to pay.
    """


class PaymentProviderUnavailable(Unavailable):
    """The payment provider does not answer.

    The shop keeps the request, and goes on with it.

    Wait for the retry delay, then send the same request again with the same idempotency key.
    """


class WebhookInvalid(InvalidArgument):
    """The request is not an authentic event of the payment provider.

    Check the secret of the provider's notices in the settings of the shop.
    """


class RefundExceeds(FailedPrecondition):
    """The refund is more than the shop has left of the payment.

    Refund the rest at most, which the metadata names.
    """


class UnitsExceed(FailedPrecondition):
    """The order has fewer units of a product in the state that the call needs.

    Name at most the units that the metadata names.
    """


class ShipmentNotFound(NotFound):
    """The order has no shipment with this id.

    List the shipments of the order.
    """


class ShipmentState(FailedPrecondition):
    """The state of the shipment does not allow the call.

    Read the shipment, and choose a change that its state allows.
    """


class ShipmentLimit(FailedPrecondition):
    """The order has as many shipments as it may have, cancelled ones too.

    Use the existing shipments.
    """


class PromotionNotFound(NotFound):
    """No promotion has this id.

    Correct the id.
    """


class PromotionState(FailedPrecondition):
    """The state of the promotion does not allow the change.

    Read the promotion, and choose a change that its state allows.
    """


class PromotionLimit(FailedPrecondition):
    """The shop has as many promotions or codes as it may have, or the promotion as many codes.

    Archive some first.
    """


class PromotionCodeNotFound(NotFound):
    """The promotion has no such code.

    Correct the code.
    """


class PromotionCodeTaken(AlreadyExists):
    """A promotion has this code, perhaps in another spelling.

    Take another code.
    """


class PromotionInvalid(FailedPrecondition):
    """The code of the buyer gives nothing now.

    Remove the code, or enter another.
    """


class PromotionExhausted(FailedPrecondition):
    """The code of the buyer, or its promotion, has been used as often as it may be.

    Remove the code, or enter another.
    """


class ShippingZoneNotFound(NotFound):
    """No shipping zone has this id.

    Correct the id.
    """


class ShippingMethodNotFound(NotFound):
    """No shipping method has this id.

    Correct the id, or leave the method out.
    """


class ShippingAreaTaken(AlreadyExists):
    """Another shipping zone has the area.

    Take the area out of that zone first.
    """


class ShippingZoneInUse(FailedPrecondition):
    """Shipping methods have rates for the zone.

    Change or archive these methods first.
    """


class ShippingZoneArchived(FailedPrecondition):
    """The shipping zone is archived.

    Create another zone.
    """


class ShippingMethodArchived(FailedPrecondition):
    """The shipping method is archived.

    Create another method.
    """


class ShippingZoneLimit(FailedPrecondition):
    """The shop has as many shipping zones as it may have.

    Archive a zone first.
    """


class ShippingAreaLimit(FailedPrecondition):
    """The shipping zones of the shop would have too many areas together.

    Use shorter postal prefixes.
    """


class ShippingMethodLimit(FailedPrecondition):
    """The shop has as many shipping methods as it may have.

    Archive a method first.
    """


class ShippingTierLimit(FailedPrecondition):
    """The shipping methods of the shop would have too many tiers together.

    Use fewer tiers.
    """


class TaxRateNotFound(NotFound):
    """No tax rate has this id.

    Correct the id.
    """


class TaxRateOverlaps(AlreadyExists):
    """A live tax rate of the same country, region and category is valid at the same time.

    End the other rate first.
    """


class TaxRateBegun(FailedPrecondition):
    """The tax rate has been valid already, so its beginning cannot be moved.

    Archive the rate, and create another.
    """


class TaxRateArchived(FailedPrecondition):
    """The tax rate is archived, and never changes again.

    Create another rate.
    """


class TaxRateLimit(FailedPrecondition):
    """The shop has as many live tax rates as it may have.

    Archive rates that have ended.
    """


class TaxCategoryNotFound(NotFound):
    """No tax category has this id.

    Correct the id, or create the category.
    """


class TaxCategoryTaken(AlreadyExists):
    """A live tax category has this id.

    Take another id.
    """


class TaxCategoryArchived(FailedPrecondition):
    """The tax category is archived.

    Create it again, which brings it back.
    """


class TaxCategoryInUse(FailedPrecondition):
    """Tax rates, shipping methods or products have the tax category.

    Archive or change them first.
    """


class TaxCategoryLimit(FailedPrecondition):
    """The shop has as many live tax categories as it may have.

    Archive categories that are not used.
    """


REASONS: dict[str, type[CallError]] = {
    "ACCOUNT_ERASED": AccountErased,
    "ACCOUNT_REQUIRED": AccountRequired,
    "ADDRESS_LIMIT": AddressLimit,
    "ADDRESS_NOT_FOUND": AddressNotFound,
    "ADDRESS_REQUIRED": AddressRequired,
    "ADMIN_ONLY": AdminOnly,
    "CART_EMPTY": CartEmpty,
    "CART_LIMIT": CartLimit,
    "CATEGORY_CYCLE": CategoryCycle,
    "CATEGORY_IN_USE": CategoryInUse,
    "CATEGORY_LIMIT": CategoryLimit,
    "CATEGORY_NOT_FOUND": CategoryNotFound,
    "CATEGORY_TAKEN": CategoryTaken,
    "CONFLICT": Conflict,
    "CONTACT_REQUIRED": ContactRequired,
    "DATABASE_UNAVAILABLE": DatabaseUnavailable,
    "DEADLINE_EXCEEDED": DeadlineExceeded,
    "EMAIL_NOT_VERIFIED": EmailNotVerified,
    "EMAIL_TAKEN": EmailTaken,
    "ETAG_MISMATCH": EtagMismatch,
    "GROUP_CODE_TAKEN": GroupCodeTaken,
    "GROUP_FULL": GroupFull,
    "GROUP_IN_USE": GroupInUse,
    "GROUP_NOT_FOUND": GroupNotFound,
    "GUESTS_OFF": GuestsOff,
    "GUEST_ROLE": GuestRole,
    "HASHING_UNAVAILABLE": HashingUnavailable,
    "HEADERS_TOO_LARGE": HeadersTooLarge,
    "HTTP_VERSION": HttpVersion,
    "IDEMPOTENCY_KEY_REUSED": IdempotencyKeyReused,
    "INTERNAL": Internal,
    "INVALID_CREDENTIALS": InvalidCredentials,
    "INVALID_FIELD": InvalidField,
    "LAST_ADMIN": LastAdmin,
    "MALFORMED_REQUEST": MalformedRequest,
    "METHOD_NOT_ALLOWED": MethodNotAllowed,
    "ONE_TIME_TOKEN_INVALID": OneTimeTokenInvalid,
    "OPEN_ORDERS_LIMIT": OpenOrdersLimit,
    "OPTIONS_OUTDATED": OptionsOutdated,
    "OPTIONS_TAKEN": OptionsTaken,
    "ORDERS_UNFINISHED": OrdersUnfinished,
    "ORDER_NOTE_LIMIT": OrderNoteLimit,
    "ORDER_NOT_FOUND": OrderNotFound,
    "ORDER_STATE": OrderState,
    "OUT_OF_STOCK": OutOfStock,
    "OVERLOADED": Overloaded,
    "PAGE_TOKEN_INVALID": PageTokenInvalid,
    "PASSWORD_WRONG": PasswordWrong,
    "PAYMENTS_PAUSED": PaymentsPaused,
    "PAYMENT_AMOUNT": PaymentAmount,
    "PAYMENT_EVENT_NOT_FOUND": PaymentEventNotFound,
    "PAYMENT_NOT_FOUND": PaymentNotFound,
    "PAYMENT_PROVIDER_UNAVAILABLE": PaymentProviderUnavailable,
    "PAYMENT_STATE": PaymentState,
    "PICTURES_LIMIT": PicturesLimit,
    "PICTURES_OFF": PicturesOff,
    "PICTURES_UNAVAILABLE": PicturesUnavailable,
    "PICTURE_NOT_FOUND": PictureNotFound,
    "PICTURE_UPLOAD_ABSENT": PictureUploadAbsent,
    "PICTURE_UPLOAD_ELSEWHERE": PictureUploadElsewhere,
    "PICTURE_UPLOAD_NOT_FOUND": PictureUploadNotFound,
    "PICTURE_UPLOAD_STATE": PictureUploadState,
    "PRODUCT_NOT_DELETED": ProductNotDeleted,
    "PRODUCT_NOT_FOUND": ProductNotFound,
    "PROMOTION_CODE_NOT_FOUND": PromotionCodeNotFound,
    "PROMOTION_CODE_TAKEN": PromotionCodeTaken,
    "PROMOTION_EXHAUSTED": PromotionExhausted,
    "PROMOTION_INVALID": PromotionInvalid,
    "PROMOTION_LIMIT": PromotionLimit,
    "PROMOTION_NOT_FOUND": PromotionNotFound,
    "PROMOTION_STATE": PromotionState,
    "QUOTE_CHANGED": QuoteChanged,
    "QUOTE_EXPIRED": QuoteExpired,
    "QUOTE_NOT_FOUND": QuoteNotFound,
    "QUOTE_REQUIRED": QuoteRequired,
    "RATE_LIMITED": RateLimited,
    "REFRESH_TOKEN_INVALID": RefreshTokenInvalid,
    "REFUND_EXCEEDS": RefundExceeds,
    "REQUEST_TOO_LARGE": RequestTooLarge,
    "RESPONSE_TOO_LARGE": ResponseTooLarge,
    "ROUTE_NOT_FOUND": RouteNotFound,
    "SERVICE_UNKNOWN": ServiceUnknown,
    "SESSION_NOT_FOUND": SessionNotFound,
    "SHIPMENT_LIMIT": ShipmentLimit,
    "SHIPMENT_NOT_FOUND": ShipmentNotFound,
    "SHIPMENT_STATE": ShipmentState,
    "SHIPPING_AREA_LIMIT": ShippingAreaLimit,
    "SHIPPING_AREA_TAKEN": ShippingAreaTaken,
    "SHIPPING_METHOD_ARCHIVED": ShippingMethodArchived,
    "SHIPPING_METHOD_LIMIT": ShippingMethodLimit,
    "SHIPPING_METHOD_NOT_FOUND": ShippingMethodNotFound,
    "SHIPPING_METHOD_REQUIRED": ShippingMethodRequired,
    "SHIPPING_METHOD_UNAVAILABLE": ShippingMethodUnavailable,
    "SHIPPING_TIER_LIMIT": ShippingTierLimit,
    "SHIPPING_ZONE_ARCHIVED": ShippingZoneArchived,
    "SHIPPING_ZONE_IN_USE": ShippingZoneInUse,
    "SHIPPING_ZONE_LIMIT": ShippingZoneLimit,
    "SHIPPING_ZONE_NOT_FOUND": ShippingZoneNotFound,
    "SKU_TAKEN": SkuTaken,
    "SLUG_NOT_FOUND": SlugNotFound,
    "SLUG_TAKEN": SlugTaken,
    "STOCK_CHANGED": StockChanged,
    "STOCK_LIMIT": StockLimit,
    "STREAM_IDLE": StreamIdle,
    "STREAM_TOO_LONG": StreamTooLong,
    "TAX_CATEGORY_ARCHIVED": TaxCategoryArchived,
    "TAX_CATEGORY_IN_USE": TaxCategoryInUse,
    "TAX_CATEGORY_LIMIT": TaxCategoryLimit,
    "TAX_CATEGORY_NOT_FOUND": TaxCategoryNotFound,
    "TAX_CATEGORY_TAKEN": TaxCategoryTaken,
    "TAX_PROVIDER_UNAVAILABLE": TaxProviderUnavailable,
    "TAX_RATE_ARCHIVED": TaxRateArchived,
    "TAX_RATE_BEGUN": TaxRateBegun,
    "TAX_RATE_LIMIT": TaxRateLimit,
    "TAX_RATE_MISSING": TaxRateMissing,
    "TAX_RATE_NOT_FOUND": TaxRateNotFound,
    "TAX_RATE_OVERLAPS": TaxRateOverlaps,
    "TOKEN_INVALID": TokenInvalid,
    "TOO_MANY_ATTEMPTS": TooManyAttempts,
    "TOO_MANY_CALLS": TooManyCalls,
    "TOO_MANY_GUESTS": TooManyGuests,
    "TOO_MANY_KEYS": TooManyKeys,
    "TOO_MANY_MAILS": TooManyMails,
    "TOO_MANY_STREAMS": TooManyStreams,
    "TOO_MANY_UPLOADS": TooManyUploads,
    "TOTAL_CHANGED": TotalChanged,
    "UNITS_EXCEED": UnitsExceed,
    "UNITS_LIMIT": UnitsLimit,
    "UNSUPPORTED_MEDIA_TYPE": UnsupportedMediaType,
    "UPGRADE_REFUSED": UpgradeRefused,
    "UPSTREAM_UNAVAILABLE": UpstreamUnavailable,
    "USER_NOT_FOUND": UserNotFound,
    "WEBHOOK_INVALID": WebhookInvalid,
}
"""The classes by reason."""


def error_of(failure: Failure) -> CallError:
    """Return the error of a failed call: of the class of its reason, else of its code."""
    error = CallError(failure)
    by_code = CODES.get(failure.code, CallError)
    by_reason = REASONS.get(error.reason, by_code)
    return (by_reason if issubclass(by_reason, by_code) else by_code)(failure)


def call_error(error: Exception) -> CallError:
    """Return the error of a call that a stub of `mercato.v1` has made: of its `grpc.RpcError`, synchronous or not."""
    call: Any = error
    return error_of(Failure(str(call.code().name), call.details() or "", status_of(values(call))))
