"""docker-compose.yml: hardened services, secrets from files, an order of start, names that fit."""

import os
import re
import subprocess
import tomllib
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from export.publishing.registry import CONTAINER_STORE
from serving import healthcheck
from tests.deployment.laid_out.files import (
    PRODUCT,
    SECRETS,
    SITE,
    compose,
    flags,
    instructions,
    known_variables,
    read_compose,
)
from tests.product import ROOT

SERVICES = ("web", "worker", "migrate", "tfserving", "mysql", "redis", "proxy")
APP_USER = (ROOT / "serving/mysql/app_user.sh").read_text()
NGINX = (ROOT / "serving/proxy/nginx.conf").read_text()


def service(name: str) -> dict[str, Any]:
    return dict(compose()["services"][name])


def mounts(name: str) -> dict[str, tuple[str, str]]:
    """Source and mode of each mounted folder, by its place in the container."""
    parts = [volume.split(":") for volume in service(name).get("volumes", [])]
    return {place: (source.removeprefix(f"{ROOT}/"), mode) for source, place, mode in parts}


def command(name: str) -> list[str]:
    return list(service(name)["command"])


def test_these_are_the_services() -> None:
    assert sorted(compose()["services"]) == sorted(SERVICES)


@pytest.mark.parametrize("missing", sorted(SITE))
def test_there_is_no_default_site(missing: str) -> None:
    run = read_compose(**{name: value for name, value in SITE.items() if name != missing})
    assert run.returncode != 0
    assert re.search(rf"write {missing}=\S+ into \.env", run.stderr)


@pytest.mark.parametrize("name", SERVICES)
def test_service_is_hardened(name: str) -> None:
    found = service(name)
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", found["user"]), "not root, by number"
    assert found["read_only"] is True
    assert found["cap_drop"] == ["ALL"]
    assert found["security_opt"] == ["no-new-privileges:true"]
    assert any(place.startswith("/tmp") for place in found["tmpfs"])
    for opening in ("cap_add", "privileged", "pid", "ipc", "network_mode", "devices"):
        assert opening not in found
    assert found["restart"] == ("no" if name == "migrate" else "unless-stopped")
    assert found["logging"]["options"]["max-size"], "logs do not fill the disk"


@pytest.mark.parametrize("name", SERVICES)
def test_image_is_pinned(name: str) -> None:
    assert re.fullmatch(r"[a-z/-]+:\d+\.\d+\.\d+", service(name)["image"])


@pytest.mark.parametrize("name", PRODUCT)
def test_product_image_has_the_products_version(name: str) -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert service(name)["image"] == f"leukemia-detection:{version}"


def test_only_the_proxy_is_reached_from_outside() -> None:
    assert [name for name in SERVICES if "ports" in service(name)] == ["proxy"]
    assert compose()["networks"]["back"] == {"internal": True}
    for name in SERVICES:
        front = "front" in service(name)["networks"]
        assert front == (name in ("proxy", "web")), name
    assert list(service("proxy")["networks"]) == ["front"]


@pytest.mark.parametrize("name", ["web", "worker", "tfserving"])
def test_service_can_be_scaled(name: str) -> None:
    assert not {"container_name", "ports", "hostname"} & set(service(name))


@pytest.mark.parametrize("name", SERVICES)
def test_service_gets_the_secrets_it_names_and_no_others(name: str) -> None:
    found = service(name)
    text = yaml.safe_dump(found) + {"proxy": NGINX, "mysql": APP_USER}.get(name, "")
    named = set(re.findall(rf"{SECRETS}(\w+)", text))
    assert named == {granted["source"] for granted in found.get("secrets", [])}
    assert named <= set(compose()["secrets"])


def test_secrets_are_files_that_git_and_the_image_leave_out() -> None:
    files = {name: found["file"] for name, found in compose()["secrets"].items()}
    assert files == {name: f"{ROOT}/var/secrets/{name}" for name in files}
    for path in files.values():
        assert subprocess.run(["git", "check-ignore", "-q", path], cwd=ROOT).returncode == 0
    assert "!var" not in (ROOT / ".dockerignore").read_text()


@pytest.mark.parametrize("name", SERVICES)
def test_no_secret_stands_in_the_environment(name: str) -> None:
    for variable, value in service(name).get("environment", {}).items():
        assert not re.search(r"PASSWORD|SECRET|KEY|TOKEN", variable) or variable.endswith("_FILE")
        assert urlsplit(value).password is None, variable


@pytest.mark.parametrize("name", PRODUCT)
def test_variables_are_those_that_are_read(name: str) -> None:
    assert set(service(name)["environment"]) <= known_variables()


@pytest.mark.parametrize("name", PRODUCT)
def test_what_the_product_writes_is_a_volume(name: str) -> None:
    environment = service(name)["environment"]
    assert mounts(name) == {
        environment["MEDIA_ROOT"]: ("media", "rw"),
        environment["MODEL_STORE"]: ("serving/models", "ro"),
    }
    image = dict(pair.split("=", 1) for line in instructions("ENV") for pair in line.split())
    assert environment["MEDIA_ROOT"] == image["MEDIA_ROOT"]
    assert environment["MODEL_STORE"] == image["MODEL_STORE"]
    assert f"-o app -g app {image['MEDIA_ROOT']}" in " ".join(instructions("RUN")), (
        "a new volume takes its owner from the image"
    )
    assert instructions("USER") == (service(name)["user"],)


def test_records_are_a_volume() -> None:
    assert mounts("mysql") == {
        "/var/lib/mysql": ("mysql", "rw"),
        "/docker-entrypoint-initdb.d": ("serving/mysql", "ro"),
    }
    assert {"media", "mysql"} == set(compose()["volumes"])


def test_mysql_is_strict_and_speaks_all_of_unicode() -> None:
    found = flags(command("mysql"))
    assert found["character-set-server"] == "utf8mb4"
    assert found["sql-mode"] == "TRADITIONAL"


def test_order_of_start() -> None:
    waits = {
        name: {on: how["condition"] for on, how in service(name).get("depends_on", {}).items()}
        for name in SERVICES
    }
    migrated = {"migrate": "service_completed_successfully", "redis": "service_healthy"}
    assert waits == {
        "mysql": {},
        "redis": {},
        "tfserving": {},
        "migrate": {"mysql": "service_healthy"},
        "web": migrated,
        "worker": migrated,
        "proxy": {"web": "service_healthy"},
    }
    for needed in waits.values():
        for name, condition in needed.items():
            healthy = "healthcheck" in service(name) or name == "web"  # web's is the image's
            assert healthy or condition != "service_healthy"


def test_image_and_web_agree_on_health() -> None:
    assert "healthcheck" not in service("web")
    (check,) = instructions("HEALTHCHECK")
    assert "serving.healthcheck" in check
    for name in ("worker", "migrate"):
        assert service(name)["healthcheck"] == {"test": ["NONE"]}, "nothing listens there"


def test_commands_of_the_product() -> None:
    assert command("web") == yaml.safe_load(instructions("CMD")[-1])
    assert command("worker") == ["python", "manage.py", "worker"]
    assert command("migrate") == ["python", "manage.py", "migrate", "--noinput"]


def test_ports_agree() -> None:
    environment = service("web")["environment"]
    database, queue, model = (
        urlsplit(environment[name]) for name in ("DATABASE_URL", "QUEUE_URL", "PREDICTOR_URL")
    )
    assert (database.hostname, database.port) == ("mysql", 3306)
    assert (queue.hostname, queue.port) == ("redis", 6379)
    rest = flags(command("tfserving"))["rest_api_port"]
    assert (model.hostname, str(model.port)) == ("tfserving", rest)
    assert model.path == f"/v1/models/{environment['MODEL_NAME']}"
    assert service("tfserving")["expose"] == [rest]

    web = flags(command("web"))["bind"].rpartition(":")[2]
    assert (web,) == instructions("EXPOSE")
    assert service("web")["expose"] == [web]
    assert str(healthcheck.PORT) == web
    assert f"proxy_pass http://$upstream:{web};" in NGINX
    assert "set $upstream web;" in NGINX
    listened = sorted(re.findall(r"listen (\d+)", NGINX))
    assert sorted(str(port["target"]) for port in service("proxy")["ports"]) == listened


def test_only_migrate_owns_the_tables() -> None:
    """Web and worker come as a user who can neither empty a table nor drop a trigger."""
    made = service("mysql")["environment"]
    urls = {name: urlsplit(service(name)["environment"]["DATABASE_URL"]) for name in PRODUCT}
    assert {url.path.strip("/") for url in urls.values()} == {made["MYSQL_DATABASE"]}
    users = {name: url.username for name, url in urls.items()}
    assert users == {"web": "portal_app", "worker": "portal_app", "migrate": made["MYSQL_USER"]}
    assert re.findall(r"GRANT (.+) ON .+ TO '(\w+)'", APP_USER) == [
        ("SELECT, INSERT, UPDATE, DELETE", "portal_app")
    ]
    assert os.access(ROOT / "serving/mysql/app_user.sh", os.X_OK), "or the image would source it"
    for name in ("web", "worker"):
        assert "mysql_password" not in {s["source"] for s in service(name)["secrets"]}


def test_model_server_reads_what_promote_writes() -> None:
    """A mounted file would stay the old one when ``promote`` renames a new one into place."""
    found = flags(command("tfserving"))
    places = mounts("tfserving")
    assert places[CONTAINER_STORE] == ("serving/models", "ro")
    shell, script, config, own, program = service("tfserving")["entrypoint"]
    assert (shell, program) == ("bash", "tensorflow_model_server")
    for file in (
        script,
        config,
        found["batching_parameters_file"],
        found["monitoring_config_file"],
    ):
        folder, _, name = file.rpartition("/")
        source, mode = places[folder]
        assert mode == "ro"
        assert (ROOT / source).is_dir()
        assert (ROOT / source / name).is_file()
    assert config.endswith("/models.config")
    assert found["model_config_file"] == own, "or start.sh's copy is read by nobody"
    assert any(own.startswith(f"{place.split(':')[0]}/") for place in service("tfserving")["tmpfs"])
    assert int(found["model_config_file_poll_wait_seconds"]) > 0, "0 never looks again"
    assert found["enable_batching"] == "true"
    assert service("tfserving")["init"] is True, "as process 1 it would never heed SIGTERM"


def test_health_of_the_model_server_looks_at_the_model_of_the_product() -> None:
    name, program, script, model = service("tfserving")["healthcheck"]["test"]
    web = service("web")["environment"]
    assert (name, program) == ("CMD", "bash")
    assert model == f"{web['MODEL_STORE']}/{web['MODEL_NAME']}"
    assert mounts("tfserving")[web["MODEL_STORE"]] == mounts("web")[web["MODEL_STORE"]]
    folder, _, file = script.rpartition("/")
    assert (ROOT / mounts("tfserving")[folder][0] / file).is_file()


def test_temporary_files_hold_several_of_the_largest_forms() -> None:
    (largest,) = re.findall(r"client_max_body_size (\d+)m;", NGINX)
    for name in ("web", "proxy"):
        (size,) = (t for t in service(name)["tmpfs"] if t.startswith("/tmp:"))
        assert int(size.removeprefix("/tmp:size=").removesuffix("g")) * 1024 >= 4 * int(largest)
