"""Reading of a pipeline's ``config.yaml``: strict, so that a slip of the pen is an error, no default."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import msgspec

from moment.errors import ConfigurationError, Fault
from serving.catalogue.document import plain, read_document


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A section of a ``config.yaml``: its names and types; an unknown name is an error."""


SettingsT = TypeVar("SettingsT", bound=Settings)


def read_config(path: Path, kind: type[SettingsT]) -> SettingsT:
    """Read a pipeline's settings.

    Raises
    ------
    ConfigurationError
        The file is not there, is no YAML, or does not hold what the pipeline asks for; it names the setting.
    """
    node, twice = read_document(path, "pipeline settings")
    if twice:
        raise ConfigurationError(f"pipeline settings {path} cannot be read", faults=twice)
    try:
        return msgspec.convert(plain(node), kind)
    except msgspec.ValidationError as error:
        message = " ".join(str(error).split())
        raise ConfigurationError(
            "the pipeline's settings are wrong", faults=[Fault(str(path), message)]
        ) from error
