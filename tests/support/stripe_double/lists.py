"""Pages of lists: https://docs.stripe.com/api/pagination."""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from support.stripe_double.parameters import Parameters
from support.stripe_double.refusals import Body, Refusal, missing

DEFAULT, MAXIMUM = 10, 100
Item = TypeVar("Item")


def page(
    params: Parameters, items: Callable[[], Iterable[Item]], identify: Callable[[Item], tuple[str, int]], url: str
) -> Callable[[], tuple[Body, list[Item]]]:
    """Take the parameters of a page; return a function that reads it, newest first.

    Args:
        params: limit, starting_after, ending_before and created are taken from them.
        items: returns everything that the list holds, oldest first.
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

    def read() -> tuple[Body, list[Item]]:
        oldest_first = list(items())
        start = bisect_left(oldest_first, first, key=lambda item: identify(item)[1])
        end = bisect_right(oldest_first, last, key=lambda item: identify(item)[1])
        newest_first = oldest_first[start:end][::-1]
        if after:
            rest = newest_first[_place(newest_first, identify, after, "starting_after") + 1 :]
            chosen, more = rest[:size], len(rest) > size
        elif before:
            rest = newest_first[: _place(newest_first, identify, before, "ending_before")]
            chosen, more = rest[-size:], len(rest) > size
        else:
            chosen, more = newest_first[:size], len(newest_first) > size
        return {"object": "list", "url": url, "has_more": more}, chosen

    return read


def _place(items: Iterable[Item], identify: Callable[[Item], tuple[str, int]], id_: str, param: str) -> int:
    for place, item in enumerate(items):
        if identify(item)[0] == id_:
            return place
    raise missing("object", id_, param)


def of_object(thing: Any) -> tuple[str, int]:
    """Return the id and the time of creation of an object."""
    return thing.id, thing.created
