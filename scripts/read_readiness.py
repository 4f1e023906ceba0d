"""Print the status of this container's /health/ready, and why.

scripts/test_compose.sh runs it with the Python of a container.
"""

import sys
from http.client import HTTPConnection


def main() -> None:
    """Print it; exit 1 unless the service is ready."""
    connection = HTTPConnection("127.0.0.1", 9100, timeout=4)
    connection.request("GET", "/health/ready")
    response = connection.getresponse()
    print(response.status, response.read().decode())
    sys.exit(response.status != 200)


if __name__ == "__main__":
    main()
