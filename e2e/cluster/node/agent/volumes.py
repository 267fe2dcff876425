"""Dynamic volumes of the class `standard`: a folder each, as a `local` volume, so that `fsGroup` is obeyed.

A claim's size is written down, not enforced. Growing a claim takes effect at once.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from node.agent.cache import Cache
from node.api import Api, ApiError, Object
from node.manifests import PROVISIONER
from node.settings import NODE

PROVISIONED_BY = "pv.kubernetes.io/provisioned-by"
PROVISIONER_ANNOTATION = "volume.kubernetes.io/storage-provisioner"
VOLUMES = "/api/v1/persistentvolumes"
UNITS: dict[str, int] = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "P": 10**15} | {
    f"{letter}i": 1024**power for power, letter in enumerate("KMGTP", 1)
}


def quantity(text: str) -> float:
    """The bytes that a quantity such as `10Gi` means."""
    found = re.fullmatch(r"([0-9.]+(?:e[0-9]+)?)([A-Za-z]*)", text)
    if not found or found.group(2) not in UNITS:
        raise ValueError(f"no quantity: {text}")
    return float(found.group(1)) * UNITS[found.group(2)]


def provision(api: Api, claims: Cache, volumes: Cache, folder: Path) -> None:
    """Give every claim of ours a volume, grow what has grown, remove what was released."""
    known = {volume["metadata"]["name"]: volume for volume in volumes.objects()}
    for claim in claims.objects():
        meta = claim["metadata"]
        if meta.get("annotations", {}).get(PROVISIONER_ANNOTATION) != PROVISIONER or "deletionTimestamp" in meta:
            continue
        volume = known.get(f"pvc-{meta['uid']}")
        if volume is None:
            if not claim["spec"].get("volumeName"):
                _create(api, volumes, claim, folder)
        elif claim.get("status", {}).get("phase") == "Bound":
            _grow(api, claims, volumes, claim, volume)
    for volume in known.values():
        _remove_if_released(api, volume, folder)


def _create(api: Api, volumes: Cache, claim: Object, folder: Path) -> None:
    meta, spec = claim["metadata"], claim["spec"]
    name = f"pvc-{meta['uid']}"
    (folder / name).mkdir(parents=True, exist_ok=True)
    here = {"key": "kubernetes.io/hostname", "operator": "In", "values": [NODE]}
    reference = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "uid": meta["uid"]}
    volume = {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name, "annotations": {PROVISIONED_BY: PROVISIONER}},
        "spec": {
            "capacity": {"storage": spec["resources"]["requests"]["storage"]},
            "accessModes": spec["accessModes"],
            "persistentVolumeReclaimPolicy": "Delete",
            "storageClassName": spec["storageClassName"],
            "volumeMode": "Filesystem",
            "claimRef": reference | {"namespace": meta["namespace"], "name": meta["name"]},
            "local": {"path": str(folder / name)},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [here]}]}},
        },
    }
    volumes.put(api.call("POST", VOLUMES, volume))


def _grow(api: Api, claims: Cache, volumes: Cache, claim: Object, volume: Object) -> None:
    meta, wanted = claim["metadata"], claim["spec"]["resources"]["requests"]["storage"]
    has = claim["status"].get("capacity", {}).get("storage", "0")
    if quantity(wanted) <= quantity(has):
        return
    size = {"capacity": {"storage": wanted}}
    volumes.put(api.merge(f"{VOLUMES}/{volume['metadata']['name']}", {"spec": size}))
    path = f"/api/v1/namespaces/{meta['namespace']}/persistentvolumeclaims/{meta['name']}/status"
    claims.put(api.merge(path, {"status": size}))


def _remove_if_released(api: Api, volume: Object, folder: Path) -> None:
    meta, spec = volume["metadata"], volume["spec"]
    ours = meta.get("annotations", {}).get(PROVISIONED_BY) == PROVISIONER
    released = volume.get("status", {}).get("phase") == "Released"
    if not ours or not released or spec["persistentVolumeReclaimPolicy"] != "Delete" or "deletionTimestamp" in meta:
        return
    try:
        api.call("DELETE", f"{VOLUMES}/{meta['name']}")
    except ApiError as problem:
        if problem.status != 404:
            raise
    shutil.rmtree(folder / meta["name"], ignore_errors=True)
