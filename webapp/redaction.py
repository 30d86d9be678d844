"""Keeps what stands for a person out of the logs: who read which record is the audit trail's
to say, and fewer people may read that."""

import logging
import re

_IDENTIFIER = re.compile(r"(?<=/)(patients|specimens|cases|diagnoses)/(?!new$)[^/\s]+")


def without_identifiers(path: str) -> str:
    """The path of an address without accession numbers and record ids."""
    return _IDENTIFIER.sub(r"\1/…", path)


class RedactionFilter(logging.Filter):
    """Redacts the paths that Django names when it answers with an error."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Never drops a record."""
        if record.name.startswith("django.") and isinstance(record.args, tuple):
            record.args = tuple(
                without_identifiers(arg) if isinstance(arg, str) else arg for arg in record.args
            )
        return True
