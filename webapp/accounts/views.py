"""Choosing one's own password."""

from collections.abc import Callable
from typing import Any, cast

from django.contrib import admin, messages
from django.contrib.auth.models import User
from django.contrib.auth.views import PasswordChangeView
from django.http import HttpRequest, HttpResponse
from django.urls import reverse_lazy
from django.utils.translation import gettext as _

from webapp.accounts.forms import OwnPasswordForm
from webapp.accounts.passwords.changes import must_change
from webapp.accounts.rights import limited_to


class OwnPasswordView(PasswordChangeView):
    """Asks for the old password; ends all other sessions and all API tokens of the user."""

    http_method_names = ["get", "head", "post", "options"]
    form_class = OwnPasswordForm
    template_name = "registration/own_password.html"
    success_url = reverse_lazy("own_password")

    def get_form_kwargs(self) -> dict[str, Any]:
        """The form counts wrong passwords by session."""
        return {**super().get_form_kwargs(), "request": self.request}

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Why the page is shown, and what the account cannot do yet."""
        user = cast(User, self.request.user)
        return super().get_context_data(
            forced=must_change(user), limited=limited_to(user) is not None, **kwargs
        )

    def form_valid(self, form: Any) -> HttpResponse:
        """Say that it is done."""
        response = super().form_valid(form)
        messages.success(self.request, _("Your password is changed."))
        return response

    def form_invalid(self, form: Any) -> HttpResponse:
        """Too many wrong ones are a 429."""
        response = super().form_invalid(form)
        if form.paused is not None:
            response.status_code = 429
            response.headers["Retry-After"] = str(form.paused.seconds)
        return response


def admin_own_password(request: HttpRequest) -> HttpResponse:
    """The same among the pages of Django admin."""
    view: Callable[[HttpRequest], HttpResponse] = OwnPasswordView.as_view(  # type: ignore[assignment]
        template_name="registration/password_change_form.html",
        success_url=reverse_lazy("admin:password_change_done"),
        extra_context=admin.site.each_context(request),
    )
    return view(request)
