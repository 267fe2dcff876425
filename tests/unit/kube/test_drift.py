"""What counts as drift, and what takes it back."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from berth.api.names import ANNOTATION_DESIRED_HASH
from berth.kube.drift import desired_hash, find_drift, removal_patch
from berth.kube.resources import Manifest

META = {"name": "registry", "namespace": "berth-a", "labels": {"berth.dev/project": "a"}}


def manifest(kind: str, **body: Any) -> Manifest:
    return {"apiVersion": "v1", "kind": kind, "metadata": copy.deepcopy(META), **copy.deepcopy(body)}


def deployment() -> Manifest:
    container = {
        "name": "registry",
        "image": "r:1",
        "ports": [{"name": "registry", "containerPort": 5000}],
        "resources": {"limits": {"memory": "512Mi", "cpu": "500m"}},
        "readinessProbe": {"httpGet": {"path": "/", "port": "registry"}},
    }
    pod = {"containers": [container], "volumes": [{"name": "c", "secret": {"secretName": "registry"}}]}
    return manifest("Deployment", spec={"replicas": 1, "template": {"metadata": {"labels": {"a": "b"}}, "spec": pod}})


def live_deployment() -> Manifest:
    """The same as the API server would return it: defaults filled in, quantities rewritten, a status."""
    live = deployment()
    pod = live["spec"]["template"]["spec"]
    pod.update(restartPolicy="Always", dnsPolicy="ClusterFirst", schedulerName="default-scheduler", securityContext={})
    pod["terminationGracePeriodSeconds"] = 30
    pod["volumes"][0]["secret"]["defaultMode"] = 420
    container = pod["containers"][0]
    container.update(terminationMessagePath="/dev/termination-log", terminationMessagePolicy="File")
    container["imagePullPolicy"] = "IfNotPresent"
    container["ports"][0]["protocol"] = "TCP"
    container["resources"]["limits"] = {"memory": "0.5Gi", "cpu": "0.5"}
    container["readinessProbe"].update(timeoutSeconds=1, periodSeconds=10, successThreshold=1, failureThreshold=3)
    container["readinessProbe"]["httpGet"]["scheme"] = "HTTP"
    live["spec"].update(progressDeadlineSeconds=600, strategy={"type": "RollingUpdate"})
    live["metadata"].update(uid="u", resourceVersion="7", generation=1)
    live["status"] = {"replicas": 1}
    return live


def put(target: Manifest, path: str, value: Any) -> Manifest:
    *parents, last = path.split("/")
    place: Any = target
    for key in parents:
        place = place[int(key)] if key.isdigit() else place.setdefault(key, {})
    if last.isdigit():
        place[int(last)] = value
    else:
        place[last] = value
    return target


def test_defaults_quantities_and_status_are_no_drift() -> None:
    assert not find_drift(deployment(), live_deployment())


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("spec/replicas", 2),
        ("spec/template/spec/containers/0/image", "r:2"),
        ("spec/template/spec/containers/0/resources/limits/memory", "1Gi"),
        ("spec/template/spec/volumes", []),
        ("metadata/labels/berth.dev~1project", None),
    ],
)
def test_a_desired_field_with_another_value_is_drift(path: str, value: Any) -> None:
    live = live_deployment()
    if "~1" in path:
        live["metadata"]["labels"] = {}
    else:
        put(live, path, value)
    assert find_drift(deployment(), live).changed


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("spec/template/spec/hostNetwork", True),
        ("spec/template/spec/serviceAccountName", "admin"),
        ("spec/template/spec/initContainers", [{"name": "x", "image": "x"}]),
        ("spec/template/spec/containers/0/command", ["sh"]),
        ("spec/template/spec/containers/0/env", [{"name": "REGISTRY_HTTP_ADDR", "value": ":1"}]),
        ("spec/template/spec/terminationGracePeriodSeconds", 1),
        ("spec/template/spec/dnsPolicy", "None"),
    ],
)
def test_an_extra_field_of_a_pod_template_is_drift_and_is_removed(path: str, value: Any) -> None:
    live = put(live_deployment(), path, value)
    drift = find_drift(deployment(), live)
    assert drift.extra
    assert not find_drift(deployment(), merged(live, removal_patch(deployment(), live))).extra


def test_an_extra_container_is_drift_and_the_patch_writes_the_whole_list() -> None:
    live = live_deployment()
    live["spec"]["template"]["spec"]["containers"].append({"name": "miner", "image": "m"})
    assert find_drift(deployment(), live).extra
    patch = removal_patch(deployment(), live)
    assert [found["name"] for found in patch["spec"]["template"]["spec"]["containers"]] == ["registry"]


def test_other_peoples_labels_annotations_and_fields_are_no_drift() -> None:
    live = live_deployment()
    live["metadata"]["labels"]["team"] = "x"
    live["metadata"]["annotations"] = {"note": "x"}
    live["spec"]["template"]["metadata"]["annotations"] = {"kubectl.kubernetes.io/restartedAt": "now"}
    live["spec"]["minReadySeconds"] = 5
    assert not find_drift(deployment(), live)


def test_an_extra_ingress_rule_of_a_default_deny_policy_is_drift() -> None:
    desired = manifest("NetworkPolicy", spec={"podSelector": {}, "policyTypes": ["Ingress", "Egress"]})
    live = copy.deepcopy(desired)
    assert not find_drift(desired, live)
    live["spec"]["ingress"] = [{}]
    assert find_drift(desired, live).extra == ("spec.ingress",)
    assert removal_patch(desired, live) == {"spec": {"ingress": None}}


def test_an_extra_rule_of_a_role_and_an_extra_subject_are_drift() -> None:
    role = manifest("Role", rules=[{"apiGroups": ["berth.dev"], "resources": ["x"], "verbs": ["get"]}])
    more = copy.deepcopy(role)
    more["rules"].append({"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]})
    assert find_drift(role, more).extra
    wider = copy.deepcopy(role)
    wider["rules"][0]["verbs"].append("delete")
    assert find_drift(role, wider)
    binding = manifest("RoleBinding", roleRef={"kind": "Role", "name": "r"}, subjects=[{"kind": "User", "name": "a"}])
    more = copy.deepcopy(binding)
    more["subjects"].append({"kind": "User", "name": "b"})
    assert find_drift(binding, more).extra


def test_an_extra_key_of_a_secret_is_drift_without_its_value() -> None:
    secret = manifest("Secret", data={"config.yml": "YQ=="})
    live = put(copy.deepcopy(secret), "data/extra", "c2VjcmV0")
    drift = find_drift(secret, live)
    assert drift.extra == ("data.extra",)
    assert "c2VjcmV0" not in repr(drift)
    assert removal_patch(secret, live) == {"data": {"extra": None}}


def test_what_the_api_server_gives_a_service_is_no_drift_but_an_external_address_is() -> None:
    service = manifest("Service", spec={"selector": {"a": "b"}, "ports": [{"port": 5000}], "type": "ClusterIP"})
    live = copy.deepcopy(service)
    live["spec"].update(
        clusterIP="10.0.0.1", clusterIPs=["10.0.0.1"], ipFamilies=["IPv4"], ipFamilyPolicy="SingleStack"
    )
    live["spec"].update(sessionAffinity="None", internalTrafficPolicy="Cluster")
    live["spec"]["ports"][0].update(protocol="TCP", targetPort=5000)
    assert not find_drift(service, live)
    live["spec"]["externalIPs"] = ["192.0.2.1"]
    assert find_drift(service, live).extra == ("spec.externalIPs",)


def test_an_absent_field_equals_an_empty_desired_one_and_a_filled_one_does_not() -> None:
    desired = manifest("AccessPolicy", spec={"project": "a", "rules": []})
    assert not find_drift(desired, manifest("AccessPolicy", spec={"project": "a"}))
    assert find_drift(desired, manifest("AccessPolicy", spec={"project": "a", "rules": [{"kind": "User"}]}))


def test_a_switch_that_was_turned_off_on_purpose_and_is_gone_is_drift() -> None:
    desired = deployment()
    desired["spec"]["template"]["spec"]["automountServiceAccountToken"] = False
    live = live_deployment()
    assert find_drift(desired, live).changed
    live["spec"]["template"]["spec"]["automountServiceAccountToken"] = False
    assert not find_drift(desired, live)


def test_the_hash_depends_on_content_alone() -> None:
    one, other = deployment(), dict(reversed(list(deployment().items())))
    assert desired_hash(one) == desired_hash(other)
    other["metadata"]["annotations"] = {ANNOTATION_DESIRED_HASH: "x"}
    assert desired_hash(one) == desired_hash(other)
    other["metadata"]["annotations"]["more"] = "x"
    assert desired_hash(one) != desired_hash(other)


def merged(live: Any, patch: Any) -> Any:
    """RFC 7396, as the API server does it."""
    if not isinstance(patch, dict):
        return patch
    result = dict(live) if isinstance(live, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), value)
    return result
