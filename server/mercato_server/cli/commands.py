"""The commands of `mercato`."""

import asyncio
import os
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mercato_server.cli import (
    account_commands,
    backup_commands,
    category_commands,
    edge_commands,
    export_commands,
    promotions,
    queue_commands,
    tax_commands,
)
from mercato_server.cli.health import health
from mercato_server.cli.reconcile import reconcile
from mercato_server.cli.restored import restored
from mercato_server.cli.running import DataDir, Result, database_url
from mercato_server.cli.running import run as _run
from mercato_server.config import database_urls, secret_files
from mercato_server.config import settings as config
from mercato_server.config.environment import ConfigError
from mercato_server.config.log_settings import LogSettings

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from rich.console import Console

    from mercato_server.config.picture_settings import PictureSettings
    from mercato_server.store.verify import Finding


class OnError(StrEnum):
    """How an import treats bad rows."""

    REFUSE = "refuse"
    SKIP = "skip"


TOLD = {
    "asyncpg.exceptions._base.PostgresError",
    "mercato_server.background.supervisor.FatalError",
    "mercato_server.cli.products_csv.CsvError",
    "mercato_server.cli.quarantine.QuarantineError",
    "mercato_server.cli.verify.VerifyError",
    "mercato_server.composition.StartupError",
    "mercato_server.database.migrations.SchemaError",
    "mercato_server.embedded.processes.EmbeddedError",
    "mercato_server.security.keyrings.KeysError",
}
"""Errors whose messages say what to do, beside OSError."""

app = typer.Typer(help="Mercato: a commerce backend over gRPC and REST.", no_args_is_help=True, add_completion=False)
admin = typer.Typer(help="Administrators.", no_args_is_help=True)
app.add_typer(admin, name="admin")
keys = typer.Typer(help="Keys that sign access tokens.", no_args_is_help=True)
app.add_typer(keys, name="keys")
app.add_typer(account_commands.app, name="account")
app.add_typer(promotions.app, name="promotions")
app.add_typer(tax_commands.app, name="taxes")
app.add_typer(category_commands.app, name="categories")

SKIPPED = 3
"""Exit code of an import that skipped bad rows."""


@app.command()
def up(  # noqa: PLR0913, PLR0917 - options of a command
    port: Annotated[int, typer.Option(help="Port of REST, gRPC and docs.", min=1, max=65535)] = 8080,
    data_dir: DataDir = None,
    workers: Annotated[int | None, typer.Option(help="Server processes. Default: one per core, at most 8.", min=1, max=64)] = None,
    demo: Annotated[
        bool, typer.Option("--demo/--no-demo", help="Fill an empty shop with a demo; complete that of an earlier release.")
    ] = True,
    demo_payments: Annotated[
        bool, typer.Option("--demo-payments", help="Take play money by a double of Stripe, from a checkout of the repository.")
    ] = False,
    env_file: Annotated[Path | None, typer.Option(help="NAME=VALUE lines that win over the environment, read again by reload.")] = None,
    metrics_port: Annotated[
        int | None,
        typer.Option(help="Port on 127.0.0.1 that answers Prometheus for the whole shop. Default: none.", min=1, max=65535),
    ] = None,
    user: Annotated[
        str | None, typer.Option(help="For root: account that runs all processes, made if absent. Default: the data's owner, or mercato.")
    ] = None,
    edge_cache: Annotated[
        bool, typer.Option("--edge-cache", help="Answer anonymous catalog reads from Envoy's cache, which Envoy calls work in progress.")
    ] = False,
    backup_dir: backup_commands.ArchiveDir = None,
) -> None:
    """Run the whole shop: PostgreSQL, workers and Envoy. Ctrl-C stops it; the data stays. SIGHUP reloads it."""
    from mercato_server.embedded.up import Options
    from mercato_server.embedded.up import up as run_up

    options = Options(
        port=port,
        data_dir=data_dir,
        workers=workers,
        demo=demo,
        demo_payments=demo_payments,
        env_file=env_file,
        metrics_port=metrics_port,
        user=user,
        edge_cache=edge_cache,
        backup_dir=backup_dir,
    )
    raise typer.Exit(asyncio.run(run_up(options)))


@app.command()
def reload(data_dir: DataDir = None) -> None:
    """Read the settings of a running `mercato up` again and replace its workers one by one. No call fails because of it.

    A worker stops once its successor serves. If a new worker does not serve, the others go on, and the exit code is 1.
    """
    from mercato_server.embedded.control import ask_to_reload

    directory = (data_dir or Path(config.data_home(), "mercato")).resolve()
    _run(ask_to_reload(directory, lambda done, of: typer.echo(f"replaced {done} of {of}")))


@app.command()
def serve() -> None:
    """Run one gRPC worker on MERCATO_LISTEN over DATABASE_URL, until SIGTERM, which fails no call, or SIGINT, which is quicker."""
    from mercato_server.observability import logging
    from mercato_server.worker import serve as run

    settings = config.Settings.from_environ()
    logging.start(settings.log)
    _run(run(settings))


@app.command()
def migrate(
    print_role_settings: Annotated[
        bool,
        typer.Option("--print-role-settings", help="Print the statements that give DATABASE_URL's user the parameters of a worker."),
    ] = False,
) -> None:
    """Bring the schema of DATABASE_URL up to date.

    Workers behind a pooler need --print-role-settings: a pooler does not pass on the parameters that a worker sends when it connects.
    """
    from mercato_server.database import migrations, session_settings

    if print_role_settings:
        for statement in session_settings.role_statements(database_urls.user(config.database_url()), config.Limits()):
            typer.echo(statement)
        return
    if not _run(migrations.migrate(config.database_url(), report=typer.echo)):
        typer.echo("nothing to do: the schema is up to date")


@app.command()
def events(
    follow: Annotated[bool, typer.Option(help="Go on with future events.")] = False,
    quarantined: Annotated[bool, typer.Option("--quarantined", help="Print the events that a consumer could not handle.")] = False,
    retry: Annotated[int | None, typer.Option(help="Let its consumer try the event of this id in quarantine again.")] = None,
    consumers: Annotated[bool, typer.Option("--consumers", help="Print the state of each consumer.")] = False,
) -> None:
    """Print the change feed of DATABASE_URL, one JSON object a line: the changes of orders, stock and catalog in the last week.

    With --quarantined print the events that consumers, such as the mails of orders, could not handle. With --retry ID a worker tries such
    an event again within about ten seconds; it leaves the quarantine when that succeeds. The audit log records the retry. With --consumers
    print how far each consumer is.
    """
    from mercato_server.cli.quarantine import print_quarantined, retry_event
    from mercato_server.feed.listener import print_events

    url = config.database_url()
    if sum((follow, quarantined, retry is not None, consumers)) > 1:
        raise typer.BadParameter("choose one of --follow, --quarantined, --retry and --consumers")
    if consumers:
        _run(queue_commands.print_consumers())
    elif retry is not None:
        _run(retry_event(url, retry))
        typer.echo(f"event {retry} will be tried again")
    else:
        _run(print_quarantined(url) if quarantined else print_events(url, follow=follow))


@app.command()
def verify(
    data_dir: DataDir = None,
    watch: Annotated[
        float | None,
        typer.Option(help="Check the changes every so many seconds, until an invariant is violated or Ctrl-C.", min=0.05),
    ] = None,
    deep: Annotated[
        bool, typer.Option("--deep", help="Also recompute the price of every order, and look for the files of pictures.")
    ] = False,
) -> None:
    """Check that stock, ledger, orders, keys and events agree, in DATABASE_URL or in a data directory of `mercato up`.

    It reads one snapshot, and may run beside a busy shop. Exit code 1 if an invariant is violated. With --watch everything is checked at
    the start, once a minute and at the end.
    """
    from rich.console import Console

    from mercato_server.cli.verify import show

    console = Console()
    findings = _run(_verify(data_dir, watch, console, deep=deep))
    show(findings, console)
    raise typer.Exit(any(finding.violations for finding in findings))


def _pictures(data_dir: Path | None) -> "PictureSettings":
    """Return the settings of pictures. The files of a data directory are in it unless a variable says otherwise, as for its workers."""
    from mercato_server.config.picture_settings import PictureSettings

    is_own = data_dir or not config.optional_database_url()
    own = str((data_dir or Path(config.data_home(), "mercato")).absolute() / "pictures") if is_own else ""
    return PictureSettings.from_environ({**os.environ, "MERCATO_PICTURES_DIR": os.environ.get("MERCATO_PICTURES_DIR") or own})


async def _verify(data_dir: Path | None, interval_s: float | None, console: "Console", *, deep: bool) -> list["Finding"]:
    from mercato_server.cli.verify import check, watch

    pictures = _pictures(data_dir) if deep else None
    async with database_url(data_dir) as url:
        return await watch(url, interval_s, console, deep=deep) if interval_s else await check(url, deep=deep, pictures=pictures)


@app.command("import")
def import_products(
    file: Annotated[Path, typer.Argument(help="CSV in UTF-8.")],
    on_error: Annotated[
        OnError | None,
        typer.Option(help="Bad rows: change nothing, or import the others. Default: refuse; skip for another shop's file."),
    ] = None,
    errors: Annotated[Path | None, typer.Option(help="Write all bad rows to this file, as CSV: line, SKU, reason.")] = None,
    spreadsheet_safe: Annotated[bool, typer.Option("--spreadsheet-safe", help="The file was exported with this option.")] = False,
    data_dir: DataDir = None,
) -> None:
    """Create and update products by SKU from a CSV file, in DATABASE_URL or in a data directory of `mercato up`.

    The first line names the columns: sku, name, price_minor (in minor units), and any of description, category (its name; created if
    absent), stock (empty keeps it), image_urls (separated by spaces), tax_category, needs_delivery (true or false), weight_grams, slug and
    description_html (cleaned). Variants have group (its code) and options (Size=S;Colour=Red), and may have group_name and position. A
    column that is left out changes nothing. The command can be killed and started again: rows that are in the shop already are not
    written again. Exit code 1 if nothing or not all was imported, 3 if bad rows were skipped.

    The product exports of Shopify and WooCommerce, and redirects as Shopify exports them, are known by their header, and taken as they are.
    """
    from mercato_server.cli.catalog_import import Import
    from mercato_server.cli.moving_in import MoveIn, recognised
    from mercato_server.cli.redirects_csv import RedirectImport, is_of_redirects
    from mercato_server.config.mail_settings import MailSettings

    if errors and errors.exists() and file.exists() and errors.samefile(file):
        raise typer.BadParameter("--errors names the file that is imported")
    currency, pictures_url = config.currency(), _pictures(data_dir).url
    if is_of_redirects(file):
        public_url = MailSettings.from_environ().public_url
        redirects = RedirectImport(path=file, refuse=on_error is OnError.REFUSE, errors=errors, public_url=public_url)
        report = _run(_with_database(data_dir, redirects.run))
        report.show(typer.echo)
        raise typer.Exit(SKIPPED if report.bad else 0)
    if head := recognised(file):
        if spreadsheet_safe:
            raise typer.BadParameter("--spreadsheet-safe is for files that Mercato has exported")
        typer.echo(f"{head.kind.name}; ignored columns: {', '.join(head.ignored) or 'none'}")
        refuse = on_error is OnError.REFUSE
        moved = MoveIn(path=file, head=head, refuse=refuse, errors=errors, currency=currency, pictures_url=pictures_url)
        report = _run(_with_database(data_dir, moved.run))
        report.show(typer.echo)
        raise typer.Exit(SKIPPED if report.bad else 0)
    skip = on_error is OnError.SKIP
    wanted = Import(path=file, skip=skip, errors=errors, currency=currency, pictures_url=pictures_url, spreadsheet_safe=spreadsheet_safe)
    outcome = _run(_with_database(data_dir, wanted.run))
    typer.echo(f"{outcome.created} created, {outcome.updated} updated, {outcome.unchanged} unchanged, {outcome.bad} bad rows skipped")
    raise typer.Exit(SKIPPED if outcome.bad else 0)


async def _with_database(data_dir: Path | None, work: "Callable[[str], Awaitable[Result]]") -> "Result":
    async with database_url(data_dir) as url:
        return await work(url)


app.command("export")(export_commands.export_csv)
app.command("reconcile")(reconcile)
app.command("health")(health)
app.command("backup")(backup_commands.backup)
app.command("restore")(backup_commands.restore)
app.command("restored")(restored)


app.command("envoy-config")(edge_commands.envoy_config)
app.command("edge")(edge_commands.edge)
app.command("jobs")(queue_commands.jobs)


@admin.command("create")
def create_admin(
    email: Annotated[str, typer.Argument(help="E-mail address of the new administrator.")],
    full_name: Annotated[str, typer.Option(help="Name to address the person by.")] = "",
    data_dir: DataDir = None,
) -> None:
    """Create an administrator, in DATABASE_URL or in a data directory of `mercato up`.

    The password comes from MERCATO_ADMIN_PASSWORD or from a prompt.
    """
    password = config.admin_password() or typer.prompt("Password", hide_input=True, confirmation_prompt=True)
    _run(_create_admin(email, full_name, password, data_dir))
    typer.echo(f"created administrator {email}")


async def _create_admin(email: str, full_name: str, password: str, data_dir: Path | None) -> None:
    async with database_url(data_dir) as url:
        await _insert_admin(url, email, full_name, password)


async def _insert_admin(url: str, email: str, full_name: str, password: str) -> None:
    from mercato_server.database.pool import small_pool
    from mercato_server.domain.accounts import COMMAND_LINE, FULL_NAME_MAX, Role
    from mercato_server.security.passwords import hash_password, weakness
    from mercato_server.store import accounts
    from mercato_server.validation.checks import Checks

    with Checks() as check:
        address = check.new_email("email", email, reserved=config.reserved_domains())
        name = check.line("full_name", full_name, longest=FULL_NAME_MAX)
        if weak := weakness(password, address, name):
            check.fail("password", weak)
    hashing = config.Hashing.from_environ()
    hashed = hash_password(password, pepper=hashing.pepper, cost=hashing.cost)
    async with small_pool(url) as pool:
        new = accounts.NewAccount(email=address, full_name=name, role=Role.ADMIN, password_hash=hashed)
        await accounts.create_for(pool, COMMAND_LINE, new)


@keys.command("rotate")
def rotate_keys(
    discard: Annotated[bool, typer.Option("--discard", help="Drop all keys at once: after a leak, or for a new SECRET_KEY.")] = False,
    data_dir: DataDir = None,
) -> None:
    """Sign access tokens with the next key, in DATABASE_URL or in a data directory of `mercato up`.

    Workers follow within a second. Tokens of the old key stay valid until they expire; with --discard they become invalid, and clients
    refresh them.
    """
    from mercato_server.observability import logging

    logging.start(LogSettings(security_file=LogSettings.from_environ().security_file))
    kid = _run(_rotate_keys(data_dir, discard=discard))
    typer.echo(f"tokens are signed with key {kid}")


async def _rotate_keys(data_dir: Path | None, *, discard: bool) -> str:
    from mercato_server.embedded.database import database, secret_key
    from mercato_server.security.keyrings import rotate

    if data_dir is None and (url := config.optional_database_url()):
        return await rotate(url, config.secret_key(), discard=discard)
    directory = data_dir or Path(config.data_home(), "mercato")
    async with database(directory) as url:
        return await rotate(url, secret_key(directory), discard=discard)


class Host:
    """The commands of this package, for the command line of mercato-client."""

    app = app

    def prepare(self) -> None:
        """Read the secrets that files hold."""
        secret_files.read_into_environment()

    def explain(self, error: Exception) -> str | None:
        """Return the message of an error that the operator can mend."""
        from mercato_server.domain.errors import MercatoError

        return str(error) if isinstance(error, (ConfigError, MercatoError)) or _is_told(error) else None


HOST = Host()


def _is_told(error: Exception) -> bool:
    """Tell whether the message of an error says what to do. The modules of the errors would slow down a command that did not load them."""
    return isinstance(error, OSError) or any(f"{kind.__module__}.{kind.__qualname__}" in TOLD for kind in type(error).__mro__)
