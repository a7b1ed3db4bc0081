"""Output of commands: hostile data, terminals, pipes that close, full disks, long lists, newer servers. The server is scripted."""

import json
import os
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import pytest
from google.protobuf.message import Message

from mercato.v1.catalog_pb2 import ListProductsRequest, ListProductsResponse, Product
from mercato.v1.media_pb2 import PICTURE_UPLOAD_STATE_REFUSED, PictureUpload
from mercato.v1.order_pb2 import ListAllOrdersResponse, Order
from mercato.v1.payment_pb2 import PaymentEvent, ResolvePaymentEventRequest
from mercato.v1.shop_pb2 import Shop
from mercato.v1.user_pb2 import User
from support import needs
from support.scripted_server import Received, Refused, Script, Scripted, scripted
from support.shopkeeper import Shopkeeper
from support.terminal import Terminal

HOSTILE = "\x1b]0;owned\x07\x1b[2J\x9b31m\u202eevil\t\r\n\\[bold red]\x00\u2066"
ID = "01890000-0000-7000-8000-000000000001"
MEGABYTE = 1024 * 1024


def steers(text: str) -> str:
    """Return the characters of a text that steer a terminal, without those of lines and cells."""
    return "".join(re.findall("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", text))


def product(number: int = 1, name: str = HOSTILE) -> Product:
    made = Product(id=f"{number:08}", name=name, stock=number, needs_delivery=True)
    made.price.currency_code, made.price.minor_units = "USD", 1999
    return made


def pages(count: int) -> Script:
    """Answer with a list of so many products."""

    def answer(received: Received) -> Message:
        if received.name != "ListProducts":
            return Shop(currency_code="USD")
        asked = ListProductsRequest.FromString(received.body)
        first = int(asked.page_token or 0)
        last = min(first + (asked.page_size or 20), count)
        return ListProductsResponse(
            products=[product(number, f"Ball {number}") for number in range(first, last)],
            next_page_token=str(last) if last < count else "",
        )

    return answer


@pytest.fixture
def server() -> Iterator[Scripted]:
    """A shop with one product, of a hostile name; a test may replace its script."""
    with scripted(lambda _: ListProductsResponse(products=[product()])) as server:
        yield server


@pytest.fixture
def keeper(anyone: Shopkeeper, server: Scripted) -> Shopkeeper:
    anyone.environ["MERCATO_SERVER"] = f"127.0.0.1:{server.port}"
    return anyone


@pytest.fixture
def at_terminal(keeper: Shopkeeper) -> Iterator[Callable[..., Terminal]]:
    opened: list[Terminal] = []

    def start(*arguments: str, **more: str) -> Terminal:
        opened.append(Terminal(arguments, keeper.all_environ(**more), keeper.home))
        return opened[-1]

    yield start
    for terminal in opened:
        terminal.close()


def test_hostile_text_steers_no_terminal_and_breaks_no_line(keeper: Shopkeeper, at_terminal: Callable[..., Terminal]) -> None:
    done = keeper("products", "list")
    assert steers(done.stdout) == ""
    _, line = done.stdout.splitlines()
    assert line.split("\t")[2] == r"\x1b]0;owned\x07\x1b[2J\x9b31m\u202eevil\t\r\n\\[bold red]\x00\u2066"
    as_json = keeper("products", "list", "--json").stdout
    assert steers(as_json) == ""
    assert json.loads(as_json)["name"] == HOSTILE
    terminal = at_terminal("products", "list", NO_COLOR="1", TERM="dumb")
    assert terminal.ended() == 0
    assert steers(terminal.printed.replace("\r\n", "\n")) == ""
    assert r"\x00" in "".join(terminal.printed.split())
    assert "[bold " in terminal.printed  # brackets are no markup
    assert "red]" in terminal.printed


def test_hostile_errors_steer_no_terminal(keeper: Shopkeeper, server: Scripted) -> None:
    def refuse(_: Received) -> Message:
        raise Refused(grpc.StatusCode.NOT_FOUND, "PRODUCT_NOT_FOUND\x1b[2J", "no \x1b[2J\x9bproduct\n")

    server.script = refuse
    for more in ((), ("--json",)):
        done = keeper("products", "get", ID, *more)
        assert (done.returncode, done.stdout, steers(done.stderr)) == (1, "", "")
        assert "PRODUCT_NOT_FOUND" in done.stderr


def test_hostile_arguments_steer_no_terminal(keeper: Shopkeeper, at_terminal: Callable[..., Terminal], tmp_path: Path) -> None:
    terminal = at_terminal("products", "delete", "a\x1b[2Jb", "--json")
    terminal.expect(r"a\x1b[2Jb? [y/N]")
    terminal.types("n\n")
    assert terminal.ended() == 1
    assert '{"code": 1, "message": "the caller answered no"' in terminal.printed
    for arguments in (("\x1b[2J",), ("products", "\x1b[2J"), ("products", "list", "--\x1b[2J"), ("orders", "list", "--status", "\x1b[2J")):
        done = keeper(*arguments)
        assert (done.returncode, done.stdout, steers(done.stderr)) == (2, "", "")
        assert r"\x1b[2J" in done.stderr


def test_a_picture_that_the_shop_refuses_is_told_without_steering(keeper: Shopkeeper, server: Scripted, tmp_path: Path) -> None:
    file = tmp_path / "ball.png"
    file.write_bytes(b"ball")
    server.script = lambda _: PictureUpload(id="1", state=PICTURE_UPLOAD_STATE_REFUSED, refusal_message="no \x1b[2Jball")
    for more in ((), ("--json",)):
        done = keeper("pictures", "upload", str(file), *more)
        assert (done.returncode, done.stdout, steers(done.stderr)) == (1, "", "")
        assert "no " in done.stderr
    assert keeper("pictures", "upload", "/dev/zero").returncode == 2
    assert server.counts["CreatePictureUpload"] == 2


def test_a_terminal_gets_a_table_of_fifty_lines_and_a_hint(
    keeper: Shopkeeper, server: Scripted, at_terminal: Callable[..., Terminal]
) -> None:
    server.script = pages(230)
    for more, lines, hinted in (((), 50, True), (("--limit", "230"), 230, False), (("--limit", "0"), 230, False)):
        terminal = at_terminal("products", "list", *more, NO_COLOR="1")
        assert terminal.ended() == 0, terminal.printed
        assert len(re.findall("Ball [0-9]+", terminal.printed)) == lines
        assert ("--limit 0" in terminal.printed) == hinted
        assert terminal.printed.count("NAME") == 1
    assert keeper("products", "list").stdout.count("\n") == 231


def test_no_colour_is_none(server: Scripted, at_terminal: Callable[..., Terminal]) -> None:
    server.script = pages(3)
    for environ in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
        terminal = at_terminal("products", "list", **environ)
        assert terminal.ended() == 0
        assert not re.search("\x1b\\[[0-9;]*[34][0-9]", terminal.printed)


def test_a_reader_that_goes_away_ends_the_command_well(keeper: Shopkeeper, server: Scripted) -> None:
    server.script = pages(100_000)
    for line in ("products list | head -n 2", "whoami | exec true", "completion bash | exec true"):
        script = f'"{keeper.program}" {line}; echo "${{PIPESTATUS[0]}}"'
        done = subprocess.run(["/bin/bash", "-c", script], env=keeper.all_environ(), capture_output=True, text=True, check=False)
        assert done.stderr == ""
        assert done.stdout.splitlines()[-1] == "0"
    assert server.counts["ListProducts"] < 500  # it did not go on to the end


@pytest.mark.parametrize("command", ["products list", "products get 1", "whoami", "completion zsh", "--json whoami"])
def test_a_full_disk_is_told(keeper: Shopkeeper, server: Scripted, command: str) -> None:
    server.script = lambda received: {"GetMe": User(id="u"), "GetProduct": product()}.get(received.name) or pages(5)(received)
    told = "standard output: No space left on device"
    with open("/dev/full", "w") as full:  # noqa: PTH123 - a device
        done = subprocess.run(
            [keeper.program, *command.split()], env=keeper.all_environ(), stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode == 1
    if command.startswith("--json"):
        assert json.loads(done.stderr)["message"] == told
    else:
        assert done.stderr == f"mercato: {told}\n"


@pytest.mark.parametrize(
    ("code", "command"),
    [
        (1, "orders get 1"),
        (2, "products --absent"),
        (4, "users list"),
        (5, "whoami --server 127.0.0.1:1"),
        (5, "whoami --profile late --json"),
    ],
)
def test_an_exit_code_does_not_need_standard_error(keeper: Shopkeeper, server: Scripted, code: int, command: str) -> None:
    refusals = {
        "GetOrder": grpc.StatusCode.NOT_FOUND,
        "ListUsers": grpc.StatusCode.UNAUTHENTICATED,
        "GetMe": grpc.StatusCode.DEADLINE_EXCEEDED,
    }

    def refuse(received: Received) -> Message:
        raise Refused(refusals[received.name])

    server.script = refuse
    with open("/dev/full", "w") as full:  # noqa: PTH123 - a device
        done = subprocess.run(
            [keeper.program, *command.split()], env=keeper.all_environ(), stdout=subprocess.PIPE, stderr=full, check=False
        )
    assert (done.returncode, done.stdout) == (code, b"")


def test_a_locale_without_the_characters_of_a_name_gets_escapes(keeper: Shopkeeper, server: Scripted) -> None:
    answers = {"ListProducts": ListProductsResponse(products=[product(name="Bäll 球")]), "GetMe": User(full_name="Bäll 球")}
    server.script = lambda received: answers[received.name]
    for command in (("products", "list"), ("whoami",)):
        done = keeper.started(*command, PYTHONIOENCODING="ascii", PYTHONUTF8="0")
        assert done.returncode == 0
        assert r"B\xe4ll \u7403" in done.stdout
    del keeper.environ["MERCATO_SERVER"]
    server_of = f"--server=127.0.0.1:{server.port}"
    bare = subprocess.run([keeper.program, server_of, "whoami"], env={}, cwd=keeper.home, capture_output=True, check=False)
    assert (bare.returncode, bare.stderr) == (0, b"")
    assert "Bäll 球" in bare.stdout.decode()


def test_wide_characters_keep_the_columns_of_a_table(server: Scripted, at_terminal: Callable[..., Terminal]) -> None:
    server.script = lambda _: ListProductsResponse(products=[product(name="ab"), product(name="球"), product(name="e\u0301x")])
    terminal = at_terminal("products", "list", NO_COLOR="1", TERM="dumb")
    assert terminal.ended() == 0
    lines = [line for line in terminal.printed.splitlines() if "19.99" in line]
    ends = [line[: line.index("19.99")] for line in lines]
    assert [len(end) for end in ends] == [len(ends[0]), len(ends[0]) - 1, len(ends[0]) + 1]  # cells: two for 球, none for an accent


def test_a_newer_server_is_understood_as_far_as_possible(keeper: Shopkeeper, server: Scripted) -> None:
    order = Order(id=ID, number="7", status=999, etag="x")  # type: ignore[arg-type] # a value of a later release
    order.total.currency_code, order.total.minor_units = "XQQ", 12
    server.script = lambda _: ListAllOrdersResponse(orders=[order])
    done = keeper("orders", "list")
    assert done.stdout.splitlines()[1].split("\t")[:6] == ["7", ID, "999", "", "", "12 minor units of XQQ"]

    def refuse(_: Received) -> Message:
        raise Refused(grpc.StatusCode.FAILED_PRECONDITION, "MOON_NOT_FULL", "wait for the moon")

    server.script = refuse
    error = keeper.refused(1, "orders", "get", ID)
    assert (error["code"], error["reason"], error["message"]) == (9, "MOON_NOT_FULL", "wait for the moon")


def test_an_unknown_outcome_has_the_key_that_makes_a_repetition_safe(keeper: Shopkeeper, server: Scripted) -> None:
    def lose(received: Received) -> Message:
        raise Refused(grpc.StatusCode.DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED", "late")

    server.script = lose
    error = keeper.refused(5, "stock", "adjust", ID, "--delta", "1")
    assert error["outcome_unknown"] is True
    assert error["idempotency_key"] == server.calls("AdjustStock")[0].key
    done = keeper("stock", "adjust", ID, "--delta", "1")
    assert f"--idempotency-key {server.calls('AdjustStock')[-1].key}" in done.stderr
    server.script = lambda _: product(name="Ball")
    assert keeper("stock", "adjust", ID, "--delta", "1", "--idempotency-key", error["idempotency_key"]).returncode == 0
    assert server.calls("AdjustStock")[-1].key == error["idempotency_key"]


def test_a_notice_of_a_provider_is_resolved(keeper: Shopkeeper, server: Scripted) -> None:
    server.script = lambda _: PaymentEvent(id=ID, provider="stripe", failure="late")
    for more, retry in (("--retry", True), ("--no-retry", False)):
        assert keeper.one("payments", "resolve-event", ID, more)["provider"] == "stripe"
        asked = ResolvePaymentEventRequest.FromString(server.received[-1].body)
        assert (asked.payment_event_id, asked.retry) == (ID, retry)


def test_amounts_of_lists_are_in_the_currency_of_the_shop(keeper: Shopkeeper, server: Scripted) -> None:
    server.script = lambda received: Shop(currency_code="JPY") if received.name == "GetShop" else ListProductsResponse()
    assert keeper("products", "list", "--min-price", "5", "--max-price", "500 JPY").returncode == 0
    asked = ListProductsRequest.FromString(server.calls("ListProducts")[0].body)
    assert (asked.min_price, asked.max_price, server.counts["GetShop"]) == (5, 500, 1)
    for wrong in ("5.5", "5 USD", "1e3", "five"):
        assert keeper.refused(2, "products", "list", "--min-price", wrong)["code"] == 3


@pytest.mark.parametrize("command", [("products", "list"), ("whoami",)])
def test_options_of_the_connection_stand_before_the_command_too(keeper: Shopkeeper, server: Scripted, command: tuple[str, ...]) -> None:
    server.script = lambda received: User(id="u") if received.name == "GetMe" else ListProductsResponse(products=[product()])
    keeper.environ["MERCATO_SERVER"] = "127.0.0.1:1"
    address = f"127.0.0.1:{server.port}"
    before = ("--server", address, "--profile", "other", "--json", "--timeout", "9")
    assert json.loads(keeper(*before, *command).stdout)["id"]
    assert keeper("--server", "127.0.0.1:1", *command, "--server", address).returncode == 0  # the later one wins
    assert json.loads(keeper("--json", *command).stderr)["code"] == 14
    assert keeper.refused(2, "--profile", "a/b", *command)["code"] == 3


@pytest.mark.parametrize("command", [("up",), ("completion", "bash"), ("categories", "import", "x.csv")])
def test_options_of_the_connection_are_none_of_other_commands(keeper: Shopkeeper, command: tuple[str, ...]) -> None:
    done = keeper("--server", "127.0.0.1:1", *command)
    assert (done.returncode, done.stdout) == (2, "")
    assert "--server" in done.stderr


def test_an_end_of_the_session_stops_the_rest(keeper: Shopkeeper, server: Scripted) -> None:
    def refuse(received: Received) -> Message:
        if server.counts["GetProduct"] > 1:
            raise Refused(grpc.StatusCode.UNAUTHENTICATED, "TOKEN_INVALID")
        return product()

    server.script = refuse
    done = keeper("products", "get", ID, ID, ID, ID)
    assert (done.returncode, done.stdout.count("\n")) == (3, 2)
    assert server.counts["GetProduct"] == 2


def peak_bytes(keeper: Shopkeeper, out: Path, *arguments: str) -> int:
    """Run a command into a file; return the most memory that it had."""
    with out.open("w") as file:
        process = subprocess.Popen([keeper.program, *arguments], env=keeper.all_environ(), stdout=file)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return usage.ru_maxrss * 1024


@pytest.mark.parametrize("count", [10_000, pytest.param(1_000_000, id="million")])
def test_long_lists_are_streamed_in_constant_memory(
    keeper: Shopkeeper, server: Scripted, tmp_path: Path, count: int, request: pytest.FixtureRequest
) -> None:
    if count > 100_000 and not request.config.getoption("--soak"):
        needs.SOAK.skip()
    out = tmp_path / "products.tsv"
    server.script = pages(100)
    few = peak_bytes(keeper, out, "products", "list")
    server.script = pages(count)
    many = peak_bytes(keeper, out, "products", "list")
    with out.open() as lines:
        assert sum(1 for _ in lines) == count + 1
    assert many - few < 8 * MEGABYTE
