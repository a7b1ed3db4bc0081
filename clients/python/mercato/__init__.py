"""Client of Mercato: one channel, the stubs of its services, and errors as objects.

    async with Client("127.0.0.1:8080") as shop:
        await shop.login("user@example.com", "securepass123")
        cart = await shop.cart.AddCartItem(AddCartItemRequest(product_id=...))

The messages and stubs are in `mercato.v1`; they can be used without this class.
"""

from mercato.client import Client
from mercato.errors import MercatoCallError, call_error
from mercato.retries import service_config

__all__ = ["Client", "MercatoCallError", "call_error", "service_config"]
