#!/bin/sh
# agentprov-shim v1
# Runs the hook that stood here before agentprov, then agentprov's own part, and ends with the
# former hook's status: agentprov itself fails none but a push that its gate refuses.
# `agentprov hooks uninstall` puts the former hook back. Names start with _ap_ so that no variable
# of the former hook is touched.
_ap_former=@FORMER@

_ap_name=${0##*/}
_ap_name=${_ap_name%%.*}
if [ -n "$_ap_former" ]; then
  _ap_former=$_ap_former/$_ap_name
else
  case $0 in */*) _ap_former=${0%/*} ;; *) _ap_former=. ;; esac
  _ap_former=$_ap_former/$_ap_name.agentprov-chained
fi
if ! [ -f "$_ap_former" ] || ! [ -x "$_ap_former" ]; then
  _ap_former=
fi

# Git starts hooks at the top of the work tree and names the git directory where it is not
# .git; asking git would cost a process.
_ap_git=${GIT_DIR:-.git}
if [ -f "$_ap_git" ]; then
  IFS= read -r _ap_line <"$_ap_git"
  _ap_git=${_ap_line#gitdir: }
fi
_ap_common=${GIT_COMMON_DIR:-$_ap_git}
if [ -z "${GIT_COMMON_DIR:-}" ] && [ -f "$_ap_git/commondir" ]; then
  IFS= read -r _ap_line <"$_ap_git/commondir"
  case $_ap_line in /*) _ap_common=$_ap_line ;; *) _ap_common=$_ap_git/$_ap_line ;; esac
fi

# A hook manager may call us from inside the former hook. Then the outer call does our part;
# a circle that a manager's re-installation has made ends after three turns.
_ap_key="|$_ap_name $PWD/$_ap_git|"
_ap_turn=outer
case ${AGENTPROV_HOOK_ACTIVE:-} in
*"$_ap_key"*"$_ap_key"*"$_ap_key"*) exit 0 ;;
*"$_ap_key"*) _ap_turn=inner ;;
esac

case $_ap_name in
prepare-commit-msg | post-commit | post-rewrite | pre-push) ;;
*)
  [ -n "$_ap_former" ] || exit 0
  export AGENTPROV_HOOK_ACTIVE="${AGENTPROV_HOOK_ACTIVE:-}$_ap_key"
  exec "$_ap_former" "$@"
  ;;
esac

_ap_status=0
_ap_input=
if [ -n "$_ap_former" ]; then
  case $_ap_name in
  pre-push | post-rewrite)
    _ap_input=$(cat && printf .)
    printf %s "${_ap_input%.}" 2>/dev/null |
      AGENTPROV_HOOK_ACTIVE="${AGENTPROV_HOOK_ACTIVE:-}$_ap_key" "$_ap_former" "$@"
    _ap_status=$?
    ;;
  *)
    AGENTPROV_HOOK_ACTIVE="${AGENTPROV_HOOK_ACTIVE:-}$_ap_key" "$_ap_former" "$@"
    _ap_status=$?
    ;;
  esac
  case $_ap_name in pre*) [ "$_ap_status" -eq 0 ] || exit "$_ap_status" ;; esac
fi

if [ "$_ap_turn" = outer ] && [ -f "$_ap_common/agentprov/hook.sh" ] &&
  [ -r "$_ap_common/agentprov/hook.sh" ]; then
  # Even a damaged file must not fail the commit.
  trap 'exit $_ap_status' EXIT
  . "$_ap_common/agentprov/hook.sh"
fi
exit "$_ap_status"
