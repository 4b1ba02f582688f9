"""MLflow's user interface."""

import os
import socket
from contextlib import nullcontext
from pathlib import Path
from typing import Any, NoReturn

from har.contract import HarError
from har.redaction import redacted, shown
from har.tracking.store import check_store, opened, store_lock, tracking_uri, unreachable


def serve(runs: Path, port: int) -> None:
    """Print the addresses where runs are compared, and become MLflow's user interface on 127.0.0.1.

    Where the store is a server, that has a user interface of its own, and the addresses are of that one.

    Args:
        runs: folder of the default store.
        port: on 127.0.0.1.

    Raises:
        HarError: there is no store yet, it cannot be opened, or the port is taken.
    """
    check_place(runs, port)
    uri = opened(runs)
    if uri.startswith(("http://", "https://")):
        print(shown(f"MLflow on {uri}, a server with a user interface of its own"), flush=True)
        _print_addresses(runs, uri, redacted(uri).rstrip("/"))
        return
    print(shown(f"MLflow on http://127.0.0.1:{port} (Ctrl-C ends it), store {uri}"), flush=True)
    _print_addresses(runs, uri, f"http://127.0.0.1:{port}")
    _become_server(uri, port)


def check_place(runs: Path, port: int) -> None:
    """Find out without MLflow that there is no store, or that the port cannot be used.

    Raises:
        HarError: which of the two.
    """
    check_store(runs)
    if tracking_uri(runs).startswith(("http://", "https://")):
        return
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except (OSError, OverflowError):
            raise HarError(f"port {port} on 127.0.0.1 cannot be used; choose another with --port (make dashboard PORT=5001)") from None


def _print_addresses(runs: Path, uri: str, address: str) -> None:
    import mlflow

    from har.tracking.views import charts_of, keep_views

    try:
        # A training may be making the store at this moment, but not where nobody can write.
        with store_lock(runs) if os.access(runs, os.W_OK) else nullcontext():
            routes = keep_views(mlflow.MlflowClient(tracking_uri=uri))
    except Exception as error:  # MLflow's, of the network, of the database: each store has its own
        raise unreachable(uri, error) from None
    for name, route in routes.items():
        # A route holds no secret; "viewStateShareKey=" in it would be taken for one.
        print(f"{shown(name)}, table:  {shown(address)}{route}", f"{shown(name)}, charts: {shown(address)}{charts_of(route)}", sep="\n")


def _become_server(uri: str, port: int) -> None:
    import mlflow.cli
    import mlflow.server

    def take_place(cmd: list[str], **options: Any) -> NoReturn:
        os.execvpe(cmd[0], cmd, {**os.environ, **options["extra_env"]})  # nosec B606 # the words of MLflow's own command, no shell

    # MLflow would start the server as a child, which outlives a parent that is killed, keeps the port, and takes twice the memory.
    mlflow.server._exec_cmd = take_place
    # The default is 15 processes and 3 GB; one worker without job execution is one process and 0.25 GB.
    os.environ["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] = "false"
    options = {"backend-store-uri": uri, "host": "127.0.0.1", "port": str(port), "workers": "1", "uvicorn-opts": "--no-access-log"}
    mlflow.cli.server([part for name, value in options.items() for part in (f"--{name}", value)])
