"""Mails to guests: their orders with a signed link, and the verification of their contact address."""

import base64
import hashlib
import hmac
import re
import uuid
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import grpc
import pytest
from grpc import StatusCode

from mercato.v1 import auth_pb2, cart_pb2, order_pb2, user_pb2
from mercato.v1.postal_address_pb2 import PostalAddress
from mercato_server.config.settings import Settings
from mercato_server.database.pool import Pool
from mercato_server.worker import running
from support.mail_server import PostOffice, text, token
from support.patience import until
from support.shop import CALL_S, PASSWORD, SECRET, Person, Refusal, Shop, refusal

CONTACT = "guest@example.com"
VERIFY = "confirm"
CHANGED = "UPDATE orders SET updated_at = now() - interval '180 days' + $2::text::interval WHERE id = $1"


def link_token(order_id: str) -> str:
    """Compute the token of an order's link by its definition in docs/guests.md."""
    value = hmac.new(SECRET.encode(), b"mercato order link\0view\0" + uuid.UUID(order_id).bytes, hashlib.sha256).digest()
    return "mol_" + base64.urlsafe_b64encode(value).decode().rstrip("=")


def linked(shop: Shop, order_id: str, link: str, **metadata: str) -> Any:
    request = order_pb2.GetLinkedOrderRequest(order_id=order_id, token=link)
    return shop.orders.GetLinkedOrder(request, timeout=CALL_S, metadata=tuple(metadata.items()))


async def set_contact(shop: Shop, person: Person, email: str) -> None:
    request = cart_pb2.UpdateCartHeaderRequest(contact_email=email)
    await shop.carts.UpdateCartHeader(request, metadata=person.metadata, timeout=CALL_S)


def request_verification(shop: Shop, person: Person) -> Any:
    return shop.auth.RequestEmailVerification(auth_pb2.RequestEmailVerificationRequest(), metadata=person.metadata)


async def buy(shop: Shop, guest: Person) -> order_pb2.Order:
    await shop.add(guest, await shop.product(await shop.person(admin=True)))
    return await shop.checkout(guest)


def details(error: Refusal) -> bytes:
    """Return the bytes that describe an error."""
    found = error.trailers["grpc-status-details-bin"]
    assert isinstance(found, bytes)
    return found


async def test_the_link_of_a_mail_shows_the_order_without_a_login(sending: Shop, post: PostOffice) -> None:
    guest = await sending.guest(CONTACT)
    order = await buy(sending, guest)
    mail = await post.mail(CONTACT, f"Your order {order.number}")
    found = re.search(r"GET /v1/orders/([0-9a-f-]+):linked\?token=(\S+)", text(mail))
    assert found
    assert found.groups() == (order.id, link_token(order.id))
    for _ in range(2):
        assert await linked(sending, *found.groups()) == order
    await sending.orders.CancelOrder(order_pb2.CancelOrderRequest(order_id=order.id), metadata=guest.metadata)
    assert text(await post.mail(CONTACT, f"Your order {order.number} was cancelled")).count(found[2]) == 1
    assert (await linked(sending, *found.groups())).status == order_pb2.ORDER_STATUS_CANCELLED


async def test_a_mail_to_an_unproven_contact_address_has_no_text_of_the_buyer(sending: Shop, post: PostOffice) -> None:
    spam = "Win at spam.example.com"
    address = PostalAddress(country_code="DE", recipient=spam, street_lines=[spam], city="Berlin", postal_code="10117")
    for nth, is_proven in enumerate((False, True), 1):
        guest = await sending.guest(CONTACT)
        if is_proven:
            await sending.pool.execute("UPDATE accounts SET verified_contact = $1 WHERE id = $2", CONTACT, uuid.UUID(guest.id))
        header = cart_pb2.UpdateCartHeaderRequest(shipping_address=address)
        await sending.carts.UpdateCartHeader(header, metadata=guest.metadata, timeout=CALL_S)
        await buy(sending, guest)
        mail = await post.mail(CONTACT, "Your order", nth)
        for kind in ("plain", "html"):
            assert (spam in text(mail, kind)) is is_proven


async def test_the_link_leads_to_the_shops_page_if_it_has_one(mailing: Settings, post: PostOffice, pool: "Pool") -> None:
    paged = replace(mailing, mail=replace(mailing.mail, public_url="https://shop.example.com"))
    async with running(paged) as (_, [port]), grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        shop = Shop(channel, pool)
        order = await buy(shop, await shop.guest(CONTACT))
        body = text(await post.mail(CONTACT, f"Your order {order.number}"))
    assert f"https://shop.example.com/orders/{order.id}?token={link_token(order.id)}" in body


async def test_any_wrong_link_is_answered_as_that_of_an_absent_order(shop: Shop) -> None:
    order = await buy(shop, await shop.guest(CONTACT))
    other = await buy(shop, await shop.guest(CONTACT))
    good = link_token(order.id)
    await shop.pool.execute(CHANGED, uuid.UUID(order.id), "1 minute")
    assert (await linked(shop, order.id, good)).id == order.id
    wrong = [link_token(other.id), good[:-1], good + "A", good.lower(), "", "x" * 10_000, "é", order.id]
    refusals = [await refusal(linked(shop, order.id, token)) for token in wrong]
    await shop.pool.execute(CHANGED, uuid.UUID(order.id), "-1 minute")
    refusals.append(await refusal(linked(shop, order.id, good)))
    absent_id = str(uuid.uuid4())
    absent = await refusal(linked(shop, absent_id, link_token(absent_id)))
    assert (absent.code, absent.reason) == (StatusCode.NOT_FOUND, "ORDER_NOT_FOUND")
    expected = details(absent).replace(absent_id.encode(), order.id.encode())
    assert [details(each) for each in refusals] == [expected] * len(refusals)
    malformed = await refusal(linked(shop, order.id[:-1], good))
    assert (malformed.code, malformed.reason) == (absent.code, absent.reason)


async def test_answers_to_a_link_are_kept_by_no_cache_and_no_index(shop: Shop) -> None:
    order = await buy(shop, await shop.guest(CONTACT))
    call = linked(shop, order.id, link_token(order.id))
    headers = dict(await call.initial_metadata())
    assert {name: headers[name] for name in ("cache-control", "referrer-policy", "x-robots-tag")} == {
        "cache-control": "no-store",
        "referrer-policy": "no-referrer",
        "x-robots-tag": "noindex",
    }
    await call


@pytest.fixture
async def cautious(mailing: Settings, pool: "Pool") -> AsyncIterator[Shop]:
    """A shop that sends mail, and sells to verified addresses only."""
    settings = replace(mailing, orders=replace(mailing.orders, verified_only=True))
    async with running(settings) as (_, [port]), grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield Shop(channel, pool)


async def test_a_guest_verifies_its_contact_address_by_the_link_of_a_mail(cautious: Shop, post: PostOffice) -> None:
    owner = await cautious.auth.SignUp(auth_pb2.SignUpRequest(email=CONTACT, password=PASSWORD))  # whose address the guest types
    guest = await cautious.guest()
    assert (await refusal(request_verification(cautious, guest))).reason == "CONTACT_REQUIRED"
    await set_contact(cautious, guest, "other@example.com")
    ball = await cautious.product(await cautious.person(admin=True))
    await cautious.add(guest, ball)
    assert (await refusal(cautious.checkout(guest))).reason == "EMAIL_NOT_VERIFIED"
    await request_verification(cautious, guest)
    secret = token(await post.mail("other@example.com", VERIFY))
    verified = await cautious.auth.VerifyEmail(auth_pb2.VerifyEmailRequest(token=secret))
    assert verified.email == "other@example.com"
    again = await refusal(cautious.auth.VerifyEmail(auth_pb2.VerifyEmailRequest(token=secret)))
    assert again.reason == "ONE_TIME_TOKEN_INVALID"
    await set_contact(cautious, guest, CONTACT)
    assert (await refusal(cautious.checkout(guest))).reason == "EMAIL_NOT_VERIFIED"
    await set_contact(cautious, guest, "other@example.com")
    assert (await cautious.checkout(guest)).contact_email == "other@example.com"
    assert not await cautious.pool.fetchval("SELECT email_verified_at FROM accounts WHERE id = $1", uuid.UUID(owner.id))


async def test_a_guest_that_signs_up_with_its_verified_contact_address_needs_no_other_mail(cautious: Shop, post: PostOffice) -> None:
    guests = [await cautious.guest(CONTACT) for _ in range(2)]
    for nth, guest in enumerate(guests, 1):
        await request_verification(cautious, guest)
        secret = token(await post.mail(CONTACT, VERIFY, nth))
        await cautious.auth.VerifyEmail(auth_pb2.VerifyEmailRequest(token=secret))
    emails = (CONTACT, "another@example.com")
    for guest, email, is_verified in zip(guests, emails, (True, False), strict=True):
        user: user_pb2.User = await cautious.auth.SignUp(
            auth_pb2.SignUpRequest(email=email, password=PASSWORD, guest_token=guest.refresh_token)
        )
        assert user.email_verified is is_verified


async def test_a_login_and_a_reset_do_not_find_a_contact_address(sending: Shop) -> None:
    await sending.guest(CONTACT)
    await sending.auth.RequestPasswordReset(auth_pb2.RequestPasswordResetRequest(email=CONTACT))

    async def is_settled() -> bool:
        return not await sending.pool.fetchval("SELECT count(*) FROM pgqueuer")

    await until(is_settled)
    assert await sending.pool.fetchval("SELECT count(*) FROM mails WHERE sent_at IS NOT NULL") == 0
    assert await sending.pool.fetchval("SELECT count(*) FROM one_time_tokens") == 0
