"""Sales and what they cost, as whole numbers and text, so that every interface of the server can be asked for the same prices.

Amounts are in minor units of the sale's currency (ISO 4217), rates in parts per million, times in RFC 3339. Products, offers and methods
are known by their names. Their ids ascend in the order of the sale, as they do when a client creates them one after the other.
"""

from dataclasses import dataclass

VAT = "standard"
REDUCED = "reduced"
AS_GOODS = "as-goods"


@dataclass(frozen=True)
class Item:
    """Units of a product."""

    name: str
    price_minor: int
    quantity: int = 1
    tax_category: str = ""
    category: str = ""
    needs_delivery: bool = False
    weight_grams: int = 0


@dataclass(frozen=True)
class Rate:
    """A row of tax rates. An empty region or category stands for all, an empty time for no limit."""

    country: str
    ppm: int
    category: str = ""
    region: str = ""
    name: str = "VAT"
    parts: tuple[tuple[str, int], ...] = ()
    valid_from: str = ""
    valid_until: str = ""


@dataclass(frozen=True)
class Area:
    """A country, or its region, or its postal codes that begin with a prefix."""

    country: str
    region: str = ""
    postal_prefix: str = ""


@dataclass(frozen=True)
class Tariff:
    """The prices of a method in areas: pairs of a measure (grams or minor units) and the price from that measure on."""

    areas: tuple[Area, ...]
    tiers: tuple[tuple[int, int], ...]
    basis: str = "subtotal"
    end: int | None = None
    free_from_minor: int | None = None


@dataclass(frozen=True)
class Method:
    """A way of delivery."""

    name: str
    tariffs: tuple[Tariff, ...]
    tax_category: str = ""


@dataclass(frozen=True)
class Offer:
    """A promotion that needs no code. Products, categories and methods are named; `get` is the scope of what is free, if it differs."""

    name: str
    kind: str
    percent_ppm: int = 0
    amount_minor: int = 0
    buy: int = 0
    get: int = 0
    products: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    get_products: tuple[str, ...] = ()
    get_categories: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    delivery_max_minor: int | None = None
    min_subtotal_minor: int = 0
    starts_at: str = ""
    ends_at: str = ""
    priority: int = 0
    combinable: bool = True


@dataclass(frozen=True)
class Address:
    """The destination of a sale."""

    country: str
    region: str = ""
    postal_code: str = ""


@dataclass(frozen=True)
class Sale:
    """A cart in a shop with its rules. The buyer chooses the first method, unless `chooses_method` is false."""

    items: tuple[Item, ...]
    currency_code: str = "EUR"
    prices_include_tax: bool = True
    tax_rounding: str = "line"
    country: str = ""
    """The country of the shop."""
    rates: tuple[Rate, ...] = ()
    methods: tuple[Method, ...] = ()
    chooses_method: bool = True
    offers: tuple[Offer, ...] = ()
    address: Address | None = None
    treatment: str = "normal"
    at: str = "2026-06-01T12:00:00Z"


@dataclass(frozen=True)
class Delivered:
    """The price of a delivery and what changes it."""

    price_minor: int
    discount_minor: int = 0
    tax_minor: int = 0
    relief_minor: int = 0


@dataclass(frozen=True)
class Price:
    """The price of a sale. An example states what its source says and leaves the rest None; `missing` is the reason of a refusal."""

    total_minor: int | None = None
    discounts: tuple[int, ...] | None = None
    """By item."""
    taxes: tuple[int, ...] | None = None
    """By item."""
    reliefs: tuple[int, ...] | None = None
    """By item."""
    delivery: Delivered | None = None
    by_rate: tuple[tuple[int, int, int], ...] | None = None
    """Rate, net amount and tax, the highest rate first."""
    given: dict[str, int] | None = None
    """The amounts that offers give; those that give nothing are left out."""
    missing: str = ""


@dataclass(frozen=True)
class Example:
    """A sale, its price, and the authority or the rule that the price follows from."""

    name: str
    source: str
    sale: Sale
    price: Price


def everywhere(country: str, price_minor: int, tax_category: str = "") -> tuple[Method, ...]:
    """Return a method with one price for a country."""
    return (Method("Parcel", (Tariff((Area(country),), ((0, price_minor),)),), tax_category),)
