"""Uses of promotions: which of them their limits allow, counted in memory while a batch of carts is allocated."""

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple
from uuid import UUID

from mercato_server.domain.promotion_errors import UseLimit
from mercato_server.domain.promotions import Promotion

_DIGEST_LENGTH = 32  # hexadecimal digits: 128 bits

Subjects = Sequence[str]
"""The names under which uses of a buyer are counted; one or two."""


def subjects(account_id: UUID, contact_email: str | None) -> Subjects:
    """Return the subjects of a buyer: the account, and a digest of the contact e-mail in its canonical form.

    Counts outlive the account, and a digest does not need to be erased from them. It has no key: the counts also outlive SECRET_KEY.
    """
    if not contact_email:
        return (f"account:{account_id}",)
    return f"account:{account_id}", f"email:{hashlib.sha256(contact_email.encode()).hexdigest()[:_DIGEST_LENGTH]}"


class Redemption(NamedTuple):
    """A use of a promotion by an order."""

    order_id: UUID
    promotion_id: UUID
    folded_code: str | None
    """None if it applied without a code."""
    amount_minor: int
    """The amount that was given, at least 1."""
    subjects: Subjects


class CodeUses(NamedTuple):
    """A live code: its promotion, its limit, and its uses."""

    promotion_id: UUID
    usage_limit: int | None
    used: int


class PromotionUses(NamedTuple):
    """The limits of a promotion, and its uses."""

    usage_limit: int | None
    per_buyer_limit: int | None
    used: int


class Uses(NamedTuple):
    """The uses of limited promotions and codes that a transaction has locked."""

    promotions: Mapping[UUID, PromotionUses] = {}
    codes: Mapping[str, CodeUses] = {}
    """By folded code."""
    buyers: Mapping[tuple[UUID, str], int] = {}
    """By promotion and subject, of promotions that limit them. A buyer that is absent has not used the promotion."""


class UsesLeft:
    """Counts the uses that buyers take, the first come first, from those that are left.

    Its limits are those of the locked rows. They may be newer than the promotions in memory.
    """

    def __init__(self, uses: Uses) -> None:
        self.locked = uses
        self._taken: Counter[object] = Counter()

    def copy(self) -> "UsesLeft":
        """Return a count of its own, from which uses are taken without a change of this one."""
        other = UsesLeft(self.locked)
        other._taken.update(self._taken)
        return other

    def may(self, promotion: Promotion, folded_code: str | None, buyer: Subjects) -> bool:
        """Return whether one more use is within all limits."""
        return self.exhausted(promotion, folded_code, buyer) is None

    def exhausted(self, promotion: Promotion, folded_code: str | None, buyer: Subjects) -> UseLimit | None:
        """Return the first limit that one more use would exceed: of the promotion, of the code, then of the buyer.

        A limited promotion that is not locked was archived meanwhile, so it has no use left.
        """
        if promotion.is_limited and promotion.id not in self.locked.promotions:
            return UseLimit.PROMOTION
        return next((limit for limit, counter, most, used in self._counters(promotion, folded_code, buyer) if used >= most), None)

    def take(self, promotion: Promotion, folded_code: str | None, buyer: Subjects) -> None:
        """Take a use; `may` has allowed it."""
        self._taken.update(counter for _, counter, _, _ in self._counters(promotion, folded_code, buyer))

    def _counters(self, promotion: Promotion, folded_code: str | None, buyer: Subjects) -> Iterator[tuple[UseLimit, object, int, int]]:
        """Yield the limits that a use touches: the kind, the counter, its maximum, and the uses so far."""
        locked, code = self.locked.promotions.get(promotion.id), self.locked.codes.get(folded_code or "")
        if locked and locked.usage_limit is not None:
            yield UseLimit.PROMOTION, promotion.id, locked.usage_limit, locked.used + self._taken[promotion.id]
        if code and code.usage_limit is not None:
            yield UseLimit.CODE, folded_code, code.usage_limit, code.used + self._taken[folded_code]
        if locked and locked.per_buyer_limit is not None:
            for subject in buyer:
                counter = (promotion.id, subject)
                yield UseLimit.BUYER, counter, locked.per_buyer_limit, self.locked.buyers.get(counter, 0) + self._taken[counter]


NO_USES = UsesLeft(Uses())
"""For a shop that limits no promotion."""
