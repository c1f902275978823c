"""Entry point of the driver process; see `engine.runners.ray.driver`."""

import socket
import sys

from engine.runners.ray.driver import main
from engine.runners.ray.ray_pool import RayPool

main(socket.socket(fileno=int(sys.argv[1])), RayPool(sys.argv[2]))
