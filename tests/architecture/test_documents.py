"""What the documentation names exists, and what must be named is."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from export.training.recipes import RECIPES
from tests.architecture.rooms import PAGE, PICTURE, drawn
from tests.product import ROOT

DOCS = ROOT / "docs"
PAGES = sorted(path.relative_to(ROOT) for folder in (ROOT, DOCS) for path in folder.glob("*.md"))
# Pages for whoever changes the code: what they name in the code is looked up.
OF_THE_CODE = [
    Path("CONTRIBUTING.md"),
    Path("SECURITY.md"),
    Path("docs/architecture.md"),
    Path("docs/glossary.md"),
    Path("docs/portal.md"),
]
PACKAGES = ("webapp", "diagnosis", "patients", "export", "tests")
_QUOTED = re.compile(r"`([^`\n]+)`")
_DOTTED = re.compile(rf"(?:{'|'.join(PACKAGES)})(?:\.\w+)+")
_PATH = re.compile(rf"(?:{'|'.join(PACKAGES)}|serving|docs|requirements)/[\w./-]+")


def _text(page: Path) -> str:
    return (ROOT / page).read_text("utf-8")


def test_the_picture_is_that_of_the_contracts() -> None:
    found = PICTURE.findall(PAGE.read_text("utf-8"))
    assert found == [drawn()], "run `python -m tests.architecture.rooms`"


def test_every_package_has_its_row_and_no_other() -> None:
    packages = {
        ".".join(init.parent.relative_to(ROOT).parts)
        for package in PACKAGES[:-1]
        for init in (ROOT / package).rglob("__init__.py")
    }
    # Django says where commands and migrations lie, and gives each language a folder of formats.
    own = {
        name for name in packages if not re.search(r"\.(commands|migrations|formats\.\w+)$", name)
    }
    (rooms,) = re.findall(r"(?ms)^## The rooms$(.*?)^## ", PAGE.read_text("utf-8"))
    assert sorted(re.findall(r"(?m)^\| `([\w.]+)` \|", rooms)) == sorted(own)


@pytest.mark.parametrize("page", OF_THE_CODE, ids=str)
def test_what_a_page_names_in_the_code_exists(page: Path) -> None:
    named = _QUOTED.findall(_text(page))
    assert named
    assert [name for name in named if _DOTTED.fullmatch(name) and not exists(name)] == []
    paths = [name for name in named if _PATH.fullmatch(name)]
    assert [path for path in paths if not (ROOT / path).exists()] == []


@pytest.mark.parametrize(
    ("name", "there"),
    [
        ("diagnosis.core.pipeline", True),
        ("diagnosis.core.pipeline.decide", True),
        ("diagnosis.core.state.Status.RECEIVED", True),
        ("diagnosis.models.Diagnosis", True),
        ("patients.models.Specimen.clean", True),
        ("diagnosis.core.pipelines", False),
        ("diagnosis.core.pipeline.decided", False),
        ("diagnosis.core.state.Status.SENT", False),
        ("diagnosis.nothing", False),
    ],
)
def test_the_lookup_sees_what_is_missing(name: str, there: bool) -> None:
    assert exists(name) is there


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_every_link_leads_somewhere(page: Path) -> None:
    dead = []
    for link in re.findall(r"\]\(([^)\s]+)\)", _text(page)):
        target, _, heading = link.partition("#")
        if re.match(r"https?:", target):
            continue
        file = (ROOT / page).parent / target if target else ROOT / page
        if not file.exists() or (heading and heading not in headings(file)):
            dead.append(link)
    assert dead == []


def test_the_page_of_metrics_names_what_is_counted_and_no_more() -> None:
    code = "".join(
        source.read_text("utf-8")
        for package in ("webapp", "diagnosis")
        for source in (ROOT / package).rglob("*.py")
    )
    counted = re.findall(r'"(leukemia_\w+)",\s*"', code)
    named = re.findall(r"`(leukemia_\w+)`", _text(Path("docs/monitoring.md")))
    assert sorted(name.removesuffix("_total") for name in named) == sorted(counted)


def test_the_page_of_training_names_every_architecture() -> None:
    (table,) = re.findall(r"(?ms)^## Architectures$(.*?)^## ", _text(Path("docs/training.md")))
    named = re.findall(r"(?m)^\| `(\w+)` \|", table)
    assert sorted(named) == sorted(RECIPES)


def test_each_german_word_of_the_glossary_stands_on_a_page() -> None:
    catalogue = _text(Path("webapp/locale/de/LC_MESSAGES/django.po"))
    said = " ".join(re.findall(r'(?m)^(?:msgstr(?:\[\d\])? )?"(.*)"$', catalogue)).casefold()
    rows = re.findall(r"(?m)^\| [^|]+ \| ([^|]+) \|", _text(Path("docs/glossary.md")))
    words = {word for word in rows if word not in ("German", "---", "–")}
    assert len(words) > 30
    assert {word for word in words if word.casefold() not in said} == set()


def test_the_index_names_every_page() -> None:
    linked = set(re.findall(r"\]\((\w+\.md)\)", _text(Path("docs/README.md"))))
    assert linked | {"README.md"} == {path.name for path in DOCS.glob("*.md")}


def exists(name: str) -> bool:
    """Whether a module, or something that it defines, has this dotted name."""
    parts = name.split(".")
    for depth in range(len(parts), 0, -1):
        place = ROOT.joinpath(*parts[:depth])
        module = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
        if module.is_file():
            inside = parts[depth:]
            return not inside or ".".join(inside) in _defined(module)
    return False


@cache
def _defined(module: Path) -> frozenset[str]:
    return frozenset(_names(ast.parse(module.read_text("utf-8")).body))


def _names(body: list[ast.stmt]) -> Iterator[str]:
    """Functions, classes with what they hold, variables, and what is imported by name."""
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name
        if isinstance(node, ast.ClassDef):
            yield from (f"{node.name}.{name}" for name in _names(node.body))
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            yield from (target.id for target in targets if isinstance(target, ast.Name))
        elif isinstance(node, ast.ImportFrom):
            yield from (alias.asname or alias.name for alias in node.names)


def headings(page: Path) -> set[str]:
    """The anchors of a page's headings."""
    titles = re.findall(r"(?m)^#+ (.+)$", page.read_text("utf-8"))
    return {re.sub(r"[^\w -]", "", title).strip().lower().replace(" ", "-") for title in titles}
