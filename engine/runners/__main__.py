"""Where the driver of a cluster's exports begins; see `engine.runners.ray.driver`."""

import socket
import sys

from engine.runners.ray.driver import main
from engine.runners.ray.ray_pool import RayPool

main(socket.socket(fileno=int(sys.argv[1])), RayPool(sys.argv[2]))
