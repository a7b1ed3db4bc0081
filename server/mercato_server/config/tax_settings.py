"""Settings of a provider of taxes outside of the shop."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

from mercato_server.config.environment import ConfigError, integer, private_url


@dataclass(frozen=True, slots=True, kw_only=True)
class TaxProviderSettings:
    """Where a provider answers, and how long a worker waits for it."""

    url: str
    secret: str = field(repr=False)
    """Sent as a bearer token with each request."""
    timeout_s: float = 2.0
    """Time limit of a request, with its answer."""

    @classmethod
    def from_environ(cls, environ: Mapping[str, str] | None = None) -> Self | None:
        """Read the settings, None without a provider; raises ConfigError that names the first variable that is wrong."""
        env = os.environ if environ is None else environ
        if not env.get("MERCATO_TAX_PROVIDER_URL"):
            return None
        secret = env.get("MERCATO_TAX_PROVIDER_SECRET", "")
        if not re.fullmatch(r"[!-~]{16,500}", secret):
            raise ConfigError("MERCATO_TAX_PROVIDER_SECRET must have 16 to 500 visible ASCII characters")
        return cls(
            url=private_url("MERCATO_TAX_PROVIDER_URL", env["MERCATO_TAX_PROVIDER_URL"]),
            secret=secret,
            timeout_s=integer(env, "MERCATO_TAX_PROVIDER_TIMEOUT_MS", 2_000, low=100, high=4_000) / 1000,
        )
