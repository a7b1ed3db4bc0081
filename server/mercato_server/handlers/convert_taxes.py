"""Conversion of the settings of the shop, of tax categories and of tax rates to messages."""

from mercato.v1 import shop_pb2, tax_pb2
from mercato_server.domain.shop_settings import ShopSettings
from mercato_server.domain.tax_rates import StoredRate, TaxCategory
from mercato_server.domain.taxes import TaxRounding
from mercato_server.handlers.convert import set_time

ROUNDING_OF = {shop_pb2.TAX_ROUNDING_LINE: TaxRounding.LINE, shop_pb2.TAX_ROUNDING_ORDER: TaxRounding.ORDER}
ROUNDINGS = {rounding: number for number, rounding in ROUNDING_OF.items()}


def shop(settings: ShopSettings, currency: str) -> shop_pb2.Shop:
    """Return the settings of the shop."""
    message = shop_pb2.Shop(
        currency_code=currency,
        country_code=settings.country_code,
        prices_include_tax=settings.prices_include_tax,
        tax_rounding=ROUNDINGS[settings.tax_rounding],
        time_zone=settings.time_zone,
        etag=settings.etag,
    )
    set_time(message.update_time, settings.updated_at)
    return message


def tax_category(found: TaxCategory) -> tax_pb2.TaxCategory:
    """Return a tax category."""
    message = tax_pb2.TaxCategory(id=found.id, display_name=found.display_name, etag=found.etag)
    set_time(message.create_time, found.created_at)
    set_time(message.update_time, found.updated_at)
    if found.archived_at:
        set_time(message.archive_time, found.archived_at)
    return message


def tax_rate(found: StoredRate) -> tax_pb2.TaxRate:
    """Return a tax rate."""
    rate = found.rate
    message = tax_pb2.TaxRate(
        id=str(rate.id),
        country_code=rate.country_code,
        region=rate.region,
        tax_category=rate.category,
        name=rate.name,
        rate_ppm=rate.ppm,
        parts=[tax_pb2.TaxRatePart(name=part.name, ppm=part.ppm) for part in rate.parts],
        etag=found.etag,
    )
    if rate.valid_from:
        set_time(message.valid_from, rate.valid_from)
    if rate.valid_until:
        set_time(message.valid_until, rate.valid_until)
    set_time(message.create_time, found.created_at)
    set_time(message.update_time, found.updated_at)
    if found.archived_at:
        set_time(message.archive_time, found.archived_at)
    return message
