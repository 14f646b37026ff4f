"""What a backend's nginx does for web nodes on other machines: it gives files that they lack.

The code has written them there.  What visitors must not see, web nodes do not get either.
"""

from __future__ import annotations

from pathlib import Path

from conpaas_web.parts import FilesPart
from conpaas_web.routing import SOURCE, hidden
from conpaas_web.web_site import LOOK, known


def files_configuration(
    part: FilesPart, listen: str, own: str, code: Path, status_locations: str
) -> str:
    """Return the ``http`` block of a backend that is asked for files.

    Args:
        part: What it does.
        listen: Where: an address and a port.
        own: This node's address.
        code: Where the directories of the code's versions are.
        status_locations: By which its nginx tells about itself.
    """
    return _HTTP.format(
        listen=listen,
        known=known([*part.askers, own]),
        code=code,
        hidden=hidden(part.private),
        source=SOURCE,
        look=LOOK,
        status_locations=status_locations,
    )


_HTTP = """\
    access_log off;
    keepalive_timeout 60s;
    keepalive_requests 100000;
    large_client_header_buffers 8 16k;
    client_max_body_size 1m;

{known}

    server {{
        listen {listen} default_server backlog=1024;
        server_name _;
        root {code}/$version;

        if ($stranger) {{
            return 444;
        }}

{status_locations}
        location ~ "{hidden}" {{
            return 404;
        }}
        location ~* "{source}" {{
            return 404;
        }}
        location / {{
{look}
            try_files $uri =404;
        }}
    }}
"""
