#!/bin/bash
# Collects what a sidecar needs from the image this runs in, so that it runs in any other one, whatever that has in it:
# `collect.sh FOLDER` puts programs, their libraries and the loader that starts them below FOLDER, which has to be mounted at that path.
set -euo pipefail
folder=$1
mkdir -p "$folder/bin" "$folder/lib"
libraries_of() { ldd "$1" | sed -nE 's/.*=> (\/[^ ]+) .*/\1/p'; }
loader=$(ldd /bin/bash | sed -nE 's/^[[:space:]]*(\/[^ ]*ld-[^ ]+) .*/\1/p')
cp -L "$loader" "$folder/lib/"
add() { # SOURCE NAME
  cp -L "$1" "$folder/bin/$2"
  libraries_of "$1" | xargs -r -I{} cp -Lu {} "$folder/lib/"
  patchelf --set-interpreter "$folder/lib/${loader##*/}" --force-rpath --set-rpath "$folder/lib" "$folder/bin/$2"
}
for name in bash cp ip node setpriv sleep; do add "$(command -v "$name")" "$name"; done
for kind in nft legacy; do
  add "$(command -v "xtables-$kind-multi")" "xtables-$kind-multi"
  for family in iptables ip6tables; do
    for command in "" -save -restore; do ln -sf "xtables-$kind-multi" "$folder/bin/$family-$kind$command"; done
  done
done
for command in {iptables,ip6tables}{,-save,-restore}; do ln -sf "xtables-nft-multi" "$folder/bin/$command"; done
cp -r "$(dirname "$(find /usr/lib -name libxt_REDIRECT.so)")" "$folder/lib/xtables"
