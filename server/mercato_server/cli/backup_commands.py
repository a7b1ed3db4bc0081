"""`mercato backup` and `mercato restore`."""

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mercato_server.cli.running import DataDir, run
from mercato_server.config import secret_files
from mercato_server.config import settings as config
from mercato_server.config.environment import environ_file

if TYPE_CHECKING:
    from mercato_server.embedded.backup_target import Target

TargetDir = Annotated[Path, typer.Argument(help="Directory of backups. It is made if it is absent.", metavar="TARGET")]
ArchiveDir = Annotated[
    Path | None, typer.Option(help="Directory of backups: archive all changes there. Default: MERCATO_BACKUP_DIR, or none.")
]
EnvFile = Annotated[Path | None, typer.Option(help="NAME=VALUE lines that win over the environment, as for `mercato up`.")]


def backup(
    target: TargetDir,
    data_dir: DataDir = None,
    keep: Annotated[
        int | None, typer.Option(help="Delete all backups but the newest N afterwards. Default: none.", min=1, max=10_000)
    ] = None,
    show: Annotated[bool, typer.Option("--list", help="Only print the backups, and the times to which each can be restored.")] = False,
    env_file: EnvFile = None,
) -> None:
    """Back up the shop of `mercato up`, while it runs or not: database, secret key and pictures.

    Any later moment can be restored if `mercato up` runs with --backup-dir TARGET. The backup holds neither the pepper nor a bucket of
    pictures.
    """
    from mercato_server.backups.taking import Source, take
    from mercato_server.embedded.backup_target import Target
    from mercato_server.embedded.launches import Launch

    place = Target(target)
    if show:
        _list(place)
        return
    os.umask(0o077)
    directory = (data_dir or Path(config.data_home(), "mercato")).resolve()
    launch = Launch.read(directory, _environ(env_file))
    made = run(take(Source(directory, launch), place, keep=keep, tell=typer.echo))
    typer.echo(f"backup {made.id} is complete; the shop can be restored to {_local(made.ended_at)}{' and later' if made.archive else ''}")
    if not made.archive:
        typer.echo(f"changes after it are not archived; to archive them: mercato up --backup-dir {target}")


def restore(  # noqa: PLR0913, PLR0917 - options of a command
    target: Annotated[Path, typer.Argument(help="Directory of backups.", metavar="TARGET")],
    data_dir: DataDir = None,
    to: Annotated[str, typer.Option(help="`latest`, or a time as RFC 3339 has it, such as 2026-11-30T12:00:00Z.")] = "latest",
    backup_id: Annotated[
        str | None, typer.Option("--backup", help="Backup to begin with. Default: the newest that is early enough.")
    ] = None,
    move_aside: Annotated[bool, typer.Option("--move-aside", help="Rename a data directory that is not empty.")] = False,
    env_file: EnvFile = None,
    user: Annotated[str | None, typer.Option(help="For root: account that will run the shop, as for `mercato up`.")] = None,
) -> None:
    """Restore the shop of a backup into a data directory that is absent or empty, for `mercato up`.

    All transactions that were committed up to the time are there, and none that were committed after it. All sessions end, and payments
    stay off until `mercato reconcile` is clean.
    """
    from mercato_server.backups.restoring import Wanted
    from mercato_server.backups.restoring import restore as run_restore
    from mercato_server.embedded.backup_target import Target

    os.umask(0o077)
    directory = (data_dir or Path(config.data_home(), "mercato")).resolve()
    wanted = Wanted(
        target=Target(target),
        data_dir=directory,
        moment=_moment(to),
        backup_id=backup_id,
        environ=_environ(env_file),
        user=user,
        move_aside=move_aside,
    )
    config.drop_libpq_variables()
    replayed = run(run_restore(wanted, typer.echo))
    last = f"its last transaction is of {_local(replayed)}" if replayed else "nothing was committed after the backup"
    typer.echo(f"restored the shop into {directory}; {last}")
    typer.echo("all sessions have ended; if the shop has a payment provider, payments are off until `mercato reconcile` is clean")


def _environ(env_file: Path | None) -> dict[str, str]:
    """Return this process's variables, replaced by those of a file, with the secrets of the files that both name; raises ConfigError."""
    return config.child_environ(secret_files.read(environ_file(env_file)))


def _list(target: "Target") -> None:
    from mercato_server.backups.wal import reaches

    found = reaches(target)
    if not found:
        typer.echo(f"no backup in {target.directory}")
    for each in found:
        typer.echo(f"{each}  ({each.backup.database_bytes // 1024 // 1024} MB, PostgreSQL {each.backup.postgres_version // 10_000})")


def _moment(text: str) -> datetime | None:
    """Return the time to restore, None for the latest."""
    if text == "latest":
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise typer.BadParameter(f"{text!r} is neither `latest` nor a time with its zone, such as 2026-11-30T12:00:00Z", param_hint="--to")
    return moment.astimezone(UTC)


def _local(moment: datetime) -> str:
    from mercato_server.backups.wal import stamp

    return stamp(moment.astimezone(UTC))
