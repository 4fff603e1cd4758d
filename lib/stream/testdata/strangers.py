"""Writes strangers/: streams as pyarrow users write them, and beside each NAME.jsonl its rows.

Run with pyarrow 26 in this directory: python strangers.py
"""
import decimal
import json
import pyarrow as pa
from pyarrow import ipc


def save(name, schema, batches, file=False, rows=True, **options):
    options = ipc.IpcWriteOptions(**options)
    new = ipc.new_file if file else ipc.new_stream
    with new(f"strangers/{name}.arrow", schema, options=options) as w:
        for b in batches:
            w.write_batch(b)
    if rows:
        with open(f"strangers/{name}.jsonl", "w") as f:
            for b in batches:
                for row in b.to_pylist():
                    f.write(json.dumps(row, ensure_ascii=False) + "\n")


def batch(schema, *columns):
    return pa.record_batch(list(columns), schema=schema)


steps = pa.list_(pa.struct([pa.field("printed", pa.int32()), pa.field("start", pa.int32(), False)]))
plain = pa.schema([
    ("problem", pa.utf8()), ("tokens", pa.list_(pa.int32())), ("logprobs", pa.list_(pa.float32())), ("steps", steps),
    ("correct", pa.bool_()), ("seed", pa.uint64()), ("policy_step", pa.int64()), ("value", pa.float64()),
])
rows = [
    {"problem": "1 + 1 = ?", "tokens": [1, 2, 3], "logprobs": [-0.5, -0.25, 0.0], "correct": True, "seed": 2**64 - 1,
     "steps": [{"printed": 1, "start": 0}, {"printed": None, "start": 5}], "policy_step": -(2**63), "value": 0.1},
    {"problem": None, "tokens": None, "logprobs": None, "steps": None, "correct": None, "seed": None, "policy_step": None, "value": None},
    {"problem": "Größe ∑ 𝔘", "tokens": [], "logprobs": [], "steps": [], "correct": False, "seed": 0, "policy_step": 2**53 + 1, "value": 1e300},
] + [{"problem": f"p{i}", "tokens": [i] * i, "logprobs": [-i / 4] * i, "steps": [{"printed": i, "start": i}], "correct": i % 3 == 0,
      "seed": i, "policy_step": i, "value": i / 8} for i in range(20)]
whole = pa.RecordBatch.from_pylist(rows, schema=plain)

save("nullable", plain, [whole])
save("sliced", plain, [whole.slice(0, 1), whole.slice(1, 9), whole.slice(10, 3), whole.slice(13, 10)])
save("zstd", plain, [whole, whole.slice(3, 12)], compression="zstd")
save("lz4", plain, [whole, whole.slice(3, 12)], compression="lz4")
save("file", plain, [whole.slice(0, 7), whole.slice(7, 16)], file=True)
save("file-zstd", plain, [whole.slice(0, 7), whole.slice(7, 16)], file=True, compression="zstd")
save("file-empty", plain, [], file=True)
save("empty", plain, [])
save("empty-batches", plain, [whole.slice(0, 0), whole.slice(0, 2), whole.slice(2, 0), plain.empty_table().combine_chunks().to_batches()[0]
                              if plain.empty_table().combine_chunks().to_batches() else whole.slice(5, 0)])

large = pa.schema([("problem", pa.large_utf8()), ("tokens", pa.large_list(pa.int32())), ("texts", pa.large_list(pa.large_utf8())), ("bytes", pa.large_list(pa.utf8()))])
big = pa.RecordBatch.from_pylist([{"problem": f"größer {i}" if i % 4 else None, "tokens": list(range(i)) if i % 5 else None,
                                   "texts": ["x" * k for k in range(i)], "bytes": [None, "é"]} for i in range(12)], schema=large)
save("large", large, [big, big.slice(5, 4)])

view = pa.schema([("problem", pa.string_view()), ("texts", pa.list_(pa.string_view()))])
seen = pa.RecordBatch.from_pylist([{"problem": t, "texts": [t, "inline"]} for t in
                                   ["", "twelve bytes", "thirteen bytes", None, "a text that is far longer than twelve bytes", "é" * 20]], schema=view)
save("view", view, [seen, seen.slice(2, 3)])

dictionary = pa.schema([("source", pa.dictionary(pa.int8(), pa.utf8())), ("big", pa.dictionary(pa.uint32(), pa.large_utf8())),
                        ("number", pa.dictionary(pa.int32(), pa.int64())), ("list", pa.list_(pa.dictionary(pa.int16(), pa.utf8())))])


def encoded(index, values, nested):
    return batch(dictionary,
                 pa.DictionaryArray.from_arrays(pa.array(index, pa.int8()), pa.array(values, pa.utf8())),
                 pa.DictionaryArray.from_arrays(pa.array(index, pa.uint32()), pa.array(values, pa.large_utf8())),
                 pa.DictionaryArray.from_arrays(pa.array(index, pa.int32()), pa.array([None if v is None else len(v) for v in values], pa.int64())),
                 pa.ListArray.from_arrays(pa.array(range(len(index) + 1), pa.int32()),
                                          pa.DictionaryArray.from_arrays(pa.array(index, pa.int16()), pa.array(nested, pa.utf8()))))


first = encoded([0, 1, None, 0], ["math", "größe"], ["a", "b"])
more = encoded([2, 3, 1, None, 0], ["math", "größe", None, "late"], ["a", "b", "c", "d"])
other = encoded([1, 0], ["x", "yy"], ["z", ""])
save("dictionary", dictionary, [first, more, other])  # replaced
save("dictionary-delta", dictionary, [first, more], emit_dictionary_deltas=True)
save("dictionary-file", dictionary, [first, first.slice(1, 2)], file=True)
save("dictionary-zstd", dictionary, [first, more], compression="zstd")

noted = pa.schema([pa.field("problem", pa.utf8(), metadata={"unit": "text"})], metadata={"pandas": "{}", "mine": "kept"})
save("metadata", noted, [batch(noted, pa.array(["x"]))])

inner = pa.struct([pa.field("a", pa.int32(), False)])
hidden = pa.schema([("s", inner)])
save("hidden", hidden, [batch(hidden, pa.StructArray.from_arrays([pa.array([None, 2], pa.int32())], fields=list(inner),
                                                                 mask=pa.array([True, False])))])

types = {
    "i8": pa.array([-1, None], pa.int8()), "u16": pa.array([65535, None], pa.uint16()), "u32": pa.array([1, None], pa.uint32()),
    "half": pa.array([0.5, None], pa.float16()), "bin": pa.array([b"\xff\x00", None], pa.binary()), "lbin": pa.array([b"x", None], pa.large_binary()),
    "fsb": pa.array([b"abc", None], pa.binary(3)), "day": pa.array([1, None], pa.date32()), "day64": pa.array([86400000, None], pa.date64()),
    "t32": pa.array([1, None], pa.time32("s")), "t64": pa.array([1, None], pa.time64("ns")), "ts": pa.array([0, None], pa.timestamp("us", "UTC")),
    "tsz": pa.array([0, None], pa.timestamp("s", "Mars/Olympus")), "dur": pa.array([5, None], pa.duration("ms")),
    "mdn": pa.array([(1, 2, 3), None], pa.month_day_nano_interval()), "dec": pa.array([decimal.Decimal("1.50"), None], pa.decimal128(5, 2)),
    "dec256": pa.array([decimal.Decimal("-2.5"), None], pa.decimal256(50, 1)), "nul": pa.nulls(2),
    "map": pa.array([[("k", 1.5), ("l", None)], None], pa.map_(pa.utf8(), pa.float64())),
    "fsl": pa.array([[1, 2], None], pa.list_(pa.int16(), 2)), "bview": pa.array([b"longer than twelve bytes", None], pa.binary_view()),
    "ext": pa.ExtensionArray.from_storage(pa.json_(), pa.array(["{}", None], pa.utf8())),
}
others = pa.schema([(k, v.type) for k, v in types.items()])
save("other", others, [batch(others, *types.values())], rows=False)

strict = pa.schema([pa.field("a", pa.int32(), False)])
save("refused-null", strict, [batch(strict, pa.array([1, None], pa.int32()))], rows=False)
bad = pa.schema([("a", pa.utf8())])
save("refused-utf8", bad, [batch(bad, pa.Array.from_buffers(pa.utf8(), 1, [None, pa.py_buffer(b"\0\0\0\0\2\0\0\0"), pa.py_buffer(b"\xc3(")]))], rows=False)
twice = pa.schema([("a", pa.utf8()), ("a", pa.utf8())])
save("refused-twice", twice, [batch(twice, pa.array(["x"]), pa.array(["y"]))], rows=False)
for name, column in {
    "refused-union": pa.UnionArray.from_sparse(pa.array([0], pa.int8()), [pa.array([1])]),
    "refused-runs": pa.RunEndEncodedArray.from_arrays(pa.array([2], pa.int32()), pa.array(["x"])),
    "refused-listview": pa.array([[1]], pa.list_view(pa.int32())),
}.items():
    schema = pa.schema([("a", column.type)])
    save(name, schema, [batch(schema, column)], rows=False)
