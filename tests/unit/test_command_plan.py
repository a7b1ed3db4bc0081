"""The commands of `mercato`, by their plan and by the generated file."""

import subprocess
import sys
from importlib.metadata import entry_points

import pytest
import typer

import command_line
from command_plan import BY_OTHER_COMMANDS, COLUMNS, DESTROY, GROUPS
from mercato.cli import described, output
from mercato.rpcs import rpcs
from mercato.v1.policy_pb2 import ACCESS_ADMIN
from mercato_server.cli.commands import app

CHANGES_THAT_DESTROY = ("Delete", "Archive", "Cancel", "Revoke")
LOADED = """
import sys
from mercato.cli import program
program.main(sys.argv[1:])
sys.stderr.write(" ".join(sorted({name.partition(".")[0] for name in sys.modules})))
"""


def test_an_administrator_has_a_command_for_every_rpc() -> None:
    planned = {rpc for group in GROUPS.values() for rpc in group.commands.values()}
    admins = {command_line.named(rpc) for rpc in rpcs() if rpc.policy.access == ACCESS_ADMIN}
    assert len(admins) > 50
    assert admins - planned == set(BY_OTHER_COMMANDS)


def test_the_plan_names_only_rpcs_and_messages_that_exist() -> None:
    names = {command_line.named(rpc) for rpc in rpcs()}
    messages = {field.message_type.name for rpc in rpcs() for field in rpc.response_type.DESCRIPTOR.fields if field.message_type}
    messages |= {rpc.response_type.DESCRIPTOR.name for rpc in rpcs()}
    assert {rpc for group in GROUPS.values() for rpc in group.commands.values()} <= names
    assert DESTROY | set(BY_OTHER_COMMANDS) <= names
    assert set(COLUMNS) <= messages


def test_every_change_that_destroys_asks_first() -> None:
    by_name = {command_line.named(rpc): rpc for rpc in rpcs()}
    planned = {rpc for group in GROUPS.values() for rpc in group.commands.values()}
    assert {rpc for rpc in planned if by_name[rpc].name.startswith(CHANGES_THAT_DESTROY)} <= DESTROY


def test_a_command_of_the_host_and_one_of_a_shop_never_share_a_name() -> None:
    host = typer.main.get_group(app).commands
    shared = set(host) & set(described.groups())
    assert shared == {"categories", "promotions"}
    for name in shared:
        assert not set(getattr(host[name], "commands", {})) & set(described.groups()[name]["commands"])
    assert {each.name for each in entry_points(group="mercato.commands")} == set(host)


def test_every_command_can_be_made_and_has_help() -> None:
    for group in described.groups().values():
        for name, told in group["commands"].items():
            command = described.Command.of(told)
            assert command.help
            assert all(option.help for option in command.options), (name, [each.name for each in command.options if not each.help])
            names = [option.name for option in command.options]
            assert len(names) == len(set(names))
            assert described.typed(name, command).name == name


def test_every_column_is_a_field_of_its_message() -> None:
    by_name = {command_line.named(rpc): rpc for rpc in rpcs()}
    for group in described.groups().values():
        for told in group["commands"].values():
            message = by_name[told["rpc"]].response_type()
            items = getattr(message, told["items"]).add() if told["items"] else message
            assert all(isinstance(output.value(items, column), str) for column in told["columns"])


@pytest.mark.parametrize("arguments", [("--help",), ("products", "--help"), ("products", "update", "--help"), ("promotions", "--help")])
def test_help_loads_neither_grpc_nor_rich_nor_messages(arguments: tuple[str, ...]) -> None:
    done = subprocess.run([sys.executable, "-c", LOADED, *arguments], capture_output=True, text=True, check=True)
    assert "Usage: mercato" in done.stdout
    assert not {"grpc", "rich", "google", "asyncpg", "structlog"} & set(done.stderr.split())
