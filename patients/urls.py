"""The portal's addresses for patients and specimens."""

from django.urls import path

from patients import views

urlpatterns = [
    path("patients/", views.patient_list, name="patient_list"),
    path("patients/new", views.patient_create, name="patient_create"),
    path("patients/<int:pk>/edit", views.patient_update, name="patient_update"),
    path("patients/<int:pk>/delete", views.patient_delete, name="patient_delete"),
    path(
        "patients/<int:pk>/specimens/new",
        views.specimen_create,
        name="specimen_create",
    ),
    path(
        "specimens/<str:accession>/edit",
        views.specimen_update,
        name="specimen_update",
    ),
    path(
        "specimens/<str:accession>/delete",
        views.specimen_delete,
        name="specimen_delete",
    ),
]
