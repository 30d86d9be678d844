"""The portal's addresses for everything that shows a diagnosis."""

from django.urls import path

from diagnosis.portal.views import (
    cases as case_views,
)
from diagnosis.portal.views import (
    dashboard,
)
from diagnosis.portal.views import (
    fields as views,
)
from diagnosis.portal.views import (
    guide as guide_views,
)
from diagnosis.portal.views import (
    reports as report_views,
)
from diagnosis.portal.views import (
    saved_views as saved_view_views,
)
from diagnosis.portal.views import (
    signing as sign_views,
)
from diagnosis.portal.views import (
    uploads as upload_views,
)
from diagnosis.portal.views import (
    withdrawals as withdraw_views,
)

urlpatterns = [
    path("", case_views.worklist, name="worklist"),
    path("views/save", saved_view_views.save, name="view_save"),
    path("views/<int:pk>/delete", saved_view_views.delete, name="view_delete"),
    path("dashboard", dashboard.dashboard, name="dashboard"),
    path("guide/hide", guide_views.guide_hide, name="guide_hide"),
    path("diagnoses", views.field_list, name="field_list"),
    path("patients/<int:pk>", views.patient_detail, name="patient_detail"),
    path("specimens/<str:accession>", views.specimen_detail, name="specimen_detail"),
    path("specimens/<str:accession>/held", upload_views.specimen_held, name="specimen_held"),
    path("diagnoses/unassigned", views.unassigned, name="unassigned"),
    path("diagnoses/unassigned/held", upload_views.unassigned_held, name="unassigned_held"),
    path("diagnoses/<int:pk>", views.diagnosis_detail, name="diagnosis_detail"),
    path("diagnoses/<int:pk>/assign", views.diagnosis_assign, name="diagnosis_assign"),
    path(
        "diagnoses/<int:pk>/withdraw", withdraw_views.diagnosis_withdraw, name="diagnosis_withdraw"
    ),
    path("diagnoses/<int:pk>/review", case_views.diagnosis_review, name="diagnosis_review"),
    path("specimens/<str:accession>/take", case_views.case_take, name="case_take"),
    path("specimens/<str:accession>/priority", case_views.case_priority, name="case_priority"),
    path(
        "specimens/<str:accession>/agree-with-all",
        case_views.case_agree_with_all,
        name="case_agree_with_all",
    ),
    path("specimens/<str:accession>/sign", sign_views.case_sign, name="case_sign"),
    path("specimens/<str:accession>/amend", sign_views.case_amend, name="case_amend"),
    path("specimens/<str:accession>/report", report_views.case_report, name="case_report"),
    path(
        "specimens/<str:accession>/report.pdf",
        report_views.case_report_pdf,
        name="case_report_pdf",
    ),
    path("diagnoses/<int:pk>/image", views.diagnosis_image, name="diagnosis_image"),
    path("diagnoses/<int:pk>/activation", views.diagnosis_activation, name="diagnosis_activation"),
    path("diagnoses/<int:pk>/thumbnail", views.diagnosis_thumbnail, name="diagnosis_thumbnail"),
]
