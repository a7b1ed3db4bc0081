"""Products."""

import base64
import binascii
import hmac
from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import bindparam, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import contains_eager

from peer.refusals import invalid, product_not_found
from peer.tables import Product

MAC_BYTES = 16

ON_SALE = select(Product).join(Product.level).options(contains_eager(Product.level)).where(Product.deleted_at.is_(None))
BY_ID = ON_SALE.where(Product.id == bindparam("id"))
NEWEST = ON_SALE.order_by(Product.id.desc()).limit(bindparam("limit"))
NEWEST_BELOW = NEWEST.where(Product.id < bindparam("after"))


async def get(db: AsyncSession, product_id: UUID) -> Product:
    """Return a product on sale, or refuse."""
    found = (await db.scalars(BY_ID, {"id": product_id})).one_or_none()
    if found is None:
        raise product_not_found(product_id)
    return found


async def newest(db: AsyncSession, size: int, after: UUID | None) -> tuple[Sequence[Product], UUID | None]:
    """Return a page of products, newest first, and the id of its last one if more follow."""
    if after is None:
        found = (await db.scalars(NEWEST, {"limit": size + 1})).all()
    else:
        found = (await db.scalars(NEWEST_BELOW, {"limit": size + 1, "after": after})).all()
    return found[:size], found[size - 1].id if len(found) > size else None


def write_token(secret: str, last: UUID | None) -> str:
    """Return the page token of a position in the list; empty at its end."""
    if last is None:
        return ""
    return base64.urlsafe_b64encode(_mac(secret, last.bytes) + last.bytes).rstrip(b"=").decode()


def read_token(secret: str, token: str) -> UUID | None:
    """Return the position in a page token, or refuse a token that this server did not sign."""
    if not token:
        return None
    try:
        raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
        if hmac.compare_digest(raw[:MAC_BYTES], _mac(secret, raw[MAC_BYTES:])):
            return UUID(bytes=raw[MAC_BYTES:])
    except (binascii.Error, ValueError):
        pass
    raise invalid("PAGE_TOKEN_INVALID", "page_token: is not a token of this list")


def _mac(secret: str, body: bytes) -> bytes:
    return hmac.digest(secret.encode(), b"page token" + body, "sha256")[:MAC_BYTES]
