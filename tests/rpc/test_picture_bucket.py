"""Pictures in a bucket of S3: signed uploads, what is left of them, and a bucket that fails. SeaweedFS checks the signatures."""

import asyncio
import os
import re
import socket
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import httpx
import pytest
from grpc import StatusCode

from mercato.v1 import media_pb2
from mercato.v1.audit_pb2 import ListAuditLogRequest
from mercato.v1.catalog_pb2 import CreateProductRequest, Product
from mercato.v1.money_pb2 import Money
from mercato_server.cli.verify import VerifyError, check
from mercato_server.config.picture_settings import BucketSettings
from mercato_server.config.settings import Settings
from mercato_server.database.pool import Pool
from mercato_server.domain.pictures import UPLOAD_MAX_BYTES
from mercato_server.jobs.queues import Job, LaterError
from mercato_server.pictures.storage import Storage
from mercato_server.pictures.sweeper import sweep, sweep_files
from mercato_server.pictures.verifier import Verifier
from mercato_server.store import shown_pictures
from support.patience import patient, until
from support.picture_files import HTML, encoded, halves
from support.pictures import completed, contents, created, left, own_directory, own_storage, settled, show, uploaded, verifying
from support.s3_server import objects, put, send_signed
from support.shop import CALL_S, Person, Shop, refusal, worker

if TYPE_CHECKING:
    from support.s3_server import S3Server

WAITING, PENDING, READY, REFUSED = (
    media_pb2.PICTURE_UPLOAD_STATE_WAITING,
    media_pb2.PICTURE_UPLOAD_STATE_PENDING,
    media_pb2.PICTURE_UPLOAD_STATE_READY,
    media_pb2.PICTURE_UPLOAD_STATE_REFUSED,
)
FILE = encoded(halves(), "PNG")
DOCUMENT = (Path(__file__).parents[2] / "docs/pictures.md").read_text()
[POLICY], [CORS] = (re.findall(rf"```{kind}\n(.*?)```", DOCUMENT, re.DOTALL) for kind in ("json", "xml"))
"""The settings of a bucket that the documentation gives an operator."""


@pytest.fixture
def bucket(s3: "S3Server") -> BucketSettings:
    return s3.bucket()


@pytest.fixture
def settings(settings: Settings, bucket: BucketSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    for limit in ("CALL_S", "COMPLETE_S"):  # the server of the tests shares the machine
        monkeypatch.setattr(f"mercato_server.pictures.bucket.{limit}", patient())
    return own_directory(settings, tmp_path / "pictures", bucket)


@pytest.fixture
async def admin(shop: Shop) -> Person:
    return await shop.person(admin=True)


@pytest.fixture
async def storage(settings: Settings) -> AsyncIterator[Storage]:
    async with verifying(settings) as storage:
        yield storage


def key(upload: media_pb2.PictureUpload) -> str:
    return f"uploads/{UUID(upload.id).hex}"


async def state(shop: Shop, admin: Person, upload: media_pb2.PictureUpload) -> tuple[int, str]:
    found = await shop.media.GetPictureUpload(media_pb2.GetPictureUploadRequest(upload_id=upload.id), metadata=admin.metadata)
    return found.state, found.refusal_reason


async def test_a_second_use_of_a_signed_url_changes_nothing_that_is_shown(
    shop: Shop, admin: Person, pool: "Pool", storage: Storage, bucket: BucketSettings
) -> None:
    upload = await created(shop, admin, len(FILE))
    assert (await put(upload.upload_url, FILE)).is_success
    await completed(shop, admin, upload.id)
    picture = (await settled(shop, admin, upload.id)).picture
    renditions = [key for key in objects(bucket) if key.startswith("pictures/")]
    await until(lambda: objects(bucket) == renditions)  # the file is deleted
    bad = HTML + bytes(len(FILE) - len(HTML))
    assert (await put(upload.upload_url, bad)).is_success
    assert (await completed(shop, admin, upload.id)).picture == picture
    await sweep_files(pool, storage, 0, age_s=0)
    assert objects(bucket) == renditions
    assert (await settled(shop, admin, upload.id)).picture == picture
    await until(lambda: pool.fetchval("SELECT count(*) = 0 FROM pgqueuer WHERE entrypoint = 'picture'"))


async def test_a_signed_url_takes_one_key_one_length_and_only_for_its_time(shop: Shop, admin: Person, bucket: BucketSettings) -> None:
    upload, other = await created(shop, admin, len(FILE)), await created(shop, admin, len(FILE))
    url = upload.upload_url
    for refused in (
        await put(url, FILE + b"x"),
        await put(url, FILE[:-1]),
        await put(url.replace(key(upload), key(other)), FILE),
        await put(url.replace(key(upload), f"pictures/{'0' * 64}-large.webp"), FILE),
        await put(re.sub("X-Amz-Expires=[0-9]+", "X-Amz-Expires=36000", url), FILE),
    ):
        assert refused.status_code == 403, refused.text
    async with httpx.AsyncClient() as client:
        assert [(await client.get(url)).status_code, (await client.delete(url)).status_code] == [403, 403]
    assert objects(bucket) == []
    assert re.search("X-Amz-Expires=3600&", url)


async def test_a_signed_url_ends_with_its_upload(shop: Shop, admin: Person, pool: "Pool", settings: Settings) -> None:
    upload = await created(shop, admin, len(FILE))
    row = await pool.fetchrow(
        "SELECT created_at - interval '1 hour' AS created, expires_at - interval '1 hour' AS expires FROM picture_uploads"
    )
    assert row is not None
    url = own_storage(settings).upload_url(UUID(upload.id), row["created"], row["expires"], len(FILE))
    refused = await put(url, FILE)
    assert (refused.status_code, "expired" in refused.text) == (403, True)


async def test_only_the_answer_of_a_creation_has_the_url_and_no_key_stores_it(shop: Shop, admin: Person, pool: "Pool") -> None:
    request = media_pb2.CreatePictureUploadRequest(content_length=len(FILE))
    metadata = (*admin.metadata, ("idempotency-key", "once"))
    first, again = [await shop.media.CreatePictureUpload(request, metadata=metadata) for _ in "12"]
    assert first == again
    assert first.content_length == len(FILE)
    assert (await put(first.upload_url, FILE)).is_success
    found = await shop.media.GetPictureUpload(media_pb2.GetPictureUploadRequest(upload_id=first.id), metadata=admin.metadata)
    assert (found.upload_url, (await completed(shop, admin, first.id)).upload_url) == ("", "")
    stored = await pool.fetch("SELECT * FROM idempotency_keys")
    assert stored
    assert "X-Amz" not in str(stored)


async def test_a_length_is_needed_and_bounded(shop: Shop, admin: Person) -> None:
    for length in (0, -1, UPLOAD_MAX_BYTES + 1):
        error = await refusal(created(shop, admin, length))
        assert (error.reason, error.fields) == ("INVALID_FIELD", ["content_length"])
    await created(shop, admin, UPLOAD_MAX_BYTES)


async def test_a_file_that_has_not_come_is_not_verified(shop: Shop, admin: Person, pool: "Pool") -> None:
    upload = await created(shop, admin, len(FILE))
    assert (await refusal(completed(shop, admin, upload.id))).reason == "PICTURE_UPLOAD_ABSENT"
    assert (await refusal(completed(shop, admin, str(uuid4())))).reason == "PICTURE_UPLOAD_NOT_FOUND"
    assert await state(shop, admin, upload) == (WAITING, "")
    await pool.execute("UPDATE picture_uploads SET expires_at = now()")
    assert (await refusal(completed(shop, admin, upload.id))).reason == "PICTURE_UPLOAD_STATE"


async def test_a_file_that_came_in_time_is_taken_later(shop: Shop, admin: Person, pool: "Pool", storage: Storage) -> None:
    upload = await created(shop, admin, len(FILE))
    assert (await put(upload.upload_url, FILE)).is_success
    await pool.execute("UPDATE picture_uploads SET expires_at = now()")
    await completed(shop, admin, upload.id)
    assert (await settled(shop, admin, upload.id)).state == READY


async def test_the_shop_itself_takes_no_file(shop: Shop, admin: Person) -> None:
    upload = await created(shop, admin, len(FILE))
    call = shop.media.UploadPictureContent(contents(upload.id, FILE), metadata=admin.metadata, timeout=CALL_S)
    assert (await refusal(call)).reason == "PICTURE_UPLOAD_ELSEWHERE"


async def test_the_file_of_a_client_that_has_died_is_taken_up(shop: Shop, admin: Person, pool: "Pool", storage: Storage) -> None:
    upload = await created(shop, admin, len(FILE))
    assert (await put(upload.upload_url, FILE)).is_success
    await sweep_files(pool, storage, 0, age_s=3_600)  # it is too young
    assert await state(shop, admin, upload) == (WAITING, "")
    await sweep_files(pool, storage, 0, age_s=0)
    assert (await settled(shop, admin, upload.id)).state == READY
    entries = (await shop.audit.ListAuditLog(ListAuditLogRequest(subject_id=upload.id), metadata=admin.metadata)).entries
    assert [(entry.action, entry.actor_id) for entry in entries] == [("picture_upload.received", ""), ("picture_upload.created", admin.id)]


async def test_an_object_that_is_too_large_or_empty_is_refused_without_being_kept(
    shop: Shop, admin: Person, pool: "Pool", settings: Settings, bucket: BucketSettings
) -> None:
    """The owner of the bucket can write what no signed URL takes."""
    verifier = Verifier(pool, own_storage(settings), keep_originals=False)
    for size in (0, UPLOAD_MAX_BYTES + 1):
        upload = await created(shop, admin, 1)
        assert send_signed("PUT", f"{bucket.url}/{key(upload)}", content=bytes(size)).is_success
        await completed(shop, admin, upload.id)
        await verifier.queue.handle(Job(UUID(upload.id), 0, keep=lambda: None))
        assert await state(shop, admin, upload) == (REFUSED, "PICTURE_SIZE")
        assert left(settings) == []


async def test_renditions_are_public_for_ever_and_uploads_are_not(
    shop: Shop, admin: Person, storage: Storage, bucket: BucketSettings
) -> None:
    picture = await uploaded(shop, admin, FILE)
    upload = await created(shop, admin, len(FILE))
    assert (await put(upload.upload_url, FILE)).is_success
    policy = POLICY.replace("my-shop-pictures", bucket.url.rpartition("/")[2])
    assert send_signed("PUT", bucket.url, "policy=", policy.encode()).is_success
    content = await shop.media.GetPicture(media_pb2.GetPictureRequest(name=picture.large.url.rpartition("/")[2]))
    async with httpx.AsyncClient() as anyone:
        served = await anyone.get(f"{bucket.url}{picture.large.url}")
        assert served.headers["content-type"] == "image/webp"
        assert served.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert served.content == content.data
        assert (await anyone.get(f"{bucket.url}/{key(upload)}")).status_code == 403
        assert (await anyone.get(bucket.url)).status_code == 403


async def test_a_browser_of_the_admins_site_may_send_files(shop: Shop, admin: Person, bucket: BucketSettings) -> None:
    assert send_signed("PUT", bucket.url, "cors=", CORS.encode()).is_success
    upload = await created(shop, admin, len(FILE))
    asks = {"origin": "https://admin.example.com", "access-control-request-method": "PUT", "access-control-request-headers": "content-type"}
    async with httpx.AsyncClient() as browser:
        asked = await browser.options(upload.upload_url, headers=asks)
        assert asked.headers["access-control-allow-origin"] in {"https://admin.example.com", "*"}
    sent = await put(upload.upload_url, FILE, {"origin": "https://admin.example.com", "content-type": "image/png"})
    assert sent.is_success
    assert sent.headers["access-control-allow-origin"] in {"https://admin.example.com", "*"}


async def test_originals_are_those_that_were_verified(
    shop: Shop, admin: Person, pool: "Pool", settings: Settings, bucket: BucketSettings
) -> None:
    upload = await created(shop, admin, len(FILE))
    assert (await put(upload.upload_url, FILE)).is_success
    await completed(shop, admin, upload.id)
    await Verifier(pool, own_storage(settings), keep_originals=True).queue.handle(Job(UUID(upload.id), 0, keep=lambda: None))
    [original] = [key for key in objects(bucket) if key.startswith("originals/")]
    assert send_signed("GET", f"{bucket.url}/{original}").content == FILE
    assert len(objects(bucket)) == 4


async def test_what_no_row_needs_is_swept_from_the_bucket(
    shop: Shop, admin: Person, pool: "Pool", settings: Settings, bucket: BucketSettings
) -> None:
    async with verifying(settings) as storage:
        picture = await uploaded(shop, admin, FILE)
    kept = [key for key in objects(bucket) if key.startswith("pictures/")]
    pending = await created(shop, admin, len(FILE))
    assert (await put(pending.upload_url, FILE)).is_success
    await completed(shop, admin, pending.id)
    for name in (f"uploads/{uuid4().hex}", f"pictures/{'0' * 64}-large.webp", f"pictures/{picture.id[:2]}{'0' * 62}-small.webp"):
        assert send_signed("PUT", f"{bucket.url}/{name}", content=b"x").is_success
    assert send_signed("PUT", f"{bucket.url}/other/file", content=b"x").is_success
    await sweep_files(pool, storage, 0, age_s=3_600)
    assert len(objects(bucket)) == len(kept) + 5
    for shelf in (0, int(picture.id[:2], 16)):
        await sweep_files(pool, storage, shelf, age_s=0)
    assert sorted(objects(bucket)) == sorted([*kept, key(pending), "other/file"])
    assert await pool.fetchval("SELECT count(*) FROM pictures") == 1


async def test_a_sweep_looks_at_all_chunks(
    pool: "Pool", settings: Settings, bucket: BucketSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mercato_server.pictures.bucket.CHUNK", 2)
    storage = own_storage(settings)
    names = [f"{number:02x}{'0' * 62}-large.webp" for number in range(8)]
    for name in names:
        assert send_signed("PUT", f"{bucket.url}/pictures/{name}", content=b"x").is_success
    found = [digest async for chunk in storage.old_digests(5, 0) for digest in chunk]
    assert found == [bytes.fromhex(names[5][:64])]
    assert await storage.missing([bytes.fromhex(name[:64]) for name in names[2:5]]) == [bytes.fromhex(name[:64]) for name in names[2:5]]


def failing(settings: Settings, **changes: str) -> Settings:
    """Return settings of a shop whose bucket cannot be used."""
    assert settings.pictures.bucket is not None
    return replace(settings, pictures=replace(settings.pictures, bucket=replace(settings.pictures.bucket, **changes)))


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        ({"secret_access_key": "wrong"}, "its bucket refuses the key of the shop"),
        ({"access_key_id": "unknown"}, "its bucket refuses the key of the shop"),
        ({"url": "absent"}, "its bucket does not exist"),
        ({"url": "down"}, "its bucket does not work"),
        ({"url": "broken"}, "its bucket does not work"),
        ({"url": "slow"}, "its bucket does not answer in time"),
    ],
    ids=["secret", "key", "no bucket", "down", "500", "slow"],
)
async def test_a_bucket_that_cannot_be_used_is_named_and_loses_nothing(
    settings: Settings,
    pool: "Pool",
    bucket: BucketSettings,
    port: int,
    monkeypatch: pytest.MonkeyPatch,
    change: dict[str, str],
    cause: str,
) -> None:
    urls = {"absent": f"{bucket.url}-x"} | dict.fromkeys(("down", "broken", "slow"), f"http://127.0.0.1:{port}/x")
    broken = failing(settings, **{name: urls.get(value, value) for name, value in change.items()})
    answering = {"broken": _answering_500, "slow": _never_answering}.get(change.get("url", ""), _not_there)
    if answering is _never_answering:
        for limit in ("CALL_S", "COMPLETE_S"):
            monkeypatch.setattr(f"mercato_server.pictures.bucket.{limit}", 0.1)
    with answering(port):
        async with worker(broken, pool) as shop:  # it starts, and serves all else
            admin = await shop.person(admin=True)
            upload = await created(shop, admin, len(FILE))
            error = await refusal(completed(shop, admin, upload.id))
            assert (error.code, error.reason, error.message.endswith(cause)) == (StatusCode.UNAVAILABLE, "PICTURES_UNAVAILABLE", True), (
                error
            )
            assert bucket.url not in str(error)
            name = f"{'0' * 64}-large.webp"
            assert (await refusal(shop.media.GetPicture(media_pb2.GetPictureRequest(name=name)))).reason == "PICTURES_UNAVAILABLE"
            await pool.execute("UPDATE picture_uploads SET state = 'pending', file = replace(id::text, '-', '')")
            if answering is not _never_answering:
                with pytest.raises(LaterError, match=cause):
                    await Verifier(pool, own_storage(broken), keep_originals=False).queue.handle(
                        Job(UUID(upload.id), 99, keep=lambda: None)
                    )
            assert await state(shop, admin, upload) == (PENDING, "")


async def test_the_demo_shop_tells_in_one_line_why_the_bucket_has_not_taken_its_pictures(bucket: BucketSettings, tmp_path: Path) -> None:
    endpoint, _, name = bucket.url.rpartition("/")
    settings = {"ENDPOINT": endpoint, "BUCKET": name, "ACCESS_KEY_ID": bucket.access_key_id, "SECRET_ACCESS_KEY": "wrong"}
    environ = {f"MERCATO_PICTURES_S3_{name}": value for name, value in settings.items()} | {"MERCATO_PICTURES_DIR": str(tmp_path)}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "mercato_server.pictures.demo_files"), env=os.environ | environ, stderr=asyncio.subprocess.PIPE
    )
    _, told = await process.communicate()
    lines = [line for line in told.decode().splitlines() if " [warning " not in line]  # the log has the details
    assert (process.returncode, lines) == (
        1,
        ["the storage of pictures cannot be used at the moment: its bucket refuses the key of the shop"],
    )


@contextmanager
def _served(port: int, handler: type[BaseHTTPRequestHandler]) -> Iterator[None]:
    with ThreadingHTTPServer(("127.0.0.1", port), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield
        server.shutdown()
        thread.join()


@contextmanager
def _answering_500(port: int) -> Iterator[None]:
    class Broken(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_error(500)

        def log_message(self, *_: object) -> None: ...

    with _served(port, Broken):
        yield


@contextmanager
def _forgetting(port: int, names: set[str]) -> Iterator[None]:
    """Delete objects as Google's server does, which answers 404 for one that is not there: cloud.google.com/storage/docs/xml-api."""

    class Forgetting(BaseHTTPRequestHandler):
        def do_DELETE(self) -> None:
            name = self.path.removeprefix("/x/")
            if name in names:
                names.remove(name)
                self.send_response(204)
                self.end_headers()
            else:
                self.send_error(404)

        def log_message(self, *_: object) -> None: ...

    with _served(port, Forgetting):
        yield


async def test_a_file_that_is_not_there_does_not_keep_the_others(settings: Settings, port: int) -> None:
    names = {f"pictures/{digit * 64}-{size}.webp" for digit in "0123456789abcdef" for size in ("small", "medium", "large")}
    names.remove(f"pictures/{'0' * 64}-small.webp")
    with _forgetting(port, names):
        storage = own_storage(failing(settings, url=f"http://127.0.0.1:{port}/x"))
        await storage.remove([bytes.fromhex(digit * 64) for digit in "0123456789abcdef"])
    assert names == set()


@contextmanager
def _never_answering(port: int) -> Iterator[None]:
    with socket.create_server(("127.0.0.1", port)):
        yield


@contextmanager
def _not_there(_: int) -> Iterator[None]:
    yield


async def test_a_bucket_that_fails_in_the_middle_of_a_picture_gets_all_of_it_later(
    shop: Shop, admin: Person, pool: "Pool", settings: Settings, bucket: BucketSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload = await created(shop, admin, len(FILE))
    assert (await put(upload.upload_url, FILE)).is_success
    await completed(shop, admin, upload.id)
    storage, broken = own_storage(settings), own_storage(failing(settings, secret_access_key="wrong"))
    verifier, job = Verifier(pool, storage, keep_originals=False), Job(UUID(upload.id), 0, keep=lambda: None)
    with monkeypatch.context() as patched:
        patched.setattr(storage, "store", broken.store)  # it is fetched, and then the bucket takes nothing
        with pytest.raises(LaterError):
            await verifier.queue.handle(job)
    assert await state(shop, admin, upload) == (PENDING, "")
    assert await pool.fetchval("SELECT condemned_at IS NOT NULL FROM pictures")
    await sweep(pool, storage, unused_s=0)
    assert await pool.fetchval("SELECT lease FROM pictures") == UUID(upload.id)  # the sweep leaves it to its upload
    with monkeypatch.context() as patched:
        patched.setattr(storage, "drop", broken.drop)  # the picture is there, and its upload cannot be deleted
        with pytest.raises(LaterError):
            await verifier.queue.handle(job)
    assert await state(shop, admin, upload) == (READY, "")
    assert len(objects(bucket)) == 4
    await verifier.queue.handle(job)
    await sweep_files(pool, storage, 0, age_s=0)
    assert len(objects(bucket)) == 3


async def test_a_sweep_that_fails_deletes_the_picture_later(
    shop: Shop, admin: Person, pool: "Pool", storage: Storage, settings: Settings, bucket: BucketSettings
) -> None:
    picture = await uploaded(shop, admin, FILE)
    broken = own_storage(failing(settings, secret_access_key="wrong"))
    with pytest.raises(Exception, match="refuses the key"):
        await sweep(pool, broken, unused_s=0)
    product = Product(name="Ball", price=Money(minor_units=100))
    made = await shop.catalog.CreateProduct(CreateProductRequest(product=product), metadata=admin.metadata)
    assert (await refusal(show(shop, admin, made.id, [picture.id]))).reason == "PICTURE_NOT_FOUND"
    await sweep(pool, storage, unused_s=0)
    assert len(objects(bucket)) == 3  # the lease of the sweep that failed still holds
    await pool.execute("UPDATE pictures SET leased_until = now()")
    await sweep(pool, storage, unused_s=0)
    assert objects(bucket) == []
    assert await pool.fetchval("SELECT count(*) FROM pictures") == 0


async def test_a_file_that_is_lost_is_refused_after_a_few_tries(
    shop: Shop, admin: Person, pool: "Pool", settings: Settings, bucket: BucketSettings
) -> None:
    upload = await created(shop, admin, len(FILE))
    assert (await put(upload.upload_url, FILE)).is_success
    await completed(shop, admin, upload.id)
    assert send_signed("DELETE", f"{bucket.url}/{key(upload)}").is_success
    verifier = Verifier(pool, own_storage(settings), keep_originals=False)
    with pytest.raises(LaterError):
        await verifier.queue.handle(Job(UUID(upload.id), 0, keep=lambda: None))
    await verifier.queue.handle(Job(UUID(upload.id), 5, keep=lambda: None))
    assert await state(shop, admin, upload) == (REFUSED, "PICTURE_BROKEN")


async def test_uploads_of_the_same_picture_beside_sweeps_end_with_the_whole_picture(
    shop: Shop, admin: Person, pool: "Pool", storage: Storage, bucket: BucketSettings, race_rounds: int
) -> None:
    """Each round uploads twice what sweeps delete at the same time. Either may be first, and the last upload can be shown."""
    product = Product(name="Ball", price=Money(minor_units=100))
    made = await shop.catalog.CreateProduct(CreateProductRequest(product=product), metadata=admin.metadata)

    async def swept() -> None:
        for shelf in (0, 255):
            await sweep(pool, storage, unused_s=0)
            await sweep_files(pool, storage, shelf, age_s=0)

    for _ in range(race_rounds):
        await asyncio.gather(uploaded(shop, admin, FILE), uploaded(shop, admin, FILE), swept(), swept())
        picture = await uploaded(shop, admin, FILE)
        await show(shop, admin, made.id, [picture.id])
        await swept()
        assert sorted(key for key in objects(bucket) if key.startswith("pictures/")) == sorted(
            f"pictures/{picture.id}-{size}.webp" for size in ("small", "medium", "large")
        )
        await show(shop, admin, made.id, [])


async def test_a_put_a_word_and_a_sweep_at_the_same_time_make_one_picture(
    shop: Shop, admin: Person, pool: "Pool", storage: Storage, race_rounds: int
) -> None:
    for number in range(race_rounds):
        content = encoded(halves(40 + number, 9), "PNG")
        upload = await created(shop, admin, len(content))
        assert (await put(upload.upload_url, content)).is_success
        said = [completed(shop, admin, upload.id) for _ in range(3)]
        await asyncio.gather(*said, put(upload.upload_url, content), *(sweep_files(pool, storage, 0, age_s=0) for _ in "12"))
        assert (await settled(shop, admin, upload.id)).state == READY
        received = await pool.fetchval("SELECT count(*) FROM audit_log WHERE action = 'picture_upload.received'")
        assert received == number + 1
    await until(lambda: _swept_empty(pool, storage))


async def _swept_empty(pool: "Pool", storage: Storage) -> bool:
    await sweep_files(pool, storage, 0, age_s=0)
    return not [name async for chunk in storage.old_uploads(0) for name in chunk]


async def test_a_picture_is_read_from_the_bucket_once_a_minute(shop: Shop, admin: Person, storage: Storage, bucket: BucketSettings) -> None:
    picture = await uploaded(shop, admin, FILE)
    request = media_pb2.GetPictureRequest(name=picture.small.url.rpartition("/")[2])
    first = await shop.media.GetPicture(request)
    assert send_signed("DELETE", f"{bucket.url}{picture.small.url}").is_success
    assert (await shop.media.GetPicture(request)).data == first.data
    medium = media_pb2.GetPictureRequest(name=picture.medium.url.rpartition("/")[2])
    assert send_signed("DELETE", f"{bucket.url}{picture.medium.url}").is_success
    assert (await refusal(shop.media.GetPicture(medium))).reason == "PICTURE_NOT_FOUND"
    assert await storage.missing([bytes.fromhex(picture.id)]) == [bytes.fromhex(picture.id)]
    await uploaded(shop, admin, FILE)  # another upload mends it
    assert (await shop.media.GetPicture(medium)).data


async def test_variables_of_amazons_tools_change_nothing(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_SESSION_TOKEN", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT", "AWS_ENDPOINT_URL_S3", "AWS_BUCKET"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_SKIP_SIGNATURE", "true")
    storage = own_storage(settings)
    await storage.check()
    assert not await storage.has_upload("0" * 32)


def test_the_lease_outlasts_the_work() -> None:
    from mercato_server.store import picture_uploads

    assert picture_uploads.LEASE_S > picture_uploads.STORE_S + 60
    assert picture_uploads.LEASE_S > shown_pictures.REMOVE_S + 60


async def test_a_deep_check_names_a_picture_whose_file_is_missing(
    shop: Shop, admin: Person, storage: Storage, settings: Settings, bucket: BucketSettings
) -> None:
    kept, lost = await uploaded(shop, admin, FILE), await uploaded(shop, admin, encoded(halves(50, 9), "PNG"))
    found = (await check(settings.database_url, deep=True, pictures=settings.pictures))[-1]
    assert (found.invariant.name, found.violations) == ("picture files", 0)
    assert send_signed("DELETE", f"{bucket.url}{lost.medium.url}").is_success
    found = (await check(settings.database_url, deep=True, pictures=settings.pictures))[-1]
    assert (found.violations, found.examples) == (1, (f"picture_id={lost.id}",))
    directory = replace(settings.pictures, bucket=None)
    found = (await check(settings.database_url, deep=True, pictures=directory))[-1]
    assert set(found.examples) == {f"picture_id={each.id}" for each in (kept, lost)}
    wrong = failing(settings, secret_access_key="wrong").pictures
    with pytest.raises(VerifyError, match="refuses the key"):
        await check(settings.database_url, deep=True, pictures=wrong)
    assert "picture files" not in {each.invariant.name for each in await check(settings.database_url, deep=True)}


async def test_a_shop_without_a_bucket_does_not_load_the_library() -> None:
    check = "import sys, mercato_server.worker, mercato_server.cli.verify; sys.exit('obstore' in sys.modules)"
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", check)
    assert await process.wait() == 0
