"""Measures speed and weight of ConPaaS, each figure beside a baseline measured in the same run.

Baseline and ours are measured in turns and their medians compared, so that the ratios mean
something on a busy machine, where the absolute figures do not.  A missed aim is no failure: the
exit status is 1 only when a measurement could not be made.

Everything that is needed is started here and ended again.  The benches ``nodes``, ``proxy``,
``deploy`` and ``scaling`` (real machines) need root and make a nutshell of their own, called
``bench``.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import traceback

from harness import Figure

#: Each is a module ``bench_<name>`` with ``measure(runs)``; its docstring tells what it does.
BENCHES = (
    "cli", "director", "frontend", "manager", "fan_out", "agent", "nodes",
    "proxy", "files", "deploy", "scaling", "encryption", "mysql", "wordpress",
)  # fmt: skip
_COLUMNS = "{:<58} {:>12} {:>12} {:>9} {:>10}  {}"


def main() -> int:
    """Run the benches; return the exit status."""
    options = _parser().parse_args()
    status = 0
    print(_COLUMNS.format("what", "baseline", "ours", "ratio", "aim", "reached"))
    for name in options.only or BENCHES:
        try:
            for figure in importlib.import_module(f"bench_{name}").measure(options.runs):
                print(_row(figure), flush=True)
        except Exception:
            status = 1
            print(f"{name}: could not be measured", file=sys.stderr)
            traceback.print_exc()
    return status


def _row(figure: Figure) -> str:
    sign = "+{:.2f}" if figure.more else "{:.2f} x"
    bound = ">=" if figure.at_least else "<="
    return _COLUMNS.format(
        figure.what,
        f"{figure.baseline:.4g} {figure.unit}",
        f"{figure.ours:.4g} {figure.unit}",
        sign.format(figure.value),
        "" if figure.aim is None else f"{bound} {sign.format(figure.aim)}",
        {True: "yes", False: "NO", None: ""}[figure.reached],
    ).rstrip()


def _parser() -> argparse.ArgumentParser:
    lines = ["benches:"]
    for name in BENCHES:
        told = (importlib.import_module(f"bench_{name}").__doc__ or "").strip()
        lines += [f"  {name}", *(f"      {line}".rstrip() for line in told.splitlines()), ""]
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog="\n".join(lines),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--only", action="append", choices=BENCHES, help="may be given again")
    parser.add_argument("--runs", type=int, default=7, help="of each measurement; default: 7")
    return parser


if __name__ == "__main__":
    sys.exit(main())
