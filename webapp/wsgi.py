"""WSGI entry point; gunicorn loads ``webapp.wsgi:application`` in each process it has forked."""

import os

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.wsgi import get_wsgi_application

from webapp.telemetry import tracing

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "webapp.settings")

tracing.start(settings.TRACES_URL, "leukemia-web")  # before the middleware is loaded
application = get_wsgi_application()

# gunicorn runs no system checks, and records that are half a backup's must not be served.
from diagnosis.operations.checks import restore_has_ended  # noqa: E402 - after the applications are there

for problem in restore_has_ended():
    raise ImproperlyConfigured(f"{problem.msg} {problem.hint}")
