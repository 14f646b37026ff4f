"""Machines on this very machine: LXC instances over a base image."""

from conpaas.clouds.local.cloud import LocalCloud, LocalSettings
from conpaas.clouds.local.driver import LocalSize

__all__ = ["LocalCloud", "LocalSettings", "LocalSize"]
