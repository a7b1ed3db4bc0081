"""Settings of traces, the callers that they trust, and the names of statements."""

from ipaddress import ip_network

import pytest

from mercato_server.config.environment import ConfigError
from mercato_server.config.settings import Settings
from mercato_server.config.trace_settings import TraceSettings
from mercato_server.store import carts
from mercato_server.tracing.parents import Caller, caller_of, is_within
from mercato_server.tracing.statements import StatementNames, verb
from support.shop import SECRET

ON = {"MERCATO_TRACING": "on"}
TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


def test_traces_are_off_unless_they_are_turned_on() -> None:
    """An address of a collector alone turns nothing on: clusters set it for all programs."""
    env = {"DATABASE_URL": "postgresql:///x", "SECRET_KEY": SECRET, "OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4317"}
    assert Settings.from_environ(env).tracing is None
    assert Settings.from_environ(env | ON).tracing == TraceSettings(
        ratio=0.01, follows_parent=True, proxies=(), providers=frozenset({"tax"})
    )


@pytest.mark.parametrize(
    ("sampler", "argument", "ratio", "follows"),
    [
        ("always_on", "0.5", 1.0, False),
        ("always_off", "0.5", 0.0, False),
        ("traceidratio", "0.5", 0.5, False),
        ("parentbased_always_on", "0.5", 1.0, True),
        ("parentbased_always_off", "0.5", 0.0, True),
        ("parentbased_traceidratio", "1", 1.0, True),
    ],
)
def test_the_samplers_are_those_of_opentelemetry(sampler: str, argument: str, ratio: float, follows: bool) -> None:  # noqa: FBT001 - a parameter of the test
    settings = TraceSettings.from_environ(ON | {"OTEL_TRACES_SAMPLER": sampler, "OTEL_TRACES_SAMPLER_ARG": argument})
    assert settings
    assert (settings.ratio, settings.follows_parent) == (ratio, follows)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("OTEL_TRACES_SAMPLER", "sometimes"),
        ("OTEL_TRACES_SAMPLER_ARG", "1.5"),
        ("OTEL_TRACES_SAMPLER_ARG", "nan"),
        ("OTEL_TRACES_SAMPLER_ARG", ""),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
        ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/json"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "a secret"),
        ("OTEL_EXPORTER_OTLP_HEADERS", 'api-key="a secret"'),
        ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "api key=a secret"),
        ("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "1"),
        ("MERCATO_TRACE_PROXIES", "proxy.internal"),
        ("MERCATO_TRACE_PROXIES", "10.0.0.1/8"),
        ("MERCATO_TRACE_PROXIES", ",".join(["10.0.0.1"] * 65)),
        ("MERCATO_TRACE_PROVIDERS", "tax,paypal"),
    ],
)
def test_a_setting_of_traces_that_makes_no_sense_is_named(variable: str, value: str) -> None:
    with pytest.raises(ConfigError, match=variable) as error:
        TraceSettings.from_environ(ON | {variable: value})
    assert "a secret" not in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "headers", ["api-key=secret", "authorization=Basic%20dXNlcjpwYXNz", " a = b c , X-Scope-OrgID=1;2".replace(";", "-"), "a=b=="]
)
def test_headers_for_the_collector_may_be_encoded_or_not(headers: str) -> None:
    assert TraceSettings.from_environ(ON | {"OTEL_EXPORTER_OTLP_HEADERS": headers})


@pytest.mark.parametrize(
    "header",
    [
        "",
        "00",
        f"00-{TRACE}-{SPAN}",
        f"00-{TRACE}-{SPAN}-1",
        f"00-{TRACE}-{SPAN}-01-more",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE}-{SPAN}-01\n",
        f"00-{TRACE}-{SPAN}-0g",
    ],
)
def test_a_malformed_traceparent_counts_as_none(header: str) -> None:
    assert caller_of(header) is None


@pytest.mark.parametrize(("flags", "sampled"), [("00", False), ("01", True), ("02", False), ("03", True), ("ff", True)])
def test_the_lowest_flag_says_whether_the_caller_records(flags: str, sampled: bool) -> None:  # noqa: FBT001 - a parameter of the test
    assert caller_of(f"00-{TRACE}-{SPAN}-{flags}") == Caller(int(TRACE, 16), int(SPAN, 16), sampled)
    assert caller_of(f"01-{TRACE}-{SPAN}-{flags}-more") == Caller(int(TRACE, 16), int(SPAN, 16), sampled)


@pytest.mark.parametrize(
    ("address", "trusted"),
    [
        ("10.1.2.3", True),
        ("::ffff:10.1.2.3", True),
        ("2001:db8::1", True),
        ("11.1.2.3", False),
        ("", False),
        ("unix", False),
        ("10.1.2.3, 1.1.1.1", False),
    ],
)
def test_a_caller_is_trusted_by_its_address(address: str, trusted: bool) -> None:  # noqa: FBT001 - a parameter of the test
    assert is_within(address, (ip_network("10.0.0.0/8"), ip_network("2001:db8::/32"))) == trusted


def test_a_statement_has_the_name_of_its_constant() -> None:
    names = StatementNames()
    assert names.of(carts.ADD_LINES) == "ADD_LINES"
    assert names.of("BEGIN; SET LOCAL lock_timeout = 7") == "BEGIN"
    assert names.of("select 1") == "SELECT"
    assert names.of("COMMIT") == "COMMIT"
    assert names.of("products") == "COPY", "asyncpg copies rows to a table by its name alone"
    assert verb("x" * 1_000 + " y") == "X" * 20
