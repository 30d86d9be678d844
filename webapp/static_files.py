"""How static files are served: compressed, and under names that change with their content."""

from whitenoise.storage import CompressedManifestStaticFilesStorage


class ModuleStaticFilesStorage(CompressedManifestStaticFilesStorage):
    """As WhiteNoise's; JavaScript modules import one another under these names as well."""

    support_js_module_import_aggregation = True
