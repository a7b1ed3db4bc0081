"""`mercato up --metrics-port`: one page for Prometheus about all workers, Envoy and the supervisor, on the loopback interface only."""

import http.client
import json
import os
import signal
import socket
import urllib.error
import urllib.request
from contextlib import suppress
from pathlib import Path

import pytest

from embedded.conftest import Run
from embedded.test_reload import reload
from embedded.test_up import QUIET, refusal, stop, until_ready
from embedded.watch import children, unless_ended
from ports import free_ports
from support.patience import patient, until_sync
from support.scrape import Samples, scrape

HITS, MISSES = "mercato_catalog_cache_hits_total", "mercato_catalog_cache_misses_total"


@pytest.fixture
def metrics_port() -> int:
    return free_ports(1)


@pytest.fixture
def command(data_dir: Path, port: int) -> list[object]:
    return ["-m", "mercato_server", "up", "--port", port, "--data-dir", data_dir / "shop", "--workers", 2, "--no-demo", "--metrics-port"]


def reads(samples: Samples, worker: int) -> float:
    return sum(samples.get(f"{name} {worker} page", 0) for name in (HITS, MISSES))


def workers(samples: Samples) -> dict[str, float]:
    """Return by the numbers of the workers whether each has answered."""
    return {name.partition(" ")[2]: value for name, value in samples.items() if name.startswith("mercato_worker_up ")}


def of_all(port: int, numbers: set[str]) -> Samples:
    """Return the first page on which these workers and Envoy have answered: on a busy machine one may be late."""

    def page() -> Samples:
        found = scrape(port)
        return found if {**workers(found), "edge": found["mercato_edge_up"]} == dict.fromkeys({*numbers, "edge"}, 1) else {}

    return until_sync(page, "all answer a scrape")


def worker_pids(supervisor: int) -> list[int]:
    found = []
    for pid in children(supervisor):
        with unless_ended():
            if Path(f"/proc/{pid}/cmdline").read_bytes().endswith(b"\0mercato_server\0serve\0"):
                found.append(pid)
    return found


def test_one_page_tells_of_all_workers_and_of_their_successors(
    command: list[object], data_dir: Path, port: int, metrics_port: int, run: Run
) -> None:
    shop = run(*command, metrics_port, environ=QUIET | {"MERCATO_METRICS_LISTEN": "127.0.0.1:1"})  # a setting of `mercato serve` only
    said = until_ready(shop, port)
    assert [line for line in said if line.startswith("stats ")] == [f"stats  http://127.0.0.1:{metrics_port}/metrics  (for Prometheus)"]
    before = of_all(metrics_port, {"0", "1"})
    for _ in range(8):
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/products", timeout=patient()) as reply:
            assert json.load(reply)["products"] == []
    after = of_all(metrics_port, {"0", "1"})
    assert sum(reads(after, number) - reads(before, number) for number in (0, 1)) == 8
    assert after["envoy_http_downstream_rq_xx_total 2 edge"] - before["envoy_http_downstream_rq_xx_total 2 edge"] == 8
    with pytest.raises(urllib.error.HTTPError, match="404"):
        urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=patient())
    assert reload(data_dir / "shop").returncode == 0
    reloaded = of_all(metrics_port, {"0", "2"})
    assert [reads(reloaded, number) for number in (0, 2)] == [0, 0]
    stop(shop)
    with pytest.raises(urllib.error.URLError, match="refused"):
        scrape(metrics_port)


def test_a_worker_that_hangs_delays_no_scrape_for_long_and_one_that_died_is_counted(
    command: list[object], port: int, metrics_port: int, run: Run
) -> None:
    shop = run(*command, metrics_port, environ=QUIET)
    until_ready(shop, port)
    hung = min(worker_pids(shop.pid))
    os.kill(hung, signal.SIGSTOP)
    try:
        stopped = until_sync(lambda: page if sorted(workers(page := scrape(metrics_port)).values()) == [0, 1] else {}, "only one answers")
    finally:
        os.kill(hung, signal.SIGCONT)
    [absent] = [number for number, is_up in workers(stopped).items() if not is_up]
    assert f"{HITS} {absent} page" not in stopped
    assert stopped["mercato_workers_running"] == 2
    until_sync(lambda: set(workers(scrape(metrics_port)).values()) == {1}, "it answers again")
    assert scrape(metrics_port)[f"mercato_process_restarts_total worker {absent}"] == 0
    os.kill(hung, signal.SIGKILL)
    until_sync(lambda: scrape(metrics_port)[f"mercato_process_restarts_total worker {absent}"] == 1, "it is started again")
    until_sync(lambda: set(workers(scrape(metrics_port)).values()) == {1}, "it answers again")
    stop(shop)


def test_the_processes_the_logs_and_the_disk_of_the_shop_are_described(
    command: list[object], data_dir: Path, port: int, metrics_port: int, run: Run
) -> None:
    shop = run(*command, metrics_port, environ=QUIET | {"MERCATO_LOG_MEGABYTES": "16"})
    until_ready(shop, port)
    found = of_all(metrics_port, {"0", "1"})
    assert {name.partition(" ")[2]: value for name, value in found.items() if name.startswith("mercato_process_up")} == dict.fromkeys(
        ("postgres", "hashing", "envoy", "supervisor"), 1
    )
    assert (found["mercato_workers_running"], found["mercato_edge_up"]) == (2, 1)
    for name in ("postgres", "envoy", "supervisor"):
        assert found[f"mercato_process_cpu_seconds_total {name}"] > 0
        assert found[f"mercato_process_private_bytes {name}"] > 1_000_000
    assert found["mercato_log_max_bytes"] == 16 * 1024 * 1024
    written = sum(path.stat().st_size for path in (data_dir / "shop/log").iterdir())
    assert 0 < found["mercato_log_bytes"] <= written
    disk = os.statvfs(data_dir)
    assert found["mercato_disk_size_bytes"] == disk.f_blocks * disk.f_frsize
    assert 0 < found["mercato_disk_free_bytes"] < found["mercato_disk_size_bytes"]
    connection = http.client.HTTPConnection("127.0.0.1", metrics_port, timeout=patient())
    for method, path, status in (("GET", "/", 404), ("POST", "/metrics", 405), ("GET", "/metrics?name=x", 200)):
        connection.request(method, path)
        with connection.getresponse() as reply:
            assert reply.status == status
    with socket.create_connection(("127.0.0.1", metrics_port), timeout=patient()) as nonsense:
        nonsense.sendall(b"x" * 20_000)
        with suppress(ConnectionResetError):  # instead of an end, if some of it had not been read
            assert nonsense.recv(1) == b""
    stop(shop)


def test_a_port_in_use_is_reported_before_any_process_starts(command: list[object], data_dir: Path, metrics_port: int, run: Run) -> None:
    with socket.create_server(("127.0.0.1", metrics_port)):
        told = refusal(run(*command, metrics_port, environ=QUIET))
    assert told == f"mercato: port {metrics_port} is in use; stop what listens there or choose another with --metrics-port\n"
    assert not (data_dir / "shop/postgres").exists()


def test_the_port_of_the_shop_is_not_that_of_metrics(command: list[object], port: int, run: Run) -> None:
    told = refusal(run(*command, port, environ=QUIET))
    assert told == f"mercato: port {port} cannot be that of metrics too; choose another with --metrics-port\n"
