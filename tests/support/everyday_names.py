"""The names of a shop of a thousand everyday things, the same in each run, for the judgement of searches."""

from collections.abc import Iterator
from typing import NamedTuple

COLOURS = ("Red", "Blue", "Green", "Black", "White", "Grey", "Yellow", "Pink")
BRANDS = ("Alder", "Brightwell", "Corvane", "Dunmore", "Eastholm", "Fennick", "Greyling", "Hollis")
SIZES = ("Small", "Medium", "Large", "Extra Large", "Mini", "Family Size", "Travel Size", "Set of 2")

THINGS = {
    "Kitchen": (
        "Watering Can;Can Opener;Chef's Knife;Bread Knife;Frying Pan;Saucepan with Lid;Wooden Spoon;Cutting Board;Tea Towel;Oven Glove;"
        "Wine Glass;Coffee Mug;Espresso Machine;Electric Kettle;Toaster;Hand Blender;Rice Cooker;Salad Bowl;Dinner Plate;Lunch Box;"
        "Water Bottle;Ice Cube Tray;Baking Sheet;Rolling Pin;Measuring Cup;Cheese Grater;Potato Peeler;Garlic Press;Pepper Mill;Egg Timer"
    ),
    "Clothing": (
        "T-Shirt;Rain Jacket;Wool Sweater;Down Jacket;Leather Belt;Silk Scarf;Baseball Cap;Bucket Hat;Ankle Socks;Running Shoes;"
        "Hiking Boots;Flip-Flops;Swim Shorts;Denim Jeans;Pyjama Set;Bath Robe;Winter Gloves;Leggings;Polo Shirt;Tie Clip"
    ),
    "Home": (
        "Desk Lamp;Floor Lamp;Bed Sheet;Pillow Case;Duvet Cover;Shower Curtain;Bath Mat;Door Mat;Wall Clock;Picture Frame;Candle Holder;"
        "Scented Candle;Laundry Basket;Ironing Board;Coat Hanger;Shoe Rack;Book Shelf;Coffee Table;Dining Chair;Office Chair;Waste Bin;"
        "Light Bulb;Extension Cord;Door Stop;Curtain Rod"
    ),
    "Garden": (
        "Garden Hose;Flower Pot;Plant Food;Pruning Shears;Lawn Mower;Leaf Rake;Snow Shovel;Wheelbarrow;Bird Feeder;Camping Tent;"
        "Sleeping Bag;Folding Chair;Picnic Blanket;Barbecue Grill;Fire Pit"
    ),
    "Electronics": (
        "Wi-Fi Router;USB-C Cable;Phone Case;Laptop Bag;Laptop Stand;Wireless Mouse;Mechanical Keyboard;Noise-Cancelling Headphones;"
        "In-Ear Headphones;Bluetooth Speaker;Power Bank;Screen Protector;Memory Card;Smart Watch;4K Monitor"
    ),
    "Office and play": (
        "Ballpoint Pen;Pencil Case;Sticky Notes;Paper Clips;Stapler;Ring Binder;Scissors;Packing Tape;Board Game;Jigsaw Puzzle;"
        "Teddy Bear;Building Blocks;Toy Car;Playing Cards;Yoga Mat;Tennis Racket;Basketball;Football;Skipping Rope;Dog Leash"
    ),
}


class EverydayProduct(NamedTuple):
    """A product of the shop."""

    sku: str
    name: str
    description: str


def everyday_products() -> Iterator[EverydayProduct]:
    """Yield 1,000 products: eight of each thing, which differ by brand, colour and size."""
    things = [(group, thing) for group, names in THINGS.items() for thing in names.split(";")]
    for number, (group, thing) in enumerate(things, 1):
        for index in range(8):
            brand, colour, size = BRANDS[(number + index) % 8], COLOURS[(number * 3 + index) % 8], SIZES[(number * 5 + index) % 8]
            yield EverydayProduct(
                f"{group[:3].upper()}-{number:03}{index}",
                f"{brand} {thing}, {colour}, {size}",
                f"From our {group.lower()} collection. Made to last, and easy to look after.",
            )
