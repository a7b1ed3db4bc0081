"""Pages of lists: https://docs.stripe.com/api/pagination."""

from collections.abc import Callable, Iterable, Sequence
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
        newest_first = [each for each in reversed(list(items())) if first <= identify(each)[1] <= last]
        ids = [identify(each)[0] for each in newest_first]
        if after:
            rest = newest_first[_place(ids, after, "starting_after") + 1 :]
            chosen, more = rest[:size], len(rest) > size
        elif before:
            rest = newest_first[: _place(ids, before, "ending_before")]
            chosen, more = rest[-size:], len(rest) > size
        else:
            chosen, more = newest_first[:size], len(newest_first) > size
        return {"object": "list", "url": url, "has_more": more}, chosen

    return read


def _place(ids: Sequence[str], id_: str, param: str) -> int:
    if id_ not in ids:
        raise missing("object", id_, param)
    return ids.index(id_)


def of_object(thing: Any) -> tuple[str, int]:
    """Return the id and the time of creation of an object."""
    return thing.id, thing.created
