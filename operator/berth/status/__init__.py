"""Statuses as data, computed from what was observed. Pure: the same input gives the same bytes and no write.

Each entry point takes the model (with its previous status), what was observed and the present time, and returns the
whole `status` as a plain dict with the API's own (camelCase) keys:

- `status.project.compute_project_status(project, observed, now)`
- `status.repository.compute_repository_status(repository, observed, now)`: the operator's own fields alone
- `status.user.compute_user_status(user, observed, now)`
- `status.certification.compute_certification_status(certification, observed, now)`
- `status.conditions.check_invariants(status)`: raises AssertionError on a status that breaks the contract
"""
