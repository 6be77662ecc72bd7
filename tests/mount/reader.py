#!/usr/bin/env python3
"""Reads variables of stamped checkpoints for a while; prints what was wrong.

usage: reader.py SECONDS UNIFORM MIXED DIRECTORY: comma-separated names of variables
that must be filled with one number, and of those that may be seen half written.
"""
import array
import errno
import sys
import time


def look(path):
    """What is replaced twice between two looks of the kernel is ESTALE to open."""
    for _ in range(10):
        try:
            with open(path, "rb", buffering=0) as f:
                return array.array("i", f.readall())
        except OSError as e:
            if e.errno != errno.ESTALE:
                raise
    sys.exit("%s is always stale" % path)


def main():
    seconds, uniform, mixed, directory = sys.argv[1:]
    end, reads, highest = time.monotonic() + float(seconds), 0, -1
    while time.monotonic() < end:
        for name in uniform.split(","):
            values = set(look(directory + "/" + name))
            if len(values) != 1:
                sys.exit("%s holds %s" % (name, sorted(values)[:5]))
            highest = max(highest, values.pop())
        for name in mixed.split(","):
            look(directory + "/" + name)
        reads += 1
    print(reads, highest)


if __name__ == "__main__":
    main()
