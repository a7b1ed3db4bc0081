"""The page /docs in a real browser: it lists the operations, logs in and calls them."""

import json
import shutil
from collections.abc import Iterator

import pytest

from rest.routes import ROUTES
from rest.test_openapi import documented_path
from support import needs
from support.browser import Browser, browsing
from support.mercato_up import PASSWORD, Up

pytestmark = needs.CHROMIUM.unless(shutil.which("chromium") and shutil.which("chromedriver"))

GET_ME = "#operations-UserService-UserService_GetMe"
PROBES = {("GET", "/livez"), ("GET", "/readyz")}
SHOWN = "return [...document.querySelectorAll('.opblock-summary')].map(one => one.innerText.replace(/\\s+/g, ' '))"
ANSWER = f"const one = document.querySelector('{GET_ME} .live-responses-table .microlight'); return one && one.innerText"
STATUS = f"return document.querySelector('{GET_ME} .live-responses-table tr.response td.response-col_status').innerText"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with browsing() as browser:
        yield browser


@pytest.fixture
def page(browser: Browser, shop_up: Up) -> Browser:
    """The page after its operations have been loaded."""
    browser.complaints()  # errors of the previous page
    browser.open(f"{shop_up.base}/docs")
    browser.wait(f"return document.querySelectorAll('.opblock').length === {len(ROUTES) + len(PROBES)}")
    return browser


def test_the_page_lists_every_operation_without_a_complaint(page: Browser) -> None:
    shown = page.wait(SHOWN)
    assert {tuple(entry.split()[:2]) for entry in shown} == {(route.verb, documented_path(route)) for route in ROUTES} | PROBES
    assert page.complaints() == []


def test_a_user_logs_in_on_the_page_and_sees_their_account(page: Browser, shop_up: Up) -> None:
    buyer = shop_up.buyer()
    page.click(".btn.authorize")
    page.type("#oauth_username", buyer.email)
    page.type("#oauth_password", PASSWORD)
    page.click(".auth-container:has(#oauth_username) .btn.modal-btn.auth.authorize")
    page.wait("return [...document.querySelectorAll('.modal-ux button')].some(one => one.innerText === 'Logout')")
    page.click(".modal-ux .btn-done")
    page.click(f"{GET_ME} .opblock-summary-control")
    page.click(f"{GET_ME} .execute")
    answer = json.loads(page.wait(ANSWER))
    assert answer == buyer.get("/me").json
    assert page.wait(STATUS).split()[0] == "200"
    assert page.complaints() == []


def test_the_page_reports_a_wrong_password(page: Browser, shop_up: Up) -> None:
    page.click(".btn.authorize")
    page.type("#oauth_username", shop_up.buyer().email)
    page.type("#oauth_password", "wrong-password")
    page.click(".auth-container:has(#oauth_username) .btn.modal-btn.auth.authorize")
    told = page.wait("const one = document.querySelector('.modal-ux .errors'); return one && one.innerText")
    assert "Unauthorized" in told


def test_a_script_injected_into_the_page_does_not_run(page: Browser) -> None:
    page.wait("""
        const script = document.createElement('script');
        script.textContent = 'window.ran = true';
        document.body.append(script);
        return true;
    """)
    assert page.wait("return [window.ran]") == [None]
    assert any("Content Security Policy" in complaint for complaint in page.complaints())
