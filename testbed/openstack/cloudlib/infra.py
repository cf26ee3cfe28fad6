"""MariaDB and RabbitMQ shared by both clouds, and installation."""
import json
import os
import pwd
import shutil

from . import base
from .base import Proc, clean_env, log, sh, wait_for, write

PACKAGES = """
mariadb-server rabbitmq-server memcached python3-pymysql python3-memcache
keystone glance-api placement-api
nova-api nova-conductor nova-scheduler nova-compute nova-compute-kvm
neutron-server neutron-linuxbridge-agent neutron-dhcp-agent neutron-l3-agent
neutron-metadata-agent
cinder-api cinder-scheduler cinder-volume
barbican-api python3-barbicanclient
python3-openstackclient uwsgi-core uwsgi-plugin-python3
libvirt-daemon libvirt-daemon-driver-qemu libvirt-clients
libvirt-daemon-system qemu-system-x86 qemu-utils
nfs-common iptables ebtables ipset conntrack dnsmasq-base haproxy
genisoimage busybox-static dropbear-bin openssh-client cpio sudo
extlinux syslinux-common kmod iproute2 util-linux fdisk e2fsprogs
openssh-sftp-server rsync socat zstd bash qemu-guest-agent
mount procps hostname gzip mawk findutils libstdc++6 libgcc-s1 libatomic1
""".split()

PRESEED = """
keystone keystone/configure_db boolean false
keystone keystone/register-endpoint boolean false
keystone keystone/create-admin-tenant boolean false
glance-common glance/configure_db boolean false
glance-api glance/configure_api-endpoint boolean false
placement-common placement/configure_db boolean false
placement-api placement/configure_api-endpoint boolean false
nova-common nova/configure_db boolean false
nova-api nova/configure_api-endpoint boolean false
neutron-common neutron/configure_db boolean false
neutron-server neutron/configure_api-endpoint boolean false
cinder-common cinder/configure_db boolean false
cinder-api cinder/configure_api-endpoint boolean false
barbican-common barbican/configure_db boolean false
barbican-api barbican/configure_api-endpoint boolean false
"""


def missing_packages():
    rc, out = sh(["dpkg-query", "-W", "-f", "${Package} ${db:Status-Abbrev}\n"]
                 + PACKAGES, check=False)
    have = {l.split()[0] for l in out.splitlines()
            if len(l.split()) == 2 and l.split()[1].startswith("i")
            and l.split()[1][1:2] == "i"}
    return [p for p in PACKAGES if p not in have]


def apt_env():
    proxies = {k: v for k, v in os.environ.items()
               if k.lower() in ("http_proxy", "https_proxy", "no_proxy")}
    return clean_env(DEBIAN_FRONTEND="noninteractive",
                     DEBIAN_PRIORITY="critical", **proxies)


def apt(*args, check=True):
    return sh(["apt-get", "-q", "-y", "-o", "DPkg::Lock::Timeout=900",
               "-o", "Acquire::Retries=3",
               "-o", "Dpkg::Options::=--force-confold"] + list(args),
              env=apt_env(), check=check)


def install():
    """Install what is missing; no service gets started by its package."""
    need = missing_packages()
    if not need:
        return
    log("installing %d packages", len(need))
    env = apt_env()
    policy = "/usr/sbin/policy-rc.d"
    own_policy = not os.path.exists(policy)
    if own_policy:
        write(policy, "#!/bin/sh\nexit 101\n", 0o755)
    try:
        # What an interrupted run left half done.
        sh(["dpkg", "--force-confold", "--configure", "-a"], env=env,
           check=False)
        sh(["debconf-set-selections"], env=env, input=PRESEED)
        apt("update", check=False)
        apt("install", "--no-install-recommends", *need)
    finally:
        if own_policy:
            os.unlink(policy)
    need = missing_packages()
    if need:
        raise RuntimeError("still not installed: " + " ".join(need))
    log("packages installed")


# --- MariaDB ----------------------------------------------------------------

SOCK = os.path.join(base.RUN, "mariadb.sock")
DB_DIR = os.path.join(base.DATA, "mariadb")


def mariadb_proc():
    return Proc("mariadb", [
        "/usr/sbin/mariadbd", "--no-defaults", "--user=mysql",
        "--datadir=" + DB_DIR, "--socket=" + SOCK,
        "--pid-file=" + os.path.join(base.RUN, "mariadb.pid"),
        "--bind-address=127.0.0.1", "--port=%d" % base.DB_PORT,
        "--character-set-server=utf8mb3",
        "--collation-server=utf8mb3_general_ci",
        "--max-connections=1000", "--innodb-buffer-pool-size=192M",
        # Speed over durability: commits survive a crash of the server, but
        # not one of the machine.
        "--innodb-flush-log-at-trx-commit=2", "--innodb-flush-method=nosync",
        "--skip-log-bin", "--performance-schema=0",
        "--skip-name-resolve"])


def sql(text, database=None):
    argv = ["mariadb", "--no-defaults", "-uroot", "--socket=" + SOCK,
            "-N", "-B"]
    if database:
        argv.append(database)
    return sh(argv, input=text)[1]


def start_mariadb():
    if not os.path.isdir(os.path.join(DB_DIR, "mysql")):
        new = DB_DIR + ".new"
        for d in (DB_DIR, new):
            shutil.rmtree(d, ignore_errors=True)
        os.makedirs(new)
        shutil.chown(new, "mysql", "mysql")
        sh(["mariadb-install-db", "--no-defaults", "--user=mysql",
            "--datadir=" + new, "--skip-test-db",
            "--auth-root-authentication-method=normal"])
        os.rename(new, DB_DIR)
    p = mariadb_proc()
    os.makedirs(base.RUN, exist_ok=True)
    os.chmod(base.RUN, 0o755)
    # The server runs as its own user and writes socket and pid file here.
    for f in ("mariadb.sock", "mariadb.pid"):
        if not p.pid() and os.path.exists(os.path.join(base.RUN, f)):
            os.unlink(os.path.join(base.RUN, f))
    shutil.chown(base.RUN, "mysql", "root")
    p.claim(base.DB_PORT)
    p.start()
    wait_for("MariaDB", lambda: sql("select 1") is not None, proc=p)
    sql("grant all on *.* to 'godwit'@'127.0.0.1' identified by '%s';"
        % base.DB_PASSWORD)


# --- RabbitMQ ---------------------------------------------------------------

MQ_DIR = os.path.join(base.DATA, "rabbitmq")


def rabbit_env():
    return clean_env(
        HOME=MQ_DIR, RABBITMQ_NODENAME="godwit-clouds@localhost",
        RABBITMQ_MNESIA_BASE=MQ_DIR + "/mnesia", RABBITMQ_LOG_BASE=MQ_DIR + "/log",
        RABBITMQ_CONFIG_FILE=MQ_DIR + "/rabbitmq.conf",
        RABBITMQ_ENABLED_PLUGINS_FILE=MQ_DIR + "/enabled_plugins",
        RABBITMQ_CONF_ENV_FILE=MQ_DIR + "/env.conf",
        RABBITMQ_PID_FILE=MQ_DIR + "/pid",
        RABBITMQ_DIST_PORT=base.MQ_DIST_PORT,
        RABBITMQ_LOGS="-",
        ERL_EPMD_PORT=base.EPMD_PORT, ERL_EPMD_ADDRESS="127.0.0.1",
        # Few schedulers: the broker is idle most of the time.
        RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=(
            "+S 1:1 +sbwt none +sbwtdcpu none +sbwtdio none "
            "-kernel inet_dist_use_interface {127,0,0,1}"))


def rabbit_proc():
    return Proc("rabbitmq", [
        "setpriv", "--reuid=rabbitmq", "--regid=rabbitmq", "--init-groups",
        "/usr/lib/rabbitmq/bin/rabbitmq-server"], env=rabbit_env())


def epmd_proc():
    epmd = "/usr/bin/epmd"
    return Proc("epmd", [epmd, "-port", str(base.EPMD_PORT),
                         "-address", "127.0.0.1"], env=rabbit_env())


def start_rabbitmq(vhosts):
    os.makedirs(MQ_DIR + "/log", exist_ok=True)
    write(MQ_DIR + "/rabbitmq.conf", "\n".join([
        "listeners.tcp.1 = 127.0.0.1:%d" % base.MQ_PORT,
        "load_definitions = %s/definitions.json" % MQ_DIR,
        "vm_memory_high_watermark.absolute = 512MB",
        "disk_free_limit.absolute = 200MB",
        "log.console = true", "log.console.level = warning", ""]))
    write(MQ_DIR + "/enabled_plugins", "[].\n")
    write(MQ_DIR + "/env.conf", "")
    users = [{"name": "godwit", "password": base.MQ_PASSWORD, "tags": ""}]
    write(MQ_DIR + "/definitions.json", json.dumps({
        "users": users,
        "vhosts": [{"name": v} for v in vhosts],
        "permissions": [{"user": "godwit", "vhost": v, "configure": ".*",
                         "write": ".*", "read": ".*"} for v in vhosts]}))
    uid = pwd.getpwnam("rabbitmq").pw_uid
    for root, dirs, files in os.walk(MQ_DIR):
        for n in [root] + [os.path.join(root, f) for f in files]:
            os.chown(n, uid, -1)
    epmd_proc().start()
    p = rabbit_proc()
    p.claim(base.MQ_PORT)
    p.start()
    wait_for("RabbitMQ", lambda: base.port_open(base.MQ_PORT), proc=p)


def start(vhosts):
    base.parallel((start_mariadb,), (start_rabbitmq, vhosts))


def procs():
    return [rabbit_proc(), epmd_proc(), mariadb_proc()]
