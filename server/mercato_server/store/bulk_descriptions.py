"""Descriptions that an import removes: without one in text, that of the HTML is the description, as in a call."""

from collections.abc import Mapping, Sequence

from mercato_server.database.pool import Conn
from mercato_server.domain.catalog import DESCRIPTION_MAX
from mercato_server.domain.html_descriptions import shortened, text_of

GET_HTML = "SELECT sku, description_html FROM products WHERE sku = ANY($1::text[]) AND deleted_at IS NULL AND description_html IS NOT NULL"


async def of_html(conn: "Conn", skus: Sequence[str]) -> Mapping[str, tuple[str, str]]:
    """Return the descriptions in HTML of products that have one, by SKU, and their texts. It locks nothing."""
    rows = await conn.fetch(GET_HTML, skus) if skus else []
    return {row["sku"]: (row["description_html"], shortened(text_of(row["description_html"]), DESCRIPTION_MAX)) for row in rows}
