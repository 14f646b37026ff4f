"""What git and sshd run on a manager's machine: it asks the manager, and passes the answer on.

It imports nothing of ConPaaS, to start in a few milliseconds:

    python3 -I -S ask.py SOCKET check      the hook pre-receive
    python3 -I -S ask.py SOCKET pushed     the hook post-receive
    python3 -I -S ask.py SOCKET keys TYPE KEY      sshd's AuthorizedKeysCommand

A question is one line of JSON.  So is each line of the answer: ``{"say": …}`` for the person, and
at the end ``{"done": true}`` or ``{"done": false}``.
"""

from __future__ import annotations

import json
import os
import socket
import sys

#: Seconds without a word from the manager, which may be sending an archive to the director.
_PATIENCE = {"check": 60.0, "pushed": 1800.0, "keys": 20.0}
_GONE = {
    "check": "ConPaaS: the manager does not answer: nothing was changed, push again in a moment.",
    "pushed": "ConPaaS: your push is kept. The manager does not answer; it makes the new code "
    "versions when it is back: list_codes shows them.",
    "keys": "the manager does not answer",
}


def ask(path: str, what: str, lines: list[str]) -> bool | None:
    """Ask, and print what is said; return how it ended, None when nobody answered to the end."""
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(_PATIENCE[what])
            connection.connect(path)
            connection.sendall(json.dumps({"ask": what, "lines": lines}).encode() + b"\n")
            for line in connection.makefile("rb"):
                answer = json.loads(line)
                if "done" in answer:
                    return bool(answer["done"])
                print(answer["say"], flush=True)
    except (OSError, ValueError):
        pass
    return None


def main(path: str, what: str, *words: str) -> int:
    """Ask one question; return the process's exit status."""
    if what == "keys":
        lines = list(words)
    else:
        lines = [os.fsdecode(line).rstrip("\n") for line in sys.stdin.buffer]
    done = ask(path, what, lines)
    if done is None:
        print(_GONE[what], file=sys.stderr, flush=True)
    return 0 if done else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
