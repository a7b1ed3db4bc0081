"""Pages of lists: https://docs.stripe.com/api/pagination."""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from support.stripe_double.parameters import Parameters
from support.stripe_double.refusals import Body, Refusal, missing

DEFAULT, MAXIMUM = 10, 100
Item = TypeVar("Item")


def page(
    params: Parameters,
    items: Callable[[], Iterable[Item]],
    find: Callable[[str], Item | None],
    identify: Callable[[Item], tuple[str, int]],
    url: str,
) -> Callable[[], tuple[Body, list[Item]]]:
    """Take the parameters of a page; return a function that reads it, newest first, in a time that hardly depends on the list's length.

    Args:
        params: limit, starting_after, ending_before and created are taken from them.
        items: returns everything that the list holds, oldest first.
        find: returns the object of an id, which need not be in the list.
        identify: returns the id and the time of creation of an item.
        url: the list's own path.
    """
    limit = params.integer("limit")
    after, before = params.text("starting_after"), params.text("ending_before")
    first, last = params.period()
    if limit is not None and not 1 <= limit <= MAXIMUM:
        raise Refusal(f"Invalid limit: must be between 1 and {MAXIMUM}.", code="parameter_invalid_integer", param="limit")
    if after and before:
        raise Refusal("You cannot parameterize both starting_after and ending_before.", param="starting_after")
    size = limit or DEFAULT

    def created(item: Item) -> int:
        return identify(item)[1]

    def place(oldest_first: list[Item], id_: str, param: str) -> int:
        wanted = find(id_)
        found = None if wanted is None or not first <= created(wanted) <= last else _place(oldest_first, wanted, created)
        if found is None:
            raise missing("object", id_, param)
        return found

    def read() -> tuple[Body, list[Item]]:
        oldest_first = list(items())
        start, end = bisect_left(oldest_first, first, key=created), bisect_right(oldest_first, last, key=created)
        if before:
            newer = place(oldest_first, before, "ending_before") + 1
            chosen, more = oldest_first[newer : min(end, newer + size)], newer + size < end
        else:
            older = place(oldest_first, after, "starting_after") if after else end
            chosen, more = oldest_first[max(start, older - size) : older], older - size > start
        return {"object": "list", "url": url, "has_more": more}, chosen[::-1]

    return read


def _place(oldest_first: list[Item], wanted: Item, created: Callable[[Item], int]) -> int | None:
    """Return the position of an object, or None; only those of its second are looked through."""
    start = bisect_left(oldest_first, created(wanted), key=created)
    end = bisect_right(oldest_first, created(wanted), key=created)
    return next((position for position in range(start, end) if oldest_first[position] is wanted), None)


def of_object(thing: Any) -> tuple[str, int]:
    """Return the id and the time of creation of an object."""
    return thing.id, thing.created
