"""Slugs of names in any script."""

import re
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mercato.rpcs import rpcs
from mercato_server.domain.slugs import RESERVED, SLUG_MAX, SlugKind, distinct, is_slug, slug_of

FORM = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("Running & Trail", "running-trail"),
        ("Women's Shoes", "womens-shoes"),
        ("Äpfel, süß", "apfel-suss"),
        ("Кроссовки", "krossovki"),  # by ISO 9 without its accents
        ("東京", "dongjing"),  # each character by itself, in Mandarin
        ("Łódź — 50 %", "lodz-50"),
        ("🎈", "balloon"),  # its name in Unicode
        ("—", "category"),
        ("\u200b", "category"),
        ("New", "category-new"),
        ("batchGet", "category-batchget"),
        ("3f2504e0-4f89-41d3-9a0c-0305e82c3301", "category-3f2504e0-4f89-41d3-9a0c-0305e82c3301"),
        ("3F2504E04F8941D39A0C0305E82C3301", "category-3f2504e04f8941d39a0c0305e82c3301"),
        ("x" * 200, "x" * 64),
        ("word " * 40, "-".join(["word"] * 13)),
    ],
)
def test_a_name_has_a_slug_that_can_be_read(name: str, slug: str) -> None:
    assert slug_of(name, SlugKind.CATEGORY) == slug


@given(st.text(max_size=200), st.sampled_from(SlugKind))
def test_every_name_has_a_slug_in_the_right_form_and_so_has_its_distinct_one(name: str, kind: SlugKind) -> None:
    for slug in (slug_of(name, kind), distinct(slug_of(name, kind))):
        assert FORM.fullmatch(slug)
        assert len(slug) <= SLUG_MAX
        assert is_slug(slug)


@given(st.uuids())
def test_no_slug_is_an_id(id_: uuid.UUID) -> None:
    for text in (str(id_), id_.hex, str(id_).upper()):
        assert not is_slug(text)
        assert is_slug(slug_of(text, SlugKind.PRODUCT))


@pytest.mark.parametrize("text", ["", "A", "a_b", "-a", "a-", "a--b", "a b", "ä", "a/b", "a:b", "a\n", "x" * 81, "new", "batchget"])
def test_a_text_of_another_form_is_no_slug(text: str) -> None:
    assert not is_slug(text)


def test_no_slug_is_a_verb_of_the_api() -> None:
    verbs = {match for rpc in rpcs() for binding in rpc.bindings for match in re.findall(r":([A-Za-z]+)", binding.path)}
    assert len(verbs) > 10
    assert {verb.lower() for verb in verbs} <= RESERVED
