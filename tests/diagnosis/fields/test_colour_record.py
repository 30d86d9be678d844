"""That a field's colours were converted is on its record, wherever that is shown."""

import cv2
import numpy as np
import pytest
from django.contrib.auth.models import User
from django.test import Client

from diagnosis.core.colour_profiles.icc import adobe_rgb
from diagnosis.core.formats.decode import decode
from diagnosis.core.imaging.thumbnail import thumbnail
from diagnosis.models import Case, Diagnosis
from diagnosis.reports.content.field_rows import field_row
from diagnosis.reports.content.snapshot import case_content
from diagnosis.reports.wording import colour_sentence
from diagnosis.storage.media import media_read
from patients.models import Specimen
from tests.diagnosis.killed.steps import create_field, run_field
from tests.diagnosis.made.pictures import FakePredictor, drawn, encode, smear_jpeg

pytestmark = pytest.mark.django_db

NOTE = "converted: Adobe RGB (1998)"
SENTENCE = "Colours converted to sRGB from “Adobe RGB (1998)”."


@pytest.fixture
def field(clinician: User, specimen: Specimen, predictor: FakePredictor) -> Diagnosis:
    upload = encode("JPEG", drawn(1, 240, 320), quality=92, icc_profile=adobe_rgb())
    return run_field(create_field(clinician, upload, specimen))


def test_page_api_and_report_say_so(client: Client, clinician: User, field: Diagnosis) -> None:
    assert field.colour_conversion == NOTE
    client.force_login(clinician)
    assert SENTENCE in client.get(field.get_absolute_url()).content.decode()
    assert client.get(f"/api/diagnoses/{field.pk}").json()["colour_conversion"] == NOTE
    (content,) = case_content(Case.objects.get(specimen=field.specimen))["fields"]
    assert content["colour_conversion"] == NOTE
    assert SENTENCE in field_row(content, None, str).remarks


def test_of_an_ordinary_field_nothing_is_said(
    client: Client, clinician: User, specimen: Specimen, predictor: FakePredictor
) -> None:
    field = run_field(create_field(clinician, smear_jpeg(1), specimen))
    client.force_login(clinician)
    assert "<dt>Colours</dt>" not in client.get(field.get_absolute_url()).content.decode()
    (content,) = case_content(Case.objects.get(specimen=specimen))["fields"]
    del content["colour_conversion"]  # as it is in contents that were signed before there was one
    assert not any("sRGB" in remark for remark in field_row(content, None, str).remarks)


def test_what_is_shown_has_the_colours_that_were_judged(field: Diagnosis) -> None:
    stored = media_read(field.image_name, field.image_sha256)
    small = cv2.imdecode(np.frombuffer(thumbnail(stored), np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    judged = decode(stored).rgb
    assert small.shape == judged.shape
    assert np.abs(small.astype(int) - judged).mean() < 3
    unconverted = decode(smear_jpeg(1)).rgb
    assert np.abs(judged.astype(int) - unconverted).mean() > 1.5


@pytest.mark.parametrize("why", ["broken", "other pixels", "absurd", "too large"])
def test_why_a_profile_was_ignored_has_a_sentence(why: str) -> None:
    assert colour_sentence(f"ignored: {why}").startswith("The file’s colour profile was ignored: ")
    assert colour_sentence("") == ""
