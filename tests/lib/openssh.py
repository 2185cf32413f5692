"""Ending OpenSSH's client."""
import subprocess
import time


def stop(process, signo, seconds=30):
    """A signal that comes just before the client begins to wait is noted, and acted upon at the next one."""
    end = time.monotonic() + seconds
    while True:
        process.send_signal(signo)
        try:
            return process.wait(1)
        except subprocess.TimeoutExpired:
            if time.monotonic() > end:
                raise
