#!/bin/sh
# agentprov-hook v1
# What agentprov does in a git hook: leave a file, or add a line to the message, and go. The
# shims source this file. A hook manager's configuration may run it instead:
#
#   sh "$(git rev-parse --git-common-dir)/agentprov/hook.sh" HOOK ARGUMENTS...
#
# It ends with status 0, and on a commit that no session touched it starts no process. Only where
# the repository's own configuration says `agentprov.prePush = gate`, it can refuse a push.
_ap_python=@PYTHON@

_ap_main() {
  _ap_state=$_ap_common/agentprov
  if _ap_off && [ "$_ap_name" != post-commit ]; then
    return 0
  fi
  case $_ap_name in
  prepare-commit-msg) _ap_prepare_commit_msg "$@" ;;
  post-commit) _ap_post_commit ;;
  post-rewrite) _ap_post_rewrite "$@" ;;
  pre-push) _ap_pre_push "$@" ;;
  esac
  return 0
}

_ap_off() {
  case ${AGENTPROV_DISABLE:-} in '' | 0) return 1 ;; esac
}

# --- what stands where ---------------------------------------------------------------------

_ap_any() { # a pattern that matches nothing arrives as itself
  for _ap_path; do
    [ -e "$_ap_path" ] && return 0
  done
  return 1
}

_ap_is_session() { # NAME: sets _ap_session when this is a live session of this repository
  case $1 in '' | .* | */* | *[[:space:]]*) return 1 ;; esac
  [ -f "$_ap_state/live/$1" ] && [ -d "$_ap_state/sessions/$1" ] || return 1
  _ap_session=$1
}

_ap_read_start() { # PID: sets _ap_start to boot and start time; empty where /proc does not tell
  _ap_start=''
  [ -r "/proc/$1/stat" ] && [ -r /proc/sys/kernel/random/boot_id ] || return 0
  { IFS= read -r _ap_line <"/proc/$1/stat"; } 2>/dev/null || return 0
  read -r _ap_boot </proc/sys/kernel/random/boot_id
  # The name stands in parentheses and may hold anything.
  set -- ${_ap_line##*) }
  case ${20:-} in '' | *[!0-9]*) return 0 ;; esac
  _ap_start=$_ap_boot-${20}
}

_ap_runs() { # PID STARTED: is it this very process? Its number may be another's by now
  kill -0 "$1" 2>/dev/null || return 1
  [ -n "${2:-}" ] || return 0
  _ap_read_start "$1"
  case $_ap_start in '' | "$2") return 0 ;; esac
  return 1
}

_ap_find_neighbour() { # a session that somebody else runs in this very work tree
  _ap_any "$_ap_state"/live/* || return 1
  # The physical path of the git directory, as git itself gives it, without a process.
  CDPATH='' cd -P . && _ap_top=$PWD || return 1
  _ap_here=
  CDPATH='' cd -P "$_ap_git" 2>/dev/null && _ap_here=${PWD%%"$_ap_newline"*}
  cd "$_ap_top" && [ -n "$_ap_here" ] || return 1
  for _ap_path in "$_ap_state"/live/*; do
    [ -f "$_ap_path" ] || continue
    _ap_pid='' _ap_started='' _ap_tree=''
    { read -r _ap_pid && read -r _ap_started && IFS= read -r _ap_tree; } <"$_ap_path"
    case $_ap_pid in '' | *[!0-9]*) continue ;; esac
    [ "$_ap_tree" = "$_ap_here" ] || continue
    _ap_runs "$_ap_pid" "$_ap_started" || continue
    _ap_is_session "${_ap_path##*/}" && return 0
  done
  return 1
}

_ap_rewriting() { # git is replaying commits that were made before
  _ap_any "$_ap_git/rebase-merge" "$_ap_git/rebase-apply" "$_ap_git/CHERRY_PICK_HEAD"
}

# --- events --------------------------------------------------------------------------------

_ap_print_event() { # EVENT [ARGUMENT]
  _ap_head='' _ap_tip=''
  [ -r "$_ap_git/HEAD" ] && read -r _ap_head <"$_ap_git/HEAD"
  case $_ap_head in
  'ref: '*)
    _ap_path=$_ap_common/${_ap_head#ref: }
    [ -r "$_ap_path" ] && read -r _ap_tip <"$_ap_path"
    ;;
  *) _ap_tip=$_ap_head ;;
  esac
  printf 'agentprov-drop/1 git %s\nhook %s\nargument %s\nhead %s\ntip %s\nworktree %s\n\n' \
    "$1" "$_ap_name" "${2:-}" "${_ap_head#ref: }" "$_ap_tip" "${PWD%%"$_ap_newline"*}" || return 1
  [ "$_ap_name" = post-rewrite ] || return 0
  if [ -n "$_ap_input" ]; then
    printf %s "${_ap_input%.}"
  else
    cat
  fi
}

_ap_drop() { # DIRECTORY EVENT [ARGUMENT]: written aside, then renamed
  [ -n "$1" ] || return 1
  [ -d "$1" ] || mkdir -m 700 "$1" 2>/dev/null || return 1
  [ -w "$1" ] || return 1
  _ap_stamp=0 _ap_uuid=$PPID
  [ -r /proc/uptime ] && read -r _ap_stamp _ap_line </proc/uptime
  [ -r /proc/sys/kernel/random/uuid ] && read -r _ap_uuid </proc/sys/kernel/random/uuid
  set -C
  for _ap_count in 0 1 2 3 4 5 6 7 8 9; do
    _ap_file=$1/${_ap_stamp%%.*}${_ap_stamp##*.}-$$-$_ap_uuid-$_ap_count
    _ap_any "$_ap_file.drop" "$_ap_file.part" && continue
    { _ap_print_event "$2" "${3:-}" >"$_ap_file.part"; } 2>/dev/null || {
      rm -f "$_ap_file.part" 2>/dev/null
      return 1
    }
    mv "$_ap_file.part" "$_ap_file.drop" 2>/dev/null
    return
  done
  return 1
}

_ap_note() { # EVENT [ARGUMENT]: into the session's drop-box, or the one outside .git
  _ap_drop "$_ap_state/sessions/$_ap_session/spool" "$@" ||
    _ap_drop "${AGENTPROV_SPOOL:-}" "$@" ||
    _ap_drop "${AGENTPROV_SPOOL_FALLBACK:-}" "$@" ||
    _ap_say 'could not note this commit; it will be looked for in the reflog'
}

_ap_say() {
  printf 'agentprov: %s\n' "$1" >&2
}

_ap_start_worker() { # at most one; it outlives this hook and holds none of its streams
  [ -x "$_ap_python" ] || return 0
  _ap_pid='' _ap_started=''
  [ -f "$_ap_state/worker" ] &&
    { read -r _ap_pid && read -r _ap_started; } <"$_ap_state/worker"
  case $_ap_pid in
  '' | *[!0-9]*) ;;
  *) _ap_runs "$_ap_pid" "$_ap_started" && return 0 ;;
  esac
  (
    trap - EXIT
    trap '' HUP
    for _ap_count in 1 2 3; do # what was dropped meanwhile wants another round
      "$_ap_python" -I -m agentprov drain --quiet
      _ap_any "$_ap_state"/spool/*.drop || break
    done
    rm -f "$_ap_state/worker"
  ) </dev/null >/dev/null 2>&1 &
  _ap_pid=$!
  _ap_read_start "$_ap_pid"
  { printf '%s\n%s\n' "$_ap_pid" "$_ap_start" >|"$_ap_state/worker"; } 2>/dev/null
}

# --- the hooks -----------------------------------------------------------------------------

_ap_post_commit() {
  _ap_event=post-commit
  _ap_off && _ap_event=disabled
  if _ap_is_session "${AGENTPROV_SESSION:-}" || _ap_find_neighbour; then
    _ap_note "$_ap_event"
  elif _ap_off; then
    # One such note is enough until somebody reads it.
    _ap_any "$_ap_state"/spool/*.drop || _ap_drop "$_ap_state/spool" disabled
  elif _ap_any "$_ap_state"/pending/* "$_ap_state"/spool/*.drop; then
    _ap_drop "$_ap_state/spool" post-commit ||
      _ap_say 'could not note this commit; it will be looked for in the reflog'
    # During a rebase post-rewrite comes last and starts it once.
    _ap_rewriting || _ap_start_worker
  fi
}

_ap_post_rewrite() {
  if _ap_is_session "${AGENTPROV_SESSION:-}" || _ap_find_neighbour; then
    _ap_note post-rewrite "${1:-}"
  elif _ap_any "$_ap_state"/sessions/* "$_ap_common/refs/notes/agentprov" \
    "$_ap_common"/refs/notes/remotes/*/agentprov "$_ap_common/reftable" ||
    grep -q refs/notes/ "$_ap_common/packed-refs" 2>/dev/null; then
    _ap_drop "$_ap_state/spool" post-rewrite "${1:-}" ||
      _ap_say 'could not note this rewrite; it will be looked for in the reflog'
    _ap_start_worker
  fi
}

_ap_pre_push() { # REMOTE URL; on standard input what is pushed
  _ap_complete
  _ap_gating || return 0
  if [ -n "$_ap_input" ]; then
    printf %s "${_ap_input%.}" | "$_ap_python" -I -m agentprov pre-push "${1:-}" >&2
  else
    "$_ap_python" -I -m agentprov pre-push "${1:-}" >&2
  fi
  _ap_answer=$?
  case $_ap_answer in
  0) ;;
  1[0-9]) _ap_status=$_ap_answer ;;
  *) _ap_status=16 ;; # whoever could not judge has let nothing through
  esac
  [ "$_ap_answer" -eq 0 ] || _ap_say 'the push is refused (`git push --no-verify` skips this hook)'
}

_ap_gating() { # is a gate set up here? Read without a process; git is asked only about a mention
  for _ap_path in "$_ap_common/config" "$_ap_git/config.worktree"; do
    [ -r "$_ap_path" ] || continue
    while IFS= read -r _ap_line || [ -n "$_ap_line" ]; do
      case $_ap_line in
      *[pP][rR][eE][pP][uU][sS][hH]*)
        case $(git config --get agentprov.prePush 2>/dev/null) in
        '' | off) return 1 ;;
        *) return 0 ;;
        esac
        ;;
      esac
    done <"$_ap_path"
  done
  return 1
}

_ap_complete() {
  _ap_any "$_ap_state"/sessions/* "$_ap_state"/pending/* "$_ap_state"/spool/*.drop || return 0
  if ! [ -x "$_ap_python" ]; then
    _ap_say "$_ap_python is gone; run \`agentprov init\` again"
  elif ! "$_ap_python" -I -m agentprov drain </dev/null >/dev/null; then
    _ap_say 'records are not complete; `agentprov doctor` says why. The push goes on'
  fi
}

_ap_prepare_commit_msg() { # FILE SOURCE
  # Without a message of its own (editor, template) an added line would turn "quit to abort"
  # into a commit; merge, squash and amended messages are not new.
  [ "${2:-}" = message ] || return 0
  if _ap_is_session "${AGENTPROV_SESSION:-}"; then
    _ap_rewriting || _ap_add_trailer "$1"
    return 0
  fi
  _ap_any "$_ap_state"/pending/* || return 0
  _ap_rewriting && return 0
  _ap_staged=$(git -c core.quotePath=true diff --cached --name-only --no-renames --no-ext-diff \
    --no-color 2>/dev/null)
  [ -n "$_ap_staged" ] || return 0
  for _ap_waiting in "$_ap_state"/pending/*; do
    [ -f "$_ap_waiting" ] || continue
    printf '%s\n' "$_ap_staged" | grep -Fxq -f "$_ap_waiting" 2>/dev/null || continue
    _ap_session=${_ap_waiting##*/}
    _ap_add_trailer "$1"
  done
}

# --- the trailer ---------------------------------------------------------------------------

_ap_add_trailer() { # FILE
  _ap_number=
  [ -f "$_ap_state/sessions/$_ap_session/next" ] &&
    read -r _ap_number <"$_ap_state/sessions/$_ap_session/next"
  case $_ap_number in '' | *[!0-9]*) return 0 ;; esac
  _ap_trailer="Agentprov-Session: $_ap_session/$_ap_number"
  _ap_read_message "$1"
  # A message that git is about to refuse as empty stays empty.
  [ "$_ap_text" = yes ] && [ "$_ap_there" = no ] || return 0
  if [ "${GIT_EDITOR:-}" != : ]; then
    # An editor follows: comments, and after scissors a diff, stand below the message.
    git interpret-trailers --in-place --no-divider --if-exists addIfDifferent \
      --trailer "$_ap_trailer" "$1" 2>/dev/null
    return 0
  fi
  _ap_before=$_ap_newline
  [ "$_ap_block" = yes ] && _ap_before=
  [ "$_ap_whole" = yes ] || _ap_before=$_ap_newline$_ap_before
  { printf '%s%s\n' "$_ap_before" "$_ap_trailer" >>"$1"; } 2>/dev/null
}

_ap_read_message() { # FILE: does it say anything, is our line there, does it end in trailers?
  _ap_text=no _ap_there=no _ap_block=no _ap_whole=yes
  _ap_paragraph=0 _ap_blank=yes _ap_trailers=0 _ap_others=0 _ap_known=no
  while IFS= read -r _ap_line || { [ -n "$_ap_line" ] && _ap_whole=no; }; do
    case $_ap_line in
    *[![:space:]]*) ;;
    *)
      _ap_blank=yes
      continue
      ;;
    esac
    if [ "$_ap_blank" = yes ]; then
      _ap_paragraph=$((_ap_paragraph + 1))
      _ap_blank=no _ap_trailers=0 _ap_others=0 _ap_known=no _ap_above=other
    fi
    case $_ap_line in
    "$_ap_trailer") _ap_there=yes ;;
    'Signed-off-by: '* | '#'*) ;;
    *) _ap_text=yes ;;
    esac
    _ap_kind=other
    case $_ap_line in
    'Signed-off-by: '* | '(cherry picked from commit '*)
      _ap_known=yes
      _ap_kind=trailer
      ;;
    [[:space:]]*) # goes on with what stands above it
      [ "$_ap_above" = trailer ] && continue
      ;;
    *:*)
      _ap_token=${_ap_line%%:*}
      _ap_token=${_ap_token%"${_ap_token##*[![:blank:]]}"}
      case ${_ap_line#*:} in //*) _ap_token= ;; esac # an address, not a trailer
      case $_ap_token in '' | *[!A-Za-z0-9-]*) ;; *) _ap_kind=trailer ;; esac
      ;;
    esac
    _ap_above=$_ap_kind
    case $_ap_kind in
    trailer) _ap_trailers=$((_ap_trailers + 1)) ;;
    other) _ap_others=$((_ap_others + 1)) ;;
    esac
  done <"$1" 2>/dev/null
  # Git's own rule; the first paragraph is the subject whatever it looks like.
  [ "$_ap_paragraph" -gt 1 ] && [ "$_ap_blank" = no ] && [ "$_ap_trailers" -gt 0 ] || return 0
  if [ "$_ap_others" -eq 0 ]; then
    _ap_block=yes
  elif [ "$_ap_known" = yes ] && [ $((_ap_trailers * 3)) -ge "$_ap_others" ]; then
    _ap_block=yes
  fi
}

_ap_newline='
'
if [ "${0##*/}" = hook.sh ]; then
  _ap_input=
  _ap_name=${1:-}
  [ $# -eq 0 ] || shift
  case $0 in */*) _ap_common=${0%/*}/.. ;; *) _ap_common=.. ;; esac
  _ap_git=${GIT_DIR:-.git}
  if [ -f "$_ap_git" ]; then
    IFS= read -r _ap_line <"$_ap_git"
    _ap_git=${_ap_line#gitdir: }
  fi
  case ${AGENTPROV_HOOK_ACTIVE:-} in *"|$_ap_name $PWD/$_ap_git|"*) exit 0 ;; esac
  _ap_status=0
  trap 'exit $_ap_status' EXIT
fi
_ap_main "$@"
