"""ShopService through a real channel."""

from typing import Any

import asyncpg
import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from grpc import StatusCode

from mercato.v1.audit_pb2 import ListAuditLogRequest
from mercato.v1.shop_pb2 import TAX_ROUNDING_LINE, TAX_ROUNDING_ORDER, GetShopRequest, TaxRounding, UpdateShopRequest
from mercato.v1.shop_pb2 import Shop as Settings
from mercato_server.database.pool import Pool
from mercato_server.domain.taxes import TaxRounding as StoredRounding
from mercato_server.store import shop_settings
from support.shop import Person, Shop, refusal

ROW = "SELECT country_code, prices_include_tax, tax_rounding, time_zone FROM shop_settings"
VERSION = "SELECT version FROM price_rules"


async def get(shop: Shop) -> Settings:
    return await shop.settings.GetShop(GetShopRequest())


def update(shop: Shop, who: Person | None, settings: Settings, *mask: str) -> Any:
    request = UpdateShopRequest(shop=settings, update_mask=FieldMask(paths=mask) if mask else None)
    return shop.settings.UpdateShop(request, metadata=who.metadata if who else ())


async def test_a_new_shop_includes_tax_in_its_prices_and_rounds_each_line(shop: Shop) -> None:
    settings = await get(shop)
    assert settings.update_time.seconds > 0
    settings.ClearField("update_time")
    assert settings == Settings(
        currency_code="USD", country_code="", prices_include_tax=True, tax_rounding=TAX_ROUNDING_LINE, time_zone="UTC", etag="1"
    )


async def test_an_update_changes_the_fields_that_are_sent_or_those_of_the_mask(shop: Shop, elsewhere: Shop) -> None:
    admin = await shop.person(admin=True)
    wanted = Settings(country_code="DE", prices_include_tax=False, tax_rounding=TAX_ROUNDING_ORDER, time_zone="Europe/Berlin")
    changed = await update(shop, admin, wanted)
    assert (changed.country_code, changed.prices_include_tax, changed.tax_rounding) == ("DE", False, TAX_ROUNDING_ORDER)
    assert await get(elsewhere) == changed
    assert tuple(await shop.pool.fetchrow(ROW) or ()) == ("DE", False, "order", "Europe/Berlin")
    changed = await update(shop, admin, Settings(time_zone="Asia/Tokyo"))
    assert (changed.country_code, changed.prices_include_tax, changed.time_zone) == ("DE", False, "Asia/Tokyo")
    changed = await update(shop, admin, Settings(time_zone="ignored", prices_include_tax=True), "country_code", "prices_include_tax")
    assert (changed.country_code, changed.prices_include_tax, changed.time_zone) == ("", True, "Asia/Tokyo")
    assert tuple(await shop.pool.fetchrow(ROW) or ()) == ("", True, "order", "Asia/Tokyo")


async def test_settings_can_be_sent_back_as_they_were_read(shop: Shop) -> None:
    admin = await shop.person(admin=True)
    read = await update(shop, admin, Settings(country_code="FR"))
    read.currency_code, read.update_time.seconds = "EUR", 1
    for mask in ((), ("*",)):
        again = await update(shop, admin, read, *mask)
        assert again.currency_code == "USD"
        for settings in (again, read):
            settings.ClearField("update_time")
            settings.ClearField("etag")
        assert (again.country_code, again.time_zone) == ("FR", "UTC")


@pytest.mark.parametrize(
    ("fields", "mask", "field"),
    [
        ({"country_code": "XX"}, (), "shop.country_code"),
        ({"country_code": "ZZ"}, (), "shop.country_code"),
        ({"country_code": "de"}, (), "shop.country_code"),
        ({"country_code": "DEU"}, (), "shop.country_code"),
        ({"country_code": "\0"}, (), "shop.country_code"),
        ({"time_zone": "Europe/Atlantis"}, (), "shop.time_zone"),
        ({"time_zone": "europe/berlin"}, (), "shop.time_zone"),
        ({"time_zone": "../../etc/passwd"}, (), "shop.time_zone"),
        ({"time_zone": "+02:00"}, (), "shop.time_zone"),
        ({"time_zone": "Factory"}, (), "shop.time_zone"),
        ({"time_zone": "U" * 10_000}, (), "shop.time_zone"),
        ({}, ("time_zone",), "shop.time_zone"),
        ({}, ("tax_rounding",), "shop.tax_rounding"),
        ({"tax_rounding": 99}, (), "shop.tax_rounding"),
        ({}, ("prices_include_tax",), "shop.prices_include_tax"),
        ({"currency_code": "EUR"}, ("currency_code",), "update_mask"),
        ({"etag": "x" * 65}, (), "shop.etag"),
    ],
)
async def test_settings_that_make_no_sense_are_named_and_change_nothing(
    shop: Shop, fields: dict[str, Any], mask: tuple[str, ...], field: str
) -> None:
    admin = await shop.person(admin=True)
    before = await shop.pool.fetchrow("SELECT * FROM shop_settings"), await shop.pool.fetchval(VERSION)
    error = await refusal(update(shop, admin, Settings(**fields), *mask))
    assert (error.code, error.reason, error.fields) == (StatusCode.INVALID_ARGUMENT, "INVALID_FIELD", [field])
    assert (await shop.pool.fetchrow("SELECT * FROM shop_settings"), await shop.pool.fetchval(VERSION)) == before


async def test_a_change_of_newer_settings_is_refused(shop: Shop) -> None:
    admin = await shop.person(admin=True)
    old = await get(shop)
    newer = await update(shop, admin, Settings(country_code="DE", etag=old.etag))
    error = await refusal(update(shop, admin, Settings(country_code="FR", etag=old.etag)))
    assert (error.code, error.reason) == (StatusCode.ABORTED, "ETAG_MISMATCH")
    assert error.metadata == {"expected_etag": old.etag, "etag": newer.etag}
    assert (await get(shop)).country_code == "DE"


async def test_each_change_raises_the_version_of_the_price_rules_once(shop: Shop) -> None:
    admin = await shop.person(admin=True)
    before = await shop.pool.fetchval(VERSION)
    for number, country in enumerate(("DE", "FR", ""), start=1):
        await update(shop, admin, Settings(country_code=country), "country_code")
        assert await shop.pool.fetchval(VERSION) == before + number


async def test_a_change_is_in_the_audit_log_with_the_fields_that_differ(shop: Shop) -> None:
    admin = await shop.person(admin=True)
    await update(shop, admin, Settings(tax_rounding=TAX_ROUNDING_ORDER, time_zone="UTC"))
    [entry] = (await shop.audit.ListAuditLog(ListAuditLogRequest(), metadata=admin.metadata)).entries
    assert (entry.actor_id, entry.action, entry.subject_id) == (admin.id, "shop.updated", "")
    assert (dict(entry.before), dict(entry.after)) == ({"tax_rounding": "line"}, {"tax_rounding": "order"})


@pytest.mark.parametrize(("number", "stored"), [(TAX_ROUNDING_LINE, "line"), (TAX_ROUNDING_ORDER, "order")])
async def test_the_price_rules_read_what_was_written(shop: Shop, pool: "Pool", number: TaxRounding.ValueType, stored: str) -> None:
    admin = await shop.person(admin=True)
    await update(shop, admin, Settings(country_code="AT", prices_include_tax=False, tax_rounding=number, time_zone="UTC"))
    async with pool.acquire() as conn:
        loaded = await shop_settings.load(conn)
    assert loaded[:4] == ("AT", False, StoredRounding(stored), "UTC")


async def test_there_is_one_row_of_settings(shop: Shop) -> None:
    with pytest.raises(asyncpg.UniqueViolationError):
        await shop.pool.execute("INSERT INTO shop_settings DEFAULT VALUES")
    with pytest.raises(asyncpg.CheckViolationError):
        await shop.pool.execute("INSERT INTO shop_settings (singleton) VALUES (false)")
