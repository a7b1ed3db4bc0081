"""Requirements of some tests on the machine: the reason for a skip without one, and how to provide it.

A run lists the tests that it skipped. In CI a test may be skipped only for a need that CI may lack: .ci/run installs the others.
"""

from dataclasses import dataclass
from typing import NoReturn

import pytest


@dataclass(frozen=True, slots=True)
class Need:
    """A requirement that not every machine meets."""

    missing: str
    """The reason why tests are skipped without it."""
    cure: str
    """The command or the step that provides it."""
    is_optional_in_ci: bool = False

    def unless(self, available: object) -> pytest.MarkDecorator:
        """Return the mark that skips a test unless the need is met."""
        return pytest.mark.skipif(not available, reason=self._reason())

    def skip(self, detail: str = "", *, module: bool = False) -> NoReturn:
        """Skip the running test, or with `module` the module that is being imported."""
        pytest.skip(self._reason(detail), allow_module_level=module)

    def explains(self, reason: str) -> bool:
        """Return whether this need is the reason of a skip."""
        return self.missing in reason

    def _reason(self, detail: str = "") -> str:
        return f"{self.missing}{f' ({detail})' * bool(detail)}; to run it: {self.cure}"


def package(command: str, name: str) -> Need:
    """Return the need for a program of one of Debian's packages."""
    return Need(f"{command} is not installed", f"apt-get install {name}")


CHROMIUM = package("chromium", "chromium chromium-driver")
BASH = package("bash", "bash")
FISH = package("fish", "fish")
ZSH = package("zsh", "zsh")
CURL = package("curl", "curl")
JQ = package("jq", "jq")
NFT = package("nft", "nftables")
SITE = Need("the programs of the site are not installed", "apt-get install nodejs npm; make site")
GIT = package("git", "git")
SS = package("ss", "iproute2")
STRACE = package("strace", "strace")
MKFS = package("mkfs.ext4", "e2fsprogs")
MOUNT = package("mount", "mount")
HISTORY = Need("the checkout has not its whole history", "git fetch --unshallow")
PEER = Need("the packages of benchmarks/peer are not installed", "make peer")
GENERATORS = Need(
    "the generators of clients from the OpenAPI document are not installed",
    "apt-get install nodejs npm; make generators",
    is_optional_in_ci=True,
)
TYPESCRIPT = Need("the packages of clients/typescript are not installed", "apt-get install nodejs npm; make typescript")
ETCD = package("etcd", "etcd-server")
PGBOUNCER = package("pgbouncer", "pgbouncer")
HAPROXY = package("haproxy", "haproxy")
VARNISH = Need("varnishd is not installed", "apt-get install varnish", is_optional_in_ci=True)  # it brings a compiler
PROMETHEUS = package("promtool", "prometheus")
PATRONI = Need("the packages of Patroni are not installed", "make patroni")
ORDINARY_PYTHON = Need(
    "the user `nobody` may run no Python that imports our packages",
    "apt-get install python3 (3.11 or newer), and let it enter the checkout",
    is_optional_in_ci=True,
)
ROOT = Need("only root may change users and mount file systems", "make test, as root", is_optional_in_ci=True)
PTRACE = Need("strace may not attach to processes", "make test, as root or with CAP_SYS_PTRACE", is_optional_in_ci=True)
MOUNTING = Need("no file system can be mounted", "make test, where root may mount file systems", is_optional_in_ci=True)
SOAK = Need("a quick run does not wait so long", "make soak", is_optional_in_ci=True)
SYSTEMD_ANALYZE = package("systemd-analyze", "systemd")
IMAGES = Need(
    "no image can be built and run",
    "apt-get install buildah debootstrap podman runc; make soak, as root",
    is_optional_in_ci=True,
)
GRPCURL = Need("grpcurl has no wheel for this machine", "make test, on x86_64", is_optional_in_ci=True)

ALL = (
    BASH,
    FISH,
    ZSH,
    CHROMIUM,
    CURL,
    JQ,
    NFT,
    SITE,
    GIT,
    HISTORY,
    SS,
    STRACE,
    MKFS,
    MOUNT,
    PEER,
    GENERATORS,
    TYPESCRIPT,
    ETCD,
    PGBOUNCER,
    HAPROXY,
    VARNISH,
    PROMETHEUS,
    PATRONI,
    ORDINARY_PYTHON,
    ROOT,
    PTRACE,
    MOUNTING,
    SOAK,
    SYSTEMD_ANALYZE,
    IMAGES,
    GRPCURL,
)
