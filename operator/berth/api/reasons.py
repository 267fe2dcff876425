"""The closed list of reasons for refusals.

Each has one word, one sentence and one anchor in the documentation. A new one is an API change.
"""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """The reason of a refusal, in the order of the checks."""

    INVALID_REQUEST = "InvalidRequest"
    BAD_CREDENTIALS = "BadCredentials"
    TOO_MANY_ATTEMPTS = "TooManyAttempts"
    TOKEN_EXPIRED = "TokenExpired"
    TOKEN_REVOKED = "TokenRevoked"
    USER_DISABLED = "UserDisabled"
    ISSUER_UNAVAILABLE = "IssuerUnavailable"
    NOT_AUTHENTICATED = "NotAuthenticated"
    NOT_FOUND = "NotFound"
    PROJECT_TRASHED = "ProjectTrashed"
    REPOSITORY_TRASHED = "RepositoryTrashed"
    PROJECT_SUSPENDED = "ProjectSuspended"
    EXTERNAL_REPOSITORY = "ExternalRepository"
    CREATION_DECLARED = "CreationDeclared"
    LEVEL_TOO_LOW = "LevelTooLow"
    NOT_CERTIFIED = "NotCertified"
    CERTIFICATION_EXPIRED = "CertificationExpired"
    TOKEN_SCOPE_MISSING = "TokenScopeMissing"
    READ_ONLY = "ReadOnly"
    COLLECTING = "Collecting"
    TAG_IMMUTABLE = "TagImmutable"
    QUOTA_EXCEEDED = "QuotaExceeded"
    LAYER_TOO_LARGE = "LayerTooLarge"
    POLICY_STALE = "PolicyStale"
    CATALOG_UNAVAILABLE = "CatalogUnavailable"
