#!/bin/sh
# Runs agentprov's part of a git hook from a hook manager that is configured in tracked files:
# from-manager.sh HOOK ARGUMENTS... Does nothing where `agentprov init` has not been run, and
# fails nothing but a push that the gate refuses, where one is set up. The pre-commit framework
# hands some arguments, and what is pushed, over in variables.
common=$(git rev-parse --git-common-dir 2>/dev/null) || exit 0
[ -r "$common/agentprov/hook.sh" ] || exit 0
case ${1:-} in
prepare-commit-msg) set -- "$1" "${2:-}" "${3:-${PRE_COMMIT_COMMIT_MSG_SOURCE:-}}" ;;
post-rewrite) set -- "$1" "${2:-${PRE_COMMIT_REWRITE_COMMAND:-}}" ;;
esac
if [ "${1:-}" = pre-push ] && [ -n "${PRE_COMMIT_TO_REF:-}" ]; then
  printf '%s %s %s %s\n' "${PRE_COMMIT_LOCAL_BRANCH:-}" "$PRE_COMMIT_TO_REF" \
    "${PRE_COMMIT_REMOTE_BRANCH:-}" "${PRE_COMMIT_FROM_REF:-}" |
    sh "$common/agentprov/hook.sh" pre-push "${PRE_COMMIT_REMOTE_NAME:-}"
else
  sh "$common/agentprov/hook.sh" "$@"
fi
status=$?
case ${1:-}:$status in pre-push:1[0-9]) exit "$status" ;; esac
exit 0
