"""The product as the tests see it, loaded when this is imported (``killed.forked``)."""

import os

import cv2
import django

os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
django.setup()

from django.urls import get_resolver  # noqa: E402

from diagnosis.fields import intake, screening  # noqa: E402, F401
from tests.diagnosis.made import pictures as support  # noqa: E402

cv2.setNumThreads(0)  # a fork has no threads of its own
support.make_contract()  # whose templates are drawn
get_resolver().url_patterns  # noqa: B018 - loads the views
