"""What a web node's nginx does: serves files, and tells proxies where a script must run.

A file that it lacks it may ask for: the code writes files too, on backends.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from conpaas_web.nginx import Directories
from conpaas_web.parts import FILES_PORT, WebPart
from conpaas_web.routing import HIDDEN, INDEX, PAGE, SOURCE, VERSION

#: Paths at which backends may have a file: permalinks mostly have no dot at their end.
_FILE = r"/[^/]*\.[^/]*\z"
#: What was asked for is kept for so long, and that nobody has it.
_KEEP_FILE, _KEEP_LACK = "10s", "1s"
#: Larger files are asked for each time: it is this many digits of bytes that are too many.
_LARGE = "{8}"


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
    return _HTTP.format(
        access_log=directories.logs / "web-access.log",
        listen=listen,
        code=code,
        known=known([*part.proxies, own]),
        hidden=HIDDEN,
        source=SOURCE,
        page=PAGE,
        look=LOOK,
        index=INDEX,
        front=f'if (-f $document_root/{INDEX}) {{ set $script "/{INDEX}"; }}'
        if part.permalinks
        else "",
        status_locations=status_locations,
        asked=_asked(part.asked, directories.temporary) if part.asked else "",
        asking=_asking(part.kept) if part.asked else "",
    )


def known(addresses: Iterable[str]) -> str:
    """Return what sets ``$stranger`` and ``$version`` for requests of these, and of this machine.

    The asker says which version of the code it means.
    """
    allowed = sorted({*addresses, "127.0.0.1"})
    return _KNOWN.format(
        allowed="\n        ".join(f"{address} 0;" for address in allowed), version=VERSION
    )


def _asked(backends: Sequence[str], temporary: Path) -> str:
    # A backend that is down is left alone for a moment; others may have the file.
    servers = [
        f"server {backend}:{FILES_PORT} max_fails=2 fail_timeout=2s;" for backend in backends
    ]
    return _ASKED.format(
        servers="\n        ".join(servers), cache=temporary / "asked", large=_LARGE
    )


def _asking(kept: Sequence[str]) -> str:
    ask = _ASK.format(keep_file=_KEEP_FILE, keep_lack=_KEEP_LACK)
    inside = "|".join(re.escape(directory) for directory in kept)
    first = _ASK_FIRST.format(inside=inside, file=_FILE, ask=ask) if kept else ""
    return first + _ASK_THEN.format(file=_FILE, look=LOOK, ask=ask)


#: What stands first where a version's files are looked for.
LOOK = """\
            if ($version = "") {
                return 404;
            }
            if (!-d $document_root) {
                return 503;
            }"""
_KNOWN = """\
    geo $stranger {{
        default 1;
        {allowed}
    }}
    # Who asks says which version of the code is meant.
    map $http_x_code_version $version {{
        "~{version}" $http_x_code_version;
        default "";
    }}"""
# Parts of a file are not kept, nor are large ones: they are handed through as they come.
_ASKED = """\
    map $upstream_http_content_length $large {{
        "~^[0-9]{large}" 1;
        default 0;
    }}
    proxy_cache_path {cache} levels=1 keys_zone=asked:1m max_size=128m inactive=1m
        use_temp_path=off;
    upstream files {{
        zone files 64k;
        {servers}
        keepalive 8;
    }}
"""
_ASK = """\
            if ($request_method !~ "^(GET|HEAD)\\z") {{
                return 404;
            }}
            proxy_pass http://files;
            proxy_http_version 1.1;
            proxy_connect_timeout 1s;
            proxy_read_timeout 20s;
            proxy_next_upstream error timeout invalid_header http_404 http_500 http_503;
            proxy_pass_request_headers off;
            proxy_pass_request_body off;
            proxy_set_header Host files;
            proxy_set_header Connection "";
            proxy_set_header X-Code-Version $version;
            proxy_set_header Range $http_range;
            proxy_set_header If-Range $http_if_range;
            proxy_cache asked;
            proxy_cache_key $version$uri;
            proxy_cache_valid 200 {keep_file};
            proxy_cache_valid 404 {keep_lack};
            proxy_cache_bypass $http_range;
            proxy_no_cache $http_range $large;
            proxy_max_temp_file_size 0;
            proxy_intercept_errors on;
            error_page 404 = @script;"""
_ASK_FIRST = """\
        # The code writes in kept directories: what is here may be of yesterday.
        location ~ "^/(?:{inside})(?=/)(?s:.*){file}" {{
{ask}
            error_page 500 502 503 504 = @own;
        }}
        location @own {{
            try_files $uri @script;
        }}
"""
_ASK_THEN = """\
        location ~ "{file}" {{
{look}
            try_files $uri $uri/ @asked;
        }}
        location @asked {{
{ask}
            error_page 500 502 503 504 = @script;
        }}
"""
# `if` with nothing but `set` and `return` in it is what nginx's `if` is safe for.
_HTTP = """\
    log_format conpaas '$time_iso8601 $http_x_forwarded_for $status $request_time '
        '$body_bytes_sent "$request" $http_x_code_version "$upstream_addr"';
    access_log {access_log} conpaas buffer=32k flush=1s;

    keepalive_timeout 60s;
    keepalive_requests 100000;
    large_client_header_buffers 8 16k;
    client_max_body_size 1m;

{known}
{asked}
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
{asking}
        location / {{
{look}
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
            # A file is here: either the method is wrong, or backends have it no longer.
            set $refused "";
            if (-f $document_root$uri) {{
                set $refused 1;
            }}
            if ($request_method ~ "^(GET|HEAD)\\z") {{
                set $refused "";
            }}
            if ($refused) {{
                return 405;
            }}
            add_header X-Script $script always;
            return 404;
        }}
    }}
"""
