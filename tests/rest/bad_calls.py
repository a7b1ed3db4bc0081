"""Invalid gRPC calls, one per line, with the error that each must get."""

from dataclasses import dataclass
from typing import Any

from google.protobuf.json_format import ParseDict
from google.protobuf.message_factory import GetMessageClass
from google.protobuf.timestamp_pb2 import Timestamp
from grpc import StatusCode

from mercato.v1.tax_pb2 import CreateTaxRateRequest, TaxRate
from mercato_server.composition import SERVICES
from rest.bad_requests import ABSENT, LONG
from support.mercato_up import PASSWORD

METHODS = {f"{service.name}/{method.name}": method for service in SERVICES for method in service.methods}
INVALID, UNAUTHENTICATED = StatusCode.INVALID_ARGUMENT, StatusCode.UNAUTHENTICATED
SQL = "' OR true; DROP TABLE products --"
RATE_OF_AN_ABSURD_TIME = CreateTaxRateRequest(
    tax_rate=TaxRate(country_code="DE", name="VAT", rate_ppm=1, valid_from=Timestamp(seconds=2**63 - 1))
).SerializeToString()
INT32_OVERFLOW = b"\x10\x80\x80\x80\x80\x08"
"""Field 2 as the varint 2 ** 31."""


@dataclass(frozen=True)
class BadCall:
    """An invalid call and its error."""

    name: str
    method: str
    request: bytes | dict[str, Any]
    """Bytes on the wire, or JSON in which PRODUCT and ORDER stand for ids."""
    fields: tuple[str, ...] = ()
    who: str = "anyone"
    metadata: tuple[tuple[str, str], ...] = ()
    code: StatusCode = INVALID
    reason: str = "INVALID_FIELD"

    @property
    def path(self) -> str:
        return f"/mercato.v1.{self.method}"

    def message(self, product_id: str, order_id: str) -> bytes:
        """Return the bytes of the request."""
        if isinstance(self.request, bytes):
            return self.request.replace(b"PRODUCT", product_id.encode())
        ids = {"PRODUCT": product_id, "ORDER": order_id}
        values = {name: ids.get(value, value) if isinstance(value, str) else value for name, value in self.request.items()}
        return ParseDict(values, GetMessageClass(METHODS[self.method].input_type)()).SerializeToString()

    def __str__(self) -> str:
        return self.name


def bad(name: str, method: str, request: bytes | dict[str, Any], *fields: str, **how: Any) -> BadCall:
    return BadCall(f"{method}: {name}", method, request, fields, **how)


def bad_quantity(name: str, value: int) -> list[BadCall]:
    request = {"product_id": "PRODUCT", "quantity": value}
    adding = bad(name, "CartService/AddCartItem", request, "quantity", who="buyer")
    return [adding, *([bad(name, "CartService/SetCartItem", request, "quantity", who="buyer")] if value else [])]


def bad_product(name: str, field: str, /, **values: Any) -> BadCall:
    product = {"name": "Ball", "price": {"minor_units": 1}, **values}
    return bad(name, "CatalogService/CreateProduct", {"product": product}, f"product.{field}", who="admin")


def bad_signup(name: str, field: str, /, **values: Any) -> BadCall:
    return bad(name, "AuthService/SignUp", {"email": "new@example.com", "password": PASSWORD, **values}, field)


def bad_list(name: str, *fields: str, reason: str = "INVALID_FIELD", **values: Any) -> BadCall:
    return bad(name, "CatalogService/ListProducts", values, *fields, reason=reason)


BAD_CALLS = [
    # Messages.
    bad("malformed", "CatalogService/ListProducts", b"\xff\xff\xff"),
    bad("bad UTF-8", "CatalogService/ListProducts", b"\x2a\x02\xff\xfe"),
    bad("half a message", "CartService/AddCartItem", b"\x0a\x24x", who="buyer"),
    bad(
        "70 KB",
        "CatalogService/ListProducts",
        b"\x2a\xf0\xa2\x04" + b"x" * 70_000,
        code=StatusCode.RESOURCE_EXHAUSTED,
        reason="REQUEST_TOO_LARGE",
    ),
    bad("unknown method", "CatalogService/Nothing", b"", code=StatusCode.UNIMPLEMENTED, reason=""),
    bad("unknown service", "Nothing/Nothing", b"", code=StatusCode.UNIMPLEMENTED, reason=""),
    # Metadata.
    bad("no token", "OrderService/Checkout", {}, code=UNAUTHENTICATED, reason="TOKEN_INVALID"),
    bad(
        "two tokens",
        "OrderService/Checkout",
        {},
        who="buyer",
        metadata=(("authorization", "Bearer a.b.c"),),
        code=UNAUTHENTICATED,
        reason="TOKEN_INVALID",
    ),
    bad("key with a space", "OrderService/Checkout", {}, "idempotency-key", who="buyer", metadata=(("idempotency-key", "a b"),)),
    bad(
        "two keys",
        "OrderService/Checkout",
        {},
        "idempotency-key",
        who="buyer",
        metadata=(("idempotency-key", "a"), ("idempotency-key", "b")),
    ),
    bad("long key", "OrderService/Checkout", {}, "idempotency-key", who="buyer", metadata=(("idempotency-key", "x" * 256),)),
    # Quantities.
    *bad_quantity("0", 0),
    *bad_quantity("-1", -1),
    *bad_quantity("one more than the most", 1001),
    *bad_quantity("most of int32", 2**31 - 1),
    bad("int32 overflow", "CartService/AddCartItem", b"\x0a\x24PRODUCT" + INT32_OVERFLOW, "quantity", who="buyer"),
    # Ids.
    bad("no id", "CatalogService/GetProduct", {}, "product_id"),
    bad("no UUID", "CatalogService/GetProduct", {"product_id": "not-a-uuid"}, "product_id"),
    bad("NUL", "CatalogService/GetProduct", {"product_id": "\0"}, "product_id"),
    bad("SQL", "CatalogService/GetProduct", {"product_id": SQL}, "product_id"),
    bad("10 KB", "CatalogService/GetProduct", {"product_id": LONG}, "product_id"),
    bad("no UUID", "OrderService/GetOrder", {"order_id": "1"}, "order_id", who="buyer"),
    bad("no UUID", "CartService/RemoveCartItem", {"product_id": "1"}, "product_id", who="buyer"),
    bad("too many", "CatalogService/BatchGetProducts", {"ids": [ABSENT] * 101}, "ids"),
    # Text.
    bad_signup("no address", "email", email="nobody"),
    bad_signup("NUL in address", "email", email="new\0@example.com"),
    bad_signup("NUL in name", "full_name", full_name="a\0b"),
    bad_signup("long password", "password", password="x" * 1025),
    bad("empty", "AuthService/Login", {}, "email", "password"),
    bad("NUL in address", "AuthService/Login", {"email": "jo\0@example.com", "password": PASSWORD}, "email"),
    bad_product("NUL in name", "name", name="a\0"),
    bad_product("no category", "category_id", category_id="1"),
    bad("id in mask", "UserService/UpdateMe", {"full_name": "x", "update_mask": "id"}, "update_mask", who="buyer"),
    bad("10 KB in mask", "UserService/UpdateMe", {"full_name": "x", "update_mask": LONG}, "update_mask", who="buyer"),
    # Amounts.
    bad_product("negative price", "price.minor_units", price={"minor_units": -1}),
    bad_product("most of int64", "price.minor_units", price={"minor_units": 2**63 - 1}),
    bad_product("no amount", "price.minor_units", price={}),
    bad_product("currency alone", "price.minor_units", price={"currency_code": "USD"}),
    bad("no price", "CatalogService/CreateProduct", {"product": {"name": "Ball"}}, "product.price", who="admin"),
    bad(
        "price without amount",
        "CatalogService/UpdateProduct",
        {"product": {"id": ABSENT, "price": {}}, "update_mask": "price"},
        "product.price.minor_units",
        who="admin",
    ),
    bad("total without amount", "OrderService/Checkout", {"expected_total": {}}, "expected_total.minor_units", who="buyer"),
    bad(
        "stock without amount",
        "CatalogService/AdjustStock",
        {"product_id": "PRODUCT", "compare_and_set": {"expected_stock": 100}},
        "compare_and_set.stock",
        who="admin",
    ),
    bad_product("other currency", "price.currency_code", price={"currency_code": "EUR", "minor_units": 1}),
    bad_product("negative stock", "stock", stock=-1),
    bad("no change", "CatalogService/AdjustStock", {"product_id": "PRODUCT"}, "delta", who="admin"),
    # Lists.
    bad_list("negative page", "page_size", page_size=-1),
    bad_list("NUL in search", "q", q="\0"),
    bad_list("SQL in order", "order_by", order_by=f"price; {SQL}"),
    bad_list("forged cursor", "page_token", page_token="AAAA", reason="PAGE_TOKEN_INVALID"),
    bad_list("SQL in cursor", "page_token", page_token=SQL, reason="PAGE_TOKEN_INVALID"),
    bad_list("10 KB cursor", "page_token", page_token=LONG, reason="PAGE_TOKEN_INVALID"),
    bad("forged cursor", "OrderService/ListOrders", {"page_token": "AAAA"}, "page_token", who="buyer", reason="PAGE_TOKEN_INVALID"),
    # Taxes.
    bad("absurd time", "TaxService/CreateTaxRate", RATE_OF_AN_ABSURD_TIME, "tax_rate.valid_from", who="admin"),
    bad("rounding of a later release", "ShopService/UpdateShop", {"shop": {"tax_rounding": 99}}, "shop.tax_rounding", who="admin"),
    bad("treatment of a later release", "UserService/UpdateUser", {"user_id": ABSENT, "tax_treatment": 99}, "tax_treatment", who="admin"),
    # Orders.
    bad("role of a later release", "UserService/UpdateUser", {"user_id": ABSENT, "role": 99}, "role", who="admin"),
    bad("role of a later release", "UserService/ListUsers", {"role": 99}, "role", who="admin"),
    bad("status of a later release", "OrderService/AdvanceOrder", {"order_id": "ORDER", "status": 99}, "status", who="admin"),
    bad("long reason", "OrderService/CancelOrder", {"order_id": "ORDER", "reason": "x" * 501}, "reason", who="buyer"),
]
