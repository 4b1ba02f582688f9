"""The compose file of the team's set-up: everything pinned, nothing open to the network, no secret in git."""

import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
TEXT = (DEPLOY / "compose.yaml").read_text() + (DEPLOY / "users.yaml").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
USERS: dict[str, Any] = yaml.safe_load((DEPLOY / "users.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
SECRET = re.compile(r"PASSWORD|SECRET|KEY")
VARIABLE = re.compile(r"\$\{(\w+)(:[-?][^}]*)?\}")
PINNED = re.compile(r"[\w./-]+:v?\d+\.\d+[\w.-]*")


def example() -> dict[str, str]:
    """The settings that `.env.example` names, commented out or not."""
    found = re.findall(r"^#?([A-Z0-9_]+)=(.*)$", (DEPLOY / ".env.example").read_text(), re.MULTILINE)
    return dict(found)


def constraint(package: str) -> str:
    return re.search(rf"^{package}==(.+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)[1]  # type: ignore[index]


@pytest.mark.parametrize("name", SERVICES)
def test_an_image_has_a_version(name: str) -> None:
    assert PINNED.fullmatch(SERVICES[name]["image"]), SERVICES[name]["image"]


def test_the_server_is_the_mlflow_that_the_project_is_tested_with() -> None:
    dockerfile = (DEPLOY / "Dockerfile").read_text()
    assert SERVICES["mlflow"]["image"] == f"har-mlflow:{constraint('mlflow')}"
    assert PINNED.fullmatch(re.search(r"^FROM (\S+)$", dockerfile, re.MULTILINE)[1])  # type: ignore[index]
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    drivers = {re.split(r"[<>=]", one)[0] for one in extras["team"]}
    installed = re.search(r"--constraint /tmp/constraints.txt (.+)$", dockerfile, re.MULTILINE)[1].split()  # type: ignore[index]
    assert set(installed) == {'"mlflow[auth]"'} | drivers
    assert all(constraint(package) for package in {"mlflow", "Flask-WTF"} | drivers)  # each is pinned


@pytest.mark.parametrize("name", SERVICES)
def test_only_mlflow_has_a_port_and_on_this_machine_alone(name: str) -> None:
    ports = SERVICES[name].get("ports", [])
    assert len(ports) == (name == "mlflow")
    assert all(str(port).startswith("127.0.0.1:") for port in ports)
    assert "network_mode" not in SERVICES[name]


def test_no_secret_has_a_value_in_git() -> None:
    services = [*SERVICES.items(), *USERS["services"].items()]
    settings = [(name, key, str(value)) for name, one in services for key, value in one.get("environment", {}).items()]
    secrets = [(name, key, value) for name, key, value in settings if SECRET.search(key)]
    assert len(secrets) == 9
    for name, key, value in secrets:
        assert re.fullmatch(r"\$\{\w+:\?[^}]+\}", value), f"{name}: {key}"
    logins = re.findall(r"://mlflow:(.+)@postgres:5432/mlflow$", TEXT, re.MULTILINE)
    assert len(logins) == 2
    assert all(re.fullmatch(r"\$\{POSTGRES_PASSWORD:\?.+\}", login) for login in logins)
    assert [key for key, value in example().items() if SECRET.search(key) and value] == ["S3_ACCESS_KEY"]  # a name
    ignored = subprocess.run(
        ["git", "check-ignore", "deploy/.env", "deploy/backup/x"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if ignored.returncode == 128:
        pytest.skip("not a git checkout: what git ignores cannot be asked")
    assert ignored.stdout.split() == ["deploy/.env", "deploy/backup/x"]


def test_the_example_names_every_variable_and_no_other() -> None:
    asked = {name for name, _ in VARIABLE.findall(TEXT)}
    assert asked == set(example())


@pytest.mark.parametrize("name", [name for name, one in SERVICES.items() if "profiles" not in one])
def test_a_service_tells_its_health_comes_back_and_keeps_its_data(name: str) -> None:
    service = SERVICES[name]
    assert service["healthcheck"]["test"][0] == "CMD"
    assert service["restart"] == "unless-stopped"
    for volume in service.get("volumes", []):
        assert volume.split(":")[0] in COMPOSE["volumes"]
    assert bool(service.get("volumes")) == (name != "mlflow")


def test_services_wait_for_those_they_need() -> None:
    needed = {name: one.get("depends_on", {}) for name, one in SERVICES.items()}
    assert {name: sorted(on) for name, on in needed.items() if on} == {"mlflow": ["postgres", "s3"], "aws": ["s3"]}
    assert all(how == {"condition": "service_healthy"} for on in needed.values() for how in on.values())
