"""The commands of README.md print the output that it shows."""

import re

import readme
from support.mercato_up import running_demo


def test_the_readme_shows_what_its_commands_print() -> None:
    with running_demo("--demo-payments") as up:
        printed = readme.run(readme.README.read_text(), up.port, int(up.play_money.rpartition(":")[2]), up.data_dir)
    assert readme.normalized(printed) == readme.normalized(readme.README.read_text()), "run: make readme"


def test_the_readme_has_every_setting_and_every_command() -> None:
    text = readme.README.read_text()
    config = "".join(path.read_text() for path in (readme.ROOT / "server/mercato_server/config").glob("*.py"))
    names = set(re.findall(r'"((?:MERCATO_|DATABASE_|SECRET_|ALGORITHM|ACCESS_)[A-Z_]*)"', config))
    names -= {"MERCATO_TEST_FAILPOINTS", "MERCATO_"}  # a setting for tests only, and the prefix of all
    assert len(names) > 15
    assert [name for name in sorted(names) if f"`{name}`" not in text] == []
