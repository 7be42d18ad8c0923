#!/bin/bash
# A real Tryton 8.2 ERP (party, product, stock, sale, opportunities) for tests: SQLite, 127.0.0.1 only.
#
#   tryton.sh ensure               install, init and seed once; quick when it has been done
#   tryton.sh start [PORT] [DIR]   a server of its own on a copy of the seeded database (DIR holds copy, config, log, pid)
#   tryton.sh stop [DIR]           stop that server
#   tryton.sh reset [DIR]          put the seeded database back (server stopped)
#   tryton.sh install|init|seed    the steps of `ensure`
#
# TRYTON_HOME  cache of program and seeded database   (default ~/.cache/confab-tests/tryton)
# TRYTON_PORT  port when none is given                (default 8069)
# The database is `erp`; the connector's user is `chatbot`, its password in $TRYTON_HOME/bot.pw (a fixture, not a secret).
# Measured: ensure 60 s the first time (107 MB), 0.02 s after; start 1-3 s; RSS 81-130 MB.
set -euo pipefail
umask 077
HERE=$(cd "$(dirname "$0")" && pwd)
HOME_DIR=${TRYTON_HOME:-$HOME/.cache/confab-tests/tryton}
VENV=$HOME_DIR/venv
SERIES=8.2
MODULES="company party product stock sale sale_opportunity sale_supply stock_shipment_cost stock_package_shipping"
mkdir -p "$HOME_DIR"

stamp() { cat "$HERE/tryton.sh" "$HERE/seed.py" | sha256sum | cut -c1-16; }

config() { # DIR PORT
  printf '[database]\nuri = sqlite://\npath = %s/db\n[web]\nlisten = 127.0.0.1:%s\n' "$1" "$2" > "$1/trytond.conf"
}

install() {
  [ -x "$VENV/bin/trytond" ] && "$VENV/bin/python" -c 'import trytond.modules.stock_package_shipping, proteus' 2>/dev/null && return
  python3 -m venv "$VENV"
  local packages=""
  for m in $MODULES; do packages="$packages trytond-${m//_/-}==$SERIES.*"; done
  # shellcheck disable=SC2086
  "$VENV/bin/pip" install -q --disable-pip-version-check "trytond==$SERIES.*" $packages "proteus==$SERIES.*"
}

init() {
  mkdir -p "$HOME_DIR/db"
  rm -f "$HOME_DIR"/db/erp.sqlite*
  touch "$HOME_DIR/db/erp.sqlite" # Tryton wants the file to exist
  config "$HOME_DIR" "${TRYTON_PORT:-8069}"
  printf 'tryton-admin-pw\n' > "$HOME_DIR/admin.pw"
  printf 'connector-pass-1\n' > "$HOME_DIR/bot.pw"
  # shellcheck disable=SC2086
  TRYTONPASSFILE="$HOME_DIR/admin.pw" "$VENV/bin/trytond-admin" -c "$HOME_DIR/trytond.conf" -d erp \
    --email admin@example.test -u $MODULES --activate-dependencies
}

seed() {
  "$VENV/bin/python" "$HERE/seed.py" erp "$HOME_DIR/trytond.conf" "$HOME_DIR/bot.pw"
  # Tryton uses WAL: without a checkpoint the copy would lack what was written last.
  python3 -c "import sqlite3,sys; sqlite3.connect(sys.argv[1]).execute('pragma wal_checkpoint(truncate)')" "$HOME_DIR/db/erp.sqlite"
  cp "$HOME_DIR/db/erp.sqlite" "$HOME_DIR/erp.seeded"
  stamp > "$HOME_DIR/stamp"
}

reset() { # DIR
  mkdir -p "$1/db"
  rm -f "$1/db/erp.sqlite-wal" "$1/db/erp.sqlite-shm"
  cp "$HOME_DIR/erp.seeded" "$1/db/erp.sqlite"
}

start() { # PORT DIR
  reset "$2"
  config "$2" "$1"
  nohup "$VENV/bin/trytond" -c "$2/trytond.conf" -d erp > "$2/trytond.log" 2>&1 < /dev/null &
  local pid=$!
  echo $pid > "$2/trytond.pid"
  for _ in $(seq 1 300); do
    kill -0 $pid 2>/dev/null || { echo "trytond ended; its log is $2/trytond.log" >&2; return 1; }
    if curl -sf -o /dev/null "http://127.0.0.1:$1/rpc/" -H 'Content-Type: application/json' \
      -d '{"id":1,"method":"common.server.version","params":[]}'; then
      echo "http://127.0.0.1:$1/erp"
      return
    fi
    sleep 0.1
  done
  kill $pid
  echo "trytond does not answer; its log is $2/trytond.log" >&2
  return 1
}

RUN=$HOME_DIR/run
case "${1:-}" in
  install | init | seed) "$1" ;;
  ensure)
    exec 9> "$HOME_DIR/lock"
    flock 9 # two test programs may ask at once
    [ -f "$HOME_DIR/stamp" ] && [ "$(cat "$HOME_DIR/stamp")" = "$(stamp)" ] && [ -x "$VENV/bin/trytond" ] && exit 0
    # Processes of their own: `set -e` does not hold in functions on the left of `||`.
    { "$0" install && "$0" init && "$0" seed; } > "$HOME_DIR/ensure.log" 2>&1 9>&- ||
      { echo "Tryton could not be set up; the log is $HOME_DIR/ensure.log" >&2; exit 1; }
    ;;
  start) start "${2:-${TRYTON_PORT:-8069}}" "${3:-$RUN}" ;;
  stop)
    pid=$(cat "${2:-$RUN}/trytond.pid")
    kill "$pid" 2>/dev/null || true
    rm -f "${2:-$RUN}/trytond.pid"
    ;;
  reset) reset "${2:-$RUN}" ;;
  *) sed -n '2,9s/^# \{0,1\}//p' "$0"; exit 2 ;;
esac
