"""A program in a terminal of its own, for tests: python3 terminal.py COLUMNS ROWS program…

Standard input goes to it, what it shows to standard output. Lines `COLUMNS ROWS` on descriptor 3 change the window.
"""

import fcntl
import os
import pty
import select
import struct
import sys
import termios


def size(fd, columns, rows):
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


def main():
    columns, rows, program = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
    pid, fd = pty.fork()
    if pid == 0:
        size(0, columns, rows)
        os.closerange(3, 64)
        os.execvp(program[0], program)
    size(fd, columns, rows)
    sources = [0, fd, 3]
    is_ending = False
    while True:
        # A shell may be where it does not hear of the hang-up; nobody waits for it then.
        ready, _, _ = select.select(sources, [], [], 2 if is_ending else None)
        if not ready:
            os.kill(pid, 9)
            is_ending = False
            continue
        for one in ready:
            try:
                data = os.read(one, 65536)
            except OSError:
                data = b""
            if one == fd:
                if not data:
                    _, status = os.waitpid(pid, 0)
                    sys.exit(os.waitstatus_to_exitcode(status) & 255)
                while data:
                    data = data[os.write(1, data) :]
            elif not data:
                sources.remove(one)
                if one == 0:
                    os.kill(pid, 1)
                    is_ending = True
            elif one == 0:
                while data:
                    data = data[os.write(fd, data) :]
            else:
                for line in data.decode().split("\n"):
                    if line.strip():
                        size(fd, *map(int, line.split()))


main()
