#!/usr/bin/env bash
# registry.sh IMAGE: succeeds once the image is here, pulled if need be; fails where no registry can be reached.
# One failed try is believed for a day (PULL=always asks again, PULL=never does not ask at all).
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
image=$1 unreachable=$LULL_CACHE/no-registry
WAIT_FOR_ANSWER_S=10

given_up() {
  [[ ${PULL:-} != never ]] || return 0
  [[ ${PULL:-} != always && -n $(find "$unreachable" -mmin -1440 2>/dev/null) ]]
}

# The engine prints "Pulling from" as soon as a registry has answered: until then it gets seconds, after that the time it needs.
pull() {
  local log pid i
  log=$LULL_CACHE/logs/pull-$(tr -c 'a-zA-Z0-9\n' - <<<"$image").log
  docker pull "$image" >"$log" 2>&1 &
  pid=$!
  for ((i = 0; i < WAIT_FOR_ANSWER_S * 5; i++)); do
    sleep 0.2
    if [[ ! -d /proc/$pid ]] || grep -q 'Pulling from' "$log"; then break; fi
  done
  ((i < WAIT_FOR_ANSWER_S * 5)) || kill $pid
  wait $pid
}

! has_image "$image" || exit 0
! given_up || exit 1
started_s=$SECONDS
if pull; then
  rm -f "$unreachable"
  say "pulled $image" $((SECONDS - started_s))
else
  touch "$unreachable"
  say "no registry answers, so images are made here (asked for $image)" $((SECONDS - started_s))
  exit 1
fi
