"""Commands about the command itself: what is here, and completion in a shell."""

import argparse
import sys

from har.cli.commands import BUNDLE
from har.cli.output import answer

SHELLS = ("bash", "zsh", "tcsh")


def doctor(options: argparse.Namespace) -> None:
    from har.pipeline.doctor import as_data, examine, report

    found = examine(options.runs, BUNDLE)
    answer(options, report(found).split("\n"), as_data(found))


def completion(options: argparse.Namespace) -> None:
    import shtab

    from har.cli.parser import build_parser

    parser = build_parser()
    script = shtab.complete(parser, shell=options.shell)  # nosec B604 # the name of a shell, none is started
    if options.json:
        answer(options, [], {"shell": options.shell, "script": script})
    else:
        sys.stdout.write(f"{script}\n")  # as it is: its tabs and escape sequences belong to it
