#!/bin/bash
# Builds a small bootable guest disk from Debian packages:
#   build.sh OUT.raw WORKDIR
# MBR disk, one ext4 partition, extlinux, Debian cloud kernel, BusyBox userland,
# dropbear SSH server, and the few tools that disk-moving helpers need.
# Fetches keys, host name and user data from a config drive or the metadata
# service, like cloud-init does, but boots in seconds even under emulation.
set -euo pipefail
out=$1 work=$2
here=$(dirname "$(readlink -f "$0")")
umount "$work/m" 2>/dev/null || true   # left by an interrupted run
rm -rf "$work"; mkdir -p "$work"/{deb,kernel,initrd,root}
cd "$work"
# Merged /usr, as on Debian, so that the paths of the copied programs fit.
mkdir -p root/usr/{bin,sbin,lib,lib64}
for d in bin sbin lib lib64; do ln -s usr/$d root/$d; done

# --- kernel: downloaded, not installed on this machine
abi=$(apt-cache depends linux-image-cloud-amd64 |
      sed -n 's/.*Depends: \(linux-image-[0-9].*-cloud-amd64\)$/\1/p' | head -1)
( cd deb && apt-get -q -o APT::Sandbox::User=root download "$abi" >/dev/null )
dpkg-deb -x deb/"$abi"_*.deb kernel
kver=${abi#linux-image-}
depmod -b kernel "$kver"
modules="virtio_pci virtio_blk virtio_net virtio_scsi virtio_console
 virtio_balloon virtio_rng ext4 xfs vfat nls_ascii nls_cp437 iso9660 isofs
 button evdev sd_mod sr_mod ata_piix ata_generic ahci nbd loop dm_mod overlay squashfs"
files=""
for m in $modules; do
  files+=" $(modprobe -d kernel -S "$kver" --show-depends "$m" 2>/dev/null |
             awk '$1 == "insmod" {print $2}' || true)"
done
for f in $(echo $files | tr ' ' '\n' | sort -u); do
  rel=${f#kernel/}; rel=${rel#"$work"/kernel/}; rel=${rel#./}
  for t in initrd root; do install -D -m 644 "kernel/$rel" "$t/$rel"; done
done
for t in initrd root; do
  cp kernel/lib/modules/"$kver"/modules.{builtin,builtin.modinfo,order} "$t/lib/modules/$kver/"
  depmod -b "$t" "$kver"
done

# --- initial RAM disk: load drivers, mount the root disk, go on there
mkdir -p initrd/{bin,dev,proc,sys,mnt}
cp /bin/busybox initrd/bin/
for a in sh mount umount mkdir modprobe sleep findfs switch_root echo cat; do
  ln -s busybox initrd/bin/$a
done
cat > initrd/init <<'I'
#!/bin/sh
export PATH=/bin
mount -t devtmpfs dev /dev; mount -t proc proc /proc; mount -t sysfs sys /sys
for m in virtio_pci virtio_blk virtio_net virtio_scsi virtio_rng sd_mod \
         ata_piix ahci ext4; do modprobe $m 2>/dev/null; done
i=0; root=
while [ $i -lt 100 ]; do
  # The first disk is the one booted from; others may be copies of it.
  for d in /dev/vda1 /dev/sda1; do [ -b $d ] && root=$d && break; done
  [ -n "$root" ] && break
  i=$((i+1)); sleep 0.2
done
echo "godwit-guest: root disk $root"
mount -t ext4 "$root" /mnt || { echo "godwit-guest: no root disk, starting anew"; cat /proc/partitions; sleep 1; echo b >/proc/sysrq-trigger; }
umount /sys; umount /proc; mount -o move /dev /mnt/dev
exec switch_root /mnt /sbin/init
I
chmod +x initrd/init
( cd initrd && find . | cpio -o -H newc --quiet | gzip -1 ) > initrd.img

# --- root file system
cd root
mkdir -p etc/dropbear dev proc sys run tmp \
  root/.ssh var/lib/guest var/log mnt media/config boot/extlinux
chmod 700 root/.ssh; chmod 1777 tmp
cp /bin/busybox bin/
for a in $(bin/busybox --list-full); do
  mkdir -p "$(dirname "$a")"; [ -e "$a" -o -L "$a" ] || ln -s /bin/busybox "$a"
done
add() { # a host program and the libraries it needs
  local p real lib
  p=$(PATH=/usr/sbin:/usr/bin:/sbin:/bin command -v "$1") || {
    echo "missing tool $1" >&2; return 1; }
  real=$(readlink -f "$p")
  rm -f "./$p"; install -D -m 755 "$real" "./$p"
  ldd "$real" 2>/dev/null | grep -o '/[^ ]*' | sort -u | while read -r lib; do
    [ -e ".$lib" ] || install -D -m 755 "$(readlink -f "$lib")" ".$lib"
  done
}
for t in dropbear dropbearkey bash dd lsblk blkid sfdisk blockdev mkfs.ext4 \
         e2fsck resize2fs tune2fs resizepart qemu-img qemu-nbd rsync socat \
         zstd scp sha256sum qemu-ga; do add $t; done
# Libraries for programs that a product may bring along (Node.js, Go with cgo).
for l in libstdc++.so.6 libgcc_s.so.1 libatomic.so.1 libc.so.6 libm.so.6 \
         libdl.so.2 libpthread.so.0 librt.so.1 libresolv.so.2 \
         libnss_files.so.2 libnss_dns.so.2; do
  lib=/lib/x86_64-linux-gnu/$l
  [ -e ".$lib" ] || install -D -m 755 "$(readlink -f "$lib")" ".$lib"
done
add /usr/lib/openssh/sftp-server
ln -sf /usr/lib/openssh/sftp-server usr/lib/sftp-server
mkdir -p usr/libexec; ln -sf /usr/lib/openssh/sftp-server usr/libexec/sftp-server
cat > etc/passwd <<'I'
root:x:0:0:root:/root:/bin/bash
debian:x:0:0:same as root:/root:/bin/bash
I
printf 'root:*:19000:0:99999:7:::\ndebian:*:19000:0:99999:7:::\n' > etc/shadow
echo 'root:x:0:' > etc/group
printf '/bin/sh\n/bin/bash\n' > etc/shells
printf 'passwd: files\ngroup: files\nshadow: files\nhosts: files dns\n' > etc/nsswitch.conf
printf 'PRETTY_NAME="Testbed guest 1"\nNAME=guest\nID=debian\nVERSION_ID="12"\n' > etc/os-release
echo guest > etc/hostname
echo '127.0.0.1 localhost' > etc/hosts
printf '#!/bin/sh\nwhile [ "${1#-}" != "$1" ]; do shift; done\nexec "$@"\n' > usr/bin/sudo
chmod +x usr/bin/sudo
cat > etc/inittab <<'I'
::sysinit:/etc/rc
ttyS0::respawn:/bin/sh -c 'sleep 3600'
::shutdown:/bin/umount -a -r
::ctrlaltdel:/sbin/reboot
I
mkdir -p etc/acpi/PWRF
printf '#!/bin/sh\n/sbin/poweroff\n' > etc/acpi/PWRF/00000080
chmod +x etc/acpi/PWRF/00000080
cp "$here/rc" etc/rc; chmod +x etc/rc
install -D -m 755 "$here/by-id" usr/lib/by-id
install -D -m 755 "$here/testbed" usr/sbin/testbed
mkdir -p srv disks; echo "the guest as it was built" >srv/built
( cd srv && sha256sum ./built >SHA256SUMS )
echo 'vd[a-z] 0:0 660 */usr/lib/by-id' > etc/mdev.conf
install -D -m 755 "$here/udhcpc.script" usr/share/udhcpc/default.script
cp ../kernel/boot/vmlinuz-"$kver" boot/vmlinuz
cp ../initrd.img boot/initrd.img
# no_timer_check: under emulation on a busy machine the check finds no working timer now and then, and the kernel stops.
cat > boot/extlinux/extlinux.conf <<'I'
default guest
prompt 0
timeout 0
label guest
  kernel /boot/vmlinuz
  append initrd=/boot/initrd.img console=ttyS0 quiet loglevel=4 panic=10 mitigations=off no_timer_check
I
cd ..

# --- disk
tmp=$out.tmp
rm -f "$tmp"; truncate -s 320M "$tmp"
printf 'label: dos\nstart=2048, type=83, bootable\n' | sfdisk -q "$tmp"
dd if=/usr/lib/EXTLINUX/mbr.bin of="$tmp" conv=notrunc status=none 2>/dev/null ||
  dd if=/usr/lib/syslinux/mbr/mbr.bin of="$tmp" conv=notrunc status=none
loop=$(losetup -f --show -o 1048576 "$tmp")
trap 'umount "$work/m" 2>/dev/null || true; losetup -d "$loop" 2>/dev/null || true' EXIT
mkfs.ext4 -q -L guest-root -O '^64bit,^metadata_csum' -m 0 \
  -E lazy_itable_init=0,lazy_journal_init=0 "$loop"
mkdir -p m; mount "$loop" m
cp -a root/. m/
extlinux --install m/boot/extlinux >/dev/null 2>&1
umount m; losetup -d "$loop"; trap - EXIT
mv "$tmp" "$out"
rm -rf "$work"
