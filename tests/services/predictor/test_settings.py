"""Settings of the predictor that cannot work together."""

from pathlib import Path

import pytest

from services.predictor.settings import PredictorSettings
from shared.core.errors import BadSetting


def test_the_password_of_redis_comes_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("sesame\n")
    settings = PredictorSettings.from_env({"REDIS_PASSWORD_FILE": str(file)})

    assert settings.redis_secret == "sesame"
    assert "sesame" not in repr(settings)


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({"REDIS_PASSWORD": "sesame", "REDIS_PASSWORD_FILE": "file"}, "are set: give one"),
        ({"REDIS_PASSWORD": "sesame", "REDIS_URL": "redis://:open@h"}, "REDIS_URL has a password"),
        ({"REDIS_PASSWORD_FILE": "nowhere"}, "'nowhere': the file cannot be read"),
    ],
)
def test_passwords_of_redis_that_cannot_work_are_refused(
    environ: dict[str, str], message: str
) -> None:
    with pytest.raises(BadSetting) as refusal:
        PredictorSettings.from_env(environ)

    assert message in str(refusal.value)
    assert "sesame" not in str(refusal.value)
