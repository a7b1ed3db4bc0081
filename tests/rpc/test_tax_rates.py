"""Tax rates of TaxService through a real channel."""

import asyncio
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import asyncpg
import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc.error_details_pb2 import ResourceInfo
from grpc import StatusCode

from mercato.v1.tax_pb2 import (
    ArchiveTaxRateRequest,
    CreateTaxCategoryRequest,
    CreateTaxRateRequest,
    GetTaxRateRequest,
    ListTaxRatesRequest,
    TaxCategory,
    TaxRate,
    TaxRatePart,
    UpdateTaxRateRequest,
)
from mercato_server.database.pool import Pool
from mercato_server.domain.taxes import TaxPart, TaxTable
from mercato_server.domain.taxes import TaxRate as LoadedRate
from mercato_server.store import tax_rates
from support.idempotency_cases import ABSENT
from support.pages import every
from support.patience import until
from support.shop import CALL_S, Person, Shop, refusal

MAY, JUNE, JULY = (datetime(2026, month, 1, tzinfo=UTC) for month in (5, 6, 7))
MICROSECOND = timedelta(microseconds=1)
PARTS = [TaxRatePart(name="State", ppm=60_000), TaxRatePart(name="City of = and 🏙", ppm=12_500)]
VERSION = "SELECT version FROM price_rules"
WAITING = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"


def at(moment: datetime) -> Timestamp:
    message = Timestamp()
    message.FromDatetime(moment)
    return message


def draft(**fields: Any) -> TaxRate:
    times = {name: at(value) for name, value in fields.items() if isinstance(value, datetime)}
    return TaxRate(**{"country_code": "DE", "name": "VAT 19%", "rate_ppm": 190_000, **fields, **times})


def create(shop: Shop, admin: Person, **fields: Any) -> Any:
    return send(shop, admin, draft(**fields))


def send(shop: Shop, admin: Person, rate: TaxRate) -> Any:
    return shop.taxes.CreateTaxRate(CreateTaxRateRequest(tax_rate=rate), metadata=admin.metadata, timeout=CALL_S)


def update(shop: Shop, admin: Person, rate: TaxRate, *mask: str) -> Any:
    request = UpdateTaxRateRequest(tax_rate=rate, update_mask=FieldMask(paths=mask) if mask else None)
    return shop.taxes.UpdateTaxRate(request, metadata=admin.metadata, timeout=CALL_S)


def archive(shop: Shop, admin: Person, rate_id: str) -> Any:
    return shop.taxes.ArchiveTaxRate(ArchiveTaxRateRequest(tax_rate_id=rate_id), metadata=admin.metadata)


def get(shop: Shop, admin: Person, rate_id: str) -> Any:
    return shop.taxes.GetTaxRate(GetTaxRateRequest(tax_rate_id=rate_id), metadata=admin.metadata)


async def category(shop: Shop, admin: Person, code: str) -> None:
    request = CreateTaxCategoryRequest(tax_category_id=code, tax_category=TaxCategory(display_name="Books"))
    await shop.taxes.CreateTaxCategory(request, metadata=admin.metadata)


async def listed(shop: Shop, admin: Person, **query: Any) -> list[str]:
    return [rate.id for rate in await every(shop.taxes.ListTaxRates, ListTaxRatesRequest, admin, **query)]


async def outcome(call: Any) -> str:
    """Return the reason of a refusal; empty for an answer."""
    try:
        return (await refusal(call)).reason
    except AssertionError:
        return ""


async def test_a_created_rate_has_the_values_of_its_request(shop: Shop) -> None:
    admin = await shop.person(admin=True)
    await category(shop, admin, "books")
    wanted = TaxRate(
        country_code="US",
        region="Ciudad Autónoma 安徽省",
        tax_category="books",
        name="Sales tax",
        rate_ppm=72_500,
        parts=PARTS,
        valid_from=at(MAY),
        valid_until=at(JUNE + MICROSECOND),
    )
    created = await send(shop, admin, wanted)
    assert await get(shop, admin, created.id) == created
    assert not created.HasField("archive_time")
    for field in ("id", "etag", "create_time", "update_time"):
        assert getattr(created, field)
        created.ClearField(field)
    assert created == wanted


async def test_a_rate_of_nothing_without_times_is_a_rate(shop: Shop) -> None:
    admin = await shop.person(admin=True)
    created = await create(shop, admin, rate_ppm=0)
    assert (created.HasField("rate_ppm"), created.rate_ppm) == (True, 0)
    assert (created.HasField("valid_from"), created.HasField("valid_until"), created.region, created.tax_category) == (False, False, "", "")


async def test_what_is_finer_than_a_microsecond_is_cut_off(shop: Shop) -> None:
    admin = await shop.person(admin=True)
    created = await create(shop, admin, valid_from=Timestamp(seconds=1_000_000_000, nanos=999_999_999))
    assert created.valid_from == Timestamp(seconds=1_000_000_000, nanos=999_999_000)


def wrong(field: str, **fields: Any) -> Any:
    return pytest.param(fields, [f"tax_rate.{field}"], id=f"{field} {str(fields)[:40]}")


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        *(wrong("country_code", country_code=code) for code in ("", "XX", "ZZ", "de", "DEU", "Germany", "\0", "EU")),
        *(wrong("region", region=region) for region in ("x" * 61, "a\nb", "a\0b", "\u200b")),
        *(wrong("tax_category", tax_category=code) for code in ("Books", "a" * 33, "a b", "as goods")),
        *(wrong("name", name=name) for name in ("", " ", "x" * 101, "a\nb")),
        *(wrong("rate_ppm", rate_ppm=ppm) for ppm in (-1, 1_000_001, 1_200_000, 2**31 - 1, -(2**31))),
        wrong("rate_ppm", rate_ppm=None),
        wrong("parts", parts=[TaxRatePart(name="a", ppm=19_000)] * 11),
        wrong("parts", parts=[TaxRatePart(name="a", ppm=100_000), TaxRatePart(name="b", ppm=90_001)]),
        wrong("parts[0].name", parts=[TaxRatePart(name="", ppm=190_000)]),
        wrong("parts[0].name", parts=[TaxRatePart(name="a;b", ppm=190_000)]),
        wrong("parts[1].name", parts=[TaxRatePart(name="a", ppm=190_000), TaxRatePart(name="x" * 101, ppm=0)]),
        wrong("parts[1].ppm", parts=[TaxRatePart(name="a", ppm=190_000), TaxRatePart(name="b")]),
        wrong("valid_until", valid_from=JUNE, valid_until=MAY),
        wrong("valid_until", valid_from=JUNE, valid_until=JUNE),
        wrong("valid_from", valid_from=datetime(1899, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)),
        wrong("valid_from", valid_from=Timestamp(seconds=-(2**63))),
        wrong("valid_from", valid_from=Timestamp(seconds=0, nanos=-1)),
        wrong("valid_from", valid_from=Timestamp(seconds=0, nanos=1_000_000_000)),
        wrong("valid_until", valid_until=datetime(2200, 1, 1, 0, 0, 0, 1, tzinfo=UTC)),
        wrong("valid_until", valid_until=Timestamp(seconds=2**63 - 1)),
    ],
)
async def test_a_rate_that_makes_no_sense_is_refused_by_the_name_of_its_field(shop: Shop, fields: dict[str, Any], named: list[str]) -> None:
    admin = await shop.person(admin=True)
    error = await refusal(create(shop, admin, **fields))
    assert (error.code, error.reason, error.fields) == (StatusCode.INVALID_ARGUMENT, "INVALID_FIELD", named)
    assert await shop.pool.fetchval("SELECT count(*) FROM tax_rates") == 0
    assert await shop.pool.fetchval(VERSION) == 0


async def test_all_that_is_wrong_with_a_rate_is_named_at_once(shop: Shop) -> None:
    admin = await shop.person(admin=True)
    bad = TaxRate(tax_category="!", region="\n.", parts=[TaxRatePart()], valid_from=Timestamp(nanos=-1))
    error = await refusal(send(shop, admin, bad))
    assert sorted(error.fields) == [
        "tax_rate.country_code",
        "tax_rate.name",
        "tax_rate.parts[0].name",
        "tax_rate.parts[0].ppm",
        "tax_rate.rate_ppm",
        "tax_rate.tax_category",
        "tax_rate.valid_from",
    ]


async def test_the_bounds_of_times_are_times(shop: Shop) -> None:
    admin = await shop.person(admin=True)
    first, last = datetime(1900, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)
    created = await create(shop, admin, valid_from=first, valid_until=last)
    assert (created.valid_from, created.valid_until) == (at(first), at(last))


async def test_a_rate_that_overlaps_a_live_one_of_its_place_is_refused_with_the_others_id(shop: Shop) -> None:
    admin = await shop.person(admin=True)
    await category(shop, admin, "books")
    first = await create(shop, admin, valid_from=MAY, valid_until=JUNE)
    for times in (
        {},
        {"valid_from": MAY, "valid_until": JUNE},
        {"valid_until": MAY + MICROSECOND},
        {"valid_from": JUNE - MICROSECOND},
        {"valid_from": MAY + MICROSECOND, "valid_until": JUNE - MICROSECOND},
    ):
        error = await refusal(create(shop, admin, **times))
        assert (error.code, error.reason, error.metadata) == (
            StatusCode.ALREADY_EXISTS,
            "TAX_RATE_OVERLAPS",
            {"tax_rate_id": first.id},
        )
        assert error.detail(ResourceInfo).resource_name == first.id
    assert await listed(shop, admin) == [first.id]
    for elsewhere in ({"region": "BY"}, {"tax_category": "books"}, {"country_code": "AT"}):
        assert (await create(shop, admin, **elsewhere)).id
    assert await shop.pool.fetchval("SELECT count(*) FROM tax_rates") == 4


async def test_a_rate_ends_before_its_last_moment_where_another_begins(shop: Shop, pool: "Pool") -> None:
    admin = await shop.person(admin=True)
    await create(shop, admin, name="before", rate_ppm=1, valid_until=MAY)
    await create(shop, admin, name="while", rate_ppm=2, valid_from=MAY, valid_until=JUNE)
    await create(shop, admin, name="after", rate_ppm=3, valid_from=JUNE)
    async with pool.acquire() as conn:
        loaded = await tax_rates.load(conn)
    table = TaxTable(await every_rate(shop), loaded.countries)
    found = {moment: table.rate("DE", "", "", moment) for moment in (MAY - MICROSECOND, MAY, JUNE - MICROSECOND, JUNE)}
    assert [rate.name if rate else "" for rate in found.values()] == ["before", "while", "while", "after"]


async def every_rate(shop: Shop) -> list[LoadedRate]:
    """Return the rates of the table, also those that are over."""
    rows = await shop.pool.fetch(tax_rates.LOAD_RATES)
    return [tax_rates.stored(row).rate for row in rows]


@pytest.mark.race
async def test_of_rates_that_overlap_one_is_created_when_administrators_race(shop: Shop, elsewhere: Shop, race_rounds: int) -> None:
    admin = await shop.person(admin=True)
    for number in range(race_rounds):
        place = {"region": f"R{number}"}
        times: list[dict[str, datetime]] = [{}, {"valid_from": MAY}, {"valid_until": JUNE}, {"valid_from": MAY, "valid_until": JUNE}]
        calls = [create(of, admin, **place, **each) for each in times for of in (shop, elsewhere)]
        reasons = await asyncio.gather(*map(outcome, calls))
        assert sorted(reasons) == ["", *["TAX_RATE_OVERLAPS"] * 7]
    assert await shop.pool.fetchval("SELECT count(*) FROM tax_rates") == race_rounds
    assert await shop.pool.fetchval(VERSION) == race_rounds


@pytest.mark.race
async def test_a_rate_is_not_extended_into_one_that_is_created_at_the_same_time(shop: Shop, elsewhere: Shop, race_rounds: int) -> None:
    admin = await shop.person(admin=True)
    for number in range(race_rounds):
        place = {"region": f"R{number}"}
        first = await create(shop, admin, **place, valid_until=MAY)
        calls = (update(shop, admin, TaxRate(id=first.id), "valid_until"), create(elsewhere, admin, **place, valid_from=MAY))
        assert sorted(await asyncio.gather(*map(outcome, calls))) == ["", "TAX_RATE_OVERLAPS"]


async def test_the_database_itself_refuses_rates_that_overlap(shop: Shop) -> None:
    """Whatever the server checks before: also for rates that two transactions insert at once."""
    insert = """
    INSERT INTO tax_rates (country_code, region, tax_category, name, rate_ppm, part_names, part_ppms, valid)
    VALUES ('DE', '', '', 'VAT', 1, '{}', '{}', $1::text::tstzrange)
    """
    async with shop.pool.acquire() as one, shop.pool.acquire() as other:
        first = one.transaction()
        await first.start()
        await one.execute(insert, "[2026-05-01, 2026-06-01)")
        second = asyncio.ensure_future(other.execute(insert, "[2026-05-31, 2026-07-01)"))
        await until(partial(shop.pool.fetchval, WAITING))
        await first.commit()
        with pytest.raises(asyncpg.ExclusionViolationError):
            await second
    await shop.pool.execute(insert, "[2026-06-01, 2026-07-01)")
    for empty_or_closed in ("empty", "[2027-01-01, 2027-02-01]", "(2027-01-01, 2027-02-01)"):
        with pytest.raises(asyncpg.CheckViolationError):
            await shop.pool.execute(insert, empty_or_closed)


async def test_an_archived_rate_makes_room_and_never_changes_again(shop: Shop) -> None:
    admin = await shop.person(admin=True)
    first = await create(shop, admin)
    archived = await archive(shop, admin, first.id)
    assert (archived.HasField("archive_time"), archived.etag != first.etag) == (True, True)
    assert await archive(shop, admin, first.id) == archived
    assert await get(shop, admin, first.id) == archived
    second = await create(shop, admin)
    assert await listed(shop, admin) == [second.id]
    assert await listed(shop, admin, show_archived=True) == [first.id, second.id]
    error = await refusal(update(shop, admin, TaxRate(id=first.id, name="x")))
    assert (error.code, error.reason) == (StatusCode.FAILED_PRECONDITION, "TAX_RATE_ARCHIVED")


async def test_an_update_changes_the_populated_fields_or_those_of_the_mask(shop: Shop) -> None:
    admin = await shop.person(admin=True)
    rate = await create(shop, admin, rate_ppm=72_500, parts=PARTS, valid_from=MAY, valid_until=JUNE)
    changed = await update(shop, admin, TaxRate(id=rate.id, name="Tax"))
    assert (changed.name, list(changed.parts), changed.valid_from, changed.valid_until) == ("Tax", PARTS, at(MAY), at(JUNE))
    changed = await update(shop, admin, TaxRate(id=rate.id, name="\0", rate_ppm=5, valid_from=Timestamp(nanos=-1)), "parts", "valid_until")
    assert (changed.name, list(changed.parts), changed.HasField("valid_until")) == ("Tax", [], False)
    changed = await update(shop, admin, TaxRate(id=rate.id, valid_until=at(JULY)))
    assert changed.valid_until == at(JULY)
    changed = await update(shop, admin, TaxRate(id=rate.id, name="All", valid_from=at(MAY)), "*")
    assert (changed.name, changed.valid_from, changed.HasField("valid_until"), changed.rate_ppm) == ("All", at(MAY), False, 72_500)
    assert await get(shop, admin, rate.id) == changed


async def test_place_and_percentage_of_a_rate_never_change(shop: Shop) -> None:
    admin = await shop.person(admin=True)
    await category(shop, admin, "books")
    rate = await create(shop, admin, region="BY", tax_category="books")
    others = {"country_code": "AT", "region": "BE", "tax_category": "other", "rate_ppm": 0}
    for field, value in others.items():
        for mask in ((), ("*",)):
            wanted = draft(**{"id": rate.id, "region": "BY", "tax_category": "books", field: value})
            error = await refusal(update(shop, admin, wanted, *mask))
            assert (error.reason, error.fields) == ("INVALID_FIELD", [f"tax_rate.{field}"])
        assert (await refusal(update(shop, admin, TaxRate(id=rate.id), field))).fields == ["update_mask"]
    assert await get(shop, admin, rate.id) == rate


async def test_a_rate_can_be_sent_back_as_it_was_read(shop: Shop) -> None:
    admin = await shop.person(admin=True)
    rate = await create(shop, admin, region="BY", rate_ppm=72_500, parts=PARTS, valid_from=MAY, valid_until=JUNE)
    for mask in ((), ("*",)):
        again = await update(shop, admin, rate, *mask)
        assert again.etag != rate.etag
        rate.etag = again.etag
        rate.update_time.CopyFrom(again.update_time)
        assert again == rate


async def test_the_beginning_of_a_rate_is_moved_until_it_has_begun(shop: Shop) -> None:
    admin = await shop.person(admin=True)
    now = datetime.now(UTC)
    begun = [await create(shop, admin, region="1", valid_from=now - timedelta(days=1)), await create(shop, admin, region="2")]
    later, soon = now + timedelta(days=2), now + timedelta(days=1)
    for rate in begun:
        error = await refusal(update(shop, admin, TaxRate(id=rate.id, valid_from=at(later))))
        assert (error.code, error.reason) == (StatusCode.FAILED_PRECONDITION, "TAX_RATE_BEGUN")
        assert await get(shop, admin, rate.id) == rate
    assert (await refusal(update(shop, admin, TaxRate(id=begun[0].id), "valid_from"))).reason == "TAX_RATE_BEGUN"
    rate = await create(shop, admin, valid_from=later)
    for moment in (soon, later, now - timedelta(hours=1)):
        assert (await update(shop, admin, TaxRate(id=rate.id, valid_from=at(moment)))).valid_from == at(moment)
    assert (await refusal(update(shop, admin, TaxRate(id=rate.id, valid_from=at(soon))))).reason == "TAX_RATE_BEGUN"


@pytest.mark.parametrize(
    ("change", "mask", "field"),
    [
        ({"valid_until": at(MAY)}, (), "tax_rate.valid_until"),
        ({"valid_until": at(MAY - MICROSECOND)}, (), "tax_rate.valid_until"),
        ({"parts": PARTS[:1]}, (), "tax_rate.parts"),
        ({"parts": [TaxRatePart(name="a")]}, (), "tax_rate.parts[0].ppm"),
        ({}, ("name",), "tax_rate.name"),
        ({"name": "x"}, ("name", "etag"), "update_mask"),
        ({"valid_until": Timestamp(seconds=2**40)}, (), "tax_rate.valid_until"),
        ({"etag": "x" * 65}, (), "tax_rate.etag"),
    ],
)
async def test_a_change_that_makes_no_sense_is_named_and_changes_nothing(
    shop: Shop, change: dict[str, Any], mask: tuple[str, ...], field: str
) -> None:
    admin = await shop.person(admin=True)
    rate = await create(shop, admin, rate_ppm=72_500, parts=PARTS, valid_from=MAY)
    error = await refusal(update(shop, admin, TaxRate(id=rate.id, **change), *mask))
    assert (error.code, error.fields) == (StatusCode.INVALID_ARGUMENT, [field])
    assert await get(shop, admin, rate.id) == rate
    assert await shop.pool.fetchval(VERSION) == 1


async def test_a_change_does_not_make_rates_overlap(shop: Shop) -> None:
    admin = await shop.person(admin=True)
    first = await create(shop, admin, valid_from=MAY, valid_until=JUNE)
    second = await create(shop, admin, valid_from=JUNE)
    for mask, end in ((("valid_until",), None), ((), at(JUNE + MICROSECOND))):
        error = await refusal(update(shop, admin, TaxRate(id=first.id, valid_until=end), *mask))
        assert (error.code, error.reason, error.metadata) == (
            StatusCode.ALREADY_EXISTS,
            "TAX_RATE_OVERLAPS",
            {"tax_rate_id": second.id},
        )
    assert await get(shop, admin, first.id) == first
    await archive(shop, admin, second.id)
    assert not (await update(shop, admin, TaxRate(id=first.id), "valid_until")).HasField("valid_until")


async def test_a_change_of_a_newer_rate_is_refused(shop: Shop) -> None:
    admin = await shop.person(admin=True)
    old = await create(shop, admin)
    newer = await update(shop, admin, TaxRate(id=old.id, name="Newer", etag=old.etag))
    error = await refusal(update(shop, admin, TaxRate(id=old.id, name="Older", etag=old.etag)))
    assert (error.code, error.reason) == (StatusCode.ABORTED, "ETAG_MISMATCH")
    assert error.metadata == {"expected_etag": old.etag, "etag": newer.etag}
    assert (await get(shop, admin, old.id)).name == "Newer"


async def test_an_absent_rate_is_named(shop: Shop) -> None:
    admin = await shop.person(admin=True)
    for call in (get(shop, admin, ABSENT), update(shop, admin, TaxRate(id=ABSENT, name="x")), archive(shop, admin, ABSENT)):
        error = await refusal(call)
        assert (error.code, error.reason) == (StatusCode.NOT_FOUND, "TAX_RATE_NOT_FOUND")
        assert error.detail(ResourceInfo).resource_name == ABSENT


async def test_rates_are_listed_by_country_region_and_category(shop: Shop) -> None:
    admin = await shop.person(admin=True)
    await category(shop, admin, "books")
    wanted = [("AT", "", ""), ("DE", "", ""), ("DE", "", "books"), ("DE", "BY", ""), ("DE", "Ärzte", "books"), ("FR", "", "")]
    made = {}
    for country, region, code in [wanted[index] for index in (3, 5, 0, 2, 4, 1)]:
        made[country, region, code] = (await create(shop, admin, country_code=country, region=region, tax_category=code)).id
    assert await listed(shop, admin) == [made[place] for place in wanted]
    assert await listed(shop, admin, country_code="DE") == [made[place] for place in wanted[1:5]]
    assert await listed(shop, admin, country_code="IT") == []
    await archive(shop, admin, made["DE", "", "books"])
    assert await listed(shop, admin, country_code="DE") == [made[place] for place in (wanted[1], *wanted[3:5])]
    assert await listed(shop, admin, country_code="DE", show_archived=True) == [made[place] for place in wanted[1:5]]
    request = ListTaxRatesRequest(country_code="EU")
    assert (await refusal(shop.taxes.ListTaxRates(request, metadata=admin.metadata))).fields == ["country_code"]


async def test_a_page_of_rates_goes_on_only_in_its_own_list(shop: Shop) -> None:
    admin = await shop.person(admin=True)
    for region in ("1", "2"):
        await create(shop, admin, region=region)
    page = await shop.taxes.ListTaxRates(ListTaxRatesRequest(page_size=1), metadata=admin.metadata)
    for query in ({"country_code": "DE"}, {"show_archived": True}):
        other = ListTaxRatesRequest(page_size=1, page_token=page.next_page_token, **query)
        assert (await refusal(shop.taxes.ListTaxRates(other, metadata=admin.metadata))).reason == "PAGE_TOKEN_INVALID"


@pytest.mark.race
async def test_the_limit_of_rates_is_exact_when_administrators_race(shop: Shop, elsewhere: Shop) -> None:
    admin = await shop.person(admin=True)
    await shop.pool.execute(
        "INSERT INTO tax_rates (country_code, region, tax_category, name, rate_ppm, part_names, part_ppms, valid)"
        " SELECT 'US', 'R' || n, '', 'tax', 1, '{}', '{}', '(,)' FROM generate_series(1, 4997) n"
    )
    calls = [create(of, admin, region=f"{number} {uuid.uuid4()}") for number in range(4) for of in (shop, elsewhere)]
    reasons = await asyncio.gather(*map(outcome, calls))
    assert sorted(reasons) == [*[""] * 3, *["TAX_RATE_LIMIT"] * 5]
    assert await shop.pool.fetchval("SELECT count(*) FROM tax_rates") == 5_000
    error = await refusal(create(shop, admin, region="one more"))
    assert (error.code, error.metadata) == (StatusCode.FAILED_PRECONDITION, {"limit": "5000"})
    await archive(shop, admin, (await listed(shop, admin, country_code="DE"))[0])
    assert (await create(shop, admin, region="one more")).id


async def test_each_change_raises_the_version_of_the_price_rules_once_and_no_refusal_does(shop: Shop) -> None:
    admin = await shop.person(admin=True)
    rate = await create(shop, admin)
    steps: list[tuple[Callable[[], Any], int]] = [
        (lambda: create(shop, admin), 1),
        (lambda: create(shop, admin, region="BY"), 2),
        (lambda: update(shop, admin, TaxRate(id=rate.id, name="x")), 3),
        (lambda: update(shop, admin, TaxRate(id=rate.id, name="y", etag="old")), 3),
        (lambda: archive(shop, admin, rate.id), 4),
        (lambda: archive(shop, admin, rate.id), 4),
    ]
    for call, version in steps:
        await outcome(call())
        assert await shop.pool.fetchval(VERSION) == version


async def test_a_repeated_call_with_its_key_changes_nothing_again(shop: Shop) -> None:
    admin = await shop.person(admin=True)
    request = CreateTaxRateRequest(tax_rate=draft())
    metadata = (*admin.metadata, ("idempotency-key", "once"))
    first, second = [await shop.taxes.CreateTaxRate(request, metadata=metadata) for _ in range(2)]
    assert first == second
    assert await shop.pool.fetchval(VERSION) == 1


async def test_the_price_rules_read_what_was_written(shop: Shop, pool: "Pool") -> None:
    admin = await shop.person(admin=True)
    await category(shop, admin, "books")
    now = datetime.now(UTC).replace(microsecond=123_456)
    whole = await create(shop, admin, valid_from=MAY)
    part = await create(
        shop, admin, country_code="US", region="CA", tax_category="books", rate_ppm=72_500, parts=PARTS, valid_until=now + timedelta(days=9)
    )
    just_over = await create(shop, admin, country_code="FR", valid_until=now - timedelta(minutes=5))
    await create(shop, admin, country_code="IT", valid_until=now - timedelta(hours=2))
    gone = await create(shop, admin, country_code="AT")
    await archive(shop, admin, gone.id)
    async with pool.acquire() as conn:
        loaded = await tax_rates.load(conn)
    name = "VAT 19%"
    assert loaded.rates == [
        LoadedRate(uuid.UUID(whole.id), "DE", "", "", name, 190_000, (), MAY, None),
        LoadedRate(uuid.UUID(just_over.id), "FR", "", "", name, 190_000, (), None, now - timedelta(minutes=5)),
        LoadedRate(
            uuid.UUID(part.id),
            *("US", "CA", "books", name, 72_500),
            (TaxPart("State", 60_000), TaxPart("City of = and 🏙", 12_500)),
            None,
            now + timedelta(days=9),
        ),
    ]
    assert loaded.countries == ["DE", "FR", "IT", "US"]
