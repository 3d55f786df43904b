# Runs in namespaces of its own, as root. SCRATCH: an empty folder. OLD, NEW: packages. START, RUNAS, FOLDER: of the unit.
ip link set lo up
mount -t tmpfs tmpfs "$SCRATCH"
mkdir "$SCRATCH"/{upper,work,machine}
mount -t overlay overlay -o "lowerdir=/,upperdir=$SCRATCH/upper,workdir=$SCRATCH/work" "$SCRATCH/machine"
machine=$SCRATCH/machine
mount -t proc proc "$machine/proc"
mkdir -p "$machine/srv/packages"
cp "$OLD" "$machine/srv/packages/old.deb"
cp "$NEW" "$machine/srv/packages/new.deb"
rm -rf "$machine/run/systemd"
there=(chroot "$machine" env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C DEBIAN_FRONTEND=noninteractive)
on() { "${there[@]}" "$@"; }
as() { on setpriv --reuid="$RUNAS" --regid="$RUNAS" --clear-groups "$@"; }
fail() { echo "FAIL: $*"; exit 1; }
serve() { # as the unit starts it, until it is ready
	(exec "${there[@]}" setpriv --reuid="$RUNAS" --regid="$RUNAS" --clear-groups sh -c "cd $FOLDER && exec $START") 2>"$SCRATCH/log" &
	node=$!
	for _ in $(seq 300); do
		if as oncegate ready >/dev/null 2>&1; then return; fi
		kill -0 "$node" 2>/dev/null || { cat "$SCRATCH/log"; fail "it does not serve"; }
		sleep 0.1
	done
	cat "$SCRATCH/log"
	fail "it is not ready"
}
stop() { kill -TERM "$node"; wait "$node" || fail "it stopped with $?"; }

on dpkg -i /srv/packages/old.deb
[ "$(on stat -c '%U %G %a' "$FOLDER")" = "oncegate oncegate 700" ] || fail "$FOLDER is $(on stat -c '%U %G %a' "$FOLDER")"
if command -v systemd-analyze >/dev/null; then on systemd-analyze verify --man=no /usr/lib/systemd/system/oncegate.service; fi
as oncegate init "$FOLDER" >/dev/null
as oncegate check -c "$FOLDER/oncegate.yaml" 2>/dev/null
serve
as oncegate call -c "$FOLDER/oncegate.yaml" --system food-approval catalog.matters | grep -q FOOD-01 || fail "it does not answer"
stop
kept() { on sh -c "cd $FOLDER && find keys keys.passphrase mark certificates oncegate.yaml -type f | sort | xargs sha256sum"; }
before=$(kept)
[ -n "$before" ] || fail "nothing was written"

on dpkg -i /srv/packages/new.deb
[ "$(on dpkg-query -W -f '${Version}' oncegate)" = 99.0 ] || fail "it was not upgraded"
[ "$(kept)" = "$before" ] || fail "the upgrade changed what the gateway wrote"
serve
as oncegate audit verify -c "$FOLDER/oncegate.yaml" --system audit-office
stop
before=$(kept)

on dpkg -r oncegate
[ ! -e "$machine/usr/bin/oncegate" ] || fail "the program is still there"
[ "$(kept)" = "$before" ] || fail "removing it changed what the gateway wrote"
on dpkg -P oncegate
[ "$(kept)" = "$before" ] || fail "purging it changed what the gateway wrote"
on getent passwd oncegate >/dev/null || fail "the owner of the data is gone"

on dpkg -i /srv/packages/new.deb
serve
as oncegate audit verify -c "$FOLDER/oncegate.yaml" --system audit-office
stop
echo "the package holds"
