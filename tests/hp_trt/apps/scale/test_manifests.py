"""`serve.yaml` and `kuberay.yaml` name what there is: our applications, Ray Serve's fields, KubeRay's.

KubeRay's fields are those of its API reference (ray.io/v1: RayService, RayClusterSpec, HeadGroupSpec, WorkerGroupSpec,
https://github.com/ray-project/kuberay/blob/master/docs/reference/api.md), recorded below; no operator has read the file
yet.
"""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest
import yaml

from hp_trt.apps.scale.live_shared import SOCKETS
from hp_trt.apps.service.config import _kinds

ROOT = Path(__file__).parents[4]
SCALE = ROOT / "hp_trt/apps/scale"
SERVICE = {
    "serveService", "upgradeStrategy", "serveConfigV2", "rayClusterConfig", "excludeHeadPodFromServeSvc",
}  # fmt: skip
CLUSTER = {
    "suspend", "managedBy", "autoscalerOptions", "headServiceAnnotations", "enableInTreeAutoscaling",
    "gcsFaultToleranceOptions", "headGroupSpec", "rayVersion", "workerGroupSpecs",
}  # fmt: skip
HEAD = {"template", "headService", "enableIngress", "rayStartParams", "serviceType"}
WORKERS = {
    "suspend", "groupName", "replicas", "minReplicas", "maxReplicas", "numOfHosts", "rayStartParams", "template",
    "scaleStrategy",
}  # fmt: skip


def serve_configs() -> list[dict[str, Any]]:
    return [yaml.safe_load((SCALE / "serve.yaml").read_text()), yaml.safe_load(service()["spec"]["serveConfigV2"])]


def service() -> dict[str, Any]:
    return next(one for one in documents() if one["kind"] == "RayService")


def documents() -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((SCALE / "kuberay.yaml").read_text()))


def names_in_serve_app() -> set[str]:
    """Of its functions and classes, read without Ray."""
    tree = ast.parse((SCALE / "serve_app.py").read_text())
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)}


@pytest.mark.parametrize("config", serve_configs(), ids=["serve.yaml", "kuberay.yaml"])
def test_both_configs_name_our_applications_deployments_and_settings(config):
    there = names_in_serve_app()
    assert {one["route_prefix"] for one in config["applications"]} == {"/", SOCKETS}
    for application in config["applications"]:
        module, _, function = application["import_path"].partition(":")
        assert module == "hp_trt.apps.scale.serve_app" and function in there
        assert {one["name"] for one in application["deployments"]} <= there
        assert application["args"].keys() <= _kinds().keys() | {"config"}
    first, second = config["applications"]
    assert first["args"] == second["args"], "one service"


def test_ray_serve_reads_both():
    schema = pytest.importorskip("ray.serve.schema")
    for config in serve_configs():
        schema.ServeDeploySchema.model_validate(config)


def test_the_kuberay_manifest_has_the_fields_of_its_reference():
    spec = service()["spec"]
    assert service()["apiVersion"] == "ray.io/v1" and spec.keys() <= SERVICE
    cluster = spec["rayClusterConfig"]
    assert cluster.keys() <= CLUSTER and cluster["headGroupSpec"].keys() <= HEAD
    assert all(group.keys() <= WORKERS for group in cluster["workerGroupSpecs"])
    for parameters in (cluster["headGroupSpec"]["rayStartParams"], cluster["workerGroupSpecs"][0]["rayStartParams"]):
        assert all(isinstance(value, str) for value in parameters.values())


def test_every_pod_has_the_folder_the_tokens_and_time_to_drain():
    spec = service()["spec"]
    args = yaml.safe_load(spec["serveConfigV2"])["applications"][0]["args"]
    claims = {one["metadata"]["name"] for one in documents() if one["kind"] == "PersistentVolumeClaim"}
    pods = [spec["rayClusterConfig"]["headGroupSpec"], *spec["rayClusterConfig"]["workerGroupSpecs"]]
    for pod in (one["template"]["spec"] for one in pods):
        volumes = {one["name"]: one for one in pod["volumes"]}
        assert volumes["state"]["persistentVolumeClaim"]["claimName"] in claims
        mounts = {one["mountPath"] for container in pod["containers"] for one in container["volumeMounts"]}
        assert all(any(args[name].startswith(place) for place in mounts) for name in ("state", "tokens", "bundle"))
    workers = spec["rayClusterConfig"]["workerGroupSpecs"][0]["template"]["spec"]
    assert workers["terminationGracePeriodSeconds"] > args["drain_s"] + 10
    assert claims and documents()[0]["spec"]["accessModes"] == ["ReadWriteMany"]


def test_the_version_of_ray_is_the_one_that_we_know():
    from hp_trt.apps.scale.ray_version import RAY

    assert service()["spec"]["rayClusterConfig"]["rayVersion"].startswith(f"{RAY}.")
    assert f"=={RAY}.*" in (ROOT / "pyproject.toml").read_text()
