"""Entry point of `penstock`; an interrupt during its imports ends it in one line too."""

from __future__ import annotations

import os
import signal
from types import FrameType


def _end_now(_: int, __: FrameType | None) -> None:
    # nothing is open yet; unwinding half-made imports would print a traceback or swallow the signal
    os.write(2, b"penstock: interrupted\n")
    os._exit(130)


def main() -> None:
    """Run the command line of this process."""
    usual = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if usual:  # not where a shell started this process with the signal ignored
        signal.signal(signal.SIGINT, _end_now)
    # looking for plugins reads the metadata of every installed package
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    from penstock.cli.app import main as run_command

    if usual:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    run_command()


if __name__ == "__main__":
    main()
