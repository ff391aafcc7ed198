#!/usr/bin/env python3
"""An S3 server for tests: says where it is, and ends when its standard input does, however its owner ends."""

import os
import sys

from moto.server import ThreadedMotoServer


def main():
    # Standard output is for the address alone.
    out, sys.stdout = sys.stdout, sys.stderr
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    print(f"http://{host}:{port}", file=out, flush=True)
    sys.stdin.read()
    # Not an orderly stop: a handler may be in the middle of a request that nobody waits for any more.
    os._exit(0)


if __name__ == "__main__":
    main()
