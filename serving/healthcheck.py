"""The container's health check: whether the web server is ready.

Asks by the container's own address, which the entry point has added to ALLOWED_HOSTS. Ready
does not mean that a model is there (see ``/readyz``): uploads are kept without one.
"""

import sys
import urllib.request

from serving.entrypoint import as_host, own_addresses

PORT = 8000
TIMEOUT_S = 4


def main() -> None:
    """Exit 0 when ready, else with a sentence that `docker inspect` shows."""
    address = next(iter(own_addresses()), "127.0.0.1")
    try:
        urllib.request.urlopen(
            f"http://{as_host(address)}:{PORT}/readyz", timeout=TIMEOUT_S
        ).close()
    except OSError as error:
        sys.exit(f"Not ready: {error}")


if __name__ == "__main__":
    main()
