"""pytest's door for load: files of scenarios/ that declare ``load:``."""

from __future__ import annotations
