#!/usr/bin/env python3
"""Files as one C table: embed.py OUT.c SYMBOL ROOT FILE...

Makes `const struct embedded_file SYMBOL[]` (name below ROOT, bytes, length), ended by a row without a name.
"""
import os
import sys


def main():
    out, symbol, root, *files = sys.argv[1:]
    lines = ['#include "embed.h"', ""]
    rows = []
    for i, path in enumerate(files):
        with open(path, "rb") as f:
            data = f.read()
        lines.append(f"static const unsigned char data_{i}[] = {{")
        for at in range(0, len(data), 16):
            lines.append("    " + " ".join(f"{b}," for b in data[at : at + 16]))
        lines.append("    0,\n};")
        rows.append(f'    {{"{os.path.relpath(path, root)}", data_{i}, {len(data)}}},')
    lines.append(f"\nconst struct embedded_file {symbol}[] = {{")
    lines += rows
    lines.append("    {NULL, NULL, 0},\n};")
    with open(out, "w") as f:
        f.write("\n".join(lines) + "\n")


main()
