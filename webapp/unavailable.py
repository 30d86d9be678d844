"""What keeps the product from doing its work for a while, and how long to wait for it.

The lowest layer beside logs and counters: whoever meets an error can ask what it means.
"""

import errno
from dataclasses import dataclass

from django.db import Error as DatabaseError
from django.db import InterfaceError, OperationalError
from django.utils.translation import gettext_noop as _


@dataclass(frozen=True)
class Trouble:
    """A state that passes; the request that met it may be sent again.

    Attributes:
        code: stable machine-readable name.
        message: one sentence that says what it is, in English; a key of the translations.
        retry_after_s: seconds after which asking again makes sense.
    """

    code: str
    message: str
    retry_after_s: int


BUSY = Trouble("busy", _("The server has more to do at this moment than it can take on."), 5)
DATABASE_BUSY = Trouble(
    "database_busy", _("The database is busy with other work, so nothing can be written now."), 5
)
DATABASE_AWAY = Trouble("database_unavailable", _("The database does not answer."), 10)
DATABASE_FULL = Trouble(
    "database_full", _("The database's disk is full: the operator has to make room."), 60
)
STORAGE_FULL = Trouble("storage_full", _("The disk is full: the operator has to make room."), 60)

# By the first words of SQLite's message, which is all it gives. Others (a missing table or
# column) are faults of ours, and stay a 500.
_SQLITE = {
    "database is locked": DATABASE_BUSY,
    "database table is locked": DATABASE_BUSY,
    "database schema is locked": DATABASE_BUSY,
    "database or disk is full": DATABASE_FULL,
    "unable to open database file": DATABASE_AWAY,
    "disk I/O error": DATABASE_AWAY,
    "attempt to write a readonly database": DATABASE_AWAY,
}
# By number, the server's and the client library's.
_MYSQL = {
    **dict.fromkeys(
        (
            1205,  # a lock was waited for in vain
            1213,  # of two that waited for each other, this one was given up
            1040,  # too many connections
            1203,  # the same, of this user
            1226,  # the user's other limits
            1969,  # a statement took longer than MariaDB allows
            3024,  # the same of MySQL
            3572,  # MySQL was told not to wait for a lock
        ),
        DATABASE_BUSY,
    ),
    **dict.fromkeys(
        (
            1021,  # the disk is full
            1114,  # the table is full
        ),
        DATABASE_FULL,
    ),
    **dict.fromkeys(
        (
            1044,  # the user may no longer use this database
            1045,  # nor sign in
            1049,  # the database is not there
            1053,  # the server is stopping
            1077,
            1079,
            1080,
            1129,  # it refuses this machine
            1130,
            1152,  # the connection was cut
            1158,
            1159,
            1160,
            1161,
            1184,
            1290,  # it was made read-only
            1836,
            1317,  # the statement was killed
            1927,  # the connection was killed
            2002,  # nothing can be reached
            2003,
            2005,
            2006,  # the server has gone away
            2012,
            2013,  # it went while a query ran
            2026,  # TLS failed
            2055,
            3169,  # the session was killed
            4031,  # it was idle for too long
        ),
        DATABASE_AWAY,
    ),
}


def trouble_of(error: BaseException | None) -> Trouble | None:
    """What ``error`` says of database or disk; ``None`` for what waiting does not mend."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return STORAGE_FULL
    if not isinstance(error, DatabaseError) or not error.args:
        return DATABASE_AWAY if isinstance(error, InterfaceError) else None
    said = error.args[0]
    if isinstance(said, int):
        # 0 is what the client library says of a connection that is closed already.
        return DATABASE_AWAY if said == 0 else _MYSQL.get(said)
    if isinstance(error, InterfaceError):
        return DATABASE_AWAY if "closed" in str(said).lower() else None
    if isinstance(error, OperationalError):
        return next((found for text, found in _SQLITE.items() if str(said).startswith(text)), None)
    return None
