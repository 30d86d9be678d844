"""What the pages say: the headline first, the class as a label of the data set, nothing more."""

import re

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils.html import strip_tags

from diagnosis.core.aggregate import Rule
from diagnosis.core.imaging.contract import LABELS
from diagnosis.core.imaging.validate import FIXES
from diagnosis.models import Case, Diagnosis
from diagnosis.portal import wording
from diagnosis.reports import wording as report_wording
from patients.models import Specimen
from tests.diagnosis.portal import records

pytestmark = [pytest.mark.django_db, pytest.mark.any_database]

BENIGN = (0.95, 0.02, 0.02, 0.01)


def text(client: Client, diagnosis: Diagnosis) -> str:
    """The page's words, white space collapsed."""
    answer = client.get(f"/diagnoses/{diagnosis.pk}")
    assert answer.status_code == 200
    return " ".join(strip_tags(answer.content.decode().replace("<", " <")).split())


def test_headline_stands_before_the_model_category(
    client_signed_in: Client, clinician: User, specimen: Specimen
) -> None:
    found = text(client_signed_in, records.screened(clinician, specimen))
    headline, category = "a qualified reader must look at the smear", "Model category Pre-B"
    assert 0 < found.index(headline) < found.index(category)
    assert "Model category Pre-B (data-set label; immunophenotyping required)" in found
    assert "Preliminary – AI, unverified" in found
    assert "Research use only. Not a medical device." in found


def test_probabilities_stand_in_the_labels_order_whatever_the_largest(
    client_signed_in: Client, clinician: User, specimen: Specimen
) -> None:
    diagnosis = records.screened(clinician, specimen, probabilities=(0.02, 0.03, 0.05, 0.9))
    found = text(client_signed_in, diagnosis)
    figures = "Benign 2.0\xa0% Malignant Early Pre-B 3.0\xa0% Malignant Pre-B 5.0\xa0%"
    assert " ".join(f"{figures} Malignant Pro-B 90.0\xa0%".split()) in found


def test_probabilities_keep_the_labels_order_when_the_database_does_not() -> None:
    shuffled = dict.fromkeys(reversed(LABELS), 0.25)
    bars = wording.probability_bars(Diagnosis(probabilities=shuffled, predicted_class=LABELS[2]))
    assert [bar.label for bar in bars] == list(LABELS)
    assert [bar.top for bar in bars] == [False, False, True, False]


@pytest.mark.parametrize("outcome", ["suspicious", "not_suspicious", "indeterminate", "rejected"])
def test_no_page_calls_anybody_normal_or_healthy(
    client_signed_in: Client, clinician: User, specimen: Specimen, outcome: str
) -> None:
    if outcome == "rejected":
        diagnosis = records.refused(clinician, specimen)
    else:
        diagnosis = records.screened(clinician, specimen, outcome=outcome, probabilities=BENIGN)
    for address in (f"/diagnoses/{diagnosis.pk}", "/", "/specimens/H26-1"):
        words = client_signed_in.get(address).content.decode()
        assert not re.search(r"normal|healthy|diagnostic use|clinical use", words, re.IGNORECASE)


def test_benign_is_explained_as_haematogones(
    client_signed_in: Client, clinician: User, specimen: Specimen
) -> None:
    diagnosis = records.screened(
        clinician, specimen, outcome="not_suspicious", probabilities=BENIGN
    )
    found = text(client_signed_in, diagnosis)
    assert "haematogones" in found
    assert "this does not exclude disease and must not delay microscopy" in found


def test_refused_image_says_which_check_its_score_and_what_to_do_and_no_class(
    client_signed_in: Client, clinician: User, specimen: Specimen
) -> None:
    found = text(client_signed_in, records.refused(clinician, specimen))
    assert "Rejected" in found
    assert "Colours of a stained smear: 0.12, needed at least 0.60." in found
    assert "Photograph a stained smear." in found
    assert "Bring the cells into focus." not in found, "that check passed"
    assert "Model category" not in found
    assert "Pre-B" not in found


def test_every_check_stands_with_score_threshold_and_verdict(
    client_signed_in: Client, clinician: User, specimen: Specimen
) -> None:
    found = text(client_signed_in, records.refused(clinician, specimen))
    assert "Colours of a stained smear failed 0.12, at least 0.60" in found
    assert "Focus passed 0.52, at least 0.30" in found


def test_every_check_has_a_name_in_words() -> None:
    assert set(report_wording._CHECKS) == set(FIXES)


def test_out_of_domain_score_stands_against_its_limit(
    client_signed_in: Client, clinician: User, specimen: Specimen, digest: str
) -> None:
    inside = records.screened(clinician, specimen, digest=digest, ood_score=4.2)
    assert "within the domain 4.2, at most 10" in text(client_signed_in, inside)
    outside = records.screened(
        clinician, specimen, digest=digest, ood_score=15.3, outcome="indeterminate"
    )
    assert "outside the domain 15.3, at most 10" in text(client_signed_in, outside)


def test_limits_of_another_version_of_the_contract_are_not_quoted(
    client_signed_in: Client, clinician: User, specimen: Specimen
) -> None:
    found = text(client_signed_in, records.screened(clinician, specimen, digest="e" * 64))
    assert "not judged 4.2" in found
    assert "at most 10" not in found
    assert "Suspicious from" not in found


@pytest.mark.parametrize(
    ("outcome", "probabilities", "ood_score", "why"),
    [
        ("suspicious", (0.35, 0.3, 0.2, 0.15), 4, "together reach 65.0 %, which is above the "
         "limit for suspicious (60.0 %)"),
        ("indeterminate", (0.5, 0.3, 0.1, 0.1), 4, "50.0 %: between the limits for not "
         "suspicious (20.0 % at most) and suspicious (60.0 % at least)"),
        ("indeterminate", (0.01, 0.97, 0.01, 0.01), 15.3, "unlike the images the model was "
         "trained on (distance 15.3, limit 10)"),
    ],
)  # fmt: skip
def test_page_says_why_class_and_outcome_differ(
    client_signed_in: Client,
    clinician: User,
    specimen: Specimen,
    digest: str,
    outcome: str,
    probabilities: tuple[float, ...],
    ood_score: float,
    why: str,
) -> None:
    diagnosis = records.screened(
        clinician,
        specimen,
        outcome=outcome,
        probabilities=probabilities,
        ood_score=ood_score,
        digest=digest,
    )
    assert why in text(client_signed_in, diagnosis).replace("\xa0", " ")


def test_page_says_nothing_of_a_difference_where_there_is_none(
    client_signed_in: Client, clinician: User, specimen: Specimen, digest: str
) -> None:
    found = text(client_signed_in, records.screened(clinician, specimen, digest=digest))
    assert "most probable" not in found


def test_received_field_says_it_waits_and_its_page_looks_again(
    client_signed_in: Client, clinician: User, specimen: Specimen
) -> None:
    diagnosis = records.received(clinician, specimen)
    assert "Waiting for the model" in text(client_signed_in, diagnosis)
    page = client_signed_in.get(f"/diagnoses/{diagnosis.pk}").content.decode()
    assert "data-waiting" in page
    assert f'<noscript><p><a href="/diagnoses/{diagnosis.pk}">' in page
    done = records.screened(clinician, specimen)
    assert "data-waiting" not in client_signed_in.get(f"/diagnoses/{done.pk}").content.decode()


def test_failed_field_says_what_failed(
    client_signed_in: Client, clinician: User, specimen: Specimen
) -> None:
    found = text(client_signed_in, records.failed(clinician, specimen))
    assert "The model could not be reached after several attempts." in found
    assert "Preliminary" not in found


def test_record_says_who_when_which_image_and_which_model(
    client_signed_in: Client, clinician: User, specimen: Specimen, digest: str
) -> None:
    diagnosis = records.screened(clinician, specimen, digest=digest)
    found = text(client_signed_in, diagnosis)
    for shown in (
        "By clinician",
        "all_smear, version 1",
        "custom_cnn",
        digest[:12],
        "field.png",
        "128 × 96 pixels",
        diagnosis.upload_sha256,
        diagnosis.image_sha256,
    ):
        assert shown in found, shown


@pytest.mark.parametrize(
    ("share", "printed"),
    [
        (0.9731, "97.3 %"),
        (1.0, "100.0 %"),
        (0.99996, "> 99.9 %"),
        (0.0, "0.0 %"),
        (2e-7, "< 0.1 %"),
        (None, ""),
    ],
)
def test_a_share_is_never_rounded_to_certainty(share: float | None, printed: str) -> None:
    assert wording.percent(share).replace("\xa0", " ") == printed


def test_hostile_file_name_is_text(
    client_signed_in: Client, clinician: User, specimen: Specimen
) -> None:
    from diagnosis.fields.intake import diagnosis_create

    name = '"><script>alert(1)</script>.png'
    diagnosis, _ = diagnosis_create(
        actor=clinician, upload=records.png(), file_name=name, specimen=specimen
    )
    page = client_signed_in.get(f"/diagnoses/{diagnosis.pk}").content.decode()
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert" in page


@pytest.mark.parametrize(
    ("score", "threshold", "printed"),
    [
        (0.9123, 0.6, ("0.91", "0.60")),
        (0.5964, 0.6, ("0.596", "0.600")),
        (0.0021, 0.005, ("0.002", "0.005")),
        (768.0, 224.0, ("768", "224")),
        (0.6, 0.6, ("0.6000", "0.6000")),
        (0.0, 0.005, ("0.000", "0.005")),
    ],
)
def test_a_score_just_below_its_threshold_is_not_printed_equal(
    score: float, threshold: float, printed: tuple[str, str]
) -> None:
    assert wording.figures(score, threshold) == printed


# --- The case ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "counts", "sentence"),
    [
        (
            "suspicious_field",
            {"suspicious": 1, "not_suspicious": 2},
            "and 1 of 3 usable fields is.",
        ),
        ("suspicious_field", {"suspicious": 2}, "and 2 of 2 usable fields are."),
        ("fields_wait", {"waiting": 2, "rejected": 1}, "fields wait for the model: 2 of 3."),
        ("too_few_fields", {"not_suspicious": 1}, "fewer than 5 usable fields nothing"),
        ("too_few_fields", {"not_suspicious": 1}, "and there is 1."),
        ("too_few_fields", {"not_suspicious": 4}, "and there are 4."),
        ("indeterminate_field", {"indeterminate": 1, "not_suspicious": 5}, "of 1 of 6 usable"),
        ("all_not_suspicious", {"not_suspicious": 7}, "All 7 usable fields are not suspicious"),
        ("all_not_suspicious", {"not_suspicious": 7}, "This does not exclude disease"),
    ],
)
def test_the_rule_of_a_case_is_said_with_its_figures(
    rule: str, counts: dict[str, int], sentence: str
) -> None:
    assert sentence in wording.case_rule(Case(rule=rule, **counts), minimum=5)


def test_every_rule_has_its_sentence() -> None:
    for rule in Rule:
        assert wording.case_rule(Case(rule=rule.value), minimum=5)


def test_specimen_page_says_what_the_software_says_of_the_case(
    client_signed_in: Client, clinician: User, specimen: Specimen
) -> None:
    address = f"/specimens/{specimen.accession_number}"
    assert "Case:" not in client_signed_in.get(address).content.decode()
    records.screened(clinician, specimen)
    page = " ".join(strip_tags(client_signed_in.get(address).content.decode()).split())
    assert "Case: Suspicious" in page
    assert "Preliminary – AI, unverified" in page
    assert "and 1 of 1 usable fields is." in page
