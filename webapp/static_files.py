"""How static files are served: compressed, and under names that change with their content."""

from django.contrib.staticfiles.apps import StaticFilesConfig
from whitenoise.storage import CompressedManifestStaticFilesStorage


class ModuleStaticFilesStorage(CompressedManifestStaticFilesStorage):
    """As WhiteNoise's; JavaScript modules import one another under these names as well."""

    support_js_module_import_aggregation = True


class PortalStaticFiles(StaticFilesConfig):
    """What no page asks for is not collected: a second viewer of the API's schema, and the pages
    of a browsable API that is turned off."""

    ignore_patterns = [*StaticFilesConfig.ignore_patterns, "redoc", "rest_framework"]
