"""Reading of a pipeline's ``config.yaml``: strict, so that a slip of the pen is an error, no default."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import msgspec
import yaml

from moment.errors import ConfigurationError, Fault


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
    try:
        return msgspec.convert(yaml.safe_load(path.read_text(encoding="utf-8")), kind)
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}; name another file") from error
    except (yaml.YAMLError, msgspec.ValidationError) as error:
        message = " ".join(str(error).split())
        raise ConfigurationError(
            "the pipeline's settings are wrong", faults=[Fault(str(path), message)]
        ) from error
