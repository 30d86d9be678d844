"""``python -m export`` looks for the model where the product does: environment, then ``.env``."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from diagnosis.core.predictors.store import Live, live_path, read_live
from tests.product import KEY, ROOT, clean_environment, copy_product

NAME = "all_smear"
NOWHERE = "http://127.0.0.1:9/v1/models/all_smear"
SETTINGS = (
    "from django.conf import settings as s; print(s.MODEL_STORE, s.MODEL_NAME, s.PREDICTOR_URL)"
)


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A clone whose ``.env`` names a store of its own, where nothing is live, and a server."""
    root = copy_product(tmp_path / "clone")
    shutil.copytree(ROOT / "serving/models", tmp_path / "mounted/models")
    live_path(tmp_path / "mounted/models", NAME).unlink()
    (root / ".env").write_text(
        f"SECRET_KEY={KEY}\nMODEL_STORE={tmp_path}/mounted/models\nPREDICTOR_URL={NOWHERE}\n"
    )
    return root


def run(root: Path, *arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=root,
        env=clean_environment(**variables),
        capture_output=True,
        text=True,
    )


def test_dotenv_says_where_and_the_environment_wins(site: Path) -> None:
    store = site.parent / "mounted/models"
    promote = ("-m", "export", "promote", "2", "--timeout", "0")
    waited = run(site, *promote)
    assert waited.returncode == 1
    assert f"{NOWHERE} has not loaded version 2" in waited.stderr
    assert not live_path(store, NAME).exists()
    done = run(site, *promote, PREDICTOR_URL="embedded:")
    assert done.returncode == 0, done.stderr
    assert read_live(store, NAME) == Live(2)
    settings = run(site, "-c", SETTINGS, DJANGO_SETTINGS_MODULE="webapp.settings")
    assert settings.stdout.split() == [str(store), NAME, NOWHERE]


@pytest.mark.parametrize(
    ("variable", "value"), [("PREDICTOR_URL", "tfserving:8501"), ("MODEL_NAME", "../other")]
)
def test_a_malformed_variable_is_one_sentence(site: Path, variable: str, value: str) -> None:
    done = run(site, "-m", "export", "list", **{variable: value})
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert variable in done.stderr
    assert ".env" in done.stderr
    assert "Traceback" not in done.stderr
