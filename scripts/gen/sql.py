#!/usr/bin/python3
"""Turns the SQL of a store into typed C functions.

  sql.py queries OUT FILE.sql...      OUT/store/<file>.h, .c and OUT/store/statements.h, .c
  sql.py migrations OUT FILE.sql...   OUT/store/migrations.h, .c

A file of queries holds directives, comments and statements:

  -- include api/users.h
  -- row store_group: id uuid, name text, deleted_at time?, tags jsonmap,
  --     member_ids uuid[], status enum api_user_status, roles msg api_slim_role[]
  -- Words about the next query, which go to the header.
  -- query store_group_by_id(id uuid, name text?) -> one store_group
  SELECT g.id, ... FROM groups g WHERE g.id = $id AND ($name IS NULL OR g.name = $name);

A directive goes on in comment lines that are indented by four spaces or more. Results: `one R` (none is
CM_NOT_FOUND), `optional R` (NULL), `many R` (array and count), `exec` (rows affected). R is a row of this
program's SQL files, a struct of proto/api (with its include), or int, text, uuid, bool, time, float, bytes, json.

Types: bool int float text uuid time bytes json jsonmap, `enum X` (text in SQL, X names a cm_enum), in rows also
`msg X` (jsonb); X[] is an array of any but jsonmap; ? may be NULL. In C a nullable parameter is a pointer
(text, bytes, json: ptr NULL; enum: 0); a nullable column has a bit: cm_has(row->has, STORE_GROUP_HAS_DELETED_AT).
`-- fragment name` begins a piece of SQL that {{name}} stands for in the statements of the file.
In a statement {w} stands for all columns of the result row, each as w.column; {w - a, b} leaves a and b out.
A query of more than six parameters takes them in a struct <query>_args, by pointer. For a query x there are
x(db, arena, parameters, results, err) and, for batches (db/db.h), x_batch(batch, parameters, results).
"""
import os
import re
import sys

MANY_PARAMS = 6
KEYWORDS = {"default", "new", "enum", "register", "static", "switch", "case", "break", "int", "long", "short",
            "union", "struct", "signed", "void", "volatile", "goto", "if", "else", "char", "float", "double"}
RESERVED = {"db", "a", "b", "q", "err", "ret", "ret_n", "args", "out"}

# type: C type, field type, parameter type, setter, setter of lists
TYPES = {
    "bool": ("bool", "BOOL", "BOOL", "bool", "bools"),
    "int": ("int64_t", "I64", "INT", "int", "ints"),
    "float": ("double", "F64", "FLOAT", "float", "floats"),
    "text": ("struct cm_str", "STR", "TEXT", "text", "texts"),
    "uuid": ("struct cm_uuid", "UUID", "UUID", "uuid", "uuids"),
    "time": ("struct cm_time", "TIME", "TIME", "time", "times"),
    "bytes": ("struct cm_str", "BYTES", "BYTES", "bytes", "bytes_list"),
    "json": ("struct cm_str", "RAW", "JSON", "json", None),
    "jsonmap": ("struct cm_pair", "MAP", "TEXT_ARRAY", None, "pairs"),
}
BY_PTR_NULL = {"text", "bytes", "json"}  # a struct cm_str whose ptr is NULL


class Bad(Exception):
    pass


def c_string(text):
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def c_lines(text, width=88):
    """A C string literal over several lines, cut at spaces."""
    out = []
    while len(text) > width:
        cut = text.rfind(" ", 0, width)
        cut = cut + 1 if cut > 0 else width
        out.append(text[:cut])
        text = text[cut:]
    return "\n".join("    " + c_string(t) for t in out + [text])


def member(name):
    return name + "_" if name in KEYWORDS else name


def argument(name):
    return name + "_" if name in RESERVED else member(name)


class Type:
    def __init__(self, text):
        m = re.fullmatch(r"(?:(enum|msg)\s+)?([a-z_][a-z0-9_]*)(\[\])?(\?)?", text.strip())
        if not m:
            raise Bad(f"cannot read the type {text!r}")
        self.kind, self.base, self.array, self.null = m[1], m[2], bool(m[3]), bool(m[4])
        if not self.kind and self.base not in TYPES:
            raise Bad(f"unknown type {self.base!r}")
        if self.base == "jsonmap" and self.array:
            raise Bad("no arrays of jsonmap")

    @property
    def many(self):
        return self.array or self.base == "jsonmap"

    def c(self):
        if self.kind == "enum":
            return f"enum {self.base}"
        if self.kind == "msg":
            return f"struct {self.base}"
        return TYPES[self.base][0]

    def param_type(self):
        if self.kind == "msg":
            raise Bad("a parameter cannot be a message: pass json")
        kind = "TEXT" if self.kind == "enum" else TYPES[self.base][2]
        if self.array and self.kind == "enum":
            raise Bad("no arrays of enums as parameters: pass text[]")
        if self.array and not TYPES[self.base][4]:
            raise Bad(f"no arrays of {self.base} as parameters")
        return f"CM_DB_{kind}" + ("_ARRAY" if self.array else "")

    def declare(self, name):
        """As a parameter of a function or a member of an args struct."""
        if self.many:
            return [f"const {self.c()} *{name}", f"size_t n_{name}"]
        if self.null and self.kind != "enum" and self.base not in BY_PTR_NULL:
            return [f"const {self.c()} *{name}"]
        return [f"{self.c()} {name}"]

    def bind(self, value, count):
        if self.many:
            fn = f"cm_db_arg_{TYPES[self.base][4]}"
            if self.null:
                return f"CM_DB_ARG_LIST_OPT({fn}, q, {value}, {count});"
            return f"{fn}(q, {value}, {count});"
        opt = "_opt" if self.null else ""
        if self.kind == "enum":
            return f"cm_db_arg_enum{opt}(q, (int){value}, &{self.base}_enum);"
        return f"cm_db_arg_{TYPES[self.base][3]}{opt}(q, {value});"


def split_list(text):
    return [p.strip() for p in text.split(",") if p.strip()]


def named_types(text):
    out = []
    for part in split_list(text):
        m = re.fullmatch(r"([a-z_][a-z0-9_]*)\s+(.+)", part)
        if not m:
            raise Bad(f"expected `name type`, got {part!r}")
        if m[1] in [n for n, _ in out]:
            raise Bad(f"{m[1]} twice")
        out.append((m[1], Type(m[2])))
    return out


class Row:
    def __init__(self, file, text):
        m = re.fullmatch(r"([a-z_][a-z0-9_]*)\s*:\s*(.+)", text)
        if not m:
            raise Bad("expected `row name: column type, ...`")
        self.file, self.name, self.columns = file, m[1], named_types(m[2])
        # Lists are absent when empty: they need no bit.
        self.bits = [n for n, t in self.columns if t.null and not t.many and t.kind != "msg"]

    def header(self):
        out = [f"struct {self.name} {{"]
        if self.bits:
            out.append(f"    uint32_t has[{(len(self.bits) + 31) // 32}];")
        for n, t in self.columns:
            if t.many or t.kind == "msg":
                out.append(f"    {t.c()} *{member(n)};")
                if t.many:
                    out.append(f"    size_t n_{member(n)};")
            else:
                out.append(f"    {t.c()} {member(n)};")
        out.append("};")
        if self.bits:
            out.append(f"enum {{ /* bits of struct {self.name}.has */")
            out += [f"    {self.name.upper()}_HAS_{n.upper()} = {i}," for i, n in enumerate(self.bits)]
            out.append("};")
        return out + [f"extern const struct cm_message {self.name}_msg;", ""]

    def source(self):
        out = [f"static const struct cm_field {self.name}_fields[] = {{"]
        for n, t in self.columns:
            ft = {"enum": "ENUM", "msg": "MSG"}.get(t.kind) or TYPES[t.base][1]
            bit = self.bits.index(n) if n in self.bits else "CM_FIELD_NO_BIT"
            row = [f".name = {c_string(n)}", f".name_len = {len(n)}", f".type = CM_FT_{ft}", f".has_bit = {bit}",
                   f".offset = offsetof(struct {self.name}, {member(n)})"]
            if t.many:
                row.append(f".n_offset = offsetof(struct {self.name}, n_{member(n)})")
            if t.array:
                row.append(".repeated = true")
            if t.kind == "enum":
                row.append(f".en = &{t.base}_enum")
            if t.kind == "msg":
                row.append(f".msg = &{t.base}_msg")
            out.append("    {" + ", ".join(row) + "},")
        has = f", .has_offset = offsetof(struct {self.name}, has)" if self.bits else ""
        return out + ["};", f"const struct cm_message {self.name}_msg = {{.name = {c_string(self.name)}, "
                      f".size = sizeof(struct {self.name}), .fields = {self.name}_fields, "
                      f".n_fields = CM_COUNT_OF({self.name}_fields){has}}};", ""]


class Fragment:
    def __init__(self, text):
        if not re.fullmatch(r"[a-z_]+", text):
            raise Bad("expected `fragment name`")
        self.name, self.body = text, []

    def finish(self, _):
        self.text = squeeze("\n".join(self.body))
        if not self.text or self.text.endswith(";"):
            raise Bad(f"{self.name}: a fragment has text and no ;")


class Query:
    def __init__(self, file, text, doc):
        m = re.fullmatch(r"([a-z_][a-z0-9_]*)\s*\((.*)\)\s*->\s*(one|optional|many|exec)(?:\s+([a-z_][a-z0-9_]*))?", text)
        if not m:
            raise Bad("expected `query name(parameter type, ...) -> one|optional|many row, or exec`")
        self.file, self.name, self.params, self.want, self.result = file, m[1], named_types(m[2]), m[3], m[4]
        if re.search(r"_(batch|stmt|args|params|bind)$", self.name):
            raise Bad(f"{self.name}: such endings are the generator's")
        if len(self.name) > 62:
            raise Bad("a name of over 62 bytes")
        if (self.want == "exec") != (self.result is None):
            raise Bad("exec has no row, the others have one")
        for _, t in self.params:
            t.param_type()
        self.doc, self.body = doc, []

    def finish(self, fragments):
        text = squeeze("\n".join(self.body))
        if not text.endswith(";"):
            raise Bad(f"{self.name}: the statement must end with ;")
        self.text = outside_quotes(text[:-1].rstrip(), lambda s: re.sub(r"\{\{([a-z_]+)\}\}", lambda m: fragments(m[1]), s))
        if not self.text:
            raise Bad(f"{self.name}: no statement")

    def expand(self, rows):
        """Columns and parameters, once all rows are known."""
        def columns(m):
            row = rows.get(self.result)
            if not row:
                raise Bad(f"{self.name}: {m[0]} needs a row declared in these files")
            names = [n for n, _ in row.columns]
            without = split_list(m[2] or "")
            for n in without:
                if n not in names:
                    raise Bad(f"{self.name}: {n} is no column of {self.result}")
            return ", ".join(f"{m[1]}.{n}" for n in names if n not in without)

        text = outside_quotes(self.text, lambda s: re.sub(r"\{([a-z_]+)(?:\s*-\s*([a-z_,\s]+))?\}", columns, s))
        numbers = {n: i + 1 for i, (n, _) in enumerate(self.params)}
        used = set()

        def number(m):
            if m[1] not in numbers:
                raise Bad(f"{self.name}: ${m[1]} is no parameter")
            used.add(m[1])
            t = dict(self.params)[m[1]]
            return f"jsonb_object(${numbers[m[1]]})" if t.base == "jsonmap" else f"${numbers[m[1]]}"

        self.sql = outside_quotes(text, lambda s: re.sub(r"\$([a-z_][a-z0-9_]*)", number, s))
        for n in numbers:
            if n not in used:
                raise Bad(f"{self.name}: the parameter {n} is not used")
        writes = r"\b(INSERT|UPDATE|DELETE|MERGE|FOR\s+(NO\s+KEY\s+)?UPDATE|FOR\s+(KEY\s+)?SHARE|pg_advisory\w*|pg_notify|nextval|setval)\b"
        words = re.sub(r"'(?:[^']|'')*'", "''", text)
        self.read_only = bool(re.match(r"(SELECT|WITH|VALUES)\b", words, re.I)) and not re.search(writes, words, re.I)

    # ---- C ----

    def by_struct(self):
        return len(self.params) > MANY_PARAMS

    def row_type(self):
        return TYPES[self.result][0] if self.result in TYPES else f"struct {self.result}"

    def row_msg(self):
        return f"cm_db_row_{self.result}" if self.result in TYPES else f"{self.result}_msg"

    def param_decl(self):
        if self.by_struct():
            return [f"const struct {self.name}_args *args"]
        return [d for n, t in self.params for d in t.declare(argument(n))]

    def param_names(self):
        if self.by_struct():
            return ["args"]
        return [x for n, t in self.params for x in ([argument(n), f"n_{argument(n)}"] if t.many else [argument(n)])]

    def result_decl(self, batch):
        if self.want == "exec":
            return ["int64_t *ret"]
        if self.want == "many":
            return [f"{self.row_type()} **ret", "size_t *ret_n"]
        scalar = self.result in TYPES and self.want == "one" and not batch
        return [f"{self.row_type()} {'*' if scalar else '**'}ret"]

    def head(self, batch):
        if batch:
            return f"void {self.name}_batch(" + ", ".join(
                ["struct cm_db_batch *b"] + self.param_decl() + self.result_decl(True)) + ")"
        return f"enum cm_code {self.name}(" + ", ".join(
            ["struct cm_db *db", "struct cm_arena *a"] + self.param_decl() + self.result_decl(False) +
            ["struct cm_err *err"]) + ")"

    def header(self):
        out = []
        if self.doc:
            out += ["/* " + "\n * ".join(self.doc) + " */"]
        if self.by_struct():
            out += [f"struct {self.name}_args {{"]
            for n, t in self.params:
                out += [f"    {d};" for d in t.declare(member(n))]
            out += ["};"]
        return out + [f"CM_MUST_USE {self.head(False)};", f"{self.head(True)};",
                      f"extern const struct cm_db_stmt {self.name}_stmt;", ""]

    def source(self):
        out = []
        params = ""
        if self.params:
            kinds = ", ".join(t.param_type() for _, t in self.params)
            out.append(f"static const uint8_t {self.name}_params[] = {{{kinds}}};")
            params = f"    .params = {self.name}_params,\n    .n_params = CM_COUNT_OF({self.name}_params),\n"
        row = f"    .row = &{self.row_msg()},\n" if self.result else ""
        read_only = "    .read_only = true,\n" if self.read_only else ""
        out.append(f"const struct cm_db_stmt {self.name}_stmt = {{\n    .name = {c_string(self.name)},\n    .sql =\n"
                   f"{c_lines(self.sql)},\n{params}    .want = CM_DB_{self.want.upper()},\n{read_only}{row}}};\n")
        bind = "NULL"
        if self.params:
            prefix, name = ("args->", member) if self.by_struct() else ("", argument)
            out.append(f"static struct cm_db_args *{self.name}_bind(" +
                       ", ".join(["struct cm_arena *a"] + self.param_decl()) + ")\n{\n"
                       f"    struct cm_db_args *q = cm_db_args_new(a, &{self.name}_stmt);")
            for n, t in self.params:
                out.append("    " + t.bind(prefix + name(n), f"{prefix}n_{name(n)}"))
            out.append("    return q;\n}\n")
            bind = f"{self.name}_bind({{}}{''.join(', ' + n for n in self.param_names())})"
        call = f"db, a, &{self.name}_stmt, {bind.format('a')}"
        out.append(self.head(False) + "\n{")
        if self.want == "exec":
            out.append(f"    return cm_db_run_exec({call}, ret, err);")
        elif self.want == "many":
            out.append(f"    return cm_db_run_rows({call}, ret, ret_n, err);")
        elif self.want == "one" and self.result in TYPES:
            out.append(f"    {self.row_type()} *out = NULL;\n    enum cm_code code = cm_db_run_row({call}, &out, err);\n"
                       "    if (code == CM_OK)\n        *ret = *out;\n    return code;")
        else:
            out.append(f"    return cm_db_run_row({call}, ret, err);")
        out.append("}\n")
        results = {"exec": "NULL, NULL, ret", "many": "ret, ret_n, NULL"}.get(self.want, "ret, NULL, NULL")
        out.append(self.head(True) + "\n{\n"
                   f"    cm_db_batch_add(b, &{self.name}_stmt, {bind.format('cm_db_batch_arena(b)')}, {results});\n}}\n")
        return out


def outside_quotes(text, fn):
    parts = re.split(r"('(?:[^']|'')*'|\"[^\"]*\")", text)
    return "".join(p if i % 2 else fn(p) for i, p in enumerate(parts))


def squeeze(text):
    """One line without comments."""
    text = outside_quotes(text, lambda s: re.sub(r"--[^\n]*", "", s))
    return outside_quotes(text, lambda s: re.sub(r"\s+", " ", s)).strip()


class File:
    def __init__(self, path):
        self.base = os.path.splitext(os.path.basename(path))[0]
        self.includes, self.rows, self.queries, self.fragments = [], [], [], {}
        doc, query, directive = [], None, None
        with open(path, encoding="utf-8") as f:
            lines = f.read().split("\n")
        number = 0
        try:
            for number, line in enumerate(lines + ["-- end"], 1):
                more = re.match(r"--\s{4,}(\S.*)", line)
                if directive is not None and more:
                    directive += " " + more[1].strip()
                    continue
                if directive is not None:
                    query = self.directive(directive, doc)
                    directive, doc = None, []
                m = re.match(r"--\s?(.*)", line)
                if m and re.match(r"(include|row|query|fragment|end)\b", m[1]):
                    if query:
                        query.finish(self.fragment)
                        query = None
                    directive = m[1].strip() if m[1] != "end" else None
                elif m and not (query and squeeze("\n".join(query.body)) and not squeeze("\n".join(query.body)).endswith(";")):
                    doc.append(m[1].strip())
                elif query:
                    query.body.append(line)
                elif line.strip():
                    raise Bad("a statement without a query directive")
                else:
                    doc = []
        except Bad as e:
            sys.exit(f"{path}:{number}: {e}")

    def fragment(self, name):
        if name not in self.fragments:
            raise Bad(f"no fragment is called {name}; fragments stand before the statements that use them")
        return self.fragments[name].text

    def directive(self, text, doc):
        kind, rest = text.split(None, 1)
        if kind == "include":
            self.includes.append(rest.strip())
        elif kind == "row":
            self.rows.append(Row(self.base, rest))
        elif kind == "fragment":
            f = Fragment(rest.strip())
            self.fragments[f.name] = f
            return f
        else:
            self.queries.append(Query(self.base, rest, doc))
            return self.queries[-1]
        return None


def write(path, lines):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    text = "\n".join(lines).rstrip("\n") + "\n"
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)


def gen_queries(out, paths):
    files = [File(p) for p in paths]
    rows = {}
    names = set()
    for f in files:
        for thing in f.rows + f.queries:
            if thing.name in names:
                sys.exit(f"{f.base}.sql: {thing.name} is declared twice")
            names.add(thing.name)
        rows.update({r.name: r for r in f.rows})
    try:
        for f in files:
            for q in f.queries:
                q.expand(rows)
    except Bad as e:
        sys.exit(f"{f.base}.sql: {e}")
    for f in files:
        foreign = {rows[q.result].file for q in f.queries if q.result in rows} - {f.base}
        unknown = [q for q in f.queries if q.result and q.result not in rows and q.result not in TYPES and
                   not q.result.startswith("api_")]
        if unknown:
            sys.exit(f"{f.base}.sql: {unknown[0].name}: no row is called {unknown[0].result}")
        head = f"/* Generated by scripts/gen/sql.py from {f.base}.sql. */"
        lines = [head, "#pragma once", "", '#include "db/db.h"', '#include "db/stmt.h"']
        lines += [f'#include "{i}"' for i in f.includes] + [f'#include "store/{i}.h"' for i in sorted(foreign)] + [""]
        for thing in f.rows + f.queries:
            lines += thing.header()
        write(f"{out}/store/{f.base}.h", lines)
        lines = [head, f'#include "store/{f.base}.h"', ""]
        for thing in f.rows + f.queries:
            lines += thing.source()
        write(f"{out}/store/{f.base}.c", lines)
    stmts = [q.name for f in files for q in f.queries]
    head = "/* Generated by scripts/gen/sql.py. */"
    write(f"{out}/store/statements.h", [
        head, "#pragma once", "", '#include "db/stmt.h"', "", "/* Every statement of the store, for tests. */",
        "extern const struct cm_db_stmt *const store_statements[];", "extern const size_t store_n_statements;"])
    write(f"{out}/store/statements.c",
          [head, '#include "store/statements.h"', ""] + [f"extern const struct cm_db_stmt {s}_stmt;" for s in stmts] +
          ["", "const struct cm_db_stmt *const store_statements[] = {"] + [f"    &{s}_stmt," for s in stmts] +
          ["};", "const size_t store_n_statements = CM_COUNT_OF(store_statements);"])


def gen_migrations(out, paths):
    lines = ["/* Generated by scripts/gen/sql.py. */", '#include "store/migrations.h"', "",
             "const struct cm_db_migration store_migrations[] = {"]
    for i, path in enumerate(sorted(paths), 1):
        name = os.path.splitext(os.path.basename(path))[0]
        m = re.fullmatch(r"(\d{6})_[a-z0-9_]+", name)
        if not m or int(m[1]) != i:
            sys.exit(f"{path}: migrations are named 000001_words.sql and count without gaps; expected {i:06}")
        with open(path, encoding="utf-8") as f:
            text = "\n".join("    " + c_string(line) for line in f.read().splitlines(keepends=True))
        lines += [f"    {{.version = {i},\n     .name = {c_string(name)},\n     .sql =\n{text}}},"]
    lines += ["};", "const size_t store_n_migrations = CM_COUNT_OF(store_migrations);"]
    write(f"{out}/store/migrations.c", lines)
    write(f"{out}/store/migrations.h", [
        "/* Generated by scripts/gen/sql.py. */", "#pragma once", "", '#include "db/migrate.h"', "",
        "extern const struct cm_db_migration store_migrations[];", "extern const size_t store_n_migrations;"])


def main():
    if len(sys.argv) < 4 or sys.argv[1] not in ("queries", "migrations"):
        sys.exit(__doc__)
    (gen_queries if sys.argv[1] == "queries" else gen_migrations)(sys.argv[2], sys.argv[3:])


if __name__ == "__main__":
    main()
