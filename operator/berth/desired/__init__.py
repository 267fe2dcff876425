"""Desired manifests. Pure: the same input gives the same bytes.

- `desired.project.desired_project(project, inputs)`: children of a `Project`, in the order to apply them
- `desired.repository.desired_repository(repository, inputs)`: children of a `DockerRepository`
- `desired.installation.manifests`: key material of the installation, from Secrets and to Secrets
- `desired.installation.keys`: certificates, keys and derived secrets
"""
