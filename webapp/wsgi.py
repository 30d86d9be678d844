"""WSGI entry point; gunicorn loads ``webapp.wsgi:application`` in each process it has forked."""

import os

from django.conf import settings
from django.core.wsgi import get_wsgi_application

from webapp import tracing

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "webapp.settings")

tracing.start(settings.TRACES_URL, "leukemia-web")  # before the middleware is loaded
application = get_wsgi_application()
