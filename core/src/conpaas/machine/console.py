"""Words for whoever reads the machine's console."""

import sys


def say(text: str) -> None:
    """Write a line to the console."""
    print(f"conpaas-machine: {text}", file=sys.stderr, flush=True)
