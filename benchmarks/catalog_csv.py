"""Write a catalog of plausible products as CSV for `mercato import`; the same number always gives the same file."""

import argparse
import csv
import random
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

HEADER = ("sku", "name", "description", "price_minor", "category", "stock", "image_urls")
MAKER_NAMES = """
Alder Brisance Calla Dovre Esker Fenna Gannet Harrow Isbre Juniper Kestrel Lapwing
Marram Norden Osprey Pelagic Quill Rowan Skarn Tarn Umber Volador Wexcombe Yarrow
"""
MAKERS = MAKER_NAMES.split()
KINDS = {
    "Running": "Running Shoes|Trail Shoes|Running Shorts|Race Vest|Hydration Belt|Headlamp",
    "Football": "Football Boots|Match Ball|Shin Guards|Goalkeeper Gloves|Training Bib",
    "Cycling": "Bike Helmet|Bib Shorts|Saddle Bag|Frame Pump|Clipless Pedals|Cycling Jersey",
    "Swimming": "Swim Goggles|Silicone Cap|Kickboard|Pull Buoy|Training Fins|Jammer",
    "Tennis": "Tennis Racket|Tennis Balls|Overgrip|Racket Bag|Vibration Dampener",
    "Fitness": "Yoga Mat|Kettlebell|Resistance Band|Foam Roller|Jump Rope|Adjustable Dumbbell",
    "Hiking": "Hiking Boots|Trekking Poles|Two-Person Tent|Sleeping Bag|Camping Stove|Daypack|Rain Jacket",
    "Winter Sports": "Ski Goggles|Touring Skis|Snowshoes|Base Layer|Ski Gloves|Avalanche Probe",
    "Climbing": "Climbing Harness|Belay Device|Chalk Bag|Climbing Rope|Bouldering Pad|Quickdraw Set",
    "Water Sports": "Paddle|Dry Bag|Wetsuit|Buoyancy Aid|Snorkel Set",
}
QUALITIES = (
    "light",
    "durable",
    "breathable",
    "waterproof",
    "recycled",
    "foldable",
    "cushioned",
    "insulated",
    "quick-drying",
    "reinforced",
    "compact",
    "ventilated",
)
MATERIALS = (
    "merino wool",
    "ripstop nylon",
    "carbon fibre",
    "aluminium",
    "natural rubber",
    "organic cotton",
    "EVA foam",
    "stainless steel",
    "polyester",
)
USES = (
    "long days out",
    "the first steps",
    "race day",
    "everyday training",
    "wet weather",
    "winter mornings",
    "travelling light",
    "hard use",
)


def products(count: int) -> Iterator[tuple[object, ...]]:
    """Yield the rows."""
    chance = random.Random(count)  # noqa: S311 - the same file each time
    categories = [(name, kinds.split("|")) for name, kinds in KINDS.items()]
    for number in range(1, count + 1):
        category, kinds = chance.choice(categories)
        kind, maker = chance.choice(kinds), chance.choice(MAKERS)
        sku = f"{maker[:3].upper()}-{number:07}"
        first, second = chance.sample(QUALITIES, 2)
        made = f"of {chance.choice(MATERIALS)}, made for {chance.choice(USES)}"
        text = f"{first.capitalize()}, {second} {kind.lower()} {made}. Model {number % 9973}."
        price = min(99, round(chance.lognormvariate(3.6, 0.9))) * 100 + chance.choice((0, 49, 95, 99))
        stock = 0 if chance.random() < 0.1 else chance.randint(1, 500)
        name = f"{maker} {chance.randint(1, 99)} {kind}"
        yield sku, name, text, price, category, stock, f"https://images.example.com/mercato/{sku}.jpg"


def write(file: Any, count: int) -> None:
    """Write the header and the rows."""
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(HEADER)
    writer.writerows(products(count))


def main() -> None:
    """Write the file that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("count", type=int, help="products, such as 1000000")
    parser.add_argument("file", type=Path, nargs="?", help="default: standard output")
    arguments = parser.parse_args()
    with arguments.file.open("w", encoding="utf-8", newline="") if arguments.file else nullcontext(sys.stdout) as file:
        write(file, arguments.count)


if __name__ == "__main__":
    main()
