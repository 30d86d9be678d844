"""``python -m webapp.server.supervised MODULE [ARGUMENT …]``: run a module while a
parent lives.

The parent holds the writing end of this process's standard input. When that closes, be it
because the parent wants so or because the parent was killed, the module gets SIGTERM: no
process is left behind even by SIGKILL, on any system that has pipes.
"""

import os
import runpy
import signal
import sys
import threading


def _wait_for_end_of_input() -> None:
    while os.read(0, 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


def main() -> None:
    """Watch standard input and become the module."""
    threading.Thread(target=_wait_for_end_of_input, daemon=True).start()
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
