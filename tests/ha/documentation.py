"""The configuration and the commands of docs/high-availability.md, with the addresses and files of the tests."""

import re
import textwrap
from pathlib import Path

from ha.network import Network

PAGE = Path(__file__).parent.parent.parent / "docs/high-availability.md"
FENCED = re.compile(r"^( *)```(\w+)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
NETWORK, NODE = "10.0.0.", "10.0.0.1"
PATRONI_FILE, USERS_FILE = "/etc/patroni.yml", "/etc/pgbouncer/userlist.txt"


def blocks(language: str) -> list[str]:
    """Return the code blocks of the page in a language."""
    return [textwrap.dedent(code) for _, name, code in FENCED.findall(PAGE.read_text()) if name == language]


def patroni_settings() -> str:
    """Return the settings of a cluster, as YAML."""
    [settings] = blocks("yaml")
    return settings


def pgbouncer_settings(host: str, users: Path) -> str:
    """Return the configuration of the PgBouncer of a node, without its Unix socket."""
    [settings] = blocks("ini")
    return settings.replace(NODE, host).replace(USERS_FILE, str(users)) + "unix_socket_dir =\n"


def haproxy_settings(network: Network) -> str:
    """Return the configuration of HAProxy."""
    [settings] = blocks("haproxy")
    return settings.replace(NETWORK, network.host(0).removesuffix("0"))


def commands(first: str, network: Network, patroni_file: Path) -> list[str]:
    """Return the lines of the one block of commands that begins with these words."""
    [block] = [block for block in blocks("sh") if block.startswith(first)]
    block = block.replace(NETWORK, network.host(0).removesuffix("0")).replace(PATRONI_FILE, str(patroni_file))
    return block.splitlines()
