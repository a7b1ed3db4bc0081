"""Draw the dashboards of deploy/grafana with the figures of a real shop, because Grafana cannot be installed here.

Starts `mercato up`, buyers, and a Prometheus that scrapes the shop with the rules of deploy/prometheus. Then it runs each query of a panel
as Grafana would and writes a PNG per dashboard: `PYTHONPATH=tests:benchmarks:tools python benchmarks/dashboard_plots.py`.
"""

import argparse
import contextlib
import json
import random
import re
import subprocess
import tempfile
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib as mpl
import yaml
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, PercentFormatter, StrMethodFormatter

from dashboards import DASHBOARDS, Dashboard, Panel
from plots import COLORS
from ports import free_port
from support.mercato_up import Up, created, running
from support.patience import until_sync

ROOT = Path(__file__).parent.parent
RULES = ROOT / "deploy/prometheus/alert-rules.yaml"
SCRAPE_S = 5
RATE_INTERVAL = "30s"
"""The range that Grafana would put in: at least four scrapes."""
BUYERS = 4
SERIES_MAX = 10
DPI, WIDTH, HEIGHT = 80, 10.0, 2.2
NUMBER_HEIGHT = 1.0
FORMATS = {
    "s": EngFormatter("s", sep=""),
    "ms": StrMethodFormatter("{x:,g}ms"),
    "bytes": EngFormatter("B", sep=""),
    "ops": StrMethodFormatter("{x:,g}/s"),
    "none": StrMethodFormatter("{x:,g}"),
    "percentunit": PercentFormatter(1.0),
}


def main() -> None:
    """Run the shop for some minutes, and draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=6)
    parser.add_argument("--directory", type=Path, default=ROOT / "docs/images")
    options = parser.parse_args()
    options.directory.mkdir(exist_ok=True)
    mpl.use("agg")
    mpl.rcParams.update({"font.size": 8, "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "grid.alpha": 0.3})
    port = free_port()
    with (
        running("--metrics-port", str(port), MERCATO_VERIFY_SECONDS="20", MERCATO_CURRENCY="EUR", MERCATO_RATE_LIMITS="off") as up,
        _prometheus(port) as asked,
    ):
        began = time.time()
        with _buyers(up):
            time.sleep(options.minutes * 60)
            source = _Source(asked, began, time.time())
        for dashboard in DASHBOARDS:
            path = options.directory / f"dashboard-{dashboard.name}.png"
            _draw(dashboard, source).savefig(path, dpi=DPI)
            _shrink(path)


def _shrink(path: Path) -> None:
    """Reduce the picture to a palette, which is a third of its size."""
    from PIL import Image

    with Image.open(path) as picture:
        picture.convert("RGB").quantize(64, Image.Quantize.MAXCOVERAGE).save(path, optimize=True)


@contextlib.contextmanager
def _prometheus(port: int) -> Iterator[int]:
    """Run Prometheus, which scrapes a port of this machine; yield its own port."""
    own = free_port()
    with tempfile.TemporaryDirectory() as directory:
        config = Path(directory, "prometheus.yaml")
        config.write_text(
            yaml.safe_dump(
                {
                    "global": {"scrape_interval": f"{SCRAPE_S}s", "evaluation_interval": f"{SCRAPE_S}s"},
                    "rule_files": [str(RULES)],
                    "scrape_configs": [{"job_name": "mercato", "static_configs": [{"targets": [f"127.0.0.1:{port}"]}]}],
                }
            )
        )
        command = ["prometheus", f"--config.file={config}", f"--storage.tsdb.path={directory}", f"--web.listen-address=127.0.0.1:{own}"]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            try:
                until_sync(lambda: _get(own, "/-/ready"), "Prometheus is ready", despite=OSError)
                yield own
            finally:
                process.terminate()


def _get(port: int, path: str) -> bytes:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=30) as reply:
        return bytes(reply.read())


@contextlib.contextmanager
def _buyers(up: Up) -> Iterator[None]:
    """Let buyers shop during a block; some want more than there is, cancel, or mistype their passwords."""
    stop = threading.Event()
    products = [up.product(name=f"Product {number}", stock=10_000 if number % 10 else 5) for number in range(40)]
    threads = [threading.Thread(target=_shop, args=(up, products, stop, number)) for number in range(BUYERS)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def _shop(up: Up, products: list[dict[str, Any]], stop: threading.Event, number: int) -> None:
    dice = random.Random(number)  # noqa: S311 - the same trade each time
    buyer = up.buyer()
    while not stop.is_set():
        for _ in range(6):
            up.anyone.get("/products")
            up.anyone.get(f"/products/{dice.choice(products)['id']}")
        for product in dice.sample(products, 2):
            buyer.post(f"/cart/add/{product['id']}?quantity={dice.randint(1, 3)}")
        buyer.get("/cart")
        order = buyer.post("/orders/checkout")
        if order.status == 201 and dice.random() < 0.3:
            up.admin.post(f"/v1/orders/{created(order)['id']}:advance", {"status": "ORDER_STATUS_PAID"})
        elif order.status == 201 and dice.random() < 0.1:
            buyer.post(f"/orders/{created(order)['id']}:cancel")
        elif order.status != 201:
            buyer.send("DELETE", "/cart")
        if dice.random() < 0.05:
            up.anyone.post("/v1/auth:login", {"email": buyer.email, "password": "mistyped"})
        stop.wait(dice.random() / 5)


class _Source:
    """The answers of a Prometheus for a span of time."""

    def __init__(self, port: int, start: float, end: float) -> None:
        self._port = port
        self.span = (start, end)

    def series(self, query: str) -> list[tuple[dict[str, str], list[tuple[float, float]]]]:
        """Return the series of a query: their labels, and times with values."""
        start, end = self.span
        asked = {"query": query.replace("$__rate_interval", RATE_INTERVAL), "start": start, "end": end, "step": SCRAPE_S}
        answer = json.loads(_get(self._port, f"/api/v1/query_range?{urllib.parse.urlencode(asked)}"))
        return [
            ({**each["metric"]}, [(float(at), float(value)) for at, value in each["values"] if value != "NaN"])
            for each in answer["data"]["result"]
        ]


def _draw(dashboard: Dashboard, source: _Source) -> Figure:
    heights = [NUMBER_HEIGHT if row[0].is_number else HEIGHT for row in dashboard.rows]
    figure = Figure(figsize=(WIDTH, sum(heights) + 0.4), layout="constrained")
    figure.suptitle(dashboard.title, fontweight="bold", x=0.01, ha="left")
    for row, part in zip(dashboard.rows, figure.subfigures(len(heights), 1, height_ratios=heights, squeeze=False)[:, 0], strict=True):
        for panel, axes in zip(row, part.subplots(1, len(row), squeeze=False)[0], strict=True):
            _draw_number(panel, axes, source) if panel.is_number else _draw_lines(panel, axes, source)
    return figure


def _draw_number(panel: Panel, axes: Axes, source: _Source) -> None:
    [query] = panel.queries.values()
    newest = [points[-1][1] for _, points in source.series(query) if points]
    text = "no data" if not newest else f"{newest[0]:.1%}" if panel.unit == "percentunit" else f"{newest[0]:,.0f}"
    is_red = bool(newest) and panel.red_above is not None and newest[0] > panel.red_above
    axes.set_title(panel.title, fontsize=8)
    axes.set_axis_off()
    axes.text(0.5, 0.4, text, ha="center", va="center", fontsize=16, color="#d44a3a" if is_red else "#299c46", transform=axes.transAxes)


def _draw_lines(panel: Panel, axes: Axes, source: _Source) -> None:
    start, end = source.span
    found = [(_legend(legend, labels), points) for legend, query in panel.queries.items() for labels, points in source.series(query)]
    axes.set_title(panel.title, fontsize=8, loc="left")
    for (name, points), color in zip(found[:SERIES_MAX], COLORS * 2, strict=False):
        axes.plot([(at - start) / 60 for at, _ in points], [value for _, value in points], label=name, color=color, lw=1)
    if not found:
        axes.text(0.5, 0.5, "no series", ha="center", color="grey", transform=axes.transAxes)
    axes.set_xlim(0, (end - start) / 60)
    highest = max((value for _, points in found for _, value in points), default=0.0)
    axes.set_ylim(0, highest * 1.05 or 1)
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g} min"))
    axes.yaxis.set_major_formatter(FORMATS[panel.unit])
    if any(name for name, _ in found):
        axes.legend(fontsize=6, frameon=False, ncols=3, loc="upper center", bbox_to_anchor=(0.5, -0.12))


def _legend(template: str, labels: dict[str, str]) -> str:
    return re.sub(r"\{\{(\w+)\}\}", lambda match: labels.get(match[1], "").removeprefix("/mercato.v1."), template)


if __name__ == "__main__":
    main()
