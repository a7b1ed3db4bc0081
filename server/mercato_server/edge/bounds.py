"""Formats and bounds of fields in the OpenAPI document, from the constants by which requests are checked.

Keys are message and field; `[]` after it means the elements of a list. A test sends values at each bound and just beyond it.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from mercato_server.config.settings import Limits
from mercato_server.domain.accounts import FULL_NAME_MAX, SEARCH_MAX
from mercato_server.domain.addresses import ADDRESS_MAX
from mercato_server.domain.audit_log import ACTION_MAX
from mercato_server.domain.carts import LINE_QUANTITY_MAX
from mercato_server.domain.catalog import (
    CATEGORY_NAME_MAX,
    CATEGORY_POSITION_MAX,
    DESCRIPTION_MAX,
    IMAGE_URL_MAX,
    IMAGE_URLS_MAX,
    NAME_MAX,
    PRICE_MAX_MINOR,
    QUERY_MAX,
    SKU_MAX,
    STOCK_MAX,
    WEIGHT_MAX_GRAMS,
)
from mercato_server.domain.html_descriptions import DESCRIPTION_HTML_MAX
from mercato_server.domain.order_filters import STATUSES_MAX
from mercato_server.domain.order_notes import NOTE_TEXT_MAX
from mercato_server.domain.orders import REASON_MAX
from mercato_server.domain.pictures import ALT_MAX, PICTURES_MAX, UPLOAD_MAX_BYTES
from mercato_server.domain.postal_addresses import (
    CITY_MAX,
    COMPANY_MAX,
    PHONE_MAX,
    POSTAL_CODE_MAX,
    RECIPIENT_MAX,
    REGION_MAX,
    SORTING_CODE_MAX,
    STREET_LINE_MAX,
    STREET_LINES_MAX,
    VAT_NUMBER_MAX,
)
from mercato_server.domain.promotion_codes import CODE_MAX, COUNT_MAX, LENGTH_MAX, LENGTH_MIN, PREFIX_MAX
from mercato_server.domain.promotion_drafts import (
    CATEGORIES_MAX,
    METHODS_MAX,
    PRIORITY_MAX,
    PRODUCTS_MAX,
    QUANTITY_MAX,
    USES_MAX,
)
from mercato_server.domain.promotion_drafts import NAME_MAX as PROMOTION_NAME_MAX
from mercato_server.domain.purchases import CODE_MAX as CART_CODE_MAX
from mercato_server.domain.purchases import CODES_MAX, NOTE_MAX
from mercato_server.domain.rounding import MILLION
from mercato_server.domain.shipping_records import (
    MEASURE_MAX,
    METHOD_RATES_MAX,
    POSITION_MAX,
    RATE_TIERS_MAX,
    SHIPPING_DESCRIPTION_MAX,
    SHIPPING_NAME_MAX,
    ZONE_AREAS_MAX,
)
from mercato_server.domain.slugs import SLUG, SLUG_MAX, SlugKind
from mercato_server.domain.tax_rates import CATEGORY_ID, DISPLAY_NAME_MAX, PARTS_MAX, RATE_NAME_MAX
from mercato_server.domain.tax_rates import REGION_MAX as TAX_REGION_MAX
from mercato_server.domain.taxes import TAX_CATEGORY_MAX
from mercato_server.domain.variant_filters import CHOSEN_MAX
from mercato_server.edge import group_bounds, order_bounds
from mercato_server.handlers.addresses import ADDRESS_FIELDS
from mercato_server.handlers.cart_headers import HEADER_FIELDS
from mercato_server.handlers.catalog import CATEGORY_FIELDS, ORDERS, WRITABLE
from mercato_server.handlers.shipping_messages import METHOD_FIELDS, ZONE_FIELDS
from mercato_server.handlers.shop import SHOP_FIELDS
from mercato_server.handlers.tax import TAX_CATEGORY_FIELDS, TAX_RATE_FIELDS
from mercato_server.handlers.users import ADMINISTRATORS_FIELDS, OWN_FIELDS
from mercato_server.rpc.preconditions import ETAG_MAX
from mercato_server.security import one_time_tokens, refresh_tokens
from mercato_server.security.passwords import PASSWORD_MAX_BYTES, PASSWORD_MIN_CHARACTERS
from mercato_server.validation import promotions

Schema = dict[str, Any]

PACKAGE = "mercato.v1"
LIMITS = Limits()


def _text(longest: int, shortest: int = 0, **more: str) -> Schema:
    return {**({"minLength": shortest} if shortest else {}), "maxLength": longest, **more}


def _line(longest: int, shortest: int = 0) -> Schema:
    """Bound a text without control characters and separators of lines (`Checks.line`)."""
    return _text(longest, shortest, pattern="^[^\\u0000-\\u001f\\u007f-\\u009f\\u2028\\u2029]*$")


def _number(low: int, high: int | None = None) -> Schema:
    return {"minimum": low, **({} if high is None else {"maximum": high})}


def _digits_up_to(power_of_ten: int, *, above_zero: bool = False) -> Schema:
    """Bound an int64, which is a string, from 0 or 1 to a power of ten."""
    most = len(str(power_of_ten)) - 1
    digits = f"[1-9][0-9]{{0,{most - 1}}}" if above_zero else f"[0-9]{{1,{most}}}"
    return {"pattern": f"^({digits}|{power_of_ten})$"}


def _mask(fields: Iterable[str]) -> Schema:
    """Bound a field mask, which is a text of names."""
    name = f"({'|'.join(fields)})"
    return {"pattern": rf"^(\*|{name}(,{name})*)$"}


_UUID: Schema = {"format": "uuid"}
_UUID_OR_EMPTY: Schema = {"pattern": "^([0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12})?$"}
_SLUG: Schema = {"pattern": f"^{SLUG.pattern}$", "maxLength": SLUG_MAX}
_SLUG_OR_EMPTY: Schema = {"pattern": f"^({SLUG.pattern})?$", "maxLength": SLUG_MAX}
_COUNTRY: Schema = {"pattern": "^[A-Z]{2}$"}
_COUNTRY_OR_EMPTY: Schema = {"pattern": "^([A-Z]{2})?$"}
_TAX_CATEGORY: Schema = {"pattern": f"^{CATEGORY_ID.pattern}$"}
_TAX_CATEGORY_OR_EMPTY: Schema = {"pattern": f"^({CATEGORY_ID.pattern})?$"}
_ETAG = _text(ETAG_MAX)
_REASON = _text(REASON_MAX)
_ADDRESS = _text(ADDRESS_MAX, 1)
_NEW_ADDRESS = _text(ADDRESS_MAX, format="email")
_PASSWORD = _text(PASSWORD_MAX_BYTES, 1, format="password")
_NEW_PASSWORD = _text(PASSWORD_MAX_BYTES, PASSWORD_MIN_CHARACTERS, format="password")
_NOT_NEGATIVE: Schema = {"pattern": "^[0-9]{1,19}$"}
_USES = _number(1, USES_MAX)

CREDENTIALS: Mapping[str, Schema] = {"username": _ADDRESS, "email": _ADDRESS, "password": _PASSWORD}
"""Bounds of the fields of a login form."""

_PICTURE: Schema = {"pattern": "^[0-9a-f]{64}$"}

EVERYWHERE: Mapping[str, Schema] = {
    **order_bounds.FORMATS,
    **group_bounds.FORMATS,
    "AddCartItemRequest.product_id": _UUID,
    "Address.id": _UUID,
    "AdjustStockRequest.product_id": _UUID,
    "AdvanceOrderRequest.order_id": _UUID,
    "ArchivePromotionCodeRequest.promotion_id": _UUID,
    "ArchivePromotionRequest.promotion_id": _UUID,
    "ArchiveTaxCategoryRequest.tax_category_id": _TAX_CATEGORY,
    "ArchiveTaxRateRequest.tax_rate_id": _UUID,
    "AuditEntry.actor_id": _UUID_OR_EMPTY,
    "AuditEntry.id": _UUID,
    "AuditEntry.subject_id": _UUID_OR_EMPTY,
    "ArchiveShippingMethodRequest.shipping_method_id": _UUID,
    "ArchiveShippingZoneRequest.shipping_zone_id": _UUID,
    "BatchGetProductsRequest.ids[]": _UUID,
    "CancelOrderRequest.order_id": _UUID,
    "CartHeader.shipping_method_id": _UUID_OR_EMPTY,
    "CheckoutRequest.quote_id": _UUID_OR_EMPTY,
    "PriceDelivery.shipping_method_id": _UUID,
    "PriceDiscount.product_id": _UUID_OR_EMPTY,
    "PriceDiscount.promotion_id": _UUID,
    "PriceLine.product_id": _UUID,
    "Quote.id": _UUID,
    "ShippingOption.shipping_method_id": _UUID,
    "UpdateCartHeaderRequest.billing_address_id": _UUID_OR_EMPTY,
    "UpdateCartHeaderRequest.shipping_address_id": _UUID_OR_EMPTY,
    "UpdateCartHeaderRequest.shipping_method_id": _UUID_OR_EMPTY,
    "CartLine.product_id": _UUID,
    "Category.ancestor_ids[]": _UUID,
    "Category.id": _UUID,
    "Category.parent_id": _UUID_OR_EMPTY,
    "DeleteAddressRequest.address_id": _UUID,
    "CreateOrderNoteRequest.order_id": _UUID,
    "CreateTaxCategoryRequest.tax_category_id": _TAX_CATEGORY,
    "DeleteCategoryRequest.category_id": _UUID,
    "DeleteProductRequest.product_id": _UUID,
    "GetAddressRequest.address_id": _UUID,
    "GetCategoryRequest.category_id": _UUID,
    "GetLinkedOrderRequest.order_id": _UUID,
    "GetOrderRequest.order_id": _UUID,
    "CompletePictureUploadRequest.upload_id": _UUID,
    "GetPictureUploadRequest.upload_id": _UUID,
    "GetProductRequest.product_id": _UUID,
    "Picture.id": _PICTURE,
    "PictureUpload.id": _UUID,
    "SetProductPicturesRequest.product_id": _UUID,
    "SetProductPicturesRequest.Shown.picture_id": _PICTURE,
    "UploadPictureContentRequest.upload_id": _UUID,
    "GetShippingMethodRequest.shipping_method_id": _UUID,
    "GetShippingZoneRequest.shipping_zone_id": _UUID,
    "CreatePromotionCodeRequest.promotion_id": _UUID,
    "GeneratePromotionCodesRequest.promotion_id": _UUID,
    "GeneratePromotionCodesResponse.batch_id": _UUID,
    "GetPromotionRequest.promotion_id": _UUID,
    "GetTaxCategoryRequest.tax_category_id": _TAX_CATEGORY,
    "GetTaxRateRequest.tax_rate_id": _UUID,
    "GetUserRequest.user_id": _UUID,
    "ListAllOrdersRequest.account_id": _UUID,
    "ListAllOrdersRequest.product_id": _UUID,
    "ListAuditLogRequest.actor_id": _UUID,
    "GuestMergeLine.product_id": _UUID,
    "ListAuditLogRequest.subject_id": _UUID,
    "ListOrderNotesRequest.order_id": _UUID,
    "ListCategoriesRequest.parent_id": _UUID,
    "ListProductsRequest.category_id": _UUID,
    "ListedGroup.group_id": _UUID,
    "ListProductsRequest.group_id": _UUID,
    "ListPromotionCodesRequest.batch_id": _UUID,
    "ListPromotionCodesRequest.promotion_id": _UUID,
    "Order.account_id": _UUID,
    "Order.quote_id": _UUID_OR_EMPTY,
    "Order.id": _UUID_OR_EMPTY,
    "OrderLine.product_id": _UUID,
    "OrderNote.actor_id": _UUID,
    "OrderNote.id": _UUID,
    "OrderNote.order_id": _UUID,
    "Product.category_id": _UUID_OR_EMPTY,
    "Product.id": _UUID,
    "Promotion.category_ids[]": _UUID,
    "Promotion.get_category_ids[]": _UUID,
    "Promotion.get_product_ids[]": _UUID,
    "Promotion.id": _UUID,
    "Promotion.product_ids[]": _UUID,
    "Promotion.shipping_method_ids[]": _UUID,
    "PromotionCode.batch_id": _UUID_OR_EMPTY,
    "PromotionCode.promotion_id": _UUID,
    "RemoveCartItemRequest.product_id": _UUID,
    "RevokeSessionRequest.session_id": _UUID,
    "Session.id": _UUID,
    "SetCartItemRequest.product_id": _UUID,
    "ShippingMethod.id": _UUID,
    "ShippingRate.shipping_zone_id": _UUID,
    "ShippingZone.id": _UUID,
    "StockShortage.Line.product_id": _UUID,
    "TaxCategory.id": _TAX_CATEGORY,
    "TaxRate.id": _UUID,
    "TaxRate.tax_category": _TAX_CATEGORY_OR_EMPTY,
    "UndeleteProductRequest.product_id": _UUID,
    "UpdateUserRequest.user_id": _UUID,
    "User.id": _UUID,
}
"""Formats of requests and responses."""

OF_REQUESTS: Mapping[str, Schema] = {
    **order_bounds.BOUNDS,
    **group_bounds.BOUNDS,
    "AddCartItemRequest.quantity": _number(1, LINE_QUANTITY_MAX),
    "Address.etag": _ETAG,
    "AdjustStockRequest.CompareAndSet.expected_stock": _number(0, STOCK_MAX),
    "AdjustStockRequest.CompareAndSet.stock": _number(0, STOCK_MAX),
    "AdjustStockRequest.delta": _number(-STOCK_MAX, STOCK_MAX),
    "AdjustStockRequest.reason": _REASON,
    "AdvanceOrderRequest.etag": _ETAG,
    "AdvanceOrderRequest.reason": _REASON,
    "ArchiveShippingMethodRequest.etag": _ETAG,
    "ArchiveShippingZoneRequest.etag": _ETAG,
    "ArchivePromotionCodeRequest.code": _text(CODE_MAX),
    "ArchivePromotionRequest.etag": _ETAG,
    "BatchGetProductsRequest.ids": {"minItems": 1, "maxItems": LIMITS.batch_get_max},
    "CancelOrderRequest.etag": _ETAG,
    "CancelOrderRequest.reason": _REASON,
    "Category.etag": _ETAG,
    "Category.description": _text(DESCRIPTION_MAX),
    "Category.name": _line(CATEGORY_NAME_MAX, 1),
    "Category.position": _number(0, CATEGORY_POSITION_MAX),
    "Category.slug": _SLUG_OR_EMPTY,
    "GetSlugRequest.kind": {"enum": [*SlugKind]},
    "GetSlugRequest.slug": _SLUG,
    "Product.slug": _SLUG_OR_EMPTY,
    "ProductGroup.slug": _SLUG_OR_EMPTY,
    "ChangePasswordRequest.current_password": _PASSWORD,
    "ChangePasswordRequest.new_password": _NEW_PASSWORD,
    "CheckoutRequest.cart_etag": _ETAG,
    "DeleteAddressRequest.etag": _ETAG,
    "DeleteCategoryRequest.etag": _ETAG,
    "DeleteMeRequest.password": _text(PASSWORD_MAX_BYTES, format="password"),
    "DeleteProductRequest.etag": _ETAG,
    "ExportMeRequest.page_size": _number(0),
    "ListAddressesRequest.page_size": _number(0),
    "CreateOrderNoteRequest.text": _text(NOTE_TEXT_MAX, 1),
    "CreatePromotionCodeRequest.code": _text(CODE_MAX, 1),
    "CreatePromotionCodeRequest.usage_limit": _USES,
    "GeneratePromotionCodesRequest.count": _number(1, COUNT_MAX),
    "GeneratePromotionCodesRequest.length": _number(LENGTH_MIN, LENGTH_MAX),
    "GeneratePromotionCodesRequest.prefix": _text(PREFIX_MAX),
    "GeneratePromotionCodesRequest.usage_limit": _USES,
    "ListAllOrdersRequest.contact_email": _NEW_ADDRESS,
    "ListAllOrdersRequest.max_total": _NOT_NEGATIVE,
    "ListAllOrdersRequest.min_total": _NOT_NEGATIVE,
    "ListAllOrdersRequest.number": {"pattern": "^([ -]*([0-9A-TV-Za-tv-z][ -]*){11})?$"},
    "ListAllOrdersRequest.page_size": _number(0),
    "ListAllOrdersRequest.statuses": {"maxItems": STATUSES_MAX},
    "ListAuditLogRequest.action": _text(ACTION_MAX),
    "ListAuditLogRequest.page_size": _number(0),
    "ListCategoriesRequest.page_size": _number(0),
    "ListOrderNotesRequest.page_size": _number(0),
    "ListOrdersRequest.page_size": _number(0),
    "ListProductsRequest.max_price": _NOT_NEGATIVE,
    "ListProductsRequest.min_price": _NOT_NEGATIVE,
    "ListProductsRequest.options": {"maxItems": CHOSEN_MAX},
    "ListProductsRequest.options[]": {"pattern": ":"},
    "ListProductsRequest.order_by": {"enum": list(ORDERS)},
    "ListProductGroupsRequest.page_size": _number(0),
    "ListProductsRequest.page_size": _number(0),
    "ListProductsRequest.q": _text(QUERY_MAX),
    "ListProductsRequest.skip": _number(0, LIMITS.skip_max),
    "ListPromotionCodesRequest.page_size": _number(0),
    "ListPromotionsRequest.page_size": _number(0),
    "ListSessionsRequest.page_size": _number(0),
    "ListShippingMethodsRequest.page_size": _number(0),
    "ListShippingZonesRequest.page_size": _number(0),
    "ListTaxCategoriesRequest.page_size": _number(0),
    "ListTaxRatesRequest.country_code": _COUNTRY_OR_EMPTY,
    "ListTaxRatesRequest.page_size": _number(0),
    "ListUsersRequest.page_size": _number(0),
    "ListUsersRequest.q": _text(SEARCH_MAX),
    "LoginRequest.email": _ADDRESS,
    "LoginRequest.password": _PASSWORD,
    "Money.currency_code": {"pattern": "^([A-Z]{3})?$"},
    "Money.minor_units": _digits_up_to(PRICE_MAX_MINOR),
    "PostalAddress.city": _line(CITY_MAX),
    "PostalAddress.city_area": _line(CITY_MAX),
    "PostalAddress.company": _line(COMPANY_MAX),
    "PostalAddress.country_code": {"pattern": "^[A-Za-z]{2}$"},
    "PostalAddress.phone": _text(PHONE_MAX, format="phone"),
    "PostalAddress.postal_code": _text(POSTAL_CODE_MAX),
    "PostalAddress.recipient": _line(RECIPIENT_MAX),
    "PostalAddress.region": _line(REGION_MAX),
    "PostalAddress.sorting_code": _text(SORTING_CODE_MAX),
    "PostalAddress.street_lines": {"minItems": 1, "maxItems": STREET_LINES_MAX},
    "PostalAddress.street_lines[]": _line(STREET_LINE_MAX),
    "PostalAddress.vat_number": _text(VAT_NUMBER_MAX),
    "Product.description": _text(DESCRIPTION_MAX),
    "Product.description_html": _text(DESCRIPTION_HTML_MAX),
    "Product.etag": _ETAG,
    "Product.image_urls": {"maxItems": IMAGE_URLS_MAX},
    "Product.image_urls[]": _text(IMAGE_URL_MAX, format="uri-reference"),
    "Product.name": _line(NAME_MAX, 1),
    "Product.sku": _line(SKU_MAX),
    "Product.stock": _number(0, STOCK_MAX),
    "Promotion.buy_quantity": _number(1, QUANTITY_MAX),
    "Promotion.category_ids": {"maxItems": CATEGORIES_MAX},
    "Promotion.etag": _ETAG,
    "Promotion.get_category_ids": {"maxItems": CATEGORIES_MAX},
    "Promotion.get_product_ids": {"maxItems": PRODUCTS_MAX},
    "Promotion.get_quantity": _number(1, QUANTITY_MAX),
    "Promotion.name": _line(PROMOTION_NAME_MAX, 1),
    "Promotion.per_buyer_limit": _USES,
    "Promotion.percent_ppm": _number(1, MILLION),
    "Promotion.priority": _number(-PRIORITY_MAX, PRIORITY_MAX),
    "Promotion.product_ids": {"maxItems": PRODUCTS_MAX},
    "Promotion.shipping_method_ids": {"maxItems": METHODS_MAX},
    "Promotion.usage_limit": _USES,
    "Product.tax_category": _text(TAX_CATEGORY_MAX),
    "Product.weight_grams": _number(0, WEIGHT_MAX_GRAMS),
    "RefreshRequest.refresh_token": _text(refresh_tokens.LENGTH, refresh_tokens.LENGTH),
    "RequestPasswordResetRequest.email": _NEW_ADDRESS,
    "ResetPasswordRequest.new_password": _NEW_PASSWORD,
    "ResetPasswordRequest.token": _text(one_time_tokens.LENGTH, one_time_tokens.LENGTH),
    "SetCartItemRequest.quantity": _number(0, LINE_QUANTITY_MAX),
    "CreatePictureUploadRequest.content_length": _number(0, UPLOAD_MAX_BYTES),
    "SetProductPicturesRequest.Shown.alt": _text(ALT_MAX),
    "SetProductPicturesRequest.etag": _ETAG,
    "SetProductPicturesRequest.pictures": {"maxItems": PICTURES_MAX},
    "ShippingMethod.description": _text(SHIPPING_DESCRIPTION_MAX),
    "ShippingMethod.etag": _ETAG,
    "ShippingMethod.name": _line(SHIPPING_NAME_MAX, 1),
    "ShippingMethod.position": _number(0, POSITION_MAX),
    "ShippingMethod.rates": {"minItems": 1, "maxItems": METHOD_RATES_MAX},
    "ShippingMethod.tax_category": _line(TAX_CATEGORY_MAX),
    "ShippingRate.end": _digits_up_to(MEASURE_MAX, above_zero=True),
    "ShippingRate.tiers": {"minItems": 1, "maxItems": RATE_TIERS_MAX},
    "ShippingTier.start": _digits_up_to(MEASURE_MAX),
    "ShippingZone.areas": {"minItems": 1, "maxItems": ZONE_AREAS_MAX},
    "ShippingZone.etag": _ETAG,
    "ShippingZone.name": _line(SHIPPING_NAME_MAX, 1),
    "SignUpRequest.email": _NEW_ADDRESS,
    "SignUpRequest.full_name": _line(FULL_NAME_MAX),
    "SignUpRequest.password": _NEW_PASSWORD,
    "UpdateAddressRequest.update_mask": _mask(ADDRESS_FIELDS),
    "Shop.country_code": _COUNTRY_OR_EMPTY,
    "Shop.etag": _ETAG,
    "TaxCategory.display_name": _line(DISPLAY_NAME_MAX, 1),
    "TaxCategory.etag": _ETAG,
    "TaxRate.country_code": _COUNTRY,
    "TaxRate.etag": _ETAG,
    "TaxRate.name": _line(RATE_NAME_MAX, 1),
    "TaxRate.parts": {"maxItems": PARTS_MAX},
    "TaxRate.rate_ppm": _number(0, MILLION),
    "TaxRate.region": _line(TAX_REGION_MAX),
    "TaxRatePart.name": _line(RATE_NAME_MAX, 1),
    "TaxRatePart.ppm": _number(0, MILLION),
    "UpdateCartHeaderRequest.codes": {"maxItems": CODES_MAX},
    "UpdateCartHeaderRequest.codes[]": _line(CART_CODE_MAX, 1),
    "UpdateCartHeaderRequest.contact_email": _NEW_ADDRESS,
    "UpdateCartHeaderRequest.etag": _ETAG,
    "UpdateCartHeaderRequest.note": _text(NOTE_MAX),
    "UpdateCartHeaderRequest.update_mask": _mask(HEADER_FIELDS),
    "UpdateCategoryRequest.update_mask": _mask(CATEGORY_FIELDS),
    "UpdateMeRequest.full_name": _line(FULL_NAME_MAX),
    "UpdateMeRequest.update_mask": _mask(OWN_FIELDS),
    "UpdateProductRequest.update_mask": _mask(WRITABLE),
    "UpdateShippingMethodRequest.update_mask": _mask(METHOD_FIELDS),
    "UpdateShippingZoneRequest.update_mask": _mask(ZONE_FIELDS),
    "UpdatePromotionRequest.update_mask": _mask(promotions.WRITABLE),
    "UpdateShopRequest.update_mask": _mask(SHOP_FIELDS),
    "UpdateTaxCategoryRequest.update_mask": _mask(TAX_CATEGORY_FIELDS),
    "UpdateTaxRateRequest.update_mask": _mask(TAX_RATE_FIELDS),
    "UpdateUserRequest.update_mask": _mask(ADMINISTRATORS_FIELDS),
    "VerifyEmailRequest.token": _text(one_time_tokens.LENGTH, one_time_tokens.LENGTH),
}
"""Bounds of requests. Responses state none: another release may have stored longer values."""


def shape(name: str, *, request: bool) -> Schema:
    """Return what a schema states about a field of mercato.v1 beside its type; the name is full, and may end with `[]`."""
    key = name.removeprefix(f"{PACKAGE}.")
    return dict(EVERYWHERE.get(key, {}) | (OF_REQUESTS.get(key, {}) if request else {}))
