"""Conversion of prices to messages, for answers and for the details of errors."""

from mercato.v1.money_pb2 import Money
from mercato.v1.price_pb2 import PriceBreakdown
from mercato_server.domain.pricing import Breakdown


def breakdown(price: Breakdown, currency: str) -> PriceBreakdown:
    """Return a price with its parts, all in the shop's currency."""

    def money(minor_units: int) -> Money:
        return Money(currency_code=currency, minor_units=minor_units)

    message = PriceBreakdown(
        subtotal=money(price.subtotal_minor),
        discount=money(price.discount_minor),
        tax=money(price.tax_minor),
        prices_include_tax=price.prices_include_tax,
        tax_relief=money(price.relief_minor),
        total=money(price.total_minor),
    )
    for line in price.lines:
        message.lines.add(
            product_id=str(line.product_id),
            total=money(line.total_minor),
            discount=money(line.discount_minor),
            tax_rate_ppm=line.tax_rate_ppm,
            tax=money(line.tax_minor),
            tax_relief=money(line.relief_minor),
        )
    for discount in price.discounts:
        product_id = str(discount.product_id) if discount.product_id else ""
        message.discounts.add(
            promotion_id=str(discount.promotion_id), name=discount.name, product_id=product_id, amount=money(discount.amount_minor)
        )
    if delivery := price.delivery:
        message.delivery.shipping_method_id = str(delivery.method_id)
        message.delivery.name = delivery.name
        message.delivery.price.CopyFrom(money(delivery.price_minor))
        message.delivery.discount.CopyFrom(money(delivery.discount_minor))
        message.delivery.tax.CopyFrom(money(delivery.tax_minor))
        message.delivery.tax_relief.CopyFrom(money(delivery.relief_minor))
    for total in price.taxes:
        message.taxes.add(name=total.name, rate_ppm=total.ppm, net=money(total.net_minor), tax=money(total.tax_minor))
    return message
