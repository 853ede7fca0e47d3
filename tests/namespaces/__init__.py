"""PCs on one machine: network namespaces with names, addresses, sshd and links of their own, made and removed by the tests.

    from namespaces import pcs  # in a conftest.py; then: def test_…(pcs): pcs["pc1"].run(["hostname"])

`pcs` is one `Network` of two PCs for all tests of a process. What a test cuts or slows it mends: `with pc.cut():`, or the
fixture `mended`, which also lets go what a test that failed has left.
"""

from namespaces.commands import Refused, missing
from namespaces.fixtures import mended, pcs
from namespaces.network import Network
from namespaces.pc import PC

__all__ = ["PC", "Network", "Refused", "mended", "missing", "pcs"]
