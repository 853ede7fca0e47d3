"""Pythons that a PC might have: one with next to nothing installed, one on a machine whose clock is wrong."""

from __future__ import annotations

import importlib.metadata
import site
import sys
from collections.abc import Iterable
from pathlib import Path

SKEW = '''"""The clock of this PC is wrong: what Python says of the time of day is off by so many seconds."""

import ctypes
import datetime
import gc
import time

SECONDS = {seconds!r}


def _off(name, unit):
    right = getattr(time, name)
    setattr(time, name, lambda: right() + unit)


def _off_clock(name, unit):
    right = getattr(time, name)
    setattr(time, name, lambda clock: right(clock) + (unit if clock == time.CLOCK_REALTIME else 0))


def _off_default(name, place, now):
    """What takes the time of now if none is given, as its argument number `place`."""
    right = getattr(time, name)

    def wrong(*given):
        return right(*given[:place], now()) if len(given) == place or given[place] is None else right(*given)

    setattr(time, name, wrong)


def _off_class(name):
    """The class stays itself (others have it already, C code among them): only its entry is another one."""
    entries = gc.get_referents(datetime.datetime.__dict__)[0]
    right = entries[name]
    shift = datetime.timedelta(seconds=SECONDS)
    entries[name] = classmethod(lambda cls, *tz, **by: right.__get__(None, cls)(*tz, **by) + shift)


_off("time", SECONDS)
_off("time_ns", round(SECONDS * 10**9))
_off_clock("clock_gettime", SECONDS)
_off_clock("clock_gettime_ns", round(SECONDS * 10**9))
for _name in "gmtime", "localtime", "ctime":
    _off_default(_name, 0, time.time)
_off_default("asctime", 0, time.localtime)
_off_default("strftime", 1, time.localtime)
for _name in "now", "utcnow":  # date.today and datetime.today ask time.time
    _off_class(_name)
ctypes.pythonapi.PyType_Modified(ctypes.py_object(datetime.datetime))
'''


def make(folder: Path, distributions: Iterable[str] | None, seconds: float) -> Path:
    """A virtual environment around the tests' own interpreter; gives its python.

    `distributions`: all that it has installed, None: what the tests have; `seconds`: how far its clock is ahead.
    """
    real = Path(sys.executable).resolve()
    packages = folder / f"lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages"
    packages.mkdir(parents=True)
    (folder / "bin").mkdir()
    (folder / "pyvenv.cfg").write_text(f"home = {real.parent}\ninclude-system-site-packages = false\n", "utf-8")
    python = folder / "bin/python"
    python.symlink_to(real)
    if distributions is None:
        here = "".join(f"import site; site.addsitedir({place!r})\n" for place in site.getsitepackages())
        (packages / "everything.pth").write_text(here, "utf-8")
    for distribution in distributions or ():
        install(importlib.metadata.distribution(distribution), packages)
    if seconds:
        (packages / "sitecustomize.py").write_text(SKEW.format(seconds=seconds), "utf-8")
    return python


def install(distribution: importlib.metadata.Distribution, packages: Path) -> None:
    """Have there what is installed here: packages, single modules, the libraries beside them."""
    tops = {file.parts[0] for file in distribution.files or ()} - {"..", "__pycache__"}
    for top in sorted(tops):
        (packages / top).symlink_to(Path(str(distribution.locate_file(top))))
