"""Invoices that standards publish: net prices, and tax that is rounded once for each rate.

Their sources: EN 16931 (github.com/ConnectingEurope/eInvoicing-EN16931, ubl/examples), Peppol BIS Billing 3.0
(github.com/OpenPEPPOL/peppol-bis-invoice-3, rules/examples) and XRechnung (github.com/itplr-kosit/xrechnung-testsuite,
src/test/business-cases/standard). Where an invoice has prices of more digits than its currency, a line's net amount is the price here.
"""

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

DENMARK, GERMANY, NETHERLANDS = Address("DK"), Address("DE"), Address("NL")
PORTO = "EN 16931 BR-CO-17, XRechnung 1.3; delivery follows the goods: Directive 2006/112/EC article 78(b), German UStAE 3.10"
BR_CO_17 = "EN 16931, BR-CO-17: the tax of a rate is its taxable amount times the rate, rounded to two decimals"


def invoice(
    items: tuple[Item, ...],
    rates: tuple[tuple[str, int], ...],
    address: Address,
    *,
    currency_code: str = "EUR",
    offers: tuple[Offer, ...] = (),
    delivery: tuple[int, str] | None = None,
    treatment: str = "normal",
) -> Sale:
    """Return the sale behind a European invoice: net prices, and tax that is rounded once for each rate."""
    return Sale(
        items,
        currency_code,
        prices_include_tax=False,
        tax_rounding="order",
        rates=tuple(Rate(address.country, ppm, category) for category, ppm in rates),
        methods=everywhere(address.country, *delivery) if delivery else (),
        offers=offers,
        address=address,
        treatment=treatment,
    )


def goods(tax_category: str, *prices: int) -> tuple[Item, ...]:
    """Return a unit of each of some products that are delivered."""
    return tuple(Item(f"Item {number}", price, 1, tax_category, needs_delivery=True) for number, price in enumerate(prices, start=1))


PAPER_AND_COOKIES = (
    Item("Printing paper", 100, 1000, VAT, "paper", needs_delivery=True),
    Item("Parker Pen", 500, 100, VAT, "paper", needs_delivery=True),
    Item("American Cookies", 500, 500, REDUCED, needs_delivery=True),
)
ELECTRICITY = (140_80, 16_16, 167_64, 88_74, 36_75, 56_50, 83_34, 190_31, 64_21, 64_46)
PRODUCTS = (29_95, 139_65, 16_00, 329_50, 22_95, 12_95, 69_95, 128_85, 249_39, 15_00, 10_00, 9_68, 3_75, 7_00, 0, 0, 4_56, 20_05, 3_45)

INVOICES = (
    Example(
        "a charge and an allowance of one of two rates",
        "Peppol BIS Billing 3.0, Vat-category-S.xml",
        invoice(
            (
                Item("Item A", 400_00, 10, VAT, "S", needs_delivery=True),
                Item("Item B", 200_00, 10, REDUCED, needs_delivery=True),
                Item("Item C", 90_00, 10, VAT, "S", needs_delivery=True),
            ),
            ((VAT, 250_000), (REDUCED, 150_000)),
            Address("SE"),
            offers=(Offer("Discount", "amount", amount_minor=100_00, categories=("S",)),),
            delivery=(200_00, VAT),
        ),
        Price(8550_00, (81_63, 0, 18_37), by_rate=((250_000, 5000_00, 1250_00), (150_000, 2000_00, 300_00))),
    ),
    Example(
        "freight that has one of two rates",
        "EN 16931, ubl-tc434-example3.xml",
        invoice(
            (
                Item("Paper subscription", 400_00, 2, VAT, needs_delivery=True),
                Item("Paper subscription, reduced", 400_00, 2, REDUCED, needs_delivery=True),
            ),
            ((VAT, 250_000), (REDUCED, 100_000)),
            DENMARK,
            currency_code="DKK",
            delivery=(100_00, VAT),
        ),
        Price(2005_00, by_rate=((250_000, 900_00, 225_00), (100_000, 800_00, 80_00))),
    ),
    Example(
        "two rates",
        "EN 16931, ubl-tc434-example4.xml",
        invoice(PAPER_AND_COOKIES, ((VAT, 250_000), (REDUCED, 120_000)), DENMARK, currency_code="DKK"),
        Price(4675_00, by_rate=((250_000, 1500_00, 375_00), (120_000, 2500_00, 300_00))),
    ),
    Example(
        "a percentage off one of two rates, and packaging of the same amount",
        "EN 16931, ubl-tc434-example5.xml",
        invoice(
            PAPER_AND_COOKIES,
            ((VAT, 250_000), (REDUCED, 120_000)),
            DENMARK,
            currency_code="DKK",
            offers=(Offer("Loyal customer", "percent", percent_ppm=100_000, categories=("paper",)),),
            delivery=(150_00, VAT),
        ),
        Price(
            4675_00,
            (100_00, 50_00, 0),
            by_rate=((250_000, 1500_00, 375_00), (120_000, 2500_00, 300_00)),
            given={"Loyal customer": 150_00},
        ),
    ),
    Example(
        "ten lines whose taxes one by one would be a cent more",
        "EN 16931, ubl-tc434-example8.xml",
        invoice(goods(VAT, *ELECTRICITY), ((VAT, 210_000),), NETHERLANDS),
        Price(1099_78, by_rate=((210_000, 908_91, 190_87),)),
    ),
    Example(
        "three units of one product",
        "EN 16931, ubl-tc434-example9.xml",
        invoice((Item("IExpress licentiekosten", 49_00, 3, VAT),), ((VAT, 210_000),), NETHERLANDS),
        Price(177_87, by_rate=((210_000, 147_00, 30_87),)),
    ),
    Example(
        "three rates",
        "EN 16931, ubl/examples/issue116.xml",
        invoice(
            (
                Item("Newspaper", 100_00, 1, "printed"),
                Item("Food", 50_00, 1, REDUCED),
                Item("More food", 150_00, 1, REDUCED),
                Item("Petrol", 400_00, 1, VAT),
            ),
            ((VAT, 250_000), (REDUCED, 120_000), ("printed", 60_000)),
            Address("SE"),
            currency_code="SEK",
        ),
        Price(830_00, by_rate=((250_000, 400_00, 100_00), (120_000, 200_00, 24_00), (60_000, 100_00, 6_00))),
    ),
    Example(
        "goods outside the scope of the tax",
        "EN 16931, ubl-tc434-example7.xml; Peppol BIS Billing 3.0, vat-category-O.xml",
        invoice((Item("Road tax", 2500_00), Item("Road Register fee", 700_00)), ((VAT, 250_000),), Address("SE"), currency_code="SEK"),
        Price(3200_00, taxes=(0, 0), by_rate=()),
    ),
    Example(
        "a rate of zero",
        "Peppol BIS Billing 3.0, vat-category-Z.xml",
        invoice((Item("Test item, category Z", 120_00, 10, "zero"),), (("zero", 0),), Address("GB"), currency_code="GBP"),
        Price(1200_00, by_rate=((0, 1200_00, 0),)),
    ),
    Example(
        "a tax of exactly half a minor unit is rounded up",
        f"EN 16931, ubl/examples/BIS3_Invoice_positive.XML; {BR_CO_17}",
        invoice(goods(VAT, 625_743_54), ((VAT, 250_000),), DENMARK, currency_code="DKK"),
        Price(782_179_43, by_rate=((250_000, 625_743_54, 156_435_89),)),
    ),
    Example(
        "postage of a magazine has the magazine's rate",
        f"XRechnung 01.01a-INVOICE; {PORTO}",
        invoice(goods(REDUCED, 288_79), ((REDUCED, 70_000),), GERMANY, delivery=(26_07, AS_GOODS)),
        Price(336_90, by_rate=((70_000, 314_86, 22_04),)),
    ),
    Example(
        "postage of a gazette has the gazette's rate",
        f"XRechnung 01.03a-INVOICE; {PORTO}",
        invoice(goods(REDUCED, 152_34), ((REDUCED, 70_000),), GERMANY, delivery=(17_94, AS_GOODS)),
        Price(182_20, by_rate=((70_000, 170_28, 11_92),)),
    ),
    Example(
        "units, a fee and a delivery of one rate",
        "XRechnung 01.11a-INVOICE",
        invoice(
            (Item("Mobiler 4G Hotspot", 71_42, 3, VAT, needs_delivery=True), Item("Beschaffungspauschale", 10_71, 1, VAT)),
            ((VAT, 190_000),),
            GERMANY,
            delivery=(9_80, VAT),
        ),
        Price(279_38, by_rate=((190_000, 234_77, 44_61),)),
    ),
    Example(
        "five amounts whose taxes one by one would be a cent less",
        "XRechnung 01.12a-INVOICE",
        invoice(
            (
                Item("Keyboard/Maus", 12_52, 1, VAT, needs_delivery=True),
                Item("MX Master", 63_45, 2, VAT, needs_delivery=True),
                Item("Tastatur Deutsch", 47_82, 2, VAT, needs_delivery=True),
                Item("Beschaffungspauschale", 11_75, 1, VAT),
            ),
            ((VAT, 190_000),),
            GERMANY,
            delivery=(9_80, VAT),
        ),
        Price(305_37, by_rate=((190_000, 256_61, 48_76),)),
    ),
    Example(
        "a buyer who owes the tax, with a delivery",
        "XRechnung 01.21a-INVOICE (category AE); Directive 2006/112/EC article 196",
        invoice(
            (Item("Instandsetzung", 52_00, 4, VAT, needs_delivery=True),),
            ((VAT, 190_000),),
            GERMANY,
            delivery=(25_00, VAT),
            treatment="reverse_charge",
        ),
        Price(233_00, taxes=(0,), delivery=Delivered(25_00), by_rate=()),
    ),
    Example(
        "a tax a little below half a minor unit",
        "XRechnung 02.01a-INVOICE",
        invoice((Item("Beratung", 143_75, 33, VAT), Item("Mehr Beratung", 143_75, 42, VAT)), ((VAT, 190_000),), GERMANY),
        Price(12_829_69, by_rate=((190_000, 10_781_25, 2_048_44),)),
    ),
    Example(
        "an exempt sale of net prices",
        "XRechnung 02.02a-INVOICE (category E)",
        invoice(
            (Item("Beratung", 143_75, 33, VAT), Item("Mehr Beratung", 143_75, 42, VAT)), ((VAT, 190_000),), GERMANY, treatment="exempt"
        ),
        Price(10_781_25, taxes=(0, 0), by_rate=()),
    ),
    Example(
        "an allowance on 21 lines, some of them free, and a charge without tax",
        "XRechnung 02.05a-INVOICE",
        invoice(
            goods(VAT, *PRODUCTS, 417_60, 1_95),
            ((VAT, 190_000), ("outside", 0)),
            GERMANY,
            offers=(Offer("Rabatte", "amount", amount_minor=100_29),),
            delivery=(920_00, "outside"),
        ),
        Price(2576_41, by_rate=((190_000, 1391_94, 264_47), (0, 920_00, 0)), given={"Rabatte": 100_29}),
    ),
)
