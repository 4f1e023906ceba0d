#!/usr/bin/env bash
# Test the system in containers, offline:
#
# 1. Build the images and start it with three predictors.
# 2. Wait until every container is healthy and every symbol is predicted.
# 3. Kill a predictor; no symbol may stop, no candle be missed or predicted twice.
# 4. Write foreign records into each topic; every service must go on.
# 5. Stop Kafka for 60 s; every service must say within 20 s that it is not ready, and go on after.
# 6. Verify all of it with the command line in a container.
# 7. Start Prometheus and Grafana: every service must be read, the board be there. Where an image
#    cannot be had, this says so and goes on without it.
# 8. Remove everything as the documentation says, and check that nothing is left.
#
#     scripts/test_compose.sh [--secure] [--keep-images]
#
# With --secure, servers that ask for passwords: a wrong one, and a right that a user has not, must be
# named.
set -euo pipefail
cd "$(dirname "$0")/.."

symbols=20
outage_s=60
told_within_s=20
project=ulstm-test-$$
remove_images=(--rmi local)
files=(--file docker-compose.yml)
administrator=cli # who may write into every topic
for option in "$@"; do
  case $option in
    --keep-images) remove_images=() ;;
    --secure)
      files+=(--file docker-compose.secure.yml)
      administrator=kafka-users
      ;;
    *) echo "usage: scripts/test_compose.sh [--secure] [--keep-images]" >&2; exit 2 ;;
  esac
done
work=$(mktemp -d)

say() { printf '%5d s  %s\n' "$((SECONDS - began))" "$*"; }
fail() { say "FAILED: $*" >&2; exit 1; }
# The user's .env and shell must not change what is tested.
names=$(grep -ohE '\b[A-Z][A-Z0-9_]{2,}\b' docker-compose*.yml | sort -u)
# shellcheck disable=SC2086 # each is a word
unset COMPOSE_FILE COMPOSE_PROFILES $names
compose_files() { docker compose --env-file /dev/null "$@"; }
compose() { compose_files "${files[@]}" --project-name "$project" --profile offline "$@"; }
leftovers() {
  local label="label=com.docker.compose.project=$project"
  docker ps --all --quiet --filter "$label"
  docker volume ls --quiet --filter "$label"
  docker network ls --quiet --filter "$label"
}
is_secure() { [ "$administrator" != cli ]; }
read_predictions() { compose exec -T dashboard python - "$@" < scripts/read_predictions.py; }
ulstm() { compose run --rm -T cli "$@"; }

clean() {
  status=$?
  trap - EXIT INT TERM
  if [ "$status" != 0 ]; then
    compose ps --all || true
    [ ! -s "$work/ready" ] || echo "ready without Kafka: $(tr '\n' ' ' <"$work/ready")"
    compose logs --no-color --tail 15 || true
  fi
  compose --profile "*" down --volumes \
    ${remove_images[@]+"${remove_images[@]}"} >"$work/down" 2>&1 || cat "$work/down"
  rm -rf "$work"
  if [ -n "$(leftovers)" ]; then
    say "FAILED: left behind: $(leftovers | tr '\n' ' ')" >&2
    status=1
  fi
  exit "$status"
}

free_port() { # free_port FIRST: a free one of a hundred
  local port
  for port in $(seq "$1" $(($1 + 99))); do
    if ! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then echo "$port"; return; fi
  done
  return 1
}

all_healthy() {
  compose ps --format '{{.Service}} {{.Health}}' >"$work/health"
  [ "$(grep -c ' healthy$' "$work/health")" = 9 ]
}

# Whether Prometheus reads every service, and none is down.
all_read() {
  local job
  compose --profile observability exec -T prometheus \
    wget -q -O - 'http://127.0.0.1:9090/api/v1/targets?state=active' >"$work/targets" || return 1
  for job in producer predictor trainer dashboard; do
    grep -q "\"job\":\"$job\"" "$work/targets" || return 1
  done
  ! grep -q '"health":"\(down\|unknown\)"' "$work/targets"
}

# until_true SECONDS WHAT COMMAND...
until_true() {
  local ends=$((SECONDS + $1)) what=$2
  shift 2
  until "$@"; do
    [ "$SECONDS" -lt "$ends" ] || fail "timed out waiting for $what"
    sleep 1
  done
}

began=$SECONDS
quit() { echo "error: $*" >&2; exit 1; }
docker compose version >/dev/null 2>&1 || quit "'docker compose' is not installed: install it"
docker info >/dev/null 2>&1 || quit "no Docker engine answers: start it, or set DOCKER_HOST"
KAFKA_PORT=$(free_port 39092) || quit "no port from 39092 to 39191 is free"
PROMETHEUS_PORT=$(free_port 39192) || quit "no port from 39192 to 39291 is free"
GRAFANA_PORT=$(free_port 39292) || quit "no port from 39292 to 39391 is free"
DASHBOARD_PORT=$(free_port 39392) || quit "no port from 39392 to 39491 is free"
export KAFKA_PORT PROMETHEUS_PORT GRAFANA_PORT DASHBOARD_PORT
trap clean EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

services() { compose_files "$@" config --services | sort | tr '\n' ' '; }
expect_services() { # expect_services "SERVICE ..." OPTION...
  local expected=$1 actual
  shift
  actual=$(services "$@")
  [ "$actual" = "$expected " ] || fail "expected the services $expected, got $actual"
}
expect_services "dashboard kafka predictor producer redis trainer"
expect_services \
  "dashboard exchange-simulator kafka predictor producer-offline redis trainer-offline" \
  --profile offline
expect_services "dashboard grafana kafka predictor producer prometheus redis trainer" \
  --profile live --profile observability
expect_services "credentials dashboard kafka kafka-users predictor producer redis trainer" \
  --file docker-compose.yml --file docker-compose.secure.yml
KAFKA_BOOTSTRAP_SERVERS=kafka.example:9092 REDIS_URL=redis://redis.example \
  expect_services "dashboard predictor producer trainer" \
  --file docker-compose.yml --file docker-compose.elsewhere.yml

say "building and starting"
compose --profile cli build --quiet
images=$(docker image ls --filter "reference=$project-*" --format '{{.Repository}} {{.Size}},')
say "built: $(sed "s/$project-//" <<<"$images" | sort | tr '\n' ' ')"
started=$SECONDS
if ! compose up --detach --scale predictor=3 >"$work/up" 2>&1; then
  cat "$work/up"
  fail "docker compose up"
fi
until_true 180 "all containers to be healthy" all_healthy
say "9 containers are healthy $((SECONDS - started)) s after the start"

read_predictions --from-start --symbols 1 --each 1 --within 240 >/dev/null ||
  fail "there was no prediction within 240 s"
say "the first prediction was published $((SECONDS - started)) s after the start"

touch "$work/watch"
read_predictions --symbols "$symbols" --each 10 --within 180 >"$work/seen" 2>"$work/watch" &
watcher=$!
until_true 60 "predictions of $symbols symbols" grep -q flow "$work/watch"
victim=$(compose ps --quiet predictor | tail -n 1)
docker kill "$victim" >/dev/null
say "killed a predictor"
wait "$watcher" || { cat "$work/watch" >&2; fail "predictions stopped after the kill"; }
say "all $symbols symbols continued, no candle missed or repeated: $(cat "$work/seen")"

compose up --detach --no-recreate --scale predictor=3 >>"$work/up" 2>&1 # the one that was killed
until_true 60 "the killed predictor to be healthy" all_healthy

# expect_predictions EACH SECONDS WHEN: of every symbol, no candle missed or repeated
expect_predictions() {
  read_predictions --symbols "$symbols" --each "$1" --within "$2" >"$work/seen" 2>"$work/watch" || {
    cat "$work/watch" >&2
    fail "predictions stopped $3"
  }
  say "all $symbols symbols continued $3: $(cat "$work/seen")"
}
compose run --rm -T --entrypoint python "$administrator" - \
  <scripts/write_foreign_records.py >"$work/foreign" 2>&1 || { cat "$work/foreign"; fail "writing"; }
say "$(tail -n 1 "$work/foreign")"
expect_predictions 5 120 "after the foreign records"
until_true 30 "all containers to be healthy" all_healthy

# readiness: a line for each container of a service that is ready
readiness() {
  local service id
  for service in producer-offline predictor trainer-offline dashboard; do
    for id in $(compose ps --quiet "$service"); do
      if docker exec --interactive "$id" python - <scripts/read_readiness.py >/dev/null 2>&1; then
        echo "$service"
      fi
    done
  done
}
nobody_ready() { readiness >"$work/ready"; [ ! -s "$work/ready" ]; }
compose stop --timeout 30 kafka >>"$work/up" 2>&1
stopped=$SECONDS
until_true "$told_within_s" "every service to say that it is not ready" nobody_ready
say "Kafka is stopped; no service is ready $((SECONDS - stopped)) s later"
sleep "$((outage_s - (SECONDS - stopped)))"
compose start kafka >>"$work/up" 2>&1
started_again=$SECONDS
until_true 120 "all containers to be healthy after the outage" all_healthy
say "Kafka was stopped for $outage_s s; all are healthy $((SECONDS - started_again)) s after it"
expect_predictions 5 180 "after the outage"

if is_secure; then
  # expect_refusal WHAT PATTERN FILE ARGUMENT...: `compose run` with FILE as its input
  expect_refusal() {
    local what=$1 pattern=$2 input=$3
    shift 3
    ! compose run --rm -T "$@" <"$input" >"$work/refused" 2>&1 || fail "$what was accepted"
    grep -qi "$pattern" "$work/refused" || { cat "$work/refused"; fail "$what is not named"; }
    say "$what is named: $(grep -i "$pattern" "$work/refused" | head -n 1)"
  }
  expect_refusal "a wrong password" "password" /dev/null \
    -e KAFKA_SASL_USERNAME=producer cli models list
  expect_refusal "a missing right" "authorization failed" scripts/write_foreign_records.py \
    --entrypoint python dashboard -
fi

ulstm verify --json >"$work/verify" 2>"$work/warnings" ||
  { tail -n 20 "$work/verify" "$work/warnings"; fail "verify"; }
say "the command line verified it"
! ulstm train >"$work/train" 2>&1 || fail "the command line's image trains"
grep -q "docker compose run --rm trainer" "$work/train" || { cat "$work/train"; fail "train"; }

has_image() { docker image inspect "$1" >/dev/null 2>&1 || docker pull --quiet "$1" >/dev/null 2>&1; }
start_beside() { # start_beside SERVICE: with what runs already; false where its image is not there
  local image
  image=$(compose --profile observability config --images | grep "/$1[:@]")
  has_image "$image" || { say "NOT TESTED: $1, as its image $image cannot be had"; return 1; }
  compose --profile observability up --detach --no-deps --no-recreate "$1" >>"$work/up" 2>&1 ||
    { cat "$work/up"; fail "$1"; }
}
if start_beside prometheus; then
  until_true 120 "Prometheus to read every service" all_read
  say "Prometheus reads every service"
fi
has_board() {
  compose --profile observability exec -T grafana \
    wget -q -O - http://127.0.0.1:3000/api/dashboards/uid/updating-lstm >"$work/board" &&
    grep -q '"title":"Updating LSTM"' "$work/board"
}
if start_beside grafana; then
  until_true 120 "Grafana to have the board" has_board
  say "Grafana has the board"
fi

say "passed; cleaning up"
