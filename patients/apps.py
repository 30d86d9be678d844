"""The patients app: who the specimens belong to. It never imports diagnosis."""

from django.apps import AppConfig


class PatientsConfig(AppConfig):
    """Patients and their specimens."""

    name = "patients"
    verbose_name = "Patients"
