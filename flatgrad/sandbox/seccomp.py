"""A seccomp filter (Linux): the kernel refuses system calls to this process with EPERM, for good.

Refused is what reaches beyond the process, and what no computation needs: sockets, new processes and threads, other
programs, signals to others, shared memory, tracing, new limits, ownership and times of files. Files are opened and
written as before: those are for Landlock. It needs no privileges, and works in containers without user namespaces.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct

from flatgrad.sandbox.linux import c_library

# Name of the call, its number on x86_64, on aarch64 (None: there is no such call).
_REFUSED = """
socket 41 198, socketpair 53 199, connect 42 203, bind 49 200, listen 50 201
clone 56 220, clone3 435 435, fork 57 -, vfork 58 -, execve 59 221, execveat 322 281
tkill 200 130, rt_sigqueueinfo 129 138, rt_tgsigqueueinfo 297 240, pidfd_send_signal 424 424
pidfd_open 434 434, pidfd_getfd 438 438, ptrace 101 117, kcmp 312 272
process_vm_readv 310 270, process_vm_writev 311 271, process_madvise 440 440
setsid 112 157, setpgid 109 154, setrlimit 160 164, setpriority 141 140, ioprio_set 251 30
sched_setaffinity 203 122, sched_setparam 142 118, sched_setscheduler 144 119, sched_setattr 314 274
shmget 29 194, semget 64 190, msgget 68 186, mq_open 240 180, memfd_create 319 279, memfd_secret 447 447
chmod 90 -, fchmod 91 52, fchmodat 268 53, fchmodat2 452 452
chown 92 -, lchown 94 -, fchown 93 55, fchownat 260 54
utime 132 -, utimes 235 -, futimesat 261 -, utimensat 280 88
setxattr 188 5, lsetxattr 189 6, fsetxattr 190 7, removexattr 197 14, lremovexattr 198 15, fremovexattr 199 16
setxattrat 463 463, removexattrat 466 466, file_setattr 469 469
link 86 -, linkat 265 37, symlink 88 -, symlinkat 266 36, mknod 133 -, mknodat 259 33
add_key 248 217, request_key 249 218, keyctl 250 219, bpf 321 280, perf_event_open 298 241, userfaultfd 323 282
io_uring_setup 425 425, io_uring_enter 426 426, io_uring_register 427 427
mount 165 40, umount2 166 39, pivot_root 155 41, chroot 161 51, unshare 272 97, setns 308 268
open_tree 428 428, move_mount 429 429, fsopen 430 430, fsmount 432 432, mount_setattr 442 442
open_by_handle_at 304 265, syslog 103 116, quotactl 179 60, swapon 167 224, reboot 169 142
"""

# Calls that are decided by an argument: prlimit64 may read a limit, kill and tgkill may hit oneself,
# fcntl may not choose whom the kernel sends a signal (F_SETOWN, F_SETSIG, F_SETOWN_EX).
_PRLIMIT, _KILL, _TGKILL, _FCNTL = (302, 261), (62, 129), (234, 131), (72, 25)
_FCNTL_REFUSED = (8, 10, 15)

# Machine: its column in the table, its AUDIT_ARCH number, the number of seccomp(2).
_MACHINES = {"x86_64": (0, 0xC000003E, 317), "aarch64": (1, 0xC00000B7, 277)}
# Calls newer than those that were looked through for the table, and the other numbering of x86_64, above them all. To
# the C library it looks as if there were none: it then does without.
_UNKNOWN = 470

_LOAD, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_ALLOW, _REFUSE, _NONE = 0x7FFF0000, 0x00050000 | errno.EPERM, 0x00050000 | errno.ENOSYS


def _load(offset: int) -> tuple[int, int, int, int]:
    return (_LOAD, 0, 0, offset)


def _argument(index: int, high: bool = False) -> tuple[int, int, int, int]:
    return _load(16 + 8 * index + 4 * high)  # both machines are little-endian


def program(machine: str, process: int) -> bytes:
    """The filter as the kernel reads it, for a process with this id. Raises KeyError for a machine not known."""
    column, architecture, _ = _MACHINES[machine]
    refuse, allow = (_RETURN, 0, 0, _REFUSE), (_RETURN, 0, 0, _ALLOW)
    lines = [_load(4), (_EQUAL, 1, 0, architecture), refuse, _load(0), (_AT_LEAST, 0, 1, _UNKNOWN)]
    lines += [(_RETURN, 0, 0, _NONE)]
    for entry in _REFUSED.replace("\n", ",").split(","):
        if entry.strip():
            number = entry.split()[1 + column]
            if number != "-":
                lines += [(_EQUAL, 0, 1, int(number)), refuse]
    for call in (_KILL, _TGKILL):
        lines += [(_EQUAL, 0, 4, call[column]), _argument(0), (_EQUAL, 0, 1, process), allow, refuse]
    lines += [(_EQUAL, 0, 6, _PRLIMIT[column]), _argument(2), (_EQUAL, 0, 3, 0)]
    lines += [_argument(2, high=True), (_EQUAL, 0, 1, 0), allow, refuse]
    lines += [(_EQUAL, 0, 3 + len(_FCNTL_REFUSED), _FCNTL[column]), _argument(1)]
    for left, command in zip(range(len(_FCNTL_REFUSED), 0, -1), _FCNTL_REFUSED, strict=True):
        lines += [(_EQUAL, left, 0, command)]
    lines += [allow, refuse, allow]
    return b"".join(struct.pack("=HBBI", *line) for line in lines)


def available() -> bool:
    """Whether the numbers of this machine's calls are known here, and its kernel filters calls."""
    machine = os.uname().machine
    if machine not in _MACHINES or struct.calcsize("P") != 8:
        return False
    action = ctypes.c_uint32(_REFUSE & 0xFFFF0000)
    return bool(
        c_library().syscall(_MACHINES[machine][2], ctypes.c_uint(2), ctypes.c_uint(0), ctypes.byref(action)) == 0
    )


def restrict() -> bool:
    """Set the filter for this process; False if it is not set. The caller has called `no_new_privileges`."""
    if not available():
        return False
    machine = os.uname().machine
    code = program(machine, os.getpid())

    class Filter(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ushort), ("code", ctypes.c_char_p))

    kept = ctypes.create_string_buffer(code, len(code))
    given = Filter(len(code) // 8, ctypes.cast(kept, ctypes.c_char_p))
    # Without the flag (SPEC_ALLOW) some kernels slow every computation down, for the sake of secrets that are not here.
    for flags in (4, 0):
        done = c_library().syscall(_MACHINES[machine][2], ctypes.c_uint(1), ctypes.c_uint(flags), ctypes.byref(given))
        if done == 0:
            return True
    return False
