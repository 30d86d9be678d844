"""The portal's addresses for everything that shows a diagnosis."""

from django.urls import path

from diagnosis.portal import case_views, report_views, views

urlpatterns = [
    path("", case_views.worklist, name="worklist"),
    path("diagnoses", views.field_list, name="field_list"),
    path("patients/<int:pk>", views.patient_detail, name="patient_detail"),
    path("specimens/<str:accession>", views.specimen_detail, name="specimen_detail"),
    path("diagnoses/unassigned", views.unassigned, name="unassigned"),
    path("diagnoses/<int:pk>", views.diagnosis_detail, name="diagnosis_detail"),
    path("diagnoses/<int:pk>/assign", views.diagnosis_assign, name="diagnosis_assign"),
    path("diagnoses/<int:pk>/review", case_views.diagnosis_review, name="diagnosis_review"),
    path("specimens/<str:accession>/take", case_views.case_take, name="case_take"),
    path("specimens/<str:accession>/priority", case_views.case_priority, name="case_priority"),
    path(
        "specimens/<str:accession>/agree-with-all",
        case_views.case_agree_with_all,
        name="case_agree_with_all",
    ),
    path("specimens/<str:accession>/report", report_views.case_report, name="case_report"),
    path(
        "specimens/<str:accession>/report.pdf",
        report_views.case_report_pdf,
        name="case_report_pdf",
    ),
    path("diagnoses/<int:pk>/image", views.diagnosis_image, name="diagnosis_image"),
    path("diagnoses/<int:pk>/thumbnail", views.diagnosis_thumbnail, name="diagnosis_thumbnail"),
]
