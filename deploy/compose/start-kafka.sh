#!/usr/bin/env bash
# Start Kafka in a container, with users: the first start formats its storage with the
# administrator, as nobody else could make users later. Mounted by docker-compose.secure.yml.
set -euo pipefail

data=/var/lib/kafka/data
settings=/tmp/format.properties

if [ ! -e "$data/meta.properties" ]; then
  cat >"$settings" <<END
process.roles=broker,controller
node.id=$KAFKA_NODE_ID
controller.quorum.voters=$KAFKA_CONTROLLER_QUORUM_VOTERS
controller.listener.names=CONTROLLER
listeners=BROKER://localhost:9095,CONTROLLER://localhost:9093
listener.security.protocol.map=BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT
inter.broker.listener.name=BROKER
log.dirs=$data
END
  # What it prints has keys made of the password: it is shown only where the format fails.
  /opt/kafka/bin/kafka-storage.sh format --config "$settings" \
    --cluster-id "$(/opt/kafka/bin/kafka-storage.sh random-uuid 2>/dev/null)" \
    --add-scram "SCRAM-SHA-512=[name=admin,password=$(cat /run/credentials/admin-password)]" \
    >/tmp/format.log 2>&1 || { cat /tmp/format.log >&2; exit 1; }
fi
# The image's own start asks for the id that the storage was formatted with.
CLUSTER_ID=$(sed -n 's/^cluster\.id=//p' "$data/meta.properties")
export CLUSTER_ID
exec /etc/kafka/docker/run
