"""The system account that the processes of a shop run as when root starts it. It belongs to the shop alone."""

import contextlib
import os
import pwd
import shutil
import stat
import subprocess
from pathlib import Path

from mercato_server.embedded.privileges import Account
from mercato_server.embedded.processes import EmbeddedError, complain

USER = "mercato"
SHARED = "nobody"
"""Programs that do not trust each other run as this user, so a shop must not. Earlier releases did."""
_SHARED_UID = 65534
_OF_ACCOUNT = ("postgres", "initdb-", "run", "mail")
"""Beginnings of the names of what the account owns in a data directory. The rest is root's."""
_SEARCHED = "/usr/sbin:/sbin:/usr/bin:/bin"
_OPTIONS = ("--system", "--user-group", "--no-create-home", "--home-dir", "/nonexistent", "--shell", "/usr/sbin/nologin")


def choose(cluster: Path, user: str | None) -> Account | None:
    """Return the account that a shop runs as, None for this process's user. PostgreSQL refuses to run as root.

    For root it is the owner of the cluster, or, without one, `user`, which is made if it is absent. Raises EmbeddedError if there is no
    such account, or if it may not be used.
    """
    if os.geteuid() != 0:
        own = _name(os.geteuid())
        if user not in {None, own}:
            raise EmbeddedError(f"only root can run the shop as {user}; leave out --user, or run this as root")
        return None
    owner = cluster.stat().st_uid if cluster.exists() else 0
    if owner in {0, _shared_uid()}:
        return find_or_make(user or USER)
    name = _name(owner)
    if user not in {None, name}:
        raise EmbeddedError(f"{cluster} belongs to the user {name}; leave out --user, or hand it over with: chown -R {user}: {cluster}")
    return find_or_make(name)


def find_or_make(name: str) -> Account:
    """Return the account of this name, and make it if there is none; raises EmbeddedError."""
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        entry = _make(name)
    if entry.pw_uid in {0, _shared_uid()}:
        raise EmbeddedError(f"a shop cannot run as {name}, which other programs run as too; name an account of its own with --user")
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)


def require_own(data_dir: Path) -> None:
    """Raise EmbeddedError if another user may exchange what a data directory holds. As root take one that `nobody` owns."""
    info = data_dir.stat()
    if info.st_mode & stat.S_IWOTH:
        raise EmbeddedError(f"any user may write to {data_dir}; forbid it with: chmod o-w {data_dir}")
    if os.geteuid() != 0 or info.st_uid == 0:
        return
    if info.st_uid != _shared_uid():
        owner = _name(info.st_uid)
        raise EmbeddedError(f"{data_dir} belongs to the user {owner}; run this as {owner}, or give it to root with: chown root {data_dir}")
    os.chown(data_dir, 0, 0)
    data_dir.chmod(0o711)


def hand_over(data_dir: Path, account: Account) -> None:
    """Give away what `nobody` owns in root's data directory, where an earlier release left it: the database to the account, logs to root.

    Nothing may run there. Files of other users keep their owner, since `nobody` may have linked them into its directories. An interrupted
    call is repeated at the next start: a directory changes its owner after all that it holds. Raises EmbeddedError.
    """
    shared = _shared_uid()
    abandoned = [path for path in data_dir.iterdir() if path.lstat().st_uid == shared]
    for path in abandoned:
        if path.name.startswith(_OF_ACCOUNT):
            _give_tree(path, shared, account.uid, account.gid)
        elif any(each.is_symlink() for each in (path, *path.rglob("*"))):  # root would write to the file that it names
            raise EmbeddedError(f"{path} of the user {SHARED} is or holds a symbolic link; remove it")
        else:
            _give_tree(path, shared, 0, 0)
    if abandoned:
        complain(f"handed {data_dir} over from {SHARED}, which other programs run as too, to {account.name}")


def give_tree(path: Path, account: Account | None) -> None:
    """Give all that this process's user owns in a tree to the account, if there is one; follows no links."""
    if account is not None:
        _give_tree(path, os.geteuid(), account.uid, account.gid)


def _give_tree(path: Path, owner: int, uid: int, gid: int) -> None:
    """Change the owner and group of a tree, where the owner is `owner`; follows no links."""
    for _, directories, files, descriptor in os.fwalk(path, topdown=False):
        for name in (*directories, *files):
            if os.stat(name, dir_fd=descriptor, follow_symlinks=False).st_uid == owner:
                os.chown(name, uid, gid, dir_fd=descriptor, follow_symlinks=False)
    os.chown(path, uid, gid, follow_symlinks=False)


def make_private(directory: Path, account: Account | None) -> None:
    """Make a directory that only the account may enter; raises EmbeddedError if another user owns it."""
    directory.mkdir(mode=0o700, exist_ok=True)
    uid = os.geteuid() if account is None else account.uid
    try:
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)  # then it cannot be exchanged for a link any more
    except OSError:
        raise EmbeddedError(f"{directory} belongs to another user; remove it") from None
    try:
        if os.fstat(descriptor).st_uid not in {os.geteuid(), uid}:
            raise EmbeddedError(f"{directory} belongs to another user; remove it")
        os.fchmod(descriptor, 0o700)
        _give(descriptor, directory, account)
    finally:
        os.close(descriptor)


def write_private(path: Path, content: bytes, account: Account | None) -> None:
    """Replace a file by one that only the account may read. Links that it may have put in its directories are not followed."""
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    unfinished = f"{path.name}.new"
    try:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(unfinished, dir_fd=directory)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        with os.fdopen(os.open(unfinished, flags, 0o600, dir_fd=directory), "wb") as file:
            _give(file.fileno(), path, account)
            file.write(content)
        os.replace(unfinished, path.name, src_dir_fd=directory, dst_dir_fd=directory)
    finally:
        os.close(directory)


def _give(descriptor: int, path: Path, account: Account | None) -> None:
    if account is None:
        return
    try:
        os.fchown(descriptor, account.uid, account.gid)
    except OSError as error:  # in some containers
        why = f"root cannot give {path} to the user {account.name}: {error.strerror}"
        raise EmbeddedError(f"{why}; run this as an ordinary user") from None


def _make(name: str) -> pwd.struct_passwd:
    cure = "make one, or name another account with --user"
    useradd = shutil.which("useradd", path=_SEARCHED)
    if useradd is None:
        raise EmbeddedError(f"there is no user {name} for the shop to run as, and no useradd to make one; {cure}")
    command = [useradd, *_OPTIONS, "--comment", "Mercato", "--", name]
    done = subprocess.run(command, env={"PATH": _SEARCHED}, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    try:
        entry = pwd.getpwnam(name)  # also if another process has made it meanwhile
    except KeyError:
        reason = " ".join(done.stderr.split()) or f"exit code {done.returncode}"
        raise EmbeddedError(f"there is no user {name} for the shop to run as, and useradd cannot make one ({reason}); {cure}") from None
    if done.returncode == 0:
        complain(f"made the system account {name}, which runs the processes that root starts (--user names another)")
    return entry


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        raise EmbeddedError(f"user id {uid} has no name, which PostgreSQL needs; give it one with: useradd --uid {uid} NAME") from None


def _shared_uid() -> int:
    try:
        return pwd.getpwnam(SHARED).pw_uid
    except KeyError:
        return _SHARED_UID
