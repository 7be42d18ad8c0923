#!/bin/bash
# A real Request Tracker 5 (Debian) for tests: SQLite, 127.0.0.1 only, sends no mail.
#
#   request-tracker.sh ensure               install, init and seed once; quick when it has been done
#   request-tracker.sh start [PORT] [DIR]   a server of its own on a copy of the seeded database (DIR holds copy, config, log, pid)
#   request-tracker.sh stop [DIR]           stop that server
#   request-tracker.sh install|init|seed    the steps of `ensure`
#
# RT_HOME  cache of the seeded database   (default ~/.cache/confab-tests/request-tracker)
# Tokens of the users chatbot, chatadmin and chatlooks are in $RT_HOME/NAME.token (fixtures, not secrets).
# Measured: install 104 s (262 packages), init and seed 30 s, ensure 0.02 s after that; start 3 s; RSS 650 MB with two workers.
set -euo pipefail
umask 077
HERE=$(cd "$(dirname "$0")" && pwd)
HOME_DIR=${RT_HOME:-$HOME/.cache/confab-tests/request-tracker}
SERVER=/usr/share/request-tracker5/libexec/rt-server
PACKAGES="request-tracker5 rt5-db-sqlite rt5-standalone starlet"
mkdir -p "$HOME_DIR"

stamp() { cat "$HERE/request-tracker.sh" "$HERE/seed.pl" | sha256sum | cut -c1-16; }

config() { # DIR PORT
  mkdir -p "$1/conf.d"
  cat > "$1/RT_SiteConfig.pm" << C
Set(\$rtname, 'chat.example.test');
Set(\$Organization, 'chat.example.test');
Set(\$WebDomain, '127.0.0.1'); Set(\$WebPort, $2); Set(\$WebPath, '');
Set(\$DatabaseType, 'SQLite'); Set(\$DatabaseName, '$1/rt.sqlite');
Set(\$LogToSyslog, undef); Set(\$LogToSTDERR, 'warning');
Set(\$MailCommand, 'testfile');
Set(\$CorrespondAddress, 'q\@example.test'); Set(\$CommentAddress, 'c\@example.test');
Set(%FullTextSearch, Enable => 1, Indexed => 0);
1;
C
  export RT_SITE_CONFIG=$1/RT_SiteConfig.pm RT_SITE_CONFIG_DIR=$1/conf.d
}

install() {
  # shellcheck disable=SC2086
  [ -x "$SERVER" ] && dpkg -s $PACKAGES > /dev/null 2>&1 && return
  local sudo=
  [ "$(id -u)" = 0 ] || sudo=sudo
  $sudo debconf-set-selections << 'D'
request-tracker5 request-tracker5/rtname string chat.example.test
request-tracker5 request-tracker5/organization string chat.example.test
request-tracker5 request-tracker5/initial-root-password password rt-root-pw-1
request-tracker5 request-tracker5/initial-root-password-again password rt-root-pw-1
request-tracker5 request-tracker5/dbconfig-install boolean true
request-tracker5 request-tracker5/database-type select sqlite3
request-tracker5 request-tracker5/install-cronjobs boolean false
D
  # apt must start no daemons here.
  local policy=/usr/sbin/policy-rc.d
  [ -e $policy ] || { printf '#!/bin/sh\nexit 101\n' | $sudo tee $policy > /dev/null; $sudo chmod +x $policy; trap "$sudo rm -f $policy" EXIT; }
  # shellcheck disable=SC2086
  $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends -o DPkg::Lock::Timeout=600 \
    $PACKAGES dbconfig-sqlite3 nullmailer sqlite3
}

init() {
  config "$HOME_DIR" 8091
  rm -f "$HOME_DIR"/rt.sqlite*
  rt-setup-database-5 --action init --skip-create=0 --dba root
}

seed() {
  config "$HOME_DIR" 8091
  RT_SEED_HOME=$HOME_DIR perl "$HERE/seed.pl"
  mv "$HOME_DIR/rt.sqlite" "$HOME_DIR/rt.seeded"
  stamp > "$HOME_DIR/stamp"
}

start() { # PORT DIR
  mkdir -p "$2"
  rm -f "$2"/rt.sqlite*
  cp "$HOME_DIR/rt.seeded" "$2/rt.sqlite"
  config "$2" "$1"
  # A session of its own: the workers are its children, and are stopped with it.
  nohup setsid "$SERVER" --server Starlet --host 127.0.0.1 --port "$1" --max-workers 2 > "$2/rt.log" 2>&1 < /dev/null 9>&- &
  local pid=$!
  echo $pid > "$2/rt.pid"
  for _ in $(seq 1 300); do
    kill -0 $pid 2> /dev/null || { echo "RT ended; its log is $2/rt.log" >&2; return 1; }
    if curl -s -o /dev/null "http://127.0.0.1:$1/REST/2.0/rt"; then
      echo "http://127.0.0.1:$1"
      return
    fi
    sleep 0.1
  done
  kill $pid
  echo "RT does not answer; its log is $2/rt.log" >&2
  return 1
}

RUN=$HOME_DIR/run
case "${1:-}" in
  install | init | seed) "$1" ;;
  ensure)
    exec 9> "$HOME_DIR/lock"
    flock 9 # two test programs may ask at once
    [ -f "$HOME_DIR/stamp" ] && [ "$(cat "$HOME_DIR/stamp")" = "$(stamp)" ] && [ -x "$SERVER" ] && exit 0
    # Processes of their own: `set -e` does not hold in functions on the left of `||`.
    { "$0" install && "$0" init && "$0" seed; } > "$HOME_DIR/ensure.log" 2>&1 9>&- ||
      { echo "Request Tracker could not be set up; the log is $HOME_DIR/ensure.log" >&2; exit 1; }
    ;;
  start) start "${2:-8091}" "${3:-$RUN}" ;;
  stop)
    pid=$(cat "${2:-$RUN}/rt.pid")
    kill "$pid" 2> /dev/null || true
    rm -f "${2:-$RUN}/rt.pid"
    ;;
  *) sed -n '2,10s/^# \{0,1\}//p' "$0"; exit 2 ;;
esac
