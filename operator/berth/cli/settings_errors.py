"""Error messages for wrong settings."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import ValidationError
from pydantic_settings import BaseSettings


def complaints(kind: type[BaseSettings], error: ValidationError) -> Iterator[str]:
    """One sentence for each wrong setting: the variable, the error and its meaning.

    The value is never printed, because a database URL contains a password.
    """
    prefix = kind.model_config.get("env_prefix", "")
    for problem in error.errors(include_input=False, include_url=False):
        name = str(problem["loc"][0]) if problem["loc"] else ""
        field = kind.model_fields.get(name)
        if field is None:
            yield f"The settings do not fit together: {problem['msg']}."
            continue
        meaning = (field.description or name).rstrip(".")
        variable = f"{prefix}{name.upper()}"
        if problem["type"] == "missing":
            yield f"Set {variable}, which is missing: {_lower(meaning)}."
        else:
            yield f"Correct {variable}: {_lower(problem['msg'])} ({_lower(meaning)})."


def _lower(sentence: str) -> str:
    """The sentence with a lower-case first letter, unless its first word is a name such as `URL` or `DNS`."""
    return sentence if sentence[1:2].isupper() else sentence[:1].lower() + sentence[1:]
