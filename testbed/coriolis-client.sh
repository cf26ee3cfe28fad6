#!/bin/bash
# Drives the real, unmodified python-coriolisclient through its commands against this Godwit.
#
#   testbed/coriolis-client.sh PATH_TO_CHECKOUT
#
# The checkout is a work tree of https://github.com/cloudbase/python-coriolisclient at any tag: 1.2.x speaks of transfers
# and deployments, 1.1.x of replicas and migrations; the script sees which. It is copied, not touched.
# Needs: python3-cliff python3-keystoneauth1 python3-keystoneclient python3-oslo.{config,i18n,serialization,utils}
# python3-pbr python3-prettytable python3-requests python3-setuptools python3-six python3-websockets qemu-utils curl openssl.
# Every command of the client is driven; it talks to Godwit through TLS, since `log stream` knows nothing else.
# Ends with "N passed, N failed"; exit 1 when something failed.
set -u
usage() { sed -n '2,11s/^# \{0,1\}//p' "$0"; exit 2; }
checkout=${1:-}
[ $# -eq 1 ] && [ -d "$checkout/coriolisclient" ] || usage
repository=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
server=; front=; stream=
finish() {
  # npm passes no signal on: the lock names the process that has started all the others.
  local main
  main=$(cut -d' ' -f1 "$work/home/server.lock" 2>/dev/null)
  if [ -n "$main" ]; then
    kill -TERM "$main" 2>/dev/null
    for _ in $(seq 100); do kill -0 "$main" 2>/dev/null || break; sleep 0.2; done
  fi
  [ -n "$server" ] && wait "$server" 2>/dev/null
  for one in $front $stream; do kill "$one" 2>/dev/null; done
  rm -rf "$work"
}
trap finish EXIT
trap 'exit 130' INT TERM

# The client's commands are entry points: without egg_info there are none.
cp -r "$checkout" "$work/client"
version=1.2.4; [ -e "$work/client/coriolisclient/cli/replicas.py" ] && version=1.1.1
(cd "$work/client" && PBR_VERSION=$version /usr/bin/python3 setup.py -q egg_info >"$work/egg.log" 2>&1) || { cat "$work/egg.log"; exit 1; }

# A platform without any hypervisor: two folders of disk images, two VMs of two disks in the first.
mkdir -p "$work/to"
for vm in web01 web02; do
  mkdir -p "$work/from/$vm"
  head -c 3145728 /dev/urandom >"$work/from/$vm/vda.raw"; truncate -s 16M "$work/from/$vm/vda.raw"
  truncate -s 4M "$work/from/$vm/vdb.raw"
done

port=$(/usr/bin/python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1 \
  -keyout "$work/front.key" -out "$work/front.crt" 2>/dev/null || { echo 'openssl made no certificate'; exit 1; }
/usr/bin/python3 "$repository/testbed/tls-front.py" "$port" "$work/front.crt" "$work/front.key" >"$work/front" &
front=$!
for _ in $(seq 100); do [ -s "$work/front" ] && break; sleep 0.1; done
secure=https://127.0.0.1:$(cat "$work/front")
export GODWIT_HOME=$work/home GODWIT_LISTEN=127.0.0.1:$port GODWIT_PUBLIC_URL=$secure
unset DATABASE_URL "${!OS_@}" 2>/dev/null
(cd "$repository" && exec npm start --silent) >"$work/server.log" 2>&1 &
server=$!
for _ in $(seq 300); do curl -fs "http://127.0.0.1:$port/readyz" >/dev/null && [ -e "$GODWIT_HOME/openrc" ] && break; sleep 0.2; done
. "$GODWIT_HOME/openrc" || { cat "$work/server.log"; exit 1; }
export OS_AUTH_URL=$secure/identity/v3 OS_CACERT=$work/front.crt

passed=0; failed=0
run() { (cd "$work/client" && PYTHONPATH=. PYTHONWARNINGS=ignore /usr/bin/python3 -m coriolisclient.cli.shell "$@") >"$work/out" 2>"$work/err"; }
good() { passed=$((passed + 1)); echo "ok    $*"; }
bad() { failed=$((failed + 1)); echo "FAIL  $*"; sed 's/^/      /' "$work/out" "$work/err" | tail -25; }
# c WORDS...: the command succeeds.
c() { if run "$@"; then good "$@"; else bad "$@"; fi; }
# has TEXT WORDS...: it succeeds and prints the text.
has() { local text=$1; shift; if run "$@" && grep -qF -- "$text" "$work/out"; then good "$@"; else bad "$@  (wanted: $text)"; fi; }
# no TEXT WORDS...: it is refused with the text.
no() { local text=$1; shift; if run "$@"; then bad "$@  (was not refused)"; elif grep -qF -- "$text" "$work/err" "$work/out"; then good "$@  -> $text"; else bad "$@  (wanted: $text)"; fi; }
# make WORDS...: the command succeeds; its id is in $id.
make() { if run "$@" -f json; then good "$@"; id=$(field id); else bad "$@"; id=none; fi; }
field() { /usr/bin/python3 -c 'import json, sys
for key, value in json.load(open(sys.argv[1])).items():
    if key.lower().replace(" ", "_") == sys.argv[2]: print(value)' "$work/out" "$1"; }
# until STATUS FIELD WORDS...: asked again until the field has the status, ten minutes at most.
until_status() {
  local want=$1 name=$2 now=; shift 2
  for _ in $(seq 300); do run "$@" -f json && now=$(field "$name"); case $now in "$want"|ERROR|CANCELED) break;; esac; sleep 1; done
  if [ "$now" = "$want" ]; then good "$@ reaches $want"; else bad "$@  (is $now, wanted $want)"; fi
}

# limit ENDPOINT RATE: bytes per second, or null. Godwit's own: the client knows nothing of it.
limit() {
  local token
  token=$(curl -fsi "http://127.0.0.1:$port/identity/v3/auth/tokens" -H 'Content-Type: application/json' -d "{\"auth\": {\"identity\": {\"methods\": [\"password\"],
    \"password\": {\"user\": {\"name\": \"$OS_USERNAME\", \"domain\": {\"name\": \"Default\"}, \"password\": \"$OS_PASSWORD\"}}},
    \"scope\": {\"project\": {\"name\": \"$OS_PROJECT_NAME\", \"domain\": {\"name\": \"Default\"}}}}}" | tr -d '\r' | sed -n 's/^x-subject-token: //ip')
  curl -fs -o "$work/out" -X PUT "http://127.0.0.1:$port/v1/endpoints/$1/limits" -H "X-Auth-Token: $token" \
    -H 'Content-Type: application/json' -d "{\"limits\": {\"rate_limit\": $2}}"
}
# settled: no deployment waits or runs any more.
settled() { for _ in $(seq 120); do run deployment list -f csv; grep -qE 'RUNNING|PENDING' "$work/out" || break; sleep 1; done; }

echo "client $version, server http://127.0.0.1:$port behind $secure"
has image provider list
has path provider schema list image connection
has disk_format provider schema list image destination
has freeze provider schema list image source
has minion_image provider schema list openstack source_minion_pool
has minion_image provider schema list openstack destination_minion_pool
no 'Provider not found for: image, 524288' provider schema list image source_minion_pool

make region create North --description 'a cold one' --enabled; region=$id
has North region list
has 'a cold one' region show "$region"
has colder region update --description colder --disabled --name Norther "$region"
make region create South; south=$id
no 'it exists already' region create South

make endpoint create --name from --provider image --description 'the old place' --connection "{\"path\": \"$work/from\"}"; from=$id
echo "{\"path\": \"$work/to\"}" >"$work/to.json"
make endpoint create --name to --provider image --connection-file "$work/to.json"; to=$id
no 'Connection validation failed' endpoint create --name broken --provider image --connection '{"path": "/nowhere"}'
no 'needs a key manager' endpoint create --name secret --provider image --connection-secret https://127.0.0.1:1/v1/secrets/6f1c2a4e-52b1-4c8e-9f0a-2d0c0c6f4b11
# A cloud where nobody answers: enough for pools that have no machines.
make endpoint create --name cloud --provider openstack --skip-validation --coriolis-region "$south" \
  --connection '{"auth_url": "http://127.0.0.1:9/v3", "username": "u", "password": "not to be shown", "project_name": "p"}'; cloud=$id
run endpoint show "$cloud"; grep -q 'not to be shown' "$work/out" && bad 'the password is shown' || good 'the password is not shown'
has "$south" endpoint show "$cloud"
no 'NoSuitableWorkerServiceError' endpoint validate connection cloud
has from endpoint list
has 'the old place' endpoint show from
c endpoint validate connection "$from"
has 'a new word' endpoint update --description 'a new word' "$from"
has "$work/from" endpoint update --name from --connection "{\"path\": \"$work/from\"}" "$from"
c endpoint delete broken
has web01 endpoint instance list from
paging=(); [ $version = 1.2.4 ] && paging=(--limit 1 --name web --refresh)
has web01 endpoint instance list "$from" "${paging[@]}"
[ $version = 1.2.4 ] && has web02 endpoint instance list from --marker web01 --environment '{}'
has vda endpoint instance show from web01 --environment '{}'
no 'not found' endpoint instance show from nope
c endpoint network list to --environment '{}'
has folder endpoint storage list to --environment '{}'
has freeze endpoint source options list from --options freeze
has disk_format endpoint destination options list to --environment '{}' --options disk_format
no 'Provider not found for: image, 524288' endpoint source minion pool options list from
no 'Provider not found for: image, 1048576' endpoint destination minion pool options list to
c endpoint update --coriolis-region "$south" "$from"
no 'NoSuitableWorkerServiceError' endpoint instance list from

run service list -f json && worker=$(/usr/bin/python3 -c 'import json, sys; print(next(row["ID"] for row in json.load(open(sys.argv[1])) if row["Status"] == "UP"))' "$work/out")
has UP service list
has UP service show "$worker"
has "$south" service update --coriolis-region "$south" "$worker"
make service create --host elsewhere --binary coriolis-worker --topic coriolis_worker --coriolis-region "$south"; idle=$id
has UNKNOWN service show "$idle"
c service update --disabled "$idle"
c service update --enabled "$idle"
c service delete "$idle"
no 'soft deleted' service delete "$idle"
no 'it is UP' service delete "$worker"
for _ in $(seq 30); do run endpoint instance list from && break; sleep 1; done
has web01 endpoint instance list from
no 'Connection validation failed' endpoint validate connection cloud
c diagnostics get
c minion pool list
no 'Provider not found for: image, 524288' minion pool create helpers --os-type linux --platform source --endpoint-id from --environment-options '{"a": 1}' --skip-allocation
make minion pool create helpers --os-type linux --platform destination --endpoint-id cloud --environment-options '{"minion_image": "debian"}' \
  --minimum-minions 1 --maximum-minions 2 --minion-max-idle-time 60 --minion-retention-strategy poweroff --notes spare --skip-allocation; pool=$id
has helpers minion pool list
has spare minion pool show "$pool"
c minion pool update "$pool" --name handy --notes 'not so spare' --maximum-minions 3
has handy minion pool show "$pool"
no "instead of the expected ['ALLOCATED']" minion pool refresh "$pool"
has DEALLOCATED minion pool deallocate "$pool"
c minion pool allocate "$pool"
no 'cannot be deleted' minion pool delete "$pool"
c minion pool deallocate --force "$pool"
no 'not found' minion pool show nope
no 'not found' minion pool allocate nope
no 'not found' minion pool refresh nope
no 'not found' minion pool deallocate nope --force
no 'not found' minion pool update nope --name other
no 'not found' minion pool delete nope
has api log list
c log download api --out-file "$work/api.log" --start-time "$(($(date +%s) - 3600))" --end-time "$(($(date +%s) + 3600))"
grep -q listening "$work/api.log" && good 'the log tells that the API listens' || bad 'the log lacks its first line'
no '404 Client Error' log download nope --out-file "$work/nope.log"
# It ends when it is told to.
(cd "$work/client" && PYTHONPATH=. PYTHONWARNINGS=ignore PYTHONUNBUFFERED=1 exec /usr/bin/python3 -m coriolisclient.cli.shell log stream --log-name worker --severity INFO) >"$work/stream" 2>&1 &
stream=$!
for words in 'server status' 'appliance status one' 'appliance list' 'appliance show one' 'appliance create' 'licence list one' 'licence show one two' \
  'licence register one --licence-pem x' 'licence delete one two' 'reservation list one' 'reservation show one two' 'reservation refresh one two'; do
  no 'icensing' licensing $words
done
run endpoint storage list to -f json; store=$(/usr/bin/python3 -c 'import json, sys; print(list(json.load(open(sys.argv[1]))[0].values())[1])' "$work/out")
printf '#!/bin/sh\ntrue\n' >"$work/script.sh"
maps=(--network-map '{"lan": "lan"}' --source-environment '{"freeze": "copy"}' --destination-environment '{"disk_format": "raw"}'
  --storage-backend-mapping "a=$store" --disk-storage-mapping "vda=$store" --default-storage-backend "$store")

if [ $version = 1.2.4 ]; then
  has 'Inventory written' endpoint export inventory from --output-file "$work/inventory.csv"
  grep -q web01 "$work/inventory.csv" && good 'the inventory names web01' || bad 'the inventory lacks web01'
  make transfer create --origin-endpoint from --destination-endpoint to --instance web01 --scenario replica --notes first "${maps[@]}" \
    --user-script-global linux="$work/script.sh" --user-script-instance web01="$work/script.sh",phase=osmorphing_pre_os_mount; transfer=$id
  has web01 transfer list
  has "$transfer" transfer list --limit 5 --sort created_at:asc --status UNEXECUTED
  has first transfer show "$transfer"
  # The client asks for nothing that would make the server send it.
  no info transfer show "$transfer" --show-instances-data
  c transfer update "$transfer" --notes second --source-environment '{"freeze": "copy"}' --network-map '{"lan": "lan"}' --default-storage-backend "$store"
  for _ in $(seq 60); do run transfer show "$transfer" && grep -q second "$work/out" && break; sleep 1; done
  has second transfer show "$transfer"
  make transfer execute "$transfer"; execution=$id
  until_status COMPLETED status transfer execution show "$transfer" "$execution"
  has REPLICATE_DISKS transfer execution show "$transfer" "$execution"
  has COMPLETED transfer execution list "$transfer" --limit 10 --sort number:desc
  no 'has no running execution to cancel' transfer execution cancel "$transfer" "$execution"
  make transfer schedule create "$transfer" -M 5 -H 4 -w 0 --expires-at 2099-01-01T00:00:00 --shutdown-instance; schedule=$id
  has 2099 transfer schedule list "$transfer" --hide-expired
  has 2099 transfer schedule show "$transfer" "$schedule"
  c transfer schedule update "$transfer" "$schedule" -M 6 -d 3 -m 2 --no-expiration-date --disabled --dont-shutdown-instance --auto-deploy
  has False transfer schedule show "$transfer" "$schedule"
  c transfer schedule update "$transfer" "$schedule" --enabled
  c transfer schedule delete "$transfer" "$schedule"
  make deployment create "$transfer" --skip-os-morphing --force --user-script-instance web01="$work/script.sh"; deployment=$id
  until_status COMPLETED status deployment show "$deployment"
  has "$deployment" deployment list --limit 3 --sort created_at:desc
  no 'is not currently running' deployment cancel "$deployment" --force
  c deployment delete "$deployment"
  # Forgotten, not removed: two of one name have no room in one folder.
  rm -r "$work/to/web01"
  make transfer execute "$transfer" --auto-deploy; second=$id
  until_status COMPLETED status transfer execution show "$transfer" "$second"
  settled
  has COMPLETED deployment list --limit 1
  limit "$from" 50000 || bad limit
  make transfer execute "$transfer" --auto-deploy; third=$id
  run deployment list -f csv -c ID -c Status; waiting=$(tr -d '"' <"$work/out" | sed -n 's/,PENDING$//p' | head -1)
  c deployment cancel "$waiting"
  has CANCELED deployment show "$waiting"
  run transfer execution cancel "$transfer" "$third" --force && good transfer execution cancel --force || bad transfer execution cancel
  limit "$from" null || bad limit
  for _ in $(seq 30); do run transfer execution delete "$transfer" "$third" && break; sleep 1; done
  no 'not found' transfer execution show "$transfer" "$third"
  make transfer disks delete "$transfer"
  until_status COMPLETED status transfer execution show "$transfer" "$id"
  no 'would be orphaned' endpoint delete from
  for _ in $(seq 30); do run transfer delete "$transfer" && break; sleep 1; done
  no 'not found' transfer show "$transfer"
  make transfer create --origin-endpoint from --destination-endpoint to --instance web02 --scenario live_migration --dont-clone-disks --skip-os-morphing "${maps[@]}"; live=$id
  make transfer execute "$live" --auto-deploy --shutdown-instances
  until_status COMPLETED status transfer execution show "$live" "$id"
  settled
  has COMPLETED deployment list --limit 1
  [ -e "$work/to/web02" ] && good 'web02 is there' || bad 'web02 is not there'
else
  make replica create --origin-endpoint from --destination-endpoint to --instance web01 --notes first "${maps[@]}" --user-script-global linux="$work/script.sh"; replica=$id
  has web01 replica list
  has first replica show "$replica"
  c replica update "$replica" --notes second
  for _ in $(seq 60); do run replica show "$replica" && grep -q second "$work/out" && break; sleep 1; done
  has second replica show "$replica"
  make replica execute "$replica"; execution=$id
  until_status COMPLETED status replica execution show "$replica" "$execution"
  has DEPLOY_REPLICA_DISKS replica execution show "$replica" "$execution"
  has COMPLETED replica execution list "$replica"
  no 'has no running execution to cancel' replica execution cancel "$replica" "$execution"
  make replica schedule create "$replica" -M 5 -H 4 -w 0; schedule=$id
  has "$schedule" replica schedule list "$replica"
  c replica schedule show "$replica" "$schedule"
  c replica schedule update "$replica" "$schedule" -M 6 -H 5 -w 1
  c replica schedule delete "$replica" "$schedule"
  make migration deploy replica "$replica"; deployed=$id
  until_status COMPLETED status migration show "$deployed"
  has COMPLETED migration list
  no 'is not currently running' migration cancel "$deployed"
  c migration delete "$deployed"
  c replica execution delete "$replica" "$execution"
  make replica disks delete "$replica"
  until_status COMPLETED status replica execution show "$replica" "$id"
  for _ in $(seq 30); do run replica delete "$replica" && break; sleep 1; done
  no 'not found' replica show "$replica"
  make migration create --origin-endpoint from --destination-endpoint to --instance web02 --replication-count 2 --shutdown-instances --skip-os-morphing "${maps[@]}"; migration=$id
  until_status COMPLETED status migration show "$migration"
  c migration delete "$migration"
fi
for _ in $(seq 30); do grep -q 'task completed' "$work/stream" && break; sleep 1; done
grep -q 'task completed' "$work/stream" && good 'the stream of the log tells what the worker did' || { bad 'the stream of the log tells nothing'; tail -3 "$work/stream"; }
# It tries for five minutes to reach a cloud that is not there.
for _ in $(seq 200); do run minion pool show "$pool" && grep -qE '\| (DEALLOCATED|ERROR) ' "$work/out" && break; sleep 2; done
c minion pool delete "$pool"
c service update --disabled "$worker"
has False service show "$worker"
c service update --enabled "$worker"
c region delete "$region"
# A machine that gives a worker no time for 20 s makes it count itself out: its work goes on, and that is no failure.
grep -iE 'unhandled|"level":(50|"error")| 500 ' "$work/server.log" | grep -vE 'counts itself out|out of touch' >"$work/failures"
[ -s "$work/failures" ] && { bad 'the server logged a failure'; tail -5 "$work/failures"; }

echo "$passed passed, $failed failed"
[ $failed -eq 0 ]
