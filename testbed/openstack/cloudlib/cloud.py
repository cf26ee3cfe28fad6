"""One cloud: namespaces, databases, services."""
import base64
import calendar
import glob
import gzip
import hashlib
import json
import os
import shutil
import time

from . import base, config, infra
from .base import Proc, clean_env, log, sh, wait_for, write

# The last three digits of the standard ports.
PORTS = {"keystone": 0, "glance": 292, "placement": 778, "nova": 774,
         "metadata": 775, "neutron": 696, "cinder": 776, "barbican": 311,
         "memcached": 211}
# Which process serves which port.
SERVED_BY = {"keystone": "keystone", "glance": "glance",
             "placement": "placement", "nova": "nova-api",
             "neutron": "neutron-server", "cinder": "cinder-api",
             "barbican": "barbican", "memcached": "memcached"}

# (service, type, description, path)
CATALOG = [
    ("keystone", "identity", "/v3"),
    ("glance", "image", ""),
    ("placement", "placement", ""),
    ("nova", "compute", "/v2.1"),
    ("neutron", "network", ""),
    ("cinder", "volumev3", "/v3/%(project_id)s"),
    ("barbican", "key-manager", ""),
]

DATABASES = ["keystone", "glance", "placement", "nova", "nova_api",
             "nova_cell0", "neutron", "cinder", "barbican"]


class Cloud:

    def __init__(self, name, real=False, barbican=True):
        self.name, self.real = name, real
        self.index = base.CLOUD_NAMES.index(name) + 1
        self.barbican = barbican and os.path.isdir("/etc/barbican")
        self.dir = os.path.join(base.DATA, name)
        self.run = os.path.join(base.RUN, name)
        self.volumes_dir = os.path.join(self.dir, "volumes")
        self.region = {"src": "RegionOne", "dst": "RegionTwo"}[name]
        self.node = name + "-node"
        self.netns = "godwit-" + name + base.SUFFIX
        self.mode_file = os.path.join(self.dir, "mode")
        self.mark = "godwit-clouds:" + self.run
        # Floating addresses: 172.24.4.0/24 (src), 172.24.5.0/24 (dst), and
        # the next two for the next pair of clouds.
        self.ext_net = "172.24.%d" % (3 + self.index + 2 * base.INSTANCE)
        self.host_if = "gwc-" + name + base.SUFFIX
        self.route_table = str(2424 + base.INSTANCE)
        self.tunnel_ip = "10.255.%d.1" % self.index
        self.transport_url = "rabbit://godwit:%s@127.0.0.1:%d/%s" % (
            base.MQ_PASSWORD, base.MQ_PORT, name)

    # --- addresses ---

    def port(self, service):
        """21000 is Keystone of src, 22000 of dst; 21774 and 22774 Nova..."""
        return base.PORT_BASE + self.index * 1000 + PORTS[service]

    def url(self, service, path=""):
        return "http://127.0.0.1:%d%s" % (self.port(service), path)

    def db_name(self, service):
        return "%s_%s" % (self.name, service)

    def db_url(self, service):
        return "mysql+pymysql://godwit:%s@127.0.0.1:%d/%s?charset=utf8" % (
            base.DB_PASSWORD, base.DB_PORT, self.db_name(service))

    def service_auth(self, user):
        return {"auth_type": "password",
                "auth_url": self.url("keystone", "/v3"),
                "username": user, "password": base.SERVICE_PASSWORD,
                "project_name": "service", "user_domain_name": "Default",
                "project_domain_name": "Default",
                "region_name": self.region}

    def services(self):
        return [s for s in CATALOG if self.barbican or s[0] != "barbican"]

    # --- namespaces ---
    # All processes of a cloud share one mount + host name namespace, in which
    # /etc/nova, /var/lib/nova, /run/libvirt ... are the cloud's own. The
    # "node" processes (libvirt, nova-compute, network agents) of the real
    # mode also live in a network namespace of their own, so that the two
    # clouds cannot touch each other's or the machine's bridges and firewall.

    def holder(self):
        return Proc(self.name + "-ns", [
            "unshare", "--mount", "--uts", "--propagation", "private", "--",
            "/usr/bin/python3", "-B", os.path.join(base.HERE, "clouds"),
            "_namespace", self.name, "real" if self.real else "fast"])

    def enter(self, argv, net=False):
        pid = self.holder().pid()
        if not pid:
            raise RuntimeError("cloud %s is not up" % self.name)
        ns = ["nsenter", "--mount=/proc/%d/ns/mnt" % pid,
              "--uts=/proc/%d/ns/uts" % pid]
        if net:
            ns.append("--net=/run/netns/" + self.netns)
        return ns + ["--"] + list(argv)

    def namespace_main(self):
        """Runs inside the fresh namespaces; never returns."""
        sh(["hostname", self.node])
        binds = []
        for s in config.ETC:
            binds.append((os.path.join(self.dir, "etc", s), "/etc/" + s))
        for s in config.VAR_LIB:
            binds.append((os.path.join(self.dir, "lib", s), "/var/lib/" + s))
        for d in ("libvirt", "qemu"):
            binds.append((os.path.join(self.dir, "log", d),
                          "/var/log/libvirt" if d == "libvirt"
                          else "/var/lib/qemu"))
        binds.append((os.path.join(self.dir, "cache/libvirt"),
                      "/var/cache/libvirt"))
        binds.append((os.path.join(self.run, "libvirt"), "/run/libvirt"))
        for src, dst in binds:
            os.makedirs(src, exist_ok=True)
            os.makedirs(dst, exist_ok=True)
            sh(["mount", "--bind", src, dst])
        hosts = os.path.join(self.dir, "etc", "hosts")
        write(hosts, "127.0.0.1 localhost %s\n" % self.node)
        sh(["mount", "--bind", hosts, "/etc/hosts"])
        sh(["mount", "--bind", os.path.join(base.HERE, "plugins/mount.nfs"),
            os.path.realpath("/sbin/mount.nfs")])
        # sudo looks there first.
        sh(["mount", "--bind", os.path.join(base.HERE, "plugins/sbin"),
            "/usr/local/sbin"])
        netns_view = os.path.join(self.run, "netns")
        os.makedirs(netns_view, exist_ok=True)
        # Tells the processes of this namespace from all others; see members.
        os.makedirs(os.path.join(self.run, "mark"), exist_ok=True)
        sh(["mount", "-t", "tmpfs", "-o", "size=4k", self.mark,
            os.path.join(self.run, "mark")])
        if self.real:
            # A view of /sys that shows the node's network devices.
            sh(["nsenter", "--net=/run/netns/" + self.netns,
                "mount", "-t", "sysfs", "sysfs", "/sys"])
        # Names of network namespaces (routers, DHCP) are the cloud's own too;
        # left in the machine's folder they would outlive their mounts.
        os.makedirs("/run/netns", exist_ok=True)
        sh(["mount", "--bind", netns_view, "/run/netns"])
        write(os.path.join(self.run, "ns-ready"), "")
        os.execv("/usr/bin/sleep", ["sleep", "infinity"])

    def start_namespaces(self):
        os.makedirs(self.run, exist_ok=True)
        for d in ("etc", "lib", "log", "cache", "lock", "volumes",
                  "lib/glance/images", "lib/glance/staging",
                  "lib/glance/tasks", "lib/nova/instances", "lib/nova/mnt",
                  "lib/cinder/mnt", "lib/cinder/conversion"):
            os.makedirs(os.path.join(self.dir, d), exist_ok=True)
        os.chmod(self.volumes_dir, 0o777)
        if self.real:
            self.start_network()
        h = self.holder()
        ready = os.path.join(self.run, "ns-ready")
        if not h.pid():
            if os.path.exists(ready):
                os.unlink(ready)
            h.start()
        wait_for("namespace of " + self.name,
                 lambda: os.path.exists(ready), proc=h, timeout=30)

    def ip(self, *args, check=True):
        return sh(["ip"] + list(args), check=check)

    def nip(self, *args, check=True):
        return sh(["ip", "-n", self.netns] + list(args), check=check)

    def start_network(self):
        """The node's network namespace and its link to the outside.

        Host side: gwc-<cloud> with 172.24.N.1/24, the gateway of the public
        network. Guests with floating addresses are reached directly from the
        machine; the two clouds reach each other through it, nothing else does.
        """
        host_if = self.host_if
        if not os.path.exists("/run/netns/" + self.netns):
            self.ip("netns", "add", self.netns)
        self.nip("link", "set", "lo", "up")
        if self.ip("link", "show", host_if, check=False)[0] != 0:
            self.ip("link", "add", host_if, "type", "veth", "peer", "name",
                    "ex0", "netns", self.netns)
            self.ip("addr", "add", self.ext_net + ".1/24", "dev", host_if)
        self.ip("link", "set", host_if, "up")
        self.nip("link", "set", "ex0", "up")
        if self.nip("link", "show", "tun0", check=False)[0] != 0:
            self.nip("link", "add", "tun0", "type", "veth", "peer", "name",
                     "tun1")
            self.nip("addr", "add", self.tunnel_ip + "/24", "dev", "tun0")
        self.nip("link", "set", "tun0", "up")
        self.nip("link", "set", "tun1", "up")
        with open("/proc/sys/net/ipv4/conf/%s/forwarding" % host_if,
                  "w") as f:
            f.write("1\n")
        # Packets that come from guests may only go to the public networks.
        table = self.route_table
        if "lookup " + table not in self.ip(
                "rule", "show", "iif", host_if)[1]:
            self.ip("rule", "add", "iif", host_if, "lookup", table)
        self.ip("route", "replace", self.ext_net + ".0/24", "dev", host_if,
                "table", table)
        self.ip("route", "replace", "unreachable", "default", "table", table)
        sh(["ip", "netns", "exec", self.netns, "sysctl", "-q", "-w",
            "net.ipv4.ip_forward=1"])

    def stop_network(self):
        host_if = self.host_if
        while self.ip("rule", "del", "iif", host_if, "lookup", self.route_table,
                      check=False)[0] == 0:
            pass
        self.ip("link", "del", host_if, check=False)
        if os.path.exists("/run/netns/" + self.netns):
            self.ip("netns", "del", self.netns, check=False)

    # --- configuration and databases ---

    def configure(self):
        config.write_all(self)
        for kind in ("fernet-keys", "credential-keys"):
            d = os.path.join(self.dir, "etc/keystone", kind)
            os.makedirs(d, exist_ok=True)
            os.chmod(d, 0o700)
            for n in ("0", "1"):
                if not os.path.exists(os.path.join(d, n)):
                    write(os.path.join(d, n), base64.urlsafe_b64encode(
                        os.urandom(32)).decode(), 0o600)

    def exec(self, argv, net=False, check=True):
        return sh(self.enter(argv, net=net), check=check,
                  env=clean_env(HOME=self.dir))

    def sync_commands(self):
        cmds = {
            "keystone": [["keystone-manage", "db_sync"]],
            "glance": [["glance-manage", "db_sync"]],
            "placement": [["placement-manage", "db", "sync"]],
            "nova": [["nova-manage", "api_db", "sync"],
                     ["nova-manage", "db", "sync", "--local_cell"]],
            "neutron": [["neutron-db-manage", "--config-file",
                         "/etc/neutron/neutron.conf", "--config-file",
                         "/etc/neutron/plugins/ml2/ml2_conf.ini",
                         "upgrade", "heads"]],
            "cinder": [["cinder-manage", "db", "sync"]],
        }
        if self.barbican:
            cmds["barbican"] = [["barbican-manage", "db", "upgrade"]]
        return cmds

    @staticmethod
    def schema_cache():
        """The cache file for empty schemas of the installed versions."""
        _, out = sh(["dpkg-query", "-W", "python3-keystone", "python3-glance",
                     "python3-placement", "python3-nova", "python3-neutron",
                     "python3-cinder", "python3-barbican", "mariadb-server"],
                    check=False)
        key = hashlib.sha256(out.encode()).hexdigest()[:16]
        return os.path.join(base.CACHE, "schemas-%s.sql.gz" % key)

    def prepare_databases(self):
        """Create the databases; fill them with empty, current schemas.

        The migrations take minutes, so their result is kept in the cache and
        loaded from there the next time (also for the other cloud).
        """
        marker = os.path.join(self.dir, "databases-ready")
        if os.path.exists(marker):
            return
        for d in DATABASES:
            infra.sql("drop database if exists {0}; create database {0};"
                      .format(self.db_name(d)))
        cache = self.schema_cache()
        if not os.path.exists(cache):
            log("%s: running the database migrations", self.name)
            base.parallel(*[(self._sync, cmds)
                            for cmds in self.sync_commands().values()])
            self._dump(cache)
        with gzip.open(cache, "rt") as f:
            text = f.read()
        infra.sql("set foreign_key_checks=0;\n"
                  + text.replace("@CLOUD@", self.name))
        write(marker, "")

    def _sync(self, cmds):
        for c in cmds:
            t = time.time()
            self.exec(c)
            log("%s: %s (%.0fs)", self.name, " ".join(c[:3]), time.time() - t)

    def _dump(self, cache):
        os.makedirs(base.CACHE, exist_ok=True)
        parts = []
        for d in DATABASES:
            # cell0 has the same tables as any other cell.
            source = "nova" if d == "nova_cell0" else d
            _, out = sh(["mariadb-dump", "--no-defaults", "-uroot",
                         "--socket=" + infra.SOCK, "--skip-comments",
                         "--single-transaction", self.db_name(source)])
            parts.append("use @CLOUD@_%s;\n%s" % (d, out))
        tmp = "%s.%d" % (cache, os.getpid())
        with gzip.open(tmp, "wt") as f:
            f.write("\n".join(parts))
        os.rename(tmp, cache)

    # --- services ---

    def _uwsgi(self, name, port, wsgi, threads=8, env=None):
        return Proc("%s-%s" % (self.name, name), [
            "/usr/bin/uwsgi", "--plugins", "python3", "--master",
            "--http-socket", "127.0.0.1:%d" % port, "--wsgi-file", wsgi,
            "--processes", "1", "--threads", str(threads),
            "--enable-threads", "--lazy-apps", "--die-on-term",
            "--need-app", "--buffer-size", "65535", "--listen", "100",
            "--thunder-lock", "--no-orphans", "--rem-header",
            "Content-Length", "--disable-logging", "--procname-prefix",
            "%s-%s " % (self.name, name)],
            env=clean_env(HOME=self.dir, **(env or {})), cloud=self)

    def _py(self, name, *argv, net=False, env=None):
        return Proc("%s-%s" % (self.name, name), list(argv),
                    env=clean_env(HOME=self.dir, **(env or {})), cloud=self,
                    net=net)

    def memcached(self):
        return Proc(self.name + "-memcached", [
            "memcached", "-u", "memcache", "-l", "127.0.0.1", "-p",
            str(self.port("memcached")), "-m", "32", "-t", "1"])

    def keystone(self):
        return self._uwsgi("keystone", self.port("keystone"),
                           "/usr/bin/keystone-wsgi-public")

    def control_procs(self):
        conf = "/etc/neutron/neutron.conf"
        ml2 = "/etc/neutron/plugins/ml2/ml2_conf.ini"
        procs = [
            self._py("glance", "/usr/bin/glance-api", "--config-file",
                     "/etc/glance/glance-api.conf"),
            self._uwsgi("placement", self.port("placement"),
                        "/usr/bin/placement-api"),
            self._py("nova-api", "/usr/bin/nova-api"),
            self._py("nova-conductor", "/usr/bin/nova-conductor"),
            self._py("nova-scheduler", "/usr/bin/nova-scheduler"),
            self._py("neutron-server", "/usr/bin/neutron-server",
                     "--config-file", conf, "--config-file", ml2,
                     env={"PYTHONPATH": os.path.join(base.HERE, "plugins")}),
            self._py("cinder-api", "/usr/bin/cinder-api"),
            self._py("cinder-scheduler", "/usr/bin/cinder-scheduler"),
            self._py("cinder-volume", "/usr/bin/cinder-volume"),
        ]
        if self.barbican:
            procs.append(self._uwsgi("barbican", self.port("barbican"),
                                     "/usr/bin/barbican-wsgi-api"))
        return procs

    def node_procs(self):
        compute = self._py(
            "nova-compute", "/usr/bin/nova-compute", "--config-file",
            "/etc/nova/nova-compute.conf", net=self.real)
        if not self.real:
            return [compute]
        conf = ["--config-file", "/etc/neutron/neutron.conf"]
        ml2 = "/etc/neutron/plugins/ml2/"
        return [
            self._py("virtlogd", "/usr/sbin/virtlogd", "--pid-file",
                     "/run/libvirt/virtlogd.pid", net=True),
            self._py("libvirtd", "/usr/sbin/libvirtd", "--pid-file",
                     "/run/libvirt/libvirtd.pid", net=True),
            compute,
            self._py("linuxbridge-agent", "/usr/bin/neutron-linuxbridge-agent",
                     *conf, "--config-file", ml2 + "linuxbridge_agent.ini",
                     net=True),
            self._py("dhcp-agent", "/usr/bin/neutron-dhcp-agent", *conf,
                     "--config-file", "/etc/neutron/dhcp_agent.ini", net=True),
            self._py("l3-agent", "/usr/bin/neutron-l3-agent", *conf,
                     "--config-file", "/etc/neutron/l3_agent.ini", net=True),
            self._py("metadata-agent", "/usr/bin/neutron-metadata-agent",
                     *conf, "--config-file",
                     "/etc/neutron/metadata_agent.ini", net=True),
        ]

    def relay(self):
        """Makes this machine's 127.0.0.1 ports appear inside the node."""
        ports = [self.port(s) for s in PORTS] + [base.MQ_PORT]
        text = ["global", "  maxconn 2000", "  nbthread 1", "defaults",
                "  mode tcp", "  timeout connect 10s", "  timeout client 24h",
                "  timeout server 24h"]
        for p in ports:
            text += ["listen p%d" % p,
                     "  bind 127.0.0.1:%d namespace %s" % (p, self.netns),
                     "  server s 127.0.0.1:%d" % p]
        path = os.path.join(self.run, "relay.cfg")
        if os.path.isdir(self.run):
            write(path, "\n".join(text) + "\n")
        return Proc(self.name + "-relay",
                    ["/usr/sbin/haproxy", "-db", "-f", path])

    def all_procs(self):
        procs = [self.memcached(), self.keystone()] + self.control_procs()
        procs += self.node_procs()
        if self.real:
            procs.append(self.relay())
        return procs

    # --- life cycle ---

    def up(self):
        t = time.time()
        mode = "real" if self.real else "fast"
        if base.read(self.mode_file, mode).strip() != mode:
            raise RuntimeError("%s has data of the other mode; wipe it first"
                               % self.name)
        log("%s: starting (%s mode)", self.name, mode)
        if not self.holder().pid() and self.members():
            log("%s: the namespace's keeper is gone, starting afresh",
                self.name)
            self.down()
        by_name = {p.name: p for p in self.all_procs()}
        for service, name in SERVED_BY.items():
            if "%s-%s" % (self.name, name) in by_name:
                by_name["%s-%s" % (self.name, name)].claim(self.port(service))
        os.makedirs(self.dir, exist_ok=True)
        write(self.mode_file, mode)
        self.start_namespaces()
        self.configure()
        self.memcached().start()
        if self.real:
            self.relay().start()
        self.prepare_databases()
        # Keystone first: the others need its accounts only once they serve.
        k = self.keystone()
        k.start()
        boot = os.path.join(self.dir, "bootstrapped")
        if not os.path.exists(boot):
            self.bootstrap()
        wait_for(self.name + " keystone",
                 lambda: base.http_up(self.url("keystone", "/v3")), proc=k)
        if not os.path.exists(boot):
            self.register()
            self.map_cells()
            write(boot, "")
        for p in self.control_procs():
            p.start()
        for p in self.node_procs():
            if p.name == self.name + "-nova-compute" and self.real:
                wait_for("libvirt", lambda: base.unix_open(
                    os.path.join(self.run, "libvirt/libvirt-sock")),
                    timeout=60, proc=by_name[self.name + "-libvirtd"])
            if p.name == self.name + "-linuxbridge-agent":
                # The network agents wait long for answers to messages that
                # they sent before the server was there.
                wait_for("%s neutron" % self.name, lambda: base.http_up(
                    self.url("neutron", "/")),
                    proc=by_name[self.name + "-neutron-server"])
            p.start()
        for s in ("glance", "placement", "nova", "neutron", "cinder",
                  "barbican"):
            if s == "barbican" and not self.barbican:
                continue
            wait_for("%s %s" % (self.name, s),
                     lambda s=s: base.http_up(self.url(s, "/")),
                     proc=by_name["%s-%s" % (self.name, SERVED_BY[s])])
        self.wait_agents()
        self.defaults()
        log("%s: up after %.0fs", self.name, time.time() - t)

    def bootstrap(self):
        u = self.url("keystone", "/v3")
        self.exec(["keystone-manage", "bootstrap", "--bootstrap-password",
                   base.ADMIN_PASSWORD, "--bootstrap-region-id", self.region,
                   "--bootstrap-admin-url", u, "--bootstrap-internal-url", u,
                   "--bootstrap-public-url", u])

    def map_cells(self):
        """The two cell records that `nova-manage cell_v2` would create."""
        infra.sql(
            "insert ignore into cell_mappings (created_at, uuid, name, "
            "transport_url, database_connection, disabled) values "
            "(now(), '00000000-0000-0000-0000-000000000000', 'cell0', "
            "'none:///', '%s', 0), (now(), "
            "'00000000-0000-4000-8000-00000000000%d', 'cell1', '%s', '%s', 0);"
            % (self.db_url("nova_cell0"), self.index, self.transport_url,
               self.db_url("nova")), self.db_name("nova_api"))

    def admin(self):
        return base.Rest(self.url("keystone", "/v3"), "admin",
                         base.ADMIN_PASSWORD, "admin")

    def register(self):
        """Service accounts and the service catalogue."""
        r = self.admin()
        k = self.url("keystone", "/v3")

        def one(kind, body, **match):
            q = "&".join("%s=%s" % i for i in match.items())
            found = r.call("GET", "%s/%ss?%s" % (k, kind, q))[kind + "s"]
            if found:
                return found[0]["id"]
            return r.call("POST", "%s/%ss" % (k, kind),
                          {kind: body})[kind]["id"]

        roles = {n: one("role", {"name": n}, name=n) for n in (
            "admin", "member", "reader", "service", "creator",
            "load-balancer_member", "heat_stack_owner")}
        project = one("project", {"name": "service", "domain_id": "default"},
                      name="service")
        for name, kind, path in self.services():
            if name != "keystone":
                user = one("user", {"name": name, "domain_id": "default",
                                    "password": base.SERVICE_PASSWORD},
                           name=name)
                for role in ("admin", "service"):
                    r.call("PUT", "%s/projects/%s/users/%s/roles/%s" % (
                        k, project, user, roles[role]))
                sid = one("service", {"name": name, "type": kind},
                          type=kind)
                for iface in ("public", "internal", "admin"):
                    one("endpoint", {
                        "interface": iface, "service_id": sid,
                        "region_id": self.region,
                        "url": self.url(name, path)},
                        service_id=sid, interface=iface)

    def agents(self):
        """Names of the services and agents that work now.

        The APIs call an agent alive until it has been silent for a while.
        Here its last report must also be newer than its process and than what
        the report went through, so that a restart counts as one.
        """
        r = self.admin()
        pid = r.call("GET", self.url("keystone", "/v3/auth/projects"))[
            "projects"][0]["id"]
        reports = [(s["binary"], s["state"] == "up", s["updated_at"])
                   for url in (self.url("nova", "/v2.1/os-services"),
                               self.url("cinder", "/v3/%s/os-services" % pid))
                   for s in r.call("GET", url)["services"]]
        reports += [(a["binary"], a["alive"], a["heartbeat_timestamp"])
                    for a in r.call("GET", self.url(
                        "neutron", "/v2.0/agents"))["agents"]]
        at = {p.name: p.started_at() for p in self.all_procs()
              + infra.procs()}
        via = {"nova": ["nova-conductor"], "neutron": ["neutron-server"],
               "cinder": []}
        alive = set()
        for binary, up, last in reports:
            family = binary.split("-")[0]
            need = [at["%s-%s" % (self.name, n)] for n in via[family] + [
                binary[8:] if family == "neutron" else binary]]
            need += [at["mariadb"], at["rabbitmq"]]
            if up and last and None not in need:
                seen = calendar.timegm(time.strptime(
                    last[:19].replace("T", " "), "%Y-%m-%d %H:%M:%S"))
                if seen >= int(max(need)):
                    alive.add(binary)
        return alive

    def expected_agents(self):
        want = {"nova-conductor", "nova-scheduler", "nova-compute",
                "cinder-scheduler", "cinder-volume"}
        if self.real:
            want |= {"neutron-linuxbridge-agent", "neutron-dhcp-agent",
                     "neutron-l3-agent", "neutron-metadata-agent"}
        return want

    def wait_agents(self):
        want = self.expected_agents()
        wait_for("%s agents" % self.name,
                 lambda: want <= self.agents(), timeout=240,
                 interval=1)

        def hypervisor():
            r = self.admin()
            return r.call("GET", self.url(
                "nova", "/v2.1/os-hypervisors"))["hypervisors"]
        # Known to a cell as well, so that the scheduler can use it.
        if not hypervisor():
            self.exec(["nova-manage", "cell_v2", "discover_hosts"])
        wait_for("%s hypervisor" % self.name, hypervisor, timeout=90)

    def defaults(self):
        """What an operator has on every cloud: volume types, flavors."""
        r = self.admin()
        pid = r.call("GET", self.url("keystone", "/v3/auth/projects"))[
            "projects"][0]["id"]
        v = self.url("cinder", "/v3/" + pid)
        names = {t["name"] for t in r.call("GET", v + "/types?is_public=None")[
            "volume_types"]}
        for n in ("standard", "premium"):
            if n not in names:
                r.call("POST", v + "/types", {"volume_type": {
                    "name": n, "os-volume-type-access:is_public": True,
                    "extra_specs": {"volume_backend_name": "nfs"}}})
        c = self.url("nova", "/v2.1")
        names = {f["name"] for f in r.call(
            "GET", c + "/flavors?is_public=None")["flavors"]}
        for n, cpu, ram, disk in (("m1.nano", 1, 128, 1),
                                  ("m1.micro", 1, 256, 1),
                                  ("m1.tiny", 1, 512, 2),
                                  ("m1.small", 1, 1024, 5)):
            if n not in names:
                r.call("POST", c + "/flavors", {"flavor": {
                    "name": n, "vcpus": cpu, "ram": ram, "disk": disk}})
        n = self.url("neutron", "/v2.0")
        if not r.call("GET", n + "/networks?name=public")["networks"]:
            net = r.call("POST", n + "/networks", {"network": {
                "name": "public", "router:external": True, "shared": False,
                "provider:network_type": "flat",
                "provider:physical_network": "public"}})["network"]["id"]
            r.call("POST", n + "/subnets", {"subnet": {
                "name": "public", "network_id": net, "ip_version": 4,
                "cidr": self.ext_net + ".0/24", "enable_dhcp": False,
                "gateway_ip": self.ext_net + ".1",
                "allocation_pools": [{"start": self.ext_net + ".10",
                                      "end": self.ext_net + ".250"}]}})

    def publish_guest(self, path):
        """The guest's image, public, under the name `guest`.

        Its agent has a channel in every instance, so that freezing works.
        """
        r = self.admin()
        g = self.url("glance", "/v2/images")
        build = os.path.basename(path)
        for i in r.call("GET", g + "?name=guest&visibility=public")["images"]:
            if i.get("build") == build and i["status"] == "active":
                write(os.path.join(self.dir, "guest-image"), i["id"])
                return
            r.call("DELETE", g + "/" + i["id"])
        i = r.call("POST", g, {
            "name": "guest", "disk_format": "raw", "container_format": "bare",
            "visibility": "public", "min_disk": 1, "min_ram": 64,
            "os_distro": "debian", "os_type": "linux",
            "hw_disk_bus": "virtio", "hw_vif_model": "virtio",
            "hw_qemu_guest_agent": "yes", "build": build})["id"]
        with open(path, "rb") as f:
            r.upload("%s/%s/file" % (g, i), f, os.path.getsize(path))
        write(os.path.join(self.dir, "guest-image"), i)

    def down(self):
        h = self.holder()
        if h.pid() and self.real:
            # Guests first; they are not in our process groups.
            rc, out = self.exec(["virsh", "-q", "list", "--name"], net=True,
                                check=False)
            if rc == 0:
                for dom in out.split():
                    self.exec(["virsh", "-q", "destroy", dom], net=True,
                              check=False)
        # Agents first, so that they do not report errors about the others.
        base.stop_procs(self.all_procs(), grace=6)
        self.kill_leftovers()
        base.stop_procs([h], grace=2)
        self.stop_network()
        shutil.rmtree(self.run, ignore_errors=True)

    def kill_leftovers(self):
        """End helpers that agents leave behind (dnsmasq, haproxy, privsep...).

        They are found by the cloud's mount namespace, never by name.
        """
        for sig in (15, 15, 9, 9):
            left = [p for p in self.members() if p != self.holder().pid()]
            for other in left:
                try:
                    os.kill(other, sig)
                except OSError:
                    pass
            if not left:
                return
            time.sleep(0.5)

    def has_member(self, pid):
        return " %s " % self.mark in base.read("/proc/%s/mountinfo" % pid)

    def members(self):
        """All processes in the cloud's mount namespace."""
        known, found = {}, []
        for d in glob.glob("/proc/[0-9]*"):
            try:
                ns = os.readlink(d + "/ns/mnt")
            except OSError:
                continue
            if ns not in known:
                known[ns] = self.has_member(os.path.basename(d))
            if known[ns]:
                found.append(int(os.path.basename(d)))
        return found

    def wipe(self):
        shutil.rmtree(self.dir, ignore_errors=True)
        if infra.mariadb_proc().pid():
            for d in DATABASES:
                infra.sql("drop database if exists " + self.db_name(d))

    # --- for clients ---

    def clouds_yaml(self, name=None, user="admin", password=None,
                    project="admin"):
        return {
            "region_name": self.region, "identity_api_version": 3,
            "auth": {"auth_url": self.url("keystone", "/v3"),
                     "username": user,
                     "password": password or base.ADMIN_PASSWORD,
                     "project_name": project,
                     "user_domain_name": "Default",
                     "project_domain_name": "Default"}}
