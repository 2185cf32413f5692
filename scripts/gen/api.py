#!/usr/bin/python3
"""Generates from the descriptors of proto/api/*.proto what speaks the HTTP API's JSON:

  <out>/api/<file>.h, <file>.c   a plain struct and a field table per message (libcommon/codec/fields.h)
  <out>/api/all.h, all.c         every table in one list, and the OpenAPI components as text
  <out>/api.ts                   the dashboard's types
  <out>/openapi.json             components.schemas of an OpenAPI 3 document

Usage: api.py DESCRIPTOR_SET OUT      with protoc --include_imports --descriptor_set_out=DESCRIPTOR_SET
       api.py --descriptor-proto FILE  writes google/protobuf/descriptor.proto for protoc --descriptor_set_in,
                                       since Debian's protoc comes without it
The options are described in proto/api/options.proto.
"""
import json
import os
import re
import sys

from google.protobuf import descriptor_pb2 as pb
from google.protobuf import descriptor_pool

F = pb.FieldDescriptorProto
KEYWORDS = {"default", "new", "enum", "register", "static", "switch", "case", "break", "int", "long",
            "short", "struct", "signed", "union", "void", "volatile", "goto", "if", "else"}
SCALARS = {F.TYPE_STRING: "STR", F.TYPE_BYTES: "BYTES", F.TYPE_INT64: "I64", F.TYPE_DOUBLE: "F64",
           F.TYPE_BOOL: "BOOL"}
MARKERS = {".api.Uuid": "UUID", ".api.Time": "TIME", ".api.Json": "RAW"}
C_TYPES = {"STR": "struct cm_str", "RAW": "struct cm_str", "BYTES": "struct cm_str", "UUID": "struct cm_uuid",
           "TIME": "struct cm_time", "I64": "int64_t", "F64": "double", "BOOL": "bool"}
TS_TYPES = {"STR": "string", "RAW": "unknown", "BYTES": "string", "UUID": "string", "TIME": "string",
            "I64": "number", "F64": "number", "BOOL": "boolean"}
OPENAPI_TYPES = {"STR": {"type": "string"}, "RAW": {}, "BYTES": {"type": "string", "format": "byte"},
                 "UUID": {"type": "string", "format": "uuid"},
                 "TIME": {"type": "string", "format": "date-time"},
                 "I64": {"type": "integer", "format": "int64"}, "F64": {"type": "number"},
                 "BOOL": {"type": "boolean"}}
PRESENT_BY_VALUE = {"STR", "RAW", "BYTES", "UUID", "TIME", "ENUM", "MSG"}


def die(where, what):
    sys.exit(f"api.py: {where}: {what}")


def snake(name):
    name = re.sub(r"([A-Z]+)([A-Z][a-z])", r"\1_\2", name)
    return re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name).lower()


def c_string(text):
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


class Options:
    """Values of our extensions, by name."""

    def __init__(self, pool, msg):
        self.values = {}
        for ext, value in msg.ListFields():
            if ext.is_extension:
                self.values[ext.name] = value

    def __getattr__(self, name):
        return self.values.get(name)


class Enum:
    def __init__(self, api, d):
        self.name, self.c = d.name, "api_" + snake(d.name)
        o = Options(api.pool, d.options)
        self.schema = o.enum_schema or "codersdk." + d.name
        self.or_empty = bool(o.or_empty)
        prefix = snake(d.name).upper() + "_"
        self.values = []
        for i, v in enumerate(d.value):
            if v.number != i:
                die(d.name, f"{v.name} must be number {i}: values count from 0 without gaps")
            if not v.name.startswith(prefix):
                die(d.name, f"{v.name} must start with {prefix}")
            text = Options(api.pool, v.options).text
            if text is None:
                text = "" if i == 0 else v.name[len(prefix):].lower()
            self.values.append(("API_" + v.name, text))
        if d.value[0].name != prefix + "UNSET":
            die(d.name, f"the first value must be {prefix}UNSET")

    def texts(self):
        """What clients see."""
        return [t for i, (_, t) in enumerate(self.values) if i > 0 or t or self.or_empty]


class Field:
    def __init__(self, api, owner, d):
        o = Options(api.pool, d.options)
        where = f"{owner.name}.{d.name}"
        self.name = o.json if o.json is not None else d.name
        self.member = d.name + ("_" if d.name in KEYWORDS else "")
        self.repeated = d.label == F.LABEL_REPEATED
        self.msg = self.en = None
        entry = api.map_entry(d)
        if entry:
            self.type = "MAP"
            if entry.fields[1].type != "STR":
                self.msg = entry
                api.entries.append(entry)
            self.value = entry.fields[1]
        elif d.type_name in MARKERS:
            self.type = MARKERS[d.type_name]
        elif d.type == F.TYPE_MESSAGE:
            self.type, self.msg = "MSG", d.type_name.rsplit(".", 1)[1]
        elif d.type == F.TYPE_ENUM:
            self.type, self.en = "ENUM", api.enums[d.type_name.rsplit(".", 1)[1]]
        elif d.type in SCALARS:
            self.type = SCALARS[d.type]
        else:
            die(where, "use string, bytes, int64, double, bool, Uuid, Time, Json, a message or an enum")
        self.optional = d.proto3_optional
        many = self.repeated or entry
        if self.optional and self.type == "MSG":
            die(where, "a message is absent when its pointer is NULL: drop `optional`")
        default = "OMIT" if self.optional else "ZERO"
        if self.type == "MSG" and not many and not owner.entry:
            default = "NULL"
        self.empty = {None: default, 1: "ZERO", 2: "NULL", 3: "OMIT"}[o.empty]
        if self.empty == "NULL" and not self.optional and self.type not in PRESENT_BY_VALUE:
            die(where, "null needs `optional` for this type")
        if many and self.empty == "NULL":
            die(where, "a list that shows as null says (null_list)")
        self.null_list, self.required, self.secret = bool(o.null_list), bool(o.required), bool(o.secret)
        self.max, self.rule = o.max or 0, o.rule
        self.bit = None

    def element(self):
        if self.type == "MSG":
            return f"struct api_{snake(self.msg)}"
        if self.type == "ENUM":
            return f"enum {self.en.c}"
        if self.type == "MAP":
            return f"struct api_{snake(self.msg.name)}" if self.msg else "struct cm_pair"
        return C_TYPES[self.type]

    def many(self):
        return self.repeated or self.type == "MAP"

    def declaration(self):
        pointer = self.many() or self.type == "MSG"
        line = f"{self.element()} {'*' if pointer else ''}{self.member};"
        return line + (f"\n    size_t n_{self.member};" if self.many() else "")

    def row(self, owner):
        at = f"offsetof(struct {owner.c}, "
        parts = [f".name = {c_string(self.name)}", f".name_len = {len(self.name)}",
                 f".key = {c_string(',' + json.dumps(self.name) + ':')}", f".type = CM_FT_{self.type}",
                 f".has_bit = {'CM_FIELD_NO_BIT' if self.bit is None else self.bit}",
                 f".offset = {at}{self.member})"]
        if self.many():
            parts.append(f".n_offset = {at}n_{self.member})")
        if self.repeated and self.type != "MAP":
            parts.append(".repeated = true")
        if self.empty != "ZERO":
            parts.append(f".empty = CM_EMPTY_{self.empty}")
        for flag in ("required", "null_list", "secret"):
            if getattr(self, flag):
                parts.append(f".{flag} = true")
        if self.max:
            parts.append(f".max_len = {self.max}")
        if self.rule:
            parts.append(f".rule = {c_string(self.rule)}")
        if self.msg:
            parts.append(f".msg = &api_{snake(self.msg if isinstance(self.msg, str) else self.msg.name)}_msg")
        if self.en:
            parts.append(f".en = &{self.en.c}_enum")
        return "    {" + ", ".join(parts) + "},"

    def one_ts(self):
        if self.type == "MSG":
            return self.msg
        return self.en.name if self.en else TS_TYPES[self.type]

    def ts(self):
        if self.type == "MAP":
            text = f"Readonly<Record<string, {self.value.ts()}>>"
        else:
            text = f"readonly {self.one_ts()}[]" if self.repeated else self.one_ts()
        null = self.empty == "NULL" or (self.null_list and self.empty != "OMIT")
        return text + (" | null" if null else "")

    def openapi(self, api):
        if self.type == "MAP":
            schema = {"type": "object", "additionalProperties": self.value.openapi(api)}
        else:
            if self.type == "MSG":
                schema = {"$ref": "#/components/schemas/" + api.by_name[self.msg].schema}
            elif self.en:
                schema = {"$ref": "#/components/schemas/" + self.en.schema}
            else:
                schema = dict(OPENAPI_TYPES[self.type])
            if self.repeated:
                schema = {"type": "array", "items": schema}
        if self.empty == "NULL" or self.null_list:
            schema = {"allOf": [schema], "nullable": True} if "$ref" in schema else {**schema, "nullable": True}
        return schema


class Message:
    def __init__(self, api, d, name=None):
        o = Options(api.pool, d.options)
        self.d, self.name = d, name or d.name
        self.c = "api_" + snake(self.name)
        self.entry = d.options.map_entry
        self.bare = bool(o.bare)
        self.schema = o.schema or "codersdk." + self.name
        self.fields = []

    def load(self, api):
        self.fields = [Field(api, self, f) for f in self.d.field]
        if self.bare and len(self.fields) != 1:
            die(self.name, "a bare message has one field")
        if not self.fields:
            die(self.name, "a message has at least one field")
        bit = 0
        for f in self.fields:
            if f.optional:
                f.bit, bit = bit, bit + 1
        self.words = (bit + 31) // 32

    def header(self):
        out = [f"struct {self.c} {{"]
        if self.words:
            out.append(f"    uint32_t has[{self.words}];")
        out += [f"    {f.declaration()}" for f in self.fields] + ["};"]
        bits = [f"    {self.c.upper()}_HAS_{f.member.rstrip('_').upper()} = {f.bit}," for f in self.fields
                if f.bit is not None]
        if bits:
            out += [f"enum {{ /* bits of struct {self.c}.has */"] + bits + ["};"]
        return out + [f"extern const struct cm_message {self.c}_msg;", ""]

    def source(self):
        rows = [f.row(self) for f in self.fields]
        has = f", .has_offset = offsetof(struct {self.c}, has)" if self.words else ""
        bare = ", .bare = true" if self.bare else ""
        return [f"static const struct cm_field {self.c}_fields[] = {{"] + rows + ["};",
                f"const struct cm_message {self.c}_msg = {{.name = {c_string(self.name)}, "
                f".size = sizeof(struct {self.c}), .fields = {self.c}_fields, "
                f".n_fields = CM_COUNT_OF({self.c}_fields){has}{bare}}};", ""]

    def ts(self):
        if self.bare:
            return [f"export type {self.name} = {self.fields[0].ts()};", ""]
        rows = []
        for f in self.fields:
            key = f.name if re.fullmatch(r"\w+", f.name) else json.dumps(f.name)
            rows.append(f"  readonly {key}{'?' if f.empty == 'OMIT' else ''}: {f.ts()};")
        return [f"export interface {self.name} {{"] + rows + ["}", ""]

    def openapi(self, api):
        if self.bare:
            return self.fields[0].openapi(api)
        schema = {"type": "object", "properties": {f.name: f.openapi(api) for f in self.fields}}
        required = [f.name for f in self.fields if f.required]
        return {**schema, "required": required} if required else schema


class Api:
    def __init__(self, data):
        self.pool = descriptor_pool.Default()
        for f in pb.FileDescriptorSet.FromString(data).file:
            if f.name.endswith("/options.proto"):
                self.pool.AddSerializedFile(f.SerializeToString())
        # A second parse: now the runtime knows our extensions.
        files = [f for f in pb.FileDescriptorSet.FromString(data).file
                 if f.package == "api" and not f.name.endswith("/options.proto")]
        self.enums, self.by_name, self.files, self.entries = {}, {}, [], []
        for f in files:
            for e in f.enum_type:
                self.enums[e.name] = Enum(self, e)
            for d in f.message_type:
                self.by_name[d.name] = Message(self, d)
        for f in files:
            messages = []
            for d in f.message_type:
                m = self.by_name[d.name]
                self.entries = []
                m.load(self)
                messages += self.entries + [m]
            base = os.path.splitext(os.path.basename(f.name))[0]
            includes = [os.path.splitext(os.path.basename(i))[0] for i in f.dependency
                        if not i.endswith("/options.proto")]
            self.files.append((base, includes, [self.enums[e.name] for e in f.enum_type], messages))
        for m in self.by_name.values():
            self.check_cycles(m)

    def check_cycles(self, m, above=()):
        """A message that shows its zero members must not contain itself that way."""
        if m.name in above:
            die(m.name, "contains itself: one of the fields on the way must be OMIT or NULL")
        for f in m.fields:
            if f.type == "MSG" and not f.repeated and f.empty == "ZERO":
                self.check_cycles(self.by_name[f.msg], above + (m.name,))

    def map_entry(self, field):
        """The message of a map's entries, or None."""
        if field.type != F.TYPE_MESSAGE or field.label != F.LABEL_REPEATED:
            return None
        parts = field.type_name.split(".")
        owner = self.by_name.get(parts[-2])
        for nested in owner.d.nested_type if owner else []:
            if nested.name == parts[-1] and nested.options.map_entry:
                m = Message(self, nested, owner.name + nested.name)
                m.load(self)
                return m
        return None


HEAD = "/* Generated by scripts/gen/api.py from proto/api/{}.proto. */\n"


def write(path, lines):
    text = "\n".join(lines).rstrip("\n") + "\n"
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)


def write_header(out, base, includes, enums, messages):
    lines = [HEAD.format(base) + "#pragma once", "", '#include "codec/fields.h"']
    lines += [f'#include "api/{i}.h"' for i in includes] + [""]
    used = {f.msg for m in messages for f in m.fields if isinstance(f.msg, str)}
    lines += [f"struct api_{snake(n)};" for n in sorted(used | {m.name for m in messages})] + [""]
    for e in enums:
        lines += [f"enum {e.c} {{"] + [f"    {c}," for c, _ in e.values] + ["};"]
        lines += [f"extern const struct cm_enum {e.c}_enum;", ""]
    for m in messages:
        lines += m.header()
    write(f"{out}/api/{base}.h", lines)


def write_source(out, base, enums, messages):
    lines = [HEAD.format(base) + f'#include "api/{base}.h"', ""]
    used = {f.msg for m in messages for f in m.fields if isinstance(f.msg, str)}
    lines += [f"extern const struct cm_message api_{snake(n)}_msg;" for n in sorted(used)] + [""]
    for e in enums:
        texts = ", ".join(c_string(t) for _, t in e.values)
        lines += [f"static const char *const {e.c}_texts[] = {{{texts}}};",
                  f"const struct cm_enum {e.c}_enum = {{{c_string(e.name)}, {e.c}_texts, "
                  f"CM_COUNT_OF({e.c}_texts)}};", ""]
    for m in messages:
        lines += m.source()
    write(f"{out}/api/{base}.c", lines)


def write_all(out, api, openapi):
    names = [m for _, _, _, ms in api.files for m in ms if not m.entry]
    head = "/* Generated by scripts/gen/api.py from proto/api/. */\n"
    write(f"{out}/api/all.h", [
        head + "#pragma once", "", '#include "codec/fields.h"', "",
        "/* One row per message: its table, and its name in the OpenAPI document. */",
        "struct api_listing {", "    const struct cm_message *msg;", "    const char *schema;", "};",
        "extern const struct api_listing api_listings[];", "extern const size_t api_n_listings;", "",
        "/* components.schemas of the OpenAPI document, as JSON. */", "extern const char api_openapi_schemas[];"])
    lines = [head + '#include "api/all.h"', ""]
    lines += [f"extern const struct cm_message {m.c}_msg;" for m in names] + [""]
    lines += ["const struct api_listing api_listings[] = {"]
    lines += [f"    {{&{m.c}_msg, {c_string(m.schema)}}}," for m in names] + ["};"]
    lines += ["const size_t api_n_listings = CM_COUNT_OF(api_listings);", "", "const char api_openapi_schemas[] ="]
    text = json.dumps(openapi, separators=(",", ":"))
    lines += ["    " + c_string(text[i:i + 100]) for i in range(0, len(text), 100)] + ["    ;"]
    write(f"{out}/api/all.c", lines)


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    if sys.argv[1] == "--descriptor-proto":
        with open(sys.argv[2], "wb") as f:
            f.write(pb.FileDescriptorSet(file=[pb.FileDescriptorProto.FromString(pb.DESCRIPTOR.serialized_pb)])
                    .SerializeToString())
        return
    with open(sys.argv[1], "rb") as f:
        api = Api(f.read())
    out = sys.argv[2]
    os.makedirs(f"{out}/api", exist_ok=True)
    ts = ["// Generated by scripts/gen/api.py from proto/api/.", ""]
    schemas = {}
    for base, includes, enums, messages in api.files:
        write_header(out, base, includes, enums, messages)
        write_source(out, base, enums, messages)
        for e in enums:
            ts += [f"export type {e.name} = " + " | ".join(json.dumps(t) for t in e.texts()) + ";", ""]
            schemas[e.schema] = {"type": "string", "enum": e.texts()}
        for m in messages:
            if not m.entry:
                ts += m.ts()
                schemas[m.schema] = m.openapi(api)
    write(f"{out}/api.ts", ts)
    write(f"{out}/openapi.json", [json.dumps({"components": {"schemas": schemas}}, indent=1)])
    write_all(out, api, schemas)


if __name__ == "__main__":
    main()
