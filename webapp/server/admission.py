"""How much work one web process takes on at once; whoever comes on top hears so at once.

A request is taken in first, by a thread that does nothing else: a client that sends slowly holds
up nobody. Then it gets a place: a thread that works, or one in the line for them. Without a place,
or when its turn does not come in time, it is answered 503 with ``Retry-After``.
"""

import contextlib
import errno
import io
import select
import tempfile
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, wait
from threading import Lock
from typing import Any

from django.conf import settings
from django.core.handlers.wsgi import WSGIRequest
from django.http import HttpRequest, HttpResponse

from diagnosis.operations.health import PROBES
from webapp.api.errors import unavailable
from webapp.logs.request_id import RequestIdMiddleware
from webapp.middleware.body_limits import body_limit, declared_length, discard
from webapp.middleware.language import LanguageMiddleware
from webapp.telemetry.metrics import NOT_ADMITTED, MetricsMiddleware
from webapp.unavailable import BUSY, STORAGE_FULL, Trouble

LINE = 24  # requests that wait for a working thread; about two seconds of uploads
TURN_WITHIN_S = 10.0
IN_MEMORY = 2**20  # of one body; the rest of it waits in a file without a name

_PIECE = 2**16

Environ = dict[str, Any]
Application = Callable[..., Iterable[bytes]]


class Admission:
    """A WSGI application around another, which it calls in ``threads`` threads of its own.

    Args:
        taken_in: told the environment of each request whose body has come.
    """

    def __init__(
        self,
        application: Application,
        *,
        threads: int,
        line: int = LINE,
        turn_within_s: float = TURN_WITHIN_S,
        taken_in: Callable[[Environ], None] = lambda environ: None,
    ) -> None:
        self._application = application
        self._turn_within_s = turn_within_s
        self._taken_in = taken_in
        self._places = threads + line
        self._taken = 0
        self._lock = Lock()
        self._workers = ThreadPoolExecutor(threads, thread_name_prefix="work")

    def __call__(self, environ: Environ, start_response: Any) -> Iterable[bytes]:
        """Answer one request.

        Raises:
            ConnectionResetError: the client has gone, so nobody hears an answer.
        """
        if environ["PATH_INFO"] in PROBES:  # the server gives them threads of their own
            return self._application(environ, start_response)
        on_the_line = environ["wsgi.input"]
        try:
            is_here = _take_in(environ)
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            return refuse(environ, start_response, STORAGE_FULL)
        if is_here:
            self._taken_in(environ)
            return self._admit(environ, start_response)
        answer = self._admit(environ, start_response)
        discard(on_the_line.read, declared_length(environ))  # what could be answered unread
        return answer

    def is_full(self) -> bool:
        """Whether a request that came now would get no place."""
        return self._taken >= self._places

    def _admit(self, environ: Environ, start_response: Any) -> Iterable[bytes]:
        if not self._take_place():
            return refuse(environ, start_response, BUSY)
        try:
            turn = self._workers.submit(self._work, environ, start_response)
        except RuntimeError:  # the process is ending
            self._leave_place()
            return refuse(environ, start_response, BUSY)
        turn.add_done_callback(lambda _: self._leave_place())
        wait([turn], self._turn_within_s)
        if turn.cancel():
            return refuse(environ, start_response, BUSY)
        return turn.result()

    def _take_place(self) -> bool:
        with self._lock:
            if self.is_full():
                return False
            self._taken += 1
            return True

    def _leave_place(self) -> None:
        with self._lock:
            self._taken -= 1

    def _work(self, environ: Environ, start_response: Any) -> Iterable[bytes]:
        if _has_gone(environ.get("gunicorn.socket")):
            NOT_ADMITTED.labels("gone").inc()
            raise ConnectionResetError(errno.ECONNRESET, "The client has gone.")
        return self._application(environ, start_response)


def refuse(environ: Environ, start_response: Any, trouble: Trouble) -> Iterable[bytes]:
    """Answer 503 without any of the application's work."""

    def answer(request: HttpRequest) -> HttpResponse:
        return unavailable(request, trouble)

    NOT_ADMITTED.labels(trouble.code).inc()
    handle = RequestIdMiddleware(MetricsMiddleware(LanguageMiddleware(answer)))
    response = handle(WSGIRequest(environ))
    start_response(f"{response.status_code} {response.reason_phrase}", list(response.items()))
    return [response.content]


def _take_in(environ: Environ) -> bool:
    """Read the body before anybody works; what will be refused for its length is only read.

    Returns:
        Whether all of it is here. A form with so many fields that Django writes them to files
        itself is left on the line.

    Raises:
        OSError: ENOSPC, the temporary folder is full; ECONNRESET, the body did not come.
    """
    source = environ["wsgi.input"]
    length = declared_length(environ)
    if length is None or length > body_limit(environ["PATH_INFO"]):
        discard(source.read, length)
        environ["wsgi.input"] = io.BytesIO()
    elif length > settings.DATA_UPLOAD_MAX_MEMORY_SIZE:
        return False
    elif length > 0:
        environ["wsgi.input"] = _spool(source.read, length)
    return True


def _spool(read: Callable[[int], bytes], length: int) -> Any:
    spool = tempfile.SpooledTemporaryFile(IN_MEMORY)  # noqa: SIM115 - read by the application
    left = length
    try:
        while left > 0:
            piece = read(min(_PIECE, left))
            if not piece:
                raise ConnectionResetError(errno.ECONNRESET, "The body did not come.")
            left -= len(piece)
            spool.write(piece)
    except OSError as error:
        with contextlib.suppress(OSError):
            spool.close()
        if error.errno == errno.ENOSPC:
            discard(read, left)
        raise
    spool.seek(0)
    return spool


def _has_gone(client: Any) -> bool:
    """Whether the other end of a socket has hung up; unknown is no."""
    if client is None or not hasattr(select, "POLLRDHUP"):
        return False
    poll = select.poll()
    poll.register(client, select.POLLRDHUP | select.POLLHUP)
    return bool(poll.poll(0))
