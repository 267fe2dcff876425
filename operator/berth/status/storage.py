"""`StorageReady`: the claim is bound, has the size asked for, and the registry wrote to it."""

from __future__ import annotations

from berth.api.conditions import ConditionReason, ConditionType
from berth.api.names import project_namespace
from berth.api.project import Project
from berth.api.quantities import exact_quantity
from berth.status.conditions import Finding, progressing, quote, settled, stalled
from berth.status.observed import ObservedClaim, ProbeOutcome, ProjectObservation

_ABOUT = ConditionType.STORAGE_READY


def judge_storage(project: Project, observed: ProjectObservation, *, stopped: bool) -> Finding:
    """`stopped`: there is to be no registry pod, so nothing can be written and a bound claim is all that is asked."""
    claim = observed.claim
    where = f"in namespace {project_namespace(project.project_id)}"
    if claim is None:
        return progressing(_ABOUT, "False", ConditionReason.CLAIM_PENDING, f"The claim {where} is not made yet.")
    this = f"Claim {claim.name} {where}"
    if claim.terminating:
        return stalled(
            _ABOUT,
            "False",
            ConditionReason.CLAIM_LOST,
            f"{this} is being deleted and goes when its last pod does: save the images now; the volume is kept.",
        )
    if claim.phase == "Lost":
        sentence = f"{this} lost its volume: bring the PersistentVolume back, or restore it from a backup."
        return stalled(_ABOUT, "False", ConditionReason.CLAIM_LOST, sentence)
    if claim.phase != "Bound":
        return _unbound(project, claim, this, observed)
    return _size(project, claim, this, observed) or _written(claim, this, observed, stopped=stopped)


def _unbound(project: Project, claim: ObservedClaim, this: str, observed: ProjectObservation) -> Finding:
    wanted = project.spec.storage.persistent_volume_claim.storage_class_name or claim.storage_class
    if observed.storage_class is None and wanted:
        return stalled(
            _ABOUT,
            "False",
            ConditionReason.STORAGE_CLASS_NOT_FOUND,
            f"StorageClass {wanted}, which {this[0].lower()}{this[1:]} asks for, does not exist: create it, "
            "or make another Project with a class that kubectl get storageclass shows.",
        )
    if observed.storage_class is None:
        return stalled(
            _ABOUT,
            "False",
            ConditionReason.STORAGE_CLASS_NOT_FOUND,
            f"{this} names no StorageClass and the cluster has no default one: mark one as default with the "
            "annotation storageclass.kubernetes.io/is-default-class=true.",
        )
    if observed.storage_class.waits_for_consumer and not claim.event:
        sentence = f"{this} is bound as soon as the registry's pod has a node."
        return progressing(_ABOUT, "False", ConditionReason.CLAIM_PENDING, sentence, follows=True)
    said = f": {quote(claim.event)}" if claim.event else f" by StorageClass {observed.storage_class.name}"
    sentence = f"{this} is not bound yet{said}; kubectl describe shows its events."
    return progressing(_ABOUT, "False", ConditionReason.CLAIM_PENDING, sentence)


def _size(project: Project, claim: ObservedClaim, this: str, observed: ProjectObservation) -> Finding | None:
    """Whether the size is as asked for; None when it is."""
    wanted = project.spec.storage.persistent_volume_claim.size
    if claim.requested and exact_quantity(claim.requested) > exact_quantity(wanted):
        return stalled(
            _ABOUT,
            "False",
            ConditionReason.CLAIM_SHRINK_REFUSED,
            f"{this} asks for {claim.requested} and a volume never shrinks: set "
            f"spec.storage.persistentVolumeClaim.size to {claim.requested} or more, it says {wanted}.",
        )
    if not claim.capacity or exact_quantity(claim.capacity) >= exact_quantity(wanted):
        return None
    if observed.storage_class is not None and not observed.storage_class.allows_expansion:
        return stalled(
            _ABOUT,
            "False",
            ConditionReason.CLAIM_NOT_EXPANDABLE,
            f"StorageClass {observed.storage_class.name} does not let {this[0].lower()}{this[1:]} grow from "
            f"{claim.capacity} to {wanted}: set allowVolumeExpansion to true on the class if its driver can grow "
            "volumes, else copy the images to another Project.",
        )
    said = f" ({quote(f'{claim.resize}: {claim.resize_message}'.strip(': '))})" if claim.resize else ""
    sentence = f"{this} is growing from {claim.capacity} to {wanted}{said}."
    return progressing(_ABOUT, "False", ConditionReason.CLAIM_RESIZING, sentence)


def _written(claim: ObservedClaim, this: str, observed: ProjectObservation, *, stopped: bool) -> Finding:
    """Whether the registry wrote to it: a registry that answers on `/v2/` may still fail the first push."""
    size = f" ({claim.capacity})" if claim.capacity else ""
    if stopped:
        sentence = f"{this} is bound{size} and kept; the registry is stopped, so nothing is written to it."
        return settled(_ABOUT, "Unknown", ConditionReason.CLAIM_BOUND, sentence)
    outcome = observed.probe.outcome if observed.probe else None
    if outcome is ProbeOutcome.WRITTEN:
        return settled(_ABOUT, "True", ConditionReason.VOLUME_WRITABLE, f"{this} is bound{size} and takes writes.")
    if outcome is ProbeOutcome.NOT_WRITABLE:
        said = f" ({quote(observed.probe.message)})" if observed.probe and observed.probe.message else ""
        return stalled(
            _ABOUT,
            "False",
            ConditionReason.VOLUME_NOT_WRITABLE,
            f"The registry can not write to {this[0].lower()}{this[1:]}{said}: see that the volume has free space and "
            "that user and group 65532 may write to it.",
        )
    sentence = f"{this} is bound{size}; the registry has not written to it yet."
    return progressing(_ABOUT, "Unknown", ConditionReason.CLAIM_BOUND, sentence, follows=True)
