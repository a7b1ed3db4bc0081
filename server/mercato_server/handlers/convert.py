"""From what the shop knows to what it tells: domain objects to messages."""

from datetime import UTC, datetime

from google.protobuf.timestamp_pb2 import Timestamp

from mercato.v1 import auth_pb2, cart_pb2, catalog_pb2, order_pb2
from mercato.v1.money_pb2 import Money
from mercato_server.domain.accounts import Account, Role, Session
from mercato_server.domain.carts import CartLine, CartWarning, cart_etag, cart_total_minor
from mercato_server.domain.catalog import Category, Product
from mercato_server.domain.keys import coordinate
from mercato_server.domain.orders import Order, OrderLine, OrderStatus, OrderTransition
from mercato_server.domain.tokens import Keyring

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
ROLES = {Role.USER: auth_pb2.ROLE_USER, Role.ADMIN: auth_pb2.ROLE_ADMIN}
STATUSES = {status: order_pb2.OrderStatus.Value(f"ORDER_STATUS_{status.name}") for status in OrderStatus}
STATUS_OF = {number: status for status, number in STATUSES.items()}
WARNINGS = {warning: cart_pb2.CartWarningCode.Value(f"CART_WARNING_CODE_{warning.name}") for warning in CartWarning}


def timestamp(moment: datetime) -> Timestamp:
    """Return a point in time with microseconds."""
    message = Timestamp()
    set_time(message, moment)
    return message


def set_time(message: Timestamp, moment: datetime) -> None:
    """Write a point in time, with microseconds, into a message; a third of the time of FromDatetime, which lists would notice."""
    since = moment - EPOCH
    message.seconds = since.days * 86_400 + since.seconds
    message.nanos = since.microseconds * 1_000


def user(account: Account) -> auth_pb2.User:
    """Return an account as its owner sees it: without anything of the password."""
    return auth_pb2.User(
        id=str(account.id),
        email=account.email,
        full_name=account.full_name,
        role=ROLES[account.role],
        create_time=timestamp(account.created_at),
        disabled=account.disabled_at is not None,
        email_verified=account.email_verified_at is not None,
    )


def session(found: Session, *, current: bool) -> auth_pb2.Session:
    """Return a login as its owner sees it; `current` if the call is made in it."""
    return auth_pb2.Session(
        id=str(found.id),
        user_agent=found.user_agent,
        ip_address=found.ip_address,
        create_time=timestamp(found.created_at),
        refresh_time=timestamp(found.refreshed_at),
        expire_time=timestamp(found.expires_at),
        current=current,
    )


def jwks(keyring: Keyring) -> auth_pb2.Jwks:
    """Return the public keys of a keyring; a shared secret has none."""
    keys = {kid: key for kid, key in keyring.verifying.items() if kid and not isinstance(key, str)}
    return auth_pb2.Jwks(
        keys=[
            auth_pb2.Jwk(kty="OKP", crv="Ed25519", x=coordinate(key), kid=kid, use="sig", alg=keyring.algorithm)
            for kid, key in keys.items()
        ]
    )


def product(found: Product, currency: str) -> catalog_pb2.Product:
    """Return a product, priced in the shop's currency."""
    message = catalog_pb2.Product()
    fill_product(message, found, currency)
    return message


def fill_product(message: catalog_pb2.Product, found: Product, currency: str) -> None:
    """Write a product into an empty message; in a list that saves a copy of each."""
    message.id = str(found.id)
    message.name = found.name
    message.description = found.description
    message.price.currency_code = currency
    message.price.minor_units = found.price_minor
    message.category_id = str(found.category_id) if found.category_id else ""
    message.sku = found.sku or ""
    message.stock = found.stock
    message.image_urls.extend(found.image_urls)
    message.etag = found.etag
    set_time(message.create_time, found.created_at)
    set_time(message.update_time, found.updated_at)
    if found.deleted_at:
        set_time(message.delete_time, found.deleted_at)


def category(found: Category) -> catalog_pb2.Category:
    """Return a category."""
    return catalog_pb2.Category(id=str(found.id), name=found.name, create_time=timestamp(found.created_at))


def cart(lines: tuple[CartLine, ...], currency: str) -> cart_pb2.Cart:
    """Return a cart with its total and etag."""
    return cart_pb2.Cart(
        lines=[_cart_line(line, currency) for line in lines],
        total=Money(currency_code=currency, minor_units=cart_total_minor(lines)),
        etag=cart_etag(lines),
    )


def _cart_line(line: CartLine, currency: str) -> cart_pb2.CartLine:
    return cart_pb2.CartLine(
        product_id=str(line.product_id),
        name=line.name,
        quantity=line.quantity,
        unit_price=Money(currency_code=currency, minor_units=line.unit_price_minor),
        line_total=Money(currency_code=currency, minor_units=line.total_minor),
        warnings=[_cart_warning(warning, line, currency) for warning in line.warnings()],
    )


def _cart_warning(warning: CartWarning, line: CartLine, currency: str) -> cart_pb2.CartWarning:
    message = cart_pb2.CartWarning(code=WARNINGS[warning])
    match warning:
        case CartWarning.PRODUCT_GONE:
            message.message = f"{line.name} is no longer on sale"
        case CartWarning.OUT_OF_STOCK:
            message.message = f"{line.name} is out of stock"
        case CartWarning.FEWER_LEFT:
            message.message = f"only {line.available} of {line.name} are left"
            message.available = line.available
        case CartWarning.PRICE_CHANGED:
            message.message = f"the price of {line.name} changed since it was added"
            message.previous_unit_price.CopyFrom(Money(currency_code=currency, minor_units=line.added_price_minor))
    return message


def order(placed: Order) -> order_pb2.Order:
    """Return an order, in the currency that it was placed in."""
    currency = placed.currency_code
    return order_pb2.Order(
        id=str(placed.id) if placed.id else "",
        status=STATUSES[placed.status],
        lines=[_order_line(line, currency) for line in placed.lines],
        total=Money(currency_code=currency, minor_units=placed.total_minor),
        create_time=timestamp(placed.created_at),
        update_time=timestamp(placed.updated_at),
        account_id=str(placed.account_id),
        history=[_transition(step, placed) for step in placed.history],
    )


def _order_line(line: OrderLine, currency: str) -> order_pb2.OrderLine:
    return order_pb2.OrderLine(
        product_id=str(line.product_id),
        product_name=line.product_name,
        unit_price=Money(currency_code=currency, minor_units=line.unit_price_minor),
        quantity=line.quantity,
        line_total=Money(currency_code=currency, minor_units=line.total_minor),
    )


def _transition(step: OrderTransition, placed: Order) -> order_pb2.OrderTransition:
    return order_pb2.OrderTransition(
        status=STATUSES[step.status],
        create_time=timestamp(step.created_at),
        actor=order_pb2.ORDER_ACTOR_BUYER if step.actor_id == placed.account_id else order_pb2.ORDER_ACTOR_ADMIN,
        reason=step.reason,
    )
