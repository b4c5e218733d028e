#!/bin/bash
# Health check of the images: `health.sh URL` succeeds when HEALTH_URL, or else URL, answers 200. In bash, since engines ask every
# few seconds: starting Node for it costs twenty times the CPU.
set -eu
url=${HEALTH_URL:-$1}
rest=${url#http://}
authority=${rest%%/*}
exec 3<>"/dev/tcp/${authority%:*}/${authority##*:}"
printf 'GET /%s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n' "${rest#*/}" "$authority" >&3
read -r _ status _ <&3
[ "$status" = 200 ]
