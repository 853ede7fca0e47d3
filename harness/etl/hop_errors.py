"""What Hop's log says went wrong, a line for each thing that failed instead of a stack trace.

    2026/11/28 21:27:37 - read the stream.0 - ERROR: Error running transform
    2026/11/28 21:27:37 - read the stream.0 - ERROR: org.apache.hop.core.exception.HopException:
    2026/11/28 21:27:37 - read the stream.0 - Redis at 127.0.0.1:1: Connection refused
    2026/11/28 21:27:37 - read the stream.0 -   at Processor.processRow(Unknown Source)

is ``read the stream: Redis at 127.0.0.1:1: Connection refused``. ``etl/pipelines/fail.hpl`` goes by the same rules.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

MOST = 100
"""Errors that are kept: the first ones say why."""

_LINE = re.compile(r"^\d{4}/\d\d/\d\d \d\d:\d\d:\d\d - (?P<who>.*?) - ?(?P<what>.*)$")
_CLASS = re.compile(r"^(?:Caused by: )?[\w.$]+(?:Exception|Error): ?")
_SERVER = re.compile(r"^(?:ERROR|FATAL): (?!org\.)(.*)$")
_EMPTY = re.compile(
    r"|at .*|\.\.\. .*|Unexpected error.*|Error running.*|An error occurred.*|Error occurred while.*"
    r"|Error connecting.*|ERROR executing.*|Row nr .* causing abort.*"
    r"|Transform \[.*failed to initialize!|Error initializing transform.*|Unable to prepare for execution.*"
)
_ABORT = re.compile(r"^Seen row nr \d+ : ")
_COPY = re.compile(r"\.\d+$")


class Errors:
    """Takes a log's lines one by one; ``found`` is what went wrong, in order."""

    def __init__(self) -> None:
        self._found: list[str] = []
        self._who = ""
        self._said: list[str] = []
        self._in_error = False

    def line(self, text: str) -> None:
        """The next line."""
        match = _LINE.match(text)
        who, what = (match["who"], match["what"]) if match else ("", "")
        if who != self._who or what.startswith("Finished"):
            self._close()
        if not match:
            return
        if what.startswith("ERROR: ") and not self._in_error:
            self._who, self._in_error = who, True
        if self._in_error:
            self._said.append(what)

    def found(self) -> tuple[str, ...]:
        """What went wrong so far."""
        self._close()
        return tuple(self._found)

    def _close(self) -> None:
        if self._in_error and len(self._found) < MOST and (said := best(self._said)):
            self._found.append(f"{_COPY.sub('', self._who)}: {said}")
        self._who, self._said, self._in_error = "", [], False


def best(lines: Iterable[str]) -> str:
    """The server's own words; else the innermost cause; else the first line that says more than that there was an error."""
    server = cause = plain = ""
    for number, written in enumerate(lines):
        line = written.strip()
        if line.startswith("ERROR: ") and (
            number == 0 or line.startswith("ERROR: org.") or _EMPTY.fullmatch(line[7:].strip())
        ):
            line = line.removeprefix("ERROR: ").strip()  # Hop's own mark, not the server's
        text = _CLASS.sub("", line).strip()
        if not server and (match := _SERVER.match(text)):
            server = match[1]
        if line.startswith("Caused by: ") and text:
            cause = text
        if not plain and not _EMPTY.fullmatch(text):
            plain = _ABORT.sub("", text)
    return server or cause or plain
