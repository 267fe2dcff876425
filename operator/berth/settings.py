"""Settings of every process, read from the environment once.

The variable of a field is `BERTH_<NAME>`. The chart sets them, and its values have the same descriptions.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel
from pydantic_settings import BaseSettings, SettingsConfigDict

_CONFIG = SettingsConfigDict(env_prefix="BERTH_", frozen=True, extra="ignore")


def _name_in_json(field: str) -> str:
    return {"discovery_url": "discoveryURL"}.get(field, to_camel(field))


class Common(BaseSettings):
    """Settings of every process."""

    model_config = _CONFIG

    host: str = Field(description="Host name of the registry for clients, with the port unless it is 443.")
    namespace: str = Field("berth-system", description="Namespace of Berth itself.")
    instance: str = Field("berth", description="Name of the installation (the Helm release).")
    cluster_domain: str = Field("cluster.local", description="DNS domain of the cluster.")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least severe level logged.")
    kube_issuer: str = Field("", description="Issuer of ServiceAccount tokens; empty: read from the API server.")


class OperatorSettings(Common):
    """Settings of the operator."""

    registry_image: str = Field(description="Image of CNCF Distribution, 3.1.1 or later.")
    registry_version: str = Field("3.1.2", description="Version of registry_image, for the Project's status.")
    registry_pull_policy: Literal["Always", "IfNotPresent", "Never"] = Field(
        "IfNotPresent", description="Pull policy of registry_image."
    )
    access_url: str = Field(
        "http://berth-access.berth-system.svc", description="Where the operator requests registry tokens."
    )
    access_token_file: Path = Field(
        Path("/var/run/secrets/berth/access/token"),
        description="ServiceAccount token with the audience berth-access.",
    )
    project_cluster_role: str = Field(
        "berth-project-operator",
        description="ClusterRole that the operator binds to its ServiceAccount in each project namespace.",
    )
    service_account: str = Field("berth-operator", description="ServiceAccount of the operator, in Berth's namespace.")
    tls_mode: Literal["Generated", "Existing"] = Field(
        "Generated",
        description="Generated: the operator creates and renews the gateway's certificate. Existing: the user does.",
    )
    allow_public: bool = Field(
        False,
        description="Whether sharing with Public has an effect: for every client of the gateway, also without a login.",
    )
    pull_secret_cluster_role: str = Field(
        "berth-pull-secret-writer",
        description="ClusterRole that a RoleBinding gives to the operator so that it can write pull secrets in "
        "a namespace.",
    )
    pull_secret_rotation: int = Field(
        2_592_000, ge=60, description="Seconds between two rotations of the token of a pull secret (720 h)."
    )
    authority_overlap: int = Field(
        300,
        ge=0,
        description="Least seconds between publishing a new token authority and signing with it; longer "
        "than a mounted Secret takes to reach the pods of access.",
    )
    workers: int = Field(8, ge=1, description="Workers, which reconcile different objects at the same time.")
    probe_interval: int = Field(600, ge=10, description="Seconds between two write probes of a registry.")
    health_port: int = Field(8081, description="Port of /healthz, /readyz and /metrics.")


_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})


def _safe_address(address: str) -> str:
    parts = urlsplit(address)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _LOOPBACK):
        raise ValueError("must be an https:// address (http:// only on loopback)")
    if not parts.hostname or parts.query or parts.fragment or parts.username:
        raise ValueError("must be an address without user, query and fragment")
    return address


def _no_control_characters(text: str) -> str:
    if not text.isprintable():
        raise ValueError("must not contain control characters")
    return text


_Prefix = Annotated[str, AfterValidator(_no_control_characters), Field(max_length=100)]


class OidcIssuer(BaseModel):
    """An identity provider whose access tokens are accepted. In JSON, with names in camelCase."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=_name_in_json, populate_by_name=True)

    issuer: Annotated[str, AfterValidator(_safe_address)] = Field(
        description="The exact `iss` of its tokens, and the base address of discovery (OpenID Connect Discovery 1.0)."
    )
    discovery_url: Annotated[str, AfterValidator(_safe_address)] | None = Field(
        default=None, description="Full address of the discovery document, if it is not below the issuer."
    )
    audience: str = Field(min_length=1, description="Value that `aud` of its tokens must contain.")
    ca_file: Path | None = Field(
        default=None, description="PEM bundle that verifies its TLS certificate. Default: public CAs."
    )
    username_claim: str = Field(default="sub", min_length=1, description="Claim with the user name.")
    username_prefix: _Prefix = Field(default="", description="Prefix of user names.")
    groups_claim: str = Field(
        default="groups", description="Claim with the groups, a list or a single one; empty: none."
    )
    groups_prefix: _Prefix = Field(default="", description="Prefix of group names.")
    scopes_claim: str = Field(
        default="scope",
        description="Claim with the scopes view, download, modify, a list or a string with spaces; empty or "
        "absent: all.",
    )
    scopes_prefix: _Prefix = Field(default="", description="Prefix of Berth's scopes in that claim.")


class AccessSettings(Common):
    """Settings of access."""

    port: int = Field(8080, description="Port of /token, /authz and manifest writes.")
    metrics_port: int = Field(9090, description="Port of /healthz, /readyz and /metrics.")
    signing_dir: Path = Field(
        Path("/var/run/secrets/berth/signing"),
        description="Directory with tls.crt and tls.key of the signing certificate.",
    )
    catalog_url: str = Field("http://berth-catalog.berth-system.svc", description="Base address of the catalog.")
    catalog_token_file: Path = Field(
        Path("/var/run/secrets/berth/catalog/token"),
        description="ServiceAccount token with the audience berth-catalog.",
    )
    gateway_accounts: str = Field(
        "berth-gateway", description="ServiceAccounts in Berth's namespace that may call /authz, separated by commas."
    )
    probing_accounts: str = Field(
        "berth-operator",
        description="ServiceAccounts in Berth's namespace that may pull and push in every project, separated by "
        "commas.",
    )
    reading_accounts: str = Field(
        "berth-catalog",
        description="ServiceAccounts in Berth's namespace that may pull and list in every project, separated by "
        "commas.",
    )
    token_lifetime: int = Field(300, ge=60, le=3600, description="Lifetime of a registry token in seconds.")
    token_audience: str = Field(
        "", description="Audience of ServiceAccount tokens of pods that log in; empty: BERTH_HOST."
    )
    oidc_issuers: tuple[OidcIssuer, ...] = Field(
        (), description="Identity providers whose tokens are accepted: a JSON list."
    )
    trusted_hops: int = Field(
        0, ge=0, le=16, description="Trusted proxies in front of the gateway that append to X-Forwarded-For."
    )
    failed_logins_per_minute: int = Field(
        10, ge=1, description="Wrong passwords of an account from one source that are allowed in a minute."
    )
    failed_logins_per_hour: int = Field(
        100, ge=1, description="Wrong passwords of an account from one source that are allowed in an hour."
    )
    failed_login_seconds: float = Field(
        1.0,
        gt=0,
        le=10,
        description="Seconds that every login with a wrong password takes, so that its time does not show whether "
        "the user exists; longer than the slowest password hash takes to verify.",
    )
    state_dir: Path = Field(
        Path("/var/lib/berth-access"),
        description="Directory for the last known policy, readable only by this process.",
    )
    policy_max_age: int = Field(
        900,
        ge=90,
        description="Seconds after the API server's last event in which pushes are still served; longer than the "
        "minute between two bookmarks of a quiet kind.",
    )
    certification_warning_days: int = Field(
        14, ge=0, description="Days before the end of a certification in which the response to a push has a warning."
    )
    record_timeout: float = Field(
        8.0, gt=0, description="Seconds for which a push waits for the catalog before it is refused."
    )
    manifest_size_limit: int = Field(
        4 * 1024 * 1024, description="Largest manifest in bytes, by default the limit of Distribution."
    )
    layer_size_limit: int = Field(
        100_000_000_000, gt=0, description="Largest layer in bytes, in projects without spec.limits.layerSize."
    )
    allow_public: bool = Field(
        False,
        description="Whether sharing with Public has an effect: for every client of the gateway, also without a login.",
    )
    upstream_self: str = Field(
        "http://berth-access.berth-system.svc.cluster.local",
        description="Address of access for the gateway: the host of its BERTH_ACCESS_UPSTREAM, without the port.",
    )


class CatalogSettings(Common):
    """Settings of the catalog."""

    port: int = Field(8080, description="Port of the API.")
    metrics_port: int = Field(9090, description="Port of /healthz, /readyz and /metrics.")
    database_url: str = Field(
        "sqlite+aiosqlite:////var/lib/berth/catalog.db",
        description="SQLAlchemy URL: sqlite+aiosqlite or postgresql+psycopg.",
    )
    access_url: str = Field(
        "http://berth-access.berth-system.svc", description="Where the catalog requests registry tokens."
    )
    access_token_file: Path = Field(
        Path("/var/run/secrets/berth/access/token"),
        description="ServiceAccount token with the audience berth-access.",
    )
    client_accounts: str = Field(
        "berth-access", description="ServiceAccounts in Berth's namespace that may call the API, separated by commas."
    )
    walk_interval: int = Field(3600, ge=60, description="Seconds between two walks of a registry.")
    intent_timeout: int = Field(
        60, ge=10, description="Seconds after which an open write is settled by what the registry holds."
    )


class GatewaySettings(Common):
    """Settings of the gateway's configuration."""

    port: int = Field(8443, description="TLS port.")
    health_port: int = Field(8080, description="Port of /healthz, without TLS.")
    access_upstream: str = Field(
        "berth-access.berth-system.svc.cluster.local:80", description="Address of access, as host:port."
    )
    gateway_token_file: Path = Field(
        Path("/var/run/secrets/berth/access/token"),
        description="ServiceAccount token with the audience berth-access.",
    )
    tls_dir: Path = Field(Path("/var/run/secrets/berth/tls"), description="Directory with tls.crt and tls.key.")
    output_dir: Path = Field(Path("/run/berth-gateway"), description="Directory of the written configuration.")
    resolver: str = Field("", description="DNS server for registries' names; empty: the first of /etc/resolv.conf.")
    workers: int = Field(2, ge=1, description="nginx worker processes.")
