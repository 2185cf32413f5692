#!/usr/bin/python3
"""Turns files into a C table: embed.py OUT.c FILE... gives site_files[] of name, bytes, length."""
import sys


def main():
    out, files = sys.argv[1], sys.argv[2:]
    with open(out, "w", encoding="ascii") as f:
        f.write('#include "site/files.h"\n\n')
        rows = []
        for i, path in enumerate(files):
            data = open(path, "rb").read()
            f.write(f"static const unsigned char file_{i}[] = {{")
            for k, byte in enumerate(data):
                f.write(("\n    " if k % 24 == 0 else " ") + f"{byte},")
            f.write("\n};\n")
            rows.append(f'    {{"{path.rsplit("/", 1)[1]}", (const char *)file_{i}, sizeof(file_{i})}},\n')
        f.write("\nconst struct site_file site_files[] = {\n" + "".join(rows) + "};\n")
        f.write("const size_t n_site_files = sizeof(site_files) / sizeof(site_files[0]);\n")


if __name__ == "__main__":
    main()
