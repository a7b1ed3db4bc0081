"""A shop that takes on the rules of one sale after another, as an administrator sets them up through the API."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from mercato.v1 import catalog_pb2, promotion_pb2, shipping_pb2, shop_pb2, tax_pb2, user_pb2
from mercato.v1.money_pb2 import Money
from mercato.v1.postal_address_pb2 import PostalAddress
from support.price_examples.model import AS_GOODS, Address, Area, Item, Method, Offer, Rate, Sale, Tariff
from support.price_oracle import moment
from support.shop import CALL_S, Person, Shop

KINDS = {
    "percent": promotion_pb2.PROMOTION_KIND_PERCENT,
    "amount": promotion_pb2.PROMOTION_KIND_AMOUNT,
    "free_delivery": promotion_pb2.PROMOTION_KIND_FREE_DELIVERY,
    "buy_x_get_y": promotion_pb2.PROMOTION_KIND_BUY_X_GET_Y,
}
ROUNDINGS = {"line": shop_pb2.TAX_ROUNDING_LINE, "order": shop_pb2.TAX_ROUNDING_ORDER}
BASES = {"weight": shipping_pb2.SHIPPING_RATE_BASIS_WEIGHT, "subtotal": shipping_pb2.SHIPPING_RATE_BASIS_SUBTOTAL}
TREATMENTS: dict[str, dict[str, Any]] = {
    "normal": {},
    "reverse_charge": {"tax_treatment": user_pb2.TAX_TREATMENT_REVERSE_CHARGE, "tax_number": "DE136695976"},
    "exempt": {"tax_treatment": user_pb2.TAX_TREATMENT_EXEMPT, "tax_number": "EX-1"},
}
CITIES = {
    ("AT", ""): ("1010", "Wien"),
    ("CA", "AB"): ("T2P 1J9", "Calgary"),
    ("CA", "NS"): ("B3J 3A5", "Halifax"),
    ("CA", "ON"): ("M5H 2N2", "Toronto"),
    ("DE", ""): ("10115", "Berlin"),
    ("DK", ""): ("1050", "København"),
    ("FR", ""): ("75001", "Paris"),
    ("GB", ""): ("SW1A 2AA", "London"),
    ("IE", ""): ("D02 X285", "Dublin"),
    ("NL", ""): ("1012 JS", "Amsterdam"),
    ("SE", ""): ("111 22", "Stockholm"),
    ("US", "CA"): ("90012", "Los Angeles"),
    ("US", "WI"): ("53703", "Madison"),
}
"""The postal code, if a sale has none, and the city of each country and region."""
STOCK = 100_000


def money(minor_units: int) -> Money:
    """Return an amount of the shop's currency."""
    return Money(minor_units=minor_units)


def postal(address: Address) -> PostalAddress:
    """Return a whole address in a place."""
    code, city = CITIES[address.country, address.region if address.country in ("CA", "US") else ""]
    return PostalAddress(
        country_code=address.country,
        recipient="Jo Doe",
        street_lines=["Main Street 1"],
        city=city,
        region=address.region,
        postal_code=address.postal_code or code,
    )


@dataclass(frozen=True)
class Wanted:
    """The lines and the header of a buyer's cart."""

    units: Sequence[tuple[str, int]]
    """Ids of products, ascending, and quantities."""
    address: PostalAddress | None
    method_id: str


@dataclass
class PriceShop:
    """A shop of one currency."""

    shop: Shop
    admin: Person
    _categories: dict[str, str] = field(default_factory=dict)
    _tax_categories: set[str] = field(default_factory=set)
    _current: dict[str, object] = field(default_factory=dict)
    """The parts of the rules that the shop has now."""
    _archive: dict[str, list[Callable[[], Any]]] = field(default_factory=dict)
    """The calls that end each part."""
    _method_ids: list[str] = field(default_factory=list)
    _products: dict[object, dict[str, str]] = field(default_factory=dict)

    async def adopt(self, sale: Sale) -> Wanted:
        """Take on the rules of a sale, create its products, and return what its buyer wants."""
        delay = datetime.now(UTC) - moment(sale.at)
        await self._replace("settings", (sale.country, sale.prices_include_tax, sale.tax_rounding), lambda: self._settings(sale))
        await self._replace("offers", None, self._nothing)
        await self._replace("methods", sale.methods, lambda: self._methods(sale.methods))
        windows = any(rate.valid_from or rate.valid_until for rate in sale.rates)
        await self._replace("rates", (sale.rates, sale.at if windows else ""), lambda: self._rates(sale.rates, delay))
        products = await self._products_of(sale)
        await self._replace("offers", sale.offers, lambda: self._offers(sale.offers, products, sale.methods, delay))
        return Wanted(
            [(products[item.name], item.quantity) for item in sale.items],
            postal(sale.address) if sale.address else None,
            self._method_ids[0] if sale.methods and sale.chooses_method else "",
        )

    async def buyer(self, treatment: str) -> Person:
        """Return a new buyer, who is taxed in a certain way."""
        person = await self.shop.person()
        if fields := TREATMENTS[treatment]:
            await self._call(self.shop.users.UpdateUser, user_pb2.UpdateUserRequest(user_id=person.id, **fields))
        return person

    async def _call(self, method: Any, request: Message) -> Any:
        return await method(request, metadata=self.admin.metadata, timeout=CALL_S)

    async def _nothing(self) -> None:
        """Set up a part that has no rules."""

    async def _replace(self, part: str, wanted: object, set_up: Callable[[], Any]) -> None:
        """Let the shop have other rules of a part; those of before are archived, the newest first."""
        if part in self._current and self._current[part] == wanted:
            return
        self._current.pop(part, None)
        for archive in reversed(self._archive.pop(part, [])):
            await archive()
        await set_up()
        self._current[part] = wanted

    def _until_replaced(self, part: str, method: Any, request: Message) -> None:
        self._archive.setdefault(part, []).append(lambda: self._call(method, request))

    async def _settings(self, sale: Sale) -> None:
        shop = shop_pb2.Shop(
            country_code=sale.country, prices_include_tax=sale.prices_include_tax, tax_rounding=ROUNDINGS[sale.tax_rounding]
        )
        mask = FieldMask(paths=["country_code", "prices_include_tax", "tax_rounding"])
        await self._call(self.shop.settings.UpdateShop, shop_pb2.UpdateShopRequest(shop=shop, update_mask=mask))

    async def _tax_category(self, name: str) -> str:
        if name not in {"", AS_GOODS, *self._tax_categories}:
            request = tax_pb2.CreateTaxCategoryRequest(tax_category=tax_pb2.TaxCategory(display_name=name), tax_category_id=name)
            await self._call(self.shop.taxes.CreateTaxCategory, request)
            self._tax_categories.add(name)
        return name

    async def _rates(self, rates: Sequence[Rate], delay: timedelta) -> None:
        for rate in rates:
            wanted = tax_pb2.TaxRate(
                country_code=rate.country,
                region=rate.region,
                tax_category=await self._tax_category(rate.category),
                name=rate.name,
                rate_ppm=rate.ppm,
                parts=[tax_pb2.TaxRatePart(name=name, ppm=ppm) for name, ppm in rate.parts],
                valid_from=time(rate.valid_from, delay),
                valid_until=time(rate.valid_until, delay),
            )
            made = await self._call(self.shop.taxes.CreateTaxRate, tax_pb2.CreateTaxRateRequest(tax_rate=wanted))
            self._until_replaced("rates", self.shop.taxes.ArchiveTaxRate, tax_pb2.ArchiveTaxRateRequest(tax_rate_id=made.id))

    async def _methods(self, methods: Sequence[Method]) -> None:
        self._method_ids = []
        zones: dict[tuple[Area, ...], str] = {}
        for method in methods:
            for areas in (tariff.areas for tariff in method.tariffs if tariff.areas not in zones):
                places = [shipping_pb2.ShippingArea(country_code=a.country, region=a.region, postal_prefix=a.postal_prefix) for a in areas]
                zone = shipping_pb2.ShippingZone(name=f"Zone {len(zones)}", areas=places)
                making = shipping_pb2.CreateShippingZoneRequest(shipping_zone=zone)
                zones[areas] = (await self._call(self.shop.shipping.CreateShippingZone, making)).id
                ending = shipping_pb2.ArchiveShippingZoneRequest(shipping_zone_id=zones[areas])
                self._until_replaced("methods", self.shop.shipping.ArchiveShippingZone, ending)
            wanted = shipping_pb2.ShippingMethod(
                name=method.name,
                tax_category=await self._tax_category(method.tax_category),
                rates=[shipping_rate(zones[tariff.areas], tariff) for tariff in method.tariffs],
            )
            request = shipping_pb2.CreateShippingMethodRequest(shipping_method=wanted)
            self._method_ids.append((await self._call(self.shop.shipping.CreateShippingMethod, request)).id)
            end = shipping_pb2.ArchiveShippingMethodRequest(shipping_method_id=self._method_ids[-1])
            self._until_replaced("methods", self.shop.shipping.ArchiveShippingMethod, end)

    async def _products_of(self, sale: Sale) -> dict[str, str]:
        """Return the products of a sale by name; their ids ascend. Those that only its promotions name come last."""
        items = tuple(replace(item, quantity=1) for item in sale.items)
        named = {name: Item(name, 1) for offer in sale.offers for name in (*offer.products, *offer.get_products)}
        wanted = (*items, *(item for name, item in named.items() if name not in {item.name for item in items}))
        if wanted not in self._products:
            self._products[wanted] = {item.name: await self._product(item) for item in wanted}
        return self._products[wanted]

    async def _product(self, item: Item) -> str:
        product = await self.shop.product(
            self.admin,
            name=item.name,
            price=item.price_minor,
            stock=STOCK,
            category_id=await self._category(item.category) if item.category else "",
            tax_category=await self._tax_category(item.tax_category),
            needs_delivery=item.needs_delivery,
            weight_grams=item.weight_grams,
        )
        return product.id

    async def _category(self, name: str) -> str:
        if name not in self._categories:
            request = catalog_pb2.CreateCategoryRequest(category=catalog_pb2.Category(name=name))
            self._categories[name] = (await self._call(self.shop.catalog.CreateCategory, request)).id
        return self._categories[name]

    async def _offers(self, offers: Sequence[Offer], products: dict[str, str], methods: Sequence[Method], delay: timedelta) -> None:
        method_ids = dict(zip((method.name for method in methods), self._method_ids, strict=True))
        for offer in offers:
            wanted = promotion_pb2.Promotion(
                name=offer.name,
                kind=KINDS[offer.kind],
                percent_ppm=offer.percent_ppm or None,
                amount=money(offer.amount_minor) if offer.amount_minor else None,
                buy_quantity=offer.buy or None,
                get_quantity=offer.get or None,
                product_ids=[products[name] for name in offer.products],
                category_ids=[await self._category(name) for name in offer.categories],
                get_product_ids=[products[name] for name in offer.get_products],
                get_category_ids=[await self._category(name) for name in offer.get_categories],
                shipping_method_ids=[method_ids[name] for name in offer.methods],
                delivery_max=None if offer.delivery_max_minor is None else money(offer.delivery_max_minor),
                min_subtotal=money(offer.min_subtotal_minor),
                start_time=time(offer.starts_at, delay),
                end_time=time(offer.ends_at, delay),
                priority=offer.priority,
                combinable=offer.combinable,
            )
            made = await self._call(self.shop.promotions.CreatePromotion, promotion_pb2.CreatePromotionRequest(promotion=wanted))
            end = promotion_pb2.ArchivePromotionRequest(promotion_id=made.id)
            self._until_replaced("offers", self.shop.promotions.ArchivePromotion, end)


def time(text: str, delay: timedelta) -> Timestamp | None:
    """Return a moment of a sale that takes place now; None without one."""
    if not text:
        return None
    stamp = Timestamp()
    stamp.FromDatetime(moment(text) + delay)
    return stamp


def shipping_rate(zone_id: str, tariff: Tariff) -> shipping_pb2.ShippingRate:
    """Return the rate of a method in a zone."""
    return shipping_pb2.ShippingRate(
        shipping_zone_id=zone_id,
        basis=BASES[tariff.basis],
        tiers=[shipping_pb2.ShippingTier(start=start, price=money(price)) for start, price in tariff.tiers],
        end=tariff.end,
        free_from=None if tariff.free_from_minor is None else money(tariff.free_from_minor),
    )
