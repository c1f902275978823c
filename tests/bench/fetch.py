"""A download in a process of its own: prints the bytes and the seconds.

``python -m tests.bench.fetch URL``; with ``--key KEY`` the URL is an export request, and the URL in its answer is
downloaded. ``--to FILE`` writes the bytes to a file; otherwise they are dropped.
"""

import argparse
import json
import sys
import time
import urllib.request
from contextlib import nullcontext

_CHUNK_BYTES = 1024 * 1024
_PATIENCE_SECONDS = 1800


def main() -> None:
    """Read to the end of the body."""
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("--key")
    parser.add_argument("--to")
    options = parser.parse_args()
    started, cpu = time.perf_counter(), time.process_time()
    url = options.url
    if options.key:
        request = urllib.request.Request(url, headers={"x-api-key": options.key})
        with urllib.request.urlopen(request, timeout=_PATIENCE_SECONDS) as answer:
            url = json.load(answer)["url"]
    size = 0
    buffer = memoryview(bytearray(_CHUNK_BYTES))
    with (
        urllib.request.urlopen(url, timeout=_PATIENCE_SECONDS) as answer,
        open(options.to, "wb") if options.to else nullcontext() as file,  # noqa: PTH123  # either of two contexts
    ):
        while count := answer.readinto(buffer):
            size += count
            if file is not None:
                file.write(buffer[:count])
    result = {"work": time.perf_counter() - started, "cpu": time.process_time() - cpu, "bytes": size}
    sys.stdout.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
