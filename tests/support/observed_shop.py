"""A shop that tells its metrics after some trade, and the table of them in docs/metrics.md.

`PYTHONPATH=tests:benchmarks python -m support.observed_shop` writes the table anew.
"""

import re
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

from ports import free_port
from support.mercato_up import Up, running
from support.patience import patient, until_sync
from support.promql import ROOT, series

PAGE = ROOT / "docs/metrics.md"
BEGIN, END = "<!-- begin: written by support.observed_shop -->\n", "<!-- end -->\n"
_PARTS = ("_bucket", "_sum", "_count")
"""Endings of the series of a histogram or summary, which its description does not have."""


@contextmanager
def observed() -> Iterator[str]:
    """Run a shop, let it trade and check its invariants; yield its page of metrics."""
    port = free_port()
    with (
        tempfile.TemporaryDirectory() as directory,
        running("--metrics-port", str(port), MERCATO_VERIFY_SECONDS="1", MERCATO_BACKUP_DIR=f"{directory}/backups") as up,
    ):
        until_sync(lambda: _trade(up), "the shop has traded", despite=AssertionError)  # on a busy machine a call may reach its deadline
        yield until_sync(lambda: page if _is_whole(page := scraped(port)) else "", "all tell their metrics, and the invariants are checked")


def _is_whole(page: str) -> bool:
    """Return whether all have answered, with the counts of each background task."""
    counted = {"mercato_verify_seconds", "mercato_jobs", "mercato_products_out_of_stock", "mercato_payment_open_disputes"}
    return counted <= {name for name, _ in series(page)} and not re.search(r"^mercato_(worker|edge)_up(\{.*\})? 0", page, re.MULTILINE)


def scraped(port: int) -> str:
    """Return the page of metrics."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=patient()) as reply:
        return str(reply.read().decode())


def _trade(up: Up) -> bool:
    """Buy a product, and one that there is not enough of; log in with a wrong password."""
    buyer = up.buyer()
    up.order(buyer, stock=1)
    scarce = up.product(stock=2)
    assert buyer.post(f"/cart/add/{scarce['id']}?quantity=2").status == 200
    up.admin.send("PATCH", f"/products/{scarce['id']}", b'{"stock": 1}', [("content-type", "application/json")])
    refused = buyer.post("/orders/checkout")
    assert refused.status == 400, refused
    assert up.anyone.post("/login", {"email": "jo@example.com", "password": "not-it"}).status == 401
    return True


def table(page: str) -> str:
    """Return the table of a page's metrics, without those of Envoy and with one line for each metric of all workers."""
    about: dict[str, tuple[str, str]] = {}
    kinds: dict[str, str] = {}
    for line in page.splitlines():
        if line.startswith("# HELP "):
            _, _, name, text = line.split(" ", 3)
            about[name] = (name, text)
        elif line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ", 3)
            kinds[name] = kind
    labels: dict[str, set[str]] = {}
    for metric, values in series(page):
        name = next((metric.removesuffix(part) for part in _PARTS if metric.removesuffix(part) in kinds), metric)
        labels.setdefault(name, set()).update(values)
    rows = [
        f"| `{name}` | {kinds[name]} | {', '.join(f'`{label}`' for label in sorted(labels[name] - {'le'}))} | {text} |"
        for name, text in sorted(about.values())
    ]
    return "\n".join(["| metric | type | labels | meaning |", "|---|---|---|---|", *rows, ""])


def documented() -> str:
    """Return the table of docs/metrics.md."""
    return PAGE.read_text().partition(BEGIN)[2].partition(END)[0]


def main() -> int:
    """Write the table."""
    before, _, rest = PAGE.read_text().partition(BEGIN)
    with observed() as page:
        PAGE.write_text(before + BEGIN + table(page) + END + rest.partition(END)[2])
    return 0


if __name__ == "__main__":
    sys.exit(main())
