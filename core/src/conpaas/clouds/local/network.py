"""The network of a local cloud: a bridge, a subnet of its own, a way out and a resolver."""

from __future__ import annotations

import contextlib
import fcntl
import ipaddress
import json
import os
import re
import signal
import zlib
from collections.abc import Collection, Iterator
from pathlib import Path

from conpaas.clouds.local.commands import run
from conpaas.clouds.local.processes import Process, send
from conpaas.clouds.local.store import Store
from conpaas.errors import CloudError, InvalidError

_CANDIDATES = ipaddress.IPv4Network("10.64.0.0/10")
_SUBNET_BITS = 20
_IP_FORWARD = Path("/proc/sys/net/ipv4/ip_forward")


class Network:
    """A bridge with static addresses, out of which machines reach the world through NAT.

    Args:
        store: Where the choice of the subnet is kept.
        bridge: The name of the bridge; the nft table is named after it.
        subnet: Which to take; empty chooses one that overlaps nothing on this machine.
    """

    def __init__(self, store: Store, bridge: str, subnet: str = "") -> None:
        self.bridge = bridge
        self.table = re.sub(r"\W", "_", bridge)
        self._store = store
        self._wanted = subnet
        self._pid_file = store.directory / "dnsmasq.pid"

    @property
    def subnet(self) -> ipaddress.IPv4Network:
        """The subnet that was chosen.

        Raises:
            CloudError: None is chosen yet.
        """
        chosen = self._store.network.get("subnet")
        if chosen is None:
            raise CloudError(f"the network {self.bridge} is not up")
        return ipaddress.IPv4Network(chosen)

    @property
    def gateway(self) -> ipaddress.IPv4Address:
        """The address of the bridge: gateway, resolver, and where machines find their host."""
        return self.subnet[1]

    def is_up(self) -> bool:
        """Tell whether machines can start; it takes no program to find out."""
        try:
            flags = int(Path(f"/sys/class/net/{self.bridge}/flags").read_text(), 16)
        except OSError:
            return False
        return bool(flags & 1) and "subnet" in self._store.network and self._resolver() is not None

    def up(self) -> None:
        """Bring the network up, or do nothing when it is.

        Raises:
            InvalidError: The subnet in the settings is none.
            CloudError: It overlaps a network that this machine knows, or a program refused.
        """
        if self.is_up():
            return
        self._store.make()
        # Two clouds that choose at the same time must not choose the same.
        with _one_on_this_machine(), self._store.lock("network"):
            if self.is_up():
                return
            subnet = self._choose()
            self._store.network = {**self._store.network, "subnet": str(subnet)}
            self._make_bridge(subnet)
            self._make_way_out(subnet)
            self._take_back_machines()
            # Last, as it is what `is_up` asks for: an interrupted `up` is done again.
            run("ip", "link", "set", self.bridge, "up")
            self._start_resolver()

    def down(self) -> None:
        """Take away everything that `up` made, or what is left of it."""
        with self._store.lock("network"):
            self._stop_resolver()
            run("nft", "-f", "-", given=f"table ip {self.table}\ndelete table ip {self.table}\n")
            if Path(f"/sys/class/net/{self.bridge}").exists():
                run("ip", "link", "delete", self.bridge)

    def free_address(self, taken: Collection[str], wanted: str | None = None) -> str:
        """Return an address that no machine has; the caller holds the lock on machines.

        They are given in turn, so that one which was let go rests before another has it, and
        whoever wants it again finds it free.
        """
        if wanted is not None and wanted not in taken and self._is_for_machines(wanted):
            return wanted
        subnet, last = self.subnet, self._store.network.get("last", 1)
        count = subnet.num_addresses - 3
        for step in range(count):
            index = 2 + (last - 1 + step) % count
            if str(subnet[index]) not in taken:
                self._store.network = {**self._store.network, "last": index}
                return str(subnet[index])
        raise CloudError(f"all {count} addresses of {subnet} are in use: destroy some machines")

    def _is_for_machines(self, address: str) -> bool:
        try:
            parsed = ipaddress.IPv4Address(address)
        except ValueError:
            return False
        reserved = (self.subnet[0], self.gateway, self.subnet[-1])
        return parsed in self.subnet and parsed not in reserved

    def conflict(self, subnet: ipaddress.IPv4Network) -> str | None:
        """Return which network of this machine a subnet overlaps, if any."""
        for network, owner in _known_networks(self.bridge):
            if network.overlaps(subnet):
                return f"{network} ({owner})"
        return None

    def _choose(self) -> ipaddress.IPv4Network:
        kept = self._wanted or self._store.network.get("subnet")
        if kept:
            subnet = _parse(kept)
            conflict = self.conflict(subnet)
            if conflict is None:
                return subnet
            if self._wanted or self._store.machine_ids():
                raise CloudError(
                    f"the subnet {subnet} of {self.bridge} overlaps {conflict}: take that away, "
                    "or choose another subnet and create the machines anew"
                )
        # Every cloud begins elsewhere: one that is down keeps its subnet with no visible trace.
        candidates = list(_CANDIDATES.subnets(new_prefix=_SUBNET_BITS))
        first = zlib.crc32(f"{self._store.directory}{self.bridge}".encode()) % len(candidates)
        for candidate in candidates[first:] + candidates[:first]:
            if self.conflict(candidate) is None:
                return candidate
        raise CloudError(f"all of {_CANDIDATES} overlaps a network of this machine: set `subnet`")

    def _make_bridge(self, subnet: ipaddress.IPv4Network) -> None:
        if not Path(f"/sys/class/net/{self.bridge}").exists():
            # A bridge without an address of its own takes one of its ports', which come and go.
            address = hardware_address(subnet[1])
            run("ip", "link", "add", self.bridge, "address", address, "type", "bridge")
        with contextlib.suppress(FileNotFoundError):
            Path(f"/proc/sys/net/ipv6/conf/{self.bridge}/disable_ipv6").write_text("1")
        run("ip", "-4", "address", "flush", "dev", self.bridge)
        run("ip", "address", "add", f"{subnet[1]}/{subnet.prefixlen}", "dev", self.bridge)

    def _make_way_out(self, subnet: ipaddress.IPv4Network) -> None:
        # To declare it first makes the deletion work whether it was there or not.
        rules = f"""
            table ip {self.table}
            delete table ip {self.table}
            table ip {self.table} {{
                chain postrouting {{
                    type nat hook postrouting priority srcnat; policy accept;
                    ip saddr {subnet} ip daddr != {subnet} masquerade
                }}
            }}
        """
        run("nft", "-f", "-", given=rules)
        if _IP_FORWARD.read_text().strip() != "1":
            _IP_FORWARD.write_text("1")

    def _take_back_machines(self) -> None:
        # Those that run while the bridge is made anew have lost it.
        for machine_id in self._store.machine_ids():
            if Path(f"/sys/class/net/{machine_id}").exists():
                run("ip", "link", "set", machine_id, "master", self.bridge)

    def _start_resolver(self) -> None:
        # One that served an earlier bridge of this name still holds the address.
        self._stop_resolver()
        # Names of no domain and private addresses are answered at once, without the world.
        run(
            "dnsmasq",
            "--conf-file=/dev/null",
            f"--interface={self.bridge}",
            "--except-interface=lo",
            "--bind-interfaces",
            "--no-hosts",
            "--domain-needed",
            "--bogus-priv",
            f"--pid-file={self._pid_file}",
        )

    def _stop_resolver(self) -> None:
        pid = self._resolver()
        process = Process.of(pid) if pid else None
        if process is not None:
            send([process], signal.SIGKILL, 5.0)
        self._pid_file.unlink(missing_ok=True)

    def _resolver(self) -> int | None:
        try:
            pid = int(self._pid_file.read_text())
            arguments = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except (OSError, ValueError):
            return None
        return pid if f"--pid-file={self._pid_file}".encode() in arguments else None


def hardware_address(address: ipaddress.IPv4Address) -> str:
    """Return the MAC address of a machine.

    It follows from the IP address: a machine that takes over another's, or starts again, is not
    held up by what its neighbours remember.
    """
    return ":".join(f"{byte:02x}" for byte in (2, 0, *address.packed))


def _parse(subnet: str) -> ipaddress.IPv4Network:
    try:
        parsed = ipaddress.IPv4Network(subnet)
    except ValueError as error:
        raise InvalidError(f"the subnet {subnet!r} is none ({error}): try 10.77.0.0/20") from None
    if parsed.prefixlen > 28:
        raise InvalidError(f"the subnet {subnet} is too small: take a /28 or larger")
    return parsed


def _known_networks(bridge: str) -> Iterator[tuple[ipaddress.IPv4Network, str]]:
    for route in json.loads(run("ip", "-j", "-4", "route", "show", "table", "all") or "[]"):
        if route["dst"] != "default" and route.get("dev") != bridge:
            yield ipaddress.IPv4Network(route["dst"], strict=False), route.get("dev", "a route")
    for link in json.loads(run("ip", "-j", "-4", "address") or "[]"):
        for info in link.get("addr_info", []):
            if link.get("ifname") not in (None, bridge) and "local" in info:
                network = f"{info['local']}/{info['prefixlen']}"
                yield ipaddress.IPv4Network(network, strict=False), link["ifname"]
    # A resolver behind the default route has no route of its own.
    for word in re.findall(r"^nameserver\s+([\d.]+)\s*$", _resolv_conf(), re.MULTILINE):
        with contextlib.suppress(ValueError):
            yield ipaddress.IPv4Network(word), "this machine's resolver"


def _resolv_conf() -> str:
    with contextlib.suppress(OSError):
        return Path("/etc/resolv.conf").read_text(encoding="utf-8", errors="replace")
    return ""


@contextlib.contextmanager
def _one_on_this_machine() -> Iterator[None]:
    # A lock on the directory itself leaves no file behind.
    descriptor = os.open("/run", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
