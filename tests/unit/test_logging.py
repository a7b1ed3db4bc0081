"""The log of a process: whole lines at once, and the security log in a file of its own."""

import json
import os
import stat
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
import structlog

from mercato_server.config.environment import ConfigError
from mercato_server.observability.logging import SecurityFile
from support.patience import patient

WRITERS, LINES = 4, 40
WRITE = """
import sys, structlog
from mercato_server.config.log_settings import LogSettings
from mercato_server.observability import logging

logging.start(LogSettings())
write, log = logging.direct(), structlog.get_logger()
for number in range(int(sys.argv[2])):
    line = f'{{"writer": "{sys.argv[1]}", "number": {number}, "filling": "' + "x" * (number % 700) + '"'
    write("info", [line + f', "part": {part}}}' for part in range(20)])
    log.info("as others", writer=sys.argv[1], number=number)
"""
COPY = [sys.executable, "-c", "import shutil, sys; shutil.copyfileobj(sys.stdin.buffer, sys.stdout.buffer)"]
ENTRY = {"event": "a security event", "log": "security", "reason": "LOGGED_IN"}


@pytest.mark.parametrize("into", ["file", "pipe"])
def test_lines_of_several_processes_in_one_log_do_not_mix(tmp_path: Path, into: str) -> None:
    log = tmp_path / "log"
    with log.open("ab") as file:
        reader = subprocess.Popen(COPY, stdin=subprocess.PIPE, stdout=file) if into == "pipe" else None
        target = file if reader is None else reader.stdin
        writers = [
            subprocess.Popen([sys.executable, "-c", WRITE, str(number), str(LINES)], stderr=target, stdout=subprocess.DEVNULL)
            for number in range(WRITERS)
        ]
        assert [writer.wait(patient()) for writer in writers] == [0] * WRITERS
        if reader is not None:
            assert reader.stdin is not None
            reader.stdin.close()
            assert reader.wait(patient()) == 0
    entries = [json.loads(line) for line in log.read_text().splitlines()]
    found = Counter((entry["writer"], entry["number"], entry.get("event", entry.get("part"))) for entry in entries)
    expected = [(str(writer), number, event) for writer in range(WRITERS) for number in range(LINES) for event in (*range(20), "as others")]
    assert found == Counter(expected)


def test_a_log_that_cannot_be_written_stops_nothing() -> None:
    with open("/dev/full", "wb") as full:  # noqa: PTH123 - a device
        done = subprocess.run([sys.executable, "-c", WRITE, "0", "3"], stderr=full, check=False, timeout=patient())
    assert done.returncode == 0


def take(file: SecurityFile, entry: dict[str, str]) -> bool:
    """Return whether the file took an entry."""
    try:
        assert file.take(None, "info", dict(entry)) == entry
    except structlog.DropEvent:
        return True
    return False


def entries(path: Path) -> list[object]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_entries_of_the_security_log_alone_go_to_its_file_which_only_its_owner_reads(tmp_path: Path) -> None:
    path = tmp_path / "security.log"
    file = SecurityFile(str(path))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert take(file, ENTRY)
    assert not take(file, {"event": "call", "code": "OK"})
    assert take(SecurityFile(str(path)), ENTRY), "another worker appends"
    assert entries(path) == [ENTRY, ENTRY]


def test_the_file_is_made_anew_when_logrotate_has_renamed_or_removed_it(tmp_path: Path) -> None:
    path, moved = tmp_path / "security.log", tmp_path / "security.log.1"
    file = SecurityFile(str(path))
    take(file, {**ENTRY, "reason": "first"})
    path.rename(moved)
    take(file, {**ENTRY, "reason": "second"})
    assert [entry["reason"] for each in (moved, path) for entry in entries(each)] == ["first", "second"]  # type: ignore[index]
    path.unlink()
    assert take(file, ENTRY)
    assert entries(path) == [ENTRY]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_an_entry_stays_in_the_log_if_the_file_cannot_be_written(tmp_path: Path) -> None:
    directory = tmp_path / "logs"
    directory.mkdir()
    file = SecurityFile(str(directory / "security.log"))
    directory.rename(tmp_path / "elsewhere")
    assert not take(file, ENTRY)
    assert not take(file, ENTRY)
    directory.mkdir()
    assert take(file, ENTRY)
    full = SecurityFile("/dev/full")
    assert not take(full, ENTRY)


def test_a_process_does_not_start_without_the_file_of_its_setting(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="MERCATO_SECURITY_LOG"):
        SecurityFile(str(tmp_path / "absent" / "security.log"))
    assert os.listdir(tmp_path) == []  # noqa: PTH208 - names
