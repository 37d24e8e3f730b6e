"""Landlock (Linux 5.13 and later): a process takes rights on files from itself, without privileges, and for good."""

from __future__ import annotations

import ctypes
import os
import stat
import struct
from collections.abc import Iterable

from flatgrad.sandbox.linux import c_library

# The same numbers on every processor.
CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446
RULE_PATH_BENEATH = 1

WRITE_FILE, READ_FILE, READ_DIR = 1 << 1, 1 << 2, 1 << 3
REMOVE_DIR, REMOVE_FILE, MAKE_DIR, MAKE_REG = 1 << 4, 1 << 5, 1 << 7, 1 << 8
TRUNCATE = 1 << 14

READ = READ_FILE | READ_DIR
# No links, pipes, sockets or devices are made even there.
READ_AND_WRITE = READ | WRITE_FILE | REMOVE_DIR | REMOVE_FILE | MAKE_DIR | MAKE_REG | TRUNCATE
OF_A_FILE = WRITE_FILE | READ_FILE | TRUNCATE


def version() -> int:
    """The version of the kernel's interface; 0 where there is none, or it is switched off."""
    return max(0, int(c_library().syscall(CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint(1))))


def restrict(readable: Iterable[str], writable: Iterable[str]) -> int:
    """Allow this process to read below `readable`, to read and write below `writable`, and no other file.

    Nothing may be executed. From version 4 of the interface on TCP is refused too, and from version 6 on signals to
    other processes. The caller has called `no_new_privileges`. Returns the version, 0 if nothing is restricted.
    """
    interface = version()
    if interface == 0:
        return 0
    # Everything that this kernel knows is handled, so that what no rule allows is refused.
    files = (1 << {1: 13, 2: 14, 3: 15, 4: 15}.get(interface, 16)) - 1
    handled = [files]
    if interface >= 4:
        handled.append(0b11)  # TCP: bind, connect
    if interface >= 6:
        handled.append(0b11)  # abstract Unix sockets, signals
    attributes = struct.pack(f"={len(handled)}Q", *handled)
    library = c_library()
    ruleset = library.syscall(CREATE_RULESET, attributes, ctypes.c_size_t(len(attributes)), ctypes.c_uint(0))
    if ruleset < 0:
        return 0
    try:
        for paths, rights in ((readable, READ), (writable, READ_AND_WRITE)):
            for path in paths:
                if not _allow(library, ruleset, path, rights & files):
                    return 0
        done = library.syscall(RESTRICT_SELF, ctypes.c_int(ruleset), ctypes.c_uint(0)) == 0
    finally:
        os.close(ruleset)
    return interface if done else 0


def _allow(library: ctypes.CDLL, ruleset: int, path: str, rights: int) -> bool:
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return True  # what is not there needs no rule
    try:
        if not stat.S_ISDIR(os.fstat(place).st_mode):
            rights &= OF_A_FILE
        rule = struct.pack("=Qi", rights, place)
        return bool(
            library.syscall(ADD_RULE, ctypes.c_int(ruleset), ctypes.c_int(RULE_PATH_BENEATH), rule, ctypes.c_uint(0))
            == 0
        )
    finally:
        os.close(place)
