# Sourced by the recipes: stages that leave artifacts and are not run twice.

set -euo pipefail
shopt -s inherit_errexit

# Where the commands are not installed, those that make built beside the recipes.
command -v srar-rollout >/dev/null || PATH=$(realpath "$(dirname "${BASH_SOURCE[0]}")/..")/bin:$PATH

say() { printf '%s\n' "$*" >&2; }

# logged COMMAND...: what the command says goes to log.jsonl beside the artifacts.
logged() { "$@" --log json 2>>log.jsonl; }

# When a pipe fails, its errors are shown here too. The first is the cause: the
# stages after it only report that their input ended early.
trap 'say "$(basename "$0"): failed in $PWD, the last errors of log.jsonl:"
	grep -hv "\"level\":\"\(info\|warning\)\"" log.jsonl 2>/dev/null | tail -n 5 >&2' ERR

# stages DIR NAME...: the artifacts of a pipe, in order. Finds the last complete one,
# and clears away what a run that was killed could not.
stages() {
	mkdir -p "$1"
	cd "$1"; shift
	find . -maxdepth 1 -type f -name '.*.tmp-*' -delete
	order=("$@") last=-1
	local i
	for i in "${!order[@]}"; do
		if [[ -e ${order[i]}.arrow ]]; then last=$i; fi
	done
}

# stage NAME COMMAND...: one stage of the pipe. It runs COMMAND and saves what
# passes as NAME.arrow; or replays NAME.arrow, if that is the last artifact there
# is; or has nothing to do, before that one. --whole: what is saved is complete
# even if a later stage dies.
stage() {
	local name=$1 at=0; shift
	while [[ ${order[at]} != "$name" ]]; do at=$((at + 1)); done
	if ((at > last)); then logged "$@" --save "$name.arrow" --whole
	elif ((at == last)); then cat "$name.arrow"
	fi
}
