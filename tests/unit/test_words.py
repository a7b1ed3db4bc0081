"""The words of texts and queries: one table of cases for the rule that both share."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mercato_server.domain.search_documents import product_words
from mercato_server.domain.search_queries import parse
from mercato_server.domain.words import compounds, fold, stem

PARTS = [
    # Compounds are split at signs, and where letters and digits meet.
    ("COVID-19", ["covid 19"]),
    ("ISO 9001", ["iso", "9001"]),
    ("ISO9001", ["iso 9001"]),
    ("RUN-0005", ["run 0005"]),
    ("Black/White", ["black white"]),
    ("Müsli/Riegel", ["musli riegel"]),
    ("node.js", ["node js"]),
    ("AC/DC", ["ac dc"]),
    ("snake_case", ["snake case"]),
    ("RTX3080Ti", ["rtx 3080 ti"]),
    ("T-Shirt/Hoodie", ["t shirt hoodie"]),
    ("rock 'n' roll", ["rock", "n", "roll"]),
    ("foo - bar, (baz)", ["foo", "bar", "baz"]),
    ("Wi\u2011Fi \u2013 dual\u2212band", ["wi fi", "dual band"]),
    # Signs that are a part of a name.
    ("C++ and C#", ["c++", "and", "c#"]),
    ("C++17, F#", ["c++", "17", "f#"]),
    (".NET", ["net"]),
    ("AT&T", ["at t"]),
    ("Tennis & Squash", ["tennis", "squash"]),
    ("Disney+ SPF 50+", ["disney", "spf", "50"]),
    # Apostrophes.
    ("O'Neill", ["o neill"]),
    ("O\u2019Neill", ["o neill"]),
    ("O\u00b4Neill", ["o neill"]),
    ("O\uff07Neill", ["o neill"]),
    ("Women's", ["women"]),
    ("Women\u2019s", ["women"]),
    ("Kids' Bike", ["kids", "bike"]),
    # Numbers.
    ("3.5mm", ["3.5 mm"]),
    ("3,5 mm", ["3.5", "mm"]),
    ("1/2 inch", ["1 2", "inch"]),
    ("\u00bd inch", ["1 2", "inch"]),
    ("size 7\u00bd", ["size", "7", "1 2"]),
    ("15,000 mm", ["15000", "mm"]),
    ("1,299.99", ["1299.99"]),
    ("1.000.000", ["1000000"]),
    ("8,9,10", ["8 9 10"]),
    ("1.2.3", ["1.2.3"]),
    ("m\u00b2", ["m 2"]),
    ("\u0663\u0664", ["34"]),
    # Letters that mean the same.
    ("\uff21\uff22\uff23\uff11\uff12", ["abc 12"]),
    ("Caf\u00e9", ["cafe"]),
    ("Cafe\u0301", ["cafe"]),
    ("\ufb01sh \u2163", ["fish", "iv"]),
    ("Stra\u00dfe", ["strasse"]),
    ("\u0130stanbul I\u011fd\u0131r", ["istanbul", "igdir"]),
    ("K\u00f8benhavn \u0141\u00f3d\u017a \u0152uvre", ["kobenhavn", "lodz", "oeuvre"]),
    ("ΣΊΣΥΦΟΣ", ["σισυφοσ"]),
    ("Ёлка", ["елка"]),
    ("Nike\u2122 Lego\u00ae", ["nike", "lego"]),
    ("soft\u00adware zero\u200bwidth", ["software", "zero", "width"]),
    # Scripts without spaces, and symbols.
    ("苹果手机", ["苹果手机"]),
    ("iPhone手机壳15", ["iphone", "手机壳", "15"]),
    ("ﾃﾚﾋﾞ", ["テレビ"]),
    ("\u30d2\u3099", ["ビ"]),
    ("한국어", ["한국어"]),
    ("ภาษาไทย", ["ภาษาไทย"]),
    ("हिन्दी किताब", ["हिन्दी", "किताब"]),
    ("\U0001f6b2 bike\u2764\ufe0f", ["\U0001f6b2", "bike", "\u2764"]),
    ("\U0001f44d\U0001f3fd", ["\U0001f44d"]),
    # No words.
    ("", []),
    ("--- !!! ... & ' \u2019", []),
]


@pytest.mark.parametrize(("text", "parts"), PARTS)
def test_a_text_is_split_into_compounds_and_their_parts(text: str, parts: list[str]) -> None:
    assert [" ".join(each.parts) for each in compounds(fold(text))] == parts


STEMS = [
    ("shoes", "shoe"),
    ("running", "run"),
    ("batteries", "battery"),
    ("women", "woman"),
    ("knives", "knife"),
    ("shelves", "shelf"),
    ("dresses", "dress"),
    ("earrings", "earring"),
    ("leggings", "legging"),
    ("lenses", "lens"),
    ("canoes", "canoe"),
    ("watches", "watch"),
]


@pytest.mark.parametrize(("word", "same"), STEMS)
def test_words_that_differ_by_an_ending_are_the_same(word: str, same: str) -> None:
    assert stem(word) == stem(same)


@pytest.mark.parametrize(
    ("word", "other"), [("leggings", "leg"), ("dressing", "dress"), ("bearings", "bear"), ("shorts", "short"), ("organizer", "organic")]
)
def test_words_that_only_look_as_if_they_differed_by_an_ending_are_not_the_same(word: str, other: str) -> None:
    assert stem(word) != stem(other)


@pytest.mark.parametrize(
    ("query", "matches"),
    [
        ("shoes", "('shoe' | '=shoes')"),
        ("trail shoes", "('trail' | '=trail') & ('shoe' | '=shoes')"),
        ("-running", "!('run')"),
        ("--running", "!('run')"),
        ("\uff0drunning", "!('run')"),
        ("\u2212running", "!('run')"),
        ("trail\uff0drunning", "('trailrun' | '=trailrunning' | ('trail' <-> 'run'))"),
        ("-RUN-0005", "!('run0005' | '=run0005' | ('run' <-> '0005'))"),
        ("covid-19", "('covid19' | '=covid19' | ('covid' <-> '19'))"),
        ("1/2", "('=12' | ('1' <-> '2'))"),
        ("the who", "('who' | '=who')"),
        ("the -who", "('the' | '=the') & !('who')"),
        ("-for -running", "!('for') & !('run')"),
        ("the the", "('the' | '=the') & ('the' | '=the')"),
        ("red or blue hat", "('red' | '=red') | ('blue' | '=blue') & ('hat' | '=hat')"),
        ("or", "('or' | '=or')"),
        ('"red hats"', "('red' <1> 'hat')"),
        ("\u201cmade of straw\u201d", "('made' <2> 'straw')"),
        ('"the who"', "('the' <1> 'who')"),
        ('-"red hat" cap', "!('red' <1> 'hat') & ('cap' | '=cap')"),
        ('27" monitor', "('27' | '=27') & ('monitor' | '=monitor')"),
        ("手", "('手')"),
        ("手机壳", "('手机' <-> '机壳')"),
        ("a'b\\c", "('ab' | '=ab' | ('a' <-> 'b')) & ('c' | '=c')"),
        ("-" * 200, None),
        ("!!! & | :* <->", None),
    ],
)
def test_a_query_becomes_a_full_text_query(query: str, matches: str | None) -> None:
    assert parse(query).matches == matches


def test_a_product_has_the_words_of_its_name_its_description_and_its_sku() -> None:
    words = product_words("Trail T-Shirt, Women's", "Made of the best straw", "RUN-05")
    assert words.lexemes == (
        "'=05':30 '=run':30 '=run05':30A 'best':18C 'made':15C 'shirt':3A 'straw':19C 't':2A 'trail':1B 'tshirt':2A,3A 'woman':4B"
    )
    assert words.vocabulary == ["shirt", "trail", "tshirt", "women", "womens"]


@pytest.mark.parametrize(
    ("name", "head"),
    [
        ("Trail Running Shoes", "shoe"),
        ("Trail Running Shoes, Waterproof", "shoe"),
        ("Sun Hat with Neck Flap", "hat"),
        ("Net for Goals (3 x 2 m)", "net"),
        ("Beach Ball 5", "ball"),
        ("Foam Mat 6 mm", "mat"),
        ("12", "12"),
    ],
)
def test_the_thing_that_a_name_names_counts_most(name: str, head: str) -> None:
    heads = [lexeme for lexeme in product_words(name, "", None).lexemes.split() if lexeme.endswith("A")]
    assert [lexeme.split("'")[1] for lexeme in heads] == [head]


HOSTILE = st.text(st.sampled_from("aB1 -'\"&|!()<>:*\\/._+#=\u0301\u0130\u00df\u2019\ufdfa\u624b\u0e01\U0001f6b2\u200d,"), max_size=200)


@given(HOSTILE | st.text(max_size=200))
def test_any_name_is_found_by_itself_as_far_as_its_first_words_go(name: str) -> None:
    """Each compound of a name, typed alone, has a lexeme that the document has, or a phrase of such lexemes."""
    lexemes = {each.rsplit(":", 1)[0] for each in product_words(name, "", None).lexemes.split(" ")}
    for each in compounds(fold(name)):
        assert not {"'", "\\"} & set("".join(each.parts))
        wanted = {f"'{stem(part)}'" for part in each.parts} if each.kind != "c" else {f"'{char}'" for char in each.parts[0]}
        assert wanted <= lexemes
