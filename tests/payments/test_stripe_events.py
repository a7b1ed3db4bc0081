"""Signed events: those of the double, and any bytes of a sender who may know a secret."""

import hashlib
import hmac
import json
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from mercato_server.payments.provider import ProviderEvent, UnusableEventError
from mercato_server.payments.stripe_events import Events
from support.stripe_double.double import StripeDouble
from support.stripe_double.webhooks import signature
from support.stripe_shop import create, key, provider_at

SECRETS = ("whsec_new", "whsec_old")
NOW = 1_800_000_000
UNHURRIED = hypothesis_settings(deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow])  # on a busy machine

EVENT: dict[str, Any] = {
    "id": "evt_1",
    "object": "event",
    "created": NOW,
    "livemode": False,
    "type": "payment_intent.succeeded",
    "data": {"object": {"id": "pi_1", "object": "payment_intent"}},
}
THIN: dict[str, Any] = {
    "id": "evt_2",
    "object": "v2.core.event",
    "created": "2026-11-29T10:00:00.000Z",
    "livemode": False,
    "type": "v2.core.account.updated",
}


def events(*, is_live: bool = False, secrets: Sequence[str] = SECRETS) -> Events:
    return Events(secrets, is_live=is_live, clock=lambda: NOW)


def read(content: object, *, is_live: bool = False) -> ProviderEvent:
    """Read content that is signed well."""
    body = json.dumps(content).encode()
    return events(is_live=is_live).read(body, signature(body, SECRETS[:1], NOW))


def changes(name: str, *values: object) -> list[dict[str, object]]:
    """Return changes of a field, each to one of the values."""
    return [{name: value} for value in values]


async def test_each_event_of_a_payment_names_it(double: StripeDouble) -> None:
    async with provider_at(double.url, webhook_secrets=("whsec_a",)) as provider:
        first = (await create(provider)).fact.provider_ref
        double.acts.pay(first, "pm_card_refundFail")
        await provider.refund(key(), first, uuid4(), 100)
        double.acts.settle()
        double.acts.dispute(first)
        second = (await create(provider, later=True)).fact.provider_ref
        double.acts.pay(second)
        double.acts.lapse(second)
        kinds = set()
        for event in double.events.kept():
            body = json.dumps(event).encode()
            found = provider.event(body, signature(body, ["whsec_a"], double.clock.now()))
            assert (found.event_id, found.kind, found.is_ours) == (event["id"], event["type"], True)
            assert found.provider_ref in {first, second}
            assert found.created_at == datetime.fromtimestamp(event["created"], UTC)
            kinds.add(found.kind)
    assert kinds >= {
        "payment_intent.created",
        "payment_intent.succeeded",
        "payment_intent.canceled",
        "charge.succeeded",
        "charge.expired",
        "charge.refunded",
        "charge.refund.updated",
        "charge.dispute.created",
        "refund.created",
        "refund.failed",
    }


async def test_a_delivered_event_is_read_with_either_secret(double: StripeDouble) -> None:
    body = json.dumps(EVENT).encode()
    for secrets in (SECRETS, SECRETS[:1], SECRETS[1:], ("whsec_other", *SECRETS)):
        assert events().read(body, signature(body, secrets, NOW)).provider_ref == "pi_1"


@pytest.mark.parametrize(
    ("age_s", "is_read"), [(0, True), (300, True), (301, False), (10**6, False), (-1, True), (-600, True), (-(10**9), True)]
)
def test_an_old_signature_is_refused_and_one_of_the_future_is_not(age_s: int, is_read: bool) -> None:  # noqa: FBT001 - a parameter
    body = json.dumps(EVENT).encode()
    header = signature(body, SECRETS, NOW - age_s)
    if is_read:
        assert events().read(body, header).event_id == "evt_1"
    else:
        with pytest.raises(UnusableEventError, match="too old"):
            events().read(body, header)


def test_bytes_that_another_secret_signed_or_that_were_changed_are_refused() -> None:
    body = json.dumps(EVENT).encode()
    for header in (signature(body, ["whsec_other"], NOW), signature(body + b" ", SECRETS, NOW), signature(body, [], NOW)):
        with pytest.raises(UnusableEventError, match="not by a secret"):
            events().read(body, header)
    with pytest.raises(UnusableEventError, match="no secret"):
        events(secrets=()).read(body, signature(body, [""], NOW))


@pytest.mark.parametrize("scheme", ["v0", "v2", "V1", " v1x"])
def test_only_the_scheme_v1_counts(scheme: str) -> None:
    body = json.dumps(EVENT).encode()
    right = signature(body, SECRETS[:1], NOW).split(",")[1].removeprefix("v1=")
    with pytest.raises(UnusableEventError):
        events().read(body, f"t={NOW},{scheme}={right}")
    assert events().read(body, f"t={NOW},v1={'0' * 64},{scheme}=x,v1={right}").event_id == "evt_1"


@pytest.mark.parametrize(
    ("content", "is_live", "is_ours"),
    [
        (EVENT, False, True),
        (EVENT, True, False),
        (EVENT | {"livemode": True}, True, True),
        (EVENT | {"livemode": True}, False, False),
        (EVENT | {"account": "acct_1"}, False, False),
        (EVENT | {"account": None}, False, True),
        (THIN, False, True),
        (THIN | {"context": "acct_1"}, False, False),
        (THIN | {"livemode": True}, False, False),
    ],
)
def test_an_event_is_ours_by_its_mode_and_account(content: dict[str, Any], is_live: bool, is_ours: bool) -> None:  # noqa: FBT001
    assert read(content, is_live=is_live).is_ours is is_ours


def test_a_thin_event_concerns_no_payment() -> None:
    found = read(THIN)
    assert (found.event_id, found.kind, found.provider_ref) == ("evt_2", "v2.core.account.updated", "")
    assert found.created_at == datetime(2026, 11, 29, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    ("kind", "thing", "reference"),
    [
        ("payment_intent.created", {"id": "pi_1", "object": "payment_intent"}, "pi_1"),
        ("charge.captured", {"id": "ch_1", "object": "charge", "payment_intent": "pi_1"}, "pi_1"),
        ("charge.captured", {"id": "ch_1", "object": "charge", "payment_intent": {"id": "pi_1"}}, "pi_1"),
        ("charge.captured", {"id": "ch_1", "object": "charge", "payment_intent": None}, ""),
        ("charge.dispute.closed", {"id": "du_1", "object": "dispute", "payment_intent": "pi_1"}, "pi_1"),
        ("charge.refund.updated", {"id": "re_1", "object": "refund", "payment_intent": "pi_1"}, "pi_1"),
        ("refund.failed", {"id": "re_1", "object": "refund", "payment_intent": "pi_1"}, "pi_1"),
        ("refund.failed", {"id": "re_1", "object": "refund"}, ""),
        ("customer.created", {"id": "cus_1", "object": "customer"}, ""),
        ("payout.paid", {"id": "po_1", "payment_intent": "pi_1"}, ""),
    ],
)
def test_an_event_of_another_kind_of_object_concerns_no_payment(kind: str, thing: dict[str, Any], reference: str) -> None:
    assert read(EVENT | {"type": kind, "data": {"object": thing}}).provider_ref == reference


@pytest.mark.parametrize(
    "change",
    [
        *changes("id", None, 3, "", "evt 1", "evt\x00", "e" * 256, "\ud800"),
        *changes("object", "charge", None, []),
        *changes("type", [], "a\nb", ""),
        *changes("created", None, "now", 1.5, True, -1, 10**300),  # noqa: FBT003 - a value of JSON
        *changes("livemode", None, "false", 0),
        *changes("data", None, [], {}, {"object": None}, {"object": []}),
        *changes("data", *({"object": {"object": "payment_intent"} | each} for each in changes("id", None, 7, "pi\x00"))),
        *changes("data", *({"object": each} for each in changes("payment_intent", 7, {}, "pi\x00", "p" * 256, {"id": 7}))),
    ],
)
def test_an_event_with_an_unusable_field_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(UnusableEventError):
        read(EVENT | change)


@pytest.mark.parametrize("missing", ["id", "object", "created", "livemode", "type", "data"])
def test_an_event_without_a_field_is_refused(missing: str) -> None:
    with pytest.raises(UnusableEventError, match=missing):
        read({name: value for name, value in EVENT.items() if name != missing})


@pytest.mark.parametrize("created", ["", "yesterday", "9999-99-99", "0001-01-01T00:00:00+14:00", 5, None])
def test_a_thin_event_without_a_time_is_refused(created: object) -> None:
    with pytest.raises(UnusableEventError):
        read(THIN | {"created": created})


HOSTILE = [
    b"",
    b"\xff\xfe",
    "{}".encode("utf-16"),
    b"\xef\xbb\xbf{}",
    b"null",
    b"[]",
    b'"event"',
    b"NaN",
    b"{" * 100_000,
    b"[" * 1_000_000,
    b'{"a":' * 100_000,
    b"9" * 1_000_000,
    b'{"created": 1e999}',
    b'{"object": "event", "object": "event"}',
    json.dumps(EVENT).encode().replace(b"evt_1", b"\xc0\x80"),
]


@pytest.mark.parametrize("body", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_bytes_that_are_signed_are_refused_by_one_error(body: bytes) -> None:
    with pytest.raises(UnusableEventError):
        events().read(body, signature(body, SECRETS, NOW))


def signed(body: bytes) -> str:
    return f"t={NOW},v1=" + hmac.new(b"whsec_new", f"{NOW}.".encode() + body, hashlib.sha256).hexdigest()


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
NAMES = st.sampled_from([*EVENT, "payment_intent", "account"])
JSON = SCALARS | st.lists(SCALARS, max_size=3) | st.dictionaries(NAMES, SCALARS | st.dictionaries(NAMES, SCALARS, max_size=3), max_size=3)


@UNHURRIED
@given(st.binary())
def test_any_signed_bytes_are_an_event_or_refused(body: bytes) -> None:
    refused_or_read(body, signed(body))


@UNHURRIED
@given(st.dictionaries(st.sampled_from([*EVENT, "account", "context"]), JSON), st.sampled_from([EVENT, THIN]))
def test_any_signed_object_is_an_event_or_refused(change: dict[str, Any], event: dict[str, Any]) -> None:
    body = json.dumps(event | change).encode()
    refused_or_read(body, signed(body))


@UNHURRIED
@given(st.text())
@example("t=1,v1=")
@example("t=1,t=2,v1=a")
@example("t=٣,v1=ü")
@example("=,=,=")
@example("t=" + "9" * 5_000)
@example(f"t={NOW}," + "v1=a," * 100_000)
@example("\x00")
@example("\ud800")
def test_any_header_is_refused(header: str) -> None:
    with pytest.raises(UnusableEventError):
        events().read(b"{}", header)


def refused_or_read(body: bytes, header: str) -> None:
    """Read an event, whose fields can be stored; no other error than that of events comes."""
    with suppress(UnusableEventError):
        found = events().read(body, header)
        assert found.event_id.isascii()
        assert found.provider_ref.isascii()
        assert found.created_at.tzinfo is UTC
