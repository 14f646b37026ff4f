"""Where ``cps-tools`` and every ``cps-<object>`` begin."""

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from conpaas.cli.index import Index


def main(argv: "list[str] | None" = None, index: "Index | None" = None) -> int:
    """Run a command line and return its exit code.

    Args:
        argv: The script's name and what was typed after it; default: what Python was given.
        index: The commands that there are; default: those of what is installed.
    """
    from conpaas.cli.index import load

    script, *words = sys.argv if argv is None else argv
    script = os.path.basename(script)
    index = index or load()
    if words in (["--version"], ["-V"]):
        # Everything below is imported for nothing then.
        print(f"{script if script[:4] == 'cps-' else 'cps-tools'} {index.version}")
        return 0
    from conpaas.cli.dispatch import run_words

    object_name = script[4:] if script[:4] == "cps-" and script != "cps-tools" else ""
    return run_words(index, object_name, words)


if __name__ == "__main__":
    sys.exit(main())
