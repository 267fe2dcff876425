"""Desired manifests as data. Pure: the same input gives the same bytes.

- `desired.project.desired_project(project, inputs)`: children of a `Project`, in order of application
- `desired.repository.desired_repository(repository, inputs)`: children of a `DockerRepository`
- `desired.installation`: reads, completes, renews and writes the key material of the installation
- `desired.keys`: certificates, keys and derived secrets
"""
