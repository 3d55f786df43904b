# Runs in namespaces of its own, as root. IMAGE: the root file system. FOLDER, RUNAS, ENTRYPOINT, COMMAND, PROBE: of the container file.
ip link set lo up
mount -t proc proc /proc # of these processes
mount --bind "$IMAGE" "$IMAGE"
mount -t tmpfs -o "mode=0700,uid=${RUNAS%:*},gid=${RUNAS#*:}" tmpfs "$IMAGE$FOLDER"
mkdir -p "$IMAGE/tmp"
mount -t tmpfs -o mode=1777 tmpfs "$IMAGE/tmp"
mount -o remount,bind,ro "$IMAGE"
fail() { echo "FAIL: $*"; exit 1; }
run() { env -i PATH=/ "$(command -v chroot)" --userspec="$RUNAS" "$IMAGE" "$@"; } # that root, that user, no environment
if touch "$IMAGE/written" 2>/dev/null; then fail "the root can be written to"; fi
run $ENTRYPOINT init "$FOLDER" >/dev/null
(exec env -i PATH=/ "$(command -v chroot)" --userspec="$RUNAS" "$IMAGE" $ENTRYPOINT $COMMAND) 2>"$IMAGE/tmp/log" &
node=$!
for _ in $(seq 300); do
	if run $PROBE >/dev/null 2>&1; then ready=1; break; fi
	kill -0 "$node" 2>/dev/null || { cat "$IMAGE/tmp/log"; fail "it does not serve"; }
	sleep 0.1
done
[ -n "${ready:-}" ] || { cat "$IMAGE/tmp/log"; fail "its health check fails: $(run $PROBE)"; }
[ "$(stat -c %u "/proc/$node")" = "${RUNAS%:*}" ] || fail "it runs as $(stat -c %u "/proc/$node")"
run $ENTRYPOINT call -c "$FOLDER/oncegate.yaml" --system food-approval catalog.matters | grep -q FOOD-01 || fail "it does not answer"
kill -TERM "$node"
wait "$node" || fail "it stopped with $?"
if run $PROBE >/dev/null 2>&1; then fail "the health check says that a stopped node is ready"; fi
echo "the image holds"
