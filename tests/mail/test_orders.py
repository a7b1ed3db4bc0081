"""Mails about orders are sent once each, whichever worker reads the change feed."""

import asyncio
import base64
import hashlib
import hmac
import uuid
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial

import grpc
import pytest

from mercato.v1.catalog_pb2 import Product, ProductGroup, ProductOption, UpsertProductGroupRequest
from mercato.v1.money_pb2 import Money
from mercato.v1.order_pb2 import CancelOrderRequest, Order
from mercato_server.config.settings import Settings
from mercato_server.database.pool import Pool
from mercato_server.worker import running
from support.mail_server import PostOffice, text
from support.market import BERLIN, market
from support.patience import until
from support.shop import SECRET, Person, Shop

CONFIRMATION = """\
Hello Jo Doe,

Thank you for your order {order} of {moment} UTC.

2 x Ball, 1,234.50 USD each: 2,469.00 USD

Total: 2,469.00 USD

The shop shows the order: GET /v1/orders/{id}:linked?token={token}

Our Shop
"""
PRICED = """\
2 x Ball, 19.99 USD each: 39.98 USD

Ten percent: -4.00 USD
Delivery, Parcel: 4.90 USD

Total: 40.88 USD
including VAT 19%: 6.52 USD

Delivered to:
Jo Doe
Pariser Platz 1
10117 BERLIN
GERMANY
"""
"""19/119 of 35.98 is 5.7447, of 4.90 is 0.7824."""


def link_token(order_id: str) -> str:
    """Compute the token of an order's link by its definition."""
    value = hmac.new(SECRET.encode(), b"mercato order link\0view\0" + uuid.UUID(order_id).bytes, hashlib.sha256).digest()
    return "mol_" + base64.urlsafe_b64encode(value).decode().rstrip("=")


VERIFIED = "UPDATE accounts SET email_verified_at = now()"
SETTLED = "SELECT count(*) = 0 FROM pgqueuer"


async def buy(shop: Shop, admin: Person, buyer: Person, name: str = "Ball", price: int = 123450, quantity: int = 2) -> Order:
    await shop.add(buyer, await shop.product(admin, name=name, price=price), quantity)
    return await shop.checkout(buyer)


async def test_an_order_is_confirmed_and_its_cancellation_too(sending: Shop, post: PostOffice) -> None:
    admin, jo = await sending.person(admin=True), await sending.person()
    await sending.pool.execute(VERIFIED)
    order = await buy(sending, admin, jo)
    placed = await post.mail(jo.email, f"Your order {order.number}")
    moment = order.create_time.ToDatetime().strftime("%Y-%m-%d %H:%M")
    assert text(placed) == CONFIRMATION.format(order=order.number, moment=moment, id=order.id, token=link_token(order.id))
    assert f"{order.number} of\n{moment} UTC" in text(placed, "html")
    assert "<strong>2,469.00 USD</strong>" in text(placed, "html")
    assert placed["From"] == "Our Shop <shop@example.com>"
    assert placed["Message-ID"].endswith("@example.com>")
    assert placed["Auto-Submitted"] == "auto-generated"
    await sending.orders.CancelOrder(CancelOrderRequest(order_id=order.id), metadata=jo.metadata)
    cancelled = await post.mail(jo.email, "was cancelled")
    assert order.number in cancelled["Subject"]
    assert await sending.pool.fetchval("SELECT count(*) FROM mails WHERE order_id IS NOT NULL") == 2


async def test_a_mail_goes_to_the_contact_address_with_the_parts_of_the_price(sending: Shop, post: PostOffice) -> None:
    trade, jo = await market(sending), await sending.person()
    await trade.promotion("TEN")
    await sending.add(jo, await trade.ball(1_999, name="Ball"), 2)
    await trade.header(jo, shipping_address=BERLIN, shipping_method_id=trade.parcel_id, codes=["ten"], contact_email="other@example.com")
    order = await sending.checkout(jo)
    mail = await post.mail("other@example.com", f"Your order {order.number}")
    assert PRICED in text(mail)
    for part in ("Ten percent", "-4.00 USD", "Delivery, Parcel", "4.90 USD", "40.88 USD", "including VAT 19%", "6.52 USD", "10117 BERLIN"):
        assert part in text(mail, "html")


async def test_a_mail_names_the_options_of_a_variant(sending: Shop, post: PostOffice) -> None:
    admin, jo = await sending.person(admin=True), await sending.person()
    options = [ProductOption(name="Size", value="<M>")]
    shirt = Product(name="Shirt", price=Money(minor_units=1000), stock=1, options=options)
    request = UpsertProductGroupRequest(group=ProductGroup(name="Shirt", varies_by=["Size"]), variants=[shirt])
    group = await sending.catalog.UpsertProductGroup(request, metadata=admin.metadata)
    await sending.add(jo, Product(id=group.variants[0].product_id))
    mail = await post.mail(jo.email, (await sending.checkout(jo)).number)
    assert "1 x Shirt (Size: <M>), 10.00 USD each" in text(mail)
    assert "Shirt (Size: &lt;M&gt;)" in text(mail, "html")


async def test_names_are_text_in_html_and_in_subjects(sending: Shop, post: PostOffice) -> None:
    admin, jo = await sending.person(admin=True), await sending.person()
    name = "<script>alert('x')</script> & Jo\r\nBcc: all@example.com"
    await sending.pool.execute(VERIFIED)
    await sending.pool.execute("UPDATE accounts SET full_name = $1 WHERE email = $2", name, jo.email)
    order = await buy(sending, admin, jo, name='<img src=x onerror="y">')
    mail = await post.mail(jo.email, order.number)
    html = text(mail, "html")
    assert "<script" not in html
    assert "<img" not in html
    assert "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt; &amp; Jo" in html
    assert "&lt;img src=x onerror=&#34;y&#34;&gt;" in html
    assert '<img src=x onerror="y">' in text(mail)
    assert mail["Bcc"] is None
    assert post.asked.count("all@example.com") == 0


async def test_orders_before_the_first_worker_that_sends_mail_get_none(settings: Settings, shop: Shop, post: PostOffice) -> None:
    admin, jo = await shop.person(admin=True), await shop.person()
    await buy(shop, admin, jo)
    async with running(replace(settings, mail=post.settings())):
        order = await buy(shop, admin, jo)
        await post.mail(jo.email, order.number)
    assert [str(row["order_id"]) for row in await shop.pool.fetch("SELECT order_id FROM mails WHERE order_id IS NOT NULL")] == [order.id]


async def test_news_that_is_older_than_a_mail_about_it_is_worth_gets_none(mailing: Settings, shop: Shop, post: PostOffice) -> None:
    admin, jo = await shop.person(admin=True), await shop.person()
    async with running(mailing):
        pass  # the consumer has begun
    await buy(shop, admin, jo)
    await shop.pool.execute("UPDATE events SET created_at = now() - interval '3 days 1 minute'")
    order = await buy(shop, admin, jo)
    async with running(mailing):
        await post.mail(jo.email, order.number)
    assert [str(row["order_id"]) for row in await shop.pool.fetch("SELECT order_id FROM mails WHERE order_id IS NOT NULL")] == [order.id]


async def test_an_order_that_commits_late_is_not_skipped(sending: Shop, post: PostOffice) -> None:
    admin, jo, ada = await sending.person(admin=True), await sending.person(), await sending.person()
    async with sending.pool.acquire() as conn:
        transaction = conn.transaction()
        await transaction.start()
        late = await conn.fetchval(
            """INSERT INTO orders (account_id, status, currency_code, total_minor) VALUES ($1::text::uuid, 'placed', 'USD', 1500)
               RETURNING id""",
            ada.id,
        )
        await conn.execute("INSERT INTO events (kind, subject_id) VALUES ('order.placed', $1)", late)
        order = await buy(sending, admin, jo)
        await transaction.commit()
    assert "Total: 15.00 USD" in text(await post.mail(ada.email, str(late)))
    await post.mail(jo.email, order.number)


@pytest.mark.race
async def test_two_workers_send_each_mail_once(mailing: Settings, pool: "Pool", post: PostOffice) -> None:
    async with AsyncExitStack() as stack:
        shops = []
        for _ in range(2):
            _, [port] = await stack.enter_async_context(running(mailing))
            shops.append(Shop(await stack.enter_async_context(grpc.aio.insecure_channel(f"127.0.0.1:{port}")), pool))
        admin = await shops[0].person(admin=True)
        product = await shops[0].product(admin, stock=1000)
        buyers = await asyncio.gather(*(shops[n % 2].person() for n in range(12)))

        async def shop_around(n: int, buyer: Person) -> None:
            for turn in range(3):
                await shops[(n + turn) % 2].add(buyer, product)
                await shops[(n + turn) % 2].checkout(buyer)

        await asyncio.gather(*(shop_around(n, buyer) for n, buyer in enumerate(buyers)))
        total = 13 + 36  # signups and orders
        await post.until(total)
        await until(partial(pool.fetchval, SETTLED))
    assert len(post.taken) == total
    assert len({mail["Message-ID"] for mail in post.taken}) == total
    assert await pool.fetchval("SELECT count(*) FROM mails WHERE sent_at IS NULL") == 0
