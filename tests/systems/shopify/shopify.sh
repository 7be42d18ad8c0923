#!/bin/bash
# Shopify's Admin GraphQL API for tests: Shopify's own schema (npm @shopify/dev-mcp), behaviour and data of ours. 127.0.0.1 only.
#
#   shopify.sh ensure               fetch schema and graphql-js once; quick when it has been done
#   shopify.sh start [PORT] [DIR]   a server of its own with fresh data (DIR holds log, pid)
#   shopify.sh stop [DIR]           stop that server
#
# SHOPIFY_HOME  cache (default ~/.cache/confab-tests/shopify)
# Measured: ensure 10 s the first time (14 MB); start 2 s; RSS 150 MB.
set -euo pipefail
umask 077
HERE=$(cd "$(dirname "$0")" && pwd)
export SHOPIFY_HOME=${SHOPIFY_HOME:-$HOME/.cache/confab-tests/shopify}
SCHEMAS=1.16.0
mkdir -p "$SHOPIFY_HOME"

command -v npm > /dev/null || { echo "this needs Node 20 or later with npm: apt-get install nodejs npm" >&2; exit 1; }

stamp() { cat "$HERE/shopify.sh" "$HERE/package.json" | sha256sum | cut -c1-16; }

install() {
  cp "$HERE/package.json" "$SHOPIFY_HOME/package.json"
  cd "$SHOPIFY_HOME"
  npm install --no-audit --no-fund --loglevel=error
  # The tarball alone: the package's own dependencies are 350 MB that nothing here needs.
  local tarball=shopify-dev-mcp-$SCHEMAS.tgz
  [ -f "$tarball" ] || npm pack --loglevel=error "@shopify/dev-mcp@$SCHEMAS" > /dev/null
  rm -rf schemas && mkdir schemas
  tar xzf "$tarball" -C schemas --strip-components=3 --wildcards 'package/dist/data/admin_20*.json.gz'
  stamp > stamp
}

start() { # PORT DIR
  mkdir -p "$2"
  nohup node "$HERE/server.js" "$1" > "$2/server.log" 2>&1 < /dev/null &
  local pid=$!
  echo $pid > "$2/pid"
  for _ in $(seq 1 600); do
    kill -0 $pid 2>/dev/null || { echo "the server ended; its log is $2/server.log" >&2; return 1; }
    grep -q '^listening' "$2/server.log" && { echo "http://127.0.0.1:$1"; return; }
    sleep 0.1
  done
  kill $pid
  echo "the server does not answer; its log is $2/server.log" >&2
  return 1
}

RUN=$SHOPIFY_HOME/run
case "${1:-}" in
  install) install ;;
  ensure)
    exec 9> "$SHOPIFY_HOME/lock"
    flock 9 # two test programs may ask at once
    [ -f "$SHOPIFY_HOME/stamp" ] && [ "$(cat "$SHOPIFY_HOME/stamp")" = "$(stamp)" ] && exit 0
    "$0" install > "$SHOPIFY_HOME/ensure.log" 2>&1 9>&- ||
      { echo "Shopify's schema could not be set up; the log is $SHOPIFY_HOME/ensure.log" >&2; exit 1; }
    ;;
  start) start "${2:-8095}" "${3:-$RUN}" ;;
  stop)
    pid=$(cat "${2:-$RUN}/pid")
    kill "$pid" 2>/dev/null || true
    rm -f "${2:-$RUN}/pid"
    ;;
  *) sed -n '2,6s/^# \{0,1\}//p' "$0"; exit 2 ;;
esac
