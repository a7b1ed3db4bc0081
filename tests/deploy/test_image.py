"""The images, built and run: as an ordinary user without capabilities, on a read-only root, with secrets from files."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import image
from deploy.conftest import Deployed
from ports import free_port
from support import needs
from support.mercato_up import draft
from support.patience import patient, until_sync
from support.rest_client import Client

PROGRAMS = ("buildah", "debootstrap", "podman", "runc")
HARDENED = (
    *(
        "--network=host",
        "--read-only",
        "--read-only-tmpfs=false",
        "--cap-drop=all",
        "--security-opt=no-new-privileges",
        "--tmpfs=/tmp",
        "--no-healthcheck",
    ),
    *("--ulimit=nofile=4096:4096", "--ulimit=nproc=1024:1024"),
)


@pytest.fixture(scope="module")
def built(request: pytest.FixtureRequest) -> None:
    if not request.config.getoption("--soak"):
        needs.SOAK.skip()
    if os.geteuid() != 0 or not all(map(shutil.which, PROGRAMS)):
        needs.IMAGES.skip()
    assert image.main([]) == 0


def podman(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [shutil.which("podman") or "podman", "--runtime=runc", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=patient())


@contextmanager
def container(name: str, image_name: str, *options: str) -> Iterator[str]:
    """Run a container until it has ended; its last lines are shown if it fails."""
    started = podman("run", "--detach", f"--name={name}", *HARDENED, *options)
    assert started.returncode == 0, f"{image_name}: {started.stderr}"
    try:
        yield name
    finally:
        print(podman("logs", "--tail=20", name).stderr)  # noqa: T201 - pytest shows it
        podman("rm", "--force", name)


def secrets(deployed: Deployed, **files: str) -> list[str]:
    """Return the options that give a container secrets as files."""
    mounts = [f"--volume={deployed.secrets / file}:/run/secrets/{file}:ro" for file in files.values()]
    return mounts + [f"--env={name}_FILE=/run/secrets/{file}" for name, file in files.items()]


def test_a_shop_runs_from_the_images(built: None, deployed: Deployed) -> None:
    worker_port, port, suffix = free_port(), free_port(), os.getpid()
    owner = secrets(deployed, DATABASE_URL="migrate_database_url")
    migrated = podman("run", "--rm", *HARDENED, *owner, "localhost/mercato", "migrate")
    assert migrated.returncode == 0, migrated.stderr
    given = secrets(deployed, DATABASE_URL="worker_database_url", SECRET_KEY="secret_key", MERCATO_PASSWORD_PEPPER="password_pepper")
    settings = (f"--env=MERCATO_LISTEN=127.0.0.1:{worker_port}", "--env=MERCATO_DRAIN_SECONDS=1", "--env=MERCATO_RESERVED_DOMAINS=allow")
    upstream = ("localhost/mercato-edge", "edge", f"--port={port}", f"--upstream=127.0.0.1:{worker_port}")
    with (
        container(f"worker-{suffix}", "mercato", *given, *settings, "localhost/mercato") as worker,
        container(f"edge-{suffix}", "mercato-edge", "--env=MERCATO_DRAIN_SECONDS=1", *upstream) as edge,
    ):
        until_sync(lambda: podman("exec", worker, "mercato", "health").returncode == 0, "the worker serves")
        until_sync(lambda: podman("exec", edge, "mercato", "health", f"http://127.0.0.1:{port}/readyz").returncode == 0, "the edge serves")
        assert podman("exec", worker, "mercato", "health", "--service", "liveness").returncode == 0
        buy(worker, port)
        assert podman("exec", worker, "id", "--user").stdout == "10001\n"
        assert written(worker) == written(edge) == ["/tmp"]  # noqa: S108 - the one directory in memory
        for name in (edge, worker):
            assert podman("stop", "--time=60", name).returncode == 0
            assert podman("inspect", "--format={{.State.ExitCode}}", name).stdout == "0\n"


def buy(worker: str, port: int) -> None:
    """Create an administrator by the command in the container, and let a buyer order by REST."""
    password = "--env=MERCATO_ADMIN_PASSWORD=correct horse battery"
    made = podman("exec", password, worker, "mercato", "admin", "create", "boss@shop.test")
    assert made.returncode == 0, made.stderr
    admin = Client(port).login("boss@shop.test", "correct horse battery")
    ball = admin.post("/products", draft(stock=3))
    assert ball.status == 201, ball
    signup = Client(port).post("/signup", {"email": "jo@shop.test", "password": "fresh paint on monday", "full_name": "Jo Doe"})
    assert signup.status == 201, signup
    buyer = Client(port).login("jo@shop.test", "fresh paint on monday")
    added = buyer.post(f"/cart/add/{ball.json['id']}")
    assert added.status == 200, added
    order = buyer.post("/orders/checkout")
    assert order.status == 201, order
    assert [line["product_id"] for line in order.json["lines"]] == [ball.json["id"]]


def written(name: str) -> list[str]:
    """Return the directories in which the user of a container can write, without those below /tmp."""
    script = "import os; print(*(d for d, _, _ in os.walk('/') if not d.startswith(('/proc', '/sys', '/dev')) and os.access(d, os.W_OK)))"
    return [each for each in podman("exec", name, "python", "-c", script).stdout.split() if not each.startswith("/tmp/")]  # noqa: S108


@pytest.mark.parametrize("name", image.STAGES.values())
def test_an_image_holds_neither_secrets_nor_settings_of_the_build(built: None, tmp_path: Path, name: str) -> None:
    inspected = json.loads(image.buildah("inspect", "--type", "image", f"localhost/{name}"))
    config = inspected["OCIv1"]["config"]
    assert (config["User"], config["Entrypoint"]) == ("10001:10001", ["mercato"])
    assert {each.partition("=")[0] for each in config["Env"]} <= {"PATH", "PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED", "MERCATO_LISTEN"}
    listed = image.buildah("from", f"localhost/{name}")
    root = Path(image.buildah("mount", listed))
    try:
        assert not (root / "etc/pip.conf").exists()
        assert not any((root / "opt/mercato/lib").glob("python*/site-packages/pip"))
        assert not (root / "src").exists()
        assert (root / "var/lib/mercato/pictures").stat().st_uid == 10001
    finally:
        image.buildah("umount", listed)
        image.buildah("rm", listed)
