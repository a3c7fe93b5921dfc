"""The console script, also as ``python -m edgewright``."""

from __future__ import annotations

import signal


def main() -> None:
    """Run the command line.

    Until a command is there that can end well, Ctrl-C ends it as SIGTERM does, without Python's traceback.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from pipeline.cli.main import main as run

    run()


if __name__ == "__main__":
    main()
