"""Measure whether the duration of a refused login reveals if the address has an account. Both kinds take turns over gRPC."""

import argparse
import statistics
import sys
import time
from itertools import count

import grpc

import runs
from mercato.v1 import auth_pb2, auth_pb2_grpc
from stage import Stage

DIFFERENCE_MAX_MS = 5.0
PASSWORD = "correct horse battery"
WRONG = "wrong horse battery"


def main() -> int:
    """Run from the command line; returns the exit code."""
    return runs.carry_out(_measure(_options()))


def _options() -> argparse.Namespace:
    parser = runs.parser(__doc__)
    parser.add_argument("--logins", type=runs.positive, default=500, help="refused logins of each kind")
    return parser.parse_args()


async def _measure(options: argparse.Namespace) -> list[str]:
    """Measure and print; returns the failures."""
    async with runs.shop(options.directory, edge=False) as (running, _):
        times = await _times(running, options.logins)
    medians = {kind: statistics.median(taken) for kind, taken in times.items()}
    difference = abs(medians["known"] - medians["unknown"])
    for kind, taken in times.items():
        low, high = statistics.quantiles(taken, n=20)[0], statistics.quantiles(taken, n=20)[-1]
        sys.stdout.write(f"{kind:8} {len(taken)} logins, median {medians[kind]:.2f} ms (5 to 95 %: {low:.2f} to {high:.2f})\n")
    sys.stdout.write(f"difference of the medians: {difference:.2f} ms (at most {DIFFERENCE_MAX_MS:.0f})\n")
    return [f"the medians differ by {difference:.2f} ms"] if difference > DIFFERENCE_MAX_MS else []


async def _times(running: Stage, logins: int) -> dict[str, list[float]]:
    """Return the milliseconds of refused logins. Each has its own address, so that no delay for failures grows."""
    times: dict[str, list[float]] = {"known": [], "unknown": []}
    [socket] = running.workers.values()
    async with grpc.aio.insecure_channel(f"unix:{socket}") as channel:
        auth = auth_pb2_grpc.AuthServiceStub(channel)
        numbers = count()
        known = [f"known-{next(numbers)}@example.com" for _ in range(-(-logins // 4))]  # four failures each are not delayed
        for email in known:
            await auth.SignUp(auth_pb2.SignUpRequest(email=email, password=PASSWORD))
        for number in range(logins):
            for kind, email in (("known", known[number // 4]), ("unknown", f"unknown-{number // 4}@example.com")):
                began = time.perf_counter()
                try:
                    await auth.Login(auth_pb2.LoginRequest(email=email, password=WRONG), timeout=10)
                except grpc.aio.AioRpcError as error:
                    if error.code() is not grpc.StatusCode.UNAUTHENTICATED:
                        raise
                times[kind].append((time.perf_counter() - began) * 1000)
    return times


if __name__ == "__main__":
    sys.exit(main())
