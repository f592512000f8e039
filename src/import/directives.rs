//! What becomes of which directive: the list that docs/import.md shows, each with a line that a test imports.

/// A directive of haproxy.cfg.
#[derive(Debug, Clone, Copy)]
pub struct Directive {
    /// Where it stands: `global`, `frontend` or `backend`.
    pub section: &'static str,
    /// A line with it.
    pub example: &'static str,
    /// What the configuration has for it.
    pub becomes: &'static str,
    /// Whether a comment quotes the line, because something of it has no counterpart.
    pub quoted: bool,
}

const fn used(section: &'static str, example: &'static str, becomes: &'static str) -> Directive {
    Directive {
        section,
        example,
        becomes,
        quoted: false,
    }
}

const fn quoted(section: &'static str, example: &'static str, becomes: &'static str) -> Directive {
    Directive {
        section,
        example,
        becomes,
        quoted: true,
    }
}

/// All that are known. Every other one is quoted in a comment, and is a warning unless it is harmless to lose it.
pub const DIRECTIVES: &[Directive] = &[
    used("global", "nbthread 4", "`server.threads`"),
    quoted(
        "global",
        "maxconn 20000",
        "`maxconn` of frontends without their own, where haflux's defaults would let in fewer",
    ),
    quoted(
        "global",
        "log /dev/log local0",
        "the log on standard error, which systemd keeps; `log stdout …` too",
    ),
    used(
        "global",
        "log 10.0.0.9:514 local2 notice",
        "an entry of `[[log]]` in the same form, of messages only above `info`; one for standard error stands beside it",
    ),
    quoted(
        "global",
        "log logs.example.org local2",
        "a comment and a warning: `[[log]]` takes no host name",
    ),
    quoted(
        "global",
        "user haproxy",
        "systemd's business, as `group`, `daemon`, `chroot` and `pidfile`",
    ),
    quoted(
        "global",
        "stats socket /run/haproxy/admin.sock mode 660 group adm level admin",
        "`server.stats_socket`, with `stats timeout` and `stats maxconn`; a warning says what haflux's service needs for its folder and group",
    ),
    quoted(
        "global",
        "stats socket ipv4@127.0.0.1:9999 level admin",
        "a comment and a warning: haflux's socket has a path",
    ),
    used("global", "hard-stop-after 20s", "`server.stop_timeout`"),
    quoted("global", "grace 10s", "a comment, in every section"),
    quoted(
        "global",
        "setenv ZONE eu",
        "stands wherever `\"$ZONE\"` does; the comment does not show its value",
    ),
    used(
        "frontend",
        "bind *:8087",
        "`bind`; of several addresses and ranges of ports, each one",
    ),
    used(
        "frontend",
        "bind *:8443 ssl crt /etc/ssl/site.pem verify optional ca-file /etc/ssl/ca.pem",
        "`bind` and `tls`, with `ocsp` if `haflux import` finds `/etc/ssl/site.pem.ocsp`; several such lines of a frontend must not differ but in address and `crt`",
    ),
    used(
        "frontend",
        "bind *:8445 ssl crt /etc/ssl/site.pem alpn h2,http/1.1",
        "`alpn` of `tls`; without it, HTTP/1.1 alone is spoken, as HAProxy 2.6 does",
    ),
    used(
        "frontend",
        "bind *:8446 proto h2",
        "`http2` with `plain`, for all plain addresses of the frontend; they take HTTP/1 too",
    ),
    quoted(
        "frontend",
        "bind *:8444 ssl crt /etc/ssl/sites/",
        "not listened at, because of the folder; a frontend that has only such ones listens on `127.0.0.1`",
    ),
    quoted("frontend", "bind unix@/run/haproxy.sock", "not listened at"),
    quoted(
        "frontend",
        "bind :::8447 v6only",
        "`[::]`, which takes IPv4 too, and a warning unless the frontend has that address as well",
    ),
    used("frontend", "stats uri /haproxy?stats", "`stats_uri`"),
    used(
        "frontend",
        "stats enable",
        "`stats_uri = \"/haproxy?stats\"`",
    ),
    used("frontend", "stats refresh 10s", "`stats_refresh`"),
    quoted(
        "frontend",
        "stats auth admin:sesame",
        "an entry of `stats_auth`; a comment without the password, and a warning, because the file then holds it",
    ),
    quoted(
        "frontend",
        "stats admin if TRUE",
        "`stats_admin` beside `stats auth`; without it, and under other conditions, a comment",
    ),
    quoted(
        "frontend",
        "stats hide-version",
        "a comment, as `stats realm`, `stats show-node` and others",
    ),
    quoted(
        "frontend",
        "stats http-request auth unless LOCALHOST",
        "a comment and a warning, as `stats scope`",
    ),
    used("frontend", "option forwardfor", "`forwarded_for = true`"),
    quoted(
        "frontend",
        "option forwardfor except 127.0.0.0/8",
        "`forwarded_for = true`, for every client, and a warning, as `if-none`, beside which HAProxy leaves a client's own `X-Forwarded-For` alone",
    ),
    used("frontend", "option httplog", "the access log, which is on"),
    used("frontend", "log global", "the access log, which is on"),
    quoted(
        "frontend",
        "log-format %ci:%cp",
        "a comment, as `option httplog clf` and `no log`",
    ),
    used(
        "frontend",
        "option dontlognull",
        "what haflux always does, as `option http-keep-alive`, `option log-health-checks` and `http-reuse`",
    ),
    quoted("frontend", "option http-server-close", "a comment"),
    used("frontend", "maxconn 500", "`maxconn`"),
    used("frontend", "timeout client 30s", "`timeout.client`"),
    used(
        "frontend",
        "timeout http-request 5s",
        "`timeout.http_request`",
    ),
    used(
        "frontend",
        "timeout http-keep-alive 15s",
        "`timeout.http_keep_alive`",
    ),
    quoted(
        "frontend",
        "timeout tunnel 2h",
        "a comment, because HAProxy asks a backend for it, as for `timeout server`, `timeout connect` and `timeout queue`",
    ),
    used(
        "frontend",
        "timeout tarpit 10s",
        "`timeout.tarpit`; without it `timeout connect`, as HAProxy takes it, if there is a tarpit",
    ),
    used("frontend", "default_backend pool", "`default_backend`"),
    used(
        "frontend",
        "use_backend pool if { path_beg /write }",
        "an entry of `use_backend`",
    ),
    used(
        "frontend",
        "use_backend pool if { path -i -m end .png .gif }",
        "`path_end`, or `path_reg` with `(?i)` where case does not count",
    ),
    used(
        "frontend",
        "use_backend pool if { path_reg ^/api/v[0-9]+/ }",
        "`path_reg`, unless it has what Rust's expressions lack",
    ),
    used(
        "frontend",
        "use_backend pool if { path_sub render } || { path_dir public }",
        "`path_reg` that finds the same",
    ),
    used(
        "frontend",
        "use_backend pool if { hdr(host) -i grafana.example.org }",
        "`host`, in any case, without the port",
    ),
    quoted(
        "frontend",
        "use_backend pool if { hdr_beg(host) -i grafana. }",
        "not translated: a comment and a warning, as every other condition",
    ),
    used(
        "frontend",
        "use_backend pool if METH_POST { src 10.0.0.0/8 192.0.2.7 }",
        "`method` and `src` in one table",
    ),
    used(
        "frontend",
        "use_backend pool if { path_beg /a } !METH_GET or { path /b }",
        "two entries and more: what `!` keeps out goes first, to where the rules after it say",
    ),
    used(
        "frontend",
        "use_backend pool unless { src 10.0.0.0/8 }",
        "`unless`",
    ),
    quoted(
        "frontend",
        "use_backend %[req.hdr(host),lower]",
        "not translated: a comment and a warning",
    ),
    quoted(
        "frontend",
        "acl unasked path_beg /x",
        "a condition of the rules that name it; a comment if none does",
    ),
    used(
        "frontend",
        "http-request set-header X-Forwarded-Proto https",
        "`set_header` in `http_request`; beside `option forwardfor` a comment where that says the same, else a warning, because `forwarded_for = true` writes that header",
    ),
    used(
        "frontend",
        "http-request deny deny_status 404 if { path_beg /debug } { src 192.0.2.0/24 }",
        "`deny` in `http_request`",
    ),
    quoted(
        "frontend",
        "http-request deny if { path /a } !{ src 192.0.2.0/24 }",
        "a comment and a warning, as every rule whose condition haflux has not, and whatever stands behind an `allow`",
    ),
    used(
        "frontend",
        "http-request tarpit deny_status 429 if { path_beg /wp-admin }",
        "`tarpit` in `http_request`; without `timeout tarpit` and `timeout connect`, `deny`, because HAProxy waits for nothing then",
    ),
    quoted(
        "frontend",
        "filter bwlim-out slow default-limit 1m default-period 1s",
        "with `http-request set-bandwidth-limit slow`, `bandwidth` with `out_per_request`; of `limit … key src`, `out_per_source`, over the time for which its table counts; `bwlim-in` too. Alone, and beside conditions and computed limits, a comment and a warning",
    ),
    used(
        "frontend",
        "redirect prefix https://influx.example.org code 301 if { path_beg /old }",
        "`redirect` in `http_request`, behind all of `http-request` and without requests for the page, as HAProxy asks it, or a warning says that it takes those too; `http-request redirect` too, in its place",
    ),
    quoted(
        "frontend",
        "redirect scheme https if !{ ssl_fc }",
        "a comment and a warning, as its condition",
    ),
    used(
        "frontend",
        "http-request set-header X-Org ours if METH_POST",
        "`set_header` in `http_request`",
    ),
    quoted(
        "frontend",
        "http-request set-header X-Client %[src]",
        "a comment and a warning: haflux computes no values; so are `add-header`, and values that are secrets",
    ),
    used(
        "frontend",
        "http-request del-header X-Secret",
        "`del_header` in `http_request`",
    ),
    used(
        "frontend",
        "http-response set-header X-Frame-Options DENY",
        "`set_header` in `http_response`; `del-header` too. Of the request, HAProxy knows the method and the address then, and no path or header: a test of those never holds, and is a warning",
    ),
    used(
        "frontend",
        "tcp-request connection reject if { src 192.0.2.0/24 }",
        "`deny`; with `!` or `unless`, `allow`. Every other `tcp-request` is a warning, and so is this beside `accept-proxy`, where it judges the proxy",
    ),
    quoted(
        "frontend",
        "bind 10.0.0.1:8087 accept-proxy",
        "`accept_proxy` for every network, if all addresses of the frontend have it, and a warning to name the proxies",
    ),
    quoted(
        "frontend",
        "http-request use-service prometheus-exporter if { path /metrics }",
        "`metrics_uri`; of a frontend that serves nothing else, `server.metrics_bind`. Rules of `http-request` behind it, and `redirect`, let them past, or a warning says that they do not. The metrics have names of haflux's own",
    ),
    quoted(
        "frontend",
        "http-request use-service prometheus-exporter if { path /metrics } { src 10.0.0.0/8 }",
        "a comment and a warning, as every condition that asks for more than a path",
    ),
    quoted(
        "frontend",
        "http-request set-path /influx%[path]",
        "a comment and a warning, as `replace-path`, `set-query`, `set-method`, `set-src`, `return`, `http-response deny`, `http-after-response`, `monitor-uri`, and whatever the import does not know",
    ),
    quoted(
        "frontend",
        "errorfile 503 /etc/haproxy/errors/503.http",
        "a comment, as what is harmless to lose: `tune.*`, `option nolinger`, `compression`, `capture`, `stick-table` and others",
    ),
    used(
        "backend",
        "balance leastconn",
        "`balance`; `static-rr` is `roundrobin`",
    ),
    quoted("backend", "balance uri", "`roundrobin`, and a warning"),
    used(
        "backend",
        "server more 10.0.2.4:8086 check weight 10 backup inter 5s rise 3 fall 2",
        "an entry of `servers`; `inter`, `rise`, `fall` of the first that is checked are the pool's `check`",
    ),
    quoted(
        "backend",
        "server more 10.0.2.4:8086 check maxconn 50",
        "an entry of `servers`; a comment names what is left over, and a warning what of it matters",
    ),
    quoted(
        "backend",
        "server more 10.0.2.4:8086 check port 8087",
        "`check.port`, if every checked server of the pool has the same; else, and with `addr`, a connection to where requests go is the check of all of them, and a warning",
    ),
    quoted(
        "backend",
        "server more 10.0.2.4:8086 track base/b",
        "the check of that server, for this one, and a warning",
    ),
    quoted(
        "backend",
        "server more 10.0.2.4:8086 check agent-check agent-port 9000",
        "an entry of `servers`, and a warning, as `observe`",
    ),
    quoted(
        "backend",
        "server-template more 3 node.example.org:8086 check",
        "left out, and a warning",
    ),
    quoted(
        "backend",
        "http-request set-header X-Org ours",
        "a comment and a warning: in haflux a frontend changes headers",
    ),
    quoted(
        "backend",
        "option forwardfor",
        "`forwarded_for = true` of a frontend all of whose backends have it; else a comment and a warning",
    ),
    quoted(
        "backend",
        "server more 10.0.2.4:8086 check send-proxy",
        "`send_proxy`, if every server of the pool has it and no relay replicates to it; else a warning",
    ),
    quoted(
        "backend",
        "server more 10.0.2.4:8086 check disabled",
        "left out, and a warning; `haflux server maint` disables one that is written",
    ),
    used(
        "backend",
        "server more 10.0.2.4:8443 ssl ca-file /etc/ssl/ca.pem sni str(influx.example.org) crt /etc/ssl/own.pem",
        "an entry of `servers` with `tls`; haflux always verifies whom the certificate is made out to",
    ),
    used(
        "backend",
        "server more 10.0.2.4:8443 ssl verify none",
        "an entry of `servers` with `tls = { verify = \"none\" }`",
    ),
    quoted(
        "backend",
        "server more 10.0.2.4:8443 ssl ca-file /etc/ssl/ca.pem ciphers ECDHE-RSA-AES128-GCM-SHA256",
        "the same; the comment names what is left over",
    ),
    quoted(
        "backend",
        "server more 10.0.2.4:8443 ssl ca-file ca.pem",
        "left out, and a warning, because a file must be named by its whole path",
    ),
    used(
        "backend",
        "default-server inter 3s",
        "what it says, at every server after it",
    ),
    used("backend", "option httpchk GET /ping", "`check.http`"),
    quoted(
        "backend",
        "option httpchk HEAD /ping",
        "`check.http`; haflux checks with GET, which is a warning beside every other method",
    ),
    used(
        "backend",
        "http-check send meth GET uri /ping hdr Host influx.example.org",
        "`check.http` and `check.host`, if `option httpchk` stands beside it or is inherited. As in HAProxy, one such line of a section replaces all that it inherits",
    ),
    used(
        "backend",
        "http-check expect status 200-299,304",
        "`check.expect`",
    ),
    quoted(
        "backend",
        "http-check expect string ok",
        "a comment and a warning",
    ),
    quoted(
        "backend",
        "http-check send hdr X-Key ours",
        "a comment and a warning: a check has no headers but `Host`, and no body",
    ),
    quoted(
        "backend",
        "option external-check",
        "a check by a connection, and a warning, as `option ssl-hello-chk` and others",
    ),
    quoted(
        "backend",
        "tcp-check expect string +PONG",
        "a comment and a warning: a connection is all that is asked for",
    ),
    used("backend", "timeout connect 2s", "`timeout.connect`"),
    used("backend", "timeout server 2m", "`timeout.server`"),
    quoted(
        "backend",
        "timeout tunnel 2h",
        "`timeout.tunnel` of the frontends that lead to it, if any; a warning where the backends of one differ, and the longest is written",
    ),
    quoted(
        "backend",
        "timeout http-request 5s",
        "a comment, as `timeout http-keep-alive` and `timeout tarpit`: in haflux a frontend has it",
    ),
    used(
        "backend",
        "timeout check 1s",
        "`check.timeout`; without it, `inter`",
    ),
    quoted(
        "backend",
        "timeout queue 30s",
        "a comment: haflux has no queue",
    ),
    used("backend", "option redispatch", "what haflux always does"),
    used("backend", "retries 2", "`retries`"),
    quoted(
        "backend",
        "cookie SRV insert indirect",
        "a comment and a warning",
    ),
];
