"""Runs the server tests of Python's `influxdb` against a server that is there.

Arguments: the server's port, `https` or `http`, and its port of UDP, whose database is `db`. Prints a line for each test: its outcome, its
name, and why it failed. The package's own tests start an `influxd` each; here they find the same server, without databases and users.
"""

import sys
import types
import unittest
import warnings

import pandas.testing

import influxdb
from influxdb import client

PORT, SCHEME, UDP_PORT = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])


class Instance:
    """Stands in for an `influxd` that was just started."""

    def __init__(self, _template, udp_enabled=False):
        self.http_port, self.udp_port = PORT, UDP_PORT
        asked = influxdb.InfluxDBClient(port=PORT)
        for database in asked.get_list_database():
            asked.drop_database(database["name"])
        for user in asked.get_list_users():
            asked.drop_user(user["user"])

    def close(self, remove_tree=True):
        pass


def stand_in(name, **members):
    """What the tests import under this name."""
    module = types.ModuleType(name)
    vars(module).update(members)
    sys.modules[name] = module


class Told(unittest.TestResult):
    def tell(self, outcome, test, why=""):
        name = ".".join(test.id().split(".")[-2:])
        print(outcome, name, why.replace("\n", " | "), flush=True)

    def addSuccess(self, test):
        self.tell("PASSED", test)

    def addSkip(self, test, reason):
        self.tell("SKIPPED", test)

    def addError(self, test, error):
        self.tell("FAILED", test, self._exc_info_to_string(error, test)[-800:])

    addFailure = addError


make = client.InfluxDBClient.__init__
gzip = False


def make_for_the_server(self, *arguments, **named):
    """Without it the tests speak HTTP; their classes with gzip do not come to it either, for the order of their bases."""
    named.setdefault("gzip", gzip)
    if SCHEME == "https":
        named.update(ssl=True, verify_ssl=True)
    make(self, *arguments, **named)


client.InfluxDBClient.__init__ = make_for_the_server
stand_in("influxdb.tests.server_tests.influxdb_instance", InfluxDbInstance=Instance)
# Newer releases of pandas have it elsewhere.
stand_in("pandas.util.testing", assert_frame_equal=pandas.testing.assert_frame_equal)
warnings.simplefilter("ignore", DeprecationWarning)

from influxdb.tests.server_tests import client_test_with_server as tests  # noqa: E402

for case in list(vars(tests).values()):
    if isinstance(case, type) and issubclass(case, unittest.TestCase):
        gzip = case.__name__.startswith("Gzip")
        unittest.defaultTestLoader.loadTestsFromTestCase(case).run(Told())
