# What a contestant may hand in, in Python: the first argument says what it does.
import os
import signal
import socket
import sys
import threading
import time

what, wrong = sys.argv[1], 0


def reaches(address):
    try:
        socket.create_connection((address, 22), 0.2)
        return True
    except OSError:
        return False


def reads(path):
    try:
        with open(path, "rb") as file:
            return len(file.read(1)) == 1
    except OSError:
        return False


if what == "wrong":
    wrong = 1
while what == "slow":
    pass
kept = []
while what == "memory":
    kept.append(b"x" * (1 << 20))
if what == "fork":
    for _ in range(200):
        if os.fork() == 0:
            time.sleep(60)
if what == "disk":
    with open("filler", "wb") as file:
        for _ in range(1024):
            file.write(bytes(1 << 20))
if what == "signals":
    for number in range(1, 65):
        if number not in (signal.SIGKILL, signal.SIGSTOP, 32, 33):
            signal.signal(number, signal.SIG_IGN)
    time.sleep(60)
if what == "network":
    wrong = reaches("127.0.0.1") or reaches("10.0.0.1")
if what == "snoop":
    wrong = any(map(reads, ["/etc/shadow", "/proc/1/environ", "../answer", "/box/../answer"]))
if what == "plant":
    os.symlink("/etc/passwd", "link")
    os.mkfifo("pipe")
if what == "clock":
    end = time.monotonic() + 60
    while time.monotonic() < end:
        time.sleep(0.01)
if what == "threads":
    for _ in range(500):
        threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
while what == "flood":
    print("flood")
if what == "stop":
    os.kill(os.getpid(), signal.SIGSTOP)
if what == "group":
    os.kill(0, signal.SIGKILL)
print(sum(map(int, sys.stdin.read().split())) + wrong)
