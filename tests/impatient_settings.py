"""The tests' settings, with a database that is not waited for long."""

from tests.settings import *  # noqa: F403

DATABASES["default"]["OPTIONS"]["timeout"] = 0.2  # type: ignore[name-defined]  # noqa: F405
