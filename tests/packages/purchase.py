"""Buy with the installed client, from sign-up to order; run with `python -I` in an environment that has nothing else.

Takes the address of a shop, an id of a product and an e-mail address of a buyer, and writes the JSON of the orders of that buyer.
"""

import asyncio
import json
import sys

from mercato import AsyncClient, Client
from mercato.errors import CartEmpty
from mercato.money import money

PASSWORD = "securepass123"


async def orders(address: str, email: str) -> list[dict[str, object]]:
    """List the orders of a buyer with the other client."""
    async with AsyncClient(address) as shop:
        await shop.login(email, PASSWORD)
        return [{"id": order.id, "total": order.total.minor_units} async for order in shop.orders.list_orders()]


def main(address: str, product_id: str, email: str) -> None:
    """Buy two units, and find the cart empty afterwards."""
    with Client(address) as shop:
        shop.auth.sign_up(email=email, password=PASSWORD, full_name="Jo Doe")
        shop.login(email, PASSWORD)
        cart = shop.cart.add_cart_item(product_id=product_id, quantity=2)
        order = shop.orders.checkout(expected_total=money("39.98", cart.total.currency_code))
        try:
            shop.orders.checkout()
        except CartEmpty:
            found = asyncio.run(orders(address, email))
            assert [each["id"] for each in found] == [order.id], found
            sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
