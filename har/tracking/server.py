"""MLflow's user interface, and what it opens with: columns, order and charts that compare models.

MLflow keeps a view that everybody can open in a tag of its experiment, as the button "Save as new view" of the interface does.
"""

import json
import logging
import os
import socket
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn
from urllib.parse import urlencode

from har.errors import HarError
from har.redaction import redacted, shown
from har.tracking.store import WEB, asked, check_store, folder, opened, reason, store_lock, tracking_uri, warn

if TYPE_CHECKING:
    import mlflow

VIEW = "har"  # the view's key in the tag and in addresses
TAG = f"mlflow.sharedViewState.{VIEW}"
SCORE = "best/val_macro_f1"
COLUMNS = (  # those that no run of an experiment has are left out by the interface
    *(f"metrics.`{name}`" for name in (SCORE, "best/val_accuracy", "parameters", "train_seconds", "best/epoch")),
    "params.`training.epochs`",
    *(f"tags.`{name}`" for name in ("model", "seed", "dataset", "git_commit", "study", "setting", "fold")),
    "metrics.`subject_mean_accuracy`",
)


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
    uri = opened(tracking_uri(runs), runs)
    served = uri.startswith(WEB)
    address = redacted(uri).rstrip("/") if served else f"http://127.0.0.1:{port}"
    about = f"{uri}, a server with a user interface of its own" if served else f"{address} (Ctrl-C ends it), store {uri}"
    print(shown(f"MLflow on {about}"), flush=True)
    import mlflow

    def keep() -> dict[str, str]:
        # A training may be making the store at this moment, but not where nobody can write.
        with store_lock(uri, runs) if os.access(folder(uri, runs), os.W_OK) else nullcontext():
            return keep_views(mlflow.MlflowClient(tracking_uri=uri))

    for name, route in asked(uri, keep).items():
        # A route holds no secret; "viewStateShareKey=" in it would be taken for one.
        print(f"{shown(name)}, table:  {shown(address)}{route}")
        print(f"{shown(name)}, charts: {shown(address)}{route}&compareRunsMode=CHART")
    if not served:
        _become_server(uri, port)


def check_place(runs: Path, port: int) -> None:
    """Find out without MLflow that there is no store, or that the port cannot be used.

    Raises:
        HarError: which of the two.
    """
    check_store(runs)
    if tracking_uri(runs).startswith(WEB):
        return
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except (OSError, OverflowError):
            raise HarError(
                "argument", f"port {port} on 127.0.0.1 cannot be used; choose another with --port (make dashboard PORT=5001)"
            ) from None


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


def keep_views(client: "mlflow.MlflowClient") -> dict[str, str]:
    """Keep the view in every experiment with runs of this project; a store that only lets itself be read is warned of.

    Args:
        client: of the store.

    Returns:
        Experiment name -> what the address of its runs has behind that of the server.
    """
    logging.getLogger("mlflow.store").setLevel(logging.CRITICAL)  # it would show the whole traceback of what one line tells
    routes, value = {}, _saved_view()
    for experiment in client.search_experiments(order_by=["name"]):
        number = experiment.experiment_id
        if not client.search_runs([number], "tags.git_commit != ''", max_results=1):  # somebody else's
            continue
        asked = {"workflowType": "machine_learning"}
        try:
            if experiment.tags.get(TAG) != value:
                client.set_experiment_tag(number, TAG, value)
        except Exception as error:  # MLflow's, of the network, of the database: each store has its own
            warn(f"the columns and charts of {experiment.name} cannot be kept in the store ({reason(error)})")
        else:
            asked["viewStateShareKey"] = VIEW
        routes[experiment.name] = f"/#/experiments/{number}/runs?{urlencode(asked)}"
    return routes


def _saved_view() -> str:
    state = {
        "orderByKey": f"metrics.`{SCORE}`",
        "orderByAsc": False,
        "selectedColumns": list(COLUMNS),
        "columnOrder": list(COLUMNS),
        "runsHiddenMode": "FIRST_20_RUNS",
        "compareRunSections": [{"uuid": VIEW, "name": "Models", "display": True, "columns": 2}],
        "isAccordionReordered": True,  # else the interface puts its own charts, one a metric, above these
        "compareRunCharts": [
            _chart("LINE", metricKey="val/macro_f1", selectedMetricKeys=["val/macro_f1"], xAxisKey="step", lineSmoothness=0),
            _chart("BAR", metricKey=SCORE, dataAccessKey=SCORE),
            _scatter("parameters"),
            _scatter("train_seconds"),
        ],
    }
    # One moment for ever, so that the same view is the same text and is written once.
    return json.dumps({"name": "Compare models", "createdAt": 0, "updatedAt": 0, "state": json.dumps(state)})


def _scatter(key: str) -> dict[str, Any]:
    return _chart("SCATTER", key, xaxis={"key": key, "type": "METRIC"}, yaxis={"key": SCORE, "type": "METRIC"})


def _chart(kind: str, name: str = "", **settings: Any) -> dict[str, Any]:
    uuid = f"{VIEW}-{kind}-{name}".lower().rstrip("-")
    return {"uuid": uuid, "type": kind, "metricSectionId": VIEW, "runsCountToCompare": 20} | settings
