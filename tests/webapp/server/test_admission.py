"""Who gets a place, who is sent away, and what is never begun."""

import io
import socket
import threading
from collections.abc import Iterable
from typing import Any

import pytest
from pytest_django import Settings

from tests.waiting import WITHIN_S, wait_until
from webapp.server.admission import Admission

UPLOAD = {"REQUEST_METHOD": "POST", "PATH_INFO": "/api/diagnose"}


class Call:
    """One request in a thread of its own, as the server makes it."""

    def __init__(self, application: Admission, **environ: Any) -> None:
        self.status = ""
        self.headers: dict[str, str] = {}
        self.error: BaseException | None = None
        self._application = application
        self._environ = {
            "SERVER_NAME": "x",
            "SERVER_PORT": "1",
            "wsgi.input": io.BytesIO(),
            **UPLOAD,
            **environ,
        }
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        try:
            list(self._application(self._environ, self._start))
        except BaseException as error:
            self.error = error

    def _start(self, status: str, headers: list[tuple[str, str]]) -> None:
        self.status, self.headers = status.split()[0], dict(headers)

    def wait(self) -> "Call":
        """Until it is answered."""
        self.thread.join(WITHIN_S)
        assert not self.thread.is_alive()
        return self


class Work:
    """An application that works until it may end."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.first = threading.Event()
        self.may_end = threading.Event()

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        self.begun.append(environ["PATH_INFO"])
        if environ["PATH_INFO"] == UPLOAD["PATH_INFO"]:
            self.first.set()
            assert self.may_end.wait(WITHIN_S)
        start_response("201 Created", [])
        return [environ["wsgi.input"].read()]


@pytest.fixture
def work() -> Work:
    return Work()


def test_what_is_too_much_hears_so_and_the_rest_is_answered(work: Work) -> None:
    admission = Admission(work, threads=1, line=1, turn_within_s=WITHIN_S)
    first = Call(admission)
    assert work.first.wait(WITHIN_S)
    queued = Call(admission)
    wait_until(admission.is_full)
    refused = Call(admission).wait()
    assert (refused.status, refused.headers["Content-Type"]) == ("503", "application/problem+json")
    assert int(refused.headers["Retry-After"]) > 0
    page = Call(admission, PATH_INFO="/patients/", HTTP_ACCEPT_LANGUAGE="en").wait()
    assert (page.status, page.headers["Content-Type"]) == ("503", "text/html; charset=utf-8")
    assert Call(admission, PATH_INFO="/healthz").wait().status == "201", "probes need no place"
    work.may_end.set()
    assert (first.wait().status, queued.wait().status) == ("201", "201")
    assert not admission.is_full()


def test_a_turn_that_does_not_come_is_not_waited_for(work: Work) -> None:
    admission = Admission(work, threads=1, line=1, turn_within_s=0.01)
    first = Call(admission)
    assert work.first.wait(WITHIN_S)
    assert Call(admission).wait().status == "503"
    work.may_end.set()
    assert first.wait().status == "201"
    assert len(work.begun) == 1


def test_work_whose_client_has_gone_is_not_begun(work: Work) -> None:
    admission = Admission(work, threads=1, line=1, turn_within_s=WITHIN_S)
    first = Call(admission)
    assert work.first.wait(WITHIN_S)
    ours, theirs = socket.socketpair()
    with ours:
        gone = Call(admission, **{"gunicorn.socket": ours})
        theirs.close()
        wait_until(admission.is_full)
        work.may_end.set()
        assert first.wait().status == "201"
        assert isinstance(gone.wait().error, ConnectionResetError)
    assert len(work.begun) == 1


def test_a_body_that_breaks_off_takes_no_place(work: Work) -> None:
    admission = Admission(work, threads=1, line=0)
    cut = Call(admission, CONTENT_LENGTH="100", **{"wsgi.input": io.BytesIO(b"x" * 10)}).wait()
    assert isinstance(cut.error, ConnectionResetError)
    assert not work.begun
    assert not admission.is_full()


def test_a_form_that_is_answered_unread_is_read_to_its_end(settings: Settings) -> None:
    """The connection would be reset with the rest underway, and the answer lost."""
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 10
    told: list[str] = []

    def signed_out(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        start_response("403 Forbidden", [])
        return []

    form = {"PATH_INFO": "/diagnoses/unassigned", "CONTENT_LENGTH": "200000"}
    for status, line in (("403", 0), ("503", -1)):  # a place, and none
        body = io.BytesIO(bytes(200_000))
        admission = Admission(
            signed_out, threads=1, line=line, taken_in=lambda environ: told.append("here")
        )
        answered = Call(admission, **form, **{"wsgi.input": body}).wait()
        assert answered.status == status
        assert body.tell() == 200_000
    assert not told, "so the time within which it has to come went on"
