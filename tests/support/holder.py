"""Holds the sockets of a haflux as systemd does, and starts it with them: holder.py PROGRAM run --config FILE.

SIGUSR1: it is stopped by SIGTERM and, when it has ended, started again on the same sockets. SIGTERM: it is stopped, for good.
"""

import os
import re
import signal
import socket
import sys


def sockets(file):
    section = ""
    for line in open(file):
        if line.startswith("["):
            section = line.strip(" []\n")
        found = re.match(r'bind = "(127\.0\.0\.1):(\d+)"', line)
        if found:
            kind = socket.SOCK_DGRAM if section == "udp" else socket.SOCK_STREAM
            held = socket.socket(socket.AF_INET, kind)
            held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            held.bind((found[1], int(found[2])))
            if kind == socket.SOCK_STREAM:
                held.listen(1024)
            yield held


def start():
    child = os.fork()
    if child == 0:
        signal.pthread_sigmask(signal.SIG_SETMASK, [])
        # Out of the way of the numbers that they get.
        high = [os.dup2(one.fileno(), 100 + index) for index, one in enumerate(held)]
        for index, number in enumerate(high):
            os.dup2(number, 3 + index)
            os.close(number)
        environment = dict(os.environ, LISTEN_FDS=str(len(held)), LISTEN_PID=str(os.getpid()))
        os.execve(sys.argv[1], sys.argv[1:], environment)
    return child


def stop(child):
    os.kill(child, signal.SIGTERM)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


held = list(sockets(sys.argv[-1]))
signal.pthread_sigmask(signal.SIG_SETMASK, [signal.SIGUSR1, signal.SIGTERM])
child = start()
while True:
    if signal.sigwait([signal.SIGUSR1, signal.SIGTERM]) == signal.SIGTERM:
        sys.exit(stop(child))
    ended = stop(child)
    if ended != 0:
        sys.exit(ended)
    child = start()
