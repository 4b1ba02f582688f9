"""A bundle as an MLflow model. MLflow runs this file itself, from its text ("models from code"), so that nothing is pickled."""

import importlib.util
import sys
from typing import Any

import mlflow
import pandas as pd
from mlflow.pyfunc import PythonModel, PythonModelContext

BUNDLE, RUNTIME = "bundle", "runtime"  # the model's artifacts; har.tracking.registered_models writes them


class ActivityModel(PythonModel):
    """Names the activity of windows, with the bundle's own `Recognizer`: numpy and onnxruntime, no torch."""

    def load_context(self, context: PythonModelContext) -> None:
        """Check the bundle's files and its golden windows.

        Raises:
            HarError: a file was changed, or this runtime computes something else than the one that exported the bundle.
        """
        if importlib.util.find_spec("har") is None:  # a server or a cluster without the project: the model brings the code it needs
            sys.path.append(context.artifacts[RUNTIME])
        from har import load_model

        self._recognizer = load_model(context.artifacts[BUNDLE])

    # MLflow takes an annotation of `model_input` for a schema of its own, beside the one that is registered.
    def predict(  # type: ignore[no-untyped-def]
        self, context: PythonModelContext, model_input, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        """Activities of windows.

        Args:
            context: of MLflow; not needed again.
            model_input: (window, time, channel) float32, acceleration in g, angular velocity in rad/s, channels as in the manifest.
                In a data frame a row is a window and its one column holds the values flattened, all channels of a sample together.
            params: none are known.

        Returns:
            One row per window: ``activity``, UNKNOWN where the model is not sure enough, ``confidence`` and ``p_LABEL`` for every
            activity, as ``har predict --output`` writes them.

        Raises:
            HarError: the shape, the order or the units are wrong, or a value or a probability is not finite.
        """
        from har.runtime.timeline import decide, outcomes

        probabilities = self._recognizer.predict(model_input)
        labels = self._recognizer.labels
        names = outcomes(labels)
        table = pd.DataFrame(probabilities, columns=[f"p_{label}" for label in labels])
        table.insert(0, "activity", [names[index] for index in decide(labels, probabilities, self._recognizer.unknown_below)])
        table.insert(1, "confidence", probabilities.max(axis=1))
        return table


mlflow.models.set_model(ActivityModel())
