"""The API's addresses for patients and specimens."""

from rest_framework.routers import SimpleRouter

from patients.api import views

# SimpleRouter, not DefaultRouter: format suffixes would cut ".1" off an accession number.
router = SimpleRouter(trailing_slash=False)
router.register("patients", views.PatientViewSet, basename="api_patient")
router.register("specimens", views.SpecimenViewSet, basename="api_specimen")

urlpatterns = router.urls
