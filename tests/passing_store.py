"""A model store whose version passed its check of activation maps; the published one did not."""

import json
import shutil
from pathlib import Path

from diagnosis.core.predictors.seal import seal
from diagnosis.core.predictors.store import CARD_FILE, Live, live_path, read_live, version_dir
from tests.product import ROOT

PUBLISHED = ROOT / "serving/models"
NAME = "all_smear"


def make_passing_store(store: Path) -> Path:
    """Copy the published version to ``store`` with a card that says that its maps passed."""
    stable = read_live(PUBLISHED, NAME).stable
    folder = version_dir(store, NAME, stable)
    shutil.copytree(version_dir(PUBLISHED, NAME, stable), folder)
    write_saliency(folder, {"passed": True})
    live_path(store, NAME).write_bytes(Live(stable).to_json())
    return store


def write_saliency(folder: Path, saliency: object) -> None:
    """Let the card of the version in ``folder`` say so, and seal the version again."""
    path = folder / CARD_FILE
    card = json.loads(path.read_bytes())
    card["figures"]["saliency"] = saliency
    path.write_text(json.dumps(card))
    seal(folder)
