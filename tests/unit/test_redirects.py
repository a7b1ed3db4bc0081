"""Redirects of another shop: the meaning of addresses, and the plan of a file."""

from uuid import UUID

import pytest

from mercato_server.domain.redirects import AddressError, Held, Incoming, Place, Plan, place, plan
from mercato_server.domain.slugs import SlugKind

GROUP, PRODUCT, CATEGORY = SlugKind.GROUP, SlugKind.PRODUCT, SlugKind.CATEGORY
GOODS = (GROUP, PRODUCT)
BALL, CUP, SHIRT, HATS, LOST = (UUID(int=number) for number in range(1, 6))


@pytest.mark.parametrize(
    ("address", "kinds", "slug"),
    [
        ("/products/red-ball", GOODS, "red-ball"),
        ("products/red-ball/", GOODS, "red-ball"),
        ("/collections/sale/products/red-ball", GOODS, "red-ball"),
        ("/collections/hats", (CATEGORY,), "hats"),
        ("/product/red-ball/", GOODS, "red-ball"),
        ("/product-category/clothing/men/hats/", (CATEGORY,), "hats"),
        ("/v1/slugs/group/shirt", (GROUP,), "shirt"),
        ("https://shop.example.com/products/red%2Dball?variant=1#top", GOODS, "red-ball"),
        (" //shop.example.com/collections/hats ", (CATEGORY,), "hats"),
    ],
)
def test_an_address_of_goods_or_a_category_is_known(address: str, kinds: tuple[SlugKind, ...], slug: str) -> None:
    assert place(address, {"shop.example.com"}) == Place(kinds, slug)


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("https://other.example.com/products/ball", "is an address of another host"),
        ("javascript:alert(1)", "is an address of another host"),
        ("/pages/about-us", "is no address of a product, group or category"),
        ("/", "is no address of a product, group or category"),
        ("", "is no address of a product, group or category"),
        ("/products", "is no address of a product, group or category"),
        ("/products/a/b", "is no address of a product, group or category"),
        ("/product-category", "is no address of a product, group or category"),
        ("/v1/slugs/order/x", "is no address of a product, group or category"),
        ("/products/Ball", "ends in 'Ball', which is no slug"),
        ("/products/new", "ends in 'new', which is no slug"),
        ("/products/00000000-0000-7000-8000-000000000001", "ends in '00000000-0000-7000-8000-000000000001', which is no slug"),
        ("/products/a%2Fb", "ends in 'a/b', which is no slug"),
        ("http://[::1/products/a", "is no address"),
        ("/products/" + "a" * 2_050, "has more than 2048 characters"),
    ],
)
def test_another_address_is_refused_with_its_reason(address: str, reason: str) -> None:
    with pytest.raises(AddressError, match="^" + reason.replace("(", r"\(")):
        place(address, {"shop.example.com"})


HELD = [
    Held(kind, slug, subject_id, is_live=is_live, is_on_sale=subject_id != LOST)
    for kind, slug, subject_id, is_live in (
        ("product", "ball", BALL, True),
        ("product", "match-ball", BALL, False),
        ("product", "cup", CUP, True),
        ("group", "shirt", SHIRT, True),
        ("product", "shirt", CUP, False),
        ("category", "hats", HATS, True),
        ("product", "lost", LOST, True),
    )
]


def planned(*lines: tuple[str, str]) -> Plan:
    """Plan the redirects of a file whose second line is the first redirect."""
    return plan([Incoming(line, place(source, ()), place(target, ())) for line, (source, target) in enumerate(lines, 2)], HELD)


def test_chains_lead_to_their_ends() -> None:
    found = planned(
        ("/products/a", "/products/b"),
        ("/products/b", "/products/c"),
        ("/products/c", "/products/match-ball"),
        ("/products/d", "/products/b"),
    )
    assert [tuple(each) for each in found.kept] == [(line, PRODUCT, slug, BALL) for line, slug in ((2, "a"), (3, "b"), (4, "c"), (5, "d"))]
    assert found.refused == []


def test_a_chain_ends_at_a_live_slug() -> None:
    found = planned(("/products/a", "/products/ball"), ("/products/ball", "/products/cup"))
    assert [each.subject_id for each in found.kept] == [BALL]
    assert found.refused == [(3, "ball is the slug of a thing that the shop has")]


def test_the_file_goes_before_the_earlier_slugs_of_the_shop() -> None:
    found = planned(("/products/match-ball", "/products/cup"), ("/products/a", "/products/match-ball"))
    assert [(each.slug, each.subject_id) for each in found.kept] == [("match-ball", CUP), ("a", CUP)]


def test_rings_are_refused_and_so_is_all_that_leads_into_them() -> None:
    found = planned(
        ("/products/a", "/products/b"), ("/products/b", "/products/a"), ("/products/c", "/products/a"), ("/product/d", "/products/d")
    )
    assert found.kept == []
    assert found.refused == [(line, "leads in a ring") for line in (2, 3, 4, 5)]


def test_a_product_of_another_shop_may_be_a_group_here() -> None:
    found = planned(("/products/tee", "/products/shirt"), ("/collections/caps", "/collections/hats"))
    assert [tuple(each) for each in found.kept] == [(2, GROUP, "tee", SHIRT), (3, CATEGORY, "caps", HATS)]


def test_what_no_slug_can_hold_is_refused() -> None:
    found = planned(
        ("/products/a", "/collections/hats"),
        ("/products/b", "/products/absent"),
        ("/products/c", "/products/lost"),
        ("/products/lost", "/products/cup"),
        ("/product/lost", "/products/ball"),
        ("/v1/slugs/product/e", "/products/shirt"),
    )
    assert found.refused == [
        (2, "leads to a category, and a slug leads to a thing of its own kind"),
        (3, "leads to absent, and the shop has no such thing"),
        (6, "is the address of line 5, too"),
    ]
    assert [(each.line, each.subject_id) for each in found.kept] == [(4, CUP), (5, CUP), (7, CUP)]


def test_the_work_for_a_long_chain_does_not_grow_with_its_square() -> None:
    """The square of 50,000 steps would take an hour."""
    number = 50_000
    places = [Place(GOODS, f"s{step}") for step in range(number)] + [Place(GOODS, "cup")]
    found = plan([Incoming(step, places[step], places[step + 1]) for step in range(number)], HELD)
    assert {each.subject_id for each in found.kept} == {CUP}
    assert len(found.kept) == number
