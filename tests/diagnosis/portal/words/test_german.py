"""What the pages say in German: the same figures, and nothing that English may not say either."""

import re

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import translation

from diagnosis.core.aggregate import Rule
from diagnosis.core.errors import ImageRefusedError
from diagnosis.core.formats.decode import decode
from diagnosis.core.imaging.validate import FIXES
from diagnosis.models import Case, Diagnosis
from diagnosis.portal import wording
from diagnosis.portal.views.dashboard import duration
from patients.models import Specimen
from tests.diagnosis.portal import records
from tests.product import ROOT

pytestmark = [pytest.mark.django_db, pytest.mark.any_database]

GERMAN = {"HTTP_ACCEPT_LANGUAGE": "de"}


def test_nothing_is_called_normal_or_healthy() -> None:
    text = (ROOT / "webapp/locale/de/LC_MESSAGES/django.po").read_text("utf-8")
    said = " ".join(re.findall(r'(?m)^msgstr(?:\[\d\])? "(.*)"$', text))
    assert "nicht verdächtig" in said
    assert not re.search(r"normal|gesund|unauffällig|negativ|Diagnostikum", said, re.IGNORECASE)


@pytest.mark.parametrize(
    ("share", "printed"),
    [(0.9842, "98,4 %"), (1.0, "100,0 %"), (0.99996, "> 99,9 %"), (2e-7, "< 0,1 %"), (None, "")],
)
def test_a_share_has_its_comma(share: float | None, printed: str) -> None:
    with translation.override("de"):
        assert wording.percent(share).replace("\xa0", " ") == printed


def test_every_fix_of_the_input_checks_is_translated() -> None:
    validation = {
        "checks": [
            {"name": name, "score": 0.1, "threshold": 0.5, "passed": False, "fix": fix}
            for name, fix in FIXES.items()
        ]
    }
    bars = {}
    for language in ("en-gb", "de"):
        with translation.override(language):
            bars[language] = wording.check_bars(Diagnosis(validation=validation))
    for english, german, fix in zip(bars["en-gb"], bars["de"], FIXES.values(), strict=True):
        assert english.fix == fix
        assert german.fix != fix
        assert german.label != english.label
        assert (german.text, german.limit) == ("0,10", "mindestens 0,50")
        assert (german.value, german.tick) == (english.value, english.tick)


def test_a_fix_of_an_earlier_wording_is_shown_as_it_was_stored() -> None:
    check = {"name": "focus", "score": 1, "threshold": 2, "passed": False, "fix": "Focus again."}
    with translation.override("de"):
        [bar] = wording.check_bars(Diagnosis(validation={"checks": [check]}))
    assert bar.fix == "Focus again."


def test_a_refusal_keeps_its_figures() -> None:
    refusal = ImageRefusedError("x", "The file holds {frames} pictures (an animation or several "
                           "pages).", "Send one still picture per file.", frames=12)  # fmt: skip
    assert refusal.message == "The file holds 12 pictures (an animation or several pages)."
    with translation.override("de"):
        assert wording.refusal_message(refusal) == (
            "Die Datei enthält 12 Bilder (eine Animation oder mehrere Seiten)."
        )
        assert wording.refusal_fix(refusal) == "Senden Sie je Datei ein einzelnes Standbild."
    assert wording.refusal_message(refusal) == refusal.message


def test_a_refusal_of_the_decoder_is_translated() -> None:
    with pytest.raises(ImageRefusedError) as caught:
        decode(b"no picture")
    with translation.override("de"):
        assert wording.refusal_message(caught.value) == "Die Datei ist kein lesbares Bild."


@pytest.mark.parametrize("rule", list(Rule))
def test_the_rule_of_a_case_has_the_same_figures(rule: Rule) -> None:
    case = Case(rule=rule.value, suspicious=3, indeterminate=4, not_suspicious=5, waiting=6)
    english = wording.case_rule(case, minimum=17)
    with translation.override("de"):
        german = wording.case_rule(case, minimum=17)
    assert german != english
    assert sorted(re.findall(r"\d+", german)) == sorted(re.findall(r"\d+", english))


def test_why_class_and_outcome_differ_in_german(
    clinician: User, specimen: Specimen, digest: str
) -> None:
    field = records.screened(
        clinician, specimen, probabilities=(0.35, 0.3, 0.2, 0.15), digest=digest
    )
    with translation.override("de"):
        why = wording.why_class_and_outcome_differ(field, records.contract())
    assert why.startswith("Benign ist die wahrscheinlichste einzelne Kategorie")
    assert "65,0\xa0%" in why
    assert "„verdächtig“ (60,0\xa0%)" in why


def test_lists_are_german_and_their_bars_and_addresses_are_not(
    client_signed_in: Client, clinician: User, specimen: Specimen
) -> None:
    field = records.screened(clinician, specimen)
    listed = client_signed_in.get("/diagnoses", **GERMAN).content.decode()
    for words in ("90,0\xa0%", "\nVerdächtig</span>", f">Gesichtsfeld {field.pk}<", ">Bestanden<"):
        assert words in listed
    page = client_signed_in.get(f"/diagnoses/{field.pk}", **GERMAN).content.decode()
    assert 'width="0.9"' in page
    assert not re.search(r'(width|x1|x2|height)="\d+,', page)
    work_list = client_signed_in.get("/", **GERMAN).content.decode()
    assert "1 von 1 verwertbar" in work_list
    assert ">Neu<" in work_list
    assert ">Routine<" in work_list


@pytest.mark.parametrize(
    ("seconds", "printed"),
    [(3.42, "3,4 s"), (720.0, "12,0 min"), (18_360.0, "5,1 h"), (None, "–")],
)
def test_a_duration_has_its_comma(seconds: float | None, printed: str) -> None:
    with translation.override("de"):
        assert duration(seconds).replace("\xa0", " ") == printed
