"""The devices a user has named: kept, read, and told what is wrong with them."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from typing import TYPE_CHECKING

import pytest

from pipeline.devices.entries import add_device, device_entry, devices_file, read_devices, remove_device
from pipeline.errors import UnknownNameError, UsageError

if TYPE_CHECKING:
    from pathlib import Path

PI = "ssh://pi@raspberrypi.local"


@pytest.fixture(autouse=True)
def _own_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


def test_a_device_is_kept_as_it_was_given_and_the_rest_has_defaults() -> None:
    add_device("pi", {"address": PI, "cores": [2, 3]})
    add_device("jetson", {"address": "ssh://jetson"})

    found = read_devices()

    assert list(found) == ["jetson", "pi"]
    assert (found["pi"].address, found["pi"].cores, found["pi"].python) == (PI, (2, 3), "python3")
    assert "least_free_mib" not in devices_file().read_text(encoding="utf-8")


def test_a_device_of_the_same_name_is_replaced_and_a_removed_one_is_gone() -> None:
    add_device("pi", {"address": PI})
    add_device("pi", {"address": "ssh://other"})
    assert read_devices()["pi"].address == "ssh://other"

    remove_device("pi")

    assert read_devices() == {}
    with pytest.raises(UnknownNameError, match="unknown device 'pi'"):
        remove_device("pi")


def test_cores_count_once_and_in_one_order() -> None:
    assert add_device("pi", {"address": PI, "cores": ["3", "2", "3"]}).cores == (2, 3)


def test_one_that_is_added_again_keeps_what_is_not_given_where_its_address_is_the_same() -> None:
    add_device("pi", {"address": PI, "cores": [2], "python": "~/venv/bin/python", "cache_mib": 100})

    changed = add_device("pi", {"address": f"{PI}/", "cores": [2, 3]})
    assert changed == read_devices()["pi"]
    assert (changed.cores, changed.python, changed.cache_mib) == ((2, 3), "~/venv/bin/python", 100)
    assert add_device("pi", {"address": PI, "python": "python3"}).python == "python3"

    other = add_device("pi", {"address": "ssh://other"})
    assert (other.cores, other.cache_mib) == (None, 4096)


def test_a_wrong_entry_is_mended_by_adding_it_again() -> None:
    devices_file().parent.mkdir(parents=True)
    devices_file().write_text(f"pi: {{address: '{PI}', pyhton: x}}\n", encoding="utf-8")
    assert add_device("pi", {"address": PI}) == read_devices()["pi"]


def test_a_list_that_is_a_link_stays_one_and_its_readers_are_those_it_had(tmp_path: Path) -> None:
    add_device("pi", {"address": PI})
    assert devices_file().stat().st_mode & 0o777 == 0o600
    kept = tmp_path / "dotfiles.yaml"
    devices_file().rename(kept)
    kept.chmod(0o640)
    devices_file().symlink_to(kept)

    add_device("nano", {"address": PI})

    assert devices_file().is_symlink()
    assert set(read_devices()) == {"pi", "nano"}
    assert kept.stat().st_mode & 0o777 == 0o640


def test_an_address_needs_no_entry() -> None:
    name, entry = device_entry("ssh://me@[fe80::1]:2222/")
    assert (name, entry.address) == ("ssh://me@[fe80::1]:2222/", "ssh://me@[fe80::1]:2222")


def test_an_unknown_device_is_told_the_nearest_one() -> None:
    add_device("raspberry", {"address": PI})
    with pytest.raises(UnknownNameError, match="unknown device 'rasberry'") as raised:
        device_entry("rasberry")
    assert "raspberry" in (raised.value.expected or "")


@pytest.mark.parametrize(
    "address",
    ["pi", "ssh://", "http://pi", "ssh://-oProxyCommand=x", "ssh://pi:0", "ssh://pi:65536", "ssh://a b", "ssh://pi;ls",
     "ssh://-l@pi", "ssh://pi/folder", "ssh://pi\n"],
)  # fmt: skip
def test_what_is_no_address_is_refused_before_ssh_sees_it(address: str) -> None:
    with pytest.raises(UsageError, match="address: expected ssh://"):
        add_device("pi", {"address": address})
    assert not devices_file().exists()


@pytest.mark.parametrize("name", ["", "-pi", "a/b", "a b", "ssh://pi", "here"])
def test_a_name_is_one_word(name: str) -> None:
    with pytest.raises(UsageError, match="not a name for a device"):
        add_device(name, {"address": PI})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("pi: [", "not YAML"),
        ("pi: " + 5000 * "[", "not YAML"),
        ("pi: !!timestamp x", "not YAML"),
        ("pi: !!int ''", "not YAML"),
        ("pi: !!bool x", "not YAML"),
        ("pi: 2026-99-99", "not YAML"),
        ("- pi\n", "not a list of devices"),
        ("pi: ssh://pi\n", "not a list of devices"),
        ("pi: {address: ssh://pi, pyhton: python3}\n", "pyhton: Extra inputs are not permitted"),
        ("pi: {address: ssh://pi, cores: [-1]}\n", "cores.0"),
        ("pi: {}\n", "address: Field required"),
        ("my pi: {address: ssh://pi}\n", "not a name for a device"),
        ("here: {address: ssh://pi}\n", "not a name for a device"),
    ],
)
def test_a_file_that_is_wrong_is_told_with_its_place(text: str, message: str) -> None:
    devices_file().parent.mkdir(parents=True)
    devices_file().write_text(text, encoding="utf-8")
    with pytest.raises(UsageError) as raised:
        read_devices()
    assert message in str(raised.value)
    assert str(devices_file()) in str(raised.value)


def test_an_entry_that_is_wrong_leaves_the_others_in_use_and_can_be_removed() -> None:
    devices_file().parent.mkdir(parents=True)
    devices_file().write_text(
        "# mine\npi: {address: ssh://pi}\nbad: {adress: ssh://pi}\nworse: ssh://pi\n", encoding="utf-8"
    )
    assert device_entry("pi")[1].address == "ssh://pi"
    with pytest.raises(UsageError, match=r"Field required|not permitted"):
        device_entry("bad")

    add_device("box", {"address": "ssh://box"})
    remove_device("bad")
    remove_device("worse")

    assert list(read_devices()) == ["box", "pi"]


def test_a_device_is_added_where_folders_cannot_be_locked(monkeypatch: pytest.MonkeyPatch) -> None:
    really = fcntl.flock

    def on_files_alone(handle: int, how: int) -> None:
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))
        really(handle, how)

    monkeypatch.setattr(fcntl, "flock", on_files_alone)
    add_device("pi", {"address": PI})
    assert list(read_devices()) == ["pi"]


@pytest.mark.parametrize("text", ["", "# none yet\n", "---\n"])
def test_a_file_without_devices_is_one_of_none(text: str) -> None:
    devices_file().parent.mkdir(parents=True)
    devices_file().write_text(text, encoding="utf-8")
    assert read_devices() == {}
    add_device("pi", {"address": PI})
    assert list(read_devices()) == ["pi"]
