"""What a proxy's nginx does: sends requests for code to backends, all else to web nodes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from conpaas_web.nginx import Directories
from conpaas_web.parts import BACKEND_PORT, WEB_PORT, ProxyPart
from conpaas_web.routing import SCRIPT, hidden

#: What each line of the access log begins with is read by :mod:`conpaas_web.access_log`.
LOG_FORMAT = (
    "$time_iso8601 $remote_addr $status $request_time $body_bytes_sent "
    '"$request" "$upstream_addr" "$upstream_response_time" $request_id "$http_user_agent"'
)


def proxy_configuration(
    part: ProxyPart,
    listen: str,
    code: Path,
    directories: Directories,
    status_locations: str,
) -> str:
    """Return the ``http`` block of a proxy.

    Args:
        part: What it does.
        listen: Where: an address and a port.
        code: Where backends have the directories of the code's versions.
        directories: Of its nginx.
        status_locations: By which its nginx tells about itself.
    """
    return _HTTP.format(
        log_format=LOG_FORMAT,
        access_log=directories.logs / "proxy-access.log",
        web=_servers(part.web, WEB_PORT),
        backends=_servers(part.backends, BACKEND_PORT),
        body_limit=part.body_limit,
        timeout=part.timeout,
        # The backend itself ends a request that takes too long, and says so: it comes first.
        read_timeout=part.timeout + 5,
        listen=listen,
        version=part.version,
        hidden=hidden(part.private),
        script=SCRIPT,
        status_locations=status_locations,
        fastcgi=_FASTCGI.format(tree=code / part.version),
        unavailable=_page(
            "The application does not answer",
            "Nothing that runs its code can be reached at this moment. Please try again soon.",
        ),
        slow=_page(
            "The application takes too long",
            f"It did not answer within {part.timeout} seconds.",
        ),
        too_large=_page(
            "The request is too large",
            f"This application takes up to {part.body_limit:,} bytes at once.".replace(",", " "),
        ),
    )


def _servers(addresses: Sequence[str], port: int) -> str:
    # Without any, nginx would refuse the upstream; to a server that is down it sends nobody.
    if not addresses:
        return f"server 127.0.0.1:{port} down;"
    servers = [f"server {address}:{port} max_fails=3 fail_timeout=5s;" for address in addresses]
    # Code that crashes looks to nginx like a server that fails: when it takes all of them for
    # dead, it goes on with the same ones, of which here none ever is.
    servers += [f"server {address}:{port} max_fails=0 backup;" for address in addresses]
    return "\n        ".join(servers)


def _page(title: str, text: str) -> str:
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        '<meta name="color-scheme" content="light dark">'
        f"<title>{title}</title></head><body><h1>{title}</h1><p>{text}</p></body></html>"
    )


# No keep-alive to FastCGI backends: idle connections would pin PHP's workers, and those that a
# reload resets count as failures of a server that is fine.
_HTTP = """\
    log_format conpaas '{log_format}';
    access_log {access_log} conpaas buffer=32k flush=1s;

    client_max_body_size {body_limit};
    client_header_timeout 20s;
    client_body_timeout 60s;
    send_timeout 60s;
    keepalive_timeout 30s;
    keepalive_requests 10000;
    large_client_header_buffers 8 16k;

    gzip on;
    gzip_vary on;
    gzip_proxied any;
    gzip_min_length 1000;
    gzip_types text/plain text/css text/xml text/javascript application/javascript
        application/json application/xml application/rss+xml application/atom+xml image/svg+xml;

    upstream web {{
        zone web 128k;
        least_conn;
        {web}
        keepalive 16;
    }}
    upstream backends {{
        zone backends 128k;
        least_conn;
        {backends}
    }}

    server {{
        listen {listen} default_server backlog=1024;
        server_name _;
        add_header X-Request-Id $request_id always;

        proxy_http_version 1.1;
        proxy_connect_timeout 1s;
        proxy_read_timeout 60s;
        proxy_max_temp_file_size 0;
        # To ask a web node twice does no harm, whatever the method: it only looks for files.
        proxy_next_upstream error timeout non_idempotent http_503;
        proxy_next_upstream_tries 3;
        proxy_pass_request_body off;
        proxy_set_header Content-Length "";
        proxy_set_header Transfer-Encoding "";
        proxy_set_header Connection "";
        proxy_set_header Host $http_host;
        proxy_set_header X-Code-Version {version};
        proxy_set_header X-Forwarded-For $remote_addr;
        proxy_hide_header X-Script;

        fastcgi_connect_timeout 1s;
        fastcgi_send_timeout 60s;
        fastcgi_read_timeout {read_timeout}s;
        fastcgi_next_upstream error timeout;
        fastcgi_next_upstream_tries 3;
        # What a backend has worked on for long is not begun again by another one.
        fastcgi_next_upstream_timeout 5s;
        fastcgi_buffer_size 32k;
        fastcgi_buffers 16 16k;
        fastcgi_max_temp_file_size 256m;

        # What a web node does not have may be a script, for which again there may be no backend.
        recursive_error_pages on;
        error_page 413 /.conpaas-page/too-large;
        error_page 502 503 =503 /.conpaas-page/unavailable;
        error_page 504 /.conpaas-page/slow;

{status_locations}
        location = /.conpaas-page/too-large {{
            internal; default_type text/html; return 413 '{too_large}';
        }}
        location = /.conpaas-page/unavailable {{
            internal; default_type text/html; return 503 '{unavailable}';
        }}
        location = /.conpaas-page/slow {{
            internal; default_type text/html; return 504 '{slow}';
        }}
        location ~ "{hidden}" {{
            return 404;
        }}
        location ~ "{script}" {{
{fastcgi}
        }}
        location / {{
            proxy_pass http://web;
            proxy_intercept_errors on;
            error_page 404 = @script;
            error_page 413 /.conpaas-page/too-large;
            error_page 502 503 504 =503 /.conpaas-page/unavailable;
        }}
        location @script {{
            # The web node has looked: here a script must run, or there is nothing at all.
            set $script $upstream_http_x_script;
            set $path_info "";
            if ($script = "") {{
                return 404;
            }}
{fastcgi}
        }}
    }}
"""

_FASTCGI = """\
            fastcgi_pass backends;
            fastcgi_param SCRIPT_FILENAME {tree}$script;
            fastcgi_param DOCUMENT_ROOT {tree};
            fastcgi_param SCRIPT_NAME $script;
            fastcgi_param PATH_INFO $path_info;
            fastcgi_param DOCUMENT_URI $script$path_info;
            fastcgi_param QUERY_STRING $query_string;
            fastcgi_param REQUEST_METHOD $request_method;
            fastcgi_param CONTENT_TYPE $content_type;
            fastcgi_param CONTENT_LENGTH $content_length;
            fastcgi_param REQUEST_URI $request_uri;
            fastcgi_param SERVER_PROTOCOL $server_protocol;
            fastcgi_param REQUEST_SCHEME $scheme;
            fastcgi_param HTTPS $https if_not_empty;
            fastcgi_param GATEWAY_INTERFACE CGI/1.1;
            fastcgi_param SERVER_SOFTWARE nginx;
            fastcgi_param SERVER_ADDR $server_addr;
            fastcgi_param SERVER_PORT $server_port;
            fastcgi_param SERVER_NAME $host;
            fastcgi_param REMOTE_ADDR $remote_addr;
            fastcgi_param REMOTE_PORT $remote_port;
            fastcgi_param REDIRECT_STATUS 200;
            # What clients say about other proxies is not believed.
            fastcgi_param HTTP_X_FORWARDED_FOR $remote_addr;
            fastcgi_param HTTP_X_FORWARDED_PROTO $scheme;
            fastcgi_param HTTP_X_FORWARDED_HOST $http_host;
            fastcgi_param HTTP_X_FORWARDED_PORT $server_port;
            fastcgi_param HTTP_X_REAL_IP $remote_addr;
            fastcgi_param HTTP_FORWARDED "";
            fastcgi_param HTTP_X_REQUEST_ID $request_id;
            # A header that libraries would take for the environment's proxy.
            fastcgi_param HTTP_PROXY "";"""
