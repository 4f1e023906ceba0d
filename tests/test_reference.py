"""docs/reference is what the code says: `make reference` writes it again."""

from collections.abc import Callable

import pytest

from scripts.write_reference import PAGES, REFERENCE, SERVICES
from shared.adapters.env_settings import EnvSettings, ServiceSettings


@pytest.mark.parametrize(("name", "page"), PAGES.items(), ids=list(PAGES))
def test_the_reference_is_what_the_code_says(name: str, page: Callable[[], str]) -> None:
    assert (REFERENCE / name).read_text(encoding="utf-8") == page(), "run `make reference`"


def test_every_setting_is_described() -> None:
    documented: list[type[EnvSettings]] = [ServiceSettings, *SERVICES.values()]
    fields = {
        f"{settings.__name__}.{name}": field.description
        for settings in documented
        for name, field in settings.model_fields.items()
    }

    assert [name for name, description in fields.items() if not description] == []
