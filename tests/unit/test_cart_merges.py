"""The rules by which two carts are merged."""

import uuid
from datetime import UTC, datetime, timedelta

import pytest

from mercato_server.domain.cart_merges import Cart, Change, Line, MergeMode, merged_header, merged_lines, told
from mercato_server.domain.postal_addresses import PostalAddress
from mercato_server.domain.purchases import CartHeader

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
BALL, BIKE, BOOK = (uuid.UUID(int=number) for number in (1, 2, 3))
HOME, WORK = (PostalAddress(country_code="DE", recipient="Jo", street_lines=(street,), city="Berlin") for street in ("Home 1", "Work 1"))


def cart(*lines: tuple[uuid.UUID, int, int, int], header: CartHeader | None = None) -> Cart:
    """Return a cart of lines: product, units, price, and minutes after noon."""
    found = {
        product_id: Line(product_id, quantity, price, "USD", NOON + timedelta(minutes=minute))
        for product_id, quantity, price, minute in lines
    }
    return Cart(found, header)


def quantities(mode: MergeMode, account: Cart, guest: Cart, units_max: int = 10) -> dict[uuid.UUID, int]:
    return {product_id: line.quantity for product_id, line in merged_lines(mode, account, guest, units_max).items()}


def test_each_mode_keeps_its_side() -> None:
    account, guest = cart((BALL, 2, 100, 0), (BIKE, 1, 500, 1)), cart((BALL, 3, 120, 2), (BOOK, 4, 50, 3))
    assert quantities(MergeMode.SUM, account, guest) == {BALL: 5, BIKE: 1, BOOK: 4}
    assert quantities(MergeMode.KEEP, account, guest) == {BALL: 2, BIKE: 1}
    assert quantities(MergeMode.REPLACE, account, guest) == {BALL: 3, BOOK: 4}


@pytest.mark.parametrize("mode", list(MergeMode))
def test_an_empty_guests_cart_changes_nothing(mode: MergeMode) -> None:
    account = cart((BALL, 2, 100, 0), header=CartHeader(codes=("sale",)))
    guest = cart(header=CartHeader(codes=("other",), note="Ring"))
    assert merged_lines(mode, account, guest, 10) == account.lines
    assert merged_header(mode, account, guest) == account.header


def test_units_beyond_the_limit_of_a_line_are_left_out() -> None:
    account, guest = cart((BALL, 8, 100, 0)), cart((BALL, 5, 100, 1), (BIKE, 12, 500, 1))
    after = Cart(merged_lines(MergeMode.SUM, account, guest, 10))
    report = told(MergeMode.SUM, account, guest, after)
    assert report.changes == [Change(BALL, 8, 5, 10), Change(BIKE, 0, 12, 10)]
    assert [change.left_out for change in report.changes] == [3, 2]


def test_a_line_above_a_limit_that_was_lowered_loses_no_unit() -> None:
    assert quantities(MergeMode.SUM, cart((BALL, 12, 100, 0)), cart((BALL, 5, 100, 1))) == {BALL: 12}


def test_lines_beyond_the_limit_of_a_cart_are_left_out_the_youngest_first() -> None:
    account = cart(*((uuid.UUID(int=number), 1, 100, number) for number in range(198)))
    guest = cart(*((uuid.UUID(int=1_000 + number), 1, 100, 10 - number) for number in range(4)))
    after = merged_lines(MergeMode.SUM, account, guest, 10)
    assert len(after) == 200
    assert [uuid.UUID(int=1_000 + number) in after for number in range(4)] == [False, False, True, True]


@pytest.mark.parametrize(("account_minute", "guest_minute", "price"), [(0, 5, 100), (5, 0, 120)])
def test_a_merged_line_keeps_the_price_of_the_older_one(account_minute: int, guest_minute: int, price: int) -> None:
    account, guest = cart((BALL, 1, 100, account_minute)), cart((BALL, 1, 120, guest_minute))
    line = merged_lines(MergeMode.SUM, account, guest, 10)[BALL]
    assert (line.quantity, line.unit_price_minor, line.added_at) == (2, price, NOON)


def test_a_sum_unites_codes_and_fills_what_the_account_has_not_chosen() -> None:
    account = cart(header=CartHeader(codes=("a", "b"), shipping_address=HOME, contact_email="jo@example.com", version=3))
    guest = cart(
        (BALL, 1, 100, 0),
        header=CartHeader(codes=("b", "c"), shipping_address=WORK, billing_address=WORK, note="Ring", contact_email="x@example.com"),
    )
    header = merged_header(MergeMode.SUM, account, guest)
    assert header == CartHeader(
        codes=("a", "b", "c"), shipping_address=HOME, billing_address=WORK, note="Ring", contact_email="jo@example.com", version=3
    )
    assert merged_header(MergeMode.KEEP, account, guest) == account.header
    assert merged_header(MergeMode.REPLACE, account, guest) == guest.header
    assert merged_header(MergeMode.REPLACE, account, cart((BALL, 1, 100, 0))) is None
    assert merged_header(MergeMode.SUM, account, cart((BALL, 1, 100, 0))) == account.header


def test_the_contact_address_of_a_guest_does_not_become_the_accounts() -> None:
    guest = cart((BALL, 1, 100, 0), header=CartHeader(note="Ring", contact_email="x@example.com"))
    assert merged_header(MergeMode.SUM, cart(), guest) == CartHeader(note="Ring")


def test_codes_beyond_the_limit_are_named() -> None:
    account = cart(header=CartHeader(codes=tuple(f"a{number}" for number in range(8))))
    guest = cart((BALL, 1, 100, 0), header=CartHeader(codes=tuple(f"b{number}" for number in range(4))))
    after = Cart(merged_lines(MergeMode.SUM, account, guest, 10), merged_header(MergeMode.SUM, account, guest))
    report = told(MergeMode.SUM, account, guest, after)
    assert (report.codes_added, report.codes_left_out) == (["b0", "b1"], ["b2", "b3"])
