"""Write Grafana's dashboards, deploy/grafana/dashboards/*.json.

`--check` changes nothing, and fails if a committed file differs. Grafana imports the files, or reads them by provisioning; each asks for
its data source of Prometheus by the variable `datasource`. benchmarks/dashboard_plots.py draws the same panels without Grafana.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DIRECTORY = Path(__file__).parent.parent / "deploy/grafana/dashboards"
CHECKOUT = "/mercato.v1.OrderService/Checkout"
FAULTS = "INTERNAL|UNKNOWN|UNAVAILABLE|DEADLINE_EXCEEDED|DATA_LOSS"
"""Codes of calls that fail by a fault of the shop."""
COLUMNS, HEIGHT = 24, 8
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
RATE = "[$__rate_interval]"
"""Grafana replaces it with a range that fits the scrape interval and the shown time."""


@dataclass(frozen=True, slots=True)
class Panel:
    """Series over time, or with `is_number` the newest value."""

    title: str
    unit: str
    """Grafana's name of it: `ops`, `s`, `percentunit`, `short`, `bytes`, `none`."""
    queries: Mapping[str, str]
    """PromQL by legend, in which `{{label}}` stands for the label of a series."""
    about: str = ""
    is_number: bool = False
    red_above: float | None = None
    """Value above which a number is red."""
    is_stacked: bool = False


@dataclass(frozen=True, slots=True)
class Dashboard:
    """Rows of panels, which share the width."""

    name: str
    title: str
    rows: Sequence[Sequence[Panel]]


def number(title: str, unit: str, query: str, *, red_above: float | None = None, about: str = "") -> Panel:
    """Return a panel with one number."""
    return Panel(title, unit, {"": query}, about, is_number=True, red_above=red_above)


def rate(metric: str, by: str = "") -> str:
    """Return the rate of a counter over all workers, by labels."""
    return f"sum{f' by ({by})' if by else ''} (rate({metric}{RATE}))"


def quantile(share: float, metric: str, by: str = "") -> str:
    """Return a quantile of a histogram over all workers, by a label."""
    return f"histogram_quantile({share}, sum by ({f'{by}, ' if by else ''}le) (rate({metric}_bucket{RATE})))"


def _share(part: str, whole: str) -> str:
    return f"{part} / ({whole} > 0)"


HITS, MISSES = "mercato_catalog_cache_hits_total", "mercato_catalog_cache_misses_total"
CALLS = "mercato_rpc_duration_seconds"
FAILED_SHARE = _share(f'(sum(rate({CALLS}_count{{code=~"{FAULTS}"}}{RATE})) or vector(0))', f"sum(rate({CALLS}_count{RATE}))")

OVERVIEW = Dashboard(
    "overview",
    "Mercato: overview",
    [
        [
            number("Orders, last hour", "none", "round(sum(increase(mercato_orders_placed_total[1h])))"),
            number(
                "Revenue, last hour",
                "none",
                "round(sum by (currency) (increase(mercato_order_revenue_minor_total[1h])))",
                about="Totals of placed orders in minor units (cents); cancellations and refunds are not taken off.",
            ),
            number("Calls that fail", "percentunit", FAILED_SHARE, red_above=0.01, about="By a fault of the shop, not of the caller."),
            number("Workers that answer", "none", "sum(mercato_worker_up)"),
            number("Violated invariants", "none", "count(max by (invariant) (mercato_verify_violations) > 0) or vector(0)", red_above=0),
            number("Disk in use", "percentunit", "max(1 - mercato_disk_free_bytes / mercato_disk_size_bytes)", red_above=0.9),
        ],
        [
            Panel("Orders per second", "ops", {"orders": rate("mercato_orders_placed_total")}),
            Panel("Calls per second, by code", "ops", {"{{code}}": rate(f"{CALLS}_count", "code")}, is_stacked=True),
        ],
        [
            Panel(
                "Time of a call",
                "s",
                {"median": quantile(0.5, CALLS), "99 of 100": quantile(0.99, CALLS)},
                about="Over all methods, answers from memory included.",
            ),
            Panel(
                "To look into",
                "none",
                {
                    "jobs held": 'sum(max by (queue) (mercato_jobs{state="failed"}))',
                    "events in quarantine": "sum(max by (consumer) (mercato_feed_quarantined_events))",
                    "payment notices in quarantine": "max(mercato_payment_quarantined_events)",
                    "failed refunds": "max(mercato_payment_failed_refunds)",
                    "open disputes": "max(mercato_payment_open_disputes)",
                },
            ),
        ],
    ],
)

API = Dashboard(
    "api",
    "Mercato: API",
    [
        [
            Panel("Calls per second", "ops", {"{{method}}": f"topk(10, {rate(f'{CALLS}_count', 'method')})"}, is_stacked=True),
            Panel("Answered from memory, per second", "ops", {"{{method}}": rate("mercato_rpc_cached_calls_total", "method")}),
        ],
        [
            Panel("99 of 100 calls end within", "s", {"{{method}}": f"topk(10, {quantile(0.99, CALLS, 'method')})"}),
            Panel("Half of the calls end within", "s", {"{{method}}": f"topk(10, {quantile(0.5, CALLS, 'method')})"}),
        ],
        [
            Panel(
                "Calls per second that end with an error",
                "ops",
                {"{{method}} {{code}}": f'topk(10, sum by (method, code) (rate({CALLS}_count{{code!="OK"}}{RATE})))'},
            ),
            Panel("Refusals per second, by reason", "ops", {"{{reason}}": rate("mercato_refused_calls_total", "reason")}),
        ],
        [
            Panel(
                "Requests at the edge, per second",
                "ops",
                {
                    "{{envoy_response_code_class}}xx": rate("envoy_http_downstream_rq_xx", "envoy_response_code_class"),
                    "limited": rate("envoy_http_local_rate_limit_rate_limited"),
                },
            ),
            Panel(
                "Time of a request at the edge",
                "ms",
                {
                    "median": quantile(0.5, "envoy_http_downstream_rq_time"),
                    "99 of 100": quantile(0.99, "envoy_http_downstream_rq_time"),
                },
            ),
        ],
        [
            Panel(
                "Reads of the catalog found in memory",
                "percentunit",
                {"{{kind}}": _share(rate(HITS, "kind"), f"({rate(HITS, 'kind')} + {rate(MISSES, 'kind')})")},
            ),
            Panel("Calls that hash a password", "none", {"{{worker}}": "mercato_password_places"}),
        ],
    ],
)

DATABASE = Dashboard(
    "database",
    "Mercato: database and batches",
    [
        [
            Panel("Statements per second", "ops", {"statements": rate("mercato_database_statements_total")}),
            Panel(
                "Time of a statement",
                "s",
                {"mean": _share(rate("mercato_database_statement_seconds_total"), rate("mercato_database_statements_total"))},
            ),
        ],
        [
            Panel("Connections", "none", {"{{pool}} {{state}}": "sum by (pool, state) (mercato_pool_connections)"}, is_stacked=True),
            Panel(
                "Wait for a connection",
                "s",
                {"{{pool}}": _share(rate("mercato_pool_acquire_seconds_sum", "pool"), rate("mercato_pool_acquire_seconds_count", "pool"))},
            ),
        ],
        [
            Panel("Calls that wait for a connection", "none", {"{{pool}}": "sum by (pool) (mercato_pool_waiting_acquires)"}),
            Panel("Calls that wait for a batch", "none", {"{{kind}}": "sum by (kind) (mercato_batch_queue_length)"}),
        ],
        [
            Panel(
                "Calls per batch",
                "none",
                {"{{kind}}": _share(rate("mercato_batched_calls_total", "kind"), rate("mercato_batches_total", "kind"))},
            ),
            Panel("Nine of ten batches have at most", "none", {"{{kind}}": quantile(0.9, "mercato_batch_size", "kind")}),
        ],
        [
            Panel(
                "Processor time",
                "percentunit",
                {
                    "{{process}}": rate("mercato_process_cpu_seconds_total", "process"),
                    "worker {{worker}}": rate("process_cpu_seconds_total", "worker"),
                },
            ),
            Panel(
                "Private memory",
                "bytes",
                {"{{process}}": "mercato_process_private_bytes", "worker {{worker}}": "process_resident_memory_bytes"},
            ),
        ],
    ],
)

BACKGROUND = Dashboard(
    "background",
    "Mercato: background work and feed",
    [
        [
            Panel("Age of the change feed", "s", {"worker {{worker}}": "mercato_change_feed_age_seconds"}),
            Panel("Lag of consumers", "s", {"{{consumer}}": "min by (consumer) (mercato_feed_lag_seconds)"}),
        ],
        [
            Panel("Jobs", "none", {"{{queue}} {{state}}": "max by (queue, state) (mercato_jobs)"}),
            Panel("Oldest job that is due", "s", {"{{queue}}": "max by (queue) (mercato_jobs_oldest_seconds)"}),
        ],
        [
            Panel("Mails per second", "ops", {"{{outcome}}": rate("mercato_mails_total", "outcome")}),
            Panel("Deaths of background tasks", "none", {"{{task}}": "sum by (task) (increase(mercato_task_failures_total[10m]))"}),
        ],
        [
            Panel("Restarts of processes", "none", {"{{process}}": "sum by (process) (increase(mercato_process_restarts_total[10m]))"}),
            Panel("Rows that violate an invariant", "none", {"{{invariant}}": "max by (invariant) (mercato_verify_violations) > 0"}),
        ],
        [
            Panel("Time since the last check of the invariants", "s", {"": "time() - max(mercato_verify_completed_timestamp_seconds)"}),
            Panel("Length of the last check", "s", {"": "max(mercato_verify_seconds)"}),
        ],
        [
            Panel("Logs", "bytes", {"logs": "sum(mercato_log_bytes)", "bound": "sum(mercato_log_max_bytes)"}),
            Panel(
                "Age of backups", "s", {it: f"time() - max(mercato_backup_{it}_timestamp_seconds)" for it in ("completed", "restorable")}
            ),
            Panel("Free disk", "bytes", {"{{instance}}": "mercato_disk_free_bytes"}),
        ],
    ],
)

PAYMENTS = Dashboard(
    "payments",
    "Mercato: payments",
    [
        [
            number("Requests without an outcome", "none", "max(mercato_payment_unsettled_requests)"),
            number("Oldest of them", "s", "max(mercato_payment_oldest_request_seconds)", red_above=600),
            number("Notices in quarantine", "none", "max(mercato_payment_quarantined_events)", red_above=0),
            number("Failed refunds", "none", "max(mercato_payment_failed_refunds)", red_above=0),
            number("Open disputes", "none", "max(mercato_payment_open_disputes)", red_above=0),
            number("Orders held by a payment", "none", "max(mercato_payment_held_orders)"),
        ],
        [
            Panel("Requests per second", "ops", {"{{kind}} {{outcome}}": rate("mercato_payment_requests_total", "kind, outcome")}),
            Panel("Notices per second", "ops", {"{{outcome}}": rate("mercato_payment_events_total", "outcome")}),
        ],
        [
            Panel("Notices that wait", "none", {"notices": "max(mercato_payment_unapplied_events)"}),
            Panel("Age of the oldest notice that waits", "s", {"": "max(mercato_payment_event_lag_seconds)"}),
        ],
        [
            Panel("Payments per second", "ops", {"{{kind}}": f'sum by (kind) (rate(mercato_changes_total{{kind=~"payment.*"}}{RATE}))'}),
            Panel("Refunds per second", "ops", {"{{kind}}": f'sum by (kind) (rate(mercato_changes_total{{kind=~"refund.*"}}{RATE}))'}),
        ],
    ],
)

SHOP = Dashboard(
    "shop",
    "Mercato: orders, revenue, stock",
    [
        [
            Panel("Orders per second", "ops", {"orders": rate("mercato_orders_placed_total"), "units": rate("mercato_order_units_total")}),
            Panel("Revenue, minor units per second", "none", {"{{currency}}": rate("mercato_order_revenue_minor_total", "currency")}),
        ],
        [
            Panel(
                "Steps of orders, per second", "ops", {"{{kind}}": f'sum by (kind) (rate(mercato_changes_total{{kind=~"order.*"}}{RATE}))'}
            ),
            Panel(
                "Mean order, minor units",
                "none",
                {
                    "{{currency}}": f"{rate('mercato_order_revenue_minor_total', 'currency')}"
                    f" / on () group_left () ({rate('mercato_orders_placed_total')} > 0)"
                },
            ),
        ],
        [
            Panel("Calls refused for too little stock, per second", "ops", {"refused": rate("mercato_stock_outs_total")}),
            Panel(
                "Products on sale without stock",
                "none",
                {"products": "max(mercato_products_out_of_stock)"},
                about="Counted every five minutes.",
            ),
        ],
        [
            Panel(
                "Changes of the catalog, per second",
                "ops",
                {"{{kind}}": f'sum by (kind) (rate(mercato_changes_total{{kind=~"(product|category|stock).*"}}{RATE}))'},
            ),
            Panel(
                "Parcels and returns, per second",
                "ops",
                {"{{kind}}": f'sum by (kind) (rate(mercato_changes_total{{kind=~"(shipment|return).*"}}{RATE}))'},
            ),
        ],
    ],
)

DASHBOARDS = (OVERVIEW, API, DATABASE, BACKGROUND, PAYMENTS, SHOP)


def _panel(panel: Panel, number: int, place: Mapping[str, int]) -> dict[str, Any]:
    steps: list[dict[str, Any]] = [{"color": "green", "value": None}]
    if panel.red_above is not None:
        steps.append({"color": "red", "value": panel.red_above})
    lines = {
        "fillOpacity": 20 if panel.is_stacked else 5,
        "showPoints": "never",
        "stacking": {"mode": "normal" if panel.is_stacked else "none"},
    }
    custom = {} if panel.is_number else {"custom": lines}
    return {
        "id": number,
        "type": "stat" if panel.is_number else "timeseries",
        "title": panel.title,
        "description": panel.about,
        "datasource": SOURCE,
        "gridPos": dict(place),
        "fieldConfig": {
            "defaults": {"unit": panel.unit, "min": 0, "thresholds": {"mode": "absolute", "steps": steps}, **custom},
            "overrides": [],
        },
        "options": {"reduceOptions": {"calcs": ["lastNotNull"], "values": False}}
        if panel.is_number
        else {"legend": {"displayMode": "list", "placement": "bottom", "showLegend": True}, "tooltip": {"mode": "multi", "sort": "desc"}},
        "targets": [
            {"refId": chr(ord("A") + index), "datasource": SOURCE, "expr": query, "legendFormat": legend or "__auto", "range": True}
            for index, (legend, query) in enumerate(panel.queries.items())
        ],
    }


def _model(dashboard: Dashboard) -> dict[str, Any]:
    panels: list[dict[str, Any]] = []
    top = 0
    for row in dashboard.rows:
        width, height = COLUMNS // len(row), HEIGHT // 2 if row[0].is_number else HEIGHT
        for column, panel in enumerate(row):
            panels.append(_panel(panel, len(panels) + 1, {"x": column * width, "y": top, "w": width, "h": height}))
        top += height
    source = {"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus", "current": {}, "hide": 0}
    return {
        "uid": f"mercato-{dashboard.name}",
        "title": dashboard.title,
        "tags": ["mercato"],
        "schemaVersion": 39,
        "version": 1,
        "editable": True,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "timezone": "browser",
        "templating": {"list": [source]},
        "links": [{"title": "Mercato", "type": "dashboards", "tags": ["mercato"], "asDropdown": True, "keepTime": True}],
        "annotations": {"list": []},
        "panels": panels,
    }


def generated() -> dict[Path, str]:
    """Return the content of each file."""
    return {DIRECTORY / f"{each.name}.json": json.dumps(_model(each), indent=2) + "\n" for each in DASHBOARDS}


def main() -> int:
    """Write the files, or with `--check` compare them; a file that is no dashboard of this module is an error too."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    check, files = parser.parse_args().check, generated()
    if check:
        stale = [path for path, content in files.items() if not path.exists() or path.read_text() != content]
        stale += [path for path in DIRECTORY.glob("*.json") if path not in files]
        if stale:
            print(f"not current: {', '.join(path.name for path in stale)}; run: python tools/dashboards.py")
        return 1 if stale else 0
    for path, content in files.items():
        path.write_text(content)
    return 0


if __name__ == "__main__":
    sys.exit(main())
