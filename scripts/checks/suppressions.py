#!/usr/bin/python3
"""What sanitizers are told to overlook, anywhere in the tree: only things of other people's libraries. Prints how many.

Usage: suppressions.py [FILE...]    default: every tracked file; exit status 1 when something of ours is overlooked
"""
import re
import subprocess
import sys

# Whole sanitizers or leaks switched off; never right. This file and the test of it name them.
SWITCHES = re.compile(r"no_sanitize|__lsan_(disable|ignore_object|do_leak_check)|detect_leaks=0|-fno-sanitize=|"
                      r"exitcode=0|halt_on_error=0|suppressions=")
KINDS = r"(?:leak|race|race_top|deadlock|thread|mutex|signal|called_from_lib|interceptor_via_lib|interceptor_name|" \
        r"alignment|bounds|null|undefined|shift|vptr|function|signed-integer-overflow|unsigned-integer-overflow)"
ENTRY = re.compile(rf'"{KINDS}:([^\\"\n]+)(?:\\n)?"')
# Beginnings of names that are not ours.
THEIRS = ("libnng", "nng_", "nni_", "libssh", "ssh_", "libcrypto", "libssl", "OPENSSL_", "CRYPTO_", "libpq", "PQ", "libarchive",
          "archive_", "libcurl", "curl_", "libevent", "libnghttp2", "nghttp2_", "ares_", "libcares")
EXCEPT = ("scripts/checks/suppressions.py", "tests/contract/checks_test.py")


def main():
    if "--help" in sys.argv:
        print(__doc__)
        return 0
    files = sys.argv[1:] or subprocess.run(["git", "-c", "safe.directory=*", "ls-files", "*.c", "*.h", "*.py", "*.cmake",
                                            "*CMakeLists.txt", "*.json", "scripts/*", "*.supp", ".ci/*"],
                                           capture_output=True, text=True, check=True).stdout.split()
    count, wrong = 0, []
    for path in files:
        if path in EXCEPT:
            continue
        with open(path, encoding="utf-8", errors="replace") as f:
            text = f.read()
        wrong += [f"{path}: {m[0]} switches a sanitizer off" for m in SWITCHES.finditer(text)]
        for m in ENTRY.finditer(text):
            count += 1
            if not m[1].startswith(THEIRS):
                wrong.append(f"{path}: {m[1]} is not known as another library's")
    print("\n".join([*wrong, f"{count} suppressions of sanitizers"]))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
