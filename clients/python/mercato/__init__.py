"""Client of Mercato: typed calls, errors by reason, sessions that refresh themselves.

    with Client("127.0.0.1:8080") as shop:
        shop.login("user@example.com", "securepass123")
        cart = shop.cart.add_cart_item(product_id=..., quantity=2)

`AsyncClient` is the same with `await`. The messages and stubs are in `mercato.v1`, and can be used without these classes. Importing this
package loads neither gRPC nor the messages: that happens when a name of it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mercato._aio import AsyncPager
    from mercato._core import Answer
    from mercato._sync import Pager
    from mercato.async_client import AsyncClient
    from mercato.client import Client
    from mercato.errors import CallError, ConnectionFailed, MercatoError, call_error
    from mercato.retries import service_config
    from mercato.sessions import FileStore, KeyringStore, MemoryStore, Session, SessionStore, SessionStoreError

__all__ = [
    "Answer",
    "AsyncClient",
    "AsyncPager",
    "CallError",
    "Client",
    "ConnectionFailed",
    "FileStore",
    "KeyringStore",
    "MemoryStore",
    "MercatoError",
    "Pager",
    "Session",
    "SessionStore",
    "SessionStoreError",
    "call_error",
    "service_config",
]
_HOMES = {
    "_aio": ("AsyncPager",),
    "_core": ("Answer",),
    "_sync": ("Pager",),
    "async_client": ("AsyncClient",),
    "client": ("Client",),
    "errors": ("CallError", "ConnectionFailed", "MercatoError", "call_error"),
    "retries": ("service_config",),
    "sessions": ("FileStore", "KeyringStore", "MemoryStore", "Session", "SessionStore", "SessionStoreError"),
}
_MODULES = {name: f"mercato.{module}" for module, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    """Import a name's module at its first use."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
