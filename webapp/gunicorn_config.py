"""gunicorn's settings, wherever it runs: ``gunicorn -c python:webapp.gunicorn_config``.

Address and number of worker processes come from the command line or WEB_CONCURRENCY.
"""

from typing import Any

from gunicorn.glogging import Logger

from webapp.redaction import without_identifiers


class AccessLogger(Logger):
    """Leaves out of the path what stands for a person."""

    def atoms(self, *args: Any) -> dict[str, Any]:
        """What an access line can show."""
        atoms: dict[str, Any] = super().atoms(*args)
        atoms["U"] = without_identifiers(atoms["U"] or "")
        return atoms


wsgi_app = "webapp.wsgi"
logger_class = AccessLogger
accesslog = "-"
# Neither query string, address nor user agent; the request id leads to the application's lines.
access_log_format = "%(t)s %(m)s %(U)s %(s)s %(L)ss [%({x-request-id}o)s]"

# Threads share one copy of the model. Each process is forked before it is loaded (no preload),
# because interpreters and database connections do not survive a fork.
worker_class = "gthread"
threads = 4
timeout = 60  # a process that says nothing for so long is replaced
graceful_timeout = 10
keepalive = 5
control_socket_disable = True  # nothing manages gunicorn from beside; no file in $HOME
