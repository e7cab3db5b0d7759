"""Where the `rung` command begins: it imports the rest while Ctrl-C ends it at once, and without a traceback."""

from __future__ import annotations

import signal

__all__ = ["main"]


def main() -> None:
    """Run the command of this process' arguments.

    The imports take a second or two, in which nothing is there yet that would have to be stopped.
    """
    heard = signal.getsignal(signal.SIGINT) is signal.default_int_handler  # not where a shell has it ignored
    if heard:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from router.cli.commands import run

    if heard:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    run()
