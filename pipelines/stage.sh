# Sourced by the recipes: stages that leave artifacts and are not run twice.

set -euo pipefail
shopt -s inherit_errexit

# stages DIR NAME...: the artifacts of a pipe, in order. Finds the last that is complete.
stages() {
	cd "$1"; shift
	order=("$@") last=-1
	local i
	for i in "${!order[@]}"; do
		[[ -e ${order[i]}.arrow ]] && last=$i
	done
	return 0
}

# stage NAME COMMAND...: one stage of the pipe. It runs COMMAND and saves what
# passes as NAME.arrow; or replays NAME.arrow if that is the last artifact there
# is; or, before that one, has nothing to do.
# --whole: what is saved is complete even if a later stage dies.
stage() {
	local name=$1 at=0; shift
	while [[ ${order[at]} != "$name" ]]; do at=$((at + 1)); done
	if ((at > last)); then "$@" --save "$name.arrow" --whole
	elif ((at == last)); then cat "$name.arrow"
	fi
}

say() { printf '%s\n' "$*" >&2; }
