"""Write the Kafka users of deploy/kubernetes, each with the rights of its service and no more.

`make reference` writes them; tests/deploy/test_kubernetes.py fails where the two differ.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from services.predictor.settings import PredictorSettings
from shared.adapters.kafka.rights import Principal, Right, rights_of
from shared.core.topics import Topics

USERS: Final = Path(__file__).parents[1] / "deploy" / "kubernetes" / "servers" / "users.yaml"
CLUSTER: Final = "ulstm"
_HEAD: Final = """\
# Who connects to Kafka, each with the rights of its service (`ulstm topics rights`) and no more.
# The operator makes a Secret of the same name with a password for each. `make reference` writes it.
"""
_RESOURCES: Final = {"topic": "topic", "group": "group", "transactional-id": "transactionalId"}


def main() -> None:
    """Write the users."""
    USERS.write_text(render_users(), encoding="utf-8")


def render_users() -> str:
    """Return the manifests of all users."""
    users = [_user(principal) for principal in Principal]
    return _HEAD + yaml.safe_dump_all(users, sort_keys=False, width=100)


def _user(principal: Principal) -> dict[str, Any]:
    fields = PredictorSettings.model_fields
    interval, groups = fields["interval"].default, fields["symbol_groups"].default
    name = f"{CLUSTER}-{principal}"
    group = name if principal is Principal.CONSUMER else fields["consumer_group"].default
    rights = rights_of(principal, Topics(interval, groups), group)
    return {
        "apiVersion": "kafka.strimzi.io/v1",
        "kind": "KafkaUser",
        "metadata": {"name": name, "labels": {"strimzi.io/cluster": CLUSTER}},
        "spec": {
            "authentication": {"type": "scram-sha-512"},
            "authorization": {"type": "simple", "acls": [_acl(right) for right in rights]},
        },
    }


def _acl(right: Right) -> Mapping[str, Any]:
    pattern = "prefix" if right.is_prefix else "literal"
    return {
        "resource": {
            "type": _RESOURCES[right.resource],
            "name": right.name,
            "patternType": pattern,
        },
        "operations": list(right.operations),
        "host": "*",
    }


if __name__ == "__main__":
    main()
