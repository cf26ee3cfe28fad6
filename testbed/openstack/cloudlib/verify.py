"""End-to-end checks of one cloud; everything made here is removed again."""
import hashlib
import os
import subprocess
import tempfile
import time
import traceback

from . import base, image, sdk
from .base import log

GIB = 1 << 30


def sha256_file(path, length=None):
    h, left = hashlib.sha256(), length
    with open(path, "rb") as f:
        while True:
            n = 1 << 20 if left is None else min(1 << 20, left)
            data = f.read(n)
            if not data:
                return h.hexdigest()
            h.update(data)
            if left is not None:
                left -= len(data)


class Check:

    def __init__(self, cloud):
        self.cloud, self.failed, self.passed, self.undo = cloud, 0, 0, []

    def step(self, name, fn, *args):
        t = time.time()
        try:
            r = fn(*args)
            self.passed += 1
            log("%s ok    %-44s %5.1fs%s", self.cloud.name, name,
                time.time() - t, "  " + r if isinstance(r, str) else "")
            return r if r is not None else True
        except Exception as e:  # report every failure, go on where possible
            self.failed += 1
            log("%s FAIL  %-44s %5.1fs  %s: %s", self.cloud.name, name,
                time.time() - t, type(e).__name__, str(e)[:600])
            if os.environ.get("GODWIT_CLOUDS_DEBUG"):
                traceback.print_exc()
            return None

    def cleanup(self, fn, *args, **kw):
        self.undo.append((fn, args, kw))

    def finish(self):
        for fn, args, kw in reversed(self.undo):
            try:
                fn(*args, **kw)
            except Exception as e:
                log("%s clean-up: %s", self.cloud.name, str(e)[:200])


def verify(cloud):
    try:
        cloud.admin()
    except OSError as e:
        base.die("cloud %s does not answer (%s); run `up` first", cloud.name, e)
    ck = Check(cloud)
    try:
        run(cloud, ck)
    finally:
        ck.finish()
    print("%s: %d passed, %d failed" % (cloud.name, ck.passed, ck.failed),
          flush=True)
    return 1 if ck.failed else 0


def run(cloud, ck):
    conn = sdk.connect(cloud)
    bs, tmp = conn.block_storage, tempfile.mkdtemp(prefix="godwit-clouds-")
    tag = "verify-%d" % os.getpid()
    guest = image.build()
    want = sha256_file(guest)
    size = os.path.getsize(guest)

    img = {}

    def make_image():
        img["i"] = sdk.upload(conn, tag, guest)
        ck.cleanup(conn.image.delete_image, img["i"])
    if not ck.step("image from a file", make_image):
        return

    def download(img_id, name):
        path = os.path.join(tmp, name)
        ck.cleanup(lambda: os.path.exists(path) and os.unlink(path))
        conn.image.download_image(img_id, stream=False, output=path)
        return path

    def same_image():
        p = download(img["i"].id, "image")
        assert sha256_file(p) == want, "downloaded image differs"
    ck.step("image download, same bytes", same_image)

    vol = {}

    def volume(key, **kw):
        v = bs.create_volume(name="%s-%s" % (tag, key), **kw)
        ck.cleanup(sdk.delete_volume, conn, v.id)
        vol[key] = sdk.wait_volume(conn, v.id)
        return "%s %d GiB" % (vol[key].id, vol[key].size)

    ck.step("empty volume", lambda: volume("blank", size=1))

    def from_image():
        r = volume("root", size=1, image_id=img["i"].id)
        assert vol["root"].is_bootable in (True, "true"), "not bootable"
        return r
    ck.step("volume from image, bootable flag", from_image)

    def upload_back(key, name):
        iid = sdk.volume_to_image(conn, vol[key].id, "%s-%s" % (tag, name))
        ck.cleanup(conn.image.delete_image, iid)
        sdk.wait_image(conn, iid)
        sdk.wait_volume(conn, vol[key].id)
        return download(iid, name)

    def bytes_of_volume():
        p = upload_back("root", "up")
        assert os.path.getsize(p) == GIB, os.path.getsize(p)
        assert sha256_file(p, size) == want, "volume bytes differ"
    ck.step("volume to image, download, same bytes", bytes_of_volume)

    snap = {}

    def snapshot():
        s = bs.create_snapshot(volume_id=vol["root"].id, name=tag)
        ck.cleanup(sdk.delete_snapshot, conn, s.id)
        snap["s"] = sdk.wait_snapshot(conn, s.id)
    if ck.step("snapshot of an available volume", snapshot):
        ck.step("volume from snapshot",
                lambda: volume("fromsnap", size=1, snapshot_id=snap["s"].id))

        def bytes_of_snap():
            p = upload_back("fromsnap", "snapup")
            assert sha256_file(p, size) == want, "snapshot bytes differ"
        ck.step("bytes of the volume from snapshot", bytes_of_snap)
    ck.step("volume from volume (clone)", lambda: volume(
        "clone", size=1, volume_id=vol["root"].id))

    def extend():
        bs.extend_volume(vol["blank"], 2)
        sdk.wait_volume(conn, vol["blank"].id)
        assert bs.get_volume(vol["blank"].id).size == 2
    ck.step("extend a volume", extend)

    if cloud.barbican:
        def secret():
            key = conn.key_manager
            s = key.create_secret(name=tag, payload="hidden",
                                  payload_content_type="text/plain")
            sid = s.secret_ref.rsplit("/", 1)[1]
            ck.cleanup(key.delete_secret, sid)
            r = key.get("/secrets/%s/payload" % sid,
                        headers={"Accept": "text/plain"})
            assert r.text == "hidden", r.text
        ck.step("secret stored and read back", secret)

    # --- network and compute
    net = {}

    def network():
        n = net["n"] = conn.network.create_network(name=tag)
        ck.cleanup(conn.network.delete_network, n)
        s = net["s"] = conn.network.create_subnet(
            name=tag, network_id=n.id, ip_version=4, cidr="10.99.0.0/24")
        pub = conn.network.find_network("public")
        r = net["r"] = conn.network.create_router(
            name=tag, external_gateway_info={"network_id": pub.id})
        ck.cleanup(conn.network.delete_router, r)
        conn.network.add_interface_to_router(r, subnet_id=s.id)
        ck.cleanup(conn.network.remove_interface_from_router, r,
                   subnet_id=s.id)
        g = net["g"] = conn.network.create_security_group(name=tag)
        ck.cleanup(conn.network.delete_security_group, g)
        for kw in ({"protocol": "tcp", "port_range_min": 22,
                    "port_range_max": 22}, {"protocol": "icmp"}):
            conn.network.create_security_group_rule(
                security_group_id=g.id, direction="ingress", **kw)
    if not ck.step("network, router, security group", network):
        return

    keyfile = os.path.join(tmp, "key")
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f",
                    keyfile], check=True)
    ck.cleanup(lambda: [os.unlink(keyfile), os.unlink(keyfile + ".pub"),
                        os.rmdir(tmp)])
    # Removed last but created after the temporary files above.
    ck.undo.insert(0, ck.undo.pop())
    conn.compute.create_keypair(name=tag,
                                public_key=base.read(keyfile + ".pub"))
    ck.cleanup(conn.compute.delete_keypair, tag)

    def boot(key, **kw):
        flavor = conn.compute.find_flavor("m1.nano")
        s = conn.compute.create_server(
            name="%s-%s" % (tag, key), flavor_id=flavor.id, key_name=tag,
            networks=[{"uuid": net["n"].id}],
            security_groups=[{"name": tag}], **kw)
        ck.cleanup(sdk.delete_server, conn, s.id)
        net[key] = sdk.wait_server(conn, s.id)
        return net[key].id
    if not ck.step("instance ACTIVE (image on local disk)",
                   lambda: boot("vm", image_id=img["i"].id)):
        return

    def ports_active():
        ports = list(conn.network.ports(device_id=net["vm"].id))
        assert [p.status for p in ports] == ["ACTIVE"], ports
    ck.step("its port is ACTIVE", ports_active)

    def attach():
        conn.compute.create_volume_attachment(
            net["vm"].id, volume_id=vol["blank"].id)
        sdk.wait_volume(conn, vol["blank"].id, "in-use")
        ck.cleanup(detach)

    def detach():
        if bs.get_volume(vol["blank"].id).status != "in-use":
            return
        conn.compute.delete_volume_attachment(vol["blank"].id,
                                              net["vm"].id)
        sdk.wait_volume(conn, vol["blank"].id)

    if not cloud.real:
        ck.step("volume attach", attach)
        ck.step("volume detach", detach)
        return

    fip = conn.network.create_ip(
        floating_network_id=conn.network.find_network("public").id)
    ck.cleanup(conn.network.delete_ip, fip)
    addr = fip.floating_ip_address

    def ssh(cmd, timeout=60):
        p = subprocess.run(
            ["ssh", "-i", keyfile, "-o", "StrictHostKeyChecking=no", "-o",
             "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR", "-o",
             "ConnectTimeout=5", "root@" + addr, cmd],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            timeout=timeout, stdin=subprocess.DEVNULL)
        if p.returncode:
            raise RuntimeError(p.stdout.strip()[-300:])
        return p.stdout.strip()

    def console():
        def seen():
            out = conn.compute.get_server_console_output(net["vm"].id)
            return "godwit-guest: ready" in out["output"]
        base.wait_for("console line", seen, timeout=180, interval=2)
        out = conn.compute.get_server_console_output(net["vm"].id)["output"]
        line = [x for x in out.splitlines() if "ready name" in x][-1]
        assert "uuid=" + net["vm"].id in line, line
        return line[:150]
    ck.step("console log shows a booted guest with metadata", console)

    def reach():
        port = next(conn.network.ports(device_id=net["vm"].id))
        conn.network.update_ip(fip, port_id=port.id)
        err = {}

        def probe():
            try:
                return ssh("true") == ""
            except (RuntimeError, subprocess.TimeoutExpired) as e:
                err["e"] = str(e)
                return False
        base.wait_for("ssh to " + addr, probe, timeout=120, interval=2)
        return addr
    if not ck.step("SSH over the floating address", reach):
        return
    if ck.step("volume hot-attach", attach):
        def write_guest():
            base.wait_for("disk in guest",
                          lambda: ssh("[ -b /dev/vdb ]") == "", timeout=60)
            return ssh("mkfs.ext4 -q /dev/vdb && mkdir -p /d && "
                       "mount /dev/vdb /d && echo hello > /d/f && "
                       "umount /d && blockdev --getsize64 /dev/vdb && "
                       "dd if=/dev/urandom of=/dev/vdb bs=1M seek=1024 "
                       "count=32 conv=fsync 2>&1 | tail -1")
        ck.step("file system written from the guest", write_guest)

        def online_snapshot():
            s = bs.create_snapshot(volume_id=vol["blank"].id, is_forced=True,
                                   name=tag + "-online")
            ck.cleanup(sdk.delete_snapshot, conn, s.id)
            sdk.wait_snapshot(conn, s.id, timeout=120)
        ck.step("snapshot of an attached volume", online_snapshot)
        ck.step("volume detach", detach)

    def throughput():
        t = time.time()
        p = subprocess.Popen(
            ["ssh", "-i", keyfile, "-o", "StrictHostKeyChecking=no", "-o",
             "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR",
             "root@" + addr, "dd if=/dev/vda bs=1M count=100 2>/dev/null"],
            stdout=subprocess.PIPE)
        n = 0
        for chunk in iter(lambda: p.stdout.read(1 << 20), b""):
            n += len(chunk)
        p.wait()
        assert n == 100 << 20, n
        return "%.1f MiB/s" % (100 / (time.time() - t))
    ck.step("read 100 MiB of a disk through SSH", throughput)

    def instance_snapshot():
        i = conn.compute.create_server_image(net["vm"].id, tag + "-snap")
        ck.cleanup(conn.image.delete_image, i.id)
        sdk.wait_image(conn, i.id)
        # The image is ready before Nova has left the task behind.
        sdk.wait_server(conn, net["vm"].id)
        return conn.image.get_image(i.id).disk_format
    ck.step("image of a running instance", instance_snapshot)

    def stop():
        conn.compute.stop_server(net["vm"].id)
        sdk.wait_server(conn, net["vm"].id, "SHUTOFF")
    ck.step("stop the instance", stop)
    ck.step("instance booted from a volume", lambda: boot(
        "bfv", block_device_mapping=[{
            "boot_index": 0, "uuid": vol["root"].id,
            "source_type": "volume", "destination_type": "volume",
            "delete_on_termination": False}]))

    def console_bfv():
        base.wait_for("console line", lambda: "godwit-guest: ready" in
                      conn.compute.get_server_console_output(
                          net["bfv"].id)["output"], timeout=180, interval=2)
    ck.step("it boots", console_bfv)
