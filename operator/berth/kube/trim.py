"""How much of an object stays in memory: thousands of them do, in each process. Pure.

The tags of a DockerRepository are nine tenths of it, and none of Berth's processes reads them there: the catalog, which
writes them, only has to know whether they are still what it wrote.
"""

from __future__ import annotations

import hashlib
import json

from berth.kube.resources import Manifest


def without_tags(repository: Manifest) -> Manifest:
    """A DockerRepository without the tags in its status."""
    status = repository.get("status")
    if not isinstance(status, dict) or "tags" not in status:
        return repository
    return {**repository, "status": {name: value for name, value in status.items() if name != "tags"}}


def with_sum_of_tags(repository: Manifest) -> Manifest:
    """A DockerRepository with a checksum in the place of the tags in its status; once is as good as twice."""
    status = repository.get("status")
    if not isinstance(status, dict) or isinstance(status.get("tags"), str | None):
        return repository
    text = json.dumps(status["tags"], sort_keys=True, separators=(",", ":"))
    return {**repository, "status": {**status, "tags": hashlib.sha256(text.encode()).hexdigest()}}
