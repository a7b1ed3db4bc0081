"""The logs of a shop stay within the size that the operator allows, and lose no line because of it."""

import subprocess
import sys
from pathlib import Path

from mercato_server.embedded.logs import KEPT, shorten
from support.patience import patient, until_sync

LINE = "x" * 99
WRITER = f"import sys; [print('{LINE}', flush=True) for _ in sys.stdin]"
"""Writes a line for each that it reads."""


SHARE = 2 * (1 + KEPT) * 100 * 100
"""Two logs and their predecessors: 10,000 bytes each."""


def test_a_log_above_its_share_starts_anew_and_its_writer_goes_on(tmp_path: Path) -> None:
    log, other = tmp_path / "access.log", tmp_path / "envoy.log"
    other.write_text("short\n")
    with log.open("ab") as file:
        writer = subprocess.Popen([sys.executable, "-c", WRITER], stdin=subprocess.PIPE, stdout=file, text=True, bufsize=1)
    assert writer.stdin is not None
    with writer:
        write(writer, log, 100)
        shorten(tmp_path, SHARE)
        assert log.stat().st_size == 10_000
        write(writer, log, 1)
        shorten(tmp_path, SHARE)
        assert (log.stat().st_size, (tmp_path / "access.log.1").stat().st_size) == (0, 10_100)
        write(writer, log, 2)
        assert log.read_text() == f"{LINE}\n" * 2
        write(writer, log, 99)
        shorten(tmp_path, SHARE)
        assert [(tmp_path / f"access.log.{number}").read_text() for number in (1, 2)] == [f"{LINE}\n" * 101] * 2
        writer.stdin.close()
        assert writer.wait(patient()) == 0
    assert {path.name for path in tmp_path.iterdir()} == {"access.log", "access.log.1", "access.log.2", "envoy.log"}
    assert other.read_text() == "short\n"


def test_all_logs_with_their_predecessors_stay_within_the_bound(tmp_path: Path) -> None:
    kinds = [tmp_path / "access.log", tmp_path / "worker-0.log"]
    for number in range(20):
        for log in kinds:
            log.write_text(f"{number:100}\n" * 100)
        shorten(tmp_path, SHARE)
    files = sorted(tmp_path.iterdir())
    assert len(files) == len(kinds) * (1 + KEPT)
    assert sum(file.stat().st_size for file in files) <= SHARE + 1000
    newest = [(tmp_path / f"access.log.{number}").read_text().split()[0] for number in range(1, 1 + KEPT)]
    assert newest == [str(19 - number) for number in range(KEPT)]


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
