"""Desired manifests as data. Pure: the same input gives the same bytes.

- `desired.project.desired_project(project, inputs) -> tuple[dict, ...]`: children of a `Project`, in order of application
- `desired.repository.desired_repository(repository, inputs) -> tuple[dict, ...]`: children of a `DockerRepository`
- `desired.installation.desired_installation(material, …) -> tuple[dict, ...]`: keys and certificates of the installation
- `desired.keys`: makes, reads and renews key material
"""
