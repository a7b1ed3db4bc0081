"""Programs that type checkers read and nothing runs: the types that the Python clients promise. `make check` runs two on it."""

from collections.abc import Sequence
from typing import assert_type

from mercato import Answer, AsyncClient, AsyncPager, Client, FileStore, Pager, Session
from mercato.errors import CallError, EtagMismatch, OutOfStock
from mercato.money import money, to_decimal
from mercato.v1 import cart_pb2, catalog_pb2, media_pb2, order_pb2


def thread(shop: Client) -> None:
    assert_type(shop.cart.add_cart_item(product_id="1", quantity=2), cart_pb2.Cart)
    assert_type(shop.cart.add_cart_item(cart_pb2.AddCartItemRequest(product_id="1"), timeout=1, idempotency_key="key"), cart_pb2.Cart)
    assert_type(shop.with_response.cart.get_cart(), Answer[cart_pb2.Cart])
    assert_type(shop.with_response.cart.get_cart().message, cart_pb2.Cart)
    assert_type(shop.catalog.list_products(page_size=5), Pager[catalog_pb2.ListProductsResponse, catalog_pb2.Product])
    assert_type(shop.catalog.list_products().page(), catalog_pb2.ListProductsResponse)
    for product in shop.catalog.list_products():
        assert_type(product, catalog_pb2.Product)
    for page in shop.catalog.list_products().pages():
        assert_type(page, catalog_pb2.ListProductsResponse)
    assert_type(shop.orders.list_orders(status=order_pb2.ORDER_STATUS_PAID).page(), order_pb2.ListOrdersResponse)
    assert_type(shop.media.upload_picture_content([media_pb2.UploadPictureContentRequest()]), media_pb2.PictureUpload)
    assert_type(shop.session, Session | None)
    shop.catalog.update_product(product=catalog_pb2.Product(id="1", price=money("19.99", "USD")), etag="1")


async def loop() -> None:
    async with AsyncClient("localhost:8080", session=FileStore("session.json"), tls=True, timeout=3) as shop:
        assert_type(await shop.cart.add_cart_item(product_id="1", quantity=2), cart_pb2.Cart)
        assert_type(await shop.with_response.cart.get_cart(), Answer[cart_pb2.Cart])
        assert_type(shop.catalog.list_products(), AsyncPager[catalog_pb2.ListProductsResponse, catalog_pb2.Product])
        assert_type(await shop.catalog.list_products().page(), catalog_pb2.ListProductsResponse)
        async for product in shop.catalog.list_products():
            assert_type(product, catalog_pb2.Product)
        async for page in shop.catalog.list_products().pages():
            assert_type(page, catalog_pb2.ListProductsResponse)


def failures(error: CallError, order: order_pb2.Order) -> None:
    assert_type(error.idempotency_key, str | None)
    assert_type(error.outcome_unknown, bool)
    assert_type(error.retry_after_s, float | None)
    if isinstance(error, OutOfStock):
        assert_type(error.lines, Sequence[order_pb2.StockShortage.Line])
    if isinstance(error, EtagMismatch):
        assert_type(error.current_etag, str)
    print(to_decimal(order.price.total))  # noqa: T201 - as a program does
