"""Upload, reading, signature and amendment of a case, by the portal, the API and the worker.

``python -m tests.diagnosis.made.whole_case`` on the database of DATABASE_URL; prints what
became of it.
"""

import os
import re
import sys
from unittest import mock

import django


def main() -> None:
    """One person does it all; the model is made up."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    django.setup()
    from django.conf import settings
    from django.contrib.auth.models import Group, User
    from django.core.management import call_command
    from django.test import Client

    from diagnosis.models import Case, Diagnosis
    from tests.diagnosis.made.pictures import FakePredictor, live, make_contract, smear_jpeg

    settings.ALLOWED_HOSTS = ["testserver"]
    user = User.objects.create_user("reader", password="a long pass phrase", is_staff=True)
    user.groups.add(*Group.objects.filter(name__in=["Haematologist", "Auditor"]))
    client = Client()
    assert client.post("/login", {"username": "reader", "password": "a long pass phrase"})
    patient = client.post(
        "/api/patients", {"medical_record_number": "M-1", "name": "Ada Example"}, "application/json"
    ).json()
    specimen = {"accession_number": "W-1", "patient": patient["id"]}
    assert client.post("/api/specimens", specimen, "application/json").status_code == 201
    predictor = FakePredictor(make_contract())
    with mock.patch("diagnosis.fields.live_model._current", live(predictor)):
        fields = [upload(client, smear_jpeg(1)), upload(client, smear_jpeg(2), specimen="W-1")]
        call_command("worker", "--batch")
    client.post(f"/diagnoses/{fields[0]}/assign", {"accession_number": "W-1"})
    for field in fields:
        client.post(f"/diagnoses/{field}/review", {"verdict": "agree"})
    for reason in ("", "The comment was missing."):
        if reason:
            client.post("/specimens/W-1/amend", {"reason": reason})
        page = client.get("/specimens/W-1/sign").content.decode()
        found = re.search(r'name="seen" value="([0-9a-f]{64})"', page)
        seen = found[1] if found else ""
        form = {"headline": "suspicious", "comment": reason, "password": "a long pass phrase"}
        client.post("/specimens/W-1/sign", {"seen": seen, **form})
    for address in (
        "/", "/dashboard", "/patients/", "/specimens/W-1", "/specimens/W-1/report.pdf",
        f"/diagnoses/{fields[0]}", f"/diagnoses/{fields[0]}/image", "/admin/audit/auditevent/",
        "/healthz", "/readyz",
    ):  # fmt: skip
        say(address, client.get(address).status_code)
    case = Case.objects.get()
    say("case", case.status, case.suspicious, case.reviewed, case.reports.count())
    say("fields", *Diagnosis.objects.order_by("pk").values_list("status", flat=True))
    client.post("/logout")


def upload(client: "django.test.Client", data: bytes, **members: str) -> int:  # type: ignore[name-defined]
    """Send a field; gives its number."""
    from django.core.files.uploadedfile import SimpleUploadedFile

    answer = client.post("/api/diagnose", {"image": SimpleUploadedFile("f.jpg", data), **members})
    return int(answer.json()["id"])


def say(*words: object) -> None:
    """A line for whoever has started this."""
    sys.stdout.write(" ".join(map(str, words)) + "\n")


if __name__ == "__main__":
    main()
