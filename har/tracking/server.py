"""MLflow's user interface."""

import os
import socket
import sys
from pathlib import Path

from har.contract import HarError
from har.redaction import redacted
from har.tracking.store import store_lock, tracking_uri


def serve(runs: Path, port: int) -> None:
    """Replace this process by MLflow's user interface on 127.0.0.1.

    Raises:
        HarError: there is no store yet, or the port is taken.
    """
    uri = tracking_uri(runs)
    if uri.startswith("sqlite:///") and not Path(uri.removeprefix("sqlite:///")).is_file():
        raise HarError(f"no MLflow store at {redacted(uri)}; train first: har train, or make demo")
    with store_lock(runs):  # a training may be making the store at this moment
        pass
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except (OSError, OverflowError):
            raise HarError(f"port {port} on 127.0.0.1 cannot be used; choose another with --port (make dashboard PORT=5001)") from None
    print(f"MLflow on http://127.0.0.1:{port} (Ctrl-C ends it), store {redacted(uri)}", flush=True)
    # The default is 15 processes and 3 GB; one worker without job execution is 2 and 0.5 GB.
    os.environ["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] = "false"
    os.environ["MLFLOW_BACKEND_STORE_URI"] = uri  # every user of the machine may read a command line, and a password in it
    command = [
        sys.executable,
        "-m",
        "mlflow",
        "server",
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "--workers",
        "1",
    ]
    os.execv(sys.executable, command)  # nosec B606 # this very Python, fixed words and a number, no shell
