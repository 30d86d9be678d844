"""Every environment variable is explained, and a wrong one stops the start with a sentence."""

import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.product import KEY, ROOT, clean_environment, copy_product
from tests.servers.mariadb import free_port
from tests.waiting import WITHIN_S


def read_by_the_product() -> set[str]:
    """Names that the code asks the environment for."""
    sources = [
        source.read_text()
        for package in ("webapp", "diagnosis", "patients")
        for source in (ROOT / package).rglob("*.py")
    ]
    calls = re.compile(r"""\benv\.\w+\(\s*["']([A-Z][A-Z_]+)["']""")
    return {name for source in sources for name in calls.findall(source)}


def test_example_explains_exactly_what_is_read() -> None:
    example = (ROOT / ".env.example").read_text()
    explained = re.findall(r"^(?:# .+\n)+#?([A-Z_]+)=", example, re.MULTILINE)
    assert sorted(explained) == sorted(read_by_the_product())


def test_the_page_explains_exactly_what_is_read() -> None:
    page = (ROOT / "docs/configuration.md").read_text()
    rows = re.findall(r"^\| `([A-Z][A-Z_]+)` \|", page, re.MULTILINE)
    assert sorted(rows) == sorted(read_by_the_product())


def test_nothing_reads_the_environment_past_the_settings() -> None:
    """environs knows .env and complains in sentences; os.environ does not. What a WSGI server calls
    ``environ`` is a request."""
    written = (
        r'os\.environ\.setdefault\("(?:DJANGO_SETTINGS_MODULE|PROMETHEUS_MULTIPROC_DIR)"'
        r'|os\.environ\.get\("DJANGO_SUPERUSER_'  # Django's own, of its own command
    )
    for package in ("webapp", "diagnosis", "patients"):
        for source in (ROOT / package).rglob("*.py"):
            text = re.sub(written, "", source.read_text())
            assert re.findall(r"os\.environ|import environ|getenv|Env\(", text) == (
                ["Env("] if source == ROOT / "diagnosis/core/environment.py" else []
            ), source


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_product(tmp_path_factory.mktemp("configured"))


def refusal(product: Path, **variables: str) -> str:
    """The last line of ``manage.py serve``, which must not start, nor print a traceback."""
    run = subprocess.run(
        [sys.executable, "manage.py", "serve"],
        cwd=product,
        env=clean_environment(**variables),
        capture_output=True,
        text=True,
        timeout=WITHIN_S,
    )
    assert run.returncode == 1
    assert "Traceback" not in run.stdout + run.stderr
    return run.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({"SECRET_KEY": "short"}, r"SECRET_KEY.*minimum length 32.*\.env"),
        ({"DEBUG": "perhaps"}, r"DEBUG.*boolean.*\.env"),
        ({"MAX_UPLOAD_BYTES": "20 MiB"}, r"MAX_UPLOAD_BYTES.*integer.*\.env"),
        ({"MODEL_NAME": "../other"}, r"MODEL_NAME.*\.env"),
        ({"TIME_ZONE": "Mars"}, r"TIME_ZONE.*Not a time zone; give a name such as .*\.env"),
        ({"PREDICTOR_URL": "elsewhere"}, r"PREDICTOR_URL.*embedded:.*\.env"),
        ({"PREDICTOR_URL": "http://tfserving:8501"}, r"PREDICTOR_URL.*/v1/models/.*\.env"),
        ({"CANARY_SHARE": "5 %"}, r"CANARY_SHARE.*number.*\.env"),
        ({"CANARY_SHARE": "5"}, r"CANARY_SHARE.*1.*\.env"),
        ({"SHADOW": "perhaps"}, r"SHADOW.*boolean.*\.env"),
        ({"QUEUE_URL": "redis"}, r"QUEUE_URL.*database: or .*redis://.*\.env"),
        ({"LOG_FORMAT": "xml"}, r"LOG_FORMAT.*line, json.*\.env"),
        ({"METRICS_TOKEN": "short"}, r"METRICS_TOKEN.*at least 16.*\.env"),
        ({"METRICS_PORT": "70000"}, r"METRICS_PORT.*65535.*\.env"),
        ({"TRACES_URL": "collector:4318"}, r"TRACES_URL.*Not a web address; give one.*\.env"),
        ({"PORT": "http"}, r"PORT.*integer.*\.env"),
        ({"PORT": "70000"}, r"PORT.*65535.*\.env"),
        ({"WEB_CONCURRENCY": "0"}, r"WEB_CONCURRENCY.*1.*\.env"),
        ({"DATABASE_URL": "records.sqlite3"}, r"DATABASE_URL is not .*; give something like"),
        ({"DATABASE_URL": "postgres://db/x"}, r"DATABASE_URL names postgres.* use sqlite:// or"),
        ({"DATABASE_URL": "sqlite:////dev/null/x/y"}, r"DATABASE_URL.*cannot be made.*name a"),
        (
            {"DATABASE_URL": "mysql://u:p@127.0.0.1:1/x"},
            r"database of DATABASE_URL does not answer",
        ),
        ({"DEMO_PASSWORD": "password"}, r"DEMO_PASSWORD is too weak: .* too common"),
    ],
)
def test_malformed_variable_stops_the_start(
    product: Path, variables: dict[str, str], sentence: str
) -> None:
    assert re.search(
        sentence, refusal(product, **{"SECRET_KEY": KEY, "PORT": str(free_port()), **variables})
    )


def test_missing_key_stops_the_start(product: Path) -> None:
    assert re.match(r"Configuration: .*SECRET_KEY.* not set.*make \.env", refusal(product))


def test_taken_port_stops_the_start(product: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        line = refusal(product, SECRET_KEY=KEY, PORT=port)
    assert re.search(rf"Port {port} cannot be opened .*; stop what uses it", line)


def test_environment_wins_over_dotenv(product: Path) -> None:
    dotenv = product / ".env"
    dotenv.write_text(f"PORT=malformed\nSECRET_KEY={KEY}\n")
    try:
        assert "integer" in refusal(product)
        assert "65535" in refusal(product, PORT="70000")
    finally:
        dotenv.unlink()
