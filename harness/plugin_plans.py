"""pytest's door for plans: files of scenarios/ that declare ``plans:``."""

from __future__ import annotations
