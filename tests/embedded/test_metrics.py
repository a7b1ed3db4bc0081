"""`mercato up --metrics-port`: each worker answers Prometheus on its own port of the loopback interface only."""

import json
import socket
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from embedded.conftest import Run
from embedded.test_reload import reload
from embedded.test_up import QUIET, refusal, stop, until_ready
from ports import free_ports
from support.patience import patient
from support.scrape import Samples, scrape

HITS = "mercato_catalog_cache_hits_total page", "mercato_catalog_cache_misses_total page"


@pytest.fixture
def metrics_port() -> int:
    """The first of three free ports in a row."""
    return free_ports(3)


@pytest.fixture
def command(data_dir: Path, port: int) -> list[object]:
    return ["-m", "mercato_server", "up", "--port", port, "--data-dir", data_dir / "shop", "--workers", 2, "--no-demo", "--metrics-port"]


def reads(samples: Samples) -> float:
    return sum(samples[name] for name in HITS)


def answering(first: int) -> list[int]:
    """Return the numbers of the workers that answer."""
    found = []
    for number in range(3):
        try:
            scrape(first + number)
        except urllib.error.URLError:
            continue
        found.append(number)
    return found


def test_each_worker_has_a_port_and_its_successor_the_spare_one(
    command: list[object], data_dir: Path, port: int, metrics_port: int, run: Run
) -> None:
    shop = run(*command, metrics_port, environ=QUIET | {"MERCATO_METRICS_LISTEN": "127.0.0.1:1"})  # a setting of `mercato serve` only
    said = until_ready(shop, port)
    assert [line for line in said if line.startswith("stats ")] == [
        f"stats  http://127.0.0.1:{metrics_port}/metrics  (a port for each worker, and one for a reload, up to {metrics_port + 2})"
    ]
    assert answering(metrics_port) == [0, 1]
    before = [scrape(metrics_port + number) for number in (0, 1)]
    assert before[0]["process_start_time_seconds"] <= before[1]["process_start_time_seconds"]
    for _ in range(8):
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/products", timeout=patient()) as reply:
            assert json.load(reply)["products"] == []
    assert sum(reads(scrape(metrics_port + number)) - reads(before[number]) for number in (0, 1)) == 8
    with pytest.raises(urllib.error.HTTPError, match="404"):
        urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=patient())
    assert reload(data_dir / "shop").returncode == 0
    assert answering(metrics_port) == [0, 2]
    stop(shop)
    assert answering(metrics_port) == []


def test_a_port_in_use_is_reported_before_any_process_starts(command: list[object], data_dir: Path, metrics_port: int, run: Run) -> None:
    with socket.create_server(("127.0.0.1", metrics_port + 2)):
        told = refusal(run(*command, metrics_port, environ=QUIET))
    assert told == f"mercato: port {metrics_port + 2} is in use; stop what listens there or choose another with --metrics-port\n"
    assert not (data_dir / "shop/postgres").exists()


def test_ports_that_do_not_exist_are_refused(command: list[object], run: Run) -> None:
    told = refusal(run(*command, 65534, environ=QUIET))
    assert told == "mercato: --metrics-port 65534 leaves no ports for 2 workers and one more; choose 65533 or less\n"


def test_the_port_of_the_shop_is_none_of_metrics(command: list[object], port: int, run: Run) -> None:
    told = refusal(run(*command, port - 1, environ=QUIET))
    assert told == (
        f"mercato: port {port} cannot be that of metrics too, which take {port - 1} to {port + 1}; choose another with --metrics-port\n"
    )
