"""Uploads and screens drawn fields, one a line on its output, until its input ends.

``python -m tests.diagnosis.made.uploading`` on the database of DATABASE_URL.
"""

import os
import sys
import threading
from unittest import mock

import django


def main() -> None:
    """Upload as the user ``clinician``."""
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
    django.setup()
    from django.contrib.auth.models import User

    from diagnosis.fields import intake as services
    from diagnosis.fields import screening
    from tests.diagnosis.made.pictures import FakePredictor, live, make_contract, smear_jpeg

    ended = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
    actor = User.objects.get(username="clinician")
    predictor = FakePredictor(make_contract())
    seed = 1000
    with mock.patch("diagnosis.fields.live_model._current", live(predictor)):
        while not ended.is_set():
            seed += 1
            upload = smear_jpeg(seed, 224, 224)
            diagnosis, _ = services.diagnosis_create(actor=actor, upload=upload)
            screening.diagnosis_run(diagnosis_id=diagnosis.pk)
            sys.stdout.write(f"{diagnosis.pk}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
