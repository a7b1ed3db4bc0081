"""The RPCs of ShopService."""

from collections.abc import Collection

from mercato.v1 import shop_pb2
from mercato_server.database.pool import Pool
from mercato_server.domain.shop_settings import SettingsDraft, ShopSettings
from mercato_server.domain.taxes import TaxRounding
from mercato_server.handlers import convert_taxes
from mercato_server.handlers.idempotency import Answer, Idempotency, answer
from mercato_server.handlers.masks import masked
from mercato_server.rpc.context import Context
from mercato_server.rpc.preconditions import expected_etags
from mercato_server.store import shop_settings
from mercato_server.validation import places
from mercato_server.validation.checks import Checks

SHOP_FIELDS = ("country_code", "prices_include_tax", "tax_rounding", "time_zone")
"""Settings that administrators may change; a draft has the same names."""


class ShopHandler:
    """Serves the settings of the shop to anyone, and changes them for administrators."""

    def __init__(self, pool: "Pool", keys: Idempotency, currency: str) -> None:
        self._pool = pool
        self._idempotency = keys
        self._currency = currency

    async def GetShop(self, _request: shop_pb2.GetShopRequest, _context: Context) -> shop_pb2.Shop:
        """Return the settings."""
        return self._shop(await shop_settings.load(self._pool))

    async def UpdateShop(self, request: shop_pb2.UpdateShopRequest, context: Context) -> Answer:
        """Change settings."""
        shop = request.shop
        with Checks() as check:
            etags = expected_etags(check, context, "shop.etag", shop.etag)
            fields = masked(check, request.update_mask, shop, SHOP_FIELDS)
            draft = _draft(check, shop, fields)
        change = shop_settings.Update(draft=draft, fields=fields, etags=etags, actor=context.actor)
        key = self._idempotency.key(context, request, self._shop)
        return answer(context, await shop_settings.update(self._pool, change, key), self._shop)

    def _shop(self, settings: ShopSettings) -> shop_pb2.Shop:
        return convert_taxes.shop(settings, self._currency)


def _draft(check: Checks, shop: shop_pb2.Shop, fields: Collection[str]) -> SettingsDraft:
    """Check the settings that are written; the others are not read."""
    if "prices_include_tax" in fields:
        check.present(shop, "prices_include_tax", "shop.prices_include_tax")
    if "tax_rounding" in fields and shop.tax_rounding not in convert_taxes.ROUNDING_OF:
        check.fail("shop.tax_rounding", "must be TAX_ROUNDING_LINE or TAX_ROUNDING_ORDER")
    if "time_zone" in fields:
        places.time_zone(check, "shop.time_zone", shop.time_zone)
    return SettingsDraft(
        country_code=places.optional_country(check, "shop.country_code", shop.country_code) if "country_code" in fields else "",
        prices_include_tax=shop.prices_include_tax,
        tax_rounding=convert_taxes.ROUNDING_OF.get(shop.tax_rounding, TaxRounding.LINE),
        time_zone=shop.time_zone,
    )
