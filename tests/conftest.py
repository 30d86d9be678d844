"""Fixtures that all tests share."""

import gc
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.chromium import chromium
from tests.product import FEW_THREADS, Product, Served, prepared_product
from tests.waiting import WITHIN_MS, WITHIN_S

if TYPE_CHECKING:
    from django.contrib.auth.models import User
    from django.test import Client
    from playwright.sync_api import Browser, BrowserContext, Page
    from pytest_django.fixtures import SettingsWrapper
    from rest_framework.test import APIClient

ROOT = Path(__file__).resolve().parent.parent
DATA_DIR = Path(os.environ.get("DATA_DIR", ROOT.parent / "shared/data"))
os.environ.update(FEW_THREADS)  # before TensorFlow is imported anywhere
DATABASE_FIXTURES = {"db", "transactional_db", "shared_database"}


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that share one running product stay in one process; what uses a database is marked."""
    for item in items:
        fixtures = set(getattr(item, "fixturenames", ()))
        if "served" in fixtures:
            item.add_marker(pytest.mark.xdist_group("served"))
        if item.get_closest_marker("django_db") or fixtures & DATABASE_FIXTURES:
            item.add_marker(pytest.mark.db)


@pytest.fixture(autouse=True, scope="session")
def _nothing_from_a_developers_dotenv(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """As ``tests.settings`` has it for the product, for what reads the environment later."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "diagnosis.core.environment.DOTENV", tmp_path_factory.getbasetemp() / "no.env"
        )
        yield


def pytest_collectstart() -> None:
    """What collecting makes stays: looking through it for garbage takes a sixth of its time."""
    gc.disable()


def pytest_collection_finish() -> None:
    """What is loaded by now stays: looking through it for garbage takes a tenth of the run."""
    gc.collect()
    gc.freeze()
    gc.enable()


@pytest.fixture(autouse=True, scope="session")
def _flush_takes_history_too() -> Iterator[None]:
    """Between tests that commit, Django empties all tables; see ``tests.servers.flushing``."""
    from django.core.management.commands import flush

    from tests.servers.flushing import Flush

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(flush, "Command", Flush)
        yield


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Tests marked ``data`` skip without the image sets, and fail where they are required."""
    if item.get_closest_marker("data") and not DATA_DIR.is_dir():
        if os.environ.get("REQUIRE_DATA") == "1":
            pytest.fail(f"REQUIRE_DATA=1, but there are no image sets in {DATA_DIR}", pytrace=False)
        pytest.skip(f"no image sets in {DATA_DIR}; set DATA_DIR to run this")


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The image sets (see its README.md); for tests marked ``data``."""
    return DATA_DIR


@pytest.fixture(autouse=True)
def _media(settings: "SettingsWrapper", tmp_path: Path) -> None:
    """Whatever a test uploads goes when it ends."""
    settings.MEDIA_ROOT = tmp_path / "media"


@pytest.fixture(autouse=True)
def _probes_are_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    """The product gives its database less than a second for a probe, a busy machine more."""
    monkeypatch.setattr("diagnosis.operations.health.ANSWER_WITHIN_S", WITHIN_S)


@pytest.fixture
def clinician(db: None, django_user_model: "type[User]") -> "User":
    """A haematologist, ``clinician``, whose password nobody knows."""
    from django.contrib.auth.models import Group

    user = django_user_model.objects.create_user("clinician")
    user.groups.add(Group.objects.get(name="Haematologist"))
    return user


@pytest.fixture
def client_signed_in(client: "Client", clinician: "User") -> "Client":
    """A browser session of the clinician."""
    client.force_login(clinician)
    return client


@pytest.fixture
def api(clinician: "User") -> "APIClient":
    """An API client that sends the clinician's token."""
    from rest_framework.test import APIClient

    from webapp.accounts.models import ApiToken
    from webapp.accounts.tokens import digest_of

    client, key = APIClient(), secrets.token_hex(32)
    ApiToken.objects.create(user=clinician, digest=digest_of(key))  # not by the audited service
    client.credentials(HTTP_AUTHORIZATION=f"Token {key}")
    return client


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The product as `make run` starts it, with a database of its own, for the whole session.

    The tests' own ORM does not see that database: use the pages or the API.
    """
    password = secrets.token_urlsafe(12)
    root = prepared_product(tmp_path_factory.mktemp("served"))
    with Product(root, {"DEMO_PASSWORD": password, "DEMONSTRATION": "true"}) as product:
        product.wait_until_ready()
        yield Served(product.url, "demo", password, root)


@pytest.fixture(scope="session")
def browser() -> "Iterator[Browser]":
    """Headless Chromium from the system's packages, as ``chromium`` finds it.

    Whatever a test waits for in it has minutes: Playwright's own five seconds are too few on a
    machine that has other things to do.
    """
    from playwright.sync_api import Browser, expect, sync_playwright

    new_context = Browser.new_context

    def patient(self: Browser, **options: Any) -> "BrowserContext":
        context = new_context(self, **options)
        context.set_default_timeout(WITHIN_MS)
        return context

    expect.set_options(timeout=WITHIN_MS)

    with pytest.MonkeyPatch.context() as patch, sync_playwright() as playwright:
        # Playwright leaves an event loop running, and Django would refuse its ORM to all tests
        # that come later in this process.
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")
        patch.setattr(Browser, "new_context", patient)
        browser = playwright.chromium.launch(
            executable_path=chromium(),
            args=[
                "--no-sandbox",  # root, in continuous integration
                "--disable-gpu",
                "--disable-quic",
                "--no-first-run",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
            ],
        )
        yield browser
        browser.close()


@pytest.fixture
def page(browser: "Browser", served: Served) -> "Iterator[Page]":
    """A fresh browser session on the served product: addresses may begin with ``/``."""
    context = browser.new_context(base_url=served.url)
    yield context.new_page()
    context.close()
