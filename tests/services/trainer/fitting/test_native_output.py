"""The start-up lines of native libraries stay out of the log; errors do not."""

import os

import pytest

from services.trainer.fitting.native_output import discard_native_stderr


def test_only_what_is_written_inside_is_discarded(capfd: pytest.CaptureFixture[str]) -> None:
    with discard_native_stderr():
        os.write(2, b"start-up line")
    os.write(2, b"log line")

    assert capfd.readouterr().err == "log line"


def test_an_exception_passes_and_standard_error_is_back(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ImportError), discard_native_stderr():
        raise ImportError("no TensorFlow")
    os.write(2, b"log line")

    assert capfd.readouterr().err == "log line"
