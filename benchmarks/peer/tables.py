"""The tables of the migrations, as far as the peer needs them."""

from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import BigInteger, FetchedValue, ForeignKey, Table, Text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, TIMESTAMP
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship


class Base(DeclarativeBase):
    """Base of all tables."""

    type_annotation_map = {  # noqa: RUF012 - SQLAlchemy declares it so
        str: Text(),
        datetime: TIMESTAMP(timezone=True),
        list[str]: ARRAY(Text()),
        dict[str, Any]: JSONB(),
    }
    __table__: ClassVar[Table]


class Account(Base):
    """An account that may log in."""

    __tablename__ = "accounts"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    role: Mapped[str]
    disabled_at: Mapped[datetime | None]


class Session(Base):
    """A login."""

    __tablename__ = "sessions"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    account_id: Mapped[UUID] = mapped_column(ForeignKey("accounts.id"))
    expires_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]


class StockLevel(Base):
    """The stock of a product at the only location."""

    __tablename__ = "stock_levels"

    product_id: Mapped[UUID] = mapped_column(ForeignKey("products.id"), primary_key=True)
    location_id: Mapped[int] = mapped_column(primary_key=True)
    on_hand: Mapped[int]
    version: Mapped[int] = mapped_column(BigInteger)
    updated_at: Mapped[datetime]


class Product(Base):
    """A product, without the column that only searches need."""

    __tablename__ = "products"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    name: Mapped[str]
    description: Mapped[str]
    price_minor: Mapped[int] = mapped_column(BigInteger)
    currency_code: Mapped[str]
    category_id: Mapped[UUID | None]
    sku: Mapped[str | None]
    image_urls: Mapped[list[str]]
    version: Mapped[int] = mapped_column(BigInteger)
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    deleted_at: Mapped[datetime | None]
    level: Mapped[StockLevel] = relationship(
        lazy="raise", viewonly=True, primaryjoin=lambda: (StockLevel.product_id == Product.id) & (StockLevel.location_id == 1)
    )


class CartItem(Base):
    """A line of a cart."""

    __tablename__ = "cart_items"

    account_id: Mapped[UUID] = mapped_column(ForeignKey("accounts.id"), primary_key=True)
    product_id: Mapped[UUID] = mapped_column(ForeignKey("products.id"), primary_key=True)
    quantity: Mapped[int]
    unit_price_minor: Mapped[int] = mapped_column(BigInteger)
    currency_code: Mapped[str]
    added_at: Mapped[datetime] = mapped_column(server_default=FetchedValue())
    product: Mapped[Product] = relationship(lazy="raise")


class Order(Base):
    """An order."""

    __tablename__ = "orders"

    id: Mapped[UUID] = mapped_column(primary_key=True, server_default=FetchedValue())
    account_id: Mapped[UUID] = mapped_column(ForeignKey("accounts.id"))
    status: Mapped[str]
    currency_code: Mapped[str]
    total_minor: Mapped[int] = mapped_column(BigInteger)
    idempotency_key: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(server_default=FetchedValue())


class OrderItem(Base):
    """A line of an order."""

    __tablename__ = "order_items"

    order_id: Mapped[UUID] = mapped_column(ForeignKey("orders.id"), primary_key=True)
    product_id: Mapped[UUID] = mapped_column(ForeignKey("products.id"), primary_key=True)
    product_name: Mapped[str]
    unit_price_minor: Mapped[int] = mapped_column(BigInteger)
    currency_code: Mapped[str]
    quantity: Mapped[int]


class OrderHistory(Base):
    """A status that an order has had."""

    __tablename__ = "order_history"

    order_id: Mapped[UUID] = mapped_column(ForeignKey("orders.id"), primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True)
    status: Mapped[str]
    actor_kind: Mapped[str]
    actor_id: Mapped[UUID | None]
    reason: Mapped[str]


class StockEntry(Base):
    """A line of the ledger."""

    __tablename__ = "stock_ledger"

    product_id: Mapped[UUID] = mapped_column(ForeignKey("products.id"), primary_key=True)
    id: Mapped[int] = mapped_column(BigInteger, primary_key=True, server_default=FetchedValue())
    order_id: Mapped[UUID | None] = mapped_column(ForeignKey("orders.id"))
    kind: Mapped[str]
    delta: Mapped[int]


class IdempotencyKey(Base):
    """The stored answer of a call."""

    __tablename__ = "idempotency_keys"

    scope_id: Mapped[UUID] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    method: Mapped[str]
    fingerprint: Mapped[bytes]
    response: Mapped[bytes | None]
    created_at: Mapped[datetime] = mapped_column(server_default=FetchedValue())


class Event(Base):
    """An entry of the change feed."""

    __tablename__ = "events"

    xid: Mapped[str] = mapped_column(primary_key=True, server_default=FetchedValue())
    id: Mapped[int] = mapped_column(BigInteger, primary_key=True, server_default=FetchedValue())
    kind: Mapped[str]
    subject_id: Mapped[UUID]
    payload: Mapped[dict[str, Any]]
