"""An administrator's client that says why Kafka does not let it in."""

import contextlib
from collections.abc import Iterable
from typing import Final

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    ClusterMetadata,
    TopicDescription,
)

from shared.adapters.kafka.connection import KafkaConnection
from shared.adapters.kafka.errors import reason_of, to_app_error, to_denial, translate_errors
from shared.adapters.kafka.listener import check_listener
from shared.core.errors import BadSetting, UlstmError

REQUEST_S: Final = 10.0
_SHORT_REQUEST_S: Final = 1.0  # Ctrl-C is seen between two requests only
_ALERT: Final = "SSL alert"  # the broker's word on this side's certificate


class KafkaAdmin:
    """A client for questions about topics, and for creating them."""

    def __init__(self, kafka: KafkaConnection) -> None:
        """Take how Kafka is reached; connect at the first question.

        Raises:
            BadSetting: a file of KAFKA_SSL_* holds something else, or a password does not open it.
        """
        self._kafka = kafka
        self._refusal: UlstmError | None = None
        try:
            self.client = AdminClient(kafka.client_config({"error_cb": self._on_client_error}))
        except KafkaException as error:
            raise BadSetting(
                f"Kafka's client refuses the settings ({error.args[0].str()}): check KAFKA_SSL_*"
                " and KAFKA_SASL_*"
            ) from None

    def metadata(self, timeout_s: float = REQUEST_S) -> ClusterMetadata:
        """Return the brokers, and the topics that this client may see.

        Args:
            timeout_s: whole seconds.

        Raises:
            BadSetting: the protocol or a certificate does not fit the broker's.
            NotAuthorized: Kafka refuses user and password.
            Unavailable: Kafka does not answer.
        """
        for attempt in range(int(timeout_s / _SHORT_REQUEST_S) - 1):
            with contextlib.suppress(KafkaException):
                return self.client.list_topics(timeout=_SHORT_REQUEST_S)
            self._raise_refusal()
            if not attempt:
                check_listener(self._kafka)
        with translate_errors(self._kafka, "listing topics"):
            return self.client.list_topics(timeout=_SHORT_REQUEST_S)

    def describe(self, names: Iterable[str]) -> dict[str, TopicDescription]:
        """Return Kafka's descriptions of topics; those that do not exist are left out.

        Raises:
            NotAuthorized: this client may not see one of them.
            Unavailable: Kafka does not answer.
        """
        futures = self.client.describe_topics(
            TopicCollection(list(names)), request_timeout=REQUEST_S
        )
        found = {}
        for name, future in futures.items():
            try:
                found[name] = future.result()
            except KafkaException as error:
                if error.args[0].code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
                    action, right = f"looking at topic {name}", f"Describe on topic {name}"
                    raise to_app_error(error, self._kafka, action, right) from error
        return found

    def _on_client_error(self, error: KafkaError) -> None:
        """Keep why the broker does not let this client in: no call says it."""
        text = reason_of(error)
        if error.code() == KafkaError._AUTHENTICATION:
            self._refusal = to_denial(error, self._kafka, "connecting", "")
        elif error.code() == KafkaError._SSL:
            self._refusal = BadSetting(
                f"Kafka at {self._kafka} has a certificate that is not trusted here ({text}): check"
                " KAFKA_SSL_CA_LOCATION, and that the certificate is for the name in"
                " KAFKA_BOOTSTRAP_SERVERS"
            )
        elif _ALERT in text:
            self._refusal = BadSetting(
                f"Kafka at {self._kafka} does not take this side's certificate ({text}): check"
                " KAFKA_SSL_CERTIFICATE_LOCATION and KAFKA_SSL_KEY_LOCATION"
            )

    def _raise_refusal(self) -> None:
        with contextlib.suppress(KafkaException):
            self.client.poll(0)  # runs the error callback
        if self._refusal is not None:
            refusal, self._refusal = self._refusal, None
            raise refusal
