"""Machines on this very machine: LXC instances over a base image."""

from conpaas.clouds.local.cloud import LocalCloud
from conpaas.clouds.local.driver import LocalSize
from conpaas.clouds.local.settings import LocalSettings

__all__ = ["LocalCloud", "LocalSettings", "LocalSize"]
