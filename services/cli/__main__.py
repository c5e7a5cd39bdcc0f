"""The `artlab` command, from its first moment on."""

from __future__ import annotations

import os
import signal

from services.cli.domain.exit_codes import INTERRUPTED


def main() -> None:
    """Run the command. Ctrl-C while it is still being imported ends it without a stack trace."""
    found = signal.getsignal(signal.SIGINT)
    # Somebody who let it be ignored, as nohup does, is not asked.
    if found is signal.default_int_handler:
        # Nothing is under way yet, and an import may swallow a KeyboardInterrupt.
        signal.signal(signal.SIGINT, lambda *_: os._exit(INTERRUPTED))
    from services.cli import program

    signal.signal(signal.SIGINT, found)
    program.main()


if __name__ == "__main__":
    main()
