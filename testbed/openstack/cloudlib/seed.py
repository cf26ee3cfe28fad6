"""Fills a cloud with a realistic tenant tree; safe to run again.

Everything is found by name first and only made when missing. A record of what
is there (ids, addresses, check sums of the volumes' data) is written to
DATA/seed-<cloud>.json, so that a migration's result can be compared with it.
"""
import base64
import hashlib
import json
import os
import random
import subprocess

from . import base, image, sdk
from .base import log

PASSWORD = "testbed-user"

PROJECTS = {
    "shop": {
        "description": "Web shop, production",
        "users": {"shop-owner": ("member", "creator"), "shop-dev": ("member",),
                  "shop-audit": ("reader",)},
        "quota": {"cores": 24, "ram": 16384, "instances": 12, "volumes": 15,
                  "gigabytes": 200, "snapshots": 12, "networks": 6,
                  "subnets": 8, "ports": 60, "routers": 3, "floatingips": 8,
                  "security_groups": 12},
    },
    "billing": {
        "description": "Invoices and payments",
        "users": {"billing-owner": ("member", "creator"),
                  "shop-audit": ("reader",)},
        "quota": {"cores": 8, "ram": 8192, "instances": 4, "volumes": 5,
                  "gigabytes": 50, "networks": 2, "floatingips": 2},
    },
    "analytics": {
        "description": "Nightly reports",
        "users": {"analytics-owner": ("member",)},
        "quota": {"cores": 4, "instances": 3, "volumes": 4, "gigabytes": 30},
    },
}

FLAVORS = [
    # name, vcpus, RAM, disk, extra specs, only for this project
    ("web.small", 1, 128, 1, {"hw:cpu_sockets": "1"}, None),
    ("db.medium", 1, 192, 1, {"hw:cpu_max_sockets": "1"}, None),
    ("billing.dedicated", 1, 160, 1, {}, "billing"),
]

NOVA_QUOTA = {"cores", "ram", "instances"}
CINDER_QUOTA = {"volumes", "gigabytes", "snapshots"}
NEUTRON_QUOTA = {"networks": "network", "subnets": "subnet", "ports": "port",
                 "routers": "router", "floatingips": "floatingip",
                 "security_groups": "security_group"}


def data_file(name, mib, seed):
    """A file of reproducible bytes with holes, as data volumes have."""
    path = os.path.join(base.CACHE, "data-%s-%d.raw" % (name, mib))
    if not os.path.exists(path):
        rnd = random.Random(seed)
        with open(path + ".tmp", "wb") as f:
            for n in range(mib):
                if n % 4 == 3:
                    f.seek(1 << 20, 1)
                else:
                    f.write(rnd.randbytes(1 << 20))
            f.truncate(mib << 20)
        os.rename(path + ".tmp", path)
    h = hashlib.sha256()
    with open(path, "rb") as f:
        for chunk in iter(lambda: f.read(1 << 20), b""):
            h.update(chunk)
    return path, h.hexdigest()


def seed(cloud):
    s = Seeder(cloud)
    s.identity()
    s.flavors()
    s.images()
    s.networks()
    s.volumes()
    s.instances()
    s.extras()
    path = os.path.join(base.DATA, "seed-%s.json" % cloud.name)
    base.write(path, json.dumps(s.record, indent=1, sort_keys=True) + "\n")
    log("%s: seeded; record in %s", cloud.name, path)
    return s.accounts


class Seeder:

    def __init__(self, cloud):
        self.cloud = cloud
        self.admin = sdk.connect(cloud)
        self.record = {"cloud": cloud.name, "mode":
                       "real" if cloud.real else "fast", "projects": {},
                       "images": {}, "flavors": {}, "networks": {},
                       "volumes": {}, "instances": {}, "secrets": {}}
        self.accounts = []
        self.conns = {}

    def conn(self, project):
        """A connection as the project's owner."""
        if project not in self.conns:
            self.conns[project] = sdk.connect(
                self.cloud, user=project + "-owner", password=PASSWORD,
                project=project)
        return self.conns[project]

    # --- identity, quotas, key pairs

    def identity(self):
        idm = self.admin.identity
        roles = {r.name: r.id for r in idm.roles()}
        self.projects = {}
        users = {u.name: u for u in idm.users()}
        for name, p in PROJECTS.items():
            proj = idm.find_project(name) or idm.create_project(
                name=name, domain_id="default", description=p["description"],
                tags=["testbed", name])
            self.projects[name] = proj.id
            for user, names in p["users"].items():
                if user not in users:
                    users[user] = idm.create_user(
                        name=user, password=PASSWORD, domain_id="default",
                        email=user + "@example.org",
                        default_project_id=proj.id)
                for r in names:
                    idm.assign_project_role_to_user(
                        proj.id, users[user].id, roles[r])
                self.accounts.append((
                    "%s-%s-%s" % (self.cloud.name, name, user),
                    self.cloud.clouds_yaml(user=user, password=PASSWORD,
                                           project=name)))
            q = p["quota"]
            self.admin.set_compute_quotas(
                proj.id, **{k: v for k, v in q.items() if k in NOVA_QUOTA})
            self.admin.set_volume_quotas(
                proj.id, **{k: v for k, v in q.items() if k in CINDER_QUOTA})
            nq = {NEUTRON_QUOTA[k]: v for k, v in q.items()
                  if k in NEUTRON_QUOTA}
            if nq:
                self.admin.set_network_quotas(proj.id, **nq)
            self.record["projects"][name] = {"id": proj.id, "quota": q}
        group = idm.find_group("shop-team") or idm.create_group(
            name="shop-team", domain_id="default")
        idm.put("/groups/%s/users/%s" % (group.id, users["shop-dev"].id))
        idm.put("/projects/%s/groups/%s/roles/%s" % (
            self.projects["shop"], group.id, roles["reader"]))
        # One SSH key for all seeded instances; the private half is kept.
        self.key = os.path.join(base.DATA, "seed-key")
        if not os.path.exists(self.key):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "",
                            "-C", "seed", "-f", self.key], check=True)
        pub = base.read(self.key + ".pub").strip()
        for name in PROJECTS:
            c = self.conn(name).compute
            if not c.find_keypair(name + "-key"):
                c.create_keypair(name=name + "-key", public_key=pub)
        log("%s: projects, users, quotas, keys", self.cloud.name)

    # --- flavors and images

    def flavors(self):
        c = self.admin.compute
        for name, cpu, ram, disk, specs, owner in FLAVORS:
            f = c.find_flavor(name)
            if not f:
                f = c.create_flavor(name=name, vcpus=cpu, ram=ram, disk=disk,
                                    is_public=owner is None)
                if specs:
                    c.create_flavor_extra_specs(f, specs)
                if owner:
                    c.flavor_add_tenant_access(f, self.projects[owner])
            self.record["flavors"][name] = f.id

    def images(self):
        guest = image.build()
        self.img = {}

        def one(conn, name, path, fmt="raw", **kw):
            i = conn.image.find_image(name)
            if not i or i.status != "active":
                i = sdk.upload(conn, name, path, fmt, **kw)
            self.img[name] = i.id
            self.record["images"][name] = i.id
            return i

        one(self.admin, "guest", guest, visibility="public",
            min_disk=1, min_ram=64,
            **{"os_distro": "debian", "os_type": "linux",
               "hw_disk_bus": "virtio", "hw_vif_model": "virtio"})
        qcow = guest[:-4] + ".qcow2"
        if not os.path.exists(qcow):
            base.sh(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", "-c",
                     guest, qcow])
        shared = one(self.conn("shop"), "shop-golden", qcow, "qcow2",
                     visibility="shared", min_disk=1,
                     os_distro="debian", team="web")
        members = {m.member_id for m in
                   self.conn("shop").image.members(shared.id)}
        if self.projects["billing"] not in members:
            self.conn("shop").image.add_member(
                shared.id, member_id=self.projects["billing"])
            self.conn("billing").image.put(
                "/images/%s/members/%s" % (
                    shared.id, self.projects["billing"]),
                json={"status": "accepted"})
        # Data volumes start as images, so that they hold known bytes even
        # where no guest runs that could write them.
        self.sums = {}
        for name, project, mib, n in (("shop-data", "shop", 96, 1),
                                      ("billing-data", "billing", 48, 2)):
            path, digest = data_file(name, mib, n)
            one(self.conn(project), name, path, visibility="private")
            self.sums[name] = {"sha256": digest, "bytes": mib << 20}
        log("%s: flavors and images", self.cloud.name)

    # --- networks

    def networks(self):
        pub = self.admin.network.find_network("public")
        self.net, self.sg, self.subnets = {}, {}, {}

        def network(project, name, cidr, router=None, **subnet):
            c = self.conn(project).network
            n = c.find_network(name) or c.create_network(
                name=name, description=name + " of " + project)
            self.net[name] = n.id
            s = c.find_subnet(name)
            if not s:
                s = c.create_subnet(name=name, network_id=n.id, ip_version=4,
                                    cidr=cidr, **subnet)
            self.subnets[name] = s.id
            if router:
                r = c.find_router(router) or c.create_router(
                    name=router, external_gateway_info={
                        "network_id": pub.id})
                ports = list(c.ports(device_id=r.id, network_id=n.id))
                if not ports:
                    c.add_interface_to_router(r, subnet_id=s.id)
            self.record["networks"][name] = {"id": n.id, "cidr": cidr}

        network("shop", "shop-front", "10.20.1.0/24", "shop-router",
                dns_nameservers=["10.20.1.53"],
                allocation_pools=[{"start": "10.20.1.20",
                                   "end": "10.20.1.200"}])
        network("shop", "shop-back", "10.20.2.0/24", "shop-router",
                host_routes=[{"destination": "10.30.0.0/16",
                              "nexthop": "10.20.2.254"}])
        network("billing", "billing-net", "10.20.1.0/24", "billing-router")
        network("analytics", "analytics-isolated", "192.168.77.0/24",
                gateway_ip=None)

        def group(project, name, rules):
            c = self.conn(project).network
            g = c.find_security_group(
                name, project_id=self.projects[project])
            if not g:
                g = c.create_security_group(name=name, description=name)
                for r in rules:
                    r = dict(r)
                    if r.get("remote_group_id"):
                        r["remote_group_id"] = self.sg[r["remote_group_id"]]
                    c.create_security_group_rule(
                        security_group_id=g.id,
                        direction=r.pop("direction", "ingress"), **r)
            self.sg[name] = g.id

        def tcp(port, **kw):
            return dict({"protocol": "tcp", "port_range_min": port,
                         "port_range_max": port, "ethertype": "IPv4"}, **kw)
        ping = {"protocol": "icmp", "ethertype": "IPv4"}
        group("shop", "web", [
            tcp(22), tcp(80), tcp(443), ping,
            tcp(443, ethertype="IPv6", remote_ip_prefix="2001:db8::/32")])
        group("shop", "db", [
            tcp(5432, remote_group_id="web"),
            tcp(22, remote_ip_prefix="10.20.0.0/16"), ping,
            {"protocol": "udp", "port_range_min": 53, "port_range_max": 53,
             "direction": "egress", "ethertype": "IPv4",
             "remote_ip_prefix": "10.20.1.53/32"}])
        group("billing", "app", [tcp(22), tcp(8443), ping])
        group("analytics", "worker", [
            dict(tcp(9000), port_range_max=9010)])
        log("%s: networks, routers, security groups", self.cloud.name)

    # --- volumes

    def volumes(self):
        def one(project, name, size, image_name=None, vtype="standard",
                bootable=None, **kw):
            b = self.conn(project).block_storage
            v = b.find_volume(name)
            if not v:
                v = b.create_volume(
                    name=name, size=size, volume_type=vtype,
                    image_id=self.img[image_name] if image_name else None,
                    **kw)
            v = b.get_volume(v.id)
            if v.status not in ("in-use", "available"):
                v = sdk.wait_volume(self.conn(project), v.id)
            if bootable is not None and v.status == "available":
                b.post("/volumes/%s/action" % v.id, json={
                    "os-set_bootable": {"bootable": bootable}})
            self.record["volumes"][name] = dict(
                self.sums.get(image_name, {}), id=v.id, project=project,
                size=size, type=vtype)
            return v
        self.vol = {
            "shop-db-root": one("shop", "shop-db-root", 1, "guest",
                                "premium"),
            "shop-db-data": one("shop", "shop-db-data", 1, "shop-data",
                                "premium", bootable=False,
                                metadata={"role": "database"}),
            "shop-spare": one("shop", "shop-spare", 2,
                              description="not attached"),
            "billing-data": one("billing", "billing-data", 1, "billing-data",
                                bootable=False),
            "analytics-scratch": one("analytics", "analytics-scratch", 1)}
        b = self.conn("shop").block_storage
        if not list(b.snapshots(name="shop-db-data-weekly")):
            if b.get_volume(self.vol["shop-db-data"].id).status == \
                    "available":
                s = b.create_snapshot(
                    volume_id=self.vol["shop-db-data"].id,
                    name="shop-db-data-weekly", description="weekly")
                sdk.wait_snapshot(self.conn("shop"), s.id)
        log("%s: volumes with data, a snapshot", self.cloud.name)

    # --- instances

    def instances(self):
        pub = self.admin.network.find_network("public")
        flavor = {f.name: f.id for f in self.admin.compute.flavors(
            is_public=None)}

        def one(project, name, flavor_name, networks, groups, fip=False,
                attach=(), user_data=None, state=None, **kw):
            c = self.conn(project)
            s = c.compute.find_server(name)
            if not s:
                if user_data:
                    kw["user_data"] = base64.b64encode(
                        user_data.encode()).decode()
                s = c.compute.create_server(
                    name=name, flavor_id=flavor[flavor_name],
                    key_name=project + "-key", networks=networks,
                    security_groups=[{"name": g} for g in groups], **kw)
            s = c.compute.get_server(s.id)
            if s.status not in ("ACTIVE", "SHUTOFF", "PAUSED"):
                s = sdk.wait_server(c, s.id)
            for vname in attach:
                v = c.block_storage.get_volume(self.vol[vname].id)
                if v.status == "available":
                    c.compute.create_volume_attachment(s.id, volume_id=v.id)
                    sdk.wait_volume(c, v.id, "in-use")
            ports = list(c.network.ports(device_id=s.id))
            address = None
            if fip:
                have = [f for p in ports for f in c.network.ips(port_id=p.id)]
                front = [p for p in ports
                         if p.network_id == networks_id(networks[0], c)][0]
                f = have[0] if have else c.network.create_ip(
                    floating_network_id=pub.id, port_id=front.id,
                    description=name)
                address = f.floating_ip_address
            if state == "stopped" and s.status == "ACTIVE":
                c.compute.stop_server(s.id)
                sdk.wait_server(c, s.id, "SHUTOFF")
            self.record["instances"][name] = {
                "id": s.id, "project": project, "floating_ip": address,
                "ports": [{"id": p.id, "mac": p.mac_address, "ips": [
                    i["ip_address"] for i in p.fixed_ips]} for p in ports]}

        def networks_id(spec, c):
            if "uuid" in spec:
                return spec["uuid"]
            return c.network.get_port(spec["port"]).network_id

        def port(project, name, net, ip, group, **kw):
            c = self.conn(project).network
            p = c.find_port(name) or c.create_port(
                name=name, network_id=self.net[net],
                fixed_ips=[{"subnet_id": self.subnets[net],
                            "ip_address": ip}],
                security_groups=[self.sg[group]], **kw)
            return {"port": p.id}

        shop = self.conn("shop").compute
        sg = [g for g in shop.server_groups() if g.name == "web-spread"]
        spread = sg[0] if sg else shop.create_server_group(
            name="web-spread", policy="soft-anti-affinity")
        one("shop", "shop-web-1", "web.small", [
            port("shop", "shop-web-1-front", "shop-front", "10.20.1.21",
                 "web", allowed_address_pairs=[
                     {"ip_address": "10.20.1.100"}]),
            {"uuid": self.net["shop-back"]}], ["web"], fip=True,
            image_id=self.img["guest"],
            metadata={"tier": "web", "owner": "shop"},
            scheduler_hints={"group": spread.id},
            user_data="#!/bin/sh\necho web-1 > /var/www.txt\n")
        one("shop", "shop-web-2", "web.small", [
            {"uuid": self.net["shop-front"]}], ["web"],
            image_id=self.img["shop-golden"],
            scheduler_hints={"group": spread.id})
        one("shop", "shop-db", "db.medium", [
            {"uuid": self.net["shop-back"]}], ["db"],
            attach=["shop-db-data"], metadata={"tier": "db"},
            block_device_mapping=[{
                "boot_index": 0, "uuid": self.vol["shop-db-root"].id,
                "source_type": "volume", "destination_type": "volume",
                "delete_on_termination": False}])
        one("billing", "billing-app", "billing.dedicated", [
            {"uuid": self.net["billing-net"]}], ["app"], fip=True,
            attach=["billing-data"], image_id=self.img["shop-golden"])
        one("analytics", "analytics-worker", "m1.nano", [
            {"uuid": self.net["analytics-isolated"]}], ["worker"],
            state="stopped", image_id=self.img["guest"])
        log("%s: instances", self.cloud.name)

    def extras(self):
        if not self.cloud.barbican:
            return
        c = self.conn("shop").key_manager
        names = {s.name: s.secret_ref for s in c.secrets()}
        if "shop-db-password" not in names:
            s = c.create_secret(name="shop-db-password", payload="s3cret",
                                payload_content_type="text/plain")
            names[s.name] = s.secret_ref
        self.record["secrets"] = names
