"""gunicorn's worker with threads, so that probes and refusals are answered whatever else waits.

Imports nothing of the application: gunicorn's first process loads this before it forks.
"""

import contextlib
import io
import re
import selectors
import socket
import sys
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from gunicorn.workers.gthread import TConn, ThreadWorker

TAKING_IN = 48  # requests of one process that are read, wait, or are worked on
PROBERS = 4
HEAD_WITHIN_S = 20.0
BODY_WITHIN_S = 30.0  # and so long as the declared length takes at
BYTES_PER_S = 32 * 2**10
LEAVE_WITHIN_S = 10.0
# Beside threads that compute, whoever only reads and answers waits so long at each step; Python's
# own 5 ms add up to seconds.
SWITCH_S = 0.0005

_HEAD_LOOKED_AT = 4096
_PROBE = re.compile(rb"(?:GET|HEAD) /(?:healthz|readyz|metrics)[ ?]")


class AdmittingWorker(ThreadWorker):  # type: ignore[misc]
    """Gives probes threads of their own, no thread to who says nothing, and 503 to who is too many.

    ``threads`` of them work (see ``webapp.server.admission``); the others only read and wait.
    """

    def init_process(self) -> None:
        """Make what the loop keeps; returns when the process ends."""
        sys.setswitchinterval(SWITCH_S)
        self.probers = ThreadPoolExecutor(PROBERS, thread_name_prefix="probe")
        self.taking_in = 0
        self.deadlines: dict[Any, float] = {}  # socket: when what it sends has to be here
        self.leaving: deque[tuple[float, TConn]] = deque()
        super().init_process()

    def get_thread_pool(self) -> ThreadPoolExecutor:
        """The threads that take requests in."""
        return ThreadPoolExecutor(TAKING_IN, thread_name_prefix="request")

    def load_wsgi(self) -> None:
        """Put the admission in front of the application."""
        self.wsgi: Any
        super().load_wsgi()
        from webapp.server.admission import Admission  # which needs the applications

        self.wsgi = Admission(self.wsgi, threads=self.cfg.threads, taken_in=self._taken_in)

    def enqueue_req(self, conn: TConn) -> None:
        """Find out, in the loop, which threads a connection is for."""
        try:
            head = conn.sock.recv(_HEAD_LOOKED_AT, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            if not conn.initialized:
                self._park(conn)
                return
            head = b""  # what it sent next has been read along with the last
        except OSError:
            head = b""  # who reads finds out
        if _PROBE.match(head):
            self._submit(self.probers, conn)
        elif self.taking_in < TAKING_IN and not self.wsgi.is_full():
            self.taking_in += 1
            self._submit(self.tpool, conn)
        else:
            self._turn_away(conn, head)

    def handle_request(self, req: Any, conn: TConn) -> Any:
        """As gunicorn's; the body has its own time to come."""
        length = next((value for name, value in req.headers if name == "CONTENT-LENGTH"), "0")
        seconds = BODY_WITHIN_S + (int(length) if length.isdecimal() else 0) / BYTES_PER_S
        self.deadlines[conn.sock] = time.monotonic() + seconds
        return super().handle_request(req, conn)

    def murder_pending(self) -> None:
        """Each round of the loop: end what took too long."""
        super().murder_pending()
        now = time.monotonic()
        for client, deadline in list(self.deadlines.items()):
            if deadline < now and self.deadlines.pop(client, None) is not None:
                with contextlib.suppress(OSError):  # whoever reads finds an end
                    client.shutdown(socket.SHUT_RD)
        while self.leaving and self.leaving[0][0] < now:
            self._left(self.leaving[0][1])

    def _submit(self, pool: ThreadPoolExecutor, conn: TConn) -> None:
        self.deadlines[conn.sock] = time.monotonic() + HEAD_WITHIN_S
        done = pool.submit(self.handle, conn)
        done.add_done_callback(lambda _: self.method_queue.defer(self._handled, pool, conn, done))

    def _handled(self, pool: ThreadPoolExecutor, conn: TConn, done: Any) -> None:
        self.deadlines.pop(conn.sock, None)
        if pool is self.tpool:
            self.taking_in -= 1
        self.finish_request(conn, done)

    def _taken_in(self, environ: dict[str, Any]) -> None:
        self.deadlines.pop(environ["gunicorn.socket"], None)

    def _park(self, conn: TConn) -> None:
        """Wait for the first byte without a thread."""
        conn.sock.setblocking(False)
        conn.set_timeout()
        self.pending_conns.append(conn)
        self.poller.register(
            conn.sock, selectors.EVENT_READ, partial(self.on_pending_socket_readable, conn)
        )

    def _turn_away(self, conn: TConn, head: bytes) -> None:
        """Answer 503 from the loop, and let the client finish before the connection is closed:
        cut off while it sends, it would see a broken connection instead of the answer."""
        conn.sock.setblocking(False)
        try:
            conn.sock.send(_busy(head))
            conn.sock.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # who reads to the end finds out
        except Exception:  # in the loop, which must go on
            self.log.exception("A request could not be refused.")
        self.leaving.append((time.monotonic() + LEAVE_WITHIN_S, conn))
        self.poller.register(conn.sock, selectors.EVENT_READ, partial(self._discard, conn))

    def _discard(self, conn: TConn, client: socket.socket) -> None:
        try:
            if client.recv(2**20):
                return
        except BlockingIOError:
            return
        except OSError:
            pass
        self._left(conn)

    def _left(self, conn: TConn) -> None:
        self.leaving = deque(entry for entry in self.leaving if entry[1] is not conn)
        self.poller.unregister(conn.sock)
        self.nr_conns -= 1
        conn.close()


def _busy(head: bytes) -> bytes:
    """The whole answer to a request of which only ``head`` has been looked at."""
    from webapp.server.admission import refuse
    from webapp.unavailable import BUSY

    line, _, rest = head.partition(b"\r\n")
    method, target = [*line.decode("latin-1").split(" "), "", ""][:2]
    environ: dict[str, Any] = {
        "REQUEST_METHOD": method or "GET",
        "PATH_INFO": target.partition("?")[0] or "/",
        "SERVER_NAME": "",
        "SERVER_PORT": "",
        "wsgi.input": io.BytesIO(),
    }
    for header in rest.decode("latin-1").split("\r\n"):
        name, _, value = header.partition(":")
        if name.lower() in ("accept-language", "cookie", "x-request-id"):
            environ["HTTP_" + name.upper().replace("-", "_")] = value.strip()
    said: list[str] = []

    def start_response(status: str, headers: list[tuple[str, str]]) -> None:
        said.extend([f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in headers)])

    body = b"".join(refuse(environ, start_response, BUSY))
    said += [f"Content-Length: {len(body)}", "Connection: close", "", ""]
    return "\r\n".join(said).encode("latin-1") + body
