#!/bin/sh
# agentprov-spool v1
# sh spool.sh CHANNEL EVENT <payload: drops one event for the recorder and goes. The directory
# is $AGENTPROV_SPOOL, or $AGENTPROV_SPOOL_FALLBACK where a sandbox makes that one read-only.
# Silent, and always status 0: an agent takes anything else as a verdict on its tool call.
stamp=0 uuid=$PPID
[ -r /proc/uptime ] && read -r stamp rest </proc/uptime
[ -r /proc/sys/kernel/random/uuid ] && read -r uuid </proc/sys/kernel/random/uuid
set -C
exec 2>/dev/null
trap 'exit 0' EXIT
for directory in "${AGENTPROV_SPOOL:-}" "${AGENTPROV_SPOOL_FALLBACK:-}"; do
  [ -n "$directory" ] && [ -w "$directory" ] || continue
  for count in 0 1 2 3 4 5 6 7 8 9; do
    file=$directory/${stamp%%.*}${stamp##*.}-$$-$uuid-$count
    if [ -e "$file.drop" ] || [ -e "$file.part" ]; then
      continue
    fi
    printf 'agentprov-drop/1 %s %s\n' "$1" "$2" >"$file.part" || break
    # A payload that could not be kept whole stays as .part, for the recorder to report.
    cat >>"$file.part" && mv "$file.part" "$file.drop"
    exit 0
  done
done
# Nobody listens; let the agent finish writing.
cat >/dev/null
exit 0
