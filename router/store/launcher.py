"""Starts the embedded server so that it dies with its parent. Run as a program, never imported for use.

    python launcher.py PARENT_PID STDIN_IS_LIFELINE -- command...

Linux: a parent-death signal is set, then the command replaces this process. Elsewhere (macOS has no such
signal) this process stays beside the command and ends it when standard input, a pipe that only the parent
holds open, closes.
Only the standard library, and little of it: this is part of every start.
"""

import os
import signal
import sys

PR_SET_PDEATHSIG = 1  # <linux/prctl.h>


def with_signal(parent: int, command: list[str]) -> None:
    """Ask the kernel for SIGTERM at the parent's death, then become the command."""
    import ctypes

    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() == parent:  # otherwise it died before the signal was armed
        os.execv(command[0], command)  # noqa: S606 - our own binary, no shell


def with_lifeline(command: list[str]) -> int:
    """Run the command; end it when the pipe on standard input closes."""
    import subprocess
    import threading

    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, close_fds=False)  # noqa: S603 - our own binary

    def watch() -> None:
        while os.read(0, 1):
            pass
        child.terminate()

    threading.Thread(target=watch, daemon=True).start()
    return child.wait()


if __name__ == "__main__":
    parent_pid, lifeline, command_line = int(sys.argv[1]), sys.argv[2] == "1", sys.argv[4:]
    if lifeline:
        sys.exit(with_lifeline(command_line))
    with_signal(parent_pid, command_line)
