"""Administrators of three workers change the tree of categories, groups, slugs and pictures at the same moment."""

import asyncio
import sys
import uuid
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message

from faults.buyers import Buyer, describe, dice, stock_up
from faults.catalog import GET_TREE, Office, killing, office, require_sound
from faults.conftest import Conclude, Scale
from faults.processes import Worker
from mercato.v1 import cart_pb2, catalog_pb2, media_pb2, media_pb2_grpc
from mercato.v1.catalog_pb2 import Category, Product, ProductGroup, ProductOption
from mercato.v1.money_pb2 import Money
from mercato_server.cli.catalog_import import Import
from mercato_server.database.pool import small_pool
from mercato_server.pictures.files import PictureFiles
from mercato_server.pictures.storage import Directory
from mercato_server.pictures.sweeper import sweep
from support.commands import environ
from support.patience import patient, until
from support.picture_files import encoded, halves
from support.pictures import contents
from support.shop import CALL_S

CYCLE, LIMIT, SLUG_TAKEN = "FAILED_PRECONDITION CATEGORY_CYCLE", "FAILED_PRECONDITION CATEGORY_LIMIT", "ALREADY_EXISTS SLUG_TAKEN"
ABSENT, NOT_DELETED, FIELD = "NOT_FOUND PRODUCT_NOT_FOUND", "FAILED_PRECONDITION PRODUCT_NOT_DELETED", "INVALID_ARGUMENT INVALID_FIELD"
TAKEN = ("ALREADY_EXISTS OPTIONS_TAKEN", "ALREADY_EXISTS SKU_TAKEN")
NO_PICTURE = "NOT_FOUND PICTURE_NOT_FOUND"
SLUGS = [f"shelf-{number}" for number in range(10)]
"""With the first slug of a category these are fewer than the 20 earlier ones that it keeps, so no slug is forgotten."""
CLERKS = 6
GROUPS_OF_FILE, SIZES_OF_FILE = 3, 12
SHOWN = ((2, 2), (0, 2), (2, 0), (1, 2))
"""The numbers of pictures that two products show, by round: one stops to show what the other goes on to show."""
GET_FILE = """
SELECT sku, code, options::text
  FROM products
  JOIN product_groups ON product_groups.id = group_id
 WHERE sku LIKE 'F_-S%' AND deleted_at IS NULL
"""


@pytest.fixture
def workers(directory: Path, database: str) -> list[Worker]:
    pictures = directory / "pictures"
    pictures.mkdir()
    return [Worker(directory, database, name=name, MERCATO_PICTURES_DIR=str(pictures)) for name in ("one", "two", "three")]


@pytest.mark.parametrize("kills", [False, True], ids=["all live", "one is killed"])
async def test_moves_and_renames_of_categories_make_no_ring_and_lose_no_slug(
    database: str, workers: list[Worker], scale: Scale, conclude: Conclude, *, kills: bool
) -> None:
    goods, rounds = await stock_up(database, buyers=1, products=12), scale(8, 150)
    held: dict[str, set[str]] = defaultdict(set)
    async with office(goods, workers) as desk:
        made = await asyncio.gather(*(_category(desk, f"Shelf of {name}") for name in "ABCDEFGH"))
        places = {str(id_): dice.choice(made).id for id_ in goods.product_ids}
        for product_id, category_id in places.items():
            await _update(desk, Product(id=product_id, category_id=category_id), "category_id")
        for each in made:
            held[each.slug].add(each.id)

        async def clerk() -> None:
            for _ in range(rounds):
                one, other = dice.sample(made, 2)
                slug = dice.choice(SLUGS)
                if dice.random() < 0.5:
                    change = Category(id=one.id, parent_id=dice.choice((other.id, other.id, "")))
                    await desk.call("UpdateCategory", _masked(change, "parent_id"), CYCLE, LIMIT)
                elif await desk.call("UpdateCategory", _masked(Category(id=one.id, slug=slug), "slug"), SLUG_TAKEN):
                    held[slug].add(one.id)

        async with _watched(database), killing(workers[2], scale(1, 10) * kills):
            await asyncio.gather(*(clerk() for _ in range(CLERKS)))
        parents = await desk.categories_agree()
        await _lists_agree(desk, parents, places)
        await _slugs_agree(desk, held)
    await require_sound(conclude, "moves and renames of categories", desk)


async def _category(desk: Office, name: str) -> Category:
    made: Category = await desk.call("CreateCategory", catalog_pb2.CreateCategoryRequest(category=Category(name=name)))
    return made


async def _update(desk: Office, product: Product, path: str, *expected: str) -> Any:
    request = catalog_pb2.UpdateProductRequest(product=product, update_mask=FieldMask(paths=[path]))
    return await desk.call("UpdateProduct", request, *expected)


def _masked(category: Category, path: str) -> catalog_pb2.UpdateCategoryRequest:
    return catalog_pb2.UpdateCategoryRequest(category=category, update_mask=FieldMask(paths=[path]))


def _above(parents: Mapping[str, str], category_id: str) -> list[str]:
    """Return a category and those above it; a ring is an error."""
    found: list[str] = []
    while category_id:
        assert category_id not in found, f"a ring of {found}"
        found.append(category_id)
        category_id = parents[category_id]
    return found


@asynccontextmanager
async def _watched(database: str) -> AsyncIterator[None]:
    """Look for rings in the tree during the block."""

    async def watch() -> None:
        async with small_pool(database) as pool:
            while True:
                parents = {row["id"]: row["parent"] for row in await pool.fetch(GET_TREE)}
                for category_id in parents:
                    _above(parents, category_id)
                await asyncio.sleep(0.02)

    watching = asyncio.create_task(watch())
    try:
        yield
    finally:
        watching.cancel()
        await asyncio.wait([watching])
    assert watching.cancelled(), watching.exception()


async def _lists_agree(desk: Office, parents: Mapping[str, str], places: Mapping[str, str]) -> None:
    """Wait until each worker lists the products of each subtree."""
    wanted = {id_: {product for product, place in places.items() if id_ in _above(parents, place)} for id_ in parents}
    for stub in desk.shop.catalog:
        for category_id, products in wanted.items():

            async def agrees(stub: Any = stub, category_id: str = category_id, products: set[str] = products) -> bool:
                page = await stub.ListProducts(catalog_pb2.ListProductsRequest(category_id=category_id, page_size=100))
                return {product.id for product in page.products} == products

            await until(agrees, f"a worker lists the products of {category_id}")


async def _slugs_agree(desk: Office, held: Mapping[str, set[str]]) -> None:
    """Check that each slug that a category was given leads to one of those that had it, and a present slug to its category."""
    present = {}
    for stub in desk.shop.catalog:
        for slug, holders in held.items():
            found = (await stub.GetSlug(catalog_pb2.GetSlugRequest(kind="category", slug=slug), timeout=CALL_S)).category
            assert found.id in holders, f"{slug} leads to another category"
            present[found.slug] = found.id
        for slug, category_id in present.items():
            now = (await stub.GetSlug(catalog_pb2.GetSlugRequest(kind="category", slug=slug), timeout=CALL_S)).category
            assert (now.id, now.slug) == (category_id, slug)


def _variant(code: str, size: int, sku: int, price: int) -> Product:
    return Product(
        name=f"{code} {size}",
        sku=f"{code}-{sku}",
        price=Money(minor_units=price),
        stock=1_000_000,
        options=[ProductOption(name="Size", value=str(size))],
    )


@pytest.mark.parametrize("kills", [False, True], ids=["all live", "one is killed"])
async def test_groups_are_upserted_imported_changed_and_sold_at_the_same_moment(
    database: str, workers: list[Worker], directory: Path, scale: Scale, conclude: Conclude, *, kills: bool
) -> None:
    goods, rounds = await stock_up(database, buyers=4, products=2), scale(8, 150)
    ids: set[str] = set()
    async with office(goods, workers) as desk:

        async def upsert(code: str, variants: Sequence[Product], **rules: bool) -> None:
            group = ProductGroup(name=f"Group {code}", code=code, varies_by=["Size"])
            request = catalog_pb2.UpsertProductGroupRequest(group=group, variants=variants, **rules)
            if made := await desk.call("UpsertProductGroup", request, FIELD):
                ids.update(variant.product_id for variant in made.variants)

        async def change(number: int) -> None:
            code, sizes, some = dice.choice("AB"), dice.sample(range(6), 3), dice.choice([*ids])
            swapped = [_variant(code, size, sku, dice.randint(1, 9)) for size, sku in zip(sizes, dice.sample(sizes, 3), strict=True)]
            changes: list[Callable[[], Awaitable[Any]]] = [
                lambda: upsert(code, swapped, reorder=True),
                lambda: upsert(code, [_variant(code, size, size, 5) for size in sizes], delete_others=True),
                lambda: upsert("F0", [_variant("F0", 100 + number, 100 + number, 7)]),
                lambda: desk.call("DeleteProduct", catalog_pb2.DeleteProductRequest(product_id=some), ABSENT),
                lambda: desk.call("UndeleteProduct", catalog_pb2.UndeleteProductRequest(product_id=some), NOT_DELETED, *TAKEN),
                lambda: _update(desk, Product(id=some, price=Money(minor_units=dice.randint(1, 9))), "price", ABSENT),
            ]
            await dice.choice(changes)()

        async def clerk() -> None:
            for number in range(rounds):
                await change(number)

        async def buying(buyer: Buyer) -> None:
            for _ in range(rounds):
                request = cart_pb2.SetCartItemRequest(product_id=dice.choice([*ids]), quantity=1)
                with _refused(ABSENT):
                    await desk.shop.insist(desk.shop.carts, "SetCartItem", request, buyer)
                await desk.shop.resolve(purchase := desk.shop.tally.begin(buyer))
                if purchase.refusal:  # a line that is deleted would stay
                    await desk.shop.insist(desk.shop.carts, "ClearCart", cart_pb2.ClearCartRequest(), buyer)

        for code in "AB":
            await upsert(code, [_variant(code, size, size, 5) for size in range(4)])
        file = _file_of_groups(directory)
        async with killing(workers[2], scale(1, 10) * kills):
            await asyncio.gather(
                _imported(file, database), _imported(file, database), *(clerk() for _ in range(CLERKS)), *map(buying, goods.buyers[:-1])
            )
        await desk.groups_agree()
    await Import(path=file, currency="USD").run(database)  # brings back what administrators have deleted
    async with small_pool(database) as pool:
        found = {(row["sku"], row["code"], row["options"]) for row in await pool.fetch(GET_FILE)}
    groups, sizes = range(GROUPS_OF_FILE), range(SIZES_OF_FILE)
    assert found == {(f"F{group}-S{size}", f"F{group}", f'[["Size", "S{size}"]]') for group in groups for size in sizes}
    refusals = set(desk.shop.tally.refused)
    assert refusals <= {ABSENT, "FAILED_PRECONDITION CART_EMPTY", "FAILED_PRECONDITION OUT_OF_STOCK"}, refusals
    await require_sound(conclude, "groups upserted, imported and sold", desk, {ABSENT, *refusals})


def _file_of_groups(directory: Path) -> Path:
    file = directory / "groups.csv"
    rows = [
        f"F{group}-S{size},Shirt {size},{100 + size},F{group},Group F{group},Size=S{size}\n"
        for size in range(SIZES_OF_FILE)
        for group in range(GROUPS_OF_FILE)
    ]
    file.write_text("sku,name,price_minor,group,group_name,options\n" + "".join(rows))
    return file


async def _imported(file: Path, database: str) -> None:
    """Run `mercato import` to its end, which must be a success."""
    command = (sys.executable, "-m", "mercato_server", "import", str(file))
    process = await asyncio.create_subprocess_exec(
        *command, env=environ(database), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    async with asyncio.timeout(5 * patient()):
        told, _ = await process.communicate()
    assert process.returncode == 0, told.decode()


@contextmanager
def _refused(reason: str) -> Iterator[None]:
    """Let a call of the block be refused for one reason."""
    try:
        yield
    except grpc.aio.AioRpcError as error:
        if describe(error) != reason:
            raise


@dataclass(frozen=True)
class Studio:
    """The pictures of the products, at any of the workers."""

    desk: Office
    stubs: Sequence[Any]
    content: Sequence[bytes]
    shown: dict[str, list[str]] = field(default_factory=dict)
    """The pictures of each product, as it was last answered."""

    async def call(self, method: str, request: Message) -> Any:
        return await self.desk.shop.insist(self.stubs, method, request, self.desk.boss, uuid.uuid4().hex)

    async def upload(self, number: int) -> str:
        """Upload a content; return the id of its picture, which is empty if a sweep was faster."""
        made = await self.call("CreatePictureUpload", media_pb2.CreatePictureUploadRequest())
        stub = dice.choice(self.stubs)
        await stub.UploadPictureContent(contents(made.id, self.content[number]), metadata=self.desk.boss.metadata(), timeout=CALL_S)

        async def settled() -> media_pb2.PictureUpload | None:
            found: media_pb2.PictureUpload = await self.call("GetPictureUpload", media_pb2.GetPictureUploadRequest(upload_id=made.id))
            return None if found.state == media_pb2.PICTURE_UPLOAD_STATE_PENDING else found

        found = await until(settled)
        assert found is not None
        assert found.state == media_pb2.PICTURE_UPLOAD_STATE_READY, found
        return str(found.picture.id)

    async def show(self, product_id: str, digests: list[str]) -> None:
        """Show pictures with a product, unless a sweep was faster."""
        wanted = [media_pb2.SetProductPicturesRequest.Shown(picture_id=digest) for digest in digests]
        with _refused(NO_PICTURE):
            await self.call("SetProductPictures", media_pb2.SetProductPicturesRequest(product_id=product_id, pictures=wanted))
            self.shown[product_id] = digests

    async def require_served(self) -> None:
        """Check that each worker shows and serves the pictures of all products."""
        for product_id, digests in self.shown.items():
            for stub, catalog in zip(self.stubs, self.desk.shop.catalog, strict=True):
                for digest in digests:
                    answer = await stub.GetPicture(media_pb2.GetPictureRequest(name=f"{digest}-large.webp"), timeout=CALL_S)
                    assert len(answer.data) > 0

                async def agrees(catalog: Any = catalog, product_id: str = product_id, digests: Sequence[str] = digests) -> bool:
                    product = await catalog.GetProduct(catalog_pb2.GetProductRequest(product_id=product_id))
                    return [picture.id for picture in product.pictures] == digests

                await until(agrees, "a worker shows the pictures of a product")


async def test_pictures_that_two_products_share_stay_while_the_sweep_runs(
    database: str, workers: list[Worker], directory: Path, scale: Scale, conclude: Conclude
) -> None:
    goods, rounds = await stock_up(database, buyers=1, products=2), scale(4, 60)
    storage = Directory(PictureFiles(directory / "pictures"))
    async with office(goods, workers) as desk, small_pool(database) as pool:
        stubs = [media_pb2_grpc.MediaServiceStub(channel) for channel in desk.channels]
        studio = Studio(desk, stubs, [encoded(halves(40 + number, 9), "PNG") for number in range(2)])

        async def swept() -> None:
            for _ in range(3):
                await sweep(pool, storage, unused_s=0)

        for number in range(rounds):
            both = await asyncio.gather(*map(studio.upload, range(2)))
            counts = SHOWN[number % len(SHOWN)]
            shows = [studio.show(str(product_id), both[:count]) for product_id, count in zip(goods.product_ids, counts, strict=True)]
            await asyncio.gather(*shows, studio.upload(dice.randrange(2)), swept(), swept())
            await swept()
            await studio.require_served()
    await require_sound(conclude, "shared pictures beside the sweep", desk, {NO_PICTURE})
