"""The files that start Mercato name commands, settings, ports and probes that exist, and keep their promises of safety."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import compose_spec
import pytest
import typer
import yaml

from deploy import files
from deploy.files import ROOT, Started
from mercato_server.cli.commands import app
from mercato_server.config.edge_settings import EdgeSettings
from mercato_server.config.secret_files import SECRETS, SUFFIX, VARIABLES
from mercato_server.config.settings import Settings
from mercato_server.edge.envoy import render
from mercato_server.rpc.health import DATABASE, LIVENESS
from support.patience import patient
from support.shop import SECRET

STARTED = list(files.started())
NAMES = {variable.name for variable in VARIABLES} | {name + SUFFIX for name in SECRETS} | {"PATH"}
LATER = {"stripe_secret_key"}
"""Secrets that an operator adds, and that deploy/secrets.sh cannot make."""
USAGE_ERROR = typer.BadParameter.__bases__[0]
"""The error of an option or a command that does not exist, in the copy of click that typer has."""
MARGIN_S = 3
"""Time that a process may take beside its drain and its grace period."""


def named(started: Started) -> str:
    return started.where


@pytest.fixture(scope="module")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of secrets that the script makes."""
    directory = tmp_path_factory.mktemp("shop") / "secrets"
    subprocess.run([ROOT / "deploy/secrets.sh", directory, "db.example.com/mercato"], check=True, timeout=patient())
    return directory


def parse(arguments: list[str]) -> None:
    """Parse a command line as `mercato` does; raises UsageError for one that does not exist."""
    group: Any = typer.main.get_command(app)
    context = typer.Context(group, info_name="mercato")
    name, command, rest = group.resolve_command(context, arguments)
    command.make_context(name, rest, parent=context)


@pytest.mark.parametrize("started", STARTED, ids=named)
def test_each_started_process_is_a_command_of_this_release(started: Started) -> None:
    parse(started.arguments)


@pytest.mark.parametrize("stage", ["worker", "edge"])
def test_the_images_start_and_check_a_command_of_this_release(stage: str) -> None:
    instructions = files.stages()[stage]
    assert (instructions["ENTRYPOINT"], instructions["USER"], instructions["STOPSIGNAL"]) == ('["mercato"]', "10001:10001", "SIGTERM")
    parse(yaml.safe_load(instructions["CMD"]))
    program, *arguments = files.healthcheck(stage)
    assert program == "mercato"
    parse(arguments)


@pytest.mark.parametrize("arguments", [["serv"], ["health", "--servic", "liveness"], ["edge", "--port", "http"]])
def test_a_command_line_that_does_not_exist_is_noticed(arguments: list[str]) -> None:
    with pytest.raises(USAGE_ERROR):
        parse(arguments)


@pytest.mark.parametrize("started", STARTED, ids=named)
def test_each_setting_of_a_process_exists_and_is_valid(started: Started) -> None:
    assert set(started.environ) - NAMES == set()
    own = {name: value for name, value in started.environ.items() if not name.endswith(SUFFIX)}
    Settings.from_environ({"DATABASE_URL": "postgresql://x", "SECRET_KEY": SECRET} | own)
    EdgeSettings.from_environ(own)


def test_the_settings_of_the_pods_exist_and_are_valid() -> None:
    [settings] = files.resources("ConfigMap")
    assert set(settings["data"]) <= NAMES
    Settings.from_environ({"DATABASE_URL": "postgresql://x", "SECRET_KEY": SECRET} | settings["data"])


@pytest.mark.parametrize("started", STARTED, ids=named)
def test_each_secret_comes_from_a_file_that_the_process_is_given(started: Started, secrets: Path) -> None:
    assert set(started.environ).isdisjoint(SECRETS)
    wanted = {Path(value).name for name, value in started.environ.items() if name.endswith(SUFFIX)}
    assert wanted == started.secrets
    assert started.secrets - LATER <= {path.name for path in secrets.iterdir()}


def test_the_made_secrets_are_valid_and_closed_to_others(secrets: Path) -> None:
    content = {path.name: path.read_text() for path in secrets.iterdir()}
    environ = {
        "DATABASE_URL": content["worker_database_url"],
        "SECRET_KEY": content["secret_key"],
        "MERCATO_PASSWORD_PEPPER": content["password_pepper"],
    }
    assert Settings.from_environ(environ).database_url == f"postgresql://mercato_worker:{content['worker_password']}@db.example.com/mercato"
    assert len(set(content.values())) == len(content)
    assert secrets.stat().st_mode & 0o777 == 0o700
    again = subprocess.run([ROOT / "deploy/secrets.sh", secrets], capture_output=True, text=True, check=False, timeout=patient())
    assert (again.returncode, again.stdout) == (1, "")
    assert "exists already" in again.stderr
    assert {path.name: path.read_text() for path in secrets.iterdir()} == content


@pytest.mark.parametrize("started", [each for each in STARTED if each.command in ("serve", "edge")], ids=named)
def test_a_process_that_stops_has_the_time_that_it_may_take(started: Started) -> None:
    own = {name: value for name, value in started.environ.items() if not name.endswith(SUFFIX)}
    edge = EdgeSettings.from_environ(own)
    needed = {"serve": 2 * edge.drain_s + 2 * edge.grace_s, "edge": edge.drain_s + edge.grace_s}[started.command]
    assert started.stop_s is not None
    assert started.stop_s >= needed + MARGIN_S


def probes() -> list[tuple[str, dict[str, Any], dict[str, Any]]]:
    return [
        (f"{name} {kind}", container, container[kind])
        for name, pod in files.pods()
        for container in pod["containers"]
        for kind in ("startupProbe", "livenessProbe", "readinessProbe")
        if kind in container
    ]


@pytest.mark.parametrize(("name", "container", "probe"), probes(), ids=[name for name, _, _ in probes()])
def test_each_probe_asks_for_a_health_that_exists(name: str, container: dict[str, Any], probe: dict[str, Any]) -> None:
    ports = {each["name"]: each["containerPort"] for each in container["ports"]}
    if "grpc" in probe:
        listen = {each["name"]: each.get("value", "") for each in container["env"]}["MERCATO_LISTEN"]
        assert f"0.0.0.0:{probe['grpc']['port']}" == listen
        service = probe["grpc"].get("service", "")
        assert service in {"", LIVENESS, DATABASE}
        assert (service == LIVENESS) == ("readiness" not in name)  # a database that is away must restart nothing
    else:
        assert ports[probe["httpGet"]["port"]] == 8080
        assert f'"{probe["httpGet"]["path"]}/?' in json.dumps(render(EdgeSettings()))  # the pattern of a route or of its log


def test_every_worker_probe_kind_and_every_edge_probe_kind_is_there() -> None:
    assert len(probes()) == 6


@pytest.mark.parametrize(("name", "pod"), list(files.pods()), ids=[name for name, _ in files.pods()])
def test_each_pod_keeps_to_the_restricted_profile(name: str, pod: dict[str, Any]) -> None:
    """https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted, and more: no token, a read-only root."""
    assert pod["automountServiceAccountToken"] is False
    assert pod["serviceAccountName"] == name.partition("-")[0]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] == 10001
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in pod["containers"]:
        context = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
        assert container["securityContext"] == context
        assert set(container["resources"]["requests"]) == {"cpu", "memory"}
        assert "memory" in container["resources"]["limits"]
    assert all(set(volume) - {"name"} <= {"secret", "emptyDir"} for volume in pod["volumes"])


def kinds(path: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [Path(sys.executable).with_name("kubernetes-validate"), "--strict", path],
        capture_output=True,
        text=True,
        check=False,
        timeout=patient(),
    )


def test_the_manifests_fit_the_schemas_of_kubernetes(tmp_path: Path) -> None:
    manifests = [path for path in files.KUBERNETES if path.name != "kustomization.yaml"]
    everything = tmp_path / "all.yaml"
    everything.write_text("---\n".join(path.read_text() for path in manifests))
    done = kinds(everything)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr.count("passed") + done.stdout.count("passed") == len(list(files.resources()))
    everything.write_text(everything.read_text().replace("readinessProbe:", "readynessProbe:", 1))
    assert kinds(everything).returncode != 0


def test_the_kustomization_has_each_manifest_and_each_image() -> None:
    kustomization = yaml.safe_load((ROOT / "deploy/kubernetes/kustomization.yaml").read_text())
    assert sorted(kustomization["resources"]) == sorted(path.name for path in files.KUBERNETES if path.name != "kustomization.yaml")
    used = {container["image"] for _, pod in files.pods() for container in pod["containers"]}
    assert used == {image["name"] for image in kustomization["images"]}


def test_the_edge_of_kubernetes_counts_as_many_workers_as_there_can_be_and_finds_them() -> None:
    [autoscaler] = files.resources("HorizontalPodAutoscaler")
    [edge] = [each for each in STARTED if each.where == "kubernetes mercato-edge"]
    assert edge.environ["MERCATO_UPSTREAM_WORKERS"] == str(autoscaler["spec"]["maxReplicas"])
    services = {service["metadata"]["name"]: service["spec"] for service in files.resources("Service")}
    name, _, port = edge.environ["MERCATO_UPSTREAMS"].partition(":")
    assert services[name]["clusterIP"] == "None"
    assert [each["port"] for each in services[name]["ports"]] == [int(port)]


def test_each_policy_and_service_is_about_pods_that_exist() -> None:
    deployments = [*files.resources("Deployment"), *files.resources("Job")]
    labels = [each["spec"]["template"]["metadata"]["labels"] for each in deployments]
    labels += [each["spec"]["jobTemplate"]["spec"]["template"]["metadata"]["labels"] for each in files.resources("CronJob")]
    selectors = [service["spec"]["selector"] for service in files.resources("Service")]
    selectors += [each["spec"]["selector"]["matchLabels"] for each in files.resources("PodDisruptionBudget")]
    selectors += [each["spec"]["podSelector"]["matchLabels"] for each in files.resources("NetworkPolicy")]
    for selector in selectors:
        assert any(selector.items() <= each.items() for each in labels), selector
    [deny] = [each["spec"] for each in files.resources("NetworkPolicy") if each["metadata"]["name"] == "mercato-default-deny"]
    assert deny == {"podSelector": {"matchLabels": {"app.kubernetes.io/name": "mercato"}}, "policyTypes": ["Ingress", "Egress"]}
    assert all(each["app.kubernetes.io/name"] == "mercato" for each in labels)


def test_the_composition_fits_the_specification() -> None:
    options = compose_spec.PyOptions(apply_merge=True)
    text = files.DEFAULTS.sub(r"\1", (ROOT / "compose.yaml").read_text())
    options.from_yaml(text).validate()
    with pytest.raises(ValueError, match="readonly"):
        options.from_yaml(text.replace("read_only:", "readonly:"))


def test_each_service_of_the_composition_is_hardened_and_uses_what_is_defined() -> None:
    composition = files.compose()
    for name, service in composition["services"].items():
        assert (service["read_only"], service["cap_drop"], service["security_opt"]) == (True, ["ALL"], ["no-new-privileges:true"]), name
        assert set(service["networks"]) <= set(composition["networks"])
        assert set(service.get("secrets", ())) <= set(composition["secrets"])
        for volume in service.get("volumes", ()):
            source = volume.partition(":")[0]
            assert source in composition["volumes"] or (ROOT / source).exists(), volume
        assert set(service.get("depends_on", ())) <= set(composition["services"])
    assert composition["networks"]["database"]["internal"] is True
    pictures = composition["services"]["worker"]["environment"]["MERCATO_PICTURES_DIR"]
    assert f"pictures:{pictures}" in composition["services"]["worker"]["volumes"]
    assert f"install -d -o 10001 -g 10001 -m 700 {pictures}\n" in (ROOT / "Dockerfile").read_text()
    for stage in ("worker", "edge"):
        assert composition["services"][stage]["healthcheck"]["test"][1:] == files.healthcheck(stage)


def test_an_image_has_only_files_that_the_repository_has_and_the_build_may_read() -> None:
    allowed = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    text = re.sub(r"\\\n\s*", "", (ROOT / "Dockerfile").read_text())
    copied = [source for line in re.findall(r"^COPY (?!--from)(.*)$", text, re.MULTILINE) for source in line.split()[:-1]]
    assert len(copied) > 5
    for source in copied:
        assert (ROOT / source).exists()
        assert source in allowed
    assert set(allowed) == set(copied)


@pytest.mark.parametrize("page", ["deploy-docker.md", "deploy-kubernetes.md", "deploy-systemd.md"])
def test_each_command_of_the_steps_exists(page: str) -> None:
    text = (ROOT / "docs" / page).read_text()
    code = re.findall(r"```\w*\n(.*?)```|`([^`\n]+)`", text, re.DOTALL)
    names = {name for block, word in code for name in re.findall(r"(?:^|[ /])(?<!namespace )mercato ([a-z][a-z-]+)", block or word)}
    group: Any = typer.main.get_command(app)
    assert "admin" in names
    assert names - set(group.commands) == set()
    targets = set(re.findall(r"`?make ([a-z]+)`", text))
    assert all(re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE) for target in targets)
