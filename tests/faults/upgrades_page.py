"""The steps of docs/upgrades.md, and the commands of the unit for Envoy."""

from faults.releases import ROOT
from support.documentation import blocks

PAGE = ROOT / "docs/upgrades.md"
UNIT = ROOT / "deploy/systemd/mercato-envoy.service"


def steps(heading: str) -> list[str]:
    """Return the commands of a section, a line each."""
    [block] = [block for block in blocks(PAGE, "sh") if block.heading == heading]
    return block.code.splitlines()


def unit(setting: str) -> list[list[str]]:
    """Return the commands that the unit has for a setting, such as ExecReload, as words without the path of the program."""
    lines = [line.partition("=")[2] for line in UNIT.read_text().splitlines() if line.startswith(f"{setting}=")]
    return [[first.rpartition("/")[2], *words] for first, *words in map(str.split, lines)]
