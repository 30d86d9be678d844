"""The API's addresses for diagnoses."""

from django.urls import path

from diagnosis.api import views

urlpatterns = [
    path("diagnose", views.DiagnoseView.as_view(), name="api_diagnose"),
    path("diagnoses", views.DiagnosisListView.as_view(), name="api_diagnosis_list"),
    path("diagnoses/<int:pk>", views.DiagnosisView.as_view(), name="api_diagnosis_detail"),
    path("diagnoses/<int:pk>/image", views.ImageView.as_view(), name="api_diagnosis_image"),
    path(
        "diagnoses/<int:pk>/withdraw", views.WithdrawView.as_view(), name="api_diagnosis_withdraw"
    ),
    path("models", views.ModelsView.as_view(), name="api_models"),
]
