"""Signatures of bundles: Ed25519 over the manifest, which vouches for every other byte, in a DSSE envelope beside it.

Sources: "Dead Simple Signing Envelope", v1 (https://github.com/secure-systems-lab/dsse/blob/master/protocol.md); for
Ed25519, RFC 8032. The envelope's one spelling stands in ``exporters/device/verify.py``; what needs the library
``cryptography`` stands here.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from exporters.bundle import read_bundle
from exporters.device import verify
from pipeline.errors import IntegrityError, UsageError, first_line
from pipeline.leftovers import file_beside, sweep
from pipeline.store import write_and_fsync

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

    from exporters.bundle import Bundle

__all__ = ["check_signature", "sign"]

_PAYLOAD_TYPE = b"application/vnd.in-toto+json"
_MAKE_KEY = "openssl genpkey -algorithm ed25519 -out key.pem"
_MAKE_PUBLIC = "openssl pkey -in key.pem -pubout -out pub.pem"


def sign(root: Path, key: Path) -> str:
    """Sign a bundle that is intact; a signature that was there is replaced, in one step.

    Args:
        root: The bundle's folder.
        key: File with an Ed25519 private key, PEM, without a password.

    Returns:
        The name of the key: SHA-256 of its public half.

    Raises:
        IntegrityError: when the bundle is not what its manifest says.
        UsageError: when the key cannot be used, or ``cryptography`` is not installed.
    """
    private = _private_key(key)
    handle = os.open(root, os.O_RDONLY) if root.is_dir() else None  # held: another may be published meanwhile
    try:
        sha256 = read_bundle(root).sha256
        name = _name(private.public_key())
        signature = private.sign(_signed_bytes(verify.statement_of(sha256)))
        with file_beside(root.resolve()) as work:
            write_and_fsync(work, verify.envelope_of(sha256, name, signature))
            os.replace(work, verify.SIGNATURE, dst_dir_fd=handle)  # into the folder that is held
        if handle is not None and not os.path.samestat(os.fstat(handle), root.stat()):
            raise IntegrityError(
                "this bundle was replaced by another while it was signed", where=str(root), fix="sign the new one"
            )
    finally:
        if handle is not None:
            os.close(handle)
    sweep(root.resolve().parent)
    return name


def check_signature(bundle: Bundle, key: Path) -> str:
    """See that a bundle was signed with a key.

    Args:
        bundle: As it was read; it may have been replaced by another since.
        key: File with the Ed25519 public key, PEM.

    Returns:
        The name of the key: SHA-256 of it.

    Raises:
        IntegrityError: when there is no signature, or it is another key's, or none at all.
        UsageError: when the key cannot be used, or ``cryptography`` is not installed.
    """
    public = _public_key(key)
    from cryptography.exceptions import InvalidSignature

    name, root = _name(public), bundle.root
    if bundle.signature is None:
        raise IntegrityError(
            "this bundle is not signed",
            where=str(root),
            expected=f"a {verify.SIGNATURE} by the key {name}",
            fix="get it from whoever signs it; whoever made it signs it with `edgewright sign BUNDLE --key key.pem`",
        )
    if bundle.signer != name:
        raise IntegrityError("this bundle was signed by another key", where=str(root), got=bundle.signer, expected=name)
    try:
        public.verify(bundle.signature, _signed_bytes(verify.statement_of(bundle.sha256)))
    except InvalidSignature as error:
        raise IntegrityError(
            "this bundle's signature was not made by the key it names",
            where=str(root),
            got=name,
            fix="do not use the bundle: somebody has changed it, or its signature",
        ) from error
    return name


def _signed_bytes(payload: bytes) -> bytes:
    """DSSE's pre-authentication encoding, which is what the key signs: ``PAE(type, payload)``."""
    return b"DSSEv1 %d %b %d %b" % (len(_PAYLOAD_TYPE), _PAYLOAD_TYPE, len(payload), payload)


def _private_key(path: Path) -> Ed25519PrivateKey:
    _need_library()
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except (ValueError, TypeError) as error:  # the latter for one with a password
        raise _no_key(path, "a private", first_line(error), _MAKE_KEY) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise _no_key(path, "a private", type(key).__name__, _MAKE_KEY)
    return key


def _public_key(path: Path) -> Ed25519PublicKey:
    _need_library()
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        key = load_pem_public_key(path.read_bytes())
    except ValueError as error:
        raise _no_key(path, "a public", first_line(error), _MAKE_PUBLIC) from error
    if not isinstance(key, Ed25519PublicKey):
        raise _no_key(path, "a public", type(key).__name__, _MAKE_PUBLIC)
    return key


def _no_key(path: Path, kind: str, got: str, make: str) -> UsageError:
    return UsageError(
        "this file holds no key that can be used",
        where=str(path),
        got=got,
        expected=f"{kind} Ed25519 key as PEM, without a password",
        fix=f"make one: {make}",
    )


def _need_library() -> None:
    try:
        import cryptography  # noqa: F401 - whether it is there
    except ModuleNotFoundError as error:
        raise UsageError(
            "signatures need the library cryptography, which is not installed",
            fix="pip install 'edgewright[sign]', or pip install cryptography",
        ) from error


def _name(key: Ed25519PublicKey) -> str:
    """SHA-256 of the public key in DER, as ``openssl pkey -pubin -outform DER`` writes it."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()
