"""Settings, processes, namespaces and small helpers."""
import contextlib
import fcntl
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor

HERE = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
CLOUD_NAMES = ("src", "dst")

# Several pairs of clouds can run side by side: each has a number of its own,
# from which follow its folders, ports, networks and interface names.
INSTANCE = int(os.environ.get("GODWIT_CLOUDS_INSTANCE", "0"))
if not 0 <= INSTANCE <= 3:
    sys.exit("GODWIT_CLOUDS_INSTANCE must be 0, 1, 2 or 3")
SUFFIX = "-%d" % INSTANCE if INSTANCE else ""

# Folders; each can be moved with an environment variable.
RUN = os.environ.get("GODWIT_CLOUDS_RUN", "/run/godwit-clouds" + SUFFIX)
DATA = os.environ.get("GODWIT_CLOUDS_DATA", "/var/lib/godwit-clouds" + SUFFIX)
LOGS = os.environ.get("GODWIT_CLOUDS_LOGS", "/var/log/godwit-clouds" + SUFFIX)
CACHE = os.environ.get("GODWIT_CLOUDS_CACHE", "/var/cache/godwit-clouds")

# Everything listens on 127.0.0.1 only, on ports PORT_BASE...PORT_BASE + 2999:
# shared services, then 1000 for each cloud. The defaults lie below the kernel's
# ephemeral range (32768...), so that no outgoing connection takes a port.
PORT_BASE = int(os.environ.get("GODWIT_CLOUDS_PORT_BASE",
                               20000 + 3000 * INSTANCE))
DB_PORT = PORT_BASE + 306
MQ_PORT = PORT_BASE + 672
MQ_DIST_PORT = PORT_BASE + 673
EPMD_PORT = PORT_BASE + 369
DB_PASSWORD = "testbed-db"
MQ_PASSWORD = "testbed-mq"
SERVICE_PASSWORD = "testbed-service"
ADMIN_PASSWORD = os.environ.get("GODWIT_CLOUDS_ADMIN_PASSWORD", "testbed-admin")
METADATA_SECRET = "testbed-metadata"

T0 = time.time()


def log(msg, *args):
    # Standard output is for answers (NAME=VALUE lines, tables).
    print("[%6.1fs] %s" % (time.time() - T0, msg % args if args else msg),
          file=sys.stderr, flush=True)


def die(msg, *args):
    log("ERROR: " + msg, *args)
    sys.exit(1)


def clean_env(**extra):
    """A fixed environment, so that the caller's Python settings do not leak."""
    env = {
        "PATH": "/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin",
        "LANG": "C.UTF-8",
        "HOME": DATA,
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONWARNINGS": "ignore",
    }
    env.update({k: str(v) for k, v in extra.items()})
    return env


def sh(argv, check=True, quiet=True, env=None, input=None, cwd="/"):
    """Run a command; return (rc, combined output)."""
    p = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                       env=env or clean_env(), input=input, text=True, cwd=cwd)
    if check and p.returncode != 0:
        raise RuntimeError("%s: exit %d\n%s" % (
            " ".join(argv), p.returncode, p.stdout[-4000:]))
    if not quiet:
        sys.stdout.write(p.stdout)
    return p.returncode, p.stdout


def write(path, text, mode=0o644):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as f:
        f.write(text)
    os.chmod(path, mode)


def read(path, default=""):
    try:
        with open(path) as f:
            return f.read()
    except OSError:
        return default


# --- processes --------------------------------------------------------------

def _start_time(pid):
    """Kernel start time of a process: tells a reused pid from ours."""
    try:
        with open("/proc/%d/stat" % pid) as f:
            fields = f.read().rsplit(")", 1)[1].split()
        if fields[0] == "Z":
            return None
        return fields[19]
    except (OSError, IndexError):
        return None


class Proc:
    """One background process with a pid file in RUN and a log in LOGS."""

    def __init__(self, name, argv, env=None, ns=None, net=None, cloud=None):
        self.name, self.argv, self.env = name, argv, env or clean_env()
        self.ns, self.net, self.cloud = ns, net, cloud
        self.tag = "GODWIT_CLOUDS_PROC=%s/%s" % (RUN, name)
        self.pidfile = os.path.join(RUN, "pids", name + ".json")
        self.logfile = os.path.join(LOGS, name + ".log")

    def record(self):
        try:
            rec = json.loads(read(self.pidfile) or "{}")
            return rec if {"pid", "start", "at"} <= set(rec) else None
        except ValueError:
            return None

    def pid(self):
        rec = self.record()
        if rec and _start_time(rec["pid"]) == rec["start"]:
            return rec["pid"]
        return None

    def started_at(self):
        """When it was started (seconds since 1970), or None if it is down."""
        return self.record()["at"] if self.pid() else None

    def reap(self):
        """Kill workers that outlived their parent; they hold its ports.

        They are still in the session that the parent led. Numbers get used
        again, so each must also prove to be ours: by the cloud's mount
        namespace, or else by the name in its environment.
        """
        rec = self.record()
        if not rec or self.pid() or _start_time(rec["pid"]):
            return
        for _ in range(50):
            left = [p for p in session_pids(rec["pid"]) if self.owns(p)]
            for pid in left:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            if not left:
                return
            time.sleep(0.1)

    def owns(self, pid):
        if self.cloud is not None:
            return self.cloud.has_member(pid)
        try:
            with open("/proc/%d/environ" % pid, errors="replace") as f:
                return self.tag in f.read().split("\0")
        except OSError:
            return False

    def start(self):
        if self.pid():
            return False
        self.reap()
        argv = self.argv
        if self.cloud is not None:
            argv = self.cloud.enter(argv, net=self.net)
        os.makedirs(os.path.dirname(self.pidfile), exist_ok=True)
        os.makedirs(LOGS, exist_ok=True)
        at = time.time()
        with open(self.logfile, "ab") as out:
            p = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out,
                                 stderr=subprocess.STDOUT,
                                 env=dict(self.env, GODWIT_CLOUDS_PROC=self.tag[11:]),
                                 start_new_session=True, cwd="/")
        write(self.pidfile, json.dumps(
            {"pid": p.pid, "start": _start_time(p.pid), "at": at}))
        return True

    def claim(self, port):
        """Fail when another program has the port this one is to serve."""
        if self.pid():
            return
        self.reap()
        try:
            port_open(port)
        except OSError:
            return
        raise RuntimeError(
            "port %d, wanted by %s, is in use by another program; choose "
            "others with GODWIT_CLOUDS_INSTANCE or GODWIT_CLOUDS_PORT_BASE"
            % (port, self.name))

    def stop_signal(self, sig=signal.SIGTERM):
        pid = self.pid()
        if pid:
            try:
                os.kill(pid, sig)
            except ProcessLookupError:
                pass
        return pid

    def tail(self, n=15):
        return "\n".join(read(self.logfile).splitlines()[-n:])


def stop_procs(procs, grace=12):
    """TERM all, wait, then KILL the process groups of those still there."""
    live = {}
    for p in procs:
        pid = p.stop_signal()
        if pid:
            live[p] = pid
    end = time.time() + grace
    while live and time.time() < end:
        for p in list(live):
            try:
                os.waitpid(live[p], os.WNOHANG)
            except ChildProcessError:
                pass
            if not p.pid():
                del live[p]
        time.sleep(0.1)
    for p, pid in live.items():
        log("%s did not stop in %ds, killing it", p.name, grace)
        try:
            os.killpg(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    for p in procs:
        p.reap()
        try:
            os.unlink(p.pidfile)
        except OSError:
            pass


# --- waits ------------------------------------------------------------------

def wait_for(what, probe, timeout=180, proc=None, interval=0.25):
    """Wait until probe() is true; fail early when its process has died."""
    end = time.time() + timeout
    while True:
        try:
            if probe():
                return
        except (OSError, ValueError, RuntimeError):
            pass
        if proc is not None and not proc.pid():
            raise RuntimeError("%s died at start:\n%s" % (
                proc.name, proc.tail()))
        if time.time() > end:
            raise RuntimeError("%s not ready after %ds%s" % (
                what, timeout, ":\n" + proc.tail() if proc else ""))
        time.sleep(interval)


def port_open(port, host="127.0.0.1"):
    with socket.create_connection((host, port), 1):
        return True


def unix_open(path):
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(2)
        s.connect(path)
        return True


def http_up(url):
    """True when the server answers anything below 500."""
    try:
        with urllib.request.urlopen(url, timeout=5):
            return True
    except urllib.error.HTTPError as e:
        return e.code < 500


@contextlib.contextmanager
def lock(path=RUN + ".lock"):
    """One changing verb at a time on this machine; others wait."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "a") as f:
        try:
            fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            log("waiting for another `clouds` to finish")
            fcntl.flock(f, fcntl.LOCK_EX)
        yield


OWNER = os.path.join(DATA, "owner")


def claim_ownership(running):
    """Refuse to touch clouds that another copy of the project runs.

    `running` tells whether any process of theirs lives. Clouds that are down
    are taken over.
    """
    owner = read(OWNER).strip()
    if (owner and owner != HERE and os.path.isdir(owner) and running
            and os.environ.get("GODWIT_CLOUDS_TAKE") != "1"):
        raise RuntimeError(
            "these clouds were started from %s and still run; end them with "
            "`%s/clouds down`, take a pair of your own with "
            "GODWIT_CLOUDS_INSTANCE=1 (to 3), or take these over with "
            "GODWIT_CLOUDS_TAKE=1" % (owner, owner))


def parallel(*calls):
    """Run (function, args...) tuples at the same time; raise the first error."""
    with ThreadPoolExecutor(max_workers=max(len(calls), 1)) as ex:
        futures = [ex.submit(c[0], *c[1:]) for c in calls]
        return [f.result() for f in futures]


# --- REST -------------------------------------------------------------------

class Rest:
    """A minimal Keystone-authenticated REST client."""

    def __init__(self, auth_url, user, password, project, domain="Default"):
        self.auth_url = auth_url
        body = {"auth": {
            "identity": {"methods": ["password"], "password": {"user": {
                "name": user, "domain": {"name": domain},
                "password": password}}},
            "scope": {"project": {"name": project,
                                  "domain": {"name": domain}}}}}
        req = urllib.request.Request(
            auth_url + "/auth/tokens", json.dumps(body).encode(),
            {"Content-Type": "application/json"})
        with urllib.request.urlopen(req, timeout=60) as r:
            self.token = r.headers["X-Subject-Token"]
            self.catalog = json.load(r)["token"].get("catalog", [])

    def call(self, method, url, body=None, ok404=False, headers=None):
        h = {"X-Auth-Token": self.token, "Content-Type": "application/json"}
        h.update(headers or {})
        req = urllib.request.Request(
            url, None if body is None else json.dumps(body).encode(), h,
            method=method)
        try:
            with urllib.request.urlopen(req, timeout=120) as r:
                data = r.read()
                return json.loads(data) if data else None
        except urllib.error.HTTPError as e:
            if ok404 and e.code == 404:
                return None
            raise RuntimeError("%s %s: %d %s" % (
                method, url, e.code, e.read().decode()[:1000]))


    def upload(self, url, stream, size):
        req = urllib.request.Request(url, stream, {
            "X-Auth-Token": self.token, "Content-Length": str(size),
            "Content-Type": "application/octet-stream"}, method="PUT")
        with urllib.request.urlopen(req, timeout=600):
            pass


def copytree(src, dst):
    shutil.copytree(src, dst, symlinks=True, dirs_exist_ok=True)


def rss_mib(pids):
    """Proportional set size of the given processes, in MiB."""
    total = 0
    for pid in pids:
        for line in read("/proc/%d/smaps_rollup" % pid).splitlines():
            if line.startswith("Pss:"):
                total += int(line.split()[1])
    return total / 1024.0


def session_pids(leader):
    """All processes in the session that `leader` started."""
    found = []
    for d in os.listdir("/proc"):
        if d.isdigit():
            try:
                with open("/proc/%s/stat" % d) as f:
                    fields = f.read().rsplit(")", 1)[1].split()
                if fields[0] != "Z" and int(fields[3]) == leader:
                    found.append(int(d))
            except (OSError, IndexError):
                pass
    return found
