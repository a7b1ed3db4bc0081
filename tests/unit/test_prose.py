"""The check of prose finds words that name no actor."""

import pytest

import prose


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("Nobody may call it.", ["Nobody"]),
        ("the wish of whoever calls", ["wish", "whoever"]),
        ("- What is lost is sent again.", ["What"]),
        ("It ends. What is lost is sent again.", ["What"]),
        ("PostgreSQL runs as the user `nobody`.", []),
        ('user = pwd.getpwnam("nobody")', []),
        ("def test_nobody_may_call_it() -> None:", []),
        ("Say what failed.", []),
    ],
)
def test_a_word_without_an_actor_is_found_in_prose_but_not_in_names(line: str, words: list[str]) -> None:
    assert [word for _, word in prose.avoided([line])] == words


def test_words_in_blocks_of_code_are_not_prose() -> None:
    assert list(prose.avoided(["```", "nobody", "```", "nobody"])) == [(4, "nobody")]
