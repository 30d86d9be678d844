"""The model store on disk: which version is live, and where a version lies.

<store>/<name>/<version>/     one published version
<store>/<name>/live.json      the only truth on which version answers
"""

import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path

from diagnosis.core.errors import ContractError

CARD_FILE = "assets.extra/model_card.json"  # what was measured of a version


@dataclass(frozen=True)
class Live:
    """Versions that serve: ``stable`` answers, ``canary`` takes a share, ``previous`` stays
    loaded so that a rollback is immediate."""

    stable: int
    canary: int | None = None
    previous: int | None = None

    def to_json(self) -> bytes:
        """The content of ``live.json``."""
        return json.dumps(asdict(self)).encode() + b"\n"


def live_path(store: Path, name: str) -> Path:
    """Where ``live.json`` of model ``name`` lies."""
    return store / name / "live.json"


def version_dir(store: Path, name: str, version: int) -> Path:
    """Where version ``version`` of model ``name`` lies."""
    return store / name / str(version)


def published_versions(store: Path, name: str) -> list[int]:
    """Numbers of all published versions, ascending (other directory names are ignored)."""
    folder = store / name
    if not folder.is_dir():
        return []
    numbers = [p.name for p in folder.iterdir() if p.is_dir() and re.fullmatch(r"[1-9]\d*", p.name)]
    return sorted(int(number) for number in numbers)


def read_live(store: Path, name: str) -> Live:
    """Read ``live.json``.

    Raises:
        ContractError: no version was promoted yet, or the file is malformed.
    """
    path = live_path(store, name)
    try:
        document = json.loads(path.read_bytes())
        return Live(
            stable=int(document["stable"]),
            canary=None if document.get("canary") is None else int(document["canary"]),
            previous=None if document.get("previous") is None else int(document["previous"]),
        )
    except FileNotFoundError as error:
        raise ContractError(
            f"{path} does not exist: promote a version with `python -m export promote N`."
        ) from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ContractError(f"{path} is malformed ({error!r}): promote a version again.") from error
