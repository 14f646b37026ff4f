"""What a web node's nginx does: serves files, and tells proxies where a script must run."""

from __future__ import annotations

from pathlib import Path

from conpaas_web.nginx import Directories
from conpaas_web.parts import WebPart
from conpaas_web.routing import HIDDEN, INDEX, PAGE, SOURCE, VERSION


def web_configuration(
    part: WebPart,
    listen: str,
    own: str,
    code: Path,
    directories: Directories,
    status_locations: str,
) -> str:
    """Return the ``http`` block of a web node.

    Args:
        part: What it does.
        listen: Where: an address and a port.
        own: This node's address.
        code: Where the directories of the code's versions are.
        directories: Of its nginx.
        status_locations: By which its nginx tells about itself.
    """
    allowed = sorted({*part.proxies, own, "127.0.0.1"})
    return _HTTP.format(
        access_log=directories.logs / "web-access.log",
        listen=listen,
        code=code,
        allowed="\n        ".join(f"{address} 0;" for address in allowed),
        version=VERSION,
        hidden=HIDDEN,
        source=SOURCE,
        page=PAGE,
        index=INDEX,
        front=f'if (-f $document_root/{INDEX}) {{ set $script "/{INDEX}"; }}'
        if part.permalinks
        else "",
        status_locations=status_locations,
    )


# `if` with nothing but `set` and `return` in it is what nginx's `if` is safe for.
_HTTP = """\
    log_format conpaas '$time_iso8601 $http_x_forwarded_for $status $request_time '
        '$body_bytes_sent "$request" $http_x_code_version';
    access_log {access_log} conpaas buffer=32k flush=1s;

    keepalive_timeout 60s;
    keepalive_requests 100000;
    large_client_header_buffers 8 16k;
    client_max_body_size 1m;

    geo $stranger {{
        default 1;
        {allowed}
    }}
    # The proxy says which version of the code is asked for.
    map $http_x_code_version $version {{
        "~{version}" $http_x_code_version;
        default "";
    }}

    server {{
        listen {listen} default_server backlog=1024;
        server_name _;
        root {code}/$version;
        index {page};

        if ($stranger) {{
            return 444;
        }}

{status_locations}
        error_page 403 405 = @script;

        location ~ "{hidden}" {{
            return 404;
        }}
        location ~* "{source}" {{
            return 404;
        }}
        location / {{
            if ($version = "") {{
                return 404;
            }}
            if (!-d $document_root) {{
                return 503;
            }}
            try_files $uri $uri/ @script;
        }}
        location @script {{
            # A directory without a page, a method that files do not take, or nothing at all.
            set $script "";
            set $candidate "";
            {front}
            if ($uri ~ "^(?<directory>.*)/\\z") {{
                set $candidate $directory/{index};
            }}
            if (-f $document_root$candidate) {{
                set $script $candidate;
            }}
            if (-f $document_root$uri) {{
                return 405;
            }}
            add_header X-Script $script always;
            return 404;
        }}
    }}
"""
