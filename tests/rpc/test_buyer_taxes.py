"""Administrators say how buyers are taxed: normally, with reverse charge, or not at all."""

from typing import Any
from uuid import UUID

import asyncpg
import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from grpc import StatusCode

from mercato.v1.audit_pb2 import ListAuditLogRequest
from mercato.v1.user_pb2 import (
    ROLE_ADMIN,
    TAX_TREATMENT_EXEMPT,
    TAX_TREATMENT_NORMAL,
    TAX_TREATMENT_REVERSE_CHARGE,
    TAX_TREATMENT_UNSPECIFIED,
    GetMeRequest,
    GetUserRequest,
    ListUsersRequest,
    UpdateMeRequest,
    UpdateUserRequest,
    User,
)
from mercato_server.store import accounts
from support.shop import Person, Shop, refusal

NORMAL, REVERSE_CHARGE, EXEMPT = TAX_TREATMENT_NORMAL, TAX_TREATMENT_REVERSE_CHARGE, TAX_TREATMENT_EXEMPT
ROWS = "SELECT account_id::text, treatment, tax_number FROM account_taxes"


def update(shop: Shop, admin: Person, person: Person, *mask: str, **fields: Any) -> Any:
    request = UpdateUserRequest(user_id=person.id, update_mask=FieldMask(paths=mask) if mask else None, **fields)
    return shop.users.UpdateUser(request, metadata=admin.metadata)


def taxes(user: User) -> tuple[int, str]:
    return user.tax_treatment, user.tax_number


async def rows(shop: Shop) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in await shop.pool.fetch(ROWS)]


async def test_a_buyer_is_taxed_normally_until_an_administrator_says_otherwise(shop: Shop) -> None:
    boss, jo = await shop.person(admin=True), await shop.person()
    assert taxes(await shop.users.GetMe(GetMeRequest(), metadata=jo.metadata)) == (NORMAL, "")
    changed = await update(shop, boss, jo, tax_treatment=REVERSE_CHARGE, tax_number=" de 136 695 976 ")
    expected = (REVERSE_CHARGE, "DE136695976")
    assert taxes(changed) == expected
    assert taxes(await shop.users.GetMe(GetMeRequest(), metadata=jo.metadata)) == expected
    assert taxes(await shop.users.UpdateMe(UpdateMeRequest(full_name="Jo"), metadata=jo.metadata)) == expected
    assert taxes(await shop.users.GetUser(GetUserRequest(user_id=jo.id), metadata=boss.metadata)) == expected
    listed = (await shop.users.ListUsers(ListUsersRequest(), metadata=boss.metadata)).users
    assert {user.id: taxes(user) for user in listed} == {jo.id: expected, boss.id: (NORMAL, "")}
    found = await accounts.find(shop.pool, jo.email)
    assert found
    assert (found.tax_treatment, found.tax_number) == ("reverse_charge", "DE136695976")
    assert await rows(shop) == [(jo.id, "reverse_charge", "DE136695976")]


async def test_an_exemption_needs_any_number_and_ends_with_the_next_treatment(shop: Shop) -> None:
    boss, jo = await shop.person(admin=True), await shop.person()
    assert taxes(await update(shop, boss, jo, tax_treatment=EXEMPT, tax_number="§ 12/34 b")) == (EXEMPT, "§ 12/34 b")
    assert taxes(await update(shop, boss, jo, tax_treatment=EXEMPT, tax_number="x" * 50)) == (EXEMPT, "x" * 50)
    changed = await update(shop, boss, jo, "tax_treatment", tax_treatment=NORMAL, tax_number="ignored")
    assert taxes(changed) == (NORMAL, "")
    assert await rows(shop) == [(jo.id, "normal", "")]


# Numbers of the European Commission's and of national examples: their check digits are right.
@pytest.mark.parametrize(
    ("given", "stored"),
    [
        ("ATU13585627", "ATU13585627"),
        ("fr 61 954 506 077", "FR61954506077"),
        ("NL004495445B01", "NL004495445B01"),
        ("EL094259216", "EL094259216"),
        ("GR 094259216", "EL094259216"),
        ("XI980780684", "XI980780684"),
    ],
)
async def test_a_vat_number_is_stored_without_spaces_in_upper_case(shop: Shop, given: str, stored: str) -> None:
    boss, jo = await shop.person(admin=True), await shop.person()
    assert taxes(await update(shop, boss, jo, tax_treatment=REVERSE_CHARGE, tax_number=given)) == (REVERSE_CHARGE, stored)
    assert await rows(shop) == [(jo.id, "reverse_charge", stored)]


@pytest.mark.parametrize(
    ("mask", "fields", "named"),
    [
        *(
            ((), {"tax_treatment": REVERSE_CHARGE, "tax_number": number}, ["tax_number"])
            for number in ("", "136695976", "DE136695977", "GB980780684", "EU372000041", "CHE107787577", "DE" * 30, "\0", "DE136695976\0")
        ),
        *(((), {"tax_treatment": EXEMPT, "tax_number": number}, ["tax_number"]) for number in ("", " ", "x" * 51, "a\nb", "a\u200bb")),
        ((), {"tax_treatment": NORMAL, "tax_number": "DE136695976"}, ["tax_number"]),
        ((), {"tax_treatment": REVERSE_CHARGE}, ["tax_number"]),
        ((), {"tax_treatment": TAX_TREATMENT_UNSPECIFIED}, ["tax_treatment"]),
        ((), {"tax_treatment": 99, "tax_number": "x"}, ["tax_treatment"]),
        ((), {"tax_number": "DE136695976"}, ["tax_treatment"]),
        (("tax_number",), {"tax_treatment": EXEMPT, "tax_number": "x"}, ["tax_treatment"]),
        (("tax_treatment",), {"tax_treatment": EXEMPT, "tax_number": "x"}, ["tax_number"]),
        (("tax_treatment",), {}, ["tax_treatment"]),
    ],
)
async def test_taxes_that_make_no_sense_are_named_and_change_nothing(
    shop: Shop, mask: tuple[str, ...], fields: dict[str, Any], named: list[str]
) -> None:
    boss, jo = await shop.person(admin=True), await shop.person()
    error = await refusal(update(shop, boss, jo, *mask, **fields))
    assert (error.code, error.reason, list(dict.fromkeys(error.fields))) == (StatusCode.INVALID_ARGUMENT, "INVALID_FIELD", named)
    assert await rows(shop) == []
    assert await shop.pool.fetchval("SELECT count(*) FROM audit_log") == 0


async def test_updates_of_other_fields_leave_the_taxes_of_a_buyer_alone(shop: Shop) -> None:
    """Also those of older clients, whose mask `*` meant role and state."""
    boss, jo = await shop.person(admin=True), await shop.person()
    await update(shop, boss, jo, tax_treatment=EXEMPT, tax_number="X-1")
    for mask in ((), ("*",), ("role", "disabled")):
        changed = await update(shop, boss, jo, *mask, role=ROLE_ADMIN, disabled=False)
        assert (changed.role, taxes(changed)) == (ROLE_ADMIN, (EXEMPT, "X-1"))


async def test_a_change_of_taxes_is_in_the_audit_log(shop: Shop) -> None:
    boss, jo = await shop.person(admin=True), await shop.person()
    await update(shop, boss, jo, tax_treatment=EXEMPT, tax_number="X-1")
    await update(shop, boss, jo, tax_treatment=NORMAL)
    second, first = (await shop.audit.ListAuditLog(ListAuditLogRequest(), metadata=boss.metadata)).entries
    exempt, normal = {"tax_treatment": "exempt", "tax_number": "X-1"}, {"tax_treatment": "normal", "tax_number": ""}
    assert (first.action, first.subject_id, first.actor_id) == ("user.updated", jo.id, boss.id)
    assert (dict(first.before), dict(first.after)) == (normal, exempt)
    assert (dict(second.before), dict(second.after)) == (exempt, normal)


async def test_a_treatment_of_a_later_release_is_read_as_unspecified(shop: Shop) -> None:
    boss, jo = await shop.person(admin=True), await shop.person()
    await shop.pool.execute("ALTER TABLE account_taxes DROP CONSTRAINT account_taxes_treatment_check")
    await shop.pool.execute("INSERT INTO account_taxes (account_id, treatment, tax_number) VALUES ($1, 'split', 'X')", UUID(jo.id))
    user = await shop.users.GetUser(GetUserRequest(user_id=jo.id), metadata=boss.metadata)
    assert taxes(user) == (TAX_TREATMENT_UNSPECIFIED, "X")


async def test_the_database_takes_no_other_treatment_and_no_longer_number(shop: Shop) -> None:
    jo = await shop.person()
    insert = "INSERT INTO account_taxes (account_id, treatment, tax_number) VALUES ($1, $2, $3)"
    for treatment, number in (("none", ""), ("exempt", "x" * 51)):
        with pytest.raises(asyncpg.CheckViolationError):
            await shop.pool.execute(insert, UUID(jo.id), treatment, number)
    await shop.pool.execute(insert, UUID(jo.id), "exempt", "x")
    await shop.pool.execute("DELETE FROM accounts WHERE id = $1", UUID(jo.id))
    assert await rows(shop) == []
