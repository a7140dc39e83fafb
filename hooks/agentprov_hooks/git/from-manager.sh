#!/bin/sh
# Runs agentprov's part of a git hook from a hook manager that is configured in tracked files:
# from-manager.sh HOOK ARGUMENTS... Does nothing where `agentprov init` has not been run, and
# never fails. The pre-commit framework hands some arguments over in variables.
common=$(git rev-parse --git-common-dir 2>/dev/null) || exit 0
[ -r "$common/agentprov/hook.sh" ] || exit 0
case ${1:-} in
prepare-commit-msg) set -- "$1" "${2:-}" "${3:-${PRE_COMMIT_COMMIT_MSG_SOURCE:-}}" ;;
post-rewrite) set -- "$1" "${2:-${PRE_COMMIT_REWRITE_COMMAND:-}}" ;;
esac
sh "$common/agentprov/hook.sh" "$@"
exit 0
