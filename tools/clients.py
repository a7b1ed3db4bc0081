"""Generate the gRPC service configs of clients/python/mercato from the policies of the RPCs.

`--check` changes nothing, and fails if a committed file differs.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from mercato.rpcs import rpcs

CLIENT = Path(__file__).parent.parent / "clients/python/mercato"

RETRY_POLICY = {
    "maxAttempts": 5,  # gRPC allows no more
    "initialBackoff": "0.2s",
    "maxBackoff": "2s",
    "backoffMultiplier": 2,
    "retryableStatusCodes": ["UNAVAILABLE"],
}
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


def main() -> int:
    """Generate, or check."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing; fail if a committed file differs")
    check = parser.parse_args().check
    stale = [path for path, text in generated().items() if not path.exists() or path.read_text() != text]
    for path in stale:
        if check:
            print(f"{path.relative_to(CLIENT.parent.parent.parent)} is not what protos/ gives; run: make proto", file=sys.stderr)
        else:
            path.write_text(generated()[path])
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
