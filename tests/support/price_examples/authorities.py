"""Prices that tax authorities publish, or that follow from a rule which a law states in numbers."""

from dataclasses import replace

from support.price_examples.model import (
    AS_GOODS,
    REDUCED,
    VAT,
    Address,
    Delivered,
    Example,
    Item,
    Offer,
    Price,
    Rate,
    Sale,
    everywhere,
)

CALIFORNIA = Address("US", "CA")
SCHEDULE = "California Civil Code 1656.1(c)(1), schedule of {} percent; 18 CCR 1700: half a cent or more is a cent"
PENS = "Royal Malaysian Customs, GST on tax invoices (mrp.com.my/2016/08/05/calculating-gst-on-tax-invoices), example {}"
CORONA = "German law of 29 June 2020 (Zweites Corona-Steuerhilfegesetz): 16 % from 1 July to 31 December 2020, local time"


def schedule(percent: str, ppm: int, *rows: tuple[int, int]) -> Example:
    """Return an example whose items have the first and last prices of rows of a Californian schedule, each with its tax."""
    items = tuple(Item(f"{cents} cents", cents, 1, VAT) for cents, _ in rows)
    sale = Sale(items, "USD", prices_include_tax=False, country="US", rates=(Rate("US", ppm, region="CA"),), address=CALIFORNIA)
    taxes = tuple(tax for _, tax in rows)
    return Example(f"prices at the borders of {percent} percent", SCHEDULE.format(percent), sale, Price(taxes=taxes))


def on_top(items: tuple[Item, ...], ppm: int, country: str = "US", currency_code: str = "USD", *, rounding: str = "line") -> Sale:
    """Return a sale of net prices within a country with one rate."""
    return Sale(items, currency_code, prices_include_tax=False, tax_rounding=rounding, country=country, rates=(Rate(country, ppm),))


def gross(items: tuple[Item, ...], *rates: tuple[str, int], offers: tuple[Offer, ...] = ()) -> Sale:
    """Return a sale of gross prices in the United Kingdom."""
    return Sale(items, "GBP", country="GB", rates=tuple(Rate("GB", ppm, category) for category, ppm in rates), offers=offers)


THREE_PENS = tuple(Item(f"{colour} pen", 1_77, 1, VAT) for colour in ("Green", "Red", "Blue"))
MEAL = tuple(
    Item(name, price, 1, category)
    for name, price, category in (
        ("Main course", 6_00, "food"),
        ("Side dish", 1_50, "food"),
        ("Dessert", 1_50, "food"),
        ("Wine", 6_00, VAT),
    )
)
GROCERIES = Sale(
    (
        Item("Food", 10_00, 1, "food", needs_delivery=True),
        Item("Soap", 5_00, 1, VAT, needs_delivery=True),
    ),
    "USD",
    prices_include_tax=False,
    rates=(Rate("US", 72_500, VAT, "CA"), Rate("US", 0, "food", "CA", "exempt food")),
    methods=everywhere("US", 3_50, AS_GOODS),
    address=CALIFORNIA,
)
IN_2020 = Sale(
    (Item("Lamp", 119_00, 1, VAT),),
    country="DE",
    rates=(
        Rate("DE", 190_000, valid_until="2020-06-30T22:00:00Z"),
        Rate("DE", 160_000, valid_from="2020-06-30T22:00:00Z", valid_until="2020-12-31T23:00:00Z"),
        Rate("DE", 190_000, valid_from="2020-12-31T23:00:00Z"),
    ),
)
CANADA = Sale(
    (Item("Lamp", 100_00, 1, VAT),),
    "CAD",
    prices_include_tax=False,
    rates=(Rate("CA", 50_000, name="GST"), Rate("CA", 130_000, region="ON", name="HST"), Rate("CA", 150_000, region="NS", name="HST")),
    address=Address("CA", "AB"),
)
PROVINCES = (
    "Canada Revenue Agency, interpretation 125136: HST of 15 % in Nova Scotia, 13 % in Ontario, and GST of 5 % in the remaining provinces"
)
ITEMS_OF_A_STATE = (Item("A", 1_07, 1, VAT), Item("B", 1_50, 1, VAT), Item("C", 50, 1, VAT))

AUTHORITIES = (
    schedule("4 3/4", 47_500, (1, 0), (10, 0), (11, 1), (31, 1), (32, 2), (52, 2), (53, 3), (73, 3), (74, 4), (94, 4), (95, 5), (115, 5)),
    schedule("5", 50_000, (1, 0), (9, 0), (10, 1), (29, 1), (30, 2), (49, 2), (50, 3), (69, 3), (70, 4), (89, 4), (90, 5), (109, 5)),
    schedule("5 1/4", 52_500, (1, 0), (9, 0), (10, 1), (28, 1), (29, 2), (47, 2), (48, 3), (66, 3), (67, 4), (85, 4), (86, 5), (104, 5)),
    schedule("5 1/2", 55_000, (1, 0), (9, 0), (10, 1), (27, 1), (28, 2), (45, 2), (46, 3), (63, 3)),
    Example(
        "a delivery of taxed goods and exempt food",
        "California sales and use tax annotation 557.0111: of goods for 15 dollars, 5 taxable, a third of the delivery of 3.50 is taxable",
        GROCERIES,
        Price(18_94, taxes=(0, 36), delivery=Delivered(3_50, tax_minor=8), by_rate=((72_500, 6_17, 44), (0, 12_33, 0))),
    ),
    Example(
        "tax of state and county on each item, with a third decimal above four",
        "Streamlined Sales and Use Tax Agreement 324 (Rhode Island 44-18.1-25, North Dakota 81-04.1-01-29), on the aggregated rate",
        on_top(ITEMS_OF_A_STATE, 70_000),
        Price(3_29, taxes=(7, 11, 4)),
    ),
    Example(
        "tax of state and county on the invoice",
        "Streamlined Sales and Use Tax Agreement 324(B): sellers elect to compute the tax on an item or an invoice basis",
        on_top(ITEMS_OF_A_STATE, 70_000, rounding="order"),
        Price(3_28, by_rate=((70_000, 3_07, 21),)),
    ),
    Example(
        "clothing with a taxed delivery",
        "Wisconsin Tax 11.94, example: 100.00 and a delivery of 10.00 at 5 percent are 115.50",
        Sale(
            (Item("Clothing", 100_00, 1, VAT, needs_delivery=True),),
            "USD",
            prices_include_tax=False,
            rates=(Rate("US", 50_000, region="WI"),),
            methods=everywhere("US", 10_00, VAT),
            address=Address("US", "WI"),
        ),
        Price(115_50, by_rate=((50_000, 110_00, 5_50),)),
    ),
    Example(
        "tax on the discounted price",
        "Texas Comptroller, STAR 200904303L: a dress of 150 dollars less 10 percent is taxed on 135 (6.25 percent)",
        replace(
            on_top((Item("Dress", 150_00, 1, VAT),), 62_500),
            offers=(Offer("10 percent off all purchases", "percent", percent_ppm=100_000),),
        ),
        Price(143_44, (15_00,), (8_44,)),
    ),
    Example(
        "buy one, get one free",
        "34 Texas Administrative Code 3.366(g)(1): of two pairs of pants for 120 dollars, one of them free, the tax is due on 120",
        replace(on_top((Item("Pants", 120_00, 2, VAT),), 62_500), offers=(Offer("Buy one, get one free", "buy_x_get_y", buy=1, get=1),)),
        Price(127_50, (120_00,), (7_50,)),
    ),
    Example(
        "federal and provincial tax as one rate",
        "Canada Revenue Agency, interpretation 125136: 31.95 x 13 percent, rounded once (Excise Tax Act 165.2(2))",
        Sale(
            (Item("Food", 31_95, 1, VAT),),
            "CAD",
            prices_include_tax=False,
            country="CA",
            rates=(Rate("CA", 130_000, name="HST", parts=(("GST", 50_000), ("PST", 80_000))),),
        ),
        Price(36_10, taxes=(4_15,), by_rate=((130_000, 31_95, 4_15),)),
    ),
    Example("tax of each line", PENS.format(1), on_top(THREE_PENS, 60_000, "MY", "MYR"), Price(5_64, taxes=(11, 11, 11))),
    Example(
        "tax of the total",
        PENS.format(2),
        on_top(THREE_PENS, 60_000, "MY", "MYR", rounding="order"),
        Price(5_63, by_rate=((60_000, 5_31, 32),)),
    ),
    Example(
        "one supply with half a cent of tax",
        "Australia, GST Act 1999, 9-90(1): 0.5 cents are rounded upwards",
        on_top((Item("Sticker", 5, 1, VAT),), 100_000, "AU", "AUD"),
        Price(6, taxes=(1,)),
    ),
    Example(
        "the total invoice rule",
        "Australia, GST Act 1999, 9-90(2)(a): the unrounded taxes are added, then the sum is rounded",
        on_top(tuple(Item(f"Sticker {number}", 45, 1, VAT) for number in range(3)), 100_000, "AU", "AUD", rounding="order"),
        Price(1_49, by_rate=((100_000, 1_35, 14),)),
    ),
    Example(
        "a price that holds a tax of an eleventh",
        "Australia, explanatory memorandum of the Indirect Tax Legislation Amendment Bill 2000, 6.2: GST is 1/11 of the price",
        Sale((Item("Bag", 10_00, 1, VAT),), "AUD", country="AU", rates=(Rate("AU", 100_000),)),
        Price(10_00, taxes=(91,), by_rate=((100_000, 9_09, 91),)),
    ),
    Example(
        "a currency with three decimals",
        "Bahrain, VAT executive regulations, article 55: BD 0.0397 of tax is BD 0.040 (ISO 4217: BHD has three decimals)",
        on_top((Item("Bun", 794, 1, VAT),), 50_000, "BH", "BHD"),
        Price(834, taxes=(40,)),
    ),
    Example(
        "a currency without decimals, with two rates",
        "Japan, National Tax Agency, Q&A on the invoice system, question 46: one rounding per rate of an invoice (ISO 4217: JPY has none)",
        Sale(
            (Item("Tea", 106, 1, REDUCED), Item("Rice", 106, 1, REDUCED), Item("Miso", 106, 1, REDUCED), Item("Pot", 155, 1, VAT)),
            "JPY",
            prices_include_tax=False,
            tax_rounding="order",
            country="JP",
            rates=(Rate("JP", 100_000, VAT), Rate("JP", 80_000, REDUCED)),
        ),
        Price(473 + 16 + 25, taxes=(9, 8, 8, 16), by_rate=((100_000, 155, 16), (80_000, 318, 25))),
    ),
    Example(
        "a meal at a price for all four dishes",
        "HMRC, VATVAL03800: dishes for 6.00, 1.50, 1.50 and 6.00 that cost 10.00 together are taxed on 4.00, 1.00, 1.00 and 4.00",
        gross(MEAL, ("food", 0), (VAT, 200_000), offers=(Offer("Meal deal", "amount", amount_minor=5_00),)),
        Price(10_00, (2_00, 50, 50, 2_00), (0, 0, 0, 67)),
    ),
    Example(
        "a book and a film at a price for both",
        "HMRC, VATVAL03800: a book for 5 and a film for 10 that cost 12 together are sold at 4 and 8; VAT is 1/6 (VRS8515)",
        gross(
            (Item("Book", 5_00, 1, "zero"), Item("DVD", 10_00, 1, VAT)),
            ("zero", 0),
            (VAT, 200_000),
            offers=(Offer("Both", "amount", amount_minor=3_00),),
        ),
        Price(12_00, (1_00, 2_00), (0, 1_33), by_rate=((200_000, 6_67, 1_33), (0, 4_00, 0))),
    ),
    Example(
        "a fifth off a gross price",
        "gov.uk, VAT on discounts and gifts: with 20 % off, VAT is charged on the discounted price; Directive 2006/112/EC article 79(b)",
        gross((Item("Coat", 60_00, 1, VAT),), (VAT, 200_000), offers=(Offer("20 % off", "percent", percent_ppm=200_000),)),
        Price(48_00, (12_00,), (8_00,)),
    ),
    Example(
        "retail prices, rounded up and down on each line",
        "HMRC Notice 700, 17.6 and VATREC12020: retailers round up and down to the nearest penny",
        gross((Item("Mug", 1_00, 1, VAT), Item("Plate", 1_03, 1, VAT)), (VAT, 200_000)),
        Price(2_03, taxes=(17, 17)),
    ),
    Example(
        "net prices, rounded to the nearest penny on each line",
        "HMRC Notice 700, 17.5 (VATREC12010): the tax of a line may be rounded to the nearer penny",
        replace(gross((Item("Pin", 3, 1, VAT), Item("Nail", 2, 1, VAT)), (VAT, 200_000)), prices_include_tax=False),
        Price(6, taxes=(1, 0)),
    ),
    Example(
        "the tax of a gross price is rounded, not its net",
        "docs.zuora.com, rounding rule for inclusive tax mode: 2.99 at 4 percent holds 0.12 (0.11 if the net amount is rounded)",
        Sale((Item("Plan", 2_99, 1, VAT),), "USD", country="US", rates=(Rate("US", 40_000),)),
        Price(2_99, taxes=(12,), by_rate=((40_000, 2_87, 12),)),
    ),
    Example("the last microsecond of a rate", CORONA, replace(IN_2020, at="2020-06-30T21:59:59.999999Z"), Price(119_00, taxes=(19_00,))),
    Example("the first moment of a rate", CORONA, replace(IN_2020, at="2020-06-30T22:00:00Z"), Price(119_00, taxes=(16_41,))),
    Example("the first moment after a rate", CORONA, replace(IN_2020, at="2020-12-31T23:00:00Z"), Price(119_00, taxes=(19_00,))),
    Example("a country's rate", PROVINCES, CANADA, Price(105_00)),
    Example("a region's rate instead of its country's", PROVINCES, replace(CANADA, address=Address("CA", "ON")), Price(113_00)),
    Example("another region's rate", PROVINCES, replace(CANADA, address=Address("CA", "NS")), Price(115_00)),
)
