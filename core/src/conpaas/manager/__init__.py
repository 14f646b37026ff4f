"""The manager: the process that manages one application, with an object for each service."""
