"""Make Kafka know the users of a folder of credentials."""

from pathlib import Path

from services.cli.credentials.creation import KAFKA_PASSWORD
from shared.adapters.env_settings import PredictorGroupSettings
from shared.adapters.kafka.admin import ensure_topics
from shared.adapters.kafka.rights import Principal, rights_of
from shared.adapters.kafka.users import set_passwords, set_rights
from shared.adapters.secret_file import read_secret


def apply_credentials(settings: PredictorGroupSettings, folder: Path, consumers: str) -> list[str]:
    """Set each user's password and rights in Kafka, and create the topics.

    Args:
        settings: reach Kafka as an administrator.
        folder: made by `create_credentials`.
        consumers: the group of the user `consumer`.

    Returns:
        The users.

    Raises:
        BadSetting: a password's file cannot be read.
        NotAuthorized: the settings are no administrator's.
        Unavailable: Kafka does not answer.
        Incompatible: Kafka refuses it, or a topic has other settings.
    """
    passwords = {
        user.value: read_secret(folder / user / KAFKA_PASSWORD, "the folder") for user in Principal
    }
    set_passwords(settings.kafka, passwords)
    for user in Principal:
        group = consumers if user is Principal.CONSUMER else settings.consumer_group
        set_rights(settings.kafka, user, rights_of(user, settings.topics, group))
    ensure_topics(settings.kafka, settings.topics)
    return list(passwords)
