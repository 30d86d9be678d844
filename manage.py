#!/usr/bin/env python
"""Django's command line."""

import os
import sys

from django.core.exceptions import ImproperlyConfigured

from webapp.private_files import private_from_now_on


def main() -> None:
    """Run a management command; a wrong configuration is one sentence, not a traceback."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "webapp.settings")
    private_from_now_on()
    from django.conf import settings
    from django.core.management import execute_from_command_line

    try:
        settings.configured or settings.INSTALLED_APPS
    except ImproperlyConfigured as error:
        sys.exit(f"Configuration: {error}")
    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
