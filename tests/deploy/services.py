"""The services of `deploy/compose.yaml` as processes on 127.0.0.1: PostgreSQL of this machine, moto as the S3 store, MLflow's server."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import yaml

COMPOSE = Path(__file__).parents[2] / "deploy" / "compose.yaml"
SECRETS = {"POSTGRES_PASSWORD": "pg-secret", "S3_ACCESS_KEY": "s3-user", "S3_SECRET_KEY": "s3-secret"}
NOBODY = "nobody" if os.getuid() == 0 else None  # PostgreSQL refuses to run as root
PROGRAMS = ("initdb", "postgres", "pg_isready", "createdb", "psql")
START_S, END_S = 120.0, 10.0


def postgres_programs() -> Path | None:
    """The folder with PostgreSQL's programs: on the path, else where Debian keeps them."""
    found = shutil.which("initdb")
    folders = [Path(found).resolve().parent] if found else sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    return next((folder for folder in reversed(folders) if all((folder / name).is_file() for name in PROGRAMS)), None)


def missing() -> str:
    """Why the services cannot run here; empty where they can."""
    absent = [name for name in ("psycopg2", "boto3", "moto") if find_spec(name) is None]
    if absent:
        return f"{', '.join(absent)} not installed: pip install '.[train,dev]'"
    return "" if postgres_programs() else "PostgreSQL is not installed: apt-get install postgresql"


def compose_environment(service: str, values: Mapping[str, str]) -> dict[str, str]:
    """What the compose file gives a service, with its variables filled in as `docker compose` does."""

    def fill(match: re.Match[str]) -> str:
        name, default = match["name"], match["default"]
        assert name in values or default is not None, f"{name} has neither a value nor a default"
        return values.get(name) or default or ""

    def filled(value: Any) -> str:
        return re.sub(r"\$\{(?P<name>\w+)(?::-(?P<default>[^}]*)|:\?[^}]*)?\}", fill, str(value))

    environment = yaml.safe_load(COMPOSE.read_text())["services"][service]["environment"]
    return {name: filled(value) for name, value in environment.items()}


def free_port() -> int:
    """One that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Service:
    """A process with its children, in a group of its own."""

    process: subprocess.Popen[bytes]
    log: Path

    def wait_until(self, ready: Callable[[], bool]) -> None:
        """Until it answers; the end of its log where it does not."""
        end = time.monotonic() + START_S
        while not ready():
            if self.process.poll() is not None or time.monotonic() > end:
                raise AssertionError(f"{self.process.args} does not answer:\n{self.log.read_text()[-3000:]}")
            time.sleep(0.1)

    def kill(self) -> None:
        """At once, as when the machine it runs on goes down."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


@contextmanager
def service(command: list[str | Path], log: Path, end: signal.Signals = signal.SIGKILL, **options: Any) -> Iterator[Service]:
    """A process that is gone at the end, whatever happens; `end` asks it to go."""
    with open(log, "ab") as output:
        started = Service(subprocess.Popen(command, stdout=output, stderr=output, start_new_session=True, **options), log)
    orphaned = ["sh", "-c", 'read -r over || kill -KILL "-$0"', str(started.process.pid)]  # its pipe closes where this process is killed
    watch = subprocess.Popen(orphaned, stdin=subprocess.PIPE, start_new_session=True)
    try:
        yield started
    finally:
        watch.communicate(b"over\n")
        started.process.send_signal(end)
        with suppress(subprocess.TimeoutExpired):
            started.process.wait(END_S)
        started.kill()


def answers(url: str) -> bool:
    """Whether a server answers this with success."""
    try:
        with urllib.request.urlopen(url, timeout=5) as reply:
            return reply.status == 200
    except OSError:
        return False


@contextmanager
def postgres(password: str) -> Iterator[int]:
    """PostgreSQL with a new, empty database `mlflow` of the user `mlflow`; yields its port."""
    programs, port = postgres_programs(), free_port()
    assert programs is not None
    options: dict[str, Any] = {"user": NOBODY, "group": "nogroup", "extra_groups": []} if NOBODY else {}
    with tempfile.TemporaryDirectory(prefix="har-postgres-", dir="/tmp") as name:  # short enough for a socket, and open to nobody
        folder = Path(name)
        options["cwd"] = folder
        pwfile = folder / "password"
        pwfile.write_text(password)
        if NOBODY:
            shutil.chown(folder, NOBODY)
            shutil.chown(pwfile, NOBODY)
        data = folder / "data"
        make = [programs / "initdb", "-D", data, "-U", "mlflow", f"--pwfile={pwfile}", "-A", "scram-sha-256", "-E", "UTF8", "--no-sync"]
        made = subprocess.run(make, capture_output=True, text=True, check=False, **options)
        assert made.returncode == 0, made.stderr
        command = [programs / "postgres", "-D", data, "-h", "127.0.0.1", "-p", str(port), "-k", folder, "-F"]
        login = ["-h", "127.0.0.1", "-p", str(port), "-U", "mlflow"]
        with service(command, folder / "log", signal.SIGINT, **options) as running:  # killed, it would leave its shared memory behind
            running.wait_until(lambda: subprocess.run([programs / "pg_isready", *login], capture_output=True, check=False).returncode == 0)
            with_password = os.environ | {"PGPASSWORD": password}
            subprocess.run([programs / "createdb", *login, "mlflow"], env=with_password, check=True, capture_output=True)
            yield port


@contextmanager
def s3(log: Path, bucket: str, access_key: str, secret_key: str) -> Iterator[Any]:
    """moto's S3 server with an empty bucket; yields a client of it."""
    import boto3

    port = free_port()
    address = f"http://127.0.0.1:{port}"
    with service([sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)], log) as running:
        running.wait_until(lambda: answers(f"{address}/moto-api/"))
        keys = {"aws_access_key_id": access_key, "aws_secret_access_key": secret_key, "region_name": "us-east-1"}
        client = boto3.client("s3", endpoint_url=address, **keys)
        client.create_bucket(Bucket=bucket)
        yield client


class Team:
    """The whole set-up. MLflow's server can be killed and started again; the two stores behind it stay.

    Attributes:
        uri: of MLflow's server, for MLFLOW_TRACKING_URI.
        database: URI of PostgreSQL.
    """

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self._folder, self._stack = folder, stack
        settings = compose_environment("mlflow", SECRETS)
        self._bucket = settings["MLFLOW_ARTIFACTS_DESTINATION"].removeprefix("s3://")
        database = stack.enter_context(postgres(SECRETS["POSTGRES_PASSWORD"]))
        self._s3 = stack.enter_context(
            s3(folder / "s3.log", self._bucket, settings["AWS_ACCESS_KEY_ID"], settings["AWS_SECRET_ACCESS_KEY"])
        )
        port = free_port()
        self.uri = f"http://127.0.0.1:{port}"
        self.database = settings["MLFLOW_BACKEND_STORE_URI"].replace("@postgres:5432/", f"@127.0.0.1:{database}/")
        here = {
            "MLFLOW_HOST": "127.0.0.1",
            "MLFLOW_PORT": str(port),
            "MLFLOW_WORKERS": "1",
            "MLFLOW_BACKEND_STORE_URI": self.database,
            "MLFLOW_S3_ENDPOINT_URL": self._s3.meta.endpoint_url,
        }
        self._environment = os.environ | settings | here
        self.start()

    def start(self) -> None:
        """Start MLflow's server; the first start makes the tables."""
        command: list[str | Path] = [sys.executable, "-m", "mlflow", "server"]
        self._server = self._stack.enter_context(service(command, self._folder / "mlflow.log", cwd=self._folder, env=self._environment))
        self._server.wait_until(lambda: answers(f"{self.uri}/health"))

    def kill(self) -> None:
        """Kill MLflow's server with all its processes."""
        self._server.kill()

    def object(self, key_end: str) -> bytes:
        """The only object in the S3 store whose key ends like this, read without MLflow."""
        found = self._s3.list_objects_v2(Bucket=self._bucket)["Contents"]
        (key,) = [one["Key"] for one in found if one["Key"].endswith(key_end)]
        return self._s3.get_object(Bucket=self._bucket, Key=key)["Body"].read()

    def ask(self, query: str) -> str:
        """What PostgreSQL answers, read without MLflow: a line a row, columns with | between."""
        programs = postgres_programs()
        assert programs is not None
        command = [programs / "psql", "-tA", "-c", query, self.database.replace("+psycopg2", "")]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
