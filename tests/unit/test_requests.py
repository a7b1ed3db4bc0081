"""Validation of requests, login bodies and settings, and errors on the wire."""

import inspect
from uuid import UUID

import pytest
from google.rpc import code_pb2
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, PreconditionFailure, ResourceInfo, RetryInfo
from google.rpc.status_pb2 import Status

from mercato.v1.money_pb2 import Money
from mercato_server.config.edge_settings import EdgeSettings
from mercato_server.config.environment import ConfigError
from mercato_server.config.payment_settings import PaymentSettings, StripeSettings
from mercato_server.config.settings import Settings
from mercato_server.config.tax_settings import TaxProviderSettings
from mercato_server.domain import errors
from mercato_server.domain.errors import InvalidRequest, MercatoError, Violation
from mercato_server.handlers.forms import credentials
from mercato_server.rpc.errors import InternalError
from mercato_server.rpc.statuses import status_metadata
from mercato_server.validation.checks import Checks
from support.retries import RETRY_HELPS
from support.shop import SECRET

FORM = "application/x-www-form-urlencoded"


def violations(check: Checks) -> list[str]:
    with pytest.raises(InvalidRequest) as caught:
        check.__exit__(None, None, None)
    return [f"{violation.field} {violation.description}" for violation in caught.value.violations]


def test_all_violations_of_a_request_are_reported_at_once() -> None:
    check = Checks()
    check.uuid("id", "x")
    check.between("quantity", 0, 1, 9)
    check.text("name", " ", shortest=1, longest=5)
    assert [text.split()[0] for text in violations(check)] == ["id", "quantity", "name"]


def test_an_error_inside_the_block_is_not_hidden_by_violations() -> None:
    check = Checks()
    check.fail("field", "is wrong")
    check.__exit__(ZeroDivisionError, ZeroDivisionError(), None)


@pytest.mark.parametrize(
    "value",
    [
        "",
        "x",
        "0198c5f27a3e7c4d9b1e2f6a8d0c4b57",
        "0198c5f27a3e7c4d9b1e2f6a8d0c4b57----",
        "{0198c5f2-7a3e-7c4d-9b1e-2f6a8d0c4b57}",
        "{0198c5f27a3e7c4d9b1e2f6a8d0c4b57}--",
        "urn:0198c5f27a3e7c4d9b1e2f6a8d0c4b57",
        "0198c5f-27a3e-7c4d-9b1e-2f6a8d0c4b57",
        "0198c5f2-7a3e-7c4d-9b1e-2f6a8d0c4b5g",
        "0198c5f2-7a3e-7c4d-9b1e-2f6a8d0c4b5\uff17",
        " 0198c5f2-7a3e-7c4d-9b1e-2f6a8d0c4b57",
    ],
)
def test_only_the_canonical_form_of_a_uuid_is_taken(value: str) -> None:
    check = Checks()
    check.uuid("id", value)
    assert violations(check) == ["id must be a UUID such as 0198c5f2-7a3e-7c4d-9b1e-2f6a8d0c4b57"]


def test_a_uuid_is_taken_in_either_case() -> None:
    with Checks() as check:
        assert check.uuid("id", "0198C5F2-7A3E-7C4D-9B1E-2F6A8D0C4B57") == UUID("0198c5f2-7a3e-7c4d-9b1e-2f6a8d0c4b57")


INVISIBLE = (
    "\u200b",
    "\u2060",
    "\ufeff",
    "\u00ad",
    "\u3164",
    "\u115f\u1160",
    "\uffa0",
    "\u2800",
    "\u200e\u202e",
    "\U000e0041",
    "\ufe0f",
    "\u0301",
)


@pytest.mark.parametrize("value", [*INVISIBLE, "\u200b \u200b"])
def test_a_name_of_invisible_characters_is_refused(value: str) -> None:
    check = Checks()
    check.line("name", value, shortest=1, longest=200)
    check.line("full_name", value, longest=200)
    assert violations(check) == ["name must have a visible character", "full_name must have a visible character"]


@pytest.mark.parametrize("value", ["a\nb", "a\r\nb", "a\tb", "a\x1b[31mb", "a\x85b", "a\u2028b", "a\x7fb"])
def test_a_name_is_one_line_without_control_characters(value: str) -> None:
    check = Checks()
    check.line("name", value, shortest=1, longest=200)
    assert violations(check) == ["name must be one line without control characters"]


@pytest.mark.parametrize("value", ["Ball", "手机", "Müsli e\u0301", "👩\u200d🚀", "1", "…", "ﷺ"])
def test_a_name_may_be_in_any_script(value: str) -> None:
    with Checks() as check:
        assert check.line("name", f" {value} ", shortest=1, longest=200) == value


@pytest.mark.parametrize("value", [f"AB{each}C" for each in INVISIBLE if each not in ("\ufe0f", "\u0301")])
def test_an_sku_has_no_invisible_character(value: str) -> None:
    check = Checks()
    check.code("sku", value, longest=64)
    assert violations(check) == ["sku must not have invisible characters"]


@pytest.mark.parametrize("value", ["", "RUN-0005", "a b", "Größe 7", "=1+1", "品番1"])
def test_an_sku_of_visible_characters_is_taken(value: str) -> None:
    with Checks() as check:
        assert check.code("sku", value, longest=64) == value


@pytest.mark.parametrize(
    "value", ["", "jo", "jo@", "@x.org", "jo@x", "jo doe@x.org", "jo@x.org\0", "a" * 65 + "@x.org", "jo@" + "x" * 260 + ".org"]
)
def test_an_invalid_email_address_is_refused(value: str) -> None:
    check = Checks()
    check.email("email", value)
    assert violations(check)


def test_email_addresses_are_taken_in_lower_case() -> None:
    with Checks() as check:
        assert check.email("email", " Jo.Doe@Example.COM ") == "jo.doe@example.com"


@pytest.mark.parametrize(
    "url", ["javascript:alert(1)", "ftp://x.org/a", "http://", "/a.jpg", "http://x.org/a b", "http://[", "https://x\n.org"]
)
def test_image_urls_are_http_urls(url: str) -> None:
    check = Checks()
    check.http_urls("image_urls", [url], most=1, longest=100)
    assert violations(check) == ["image_urls[0] must be an http or https URL"]


@pytest.mark.parametrize(
    ("money", "field"),
    [
        (Money(currency_code="EUR", minor_units=1), "price.currency_code"),
        (Money(minor_units=-1), "price.minor_units"),
        (Money(minor_units=10**12 + 1), "price.minor_units"),
    ],
)
def test_money_is_of_the_shops_currency_and_within_limits(money: Money, field: str) -> None:
    check = Checks()
    check.money("price", money, "USD")
    assert violations(check)[0].startswith(field)


@pytest.mark.parametrize(
    ("content_type", "body", "found"),
    [
        (FORM, b"username=a%40b.org&password=p%26q", ("a@b.org", "p&q")),
        (f"{FORM}; charset=utf-8", b"grant_type=password&username=a&password=b&scope=", ("a", "b")),
        ("Application/JSON", b'{"username": "a", "password": "b"}', ("a", "b")),
        ("application/json", b'{"email": "a", "password": "b"}', ("a", "b")),
        (FORM, b"", ("", "")),
    ],
)
def test_a_login_body_is_read_as_form_or_json(content_type: str, body: bytes, found: tuple[str, str]) -> None:
    assert credentials(content_type, body)[:2] == found


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("text/plain", b"username=a"),
        ("", b""),
        (FORM, b"username=%ff"),
        (FORM, b"\xff"),
        (FORM, b"&".join(b"a=%d" % number for number in range(30))),
        ("application/json", b"{nope"),
        ("application/json", b"[]"),
        ("application/json", b"\xff"),
        ("application/json", b"[" * 5000),
        ("application/json", b'{"username": 1, "password": "b"}'),
        ("application/json", b'{"username": "\\ud800", "password": "b"}'),
    ],
)
def test_a_login_body_that_cannot_be_read_is_the_callers_error(content_type: str, body: bytes) -> None:
    with pytest.raises(InvalidRequest):
        credentials(content_type, body)


def every_error() -> list[type[MercatoError]]:
    def below(kind: type[MercatoError]) -> list[type[MercatoError]]:
        return [found for child in kind.__subclasses__() for found in (child, *below(child))]

    return [kind for kind in below(MercatoError) if hasattr(kind, "reason") and kind.__module__ == errors.__name__]


def test_reasons_are_unique_and_upper_snake() -> None:
    reasons = [kind.reason for kind in every_error()]
    assert len(reasons) > 20
    assert len(set(reasons)) == len(reasons)
    assert all(reason.replace("_", "").isalpha() and reason.isupper() for reason in reasons)


def details(error: MercatoError) -> tuple[Status, dict[str, str | bytes]]:
    metadata = dict(status_metadata(error))
    status = metadata["grpc-status-details-bin"]
    assert isinstance(status, bytes)
    return Status.FromString(status), metadata


def kinds(status: Status) -> list[str]:
    return [detail.type_url.rpartition(".")[2] for detail in status.details]


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (InvalidRequest([Violation("a", "b")]), [ErrorInfo, BadRequest]),
        (errors.EmailTaken("jo@x.org"), [ErrorInfo, ResourceInfo]),
        (errors.CartEmpty(), [ErrorInfo, PreconditionFailure]),
        (errors.Conflict("busy"), [ErrorInfo, RetryInfo]),
        (errors.Overloaded("busy"), [ErrorInfo, RetryInfo]),
        (errors.DatabaseUnavailable(), [ErrorInfo, RetryInfo]),
        (errors.TooManyMails(7.0), [ErrorInfo, RetryInfo]),
        (errors.EtagMismatch("cart", "a", "b"), [ErrorInfo]),
        (errors.TotalChanged(1, 2), [ErrorInfo]),
        (errors.StockChanged("it is 3"), [ErrorInfo]),
        (errors.AdminOnly(), [ErrorInfo]),
    ],
)
def test_an_error_carries_the_details_of_its_code(error: MercatoError, expected: list[type]) -> None:
    status, metadata = details(error)
    assert kinds(status) == [kind.__name__ for kind in expected]
    assert code_pb2.Code.Name(status.code) == error.code.name
    assert ("retry-after" in metadata) == (RetryInfo in expected)


def test_every_reason_says_whether_a_retry_helps() -> None:
    every: list[type[MercatoError]] = [*every_error(), InternalError]
    helps = {kind.reason: kind.retry_after_s is not None or "retry_after_s" in inspect.signature(kind).parameters for kind in every}
    assert helps == RETRY_HELPS


def test_a_missing_token_says_how_to_authenticate() -> None:
    _, metadata = details(errors.TokenInvalid("no token"))
    assert errors.TokenInvalid.code is errors.Code.UNAUTHENTICATED
    assert metadata["www-authenticate"] == "Bearer"


def test_an_error_stays_small_however_much_is_wrong() -> None:
    status, metadata = details(InvalidRequest([Violation(f"field[{number}]", "is wrong") for number in range(1000)]))
    assert len(status.message) <= 1000
    assert sum(len(value) for value in metadata.values()) < 8 * 1024


GOOD = {"DATABASE_URL": "postgresql://x", "SECRET_KEY": SECRET}


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("DATABASE_URL", ""),
        ("SECRET_KEY", ""),
        ("SECRET_KEY", "short"),
        ("SECRET_KEY", "changeme" * 8),
        ("MERCATO_PASSWORD_PEPPER", "changeme"),
        ("ALGORITHM", "none"),
        ("ACCESS_TOKEN_EXPIRE_MINUTES", "0"),
        ("ACCESS_TOKEN_EXPIRE_MINUTES", "soon"),
        ("MERCATO_BCRYPT_COST", "3"),
        ("MERCATO_HASHING_SHARE", "0"),
        ("MERCATO_CURRENCY", "usd"),
        ("MERCATO_POOL_SIZE", "0"),
        ("MERCATO_KEYS_PER_ACCOUNT", "-1"),
        ("MERCATO_GUESTS", "maybe"),
        ("MERCATO_GUESTS_PER_HOUR", "0"),
        ("MERCATO_GUEST_IDLE_DAYS", "1"),
        ("MERCATO_OPEN_ORDERS", "-1"),
        ("MERCATO_PAYMENT_DUE_MINUTES", "soon"),
        ("MERCATO_UNITS_PER_PRODUCT", "0"),
        ("MERCATO_UNITS_PER_PRODUCT", "1001"),
        ("MERCATO_VERIFIED_BUYERS", "yes"),
        ("MERCATO_LOG_LEVEL", "loud"),
        ("MERCATO_LOG_READS", "-1"),
        ("MERCATO_DRAIN_SECONDS", "nan"),
        ("MERCATO_METRICS_LISTEN", "9464"),
        ("MERCATO_METRICS_LISTEN", "127.0.0.1:0"),
        ("MERCATO_METRICS_LISTEN", "127.0.0.1:65536"),
        ("MERCATO_METRICS_LISTEN", "::1:9464"),
        ("MERCATO_METRICS_LISTEN", "unix:/run/metrics"),
        ("MERCATO_VERIFY_SECONDS", "-1"),
        ("MERCATO_CALLS_PER_CLIENT", "0"),
        ("MERCATO_UPLOAD_SECONDS", "5"),
        ("MERCATO_PICTURES_DIR", "pictures"),
        ("MERCATO_PICTURES_URL", "cdn.example.com"),
        ("MERCATO_PICTURES_URL", "https://cdn.example.com?x=1"),
        ("MERCATO_PICTURES_KEEP_ORIGINALS", "yes"),
        ("MERCATO_PICTURES_KEPT_DAYS", "0"),
        ("MERCATO_PICTURES_S3_BUCKET", "My.Bucket"),
        ("MERCATO_CONNECTIONS", "99"),
        ("MERCATO_REFLECTION", "yes"),
        ("MERCATO_TRACING", "yes"),
    ],
)
def test_a_setting_that_makes_no_sense_is_named(variable: str, value: str) -> None:
    with pytest.raises(ConfigError, match=variable):
        Settings.from_environ(GOOD | {variable: value})


@pytest.mark.parametrize(
    ("value", "address"),
    [("", None), ("127.0.0.1:9464", ("127.0.0.1", 9464)), ("[::1]:1", ("::1", 1)), ("metrics.internal:65535", ("metrics.internal", 65535))],
)
def test_an_address_for_prometheus_is_a_host_and_a_port(value: str, address: tuple[str, int] | None) -> None:
    assert Settings.from_environ(GOOD).metrics_listen is None
    assert Settings.from_environ(GOOD | {"MERCATO_METRICS_LISTEN": value}).metrics_listen == address


PROVIDER = {"MERCATO_TAX_PROVIDER_URL": "https://taxes.example.com/v1?key=abc", "MERCATO_TAX_PROVIDER_SECRET": SECRET[::-1]}


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("MERCATO_TAX_PROVIDER_URL", "taxes.example.com"),
        ("MERCATO_TAX_PROVIDER_URL", "http://taxes.example.com/"),
        ("MERCATO_TAX_PROVIDER_URL", "https://jo:secret@taxes.example.com/"),
        ("MERCATO_TAX_PROVIDER_URL", "https://taxes.example.com:99999/"),
        ("MERCATO_TAX_PROVIDER_URL", "https://taxes.example.com/a b"),
        ("MERCATO_TAX_PROVIDER_URL", "https:///v1"),
        ("MERCATO_TAX_PROVIDER_SECRET", ""),
        ("MERCATO_TAX_PROVIDER_SECRET", "short"),
        ("MERCATO_TAX_PROVIDER_SECRET", "two words, and more"),
        ("MERCATO_TAX_PROVIDER_TIMEOUT_MS", "99"),
        ("MERCATO_TAX_PROVIDER_TIMEOUT_MS", "4001"),
    ],
)
def test_a_setting_of_a_tax_provider_that_makes_no_sense_is_named(variable: str, value: str) -> None:
    with pytest.raises(ConfigError, match=variable) as error:
        Settings.from_environ(GOOD | PROVIDER | {variable: value})
    assert "TIMEOUT" in variable or not value or value not in str(error.value)


def test_a_shop_has_a_tax_provider_only_if_its_url_is_set() -> None:
    assert Settings.from_environ(GOOD | {"MERCATO_TAX_PROVIDER_SECRET": SECRET}).tax_provider is None
    provider = Settings.from_environ(GOOD | PROVIDER | {"MERCATO_TAX_PROVIDER_TIMEOUT_MS": "500"}).tax_provider
    assert provider == TaxProviderSettings(url=PROVIDER["MERCATO_TAX_PROVIDER_URL"], secret=SECRET[::-1], timeout_s=0.5)


BUCKET = {
    "MERCATO_PICTURES_DIR": "/srv/pictures",
    "MERCATO_PICTURES_S3_BUCKET": "my-shop-pictures",
    "MERCATO_PICTURES_S3_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
    "MERCATO_PICTURES_S3_SECRET_ACCESS_KEY": "wJalrXUtnFEMI/K7MDENG",
}


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("MERCATO_PICTURES_DIR", ""),
        ("MERCATO_PICTURES_S3_BUCKET", "my.shop"),
        ("MERCATO_PICTURES_S3_BUCKET", "-x-"),
        ("MERCATO_PICTURES_S3_ENDPOINT", "s3.example.com"),
        ("MERCATO_PICTURES_S3_ENDPOINT", "http://s3.example.com"),
        ("MERCATO_PICTURES_S3_ENDPOINT", "https://s3.example.com/bucket"),
        ("MERCATO_PICTURES_S3_REGION", "Frankfurt am Main"),
        ("MERCATO_PICTURES_S3_ACCESS_KEY_ID", ""),
        ("MERCATO_PICTURES_S3_SECRET_ACCESS_KEY", ""),
        ("MERCATO_PICTURES_S3_SECRET_ACCESS_KEY", "two words"),
    ],
)
def test_a_setting_of_a_bucket_that_makes_no_sense_is_named(variable: str, value: str) -> None:
    with pytest.raises(ConfigError, match=variable) as error:
        Settings.from_environ(GOOD | BUCKET | {variable: value})
    assert "KEY" not in variable or not value or value not in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("more", "url"),
    [
        ({}, "https://my-shop-pictures.s3.us-east-1.amazonaws.com"),
        ({"MERCATO_PICTURES_S3_REGION": "eu-central-1"}, "https://my-shop-pictures.s3.eu-central-1.amazonaws.com"),
        ({"MERCATO_PICTURES_S3_ENDPOINT": "https://s3.example.com:9000/"}, "https://s3.example.com:9000/my-shop-pictures"),
        ({"MERCATO_PICTURES_S3_ENDPOINT": "http://localhost:9000"}, "http://localhost:9000/my-shop-pictures"),
        ({"MERCATO_PICTURES_S3_ENDPOINT": "https://S3.Example.com:443"}, "https://s3.example.com/my-shop-pictures"),
        ({"MERCATO_PICTURES_S3_ENDPOINT": "http://127.0.0.1:80"}, "http://127.0.0.1/my-shop-pictures"),
    ],
)
def test_a_bucket_has_the_address_of_its_server(more: dict[str, str], url: str) -> None:
    bucket = Settings.from_environ(GOOD | BUCKET | more).pictures.bucket
    assert bucket is not None
    assert bucket.url == url
    assert BUCKET["MERCATO_PICTURES_S3_SECRET_ACCESS_KEY"] not in repr(bucket)


def test_a_shop_has_a_bucket_only_if_it_is_named() -> None:
    assert Settings.from_environ(GOOD | BUCKET | {"MERCATO_PICTURES_S3_BUCKET": ""}).pictures.bucket is None


STRIPE = {
    "MERCATO_STRIPE_SECRET_KEY": "sk_live_0123456789",
    "MERCATO_STRIPE_PUBLISHABLE_KEY": "pk_live_0123456789",
    "MERCATO_STRIPE_WEBHOOK_SECRETS": "whsec_new, whsec_old",
}


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("MERCATO_STRIPE_SECRET_KEY", "pk_live_0123456789"),
        ("MERCATO_STRIPE_SECRET_KEY", "sk_live_short"),
        ("MERCATO_STRIPE_SECRET_KEY", "sk_live_0123456789\n"),
        ("MERCATO_STRIPE_SECRET_KEY", "sk_0123456789"),
        ("MERCATO_STRIPE_PUBLISHABLE_KEY", ""),
        ("MERCATO_STRIPE_PUBLISHABLE_KEY", "sk_live_0123456789"),
        ("MERCATO_STRIPE_PUBLISHABLE_KEY", "pk_test_0123456789"),
        ("MERCATO_STRIPE_WEBHOOK_SECRETS", "secret"),
        ("MERCATO_STRIPE_WEBHOOK_SECRETS", "whsec_one,"),
        ("MERCATO_STRIPE_WEBHOOK_SECRETS", "whsec_one,whsec_two,whsec_three"),
        ("MERCATO_STRIPE_URL", "http://api.stripe.com"),
        ("MERCATO_STRIPE_URL", "https://user:password@api.stripe.com"),
        ("MERCATO_STRIPE_URL", "https://api.stripe.com/v1"),
        ("MERCATO_STRIPE_URL", "https://api.stripe.com?key=value"),
        ("MERCATO_STRIPE_TIMEOUT_MS", "999"),
        ("MERCATO_STRIPE_TIMEOUT_MS", "60001"),
        ("MERCATO_STRIPE_REQUESTS_PER_SECOND", "4"),
        ("MERCATO_PAYMENT_CAPTURE", "at_delivery"),
    ],
)
def test_a_setting_of_payments_that_makes_no_sense_is_named(variable: str, value: str) -> None:
    with pytest.raises(ConfigError, match=variable) as error:
        Settings.from_environ(GOOD | STRIPE | {variable: value})
    assert not value or value not in str(error.value) or "KEY" not in variable


def test_a_shop_has_stripe_only_if_its_secret_key_is_set() -> None:
    assert Settings.from_environ(GOOD).payments == PaymentSettings()
    assert Settings.from_environ(GOOD | STRIPE | {"MERCATO_STRIPE_SECRET_KEY": ""}).payments.stripe is None
    stripe = Settings.from_environ(GOOD | STRIPE).payments.stripe
    assert stripe == StripeSettings(
        secret_key="sk_live_0123456789",
        publishable_key="pk_live_0123456789",
        webhook_secrets=("whsec_new", "whsec_old"),
        url="https://api.stripe.com",
        timeout_s=10.0,
        requests_per_s=100,
    )
    assert stripe.is_live


def test_test_keys_of_stripe_have_the_lower_limit_and_settings_may_name_a_double() -> None:
    keys = {"MERCATO_STRIPE_SECRET_KEY": "rk_test_0123456789", "MERCATO_STRIPE_PUBLISHABLE_KEY": "pk_test_0123456789"}
    stripe = StripeSettings.from_environ(keys | {"MERCATO_STRIPE_URL": "http://127.0.0.1:12111/", "MERCATO_STRIPE_TIMEOUT_MS": "1500"})
    assert stripe is not None
    assert (stripe.is_live, stripe.requests_per_s, stripe.webhook_secrets) == (False, 25, ())
    assert (stripe.url, stripe.timeout_s) == ("http://127.0.0.1:12111", 1.5)


@pytest.mark.parametrize(("value", "later"), [("at_once", False), ("at_shipment", True)])
def test_the_time_of_the_capture_is_a_setting(value: str, later: bool) -> None:  # noqa: FBT001 - a parameter of the test
    assert PaymentSettings.from_environ({"MERCATO_PAYMENT_CAPTURE": value}).capture_later is later


@pytest.mark.parametrize("secrets", [STRIPE["MERCATO_STRIPE_SECRET_KEY"], *STRIPE["MERCATO_STRIPE_WEBHOOK_SECRETS"].split(", ")])
def test_settings_of_payments_never_show_their_secrets(secrets: str) -> None:
    assert secrets not in repr(Settings.from_environ(GOOD | STRIPE))


@pytest.mark.parametrize("variables", [{"MERCATO_PASSWORD_PEPPER": SECRET[::-1]}, PROVIDER])
def test_settings_never_show_their_secrets(variables: dict[str, str]) -> None:
    settings = Settings.from_environ(GOOD | variables)
    assert SECRET not in repr(settings)
    assert SECRET[::-1] not in repr(settings)


def test_rate_limits_can_only_be_on_or_off() -> None:
    assert EdgeSettings.from_environ({}).rate_limits
    assert not EdgeSettings.from_environ({"MERCATO_RATE_LIMITS": "off"}).rate_limits
    with pytest.raises(ConfigError, match="MERCATO_RATE_LIMITS"):
        EdgeSettings.from_environ({"MERCATO_RATE_LIMITS": "maybe"})
