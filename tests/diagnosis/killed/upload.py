"""Uploads one image and screens it, and is killed (SIGKILL) at the step it is told."""

import os
import secrets
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn
from unittest import mock

# In the order of the work. A step named "after" has done what it names.
STEPS = (
    "before the temporary file",
    "with half the file written",
    "before the rename",
    "after the rename",
    "before the insert",
    "after the insert",
    "after the event",
    "after the commit",
    "after the lease",
    "while the model thinks",
    "before the result",
    "after the result's event",
)


def die(*args: Any, **kwargs: Any) -> NoReturn:
    """What a power cut does to a process."""
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("unreachable")


def after(work: Callable[..., Any]) -> Callable[..., NoReturn]:
    """``work``, and then death."""

    def run(*args: Any, **kwargs: Any) -> NoReturn:
        work(*args, **kwargs)
        die()

    return run


def half_written(data: bytes) -> Callable[..., Any]:
    """``os.fdopen`` whose file takes half of ``data``, on disk, and no more."""
    real = os.fdopen

    def fdopen(*args: Any, **kwargs: Any) -> Any:
        file = real(*args, **kwargs)
        file.write(data[: len(data) // 2])
        file.flush()
        os.fsync(file.fileno())
        die()

    return fdopen


def patch_for(step: str, upload: bytes) -> Any:
    """The one line of the product that kills, for each step."""
    from diagnosis.fields import intake as services
    from diagnosis.fields import screening
    from diagnosis.models import Diagnosis
    from tests.diagnosis.made.pictures import FakePredictor

    record = services.audit_record

    def record_and_die_at(action: str) -> Callable[..., Any]:
        def run(**kwargs: Any) -> Any:
            event = record(**kwargs)
            return die() if kwargs["action"] == action else event

        return run

    return {
        "before the temporary file": lambda: mock.patch.object(secrets, "token_hex", die),
        "with half the file written": lambda: mock.patch.object(os, "fdopen", half_written(upload)),
        "before the rename": lambda: mock.patch.object(os, "replace", die),
        "after the rename": lambda: mock.patch.object(os, "replace", after(os.replace)),
        "before the insert": lambda: mock.patch.object(Diagnosis, "save", die),
        "after the insert": lambda: mock.patch.object(services, "audit_record", die),
        "after the event": lambda: mock.patch.object(
            services, "audit_record", record_and_die_at("diagnosis.received")
        ),
        "after the commit": lambda: mock.patch.object(screening, "diagnosis_run", die),
        "after the lease": lambda: mock.patch.object(screening, "predictor_for", die),
        "while the model thinks": lambda: mock.patch.object(FakePredictor, "predict", die),
        "before the result": lambda: mock.patch.object(screening, "diagnosis_transition", die),
        "after the result's event": lambda: mock.patch.object(
            screening, "audit_record", record_and_die_at("diagnosis.screened")
        ),
    }[step]()


def main(step: str, path: Path) -> None:
    """Do the work; not reached the end if the step was."""
    from django.contrib.auth.models import User

    from diagnosis.fields import intake as services
    from diagnosis.fields import screening
    from tests.diagnosis.made.pictures import FakePredictor, live, make_contract

    upload = path.read_bytes()
    actor = User.objects.get(username="sender")
    predictor = FakePredictor(make_contract())
    with (
        mock.patch("diagnosis.fields.live_model._current", live(predictor)),
        patch_for(step, upload),
    ):
        diagnosis, _ = services.diagnosis_create(actor=actor, upload=upload)
        screening.diagnosis_run(diagnosis_id=diagnosis.pk)
