"""The console of all commands: plain where nobody reads, and calm when the reader leaves."""

from __future__ import annotations

import os
import sys

from rich.console import Console


class Terminal(Console):
    """Goes on in silence when the other end of a pipe is closed (`artlab demo … | head -1`)."""

    def __init__(self) -> None:
        # No highlighting: numbers in a person's text have no colours.
        super().__init__(highlight=False)

    def on_broken_pipe(self) -> None:
        """Write to nowhere from now on; what was begun is brought to its end."""
        self.quiet = True
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
