"""The commands of docs/runbooks.md, and how a test runs them."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Container
from pathlib import Path

from mercato_server.config.settings import child_environ
from support.documentation import Block, blocks
from support.patience import patient
from support.shop import SECRET

PAGE = Path(__file__).parents[2] / "docs/runbooks.md"


def of(heading: str, language: str, words: str = "") -> Block:
    """Return the one block of a section in a language that has these words."""
    [block] = [block for block in blocks(PAGE, language) if block.heading == heading and words in block.code]
    return block


async def sh(script: str, database_url: str = "", codes: Container[int] = (0,), **environ: str) -> str:
    """Run commands in a shell that stops at the first failure; return what they print. They must end with one of the exit codes."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    env = child_environ({"PATH": path, "DATABASE_URL": database_url, "SECRET_KEY": SECRET, **environ})
    command = ["/bin/sh", "-c", f"set -e\n{script}"]
    done = await asyncio.to_thread(subprocess.run, command, env=env, capture_output=True, text=True, check=False, timeout=patient())
    assert done.returncode in codes, done
    return str(done.stdout)


def replaced(code: str, **texts: str) -> str:
    """Replace examples of the page by values of the test; each must be there."""
    for old, new in texts.items():
        assert old in code, code
        code = code.replace(old, new)
    return code
