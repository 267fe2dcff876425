"""The closed list of reasons for which Berth refuses an operation.

One word, one sentence, one anchor in the documentation each. A new one is an API change.
"""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """Why an operation was refused, in the order in which the checks of the chain tell them."""

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
