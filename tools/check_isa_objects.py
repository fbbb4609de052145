#!/usr/bin/env python3
"""Checks the object files that are compiled for one instruction set.

Usage: check_isa_objects.py NM OBJECT...

A function in them with vague linkage (an inline function or a template that was not inlined) may be the copy that the
linker keeps for the whole program, and a constructor of a static object runs before the processor has been asked: both
would bring the instructions to machines that do not have them. Exits 1 and names them when there are any.
"""

import subprocess
import sys


def faults(nm: str, path: str) -> list[str]:
    listing = subprocess.run([nm, "--defined-only", "--demangle", path], check=True, capture_output=True, text=True)
    found = []
    for line in listing.stdout.splitlines():
        _, kind, name = line.split(" ", 2)
        if kind == "W":
            found.append(f"{path}: weak function {name}: make it part of an anonymous namespace")
        elif name.startswith("_GLOBAL__sub_I"):
            found.append(f"{path}: static objects with constructors")
    return found


def main() -> int:
    if len(sys.argv) < 3:
        print(__doc__, file=sys.stderr)
        return 2
    found = [fault for path in sys.argv[2:] for fault in faults(sys.argv[1], path)]
    print("\n".join(found) if found else f"{len(sys.argv) - 2} objects keep their instructions to themselves")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
