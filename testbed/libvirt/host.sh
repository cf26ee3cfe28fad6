#!/bin/bash
# A real libvirt/QEMU host for tests and demonstrations. Several run side by side; none touches this machine's own libvirt.
#
#   host.sh start DIR [--tcp PORT] [--sasl] [--ssh]   starts it, prints one NAME=VALUE line per way to reach it
#   host.sh stop  DIR                        powers its domains off and ends everything it started
#   host.sh run   DIR ...                    like start, in the foreground (start runs this)
#
# DIR holds the state and the images (DIR/images). Keep its path short: a unix socket's path has at most 107 bytes.
#
# As root the host lives in its own mount, PID and network namespaces: killing one process (DIR/host.pid) ends its daemons
# and every QEMU, and takes its mounts, bridges and network links along, whatever state they are in. `stop` and the next
# `start` find that process by its PID file, so a killed starter leaves nothing for good.
# With --tcp the host has an address of its own on a private link (printed as URI_TCP); with --sasl it asks there for user
# `godwit` and the password in DIR/password; with --ssh an OpenSSH server that
# answers root with the key DIR/ssh/client.
# As a plain user it is a session daemon with its own XDG folders, without --tcp, --ssh and virtual networks.
#
# Debian packages: libvirt-daemon-system libvirt-clients qemu-system-x86 qemu-utils iproute2 (openssh-server for --ssh;
# sasl2-bin libsasl2-modules for --sasl)
set -euo pipefail
export LC_ALL=C

usage() { sed -n '4,6p' "$0" >&2; exit 2; }
[ $# -ge 2 ] || usage
command=$1
dir=$(realpath -m "$2")
original=("$@")
shift 2
tcp= ssh= sasl=
while [ $# -gt 0 ]; do
  case $1 in
    --tcp) tcp=${2:?PORT}; shift 2 ;;
    --ssh) ssh=1; shift ;;
    --sasl) sasl=1; shift ;;
    *) usage ;;
  esac
done

host_name() { basename "$dir" | tr A-Z a-z; }
root() { [ "$(id -u)" = 0 ]; }
uri() {
  if root; then echo "qemu+unix:///system?socket=$dir/run/libvirt-sock"
  else echo "qemu+unix:///session?socket=$dir/run/libvirt/libvirt-sock"; fi
}
v() { timeout 20 virsh -q -c "$(uri)" "$@"; }

# The process that carries the host, when it lives: its PID file may outlive it and the number may be another's by now.
host_pid() {
  local pid
  pid=$(cat "$dir/host.pid" 2>/dev/null) || return 1
  [ -n "$pid" ] && [ -r "/proc/$pid/cmdline" ] || return 1
  tr '\0' '\n' <"/proc/$pid/cmdline" | awk -v d="$dir" '$0 == d || index($0, d "/") == 1 { ours = 1 } END { exit !ours }' &&
    echo "$pid"
}

# Ends what is left of a host, at once. Domains are not asked.
sweep() {
  local pid file
  if pid=$(host_pid); then
    kill -KILL "$pid" 2>/dev/null || true
    for _ in $(seq 100); do [ -e "/proc/$pid" ] || break; sleep 0.05; done
  fi
  # A session host has no PID namespace: its QEMUs are found by libvirt's own PID files.
  for file in "$dir"/run/libvirt/qemu/run/*.pid "$dir"/run/libvirt/libvirtd.pid; do
    pid=$(cat "$file" 2>/dev/null) || continue
    case $(tr '\0' ' ' 2>/dev/null <"/proc/$pid/cmdline" || true) in
      qemu-system-*"$dir"* | */qemu-system-*"$dir"* | *libvirtd*"$dir"*) kill -KILL "$pid" 2>/dev/null || true ;;
    esac
  done
  rm -f "$dir/host.pid" "$dir/ready"
  rm -rf "$dir/run"
}

stop() {
  local domain
  if host_pid >/dev/null; then
    for domain in $(v list --name 2>/dev/null); do v destroy "$domain" >/dev/null 2>&1 || true; done
  fi
  sweep
}

# Joins the host's network to this machine by a link of its own; prints the host's address. The link dies with the host.
link() { # PID of a process inside
  local n=$((0x$(printf %s "$dir" | sha256sum | cut -c1-4) % 16384)) net
  for _ in $(seq 64); do
    net="10.213.$((n / 64)).$((n % 64 * 4))"
    if ip link add "gwhost$n" type veth peer name eth0 netns "$1" 2>/dev/null; then
      ip addr add "${net%.*}.$((${net##*.} + 1))/30" dev "gwhost$n"
      ip link set "gwhost$n" up
      echo "${net%.*}.$((${net##*.} + 2))"
      return
    fi
    n=$(((n + 1) % 16384))
  done
  echo "no free link for $dir" >&2
  return 1
}

configure() {
  mkdir -p "$dir"/{images,etc,lib,run,log,cache}
  chmod 755 "$dir" "$dir/images"
  rm -rf "$dir/run" && mkdir -p "$dir/run"
  root || return 0
  # Nothing of this machine's own libvirt is taken over: no domains, no networks.
  mkdir -p "$dir"/etc/{qemu/networks,hooks,nwfilter,storage} "$dir"/lib/{qemu,images,boot,network,dnsmasq}
  cat >"$dir/etc/libvirtd.conf" <<CONF
unix_sock_rw_perms = "0700"
auth_unix_rw = "none"
auth_unix_ro = "none"
listen_tls = 0
listen_tcp = $([ -n "$tcp" ] && echo 1 || echo 0)
log_outputs = "2:file:/var/log/libvirt/libvirtd.log"
CONF
  [ -z "$tcp" ] || printf 'listen_addr = "0.0.0.0"\ntcp_port = "%s"\nauth_tcp = "%s"\n' "$tcp" "$([ -n "$sasl" ] && echo sasl || echo none)" >>"$dir/etc/libvirtd.conf"
  [ -z "$sasl" ] || configure_sasl
  # Consoles go to plain files (no virtlogd); no security driver, for the images lie outside its usual places; QEMU runs as
  # root of this sandbox.
  cat >"$dir/etc/qemu.conf" <<CONF
stdio_handler = "file"
security_driver = "none"
user = "root"
group = "root"
namespaces = []
remember_owner = 0
CONF
  [ -z "$ssh" ] || configure_ssh
}

# Scrambled passwords in a file of its own; the traffic of a private link needs no second layer.
configure_sasl() {
  mkdir -p "$dir/sasl"
  chmod 700 "$dir/sasl"
  printf 'mech_list: digest-md5\nsasldb_path: %s/sasl/users.db\n' "$dir" >"$dir/sasl/libvirt.conf"
  [ -e "$dir/password" ] || (umask 077 && head -c 18 /dev/urandom | base64 >"$dir/password")
  # The realm is the name that the host has inside.
  printf %s "$(cat "$dir/password")" | saslpasswd2 -a libvirt -f "$dir/sasl/users.db" -u "$(host_name)" -p -c godwit
}

configure_ssh() {
  mkdir -p "$dir/ssh"
  chmod 700 "$dir/ssh"
  [ -e "$dir/ssh/host" ] || ssh-keygen -q -t ed25519 -N '' -f "$dir/ssh/host"
  [ -e "$dir/ssh/client" ] || ssh-keygen -q -t ed25519 -N '' -f "$dir/ssh/client"
  cp "$dir/ssh/client.pub" "$dir/ssh/authorized_keys"
  cat >"$dir/ssh/sshd_config" <<CONF
Port 22
HostKey $dir/ssh/host
AuthorizedKeysFile $dir/ssh/authorized_keys
StrictModes no
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
MaxStartups 100
MaxSessions 100
CONF
}

# The first process inside: everything else is its descendant, and it reaps what daemons leave (libvirtd could not).
inside() {
  mkdir -p /run/libvirt /var/cache/libvirt /var/log/libvirt
  mount --bind "$dir/etc" /etc/libvirt
  mount --bind "$dir/lib" /var/lib/libvirt
  mount --bind "$dir/run" /run/libvirt
  mount --bind "$dir/cache" /var/cache/libvirt
  mount --bind "$dir/log" /var/log/libvirt
  [ -z "$sasl" ] || mount --bind "$dir/sasl" /etc/sasl2
  ip link set lo up
  for _ in $(seq 200); do [ ! -e "$dir/address" ] || break; sleep 0.05; done
  if [ -s "$dir/address" ]; then
    ip addr add "$(cat "$dir/address")/30" dev eth0
    ip link set eth0 up
  fi
  if [ -n "$ssh" ]; then
    # A fresh machine's shell: whatever this user's start file does, each command would wait for it.
    [ ! -e ~/.bashrc ] || mount --bind /dev/null ~/.bashrc
    mkdir -p /run/sshd
    mount -t tmpfs -o mode=0755 tmpfs /run/sshd
    /usr/sbin/sshd -D -f "$dir/ssh/sshd_config" -E "$dir/log/sshd.log" &
  fi
  hostname "$(host_name)"
  /usr/sbin/libvirtd -p /run/libvirt/libvirtd.pid ${tcp:+--listen} 2>"$dir/log/libvirtd.err" &
  wait $!
}

run() {
  configure
  if root; then
    rm -f "$dir/address"
    # Dies with this script, as this script dies with whoever asked for that.
    setpriv --pdeathsig KILL \
      unshare --mount --uts --pid --net --fork --kill-child --mount-proc --propagation private "$0" inside "$dir" ${tcp:+--tcp "$tcp"} ${sasl:+--sasl} ${ssh:+--ssh} &
    host=$!
    trap 'kill -KILL $host 2>/dev/null' EXIT
    echo "$host" >"$dir/host.pid"
    if [ -n "$tcp$ssh" ]; then
      # The child's namespace is there as soon as it differs from ours.
      for _ in $(seq 100); do
        child=$(tr -d ' ' <"/proc/$host/task/$host/children" 2>/dev/null || true)
        [ -z "$child" ] || [ "$(readlink "/proc/$child/ns/net")" = "$(readlink /proc/self/ns/net)" ] || break
        sleep 0.05
      done
      link "$child" >"$dir/address.new"
    else
      : >"$dir/address.new"
    fi
    mv "$dir/address.new" "$dir/address"
    wait "$host"
  else
    mkdir -p "$dir"/{config,data}
    echo "$$" >"$dir/host.pid"
    XDG_RUNTIME_DIR=$dir/run XDG_CONFIG_HOME=$dir/config XDG_CACHE_HOME=$dir/cache XDG_DATA_HOME=$dir/data HOME=$dir \
      exec /usr/sbin/libvirtd -p "$dir/run/libvirtd.pid" 2>"$dir/log/libvirtd.err"
  fi
}

report() {
  echo "URI=$(uri)"
  echo "PID=$(host_pid)"
  [ -z "$tcp" ] || echo "URI_TCP=qemu+tcp://$(cat "$dir/address"):$tcp/system"
  [ -z "$ssh" ] || echo "URI_SSH=qemu+ssh://root@$(cat "$dir/address")/system"
}

ssh_answers() { [ -z "$ssh" ] || (exec 3<>"/dev/tcp/$(cat "$dir/address")/22") 2>/dev/null; }

wait_ready() {
  for _ in $(seq 200); do
    if v version >/dev/null 2>&1 && ssh_answers; then return; fi
    sleep 0.1
  done
  echo "the libvirt host in $dir did not start:" >&2
  tail -n 5 "$dir"/log/libvirtd.* >&2 || true
  return 1
}

case $command in
  start)
    if host_pid >/dev/null && v version >/dev/null 2>&1; then report; exit; fi
    sweep
    mkdir -p "$dir/log"
    setsid "$0" run "${original[@]:1}" >"$dir/log/host.log" 2>&1 </dev/null &
    wait_ready
    report
    ;;
  run) sweep; run ;;
  ready) wait_ready; report ;; # run has been called
  sweep) sweep ;;
  alive) host_pid >/dev/null && echo yes || echo no ;;
  inside) inside ;;
  stop) stop ;;
  *) usage ;;
esac
