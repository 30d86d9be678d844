"""The base64 field is there to be cheap: it never looks at the text character by character."""

import base64
import os

import pytest
from rest_framework import serializers

from diagnosis.api.fields import Base64ImageField
from tests.counting import steps_of

MEGABYTE_AND_A_HALF = os.urandom(1_050_000)
TEXT = base64.b64encode(MEGABYTE_AND_A_HALF).decode()  # 1.4 million characters
LINES = base64.encodebytes(MEGABYTE_AND_A_HALF).decode()


def test_it_gives_the_bytes() -> None:
    assert Base64ImageField().run_validation(TEXT) == MEGABYTE_AND_A_HALF


@pytest.mark.parametrize(
    "text",
    [TEXT, LINES, f"data:image/jpeg;base64,{TEXT}"],
    ids=["plain", "in lines", "data URL"],
)
def test_its_steps_do_not_grow_with_the_text(text: str) -> None:
    field = Base64ImageField()
    field.run_validation(text)  # what only the first call does is done
    assert steps_of(lambda: field.run_validation(text)) < 100


def test_those_of_a_character_field_do() -> None:
    assert steps_of(lambda: serializers.CharField().run_validation(TEXT)) > len(TEXT)
