"""What `har register` does."""

import argparse

from har.cli.commands import BUNDLE
from har.cli.output import answer


def register(options: argparse.Namespace) -> None:
    from har.pipeline.register import register_bundle
    from har.tracking import CHAMPION

    found = register_bundle(options.bundle or BUNDLE, options.runs, options.name)
    what = f"registered {found.name} version {found.version}" if found.new else f"{found.name} version {found.version} holds this bundle"
    lines = [what, found.reason, f"next: mlflow.pyfunc.load_model('models:/{found.name}@{CHAMPION}'), see docs/tracking.md"]
    answer(options, lines, {"name": found.name, "version": found.version, "new": found.new, "reason": found.reason})
