"""Prices with taxes, from docs/pricing.md (taxes)."""

from dataclasses import replace

from support.price_examples.model import (
    AS_GOODS,
    REDUCED,
    VAT,
    Address,
    Area,
    Delivered,
    Example,
    Item,
    Method,
    Offer,
    Price,
    Rate,
    Sale,
    Tariff,
    everywhere,
)

PER_LINE = "tax is rounded per line, half up; it is what is rounded, net is what is left"
PER_ORDER = "tax is rounded per order and rate, delivery in its rate's group, the remainder spread over the lines"
BASES = "discounts lower the base of their line's own rate"
CATEGORY = "a delivery has a tax category"
SPLIT = "a delivery as the goods is split by what the lines cost, by largest remainder"
SPECIFIC = "the most specific row (country, region, category) replaces and holds the full rate"
MISSING = "a category without a rate, in a country that has any row, is TAX_RATE_MISSING; a country without rows bears no tax"
RELIEF = "who bears no tax: gross prices lose the destination's tax, on each line and delivery; net prices are paid as they stand"
HALF_OPEN = "validity is a half-open range"
PLACE = "a sale without an address is taxed in the shop's country"
NO_RATE = "TAX_RATE_MISSING"

GERMAN = (Rate("DE", 190_000, VAT), Rate("DE", 70_000, REDUCED))
GERMANY = Address("DE")
LAMP, BOOK = Item("Lamp", 10_00, 1, VAT, needs_delivery=True), Item("Book", 20_00, 1, REDUCED, needs_delivery=True)
SHOP = Sale((LAMP, BOOK), rates=GERMAN, methods=everywhere("DE", 4_90, VAT), address=GERMANY)
NET_SHOP = replace(SHOP, prices_include_tax=False)
THREE = tuple(Item(f"Pen {number}", 1_00, 1, VAT) for number in range(3))


def net(rounding: str) -> Sale:
    """Return a sale of three lines of net prices in Germany."""
    return Sale(THREE, prices_include_tax=False, tax_rounding=rounding, country="DE", rates=(Rate("DE", 105_000, VAT),))


def order(sale: Sale) -> Sale:
    """Return a sale whose tax is rounded per order."""
    return replace(sale, tax_rounding="order")


def delivered(sale: Sale, price_minor: int, tax_category: str) -> Sale:
    """Return a sale with another delivery."""
    return replace(sale, methods=everywhere("DE", price_minor, tax_category))


ROUNDING = (
    Example("net prices, per line", PER_LINE, net("line"), Price(3_33, taxes=(11, 11, 11), by_rate=((105_000, 3_00, 33),))),
    Example("net prices, per order", PER_ORDER, net("order"), Price(3_32, taxes=(11, 11, 10), by_rate=((105_000, 3_00, 32),))),
    Example(
        "gross prices, per line",
        PER_LINE,
        replace(net("line"), prices_include_tax=True),
        Price(3_00, taxes=(10, 10, 10), by_rate=((105_000, 2_70, 30),)),
    ),
    Example(
        "gross prices, per order",
        PER_ORDER,
        replace(net("order"), prices_include_tax=True),
        Price(3_00, taxes=(10, 10, 9), by_rate=((105_000, 2_71, 29),)),
    ),
    Example(
        "a delivery is the last of equal remainders",
        PER_ORDER,
        order(delivered(replace(NET_SHOP, items=(replace(LAMP, price_minor=5), replace(LAMP, name="Bulb", price_minor=5))), 5, VAT)),
        Price(18, taxes=(1, 1), delivery=Delivered(5, tax_minor=1), by_rate=((190_000, 15, 3),)),
    ),
    Example(
        "a delivery that gets nothing of its rate's tax",
        PER_ORDER,
        order(delivered(replace(NET_SHOP, items=(replace(LAMP, price_minor=3), replace(LAMP, name="Bulb", price_minor=3))), 3, VAT)),
        Price(11, taxes=(1, 1), delivery=Delivered(3), by_rate=((190_000, 9, 2),)),
    ),
    Example(
        "mixed rates, gross prices, per line",
        PER_LINE,
        SHOP,
        Price(34_90, taxes=(1_60, 1_31), delivery=Delivered(4_90, tax_minor=78), by_rate=((190_000, 12_52, 2_38), (70_000, 18_69, 1_31))),
    ),
    Example(
        "mixed rates, net prices, per line",
        PER_LINE,
        NET_SHOP,
        Price(39_13, taxes=(1_90, 1_40), delivery=Delivered(4_90, tax_minor=93), by_rate=((190_000, 14_90, 2_83), (70_000, 20_00, 1_40))),
    ),
    Example(
        "mixed rates, gross prices, per order",
        PER_ORDER,
        order(SHOP),
        Price(34_90, by_rate=((190_000, 12_52, 2_38), (70_000, 18_69, 1_31))),
    ),
    Example(
        "a discount on lines of two rates",
        BASES,
        replace(SHOP, offers=(Offer("Off", "amount", amount_minor=9_00),)),
        Price(25_90, (3_00, 6_00), (1_12, 92), delivery=Delivered(4_90, tax_minor=78)),
    ),
    Example(
        "a free delivery bears no tax",
        BASES,
        replace(SHOP, offers=(Offer("Free", "free_delivery"),)),
        Price(30_00, taxes=(1_60, 1_31), delivery=Delivered(4_90, 4_90), by_rate=((190_000, 8_40, 1_60), (70_000, 18_69, 1_31))),
    ),
    Example(
        "rates of one name and percentage are one group",
        PER_ORDER,
        replace(
            order(net("line")),
            items=tuple(Item(f"Pen {category}", 1_00, 1, category) for category in ("a", "b", "c")),
            rates=tuple(Rate("DE", 105_000, category) for category in ("a", "b", "c")),
        ),
        Price(3_32, taxes=(11, 11, 10), by_rate=((105_000, 3_00, 32),)),
    ),
    Example(
        "fils",
        PER_LINE,
        Sale((Item("Dates", 1_250, 3, VAT),), "KWD", country="KW", rates=(Rate("KW", 50_000),)),
        Price(3_750, taxes=(179,), by_rate=((50_000, 3_571, 179),)),
    ),
    Example(
        "yen",
        PER_LINE,
        Sale(
            (Item("Tea", 108, 1, REDUCED), Item("Pot", 1_099, 1, VAT)),
            "JPY",
            country="JP",
            rates=(Rate("JP", 100_000, VAT), Rate("JP", 80_000, REDUCED)),
        ),
        Price(1_207, taxes=(8, 100)),
    ),
    Example(
        "the highest prices",
        PER_LINE,
        Sale((Item("Island", 10**12, 1000, VAT), Item("Sea", 10**12 - 1, 999, VAT)), country="DE", rates=GERMAN),
        Price(1_998_999_999_999_001, taxes=(159_663_865_546_218, 159_504_201_680_513)),
    ),
)

DELIVERIES = (
    Example(
        "a delivery of its own category, gross",
        CATEGORY,
        delivered(SHOP, 5_35, REDUCED),
        Price(35_35, delivery=Delivered(5_35, tax_minor=35)),
    ),
    Example(
        "a delivery of its own category, net",
        CATEGORY,
        delivered(NET_SHOP, 5_00, REDUCED),
        Price(30_00 + 1_90 + 1_40 + 5_35, delivery=Delivered(5_00, tax_minor=35)),
    ),
    Example(
        "a delivery without tax",
        CATEGORY,
        delivered(NET_SHOP, 5_00, ""),
        Price(38_30, delivery=Delivered(5_00), by_rate=((190_000, 10_00, 1_90), (70_000, 20_00, 1_40))),
    ),
    Example(
        "a delivery as the goods, gross",
        SPLIT,
        delivered(SHOP, 5_00, AS_GOODS),
        Price(
            35_00, taxes=(1_60, 1_31), delivery=Delivered(5_00, tax_minor=27 + 22), by_rate=((190_000, 9_80, 1_87), (70_000, 21_80, 1_53))
        ),
    ),
    Example(
        "a delivery as the goods, net",
        SPLIT,
        delivered(NET_SHOP, 5_00, AS_GOODS),
        Price(
            38_85, taxes=(1_90, 1_40), delivery=Delivered(5_00, tax_minor=32 + 23), by_rate=((190_000, 11_67, 2_22), (70_000, 23_33, 1_63))
        ),
    ),
    Example(
        "a delivery as the goods, of which some bear no tax",
        SPLIT,
        delivered(replace(NET_SHOP, items=(LAMP, replace(BOOK, tax_category=""))), 3_00, AS_GOODS),
        Price(35_09, taxes=(1_90, 0), delivery=Delivered(3_00, tax_minor=19), by_rate=((190_000, 11_00, 2_09),)),
    ),
    Example(
        "a delivery as the goods that are delivered",
        SPLIT,
        delivered(replace(NET_SHOP, items=(LAMP, replace(BOOK, needs_delivery=False))), 3_00, AS_GOODS),
        Price(36_87, taxes=(1_90, 1_40), delivery=Delivered(3_00, tax_minor=57)),
    ),
    Example(
        "a delivery as the goods, after a discount",
        SPLIT,
        replace(delivered(NET_SHOP, 3_00, AS_GOODS), offers=(Offer("Half books", "percent", percent_ppm=500_000, products=("Book",)),)),
        Price(20_00 + 3_00 + 1_90 + 70 + 29 + 11, taxes=(1_90, 70), delivery=Delivered(3_00, tax_minor=29 + 11)),
    ),
    Example(
        "a delivery as goods that cost nothing is divided equally among their rates",
        SPLIT,
        delivered(replace(NET_SHOP, items=(replace(LAMP, price_minor=0), replace(BOOK, price_minor=0))), 5_01, AS_GOODS),
        Price(5_67, taxes=(0, 0), delivery=Delivered(5_01, tax_minor=48 + 18), by_rate=((190_000, 2_51, 48), (70_000, 2_50, 18))),
    ),
    Example(
        "a delivery as goods of one rate that has two rows",
        SPLIT,
        delivered(
            replace(
                SHOP,
                items=(replace(BOOK, name="Book"), replace(BOOK, name="Food", tax_category="food")),
                rates=(Rate("DE", 70_000, REDUCED), Rate("DE", 70_000, "food")),
            ),
            1_00,
            AS_GOODS,
        ),
        Price(41_00, taxes=(1_31, 1_31), delivery=Delivered(1_00, tax_minor=7)),
    ),
)

PLACES = (
    Example(
        "a category's rate instead of the rate for all",
        SPECIFIC,
        replace(NET_SHOP, methods=(), rates=(Rate("DE", 190_000), Rate("DE", 70_000, REDUCED))),
        Price(33_30, taxes=(1_90, 1_40)),
    ),
    Example(
        "a region's rate of a category before all others",
        SPECIFIC,
        replace(
            NET_SHOP,
            methods=(),
            address=Address("DE", "BY"),
            rates=(Rate("DE", 190_000), Rate("DE", 70_000, REDUCED), Rate("DE", 100_000, region="BY"), Rate("DE", 20_000, REDUCED, "BY")),
        ),
        Price(31_40, taxes=(1_00, 40)),
    ),
    Example(
        "a region's rate for all before its country's rate of a category",
        SPECIFIC,
        replace(NET_SHOP, methods=(), address=Address("DE", "BY"), rates=(*GERMAN, Rate("DE", 100_000, region="BY"))),
        Price(33_00, taxes=(1_00, 2_00)),
    ),
    Example(
        "a country's rate where another region has its own",
        SPECIFIC,
        replace(NET_SHOP, methods=(), address=Address("DE", "BE"), rates=(*GERMAN, Rate("DE", 100_000, region="BY"))),
        Price(33_30, taxes=(1_90, 1_40)),
    ),
    Example("a category that no row has", MISSING, replace(SHOP, items=(replace(LAMP, tax_category="unknown"),)), Price(missing=NO_RATE)),
    Example("a delivery of a category that no row has", MISSING, delivered(SHOP, 4_90, "unknown"), Price(missing=NO_RATE)),
    Example(
        "a country of which only a region has a rate",
        MISSING,
        replace(SHOP, rates=(Rate("DE", 190_000, region="BY"),)),
        Price(missing=NO_RATE),
    ),
    Example("a rate that is over", HALF_OPEN, replace(SHOP, rates=(Rate("DE", 190_000, valid_until=SHOP.at),)), Price(missing=NO_RATE)),
    Example(
        "a rate that begins", HALF_OPEN, replace(SHOP, rates=(Rate("DE", 190_000, valid_from=SHOP.at),)), Price(34_90, taxes=(1_60, 3_19))
    ),
    Example("a country without rows", MISSING, replace(SHOP, rates=(Rate("FR", 200_000),)), Price(34_90, taxes=(0, 0), by_rate=())),
    Example(
        "goods without a category, in a country with rates",
        "without a tax category a product bears no tax",
        replace(SHOP, items=(Item("Gift card", 50_00),)),
        Price(50_00, taxes=(0,), by_rate=()),
    ),
    Example("no address", PLACE, Sale((Item("E-book", 10_70, 1, REDUCED),), country="DE", rates=GERMAN), Price(10_70, taxes=(70,))),
    Example(
        "an address elsewhere",
        PLACE,
        Sale((Item("E-book", 10_70, 1, REDUCED),), country="DE", rates=(*GERMAN, Rate("FR", 55_000, REDUCED)), address=Address("FR")),
        Price(10_70, taxes=(56,)),
    ),
    Example(
        "no address, and a shop without a country",
        PLACE,
        Sale((Item("E-book", 10_70, 1, REDUCED),), rates=GERMAN),
        Price(10_70, taxes=(0,), by_rate=()),
    ),
    Example(
        "a gross price is the same at every rate",
        "an inclusive price stays as shown whatever the destination's rate",
        replace(SHOP, methods=(), rates=(Rate("FR", 200_000), Rate("DE", 190_000)), address=Address("FR")),
        Price(30_00, taxes=(1_67, 3_33)),
    ),
)

TREATMENTS = (
    Example(
        "reverse charge of gross prices",
        RELIEF,
        replace(SHOP, treatment="reverse_charge"),
        Price(31_21, taxes=(0, 0), reliefs=(1_60, 1_31), delivery=Delivered(4_90, relief_minor=78), by_rate=()),
    ),
    Example(
        "an exempt buyer at gross prices",
        RELIEF,
        replace(SHOP, treatment="exempt"),
        Price(31_21, taxes=(0, 0), reliefs=(1_60, 1_31), delivery=Delivered(4_90, relief_minor=78), by_rate=()),
    ),
    Example(
        "reverse charge of gross prices, per order",
        RELIEF,
        replace(net("order"), prices_include_tax=True, treatment="reverse_charge"),
        Price(2_71, reliefs=(10, 10, 9)),
    ),
    Example(
        "reverse charge of gross prices, after a discount",
        RELIEF,
        replace(SHOP, methods=(), treatment="reverse_charge", offers=(Offer("Off", "amount", amount_minor=9_00),)),
        Price(21_00 - 1_12 - 92, (3_00, 6_00), reliefs=(1_12, 92)),
    ),
    Example(
        "reverse charge of net prices",
        RELIEF,
        replace(NET_SHOP, treatment="reverse_charge"),
        Price(34_90, taxes=(0, 0), reliefs=(0, 0), delivery=Delivered(4_90), by_rate=()),
    ),
    Example(
        "an exempt buyer at net prices, without a rate",
        RELIEF,
        replace(NET_SHOP, treatment="exempt", rates=(Rate("DE", 190_000, "other"),)),
        Price(34_90, taxes=(0, 0)),
    ),
    Example(
        "an exempt buyer at gross prices, without a rate",
        MISSING,
        replace(SHOP, treatment="exempt", rates=(Rate("DE", 190_000, "other"),)),
        Price(missing=NO_RATE),
    ),
    Example(
        "an exempt buyer at gross prices, in a country without rows",
        RELIEF,
        replace(SHOP, treatment="exempt", rates=()),
        Price(34_90, reliefs=(0, 0)),
    ),
    Example(
        "reverse charge with a delivery as the goods",
        RELIEF,
        delivered(replace(SHOP, treatment="reverse_charge"), 5_00, AS_GOODS),
        Price(35_00 - 1_60 - 1_31 - 49, reliefs=(1_60, 1_31), delivery=Delivered(5_00, relief_minor=49)),
    ),
)

PAGE = Sale(
    (
        Item("Lamp", 19_99, 2, VAT, needs_delivery=True),
        Item("Book", 12_50, 1, REDUCED, "books", needs_delivery=True),
    ),
    rates=GERMAN,
    methods=(Method("Parcel", (Tariff((Area("DE"),), ((0, 4_90),), free_from_minor=50_00),), AS_GOODS),),
    offers=(
        Offer("Five off books", "amount", amount_minor=5_00, categories=("books",)),
        Offer("Ten percent", "percent", percent_ppm=100_000, priority=1),
    ),
    address=GERMANY,
)
ON_THE_PAGE = (
    Example(
        "the example of docs/pricing.md",
        "docs/pricing.md",
        PAGE,
        Price(
            47_13,
            (4_00, 6_25),
            (5_74, 41),
            delivery=Delivered(4_90, tax_minor=67 + 5),
            by_rate=((190_000, 33_74, 6_41), (70_000, 6_52, 46)),
            given={"Ten percent": 5_25, "Five off books": 5_00},
        ),
    ),
    Example(
        "the example of docs/pricing.md, under reverse charge", "docs/pricing.md", replace(PAGE, treatment="reverse_charge"), Price(40_26)
    ),
)
