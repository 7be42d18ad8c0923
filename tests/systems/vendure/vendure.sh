#!/bin/bash
# A real Vendure 3.7 shop (GraphQL Admin API and Shop API) for tests: SQLite, 127.0.0.1 only.
#
#   vendure.sh ensure               install, fill and seed once; quick when it has been done
#   vendure.sh start [PORT] [DIR]   a server of its own on a copy of the seeded database (DIR holds copy, log, pid)
#   vendure.sh stop [DIR]           stop that server
#   vendure.sh install|seed         the steps of `ensure`
#
# VENDURE_HOME  cache of program and seeded database   (default ~/.cache/confab-tests/vendure)
# The API keys of the roles are in $VENDURE_HOME/keys.json (fixtures, not secrets), the administrator's password in server.js.
# Measured: install 1-4 min (169 MB; better-sqlite3 may compile: needs g++ and make), seed 25 s, ensure 0.02 s after; start 6-12 s; RSS 250 MB.
set -euo pipefail
umask 077
HERE=$(cd "$(dirname "$0")" && pwd)
export VENDURE_HOME=${VENDURE_HOME:-$HOME/.cache/confab-tests/vendure} VENDURE_DISABLE_TELEMETRY=true
mkdir -p "$VENDURE_HOME"

command -v npm > /dev/null || { echo "this needs Node 20 or later with npm: apt-get install nodejs npm g++ make" >&2; exit 1; }

stamp() { cat "$HERE/vendure.sh" "$HERE/server.js" "$HERE/seed.js" "$HERE/package.json" | sha256sum | cut -c1-16; }

install() {
  (cd "$VENDURE_HOME" && node -e 'require("@vendure/core/package.json"); new (require("better-sqlite3"))(":memory:")' 2>/dev/null) && return
  cp "$HERE/package.json" "$VENDURE_HOME/package.json"
  (cd "$VENDURE_HOME" && npm install --no-audit --no-fund --loglevel=error)
}

serve() { # DIR PORT [empty]
  nohup node "$HERE/server.js" "$1" "$2" ${3:+"$3"} > "$1/server.log" 2>&1 < /dev/null &
  local pid=$!
  echo $pid > "$1/pid"
  for _ in $(seq 1 1200); do
    kill -0 $pid 2>/dev/null || { echo "vendure ended; its log is $1/server.log" >&2; return 1; }
    # The log says when it is filled; the API when it serves.
    grep -q '^vendure listens' "$1/server.log" && curl -sf -o /dev/null "http://127.0.0.1:$2/health" && return
    sleep 0.1
  done
  kill $pid
  echo "vendure does not answer; its log is $1/server.log" >&2
  return 1
}

seed() {
  local dir=$VENDURE_HOME/seeding port
  rm -rf "$dir" && mkdir -p "$dir"
  port=$(node -e 'const s = require("net").createServer().listen(0, "127.0.0.1", () => { console.log(s.address().port); s.close(); })')
  serve "$dir" "$port" empty
  local failed=0
  node "$HERE/seed.js" "http://127.0.0.1:$port" "$VENDURE_HOME/keys.json" || failed=1
  stop "$dir"
  [ $failed = 0 ] || return 1
  mv "$dir/shop.sqlite" "$VENDURE_HOME/shop.seeded"
  rm -rf "$dir"
  stamp > "$VENDURE_HOME/stamp"
}

stop() { # DIR
  local pid
  pid=$(cat "$1/pid")
  kill "$pid" 2>/dev/null || true
  # It writes its database while it ends.
  for _ in $(seq 1 100); do kill -0 "$pid" 2>/dev/null || break; sleep 0.1; done
  kill -9 "$pid" 2>/dev/null || true
  rm -f "$1/pid"
}

RUN=$VENDURE_HOME/run
case "${1:-}" in
  install | seed) "$1" ;;
  ensure)
    exec 9> "$VENDURE_HOME/lock"
    flock 9 # two test programs may ask at once
    [ -f "$VENDURE_HOME/stamp" ] && [ "$(cat "$VENDURE_HOME/stamp")" = "$(stamp)" ] && [ -d "$VENDURE_HOME/node_modules" ] && exit 0
    # Processes of their own: `set -e` does not hold in functions on the left of `||`.
    { "$0" install && "$0" seed; } > "$VENDURE_HOME/ensure.log" 2>&1 9>&- ||
      { echo "Vendure could not be set up; the log is $VENDURE_HOME/ensure.log" >&2; exit 1; }
    ;;
  start)
    dir=${3:-$RUN}
    mkdir -p "$dir"
    rm -f "$dir"/shop.sqlite*
    cp "$VENDURE_HOME/shop.seeded" "$dir/shop.sqlite"
    serve "$dir" "${2:-8093}"
    echo "http://127.0.0.1:${2:-8093}"
    ;;
  stop) stop "${2:-$RUN}" ;;
  *) sed -n '2,7s/^# \{0,1\}//p' "$0"; exit 2 ;;
esac
