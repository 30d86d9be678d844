"""Log lines as JSON, one object a line, for whatever collects them (``LOG_FORMAT=json``)."""

from typing import Any

from pythonjsonlogger.json import JsonFormatter as _JsonFormatter

# Nothing else of a record: Django attaches the whole request to some, and its text has the
# address with the query string. The last four are of access lines.
FIELDS = (
    "timestamp",
    "level",
    "logger",
    "message",
    "request_id",
    "trace_id",
    "exception",
    "method",
    "path",
    "status",
    "seconds",
)


class JsonFormatter(_JsonFormatter):
    """``timestamp`` (RFC 3339, UTC), ``level``, ``logger``, ``message``, ``request_id``, and
    where there is one ``trace_id`` and ``exception``; see ``FIELDS``."""

    def __init__(self) -> None:
        super().__init__(
            ["levelname", "name", "message"],
            rename_fields={
                "levelname": "level",
                "name": "logger",
                "exc_info": "exception",
                "status_code": "status",
            },
            timestamp=True,
        )

    def process_log_record(self, log_data: dict[str, Any]) -> dict[str, Any]:
        """Keep what is in ``FIELDS``, in that order."""
        return {name: log_data[name] for name in FIELDS if log_data.get(name) not in (None, "")}
