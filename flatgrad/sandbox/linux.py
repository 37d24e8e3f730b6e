"""What only Linux has, by its C library: privileges given up for good, the end of the parent, private namespaces.

Each function takes something away from the calling process, and says whether the kernel did it.
"""

from __future__ import annotations

import ctypes
import os
import signal

PR_SET_PDEATHSIG, PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 1, 24, 38
CAPABILITY_VERSION_3 = 0x20080522
CLONE_NEWIPC, CLONE_NEWUSER, CLONE_NEWNET = 0x08000000, 0x10000000, 0x40000000


def c_library() -> ctypes.CDLL:
    """The C library. Made anew for each use: nothing that homework could find must hold a way to call it."""
    return ctypes.CDLL(None, use_errno=True)


def prctl(option: int, value: int = 0) -> bool:
    zero = ctypes.c_ulong(0)
    return bool(c_library().prctl(option, ctypes.c_ulong(value), zero, zero, zero) == 0)


def no_new_privileges() -> bool:
    """No set-user-id program and no file capability helps from here on. Landlock and seccomp ask for it."""
    return prctl(PR_SET_NO_NEW_PRIVS, 1)


def drop_capabilities() -> bool:
    """What root may do beyond its own files (raise a limit, trace, mount) is given up; True if none is left."""
    for capability in range(64):  # the kernel ends it with an error, as it does for those who may not drop any
        if not prctl(PR_CAPBSET_DROP, capability):
            break
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
    nothing = (ctypes.c_uint32 * 6)()
    library = c_library()
    if library.capset(header, nothing) != 0:
        return False
    held = (ctypes.c_uint32 * 6)(*[1] * 6)
    return library.capget(header, held) == 0 and not any(held)


def die_with(parent: int) -> bool:
    """Be killed when the thread that started this process ends; at once if `parent` is gone already."""
    done = prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
    return done


def leave_network() -> bool:
    """Move to a network of one's own without any interface, in a user namespace of one's own, where that is allowed."""
    # Root in a container may have the right to one without the other, or to none.
    library = c_library()
    return any(
        library.unshare(flags) == 0
        for flags in (CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWIPC, CLONE_NEWNET | CLONE_NEWIPC)
    )
