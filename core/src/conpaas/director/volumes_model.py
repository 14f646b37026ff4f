"""The director's table of volumes.  Times are seconds since 1970, UTC."""

from __future__ import annotations

import time

import peewee

from conpaas.director.models import Application, Model


class Volume(Model):
    """A volume that shall be, is or was.

    ``wanted`` is the size that was asked for, ``size`` the true one, in MB.  ``held`` is unique
    while the volume is not gone: an application has one of a name.  ``machine`` is the number of
    the machine that it is attached to.  ``role`` and ``position`` say which node of its service
    it belongs to, also while there is none; no position: it waits for nobody.
    """

    id = peewee.AutoField()
    application = peewee.ForeignKeyField(Application, backref="volumes", on_delete="CASCADE")
    service = peewee.IntegerField()
    name = peewee.CharField(max_length=64)
    held = peewee.CharField(null=True, unique=True)
    cloud = peewee.CharField()
    cloud_name = peewee.CharField(null=True, unique=True)
    cloud_id = peewee.CharField(null=True)
    wanted = peewee.BigIntegerField()
    size = peewee.BigIntegerField()
    state = peewee.CharField(max_length=16)
    request = peewee.CharField(max_length=64, index=True)
    machine = peewee.IntegerField(null=True, index=True)
    device = peewee.CharField(null=True)
    role = peewee.CharField(max_length=64)
    position = peewee.IntegerField(null=True)
    created = peewee.DoubleField(default=time.time)
    gone = peewee.DoubleField(null=True)

    class Meta:
        """Its name in the database."""

        table_name = "volume"
