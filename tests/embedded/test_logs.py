"""The logs of a shop stay within the size that the operator allows, and lose no line because of it."""

import subprocess
import sys
from pathlib import Path

from mercato_server.embedded.logs import shorten
from support.patience import patient, until_sync

LINE = "x" * 99
WRITER = f"import sys; [print('{LINE}', flush=True) for _ in sys.stdin]"
"""Writes a line for each that it reads."""


def test_a_log_above_its_share_starts_anew_and_its_writer_goes_on(tmp_path: Path) -> None:
    log, other = tmp_path / "access.log", tmp_path / "envoy.log"
    other.write_text("short\n")
    with log.open("ab") as file:
        writer = subprocess.Popen([sys.executable, "-c", WRITER], stdin=subprocess.PIPE, stdout=file, text=True, bufsize=1)
    assert writer.stdin is not None
    with writer:
        write(writer, log, 100)
        shorten(tmp_path, 4 * 100 * 100)  # two logs and two predecessors: 10,000 bytes each
        assert log.stat().st_size == 10_000
        write(writer, log, 1)
        shorten(tmp_path, 4 * 100 * 100)
        assert (log.stat().st_size, (tmp_path / "access.log.1").stat().st_size) == (0, 10_100)
        write(writer, log, 2)
        assert log.read_text() == f"{LINE}\n" * 2
        write(writer, log, 99)
        shorten(tmp_path, 4 * 100 * 100)
        assert (tmp_path / "access.log.1").read_text() == f"{LINE}\n" * 101
        writer.stdin.close()
        assert writer.wait(patient()) == 0
    assert {path.name for path in tmp_path.iterdir()} == {"access.log", "access.log.1", "envoy.log"}
    assert other.read_text() == "short\n"


def write(writer: "subprocess.Popen[str]", log: Path, lines: int) -> None:
    """Let the writer append lines, and wait for them."""
    assert writer.stdin is not None
    wanted = log.stat().st_size + lines * (len(LINE) + 1)
    writer.stdin.write("\n" * lines)
    until_sync(lambda: log.stat().st_size == wanted)


def test_a_log_that_cannot_be_kept_is_cut_all_the_same(tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    log.write_text(LINE)
    (tmp_path / "access.log.1").mkdir()  # stands for a disk that is full
    shorten(tmp_path, 100)
    assert log.read_text() == ""


def test_the_cutting_of_logs_outlives_a_directory_that_is_gone(tmp_path: Path) -> None:
    shorten(tmp_path / "absent", 100)
