"""The merge of a guest's cart into the cart of the account that logs in."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum, auto
from typing import NamedTuple
from uuid import UUID

from mercato_server.domain.carts import LINES_MAX
from mercato_server.domain.purchases import CODES_MAX, CartHeader


class MergeMode(Enum):
    """How two carts are joined."""

    SUM = auto()
    KEEP = auto()
    REPLACE = auto()


class Line(NamedTuple):
    """A line of a cart, with the price for one unit, in minor units, that its buyer has seen."""

    product_id: UUID
    quantity: int
    unit_price_minor: int
    currency_code: str
    added_at: datetime


class Cart(NamedTuple):
    """The lines of a cart by product, and its header; None if it was never written."""

    lines: Mapping[UUID, Line] = {}
    header: CartHeader | None = None


class Change(NamedTuple):
    """The units of one product before and after a merge."""

    product_id: UUID
    account_quantity: int
    guest_quantity: int
    quantity: int

    @property
    def left_out(self) -> int:
        """Units of both carts that the merged line does not have."""
        return self.account_quantity + self.guest_quantity - self.quantity


@dataclass(frozen=True, slots=True)
class Merge:
    """Report of the merge of a guest at a login or sign-up."""

    merged: bool
    """Whether the guest's token was that of a live guest."""
    mode: MergeMode
    changes: Sequence[Change] = ()
    """By product; empty if no line has changed and no unit was left out."""
    codes_added: Sequence[str] = ()
    codes_left_out: Sequence[str] = ()


def merged_lines(mode: MergeMode, account: Cart, guest: Cart, units_max: int) -> dict[UUID, Line]:
    """Return the lines of the merged cart, which has at most LINES_MAX lines of `units_max` units.

    A line of the account that exceeds the limit, because that was lowered, keeps its units. A line that both carts have keeps the
    remembered price of the line that was added first. Lines beyond the limit of a cart are left out, the youngest first.
    """
    if mode is MergeMode.KEEP or not guest.lines:
        return dict(account.lines)
    if mode is MergeMode.REPLACE:
        return {product_id: _limited(line, units_max) for product_id, line in guest.lines.items()}
    lines = dict(account.lines)
    for line in sorted(guest.lines.values(), key=lambda line: (line.added_at, line.product_id)):
        known = lines.get(line.product_id)
        if known:
            older = min(known, line, key=lambda each: each.added_at)
            lines[line.product_id] = older._replace(quantity=max(known.quantity, min(known.quantity + line.quantity, units_max)))
        elif len(lines) < LINES_MAX:
            lines[line.product_id] = _limited(line, units_max)
    return lines


def _limited(line: Line, units_max: int) -> Line:
    return line._replace(quantity=min(line.quantity, units_max))


def merged_header(mode: MergeMode, account: Cart, guest: Cart) -> CartHeader | None:
    """Return the header of the merged cart; None if it has none.

    SUM unites the codes, the account's first, and fills what the account has not chosen. The contact address stays the account's.
    """
    one, other = account.header, guest.header
    if mode is MergeMode.KEEP or not guest.lines:
        return one
    if mode is MergeMode.REPLACE or one is None or other is None:
        return other if mode is MergeMode.REPLACE else one or (other and replace(other, contact_email=None))
    return replace(
        one,
        shipping_address=one.shipping_address or other.shipping_address,
        billing_address=one.billing_address or other.billing_address,
        shipping_method_id=one.shipping_method_id or other.shipping_method_id,
        codes=tuple(dict.fromkeys((*one.codes, *other.codes)))[:CODES_MAX],
        note=one.note or other.note,
    )


def told(mode: MergeMode, account: Cart, guest: Cart, after: Cart) -> Merge:
    """Return what a merge has changed."""
    quantities = [
        Change(product_id, *(cart.lines[product_id].quantity if product_id in cart.lines else 0 for cart in (account, guest, after)))
        for product_id in sorted(account.lines.keys() | guest.lines.keys())
    ]
    before, others, now = (cart.header.codes if cart.header else () for cart in (account, guest, after))
    return Merge(
        merged=True,
        mode=mode,
        changes=[change for change in quantities if change.left_out or change.quantity != change.account_quantity],
        codes_added=[code for code in now if code not in before],
        codes_left_out=[code for code in dict.fromkeys((*before, *others)) if code not in now],
    )
