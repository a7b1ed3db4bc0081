"""The gRPC service configs of clients/python/mercato, from the policies of the RPCs."""

import json
from pathlib import Path
from typing import Any

from mercato.reasons import REASONS, RetryAdvice
from mercato.rpcs import rpcs

CLIENT = Path(__file__).parent.parent / "clients/python/mercato"

RETRY_POLICY = {
    "maxAttempts": 5,  # gRPC allows no more
    "initialBackoff": "0.2s",
    "maxBackoff": "2s",
    "backoffMultiplier": 2,
    "retryableStatusCodes": sorted({reason.code for reason in REASONS.values() if reason.retry is RetryAdvice.AFTER_DELAY}),
}
"""The codes are those of the reasons that a retry helps. Other reasons have them too: the server vetoes their retries by its pushback."""
THROTTLING = {"maxTokens": 100, "tokenRatio": 0.1}
"""A channel stops its retries after 50 more failures than a tenth of its successes."""


def service_config(*, keyed: bool) -> dict[str, Any]:
    """Return the config that retries reads, and with `keyed` also the RPCs that honour an idempotency key.

    It has no timeout, because gRPC would apply it up to a second early. It does not wait for a connection, because a call without a
    deadline would wait for ever.
    """
    names = [{"service": rpc.service, "method": rpc.name} for rpc in rpcs() if rpc.reads or (keyed and rpc.policy.idempotency_key)]
    return {"methodConfig": [{"name": names, "retryPolicy": RETRY_POLICY}], "retryThrottling": THROTTLING}


def generated() -> dict[Path, str]:
    """Return the content of each generated file."""
    configs = {"service-config.json": False, "service-config-keyed.json": True}
    return {CLIENT / name: json.dumps(service_config(keyed=keyed), indent=2) + "\n" for name, keyed in configs.items()}
