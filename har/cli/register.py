"""What `har register` does."""

import argparse
import os
import shlex

from har.cli.commands import BUNDLE, bundle_of
from har.cli.output import answer, loading


def register(options: argparse.Namespace) -> None:
    from har.runtime.bundle import of_one_folder, read_bundle
    from har.tracking import check_store

    bundle = bundle_of(options) or BUNDLE
    of_one_folder(read_bundle, bundle)
    check_store(options.runs)
    with loading(options):
        from har.pipeline.register import register_bundle
        from har.tracking import CHAMPION, VARIABLE, tracking_uri
    found = register_bundle(bundle, options.runs, options.name)
    what = f"registered {found.name} version {found.version}" if found.new else f"{found.name} version {found.version} holds this bundle"
    uri = f"models:/{found.name}@{CHAMPION}"
    # Where the variable is set, it may hold a password, and the user has it.
    store = "" if os.environ.get(VARIABLE) else f"{VARIABLE}={shlex.quote(tracking_uri(options.runs))} "
    script = shlex.quote(f"import mlflow; print(mlflow.pyfunc.load_model({uri!r}))")
    lines = [what, found.reason, f"next: {store}python -c {script}; see docs/tracking.md to serve it"]
    answer(options, lines, {"name": found.name, "version": found.version, "new": found.new, "reason": found.reason})
