"""`make install`, with a stub for pip: it repeats an interrupted install, and replaces a .venv of another checkout."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from support.patience import patient

ROOT = Path(__file__).parents[2]
STUB = """#!/bin/sh
# Makes a .venv with a pip that notes what it is to install, fails at what FAIL names, and installs what a checkout itself holds.
case "$1 $2" in
"-m venv")
    echo "$*" >>calls
    "{python}" "$@" --without-pip || exit
    for place; do :; done # the last argument
    cat >"$place/bin/pip" <<'PIP'
#!/bin/sh
echo "pip $*" >>calls
case "$*" in *"${{FAIL:-nothing}}"*) exit 1 ;; esac
case "$*" in *"--editable ."*) echo "$PWD/server" >"$(echo .venv/lib/python3*/site-packages)/_mercato.pth" ;; esac
PIP
    [ "$place" = .venv ] || {{ chmod +x "$place/bin/pip"; exit; }}
    printf '#!/bin/sh\\nexec .venv/bin/python -c "import mercato_server; print(mercato_server.__file__)"\\n' >.venv/bin/mercato
    chmod +x .venv/bin/pip .venv/bin/mercato ;;
*) exec "{python}" "$@" ;;
esac
"""
MADE = ["-m venv --clear .venv", "pip build.txt", "pip dev.txt", "pip .", "-m venv --clear .venv/stubs", "pip stubs.txt"]
LOCKS = ("requirements/build.txt", "requirements/dev.txt", "requirements/stubs.txt")

Make = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The files that `make install` needs of a checkout, in a path that needs quoting and a locale."""
    checkout = tmp_path / "mein Lädchen"
    (checkout / "server/mercato_server").mkdir(parents=True)
    (checkout / "server/mercato_server/__init__.py").touch()
    (checkout / "clients/python").mkdir(parents=True)
    (checkout / "requirements").mkdir()
    (checkout / "tools").mkdir()
    (checkout / "tools/proto.py").touch()
    for name in ("Makefile", "pyproject.toml", "clients/python/pyproject.toml", *LOCKS):
        shutil.copy(ROOT / name, checkout / name)
    return checkout


@pytest.fixture
def make(tmp_path: Path) -> Make:
    program = shutil.which("make")
    assert program is not None
    stub = tmp_path / "stub python"
    stub.write_text(STUB.format(python=sys.executable))
    stub.chmod(0o755)

    def run(checkout: Path, *arguments: str, **environ: str) -> "subprocess.CompletedProcess[str]":
        env = {"PATH": os.environ["PATH"], "PYTHON": str(stub), **environ}
        return subprocess.run([program, *arguments], cwd=checkout, env=env, capture_output=True, text=True, check=False, timeout=patient())

    return run


def calls(checkout: Path) -> list[str]:
    """Return the installations since the last call of this function, by the last words of each command."""
    path = checkout / "calls"
    lines = path.read_text().splitlines() if path.exists() else []
    path.unlink(missing_ok=True)
    return [line if line.startswith("-m") else f"pip {line.rpartition(' ')[2].removeprefix('requirements/')}" for line in lines]


def test_an_install_is_made_once(make: Make, checkout: Path) -> None:
    assert make(checkout, "install").returncode == 0
    assert calls(checkout) == MADE
    assert make(checkout, "install").returncode == 0
    assert calls(checkout) == []


@pytest.mark.parametrize("step", ["build.txt", "dev.txt", "--editable"])
def test_an_interrupted_install_is_made_anew(step: str, make: Make, checkout: Path) -> None:
    assert make(checkout, "install", FAIL=step).returncode == 2
    calls(checkout)
    assert make(checkout, "install").returncode == 0
    assert calls(checkout) == MADE


def test_an_interrupted_install_of_the_compiler_is_made_anew(make: Make, checkout: Path) -> None:
    assert make(checkout, "install", FAIL="stubs.txt").returncode == 2
    assert calls(checkout) == MADE
    assert make(checkout, "install").returncode == 0
    assert calls(checkout) == MADE[-2:]


def test_an_update_that_was_interrupted_is_made_anew(make: Make, checkout: Path) -> None:
    make(checkout, "install")
    calls(checkout)
    os.utime(checkout / "pyproject.toml", (2**32, 2**32))
    assert make(checkout, "install", FAIL="dev.txt").returncode == 2
    assert calls(checkout) == ["-m venv .venv", "pip build.txt", "pip dev.txt"]
    assert make(checkout, "install").returncode == 0
    assert calls(checkout) == MADE


def test_a_venv_that_was_copied_or_moved_is_made_anew(make: Make, checkout: Path) -> None:
    make(checkout, "install")
    copy = checkout.with_name("copy")
    shutil.copytree(checkout, copy, symlinks=True)
    moved = checkout.rename(checkout.with_name("moved"))
    calls(moved)
    calls(copy)
    for place in (copy, moved):
        assert make(place, "install").returncode == 0
        assert calls(place) == MADE


def test_a_venv_whose_python_has_gone_is_made_anew(make: Make, checkout: Path) -> None:
    make(checkout, "install")
    calls(checkout)
    (checkout / ".venv/bin/python").unlink()
    (checkout / ".venv/bin/python").symlink_to("/nonexistent/python3.11")
    assert make(checkout, "install").returncode == 0
    assert calls(checkout) == MADE


@pytest.mark.parametrize("locale", ["tr_TR.UTF-8", "xx_YY", "C"])
def test_installed_packages_are_found_in_any_locale_and_beside_other_projects(locale: str, make: Make, checkout: Path) -> None:
    done = make(checkout, "run", LC_ALL=locale, LANG=locale, PYTHONPATH=str(ROOT / "server"), PYTHONWARNINGS="error", PYTHONUTF8="0")
    assert done.stdout.splitlines()[-1] == str(checkout / "server/mercato_server/__init__.py"), done
    calls(checkout)
    assert make(checkout, "run", LC_ALL=locale, LANG=locale).returncode == 0
    assert calls(checkout) == []


def test_a_python_that_cannot_be_used_is_reported_in_a_line(make: Make, checkout: Path, tmp_path: Path) -> None:
    old = tmp_path / "old"
    old.write_text('#!/bin/sh\ncase "$2" in *version_info*) exit 1 ;; esac\n')
    bare = tmp_path / "bare"
    bare.write_text('#!/bin/sh\ncase "$2" in *ensurepip*) exit 1 ;; esac\n')
    for path in (old, bare):
        path.chmod(0o755)
    too_old = "Mercato needs Python 3.11 or newer; name one with: make PYTHON=python3.11"
    no_venv = f"{bare} cannot make a .venv: apt-get install python3-venv, or name another with: make PYTHON=python3.11"
    for python, told in ((str(old), too_old), ("/nonexistent", too_old), (str(bare), no_venv)):
        said = make(checkout, "install", PYTHON=python)
        assert (said.returncode, said.stdout) == (2, "")
        ours, makes = said.stderr.splitlines()
        assert ours == told
        assert makes.startswith("make: *** ")
    assert not (checkout / ".venv").exists()
