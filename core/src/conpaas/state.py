"""The states of an application and of a service."""

from __future__ import annotations

import enum


class State(enum.StrEnum):
    """Where an application or a service is in its life; only the job runner changes it."""

    INIT = "INIT"  #: defined, never started
    PROLOGUE = "PROLOGUE"  #: starting
    RUNNING = "RUNNING"
    ADAPTING = "ADAPTING"  #: changing while it runs
    EPILOGUE = "EPILOGUE"  #: stopping
    STOPPED = "STOPPED"
    ERROR = "ERROR"  #: a job failed half-way: repair, stop or remove it

    @property
    def passing(self) -> bool:
        """Whether a job is at work, so that another state follows by itself."""
        return self in (State.PROLOGUE, State.ADAPTING, State.EPILOGUE)


#: From here a start makes sense.
STARTABLE = (State.INIT, State.STOPPED)
