"""What a user of ``python -m export`` can mend; anything else is a defect."""


class ExportError(Exception):
    """Printed as one sentence without a traceback; says how to mend it."""


class DataError(ExportError):
    """The data folder is not what training and evaluation need."""


class RunError(ExportError):
    """A training run cannot be begun, resumed or read as asked."""


class PublishError(ExportError):
    """A run cannot be published: a gate failed."""


class SettingError(ExportError):
    """An environment variable is malformed."""
