"""Django settings, one file, from the environment; ``.env`` fills in what is not set there.

Every variable stands in docs/configuration.md and .env.example. A missing or malformed one stops
the start with a sentence that says how to mend it.
"""

import re
from importlib.util import find_spec
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.core.exceptions import ImproperlyConfigured
from environs import EnvError, ValidationError, validate

from diagnosis.core.environment import BASE_DIR, model_place, read_environment
from webapp.database_url import database_settings

TRACING_PACKAGES = (
    "opentelemetry.sdk.trace",
    "opentelemetry.exporter.otlp.proto.http",
    "opentelemetry.instrumentation.django",
    "opentelemetry.instrumentation.requests",
)

env = read_environment()


def _require_time_zone(name: str) -> None:
    """Django itself would fail later, in a traceback."""
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValidationError("Not a time zone; give a name such as Europe/London.") from error


def _require_queue_url(value: str) -> None:
    parts = urlsplit(value)
    if value != "database:" and (
        parts.scheme not in ("redis", "rediss", "unix")
        or not (parts.hostname or parts.scheme == "unix")
    ):
        raise ValidationError("Give database: or something like redis://redis:6379/0.")


def _require_token(token: str) -> None:
    """Empty, or too long to be guessed; it is sent in a header."""
    if token and not re.fullmatch(r"[!-~]{16,}", token):
        raise ValidationError("Give at least 16 characters of ASCII without spaces, or none.")


def _require_traces(address: str) -> None:
    """Empty, or an address and the packages to send there."""
    if not address:
        return
    if not re.fullmatch(r"https?://\S+", address):
        raise ValidationError("Not a web address; give one such as http://host:4318/v1/traces.")
    try:
        missing = None in (find_spec(name) for name in TRACING_PACKAGES)
    except ModuleNotFoundError:
        missing = True
    if missing:
        raise ValidationError(
            "The OpenTelemetry packages are missing; run `requirements/venv.sh production`."
        )


# --- Environment -------------------------------------------------------------------------

SECRET_KEY = env.str("SECRET_KEY", validate=validate.Length(min=32))
DEBUG = env.bool("DEBUG", False)
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", ["localhost", "127.0.0.1", "[::1]"])
CSRF_TRUSTED_ORIGINS: list[str] = env.list("CSRF_TRUSTED_ORIGINS", [])
DATABASE_URL = env.str("DATABASE_URL", f"sqlite:///{BASE_DIR / 'var/db.sqlite3'}")
MEDIA_ROOT = env.path("MEDIA_ROOT", BASE_DIR / "var/media")
_MODEL = model_place(env)
MODEL_STORE, MODEL_NAME, PREDICTOR_URL = _MODEL.store, _MODEL.name, _MODEL.predictor_url
PREDICTOR_CALLS = env.int("PREDICTOR_CALLS", 4, validate=validate.Range(1, 32))
CANARY_SHARE = env.float("CANARY_SHARE", 0.0, validate=validate.Range(0, 1))
SHADOW = env.bool("SHADOW", False)
QUEUE_URL = env.str("QUEUE_URL", "database:", validate=_require_queue_url)
MIN_USABLE_FIELDS = env.int("MIN_USABLE_FIELDS", 5, validate=validate.Range(min=1))
SIGNATURES_REQUIRED = env.int("SIGNATURES_REQUIRED", 1, validate=validate.Range(1, 2))
LABORATORY = env.str("LABORATORY", "")
BLINDED_FIRST_READ = env.bool("BLINDED_FIRST_READ", False)
TIME_ZONE = env.str("TIME_ZONE", "UTC", validate=_require_time_zone)
MAX_UPLOAD_BYTES = env.int("MAX_UPLOAD_BYTES", 20 * 2**20, validate=validate.Range(min=1))
LOG_FORMAT = env.str("LOG_FORMAT", "line", validate=validate.OneOf(["line", "json"]))
METRICS_TOKEN = env.str("METRICS_TOKEN", "", validate=_require_token)
METRICS_PORT = env.int("METRICS_PORT", 0, validate=validate.Range(0, 65535))
TRACES_URL = env.str("TRACES_URL", "", validate=_require_traces)
# Of `manage.py serve` alone:
DEMONSTRATION = env.bool("DEMONSTRATION", True)
PORT = env.int("PORT", 8000, validate=validate.Range(1, 65535))
WEB_CONCURRENCY = env.int("WEB_CONCURRENCY", 2, validate=validate.Range(min=1))
DEMO_PASSWORD = env.str("DEMO_PASSWORD", "")

try:
    env.seal()
except EnvError as error:
    raise ImproperlyConfigured(
        f"{error} Set it in the environment or in .env; .env.example explains every variable, "
        "and `make .env` writes a new .env with a fresh SECRET_KEY."
    ) from error


# --- Database ----------------------------------------------------------------------------

DATABASES = {"default": database_settings(DATABASE_URL)}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# --- Application -------------------------------------------------------------------------

INSTALLED_APPS = [
    "webapp.accounts",  # before Django's own, whose `createsuperuser` it makes stricter
    "webapp.audit.administration.AdministrationConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "webapp.static_files.PortalStaticFiles",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django_tasks",
    "django_tasks_db",
    "webapp.audit",
    "patients",
    "diagnosis",
]

MIDDLEWARE = [
    "webapp.logs.request_id.RequestIdMiddleware",
    "webapp.telemetry.metrics.MetricsMiddleware",
    "diagnosis.operations.health.ProbesMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "webapp.middleware.language.LanguageMiddleware",
    "webapp.middleware.body_encoding.BodyMiddleware",  # ahead of whatever reads a form
    "webapp.middleware.body_limits.BodyLimitMiddleware",
    "webapp.middleware.crafted_requests.CraftedRequestMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "webapp.audit.access.RefusedAccessMiddleware",
    "django.contrib.auth.middleware.LoginRequiredMiddleware",
    "webapp.middleware.no_store.NoStoreMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "webapp.accounts.sign_in.middleware.AccountsMiddleware",
    "webapp.api.errors.UnavailableMiddleware",
    "diagnosis.portal.busy.BusyMiddleware",
]

ROOT_URLCONF = "webapp.urls"
WSGI_APPLICATION = "webapp.wsgi.application"
APPEND_SLASH = False  # addresses are exact; the API has no trailing slash

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "webapp/templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "builtins": ["webapp.text.template_filters"],
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

# --- Background work ---------------------------------------------------------------------

if QUEUE_URL == "database:":
    TASKS = {"default": {"BACKEND": "django_tasks_db.DatabaseBackend"}}
elif find_spec("django_tasks_rq") is None:
    raise ImproperlyConfigured(
        "QUEUE_URL names a Redis server, and the packages for it are missing; run "
        "`requirements/venv.sh production`, or leave QUEUE_URL at database:."
    )
else:
    TASKS = {"default": {"BACKEND": "django_tasks_rq.RQBackend"}}
    RQ_QUEUES = {"default": {"URL": QUEUE_URL, "DEFAULT_TIMEOUT": 600}}
    INSTALLED_APPS += ["django_rq", "django_tasks_rq"]

# --- Files -------------------------------------------------------------------------------

STATIC_URL = "static/"
STATICFILES_DIRS = [BASE_DIR / "webapp/static"]
STATIC_ROOT = BASE_DIR / "var/static"
FILE_UPLOAD_PERMISSIONS = None  # the umask's, as for everything else (webapp.private_files)
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "webapp.static_files.ModuleStaticFilesStorage"},
}
# Base64 adds a third and JSON a frame; multipart adds its headers. The exact limit on the
# decoded image is checked by the view, so that its refusal can say so. Up to the same size a
# form stays in memory; only a larger one (many fields sent from the portal at once) has its files
# written to the temporary folder.
DATA_UPLOAD_MAX_MEMORY_SIZE = MAX_UPLOAD_BYTES * 3 // 2 + 64 * 1024
FILE_UPLOAD_MAX_MEMORY_SIZE = DATA_UPLOAD_MAX_MEMORY_SIZE

# --- Sign-in and transport ---------------------------------------------------------------

_DJANGO = "django.contrib.auth.password_validation"
AUTH_PASSWORD_VALIDATORS: list[dict[str, object]] = [
    {"NAME": f"{_DJANGO}.UserAttributeSimilarityValidator"},
    {"NAME": f"{_DJANGO}.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": f"{_DJANGO}.NumericPasswordValidator"},
    {"NAME": "webapp.accounts.passwords.validators.FieldWordsValidator"},
]
AUTHENTICATION_BACKENDS = ["webapp.accounts.sign_in.backends.AccountBackend"]
# What administrators give though they do not have it (webapp.accounts.rights): sending fields in
# judges nothing.
HANDED_OUT = ["diagnosis.add_diagnosis", "diagnosis.add_withdrawal"]
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "/"
LOGOUT_REDIRECT_URL = "login"

# Behind the TLS proxy the trusted origins are https; on one machine the portal is plain http
# on the loopback address, where a Secure cookie would never come back.
_HTTPS = any(origin.startswith("https://") for origin in CSRF_TRUSTED_ORIGINS)
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = _HTTPS
BEHIND_PROXY = _HTTPS  # its X-Forwarded-Proto and X-Forwarded-For are believed
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if BEHIND_PROXY else None
SECURE_HSTS_SECONDS = 31_536_000 if _HTTPS else 0
SESSION_COOKIE_AGE = 12 * 60 * 60  # one shift
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"

# --- API ---------------------------------------------------------------------------------

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "webapp.accounts.sign_in.authentication.ApiTokenAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["webapp.api.permissions.ModelPermissions"],
    "DEFAULT_RENDERER_CLASSES": ["webapp.api.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["webapp.api.parsers.JSONParser"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "DEFAULT_PAGINATION_CLASS": "rest_framework.pagination.PageNumberPagination",
    "PAGE_SIZE": 50,
    "EXCEPTION_HANDLER": "webapp.api.errors.problem_response",
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Leukemia Detection",
    "DESCRIPTION": "Screens photographs of blood-smear fields. Research use only. "
    "Not a medical device.",
    "VERSION": "0.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": ["rest_framework.permissions.IsAuthenticated"],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
}

# --- Language, time, logs ----------------------------------------------------------------

# The portal speaks any of these; API, logs and audit trail are in English whatever the reader
# speaks (webapp.middleware.language). `make messages` brings webapp/locale up to date.
LANGUAGE_CODE = "en-gb"
LANGUAGES = [("en-gb", "English"), ("de", "Deutsch")]
USE_I18N = True
LOCALE_PATHS = [BASE_DIR / "webapp/locale"]
FORMAT_MODULE_PATH = "webapp.formats"
LANGUAGE_COOKIE_AGE = 365 * 24 * 60 * 60  # of the workstation, whoever signs in
LANGUAGE_COOKIE_HTTPONLY = True
LANGUAGE_COOKIE_SAMESITE = "Lax"
LANGUAGE_COOKIE_SECURE = _HTTPS
USE_TZ = True

_IDS = "%(request_id)s %(trace_id)s" if TRACES_URL else "%(request_id)s"
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {
        "request_id": {"()": "webapp.logs.request_id.RequestIdFilter"},
        "redaction": {"()": "webapp.logs.redaction.RedactionFilter"},
    },
    "formatters": {
        "line": {"format": f"%(asctime)s %(levelname)s %(name)s [{_IDS}] %(message)s"},
        "json": {"()": "webapp.logs.json_lines.JsonFormatter"},
    },
    "handlers": {
        "console": {
            "class": "logging.StreamHandler",
            "filters": ["request_id", "redaction"],
            "formatter": LOG_FORMAT,
        }
    },
    "root": {"handlers": ["console"], "level": "INFO"},
    "loggers": {
        # Django's own would write a second, unredacted line where DEBUG is on.
        "django": {"handlers": [], "level": "INFO"},
        # One line for every task that begins and ends would bury the rest.
        "django_tasks": {"level": "WARNING"},
        "rq.worker": {"level": "WARNING"},
    },
}
