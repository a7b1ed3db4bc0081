"""A shop that charges tax and delivery, as an administrator sets it up through the API."""

from dataclasses import dataclass
from typing import Any

from mercato.v1 import cart_pb2, catalog_pb2, promotion_pb2, shipping_pb2, shop_pb2, tax_pb2
from mercato.v1.money_pb2 import Money
from mercato.v1.postal_address_pb2 import PostalAddress
from mercato_server.store.verify import verify
from support.shop import CALL_S, Person, Shop

BERLIN = PostalAddress(country_code="DE", recipient="Jo Doe", street_lines=["Pariser Platz 1"], city="Berlin", postal_code="10117")
VIENNA = PostalAddress(country_code="AT", recipient="Jo Doe", street_lines=["Ring 1"], city="Wien", postal_code="1010")
BERN = PostalAddress(country_code="CH", recipient="Jo Doe", street_lines=["Bundesplatz 3"], city="Bern", postal_code="3005")


def money(minor_units: int) -> Money:
    return Money(minor_units=minor_units)


@dataclass
class Market:
    """A shop in Germany: 19 % and 7 % of tax there and 20 % in Austria, in the prices; a parcel to both countries for 490."""

    shop: Shop
    admin: Person
    zone_id: str = ""
    parcel_id: str = ""

    async def open(self) -> None:
        """Set up taxes and delivery."""
        metadata: dict[str, Any] = {"metadata": self.admin.metadata, "timeout": CALL_S}
        await self.shop.settings.UpdateShop(shop_pb2.UpdateShopRequest(shop=shop_pb2.Shop(country_code="DE")), **metadata)
        for category in ("standard", "reduced"):
            request = tax_pb2.CreateTaxCategoryRequest(tax_category=tax_pb2.TaxCategory(display_name=category), tax_category_id=category)
            await self.shop.taxes.CreateTaxCategory(request, **metadata)
        for country_code, category, ppm in (("DE", "standard", 190_000), ("DE", "reduced", 70_000), ("AT", "standard", 200_000)):
            rate = tax_pb2.TaxRate(country_code=country_code, tax_category=category, name=f"VAT {ppm // 10_000}%", rate_ppm=ppm)
            await self.shop.taxes.CreateTaxRate(tax_pb2.CreateTaxRateRequest(tax_rate=rate), **metadata)
        areas = [shipping_pb2.ShippingArea(country_code="DE"), shipping_pb2.ShippingArea(country_code="AT")]
        zone = shipping_pb2.ShippingZone(name="Near", areas=areas)
        made = await self.shop.shipping.CreateShippingZone(shipping_pb2.CreateShippingZoneRequest(shipping_zone=zone), **metadata)
        self.zone_id = made.id
        self.parcel_id = (await self.method("Parcel", 490, free_from=money(10_000))).id

    async def method(self, name: str, price: int, *, tax_category: str = "as-goods", **rate: Any) -> shipping_pb2.ShippingMethod:
        """Make a shipping method with one price, taxed like the goods unless a tax category is given."""
        cost = shipping_pb2.ShippingRate(
            shipping_zone_id=self.zone_id,
            basis=shipping_pb2.SHIPPING_RATE_BASIS_WEIGHT,
            tiers=[shipping_pb2.ShippingTier(start=0, price=money(price))],
            **rate,
        )
        method = shipping_pb2.ShippingMethod(name=name, tax_category=tax_category, rates=[cost])
        request = shipping_pb2.CreateShippingMethodRequest(shipping_method=method)
        return await self.shop.shipping.CreateShippingMethod(request, metadata=self.admin.metadata, timeout=CALL_S)

    async def ball(self, price: int = 1_999, **fields: Any) -> catalog_pb2.Product:
        """Make a product that is delivered and taxed by the standard rate."""
        wanted = {"tax_category": "standard", "needs_delivery": True, "weight_grams": 400, "stock": 1_000, **fields}
        return await self.shop.product(self.admin, price=price, **wanted)

    async def promotion(self, *codes: str, **fields: Any) -> promotion_pb2.Promotion:
        """Make a promotion of ten percent, or of other fields, with codes."""
        what = fields or {"percent_ppm": 100_000}
        what = {"kind": promotion_pb2.PROMOTION_KIND_PERCENT, "name": "Ten percent", **what}
        promotion = promotion_pb2.Promotion(needs_code=bool(codes), **what)
        request = promotion_pb2.CreatePromotionRequest(promotion=promotion)
        made = await self.shop.promotions.CreatePromotion(request, metadata=self.admin.metadata, timeout=CALL_S)
        for code in codes:
            wanted = promotion_pb2.CreatePromotionCodeRequest(promotion_id=made.id, code=code)
            await self.shop.promotions.CreatePromotionCode(wanted, metadata=self.admin.metadata, timeout=CALL_S)
        return made

    async def header(self, buyer: Person, **fields: Any) -> cart_pb2.CartHeader:
        """Change the header of a buyer's cart."""
        request = cart_pb2.UpdateCartHeaderRequest(**fields)
        return await self.shop.carts.UpdateCartHeader(request, metadata=buyer.metadata, timeout=CALL_S)

    async def quote(self, buyer: Person) -> cart_pb2.Quote:
        """Ask for a quote of a buyer's cart."""
        return await self.shop.carts.QuoteCart(cart_pb2.QuoteCartRequest(), metadata=buyer.metadata, timeout=CALL_S)

    async def cart(self, buyer: Person) -> cart_pb2.Cart:
        """Read a buyer's cart."""
        return await self.shop.carts.GetCart(cart_pb2.GetCartRequest(), metadata=buyer.metadata, timeout=CALL_S)


async def market(shop: Shop) -> Market:
    """Set up a shop."""
    made = Market(shop, await shop.person(admin=True))
    await made.open()
    return made


async def buyer_of(trade: Market, *products: catalog_pb2.Product, **header: object) -> Person:
    """Return a buyer whose cart has a unit of each product and goes to Berlin by parcel."""
    buyer = await trade.shop.person()
    for product in products:
        await trade.shop.add(buyer, product)
    await trade.header(buyer, **{"shipping_address": BERLIN, "shipping_method_id": trade.parcel_id, **header})
    return buyer


async def violations(shop: Shop) -> dict[str, tuple[str, ...]]:
    """Return the violations of the shop's invariants by name, those of a deep check too."""
    async with shop.pool.acquire() as conn:
        return {item.invariant.name: item.examples for item in await verify(conn, recompute=None) if item.violations}
