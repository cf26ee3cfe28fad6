"""Verbs of the testbed."""
import argparse
import json
import multiprocessing
import os
import shutil
import signal
import sys

from . import base, infra
from .base import log
from .cloud import SERVED_BY, Cloud


def clouds(args):
    names = (base.CLOUD_NAMES if args.cloud == "both" else (args.cloud,))
    out = []
    for n in names:
        mode = args.mode or base.read(os.path.join(
            base.DATA, n, "mode")).strip() or "fast"
        out.append(Cloud(n, real=mode == "real",
                         barbican=os.environ.get("GODWIT_CLOUDS_BARBICAN") != "0"))
    return out


def write_credentials(cs, extra=()):
    """clouds.yaml with every account and one openrc file per cloud's admin."""
    path = os.path.join(base.DATA, "clouds.yaml")
    have = {}
    if os.path.exists(path):
        try:
            have = json.loads(base.read(path))["clouds"]
        except (ValueError, KeyError):
            pass
    for c in cs:
        entry = c.clouds_yaml()
        have[c.name] = entry
        rc = {"OS_AUTH_URL": entry["auth"]["auth_url"],
              "OS_USERNAME": "admin", "OS_PASSWORD": base.ADMIN_PASSWORD,
              "OS_PROJECT_NAME": "admin", "OS_USER_DOMAIN_NAME": "Default",
              "OS_PROJECT_DOMAIN_NAME": "Default",
              "OS_REGION_NAME": c.region, "OS_IDENTITY_API_VERSION": "3"}
        base.write(os.path.join(base.DATA, "openrc-" + c.name), "".join(
            "export %s=%s\n" % i for i in rc.items()), 0o600)
    for name, entry in extra:
        have[name] = entry
    # JSON is YAML too; the client libraries read it as it is.
    base.write(path, json.dumps({"clouds": have}, indent=1) + "\n", 0o600)
    return path


def up(args):
    if os.geteuid() != 0:
        base.die("must run as root")
    infra.install()
    guest = None
    if any(c.real for c in clouds(args)):
        # Guests need their image; it is built once and kept in the cache.
        from . import image
        guest = image.build()
    base.write(base.OWNER, base.HERE + "\n")
    log("starting MariaDB and RabbitMQ")
    infra.start(base.CLOUD_NAMES)
    cs = clouds(args)
    cache = Cloud.schema_cache()
    if len(cs) > 1 and os.path.exists(cache):
        base.parallel(*[(c.up,) for c in cs])
    else:
        for c in cs:
            c.up()
    for c in cs:
        if c.real:
            c.publish_guest(guest)
    log("credentials: %s", write_credentials(cs))
    facts(args)


def facts(args):
    """What a test needs to know, as NAME=VALUE lines."""
    out = {"INSTANCE": base.INSTANCE,
           "RUNNING": "yes" if any_running() else "no",
           "CLOUDS_FILE": os.path.join(
               base.DATA, "clouds.yaml"),
           "RUN": base.RUN, "DATA": base.DATA, "LOGS": base.LOGS,
           "ADMIN_USER": "admin", "ADMIN_PASSWORD": base.ADMIN_PASSWORD,
           "ADMIN_PROJECT": "admin", "DOMAIN": "Default"}
    for c in clouds(args):
        k = c.name.upper() + "_"
        out.update({k + "AUTH_URL": c.url("keystone", "/v3"),
                    k + "REGION": c.region,
                    k + "MODE": "real" if c.real else "fast",
                    k + "FLOATING": c.ext_net + ".0/24",
                    k + "VOLUMES": c.volumes_dir,
                    k + "INSTANCES": os.path.join(
                        c.dir, "lib", "nova", "instances")})
        if c.real:
            out[k + "GUEST_IMAGE"] = base.read(
                os.path.join(c.dir, "guest-image")).strip()
    for item in out.items():
        print("%s=%s" % item)


def any_running():
    """True when a process of the testbed lives, whoever started it."""
    ps = infra.procs() + [Cloud(n).holder() for n in base.CLOUD_NAMES]
    return any(p.pid() for p in ps)


def down(args):
    base.parallel(*[(c.down,) for c in clouds(args) if os.path.isdir(c.dir)])
    if args.cloud == "both":
        base.stop_procs(infra.procs())
    log("stopped")


def wipe(args):
    down(args)
    for c in clouds(args):
        c.wipe()
    if args.cloud == "both":
        for d in (base.RUN, base.DATA, base.LOGS):
            shutil.rmtree(d, ignore_errors=True)
    log("wiped (the cache in %s is kept)", base.CACHE)


def status(args):
    rows = [(p, "shared") for p in infra.procs()]
    for c in clouds(args):
        if os.path.isdir(c.dir):
            rows += [(p, c.name) for p in [c.holder()] + c.all_procs()]
    total, bad = {}, 0
    for p, owner in rows:
        pid = p.pid()
        mem = base.rss_mib(base.session_pids(pid)) if pid else 0
        total[owner] = total.get(owner, 0) + mem
        bad += not pid
        print("%-24s %-8s %6.0f MiB" % (p.name, pid or "DOWN", mem))
    for owner, mem in total.items():
        print("%-24s %-8s %6.0f MiB" % ("total " + owner, "", mem))
    for c in clouds(args):
        try:
            alive = c.agents()
            missing = c.expected_agents() - alive
            print("%s agents alive: %s%s" % (
                c.name, " ".join(sorted(alive)),
                "; NOT ALIVE: " + " ".join(sorted(missing)) if missing
                else ""))
            bad += len(missing)
        except (OSError, RuntimeError) as e:
            print("%s: API does not answer: %s" % (c.name, e))
            bad += 1
    return 1 if bad else 0


def stop(args):
    """Stop single processes, by the names that `status` shows."""
    cs = clouds(args)
    known = {p.name: p for c in cs for p in c.all_procs()}
    known.update({p.name: p for p in infra.procs()})
    for n in args.names:
        if n not in known:
            base.die("no process is called %s", n)
    if args.kill:
        for n in args.names:
            known[n].stop_signal(signal.SIGKILL)
        return
    base.stop_procs([known[n] for n in args.names], grace=6)


def start(args):
    """Start single processes again; those that serve a port answer then."""
    served = {"%s-%s" % (c.name, name): c.url(service, "/")
              for c in clouds(args) for service, name in SERVED_BY.items()
              if service != "memcached"}
    known = {p.name: p for c in clouds(args) for p in c.all_procs()}
    for n in args.names:
        if n not in known:
            base.die("no process is called %s", n)
        known[n].start()
    for n in args.names:
        if n in served:
            base.wait_for(n, lambda n=n: base.http_up(served[n]),
                          proc=known[n])


def run_in(args):
    c = clouds(args)[0]
    argv = c.enter(args.argv or ["bash"], net=c.real)
    os.execvpe(argv[0], argv, base.clean_env(
        HOME=c.dir, TERM=os.environ.get("TERM", "dumb")))


def seed(args):
    from . import seed as s
    for c in clouds(args):
        extra = s.seed(c)
        write_credentials([c], extra)


def verify(args):
    from . import verify as v
    # A process for each: the client library hangs at exit after use in threads.
    ps = [multiprocessing.Process(target=lambda c=c: sys.exit(v.verify(c)),
                                  daemon=True) for c in clouds(args)]
    for p in ps:
        p.start()
    for p in ps:
        p.join()
    return 1 if any(p.exitcode for p in ps) else 0


def image(args):
    from . import image as i
    infra.install()
    print(i.build(force=args.force))


def main(argv):
    if argv[:1] == ["_namespace"]:
        Cloud(argv[1], real=argv[2] == "real").namespace_main()
    ap = argparse.ArgumentParser(prog="clouds", description=__doc__)
    sub = ap.add_subparsers(dest="verb", required=True)
    for name, fn, cloud, doc in (
            ("install", lambda a: infra.install(), "both",
             "install the Debian packages"),
            ("up", up, "both", "start what is not running"),
            ("down", down, "both", "stop, keep all data"),
            ("status", status, "both", "processes, memory, agents"),
            ("stop", stop, "both", "stop single processes (failure tests); "
             "`up` starts them again"),
            ("start", start, "both", "start single processes again"),
            ("wipe", wipe, "both", "stop and delete all data"),
            ("seed", seed, "src", "fill with a realistic tenant tree"),
            ("verify", verify, "both", "end-to-end checks"),
            ("exec", run_in, "src", "run a command inside a cloud's "
             "namespaces (clouds exec --cloud dst -- nova-manage ...)"),
            ("facts", facts, "both", "addresses, accounts, folders"),
            ("image", image, "both", "build the guest image")):
        p = sub.add_parser(name, help=doc)
        p.set_defaults(fn=fn)
        p.add_argument("--cloud", choices=base.CLOUD_NAMES + ("both",),
                       default=cloud)
        p.add_argument("--mode", choices=("fast", "real"),
                       default=os.environ.get("GODWIT_CLOUDS_MODE"),
                       help="fast: fake compute, no agents; real: libvirt "
                       "with emulated guests and network agents (default: "
                       "as last time, else fast)")
        if name in ("stop", "start"):
            p.add_argument("names", nargs="+")
        if name == "stop":
            p.add_argument("--kill", action="store_true",
                           help="SIGKILL the main process only, as a crash "
                           "would")
        if name == "exec":
            p.add_argument("argv", nargs="*")
        if name == "image":
            p.add_argument("--force", action="store_true")
    args = ap.parse_args(argv)
    # Ended from outside, `verify` still removes what it made.
    signal.signal(signal.SIGTERM, lambda *a: sys.exit(143))
    try:
        if args.verb in ("install", "up", "down", "stop", "start", "wipe", "image"):
            with base.lock():
                if args.verb not in ("install", "image"):
                    base.claim_ownership(any_running())
                return args.fn(args) or 0
        return args.fn(args) or 0
    except RuntimeError as e:
        base.die("%s", e)
