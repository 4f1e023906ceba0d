"""A service that the command line runs as a process."""

import pytest

from services.cli.service_process import run_service
from shared.core.errors import Unavailable


def test_a_service_that_is_not_installed_is_named_with_the_image_that_has_it() -> None:
    with pytest.raises(Unavailable, match=r"run --rm absent python -m services.absent fit --all`"):
        run_service("services.absent", ["fit", "--all"], {})
