#!/usr/bin/env bash
# The system in containers, offline: builds, starts with three predictors, waits until all are healthy and every symbol
# is predicted, kills one predictor, checks that no symbol stops, and leaves nothing behind.
#
#     scripts/test_compose.sh [--keep-images]
set -euo pipefail
cd "$(dirname "$0")/.."

symbols=20
project=ulstm-test-$$
remove_images=(--rmi local)
[ "${1:-}" != --keep-images ] || remove_images=()
work=$(mktemp -d)

say() { printf '%5d s  %s\n' "$((SECONDS - began))" "$*"; }
fail() { say "FAILED: $*" >&2; exit 1; }
# What the user's .env or shell says is not what is tested.
compose() { docker compose --env-file /dev/null --project-name "$project" --profile offline "$@"; }
left() {
  local label="label=com.docker.compose.project=$project"
  docker ps --all --quiet --filter "$label"
  docker volume ls --quiet --filter "$label"
  docker network ls --quiet --filter "$label"
}
read_predictions() { compose exec -T producer-offline python - "$@" < scripts/read_predictions.py; }

clean() {
  status=$?
  trap - EXIT INT TERM
  if [ "$status" != 0 ]; then
    compose ps --all || true
    compose logs --no-color --tail 15 || true
  fi
  compose down --volumes --remove-orphans ${remove_images[@]+"${remove_images[@]}"} >"$work/down" 2>&1 || cat "$work/down"
  rm -rf "$work"
  if [ -n "$(left)" ]; then
    say "FAILED: left behind: $(left | tr '\n' ' ')" >&2
    status=1
  fi
  exit "$status"
}

free_port() {
  local port
  for port in $(seq 39092 39192); do
    if ! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then echo "$port"; return; fi
  done
  return 1
}

all_healthy() {
  [ "$(compose ps --format '{{.Service}} {{.Health}}' | tee "$work/health" | grep -c ' healthy$')" = 8 ]
}

# until_true SECONDS WHAT COMMAND...
until_true() {
  local ends=$((SECONDS + $1)) what=$2
  shift 2
  until "$@"; do
    [ "$SECONDS" -lt "$ends" ] || fail "waited in vain for $what"
    sleep 1
  done
}

began=$SECONDS
docker compose version >/dev/null 2>&1 || { echo "error: 'docker compose' is not installed: this test needs it" >&2; exit 1; }
docker info >/dev/null 2>&1 || { echo "error: no Docker engine answers: start it, or set DOCKER_HOST" >&2; exit 1; }
unset COMPOSE_PROFILES COMPOSE_FILE EXCHANGE_SYMBOLS EXCHANGE_SPEED SYMBOL_GROUPS
KAFKA_PORT=$(free_port) || { echo "error: no port from 39092 to 39192 is free" >&2; exit 1; }
export KAFKA_PORT
trap clean EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

services() { docker compose --env-file /dev/null "$@" config --services | sort | tr '\n' ' '; }
[ "$(services)" = "kafka predictor producer redis trainer " ] || fail "without a profile there are: $(services)"
[ "$(services --profile offline)" = "exchange-simulator kafka predictor producer-offline redis trainer-offline " ] ||
  fail "with the profile offline there are: $(services --profile offline)"

say "building and starting"
compose build --quiet
say "built: $(docker image ls --filter "reference=$project-*" --format '{{.Repository}} {{.Size}},' | sed "s/$project-//" | sort | tr '\n' ' ')"
started=$SECONDS
compose up --build --detach --scale predictor=3 >"$work/up" 2>&1 || { cat "$work/up"; fail "docker compose up"; }
until_true 180 "all containers to be healthy" all_healthy
say "8 containers are healthy $((SECONDS - started)) s after the start"

read_predictions --from-start --symbols 1 --each 1 --within 240 >/dev/null || fail "no prediction came"
say "the first prediction came $((SECONDS - started)) s after the start"

touch "$work/watch"
read_predictions --symbols "$symbols" --each 10 --within 180 >"$work/seen" 2>"$work/watch" &
watcher=$!
until_true 60 "predictions of $symbols symbols" grep -q flow "$work/watch"
victim=$(compose ps --quiet predictor | tail -n 1)
docker kill "$victim" >/dev/null
say "killed a predictor"
wait "$watcher" || { cat "$work/watch"; fail "predictions stopped after the kill"; }
say "each of $symbols symbols went on, no candle missed or twice: $(cat "$work/seen")"

say "passed; cleaning up"
