"""What can keep local machines from running, and what to do about each."""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from conpaas.clouds.local.commands import run
from conpaas.clouds.local.driver import LocalNodeDriver, image_names
from conpaas.errors import ConPaaSError
from conpaas.nearest import did_you_mean

if TYPE_CHECKING:
    from conpaas.clouds.local.settings import LocalSettings

#: Debian's packages by the program that is needed of them.
_PROGRAMS = {
    "lxc-start": "lxc",
    "ip": "iproute2",
    "nft": "nftables",
    "dnsmasq": "dnsmasq-base",
    "mkfs.ext4": "e2fsprogs",
    "unshare": "util-linux",
}
_MAX_LINK_NAME = 15
_ID_LENGTH = 8
_LITTLE_SPACE = 2 << 30


def find(settings: LocalSettings, driver: LocalNodeDriver) -> list[str]:
    """Return everything that is wrong, a sentence each."""
    found = list(_settings(settings))
    if os.geteuid() != 0:
        return [*found, "The local cloud needs root: run the director as root."]
    missing = {package for name, package in _PROGRAMS.items() if shutil.which(name) is None}
    if missing:
        packages = " ".join(sorted(missing))
        return [
            *found,
            f"Programs are missing: apt-get install --no-install-recommends {packages}",
        ]
    if found:
        return found
    return [
        *_images(settings),
        *_disk(driver.store.directory),
        *_kernel(),
        *_network(driver),
    ]


def _settings(settings: LocalSettings) -> Iterator[str]:
    if len(settings.bridge) > _MAX_LINK_NAME or not re.fullmatch(r"[\w.-]+", settings.bridge):
        yield (
            f"The bridge's name {settings.bridge!r} will not do: take at most {_MAX_LINK_NAME} "
            "letters, digits and dashes."
        )
    longest = _MAX_LINK_NAME - _ID_LENGTH
    if not re.fullmatch(rf"[a-z0-9-]{{1,{longest}}}", settings.prefix):
        yield (
            f"The prefix {settings.prefix!r} will not do: take 1 to {longest} small letters, "
            "digits and dashes."
        )
    for name in ("directory", "images"):
        path = getattr(settings, name)
        if not re.fullmatch(r"/[^\s:,]*", path):
            yield f"The {name} {path!r} must be an absolute path without blanks, ':' and ','."
    if settings.size not in settings.sizes:
        yield f"There is no size {settings.size!r}{did_you_mean(settings.size, settings.sizes)}"


def _images(settings: LocalSettings) -> Iterator[str]:
    names = image_names(Path(settings.images))
    if settings.image and Path(settings.images, settings.image, "etc").is_dir():
        return
    if not names:
        yield f"There is no image in {settings.images}: run images/build.py --target local."
    elif settings.image:
        near = did_you_mean(settings.image, names)
        yield f"There is no image {settings.image!r} in {settings.images}{near}"


def _disk(directory: Path) -> Iterator[str]:
    existing = next(path for path in (directory, *directory.parents) if path.exists())
    free = shutil.disk_usage(existing).free
    if free < _LITTLE_SPACE:
        yield f"Only {free >> 20} MB are free in {existing}: make room for machines."
    with tempfile.TemporaryDirectory(dir=existing, prefix=".conpaas-") as probe:
        for name in ("lower", "upper", "work", "merged"):
            Path(probe, name).mkdir()
        options = f"lowerdir={probe}/lower,upperdir={probe}/upper,workdir={probe}/work"
        # In a mount namespace of its own: what is mounted goes with it.
        mount = ("mount", "-t", "overlay", "overlay", "-o", options, f"{probe}/merged")
        try:
            run("unshare", "--mount", *mount)
        except ConPaaSError as error:
            yield (
                f"The file system of {existing} cannot hold overlays ({error.message}): set "
                "`directory` to one on ext4 or xfs (inside a container, to a volume)."
            )


def _kernel() -> Iterator[str]:
    if not Path("/dev/loop-control").exists():
        yield "There are no loop devices, so no volumes: modprobe loop."
    for controller in ("memory", "cpu", "pids"):
        if controller not in _controllers():
            yield (
                f"The kernel's {controller} controller is not mounted, so machines cannot be "
                "limited and lxc refuses to start them: mount the cgroup file systems."
            )


def _controllers() -> set[str]:
    unified = Path("/sys/fs/cgroup/cgroup.controllers")
    found = set(unified.read_text().split()) if unified.exists() else set()
    mounts = Path("/proc/self/mounts").read_text().splitlines()
    for _, _, kind, options, *_ in (line.split() for line in mounts):
        if kind == "cgroup":
            found.update(options.split(","))
    return found


def _network(driver: LocalNodeDriver) -> Iterator[str]:
    network, machines = driver.network, driver.store.machine_ids()
    if machines and not network.is_up():
        yield (
            f"The bridge {network.bridge} or its resolver is gone, so {len(machines)} machines "
            "reach nobody: start one of them, or bring the cloud up."
        )
    try:
        conflict = network.conflict(network.subnet)
    except ConPaaSError:
        conflict = None
    if conflict is not None:
        yield f"The subnet {network.subnet} overlaps {conflict}: choose another `subnet`."
    yield from _firewall(network.bridge)


def _firewall(bridge: str) -> Iterator[str]:
    rules = json.loads(run("nft", "-j", "list", "ruleset"))["nftables"]
    # Whoever has written a rule about the bridge has thought of it.
    if f'"{bridge}"' in json.dumps([entry for entry in rules if "rule" in entry]):
        return
    for chain in (entry["chain"] for entry in rules if "chain" in entry):
        if chain.get("policy") != "drop" or chain.get("hook") not in ("forward", "input"):
            continue
        name = f"{chain['family']} {chain['table']} {chain['name']}"
        effect = {
            "forward": "machines do not reach the world, perhaps not even each other",
            "input": "machines reach neither the director nor their resolver",
        }[chain["hook"]]
        direction = ("iifname", "oifname") if chain["hook"] == "forward" else ("iifname",)
        accept = "; ".join(f"nft insert rule {name} {way} {bridge} accept" for way in direction)
        yield f"The firewall drops what no rule accepts (chain {name}): {effect}. Do: {accept}"
