"""The guest image: built once, kept in the cache."""
import glob
import hashlib
import os
import time

from . import base, infra
from .base import log, sh


def build(force=False):
    """Return the path of the raw guest disk, building it when needed."""
    h = hashlib.sha256()
    for f in ("build.sh", "rc", "udhcpc.script", "by-id", "testbed"):
        h.update(base.read(os.path.join(base.HERE, "guest", f)).encode())
    path = os.path.join(base.CACHE, "guest-%s.raw" % h.hexdigest()[:12])
    with base.lock(os.path.join(base.CACHE, "guest.lock")):
        if force or not os.path.exists(path):
            _build(path)
    return path


def _build(path):
    for old in glob.glob(os.path.join(base.CACHE, "guest-*.raw")):
        # A recent one may be in use by another copy of the project.
        if os.path.getmtime(old) < time.time() - 7 * 86400:
            os.unlink(old)
    log("building the guest image")
    cmd = ["bash", os.path.join(base.HERE, "guest", "build.sh"), path,
           os.path.join(base.CACHE, "guest-build")]
    if sh(cmd, check=False, env=infra.apt_env())[0]:
        # It downloads the kernel; the package lists may be old or gone.
        infra.apt("update", check=False)
        sh(cmd, env=infra.apt_env())
    log("guest image: %s", path)
