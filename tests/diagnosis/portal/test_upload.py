"""Uploading in the portal: several files at once, each standing or falling by itself."""

import hashlib
from typing import Any

import cv2
import numpy as np
import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from numpy.typing import NDArray
from pytest_django import Settings

from diagnosis.core.imaging.contract import ModelContract
from diagnosis.core.predictors.base import Explanation, Prediction
from diagnosis.fields.queue import screen_waiting
from diagnosis.fields.selectors import diagnoses_due
from diagnosis.models import Diagnosis
from diagnosis.portal.upload_form import FEW
from patients.models import Specimen
from tests.diagnosis.made import dicom_files
from tests.diagnosis.made.pictures import live
from tests.diagnosis.portal import records
from webapp.audit.models import AuditEvent

pytestmark = [pytest.mark.django_db, pytest.mark.any_database]
ADDRESS = "/specimens/H26-1"


def file(data: bytes, name: str = "field.png") -> SimpleUploadedFile:
    return SimpleUploadedFile(name, data, content_type="image/png")


def upload(client: Client, *files: SimpleUploadedFile, address: str = ADDRESS) -> str:
    answer = client.post(address, {"fields": list(files)})
    assert answer.status_code == 200
    return answer.content.decode()


class Answering:
    """A predictor that always says Pro-B: what a page does with an answer is tested, not it."""

    contract: ModelContract = records.contract()

    def predict(self, images: NDArray[np.uint8]) -> list[Prediction]:
        return [Prediction((0.01, 0.01, 0.02, 0.96), 3.0) for _ in images]

    def explain(self, image: NDArray[np.uint8]) -> Explanation:
        raise NotImplementedError


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("diagnosis.fields.live_model._current", live(Answering()))


def test_field_is_stored_under_the_uploader_and_waits_while_no_model_is_live(
    client_signed_in: Client, clinician: User, specimen: Specimen
) -> None:
    page = upload(client_signed_in, file(records.png(), "left-07.png"))
    diagnosis = Diagnosis.objects.get()
    assert diagnosis.specimen == specimen
    assert diagnosis.created_by == clinician
    assert diagnosis.file_name == "left-07.png"
    assert diagnosis.status == "received"
    assert "badge--waiting" in page
    assert f'<a href="/diagnoses/{diagnosis.pk}"><bdi>left-07.png</bdi></a>' in page
    assert AuditEvent.objects.filter(action="diagnosis.received", actor=clinician).count() == 1


def test_several_files_one_of_them_bad_loses_nothing_and_names_the_bad_one(
    client_signed_in: Client, specimen: Specimen
) -> None:
    page = upload(
        client_signed_in,
        file(records.png(), "first.png"),
        file(b"%PDF-1.7 not a photograph", "report.pdf"),
        file(b"", "empty.png"),
        file(records.png(), "last.png"),
    )
    assert [d.file_name for d in Diagnosis.objects.order_by("id")] == ["first.png", "last.png"]
    assert page.count('data-result="stored"') == 2
    refused = page.split('data-result="refused"')[1:]
    assert "report.pdf" in refused[0]
    assert "The file is not an image that can be read." in refused[0]
    assert "Send a JPEG, PNG, TIFF, BMP, WebP, GIF or DICOM file." in refused[0]
    assert "empty.png" in refused[1]
    assert "The file is empty." in refused[1]


def test_file_above_the_limit_is_named_with_the_limit(
    client_signed_in: Client, specimen: Specimen, settings: Settings
) -> None:
    settings.MAX_UPLOAD_BYTES = 2**20
    page = upload(client_signed_in, file(b"x" * (2**20 + 1), "scan.tif"), file(records.png()))
    assert "scan.tif" in page
    assert "1.0 MiB; 1 MiB are taken at most." in page
    assert Diagnosis.objects.count() == 1


def test_full_disk_is_said_of_the_file_it_hit(
    client_signed_in: Client, specimen: Specimen, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*paths: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("diagnosis.storage.media.os.replace", fail)
    page = upload(client_signed_in, file(records.png(), "left-07.png"))
    assert "left-07.png" in page
    assert "could not be kept" in page
    assert not Diagnosis.objects.exists()


def test_large_photograph_goes_through(client_signed_in: Client, specimen: Specimen) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (1200, 1200, 3), dtype=np.uint8)
    data = cv2.imencode(".png", noise)[1].tobytes()
    assert len(data) > 4_000_000, "more than Django keeps in memory by default"
    upload(client_signed_in, file(data))
    assert Diagnosis.objects.get().width == 1200


def test_same_upload_again_links_to_the_field_that_is_there(
    client_signed_in: Client, specimen: Specimen
) -> None:
    data = records.png()
    upload(client_signed_in, file(data))
    page = upload(client_signed_in, file(data, "renamed.png"))
    diagnosis = Diagnosis.objects.get()
    assert "This image is already here" in page
    assert f'href="/diagnoses/{diagnosis.pk}"' in page


def test_no_file_is_asked_for(client_signed_in: Client, specimen: Specimen) -> None:
    assert "Choose at least one image file." in upload(client_signed_in)


def test_screened_field_shows_its_outcome_at_once(
    client_signed_in: Client, specimen: Specimen, model: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(Answering.contract.thresholds, "colour_histogram", -1.0)  # type: ignore[arg-type]
    page = upload(client_signed_in, file(records.png(300, 400)))
    assert Diagnosis.objects.get().predicted_class == "Malignant Pro-B"
    assert "badge--suspicious" in page.split("data-upload-results")[1]


def test_refused_field_is_kept_and_shows_check_and_fix_at_once(
    client_signed_in: Client, specimen: Specimen, model: None
) -> None:
    page = upload(client_signed_in, file(records.png(300, 400), "receipt.png"))
    assert Diagnosis.objects.get().status == "refused"
    result = page.split("data-upload-results")[1].split("</ul>")[0]
    assert "badge--rejected" in result
    assert "Colours of a stained smear: " in result
    assert "needed at least 0.60." in result
    assert "Photograph a Giemsa-type stained blood smear" in result


def test_script_gets_the_result_alone(client_signed_in: Client, specimen: Specimen) -> None:
    answer = client_signed_in.post(
        ADDRESS, {"fields": file(records.png())}, headers={"X-Requested-With": "fetch"}
    )
    text = answer.content.decode().strip()
    assert text.startswith('<li class="upload-result" data-result="stored">')
    assert "<html" not in text


def test_upload_without_specimen_stands_under_unassigned(client_signed_in: Client) -> None:
    page = upload(client_signed_in, file(records.png()), address="/diagnoses/unassigned")
    diagnosis = Diagnosis.objects.get()
    assert diagnosis.specimen is None
    assert f'action="/diagnoses/{diagnosis.pk}/assign"' in page


def test_readers_may_not_upload(reader: Client, specimen: Specimen) -> None:
    for address in (ADDRESS, "/diagnoses/unassigned"):
        assert reader.post(address, {"fields": file(records.png())}).status_code == 403
    assert not Diagnosis.objects.exists()


def test_form_of_another_site_is_refused(clinician: User, specimen: Specimen) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(clinician)
    assert client.post(ADDRESS, {"fields": file(records.png())}).status_code == 403
    assert not Diagnosis.objects.exists()


# --- Many files --------------------------------------------------------------------------


def tasks() -> int:
    from django_tasks_db.models import DBTaskResult

    return DBTaskResult.objects.count()


def test_many_files_are_kept_and_left_to_the_worker(
    client_signed_in: Client,
    specimen: Specimen,
    model: None,
    django_capture_on_commit_callbacks: Any,
) -> None:
    files = [file(records.png(), f"field-{number}.png") for number in range(FEW + 1)]
    with django_capture_on_commit_callbacks(execute=True):
        page = upload(client_signed_in, *files)
    assert page.count("badge--waiting") >= FEW + 1
    assert f"0 of {FEW + 1} fields screened" in page
    assert set(Diagnosis.objects.values_list("status", "attempts")) == {("received", 0)}
    assert len(diagnoses_due()) == FEW + 1
    assert tasks() == 1, "one worker is told, not one for each file"


def test_a_few_are_screened_at_once(
    client_signed_in: Client, specimen: Specimen, model: None
) -> None:
    page = upload(client_signed_in, *(file(records.png()) for _ in range(FEW)))
    assert not Diagnosis.objects.filter(status="received").exists()
    assert "fields screened" not in page
    assert tasks() == 0


def test_one_of_many_that_come_one_by_one_is_left_to_the_worker(
    client_signed_in: Client,
    specimen: Specimen,
    model: None,
    django_capture_on_commit_callbacks: Any,
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        client_signed_in.post(ADDRESS, {"fields": [file(records.png())], "later": "1"})
    assert Diagnosis.objects.get().status == "received"
    assert tasks() == 1


def test_a_queue_that_is_away_costs_no_upload(
    client_signed_in: Client,
    specimen: Specimen,
    model: None,
    django_capture_on_commit_callbacks: Any,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise ConnectionError("redis is away")

    monkeypatch.setattr(type(screen_waiting), "enqueue", refuse)
    with django_capture_on_commit_callbacks(execute=True):
        answer = client_signed_in.post(ADDRESS, {"fields": [file(records.png())], "later": "1"})
    assert answer.status_code == 200
    assert len(diagnoses_due()) == 1
    assert "The task queue is away: ConnectionError" in caplog.text


# --- What is here already ----------------------------------------------------------------


def held(client: Client, *sums: str, address: str = ADDRESS) -> Any:
    return client.post(f"{address}/held", {"sha256": list(sums)})


def test_the_script_is_told_which_files_the_specimen_has_and_the_audit_what_it_saw(
    client_signed_in: Client, clinician: User, specimen: Specimen
) -> None:
    here, elsewhere, new = (records.png() for _ in range(3))
    upload(client_signed_in, file(here))
    upload(client_signed_in, file(elsewhere), address="/diagnoses/unassigned")
    sums = [hashlib.sha256(data).hexdigest() for data in (here, elsewhere, new)]
    first, second = Diagnosis.objects.order_by("id")
    assert held(client_signed_in, *sums).json() == {"held": {sums[0]: f"/diagnoses/{first.pk}"}}
    lone = held(client_signed_in, *sums, address="/diagnoses/unassigned").json()
    assert lone == {"held": {sums[1]: f"/diagnoses/{second.pk}"}}
    seen = AuditEvent.objects.filter(action="diagnosis.listed", actor=clinician).order_by("id")
    assert [event.detail for event in seen] == [{"ids": [first.pk]}, {"ids": [second.pk]}]


def test_nothing_held_is_nothing_told(client_signed_in: Client, specimen: Specimen) -> None:
    assert held(client_signed_in, "0" * 64).json() == {"held": {}}
    assert held(client_signed_in).json() == {"held": {}}


def test_too_many_sums_and_what_is_no_sum_are_refused(
    client_signed_in: Client, specimen: Specimen
) -> None:
    assert held(client_signed_in, *["0" * 64] * 200).status_code == 200
    assert held(client_signed_in, *["0" * 64] * 201).status_code == 400
    for wrong in ("", "0" * 63, "G" * 64, f"{'0' * 64}\n"):
        assert held(client_signed_in, wrong).status_code == 400


def test_only_who_may_upload_may_ask_and_only_by_a_form_of_this_site(
    reader: Client, clinician: User, client: Client, specimen: Specimen
) -> None:
    for address in (ADDRESS, "/diagnoses/unassigned"):
        assert held(reader, "0" * 64, address=address).status_code == 403
        assert reader.get(f"{address}/held").status_code == 405
        assert held(Client(), "0" * 64, address=address).status_code == 302
        strict = Client(enforce_csrf_checks=True)
        strict.force_login(clinician)
        assert held(strict, "0" * 64, address=address).status_code == 403
    client.force_login(clinician)
    assert held(client, "0" * 64, address="/specimens/unknown").status_code == 404


def test_the_page_tells_its_script_the_limits(
    client_signed_in: Client, specimen: Specimen, settings: Settings
) -> None:
    settings.MAX_UPLOAD_BYTES = 3 * 2**20
    page = client_signed_in.get(ADDRESS).content.decode()
    assert f'data-few="{FEW}" data-max-bytes="3145728" data-held="{ADDRESS}/held"' in page
    assert "The file has more than 3 MiB." in page
    page = client_signed_in.get("/diagnoses/unassigned").content.decode()
    assert 'data-held="/diagnoses/unassigned/held"' in page


def test_refused_files_stand_first(client_signed_in: Client, specimen: Specimen) -> None:
    page = upload(client_signed_in, file(records.png()), file(b"no image", "notes.txt"))
    refused, stored = page.index('data-result="refused"'), page.index('data-result="stored"')
    assert refused < stored


def test_a_dicom_photograph_is_taken(client_signed_in: Client, specimen: Specimen) -> None:
    upload(client_signed_in, file(dicom_files.READABLE["rle"], "field.dcm"))
    diagnosis = Diagnosis.objects.get()
    assert (diagnosis.media_type, diagnosis.width) == ("image/png", 160)
