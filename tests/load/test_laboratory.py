"""The records of ``tests.load.laboratory`` are such as the product itself would have made."""

from collections.abc import Iterator

import pytest
from django.apps import apps
from django.contrib.auth.models import User
from django.db import connection, transaction
from django.db.models import Count, F
from pytest_django import Settings

from diagnosis.cases.services import case_refresh
from diagnosis.core.imaging.contract import ModelContract
from diagnosis.models import Case, Diagnosis, Report, Review
from diagnosis.models.triggers import history_protect
from patients.models import Patient, Specimen
from tests.diagnosis.made.pictures import make_contract
from tests.load.laboratory import LARGE, USUAL, Laboratory, accession
from webapp.audit.models import AuditEvent
from webapp.audit.triggers import triggers_drop, triggers_make

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def laboratory() -> Iterator[Laboratory]:
    if connection.vendor != "mysql":
        pytest.skip("MariaDB or MySQL makes the rows")
    contract: ModelContract = make_contract()
    laboratory = Laboratory(1000, 2, ("a.jpg", "b.jpg"), contract)
    User.objects.create_user("demo", pk=1)
    triggers_drop()
    with connection.cursor() as cursor:
        for statement in laboratory.statements():
            cursor.execute(statement)
            cursor.fetchall()
    connection.close()  # with the laxness of its session
    history_protect()
    triggers_make(apps.get_app_config("audit"))
    yield laboratory
    connection.close()


def test_the_records_are_such_as_the_product_makes(
    laboratory: Laboratory, settings: Settings
) -> None:
    settings.MIN_USABLE_FIELDS = 2
    assert Diagnosis.objects.count() == 1000
    assert Specimen.objects.count() == Case.objects.count() == laboratory.specimens
    assert Patient.objects.count() == laboratory.patients
    assert AuditEvent.objects.count() == 3000
    assert Diagnosis.objects.filter(specimen=None).count() > 200
    for number, fields in ((1, LARGE), (2, USUAL), (laboratory.specimens // 2, laboratory.fields)):
        specimen = Specimen.objects.get(accession_number=accession(number, laboratory.specimens))
        assert specimen.diagnoses.count() == fields
    for case in Case.objects.all():
        with transaction.atomic():
            counted = case_refresh(case.specimen_id)
        for name in ("headline", "rule", "calm", "reviewed", "suspicious", "waiting", "rejected"):
            assert getattr(counted, name) == getattr(case, name), (case.pk, name)
    found = dict(Case.objects.values_list("headline").annotate(Count("pk")))
    assert found.keys() == {"suspicious", "indeterminate", "waiting", "not_suspicious"}
    assert Case.objects.filter(closed=0).count() == laboratory.open_cases
    assert not Case.objects.filter(closed=1, reviewed__lt=F("suspicious")).exists()
    assert Report.objects.count() == Case.objects.filter(closed=1).count()
    assert all(report.signatures.count() == 1 for report in Report.objects.all())
    assert not Review.objects.exclude(label=F("diagnosis__predicted_class")).exists()
