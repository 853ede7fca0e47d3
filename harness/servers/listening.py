"""Where servers of ours listen besides 127.0.0.1, and whom they let in there: nowhere and nobody, unless told.

Told by the command line, by the environment, or by a run that has sessions on other machines. The folder of the set
keeps it, so that whichever process starts a server first starts it the same.
"""

from __future__ import annotations

import contextlib
import ipaddress
import json
import re
import socket
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass

from harness.errors import ServerError
from harness.servers.runfolder import RunFolder, one_line, write_private

LISTEN_VARIABLE = "PROMPTSALES_LISTEN"
ALLOW_VARIABLE = "PROMPTSALES_ALLOW"

LOOPBACK = "127.0.0.1"
"""Where all embedded servers listen."""

_FILE = "listen.json"
_FAMILIES = (socket.AF_INET, socket.AF_INET6)


@dataclass(frozen=True, slots=True)
class Listening:
    """``addresses`` of this machine, and the networks (``10.0.0.2/32``) of the ``clients`` that may connect there."""

    addresses: tuple[str, ...] = ()
    clients: tuple[str, ...] = ()

    def __or__(self, other: Listening) -> Listening:
        """Both, without doubles, in the order in which they were told."""
        return Listening(
            tuple(dict.fromkeys((*self.addresses, *other.addresses))),
            tuple(dict.fromkeys((*self.clients, *other.clients))),
        )

    def __bool__(self) -> bool:
        return bool(self.addresses)

    def covers(self, other: Listening) -> bool:
        """Whether all of ``other`` has been told already."""
        return self | other == self


NOWHERE = Listening()


def resolve(listen: Iterable[str], allow: Iterable[str], environ: Mapping[str, str]) -> Listening:
    """What the command line said (``--listen``, ``--allow``), else the environment; all may be separated by commas.

    Raises ServerError: not an address of this machine, not a client's address or network, or one without the other.
    """
    where, who = "--listen", "--allow"
    addresses, clients = _words(listen), _words(allow)
    if clients and not addresses and not environ.get(LISTEN_VARIABLE):
        raise ServerError(f"--allow says who may connect; say where, too: --listen ADDRESS ({_addresses_here()})")
    if not addresses:
        where, addresses = LISTEN_VARIABLE, _words([environ.get(LISTEN_VARIABLE, "")])
    if not addresses:
        return NOWHERE
    if not clients:
        who, clients = ALLOW_VARIABLE, _words([environ.get(ALLOW_VARIABLE, "")])
    if not clients:
        way = "--allow" if where == "--listen" else f"{ALLOW_VARIABLE}:"
        raise ServerError(
            f"{where} {addresses[0]}: say who may connect there: {way} 10.0.0.2, or a network: 10.0.0.0/24"
        )
    found = Listening(_elsewhere(_each(where, addresses, _address)), _each(who, clients, _network))
    for address in found.addresses:
        if not is_here(address):
            raise ServerError(f"{where} {address}: this is no address of this machine ({_addresses_here()})")
    return found if found.addresses else NOWHERE


def tidy(addresses: Iterable[str], clients: Iterable[str]) -> Listening:
    """The same without complaints: what is no address is left out; nowhere if there is no address or no client."""
    found = Listening(_elsewhere(_those(addresses, _address)), _those(clients, _network))
    return found if found.addresses and found.clients else NOWHERE


def tell(folder: RunFolder, more: Listening) -> None:
    """Put down for all processes that servers started from now on do ``more``. Raises ServerError."""
    with folder.lock("listen"):
        try:
            write_private(folder.path / _FILE, json.dumps(asdict(told(folder) | more)))
        except OSError as problem:
            raise one_line(problem, "where servers listen cannot be put down") from problem


def told(folder: RunFolder) -> Listening:
    """What has been put down in the folder of a set."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        kept = json.loads((folder.path / _FILE).read_text("utf-8"))
        return tidy(kept["addresses"], kept["clients"])
    return NOWHERE


def is_here(address: str) -> bool:
    """Whether this machine has ``address``: one can listen there."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family) as probe:
            probe.bind((address, 0))
    except OSError:
        return False
    return True


def _words(texts: Iterable[str]) -> list[str]:
    return [word for text in texts for word in re.split(r"[,\s]+", text) if word]


def _address(text: str) -> str:
    """One address as everything here writes it. Raises ValueError saying what is wrong with it."""
    try:
        found = ipaddress.ip_address(text.strip())
    except ValueError:
        raise ValueError(f"this is not an IP address ({_addresses_here()})") from None
    if isinstance(found, ipaddress.IPv6Address):
        if found.scope_id:
            raise ValueError("an address with a zone is not the same on both machines; take another one")
        found = found.ipv4_mapped or found
    if found.is_unspecified:
        raise ValueError(f"this is every address; name the one that the other machines know ({_addresses_here()})")
    return str(found)


def _network(text: str) -> str:
    """A client's address, or network, as a network. Raises ValueError saying what is wrong with it."""
    word = text.strip()
    try:
        return str(ipaddress.ip_network(word if "/" in word.partition("%")[0] else _address(word)))
    except ValueError:
        # 10.0.0.5/24 is a host to some and a network to others: who meant the host must not open the network.
        raise ValueError("this is neither a client's IP address nor a network like 10.0.0.0/24") from None


def _elsewhere(addresses: Iterable[str]) -> tuple[str, ...]:
    return tuple(address for address in addresses if address != LOOPBACK)


def _each(source: str, texts: Iterable[str], read: Callable[[str], str]) -> tuple[str, ...]:
    made = []
    for text in texts:
        try:
            made.append(read(text))
        except ValueError as problem:
            raise ServerError(f"{source} {text}: {problem}") from None
    return tuple(dict.fromkeys(made))


def _those(texts: Iterable[str], read: Callable[[str], str]) -> tuple[str, ...]:
    made = []
    for text in texts:
        with contextlib.suppress(ValueError):
            made.append(read(text))
    return tuple(dict.fromkeys(made))


def _addresses_here() -> str:
    """The addresses by which other machines may know this one, in words."""
    import psutil

    every = (one.address for ones in psutil.net_if_addrs().values() for one in ones if one.family in _FAMILIES)
    usable = [text for text in every if "%" not in text and not ipaddress.ip_address(text).is_loopback]
    return f"this machine has {', '.join(usable)}" if usable else "this machine has none that others could know"
