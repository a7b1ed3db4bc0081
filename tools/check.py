"""Every check that needs no running server: lint, types, contracts, protos, migrations, generated code, prose, known vulnerabilities."""

import os
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Callable, Iterable
from pathlib import Path

import prose
import proto
from mercato_server.database.migrations import Phase, migration_files, read

ROOT = Path(__file__).parent.parent
PYTHON = ("server", "clients", "tests", "tools", "benchmarks")
SAMPLES = ROOT / "tests/migrations/samples"
DROPS = (
    "ban-drop-column",
    "ban-drop-constraint",
    "ban-drop-not-null",
    "ban-drop-table",
    "ban-drop-view",
    "require-concurrent-index-deletion",
)
"""Rules that a migration of phase contract may break by intent; the runner limits how long a drop waits for its lock."""
AUDIT_TIMEOUT_S = 120


def run(*command: str) -> str | None:
    """Run a command; return its output if it failed."""
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return None if done.returncode == 0 else done.stdout + done.stderr


def protos() -> str | None:
    """Lint the protos, check their format, and compare them with the last release's; what they import follows the compiler."""
    proto.write_imports(proto.IMPORTS)
    with tempfile.TemporaryDirectory() as directory:
        image = f"{directory}/image.binpb"
        proto.protoc("--include_imports", "--include_source_info", f"--descriptor_set_out={image}")
        return (
            run("buf", "lint")
            or run("buf", "format", "--diff", "--exit-code")
            or run("buf", "breaking", image, "--against", str(proto.RELEASED), "--path", "mercato", "--exclude-imports")
        )


def migrations(files: Iterable[Path]) -> str | None:
    """Lint migrations by their phase: none may block calls, and only a contract migration may drop an object."""
    excluded = tomllib.loads((ROOT / ".squawk.toml").read_text())["excluded_rules"]
    paths = {str(path): read(path).phase for path in files}
    contracts = [path for path, phase in paths.items() if phase is Phase.CONTRACT]
    others = [path for path in paths if path not in contracts]
    # Rules on squawk's command line replace those of its file.
    rules = [f"--exclude={rule}" for rule in (*excluded, *DROPS)]
    return (run("squawk", "--reporter=gcc", *others) if others else None) or (
        run("squawk", "--reporter=gcc", *rules, *contracts) if contracts else None
    )


def audit(*names: str) -> str | None:
    """Check the pinned versions for known vulnerabilities. Passes with a message if the vulnerability database cannot be reached."""
    files = [option for name in names for option in ("--requirement", f"requirements/{name}.txt")]
    command = ["pip-audit", *files, "--no-deps", "--disable-pip", "--progress-spinner=off", "--timeout=10"]
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=AUDIT_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        print("  the vulnerability database did not answer in time; not audited")
        return None
    if "Connection" in done.stderr or "Max retries" in done.stderr or "HTTPError" in done.stderr or "ServiceError" in done.stderr:
        print("  the vulnerability database cannot be reached from here; not audited")
        return None
    return None if done.returncode == 0 else done.stdout + done.stderr


CHECKS: dict[str, Callable[[], str | None]] = {
    "format": lambda: run("ruff", "format", "--check", "--quiet", *PYTHON),
    "lint": lambda: run("ruff", "check", "--quiet", *PYTHON),
    "types": lambda: run("mypy", *PYTHON) or run("basedpyright"),
    "imports": lambda: run("lint-imports"),
    "protos": protos,
    "generated": lambda: (
        run(sys.executable, "tools/proto.py", "--check")
        or run(sys.executable, "tools/clients.py", "--check")
        or run(sys.executable, "tools/dashboards.py", "--check")
    ),
    "settings": lambda: run(sys.executable, "tools/settings.py", "--check"),
    "migrations": lambda: migrations([*migration_files(), *sorted(SAMPLES.glob("*.sql"))]),
    "prose": prose.check,
    "dockerfile": lambda: run("hadolint", "Dockerfile"),
    "audit": lambda: audit("dev", "peer") or audit("generators") or audit("patroni") or audit("docs") or audit("stubs"),
}


def main() -> int:
    """Run the named checks, or all; print which failed and why."""
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    failed = []
    for name in sys.argv[1:] or CHECKS:
        began = time.monotonic()
        problem = CHECKS[name]()
        print(f"{'FAILED' if problem else 'ok':6} {name} ({time.monotonic() - began:.1f} s)", flush=True)
        if problem:
            failed.append(name)
            print(problem)
    print(f"{len(failed)} of the checks failed: {', '.join(failed)}" if failed else "all checks passed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
