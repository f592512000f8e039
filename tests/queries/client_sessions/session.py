"""A session of Python's `influxdb` that uses everything its client offers, and prints what came of each step.

usage: session.py HOST PORT open|auth

With `auth` the server asks for credentials and has no user yet. Each step is one line: its name, and its value or exception.
"""

import json
import pathlib
import sys

from influxdb import InfluxDBClient, SeriesHelper

sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "support"))
from steps import in_any_order, step

HOST, PORT, AUTH = sys.argv[1], int(sys.argv[2]), sys.argv[3] == "auth"
CREDENTIALS = {"username": "root", "password": "s3cret' \"\\"}


def connect(**options):
    return InfluxDBClient(HOST, PORT, **{**CREDENTIALS, **options})


client = connect()

# --- the first user -------------------------------------------------------------------------------------------------------
step("ping", client.ping)
if AUTH:
    nobody = InfluxDBClient(HOST, PORT, username=None, password=None)
    step("no admin: show databases", nobody.get_list_database)
    step("no admin: create database", nobody.create_database, "early")
    step("no admin: write", nobody.write_points, [{"measurement": "m", "fields": {"v": 1}, "time": 1}], database="early")
    step("no admin: plain user", nobody.create_user, "plain", "plain")
    step("no admin: with credentials", client.get_list_database)
    step("first admin", nobody.create_user, CREDENTIALS["username"], CREDENTIALS["password"], admin=True)
    step("second admin without credentials", nobody.create_user, "other", "other", admin=True)
    step("nobody: show databases", nobody.get_list_database)
    step("nobody: write", nobody.write_points, [{"measurement": "m", "fields": {"v": 1}, "time": 1}], database="early")
    wrong = connect(password="wrong")
    step("wrong password: show databases", wrong.get_list_database)
    step("wrong password: create database", wrong.create_database, "early")
    step("wrong password: write", wrong.write_points, [{"measurement": "m", "fields": {"v": 1}, "time": 1}], database="early")
    step("wrong password: ping", wrong.ping)
    step("unknown user", connect(username="stranger").get_list_users)
    step("empty password", connect(password="").get_list_users)

# --- databases ------------------------------------------------------------------------------------------------------------
step("no database yet", client.get_list_database)
for database in ["first", "second", "with space", "with \"quote\"", "ünï"]:
    step(f"create {database}", client.create_database, database)
step("create again", client.create_database, "first")
step("create without a name", client.create_database, "")
step("databases", client.get_list_database)
step("drop with quote", client.drop_database, "with \"quote\"")
step("drop unknown", client.drop_database, "nowhere")
step("databases after drop", client.get_list_database)

# --- retention policies -----------------------------------------------------------------------------------------------------
client.switch_database("first")
step("policies", client.get_list_retention_policies)
step("policies of another", client.get_list_retention_policies, "second")
step("policies of unknown", client.get_list_retention_policies, "nowhere")
step("create policy", client.create_retention_policy, "week", "7d", 1)
step("create policy again", client.create_retention_policy, "week", "7d", 1)
step("create policy that conflicts", client.create_retention_policy, "week", "8d", 1)
step("create policy, default", client.create_retention_policy, "forever", "INF", 1, default=True, shard_duration="1d")
step("create policy elsewhere", client.create_retention_policy, "month", "30d", 1, database="second")
step("create policy too short", client.create_retention_policy, "short", "1m", 1)
step("create policy, nonsense", client.create_retention_policy, "bad", "soon", 1)
step("alter policy", client.alter_retention_policy, "week", duration="14d", replication=1)
step("alter policy, default", client.alter_retention_policy, "autogen", default=True)
step("alter policy, shard", client.alter_retention_policy, "week", shard_duration="12h")
step("alter unknown policy", client.alter_retention_policy, "nowhere", duration="14d")
step("policies changed", client.get_list_retention_policies)
step("drop policy", client.drop_retention_policy, "month", "second")
step("drop unknown policy", client.drop_retention_policy, "nowhere")
step("policies of second", client.get_list_retention_policies, "second")

# --- writes ---------------------------------------------------------------------------------------------------------------
POINTS = [
    {"measurement": "cpu", "tags": {"host": f"h{n % 3}", "region": "eu west"}, "time": 1600000000 + n,
     "fields": {"load": n / 4, "count": n, "text": f"say \"{n}\"", "on": n % 2 == 0}}
    for n in range(9)
]
step("write", client.write_points, POINTS, time_precision="s")
step("write with tags", client.write_points,
     [{"measurement": "mem", "fields": {"free": 5}, "time": 7}], tags={"rack": "r 1", "host": "x"}, time_precision="ms")
step("write to a policy", client.write_points,
     [{"measurement": "old", "fields": {"v": 1.5}, "time": 1}], retention_policy="forever", time_precision="h")
step("write in batches", client.write_points,
     ({"measurement": "many", "tags": {"n": str(n)}, "fields": {"v": n}, "time": n} for n in range(250)), batch_size=40)
step("write lines", client.write_points, ["lines,a=b v=1 1", "lines,a=b v=2 2", ""], protocol="line")
step("write a line", client.write, "lines,a=c v=3 3", {"db": "first", "precision": "u"}, 204, "line")
step("write nothing", client.write, "", {"db": "first"}, 204, "line")
step("write, database given", client.write_points, ["lines v=9 9"], database="second", protocol="line")
for consistency in ["any", "one", "quorum", "all"]:
    step(f"write consistency {consistency}", client.write_points, ["lines,a=d v=4 4"], consistency=consistency, protocol="line")
for precision in ["n", "u", "ms", "s", "m", "h"]:
    step(f"write precision {precision}", client.write_points, [f"precise,p={precision} v=1 3"], time_precision=precision, protocol="line")
step("write without time", client.write_points, [{"measurement": "timeless", "fields": {"v": 1}}])
step("write unicode", client.write_points,
     [{"measurement": "ünï", "tags": {"größe": "groß, =1"}, "fields": {"wert": "ä\"\\ß"}, "time": 1}])
step("write gzip", connect(gzip=True, database="first").write_points, [{"measurement": "packed", "fields": {"v": 1}, "time": 1}])
step("write bad line", client.write_points, ["lines v= 1"], protocol="line")
step("write some bad lines", client.write_points, ["lines,a=e v=1 1", "bad", "lines,a=f v=1 1"], protocol="line")
step("write conflict", client.write_points, [{"measurement": "cpu", "tags": {"host": "h0", "region": "eu west"}, "fields": {"load": "high"}, "time": 1600000000}], time_precision="s")
step("write to unknown database", client.write_points, ["lines v=1 1"], database="nowhere", protocol="line")
step("write to unknown policy", client.write_points, ["lines v=1 1"], retention_policy="nowhere", protocol="line")
step("write without database", connect().write_points, ["lines v=1 1"], protocol="line")
step("write precision nonsense", client.write_points, ["lines v=1 1"], time_precision="x", protocol="line")
step("write consistency nonsense", client.write, "lines v=1 1", {"db": "first", "consistency": "most"}, 204, "line")
step("write, other code expected", client.write, "lines,a=g v=1 1", {"db": "first"}, 200, "line")


class Helper(SeriesHelper):
    class Meta:
        client = client
        series_name = "helped.{server}"
        fields = ["time", "some_stat"]
        tags = ["server"]
        bulk_size = 3
        autocommit = True


def help_series():
    for n in range(3):
        Helper(server="s", some_stat=n, time=n + 1)


step("series helper", help_series)

# --- queries --------------------------------------------------------------------------------------------------------------
step("query", client.query, "SELECT * FROM cpu")
for epoch in ["h", "m", "s", "ms", "u", "ns", "ns ", None]:
    step(f"query epoch {epoch}", client.query, "SELECT count FROM cpu LIMIT 2", epoch=epoch)
step("query POST", client.query, "SELECT count FROM cpu LIMIT 1", method="POST")
step("query database given", client.query, "SELECT * FROM lines", database="second")
step("query qualified", client.query, "SELECT * FROM second.autogen.lines; SELECT * FROM first.forever.old", database="nowhere")
step("query bind_params", client.query, "SELECT count FROM cpu WHERE host = $host AND count > $least",
     bind_params={"host": "h1", "least": 3})
step("query bind_params missing", client.query, "SELECT count FROM cpu WHERE host = $host", bind_params={"other": 1})
step("query params", client.query, "SELECT count FROM cpu WHERE time < $t", params={"params": json.dumps({"t": "2020-09-13T12:26:42Z"})})
step("query several", client.query, "SHOW MEASUREMENTS; SELECT mean(load) FROM cpu GROUP BY host; SHOW TAG KEYS FROM cpu")
step("query grouped", client.query, "SELECT max(load) FROM cpu WHERE time >= 1600000000s AND time < 1600000009s GROUP BY time(3s), host fill(none)")
step("query chunked", client.query, "SELECT v FROM many", chunked=True, chunk_size=100)
step("query chunked, one", client.query, "SELECT v FROM many LIMIT 1", chunked=True)
step("query chunked, several", client.query, "SELECT v FROM many LIMIT 3; SHOW DATABASES", chunked=True, chunk_size=2)
as_json = connect(database="first", headers={"Accept": "application/json"})
step("query chunked JSON", as_json.query, "SELECT v FROM many", chunked=True, chunk_size=100)
step("query chunked JSON, several", as_json.query, "SELECT v FROM many LIMIT 3; SHOW DATABASES", chunked=True, chunk_size=2)
step("query chunked JSON, error", as_json.query, "SHOW DATABASES; SELECT * FROM nowhere.autogen.cpu", chunked=True)
step("query JSON", as_json.query, "SELECT v FROM many LIMIT 3")
step("query nothing there", client.query, "SELECT * FROM nowhere")
step("query error", client.query, "SELECT * FROM")
step("query not a statement", client.query, "INSERT cpu v=1")
step("query empty", client.query, "")
step("query unknown database", client.query, "SELECT * FROM cpu", database="nowhere")
step("query errors not raised", client.query, "SELECT * FROM cpu", database="nowhere", raise_errors=False)
step("query, error after good", client.query, "SHOW DATABASES; SELECT * FROM nowhere.autogen.cpu; SHOW DATABASES")
step("query other code expected", client.query, "SHOW DATABASES", expected_response_code=204)
step("query regex", client.query, "SELECT count(v) FROM /li.*/; SHOW FIELD KEYS FROM /c.*/")
step("query unicode", client.query, "SELECT * FROM \"ünï\"")
step("query comment", client.query, "-- nothing\nSELECT count(v) FROM many /* here */")
step("query comments", client.query, "-- nothing\nSELECT /* here */ count(v) FROM many -- there")
step("query subquery", client.query, "SELECT sum(top) FROM (SELECT max(load) AS top FROM cpu GROUP BY host)")
step("query explain", client.query, "EXPLAIN SELECT count FROM cpu")
step("query cardinality", client.query, "SHOW SERIES EXACT CARDINALITY; SHOW MEASUREMENT EXACT CARDINALITY")
step("query tag values", client.query, "SHOW TAG VALUES FROM cpu WITH KEY IN (host, region)")
step("query series", client.query, "SHOW SERIES FROM cpu")
step("query gzip", connect(gzip=True, database="first").query, "SELECT count FROM cpu LIMIT 2")
step("request", client.request, "query", "GET", {"q": "SHOW DATABASES", "pretty": "true"}, None, False, 200, {"Accept": "application/json"})
step("request csv", client.request, "query", "GET", {"q": "SELECT count FROM cpu LIMIT 2", "db": "first"}, None, False, 200, {"Accept": "application/csv"})
step("request msgpack", client.request, "query", "GET", {"q": "SHOW DATABASES"}, None, False, 200, {"Accept": "application/x-msgpack"})
step("request unknown path", client.request, "nowhere")
step("select into", client.query, "SELECT count AS copied INTO first.forever.copy FROM cpu WHERE host = 'h1' GROUP BY *")
step("select into, grouped", client.query, "SELECT mean(load) INTO means FROM cpu WHERE time >= 1600000000s AND time < 1600000009s GROUP BY time(3s), *")
step("select into nothing", client.query, "SELECT count INTO nothing FROM nowhere")
step("select into unknown", client.query, "SELECT count INTO nowhere..x FROM cpu")
step("select into, bound", client.query, "SELECT count INTO bound FROM cpu WHERE host = $host", bind_params={"host": "h2"})
step("copied", client.query, "SELECT * FROM first.forever.copy; SELECT * FROM means; SELECT * FROM bound")

# --- measurements and series ------------------------------------------------------------------------------------------------
step("measurements", client.get_list_measurements)
step("all series", client.get_list_series)
step("series of a measurement", client.get_list_series, measurement="cpu")
step("series by tags", client.get_list_series, tags={"host": "h1"})
step("series elsewhere", client.get_list_series, "second")
step("delete series by tags", client.delete_series, measurement="cpu", tags={"host": "h1"})
step("delete series of a measurement", client.delete_series, measurement="means")
step("delete series elsewhere", client.delete_series, "second", "lines")
step("delete series by tags only", client.delete_series, tags={"a": "c"})
step("delete series, unknown database", client.delete_series, "nowhere", "lines")
step("delete points", client.query, "DELETE FROM many WHERE time < 100", method="POST")
step("delete by GET", client.query, "DELETE FROM many WHERE time < 150")
step("delete, no such field", client.query, "DELETE FROM cpu WHERE count = 4", method="POST")
step("drop measurement", client.drop_measurement, "bound")
step("drop unknown measurement", client.drop_measurement, "nowhere")
step("series afterwards", client.get_list_series)
step("counts afterwards", client.query, "SELECT count(*) FROM /.*/")

# --- continuous queries -----------------------------------------------------------------------------------------------------
CQ = "SELECT mean(load) INTO first.forever.cq_means FROM cpu WHERE time < now() - 1d GROUP BY time(1h)"
step("create continuous query", client.create_continuous_query, "cq", CQ, "first")
step("create continuous query again", client.create_continuous_query, "cq", CQ, "first")
step("create continuous query, other text", client.create_continuous_query, "cq", CQ.replace("mean(", "max("), "first")
step("create continuous query, resample", client.create_continuous_query, "cq2", CQ, "first", "EVERY 30s FOR 2h")
step("create continuous query, bad", client.create_continuous_query, "cq3", "SELECT load FROM cpu", "first")
step("continuous queries", client.get_list_continuous_queries)
step("drop continuous query", client.drop_continuous_query, "cq2", "first")
step("drop unknown continuous query", client.drop_continuous_query, "nowhere", "first")
step("continuous queries left", client.get_list_continuous_queries)

# --- users and privileges ---------------------------------------------------------------------------------------------------
step("create user", client.create_user, "reader", "re'ad\"er")
step("create user again", client.create_user, "reader", "re'ad\"er")
step("create user, other password", client.create_user, "reader", "other")
step("create writer", client.create_user, "writer", "writer")
step("create admin", client.create_user, "boss", "boss", admin=True)
step("create user without a name", client.create_user, "", "x")
step("users", client.get_list_users)
step("grant read", client.grant_privilege, "read", "first", "reader")
step("grant write", client.grant_privilege, "write", "first", "writer")
step("grant all", client.grant_privilege, "all", "second", "writer")
step("grant nonsense", client.grant_privilege, "everything", "first", "reader")
step("grant to unknown", client.grant_privilege, "read", "first", "nobody")
step("grant on unknown", client.grant_privilege, "read", "nowhere", "reader")
step("privileges of reader", in_any_order(client.get_list_privileges), "reader")
step("privileges of writer", in_any_order(client.get_list_privileges), "writer")
step("privileges of unknown", client.get_list_privileges, "nobody")
reader, writer = connect(username="reader", password="re'ad\"er", database="first"), connect(username="writer", password="writer", database="first")
for name, user in [("reader", reader), ("writer", writer)]:
    step(f"{name} reads", user.query, "SELECT count FROM cpu LIMIT 1")
    step(f"{name} writes", user.write_points, [f"by_{name} v=1 1"], protocol="line")
    step(f"{name} lists databases", user.get_list_database)
    step(f"{name} lists users", user.get_list_users)
    step(f"{name} creates", user.create_database, f"of {name}")
    step(f"{name} drops a measurement", user.drop_measurement, "nothing")
    step(f"{name} deletes", user.query, "DELETE FROM nothing", method="POST")
    step(f"{name} copies", user.query, f"SELECT count INTO by_{name}_copy FROM cpu")
    step(f"{name} copies elsewhere", user.query, f"SELECT count INTO second..by_{name}_copy FROM cpu")
    step(f"{name} reads and drops", user.query, f"SHOW MEASUREMENTS; DROP DATABASE \"of {name}\"", method="POST")
step("set password", client.set_user_password, "reader", "new")
step("old password", reader.query, "SELECT count FROM cpu LIMIT 1")
reader.switch_user("reader", "new")
step("new password", reader.query, "SELECT count FROM cpu LIMIT 1")
step("new password writes", reader.write_points, ["by_reader v=1 1"], protocol="line")
step("set password of unknown", client.set_user_password, "nobody", "new")
step("revoke read", client.revoke_privilege, "read", "first", "reader")
step("revoked", reader.query, "SELECT count FROM cpu LIMIT 1")
step("revoke all", client.revoke_privilege, "all", "second", "writer")
step("privileges left", in_any_order(client.get_list_privileges), "writer")
step("grant admin", client.grant_admin_privileges, "reader")
step("admin lists users", reader.get_list_users)
step("revoke admin", client.revoke_admin_privileges, "reader")
step("no admin lists users", reader.get_list_users)
step("drop user", client.drop_user, "writer")
step("dropped user reads", writer.query, "SELECT count FROM cpu LIMIT 1")
step("dropped user writes", writer.write_points, ["by_writer v=2 2"], protocol="line")
step("drop unknown user", client.drop_user, "nobody")
step("users left", client.get_list_users)

# --- the end ----------------------------------------------------------------------------------------------------------------
step("from_dsn", InfluxDBClient.from_dsn(f"influxdb://root:x@{HOST}:{PORT}/first").ping)
scoped = connect(database="second")
with scoped:
    step("in a with block", scoped.query, "SHOW MEASUREMENTS")
step("drop first", client.drop_database, "first")
step("query dropped", client.query, "SELECT * FROM cpu")
step("write dropped", client.write_points, ["lines v=1 1"], protocol="line")
step("continuous queries gone", client.get_list_continuous_queries)
step("create first anew", client.create_database, "first")
step("empty again", client.query, "SHOW MEASUREMENTS; SHOW RETENTION POLICIES")
step("databases in the end", client.get_list_database)
client.close()
