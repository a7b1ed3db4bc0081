"""Epochs: a change reaches every worker of a host, and a file that cannot be shared is refused."""

import os
from pathlib import Path

import pytest

from mercato_server.cache.epochs import LISTING, SLOTS, STOCK, Epochs, share, slot
from support import needs


def test_a_change_is_seen_by_all_workers_that_share_a_file(tmp_path: Path) -> None:
    path = str(tmp_path / "shared")
    here, there, stranger = Epochs(share(path)), Epochs(share(path)), Epochs()
    before = [[at.of(number) for number in (7, 8, LISTING, STOCK)] for at in (here, there, stranger)]
    here.renew([7, STOCK])
    for at, (seven, eight, listing, stock) in zip((here, there), before, strict=False):
        assert at.of(7) != seven
        assert at.of(STOCK) != stock
        assert (at.of(8), at.of(LISTING)) == (eight, listing)
    assert [stranger.of(number) for number in (7, 8, LISTING, STOCK)] == before[2]


def test_a_subject_has_the_same_slot_in_every_process() -> None:
    assert slot(b"01a2054f-b782-7d8d-9ba1-efacefff35a3") == 41_028
    assert 0 <= slot(b"") < SLOTS


def test_a_file_of_something_else_is_refused_and_kept(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("kept")
    (tmp_path / "shared").symlink_to(tmp_path / "precious")
    with pytest.raises(FileExistsError, match="is a file of something else"):
        share(str(tmp_path / "shared"))
    assert (tmp_path / "precious").read_text() == "kept"


@needs.ROOT.unless(os.geteuid() == 0)
def test_a_file_of_another_user_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "shared"
    path.touch()
    os.chown(path, 65534, 65534)
    with pytest.raises(PermissionError, match="belongs to another user"):
        share(str(path))
