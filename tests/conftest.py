"""Fixtures that all tests share; those that start the product or a browser are in fixtures/."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from django.contrib.auth.models import User
    from django.test import Client
    from pytest_django.fixtures import SettingsWrapper
    from rest_framework.test import APIClient

ROOT = Path(__file__).resolve().parent.parent
DATA_DIR = Path(os.environ.get("DATA_DIR", ROOT.parent / "shared/data"))


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


@pytest.fixture
def clinician(db: None, django_user_model: "type[User]") -> "User":
    """A signed-up clinician, ``clinician``, whose password nobody knows."""
    from django.contrib.auth.models import Group

    user = django_user_model.objects.create_user("clinician")
    user.groups.add(Group.objects.get_or_create(name="Clinician")[0])
    return user


@pytest.fixture
def client_signed_in(client: "Client", clinician: "User") -> "Client":
    """A browser session of the clinician."""
    client.force_login(clinician)
    return client


@pytest.fixture
def api(clinician: "User") -> "APIClient":
    """An API client that sends the clinician's token."""
    from rest_framework.authtoken.models import Token
    from rest_framework.test import APIClient

    client = APIClient()
    token = Token.objects.create(user=clinician)
    client.credentials(HTTP_AUTHORIZATION=f"Token {token.key}")
    return client
