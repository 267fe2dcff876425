"""Settings of the operator for tests."""

from __future__ import annotations

from typing import Any

from berth.settings import OperatorSettings

BERTH = "berth-system"
ACCOUNT = "berth-operator"


def operator_settings(**changed: Any) -> OperatorSettings:
    """Settings as the chart would make them."""
    values = {
        "host": "registry.example.org",
        "namespace": BERTH,
        "registry_image": "registry.example.org/distribution:3.1.2",
        "service_account": ACCOUNT,
        "workers": 4,
    }
    return OperatorSettings(**{**values, **changed})
