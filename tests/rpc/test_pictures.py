"""Pictures of products, over gRPC: from the upload to the rendition, and what is left of them."""

import asyncio
import io
import json
import signal
from collections.abc import AsyncIterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from uuid import UUID

import grpc
import pytest
from google.api.httpbody_pb2 import HttpBody
from grpc import StatusCode
from PIL import Image

from mercato.v1 import media_pb2
from mercato.v1.audit_pb2 import ListAuditLogRequest
from mercato.v1.catalog_pb2 import (
    CreateProductRequest,
    DeleteProductRequest,
    GetProductRequest,
    ListProductsRequest,
    Product,
    ProductGroup,
    ProductOption,
    UpdateProductRequest,
    UpsertProductGroupRequest,
)
from mercato.v1.money_pb2 import Money
from mercato.v1.picture_pb2 import Picture
from mercato_server.config.picture_settings import PictureSettings
from mercato_server.config.settings import Settings
from mercato_server.database.pool import Pool
from mercato_server.database.transactions import transaction
from mercato_server.domain.pictures import UPLOAD_MAX_BYTES
from mercato_server.domain.slugs import SlugKind
from mercato_server.jobs.queues import Job, LaterError
from mercato_server.pictures import decoding
from mercato_server.pictures.missing import find
from mercato_server.pictures.storage import Storage
from mercato_server.pictures.sweeper import sweep, sweep_files
from mercato_server.pictures.verifier import STOPS, Verifier
from mercato_server.store import shown_pictures, slugs
from support.patience import patient, until
from support.picture_files import HEIC, HTML, encoded, halves, with_place
from support.pictures import contents, created, ended_by, left, own_directory, own_storage, sent, settled, show, uploaded, verifying
from support.s3_server import S3Server
from support.shop import CALL_S, Person, Shop, refusal, worker

DAY_S = 24 * 60 * 60.0
REFUSED, WAITING = media_pb2.PICTURE_UPLOAD_STATE_REFUSED, media_pb2.PICTURE_UPLOAD_STATE_WAITING
PENDING, READY = media_pb2.PICTURE_UPLOAD_STATE_PENDING, media_pb2.PICTURE_UPLOAD_STATE_READY
ABSENT = "0" * 64


DIRECTORY = pytest.mark.parametrize("kind", ["directory"], indirect=True)
"""For tests of what a bucket does otherwise: tests/rpc/test_picture_bucket.py."""


@pytest.fixture(params=["directory", "bucket"])
def kind(request: pytest.FixtureRequest) -> str:
    """The storage of the files."""
    return str(request.param)


@pytest.fixture
def settings(settings: Settings, kind: str, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    if kind == "directory":
        return own_directory(settings, tmp_path / "pictures")
    monkeypatch.setattr("mercato_server.pictures.bucket.KEPT_S", 0.0)  # another worker deletes, so this one must not remember
    for limit in ("CALL_S", "COMPLETE_S"):  # the server of the tests shares the machine
        monkeypatch.setattr(f"mercato_server.pictures.bucket.{limit}", patient())
    s3: S3Server = request.getfixturevalue("s3")
    return own_directory(settings, tmp_path / "pictures", s3.bucket())


@pytest.fixture
async def storage(settings: Settings) -> AsyncIterator[Storage]:
    async with verifying(settings) as storage:
        yield storage


@pytest.fixture
async def admin(shop: Shop) -> Person:
    return await shop.person(admin=True)


async def a_product(shop: Shop, admin: Person, **fields: object) -> Product:
    product = Product(name="Ball", price=Money(minor_units=100), **fields)  # type: ignore[arg-type]
    made: Product = await shop.catalog.CreateProduct(CreateProductRequest(product=product), metadata=admin.metadata)
    return made


async def read(shop: Shop, product: Product) -> Product:
    found: Product = await shop.catalog.GetProduct(GetProductRequest(product_id=product.id))
    return found


async def updated(shop: Shop, admin: Person, product: Product, *paths: str) -> Product:
    request = UpdateProductRequest(product=product)
    request.update_mask.paths.extend(paths)
    found: Product = await shop.catalog.UpdateProduct(request, metadata=admin.metadata)
    return found


async def content_of(shop: Shop, url: str) -> bytes:
    answer = await shop.media.GetPicture(media_pb2.GetPictureRequest(name=url.rpartition("/")[2]))
    assert answer.content_type == "image/webp"
    return bytes(answer.data)


def ids(product: Product) -> list[str]:
    return [picture.id for picture in product.pictures]


async def test_an_upload_becomes_a_picture_that_a_product_shows(shop: Shop, admin: Person, storage: Storage, settings: Settings) -> None:
    picture = await uploaded(shop, admin, with_place(halves(2_000, 1_000)))
    product = await show(shop, admin, (await a_product(shop, admin)).id, [picture.id])
    assert product == await read(shop, product)
    assert product == (await shop.catalog.ListProducts(ListProductsRequest())).products[0]
    [shown] = product.pictures
    assert (shown.id, shown.alt) == (picture.id, f"of {picture.id[:4]}")
    for rendition, side in ((shown.small, (320, 160)), (shown.medium, (800, 400)), (shown.large, (1_600, 800))):
        image = Image.open(io.BytesIO(await content_of(shop, rendition.url)))
        assert image.size == side == (rendition.width, rendition.height)
    assert list(product.image_urls) == [shown.large.url]
    assert len(left(settings)) == 3  # the upload is dropped


async def test_the_same_file_is_the_same_picture(shop: Shop, admin: Person, storage: Storage, settings: Settings) -> None:
    first, second = await uploaded(shop, admin, encoded(halves(), "PNG")), await uploaded(shop, admin, encoded(halves(), "PNG"))
    assert first == second
    assert len(left(settings)) == 3


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (HEIC, "PICTURE_HEIC"),
        (HTML, "PICTURE_TYPE"),
        (encoded(halves(), "GIF") + HTML, "PICTURE_POLYGLOT"),
        (encoded(halves(640, 480), "JPEG")[:-300], "PICTURE_TRUNCATED"),
    ],
    ids=["HEIC", "HTML", "polyglot", "truncated"],
)
async def test_a_file_that_is_no_picture_is_refused_and_dropped(
    shop: Shop, admin: Person, storage: Storage, content: bytes, reason: str, settings: Settings
) -> None:
    upload = await settled(shop, admin, (await sent(shop, admin, content)).id)
    assert (upload.state, upload.refusal_reason, upload.HasField("picture")) == (REFUSED, reason, False)
    assert upload.refusal_message
    await until(lambda: not left(settings))


async def test_pictures_keep_their_order_and_texts_and_are_removed_by_leaving_them_out(shop: Shop, admin: Person, storage: Storage) -> None:
    one, two, three = [(await uploaded(shop, admin, encoded(halves(size, 9), "PNG"))).id for size in (40, 50, 60)]
    product = await a_product(shop, admin, image_urls=["https://example.com/a.jpg"])
    for wanted in ([one, two, three], [three, one, two], [two], [one, three], []):
        product = await show(shop, admin, product.id, wanted)
        assert ids(product) == wanted == ids(await read(shop, product))
        assert list(product.image_urls) == [*(picture.large.url for picture in product.pictures), "https://example.com/a.jpg"]


async def test_a_put_of_what_was_read_changes_no_picture(shop: Shop, admin: Person, storage: Storage) -> None:
    picture = await uploaded(shop, admin, encoded(halves(), "PNG"))
    product = await show(shop, admin, (await a_product(shop, admin, image_urls=["https://example.com/a.jpg"])).id, [picture.id])
    again = await updated(shop, admin, product, "image_urls", "name")
    assert (again.pictures, again.image_urls) == (product.pictures, product.image_urls)
    assert again.etag != product.etag


async def test_image_urls_remove_sort_and_add_pictures(shop: Shop, admin: Person, storage: Storage) -> None:
    one, two = [(await uploaded(shop, admin, encoded(halves(size, 9), "PNG"))) for size in (40, 50)]
    product = await show(shop, admin, (await a_product(shop, admin)).id, [one.id, two.id])
    for wanted in ([two.large.url, one.small.url], [two.large.url], [], [one.large.url]):
        product = await updated(shop, admin, Product(id=product.id, image_urls=wanted), "image_urls")
        assert [url.rpartition("-")[0] for url in product.image_urls] == [url.rpartition("-")[0] for url in wanted]
    other = await a_product(shop, admin, image_urls=[one.medium.url, "https://example.com/a.jpg"])
    assert (ids(other), list(other.image_urls)) == ([one.id], [one.large.url, "https://example.com/a.jpg"])


async def test_urls_below_another_address_are_taken_back_too(settings: Settings, pool: "Pool", storage: Storage) -> None:
    base = "https://cdn.example.com/shop"
    async with worker(replace(settings, pictures=replace(settings.pictures, url=base)), pool) as shop:
        admin = await shop.person(admin=True)
        picture = await uploaded(shop, admin, encoded(halves(), "PNG"))
        assert picture.large.url == f"{base}/pictures/{picture.id}-large.webp"
        product = await a_product(shop, admin, image_urls=[picture.large.url])
        assert list(product.image_urls) == [picture.large.url] == list((await updated(shop, admin, product, "image_urls")).image_urls)
        assert ids(product) == [picture.id]


async def test_a_picture_that_is_not_there_changes_nothing(shop: Shop, admin: Person, storage: Storage) -> None:
    product = await a_product(shop, admin)
    url = f"/pictures/{ABSENT}-large.webp"
    calls = (
        show(shop, admin, product.id, [ABSENT]),
        updated(shop, admin, Product(id=product.id, image_urls=[url]), "image_urls"),
        a_product(shop, admin, image_urls=[url]),
        content_of(shop, url),
    )
    for call in calls:
        error = await refusal(call)
        assert (error.code, error.reason) == (StatusCode.NOT_FOUND, "PICTURE_NOT_FOUND")
    assert await read(shop, product) == product


async def test_names_of_files_that_are_no_renditions_are_not_found(shop: Shop, admin: Person, storage: Storage) -> None:
    picture = await uploaded(shop, admin, encoded(halves(), "PNG"))
    for name in ("", "..", f"../{picture.id}-large.webp", f"{picture.id}-huge.webp", f"{picture.id.upper()}-large.webp", picture.id):
        assert (await refusal(shop.media.GetPicture(media_pb2.GetPictureRequest(name=name)))).reason == "PICTURE_NOT_FOUND"


async def test_an_upsert_takes_slugs_and_pictures_after_the_words_of_the_search(
    shop: Shop, admin: Person, pool: "Pool", storage: Storage
) -> None:
    picture, ball = await uploaded(shop, admin, encoded(halves(), "PNG")), await a_product(shop, admin)
    variant = Product(name="Red Ball", price=Money(minor_units=100), image_urls=[picture.large.url])
    variant.options.add(name="Size", value="5")
    request = UpsertProductGroupRequest(group=ProductGroup(name="Balls", code="BALLS", varies_by=["Size"]), variants=[variant])
    async with transaction(pool) as conn:
        await conn.execute("SELECT FROM search_words WHERE word = 'ball' FOR UPDATE")
        writing = asyncio.ensure_future(shop.catalog.UpsertProductGroup(request, metadata=admin.metadata))
        await until(partial(pool.fetchval, "SELECT count(*) FROM pg_locks WHERE NOT granted"))
        async with transaction(pool) as other:
            await other.execute("SET LOCAL lock_timeout = '100ms'")
            await slugs.put(other, SlugKind.PRODUCT, {UUID(ball.id): "red-ball"})
            await other.execute("SELECT FROM pictures WHERE digest = $1 FOR NO KEY UPDATE", bytes.fromhex(picture.id))
    made = Product(id=(await writing).variants[0].product_id)
    assert ids(await read(shop, made)) == [picture.id]
    assert (await read(shop, ball)).slug == "red-ball"


async def test_a_product_has_twenty_pictures_at_most(shop: Shop, admin: Person, storage: Storage) -> None:
    picture = await uploaded(shop, admin, encoded(halves(), "PNG"))
    external = [f"https://example.com/{number}.jpg" for number in range(20)]
    product = await a_product(shop, admin, image_urls=external)
    error = await refusal(show(shop, admin, product.id, [picture.id]))
    assert (error.code, error.reason) == (StatusCode.FAILED_PRECONDITION, "PICTURES_LIMIT")
    error = await refusal(a_product(shop, admin, image_urls=[*external, picture.large.url]))
    assert (error.reason, error.fields) == ("INVALID_FIELD", ["product.image_urls"])
    too_many = [f"{number:064x}" for number in range(21)]
    assert (await refusal(show(shop, admin, product.id, too_many))).fields == ["pictures"]


async def test_texts_and_ids_are_checked(shop: Shop, admin: Person) -> None:
    shown = media_pb2.SetProductPicturesRequest.Shown
    wanted = [shown(picture_id="x"), shown(picture_id=ABSENT, alt="a" * 501), shown(picture_id=ABSENT)]
    request = media_pb2.SetProductPicturesRequest(product_id="y", pictures=wanted)
    error = await refusal(shop.media.SetProductPictures(request, metadata=admin.metadata))
    assert error.fields == ["product_id", "pictures[0].picture_id", "pictures[1].alt", "pictures[2].picture_id"]


async def test_an_old_etag_changes_nothing(shop: Shop, admin: Person, storage: Storage) -> None:
    picture = await uploaded(shop, admin, encoded(halves(), "PNG"))
    product = await a_product(shop, admin)
    newer = await show(shop, admin, product.id, [picture.id], etag=product.etag)
    assert (await refusal(show(shop, admin, product.id, [], etag=product.etag))).reason == "ETAG_MISMATCH"
    assert await read(shop, product) == newer


async def test_an_upsert_that_changes_pictures_alone_tells_the_audit_log_which(shop: Shop, admin: Person, storage: Storage) -> None:
    picture = await uploaded(shop, admin, encoded(halves(), "PNG"))
    [url] = (await show(shop, admin, (await a_product(shop, admin)).id, [picture.id])).image_urls
    group = ProductGroup(name="Shirt", code="SHIRT", varies_by=["Size"])
    for urls in ([], [url], []):
        variant = Product(name="S", price=Money(minor_units=1), options=[ProductOption(name="Size", value="S")], image_urls=urls)
        upsert = UpsertProductGroupRequest(group=group, variants=[variant])
        await shop.catalog.UpsertProductGroup(upsert, metadata=admin.metadata)
    rows = await shop.pool.fetch("SELECT before, after FROM audit_log WHERE action = 'product.updated' ORDER BY id")
    told = [[json.loads(text)["pictures"] for text in row] for row in rows]
    assert [[before and json.loads(before)[0]["picture"], after and json.loads(after)[0]["picture"]] for before, after in told] == [
        [None, picture.id],
        [picture.id, None],
    ]


async def test_an_upload_and_its_file_are_in_the_audit_log(shop: Shop, admin: Person) -> None:
    upload = await sent(shop, admin, b"a file")
    entries = (await shop.audit.ListAuditLog(ListAuditLogRequest(subject_id=upload.id), metadata=admin.metadata)).entries
    assert [(entry.action, entry.actor_id) for entry in entries] == [
        ("picture_upload.received", admin.id),
        ("picture_upload.created", admin.id),
    ]


@DIRECTORY
async def test_an_upload_takes_one_file(shop: Shop, admin: Person, tmp_path: Path) -> None:
    upload = await sent(shop, admin, b"first")
    call = shop.media.UploadPictureContent(contents(upload.id, b"second"), metadata=admin.metadata, timeout=CALL_S)
    assert (await refusal(call)).reason == "PICTURE_UPLOAD_STATE"
    [file] = (tmp_path / "pictures/uploads").iterdir()
    assert file.read_bytes() == b"first"


@DIRECTORY
async def test_of_two_files_for_one_upload_at_the_same_time_one_is_taken(shop: Shop, admin: Person, settings: Settings) -> None:
    upload = await shop.media.CreatePictureUpload(media_pb2.CreatePictureUploadRequest(), metadata=admin.metadata)
    calls = [
        shop.media.UploadPictureContent(contents(upload.id, content), metadata=admin.metadata, timeout=CALL_S)
        for content in (b"first", b"second", b"third")
    ]
    answers = await asyncio.gather(*calls, return_exceptions=True)
    assert sum(isinstance(each, media_pb2.PictureUpload) for each in answers) == 1
    assert len(left(settings)) == 1


@DIRECTORY
async def test_an_expired_upload_takes_no_file(shop: Shop, admin: Person, pool: "Pool", settings: Settings) -> None:
    upload = await shop.media.CreatePictureUpload(media_pb2.CreatePictureUploadRequest(), metadata=admin.metadata)
    await pool.execute("UPDATE picture_uploads SET expires_at = now()")
    call = shop.media.UploadPictureContent(contents(upload.id, b"late"), metadata=admin.metadata, timeout=CALL_S)
    assert (await refusal(call)).reason == "PICTURE_UPLOAD_STATE"
    assert left(settings) == []


@DIRECTORY
async def test_an_upload_that_breaks_off_leaves_nothing(shop: Shop, admin: Person, settings: Settings) -> None:
    upload = await shop.media.CreatePictureUpload(media_pb2.CreatePictureUploadRequest(), metadata=admin.metadata)
    begun = asyncio.Event()

    async def broken() -> AsyncIterator[media_pb2.UploadPictureContentRequest]:
        yield media_pb2.UploadPictureContentRequest(upload_id=upload.id, content=HttpBody(data=b"x" * 300_000))
        begun.set()
        await asyncio.Event().wait()

    call = shop.media.UploadPictureContent(broken(), metadata=admin.metadata, timeout=CALL_S)
    await begun.wait()
    await until(lambda: left(settings))
    call.cancel()
    await until(lambda: not left(settings))
    found = await shop.media.GetPictureUpload(media_pb2.GetPictureUploadRequest(upload_id=upload.id), metadata=admin.metadata)
    assert found.state == WAITING


@DIRECTORY
async def test_a_file_beyond_the_limit_and_an_empty_one_leave_nothing(shop: Shop, admin: Person, settings: Settings) -> None:
    for content, reason in ((b"x" * (UPLOAD_MAX_BYTES + 1), "REQUEST_TOO_LARGE"), (b"", "INVALID_FIELD")):
        assert (await refusal(sent(shop, admin, content))).reason == reason
        assert left(settings) == []


@DIRECTORY
async def test_a_file_at_the_limit_is_taken(shop: Shop, admin: Person, tmp_path: Path) -> None:
    await sent(shop, admin, b"x" * UPLOAD_MAX_BYTES)
    [file] = (tmp_path / "pictures/uploads").iterdir()
    assert file.stat().st_size == UPLOAD_MAX_BYTES


async def test_a_buyer_uploads_nothing(shop: Shop, settings: Settings) -> None:
    buyer = await shop.person()
    assert (await refusal(sent(shop, buyer, b"x"))).reason == "ADMIN_ONLY"
    call = shop.media.UploadPictureContent(contents(ABSENT, b"x"), metadata=buyer.metadata, timeout=CALL_S)
    assert (await refusal(call)).reason == "ADMIN_ONLY"
    assert left(settings) == []


@DIRECTORY
async def test_a_shop_without_a_directory_takes_no_pictures(settings: Settings, pool: "Pool") -> None:
    async with worker(replace(settings, pictures=PictureSettings()), pool) as shop:
        admin = await shop.person(admin=True)
        assert (await refusal(sent(shop, admin, b"x"))).reason == "PICTURES_OFF"
        assert (await refusal(content_of(shop, f"{ABSENT}-large.webp"))).reason == "PICTURE_NOT_FOUND"


async def test_the_uploads_that_are_open_are_bounded(shop: Shop, admin: Person, pool: "Pool") -> None:
    await pool.execute("INSERT INTO picture_uploads (expires_at) SELECT now() + interval '1 hour' FROM generate_series(1, 1000)")
    error = await refusal(created(shop, admin, 1))
    assert (error.code, error.reason) == (StatusCode.RESOURCE_EXHAUSTED, "TOO_MANY_UPLOADS")
    await pool.execute("UPDATE picture_uploads SET expires_at = now()")
    await created(shop, admin, 1)
    await pool.execute("UPDATE picture_uploads SET state = 'pending', file = id")
    assert (await refusal(created(shop, admin, 1))).code == error.code


async def pending(shop: Shop, admin: Person, content: bytes, attempts: int = 0) -> Job:
    """Return the job of an upload that no worker verifies."""
    return Job(UUID((await sent(shop, admin, content)).id), attempts, keep=lambda: None)


async def state(shop: Shop, admin: Person, job: Job) -> tuple[int, str]:
    request = media_pb2.GetPictureUploadRequest(upload_id=str(job.row_id))
    upload = await shop.media.GetPictureUpload(request, metadata=admin.metadata)
    return upload.state, upload.refusal_reason


async def test_a_decoder_that_is_stopped_from_outside_is_tried_again_a_few_times(
    shop: Shop, admin: Person, pool: "Pool", monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    job = await pending(shop, admin, encoded(halves(), "PNG"))
    verifier = Verifier(pool, own_storage(settings), keep_originals=False)
    monkeypatch.setattr(decoding, "COMMAND", ended_by(signal.SIGKILL))
    for attempts in range(STOPS):
        with pytest.raises(LaterError):
            await verifier.queue.handle(replace(job, attempts=attempts))
        assert await state(shop, admin, job) == (PENDING, "")
        assert len(left(settings)) == 1
    await verifier.queue.handle(replace(job, attempts=STOPS))
    assert await state(shop, admin, job) == (REFUSED, "PICTURE_COSTLY")


async def test_a_fault_of_the_shop_refuses_no_picture(
    shop: Shop, admin: Person, pool: "Pool", monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    job = await pending(shop, admin, encoded(halves(), "PNG"), attempts=100)
    verifier = Verifier(pool, own_storage(settings), keep_originals=False)
    with monkeypatch.context() as patched:
        patched.setattr(decoding, "COMMAND", ("/absent/python",))
        with pytest.raises(LaterError):
            await verifier.queue.handle(job)
    assert await state(shop, admin, job) == (PENDING, "")
    await verifier.queue.handle(job)
    assert await state(shop, admin, job) == (READY, "")


@DIRECTORY
async def test_a_worker_that_ends_after_it_made_a_picture_has_kept_the_original(
    shop: Shop, admin: Person, pool: "Pool", tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    """The upload cannot be dropped, as after the end of a worker; nothing comes back to it, since its row is settled."""
    content = encoded(halves(), "PNG")
    job = await pending(shop, admin, content)
    storage = own_storage(settings)
    verifier = Verifier(pool, storage, keep_originals=True)
    monkeypatch.setattr(storage.files, "drop", lambda _: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        await verifier.queue.handle(job)
    assert await state(shop, admin, job) == (READY, "")
    await sweep_files(pool, own_storage(settings), 0, age_s=0)
    [original] = (tmp_path / "pictures/originals").iterdir()
    assert original.read_bytes() == content
    assert not list((tmp_path / "pictures/uploads").iterdir())


@DIRECTORY
async def test_the_original_of_a_picture_that_is_uploaded_again_stays(
    settings: Settings, shop: Shop, admin: Person, tmp_path: Path
) -> None:
    content = encoded(halves(), "PNG")
    async with verifying(replace(settings, pictures=replace(settings.pictures, keep_originals=True))):
        assert await uploaded(shop, admin, content) == await uploaded(shop, admin, content)
        await until(lambda: len(left(settings)) == 4)
    [original] = (tmp_path / "pictures/originals").iterdir()
    assert original.read_bytes() == content


@DIRECTORY
async def test_originals_are_kept_if_the_operator_wants_them(settings: Settings, shop: Shop, admin: Person, tmp_path: Path) -> None:
    content = encoded(halves(), "PNG")
    async with verifying(replace(settings, pictures=replace(settings.pictures, keep_originals=True))):
        picture = await uploaded(shop, admin, content)
        original = tmp_path / "pictures/originals" / picture.id
        await until(original.exists)
    assert original.read_bytes() == content
    assert (await refusal(content_of(shop, picture.id))).reason == "PICTURE_NOT_FOUND"


async def swept(pool: "Pool", storage: Storage) -> None:
    await sweep(pool, storage, unused_s=0)


async def test_a_sweep_deletes_what_no_product_shows_and_nothing_else(
    shop: Shop, admin: Person, pool: "Pool", storage: Storage, settings: Settings
) -> None:
    shared, alone, loose = [(await uploaded(shop, admin, encoded(halves(size, 9), "PNG"))) for size in (40, 50, 60)]
    one, two = await a_product(shop, admin), await a_product(shop, admin)
    await show(shop, admin, one.id, [shared.id, alone.id])
    await show(shop, admin, two.id, [shared.id])
    await swept(pool, storage)
    assert {name.partition("-")[0] for name in left(settings)} == {shared.id, alone.id}
    await show(shop, admin, one.id, [])
    await swept(pool, storage)
    assert {name.partition("-")[0] for name in left(settings)} == {shared.id}
    assert len(await content_of(shop, shared.large.url)) > 0
    for gone in (alone, loose):
        assert (await refusal(content_of(shop, gone.large.url))).reason == "PICTURE_NOT_FOUND"
        assert (await refusal(show(shop, admin, one.id, [gone.id]))).reason == "PICTURE_NOT_FOUND"
    assert await pool.fetchval("SELECT count(*) FROM pictures") == 1


async def test_a_picture_that_was_just_removed_or_uploaded_stays_for_a_day(
    shop: Shop, admin: Person, pool: "Pool", storage: Storage
) -> None:
    picture = await uploaded(shop, admin, encoded(halves(), "PNG"))
    await sweep(pool, storage, DAY_S)
    product = await show(shop, admin, (await a_product(shop, admin)).id, [picture.id])
    await pool.execute("UPDATE pictures SET created_at = now() - interval '9 days'")
    await show(shop, admin, product.id, [])
    await sweep(pool, storage, DAY_S)
    assert ids(await show(shop, admin, product.id, [picture.id])) == [picture.id]
    await pool.execute("UPDATE pictures SET unused_at = now() - interval '25 hours'")
    await sweep(pool, storage, DAY_S)
    assert len(await content_of(shop, picture.small.url)) > 0


async def test_a_picture_that_a_deleted_product_has_stays_for_its_orders(shop: Shop, admin: Person, pool: "Pool", storage: Storage) -> None:
    picture = await uploaded(shop, admin, encoded(halves(), "PNG"))
    product = await show(shop, admin, (await a_product(shop, admin)).id, [picture.id])
    await shop.catalog.DeleteProduct(DeleteProductRequest(product_id=product.id), metadata=admin.metadata)
    await swept(pool, storage)
    assert len(await content_of(shop, picture.large.url)) > 0


async def test_a_condemned_picture_that_is_uploaded_again_lives(shop: Shop, admin: Person, pool: "Pool", storage: Storage) -> None:
    content = encoded(halves(), "PNG")
    picture = await uploaded(shop, admin, content)
    assert await shown_pictures.condemn(pool, 0) == 1
    await storage.remove([bytes.fromhex(picture.id)])  # a sweep that was killed before it deleted the row
    product = await a_product(shop, admin)
    assert (await refusal(show(shop, admin, product.id, [picture.id]))).reason == "PICTURE_NOT_FOUND"
    assert await uploaded(shop, admin, content) == picture
    assert ids(await show(shop, admin, product.id, [picture.id])) == [picture.id]
    await swept(pool, storage)
    assert len(await content_of(shop, picture.large.url)) > 0


@DIRECTORY
async def test_files_that_no_row_needs_are_swept(shop: Shop, admin: Person, pool: "Pool", settings: Settings, tmp_path: Path) -> None:
    directory = tmp_path / "pictures"
    async with verifying(settings) as storage:
        picture = await uploaded(shop, admin, encoded(halves(), "PNG"))
        kept = left(settings)
    await sent(shop, admin, b"waits for a worker")
    waiting = [path.name for path in (directory / "uploads").iterdir()]
    (directory / "uploads" / ("a" * 32)).write_bytes(b"broken off")
    (directory / "work" / "left").mkdir(parents=True)
    shelf = directory / "renditions" / "00"
    shelf.mkdir(exist_ok=True)
    (shelf / f"{ABSENT}-large.webp").write_bytes(b"its worker was killed")
    await sweep_files(pool, storage, 0)
    assert len(left(settings)) == len(kept) + 3
    for number in (0, int(picture.id[:2], 16)):
        await sweep_files(pool, storage, number, age_s=0)
    assert left(settings) == sorted([*kept, *waiting])
    assert not list((directory / "work").iterdir())


@DIRECTORY
async def test_a_sweep_of_files_looks_at_all_of_them(
    pool: "Pool", tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    """Files that stay, however many, do not hide those behind them."""
    monkeypatch.setattr("mercato_server.pictures.files.CHUNK", 2)
    shelf, uploads = tmp_path / "pictures/renditions/00", tmp_path / "pictures/uploads"
    shelf.mkdir(parents=True)
    uploads.mkdir()
    digests = [number.to_bytes(32, "big") for number in range(20)]
    for digest in digests:
        (shelf / f"{digest.hex()}-large.webp").touch()
        (uploads / digest.hex()[32:]).touch()
    known, waiting = digests[:10], [digest.hex()[32:] for digest in digests[:10]]
    add = "INSERT INTO pictures (digest, widths, heights) SELECT digest, '{1,1,1}', '{1,1,1}' FROM unnest($1::bytea[]) AS digest"
    await pool.execute(add, known)
    owe = "INSERT INTO picture_uploads (state, file, expires_at) SELECT 'pending', file, now() FROM unnest($1::text[]) AS file"
    await pool.execute(owe, waiting)
    await sweep_files(pool, own_storage(settings), 0, age_s=0)
    assert left(settings) == sorted([*waiting, *(f"{digest.hex()}-large.webp" for digest in known)])


async def test_an_attachment_beside_a_sweep_shows_a_picture_that_stays(
    shop: Shop, admin: Person, pool: "Pool", storage: Storage, race_rounds: int
) -> None:
    product = await a_product(shop, admin)

    async def attached(picture: Picture) -> Product | None:
        try:
            return await show(shop, admin, product.id, [picture.id])
        except grpc.aio.AioRpcError as error:
            assert error.code() is StatusCode.NOT_FOUND, error  # noqa: PT017 - the sweep was first
            return None

    async def swept_after(seconds: float) -> None:
        await asyncio.sleep(seconds)
        await swept(pool, storage)

    for number in range(race_rounds):
        picture = await uploaded(shop, admin, encoded(halves(40 + number, 9), "PNG"))
        shown, *_ = await asyncio.gather(attached(picture), *(swept_after(0.002 * delay) for delay in range(number % 4, number % 4 + 3)))
        await swept(pool, storage)
        if shown:
            assert len(await content_of(shop, picture.large.url)) > 0
            assert ids(await read(shop, product)) == [picture.id]
        else:
            assert (await refusal(content_of(shop, picture.large.url))).reason == "PICTURE_NOT_FOUND"


async def test_files_that_a_backup_of_the_kept_days_names_are_there_after_its_restore(
    shop: Shop, admin: Person, pool: "Pool", storage: Storage, settings: Settings
) -> None:
    picture, product = await uploaded(shop, admin, encoded(halves(), "PNG")), await a_product(shop, admin)
    await show(shop, admin, product.id, [picture.id])
    await show(shop, admin, product.id, [])
    await pool.execute("UPDATE pictures SET unused_at = now() - interval '29 days'")
    await sweep(pool, storage, 30 * DAY_S)
    await show(shop, admin, product.id, [picture.id])  # as the restored shop does
    async with pool.acquire() as conn:
        assert (await find(conn, storage)).violations == 0
    await show(shop, admin, product.id, [])
    await pool.execute("UPDATE pictures SET unused_at = now() - interval '31 days'")
    await sweep(pool, storage, 30 * DAY_S)
    assert not left(settings)


async def test_files_that_a_restored_shop_does_not_know_stay_for_the_kept_days(
    shop: Shop, admin: Person, pool: "Pool", storage: Storage, settings: Settings
) -> None:
    picture = await uploaded(shop, admin, encoded(halves(), "PNG"))
    shelf = int(picture.id[:2], 16)
    await pool.execute("DELETE FROM pictures")  # a restore to before its upload
    for days, stays in ((29, True), (31, False)):
        await pool.execute("UPDATE database_origin SET restored_at = now() - make_interval(days => $1)", days)
        await sweep_files(pool, storage, shelf, age_s=0, kept_s=30 * DAY_S)
        assert bool(left(settings)) is stays
