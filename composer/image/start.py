"""The command `byoc` in an image. What is the first process of a container ignores SIGTERM until it
says otherwise, and the imports of the command take longer than an operator's patience may last.

It is run as a file, and imports nothing of the package before that is said.
"""

import os
import runpy
import signal
import sys


def at_once(number: int, frame: object) -> None:
    """Nothing has begun, so there is nothing to bring to an end."""
    os._exit(0)


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        for each in (signal.SIGTERM, signal.SIGINT):
            signal.signal(each, at_once)
    runpy.run_module("composer", run_name="__main__")
