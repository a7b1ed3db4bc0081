"""The address book: an account's addresses, of which at most one is the default and 50 exist, whatever calls race."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.timestamp_pb2 import Timestamp
from grpc import StatusCode

from mercato.v1.postal_address_pb2 import PostalAddress
from mercato.v1.user_pb2 import (
    Address,
    CreateAddressRequest,
    DeleteAddressRequest,
    GetAddressRequest,
    ListAddressesRequest,
    UpdateAddressRequest,
)
from mercato_server.database.pool import Pool
from support.idempotency_cases import ABSENT
from support.pages import every
from support.shop import Person, Shop, refusal

LIMIT = 50
BERLIN: dict[str, Any] = {
    "country_code": "DE",
    "recipient": "Jo Doe",
    "street_lines": ["Torstraße 1"],
    "city": "Berlin",
    "postal_code": "10119",
}
FILL = """
INSERT INTO addresses (account_id, country_code, recipient, company, street_lines, city_area, city, region, postal_code, sorting_code,
                       phone, vat_number, is_default)
SELECT $1, 'DE', 'Jo', '', '{Torstr. 1}', '', 'Berlin', '', '10119', '', '', '', FALSE FROM generate_series(1, $2)
"""
STORED = """
SELECT country_code, recipient, company, street_lines, city_area, city, region, postal_code, sorting_code, phone, vat_number, is_default
  FROM addresses
 ORDER BY id
"""
DEFAULTS = "SELECT id::text FROM addresses WHERE account_id = $1 AND is_default"
CONTENT = "SELECT array_agg(row::text ORDER BY id) FROM addresses AS row"


def postal(**changed: Any) -> PostalAddress:
    return PostalAddress(**{**BERLIN, **changed})


async def create(shop: Shop, who: Person, *, is_default: bool = False, **changed: Any) -> Address:
    address = Address(postal_address=postal(**changed), is_default=is_default)
    return await shop.users.CreateAddress(CreateAddressRequest(address=address), metadata=who.metadata)


def update(shop: Shop, who: Person, address: Address, *paths: str, **metadata: str) -> Any:
    sent = (*who.metadata, *((name.replace("_", "-"), value) for name, value in metadata.items()))
    return shop.users.UpdateAddress(UpdateAddressRequest(address=address, update_mask=FieldMask(paths=paths)), metadata=sent)


def delete(shop: Shop, who: Person, address: Address, etag: str = "") -> Any:
    return shop.users.DeleteAddress(DeleteAddressRequest(address_id=address.id, etag=etag), metadata=who.metadata)


def get(shop: Shop, who: Person, address_id: str) -> Any:
    return shop.users.GetAddress(GetAddressRequest(address_id=address_id), metadata=who.metadata)


async def listed(shop: Shop, who: Person, **query: Any) -> list[Address]:
    return await every(shop.users.ListAddresses, ListAddressesRequest, who, **query)


async def test_an_address_is_stored_in_its_normal_form_and_read_as_it_was_answered(shop: Shop, pool: "Pool") -> None:
    jo = await shop.person()
    made = await create(
        shop,
        jo,
        country_code="gb",
        recipient=" Jo Doe ",
        company="Doe Ltd",
        street_lines=["10 downing St", "  ", " Flat 2"],
        city="lOndon",
        postal_code="sw1a2aa",
        region="unused",
        phone="020 8366 1177",
        vat_number="GB 123",
    )
    expected = PostalAddress(
        country_code="GB",
        recipient="Jo Doe",
        company="Doe Ltd",
        street_lines=["10 downing St", "Flat 2"],
        city="lOndon",
        postal_code="SW1A 2AA",
        region="unused",
        phone="+442083661177",
        vat_number="GB 123",
    )
    assert made.postal_address == expected
    assert made.create_time == made.update_time
    assert await get(shop, jo, made.id) == made
    [row] = await pool.fetch(STORED)
    lines = ["10 downing St", "Flat 2"]
    assert tuple(row) == (
        "GB", "Jo Doe", "Doe Ltd", lines, "", "lOndon", "unused", "SW1A 2AA", "", "+442083661177", "GB 123", True
    )  # fmt: skip


async def test_an_address_is_sent_back_as_it_was_read(shop: Shop) -> None:
    jo = await shop.person()
    made = await create(shop, jo, country_code="US", city="Reno", region="Nevada", postal_code="895011234")
    assert (made.postal_address.region, made.postal_address.postal_code) == ("NV", "89501-1234")
    made.create_time.CopyFrom(Timestamp(seconds=1))
    changed = await update(shop, jo, made)
    assert changed.postal_address == made.postal_address
    assert (changed.etag != made.etag, changed.create_time.seconds > 1) == (True, True)
    copy = await shop.users.CreateAddress(CreateAddressRequest(address=changed), metadata=jo.metadata)
    assert (copy.id != made.id, copy.postal_address) == (True, made.postal_address)


async def test_addresses_are_listed_newest_first_and_only_to_their_owner(shop: Shop) -> None:
    jo, other = await shop.person(), await shop.person()
    made = [await create(shop, jo, recipient=f"Jo {number}") for number in range(5)]
    theirs = await create(shop, other)
    assert [each.id for each in await listed(shop, jo)] == [each.id for each in made[::-1]]
    assert await listed(shop, other) == [theirs]
    page = await shop.users.ListAddresses(ListAddressesRequest(page_size=2), metadata=jo.metadata)
    foreign = ListAddressesRequest(page_size=2, page_token=page.next_page_token)
    assert (await refusal(shop.users.ListAddresses(foreign, metadata=other.metadata))).reason == "PAGE_TOKEN_INVALID"


async def test_the_first_address_becomes_the_default_and_a_later_one_on_request(shop: Shop, pool: "Pool") -> None:
    jo = await shop.person()
    first, second = [await create(shop, jo) for _ in range(2)]
    assert (first.is_default, second.is_default) == (True, False)
    third = await create(shop, jo, is_default=True)
    assert third.is_default
    assert [each.is_default for each in await listed(shop, jo)] == [True, False, False]
    former = await get(shop, jo, first.id)
    assert former.etag != first.etag
    assert await pool.fetchval(DEFAULTS, jo.id) == third.id
    assert (await get(shop, jo, second.id)) == second


async def test_the_default_moves_and_may_be_given_up(shop: Shop, pool: "Pool") -> None:
    jo = await shop.person()
    first, second = [await create(shop, jo) for _ in range(2)]
    moved = await update(shop, jo, Address(id=second.id, is_default=True))
    assert (moved.is_default, moved.postal_address) == (True, second.postal_address)
    assert not (await get(shop, jo, first.id)).is_default
    assert (await update(shop, jo, Address(id=second.id, is_default=True))).is_default
    assert not (await update(shop, jo, Address(id=second.id), "is_default")).is_default
    assert await pool.fetch(DEFAULTS, jo.id) == []
    assert not (await create(shop, jo)).is_default


async def test_the_default_of_one_account_is_none_of_anothers_business(shop: Shop, pool: "Pool") -> None:
    jo, other = await shop.person(), await shop.person()
    mine, theirs = await create(shop, jo), await create(shop, other)
    await create(shop, jo, is_default=True)
    assert await get(shop, other, theirs.id) == theirs
    assert not (await get(shop, jo, mine.id)).is_default
    assert await pool.fetchval("SELECT count(*) FROM addresses WHERE is_default") == 2


async def test_a_deleted_default_leaves_none_until_the_book_is_empty(shop: Shop, pool: "Pool") -> None:
    jo = await shop.person()
    first, second = [await create(shop, jo) for _ in range(2)]
    assert await delete(shop, jo, first) == first
    assert (await refusal(get(shop, jo, first.id))).reason == "ADDRESS_NOT_FOUND"
    assert await listed(shop, jo) == [second]
    assert await pool.fetch(DEFAULTS, jo.id) == []
    await delete(shop, jo, second)
    assert (await create(shop, jo)).is_default


async def test_without_a_mask_the_populated_fields_change_and_with_one_exactly_its_fields(shop: Shop) -> None:
    jo = await shop.person()
    made = await create(shop, jo)
    assert (await update(shop, jo, Address(id=made.id))).postal_address == made.postal_address
    moved = await update(shop, jo, Address(id=made.id, postal_address=postal(city="Potsdam"), is_default=False), "postal_address")
    assert (moved.postal_address.city, moved.is_default) == ("Potsdam", True)
    replaced = await update(shop, jo, Address(id=made.id, postal_address=postal(company="Doe")), "*")
    assert (replaced.postal_address.company, replaced.is_default) == ("Doe", False)
    for paths in (("*",), ("postal_address",)):
        error = await refusal(update(shop, jo, Address(id=made.id, is_default=True), *paths))
        assert error.fields == ["address.postal_address.country_code"]
    phone = await refusal(update(shop, jo, Address(id=made.id, postal_address=PostalAddress(phone="1")), "postal_address.phone"))
    assert phone.fields[0] == "update_mask"
    assert await get(shop, jo, made.id) == replaced


async def test_an_address_is_changed_and_deleted_only_if_it_still_has_the_etag(shop: Shop, pool: "Pool") -> None:
    jo = await shop.person()
    made, other = await create(shop, jo), await create(shop, jo)
    changed = await update(shop, jo, Address(id=other.id, postal_address=postal(city="Potsdam"), etag=other.etag))
    before = await pool.fetchval(CONTENT)
    stale = Address(id=other.id, is_default=True, etag=other.etag)
    for call in (update(shop, jo, stale), update(shop, jo, Address(id=other.id, is_default=True), if_match=f'"{other.etag}"')):
        error = await refusal(call)
        assert (error.code, error.reason) == (StatusCode.ABORTED, "ETAG_MISMATCH")
        assert error.metadata == {"expected_etag": other.etag, "etag": changed.etag}
    assert (await refusal(delete(shop, jo, other, other.etag))).reason == "ETAG_MISMATCH"
    assert await pool.fetchval(CONTENT) == before
    await create(shop, jo, is_default=True)
    assert (await refusal(delete(shop, jo, made, made.etag))).reason == "ETAG_MISMATCH"  # it is no longer the default
    assert await delete(shop, jo, other, changed.etag) == changed


async def test_an_address_of_another_account_is_answered_byte_for_byte_like_an_absent_one(shop: Shop, pool: "Pool") -> None:
    jo, other = await shop.person(), await shop.person()
    theirs = await create(shop, other)
    before = await pool.fetchval(CONTENT)
    calls: list[Callable[[str], Any]] = [
        lambda address_id: get(shop, jo, address_id),
        lambda address_id: update(shop, jo, Address(id=address_id, is_default=True)),
        lambda address_id: update(shop, jo, Address(id=address_id, postal_address=postal(), etag=theirs.etag)),
        lambda address_id: delete(shop, jo, Address(id=address_id)),
        lambda address_id: delete(shop, jo, Address(id=address_id), "no such"),
    ]
    for call in calls:
        foreign, absent = await refusal(call(theirs.id)), await refusal(call(ABSENT))
        assert (foreign.code, foreign.reason) == (StatusCode.NOT_FOUND, "ADDRESS_NOT_FOUND")
        assert repr(foreign).replace(theirs.id, ABSENT) == repr(absent)
    assert await pool.fetchval(CONTENT) == before


@pytest.mark.parametrize(
    ("changed", "fields"),
    [
        ({"country_code": ""}, ["country_code"]),
        ({"country_code": "XX"}, ["country_code"]),
        ({"country_code": "ZZ"}, ["country_code"]),
        ({"country_code": "DEU"}, ["country_code"]),
        ({"country_code": "\ufb01"}, ["country_code"]),
        ({"country_code": "../"}, ["country_code"]),
        ({"postal_code": ""}, ["postal_code"]),
        ({"postal_code": "1011"}, ["postal_code"]),
        ({"postal_code": "SW1A 1AA"}, ["postal_code"]),
        ({"country_code": "GB", "postal_code": "SW1A 1AA or so"}, ["postal_code"]),
        ({"country_code": "US", "region": "CA", "postal_code": "10001"}, ["postal_code"]),
        ({"country_code": "US", "region": "Bavaria", "postal_code": "10001"}, ["region"]),
        ({"country_code": "US", "postal_code": "10001"}, ["region"]),
        ({"phone": "12"}, ["phone"]),
        ({"phone": "+49 30 901820 ext. 7"}, ["phone"]),
        ({"recipient": ""}, ["recipient"]),
        ({"city": " \t"}, ["city"]),
        ({"street_lines": []}, ["street_lines"]),
        ({"street_lines": [" "]}, ["street_lines"]),
        ({"street_lines": ["a"] * 5}, ["street_lines"]),
        ({"street_lines": ["a", "b" * 201]}, ["street_lines[1]"]),
        ({"street_lines": ["a\nb"]}, ["street_lines[0]"]),
        ({"recipient": "\u3164"}, ["recipient"]),
        ({"company": "a\0"}, ["company"]),
        ({"vat_number": "x" * 31, "sorting_code": "x" * 31}, ["sorting_code", "vat_number"]),
        ({"recipient": "", "street_lines": [], "city": "", "postal_code": ""}, ["recipient", "street_lines", "city", "postal_code"]),
    ],
)
async def test_an_address_that_does_not_fit_its_country_is_refused_by_field(
    shop: Shop, pool: "Pool", changed: dict[str, Any], fields: list[str]
) -> None:
    jo = await shop.person()
    error = await refusal(create(shop, jo, **changed))
    assert (error.code, error.reason) == (StatusCode.INVALID_ARGUMENT, "INVALID_FIELD")
    assert error.fields == [f"address.postal_address.{field}" for field in fields]
    assert await pool.fetchval("SELECT count(*) FROM addresses") == 0


async def test_an_account_has_fifty_addresses_at_most(shop: Shop, pool: "Pool") -> None:
    jo = await shop.person()
    await pool.execute(FILL, jo.id, LIMIT - 1)
    last = await create(shop, jo)
    before = await pool.fetchval(CONTENT)
    error = await refusal(create(shop, jo, is_default=True))
    assert (error.code, error.reason, error.metadata) == (StatusCode.FAILED_PRECONDITION, "ADDRESS_LIMIT", {"limit": "50"})
    assert await pool.fetchval(CONTENT) == before
    await delete(shop, jo, last)
    assert (await create(shop, jo)).id


@pytest.mark.race
async def test_the_limit_is_exact_when_calls_to_two_workers_race(shop: Shop, elsewhere: Shop, pool: "Pool", race_rounds: int) -> None:
    for _ in range(race_rounds):
        jo = await shop.person()
        await pool.execute(FILL, jo.id, LIMIT - 3)
        calls = [create(at, jo, is_default=True) for _ in range(4) for at in (shop, elsewhere)]
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
        assert sum(isinstance(outcome, Address) for outcome in outcomes) == 3
        assert await pool.fetchval("SELECT count(*) FROM addresses WHERE account_id = $1", jo.id) == LIMIT
        assert len(await pool.fetch(DEFAULTS, jo.id)) == 1


@pytest.mark.race
async def test_the_default_is_one_of_those_that_two_workers_were_asked_for(
    shop: Shop, elsewhere: Shop, pool: "Pool", race_rounds: int
) -> None:
    jo = await shop.person()
    made = [await create(shop, jo) for _ in range(8)]
    for _ in range(race_rounds):
        calls = [update(at, jo, Address(id=address.id, is_default=True)) for address, at in zip(made, [shop, elsewhere] * 4, strict=True)]
        answers = await asyncio.gather(*calls)
        assert all(answer.is_default for answer in answers)
        [row] = await pool.fetch(DEFAULTS, jo.id)
        assert row[0] in [address.id for address in made]


@pytest.mark.race
async def test_of_two_first_addresses_at_once_one_is_the_default(shop: Shop, elsewhere: Shop, pool: "Pool", race_rounds: int) -> None:
    for _ in range(race_rounds):
        jo = await shop.person()
        made = await asyncio.gather(*(create(at, jo) for at in (shop, elsewhere) * 2))
        assert sum(address.is_default for address in made) == 1
        assert len(await pool.fetch(DEFAULTS, jo.id)) == 1


@pytest.mark.race
async def test_a_default_that_is_deleted_while_another_one_takes_its_place_leaves_that_one(
    shop: Shop, elsewhere: Shop, pool: "Pool", race_rounds: int
) -> None:
    for _ in range(race_rounds):
        jo = await shop.person()
        first, second = [await create(shop, jo) for _ in range(2)]
        await asyncio.gather(delete(shop, jo, first), update(elsewhere, jo, Address(id=second.id, is_default=True)))
        assert [row[0] for row in await pool.fetch(DEFAULTS, jo.id)] == [second.id]


async def test_the_addresses_of_an_account_go_with_it(shop: Shop, pool: "Pool") -> None:
    jo, other = await shop.person(), await shop.person()
    await create(shop, jo)
    theirs = await create(shop, other)
    await pool.execute("DELETE FROM mails; DELETE FROM one_time_tokens")
    await pool.execute("DELETE FROM accounts WHERE id = $1", jo.id)
    assert [str(row[0]) for row in await pool.fetch("SELECT id FROM addresses")] == [theirs.id]
