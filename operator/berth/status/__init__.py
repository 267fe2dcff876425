"""Compute statuses from observed state. Pure: the same input gives the same bytes.

Each entry point takes the model (with its previous status), the observed state and the present time, and returns the
whole `status` as a dict with the API's camelCase keys:

- `status.project.compute_project_status(project, observed, now)`
- `status.repository.compute_repository_status(repository, observed, now)`: only the operator's fields
- `status.user.compute_user_status(user, observed, now)`
- `status.certification.compute_certification_status(certification, observed, now)`
- `status.team.compute_team_status(team, observed, now)`
- `status.token.compute_token_status(token, observed, now)`: only the operator's fields
- `status.conditions.check_invariants(status)`: raises AssertionError when a status violates the contract
"""
