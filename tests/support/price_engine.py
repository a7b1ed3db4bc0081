"""The price of a sale by the server's rules: a sale is turned into the server's types, and the breakdown into a price."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from mercato_server.domain.carts import CartLine
from mercato_server.domain.pricing import Breakdown, PriceRules, Purchase, price
from mercato_server.domain.promotions import Promotion, PromotionKind, Scope
from mercato_server.domain.shipping import Area, Destination, RateBasis, ShippingMethod, ShippingRate, ShippingTable, Tier, Zone
from mercato_server.domain.taxes import TaxPart, TaxRate, TaxRounding, TaxTable, TaxTreatment
from support.price_examples.model import Delivered, Item, Offer, Price, Rate, Sale, Tariff


def ids(names: Sequence[str]) -> dict[str, UUID]:
    """Return an id for each name, in ascending order."""
    return {name: UUID(int=number) for number, name in enumerate(dict.fromkeys(names), start=1)}


class EngineSale:
    """A sale in the server's types."""

    def __init__(self, sale: Sale) -> None:
        self.sale = sale
        self.at = datetime.fromisoformat(sale.at)
        # An offer may name what is not in the sale; such names come last, so that the others have the ids of their order.
        named = [name for offer in sale.offers for name in (*offer.products, *offer.get_products)]
        self.products = ids([*(item.name for item in sale.items), *named])
        named = [name for offer in sale.offers for name in (*offer.categories, *offer.get_categories)]
        self.categories = ids([*(item.category for item in sale.items if item.category), *named])
        self.methods = ids([*(method.name for method in sale.methods), *(name for offer in sale.offers for name in offer.methods)])
        self.offers = ids([offer.name for offer in sale.offers])
        assert len({item.name for item in sale.items}) == len(sale.items)
        assert len(self.offers) == len(sale.offers)

    @property
    def lines(self) -> list[CartLine]:
        """The items, by id."""
        return [self._line(item) for item in self.sale.items]

    @property
    def promotions(self) -> list[Promotion]:
        """The promotions whose windows are open, by id."""
        promotions = [self._promotion(offer) for offer in self.sale.offers]
        return [promotion for promotion in promotions if promotion.is_open(self.at)]

    @property
    def rules(self) -> PriceRules:
        """The rules of the shop."""
        return PriceRules(
            prices_include_tax=self.sale.prices_include_tax,
            tax_rounding=TaxRounding(self.sale.tax_rounding),
            country_code=self.sale.country,
            taxes=self.taxes,
            shipping=self.shipping,
        )

    @property
    def taxes(self) -> TaxTable:
        """The tax rates."""
        return TaxTable([tax_rate(row, number) for number, row in enumerate(self.sale.rates, start=1)])

    @property
    def shipping(self) -> ShippingTable:
        """The zones and methods; a tariff's areas are a zone."""
        zones: list[Zone] = []
        methods = []
        for method in self.sale.methods:
            rates = {}
            for tariff in method.tariffs:
                # Methods may share a zone, as an area belongs to one.
                zone = Zone(
                    UUID(int=len(zones) + 1), "", tuple(Area(area.country, area.region, area.postal_prefix) for area in tariff.areas)
                )
                known = next((each for each in zones if each.areas == zone.areas), None)
                zones += [] if known else [zone]
                rates[(known or zone).id] = shipping_rate(tariff)
            methods.append(ShippingMethod(self.methods[method.name], method.name, method.tax_category, rates))
        return ShippingTable(zones, methods)

    @property
    def chosen(self) -> UUID | None:
        """The method that the buyer chooses."""
        return self.methods[self.sale.methods[0].name] if self.sale.methods and self.sale.chooses_method else None

    def purchase(self) -> Purchase:
        """Return the purchase."""
        address = self.sale.address
        destination = Destination(address.country, address.region, address.postal_code) if address else None
        return Purchase(self.lines, destination, self.chosen, self.promotions, TaxTreatment(self.sale.treatment))

    def breakdown(self) -> Breakdown:
        """Return the server's answer."""
        return price(self.purchase(), self.rules, self.at)

    def price(self) -> Price:
        """Return the server's answer as an example states it."""
        answer = self.breakdown()
        given: dict[str, int] = defaultdict(int)
        for discount in answer.discounts:
            given[discount.name] += discount.amount_minor
        delivery = answer.delivery
        return Price(
            answer.total_minor,
            tuple(line.discount_minor for line in answer.lines),
            tuple(line.tax_minor for line in answer.lines),
            tuple(line.relief_minor for line in answer.lines),
            Delivered(delivery.price_minor, delivery.discount_minor, delivery.tax_minor, delivery.relief_minor) if delivery else None,
            tuple((total.ppm, total.net_minor, total.tax_minor) for total in answer.taxes),
            dict(given),
            answer.missing.reason if answer.missing else "",
        )

    def _line(self, item: Item) -> CartLine:
        return CartLine(
            self.products[item.name],
            item.name,
            item.quantity,
            item.price_minor,
            item.price_minor,
            item.quantity,
            on_sale=True,
            category_id=self.categories.get(item.category),
            tax_category=item.tax_category,
            needs_delivery=item.needs_delivery,
            weight_grams=item.weight_grams,
        )

    def _promotion(self, offer: Offer) -> Promotion:
        return Promotion(
            self.offers[offer.name],
            offer.name,
            PromotionKind(offer.kind),
            self._scope(offer.products, offer.categories),
            offer.percent_ppm,
            offer.amount_minor,
            offer.buy,
            offer.get,
            self._scope(offer.get_products, offer.get_categories) if offer.get_products or offer.get_categories else None,
            frozenset(self.methods[name] for name in offer.methods),
            offer.delivery_max_minor,
            offer.min_subtotal_minor,
            starts_at=datetime.fromisoformat(offer.starts_at) if offer.starts_at else None,
            ends_at=datetime.fromisoformat(offer.ends_at) if offer.ends_at else None,
            priority=offer.priority,
            combinable=offer.combinable,
        )

    def _scope(self, products: Sequence[str], categories: Sequence[str]) -> Scope:
        return Scope(frozenset(self.products[name] for name in products), frozenset(self.categories[name] for name in categories))


def tax_rate(row: Rate, number: int) -> TaxRate:
    """Return a row of tax rates."""
    parts = tuple(TaxPart(name, ppm) for name, ppm in row.parts)
    valid_from = datetime.fromisoformat(row.valid_from) if row.valid_from else None
    valid_until = datetime.fromisoformat(row.valid_until) if row.valid_until else None
    return TaxRate(UUID(int=number), row.country, row.region, row.category, row.name, row.ppm, parts, valid_from, valid_until)


def shipping_rate(tariff: Tariff) -> ShippingRate:
    """Return the rate of a method in a zone."""
    return ShippingRate(RateBasis(tariff.basis), tuple(Tier(*tier) for tier in tariff.tiers), tariff.end, tariff.free_from_minor)


def engine_price(sale: Sale) -> Price:
    """Return what the server says that a sale costs."""
    return EngineSale(sale).price()
