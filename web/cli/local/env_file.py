"""The file of settings in the working directory, ``.env``."""

import os
from collections.abc import MutableMapping
from pathlib import Path

from dotenv import dotenv_values

from web.settings import MissingSetting

FILE_VARIABLE = "TAILRACE_ENV_FILE"
"""Names another file; set to nothing, no file is read."""

DEFAULT = ".env"
_READ = ("TAILRACE_", "AZURE_", "OTEL_")
"""Variables of other programs, which may share the file, are left alone."""


def read_env_file(environment: MutableMapping[str, str]) -> tuple[Path, list[str]] | None:
    """Set the variables of the file that the environment does not have. Return the file and the names that were set.

    None if there is no file. Variables that begin neither with ``TAILRACE_``, ``AZURE_`` nor ``OTEL_`` are ignored.
    Raises MissingSetting if the file cannot be read.
    """
    named = environment.get(FILE_VARIABLE, DEFAULT)
    path = Path(named)
    if not named or (FILE_VARIABLE not in environment and not path.is_file()):
        return None
    try:
        # As it is written: a secret may contain a dollar sign.
        with path.open(encoding="utf-8") as file:
            values = dotenv_values(stream=file, interpolate=False)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise MissingSetting(f"The settings file {os.fspath(path)} cannot be read: {reason}.") from error
    added = {
        name: value
        for name, value in values.items()
        if value is not None and name.upper().startswith(_READ) and name not in environment
    }
    environment.update(added)
    return path, sorted(added)
