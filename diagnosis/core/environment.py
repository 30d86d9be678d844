"""The environment as the product and ``python -m export`` read it: ``.env`` fills in what is unset.

Here is what both must see alike, or one would promote in a store at which the other does not look.
"""

from dataclasses import dataclass
from pathlib import Path

from environs import Env, validate
from environs import ValidationError as VariableError

from diagnosis.core.predictors.addresses import model_urls

EMBEDDED = "embedded:"  # the model runs in the product's own process
BASE_DIR = Path(__file__).resolve().parents[2]
DOTENV = BASE_DIR / ".env"


@dataclass(frozen=True)
class ModelPlace:
    """Where the model is.

    Attributes:
        store: folder of the published versions.
        name: the model's folder in it.
        predictor_url: ``EMBEDDED``, or comma-separated model URLs of TensorFlow Serving.
    """

    store: Path
    name: str
    predictor_url: str


def read_environment() -> Env:
    """A reader of the environment and, for what is unset there, of ``.env``.

    It gathers what is malformed until its ``seal``, which raises.
    """
    env = Env(eager=False)
    env.read_env(DOTENV, recurse=False)
    return env


def model_place(env: Env) -> ModelPlace:
    """``MODEL_STORE``, ``MODEL_NAME`` and ``PREDICTOR_URL``, to be trusted after ``env.seal()``."""
    name = validate.Regexp(r"^[A-Za-z0-9_-]+\Z")
    return ModelPlace(
        store=env.path("MODEL_STORE", BASE_DIR / "serving/models"),
        name=env.str("MODEL_NAME", "all_smear", validate=name),
        predictor_url=env.str("PREDICTOR_URL", EMBEDDED, validate=_require_predictor_url),
    )


def _require_predictor_url(value: str) -> None:
    if value == EMBEDDED:
        return
    try:
        model_urls(value)
    except ValueError as error:
        raise VariableError(f"{error} `{EMBEDDED}` runs the model in this process.") from error
