"""The releases of a repository: the one in the checkout, and the one before it, whose files come from the history."""

import asyncio
import io
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Sequence
from pathlib import Path

from mercato_server.config.settings import child_environ

ROOT = Path(__file__).parents[2]
PROGRAM = ("server", "clients/python", "migrations")
"""The paths that a release needs to run, apart from the packages that it depends on."""
RELEASED = "tests/migrations/RELEASED"
SAMPLES = ROOT / "tests/migrations/samples"
GIT = ("git", "-c", "safe.directory=*", "-c", "user.name=Jo Doe", "-c", "user.email=jo@example.com", "-c", "commit.gpgsign=false")


class Release:
    """The files of a release; its commands run with the packages of this environment."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.python_path = os.pathsep.join(str(root / path) for path in ("server", "clients/python"))

    def migrations(self) -> list[str]:
        """Return the names of its migrations, in order."""
        return sorted(path.name for path in (self.root / "migrations").glob("[0-9]*.sql"))

    def later_migrations(self) -> list[str]:
        """Return the names of the migrations that are newer than the last release."""
        released = (self.root / RELEASED).read_text().strip()
        return [name for name in self.migrations() if name > released]

    async def migrate(self, database_url: str) -> list[str]:
        """Run `mercato migrate`; returns the migrations that it applied."""
        said = await run(self, "migrate", DATABASE_URL=database_url)
        return [line.removeprefix("applied ") for line in said.splitlines() if line.startswith("applied ")]

    def previous(self, directory: Path) -> "Release":
        """Extract the previous release from the history.

        It is the commit before the first of the later migrations was added. Without later migrations it is the commit that named the last
        one in RELEASED.
        """
        archive = git(self.root, "archive", self._previous_commit(), *PROGRAM)
        with tarfile.open(fileobj=io.BytesIO(archive)) as files:
            files.extractall(directory, filter="data")
        return Release(directory)

    def _previous_commit(self) -> str:
        later = self.later_migrations()
        if not later:
            return git(self.root, "log", "-1", "--format=%H", "--", RELEASED).decode().strip()
        added = git(self.root, "log", "-1", "--diff-filter=A", "--format=%H", "--", f"migrations/{later[0]}").decode().strip()
        return f"{added}^" if added else "HEAD"  # a migration that is not committed yet follows all commits


async def run(release: Release, *arguments: str, **environ: str) -> str:
    """Run a command of `mercato` with the code of a release; returns its standard output."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-P", "-m", "mercato_server", *arguments),
        env=child_environ({"PYTHONPATH": release.python_path, **environ}),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    said, complaint = await process.communicate()
    assert process.returncode == 0, said.decode() + complaint.decode()
    return said.decode()


def git(repository: Path, *arguments: str) -> bytes:
    """Run git on a repository, even inside a git hook of another repository."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    done = subprocess.run([*GIT, "-C", repository, *arguments], env=environ, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def has_history() -> bool:
    """Return whether the checkout has its history."""
    return (ROOT / ".git").exists() and git(ROOT, "rev-parse", "--is-shallow-repository") == b"false\n"


def with_samples(directory: Path, samples: Sequence[Path]) -> Release:
    """Make a repository of this checkout, in which it is the last release and two commits add the sample migrations."""
    for path in PROGRAM:
        shutil.copytree(ROOT / path, directory / path, ignore=shutil.ignore_patterns("__pycache__"))
    release = Release(directory)
    (directory / RELEASED).parent.mkdir(parents=True)
    (directory / RELEASED).write_text(release.migrations()[-1])
    git(directory, "init", "--quiet")
    half = len(samples) // 2
    for added in ((), samples[:half], samples[half:]):
        for sample in added:
            shutil.copy(sample, directory / "migrations")
        git(directory, "add", "--all")
        git(directory, "commit", "--quiet", "--message", "A commit")
    return release
