"""Promotions and their codes over REST."""

import itertools
from typing import Any
from urllib.parse import quote

from support.mercato_up import Up, created
from support.rest_client import Client

_numbers = itertools.count(1)


def unused(code: str) -> str:
    """Return a code that no other test has."""
    return f"{code}-{next(_numbers)}"


def test_a_promotion_is_created_changed_listed_and_archived(shop_up: Up, admin: Client) -> None:
    made = shop_up.promotion(name="Sale", usage_limit=5, end_time="2099-01-01T00:00:00+02:00", priority=3)
    path = f"/v1/promotions/{made['id']}"
    assert (made["end_time"], made["combinable"], made["used"]) == ("2098-12-31T22:00:00Z", True, "0")
    assert not {"amount", "start_time", "archive_time"} & made.keys()
    assert admin.get(path).json == made
    assert made in admin.get("/v1/promotions").json["promotions"]
    changed = admin.patch(f"{path}?update_mask=name,end_time", {"name": "Other", "etag": made["etag"]})
    assert (changed.status, changed.json["name"], "end_time" in changed.json, changed.json["priority"]) == (200, "Other", False, 3)
    stale = admin.patch(path, {"name": "Stale", "etag": made["etag"]})
    assert (stale.status, stale.reason) == (409, "ETAG_MISMATCH")
    header = [("content-type", "application/json"), ("if-match", f'"{made["etag"]}"')]
    assert admin.send("PATCH", path, b'{"name": "Stale"}', header).status == 412
    archived = admin.post(f"{path}:archive", {"etag": changed.json["etag"]})
    assert (archived.status, archived.json["name"]) == (200, "Other")
    assert admin.post(f"{path}:archive").json == archived.json == admin.get(path).json
    assert archived.json not in admin.get("/v1/promotions").json["promotions"]
    assert archived.json in admin.get("/v1/promotions", show_archived="true").json["promotions"]


def test_codes_are_created_listed_and_archived_in_any_spelling(shop_up: Up, admin: Client) -> None:
    promotion_id = shop_up.promotion()["id"]
    path = f"/v1/promotions/{promotion_id}/codes"
    code = unused("Stra\u00dfe")
    made = admin.post(path, {"code": code, "usage_limit": 3}).json
    assert (made["code"], made["usage_limit"], made["used"], made["promotion_id"]) == (code, 3, "0", promotion_id)
    taken = admin.post(path, {"code": code.upper()})
    assert (taken.status, taken.reason, taken.metadata) == (409, "PROMOTION_CODE_TAKEN", {"code": code.upper()})
    assert admin.get(path).json["codes"] == [made]
    archived = admin.post(f"{path}/{quote(code.upper())}:archive")
    assert (archived.status, archived.json["code"]) == (200, code)
    assert admin.get(path).json["codes"] == []
    assert admin.get(path, show_archived="true").json["codes"] == [archived.json]


def test_a_batch_of_codes_is_listed_in_pages(shop_up: Up, admin: Client) -> None:
    promotion_id = shop_up.promotion()["id"]
    batch = admin.post(f"/v1/promotions/{promotion_id}:generateCodes", {"count": 250, "prefix": "VIP-"})
    assert (batch.status, batch.json["count"]) == (200, 250)
    assert admin.post(f"/v1/promotions/{promotion_id}:generateCodes", {"count": 5}).status == 200
    found: list[Any] = []
    token = ""
    while True:
        page = admin.get(f"/v1/promotions/{promotion_id}/codes", batch_id=batch.json["batch_id"], page_size=100, page_token=token).json
        found += page["codes"]
        if not (token := page["next_page_token"]):
            break
    assert len({code["code"] for code in found}) == len(found) == 250
    assert {(code["code"][:4], len(code["code"]), code["usage_limit"]) for code in found} == {("VIP-", 16, 1)}


def test_the_largest_promotion_is_taken(shop_up: Up, admin: Client) -> None:
    product_ids, category_ids = [shop_up.product()["id"]], [shop_up.category()["id"]]
    fields = {"product_ids": product_ids * 500, "category_ids": category_ids * 100}
    gets = {"get_product_ids": product_ids * 500, "get_category_ids": category_ids * 100}
    buy = {"kind": "PROMOTION_KIND_BUY_X_GET_Y", "buy_quantity": 1, "get_quantity": 1, "name": "\u00e9" * 200, "needs_code": True}
    made = created(admin.post("/v1/promotions", {**buy, **fields, **gets}))
    assert (made["product_ids"], made["get_category_ids"]) == (product_ids, category_ids)
