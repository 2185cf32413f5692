"""What is refused, with the words and the places that users see."""

import hashlib
import json
import unittest

from provider_test import ProviderTest


def parameter(body):
    return 'data "coder_parameter" "p" {\n name = "p"\n %s\n}\n' % body.replace("\n", "\n ")


def app(body):
    return 'resource "coder_app" "a" {\n agent_id = "x"\n slug = "s"\n %s\n}\n' % body.replace("\n", "\n ")


def agent(body):
    return 'resource "coder_agent" "a" {\n os = "linux"\n arch = "amd64"\n %s\n}\n' % body.replace("\n", "\n ")


def option(name, value):
    return 'option {\n name = "%s"\n value = "%s"\n}\n' % (name, value)


def preset(body):
    return 'data "coder_workspace_preset" "p" {\n name = "n"\n %s\n}\n' % body.replace("\n", "\n ")


def schedules(*crons, zone="UTC"):
    rows = "".join('schedule {\n cron = "%s"\n instances = 1\n}\n' % c for c in crons)
    return preset('prebuilds {\n instances = 1\n scheduling {\n timezone = "%s"\n %s}\n}' % (zone, rows))


HEADER = None  # the diagnostic points at the block's first line

# Configuration, summary, detail (None: not looked at), the line that is pointed at (HEADER, or its text).
ROWS = [
    ('resource "coder_agent" "a" {\n os = "beos"\n arch = "amd64"\n}\n', 'expected os to be one of ["linux" "darwin" "windows"], got beos', "", 'os = "beos"'),
    (agent("connection_timeout = -1"), "expected connection_timeout to be at least (0), got -1", "", "connection_timeout = -1"),
    (agent("connection_timeout = 1.5"), "Attribute must be a whole number, got 1.5", "", "connection_timeout = 1.5"),
    (agent('id = "x"'), "Invalid or unknown key", "", 'id = "x"'),
    (agent('token = "x"'), "Value for unconfigurable attribute", None, 'token = "x"'),
    (agent('resources_monitoring {\n}'), "resources_monitoring must define at least one monitor", "", HEADER),
    (agent('resources_monitoring {\n memory {\n enabled = true\n threshold = 101\n }\n}'), "expected resources_monitoring.0.memory.0.threshold to be in the range (0 - 100), got 101", "", HEADER),
    (agent('resources_monitoring {\n volume {\n path = "rel"\n enabled = true\n threshold = 1\n }\n}'), "volume path must be an absolute path", "", HEADER),
    (agent('metadata {\n key = "k"\n script = ""\n interval = 1\n}\nmetadata {\n key = "k"\n script = ""\n interval = 1\n}'), 'duplicate agent metadata key "k"', "", HEADER),
    (app('command = "x"\nsubdomain = true'), "Conflicting configuration arguments", '"command": conflicts with subdomain', 'command = "x"'),
    (app('external = false\nshare = "owner"'), "Conflicting configuration arguments", '"external": conflicts with share', "external = false"),
    (app('share = "all"'), 'invalid app share "all"', None, 'share = "all"'),
    (app('open_in = "window"'), 'invalid "coder_app" open_in value', None, 'open_in = "window"'),
    (app('icon = ":x"'), 'parse ":x": missing protocol scheme', "", 'icon = ":x"'),
    (app('display_name = "%s"' % ("x" * 65)), "display name is too long (max 64 characters)", "", None),
    ('resource "coder_app" "a" {\n agent_id = "x"\n slug = "a--b"\n}\n', 'invalid "coder_app" slug', None, 'slug = "a--b"'),
    ('resource "coder_env" "e" {\n agent_id = "x"\n name = "1A"\n}\n', "invalid value for name (must be a valid environment variable name)", "", 'name = "1A"'),
    ('resource "coder_script" "s" {\n agent_id = "x"\n display_name = "d"\n script = "s"\n timeout = 0\n}\n', "expected timeout to be at least (1), got 0", "", "timeout = 0"),
    ('resource "coder_script" "s" {\n agent_id = "x"\n display_name = "d"\n script = "s"\n cron = "0 0 25 * * *"\n}\n', "0 0 25 * * * is not a valid cron expression: end of range (25) above maximum (23): 25", "", 'cron = "0 0 25 * * *"'),
    ('resource "coder_metadata" "m" {\n resource_id = "x"\n item {\n key = "k"\n is_null = true\n }\n}\n', "Value for unconfigurable attribute", None, "is_null = true"),
    ('resource "coder_devcontainer" "d" {\n agent_id = "x"\n workspace_folder = ""\n}\n', 'expected "workspace_folder" to not be an empty string, got ', "", 'workspace_folder = ""'),
    ('resource "coder_ai_task" "t" {\n app_id = "{5b1d6f0a-9c3e-4f0b-8a57-0123456789ac}"\n}\n', 'expected "app_id" to be a valid UUID, got {5b1d6f0a-9c3e-4f0b-8a57-0123456789ac}', "", None),
    ('provider "coder" {\n url = ""\n}\ndata "coder_workspace" "w" {}\n', 'CODER_AGENT_URL must not be empty; got ""', "", HEADER),
    ('provider "coder" {\n url = "http://[::1"\n}\ndata "coder_workspace" "w" {}\n', "parse \"http://[::1\": missing ']' in host", "", 'url = "http://[::1"'),
    ('data "coder_external_auth" "a" {\n id = ""\n}\n', "id is required", "", HEADER),
    ('data "coder_secret" "s" {\n help_message = "h"\n}\n', "exactly one of `env` or `file` must be set", "", HEADER),
    (parameter('type = ""'), 'expected type to be one of ["string" "number" "bool" "list(string)"], got ', "", 'type = ""'),
    (parameter("order = 1.5"), "Attribute must be a whole number, got 1.5", "", "order = 1.5"),
    (parameter("ephemeral = true"), "parameter can't be immutable and ephemeral", "", HEADER),
    (parameter("ephemeral = true\nmutable = true"), "ephemeral parameter requires the default property", "", HEADER),
    (parameter('type = "bool"\nform_type = "slider"'), "Invalid form_type for parameter", None, 'form_type = "slider"'),
    (parameter(option("a", "1") + option("a", "2")), "Option names must be unique.", None, None),
    (parameter(option("a", "1") + option("b", "1")), "Option values must be unique.", None, None),
    (parameter('type = "number"\n' + option("a", "x")), 'Option "a" with value="x" is not of type "number"', None, None),
    (parameter('default = "z"\n' + option("a", "x")), "Default value must be a valid option", None, 'default = "z"'),
    (parameter('type = "list(string)"\nform_type = "multi-select"\ndefault = jsonencode(["q", "r"])\n' + option("a", "x")), "Default values must be a valid option", None, None),
    (parameter('type = "number"\ndefault = 2\nvalidation {\n min = 3\n}'), "Invalid parameter default value according to 'validation' block", "value 2 is less than the minimum 3", "default = 2"),
    (parameter('type = "number"\ndefault = 9\nvalidation {\n max = 7\n error = "{value} is over {max}, not {min}"\n}'), "Invalid parameter default value according to 'validation' block", "9 is over 7, not 0", "default = 9"),
    (parameter('type = "string"\ndefault = "b"\nvalidation {\n regex = "^a+$"\n error = "only a"\n}'), "Invalid parameter default value according to 'validation' block", 'only a (value "b" does not match "^a+$")', 'default = "b"'),
    (parameter('validation {\n regex = "x"\n min = 1\n}'), "Conflicting configuration arguments", '"validation.0.regex": conflicts with validation.0.min', 'regex = "x"'),
    (parameter('type = "number"\ndefault = "abc"'), 'Parameter value is not of type "number"', '"abc" is not a number', 'default = "abc"'),
    (preset('description = "%s"' % ("d" * 129)), "expected length of description to be in the range (0 - 128), got " + "d" * 129, "", None),
    (preset("prebuilds {\n instances = -1\n}"), "expected prebuilds.0.instances to be at least (0), got -1", "", HEADER),
    (schedules("0 8 * * *"), 'cron spec failed validation: minute field should be *, got "0"', "", HEADER),
    (schedules("* 8 * * *", zone="utc+1"), 'failed to load timezone "utc+1": unknown time zone utc+1', "", HEADER),
    (schedules("* 8-18 * * 1-5", "* 17 * * 5"), "schedules overlap with each other: schedules overlap: * 8-18 * * 1-5 and * 17 * * 5", "", HEADER),
    (schedules("* 8-18 * * mon", "* 17 * * 5"), "schedules overlap with each other: invalid schedule: invalid day-of-week range", None, HEADER),
]


class ErrorsTest(ProviderTest):
    def test_refused_configurations(self):
        for text, summary, detail, line in ROWS:
            with self.subTest(text=text):
                found = self.errors(text)
                self.assertTrue(found[0][0].startswith(summary), found)
                if detail is not None:
                    self.assertEqual(found[0][1], detail)
                if line is not None:
                    self.assertEqual(found[0][2], line)
                elif summary.startswith(("CODER", "resources", "id is", "exactly", "schedules")):
                    self.assertRegex(found[0][2], "^(resource|data|provider) ")

    def test_accepted_configurations(self):
        rows = [
            schedules("* 8-12 * * 1-5", "* 13-18 * * 1-5"),
            schedules("* 8 1 * 1", "* 8 2 * 2"),
            schedules("* 8 * * mon", zone=""),
            parameter('type = "number"\ndefault = 1.5'),
            parameter("validation {\n}"),
            parameter('default = "0x1p-2"\ntype = "number"'),
            parameter('type = "list(string)"\ndefault = "null"'),
            app('icon = "/icon/a b.svg"\nsubdomain = true\nurl = "http://x y"'),
            'resource "coder_script" "s" {\n agent_id = "x"\n display_name = "d"\n script = "s"\n cron = "@every 1h30m"\n}\n',
            'resource "coder_script" "s" {\n agent_id = "x"\n display_name = "d"\n script = "s"\n cron = "CRON_TZ=Europe/Berlin 0 */5 8-18/2 ? JAN-mar Sun"\n}\n',
        ]
        for text in rows:
            with self.subTest(text=text):
                self.config(text)
                self.run_ok("plan", "-no-color")

    def test_warnings(self):
        rows = [
            (agent('dir = "$HOME"'), ["Argument is deprecated"]),
            (agent('dir = "/x"'), ["Argument is deprecated", "A working directory", "Set the directory"]),
            ('resource "coder_ai_task" "t" {\n sidebar_app {\n id = "5b1d6f0a-9c3e-4f0b-8a57-0123456789ac"\n }\n}\n', ["Argument is deprecated"]),
            ('resource "coder_script" "s" {\n agent_id = "x"\n display_name = "d"\n script = "s"\n cron = "0 22 * * *"\n}\n', ['The cron expression "0 22 * * *" has five fields']),
        ]
        for text, summaries in rows:
            with self.subTest(text=text):
                self.config(text)
                shown = json.loads(self.run_ok("validate", "-json").out)["diagnostics"]
                # Terraform warns of deprecated arguments itself too.
                found = [d["summary"] for d in shown if not d["summary"].startswith("Deprecated")]
                self.assertEqual([f[: len(s)] for f, s in zip(found, summaries)], summaries)
                self.assertEqual(len(found), len(summaries), found)

    def test_hidden_apps_warn_when_created(self):
        self.config(app('hidden = true\nicon = "/i"\norder = 1'))
        found = [d["summary"] for d in self.apply().diagnostics()]
        self.assertEqual(found, ["`icon` set when app is hidden", "`order` set when app is hidden"])

    def test_a_secret_is_demanded_at_start(self):
        text = 'data "coder_secret" "s" {\n env = "TOKEN"\n help_message = "Ask Bob."\n}\n'
        found = self.errors(text, CODER_WORKSPACE_BUILD_ID="b", CODER_WORKSPACE_TRANSITION="start")
        self.assertEqual(found[0][0], 'Missing required secret: environment variable "TOKEN"')
        self.assertIn("Ask Bob.", found[0][1])
        for env in ({"CODER_WORKSPACE_BUILD_ID": "b"}, {"CODER_WORKSPACE_BUILD_ID": "b", "CODER_WORKSPACE_TRANSITION": "stop"}):
            self.run_ok("plan", **env)

    def test_bad_variables_are_named(self):
        rows = [
            ({"CODER_WORKSPACE_OWNER_GROUPS": ""}, "invalid user groups"),
            ({"CODER_WORKSPACE_OWNER_RBAC_ROLES": "{}"}, "invalid user rbac roles"),
            ({"CODER_TASK_ID": "broken"}, "CODER_TASK_ID is not a UUID: invalid UUID length: 6"),
            ({"CODER_WORKSPACE_BUILD_ID": "b"}, "template ID is missing: CODER_WORKSPACE_TEMPLATE_ID is required"),
        ]
        text = 'data "coder_workspace" "w" {}\ndata "coder_workspace_owner" "o" {}\ndata "coder_task" "t" {}\n'
        for env, summary in rows:
            with self.subTest(env=env):
                found = self.errors(text, **env)
                self.assertEqual([f[0][: len(summary)] for f in found], [summary])

    def test_import_is_refused(self):
        self.config(agent(""))
        result = self.run_terraform("import", "-no-color", "coder_agent.a", "some-id")
        self.assertEqual(result.code, 1)
        self.assertIn("resource coder_agent doesn't support import", result.err)


INPUT = "CODER_PARAMETER_" + hashlib.sha256(b"p").hexdigest()
PREVIOUS = "CODER_PARAMETER_PREVIOUS_" + hashlib.sha256(b"p").hexdigest()


class ParameterTest(ProviderTest):
    def test_values(self):
        number = 'type = "number"\nmutable = true\n'
        rising = 'validation {\n monotonic = "increasing"\n}'
        rows = [
            # body, input, previous, value or a summary, detail
            ("", None, None, ("", False), None),
            ('default = ""', None, None, ("", True), None),
            ("default = null", None, None, ("", False), None),
            ('default = "d"', "given", None, ("given", True), None),
            ('default = "d"', "", None, ("", True), None),
            (number + "default = 5\nvalidation {\n min = 3\n max = 7\n}", None, None, ("5", True), None),
            (number + "default = 5\nvalidation {\n min = 1\n max = 3\n}", "3", None, ("3", True), None),
            (number + "default = 5\nvalidation {\n min = 1\n max = 3\n}", "4", None, "Invalid parameter value", "value 4 is more than the maximum 3"),
            (number + "validation {\n min = 1\n}", None, None, "Invalid parameter value", 'value "" is not a number'),
            (number + "default = 5\n" + rising, None, "6", "Invalid parameter default value", "parameter value '5' must be equal or greater than previous value: 6"),
            (number + "default = 5\n" + rising, None, "a", ("5", True), None),
            (number + "default = 5\n" + rising, "5", "5", ("5", True), None),
            (number + 'default = 1\nvalidation {\n monotonic = "up"\n}', None, None, "Invalid parameter default value", 'number monotonicity can be either "increasing" or "decreasing"'),
            (number + "default = 5\n" + "".join(option(v, v) for v in "1379"), None, None, "Default value must be a valid option", None),
            (number, "1e3", None, ("1e3", False), None),
            (number, "0x10", None, 'Parameter value is not of type "number"', '"0x10" is not a number'),
            (number + "validation {\n min = 0\n}", "99999999999999999999", None, "Invalid parameter value", 'value "99999999999999999999" is not a number'),
            ('type = "bool"', "T", None, ("T", False), None),
            ('type = "bool"\nvalidation {\n}', "T", None, "Invalid parameter value", 'boolean value can be either "true" or "false"'),
            ('type = "list(string)"', '["a",null]', None, ('["a",null]', False), None),
            ('type = "list(string)"', '["a"]]', None, 'Parameter value is not of type "list(string)"', None),
            ('type = "list(string)"\nform_type = "multi-select"\n' + option("x", "x"), "c", None, "Value must be a json encoded list of strings", None),
            ('type = "list(string)"\nform_type = "multi-select"\n' + option("x", "x"), '["x","q","r"]', None, "Values must be a valid option", 'the values "q, r" are not among the options: x'),
            ('validation {\n regex = "(?=a)"\n error = "e"\n}', "a", None, "Invalid parameter value", 'compile regex "(?=a)": invalid or unsupported Perl syntax: `(?=a`'),
            ('type = "string"\nvalidation {\n monotonic = "increasing"\n}', "a", None, "Invalid parameter value", "monotonic validation can only be specified for number types, not string types"),
        ]
        for body, given, previous, expected, detail in rows:
            env = {}
            if given is not None:
                env[INPUT] = given
            if previous is not None:
                env[PREVIOUS] = previous
            with self.subTest(body=body, given=given, previous=previous):
                if isinstance(expected, tuple):
                    self.config(parameter(body))
                    self.apply(**env)
                    got = self.state()["data.coder_parameter.p"]
                    self.assertEqual((got["value"], got["optional"]), expected)
                else:
                    found = self.errors(parameter(body), **env)
                    self.assertTrue(found[0][0].startswith(expected), found)
                    if detail is not None:
                        self.assertEqual(found[0][1], detail)

    def test_results(self):
        self.config(
            parameter('default = ""\nstyling = ""\nvalidation {\n}')
            + 'data "coder_parameter" "q" {\n name = "q"\n type = "bool"\n default = true\n order = 3\n}\n'
            + 'data "coder_parameter" "r" {\n name = "r"\n type = "number"\n form_type = "slider"\n validation {\n min = 1\n }\n default = 1\n}\n'
        )
        self.apply()
        state = self.state()
        p = state["data.coder_parameter.p"]
        self.assertEqual((p["default"], p["optional"], p["value"], p["styling"]), (None, True, "", None))
        self.assertEqual((p["form_type"], p["mutable"], p["option"], p["icon"]), ("input", False, None, None))
        self.assertEqual(
            p["validation"],
            [{"min": 0, "max": 0, "min_disabled": True, "max_disabled": True, "monotonic": "", "regex": "", "error": ""}],
        )
        q = state["data.coder_parameter.q"]
        self.assertEqual((q["value"], q["form_type"], q["order"], q["validation"], q["styling"]), ("true", "checkbox", 3, [], "{}"))
        r = state["data.coder_parameter.r"]["validation"][0]
        self.assertEqual((r["min"], r["min_disabled"], r["max_disabled"]), (1, False, True))


if __name__ == "__main__":
    unittest.main()
