#!/usr/bin/env python3
"""Whether a bundle is, byte for byte, what its manifest says. Standard library only.

    python verify.py [FOLDER]      default: the folder this file lies in

Refused are a changed byte, a file more or less, a renamed one, an empty folder, a set-uid, set-gid or sticky bit, and
anything that is not a plain file. A file with another name elsewhere, a hard link, passes: it is the bytes that count.
Prints the identity of the bundle, the SHA-256 of its manifest: compare it with the one printed when it was made; and
whether a signature is there. That it is one of this very manifest is checked here; by whose key it was made needs more
than the standard library: `edgewright verify BUNDLE --require-signature --key PUBLIC`.
Exit code 0 when intact, 6 when not.
"""

import sys

if __name__ == "__main__":  # a file that was added to this folder must not run in place of a library
    entries = sys.path[:]
    del sys.path[0]  # where Python puts the folder; the others come back
    import os

    here = os.path.dirname(os.path.realpath(__file__))
    sys.path[:] = [entry for entry in entries if os.path.realpath(entry) != here]

import base64
import hashlib
import json
import os
import stat
from collections.abc import Callable
from typing import TypeVar

MANIFEST = "manifest.json"
SIGNATURE = "signature.dsse.json"
SCHEMA = "edgewright.bundle/1"
PRIVILEGES = stat.S_ISUID | stat.S_ISGID | stat.S_ISVTX


def sha256_of(path: str) -> str:
    """SHA-256 of a file, in hex."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def bytes_of(path: str) -> bytes:
    """The bytes of a plain file.

    Raises:
        ValueError: when it is something else, such as a pipe that would be waited for.
    """
    if not stat.S_ISREG(os.lstat(path).st_mode):
        raise ValueError("not a plain file")
    with open(path, "rb") as file:
        return file.read()


def files_below(root: str) -> tuple[set[str], list[str]]:
    """Relative POSIX paths of the plain files below ``root``, and what is wrong about everything else."""
    found, problems = set(), []

    def relative_of(path: str) -> str:
        return os.path.relpath(path, root).replace(os.sep, "/")

    def note(error: OSError) -> None:  # also of a folder, whose files nobody would see
        problems.append(unreadable(relative_of(error.filename), error))

    for folder, subfolders, names in os.walk(root, onerror=note):
        if folder != root and not subfolders and not names:
            problems.append(f"{relative_of(folder)}: an empty folder")
        for name in (*names, *subfolders):
            path = os.path.join(folder, name)
            relative = relative_of(path)
            try:
                mode = os.lstat(path).st_mode
            except OSError as error:
                note(error)
                continue
            wrong = wrong_kind(mode)
            if wrong:
                problems.append(f"{relative}: {wrong}")
            elif stat.S_ISREG(mode):
                found.add(relative)
    return found, problems


def wrong_kind(mode: int) -> str:
    """What is wrong about something in a bundle that is neither a plain file nor a folder; empty where nothing is."""
    if stat.S_ISLNK(mode):
        return "a link"
    if stat.S_ISREG(mode):
        return "a set-uid, set-gid or sticky bit" if mode & PRIVILEGES else ""
    return "" if stat.S_ISDIR(mode) else "not a plain file"


def unreadable(name: str, error: OSError) -> str:
    """The problem that something cannot be read."""
    return f"{name}: cannot be read ({error.strerror})"


def spelled(manifest: dict[str, object]) -> str:
    """The one spelling of a manifest: any other one was not written by us."""
    return json.dumps(manifest, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def sealed(manifest: dict[str, object]) -> dict[str, object]:
    """The manifest with the hash over itself, by which a changed byte in it is seen."""
    bare = {key: value for key, value in manifest.items() if key != "sha256"}
    return {**bare, "sha256": hashlib.sha256(spelled(bare).encode()).hexdigest()}


def read_manifest(root: str) -> dict[str, tuple[int, str]]:
    """Path to size and hash of every file the manifest names.

    Raises:
        ValueError: when it is absent, no manifest, or not as it was written.
    """
    try:
        content = bytes_of(os.path.join(root, MANIFEST))
        manifest = json.loads(content)
        schema, written = manifest["schema"], (spelled(sealed(manifest)) + "\n").encode()
        entries = {entry["path"]: (int(entry["size_bytes"]), str(entry["sha256"])) for entry in manifest["files"]}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"{MANIFEST}: cannot be read ({error})") from error
    if schema != SCHEMA:
        raise ValueError(f"{MANIFEST}: schema is {schema!r}, wanted {SCHEMA!r}")
    if content != written:
        raise ValueError(f"{MANIFEST}: the bytes are not those that were written")
    return entries


def statement_of(manifest_sha256: str) -> bytes:
    """What is signed: an in-toto statement about the manifest, which vouches for every other file."""
    subject = {"name": MANIFEST, "digest": {"sha256": manifest_sha256}}
    statement: dict[str, object] = {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [subject],
        "predicateType": "urn:edgewright:signature:1",
    }
    return spelled(statement).encode()


def envelope_of(manifest_sha256: str, key: str, signature: bytes) -> str:
    """The one spelling of a signature's file: a DSSE envelope, with the SHA-256 of the public key as its name."""
    signed = {"keyid": key, "sig": base64.b64encode(signature).decode()}
    payload = base64.b64encode(statement_of(manifest_sha256)).decode()
    envelope: dict[str, object] = {
        "payloadType": "application/vnd.in-toto+json",
        "payload": payload,
        "signatures": [signed],
    }
    return spelled(envelope) + "\n"


def read_signature(root: str) -> "tuple[str, bytes] | None":
    """The name of the key and the signature's bytes; None where there is none.

    Raises:
        ValueError: when it is no signature of this bundle's manifest, or not as it was written.
    """
    path = os.path.join(root, SIGNATURE)
    if not os.path.lexists(path):
        return None
    try:
        content = bytes_of(path)
        (signed,) = json.loads(content)["signatures"]
        key, signature = str(signed["keyid"]), base64.b64decode(signed["sig"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"{SIGNATURE}: cannot be read ({error})") from error
    if content != envelope_of(sha256_of(os.path.join(root, MANIFEST)), key, signature).encode():
        raise ValueError(f"{SIGNATURE}: not a signature of this bundle")
    return key, signature


# --- the bundle's run.py starts here ---
Read = TypeVar("Read")


def printable(text: str) -> str:
    """The text with everything spelled out that could steer a terminal: names of files may be anything."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text)


def of_one_folder(root: "str | os.PathLike[str]", read: Callable[[], Read]) -> Read:
    """What ``read`` gives, or raises, for the folder ``root`` when it was one and the same from start to end.

    A bundle is published by exchanging its folder for another one: what was begun on the old one is done again on the
    new one. The folder is held open meanwhile, so that its number cannot be given to another.
    """
    for _ in range(100):
        try:
            handle = os.open(root, os.O_RDONLY)
        except OSError:  # not there, or a system that opens no folders
            return read()
        try:
            failure = None
            try:
                result = read()
            except Exception as error:  # noqa: BLE001 - raised below, unless it comes of the exchange
                failure = error
            if os.path.exists(root) and os.path.samestat(os.fstat(handle), os.stat(root)):
                if failure is not None:
                    raise failure
                return result
        finally:
            os.close(handle)
    return read()


# --- the bundle's run.py ends here ---
def verify_bundle(root: "str | os.PathLike[str]") -> list[str]:
    """All problems of the bundle below ``root``, empty when it is intact."""
    return of_one_folder(root, lambda: problems_of(os.fspath(root)))


def problems_of(root: str) -> list[str]:
    """The same, for a folder that nobody replaces meanwhile."""
    if not os.path.isdir(root):
        return [f"{root}: there is no such folder"]
    try:
        entries = read_manifest(root)
        read_signature(root)
    except ValueError as error:
        return [str(error)]
    found, problems = files_below(root)
    found -= {MANIFEST, SIGNATURE}
    problems += [f"{path}: missing" for path in sorted(entries.keys() - found)]
    problems += [f"{path}: not in the manifest{cause_of(path)}" for path in sorted(found - entries.keys())]
    for path in sorted(found & entries.keys()):
        full = os.path.join(root, *path.split("/"))
        try:
            problems += differences(path, full, *entries[path])
        except OSError as error:
            problems.append(unreadable(path, error))
    return problems


def differences(name: str, path: str, size: int, digest: str) -> list[str]:
    """What of a file is not as the manifest says."""
    found = os.path.getsize(path)
    if found != size:
        return [f"{name}: {found} bytes, the manifest says {size}"]
    return [] if sha256_of(path) == digest else [f"{name}: the bytes are not those of the manifest"]


def cause_of(path: str) -> str:
    """Why a file that nobody made may be there; it is refused all the same, since Python would run it."""
    if "__pycache__" not in path.split("/"):
        return ""
    return (
        ": byte code, which Python leaves where it imports a script; remove the folder __pycache__, and import with "
        "PYTHONDONTWRITEBYTECODE=1 (python -B)"
    )


def told_of(root: str) -> "tuple[list[str], str, tuple[str, bytes] | None]":
    """The problems; of an intact bundle also its identity, and its signature where it has one."""
    problems = problems_of(root)
    return (problems, "", None) if problems else ([], sha256_of(os.path.join(root, MANIFEST)), read_signature(root))


def main() -> int:
    """Command line."""
    root = sys.argv[1] if len(sys.argv) > 1 else os.path.dirname(os.path.abspath(__file__))
    problems, identity, signed = of_one_folder(root, lambda: told_of(root))
    for problem in problems:
        print(printable(problem), file=sys.stderr)
    if problems:
        return 6
    print(f"intact  sha256 {identity}")
    if signed:
        print(f"signed  by the key {printable(signed[0])}, which was not checked here")
    return 0


if __name__ == "__main__":
    sys.exit(main())
