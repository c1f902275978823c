"""``make cluster``: two Ray nodes on loopback until Ctrl-C, and what to set to export on them."""

import signal
import sys
from contextlib import suppress

from tests.helpers.ray_cluster import RayCluster

for number in (signal.SIGTERM, signal.SIGHUP):
    # However it is ended, the nodes, which are in sessions of their own, end with it.
    signal.signal(number, signal.default_int_handler)

with suppress(KeyboardInterrupt), RayCluster() as cluster:
    names = {
        "TAILRACE_RUNNER": "ray",
        "TAILRACE_RUNNER_MIN_BYTES": "0",
        "RAY_ADDRESS": cluster.address,
        **cluster.access,
    }
    sys.stdout.write("Two nodes run until Ctrl-C. Export on them from another terminal, in this directory:\n\n")
    sys.stdout.write("".join(f"    export {name}={value}\n" for name, value in names.items()))
    sys.stdout.write("    .venv-ray/bin/tailrace export WORKFLOW -o file.csv\n\n")
    sys.stdout.write(f"Logs are in {cluster.logs}. For az:// locations set their credentials before make cluster.\n")
    sys.stdout.flush()
    signal.pause()
