"""The price rules of a shop, which a worker keeps in memory by their version."""

from mercato_server.database.pool import Conn
from mercato_server.domain.pricing import PriceRules
from mercato_server.domain.shipping import ShippingTable
from mercato_server.domain.taxes import TaxTable
from mercato_server.store import promotions, shipping, shop_settings, tax_rates

# Column of a statement's result: the version of the rules that a price must have at least.
VERSION = "(SELECT version FROM price_rules WHERE singleton) AS rules_version"

GET_VERSION = "SELECT version FROM price_rules"


class PriceBook:
    """Returns the rules of a version or of a later one. Their size is bounded by the limits of each kind of rule."""

    def __init__(self, *, asks_provider: bool = False) -> None:
        """Prepare; `asks_provider` if a provider outside of the shop names the taxes."""
        self._rules: PriceRules | None = None
        self._asks_provider = asks_provider

    async def at(self, conn: "Conn", version: int) -> PriceRules:
        """Return the rules, read anew if a statement has seen a later version than the one in memory."""
        if self._rules is None or self._rules.version < version:
            self._rules = (await _load(conn))._replace(asks_provider=self._asks_provider)
        return self._rules


async def _load(conn: "Conn") -> PriceRules:
    """Read all rules. If the version is the same before and after that, no transaction has changed one in between."""
    while True:
        version = await conn.fetchval(GET_VERSION)
        settings = await shop_settings.load(conn)
        rates, countries = await tax_rates.load(conn)
        zones, methods = await shipping.load(conn)
        found = {promotion.id: promotion for promotion in await promotions.load(conn)}
        if version == await conn.fetchval(GET_VERSION):
            return PriceRules(
                version=version,
                prices_include_tax=settings.prices_include_tax,
                tax_rounding=settings.tax_rounding,
                country_code=settings.country_code,
                taxes=TaxTable(rates, countries),
                shipping=ShippingTable(zones, methods),
                promotions=found,
                automatic=tuple(promotion for promotion in found.values() if not promotion.needs_code),
            )
