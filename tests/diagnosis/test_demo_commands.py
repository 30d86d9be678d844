"""The commands that give a newcomer something to look at."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command

from diagnosis.imaging.synthetic import draw_smear
from diagnosis.models import Diagnosis
from diagnosis.state import Status
from patients.models import Patient, Specimen


@pytest.mark.django_db
def test_demo_data_goes_through_the_product_and_never_twice(clinician: User) -> None:
    for _ in range(2):
        call_command("demo_data", user=clinician.username, fields=2)
    assert Patient.objects.get().name == "Synthetic, drawn by software"
    assert Specimen.objects.get().accession_number == "SYNTHETIC-1"
    assert (
        list(Diagnosis.objects.values_list("status", "created_by"))
        == [(Status.SCREENED, clinician.pk)] * 2
    )


@pytest.mark.django_db
def test_demo_data_needs_a_user_to_stand_for() -> None:
    with pytest.raises(CommandError, match="no user 'nobody'"):
        call_command("demo_data", user="nobody")
    assert not Patient.objects.exists()


def test_draw_smear_writes_the_drawing(tmp_path: Path) -> None:
    call_command("draw_smear", str(tmp_path / "smear.png"), seed=3)
    written = cv2.cvtColor(cv2.imread(str(tmp_path / "smear.png")), cv2.COLOR_BGR2RGB)
    assert np.array_equal(written, draw_smear(3))


@pytest.mark.parametrize("name", ["smear.txt", "nowhere/smear.png"])
def test_draw_smear_says_why_it_cannot(tmp_path: Path, name: str) -> None:
    with pytest.raises(CommandError, match=r"smear\.(txt should end|png cannot be written)"):
        call_command("draw_smear", str(tmp_path / name))
