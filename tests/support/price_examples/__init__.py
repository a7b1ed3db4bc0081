"""Examples of prices, for the rules themselves and for every interface that answers with a price."""

from support.price_examples import authorities, delivery, invoices, promotions, taxes
from support.price_examples.model import Example

CITED: tuple[Example, ...] = (*invoices.INVOICES, *authorities.AUTHORITIES)
"""Examples from authorities and invoice standards."""
COMPUTED: tuple[Example, ...] = (
    *(*promotions.SPREADS, *promotions.SEQUENCES, *promotions.FREE_UNITS),
    *(*delivery.TARIFFS, *delivery.DESTINATIONS, *delivery.NEED, *delivery.OFFERS),
    *(*taxes.ROUNDING, *taxes.DELIVERIES, *taxes.PLACES, *taxes.TREATMENTS, *taxes.ON_THE_PAGE),
)
"""Examples of the shop's own rules. Their prices follow from support/price_oracle.py, which shares nothing with the server."""
EXAMPLES = (*CITED, *COMPUTED)
