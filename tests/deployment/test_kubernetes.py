"""serving/kubernetes: valid, hardened, and in agreement with themselves and with Compose."""

import re
from typing import Any
from urllib.parse import urlsplit

import kubernetes_validate
import pytest

from tests.deployment.laid_out.files import (
    compose,
    container,
    flags,
    known_variables,
    manifest,
    manifests,
    workloads,
)
from tests.product import ROOT

NAMES = ("migrate", "redis", "tfserving", "web", "worker")
PRODUCT = ("migrate", "web", "worker")
CONFIG: dict[str, str] = manifest("ConfigMap", "leukemia")["data"]
SECRET_FILES = "/run/secrets/leukemia/"


def called(found: dict[str, Any]) -> str:
    return f"{found['kind']}/{found['metadata']['name']}"


@pytest.mark.parametrize("found", manifests(), ids=called)
def test_manifest_is_valid(found: dict[str, Any]) -> None:
    kubernetes_validate.validate(found, kubernetes_validate.latest_version(), strict=True)
    if found["kind"] != "Namespace":
        assert (
            found["metadata"]["namespace"] == manifest("Namespace", "leukemia")["metadata"]["name"]
        )


def test_these_are_the_workloads() -> None:
    assert sorted(workloads()) == sorted(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_pod_is_hardened(name: str) -> None:
    pod, box = workloads()[name]["spec"], container(name)
    context = pod["securityContext"]
    assert context["runAsNonRoot"] is True
    assert context["runAsUser"] > 0
    assert context["seccompProfile"] == {"type": "RuntimeDefault"}
    assert box["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert pod["automountServiceAccountToken"] is False
    assert pod["enableServiceLinks"] is False, "a service named web would set WEB_PORT and others"
    assert not {"hostNetwork", "hostPID", "hostIPC", "initContainers"} & set(pod)
    user = compose()["services"][name]["user"]
    assert f"{context['runAsUser']}:{context['runAsGroup']}" == user
    assert context["fsGroup"] == context["runAsGroup"], "or it could not read its secrets"


@pytest.mark.parametrize("name", NAMES)
def test_resources_are_bounded(name: str) -> None:
    resources = container(name)["resources"]
    assert set(resources["requests"]) == set(resources["limits"]) == {"cpu", "memory"}


@pytest.mark.parametrize("name", NAMES)
def test_image_is_that_of_compose(name: str) -> None:
    assert container(name)["image"] == compose()["services"][name]["image"]


@pytest.mark.parametrize("name", PRODUCT)
def test_product_runs_what_compose_runs(name: str) -> None:
    assert container(name)["args"] == compose()["services"][name]["command"]
    assert "command" not in container(name), "the image's entry point stays"
    read = [found["configMapRef"]["name"] for found in container(name)["envFrom"]]
    assert read == ["leukemia", *(["leukemia-owner"] if name == "migrate" else [])]


def test_model_server_runs_what_compose_runs() -> None:
    theirs = compose()["services"]["tfserving"]
    assert container("tfserving")["command"] == theirs["entrypoint"]
    assert container("tfserving")["args"] == theirs["command"]
    (check,) = [container("tfserving")["readinessProbe"]["exec"]["command"]]
    assert check == theirs["healthcheck"]["test"][1:]
    assert check[-1] == f"{CONFIG['MODEL_STORE']}/{CONFIG['MODEL_NAME']}"
    ours = {found["name"]: found["value"] for found in container("tfserving")["env"]}
    assert ours == theirs["environment"]
    assert ours["TF_CPP_MIN_LOG_LEVEL"] == "1", "or each look at models.config writes three lines"


def test_model_server_is_promised_what_it_takes() -> None:
    """1,087 MiB, measured of a real one; a pod that takes more than it asked for goes first."""
    asked = container("tfserving")["resources"]["requests"]["memory"]
    assert int(asked.removesuffix("Mi")) >= 1087 * 1.1


def test_redis_runs_what_compose_runs() -> None:
    ours = [part.replace(SECRET_FILES, "/run/secrets/") for part in container("redis")["command"]]
    assert ours == compose()["services"]["redis"]["command"]


def test_configuration_is_that_of_compose() -> None:
    assert set(CONFIG) <= known_variables()
    theirs = dict(compose()["services"]["web"]["environment"])
    assert set(CONFIG) == set(theirs)
    differ = {name for name in CONFIG if CONFIG[name] != theirs[name]}
    assert differ == {
        "DATABASE_URL",
        "SECRET_KEY_FILE",
        "DATABASE_PASSWORD_FILE",
        "QUEUE_PASSWORD_FILE",
    }
    for value in CONFIG.values():
        assert urlsplit(value).password is None


def test_only_migrate_owns_the_tables() -> None:
    """As in Compose; the later of two ConfigMaps holds, and a pod sees its own passwords alone."""
    owner = manifest("ConfigMap", "leukemia-owner")["data"]
    assert set(owner) == {"DATABASE_URL", "DATABASE_PASSWORD_FILE"}
    weak, strong = urlsplit(CONFIG["DATABASE_URL"]), urlsplit(owner["DATABASE_URL"])
    assert weak.netloc == strong.netloc.replace("portal@", "portal_app@")
    assert weak.path == strong.path
    for name in PRODUCT:
        (secret,) = [v["secret"] for v in workloads()[name]["spec"]["volumes"] if "secret" in v]
        assert all(item["key"] == item["path"] for item in secret["items"])
        read = {**CONFIG, **(owner if name == "migrate" else {})}
        files = {v.removeprefix(SECRET_FILES) for v in read.values() if v.startswith(SECRET_FILES)}
        assert {item["key"] for item in secret["items"]} == files


def test_secrets_are_named_and_never_kept() -> None:
    assert not [m for m in manifests() if m["kind"] == "Secret"]
    made = set(re.findall(r"--from-file=(\w+)=", (ROOT / "docs/operations.md").read_text()))
    text = "".join(path.read_text() for path in (ROOT / "serving/kubernetes").glob("*.yaml"))
    assert made == set(re.findall(rf"{SECRET_FILES}(\w+)", text))
    assert not re.search(r"(?i)password:\s*\S", text)


@pytest.mark.parametrize("name", NAMES)
def test_mounts_have_volumes_and_volumes_exist(name: str) -> None:
    volumes = {v["name"]: v for v in workloads()[name]["spec"]["volumes"]}
    claims = {m["metadata"]["name"] for m in manifests() if m["kind"] == "PersistentVolumeClaim"}
    mounted = container(name)["volumeMounts"]
    assert {m["name"] for m in mounted} == set(volumes)
    written = {m["mountPath"] for m in mounted if not m.get("readOnly")}
    assert written == ({"/tmp", CONFIG["MEDIA_ROOT"]} if name in PRODUCT else {"/tmp"})
    for volume in volumes.values():
        if claim := volume.get("persistentVolumeClaim"):
            assert claim["claimName"] in claims
        if secret := volume.get("secret"):
            assert secret["secretName"] == "leukemia"
            assert secret["defaultMode"] == 0o440


@pytest.mark.parametrize("name", [*PRODUCT, "tfserving"])
def test_model_store_is_mounted_where_it_is_looked_for(name: str) -> None:
    mounted = {m["mountPath"]: m for m in container(name)["volumeMounts"]}
    store = mounted[CONFIG["MODEL_STORE"]]
    assert (store["name"], store["subPath"], store["readOnly"]) == ("serving", "models", True)
    if name == "tfserving":
        _, script, config, own, _ = container(name)["command"]
        for file in (script, config):
            assert mounted[file.rpartition("/")[0]]["name"] == "serving"
        assert mounted[own.rpartition("/")[0]]["name"] == "tmp"
        config_folder = mounted[config.rpartition("/")[0]]
        assert "subPath" not in config_folder, "a renamed file would not be seen through one"


def test_claims_can_be_shared() -> None:
    for name in ("media", "serving"):
        assert manifest("PersistentVolumeClaim", name)["spec"]["accessModes"] == ["ReadWriteMany"]


def test_probes_of_the_web() -> None:
    box = container("web")
    paths = {
        probe: box[probe]["httpGet"]["path"]
        for probe in ("startupProbe", "livenessProbe", "readinessProbe")
    }
    assert paths == {
        "startupProbe": "/healthz",
        "livenessProbe": "/healthz",  # a restart would not bring the database back
        "readinessProbe": "/readyz",
    }


@pytest.mark.parametrize("name", ["web", "tfserving", "redis"])
def test_service_and_probes_reach_the_port(name: str) -> None:
    box = container(name)
    (port,) = box["ports"]
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        how = box.get(probe, {})
        for kind in ("httpGet", "tcpSocket"):
            assert how.get(kind, {"port": port["name"]})["port"] == port["name"]
    service = manifest("Service", name)["spec"]
    (exposed,) = service["ports"]
    assert (exposed["port"], exposed["targetPort"]) == (port["containerPort"], port["name"])
    assert service["selector"] == workloads()[name]["metadata"]["labels"]
    assert service.get("clusterIP") == ("None" if name == "tfserving" else None), (
        "the client must see every address of the model"
    )


def test_addresses_are_services() -> None:
    for variable, name in [("PREDICTOR_URL", "tfserving"), ("QUEUE_URL", "redis")]:
        url = urlsplit(CONFIG[variable])
        assert url.hostname == name
        assert url.port == manifest("Service", name)["spec"]["ports"][0]["port"]
    assert flags(container("web")["args"])["bind"] == "0.0.0.0:8000"
    assert container("web")["ports"][0]["containerPort"] == 8000
    assert flags(container("tfserving")["args"])["rest_api_port"] == "8501"
    assert container("tfserving")["ports"][0]["containerPort"] == 8501


def test_pods_end_after_their_pause() -> None:
    for name in ("web", "tfserving"):
        pause = int(container(name)["lifecycle"]["preStop"]["exec"]["command"][-1])
        grace = workloads()[name]["spec"]["terminationGracePeriodSeconds"]
        from webapp import gunicorn_config

        needed = gunicorn_config.graceful_timeout if name == "web" else 0
        assert grace > pause + needed


@pytest.mark.parametrize("name", ["web", "tfserving"])
def test_autoscaler_scales_a_deployment(name: str) -> None:
    spec = manifest("HorizontalPodAutoscaler", name)["spec"]
    assert spec["scaleTargetRef"] == {"apiVersion": "apps/v1", "kind": "Deployment", "name": name}
    assert 2 <= spec["minReplicas"] < spec["maxReplicas"]
    assert [m["resource"]["name"] for m in spec["metrics"]] == ["cpu"]
    assert "replicas" not in manifest("Deployment", name)["spec"], "each `apply` would undo it"


@pytest.mark.parametrize("name", ["web", "worker", "tfserving"])
def test_budget_and_deployment_select_the_same_pods(name: str) -> None:
    labels = workloads()[name]["metadata"]["labels"]
    assert manifest("PodDisruptionBudget", name)["spec"]["selector"]["matchLabels"] == labels
    assert manifest("Deployment", name)["spec"]["selector"]["matchLabels"] == labels


def test_site_has_one_name() -> None:
    ingress = manifest("Ingress", "leukemia")["spec"]
    (tls,) = ingress["tls"]
    (rule,) = ingress["rules"]
    assert tls["hosts"] == [rule["host"]] == [CONFIG["ALLOWED_HOSTS"]]
    assert CONFIG["CSRF_TRUSTED_ORIGINS"] == f"https://{rule['host']}"


def test_ingress_leads_to_the_web_and_metrics_to_nobody() -> None:
    (rule,) = manifest("Ingress", "leukemia")["spec"]["rules"]
    leads = {p["path"]: p["backend"]["service"]["name"] for p in rule["http"]["paths"]}
    assert leads == {"/": "web", "/metrics": "nobody"}
    assert "selector" not in manifest("Service", "nobody")["spec"]
    for path in rule["http"]["paths"]:
        service = path["backend"]["service"]
        ports = [p["name"] for p in manifest("Service", service["name"])["spec"]["ports"]]
        assert service["port"]["name"] in ports


def test_uploads_may_be_as_large_as_behind_the_proxy() -> None:
    (size,) = manifest("Ingress", "leukemia")["metadata"]["annotations"].values()
    assert f"client_max_body_size {size};" in (ROOT / "serving/proxy/nginx.conf").read_text()


# --- Network policies: what they allow, worked out ------------------------------------------


def selects(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    wanted = selector.get("matchLabels", {})
    for rule in selector.get("matchExpressions", []):
        assert rule["operator"] == "In"
        if labels.get(rule["key"]) not in rule["values"]:
            return False
    return all(labels.get(key) == value for key, value in wanted.items())


def policies(direction: str, pod: str) -> list[dict[str, Any]]:
    labels = workloads()[pod]["metadata"]["labels"]
    return [
        m["spec"]
        for m in manifests()
        if m["kind"] == "NetworkPolicy"
        and direction.capitalize() in m["spec"]["policyTypes"]
        and selects(m["spec"]["podSelector"], labels)
    ]


def peers(direction: str, pod: str) -> set[tuple[str, int]]:
    """Workloads of this namespace, namespaces and networks that the pod may talk with, and port."""
    key = {"ingress": "from", "egress": "to"}[direction]
    found = set()
    for policy in policies(direction, pod):
        for rule in policy.get(direction, []):
            assert rule[key], "an empty list would mean everybody"
            assert rule["ports"], "an empty list would mean every port"
            for peer in rule[key]:
                (kind,) = peer
                if kind == "podSelector":
                    names = [
                        name
                        for name, template in workloads().items()
                        if selects(peer[kind], template["metadata"]["labels"])
                    ]
                elif kind == "namespaceSelector":
                    names = ["namespace " + next(iter(peer[kind]["matchLabels"].values()))]
                else:
                    names = [peer[kind]["cidr"]]
                found |= {(name, port["port"]) for name in names for port in rule["ports"]}
    return found


DNS = ("namespace kube-system", 53)
MYSQL = ("192.0.2.10/32", 3306)


@pytest.mark.parametrize(
    ("pod", "may_ask"),
    [
        ("web", {DNS, MYSQL, ("tfserving", 8501), ("redis", 6379)}),
        ("worker", {DNS, MYSQL, ("tfserving", 8501), ("redis", 6379)}),
        ("migrate", {DNS, MYSQL}),
        ("tfserving", set()),
        ("redis", set()),
    ],
)
def test_pod_may_ask_only_what_it_needs(pod: str, may_ask: set[tuple[str, int]]) -> None:
    assert policies("egress", pod), "without a policy everything is allowed"
    assert peers("egress", pod) == may_ask


@pytest.mark.parametrize(
    ("pod", "may_be_asked_by"),
    [
        ("web", {("namespace ingress-nginx", 8000), ("namespace monitoring", 8000)}),
        ("worker", {("namespace monitoring", 9100)}),
        ("migrate", set()),
        ("tfserving", {("web", 8501), ("worker", 8501), ("namespace monitoring", 8501)}),
        ("redis", {("web", 6379), ("worker", 6379)}),
    ],
)
def test_pod_may_be_asked_only_by_those(pod: str, may_be_asked_by: set[tuple[str, int]]) -> None:
    assert policies("ingress", pod), "without a policy everything is allowed"
    assert peers("ingress", pod) == may_be_asked_by


def test_mysql_is_the_server_of_the_address() -> None:
    assert urlsplit(CONFIG["DATABASE_URL"]).port == MYSQL[1]
