"""`mercato up`: one command starts the shop, keeps it running and stops it without leaving processes or files."""

import json
import os
import signal
import socket
import subprocess
import urllib.request
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from embedded.conftest import Person, Run
from embedded.watch import children, gone, name, unless_ended
from mercato_server.demo import product_id
from mercato_server.embedded.database import database as lend
from mercato_server.embedded.processes import EmbeddedError
from support.patience import allowed, or_else, patient, until_sync
from support.shop import SECRET

QUIET = {"MERCATO_RATE_LIMITS": "off"}
STOP_S = 5.0
"""A shop without calls stops within this time."""
Supervisor = subprocess.Popen[str]


@pytest.fixture
def command(data_dir: Path, port: int) -> list[object]:
    return ["-m", "mercato_server", "up", "--port", port, "--data-dir", data_dir / "shop", "--workers", 1, "--no-demo"]


def until_ready(supervisor: Supervisor, port: int, scheme: str = "http") -> list[str]:
    """Return its output up to the line that says it is ready, which must be the last one."""
    assert supervisor.stdout is not None
    assert supervisor.stderr is not None
    lines = []
    with or_else(supervisor.kill):
        for line in supervisor.stdout:
            lines.append(line.rstrip("\n"))
            if line.startswith("ready "):
                assert line == f"ready {scheme}://127.0.0.1:{port}\n"
                return lines
    pytest.fail(f"it ended: {supervisor.stderr.read()}")


def stop(supervisor: Supervisor, number: signal.Signals = signal.SIGTERM) -> None:
    """Stop it by a signal; it must end quickly, with exit code 0 and without a child left."""
    family = children(supervisor.pid)
    supervisor.send_signal(number)
    assert supervisor.wait(timeout=allowed(STOP_S)) == 0
    assert all(map(gone, family))


def refusal(supervisor: Supervisor) -> str:
    """Return its output; it must end with exit code 1."""
    output, errors = supervisor.communicate(timeout=patient())
    assert (supervisor.returncode, output) == (1, "")
    return errors


def healthy(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=patient()) as reply:
            return bool(reply.status == 200)
    except OSError:
        return False


def grpc_health(port: int) -> int:
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        reply = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=patient())
        return int(reply.status)


def child(supervisor: Supervisor, program: str) -> int | None:
    """Return the supervisor's own child that runs a program."""
    started = Path(f"/proc/{supervisor.pid}/task/{supervisor.pid}/children").read_text().split()
    return next((int(pid) for pid in started if name(int(pid)) == program), None)


def was_replaced(supervisor: Supervisor, program: str, killed: int) -> bool:
    return child(supervisor, program) not in {None, killed}


def test_one_port_speaks_rest_and_grpc_until_sigterm(command: list[object], data_dir: Path, port: int, run: Run) -> None:
    supervisor = run(*command, environ=QUIET)
    said = "\n".join(until_ready(supervisor, port))
    assert str(data_dir / "shop") in said
    assert f"http://127.0.0.1:{port}/docs" in said
    assert f"\nmail   {data_dir / 'shop/mail'}  (" in said
    assert healthy(port)
    assert grpc_health(port) == health_pb2.HealthCheckResponse.SERVING
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/openapi.json", timeout=patient()) as reply:
        assert json.load(reply)["openapi"].startswith("3.1")
    for member in children(supervisor.pid):
        with unless_ended():
            assert os.getpgid(member) != os.getpgid(supervisor.pid)  # Ctrl-C reaches only this process
    for program in (name(supervisor.pid), "envoy", "postgres"):
        pid = child(supervisor, program)
        assert pid is not None
        assert os.getsid(pid) == os.getsid(supervisor.pid)  # so that their priorities are compared with each other
    sockets = data_dir / "shop/run"
    assert sockets.stat().st_mode & 0o777 == 0o700
    assert (sockets / "worker-0.sock").is_socket()
    assert (sockets / "hashing.sock").is_socket()
    stop(supervisor)
    assert not (sockets / "worker-0.sock").exists()
    assert supervisor.stderr is not None
    assert supervisor.stderr.read() == ""


def test_the_second_start_finds_the_data_and_the_key(command: list[object], data_dir: Path, port: int, run: Run) -> None:
    key = data_dir / "shop/secret_key"
    first = run(*command, environ=QUIET)
    until_ready(first, port)
    stop(first, signal.SIGINT)
    kept = key.read_text()
    assert len(kept.strip()) == 64
    assert key.stat().st_mode & 0o777 == 0o600
    second = run(*command, environ=QUIET)
    until_ready(second, port)
    assert key.read_text() == kept
    stop(second)


def test_kill_of_the_supervisor_leaves_nothing_and_the_next_start_works_at_once(command: list[object], port: int, run: Run) -> None:
    first = run(*command, environ=QUIET)
    until_ready(first, port)
    family = children(first.pid)
    assert {"postgres", "envoy"} < {name(pid) for pid in family}
    first.kill()
    first.wait()
    second = run(*command, environ=QUIET)
    until_ready(second, port)
    assert all(map(gone, family))
    stop(second)


def test_an_empty_shop_is_the_demo_shop_once_wherever_its_data_are(command: list[object], data_dir: Path, port: int, run: Run) -> None:
    empty = run(*command, environ=QUIET)
    until_ready(empty, port)
    assert read(port, "/products")["products"] == []
    stop(empty)
    assert not (data_dir / "shop/pictures/renditions").exists()
    answers = []
    for place in ("shop", "moved"):
        supervisor = run(*(data_dir / place if each == data_dir / "shop" else each for each in command[:-1]), environ=QUIET)
        until_ready(supervisor, port)
        answers.append([read(port, path) for path in ("/v1/shop", f"/products/{product_id(0)}", "/products?page_size=100")])
        [picture] = answers[-1][1]["pictures"]
        assert content(port, picture["small"]["url"]).startswith(b"RIFF")
        stop(supervisor)
        if place == "shop":
            (data_dir / "shop").rename(data_dir / "moved")
    shop, shoes, products = answers[0]
    assert (shop["country_code"], shop["prices_include_tax"]) == ("DE", True)
    assert (shoes["tax_category"], shoes["needs_delivery"], shoes["weight_grams"]) == ("standard", True, 720)
    assert len(products["products"]) == 100
    assert answers[1] == answers[0]


def test_a_demo_shop_whose_pictures_cannot_be_stored_does_not_start_and_says_why(command: list[object], data_dir: Path, run: Run) -> None:
    (data_dir / "shop").mkdir(mode=0o711)
    (data_dir / "shop/pictures").mkdir()
    (data_dir / "shop/pictures/renditions").write_text("a file where a directory belongs")
    told = refusal(run(*command[:-1], environ=QUIET))
    assert told.startswith("mercato: the demo shop's pictures ended with exit code 1; ")
    assert "FileExistsError" in told or "NotADirectoryError" in told


def content(port: int, path: str) -> bytes:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=patient()) as reply:
        return bytes(reply.read())


def read(port: int, path: str) -> Any:
    return json.loads(content(port, path))


def test_a_killed_process_is_started_again(command: list[object], port: int, run: Run) -> None:
    supervisor = run(*command, environ=QUIET)
    until_ready(supervisor, port)
    python = name(supervisor.pid)
    for program in (python, "mercato-hashing", "envoy", "postgres"):
        killed = child(supervisor, program)
        assert killed is not None
        os.kill(killed, signal.SIGKILL)
        until_sync(partial(was_replaced, supervisor, program, killed))
        until_sync(lambda: healthy(port))
    stop(supervisor)
    assert supervisor.stderr is not None
    told = supervisor.stderr.read().splitlines()
    assert [line.partition(";")[0] for line in told] == [
        f"mercato: {killed} was killed by SIGKILL" for killed in ("worker 0", "hashing", "envoy", "postgres")
    ]


def test_a_second_supervisor_is_refused(command: list[object], data_dir: Path, port: int, run: Run) -> None:
    first = run(*command, environ=QUIET)
    until_ready(first, port)
    second = run(*command, environ=QUIET)
    assert refusal(second) == (
        f"mercato: {data_dir / 'shop'} is in use by process {first.pid}; stop that process or choose another directory with --data-dir\n"
    )
    assert healthy(port)


def test_a_port_in_use_is_reported_before_any_process_starts(command: list[object], data_dir: Path, port: int, run: Run) -> None:
    with socket.create_server(("127.0.0.1", port)):
        told = refusal(run(*command, environ=QUIET))
    assert told == f"mercato: port {port} is in use; stop what listens there or choose another with --port\n"
    assert not (data_dir / "shop/postgres").exists()


def test_an_invalid_setting_is_reported(command: list[object], run: Run) -> None:
    assert refusal(run(*command, environ={"MERCATO_CURRENCY": "euro"})).startswith("mercato: MERCATO_CURRENCY is 'euro'")


def test_a_missing_certificate_is_reported(command: list[object], data_dir: Path, run: Run) -> None:
    told = refusal(run(*command, environ={"MERCATO_TLS_CERT": f"{data_dir}/absent", "MERCATO_TLS_KEY": f"{data_dir}/absent"}))
    assert told == f"mercato: MERCATO_TLS_CERT is '{data_dir}/absent', which cannot be read: No such file or directory\n"
    assert not (data_dir / "shop/postgres").exists()


async def test_a_worker_on_a_unix_socket_answers_health_checks_and_leaves_no_socket(database: str, data_dir: Path, run: Run) -> None:
    path = data_dir / "worker.sock"
    environ = {"DATABASE_URL": database, "SECRET_KEY": SECRET, "MERCATO_LISTEN": f"unix:{path}"}
    worker = run("-m", "mercato_server", "serve", environ=environ | {"MERCATO_DRAIN_SECONDS": "0"})
    async with grpc.aio.insecure_channel(f"unix:{path}") as channel:
        health = health_pb2_grpc.HealthStub(channel)
        reply = await health.Check(health_pb2.HealthCheckRequest(), wait_for_ready=True, timeout=patient())
        assert reply.status == health_pb2.HealthCheckResponse.SERVING
    stop(worker)
    assert not path.exists()


def test_a_worker_that_cannot_start_is_reported_with_its_log(command: list[object], data_dir: Path, run: Run) -> None:
    (data_dir / "shop/run/worker-0.sock").mkdir(parents=True)
    supervisor = run(*command, environ=QUIET)
    told = refusal(supervisor)
    assert told.startswith("mercato: worker 0 ended with exit code 1; ")
    assert "worker-0.sock" in told.partition("ends with:\n")[2]


def test_sigterm_during_the_start_stops_it(command: list[object], data_dir: Path, run: Run) -> None:
    supervisor = run(*command, environ=QUIET)
    until_sync(lambda: child(supervisor, "postgres"))
    stop(supervisor)


def test_a_second_signal_does_not_wait(command: list[object], port: int, run: Run) -> None:
    supervisor = run(*command, environ=QUIET)
    until_ready(supervisor, port)
    family = children(supervisor.pid)
    worker = child(supervisor, name(supervisor.pid))
    assert worker is not None
    os.kill(worker, signal.SIGSTOP)  # a stopped worker does not drain
    until_sync(lambda: state(worker) == "T")  # otherwise the next signal could arrive first
    supervisor.send_signal(signal.SIGINT)
    until_sync(lambda: signal_pending(worker, signal.SIGINT))
    supervisor.send_signal(signal.SIGINT)
    assert supervisor.wait(timeout=patient()) == -signal.SIGINT
    until_sync(lambda: all(map(gone, family)))


def state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def signal_pending(pid: int, number: signal.Signals) -> bool:
    """Return whether a stopped process has a pending signal."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    pending = next(line for line in lines if line.startswith("ShdPnd:")).split()[1]
    return bool(int(pending, 16) >> (number - 1) & 1)


def test_an_ordinary_user_can_run_it(command: list[object], data_dir: Path, port: int, run: Run, ordinary_person: Person) -> None:
    os.chown(data_dir, ordinary_person.options.get("user", -1), ordinary_person.options.get("group", -1))
    supervisor = run(*command, environ=QUIET, person=ordinary_person)
    until_ready(supervisor, port)
    assert healthy(port)
    stop(supervisor)


async def test_the_database_is_lent_from_the_running_shop_or_started(command: list[object], data_dir: Path, port: int, run: Run) -> None:
    with pytest.raises(EmbeddedError, match="`mercato up` makes one"):
        async with lend(data_dir / "shop"):
            pass
    supervisor = run(*command, environ=QUIET)
    until_ready(supervisor, port)
    async with lend(data_dir / "shop") as url:
        assert await has_schema(url)
    assert healthy(port)
    stop(supervisor)
    async with lend(data_dir / "shop") as url:
        assert await has_schema(url)


async def has_schema(url: str) -> bool:
    import asyncpg

    connection = await asyncpg.connect(url)
    try:
        return bool(await connection.fetchval("SELECT to_regclass('products') IS NOT NULL"))
    finally:
        await connection.close()
