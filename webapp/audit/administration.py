"""Django admin as an app; apart from ``apps``, where Django looks for one alone."""

from django.contrib.admin.apps import AdminConfig


class AdministrationConfig(AdminConfig):
    """Its reads are audited."""

    default_site = "webapp.audit.site.Administration"
