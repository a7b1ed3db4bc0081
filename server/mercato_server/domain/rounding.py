"""Exact division of amounts: integers in, integers out, and no unit is lost or made."""

from collections.abc import Sequence

MILLION = 1_000_000
"""Parts per million: the unit of percentages and tax rates."""


def half_up(numerator: int, denominator: int) -> int:
    """Return the quotient of numbers that are not negative, rounded to the nearest integer, a half upwards."""
    return (2 * numerator + denominator) // (2 * denominator)


def spread(amount: int, weights: Sequence[int]) -> list[int]:
    """Divide an amount in proportion to weights, by largest remainder (Hamilton's method).

    The shares sum up to the amount. If the weights sum up to at least the amount, no share exceeds its weight. Of equal remainders the
    first ones get the units that are left. Weights that are all 0 count as equal.
    """
    total = sum(weights)
    if not total:
        weights, total = [1] * len(weights), len(weights)
    shares = [amount * weight // total for weight in weights]
    remainders = [amount * weight % total for weight in weights]
    for index in sorted(range(len(weights)), key=lambda index: -remainders[index])[: amount - sum(shares)]:
        shares[index] += 1
    return shares
