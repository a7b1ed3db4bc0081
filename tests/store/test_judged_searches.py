"""Judged searches: the right product comes first in 95 % of them, and none shows a product that has nothing to do with the query.

Each search is judged by people's sense, not by the rule: the name of the first product must match, and the name or the description of all
that are shown.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

from mercato_server.database.pool import Pool
from mercato_server.demo import catalog as demo_catalog
from mercato_server.demo.goods import goods
from mercato_server.domain.accounts import COMMAND_LINE
from mercato_server.domain.catalog import ProductFilter, ProductOrder
from mercato_server.domain.paging import Page
from mercato_server.store import bulk, demo, product_lists
from mercato_server.store.bulk import Incoming
from support.everyday_names import everyday_products

RIGHT_FIRST = 0.95
ENOUGH = 100


class Judged(NamedTuple):
    """A query with patterns of the name that must come first, and of all products that may be shown; no pattern means an empty page."""

    query: str
    first: str = ""
    shown: str = ""


J = Judged
DEMO = (
    J("yoga mat", "Yoga Mat", "Yoga|Mat"),
    J("yoga mats", "Yoga Mat", "Yoga|Mat"),
    J("mat", r"\bMat\b", r"\bMat"),
    J("yogamat"),
    J("running shoes", "Running Shoes", "Shoes"),
    J("shoes for running", "Running Shoes", "Shoes"),
    J("runing sheos", "Running Shoes", "Shoes"),
    J("waterproof running shoes", "Gullfoot Trail Running Shoes, Waterproof"),
    J("waterprof trail shoes", "Gullfoot Trail Running Shoes, Waterproof"),
    J("trail shoe", "Gullfoot Trail", "Shoes"),
    J("shoes -running", "Shoes", "(?i)shoe"),
    J("RUN-0005", "Gullfoot Trail Running Shoes, Waterproof"),
    J("run 0005", "Gullfoot Trail Running Shoes, Waterproof"),
    J("run0005", "Gullfoot Trail Running Shoes, Waterproof"),
    J("fit-0021", "Whipcord Speed Rope"),
    J("bike", r"\bBike$|\bBike,", "(?i)bike"),
    J("kids bike", "Pip 16 Kids' Bike", "Bike"),
    J("kid's bike", "Pip 16 Kids' Bike", "Bike"),
    J("electric bike", "Electric City Bike"),
    J("ebike"),
    J("mountain bike", "Skerry 29"),
    J("bike helmet", "Bike Helmet", "Helmet"),
    J("helmet", "Helmet", "(?i)helmet"),
    J("helmt", "Helmet", "(?i)helmet"),
    J("helmets for skiing", "Ski Helmet", "(?i)helmet"),
    J("ski goggles", "Ski Goggles", "(?i)goggle"),
    J("swimming goggles", "Goggles", "Goggles"),
    J("gogles", "Goggles", "(?i)goggle"),
    J("goggle", "Goggles", "(?i)goggle"),
    J("cafe jersey", "Vélo Café Jersey"),
    J("CAFÉ", "Café"),
    J("velo", "Vélo Café Jersey"),
    J("fjallvind jacket", "Fjällvind Insulated Ski Jacket"),
    J("uber grip", "Über-Grip Yoga Socks"),
    J("soma trousers", "Sōma Wide-Leg Yoga Trousers"),
    J("sao bento", "São Bento Home Shirt"),
    J("down jacket", "Cloudberry Down Jacket"),
    J("rain jacket", "Downpour Running Jacket"),
    J("poncho", "Rain Poncho"),
    J("tennis racket", "Tennis Racket", "(?i)racket"),
    J("tenis raket", "Tennis Racket", "(?i)racket"),
    J("badminton", "Badminton", "Badminton|Shuttlecocks"),
    J("squash balls", "Squash Balls"),
    J("tennis balls", "Tennis Balls", "(?i)ball"),
    J("table tennis", "Table Tennis Bat"),
    J("football boots", "Football Boots", "(?i)boot"),
    J("foot ball boots"),
    J("shin guards", "Shin Guards", "(?i)shin guards|shin pads|shin"),
    J("shinguards"),
    J("goalkeeper gloves", "Gloves", "Gloves|Goalkeeper"),
    J("golves", "Gloves", "Gloves|Mittens"),
    J("gloves -goalkeeper", "Gloves"),
    J("mens running shoes", "Men's"),
    J("women's hiking boots", "Arête Mid Hiking Boots, Women's"),
    J("womens hiking boots", "Arête Mid Hiking Boots, Women's"),
    J("multitool", "Multi-Tool"),
    J("multi tool", "Multi-Tool"),
    J("u-lock", "U-Lock"),
    J("ulock", "U-Lock"),
    J("pull up bar", "Pull-Up Bar"),
    J("popup tent", "Pop-Up Tent"),
    J("tent", "Tent", "(?i)tent"),
    J("sleeping bag", "Sleeping Bag"),
    J("3/2 wetsuit", "Swimming Wetsuit"),
    J("kettlebell 16 kg", "Kettlebell, 16 kg"),
    J("kettlebells", "Kettlebell"),
    J("kettleball", "Kettlebell"),
    J("dumbell", "Dumbbell"),
    J("yoga mat 1.5mm", "Travel Yoga Mat, 1.5 mm"),
    J("snow boots", "Boots", "(?i)snow"),
    J('"snowboard boots"', "Backbowl Snowboard Boots"),
    J("snowb", "Snowboard"),
    J("snowbaord", "Snowboard"),
    J("thermal socks", "Thermal Ski Socks", "(?i)sock"),
    J("beanie", "Beanie"),
    J("watch", "GPS Watch", "(?i)watch"),
    J("heart rate monitor", "Heart Rate Monitor", "Heart|Watch"),
    J("first aid", "First Aid Kit"),
    J("skis or snowboard", "Skis|Snowboard", "(?i)ski|snowboard"),
    J("dress"),
    J("ring", "Strap|Kettlebell", r"\b[Rr]ing"),
    J("sofa"),
    J("wine"),
    J("milk"),
    J("couch"),
    J("cat"),
    J("dog"),
    J("laptop"),
    J("perfume"),
    J("wedding ring"),
    J("red dress"),
    J("piano"),
    J("xyzzy"),
    J("running zzzzzz"),
    J("!!!"),
)
EVERYDAY = (
    J("can", r"\bCan\b|Can Opener", r"\bCan"),
    J("watering can", "Watering Can"),
    J("can opener", "Can Opener"),
    J("wattering can", "Watering Can"),
    J("chefs knife", "Chef's Knife"),
    J("chef's knife", "Chef's Knife"),
    J("knives", "Knife"),
    J("bread knife", "Bread Knife"),
    J("frying pan", "Frying Pan"),
    J("pan", r"Frying Pan", r"\bPan"),
    J("pans", "Frying Pan"),
    J("mug", "Coffee Mug"),
    J("cofee mug", "Coffee Mug"),
    J("coffee table", "Coffee Table"),
    J("lamp", "Lamp"),
    J("desk lamp", "Desk Lamp"),
    J("desklamp"),
    J("t shirt", "T-Shirt"),
    J("tshirt", "T-Shirt"),
    J("t-shirts", "T-Shirt"),
    J("t-shrit", "T-Shirt"),
    J("polo", "Polo Shirt"),
    J("hat", "Bucket Hat"),
    J("cap", "Baseball Cap"),
    J("socks", "Ankle Socks"),
    J("shoes", "Running Shoes", "Shoe"),
    J("shoe", "Running Shoes|Shoe Rack", "Shoe"),
    J("shoe rack", "Shoe Rack"),
    J("flip flops", "Flip-Flops"),
    J("flipflops", "Flip-Flops"),
    J("leggings", "Leggings"),
    J("legs"),
    J("shorts", "Swim Shorts"),
    J("jeans", "Denim Jeans"),
    J("scarves", "Silk Scarf"),
    J("pillow", "Pillow Case"),
    J("pilow", "Pillow Case"),
    J("laptop", "Laptop (Bag|Stand)"),
    J("laptop bag", "Laptop Bag"),
    J("bag", "Laptop Bag|Sleeping Bag"),
    J("bags", "Laptop Bag|Sleeping Bag"),
    J("phone case", "Phone Case"),
    J("fone case"),
    J("usb c cable", "USB-C Cable"),
    J("usbc cable", "USB-C Cable"),
    J("wifi router", "Wi-Fi Router"),
    J("wi-fi", "Wi-Fi Router"),
    J("headphones", "Headphones"),
    J("in ear headphones", "In-Ear Headphones", "Headphones"),
    J("4k monitor", "4K Monitor"),
    J("4 k monitor", "4K Monitor"),
    J("keybord", "Mechanical Keyboard"),
    J("mouse", "Wireless Mouse"),
    J("mice", "Wireless Mouse"),
    J("pencil", "Pencil Case"),
    J("pen", "Ballpoint Pen", "Pen|Pencil"),
    J("ball", "Ballpoint Pen"),
    J("basketball", "Basketball"),
    J("bascketball", "Basketball"),
    J("foot", "Football"),
    J("scisors", "Scissors"),
    J("stapel", "Stapler"),
    J("board game", "Board Game"),
    J("red football", "Football, Red"),
    J("football red", "Football, Red"),
    J("brightwell kettle", "Brightwell Electric Kettle"),
    J("blue coffee mug", "Coffee Mug, Blue"),
    J("kit-0010", "Brightwell Watering Can, Black"),
    J("KIT 0010", "Brightwell Watering Can, Black"),
    J("tent", "Camping Tent"),
    J("tents", "Camping Tent"),
    J("hose", "Garden Hose"),
    J("shovel -black", "Snow Shovel, (?!Black)"),
    J("candle", "Scented Candle", "Candle"),
    J("candles", "Scented Candle", "Candle"),
    J("clock", "Wall Clock"),
    J("bulbs", "Light Bulb"),
    J("dress"),
    J("ring", "Ring Binder"),
    J("earring"),
    J("beer"),
    J("wine", "Wine Glass"),
    J("glasses", "Wine Glass"),
    J("bear", "Teddy Bear"),
    J("toy", "Toy Car"),
    J("sofa"),
    J("guitar"),
    J("sun cream"),
    J("boat"),
    J("tea", "Tea Towel", "Tea Towel|Teddy"),
    J("teapot"),
    J("coal"),
    J("brush"),
    J("red", "Red"),
    J("set of 2", "Set of 2"),
    J("the", ""),
)


async def failures(pool: "Pool", judged: Sequence[Judged]) -> tuple[list[str], list[str]]:
    """Return the searches whose first product is wrong, and those that show an absurd one."""
    wrong, absurd = [], []
    for query, first, shown in judged:
        found = await product_lists.products(pool, ProductFilter(query=query), ProductOrder.RELEVANCE, Page(100))
        names = [product.name for product in found.products]
        if not (re.search(first, names[0]) if names and first else not names and not first):
            wrong.append(f"{query}: {names[:3]}")
        texts = [f"{product.name} {product.description}" for product in found.products]
        odd = [text for text in texts if not first or not re.search(shown or first, text)]
        if odd:
            absurd.append(f"{query}: {odd[:3]}")
    return wrong, absurd


async def test_the_demo_shop_shows_the_right_product_first_and_nothing_absurd(pool: "Pool", database: str) -> None:
    categories, products = demo_catalog()
    await demo.load(database, "USD", categories, products, additions=demo.Additions(goods()))
    wrong, absurd = await failures(pool, DEMO)
    assert not absurd, "\n".join(["", *absurd, "--", *wrong])
    assert len(wrong) <= (1 - RIGHT_FIRST) * len(DEMO), wrong


async def test_a_shop_of_everyday_things_shows_the_right_product_first_and_nothing_absurd(pool: "Pool") -> None:
    rows = [Incoming(product.sku, product.name, product.description, 100, None, 1, []) for product in everyday_products()]
    assert len(rows) == 1_000
    await bulk.write(pool, rows, "everyday.csv", COMMAND_LINE)
    wrong, absurd = await failures(pool, EVERYDAY)
    assert not absurd, "\n".join(["", *absurd, "--", *wrong])
    assert len(wrong) <= (1 - RIGHT_FIRST) * len(EVERYDAY), wrong


def test_enough_searches_are_judged() -> None:
    assert len({*DEMO, *EVERYDAY}) >= ENOUGH
