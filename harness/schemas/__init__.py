"""The files of ``schemas/<logical>/<engine>/``: found, split into what a server takes at once, applied in order."""

from harness.schemas.apply import apply
from harness.schemas.files import PROMPTSALES, Script, Wanted, folder_for, has_schema, scripts

__all__ = ["PROMPTSALES", "Script", "Wanted", "apply", "folder_for", "has_schema", "scripts"]
