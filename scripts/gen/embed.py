#!/usr/bin/python3
"""Files as one C table: embed.py OUT.c SYMBOL ROOT FILE...

Makes `const struct cm_embedded_file SYMBOL[]` (libcommon/base/embedded.h): names are paths below ROOT, the last row has none.
"""
import os
import sys


def main():
    out, symbol, root, *files = sys.argv[1:]
    lines = ['#include "base/embedded.h"', ""]
    rows = []
    for i, path in enumerate(files):
        with open(path, "rb") as f:
            data = f.read()
        lines.append(f"static const unsigned char data_{i}[] = {{")
        for at in range(0, len(data), 16):
            lines.append("    " + " ".join(f"{b}," for b in data[at : at + 16]))
        lines.append("    0,\n};")
        rows.append(f'    {{"{os.path.relpath(path, root)}", (const char *)data_{i}, {len(data)}}},')
    lines.append(f"\nextern const struct cm_embedded_file {symbol}[];")
    lines.append(f"const struct cm_embedded_file {symbol}[] = {{")
    lines += rows
    lines.append("    {NULL, NULL, 0},\n};")
    with open(out, "w", encoding="ascii") as f:
        f.write("\n".join(lines) + "\n")


main()
