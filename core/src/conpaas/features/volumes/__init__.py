"""Volumes: storage beside a node's disk, which is kept when the node goes.

A service whose nodes may have some inherits ``VolumeManager`` and ``VolumeAgent``.
"""
