"""Settings of traces. OpenTelemetry's SDK reads the addresses of the collector, its headers and its time limits from OTEL_* by itself."""

import ipaddress
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from mercato_server.config.environment import ConfigError, integer, one_of

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

SAMPLERS = ("always_on", "always_off", "traceidratio", "parentbased_always_on", "parentbased_always_off", "parentbased_traceidratio")
"""The samplers that OpenTelemetry's specification of environment variables defines."""
PROVIDERS = ("tax", "stripe")
"""Servers outside of the shop that can be told the trace of a request."""
PROXIES_MAX = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceSettings:
    """Which calls are traced, and who hears of it."""

    ratio: float = 0.01
    """Share of the traces that begin here and are recorded, from 0 to 1."""
    follows_parent: bool = True
    """Whether a trace that a trusted caller continues is recorded if that caller records it; otherwise `ratio` decides."""
    proxies: tuple[Network, ...] = ()
    """Networks of callers whose trace a call continues."""
    providers: frozenset[str] = frozenset({"tax"})
    """The providers that get a `traceparent` header."""
    text_max: int = 1024
    """Most characters of an attribute."""

    @classmethod
    def from_environ(cls, environ: Mapping[str, str] | None = None) -> Self | None:
        """Read the settings, None if traces are off; raises ConfigError that names the first variable that is wrong."""
        env = os.environ if environ is None else environ
        is_off = one_of(env, "MERCATO_TRACING", "off", ("on", "off")) == "off"
        if is_off or one_of(env, "OTEL_SDK_DISABLED", "false", ("true", "false")) == "true":
            return None
        one_of(env, "OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", ("grpc",))
        one_of(env, "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "grpc", ("grpc",))
        _check_headers(env)
        sampler = one_of(env, "OTEL_TRACES_SAMPLER", "parentbased_traceidratio", SAMPLERS)
        return cls(
            ratio=_ratio(env, sampler),
            follows_parent=sampler.startswith("parentbased_"),
            proxies=trace_proxies(env),
            providers=_providers(env),
            text_max=integer(env, "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", 1024, low=16, high=65_536),
        )


def trace_proxies(env: Mapping[str, str]) -> tuple[Network, ...]:
    """Return the networks in MERCATO_TRACE_PROXIES; raises ConfigError."""
    raw = [part.strip() for part in env.get("MERCATO_TRACE_PROXIES", "").split(",") if part.strip()]
    try:
        found = tuple(ipaddress.ip_network(part) for part in raw)
    except ValueError as error:
        raise ConfigError(f"MERCATO_TRACE_PROXIES must be addresses or networks, separated by commas: {error}") from None
    if len(found) > PROXIES_MAX:
        raise ConfigError(f"MERCATO_TRACE_PROXIES has {len(found)} networks; it may have {PROXIES_MAX}")
    return found


def _check_headers(env: Mapping[str, str]) -> None:
    """Raise ConfigError for headers that the SDK cannot send. It would log them, and they are secrets."""
    for name in ("OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_TRACES_HEADERS"):
        pairs = [part.strip() for part in env.get(name, "").split(",") if part.strip()]
        if not all(re.fullmatch(r"""[A-Za-z0-9_.-]+[ ]*=[ !#-+.-:<-\[\]-~-]*""", pair) for pair in pairs):
            raise ConfigError(f"{name} must be NAME=VALUE pairs, separated by commas, with values encoded as in URLs")


def _ratio(env: Mapping[str, str], sampler: str) -> float:
    name = "OTEL_TRACES_SAMPLER_ARG"
    raw = env.get(name, "0.01")
    try:
        ratio = float(raw)
    except ValueError:
        ratio = -1.0
    if not 0.0 <= ratio <= 1.0:
        raise ConfigError(f"{name} is {raw!r}; it must be a number from 0 to 1")
    return {"always_on": 1.0, "always_off": 0.0}.get(sampler.removeprefix("parentbased_"), ratio)


def _providers(env: Mapping[str, str]) -> frozenset[str]:
    names = frozenset(part.strip() for part in env.get("MERCATO_TRACE_PROVIDERS", "tax").split(",") if part.strip())
    if unknown := names - set(PROVIDERS):
        raise ConfigError(f"MERCATO_TRACE_PROVIDERS has {', '.join(sorted(unknown))}; it may have {', '.join(PROVIDERS)}")
    return names
