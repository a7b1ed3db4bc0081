"""Build the images of the Dockerfile with buildah, without a registry of images if need be, and print what they take.

Without --base this makes a base of Debian's Python by debootstrap, once. The settings of pip and the certificates of this machine are
mounted for the build only, and are in no layer.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
BASE = "localhost/mercato-base:bookworm"
SUITE = "bookworm"
PACKAGES = "python3,python3-venv,ca-certificates"
STAGES = {"worker": "mercato", "edge": "mercato-edge"}
MOUNTED = ("/etc/pip.conf", "/etc/ssl/certs")


def run(*command: str) -> str:
    """Run a command and return its output; raises CalledProcessError."""
    return subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


def buildah(*arguments: str) -> str:
    """Run buildah and return its output; raises CalledProcessError."""
    return run("buildah", *arguments)


def make_base() -> None:
    """Make an image of a minimal Debian with Python, unless it is there."""
    if BASE in buildah("images", "--all", "--format", "{{.Name}}:{{.Tag}}").splitlines():
        return
    with tempfile.TemporaryDirectory() as directory:
        run("debootstrap", "--variant=minbase", f"--include={PACKAGES}", SUITE, directory)
        for emptied in ("var/cache/apt", "var/lib/apt/lists"):
            run("find", f"{directory}/{emptied}", "-mindepth", "1", "-delete")
        container = buildah("from", "scratch")
        buildah("add", "--quiet", container, directory, "/")
        buildah("commit", "--quiet", container, BASE)
        buildah("rm", container)


def build(base: str) -> None:
    """Build both images."""
    mounts = [f"--volume={path}:{path}:ro" for path in MOUNTED if Path(path).exists()]
    for stage, name in STAGES.items():
        options = ("--isolation=chroot", "--format=docker", "--layers", "--target", stage, "--build-arg", f"BASE={base}")
        print(buildah("bud", *options, *mounts, "--tag", f"localhost/{name}", "."))


def megabytes(directory: Path) -> float:
    """Return the size of the files below a directory."""
    return int(run("du", "--summarize", "--bytes", str(directory)).split()[0]) / 1e6


def report() -> None:
    """Print the sizes of the images, of their compressed layers, and of the installed packages."""
    for name in STAGES.values():
        container = buildah("from", f"localhost/{name}")
        try:
            mounted = Path(buildah("mount", container))
            whole, install = megabytes(mounted), megabytes(mounted / "opt/mercato")
            buildah("umount", container)
        finally:
            buildah("rm", container)
        with tempfile.TemporaryDirectory() as directory:
            buildah("push", "--quiet", f"localhost/{name}", f"oci:{directory}:image")
            packed = megabytes(Path(directory))
        print(f"{name}: {whole:.0f} MB, of which {install:.0f} MB in /opt/mercato; {packed:.0f} MB compressed")


def main(arguments: list[str] | None = None) -> int:
    """Build and report; returns the exit code. The arguments are by default those of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", help="image to build on, instead of one made by debootstrap")
    given = parser.parse_args(arguments)
    if not given.base:
        make_base()
    build(given.base or BASE)
    report()
    return 0


if __name__ == "__main__":
    sys.exit(main())
