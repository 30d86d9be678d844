"""Constants of the ML side that several modules share, and where data and models lie."""

from pathlib import Path

from environs import EnvError

from diagnosis.core.environment import ModelPlace, model_place, read_environment
from diagnosis.core.imaging.contract import LABELS, Rectangle
from diagnosis.core.state import Headline
from export.errors import SettingError

INPUT_HEIGHT = 224
INPUT_WIDTH = 224

# Scale bars lie at rows ≥ 194 and columns ≥ 165. The rectangle starts on the borders of the
# data set's 16×16 JPEG blocks, so that the bar's compression ringing is covered as well.
COVERED = Rectangle(top=192, left=160, bottom=224, right=224, fill=(128, 128, 128))

# Folder of `all_smears` → label of the contract.
CLASS_LABELS = dict(zip(("Benign", "Early", "Pre", "Pro"), LABELS, strict=True))

# What another source may be used for (data/README.md): these choose templates, checks and
# `ood_max`; every other source is only reported.
FITTED_SOURCES = (("not_smear", "document"), ("not_smear", "misc"), ("other_lab", "bccd"))
UNSEEN_SOURCES = (
    ("other_lab", "draaslan"),
    ("other_lab", "chula"),
    ("other_lab", "pbc8"),
    ("not_smear", "he"),
    ("not_smear", "skin"),
    ("not_smear", "xray"),
)

# The headlines by which the software commits itself.
CONFIDENT = (Headline.SUSPICIOUS, Headline.NOT_SUSPICIOUS)

ROOT = Path(__file__).resolve().parent.parent


def data_dir() -> Path:
    """The data folder: ``DATA_DIR`` of the environment or ``.env``, else ``../shared/data``."""
    return Path(read_environment().str("DATA_DIR", "") or ROOT.parent / "shared" / "data")


def runs_dir() -> Path:
    """Where training runs are kept: ``RUNS_DIR`` of the environment or ``.env``, else ``runs``.

    Git ignores it. Elsewhere it outlives this checkout.
    """
    return Path(read_environment().str("RUNS_DIR", "") or ROOT / "runs")


def place() -> ModelPlace:
    """Where the model is; the product reads the same variables in the same way.

    Raises:
        SettingError: one of them is malformed.
    """
    env = read_environment()
    found = model_place(env)
    try:
        env.seal()
    except EnvError as error:
        raise SettingError(f"{error} Set it in the environment or in .env.") from error
    return found


def model_store() -> Path:
    """The model store: ``MODEL_STORE``, else ``serving/models``."""
    return place().store


def model_name() -> str:
    """The model's name in the store: ``MODEL_NAME``, else ``all_smear``."""
    return place().name
