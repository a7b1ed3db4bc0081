"""A shopkeeper at the command line."""

import json
import os
import sys
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import DEVNULL, CompletedProcess, run
from typing import Any

from support.forked_commands import Commands
from support.mercato_up import Up


@dataclass
class Shopkeeper:
    """Runs `mercato` as a shopkeeper, in a pipe."""

    commands: Commands
    home: Path
    up: Up
    environ: dict[str, str] = field(default_factory=dict)

    @property
    def program(self) -> str:
        """The installed command."""
        return str(Path(sys.executable).with_name("mercato"))

    def all_environ(self, **more: str) -> dict[str, str]:
        """Return the environment of commands."""
        config = {"XDG_CONFIG_HOME": str(self.home), "HOME": str(self.home), "MERCATO_SERVER": f"127.0.0.1:{self.up.port}"}
        return {"PATH": os.environ["PATH"], "COLUMNS": "160", **config, **self.environ, **more}

    def __call__(self, *arguments: str, **more: str) -> "CompletedProcess[str]":
        return self.commands.run(arguments, self.all_environ(**more), self.home)

    def started(self, *arguments: str, **more: str) -> "CompletedProcess[str]":
        """Run the installed command, in a Python of its own."""
        environ = self.all_environ(**more)
        return run([self.program, *arguments], env=environ, cwd=self.home, capture_output=True, text=True, check=False, stdin=DEVNULL)

    def json(self, *arguments: str) -> Any:
        """Run a command that succeeds, and return its JSON: a list of objects for a list of lines."""
        done = self(*arguments, "--json")
        assert (done.returncode, done.stderr) == (0, ""), done
        return [json.loads(line) for line in done.stdout.splitlines()]

    def one(self, *arguments: str) -> Any:
        """Run a command that succeeds, and return its one object."""
        [found] = self.json(*arguments)
        return found

    def refused(self, code: int, *arguments: str, **more: str) -> Any:
        """Run a command that fails, and return its error as JSON."""
        done = self(*arguments, "--json", **more)
        assert (done.returncode, done.stdout) == (code, ""), done
        return json.loads(done.stderr)
