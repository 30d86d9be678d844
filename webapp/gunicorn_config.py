"""gunicorn's settings, wherever it runs: ``gunicorn -c python:webapp.gunicorn_config``.

Address and number of worker processes come from the command line or WEB_CONCURRENCY.
"""

import os
import runpy
import shutil
import tempfile
from pathlib import Path
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from gunicorn.glogging import Logger

from webapp.logs.json_lines import JsonFormatter
from webapp.logs.redaction import RedactionFilter, without_identifiers
from webapp.logs.request_id import RequestIdFilter
from webapp.private_files import private_from_now_on
from webapp.telemetry.tracing import TRACE_ID

try:
    # Run, not imported: after a reload (SIGHUP) the new processes shall find fresh settings.
    _LOG_FORMAT = runpy.run_path(str(Path(__file__).with_name("settings.py")))["LOG_FORMAT"]
except ImproperlyConfigured as error:
    raise SystemExit(f"Configuration: {error}") from error


class DiscreetLogger(Logger):
    """Leaves out what stands for a person, and writes JSON where the application does."""

    def setup(self, cfg: Any) -> None:
        """Give gunicorn's handlers the application's filters and format."""
        super().setup(cfg)
        for handler in (*self.error_log.handlers, *self.access_log.handlers):
            handler.addFilter(RedactionFilter())
            if _LOG_FORMAT == "json":
                handler.setFormatter(JsonFormatter())
        if _LOG_FORMAT == "json":
            for handler in self.error_log.handlers:
                handler.addFilter(RequestIdFilter())

    def atoms(self, *args: Any) -> dict[str, Any]:
        """What an access line can show."""
        atoms: dict[str, Any] = super().atoms(*args)
        atoms["U"] = without_identifiers(atoms["U"] or "")
        return atoms

    def access(self, *args: Any) -> None:
        """One line for one answer; in JSON, with fields to search by."""
        if _LOG_FORMAT != "json":
            super().access(*args)
            return
        atoms = self.atoms(*args)
        fields = {
            "method": atoms["m"],
            "path": atoms["U"],
            "status": int(atoms["s"]),
            "seconds": float(atoms["L"]),
            "request_id": atoms.get("{x-request-id}o", "-"),
            "trace_id": atoms.get(f"{{{TRACE_ID}}}e", ""),
        }
        self.access_log.info("%(m)s %(U)s %(s)s", atoms, extra=fields)

    def warning(self, msg: str, *args: Any, **kwargs: Any) -> None:
        """gunicorn quotes what it could not parse, which may be anybody's data."""
        if msg.startswith("Invalid request from ip="):
            msg = f"{msg.partition(': ')[0]}: malformed"
        super().warning(msg, *args, **kwargs)


wsgi_app = "webapp.wsgi"
logger_class = DiscreetLogger
accesslog = "-"
# Neither query string, address nor user agent; the request id leads to the application's lines.
access_log_format = "%(t)s %(m)s %(U)s %(s)s %(L)ss [%({x-request-id}o)s]"

# Threads share one copy of the model. Each process is forked before it is loaded (no preload),
# because interpreters and database connections do not survive a fork.
worker_class = "webapp.server.worker.AdmittingWorker"
threads = 4  # that work; others read requests and let them wait (webapp.server.admission)
timeout = 60  # a process that says nothing for so long is replaced
graceful_timeout = 10
keepalive = 5
control_socket_disable = True  # nothing manages gunicorn from beside; no file in $HOME


def on_starting(server: Any) -> None:
    """The processes add up their metrics in a fresh folder; `serve` gives one that the worker
    shares."""
    private_from_now_on()  # gunicorn's own `umask` is for its sockets alone
    server.metrics_folder = tempfile.mkdtemp(prefix="leukemia-metrics-")
    os.environ.setdefault("PROMETHEUS_MULTIPROC_DIR", server.metrics_folder)


def child_exit(server: Any, worker: Any) -> None:
    """What a dead process said of its present state (circuits) no longer counts."""
    from prometheus_client import multiprocess  # which looks for the folder when imported

    multiprocess.mark_process_dead(worker.pid)


def on_exit(server: Any) -> None:
    """Only gunicorn's first process comes here."""
    shutil.rmtree(server.metrics_folder, ignore_errors=True)
