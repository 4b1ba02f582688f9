"""What `har register` does."""

import argparse

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
        from har.tracking import CHAMPION
    found = register_bundle(bundle, options.runs, options.name)
    what = f"registered {found.name} version {found.version}" if found.new else f"{found.name} version {found.version} holds this bundle"
    text = f"{what}\n{found.reason}\nnext: mlflow.pyfunc.load_model('models:/{found.name}@{CHAMPION}'), see docs/tracking.md"
    answer(options, text, {"name": found.name, "version": found.version, "new": found.new, "reason": found.reason})
