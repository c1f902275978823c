"""Where the driver of a cluster's export begins; see `engine.runners.driver`."""

import sys
from multiprocessing.connection import Connection

from engine.runners.driver import main

main(Connection(int(sys.argv[1])))
