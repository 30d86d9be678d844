"""The product's settings for tests: a key of their own, nothing from a developer's .env."""

import os
import secrets
from unittest import mock

os.environ.setdefault("SECRET_KEY", secrets.token_urlsafe(50))
os.environ.setdefault("DATABASE_URL", "sqlite://:memory:")

with mock.patch("environs.Env.read_env"):
    from webapp.settings import *  # noqa: F403

# The manifest needs collectstatic first, and the real hasher takes a third of a second for
# every user; the browser tests run with the product's own settings.
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]

# As the product demands it (diagnosis.E002); the server's own default may be Latin-1.
if DATABASES["default"]["ENGINE"] == "django.db.backends.mysql":  # noqa: F405
    DATABASES["default"]["TEST"] = {"CHARSET": "utf8mb4"}  # noqa: F405
