"""Commands for products, stock, categories, groups and pictures, against a real shop."""

from pathlib import Path

import pytest

from support.picture_files import encoded, halves
from support.shopkeeper import Shopkeeper


def test_a_product_lives_from_creation_to_deletion(admin: Shopkeeper) -> None:
    made = admin.one("products", "create", "--name", "Racket", "--price", "19.99", "--stock", "5", "--sku", "R-1", "--no-needs-delivery")
    assert (made["price"]["minor_units"], made["price"]["currency_code"], made["stock"], made["needs_delivery"]) == (
        "1999",
        "USD",
        5,
        False,
    )
    changed = admin.one("products", "update", made["id"], "--price", "25 USD", "--description", "Light", "--etag", made["etag"])
    assert (changed["price"]["minor_units"], changed["description"], changed["name"], changed["stock"]) == ("2500", "Light", "Racket", 5)
    assert admin.one("products", "update", made["id"], "--clear", "description")["description"] == ""
    stale = admin.refused(1, "products", "update", made["id"], "--name", "Bat", "--etag", made["etag"])
    assert (stale["code"], stale["reason"]) == (10, "ETAG_MISMATCH")
    assert admin("products", "delete", made["id"], "--yes").returncode == 0
    assert admin.refused(1, "products", "get", made["id"])["reason"] == "PRODUCT_NOT_FOUND"
    assert admin.one("products", "undelete", made["id"])["id"] == made["id"]


def test_a_pipe_gets_tsv_with_a_head_and_the_json_is_that_of_rest(admin: Shopkeeper) -> None:
    product = admin.up.product(name="Net", minor_units=1234567)
    done = admin("products", "get", product["id"])
    head, line = done.stdout.splitlines()
    assert head.split("\t") == ["id", "sku", "name", "price", "stock", "category_id", "slug", "update_time", "delete_time"]
    assert line.split("\t")[:5] == [product["id"], "", "Net", "12345.67 USD", "10"]
    assert admin.one("products", "get", product["id"]) == admin.up.admin.get(f"/products/{product['id']}").json


def test_a_list_is_whole_in_a_pipe_and_bounded_by_a_limit(admin: Shopkeeper) -> None:
    category = admin.one("categories", "create", "--name", "Whole list")["id"]
    made = {admin.up.product(category_id=category)["id"] for _ in range(103)}
    lines = admin("products", "list", "--category-id", category).stdout.splitlines()
    assert {line.split("\t")[0] for line in lines[1:]} == made
    assert len(lines) == 104
    assert len(admin.json("products", "list", "--category-id", category)) == 103
    assert len(admin("stock", "list", "--category-id", category, "--limit", "3").stdout.splitlines()) == 4
    assert admin("products", "list", "--category-id", category, "--min-price", "9999999.99").stdout.count("\n") == 1


def test_several_ids_are_done_in_part(admin: Shopkeeper) -> None:
    ids = [admin.up.product()["id"] for _ in range(2)]
    absent = "00000000-0000-4000-8000-000000000000"
    done = admin("products", "delete", ids[0], absent, ids[1], "--yes")
    assert done.returncode == 3
    assert [line.split("\t")[0] for line in done.stdout.splitlines()[1:]] == ids
    assert "PRODUCT_NOT_FOUND" in done.stderr
    assert admin("products", "delete", absent, "--yes").returncode == 1
    assert admin("products", "delete", *ids, "--yes", "--etag", "x").returncode == 2


def test_stock_is_changed_by_a_difference_or_against_the_number_that_was_seen(admin: Shopkeeper) -> None:
    product = admin.up.product(stock=10)["id"]
    assert admin.one("stock", "adjust", product, "--delta", "-3", "--reason", "broken")["stock"] == 7
    assert admin.one("stock", "adjust", product, "--expected-stock", "7", "--stock", "20")["stock"] == 20
    assert admin.refused(1, "stock", "adjust", product, "--expected-stock", "7", "--stock", "9")["reason"] == "STOCK_CHANGED"
    assert admin.up.stock(product) == 20


def test_a_repeated_key_acts_once(admin: Shopkeeper) -> None:
    product = admin.up.product(stock=10)["id"]
    for _ in range(2):
        assert admin.one("stock", "adjust", product, "--delta", "5", "--idempotency-key", f"key-{product}")["stock"] == 15
    assert admin.up.stock(product) == 15


def test_a_group_is_written_whole_with_its_variants(admin: Shopkeeper, tmp_path: Path) -> None:
    variant = tmp_path / "variant.json"
    variant.write_text('{"name": "Shirt S", "price": {"minor_units": "999"}, "options": [{"name": "Size", "value": "S"}]}')
    made = admin.one("groups", "upsert", "--name", "Shirt", "--code", "shirt", "--varies-by", "Size", "--variant", f"@{variant}", "--yes")
    assert (made["variant_count"], made["variants"][0]["options"]) == (1, [{"name": "Size", "value": "S"}])
    other = admin.one("products", "create", "--name", "Shirt M", "--price", "9", "--group-id", made["id"], "--option", "Size=M")
    assert other["options"] == [{"name": "Size", "value": "M"}]
    assert [each["id"] for each in admin.json("groups", "list", "--code", "shirt")] == [made["id"]]


def test_a_picture_is_uploaded_and_shown(admin: Shopkeeper, tmp_path: Path) -> None:
    product = admin.up.product()["id"]
    file = tmp_path / "ball.png"
    file.write_bytes(encoded(halves(), "PNG"))
    assert admin("pictures", "upload", str(file), "--product", product, "--alt", "A ball").returncode == 0
    [shown] = admin.up.anyone.get(f"/products/{product}").json["pictures"]
    assert shown["alt"] == "A ball"
    assert admin.one("pictures", "set", product)["pictures"] == []
    file.write_bytes(b"no picture")
    done = admin("pictures", "upload", str(file))
    assert (done.returncode, done.stdout) == (1, "")
    assert admin("pictures", "upload", str(tmp_path / "absent.png")).returncode == 2


@pytest.mark.parametrize(
    "arguments",
    [
        ("products", "create", "--name", "x", "--price", "19.999"),
        ("products", "create", "--name", "x", "--price", "19,99"),
        ("products", "create", "--name", "x", "--price", "1 XXX"),
        ("products", "create", "--name", "x", "--price", "1", "--stock", "99999999999"),
        ("products", "create", "--price", "1"),
        ("products", "update", "some-id"),
        ("products", "update", "some-id", "--name", "x", "--clear", "name"),
        ("products", "update", "some-id", "--clear", "price-of-gold"),
        ("products", "delete", "some-id"),
        ("groups", "upsert", "--name", "x", "--varies-by", "Size", "--variant", "{", "--yes"),
        ("groups", "upsert", "--name", "x", "--varies-by", "Size", "--variant", "@/absent", "--yes"),
        ("groups", "upsert", "--name", "x", "--varies-by", "Size", "--variant", '{"absent": 1}', "--yes"),
        ("orders", "list", "--status", "eaten"),
        ("orders", "list", "--start-time", "2026-12-01T08:00:00"),
        ("orders", "list", "--start-time", "yesterday"),
        ("returns", "create", "some-id", "--line", "x=many"),
        ("orders", "list", "--start-time", "0001-01-01T00:00:00+14:00"),
        ("orders", "list", "--min-total", "1.234"),
        ("groups", "upsert", "--name", "x", "--varies-by", "Size", "--variant", "[" * 20_000, "--yes"),
        ("products", "get", "\udcff"),  # a byte that is no UTF-8
        ("products", "create", "--name", "\udcff", "--price", "1"),
        ("products", "update", "some-id", "--name", "x", "--etag", "\udcff"),
        ("stock", "adjust", "some-id", "--delta", "1", "--idempotency-key", "é"),
        ("stock", "adjust", "some-id", "--delta", "1", "--idempotency-key", ""),
        ("products", "list", "--limit", "99999999999999999999"),
        ("products", "list", "--timeout", "inf"),
        ("nothing",),
        ("products", "nothing"),
        ("products", "list", "--limit", "-1"),
    ],
)
def test_wrong_usage_is_2_and_told_as_json_too(admin: Shopkeeper, arguments: tuple[str, ...]) -> None:
    told = admin.refused(2, *arguments)
    assert (told["code"], bool(told["message"])) == (3, True)


def test_wrong_usage_names_the_option(admin: Shopkeeper) -> None:
    done = admin("products", "create", "--name", "x", "--price", "19.999")
    assert (done.returncode, done.stdout) == (2, "")
    assert "--price" in done.stderr
    assert "Traceback" not in done.stderr
