"""The commands of README.md print the output that it shows."""

import readme
from mercato_server.cli.commands import app
from support.mercato_up import running_demo


def test_the_readme_shows_what_its_commands_print() -> None:
    with running_demo("--demo-payments") as up:
        printed = readme.run(readme.README.read_text(), up.port, int(up.play_money.rpartition(":")[2]), up.data_dir)
    assert readme.normalized(printed) == readme.normalized(readme.README.read_text()), "run: make readme"


def test_the_readme_has_every_command() -> None:
    text = readme.README.read_text()
    commands = [
        command.name or (command.callback.__name__.replace("_", "-") if command.callback else "") for command in app.registered_commands
    ]
    assert len(commands) > 10
    assert [name for name in commands if f"`mercato {name}" not in text] == []
