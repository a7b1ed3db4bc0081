"""Write a catalog of groups with variants as CSV for `mercato import`, and the tree of its categories for `mercato categories import`.

The same numbers always give the same files. The products are those of catalog_csv: several that follow each other become the variants of a
group, with the name, the description and the category of the first one.
"""

import argparse
import csv
import itertools
import random
from collections.abc import Iterator
from pathlib import Path

import catalog_csv

HEADER = (*catalog_csv.HEADER, "group", "group_name", "options", "position")
TREE_HEADER = ("name", "parent", "position")
VARIANTS = 4
SIZES = ("XS", "S", "M", "L", "XL", "XXL")
COLOURS = ("Red", "Blue", "Green", "Black", "White", "Yellow", "Orange", "Grey", "Teal", "Violet")
VARIANTS_MAX = len(SIZES) * len(COLOURS)
ABOVE = {
    "Sports": ("Ball Games", "Outdoor", "Training"),
    "Ball Games": ("Football", "Tennis"),
    "Outdoor": ("Cycling", "Hiking", "Winter Sports", "Climbing", "Water Sports"),
    "Training": ("Running", "Swimming", "Fitness"),
}
"""The subcategories of each category; those without any are the categories of catalog_csv."""


def products(count: int, variants: int = VARIANTS) -> Iterator[tuple[object, ...]]:
    """Yield the rows; the last group may have fewer variants. Raises ValueError for more variants than there are options."""
    if not 1 <= variants <= VARIANTS_MAX:
        raise ValueError(f"a group has 1 to {VARIANTS_MAX} variants")
    chance = random.Random(variants)  # noqa: S311 - the same file each time
    rows = catalog_csv.products(count)
    for number in itertools.count(1):
        several = list(itertools.islice(rows, variants))
        if not several:
            return
        _, name, text, _, category, *_ = several[0]
        ways = chance.sample(range(VARIANTS_MAX), len(several))
        for position, ((sku, _, _, price, _, *rest), way) in enumerate(zip(several, ways, strict=True), 1):
            size, colour = SIZES[way % len(SIZES)], COLOURS[way // len(SIZES)]
            group = f"GROUP-{number:07}", f"{name} {number}", f"Size={size};Colour={colour}", position
            yield (sku, f"{name} {number}, {size}, {colour}", text, price, category, *rest, *group)


def tree() -> Iterator[tuple[str, str, int]]:
    """Yield the rows of the categories, parents first."""
    parents = {child: parent for parent, children in ABOVE.items() for child in children}
    positions = {child: position for children in ABOVE.values() for position, child in enumerate(children)}
    for name in dict.fromkeys([*ABOVE, *parents]):
        yield name, parents.get(name, ""), positions.get(name, 0)


def main(arguments: list[str] | None = None) -> None:
    """Write the files that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("count", type=int, help="products, such as 1000000")
    parser.add_argument("file", type=Path, help="of the products")
    parser.add_argument("tree", type=Path, help="of the categories; import it first")
    parser.add_argument("--variants", type=int, default=VARIANTS, help=f"products of a group, 1 to {VARIANTS_MAX}; default: {VARIANTS}")
    given = parser.parse_args(arguments)
    for path, header, rows in ((given.tree, TREE_HEADER, tree()), (given.file, HEADER, products(given.count, given.variants))):
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(header)
            writer.writerows(rows)


if __name__ == "__main__":
    main()
