"""Start the service that an image was built for, named by the variable SERVICE.

An exec-form ENTRYPOINT knows no variables, and a shell as process 1 would not pass on SIGTERM.
"""

from __future__ import annotations

import os
import runpy
import sys

from services.kit.settings import DEFAULT_PORTS, EX_CONFIG


def main() -> None:
    """Become the service; SystemExit 78 when SERVICE names none."""
    service = os.environ.get("SERVICE", "")
    if service not in DEFAULT_PORTS:
        print(f"artlab: SERVICE must be one of {', '.join(sorted(DEFAULT_PORTS))}", file=sys.stderr)
        raise SystemExit(EX_CONFIG)
    runpy.run_module(f"services.{service}", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
