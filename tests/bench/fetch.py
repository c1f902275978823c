"""A download that reads and forgets: prints the bytes and the seconds. A program of its own."""

import json
import sys
import time
import urllib.request

_CHUNK_BYTES = 1024 * 1024


def main() -> None:
    """Read the URL of the command line to its end."""
    started = time.perf_counter()
    size = 0
    with urllib.request.urlopen(sys.argv[1], timeout=600) as answer:
        buffer = bytearray(_CHUNK_BYTES)
        while count := answer.readinto(buffer):
            size += count
    sys.stdout.write(json.dumps({"work": time.perf_counter() - started, "bytes": size}) + "\n")


if __name__ == "__main__":
    main()
