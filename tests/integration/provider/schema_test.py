"""The schema that terraform sees is the one that templates are written for."""

import json
import os
import pathlib
import unittest

from provider_test import ProviderTest

EXPECTED = pathlib.Path(__file__).parent / "schema.json"


def strip(node):
    """Drops what is free text, and what terraform leaves out or writes as its default."""
    if isinstance(node, list):
        return [strip(n) for n in node]
    if not isinstance(node, dict):
        return node
    return {k: strip(v) for k, v in node.items() if k not in ("description", "description_kind") and v != {}}


class SchemaTest(ProviderTest):
    def test_schema_equals_the_public_one(self):
        self.config("")
        shown = json.loads(self.run_ok("providers", "schema", "-json").out)
        ours = shown["provider_schemas"]["registry.terraform.io/coder/coder"]
        expected = json.loads(EXPECTED.read_text())
        for part in ("provider", "resource_schemas", "data_source_schemas"):
            self.assertEqual(strip(ours[part]), strip(expected[part]), part)
        self.assertEqual(len(ours["resource_schemas"]), 9)
        self.assertEqual(len(ours["data_source_schemas"]), 9)

    def test_every_argument_is_described(self):
        self.config("")
        shown = json.loads(self.run_ok("providers", "schema", "-json").out)
        ours = shown["provider_schemas"]["registry.terraform.io/coder/coder"]
        missing = []

        def walk(where, block):
            for name, a in block.get("attributes", {}).items():
                if name != "id" and not a.get("description"):
                    missing.append(f"{where}.{name}")
            for name, b in block.get("block_types", {}).items():
                walk(f"{where}.{name}", b["block"])

        for part in ("resource_schemas", "data_source_schemas"):
            for name, schema in ours[part].items():
                walk(name, schema["block"])
        self.assertEqual(missing, [])


if __name__ == "__main__":
    unittest.main()
