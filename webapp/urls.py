"""Addresses of the whole site."""

from django.contrib import admin
from django.contrib.auth import views as auth_views
from django.contrib.auth.decorators import login_not_required
from django.urls import include, path
from django.views.i18n import set_language
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerView

from diagnosis.operations import health
from webapp.accounts.views import OwnPasswordView, admin_own_password

urlpatterns = [
    path("login", auth_views.LoginView.as_view(redirect_authenticated_user=True), name="login"),
    path("logout", auth_views.LogoutView.as_view(), name="logout"),
    path("language", login_not_required(set_language), name="set_language"),
    path("password", OwnPasswordView.as_view(), name="own_password"),
    path("admin/password_change/", admin.site.admin_view(admin_own_password)),
    path("admin/", admin.site.urls),
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
    path("metrics", health.metrics, name="metrics"),
    path("api/schema", SpectacularAPIView.as_view(), name="api_schema"),
    path("api/docs", SpectacularSwaggerView.as_view(url_name="api_schema"), name="api_docs"),
    path("api/", include("patients.api.urls")),
    path("api/", include("diagnosis.api.urls")),
    path("", include("patients.urls")),
    path("", include("diagnosis.portal.urls")),
]

handler400 = "webapp.api.errors.bad_request"
handler404 = "webapp.api.errors.page_not_found"
handler500 = "webapp.api.errors.server_error"
