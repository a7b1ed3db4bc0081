"""The files of deploy/, compose.yaml and the Dockerfile, as the processes that they start."""

import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
KUBERNETES = sorted((ROOT / "deploy/kubernetes").glob("*.yaml"))
UNITS = sorted((ROOT / "deploy/systemd").glob("*.service"))
DEFAULTS = re.compile(r"\$\{\w+:-([^}]*)\}")
"""A variable of compose.yaml with its default."""


@dataclass(frozen=True)
class Started:
    """A process of Mercato that a file starts."""

    where: str
    arguments: list[str]
    """The command line after `mercato`."""
    environ: dict[str, str]
    secrets: frozenset[str]
    """Names of the secrets that it can read."""
    stop_s: int | None
    """Time between SIGTERM and SIGKILL; None if the file leaves it to its default."""

    @property
    def command(self) -> str:
        return self.arguments[0]


def compose() -> dict[str, Any]:
    """Return compose.yaml with the defaults of its variables."""
    content: dict[str, Any] = yaml.safe_load(DEFAULTS.sub(r"\1", (ROOT / "compose.yaml").read_text()))
    return content


def resources(kind: str | None = None) -> Iterator[dict[str, Any]]:
    """Yield the resources of Kubernetes, of one kind if it is given."""
    for path in KUBERNETES:
        if path.name != "kustomization.yaml":
            yield from (each for each in yaml.safe_load_all(path.read_text()) if kind in (None, each["kind"]))


def pods() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the name of each resource that starts pods, and the specification of a pod."""
    for each in resources():
        spec = each.get("spec", {})
        template = spec.get("jobTemplate", {}).get("spec", spec).get("template")
        if template:
            yield each["metadata"]["name"], template["spec"]


def started() -> Iterator[Started]:
    """Yield each process of Mercato that a file starts."""
    yield from _of_compose()
    yield from _of_kubernetes()
    yield from (_of_unit(path) for path in UNITS if "\nExecStart=/opt/mercato/" in path.read_text())  # the others run PostgreSQL's programs


def _of_compose() -> Iterator[Started]:
    for name, service in compose()["services"].items():
        if service["image"].startswith("mercato"):
            stop = service.get("stop_grace_period")
            environ = {key: str(value) for key, value in service.get("environment", {}).items()}
            yield Started(
                f"compose.yaml {name}", service["command"], environ, frozenset(service.get("secrets", ())), int(stop[:-1]) if stop else None
            )


def _of_kubernetes() -> Iterator[Started]:
    for name, pod in pods():
        [container] = pod["containers"]
        items = [item["path"] for volume in pod["volumes"] for item in volume.get("secret", {}).get("items", ())]
        environ = {each["name"]: each["value"] for each in container.get("env", ())}
        yield Started(f"kubernetes {name}", container["args"], environ, frozenset(items), pod.get("terminationGracePeriodSeconds"))


def _of_unit(path: Path) -> Started:
    keys = [line.partition("=")[::2] for line in path.read_text().splitlines() if "=" in line and not line.startswith("#")]
    values = dict(keys)
    program, *arguments = shlex.split(values["ExecStart"].replace("%i", "1"))
    assert program == "/opt/mercato/bin/mercato"
    environ = dict(value.replace("%i", "1").partition("=")[::2] for key, value in keys if key == "Environment")
    credentials = frozenset(value.partition(":")[0] for key, value in keys if key == "LoadCredential")
    stop = values.get("TimeoutStopSec")
    return Started(f"systemd {path.name}", arguments, environ, credentials, int(stop.rstrip("s")) if stop else None)


def stages() -> dict[str, dict[str, str]]:
    """Return the instructions of each stage of the Dockerfile; of several of a kind the last one."""
    text = re.sub(r"\\\n\s*", "", (ROOT / "Dockerfile").read_text())
    found: dict[str, dict[str, str]] = {}
    stage: dict[str, str] = {}
    for line in text.splitlines():
        instruction, _, rest = line.partition(" ")
        if instruction == "FROM":
            base, _, name = rest.partition(" AS ")
            stage = found[name] = dict(found.get(base, {}))
        elif instruction.isupper():
            stage[instruction] = rest
    return found


def healthcheck(stage: str) -> list[str]:
    """Return the command by which an image checks its health."""
    command: list[str] = json.loads(stages()[stage]["HEALTHCHECK"].partition("CMD ")[2])
    return command
