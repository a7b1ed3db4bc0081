"""Paths of categories of another shop become a tree in which names are unique."""

from collections.abc import Iterable
from datetime import UTC, datetime
from uuid import UUID

from mercato_server.domain.catalog import Category
from mercato_server.domain.category_paths import Path, Plan, Wanted, plan

NOW = datetime.now(UTC)


def planned(paths: Iterable[Path | Wanted], known: Iterable[Category] = ()) -> Plan:
    ids = map(UUID, (f"00000000-0000-4000-8000-{number:012}" for number in range(10_000)))
    return plan(list(known), [each if isinstance(each, Wanted) else Wanted(each) for each in paths], lambda: next(ids))


def tree(found: Plan) -> set[str]:
    """Return the created categories, each with the names above it."""
    names = {each.id: each.name for each in found.created}
    return {" / ".join([*(names.get(above, "?") for above in each.ancestors), each.name]) for each in found.created}


def category(number: int, name: str, *above: int) -> Category:
    ancestors = [UUID(int=each) for each in above]
    return Category(UUID(int=number), name, NOW, 1, ancestors[-1] if above else None, None, 0, "", ancestors)


def test_paths_share_their_beginnings() -> None:
    found = planned([("Clothing", "Men", "Hats"), ("Clothing", "Men"), ("Music",)])
    assert tree(found) == {"Clothing", "Clothing / Men", "Clothing / Men / Hats", "Music"}
    assert {each.path: placed.name for each, placed in found.placed.items()} == {
        ("Clothing", "Men", "Hats"): "Hats", ("Clothing", "Men"): "Men", ("Music",): "Music"
    }  # fmt: skip


def test_a_name_that_stands_elsewhere_gets_the_names_above_it() -> None:
    found = planned([("Men", "Shirts"), ("Women", "Shirts"), ("Sale", "Women", "Shirts")])
    assert tree(found) == {
        "Men", "Men / Shirts", "Women", "Women / Shirts (Women)",
        "Sale", "Sale / Women (Sale)", "Sale / Women (Sale) / Shirts (Sale > Women)",
    }  # fmt: skip
    told = {each.path: placed.told for each, placed in found.placed.items()}
    assert told["Men", "Shirts"] == ""
    assert told["Women", "Shirts"] == "its category is Shirts (Women), since another category has the name Shirts"


def test_a_tree_that_is_there_is_found_again_whatever_the_order() -> None:
    paths = [("Men", "Shirts"), ("Women", "Shirts"), ("Sale", "Women", "Shirts"), ("Sale",)]
    first = planned(paths)
    known = [Category(each.id, each.name, NOW, 1, each.parent_id, None, 0, "", list(each.ancestors)) for each in first.created]
    again = planned(reversed(paths), known)
    assert again.created == []
    assert {each: placed.id for each, placed in again.placed.items()} == {each: placed.id for each, placed in first.placed.items()}
    assert {placed.told for placed in again.placed.values()} == {""}


def test_the_first_name_is_a_category_wherever_it_stands() -> None:
    found = planned([("Hats", "Caps"), ("Hats",)], [category(1, "Clothing"), category(2, "Hats", 1)])
    assert [(each.name, list(each.ancestors)) for each in found.created] == [("Caps", [UUID(int=1), UUID(int=2)])]
    assert found.placed[Wanted(("Hats",))].id == UUID(int=2)


def test_a_product_stays_in_a_category_at_the_top_that_has_the_last_name() -> None:
    """Earlier releases put all categories at the top."""
    shop = [category(1, "Hats"), category(2, "Clothing"), category(3, "Caps", 2)]
    found = planned([Wanted(("Clothing", "Hats"), UUID(int=1)), Wanted(("Men", "Caps"), UUID(int=3))], shop)
    assert found.placed[Wanted(("Clothing", "Hats"), UUID(int=1))].id == UUID(int=1)
    assert tree(found) == {"Men", "Men / Caps (Men)"}


def test_a_path_of_more_than_8_names_ends_at_the_eighth() -> None:
    path = tuple(f"Level {number}" for number in range(1, 11))
    found = planned([path])
    assert len(found.created) == 8
    assert found.placed[Wanted(path)][1:] == ("Level 8", "its category is Level 8, since a tree has at most 8 levels")


def test_a_category_with_1000_subcategories_gets_no_more() -> None:
    found = planned([("Top", f"Child {number:04}") for number in range(1_001)])
    assert len(found.created) == 1_001
    last = found.placed[Wanted(("Top", "Child 1000"))]
    assert last[1:] == ("Top", "its category is Top, since that has 1000 subcategories, and may have no more")


def test_a_path_for_which_all_names_are_others_ends_above() -> None:
    shop = [category(1, "A"), category(2, "Hats", 1), category(3, "Hats (B)", 1)]
    found = planned([("B", "Hats")], shop)
    assert tree(found) == {"B"}
    assert found.placed[Wanted(("B", "Hats"))].told == "its category is B, since all names for Hats below it are those of other categories"
