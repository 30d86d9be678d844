"""Works off what waits, and is killed (SIGKILL) at the step it is told."""

from collections.abc import Callable
from typing import Any
from unittest import mock

from tests.diagnosis.killed.upload import after, die

# In the order of the work on a batch.
STEPS = (
    "before the first lease",
    "after the first lease",
    "before a file is read",
    "while the model thinks",
    "before the first result",
    "within the first result",
    "after the first result",
    "before the last result",
)


def at_call(number: int, work: Callable[..., Any]) -> Callable[..., Any]:
    """``work``, and death in place of its call ``number``, from 1."""
    calls = iter(range(1, 1_000_000))

    def run(*args: Any, **kwargs: Any) -> Any:
        return die() if next(calls) == number else work(*args, **kwargs)

    return run


def patch_for(step: str, fields: int) -> Any:
    """The one line of the product that kills, for each step."""
    from diagnosis.fields import screening
    from tests.diagnosis.made.pictures import FakePredictor

    lease, move, record = (
        screening.diagnosis_lease,
        screening.diagnosis_transition,
        screening.audit_record,
    )
    name, replacement = {
        "before the first lease": ("diagnosis_lease", die),
        "after the first lease": ("diagnosis_lease", after(lease)),
        "before a file is read": ("image_read", die),
        "while the model thinks": ("predict", die),
        "before the first result": ("diagnosis_transition", die),
        "within the first result": ("audit_record", after(record)),
        "after the first result": ("diagnosis_transition", at_call(2, move)),
        "before the last result": ("diagnosis_transition", at_call(fields, move)),
    }[step]
    return mock.patch.object(FakePredictor if name == "predict" else screening, name, replacement)


def main(step: str, fields: int) -> None:
    """Take up ``fields`` that are due; not reached the end if the step was."""
    from diagnosis.fields import screening
    from tests.diagnosis.made.pictures import FakePredictor, live, make_contract

    predictor = FakePredictor(make_contract())
    with (
        mock.patch("diagnosis.fields.live_model._current", live(predictor)),
        patch_for(step, fields),
    ):
        screening.diagnoses_run_due()
