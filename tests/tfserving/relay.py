"""Stands in front of a model server that a test may not kill, and can be killed in its place.

``python -m tests.tfserving.relay --port N --to HOST:PORT``: to a client its death is the server's.
"""

import argparse
import contextlib
import socket
import socketserver
import threading


class _Relay(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 128
    target: tuple[str, int]


class _Connection(socketserver.BaseRequestHandler):
    server: _Relay

    def handle(self) -> None:
        """Carry bytes both ways until either side ends."""
        with socket.create_connection(self.server.target) as behind:
            back = threading.Thread(target=_carry, args=(behind, self.request), daemon=True)
            back.start()
            _carry(self.request, behind)
            back.join()


def _carry(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while part := source.recv(64 * 1024):
            sink.sendall(part)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)


def main() -> None:
    """Relay until the process is killed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--to", required=True, metavar="HOST:PORT")
    options = parser.parse_args()
    host, _, port = options.to.rpartition(":")
    with _Relay(("127.0.0.1", options.port), _Connection) as relay:
        relay.target = (host, int(port))
        relay.serve_forever()


if __name__ == "__main__":
    main()
