"""PromptCrm's sensitive columns on the stand-in, encrypted under a key that an X.509 certificate keeps.

They are tax id, e-mail and phone of a client. SQL Server does this in the server (``CREATE CERTIFICATE``, ``OPEN
SYMMETRIC KEY``). The stand-in gives the same promise outside of it:

- A random 256-bit *data key* is wrapped (RSA-OAEP-SHA256) by the certificate's public key and lies in the table
  ``data_key``. Who has the private key opens it; the database alone, or a backup of it, shows nothing.
- From the data key two keys are derived (HKDF-SHA256, one ``info`` each): one encrypts, the other makes keyed hashes.
- **Ciphertexts** are AES-256-SIV (RFC 5297), with key version, column and client id as associated data: a ciphertext
  that is moved to another row or column does not decrypt, a flipped bit neither. SIV is made for encryption without a
  random nonce: its synthetic IV is a MAC (CMAC, under a key of its own) over associated data *and* value, so two
  different inputs never meet under one IV but by chance of 2⁻⁶⁴ after 2³² values. It is deterministic: the same client
  with the same value gives the same bytes, which is what lets a seed give the same database anywhere. All that this
  shows is whether a value of one client was set to what it had been before.
- **Hashes** are HMAC-SHA256 over column and normalised value, so a value is found by an index on its hash. Whoever
  holds the database sees which clients share a value, as with any searchable hash; without the key nobody can try
  values out.

**The hash key belongs to the key version**, and a search asks under every version that there is (one index look-up
with as many hashes). The other way, one hash key for ever, would leave the hashes of all clients open to whoever once
had got a data key: then rotation would protect only half. So rotation encrypts *and* hashes anew. Its price: while
rows are under two versions, the unique index on the hash of the tax id sees only those of one version; who registers a
client looks with :func:`find_client` first, and a double that slips through ends the rotation with an error.

**Rotation** (:func:`rotate`) is done in batches, each its own transaction; every row and every ciphertext says its key
version, so a reader is right at any moment. Readers need not be told: :func:`reveal` and :func:`find_client` notice a
version that their ring does not have, and open it. Retired keys stay openable, for old snapshots and backups. **The
certificate** is changed by :func:`rewrap_keys`, which touches no client.

This module is the door; the parts are ``cipher_values`` (one key at work), ``cipher_certificate``, ``cipher_keys``,
``cipher_rotation``.
"""

from harness.promptsales.cipher_certificate import (
    Certificate,
    certificate_from_environment,
    development_certificate,
    make_certificate,
)
from harness.promptsales.cipher_keys import KeyRing, create_key, find_client, reveal, rewrap_keys, seal
from harness.promptsales.cipher_rotation import Rotation, rotate
from harness.promptsales.cipher_values import COLUMNS, Cipher, normalise, seed_key

__all__ = [
    "COLUMNS",
    "Certificate",
    "Cipher",
    "KeyRing",
    "Rotation",
    "certificate_from_environment",
    "create_key",
    "development_certificate",
    "find_client",
    "make_certificate",
    "normalise",
    "reveal",
    "rewrap_keys",
    "rotate",
    "seal",
    "seed_key",
]
