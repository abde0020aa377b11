"""The manifests for Kubernetes match its schemas and the code; no cluster is needed to find out."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from roles import READS, SECRETS, ProcessRole
from settings import Settings
from tasks.queue import CONSUMED

ROOT = Path(__file__).parent.parent.parent
PLACE = ROOT / "deploy" / "kubernetes"
VERSIONS = ("1.29", "1.34")  # the oldest and the newest that docs/kubernetes.md names
BASE = [
    document
    for path in sorted((PLACE / "base").glob("*.yaml"))
    if path.name != "kustomization.yaml"
    for document in yaml.safe_load_all(path.read_text())
]
PODS = {
    one["metadata"]["name"]: one["spec"]["template"]["spec"] for one in BASE if one["kind"] in ("Deployment", "Job")
}
CONTAINERS = {name: pod["containers"][0] for name, pod in PODS.items()}
EVERY_CONTAINER = [one for pod in PODS.values() for one in (*pod["containers"], *pod.get("initContainers", ()))]
# A ring of secrets goes before the first; a file's path; the password of a collector, which most do not need.
OTHER_MACHINES = {"JWT_SECRET", "OPENCLAW_DEVICE_KEY", "OTEL_EXPORTER_OTLP_HEADERS"}
OVERLAYS = sorted(path.name for path in (PLACE / "overlays").iterdir())
needs_kubectl = pytest.mark.skipif(
    shutil.which("kubectl") is None, reason="kubectl, which renders overlays, is missing"
)


def of_kind(kind: str) -> dict[str, dict[str, Any]]:
    return {one["metadata"]["name"]: one for one in BASE if one["kind"] == kind}


def rendered(overlay: str) -> list[dict[str, Any]]:
    done = subprocess.run(
        ["kubectl", "kustomize", str(PLACE / "overlays" / overlay)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    return list(yaml.safe_load_all(done.stdout))


def settings_of(role: str) -> dict[str, str]:
    """The variables of a pod: its ConfigMaps' and its secrets', which are filled in."""
    told = {}
    for source in CONTAINERS[role].get("envFrom", ()):
        lines = (PLACE / "base" / "settings" / f"{source['configMapRef']['name']}.env").read_text().splitlines()
        told |= dict(line.split("=", 1) for line in lines)
    examples = {"JWT_SECRETS": f"a:{'x' * 32}", "ENCRYPTION_KEYS": f"a:{'A' * 43}=", "STRIPE_SECRET_KEY": "sk_test_1"}
    examples |= {
        "DATABASE_URL": "postgresql://u:p@host/db",
        "SMTP_URL": "smtps://u:p@host",
        "DATABASE_REPLICA_URLS": "",
    }
    for one in CONTAINERS[role]["env"]:
        told[one["name"]] = one.get("value") or examples.get(one["name"], "redis://host/0")
    return told


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("manifest", BASE, ids=lambda one: f"{one['kind']}-{one['metadata']['name']}")
def test_a_manifest_matches_the_schema_of_kubernetes(manifest: dict[str, Any], version: str) -> None:
    kubernetes_validate.validate(manifest, version, strict=True)


def test_a_manifest_with_an_unknown_field_is_found() -> None:
    broken = json.loads(json.dumps(of_kind("Deployment")["api"]))
    broken["spec"]["template"]["spec"]["containers"][0]["readynessProbe"] = {}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(broken, VERSIONS[0], strict=True)


@needs_kubectl
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_an_overlay_renders_to_valid_manifests_in_one_namespace(overlay: str) -> None:
    manifests = rendered(overlay)
    for manifest in manifests:
        kubernetes_validate.validate(manifest, VERSIONS[0], strict=True)
    (space,) = [one["metadata"]["name"] for one in manifests if one["kind"] == "Namespace"]
    assert {one["metadata"].get("namespace", space) for one in manifests} == {space}
    (image,) = set(re.findall(r'"image": "([^"]+)"', json.dumps(manifests)))
    assert "/" in image  # the overlay's in place of the bare name


def test_every_process_has_a_pod_with_its_command() -> None:
    assert set(PODS) == set(ProcessRole)
    for role, container in CONTAINERS.items():
        program = container["command"][0]
        assert program == {"api": "gunicorn", "migrate": "agentforge"}.get(role, "celery")
    queues = {role: CONTAINERS[role]["command"] for role in CONSUMED}
    assert {role: set(words[words.index("-Q") + 1].split(",")) for role, words in queues.items()} == CONSUMED


@pytest.mark.parametrize("role", ProcessRole)
def test_a_pod_gets_the_settings_of_its_role_and_starts_with_them(role: ProcessRole) -> None:
    told = settings_of(role)
    assert told["AGENTFORGE_ROLE"] == role
    assert set(told) <= READS[role]
    assert READS[role] & SECRETS - set(told) <= OTHER_MACHINES
    settings = Settings.from_env(
        told | {"DATABASE_URL": "postgresql://u:p@host/db"} if "DATABASE_URL" in told else told
    )
    assert settings.role is role


def test_no_secret_is_written_into_a_manifest() -> None:
    named = [one for container in EVERY_CONTAINER for one in container["env"] if one["name"] in SECRETS]
    assert named
    assert [one["name"] for one in named if "value" in one or "secretKeyRef" not in one["valueFrom"]] == []
    files = "".join(path.read_text() for path in (PLACE / "base" / "settings").iterdir())
    assert [name for name in SECRETS if re.search(rf"^{name}=", files, re.MULTILINE)] == []


def test_every_secret_is_named_in_the_document() -> None:
    document = (ROOT / "docs" / "kubernetes.md").read_text()
    used = {
        (one["valueFrom"]["secretKeyRef"]["name"], one["valueFrom"]["secretKeyRef"]["key"])
        for container in EVERY_CONTAINER
        for one in container["env"]
        if "valueFrom" in one
    }
    listed = re.findall(r"^\| `([a-z-]+)` \| (.+?) \|", document, re.MULTILINE)
    assert {(name, key) for name, keys in listed for key in re.findall(r"`([A-Z_]+)`", keys)} == used


def test_a_container_has_no_privileges_and_a_memory_limit() -> None:
    for container in EVERY_CONTAINER:
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert set(container["resources"]) == {"requests", "limits"}
        assert "memory" in container["resources"]["limits"]
    for pod in PODS.values():
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["automountServiceAccountToken"] is False


def test_a_pod_has_the_time_that_its_process_takes_to_end() -> None:
    assert min(PODS[name]["terminationGracePeriodSeconds"] for name in ("api", "worker-executions")) > 40


def test_what_selects_pods_finds_some() -> None:
    labels = [
        one["spec"]["template"]["metadata"]["labels"].items() for one in BASE if one["kind"] in ("Deployment", "Job")
    ]
    selected = [
        one["spec"]["selector"]["matchLabels"]
        for kind in ("PodDisruptionBudget", "Deployment")
        for one in of_kind(kind).values()
    ]
    selected += [one["spec"]["selector"] for one in of_kind("Service").values()]
    selected += [one["spec"]["podSelector"].get("matchLabels", {}) for one in of_kind("NetworkPolicy").values()]
    assert [one for one in selected if not any(one.items() <= found for found in labels)] == []
    backends = re.findall(r'"service": \{"name": "([a-z-]+)"', json.dumps(list(of_kind("Ingress").values())))
    assert set(backends) <= set(of_kind("Service"))
    assert {one["spec"]["scaleTargetRef"]["name"] for one in of_kind("HorizontalPodAutoscaler").values()} <= set(PODS)


def test_a_process_that_serves_users_survives_the_loss_of_a_node() -> None:
    assert set(of_kind("PodDisruptionBudget")) == {"api", "worker-executions", "worker-billing"}


def test_the_number_that_scales_workers_is_one_that_the_service_has() -> None:
    (rule,) = yaml.safe_load((PLACE / "prometheus-adapter.yaml").read_text())["rules"]["external"]
    (metric,) = of_kind("HorizontalPodAutoscaler")["worker-executions"]["spec"]["metrics"]
    assert rule["name"]["as"] == metric["external"]["metric"]["name"]
    source = (ROOT / "api" / "ops" / "job_metrics.py").read_text()
    for name in re.findall(r"agentforge_queue_\w+", rule["metricsQuery"]):
        assert f'"{name}"' in source
