"""A rotation in a process of its own, to be killed: after each batch it says how many rows are done, and waits."""

import sys
from pathlib import Path

import psycopg

from harness.promptsales.cipher import Certificate, KeyRing, rotate


def wait(done: int, total: int) -> None:
    print(done, total, flush=True)
    sys.stdin.readline()


if __name__ == "__main__":
    url, certificate_file, key_file, password = sys.stdin.readline().split()
    certificate = Certificate.load(Path(certificate_file).read_bytes(), Path(key_file).read_bytes(), password)
    with psycopg.connect(url, autocommit=True) as connection:
        rotate(connection, KeyRing.open(connection, certificate), certificate, batch=10, progress=wait)
