"""``cl-strategies``: list, show, run, compare, tune, report, metrics, export, new, datasets,
doctor.

Only what a command needs is imported, when it is needed: Avalanche takes seconds.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Sequence

from cl_strategies.cli.completion import complete
from cl_strategies.cli.console import hold_streams, say, warn
from cl_strategies.cli.exit_codes import EXIT_BAD_INPUT, EXIT_INTERRUPTED
from cl_strategies.cli.parser import make_parser
from cl_strategies.errors import UserError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code.

    0: done. 1: done, but a run failed (the report says why). 2: bad input, said in one message.
    """
    # Avalanche's solver dependency warns on import about solvers that nothing here uses.
    os.environ.setdefault("PYTHONWARNINGS", "ignore:no QP solver found:UserWarning")
    warnings.filterwarnings("ignore", message="no QP solver found")
    hold_streams()
    parser = make_parser()
    complete(parser)
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    if not arguments:
        parser.print_help(sys.stderr)
        return EXIT_BAD_INPUT
    options = parser.parse_args(arguments)
    options.arguments = arguments
    try:
        code: int = options.command(options)
    except UserError as error:
        warn(str(error))
        return EXIT_BAD_INPUT
    except KeyboardInterrupt:
        say("")  # ends the line of the bar, and of ^C
        warn("interrupted; the same command continues")
        return EXIT_INTERRUPTED
    return code
