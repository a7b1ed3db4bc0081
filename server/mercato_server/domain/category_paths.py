"""Paths of categories of another shop, such as Clothing > Men > Shirts, and their places in the tree of this one.

Names are unique in this shop, and in the other one for each parent only. docs/moving-in.md has the rules.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple
from uuid import UUID

from mercato_server.domain.catalog import CATEGORY_DEPTH_MAX, CATEGORY_NAME_MAX, SUBCATEGORIES_MAX, Category

Path = tuple[str, ...]
"""Names of categories, that at the top first; never empty."""


class Wanted(NamedTuple):
    """A path, and the category in which the product is now."""

    path: Path
    current_id: UUID | None = None


class Placed(NamedTuple):
    """A category of the shop, and what a report tells of it; empty for nothing."""

    id: UUID
    name: str
    told: str = ""


class New(NamedTuple):
    """A category to create."""

    id: UUID
    name: str
    parent_id: UUID | None
    ancestors: Sequence[UUID]


class _Node(NamedTuple):
    id: UUID
    name: str
    ancestors: tuple[UUID, ...]

    @property
    def parent_id(self) -> UUID | None:
        return self.ancestors[-1] if self.ancestors else None


@dataclass(slots=True)
class Plan:
    """The categories to create, parents first, and the category of each path."""

    created: list[New] = field(default_factory=list)
    placed: dict[Wanted, Placed] = field(default_factory=dict)


@dataclass(slots=True)
class _Tree:
    """The tree as it grows by a plan."""

    by_name: dict[str, _Node]
    children: Counter[UUID]
    new_id: Callable[[], UUID]
    created: list[New] = field(default_factory=list)

    def add(self, name: str, parent: _Node | None) -> _Node:
        node = _Node(self.new_id(), name, (*parent.ancestors, parent.id) if parent else ())
        self.by_name[name] = node
        if parent:
            self.children[parent.id] += 1
        self.created.append(New(node.id, name, node.parent_id, node.ancestors))
        return node

    def below(self, parent: _Node, path: Path) -> tuple[_Node, str]:
        """Return the category of a path whose parent is known, and what a report tells; the parent itself if it can have no more."""
        names = list(_names(path))
        for name in names:
            if (found := self.by_name.get(name)) and found.parent_id == parent.id:
                return found, ""
        if len(parent.ancestors) + 1 >= CATEGORY_DEPTH_MAX:
            return parent, f"its category is {parent.name}, since a tree has at most {CATEGORY_DEPTH_MAX} levels"
        if self.children[parent.id] >= SUBCATEGORIES_MAX:
            return parent, f"its category is {parent.name}, since that has {SUBCATEGORIES_MAX} subcategories, and may have no more"
        free = next((name for name in names if name not in self.by_name), None)
        if free is None:
            return parent, f"its category is {parent.name}, since all names for {path[-1]} below it are those of other categories"
        told = "" if free == path[-1] else f"its category is {free}, since another category has the name {path[-1]}"
        return self.add(free, parent), told


def plan(known: Collection[Category], wanted: Collection[Wanted], new_id: Callable[[], UUID]) -> Plan:
    """Return the places of paths in the tree of a shop, and the categories that are missing.

    The first name of a path is the category of this name, wherever it stands. Each further one is the subcategory with this name, or with
    the name and the names above it in parentheses. A product stays in a category at the top that has the last name.
    """
    tree = _Tree(
        {each.name: _Node(each.id, each.name, tuple(each.ancestors)) for each in known},
        Counter(each.parent_id for each in known if each.parent_id),
        new_id,
    )
    found = Plan(tree.created)
    for each in sorted(wanted, key=lambda each: (len(each.path), each.path)):  # a category at the top before one of its name elsewhere
        found.placed[each] = _placed(tree, each)
    return found


def _placed(tree: _Tree, wanted: Wanted) -> Placed:
    path = wanted.path
    last = tree.by_name.get(path[-1])
    if last and last.id == wanted.current_id and last.parent_id is None:
        return Placed(last.id, last.name)
    node, told = tree.by_name.get(path[0]) or tree.add(path[0], None), ""
    for length in range(2, len(path) + 1):
        before = node
        node, remark = tree.below(node, path[:length])
        told = remark or told
        if node is before:
            break
    return Placed(node.id, node.name, told)


def _names(path: Path) -> Iterator[str]:
    """Yield the names that the category of a path may have, the preferred one first."""
    yield path[-1]
    for above in (path[-2:-1], path[:-1]):
        name = f"{path[-1]} ({' > '.join(above)})"
        if len(name) <= CATEGORY_NAME_MAX:
            yield name
