"""Configuration files of one cloud."""
import os

from . import base

# Package configuration copied as the starting point of each cloud's own /etc.
ETC = ("keystone", "glance", "placement", "nova", "neutron", "cinder",
       "barbican", "libvirt")
# State folders that each cloud gets a private copy of.
VAR_LIB = ("keystone", "glance", "nova", "neutron", "cinder", "barbican",
           "libvirt")


def ini(sections):
    """Text of an oslo.config file from {section: {key: value}}."""
    out = []
    for name, opts in sections.items():
        out.append("[%s]" % name)
        for k, v in opts.items():
            for one in (v if isinstance(v, list) else [v]):
                out.append("%s = %s" % (k, one))
        out.append("")
    return "\n".join(out)


def _common(c, service, db=True):
    """Sections that nearly every service shares."""
    s = {
        "DEFAULT": {
            "transport_url": c.transport_url,
            "debug": "True" if os.environ.get("GODWIT_CLOUDS_DEBUG") else "False",
            "graceful_shutdown_timeout": 2,
            # One log file per process is kept by the supervisor.
            "use_stderr": "True", "log_color": "False",
            "log_dir": "", "log_file": "",
        },
        "keystone_authtoken": dict(
            c.service_auth(service),
            www_authenticate_uri=c.url("keystone", "/v3"),
            memcached_servers="127.0.0.1:%d" % c.port("memcached"),
            service_token_roles="service",
            service_token_roles_required="True",
            # A revoked token is refused soon, not five minutes later.
            token_cache_time=10),
        "service_user": dict(
            c.service_auth(service), send_service_user_token="True"),
        "oslo_concurrency": {"lock_path": "%s/lock/%s" % (c.dir, service)},
        "oslo_messaging_notifications": {"driver": "noop"},
        "oslo_messaging_rabbit": {"heartbeat_in_pthread": "False"},
        "cache": {
            "enabled": "True", "backend": "dogpile.cache.memcached",
            "memcache_servers": "127.0.0.1:%d" % c.port("memcached")},
    }
    if db:
        s["database"] = {"connection": c.db_url(service), "max_pool_size": 8}
    return s


def keystone(c):
    s = _common(c, "keystone")
    for k in ("keystone_authtoken", "service_user"):
        del s[k]
    s["DEFAULT"]["public_endpoint"] = c.url("keystone")
    s["token"] = {"provider": "fernet", "expiration": 14400}
    s["fernet_tokens"] = {"key_repository": "/etc/keystone/fernet-keys"}
    s["credential"] = {"key_repository": "/etc/keystone/credential-keys"}
    return {"keystone.conf": ini(s)}


def glance(c):
    s = _common(c, "glance")
    s["DEFAULT"].update({
        "bind_host": "127.0.0.1", "bind_port": c.port("glance"), "workers": 0,
        "enabled_backends": "local:file",
        "enabled_import_methods": "[glance-direct,web-download]",
        "show_image_direct_url": "False",
    })
    s["paste_deploy"] = {"flavor": "keystone"}
    s["glance_store"] = {"default_backend": "local"}
    s["local"] = {"filesystem_store_datadir": "/var/lib/glance/images",
                  "store_description": "local files"}
    for name in ("staging", "tasks"):
        s["os_glance_%s_store" % name] = {
            "filesystem_store_datadir": "/var/lib/glance/" + name}
    return {"glance-api.conf": ini(s)}


def placement(c):
    s = _common(c, "placement")
    s["placement_database"] = s.pop("database")
    s["api"] = {"auth_strategy": "keystone"}
    return {"placement.conf": ini(s)}


def nova(c):
    s = _common(c, "nova")
    s["DEFAULT"].update({
        "my_ip": "127.0.0.1", "host": c.node,
        "enabled_apis": "osapi_compute,metadata",
        "osapi_compute_listen": "127.0.0.1",
        "osapi_compute_listen_port": c.port("nova"),
        "osapi_compute_workers": 1,
        "metadata_listen": "127.0.0.1",
        "metadata_listen_port": c.port("metadata"), "metadata_workers": 1,
        "state_path": "/var/lib/nova",
        "instances_path": "/var/lib/nova/instances",
        # Domain names and hosts differ between the clouds, as on real sites.
        "instance_name_template": c.name + "-%08x",
        "vif_plugging_timeout": 120, "vif_plugging_is_fatal": "True",
        "reserved_host_memory_mb": 0,
        "ram_allocation_ratio": 4.0, "cpu_allocation_ratio": 16.0,
        "disk_allocation_ratio": 4.0,
        # Guests that ran before `down` run again after `up`.
        "resume_guests_state_on_host_boot": "True",
        "force_config_drive": "False",
        "default_schedule_zone": "nova",
        "shutdown_timeout": 20,
        "compute_driver": ("libvirt.LibvirtDriver" if c.real
                           else "fake.FakeDriver"),
    })
    s["api_database"] = {"connection": c.db_url("nova_api")}
    s["glance"] = {"api_servers": c.url("glance")}
    s["neutron"] = dict(c.service_auth("neutron"),
                        service_metadata_proxy="True",
                        metadata_proxy_shared_secret=base.METADATA_SECRET)
    s["placement"] = c.service_auth("placement")
    s["cinder"] = {"os_region_name": c.region,
                   "catalog_info": "volumev3::publicURL"}
    s["scheduler"] = {"workers": 1, "discover_hosts_in_cells_interval": 15}
    s["conductor"] = {"workers": 1}
    s["vnc"] = {"enabled": "False"}
    s["spice"] = {"enabled": "False"}
    s["libvirt"] = {
        "virt_type": "qemu", "cpu_mode": "none", "images_type": "qcow2",
        "inject_partition": -2,
        "nfs_mount_point_base": "/var/lib/nova/mnt",
        "num_volume_scan_tries": 3,
        "use_virtio_for_bridges": "True",
        "wait_soft_reboot_seconds": 30,
    }
    s["key_manager"] = (
        {"backend": "barbican"} if c.barbican else
        {"backend": "castellan.key_manager.not_implemented_key_manager."
                    "NotImplementedKeyManager"})
    if c.barbican:
        s["barbican"] = {"auth_endpoint": c.url("keystone", "/v3"),
                         "barbican_endpoint": c.url("barbican")}
    # The compute service must not know the databases: it has no way to them.
    compute = {k: v for k, v in s.items()
               if k not in ("database", "api_database")}
    return {"nova.conf": ini(s), "nova-compute.conf": ini(compute)}


def neutron(c):
    s = _common(c, "neutron")
    s["DEFAULT"].update({
        "host": c.node,
        "bind_host": "127.0.0.1", "bind_port": c.port("neutron"),
        "core_plugin": "ml2", "service_plugins": "router,qos",
        "api_workers": 1, "rpc_workers": 1, "rpc_state_report_workers": 0,
        "metadata_workers": 1,
        "notify_nova_on_port_status_changes": "True",
        "notify_nova_on_port_data_changes": "True",
        "dhcp_agents_per_network": 1,
        "state_path": "/var/lib/neutron",
        "rpc_response_timeout": 30,
        "agent_down_time": 120, "global_physnet_mtu": 1500,
        "allow_overlapping_ips": "True",
    })
    s["agent"] = {"root_helper": "sudo", "report_interval": 20,
                  "root_helper_daemon": ""}
    s["nova"] = dict(c.service_auth("nova"))
    s["experimental"] = {"linuxbridge": "True"}
    # More than one worker thread in a privileged helper can stop it for good:
    # "greenlet.error: cannot switch to a different thread".
    for group in ("privsep", "privsep_dhcp_release", "privsep_namespace",
                  "privsep_conntrack", "privsep_link"):
        s[group] = {"thread_pool_size": 1}
    ml2 = {
        "ml2": {
            "type_drivers": "flat,vxlan,local",
            "tenant_network_types": "vxlan",
            "mechanism_drivers": "linuxbridge" if c.real else "fastbind",
            "extension_drivers": "port_security,qos"},
        "ml2_type_flat": {"flat_networks": "public"},
        "ml2_type_vxlan": {"vni_ranges": "%d:%d" % (
            c.index * 1000, c.index * 1000 + 999)},
        "securitygroup": {"enable_security_group": "True",
                          "enable_ipset": "True",
                          "firewall_driver": "iptables"},
    }
    lb = {
        "linux_bridge": {"physical_interface_mappings": "public:ex0"},
        "vxlan": {"enable_vxlan": "True", "local_ip": c.tunnel_ip,
                  "l2_population": "False"},
        "securitygroup": ml2["securitygroup"],
    }
    driver = {"interface_driver": "linuxbridge"}
    return {
        "neutron.conf": ini(s),
        "plugins/ml2/ml2_conf.ini": ini(ml2),
        "plugins/ml2/linuxbridge_agent.ini": ini(lb),
        "dhcp_agent.ini": ini({"DEFAULT": dict(
            driver, dhcp_driver="neutron.agent.linux.dhcp.Dnsmasq",
            enable_isolated_metadata="True", resync_interval=30)}),
        "l3_agent.ini": ini({"DEFAULT": dict(
            driver, agent_mode="legacy")}),
        "metadata_agent.ini": ini({"DEFAULT": {
            "nova_metadata_host": "127.0.0.1",
            "nova_metadata_port": c.port("metadata"),
            "metadata_proxy_shared_secret": base.METADATA_SECRET}}),
    }


def cinder(c):
    s = _common(c, "cinder")
    s["DEFAULT"].update({
        "my_ip": "127.0.0.1", "host": c.node,
        "osapi_volume_listen": "127.0.0.1",
        "osapi_volume_listen_port": c.port("cinder"),
        "osapi_volume_workers": 1,
        "auth_strategy": "keystone",
        "glance_api_servers": c.url("glance"),
        "enabled_backends": "nfs",
        "default_volume_type": "standard",
        "state_path": "/var/lib/cinder",
        "volume_clear": "none",
        "rootwrap_config": "/etc/cinder/rootwrap.conf",
        "allowed_direct_url_schemes": "",
        "enable_force_upload": "True",
        "image_conversion_dir": "/var/lib/cinder/conversion",
    })
    s["nfs"] = {
        "volume_driver": "cinder.volume.drivers.nfs.NfsDriver",
        "volume_backend_name": "nfs",
        "nfs_shares_config": "/etc/cinder/nfs_shares",
        "nfs_mount_point_base": "/var/lib/cinder/mnt",
        "nfs_snapshot_support": "True",
        "nfs_sparsed_volumes": "True",
        "nas_secure_file_operations": "False",
        "nas_secure_file_permissions": "False",
        "max_over_subscription_ratio": 20.0,
        "reserved_percentage": 0,
    }
    s["nova"] = dict(c.service_auth("nova"), interface="public")
    if c.barbican:
        s["key_manager"] = {"backend": "barbican"}
        s["barbican"] = {"auth_endpoint": c.url("keystone", "/v3"),
                         "barbican_endpoint": c.url("barbican")}
    return {"cinder.conf": ini(s),
            "nfs_shares": "127.0.0.1:%s\n" % c.volumes_dir}


def barbican(c):
    s = _common(c, "barbican")
    s["DEFAULT"].update({
        "host_href": c.url("barbican"),
        "sql_connection": c.db_url("barbican"),
        "db_auto_create": "False"})
    s["secretstore"] = {"enabled_secretstore_plugins": "store_crypto"}
    s["crypto"] = {"enabled_crypto_plugins": "simple_crypto"}
    s["simple_crypto_plugin"] = {
        "kek": "dGhpcnR5X3R3b19ieXRlX2tleWJsYWhibGFoYmxhaGg="}
    s["queue"] = {"enable": "False"}
    return {"barbican.conf": ini(s)}


def libvirt(c):
    qemu = ('user = "root"\ngroup = "root"\ndynamic_ownership = 0\n'
            'remember_owner = 0\nsecurity_driver = "none"\n'
            'namespaces = []\ncgroup_controllers = []\n'
            'stdio_handler = "logd"\n')
    daemon = ('unix_sock_group = "root"\nauth_unix_rw = "none"\n'
              'auth_unix_ro = "none"\n'
              'log_outputs = "2:stderr"\n'
              'host_uuid = "00000000-0000-4000-8000-%012d"\n' % c.index)
    return {"qemu.conf": qemu, "libvirtd.conf": daemon}


WRITERS = {"keystone": keystone, "glance": glance, "placement": placement,
           "nova": nova, "neutron": neutron, "cinder": cinder,
           "barbican": barbican, "libvirt": libvirt}


def write_all(c):
    """Write the cloud's /etc: package files first, then our own over them."""
    for service in ETC:
        dest = os.path.join(c.dir, "etc", service)
        if os.path.isdir("/etc/" + service):
            base.copytree("/etc/" + service, dest)
        for rel, text in WRITERS[service](c).items():
            base.write(os.path.join(dest, rel), text)
