"""Everything that knows MLflow: where the store is, one run per training, and the user interface.

MLflow takes seconds to import: most modules here import it, `har.tracking.store` and `har.tracking.server` do not.
"""

import os

# Before MLflow is imported, which reads them then.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
