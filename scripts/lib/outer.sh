# shellcheck shell=sh disable=SC2034 # what is set here is for the scripts
# Boxes that root starts.

# around ID: user 0 of the box is to be ID, an id of the machine that nobody else has (docs/adr/0013): $ids are the options
# of its ns-unshare. It may read what everybody may. The trees that it may change are shown to it as its own, by binds with
# the option $mapped, which takes a mount namespace of root's around the box: the links $outer, then "$release" "$release" (build.sh), binds
# and the box's own chain.
around() {
	ids="--map-users 0:$1:1 --map-groups 0:$1:1"
	mapped="X-mount.idmap=b:0:$1:1"
	outer='ns-unshare --mount -- mount-plan --carry no --preset host-ro --bind /proc /proc --dev-bind /dev /dev --ro-bind'
}
