"""The routes: how each is called so that it works, and what the protos say of them."""

import re
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from importlib import import_module
from typing import Any

from google.api import annotations_pb2

from mercato.v1 import policy_pb2
from support.rest import Client, Reply
from support.up import PASSWORD, Up, draft

SERVICES = ("audit", "auth", "cart", "catalog", "order", "user")
VARIABLE = re.compile(r"\{([^}]*)\}")


class Scene:
    """What a call needs to have before it: made when it is first asked for."""

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
    def category_id(self) -> str:
        return str(self.up.category()["id"])

    @cached_property
    def user_id(self) -> str:
        return self.buyer.id

    @cached_property
    def order_id(self) -> str:
        return str(self.up.order(self.buyer)["id"])

    @cached_property
    def session_id(self) -> str:
        """A session of the buyer's on another device."""
        self.up.anyone.login(self.buyer.email, PASSWORD)
        return str(next(session["id"] for session in self.buyer.get("/me/sessions").json["sessions"] if not session["current"]))

    def fill_cart(self) -> None:
        assert self.buyer.post(f"/cart/add/{self.product_id}").status == 200

    def client(self, access: int) -> Client:
        if access == policy_pb2.ACCESS_ADMIN:
            return self.up.admin
        return self.buyer if access == policy_pb2.ACCESS_USER else self.up.anyone


def no_body(scene: Scene) -> None:
    """Send nothing."""


@dataclass(frozen=True)
class Route:
    """A verb and template, with a body to send and a field of the answer, if it has any; variables are filled from the scene."""

    verb: str
    template: str
    shows: str = ""
    body: Callable[[Scene], Any] = no_body
    status: int = 200
    query: str = ""
    fills: dict[str, str] = field(default_factory=lambda: {"product.id": "product_id", "category.id": "category_id"})

    def __str__(self) -> str:
        return f"{self.verb} {self.template}"

    @property
    def policy(self) -> policy_pb2.Policy:
        return POLICIES[self.verb, self.template]

    def call(self, scene: Scene, slash: str = "") -> Reply:
        """Call it as somebody who may."""
        body = self.body(scene)
        return scene.client(self.policy.access).send_json(self.verb, self.path(scene, slash), body)

    def path(self, scene: Scene, slash: str = "") -> str:
        """Return the path with the query, `slash` between the two."""
        return self._filled(self.template, scene) + slash + self._filled(self.query, scene)

    def _filled(self, text: str, scene: Scene) -> str:
        return VARIABLE.sub(lambda found: str(getattr(scene, self.fills.get(found[1], found[1]))), text)


def signup(scene: Scene) -> dict[str, str]:
    return {"email": f"{uuid.uuid4().hex}@example.com", "password": PASSWORD, "full_name": "Jo Doe"}


def login(name: str) -> Callable[[Scene], dict[str, str]]:
    return lambda scene: {name: scene.buyer.email, "password": PASSWORD}


def refresh(scene: Scene) -> dict[str, str]:
    session = scene.up.anyone.post("/v1/auth:login", login("email")(scene)).json
    return {"refresh_token": session["refresh_token"]}


def new_password(_scene: Scene) -> dict[str, str]:
    return {"current_password": PASSWORD, "new_password": "another-secret-1"}


def reset_password(scene: Scene) -> dict[str, str]:
    email = scene.up.buyer().email  # somebody new: a second mail would end the token of the first
    assert scene.up.anyone.post("/v1/auth:requestPasswordReset", {"email": email}).status == 200
    return {"token": scene.up.token(email, "Set a new password"), "new_password": PASSWORD}


def verify_email(scene: Scene) -> dict[str, str]:
    return {"token": scene.up.token(scene.buyer.email, "confirm")}


def checkout(scene: Scene) -> None:
    scene.fill_cart()


ROUTES = [
    Route("POST", "/signup", "email", signup, status=201),
    Route("POST", "/login", "access_token", login("username")),
    Route("POST", "/v1/auth:login", "access_token", login("email")),
    Route("POST", "/v1/auth:refresh", "refresh_token", refresh),
    Route("POST", "/logout"),
    Route("POST", "/v1/auth:logoutAll", "ended_sessions"),
    Route("GET", "/me/sessions", "sessions"),
    Route("DELETE", "/me/sessions/{session_id}", "expire_time"),
    Route("POST", "/me:changePassword", "ended_sessions", new_password),
    Route("GET", "/.well-known/jwks.json", "keys"),
    Route("POST", "/v1/auth:requestPasswordReset", "", lambda scene: {"email": scene.buyer.email}),
    Route("POST", "/v1/auth:resetPassword", "ended_sessions", reset_password),
    Route("POST", "/me:requestEmailVerification", ""),
    Route("POST", "/v1/auth:verifyEmail", "email", verify_email),
    Route("GET", "/me", "email"),
    Route("PATCH", "/me", "full_name", lambda _: {"full_name": "Jo Roe"}),
    Route("GET", "/admin-only", "message"),
    Route("GET", "/v1/users", "users"),
    Route("GET", "/v1/users/{user_id}", "email"),
    Route("PATCH", "/v1/users/{user_id}", "disabled", lambda _: {"disabled": True}),
    Route("GET", "/v1/auditLog", "entries"),
    Route("GET", "/products", "products"),
    Route("POST", "/products", "id", lambda _: draft(), status=201),
    Route("GET", "/products/{product_id}", "id"),
    Route("GET", "/products:batchGet", "products", query="?ids={product_id}"),
    Route("PUT", "/products/{product.id}", "id", lambda _: draft()),
    Route("PATCH", "/products/{product.id}", "id", lambda _: {"description": "round"}),
    Route("DELETE", "/products/{product_id}", "delete_time"),
    Route("POST", "/products/{product_id}:undelete", "id", fills={"product_id": "deleted_product_id"}),
    Route("POST", "/products/{product_id}:adjustStock", "stock", lambda _: {"delta": 1}),
    Route("GET", "/categories", "categories"),
    Route("POST", "/categories", "id", lambda _: {"name": uuid.uuid4().hex}, status=201),
    Route("GET", "/categories/{category_id}", "name"),
    Route("PUT", "/categories/{category.id}", "name", lambda _: {"name": uuid.uuid4().hex}),
    Route("DELETE", "/categories/{category_id}", "name"),
    Route("POST", "/cart/add/{product_id}", "lines"),
    Route("GET", "/cart", "lines"),
    Route("PATCH", "/cart/items/{product_id}", "lines", lambda _: {"quantity": 2}),
    Route("DELETE", "/cart/items/{product_id}", "lines"),
    Route("DELETE", "/cart", "lines"),
    Route("POST", "/orders/checkout", "id", checkout, status=201),
    Route("GET", "/orders/my", "orders"),
    Route("GET", "/orders/{order_id}", "id"),
    Route("POST", "/orders/{order_id}:cancel", "id"),
    Route("GET", "/v1/orders", "orders"),
    Route("POST", "/v1/orders/{order_id}:advance", "id", lambda _: {"status": "ORDER_STATUS_PAID"}),
]


def bindings() -> Iterator[tuple[tuple[str, str], policy_pb2.Policy]]:
    """Read the verb and template of every binding in the protos, with its RPC's policy."""
    for name in SERVICES:
        for service in import_module(f"mercato.v1.{name}_pb2").DESCRIPTOR.services_by_name.values():
            for method in service.methods:
                rule = method.GetOptions().Extensions[annotations_pb2.http]
                for each in (rule, *rule.additional_bindings):
                    verb = each.WhichOneof("pattern")
                    yield (verb.upper(), getattr(each, verb)), method.GetOptions().Extensions[policy_pb2.policy]


POLICIES = dict(bindings())
