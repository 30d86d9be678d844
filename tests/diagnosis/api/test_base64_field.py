"""The base64 field is there to be fast; this holds it against what it replaces."""

import base64
import os
import time
from collections.abc import Callable

from rest_framework import serializers

from diagnosis.api.fields import Base64ImageField

MEGABYTE_AND_A_HALF = os.urandom(1_050_000)
TEXT = base64.b64encode(MEGABYTE_AND_A_HALF).decode()  # 1.4 million characters


def _seconds(work: Callable[[], object]) -> float:
    def once() -> float:
        started = time.perf_counter()
        work()
        return time.perf_counter() - started

    return min(once() for _ in range(9))


def test_it_gives_the_bytes() -> None:
    assert Base64ImageField().run_validation(TEXT) == MEGABYTE_AND_A_HALF


def test_it_decodes_faster_than_a_character_field_only_looks() -> None:
    ours, theirs = Base64ImageField(), serializers.CharField()
    ratio = _seconds(lambda: theirs.run_validation(TEXT)) / _seconds(
        lambda: ours.run_validation(TEXT)
    )
    assert ratio > 5, f"CharField takes only {ratio:.1f} times as long"
