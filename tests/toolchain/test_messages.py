"""The committed translations are those of the code: complete, none fuzzy, compiled."""

import gettext
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.product import ROOT, copy_product

pytestmark = pytest.mark.xdist_group("messages")  # they share what `make messages` makes

LOCALE = Path("webapp/locale")
CATALOGUES = sorted(path.relative_to(ROOT) for path in (ROOT / LOCALE).glob("*/*/django.po"))


@pytest.fixture(scope="module")
def updated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the product after `make messages`."""
    root = copy_product(tmp_path_factory.mktemp("messages") / "product")
    (root / "tests").mkdir()
    for name in ("Makefile", "tests/settings.py"):
        shutil.copy(ROOT / name, root / name)
    subprocess.run(
        ["make", "-o", "dev", "messages", f"PY={sys.executable}"],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
        check=True,
    )
    return root


def test_german_is_there() -> None:
    assert CATALOGUES == [LOCALE / "de/LC_MESSAGES/django.po"]


@pytest.mark.parametrize("catalogue", CATALOGUES, ids=str)
def test_every_string_of_the_code_is_in_the_catalogue_and_no_other(
    updated: Path, catalogue: Path
) -> None:
    fresh, committed = ((root / catalogue).read_text("utf-8") for root in (updated, ROOT))
    assert fresh == committed, "run `make messages`, and translate what is new"


@pytest.mark.parametrize("which", ["--untranslated", "--only-fuzzy"])
@pytest.mark.parametrize("catalogue", CATALOGUES, ids=str)
def test_every_string_is_translated(catalogue: Path, which: str) -> None:
    left = subprocess.run(
        ["msgattrib", which, ROOT / catalogue], capture_output=True, text=True, check=True
    ).stdout
    assert left == ""


@pytest.mark.parametrize("catalogue", CATALOGUES, ids=str)
def test_the_compiled_catalogue_is_that_of_the_source(updated: Path, catalogue: Path) -> None:
    compiled = catalogue.with_suffix(".mo")
    assert messages(ROOT / compiled) == messages(updated / compiled)


@pytest.mark.parametrize("placeholder", ["{frames}", "%(number)s"])
def test_a_lost_placeholder_stops_make_messages(tmp_path: Path, placeholder: str) -> None:
    for catalogue in CATALOGUES:
        text = (ROOT / catalogue).read_text("utf-8")
        broken = re.sub(rf'(?m)^(msgstr ".*){re.escape(placeholder)}', r"\1", text, count=1)
        assert broken != text
        po = tmp_path / "django.po"
        po.write_text(broken, "utf-8")
        check = ["msgfmt", "--check-format", "-o", os.devnull, po]
        done = subprocess.run(check, capture_output=True, text=True, check=False)
        assert done.returncode == 1
        assert placeholder.strip("{}%()s") in done.stderr


def messages(compiled: Path) -> dict[object, str]:
    """What a compiled catalogue holds; its bytes depend on the version of msgfmt."""
    with compiled.open("rb") as file:
        return gettext.GNUTranslations(file)._catalog  # type: ignore[attr-defined]
