"""What MLflow's user interface opens with: columns, order and charts that compare models.

MLflow keeps a view that everybody can open in a tag of its experiment, as the button "Save as new view" of the interface does.
"""

import json
import logging
from typing import Any
from urllib.parse import urlencode

import mlflow

from har.redaction import redacted
from har.tracking.store import warn

VIEW = "har"  # the view's key in the tag and in addresses
TAG = f"mlflow.sharedViewState.{VIEW}"
SCORE = "best/val_macro_f1"
COLUMNS = {  # width in px; those that no run of an experiment has are left out by the interface
    f"metrics.`{SCORE}`": 140,
    "metrics.`best/val_accuracy`": 140,
    "metrics.`parameters`": 90,
    "metrics.`train_seconds`": 110,
    "metrics.`best/epoch`": 90,
    "params.`training.epochs`": 130,
    "tags.`model`": 110,
    "tags.`seed`": 60,
    "tags.`dataset`": 80,
    "tags.`git_commit`": 120,
    "tags.`study`": 120,
    "tags.`setting`": 120,
    "tags.`fold`": 60,
    "metrics.`subject_mean_accuracy`": 170,
}


def keep_views(client: mlflow.MlflowClient) -> dict[str, str]:
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
            warn(f"the columns and charts of {experiment.name} cannot be kept in the store ({redacted(str(error).splitlines()[0])[:200]})")
        else:
            asked["viewStateShareKey"] = VIEW
        routes[experiment.name] = f"/#/experiments/{number}/runs?{urlencode(asked)}"
    return routes


def charts_of(route: str) -> str:
    """The address of the charts of the runs at an address."""
    return f"{route}&compareRunsMode=CHART"


def _saved_view() -> str:
    state = {
        "orderByKey": f"metrics.`{SCORE}`",
        "orderByAsc": False,
        "selectedColumns": list(COLUMNS),
        "columnOrder": list(COLUMNS),
        "columnWidths": COLUMNS,
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
