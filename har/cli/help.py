"""Commands about the command itself: what is here, and completion in a shell."""

import argparse

from har.cli.commands import BUNDLE
from har.cli.output import answer

SHELLS = ("bash", "zsh", "tcsh")


def doctor(options: argparse.Namespace) -> None:
    from har.pipeline.doctor import as_data, examine, report

    found = examine(options.runs, BUNDLE)
    answer(options, report(found), as_data(found))


def completion(options: argparse.Namespace) -> None:
    import shtab

    from har.cli.parser import build_parser

    parser = build_parser()
    script = shtab.complete(parser, shell=options.shell)  # nosec B604 # the name of a shell, none is started
    answer(options, script, {"shell": options.shell, "script": script})
