"""The plan of an import of categories: what a file changes in the tree of a shop."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple
from uuid import UUID

from mercato_server.domain.catalog import CATEGORY_DEPTH_MAX, SUBCATEGORIES_MAX, Category
from mercato_server.domain.refused_lines import Refused

ROWS_MAX = 10_000
"""Categories of a file, which is imported in one transaction."""


class Incoming(NamedTuple):
    """A category of a file. None keeps the value of an existing category; an empty parent means the top."""

    line: int
    name: str
    slug: str | None = None
    parent: str | None = None
    """The slug of the parent, or its name."""
    position: int | None = None
    description: str | None = None


class Wanted(NamedTuple):
    """A category as it will be."""

    id: UUID
    name: str
    slug: str | None
    """None for one that the server makes."""
    parent_id: UUID | None
    position: int
    description: str
    ancestors: Sequence[UUID]


@dataclass(slots=True)
class Plan:
    """The changes of an import; nothing is changed if lines are refused."""

    created: list[Wanted] = field(default_factory=list)
    updated: list[Wanted] = field(default_factory=list)
    """Categories of the file that differ."""
    moved: list[Wanted] = field(default_factory=list)
    """Categories whose ancestors differ: those of the file, and those below them."""
    refused: list[Refused] = field(default_factory=list)


def plan(known: Sequence[Category], incoming: Sequence[Incoming], new_id: Callable[[], UUID]) -> Plan:
    """Return the changes that a file makes to the categories of a shop.

    A line is the category with its slug, else the one with its name, else a new one.
    """
    found = Plan()
    shop = {category.id: category for category in known}
    ids = _matched(known, incoming, new_id, found)
    wanted = {id_: Wanted(id_, c.name, c.slug, c.parent_id, c.position, c.description, c.ancestors) for id_, c in shop.items()}
    lines = dict(zip(ids, incoming, strict=True))
    wanted |= {id_: _merged(id_, shop.get(id_), row) for id_, row in lines.items()}
    _set_parents(wanted, lines, found)
    _check_names(wanted, lines, found)
    placed = {id_: each._replace(ancestors=_ancestors(wanted, id_)) for id_, each in wanted.items()}
    _check_places(placed, lines, found)
    for id_, each in placed.items():
        if id_ not in shop:
            found.created.append(each)
            continue
        before = shop[id_]
        if list(each.ancestors) != before.ancestors:
            found.moved.append(each)
        if id_ in lines and _texts(each) != _texts(before):
            found.updated.append(each)
    return found


def _matched(known: Sequence[Category], incoming: Sequence[Incoming], new_id: Callable[[], UUID], found: Plan) -> list[UUID]:
    """Return the id of each line; refuse a second line of one category."""
    by_slug, by_name = {category.slug: category.id for category in known if category.slug}, {each.name: each.id for each in known}
    first: dict[object, int] = {}
    ids = []
    for row in incoming:
        id_ = (by_slug.get(row.slug) if row.slug else None) or by_name.get(row.name)
        for sign in (id_, row.slug and f"slug {row.slug}"):
            if sign and first.setdefault(sign, row.line) != row.line:
                found.refused.append(Refused(row.line, f"is the category of line {first[sign]}, too"))
                break
        ids.append(id_ or new_id())
    return ids


def _merged(id_: UUID, before: Category | None, row: Incoming) -> Wanted:
    slug, parent_id, position, description, ancestors = (
        (before.slug, before.parent_id, before.position, before.description, before.ancestors) if before else (None, None, 0, "", [])
    )
    return Wanted(
        id_,
        row.name,
        row.slug or slug,
        parent_id,
        position if row.position is None else row.position,
        description if row.description is None else row.description,
        ancestors,
    )


def _set_parents(wanted: dict[UUID, Wanted], lines: Mapping[UUID, Incoming], found: Plan) -> None:
    """Find the parents that lines name among the categories of the file and of the shop."""
    by_slug, by_name = {each.slug: each.id for each in wanted.values() if each.slug}, {each.name: each.id for each in wanted.values()}
    for id_, row in lines.items():
        if row.parent is None:
            continue
        parent_id = (by_slug.get(row.parent) or by_name.get(row.parent)) if row.parent else None
        if row.parent and parent_id is None:
            found.refused.append(Refused(row.line, f"parent: neither the file nor the shop has a category {row.parent}"))
        wanted[id_] = wanted[id_]._replace(parent_id=parent_id)


def _check_names(wanted: Mapping[UUID, Wanted], lines: Mapping[UUID, Incoming], found: Plan) -> None:
    counted = Counter(each.name for each in wanted.values())
    found.refused += [
        Refused(row.line, f"name: another category has the name {row.name}") for row in lines.values() if counted[row.name] > 1
    ]


def _ancestors(wanted: Mapping[UUID, Wanted], id_: UUID) -> list[UUID]:
    """Return the ids above a category, that at the top first; one too many for any tree if the parents form a ring."""
    above: list[UUID] = []
    parent_id = wanted[id_].parent_id
    while parent_id is not None and len(above) < CATEGORY_DEPTH_MAX:
        above.append(parent_id)
        parent_id = wanted[parent_id].parent_id
    return above[::-1]


def _check_places(placed: Mapping[UUID, Wanted], lines: Mapping[UUID, Incoming], found: Plan) -> None:
    """Refuse lines in a ring, lines below the levels of the tree, and parents of too many."""
    children = Counter(each.parent_id for each in placed.values() if each.parent_id)
    for id_, each in placed.items():
        line = next((lines[above].line for above in (id_, *reversed(each.ancestors)) if above in lines), 0)
        if id_ in each.ancestors:
            found.refused.append(Refused(line, "parent: the category would be below itself"))
        elif len(each.ancestors) >= CATEGORY_DEPTH_MAX:
            found.refused.append(Refused(line, f"parent: the tree has at most {CATEGORY_DEPTH_MAX} levels"))
        elif children[id_] > SUBCATEGORIES_MAX:
            found.refused.append(Refused(line, f"has more than {SUBCATEGORIES_MAX} subcategories"))
    found.refused.sort()


def _texts(category: Wanted | Category) -> tuple[object, ...]:
    return category.name, category.slug, category.parent_id, category.position, category.description
