from pathlib import Path

import pytest

from services.dashboard.web.assets import Assets, find_vendor_folder


@pytest.fixture
def assets(tmp_path: Path) -> Assets:
    page, vendor = tmp_path / "page", tmp_path / "vendor"
    (page / "scripts").mkdir(parents=True)
    (page / "scripts" / "main.js").write_text("one")
    (page / "notes.txt").write_text("no type that is served")
    dist = vendor / "elements" / "echart" / "dist"
    dist.mkdir(parents=True)
    (dist / "index.js").write_text("import './index-DlVyZyb_.js'")
    (dist / "index-DlVyZyb_.js").write_text("charts")
    (tmp_path / "secret.js").write_text("secret")
    return Assets(vendor, page)


def test_own_files_and_those_of_the_package_are_found(assets: Assets) -> None:
    own, chart = assets.find("scripts/main.js"), assets.find("vendor/echart/index-DlVyZyb_.js")

    assert own is not None
    assert (own.body, own.content_type, own.is_immutable) == (b"one", "text/javascript", False)
    assert chart is not None
    assert chart.is_immutable


@pytest.mark.parametrize(
    "path",
    [
        "../secret.js",
        "scripts/../../secret.js",
        "vendor/echart/../../../../../secret.js",
        "vendor/other/index.js",
        "vendor/echart",
        "scripts",
        "notes.txt",
        "none.js",
        "/etc/hosts.js",
        "\0.js",
        f"{'a' * 5_000}.js",
        "",
    ],
)
def test_nothing_else_is_served(assets: Assets, path: str) -> None:
    assert assets.find(path) is None


def test_a_file_that_was_changed_has_another_tag(assets: Assets, tmp_path: Path) -> None:
    before = assets.find("scripts/main.js")
    (tmp_path / "page" / "scripts" / "main.js").write_text("another")

    after = assets.find("scripts/main.js")

    assert before is not None
    assert after is not None
    assert before.etag != after.etag


def test_the_installed_package_has_the_tables_and_the_charts() -> None:
    assets = Assets(find_vendor_folder())
    grid, charts = assets.find("vendor/aggrid/index.js"), assets.find("vendor/echart/index.js")

    assert grid is not None
    assert charts is not None
    assert b"createGrid" in grid.body
    assert b"echarts" in charts.body
