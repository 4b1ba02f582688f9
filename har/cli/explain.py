"""`har explain`."""

import argparse

from har.cli.commands import named_runs, typed, validated_runs
from har.cli.output import answer_written, loading, progress
from har.contract import HarError

ATTRIBUTIONS = ("integrated_gradients", "occlusion")  # of har.evaluation.attribution, known without torch; a test compares


def explain(options: argparse.Namespace) -> None:
    if options.most < 1:
        raise HarError(f"--most is {options.most}, expected at least 1")
    runs = named_runs(options)
    if options.split == "validation":
        runs = validated_runs(runs, options)
    from har.pipeline.run_folder import of_windows, scored_predictions

    if "all" in options.model:
        runs = of_windows(runs) or runs
    for run in runs:
        scored_predictions(run, options.split, options.window or ())
    with loading(options):
        from har.pipeline.explain import explain_errors, explain_windows
    paths = []
    with progress(options, "Explaining", len(runs)) as step:
        for run in runs:
            if options.window is not None:
                paths += explain_windows(run, options.split, options.window, archive=options.archive, method=options.method)
            else:
                more = {"method": options.method, "most": options.most, "command": typed()}
                paths.append(explain_errors(run, options.split, archive=options.archive, **more))
            step()
    answer_written(options, paths)
