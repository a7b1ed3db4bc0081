"""The texts of searches are full of operators: none of them is more to PostgreSQL than text."""

import asyncio

from hypothesis import strategies as st

from fuzz.conftest import Fuzz
from mercato_server.config.settings import Settings
from mercato_server.database.pool import create_pool
from mercato_server.domain.accounts import COMMAND_LINE, AccountFilter
from mercato_server.domain.catalog import QUERY_MAX, ProductDraft, ProductFilter, ProductOrder
from mercato_server.domain.paging import Page
from mercato_server.store import catalog, product_lists, users

PIECES = (
    *(
        "-",
        "--",
        '"',
        "'",
        "&",
        "|",
        "!",
        "(",
        ")",
        "<->",
        "<2>",
        ":*",
        ":AB",
        "\\",
        "%",
        "_",
        "*",
        "=",
        ",",
        "/",
        " or ",
        " OR ",
        " ",
        "\t",
    ),
    *(
        "ball",
        "balls",
        "bal",
        "shoe",
        "sheo",
        "can",
        "the",
        "RUN-0005",
        "3.5mm",
        "1/2",
        "C++",
        "o'neill",
        "手机",
        "\u0301",
        "\ufdfa",
        "\U0001f388",
    ),
    *("\u2019", "\u201c", "\u2212", "\u0130", "\u200d", "$1", "{}", "x" * 40),
)
QUERIES = (
    st.lists(st.sampled_from(PIECES), min_size=1, max_size=60).map("".join)
    | st.builds(lambda piece, count: piece * count, st.sampled_from(PIECES), st.integers(1, 200))
    | st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=QUERY_MAX)
).map(lambda text: text[:QUERY_MAX])
ORDERS = st.sampled_from(list(ProductOrder))


def test_no_query_is_more_than_text(settings: Settings, fuzz: Fuzz) -> None:
    with asyncio.Runner() as runner:
        pool = runner.run(create_pool(settings))

        async def sell() -> None:
            for name in ("Ball", "Watering Can", "Trail Running Shoe 3.5mm", "O'Neill 手机", "C++ 1/2"):
                await catalog.create(pool, ProductDraft(name=name, price_minor=1, sku=f"RUN-{name}"), COMMAND_LINE)

        async def search(query: str, order: ProductOrder) -> None:
            wanted = ProductFilter(query=query)
            found = await product_lists.products(pool, wanted, order, Page(3))
            counted = await product_lists.count(pool, wanted, 10, found.spelling)
            assert min(counted, 3) == len(found.products)
            assert (found.last is not None) == (counted > 3)
            fuzz.count("q", "found" if found.products else "corrected" if found.spelling else "empty")
            await users.users(pool, AccountFilter(query=query), Page(1))

        runner.run(sell())
        fuzz.draw("q", st.tuples(QUERIES, ORDERS), lambda drawn: runner.run(search(*drawn)), quick=120, full=20_000)
        runner.run(pool.close())
