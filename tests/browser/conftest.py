"""A signed-in session, a specimen of its own for each test, and photographs to send."""

import csv
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest
import requests
from playwright.sync_api import Browser, ConsoleMessage, Page, StorageState

from diagnosis.core.imaging.contract import LABELS
from tests.browser.seen import images
from tests.product import KEY, Served, clean_environment
from tests.waiting import WITHIN_S

CLASS_FOLDERS = dict(zip(LABELS, ("Benign", "Early", "Pre", "Pro"), strict=True))


@pytest.fixture
def watched(page: Page, served: Served) -> Iterator[Page]:
    """``page``, held to what every page must keep: nothing from elsewhere, no script errors."""
    requested: list[str] = []
    complaints: list[str] = []

    def hear(message: ConsoleMessage) -> None:
        # The browser remarks on the status of the page itself, which a test may have meant.
        about_itself = message.location["url"] == page.url
        if message.type in ("error", "warning") and not about_itself:
            complaints.append(f"{message.text} {message.location}")

    page.on("request", lambda request: requested.append(request.url))
    page.on("console", hear)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    yield page
    assert requested, "the page was never used"
    assert [url for url in requested if not url.startswith(f"{served.url}/")] == []
    assert complaints == []


@pytest.fixture(scope="session")
def session(browser: Browser, served: Served) -> StorageState:
    """The cookies of one sign-in through the form; signing in costs a third of a second."""
    context = browser.new_context(base_url=served.url)
    page = context.new_page()
    page.goto("/login")
    page.get_by_label("Username").fill(served.user)
    page.get_by_label("Password").fill(served.password)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url("/")
    cookies = context.storage_state()
    context.close()
    return cookies


@pytest.fixture
def signed_in(watched: Page, session: StorageState) -> Page:
    """``watched`` with the demo user signed in."""
    watched.context.add_cookies(session["cookies"])  # type: ignore[arg-type]
    return watched


@pytest.fixture
def specimen(api: requests.Session, served: Served) -> str:
    """The accession number of a new specimen of a new patient."""
    number = f"B-{uuid4().hex[:8]}".upper()
    patient = {"medical_record_number": f"MRN-{number}", "name": "Browser Example"}
    made = api.post(f"{served.url}/api/patients", json=patient, timeout=WITHIN_S)
    body = {"accession_number": number, "patient": made.json()["id"]}
    answer = api.post(f"{served.url}/api/specimens", json=body, timeout=WITHIN_S)
    assert answer.status_code == 201, answer.text
    return number


@pytest.fixture
def upload(signed_in: Page, specimen: str) -> Callable[..., Page]:
    """Sends files on the specimen's page and waits until each has its result."""

    def send(*files: Path) -> Page:
        signed_in.goto(f"/specimens/{specimen}")
        signed_in.get_by_label("Upload fields").set_input_files(files)
        signed_in.get_by_role("button", name="Upload and screen").click()
        summary = signed_in.locator("[data-upload-summary]").filter(has_text="stored.")
        summary.wait_for()
        return signed_in

    return send


@pytest.fixture(scope="session")
def smears(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Three synthetic fields as JPEG files."""
    folder = tmp_path_factory.mktemp("smears")
    return [images.smear(folder / f"synthetic-{seed}.jpg", seed) for seed in (1, 2, 3)]


@pytest.fixture(scope="session")
def receipt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A drawn receipt as a JPEG file."""
    return images.receipt(tmp_path_factory.mktemp("receipt") / "receipt.jpg")


@pytest.fixture(scope="session")
def calibration(data_dir: Path) -> dict[str, Path]:
    """One calibration field of each class by label: the first of ``groups.csv``."""
    folder = data_dir / "all_smears"
    with (folder / "groups.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == "calibration"]
    first: dict[str, Path] = {}
    for label, name in CLASS_FOLDERS.items():
        row = next(row for row in rows if row["class"] == name)
        first[label] = folder / name / Path(row["file"]).name
    return first


@pytest.fixture(scope="session")
def real_receipt(data_dir: Path) -> Path:
    """The first scanned receipt of the data."""
    return min((data_dir / "not_smear/document").glob("*.jpg"))


@pytest.fixture(scope="session")
def api(served: Served) -> requests.Session:
    """An API client with the token that ``manage.py api_token`` prints."""
    printed = subprocess.run(
        [sys.executable, "manage.py", "api_token", served.user],
        cwd=served.root,
        env=clean_environment(SECRET_KEY=KEY),
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    session = requests.Session()
    session.headers["Authorization"] = f"Token {printed.splitlines()[-1]}"
    return session
