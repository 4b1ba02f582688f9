"""The command `har`. Thin: every command parses its options, calls one function and prints.

Heavy imports happen inside the command that needs them, so that ``har --help`` and ``har predict`` start at once.
"""

import signal
import sys
from types import FrameType

from har.cli.output import complain, speaking
from har.cli.parser import build_parser, current
from har.errors import HarError
from har.files import FULL

EXTRAS = {"captum": "explain", "ray": "ray"}  # what `train` does not install


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit code: 0, 2 for a mistake of the user, 1 for ours, 130 after Ctrl-C."""
    arguments = sys.argv[1:] if arguments is None else arguments
    debug = "--debug" in arguments
    try:
        options = build_parser().parse_args(current(arguments))
        options.json, options.quiet = "--json" in arguments, "--quiet" in arguments
        signal.signal(signal.SIGTERM, _terminate)
        with speaking(options):
            options.run(options)
        return 0
    except HarError as error:
        if debug:
            raise
        complain(str(error), error.code)
        return 2
    except ModuleNotFoundError as error:
        if debug or (error.name or "").split(".")[0] == "har":
            raise
        extra = EXTRAS.get((error.name or "").split(".")[0], "train")
        complain(f"this command needs {error.name}, which is not installed; pip install 'wearable-har[{extra}]'", "dependency")
        return 2
    except KeyboardInterrupt:
        complain("interrupted")
        return 130
    except BrokenPipeError:
        sys.stderr.close()  # the reader of our output has gone, as in `har compare | head`
        return 0
    except OSError as error:
        if debug:
            raise
        where = (error.filename2 if error.errno in FULL else None) or error.filename or "a file"  # the second one is the target of a copy
        complain(f"cannot read or write {where} ({error.strerror or error}); check the path, its permissions and the free space", "file")
        return 2
    except Exception as error:
        if debug:
            raise
        complain(f"unexpected {type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}; run again with --debug")
        return 1


def _terminate(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)
