"""An example of each error that the server can refuse a call with."""

import itertools
import uuid
from collections.abc import Callable, Iterator

from mercato_server.domain import (
    category_errors,
    erasure_errors,
    errors,
    group_errors,
    order_notes,
    payment_errors,
    picture_errors,
    pricing_errors,
    promotion_errors,
    quotes,
    shipping_errors,
    tax_errors,
)
from mercato_server.domain.errors import MercatoError, Shortage, Violation
from mercato_server.domain.pricing import Breakdown
from mercato_server.domain.provided_taxes import TaxQuestion
from mercato_server.domain.shipping import Area, Destination
from mercato_server.domain.slugs import SlugKind
from mercato_server.domain.taxes import TaxTreatment
from mercato_server.rpc.errors import InternalError

numbers = itertools.count(1_000)


def text() -> str:
    return f"value {next(numbers)}"


def violations(count: int) -> list[Violation]:
    return [Violation(text(), "must be from {low} to {high}", {"low": next(numbers), "high": next(numbers)}) for _ in range(count)]


def shortages(count: int) -> list[Shortage]:
    return [Shortage(uuid.uuid4(), text(), next(numbers), next(numbers)) for _ in range(count)]


def not_found(kind: type[errors.NotFound]) -> list[Callable[[], MercatoError]]:
    return [lambda: kind(uuid.uuid4()), lambda: kind(*(uuid.uuid4() for _ in range(30)))]


def a_price() -> Breakdown:
    return Breakdown((), next(numbers))


MAKE: dict[type[MercatoError], list[Callable[[], MercatoError]]] = {
    errors.InvalidRequest: [lambda: errors.InvalidRequest(violations(1)), lambda: errors.InvalidRequest(violations(30))],
    order_notes.OrderNoteLimit: [order_notes.OrderNoteLimit],
    errors.OutOfStock: [lambda: errors.OutOfStock(shortages(1)), lambda: errors.OutOfStock(shortages(30))],
    errors.ProductNotFound: not_found(errors.ProductNotFound),
    errors.CategoryNotFound: not_found(errors.CategoryNotFound),
    errors.OrderNotFound: not_found(errors.OrderNotFound),
    errors.UserNotFound: not_found(errors.UserNotFound),
    errors.SessionNotFound: not_found(errors.SessionNotFound),
    errors.AddressNotFound: not_found(errors.AddressNotFound),
    errors.EmailTaken: [lambda: errors.EmailTaken(text())],
    erasure_errors.AccountErased: [erasure_errors.AccountErased],
    erasure_errors.OrdersUnfinished: [
        lambda: erasure_errors.OrdersUnfinished([text()]),
        lambda: erasure_errors.OrdersUnfinished([text() for _ in range(11)]),
    ],
    errors.SkuTaken: [lambda: errors.SkuTaken(text())],
    errors.CategoryTaken: [lambda: errors.CategoryTaken(text())],
    errors.EtagMismatch: [lambda: errors.EtagMismatch("cart", text(), text())],
    errors.TotalChanged: [lambda: errors.TotalChanged(next(numbers), next(numbers))],
    errors.TokenInvalid: [lambda: errors.TokenInvalid("no token")],
    errors.TooManyAttempts: [lambda: errors.TooManyAttempts(next(numbers))],
    errors.TooManyMails: [lambda: errors.TooManyMails(next(numbers))],
    errors.RequestTooLarge: [lambda: errors.RequestTooLarge(next(numbers), next(numbers))],
    errors.ResponseTooLarge: [lambda: errors.ResponseTooLarge(text(), next(numbers), next(numbers))],
    errors.TooManyKeys: [lambda: errors.TooManyKeys(next(numbers))],
    errors.UnitsLimit: [lambda: errors.UnitsLimit([text()], next(numbers)), lambda: errors.UnitsLimit([text(), text()], next(numbers))],
    errors.OpenOrdersLimit: [
        lambda: errors.OpenOrdersLimit(next(numbers)),
        lambda: errors.OpenOrdersLimit(next(numbers), of_network=True),
    ],
    errors.TooManyGuests: [lambda: errors.TooManyGuests(next(numbers), next(numbers))],
    errors.AddressLimit: [lambda: errors.AddressLimit(next(numbers))],
    errors.TooManyCalls: [lambda: errors.TooManyCalls(next(numbers))],
    errors.TooManyStreams: [lambda: errors.TooManyStreams(next(numbers))],
    errors.StreamIdle: [lambda: errors.StreamIdle(next(numbers))],
    errors.StreamTooLong: [lambda: errors.StreamTooLong(next(numbers))],
    shipping_errors.ShippingZoneNotFound: not_found(shipping_errors.ShippingZoneNotFound),
    shipping_errors.ShippingMethodNotFound: not_found(shipping_errors.ShippingMethodNotFound),
    shipping_errors.ShippingAreaTaken: [lambda: shipping_errors.ShippingAreaTaken(Area(text(), text(), text()), uuid.uuid4())],
    shipping_errors.ShippingZoneInUse: [
        lambda: shipping_errors.ShippingZoneInUse([uuid.uuid4()]),
        lambda: shipping_errors.ShippingZoneInUse([uuid.uuid4() for _ in range(30)]),
    ],
    shipping_errors.ShippingZoneArchived: [lambda: shipping_errors.ShippingZoneArchived(uuid.uuid4())],
    shipping_errors.ShippingMethodArchived: [lambda: shipping_errors.ShippingMethodArchived(uuid.uuid4())],
    shipping_errors.ShippingZoneLimit: [lambda: shipping_errors.ShippingZoneLimit(next(numbers))],
    shipping_errors.ShippingAreaLimit: [lambda: shipping_errors.ShippingAreaLimit(next(numbers))],
    shipping_errors.ShippingMethodLimit: [lambda: shipping_errors.ShippingMethodLimit(next(numbers))],
    shipping_errors.ShippingTierLimit: [lambda: shipping_errors.ShippingTierLimit(next(numbers))],
    errors.HealthServiceUnknown: [lambda: errors.HealthServiceUnknown(text())],
    promotion_errors.TooManyGuesses: [lambda: promotion_errors.TooManyGuesses(next(numbers))],
    quotes.QuoteNotFound: not_found(quotes.QuoteNotFound),
    quotes.QuoteExpired: [lambda: quotes.QuoteExpired(uuid.uuid4())],
    quotes.QuoteChanged: [lambda: quotes.QuoteChanged(a_price(), a_price(), "USD")],
    pricing_errors.ShippingMethodUnavailable: [lambda: pricing_errors.ShippingMethodUnavailable(uuid.uuid4())],
    pricing_errors.TaxProviderUnavailable: [
        lambda: pricing_errors.TaxProviderUnavailable(pricing_errors.ProviderFailure.SLOW),
    ],
    pricing_errors.QuoteRequired: [
        lambda: pricing_errors.QuoteRequired(TaxQuestion(Destination("DE"), TaxTreatment.NORMAL, True, (), None)),  # noqa: FBT003
    ],
    payment_errors.PaymentNotFound: not_found(payment_errors.PaymentNotFound),
    payment_errors.ShipmentNotFound: not_found(payment_errors.ShipmentNotFound),
    payment_errors.PaymentEventNotFound: not_found(payment_errors.PaymentEventNotFound),
    payment_errors.CaptureRefused: [lambda: payment_errors.CaptureRefused(text())],
    payment_errors.PaymentAmount: [lambda: payment_errors.PaymentAmount(next(numbers), "USD", text())],
    payment_errors.PaymentsPaused: [payment_errors.PaymentsPaused],
    payment_errors.RefundExceeds: [lambda: payment_errors.RefundExceeds(next(numbers), next(numbers))],
    payment_errors.UnitsExceed: [lambda: payment_errors.UnitsExceed(uuid.uuid4(), next(numbers), next(numbers))],
    payment_errors.WrongShipmentState: [lambda: payment_errors.WrongShipmentState(uuid.uuid4(), text())],
    payment_errors.ShipmentLimit: [lambda: payment_errors.ShipmentLimit(next(numbers))],
    payment_errors.WebhookInvalid: [lambda: payment_errors.WebhookInvalid(text())],
    pricing_errors.TaxRateMissing: [lambda: pricing_errors.TaxRateMissing(text(), text(), text())],
    promotion_errors.PromotionNotFound: not_found(promotion_errors.PromotionNotFound),
    promotion_errors.PromotionCodeNotFound: [lambda: promotion_errors.PromotionCodeNotFound(text())],
    promotion_errors.PromotionCodeTaken: [lambda: promotion_errors.PromotionCodeTaken(text())],
    promotion_errors.PromotionInvalid: [lambda: promotion_errors.PromotionInvalid(text())],
    promotion_errors.PromotionExhausted: [
        lambda: promotion_errors.PromotionExhausted(text(), promotion_errors.UseLimit.BUYER),
    ],
    promotion_errors.ScopeProductNotFound: [lambda: promotion_errors.ScopeProductNotFound(violations(1))],
    promotion_errors.ScopeMethodNotFound: [lambda: promotion_errors.ScopeMethodNotFound(violations(1))],
    promotion_errors.ScopeCategoryNotFound: [lambda: promotion_errors.ScopeCategoryNotFound(violations(1))],
    category_errors.SlugTaken: [lambda: category_errors.SlugTaken(SlugKind.PRODUCT, text())],
    category_errors.SlugNotFound: [lambda: category_errors.SlugNotFound(SlugKind.CATEGORY, text())],
    category_errors.CategoryCycle: [lambda: category_errors.CategoryCycle(uuid.uuid4(), uuid.uuid4())],
    errors.CategoryInUse: [lambda: errors.CategoryInUse(next(numbers), next(numbers))],
    group_errors.GroupNotFound: not_found(group_errors.GroupNotFound),
    group_errors.GroupCodeTaken: [lambda: group_errors.GroupCodeTaken(text())],
    group_errors.GroupInUse: [lambda: group_errors.GroupInUse(next(numbers))],
    group_errors.OptionsTaken: [lambda: group_errors.OptionsTaken(text(), uuid.uuid4())],
    group_errors.OptionsOutdated: [lambda: group_errors.OptionsOutdated(text(), [text(), text()])],
    picture_errors.PictureUploadNotFound: not_found(picture_errors.PictureUploadNotFound),
    picture_errors.PictureUploadState: [lambda: picture_errors.PictureUploadState(uuid.uuid4())],
    picture_errors.PictureUploadAbsent: [lambda: picture_errors.PictureUploadAbsent(uuid.uuid4())],
    picture_errors.PictureUploadElsewhere: [picture_errors.PictureUploadElsewhere],
    picture_errors.PicturesUnavailable: [lambda: picture_errors.PicturesUnavailable(text())],
    picture_errors.PictureNotFound: [lambda: picture_errors.PictureNotFound(text())],
    picture_errors.PicturesLimit: [lambda: picture_errors.PicturesLimit(next(numbers))],
    picture_errors.PicturesOff: [picture_errors.PicturesOff],
    picture_errors.TooManyUploads: [lambda: picture_errors.TooManyUploads(next(numbers))],
    tax_errors.TaxRateNotFound: not_found(tax_errors.TaxRateNotFound),
    tax_errors.TaxRateOverlaps: [lambda: tax_errors.TaxRateOverlaps(uuid.uuid4())],
    tax_errors.TaxRateLimit: [lambda: tax_errors.TaxRateLimit(next(numbers))],
    tax_errors.TaxCategoryNotFound: [lambda: tax_errors.TaxCategoryNotFound(text())],
    tax_errors.TaxCategoryTaken: [lambda: tax_errors.TaxCategoryTaken(text())],
    tax_errors.TaxCategoryArchived: [lambda: tax_errors.TaxCategoryArchived(text())],
    tax_errors.TaxCategoryInUse: [lambda: tax_errors.TaxCategoryInUse(text())],
    tax_errors.TaxCategoryLimit: [lambda: tax_errors.TaxCategoryLimit(next(numbers))],
}
"""How to make errors with new values. One that is not here takes no arguments, or a template."""
TEMPLATED = {
    category_errors.CategoryLimit, errors.ProductNotDeleted, errors.CartLimit, errors.StockLimit, errors.OrderState,
    errors.StockChanged, errors.Conflict, errors.Overloaded, errors.MalformedRequest, InternalError, promotion_errors.PromotionState,
    promotion_errors.PromotionLimit, payment_errors.WrongPaymentState,
}  # fmt: skip
"""These take the template from their caller: test_no_caller_writes_a_value_into_a_template reads the callers."""


def kinds(above: type[MercatoError] = MercatoError) -> Iterator[type[MercatoError]]:
    """Yield the classes of the server below one, those without a reason too."""
    for kind in above.__subclasses__():
        if kind.__module__.startswith("mercato_server"):
            yield kind
            yield from kinds(kind)


def makers(kind: type[MercatoError]) -> list[Callable[[], MercatoError]]:
    """Return functions that make an error of a class."""
    return [lambda: kind("a {value} text", value=text())] if kind in TEMPLATED else MAKE.get(kind, [kind])
