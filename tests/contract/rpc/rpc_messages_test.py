#!/usr/bin/python3
"""The messages of proto/rpc across versions: programs of different ages understand each other.

messages.txt keeps each field that was ever there, with its number and type. Numbers never get another meaning, and what an
older program does not send is never required. After adding a field: rpc_messages_test.py --update; the difference is new
lines only.

Each message is then written by another implementation of the format, as programs of this version, an older and a newer
one would, and goes through ours:

  whole    every field is set                  -> every field is understood
  old      only what was always required       -> accepted, and nothing is invented
  new      with fields that nobody knows yet   -> accepted, the known ones are understood, the others survive
  cut      at a hundred places                 -> refused, or understood as far as the other one does
"""
import os
import re
import subprocess
import sys
import tempfile

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(HERE)))
KEPT = os.path.join(HERE, "messages.txt")
HEAD = "# Fields of the RPC messages, written by rpc_messages_test.py --update. Lines are added, never changed or removed.\n"
F = descriptor_pb2.FieldDescriptorProto


def files():
    folder = os.path.join(ROOT, "proto/rpc")
    with tempfile.NamedTemporaryFile() as out:
        subprocess.run(["protoc", f"--proto_path={folder}", f"--descriptor_set_out={out.name}",
                        *sorted(f for f in os.listdir(folder) if f.endswith(".proto"))], check=True, cwd=folder)
        return descriptor_pb2.FileDescriptorSet.FromString(out.read()).file


def messages(prefix, types):
    """(full name, description) of each, with those inside."""
    for m in types:
        yield f"{prefix}.{m.name}", m
        yield from messages(f"{prefix}.{m.name}", m.nested_type)


def lines(protos):
    """message.field = number rule type, and enum.VALUE = number."""
    found = []

    def enums(prefix, types):
        for e in types:
            found.extend(f"{prefix}.{e.name}.{v.name} = {v.number}" for v in e.value)

    for f in protos:
        for name, m in messages(f.package, f.message_type):
            for x in m.field:
                kind = F.Type.Name(x.type).removeprefix("TYPE_").lower()
                rule = F.Label.Name(x.label).removeprefix("LABEL_").lower()
                found.append(f"{name}.{x.name} = {x.number} {rule} {kind} {x.type_name.lstrip('.')}".strip())
            enums(name, m.enum_type)
        enums(f.package, f.enum_type)
    return found


def check_kept(now):
    with open(KEPT, encoding="utf-8") as f:
        kept = [line.strip() for line in f if not line.startswith("#")]
    gone = [line for line in kept if line not in now]
    assert not gone, "changed or removed, which older programs do not know:\n" + "\n".join(gone)
    new = [line for line in now if line not in kept]
    old = {line.split(" = ")[0].rpartition(".")[0] for line in kept}
    for line in new:
        name, _, rest = line.partition(" = ")
        assert " required " not in f" {rest} " or name.rpartition(".")[0] not in old, \
            f"{name} is required, but older programs do not send it"
    assert not new, "not kept yet; run rpc_messages_test.py --update:\n" + "\n".join(new)
    numbers = [re.sub(r"\.\w+ = (\d+).*", r" \1", line) for line in kept]  # of fields and of values alike
    twice = {n for n in numbers if numbers.count(n) > 1}
    assert not twice, f"a number with two meanings: {twice}"


def symbol(full_name):
    """As protobuf-c names a descriptor."""
    return "__".join(re.sub(r"(?<!^)([A-Z])", r"_\1", part).lower() for part in full_name.split(".")) + "__descriptor"


def fill(m, only_required, depth=0):
    """Sets fields to values that differ from each other and from the defaults."""
    for x in m.DESCRIPTOR.fields:
        if only_required and x.label != F.LABEL_REQUIRED or depth > 3:
            continue
        if x.type == F.TYPE_MESSAGE:
            for target in [getattr(m, x.name).add() for _ in range(2)] if x.label == F.LABEL_REPEATED else [getattr(m, x.name)]:
                target.SetInParent()
                fill(target, only_required, depth + 1)
            continue
        value = {F.TYPE_BYTES: b"\0bytes %d" % x.number, F.TYPE_STRING: f"text {x.number}", F.TYPE_BOOL: True,
                 F.TYPE_DOUBLE: x.number + 0.5, F.TYPE_FLOAT: x.number + 0.5}.get(x.type, x.number + 1000)
        if x.type == F.TYPE_ENUM:
            value = x.enum_type.values[-1].number
        elif x.type in (F.TYPE_INT32, F.TYPE_INT64, F.TYPE_SINT32, F.TYPE_SINT64):
            value = -value
        if x.label == F.LABEL_REPEATED:
            getattr(m, x.name).extend([value, value])
        else:
            setattr(m, x.name, value)
    return m


# What a newer program may add: a number, eight bytes, a text, four bytes; at numbers that nobody uses.
FUTURE = b"".join([b"\xf8\x7f\x2a", b"\xf1\x7f12345678", b"\xea\x7f\x05later", b"\xe5\x7f1234"])


def with_future(m):
    """The same with unknown fields, in each message inside as well."""
    for x, value in m.ListFields():
        if x.type == F.TYPE_MESSAGE:
            for inner in value if x.label == F.LABEL_REPEATED else [value]:
                with_future(inner)
    m.MergeFromString(FUTURE)
    return m


class Recode:
    def __init__(self, program):
        self.program, self.asked = program, []

    def ask(self, what, kind, data):
        self.asked.append((what, kind, data))

    def run(self):
        """Compares what came back with what the other implementation makes of the same bytes."""
        text = "".join(f"{symbol(kind.DESCRIPTOR.full_name)} {data.hex()}\n" for _, kind, data in self.asked)
        out = subprocess.run([self.program], input=text, capture_output=True, text=True, check=False)
        assert out.returncode == 0, out.stderr
        answers = out.stdout.splitlines()
        assert len(answers) == len(self.asked), (len(answers), len(self.asked))
        refused = 0
        for (what, kind, data), answer in zip(self.asked, answers):
            name = f"{kind.DESCRIPTOR.full_name}, {what}: {data.hex()}"
            try:
                theirs = kind.FromString(data)
                theirs = theirs if theirs.IsInitialized() else None
            except DecodeError:
                theirs = None
            if answer == "refused":
                refused += 1
                assert theirs is None and what == "cut", f"{name}: refused"
                continue
            ours = kind.FromString(bytes.fromhex(answer))
            assert theirs is not None, f"{name}: accepted as {answer}"
            assert ours.SerializeToString(deterministic=True) == theirs.SerializeToString(deterministic=True), \
                f"{name}: understood as {answer}"
        return refused


def main():
    protos = files()
    now = lines(protos)
    if "--update" in sys.argv:
        with open(KEPT, "w", encoding="utf-8") as f:
            f.write(HEAD + "\n".join(now) + "\n")
        return
    check_kept(now)
    pool = descriptor_pool.DescriptorPool()
    for f in protos:
        pool.Add(f)
    recode, count = Recode(sys.argv[1]), 0
    for f in protos:
        for name, _ in messages(f.package, f.message_type):
            kind = message_factory.MessageFactory(pool).GetPrototype(pool.FindMessageTypeByName(name))
            whole = fill(kind(), False).SerializeToString()
            recode.ask("whole", kind, whole)
            recode.ask("old", kind, fill(kind(), True).SerializeToString())
            recode.ask("new", kind, with_future(fill(kind(), False)).SerializeToString())
            for n in range(0, len(whole), len(whole) // 100 + 1):
                recode.ask("cut", kind, whole[:n])
            count += 1
    refused = recode.run()
    assert count > 40 and refused > count, (count, refused)
    print(f"{count} messages, {len(recode.asked)} times; {refused} refused")


if __name__ == "__main__":
    main()
