import pytest

from services.dashboard.web.headers import is_allowed_host, security_headers

ALLOWED = frozenset({"localhost", "page.example"})


@pytest.mark.parametrize(
    "host",
    ["localhost", "LOCALHOST:8070", "127.0.0.1:8070", "[::1]:8070", "10.1.2.3", "page.example:80"],
)
def test_a_name_that_we_go_by_is_answered(host: str) -> None:
    assert is_allowed_host(host, ALLOWED)


@pytest.mark.parametrize(
    "host",
    [
        "",
        "evil.com",
        "evil.com:8070",
        "localhost.evil.com",
        "127.0.0.1.evil.com",
        "a@localhost",
        ":80",
    ],
)
def test_another_name_is_refused_as_it_may_have_been_made_to_point_here(host: str) -> None:
    assert not is_allowed_host(host, ALLOWED)


def test_nothing_may_be_loaded_from_elsewhere_and_no_script_runs_inline() -> None:
    policy = security_headers()["Content-Security-Policy"]

    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")
    assert "unsafe" not in policy
    assert "http" not in policy
    assert "frame-ancestors 'none'" in policy


def test_styles_are_allowed_by_a_nonce() -> None:
    assert "style-src 'self' 'nonce-abc'" in security_headers("abc")["Content-Security-Policy"]
