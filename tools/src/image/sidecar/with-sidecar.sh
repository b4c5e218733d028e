#!/sidecar/bin/bash
# Runs a program with a sidecar in one container: `with-sidecar ENVIRONMENT USER[:GROUP] COMMAND…`. Sets the rules by which the
# container's connections are caught, starts the proxy (user 1337, with the variables of the file ENVIRONMENT, which is its own), and
# when it is ready COMMAND as USER, a number. It begins as root with NET_ADMIN, NET_RAW, SETUID, SETGID, SETPCAP and KILL; what it starts
# has none of these, and it gives up the first two itself. SIGTERM ends the proxy when what is under way has ended, then COMMAND. When
# one of the two ends by itself, so does the other, and the container with its code.
set -euo pipefail
sidecar=/sidecar
path="$sidecar/bin:$PATH"
if [ "$1" != --caught ]; then
  XTABLES_LIBDIR=$sidecar/lib/xtables PATH=$path "$sidecar/bin/node" "$sidecar/weft/apps/weft/src/main.js" iptables
  exec "$sidecar/bin/setpriv" --bounding-set=-all,+setuid,+setgid,+setpcap,+kill --inh-caps=-all \
    "$sidecar/bin/bash" "$0" --caught "$@"
fi
shift
environment=$1 user=${2%%:*} group=${2##*:}
shift 2

as() { # USER GROUP COMMAND…
  local user=$1 group=$2
  shift 2
  exec "$sidecar/bin/setpriv" --reuid "$user" --regid "$group" --clear-groups --bounding-set=-all --inh-caps=-all --no-new-privs "$@"
}
end() { # SIGNAL PID
  kill "-$1" "$2" 2>/dev/null || true
}

stopping=
proxy=
application=
trap 'stopping=1; [ -z "$proxy" ] || end TERM "$proxy"' TERM INT
# shellcheck disable=SC2016
as 1337 1337 "$sidecar/bin/bash" -c 'set -a; . "$1"; exec "$2/bin/node" "$2/proxy/apps/proxy/src/main.js" proxy sidecar' \
  sidecar "$environment" "$sidecar" &
proxy=$!
until HEALTH_URL= "$sidecar/bin/bash" "$sidecar/bin/health.sh" http://127.0.0.1:15021/healthz/ready 2>/dev/null; do
  if ! kill -0 "$proxy" 2>/dev/null; then
    code=0
    wait "$proxy" || code=$?
    exit "$((code == 0 ? 1 : code))"
  fi
  "$sidecar/bin/sleep" 0.2
done
if [ -z "$stopping" ]; then
  as "$user" "$group" "$@" &
  application=$!
  code=0
  wait -n "$proxy" "$application" || code=$?
  if [ -z "$stopping" ] && kill -0 "$proxy" 2>/dev/null; then
    # The application has ended.
    end TERM "$proxy"
    wait "$proxy" || true
    exit "$code"
  fi
fi
while kill -0 "$proxy" 2>/dev/null; do wait "$proxy" || true; done
[ -n "$application" ] || exit 0
end TERM "$application"
wait "$application" || true
# Told to end, and ended in order.
[ -z "$stopping" ] || exit 0
exit "$((code == 0 ? 1 : code))"
