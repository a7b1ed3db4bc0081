"""The groups, the tree and the pictures of the demo shop keep the API's limits, and go with its catalog."""

import io
from collections import Counter
from importlib import resources
from uuid import UUID

import pytest
from PIL import Image, ImageChops, ImageStat

import demo_pictures
from mercato_server import demo
from mercato_server.demo import catalog, category_id, product_id
from mercato_server.demo.goods import goods
from mercato_server.demo.pictures import DIRECTORY, SIDE, contents, files, pictures
from mercato_server.domain.catalog import CATEGORY_DEPTH_MAX
from mercato_server.domain.pictures import ALT_MAX, SIZES
from mercato_server.domain.product_groups import GROUP_CODE_MAX, VARIANTS_MAX, key, of_group

CATEGORIES, PRODUCTS = catalog()
GOODS = goods()
VARIANTS = tuple(GOODS.variants.values())


def test_the_categories_of_the_catalog_keep_their_ids_and_stand_below_others() -> None:
    known = {each.name: each for each in GOODS.categories}
    assert [known[name].id for name in CATEGORIES] == [category_id(number) for number in range(len(CATEGORIES))]
    names = {each.id: each.name for each in GOODS.categories}
    assert {name: [names[id_] for id_ in known[name].ancestor_ids] for name in CATEGORIES} == {
        "Running": ["Sports", "Training"],
        "Football": ["Sports", "Ball Games"],
        "Cycling": ["Sports", "Outdoor"],
        "Swimming": ["Sports", "Training"],
        "Tennis & Racket Sports": ["Sports", "Ball Games"],
        "Fitness & Yoga": ["Sports", "Training"],
        "Hiking & Camping": ["Sports", "Outdoor"],
        "Winter Sports": ["Sports", "Outdoor"],
    }


def test_a_category_follows_its_parent_and_counts_up_among_its_siblings() -> None:
    assert len({each.id for each in GOODS.categories}) == len({each.name for each in GOODS.categories}) == len(GOODS.categories)
    seen: set[UUID] = set()
    siblings: Counter[UUID | None] = Counter()
    for each in GOODS.categories:
        assert seen.issuperset(each.ancestor_ids), each.name
        assert len(each.ancestor_ids) < CATEGORY_DEPTH_MAX
        parent = each.ancestor_ids[-1] if each.ancestor_ids else None
        assert each.position == siblings[parent], each.name
        siblings[parent] += 1
        seen.add(each.id)


def test_the_variants_of_a_group_have_its_options_each_in_another_way() -> None:
    for group in GOODS.groups:
        own = [variant for variant in VARIANTS if variant.group_id == group.id]
        assert 1 < len(own) <= VARIANTS_MAX
        assert len(group.code) <= GROUP_CODE_MAX
        assert [of_group(variant.options, group.varies_by) for variant in own] == [variant.options for variant in own]
        assert len({key(variant.options) for variant in own}) == len(own)
        assert [variant.position for variant in own] == list(range(1, len(own) + 1))
        assert len({(variant.category, variant.tax_category, variant.description) for variant in own}) == 1
        assert any(variant.stock for variant in own)
    assert {variant.group_id for variant in VARIANTS} == {group.id for group in GOODS.groups}
    assert [variant.stock for variant in VARIANTS].count(0) >= 5


def test_a_value_that_is_dearer_adds_to_the_price() -> None:
    prices = {variant.sku: variant.price_minor for variant in VARIANTS}
    assert prices["HALYARD-L-BLUE"] == 2_499
    assert prices["HALYARD-XL-BLUE"] == 2_499 + 200
    assert [prices[f"BINNACLE-{volume}"] for volume in ("0.5L", "0.75L", "1L")] == [999, 999 + 200, 999 + 400]


def test_variants_are_older_than_the_catalog_and_have_names_and_skus_of_their_own() -> None:
    assert len(VARIANTS) == 48
    assert max(GOODS.variants) < product_id(0)
    whole = (*PRODUCTS, *VARIANTS)
    assert len({each.sku for each in whole}) == len({each.name.lower() for each in whole}) == 248
    assert all(each.sku and len(each.sku) <= 64 and len(each.name) <= 200 for each in VARIANTS)
    leaves = {each.name for each in GOODS.categories} - set(CATEGORIES)
    assert {each.category for each in VARIANTS} <= leaves


def test_each_picture_is_shown_and_each_product_has_one() -> None:
    assert {each.picture for each in (*PRODUCTS, *VARIANTS)} == set(pictures())
    assert all(0 < len(each.alt) <= ALT_MAX for each in pictures().values())
    assert len({each.alt for each in pictures().values()}) == len(pictures())


def test_the_package_has_the_files_of_the_pictures_and_no_others_and_they_are_small() -> None:
    directory = resources.files(demo).joinpath(DIRECTORY)
    stored = {file.name: len(file.read_bytes()) for file in directory.iterdir()}
    assert set(stored) == {file for name in pictures() for _, file in files(name)}
    assert max(stored.values()) < 24 * 1024
    assert sum(stored.values()) < 512 * 1024


def test_a_rendition_is_a_webp_file_of_its_size() -> None:
    for name in pictures():
        for size, content in contents(name).items():
            with Image.open(io.BytesIO(content)) as image:
                assert (image.format, image.size) == ("WEBP", (min(SIZES[size], SIDE),) * 2), name
                assert not image.info.keys() & {"exif", "xmp", "icc_profile"}


@pytest.mark.parametrize("name", ["shirt-red", "bike", "football", "wheel"])
def test_the_tool_draws_the_pictures_of_the_package(name: str) -> None:
    for file, content in demo_pictures.encoded(pictures()[name]).items():
        with Image.open(io.BytesIO(content)) as drawn, Image.open(io.BytesIO(_stored(file))) as stored:
            difference = ImageStat.Stat(ImageChops.difference(drawn.convert("RGB"), stored.convert("RGB")))
            assert max(difference.mean) < 1, file  # another encoder rounds in another way


def _stored(file: str) -> bytes:
    return resources.files(demo).joinpath(DIRECTORY, file).read_bytes()
