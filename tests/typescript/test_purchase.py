"""A purchase from signup to order in TypeScript: in Node, and in a browser from another origin."""

import functools
import http.server
import itertools
import json
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from ports import free_port
from support import needs
from support.browser import Browser, browsing
from support.certificates import Certificate
from support.mercato_up import PASSWORD, Up
from support.patience import Within, until_sync
from support.picture_files import encoded, halves
from typescript.conftest import BUILT, PACKAGE, run

pytestmark = needs.TYPESCRIPT.unless(BUILT)
ERRORS = [
    "INVALID_FIELD email,password",
    "INVALID_CREDENTIALS UNAUTHENTICATED",
    "TOKEN_INVALID UNAUTHENTICATED",
    "CART_EMPTY FAILED_PRECONDITION",
    "OUT_OF_STOCK 1000 of 10",
]
RESULT = "return document.body && document.body.dataset.result"
FRAMES = 4
_numbers = itertools.count(1)


def check(said: str, up: Up, product: dict[str, Any]) -> None:
    """Check what a program did, in its own words and in the shop."""
    assert not said.startswith("failed"), said
    report = json.loads(said)
    assert report["errors"] == ERRORS
    assert (report["total"], report["replayed"], report["requestIds"]) == ("3998", [False, True], 2)
    assert report["orders"] == [report["orderId"]]
    assert len(report["names"]) == len(set(report["names"])) >= 5
    assert product["name"] in report["names"]
    assert report["after"] == "TOKEN_INVALID UNAUTHENTICATED"
    assert up.stock(product["id"]) == 8


def secure(up: Up) -> str:
    return up.base.replace("http:", "https:")


def email() -> str:
    return f"typescript-{next(_numbers)}@example.com"


def test_a_buyer_shops_in_node_over_tls_and_an_administrator_uploads_a_picture(up: Up, programs: Path, own: Certificate) -> None:
    product = up.product(minor_units=1999, stock=10)
    (programs / "ball.png").write_bytes(encoded(halves(), "PNG"))
    arguments = [secure(up), email(), product["id"], own.path, up.admin.token, "ball.png"]
    said = run("node", "node_purchase.js", *arguments, cwd=programs)
    check(said, up, product)
    path = f"/v1/pictureUploads/{json.loads(said)['upload']}"
    until_sync(lambda: up.admin.get(path).json["state"] == "PICTURE_UPLOAD_STATE_READY", "the picture is ready")


@pytest.fixture(scope="module")
def pages(programs: Path, page_port: int) -> Iterator[str]:
    """The origin of a server of pages, each with one program."""
    if not (shutil.which("chromium") and shutil.which("chromedriver")):
        needs.CHROMIUM.skip()
    for name in ("web_purchase", "web_tabs", "web_nowhere", "web_documentation"):
        run(PACKAGE / "node_modules/.bin/esbuild", f"{name}.js", "--bundle", "--minify", f"--outfile={name}.min.js", cwd=programs)
        (programs / f"{name}.html").write_text(f'<!doctype html><title>{name}</title><body><script src="{name}.min.js"></script>')
    (programs / "favicon.ico").touch()
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=programs)
    with http.server.ThreadingHTTPServer(("127.0.0.1", page_port), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://localhost:{page_port}"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def browser(pages: str) -> Iterator[Browser]:
    with browsing(accepts_own_certificates=True) as browser:
        yield browser


def test_a_buyer_shops_in_a_browser_from_another_origin(up: Up, pages: str, browser: Browser) -> None:
    product = up.product(minor_units=1999, stock=10)
    arguments = quote(f"{secure(up)},{email()},{product['id']}")
    browser.open(f"{pages}/web_purchase.html#{arguments}")
    check(browser.wait(RESULT), up, product)


def test_tabs_of_a_browser_share_one_refresh(up: Up, pages: str, browser: Browser) -> None:
    buyer = up.buyer()
    before = refreshes(up)
    browser.open(f"{pages}/web_tabs.html#{quote(f'{secure(up)},{buyer.email},{PASSWORD}')}")
    said = browser.wait(RESULT)
    assert not said.startswith("failed"), said
    answers = json.loads(said)
    assert len(answers) == FRAMES
    assert len(set(answers)) == 1, answers
    assert answers[0].startswith("2 carts by ")
    assert refreshes(up) - before == 1


def test_the_client_of_the_documentation_keeps_its_session_over_a_reload(up: Up, pages: str, browser: Browser) -> None:
    """The fence of docs/typescript.md."""
    buyer = up.buyer()
    for number, arguments in enumerate([f"{secure(up)},{buyer.email},{PASSWORD}", secure(up)]):
        browser.open(f"{pages}/web_documentation.html?{number}#{quote(arguments, safe='/:')}")
        assert browser.wait(RESULT) == "done"


def test_a_browser_is_told_of_a_wrong_address_within_a_second(pages: str, browser: Browser, within: Within) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    browser.open(f"{pages}/web_nowhere.html#{url}")
    said = json.loads(browser.wait(RESULT))
    assert (said["code"], said["outcomeUnknown"]) == ("UNAVAILABLE", False)
    assert url in said["message"]
    assert said["ms"] / 1000 <= within(1)


def refreshes(up: Up) -> int:
    """Return the number of refreshes that the shop has answered. The edge writes its log late, but in order."""
    mark = f"/mark-{next(_numbers)}"
    up.anyone.get(mark)
    until_sync(lambda: mark in up.log("access.log"), "the edge has written its log")
    calls = [json.loads(line) for line in up.log("access.log").splitlines() if "AuthService/Refresh" in line]
    return sum(call["method"] == "POST" for call in calls)  # the others are preflights
