"""`StorageReady`: the claim is bound, has the requested size, and the registry can write to it."""

from __future__ import annotations

from berth.api.conditions import ConditionReason, ConditionType
from berth.api.names import project_namespace
from berth.api.project import Project
from berth.api.quantities import exact_quantity
from berth.status.conditions import Finding, parenthesize, progressing, quote, settled, stalled
from berth.status.observed import ObservedClaim, ProbeOutcome, ProjectObservation

_TYPE = ConditionType.STORAGE_READY


def compute_storage_ready(project: Project, observed: ProjectObservation, *, stopped: bool) -> Finding:
    """`stopped`: the registry should be stopped, so a bound claim is enough."""
    claim = observed.claim
    where = f"in namespace {project_namespace(project.project_id)}"
    if claim is None:
        return progressing(_TYPE, "False", ConditionReason.CLAIM_PENDING, f"The claim {where} does not exist yet.")
    this = f"Claim {claim.name} {where}"
    if claim.terminating:
        return stalled(
            _TYPE,
            "False",
            ConditionReason.CLAIM_LOST,
            f"{this} is being deleted and disappears with its last pod: save the images now; the volume is kept.",
        )
    if claim.phase == "Lost":
        sentence = f"{this} lost its volume: bring the PersistentVolume back, or restore it from a backup."
        return stalled(_TYPE, "False", ConditionReason.CLAIM_LOST, sentence)
    if claim.phase != "Bound":
        return _unbound(project, claim, this, observed)
    return _size(project, claim, this, observed) or _written(claim, this, observed, stopped=stopped)


def _unbound(project: Project, claim: ObservedClaim, this: str, observed: ProjectObservation) -> Finding:
    requested = project.spec.storage.persistent_volume_claim.storage_class_name or claim.storage_class
    if observed.storage_class is None and requested:
        return stalled(
            _TYPE,
            "False",
            ConditionReason.STORAGE_CLASS_NOT_FOUND,
            f"StorageClass {requested}, which {this[0].lower()}{this[1:]} requests, does not exist: create it, "
            "or create another Project with a class that kubectl get storageclass shows.",
        )
    if observed.storage_class is None:
        return stalled(
            _TYPE,
            "False",
            ConditionReason.STORAGE_CLASS_NOT_FOUND,
            f"{this} names no StorageClass and the cluster has no default one: mark one as default with the "
            "annotation storageclass.kubernetes.io/is-default-class=true.",
        )
    if observed.storage_class.waits_for_consumer and not claim.event:
        sentence = f"{this} is bound as soon as the registry's pod has a node."
        return progressing(_TYPE, "False", ConditionReason.CLAIM_PENDING, sentence, is_consequence=True)
    cause = f": {quote(claim.event)}" if claim.event else f" by StorageClass {observed.storage_class.name}"
    sentence = f"{this} is not bound yet{cause}; kubectl describe shows its events."
    return progressing(_TYPE, "False", ConditionReason.CLAIM_PENDING, sentence)


def _size(project: Project, claim: ObservedClaim, this: str, observed: ProjectObservation) -> Finding | None:
    """Why the claim does not have the requested size; None when it has."""
    size = project.spec.storage.persistent_volume_claim.size
    if claim.requested and exact_quantity(claim.requested) > exact_quantity(size):
        return stalled(
            _TYPE,
            "False",
            ConditionReason.CLAIM_SHRINK_REFUSED,
            f"{this} requests {claim.requested} and a volume never shrinks: set "
            f"spec.storage.persistentVolumeClaim.size to {claim.requested} or more, it is {size}.",
        )
    if not claim.capacity or exact_quantity(claim.capacity) >= exact_quantity(size):
        return None
    if observed.storage_class is not None and not observed.storage_class.allows_expansion:
        return stalled(
            _TYPE,
            "False",
            ConditionReason.CLAIM_NOT_EXPANDABLE,
            f"StorageClass {observed.storage_class.name} does not let {this[0].lower()}{this[1:]} grow from "
            f"{claim.capacity} to {size}: set allowVolumeExpansion to true on the class if its driver can grow "
            "volumes, else copy the images to another Project.",
        )
    detail = parenthesize(f"{claim.resize}: {claim.resize_message}".strip(": ")) if claim.resize else ""
    sentence = f"{this} is growing from {claim.capacity} to {size}{detail}."
    return progressing(_TYPE, "False", ConditionReason.CLAIM_RESIZING, sentence)


def _written(claim: ObservedClaim, this: str, observed: ProjectObservation, *, stopped: bool) -> Finding:
    """Whether the registry can write to the claim: one that responds on `/v2/` may still fail the first push."""
    size = f" ({claim.capacity})" if claim.capacity else ""
    if stopped:
        sentence = f"{this} is bound{size} and kept; the registry is stopped."
        return settled(_TYPE, "Unknown", ConditionReason.CLAIM_BOUND, sentence)
    outcome = observed.probe.outcome if observed.probe else None
    if outcome is ProbeOutcome.WRITTEN:
        return settled(_TYPE, "True", ConditionReason.VOLUME_WRITABLE, f"{this} is bound{size} and writable.")
    if outcome is ProbeOutcome.NOT_WRITABLE:
        detail = parenthesize(observed.probe.message if observed.probe else "")
        return stalled(
            _TYPE,
            "False",
            ConditionReason.VOLUME_NOT_WRITABLE,
            f"The registry cannot write to {this[0].lower()}{this[1:]}{detail}: check that the volume has free space "
            "and that user and group 65532 may write to it.",
        )
    sentence = f"{this} is bound{size}; the registry has not written to it yet."
    return progressing(_TYPE, "Unknown", ConditionReason.CLAIM_BOUND, sentence, is_consequence=True)
