"""Stands in for the parsing process: kills itself over the first document, by a given signal."""

import os
import sys
from multiprocessing.connection import Connection

if __name__ == "__main__":
    descriptor, signal_number = map(int, sys.argv[1:])
    connection = Connection(descriptor)
    connection.send_bytes(b"ready")
    connection.recv_bytes()
    connection.recv_bytes()
    os.kill(os.getpid(), signal_number)
