"""A valid request for each REST route, and the binding of each route in the protos."""

import asyncio
import json
import re
import uuid
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Any, TypeVar

import asyncpg
from google.api import annotations_pb2
from google.protobuf.json_format import MessageToDict

from mercato.rpcs import services
from mercato.v1 import policy_pb2
from mercato_server.security.order_links import OrderLinks
from support.example_payments import PaidOrder, an_event, an_order
from support.example_requests import EXAMPLE_REQUESTS, unused_category_id
from support.mercato_up import PASSWORD, Up, created
from support.rest_client import Client, Reply, search

Made = TypeVar("Made")

NOTHING: Mapping[str, str] = MappingProxyType({})
VARIABLE = re.compile(r"\{([^}]*)\}")


class Scene:
    """The things that a call needs, made at their first use."""

    def __init__(self, up: Up) -> None:
        self.up = up

    @cached_property
    def buyer(self) -> Client:
        return self.up.buyer()

    @cached_property
    def product_id(self) -> str:
        return str(self.up.product()["id"])

    @cached_property
    def deleted_product_id(self) -> str:
        assert self.up.admin.delete(f"/products/{self.product_id}").status == 200
        return self.product_id

    @cached_property
    def upload_id(self) -> str:
        return str(created(self.up.admin.post("/v1/pictures:createUpload"))["id"])

    @cached_property
    def received_upload_id(self) -> str:
        return str(self.up.picture()["id"])

    @cached_property
    def picture_name(self) -> str:
        return self.up.picture_name

    @cached_property
    def category_id(self) -> str:
        return str(self.up.category()["id"])

    @cached_property
    def group_id(self) -> str:
        draft = {"name": "Shirt", "varies_by": ["Size"]}
        return str(created(self.up.admin.post("/v1/productGroups", draft))["id"])

    @cached_property
    def category_slug(self) -> str:
        return str(self.up.category()["slug"])

    @cached_property
    def promotion_id(self) -> str:
        return str(self.up.promotion()["id"])

    @cached_property
    def promotion_code(self) -> str:
        return str(self.up.promotion_code(self.promotion_id)["code"])

    @cached_property
    def tax_category_id(self) -> str:
        code = unused_category_id()
        assert self.up.admin.post(f"/v1/taxCategories?tax_category_id={code}", {"display_name": "Books"}).status == 201
        return code

    @cached_property
    def tax_rate_id(self) -> str:
        draft = {"country_code": "US", "region": uuid.uuid4().hex, "name": "Sales tax", "rate_ppm": 72_500}
        return str(created(self.up.admin.post("/v1/taxRates", draft))["id"])

    @cached_property
    def user_id(self) -> str:
        return self.buyer.id

    @cached_property
    def order_id(self) -> str:
        self.fill_cart()
        return str(created(self.buyer.post("/orders/checkout"))["id"])

    @property
    def link_token(self) -> str:
        return OrderLinks(self.up.secret).of(uuid.UUID(self.order_id))

    @cached_property
    def _paid(self) -> tuple[str, str, str, str]:
        return self.up.shipments(self.buyer)

    @property
    def paid_order_id(self) -> str:
        return self._paid[0]

    @property
    def sent_product_id(self) -> str:
        return self._paid[1]

    @property
    def shipment_id(self) -> str:
        return self._paid[2]

    @property
    def sent_shipment_id(self) -> str:
        return self._paid[3]

    @cached_property
    def address_id(self) -> str:
        return str(self.up.address(self.buyer)["id"])

    @cached_property
    def session_id(self) -> str:
        """A session of the buyer on another device."""
        self.up.anyone.login(self.buyer.email, PASSWORD)
        return str(next(session["id"] for session in self.buyer.get("/me/sessions").json["sessions"] if not session["current"]))

    @cached_property
    def shipping_zone_id(self) -> str:
        return str(self.up.shipping_zone()["id"])

    @cached_property
    def shipping_method_id(self) -> str:
        return str(self.up.shipping_method()["id"])

    @cached_property
    def pending(self) -> PaidOrder:
        return self._paid_order("pending")

    @cached_property
    def authorized(self) -> PaidOrder:
        return self._paid_order("authorized")

    @cached_property
    def captured(self) -> PaidOrder:
        return self._paid_order("captured")

    def _paid_order(self, state: str) -> PaidOrder:
        return self._stored(lambda conn: an_order(conn, self.buyer.id, self.product_id, state))

    @cached_property
    def payment_event_id(self) -> str:
        return self._stored(an_event)

    def _stored(self, make: Callable[[Any], Awaitable[Made]]) -> Made:
        """Make a thing that no call of a shop without a provider can make."""

        async def made() -> Made:
            conn = await asyncpg.connect(self.up.database)
            try:
                return await make(conn)
            finally:
                await conn.close()

        return asyncio.run(made())

    @property
    def email(self) -> str:
        return self.buyer.email

    @property
    def refresh_token(self) -> str:
        """The first refresh token of a new session."""
        return str(self.up.anyone.post("/v1/auth:login", {"email": self.buyer.email, "password": PASSWORD}).json["refresh_token"])

    @property
    def reset_token(self) -> str:
        """A reset token of a new account, because another mail to an account revokes its earlier token."""
        email = self.up.buyer().email
        assert self.up.anyone.post("/v1/auth:requestPasswordReset", {"email": email}).status == 200
        return self.up.token(email, "Set a new password")

    @property
    def verification_token(self) -> str:
        return self.up.token(self.buyer.email, "confirm")

    def fill_cart(self) -> None:
        assert self.buyer.post(f"/cart/add/{self.product_id}").status == 200

    def client(self, access: int) -> Client:
        if access == policy_pb2.ACCESS_ADMIN:
            return self.up.admin
        return self.buyer if access in (policy_pb2.ACCESS_USER, policy_pb2.ACCESS_BUYER) else self.up.anyone


def nothing(_scene: Scene) -> None:
    """Do nothing."""


@dataclass(frozen=True)
class Binding:
    """The binding of a verb and path template in the protos."""

    rpc: str
    body: str
    """The field of the request that is the HTTP body; `*` for all fields that are not in the path."""
    policy: policy_pb2.Policy


@dataclass(frozen=True)
class Route:
    """A verb and path template, and a field of the answer if it has any. It is called with the example request of its RPC."""

    verb: str
    template: str
    shows: str = ""
    status: int = 200
    prepare: Callable[[Scene], None] = nothing
    access: int = policy_pb2.ACCESS_UNSPECIFIED
    """The access that the example needs, if it is more than that of the RPC."""
    media: str = "application/json"
    """The type of the answer."""
    unsigned: bool = False
    """Whether the example is a notice without its signature, which is refused."""

    def __str__(self) -> str:
        return f"{self.verb} {self.template}"

    @property
    def binding(self) -> Binding:
        return BINDINGS[self.verb, self.template]

    @property
    def policy(self) -> policy_pb2.Policy:
        return self.binding.policy

    def call(self, scene: Scene, slash: str = "") -> Reply:
        """Call it as a client with the necessary access."""
        self.prepare(scene)
        path, query, body = self.parts(scene)
        return self.client(scene).send_json(self.verb, path + slash + query, body)

    def client(self, scene: Scene) -> Client:
        """Return the client of a caller with the access that the example needs."""
        return scene.client(self.access or self.policy.access)

    def path(self, scene: Scene) -> str:
        """Return the path with the query."""
        path, query, _ = self.parts(scene)
        return path + query

    def body(self, scene: Scene) -> Any:
        """Return the JSON to send; None sends no body."""
        return self.parts(scene)[2]

    def parts(self, scene: Scene, instead: Mapping[str, str] = NOTHING) -> tuple[str, str, Any]:
        """Return path, query and body of the example request, as google.api.http spreads its fields over them.

        Variables of the path may have other values than those of the request.
        """
        request: Any = EXAMPLE_REQUESTS[self.binding.rpc](scene)
        values = MessageToDict(request, preserving_proto_field_name=True)
        in_path = {**{name: _taken(values, name) for name in VARIABLE.findall(self.template)}, **instead}
        path = VARIABLE.sub(lambda found: in_path[found[1]], self.template)
        if self.binding.body in ("form", "event"):
            return path, "", json.loads(getattr(request, self.binding.body).data)
        if self.binding.body == "*":
            return path, "", values or None
        body = values.pop(self.binding.body, None)
        return path, search(values), body


def _taken(values: dict[str, Any], field: str) -> str:
    """Remove a field such as `product.id` from the JSON of a message and return its value."""
    name, _, rest = field.partition(".")
    return _taken(values[name], rest) if rest else str(values.pop(name))


ROUTES = [
    Route("POST", "/signup", "email", status=201),
    Route("POST", "/login", "access_token"),
    Route("POST", "/v1/auth:login", "access_token"),
    Route("POST", "/v1/auth:refresh", "refresh_token"),
    Route("POST", "/v1/auth:guest", "refresh_token"),
    Route("POST", "/logout"),
    Route("POST", "/v1/auth:logoutAll", "ended_sessions"),
    Route("GET", "/me/sessions", "sessions"),
    Route("DELETE", "/me/sessions/{session_id}", "expire_time"),
    Route("POST", "/me:changePassword", "ended_sessions"),
    Route("POST", "/me:export", "orders"),
    Route("POST", "/me:delete", "kept_orders"),
    Route("GET", "/.well-known/jwks.json", "keys"),
    Route("POST", "/v1/auth:requestPasswordReset"),
    Route("POST", "/v1/auth:resetPassword", "ended_sessions"),
    Route("POST", "/me:requestEmailVerification"),
    Route("POST", "/v1/auth:verifyEmail", "email"),
    Route("GET", "/me", "email"),
    Route("PATCH", "/me", "full_name"),
    Route("GET", "/admin-only", "message"),
    Route("GET", "/v1/users", "users"),
    Route("GET", "/v1/users/{user_id}", "email"),
    Route("PATCH", "/v1/users/{user_id}", "disabled"),
    Route("GET", "/v1/me/addresses", "addresses"),
    Route("GET", "/v1/me/addresses/{address_id}", "postal_address"),
    Route("POST", "/v1/me/addresses", "id", status=201),
    Route("PUT", "/v1/me/addresses/{address.id}", "etag"),
    Route("PATCH", "/v1/me/addresses/{address.id}", "etag"),
    Route("DELETE", "/v1/me/addresses/{address_id}", "id"),
    Route("GET", "/v1/auditLog", "entries"),
    Route("GET", "/products", "products"),
    Route("POST", "/products", "id", status=201),
    Route("GET", "/products/{product_id}", "id"),
    Route("GET", "/products:batchGet", "products"),
    Route("PUT", "/products/{product.id}", "id"),
    Route("PATCH", "/products/{product.id}", "id"),
    Route("DELETE", "/products/{product_id}", "delete_time"),
    Route("POST", "/products/{product_id}:undelete", "id"),
    Route("POST", "/products/{product_id}:adjustStock", "stock"),
    Route("POST", "/v1/pictures:createUpload", "id", status=201),
    Route("PUT", "/v1/pictureUploads/{upload_id}/content", "state"),
    Route("POST", "/v1/pictureUploads/{upload_id}:complete", "state"),
    Route("GET", "/v1/pictureUploads/{upload_id}", "state"),
    Route("PUT", "/products/{product_id}/pictures", "id"),
    Route("GET", "/pictures/{name}", media="image/webp"),
    Route("GET", "/categories", "categories"),
    Route("POST", "/categories", "id", status=201),
    Route("GET", "/categories/{category_id}", "name"),
    Route("PUT", "/categories/{category.id}", "name"),
    Route("PATCH", "/categories/{category.id}", "name"),
    Route("DELETE", "/categories/{category_id}", "name"),
    Route("GET", "/v1/productGroups", "groups"),
    Route("GET", "/v1/productGroups/{group_id}", "name"),
    Route("POST", "/v1/productGroups", "id", status=201),
    Route("PATCH", "/v1/productGroups/{group.id}", "name"),
    Route("DELETE", "/v1/productGroups/{group_id}", "name"),
    Route("POST", "/v1/productGroups:upsert", "variants"),
    Route("GET", "/v1/slugs/{kind}/{slug}", "category"),
    Route("POST", "/cart/add/{product_id}", "lines"),
    Route("GET", "/cart", "lines"),
    Route("PATCH", "/cart/items/{product_id}", "lines"),
    Route("DELETE", "/cart/items/{product_id}", "lines"),
    Route("DELETE", "/cart", "lines"),
    Route("GET", "/v1/cart", "etag"),
    Route("PATCH", "/v1/cart", "etag"),
    Route("GET", "/v1/cart/shippingOptions", "options"),
    Route("POST", "/v1/cart:quote", "expire_time", status=201, prepare=Scene.fill_cart),
    Route("POST", "/orders/checkout", "id", status=201, prepare=Scene.fill_cart),
    Route("GET", "/orders/my", "orders"),
    Route("GET", "/orders/{order_id}", "id"),
    Route("GET", "/v1/orders/{order_id}:linked", "id"),
    Route("POST", "/orders/{order_id}:cancel", "id"),
    Route("GET", "/v1/orders", "orders"),
    Route("POST", "/v1/orders/{order_id}:advance", "id"),
    Route("POST", "/v1/orders/{order_id}/notes", "id", status=201),
    Route("GET", "/v1/orders/{order_id}/notes", "notes"),
    Route("POST", "/v1/orders/{order_id}/payments", "payment", status=201, access=policy_pb2.ACCESS_ADMIN),
    Route("GET", "/v1/orders/{order_id}/payments", "payments"),
    Route("GET", "/v1/orders/{order_id}/payments/{payment_id}", "captured"),
    Route("POST", "/v1/orders/{order_id}/payments/{payment_id}:capture", "captured"),
    Route("POST", "/v1/orders/{order_id}/payments/{payment_id}:cancel", "state"),
    Route("POST", "/v1/orders/{order_id}/refunds", "id", status=201),
    Route("GET", "/v1/orders/{order_id}/refunds", "refunds"),
    Route("GET", "/v1/payments", "payments"),
    Route("GET", "/v1/refunds", "refunds"),
    Route("GET", "/v1/disputes", "disputes"),
    Route("GET", "/v1/paymentRequests", "requests"),
    Route("GET", "/v1/paymentEvents", "events"),
    Route("POST", "/v1/paymentEvents/{payment_event_id}:resolve", "resolve_time"),
    Route("POST", "/webhooks/payments/{provider}", "code", status=400, unsigned=True),
    Route("POST", "/v1/orders/{order_id}/shipments", "id", status=201),
    Route("GET", "/v1/orders/{order_id}/shipments", "shipments"),
    Route("GET", "/v1/orders/{order_id}/shipments/{shipment_id}", "state"),
    Route("POST", "/v1/orders/{order_id}/shipments/{shipment_id}:ship", "ship_time"),
    Route("POST", "/v1/orders/{order_id}/shipments/{shipment_id}:deliver", "deliver_time"),
    Route("POST", "/v1/orders/{order_id}/shipments/{shipment_id}:cancel", "state"),
    Route("POST", "/v1/orders/{order_id}/returns", "id", status=201),
    Route("GET", "/v1/orders/{order_id}/returns", "returns"),
    Route("POST", "/v1/orders/{order_id}:cancelItems", "id"),
    Route("GET", "/v1/shippingZones", "shipping_zones"),
    Route("POST", "/v1/shippingZones", "areas", status=201),
    Route("GET", "/v1/shippingZones/{shipping_zone_id}", "areas"),
    Route("PATCH", "/v1/shippingZones/{shipping_zone.id}", "areas"),
    Route("POST", "/v1/shippingZones/{shipping_zone_id}:archive", "archive_time"),
    Route("GET", "/v1/shippingMethods", "shipping_methods"),
    Route("POST", "/v1/shippingMethods", "rates", status=201),
    Route("GET", "/v1/shippingMethods/{shipping_method_id}", "rates"),
    Route("PATCH", "/v1/shippingMethods/{shipping_method.id}", "rates"),
    Route("POST", "/v1/shippingMethods/{shipping_method_id}:archive", "archive_time"),
    Route("GET", "/v1/promotions", "promotions"),
    Route("POST", "/v1/promotions", "id", status=201),
    Route("GET", "/v1/promotions/{promotion_id}", "name"),
    Route("PATCH", "/v1/promotions/{promotion.id}", "name"),
    Route("POST", "/v1/promotions/{promotion_id}:archive", "archive_time"),
    Route("GET", "/v1/promotions/{promotion_id}/codes", "codes"),
    Route("POST", "/v1/promotions/{promotion_id}/codes", "code"),
    Route("POST", "/v1/promotions/{promotion_id}:generateCodes", "batch_id"),
    Route("POST", "/v1/promotions/{promotion_id}/codes/{code}:archive", "archive_time"),
    Route("GET", "/v1/shop", "currency_code"),
    Route("PATCH", "/v1/shop", "etag"),
    Route("GET", "/v1/taxCategories", "tax_categories"),
    Route("POST", "/v1/taxCategories", "id", status=201),
    Route("GET", "/v1/taxCategories/{tax_category_id}", "display_name"),
    Route("PATCH", "/v1/taxCategories/{tax_category.id}", "display_name"),
    Route("POST", "/v1/taxCategories/{tax_category_id}:archive", "archive_time"),
    Route("GET", "/v1/taxRates", "tax_rates"),
    Route("POST", "/v1/taxRates", "id", status=201),
    Route("GET", "/v1/taxRates/{tax_rate_id}", "rate_ppm"),
    Route("PATCH", "/v1/taxRates/{tax_rate.id}", "rate_ppm"),
    Route("POST", "/v1/taxRates/{tax_rate_id}:archive", "archive_time"),
]


def bindings() -> Iterator[tuple[tuple[str, str], Binding]]:
    """Read the verb and template of every binding in the protos."""
    for service in services():
        for method in service.methods:
            policy = method.GetOptions().Extensions[policy_pb2.policy]
            rule = method.GetOptions().Extensions[annotations_pb2.http]
            for each in (rule, *rule.additional_bindings):
                verb = each.WhichOneof("pattern")
                yield (verb.upper(), getattr(each, verb)), Binding(method.name, each.body, policy)


BINDINGS = dict(bindings())
