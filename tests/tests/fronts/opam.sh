# shellcheck shell=sh
# opam with the bwrap that is first in PATH, in the folder where this is started: a package is built, installed and removed
# by opam's own sandbox script, and what its commands see is printed.
set -eu
exec 2>&1
mkdir by
cp -P "$BWRAP" by/bwrap
export PATH="$PWD/by:$PATH" OPAMROOT="$HOME/opam" OPAMROOTISOK=1 OPAMCOLOR=never OPAMUTF8=never OPAMYES=1

mkdir -p packages/packages/small/small.1
echo 'opam-version: "2.0"' >packages/repo
cat >packages/packages/small/small.1/opam <<END
opam-version: "2.0"
synopsis: "small"
build: ["sh" "-c" "sh $PWD/probe.sh >probe; (>\$HOME/outside; >/tmp/outside; >\$TMPDIR/here; ls -A /opam-tmp /run) >says 2>&1; :"]
install: ["sh" "-c" "mkdir -p \$0/share; cp probe says \$0/share/; (>\$0/.opam-switch/no) 2>>\$0/share/says; :" prefix]
remove: ["sh" "-c" "rm -r \$0/share; echo removed >\$0/removed" prefix]
END

opam init --bare --no-setup --auto-setup --bypass-checks local "$PWD/packages" >log || { cat log; exit 1; }
grep -c sandbox.sh "$OPAMROOT/config"
opam switch create own --empty >log || { cat log; exit 1; }
opam install --switch own small
# Other tests may mount what they need in /tmp.
sed "s|$PWD|FOLDER|g" "$OPAMROOT/own/share/probe" "$OPAMROOT/own/share/says" | grep -v '^mount /tmp/'
opam remove --switch own small
cat "$OPAMROOT/own/removed"
ls "$HOME" "$OPAMROOT/own"
