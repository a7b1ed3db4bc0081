"""How a child of root becomes another user, between fork and exec."""

import ctypes
import os
from dataclasses import dataclass
from pathlib import Path

_LIBC = ctypes.CDLL(None, use_errno=True)  # loaded here, because between fork and exec little is safe

_CLONE_NEWNS = 0x00020000
_MS_RDONLY, _MS_NOSUID, _MS_NODEV, _MS_REMOUNT, _MS_BIND, _MS_REC, _MS_SLAVE = 1, 2, 4, 32, 4096, 16384, 1 << 19
_PR_SET_KEEPCAPS, _PR_SET_NO_NEW_PRIVS, _PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE = 8, 38, 47, 2
_CAP_NET_BIND_SERVICE = 10
_CAPABILITY_VERSION_3 = 0x20080522


@dataclass(frozen=True, slots=True)
class Account:
    """A system account that processes run as."""

    name: str
    uid: int
    gid: int


@dataclass(frozen=True, slots=True)
class View:
    """A view of the file system for an account that may not enter some directories: only `shown` appears in `closed`, to be read.

    A checkout in /root, or a Python there, serves a shop that way, at its usual paths. Other processes keep their view. systemd makes the
    same one for `ProtectHome=tmpfs` with `BindReadOnlyPaths=`.
    """

    closed: tuple[Path, ...]
    shown: tuple[Path, ...]


def become(account: Account, view: View | None, *, binds_low_ports: bool) -> None:
    """Make this process, which is root, one of the account for good; raises OSError.

    It keeps no capability except, if it needs it, the one for ports below 1024. No program that it starts can gain privileges.
    """
    if view is not None:
        _enter(view)
    if binds_low_ports:
        prctl(_PR_SET_KEEPCAPS, 1)
    os.setgroups([])
    os.setgid(account.gid)
    os.setuid(account.uid)
    if binds_low_ports:
        _keep_only(_CAP_NET_BIND_SERVICE)
    prctl(_PR_SET_NO_NEW_PRIVS, 1)
    os.chdir("/")  # the directory of root's shell may be one of those that the account may not enter


def prctl(option: int, *arguments: int) -> None:
    """Change an attribute of this process (prctl(2)); raises OSError."""
    padded = (*arguments, 0, 0, 0, 0)[:4]
    _require(_LIBC.prctl(option, *map(ctypes.c_ulong, padded)), f"prctl {option}")


def _enter(view: View) -> None:
    """Move this process into a mount namespace of its own with the view."""
    _require(_LIBC.unshare(_CLONE_NEWNS), f"to show it {view.shown[0]} in a mount namespace, since it may not enter {view.closed[0]}")
    shown = [(path, os.open(path, os.O_PATH | os.O_DIRECTORY)) for path in view.shown]  # mounted from here, so opened here
    _mount(None, Path("/"), _MS_REC | _MS_SLAVE)  # unmounts of the machine reach the namespace, and nothing of it gets out
    umask = os.umask(0o022)
    for directory in view.closed:
        _mount("tmpfs", directory, _MS_NOSUID | _MS_NODEV, "mode=755")
    for path, descriptor in shown:
        path.mkdir(parents=True)
        _mount(f"/proc/self/fd/{descriptor}", path, _MS_BIND | _MS_REC)
        _mount(None, path, _MS_BIND | _MS_REMOUNT | _MS_RDONLY | _MS_NOSUID | _MS_NODEV)
        os.close(descriptor)
    for directory in view.closed:
        _mount(None, directory, _MS_REMOUNT | _MS_RDONLY | _MS_NOSUID | _MS_NODEV)
    os.umask(umask)


def _mount(source: str | None, target: Path, flags: int, options: str | None = None) -> None:
    source_bytes, option_bytes = (None if text is None else os.fsencode(text) for text in (source, options))
    kind = b"tmpfs" if source == "tmpfs" else None
    _require(_LIBC.mount(source_bytes, os.fsencode(target), kind, ctypes.c_ulong(flags), option_bytes), f"mount {target}")


def _keep_only(capability: int) -> None:
    """Give up all capabilities but one, which the next program keeps (capabilities(7): ambient)."""
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    sets = (ctypes.c_uint32 * 6)(*[1 << capability] * 3)  # effective, permitted, inheritable; the capabilities above 31 follow
    _require(_LIBC.capset(header, sets), "capset")
    prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, capability)


def _require(result: int, what: str) -> None:
    if result:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), what)
