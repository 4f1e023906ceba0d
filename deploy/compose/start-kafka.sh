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
  /opt/kafka/bin/kafka-storage.sh format --config "$settings" \
    --cluster-id "$(/opt/kafka/bin/kafka-storage.sh random-uuid)" \
    --add-scram "SCRAM-SHA-512=[name=admin,password=$(cat /run/credentials/admin-password)]"
fi
exec /etc/kafka/docker/run
