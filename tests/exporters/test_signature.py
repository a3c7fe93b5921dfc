"""Who vouches for a bundle: no changed byte, no other bundle's signature and no other key passes."""

from __future__ import annotations

import base64
import builtins
import json
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from exporters.bundle import Bundle, Contents, read_bundle, write_bundle
from exporters.device import verify
from exporters.ort_cpu.target import ORT_CPU
from exporters.signature import check_signature, sign
from pipeline.environment import this_machine
from pipeline.errors import IntegrityError, UsageError

if TYPE_CHECKING:
    from pipeline.artifact import Artifact

_SIGNATURE = "signature.dsse.json"


def _write_pair(folder: Path, name: str) -> Path:
    """``<name>.pem`` and ``<name>.pub.pem``; returns the first."""
    key = Ed25519PrivateKey.generate()
    private, public = folder / f"{name}.pem", folder / f"{name}.pub.pem"
    private.write_bytes(_pem(key))
    public.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return private


def _pem(key: Any, encryption: KeySerializationEncryption | None = None) -> bytes:  # noqa: ANN401 - any kind of key
    made: bytes = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption or NoEncryption())
    return made


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two pairs, ``mine`` and ``other``."""
    folder = tmp_path_factory.mktemp("keys")
    for name in ("mine", "other"):
        _write_pair(folder, name)
    return folder


@pytest.fixture(scope="module")
def unsigned(engine: Artifact, contents: Contents, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return write_bundle(engine, ORT_CPU, this_machine(), contents, tmp_path_factory.mktemp("unsigned") / "bundle")


@pytest.fixture
def signed(unsigned: Bundle, keys: Path, tmp_path: Path) -> Path:
    root = Path(shutil.copytree(unsigned.root, tmp_path / "bundle"))
    sign(root, keys / "mine.pem")
    return root


def _refusal(root: Path, public: Path) -> str | None:
    """Why the library does not take it for signed and whole; None when it does."""
    try:
        check_signature(read_bundle(root), public)
    except IntegrityError as error:
        return str(error)
    return None


def _script(root: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-I", "-S", str(root / "verify.py")]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_what_was_signed_is_taken_and_keeps_its_identity(signed: Path, unsigned: Bundle, keys: Path) -> None:
    found = read_bundle(signed)
    assert found.sha256 == unsigned.sha256
    assert found.signer == check_signature(found, keys / "mine.pub.pem")
    assert unsigned.signer is None
    assert [path.name for path in signed.parent.iterdir()] == ["bundle"]


def test_the_script_says_that_a_signature_is_there(signed: Path, unsigned: Bundle) -> None:
    done = _script(signed)
    signer = read_bundle(signed).signer
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (
        f"intact  sha256 {unsigned.sha256}\nsigned  by the key {signer}, which was not checked here\n"
    )


def test_signing_again_gives_the_same_bytes(signed: Path, keys: Path) -> None:
    before = (signed / _SIGNATURE).read_bytes()
    sign(signed, keys / "mine.pem")
    assert (signed / _SIGNATURE).read_bytes() == before


def test_any_changed_byte_of_a_signed_bundle_is_refused(signed: Path, keys: Path) -> None:
    chance = random.Random(0)
    kept = []
    for path in sorted(signed.iterdir()):
        content = path.read_bytes()
        # Every byte of the signature's file; of the others, whose hashes are elsewhere tried, some.
        places = range(len(content)) if path.name == _SIGNATURE else chance.sample(range(len(content)), 3)
        for place in places:
            changed = bytearray(content)
            changed[place] ^= 1 << chance.randrange(8)
            path.write_bytes(changed)
            if _refusal(signed, keys / "mine.pub.pem") is None:
                kept.append((path.name, place))
        path.write_bytes(content)
    assert kept == []
    assert _refusal(signed, keys / "mine.pub.pem") is None


def test_the_signature_of_another_bundle_is_refused_by_the_script_too(
    signed: Path, engine: Artifact, contents: Contents, keys: Path, tmp_path: Path
) -> None:
    other = write_bundle(engine, ORT_CPU, this_machine(), replace(contents, model="another"), tmp_path / "other").root
    shutil.copy(signed / _SIGNATURE, other)
    assert "signature.dsse.json: not a signature of this bundle" in str(_refusal(other, keys / "mine.pub.pem"))
    done = _script(other)
    assert (done.returncode, done.stderr) == (6, "signature.dsse.json: not a signature of this bundle\n")


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda envelope: {**envelope, "signatures": []}, "cannot be read"),
        (lambda envelope: {**envelope, "signatures": 2 * envelope["signatures"]}, "cannot be read"),
        (lambda envelope: {**envelope, "more": 1}, "not a signature of this bundle"),
        (lambda envelope: {**envelope, "payloadType": "text/plain"}, "not a signature of this bundle"),
        (lambda envelope: [envelope], "cannot be read"),
        (lambda envelope: {**envelope, "signatures": [{"keyid": 1, "sig": "é"}]}, "cannot be read"),
    ],
)
def test_an_envelope_that_was_not_written_by_us_is_refused(
    signed: Path, make: Callable[[dict[str, Any]], object], told: str
) -> None:
    envelope = json.loads((signed / _SIGNATURE).read_text(encoding="utf-8"))
    (signed / _SIGNATURE).write_text(verify.spelled(make(envelope)) + "\n", encoding="utf-8")  # type: ignore[arg-type]
    (problem,) = verify.verify_bundle(signed)
    assert told in problem


def test_an_empty_file_with_its_name_is_no_signature(unsigned: Bundle, tmp_path: Path) -> None:
    root = Path(shutil.copytree(unsigned.root, tmp_path / "bundle"))
    (root / _SIGNATURE).touch()
    assert verify.verify_bundle(root)[0].startswith("signature.dsse.json: cannot be read")


def test_another_key_is_refused_by_name(signed: Path, keys: Path) -> None:
    assert "signed by another key" in str(_refusal(signed, keys / "other.pub.pem"))


def test_what_is_checked_is_what_was_read(signed: Path, unsigned: Bundle, keys: Path) -> None:
    bundle = read_bundle(signed)
    shutil.rmtree(signed)  # replaced meanwhile, by one without a signature
    shutil.copytree(unsigned.root, signed)
    assert check_signature(bundle, keys / "mine.pub.pem") == bundle.signer


def test_a_signature_that_only_names_the_key_is_refused(signed: Path, keys: Path) -> None:
    bundle = read_bundle(signed)
    forged = base64.b64decode(json.loads((signed / _SIGNATURE).read_text())["signatures"][0]["sig"])[::-1]
    (signed / _SIGNATURE).write_text(verify.envelope_of(bundle.sha256, str(bundle.signer), forged), encoding="utf-8")
    assert verify.verify_bundle(signed) == []  # all that the standard library can see
    assert "was not made by the key it names" in str(_refusal(signed, keys / "mine.pub.pem"))


def test_a_bundle_whose_signature_was_taken_away_is_refused(signed: Path, keys: Path) -> None:
    (signed / _SIGNATURE).unlink()
    assert "this bundle is not signed" in str(_refusal(signed, keys / "mine.pub.pem"))


def test_what_is_no_bundle_is_not_signed(signed: Path, keys: Path, tmp_path: Path) -> None:
    (signed / "classes.txt").write_text("changed", encoding="utf-8")
    for root in (signed, tmp_path / "nowhere"):
        with pytest.raises(IntegrityError, match="not what its manifest says"):
            sign(root, keys / "mine.pem")


def test_it_is_signed_in_the_form_that_others_check(signed: Path, keys: Path) -> None:
    # DSSE's encoding written out once more, apart from ours.
    envelope = json.loads((signed / _SIGNATURE).read_text(encoding="utf-8"))
    payload = base64.b64decode(envelope["payload"])
    encoded = b" ".join(
        (b"DSSEv1", str(len(envelope["payloadType"])).encode(), envelope["payloadType"].encode(),
         str(len(payload)).encode(), payload)
    )  # fmt: skip
    key = Ed25519PrivateKey.from_private_bytes(_raw(keys / "mine.pem"))
    assert base64.b64decode(envelope["signatures"][0]["sig"]) == key.sign(encoded)
    (subject,) = json.loads(payload)["subject"]
    assert subject == {"name": "manifest.json", "digest": {"sha256": read_bundle(signed).sha256}}


def _raw(path: Path) -> bytes:
    der = base64.b64decode("".join(path.read_text().splitlines()[1:-1]))
    return der[-32:]  # RFC 8410: the key is the last field


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "no key that can be used"),
        (b"no key\n", "no key that can be used"),
        (_pem(generate_private_key(SECP256R1())), "ECPrivateKey"),
        (_pem(Ed25519PrivateKey.generate(), BestAvailableEncryption(b"secret")), "password"),
    ],
)
def test_a_file_without_such_a_key_is_refused(unsigned: Bundle, tmp_path: Path, content: bytes, told: str) -> None:
    (tmp_path / "key.pem").write_bytes(content)
    with pytest.raises(UsageError) as raised:
        sign(unsigned.root, tmp_path / "key.pem")
    assert told.lower() in str(raised.value).lower()
    assert "openssl genpkey -algorithm ed25519" in str(raised.value)


def test_a_private_key_does_not_check(signed: Path, keys: Path) -> None:
    with pytest.raises(UsageError, match="no key that can be used") as raised:
        check_signature(read_bundle(signed), keys / "mine.pem")
    assert "openssl pkey" in str(raised.value)


def test_without_the_library_it_says_what_to_install(
    unsigned: Bundle, keys: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any) -> object:  # noqa: ANN401 - the built-in's
        if name.partition(".")[0] == "cryptography":
            raise ModuleNotFoundError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    for use in (
        lambda: sign(unsigned.root, keys / "mine.pem"),
        lambda: check_signature(unsigned, keys / "mine.pub.pem"),
    ):
        with pytest.raises(UsageError, match="signatures need the library cryptography") as raised:
            use()
        assert "edgewright[sign]" in str(raised.value)
