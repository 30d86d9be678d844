"""The product's clock, in a test's hand."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from unittest import mock

from django.utils import timezone


@contextmanager
def clock_shifted(by: timedelta) -> Iterator[None]:
    """It is ``by`` later, or earlier, than it is."""
    real = timezone.now
    with mock.patch("django.utils.timezone.now", side_effect=lambda: real() + by):
        yield


@contextmanager
def clock_at(moment: datetime) -> Iterator[None]:
    """It is ``moment``, and stays so."""
    with mock.patch("django.utils.timezone.now", return_value=moment):
        yield
