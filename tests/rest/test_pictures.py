"""Pictures through the edge: uploads as they come from browsers, and renditions as browsers and CDNs keep them."""

import http.client
import io
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing, suppress

import httpx
import pytest
from PIL import Image

from mercato_server.domain.pictures import UPLOAD_MAX_BYTES
from support.mercato_up import Up, created, running
from support.patience import patient, until_sync
from support.picture_files import HEIC, encoded, halves
from support.rest_client import HOST, Client, Reply
from support.s3_server import S3Server, send_signed

PICTURE = encoded(halves(), "PNG")


def new_upload(up: Up) -> str:
    return str(created(up.admin.post("/v1/pictures:createUpload"))["upload_url"])


def put(client: Client, path: str, content: bytes, media: str = "image/png") -> Reply:
    return client.send("PUT", path, content, [("content-type", media)])


@pytest.mark.parametrize("media", ["image/png", "application/octet-stream", "text/plain", "application/json"])
def test_a_file_of_any_stated_type_is_taken(shop_up: Up, media: str) -> None:
    reply = put(shop_up.admin, new_upload(shop_up), PICTURE, media)
    assert (reply.status, reply.json["state"]) == (200, "PICTURE_UPLOAD_STATE_PENDING")


def test_an_upload_becomes_a_picture_of_a_product(shop_up: Up) -> None:
    picture = shop_up.picture(encoded(halves(2_000, 1_000), "JPEG"))["picture"]
    product = shop_up.product()
    shown = [{"picture_id": picture["id"], "alt": "Red and blue"}]
    reply = shop_up.admin.put(f"/products/{product['id']}/pictures", {"pictures": shown})
    assert reply.status == 200, reply
    assert reply.json["pictures"][0] == {**picture, "alt": "Red and blue"}
    served = shop_up.anyone.get(picture["large"]["url"])
    assert (served.status, served.headers["content-type"]) == (200, "image/webp")
    assert Image.open(io.BytesIO(served.body)).size == (1_600, 800)


def test_what_is_no_picture_is_refused_with_its_reason(shop_up: Up) -> None:
    upload = shop_up.picture(HEIC)
    assert (upload["state"], upload["refusal_reason"]) == ("PICTURE_UPLOAD_STATE_REFUSED", "PICTURE_HEIC")
    assert not upload.get("picture")


def test_a_rendition_is_kept_for_ever_and_by_everybody(shop_up: Up) -> None:
    path = f"/pictures/{shop_up.picture_name}"
    for client in (shop_up.anyone, shop_up.admin):
        reply = client.get(path)
        assert reply.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert reply.headers["etag"] == f'"{path.rpartition("/")[2]}"'
        assert reply.headers["x-content-type-options"] == "nosniff"
        again = client.send("GET", path, headers=[("if-none-match", reply.headers["etag"])])
        assert (again.status, again.body, again.headers["etag"]) == (304, b"", reply.headers["etag"])
    head = shop_up.anyone.send("HEAD", path)
    assert (head.status, head.headers["content-length"]) == (200, str(len(shop_up.anyone.get(path).body)))
    whole = shop_up.anyone.send("GET", path, headers=[("range", "bytes=0-9")])
    assert (whole.status, len(whole.body)) == (200, len(shop_up.anyone.get(path).body))


@pytest.mark.parametrize("name", [f"{'0' * 64}-large.webp", "x.webp", "..%2e"])
def test_a_rendition_that_is_not_there_is_not_found_and_not_kept(shop_up: Up, name: str) -> None:
    reply = shop_up.anyone.get(f"/pictures/{name}")
    assert (reply.status, reply.reason, reply.headers["cache-control"]) == (404, "PICTURE_NOT_FOUND", "no-store")


def test_a_file_at_the_limit_is_taken_and_a_longer_one_is_a_413(shop_up: Up) -> None:
    assert put(shop_up.admin, new_upload(shop_up), b"x" * UPLOAD_MAX_BYTES).status == 200
    path = new_upload(shop_up)
    refused = put(shop_up.admin, path, b"x" * (UPLOAD_MAX_BYTES + 1))
    assert (refused.status, refused.reason) == (413, "REQUEST_TOO_LARGE")
    assert put(shop_up.admin, path, PICTURE).status == 200


def test_a_file_without_a_length_is_bounded_too(shop_up: Up) -> None:
    path = new_upload(shop_up)
    headers = {"authorization": f"Bearer {shop_up.admin.token}", "content-type": "image/png"}
    pieces = (b"x" * 1_000_000 for _ in range(22))
    with closing(http.client.HTTPConnection(HOST, shop_up.port, timeout=patient())) as connection:
        with suppress(BrokenPipeError, ConnectionResetError):  # the edge answers before the end of the body
            connection.request("PUT", path, pieces, {**headers, "transfer-encoding": "chunked"}, encode_chunked=True)
        with connection.getresponse() as reply:
            reason = next(each["reason"] for each in json.loads(reply.read())["details"] if "reason" in each)
            assert (reply.status, reason) == (413, "REQUEST_TOO_LARGE")


def test_a_file_that_breaks_off_leaves_its_upload_waiting(shop_up: Up) -> None:
    path = new_upload(shop_up)
    connection = http.client.HTTPConnection(HOST, shop_up.port, timeout=patient())
    connection.putrequest("PUT", path)
    connection.putheader("authorization", f"Bearer {shop_up.admin.token}")
    connection.putheader("content-length", str(len(PICTURE) + 1_000))
    connection.endheaders(PICTURE)
    connection.close()
    assert shop_up.admin.get(path.removesuffix("/content")).json["state"] == "PICTURE_UPLOAD_STATE_WAITING"
    assert put(shop_up.admin, path, PICTURE).status == 200


def test_an_upload_may_be_slower_than_any_other_request(shop_up: Up) -> None:
    """Other requests have 10 s; this one pauses for less than the 10 s of a piece, twice."""
    path = new_upload(shop_up)
    third = len(PICTURE) // 3
    with closing(http.client.HTTPConnection(HOST, shop_up.port, timeout=patient())) as connection:
        connection.putrequest("PUT", path)
        connection.putheader("authorization", f"Bearer {shop_up.admin.token}")
        connection.putheader("content-length", str(len(PICTURE)))
        connection.endheaders()
        for piece in (PICTURE[:third], PICTURE[third : 2 * third], PICTURE[2 * third :]):
            connection.send(piece)
            time.sleep(5.5)  # the pace of this client
        with connection.getresponse() as reply:
            assert reply.status == 200


def test_only_administrators_upload(shop_up: Up) -> None:
    path = new_upload(shop_up)
    for client, status in ((shop_up.anyone, 401), (shop_up.buyer(), 403)):
        assert put(client, path, PICTURE).status == status


def test_a_body_is_needed(shop_up: Up) -> None:
    reply = put(shop_up.admin, new_upload(shop_up), b"")
    assert (reply.status, reply.reason) == (400, "INVALID_FIELD")


def test_a_shop_with_a_bucket_takes_and_shows_a_picture(s3: S3Server) -> None:
    """As a browser does: the file goes to the bucket without a token, and the rendition comes from the shop or from the bucket."""
    bucket = s3.bucket()
    server, _, name = bucket.url.rpartition("/")
    settings = {
        "MERCATO_PICTURES_S3_BUCKET": name,
        "MERCATO_PICTURES_S3_ENDPOINT": server,
        "MERCATO_PICTURES_S3_ACCESS_KEY_ID": bucket.access_key_id,
        "MERCATO_PICTURES_S3_SECRET_ACCESS_KEY": bucket.secret_access_key,
    }
    with running(**settings) as up:
        upload = created(up.admin.post("/v1/pictures:createUpload", {"content_length": len(PICTURE)}))
        path = f"/v1/pictureUploads/{upload['id']}"
        absent = answered(lambda: up.admin.post(f"{path}:complete"))
        assert (absent.status, absent.reason) == (400, "PICTURE_UPLOAD_ABSENT")
        elsewhere = put(up.admin, f"{path}/content", PICTURE)
        assert (elsewhere.status, elsewhere.reason) == (400, "PICTURE_UPLOAD_ELSEWHERE")
        assert httpx.put(upload["upload_url"], content=PICTURE).is_success
        completed = answered(lambda: up.admin.post(f"{path}:complete"))
        assert completed.json["state"] in {"PICTURE_UPLOAD_STATE_PENDING", "PICTURE_UPLOAD_STATE_READY"}
        ready = until_sync(lambda: up.admin.get(path).json.get("picture"), "the upload is verified")
        product = up.product(image_urls=[ready["large"]["url"]])
        assert product["image_urls"] == [ready["large"]["url"]]
        served = answered(lambda: up.anyone.get(ready["large"]["url"]))
        assert (served.status, served.headers["content-type"]) == (200, "image/webp")
        assert served.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert send_signed("GET", f"{bucket.url}{ready['large']['url']}").content == served.body
        assert missing_files(up, **settings) == 0
        assert missing_files(up) == 1  # the directory of the shop, where it has none
        (up.data_dir / "more.csv").write_text("sku,name,price_minor\nMORE,More,100\n")
        imported = run("import", str(up.data_dir / "more.csv"), "--data-dir", str(up.data_dir), **settings)
        assert imported.returncode == 0, imported


def answered(call: Callable[[], Reply]) -> Reply:
    """Return the first answer that is not 503: a bucket on a busy machine may answer too late for a worker."""
    replies: list[Reply] = []

    def tried() -> bool:
        replies.append(call())
        return replies[-1].status != 503

    until_sync(tried, "the bucket answers in time")
    return replies[-1]


def run(*arguments: str, **environ: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "mercato_server", *arguments]
    return subprocess.run(command, env={**os.environ, **environ}, capture_output=True, text=True, timeout=patient(), check=False)


def missing_files(up: Up, **environ: str) -> int:
    """Return the number of pictures that lack a file, as `mercato verify --deep` says."""
    done = run("verify", "--deep", "--data-dir", str(up.data_dir), **environ)
    found = re.search(r"^picture files +([0-9]+) ", done.stdout, re.MULTILINE)
    assert found, done
    assert done.returncode == bool(int(found[1])), done
    return int(found[1])
